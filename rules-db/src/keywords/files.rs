//! Files: name, extension, magic, size, hashes, and keeping them.

use super::{Keyword, Value, bare, either, perhaps};
use crate::ast::{
    Anchor, BufferTest, Case, Condition, Content, Effect, FileHash, StoreDirection, StoreScope,
};
use crate::draft::Draft;
use crate::fault::{Outcome, invalid, shown};
use crate::numbers::size_comparison;
use portcullis_plugin_abi::buffer_kind as kind;

pub(super) const ROWS: &[Keyword] = &[
    either("filename", filename),
    either("fileext", fileext),
    either("filemagic", filemagic),
    bare("filesize", filesize),
    bare("filemd5", |d, v| hashes(d, v, kind::FILE_MD5, 16)),
    bare("filesha1", |d, v| hashes(d, v, kind::FILE_SHA1, 20)),
    bare("filesha256", |d, v| hashes(d, v, kind::FILE_SHA256, 32)),
    perhaps("filestore", filestore),
];

fn no_case(value: &Value<'_>) -> Outcome<Content> {
    let bytes = super::content::bytes_of(value)?;
    let polarity = value.polarity;
    Ok(Content { bytes, polarity, case: Case::Ignored, ..Content::default() })
}

fn filename(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let content = no_case(value)?;
    draft.push_to_kind(kind::FILE_NAME, BufferTest::Content(content));
    Ok(())
}

fn fileext(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let mut content = no_case(value)?;
    content.bytes.insert(0, b'.');
    content.endswith = Anchor::Yes;
    draft.push_to_kind(kind::FILE_NAME, BufferTest::Content(content));
    Ok(())
}

fn filemagic(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let mut content = no_case(value)?;
    // `|00|` at the end stands for the end of the words.
    if content.bytes.len() > 1 && content.bytes.last() == Some(&0) {
        content.bytes.pop();
        content.endswith = Anchor::Yes;
    }
    draft.push_to_kind(kind::FILE_MAGIC, BufferTest::Content(content));
    Ok(())
}

fn filesize(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let test = size_comparison(value.text)?;
    draft.conditions.push(Condition::Number { kind: kind::FILE_SIZE, test });
    Ok(())
}

fn hashes(draft: &mut Draft<'_, '_>, value: &Value<'_>, kind: u16, length: usize) -> Outcome {
    let (polarity, text) = match value.text.strip_prefix(b"!") {
        Some(rest) => (crate::ast::Polarity::Negated, rest.trim_ascii()),
        None => (value.polarity, value.text),
    };
    let file = std::str::from_utf8(text).map_err(|_| {
        invalid(format!("`{}` is not a file's name", shown(text)), "use a plain name")
    })?;
    let values = draft.shared.hash_list(file, length)?;
    let hash = FileHash { kind, file: file.to_owned(), values, polarity };
    draft.conditions.push(Condition::FileHash(hash));
    Ok(())
}

fn filestore(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let (mut direction, mut scope) = (StoreDirection::Match, StoreScope::File);
    for word in value.text.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
        match word {
            b"" => {}
            b"request" | b"to_server" => direction = StoreDirection::ToServer,
            b"response" | b"to_client" => direction = StoreDirection::ToClient,
            b"both" => direction = StoreDirection::Both,
            b"file" => scope = StoreScope::File,
            b"tx" => scope = StoreScope::Transaction,
            b"ssn" | b"flow" => scope = StoreScope::Flow,
            _ => {
                return Err(invalid(
                    format!("`{}` is neither a direction nor a scope", shown(word)),
                    "write request, response or both, and file, tx or ssn",
                ));
            }
        }
    }
    draft.effects.push(Effect::FileStore { direction, scope });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{tried, tried_with};
    use super::*;

    #[test]
    fn names_magic_and_store() {
        let rule = tried_with(
            "alert http any any -> any any",
            "fileext:\"exe\"; filemagic:!\"PDF|00|\"; filesize:>10kb; filestore:both,tx;",
        );
        let rule = rule.unwrap_or_else(|f| panic!("{f}"));
        let BufferTest::Content(ext) = &rule.buffers[0].tests[0] else { panic!() };
        assert_eq!((ext.bytes.as_slice(), ext.endswith), (&b".exe"[..], Anchor::Yes));
        let BufferTest::Content(magic) = &rule.buffers[1].tests[0] else { panic!() };
        assert_eq!((magic.bytes.as_slice(), magic.endswith), (&b"PDF"[..], Anchor::Yes));
        assert_eq!(rule.effects.len(), 1);
    }

    #[test]
    fn bad_ones_are_refused() {
        for bad in ["filename:;", "filesize:big;", "filemd5:no.list;", "filestore:maybe;"] {
            assert!(tried(bad).is_err(), "{bad}");
        }
    }
}
