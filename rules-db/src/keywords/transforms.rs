//! Transforms of a sticky buffer. They stand between the buffer's keyword and its first test.

use super::{Keyword, Value, alone, quoted};
use crate::ast::Transform;
use crate::draft::{Current, Draft};
use crate::fault::{Outcome, invalid};

/// Transforms of one buffer, at most; as Suricata has it.
const TRANSFORMS_MAX: usize = 16;

pub(super) const ROWS: &[Keyword] = &[
    alone("dotprefix", |d, _| add(d, Transform::DotPrefix)),
    alone("strip_whitespace", |d, _| add(d, Transform::StripWhitespace)),
    alone("compress_whitespace", |d, _| add(d, Transform::CompressWhitespace)),
    alone("to_md5", |d, _| add(d, Transform::ToMd5)),
    alone("to_sha1", |d, _| add(d, Transform::ToSha1)),
    alone("to_sha256", |d, _| add(d, Transform::ToSha256)),
    alone("url_decode", |d, _| add(d, Transform::UrlDecode)),
    alone("to_lowercase", |d, _| add(d, Transform::ToLowercase)),
    alone("to_uppercase", |d, _| add(d, Transform::ToUppercase)),
    alone("header_lowercase", |d, _| add(d, Transform::HeaderLowercase)),
    alone("strip_pseudo_headers", |d, _| add(d, Transform::StripPseudoHeaders)),
    quoted("pcrexform", pcrexform),
    super::either("xor", xor),
];

fn add(draft: &mut Draft<'_, '_>, transform: Transform) -> Outcome {
    let fault = || {
        invalid(
            "a transform must directly follow a sticky buffer",
            "put it between the buffer's keyword and its first content",
        )
    };
    let Current::Sticky { kind, transforms, list } = &mut draft.current else {
        return Err(fault());
    };
    // Behind tests of the plain buffer it begins a transformed one, as in Suricata.
    if let Some(used) = list.take() {
        if draft.lists.get(used).is_none_or(|list| !list.transforms.is_empty()) {
            return Err(fault());
        }
        draft.current = Current::Sticky { kind: *kind, transforms: vec![transform], list: None };
        return Ok(());
    }
    if transforms.len() >= TRANSFORMS_MAX {
        let remedy = "take some out";
        return Err(invalid(format!("more than {TRANSFORMS_MAX} transforms"), remedy));
    }
    transforms.push(transform);
    Ok(())
}

fn pcrexform(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let text = value.word()?;
    // Suricata takes the bare pattern; slashes around it are common and mean the same.
    (draft.shared.regex)(text, "").map_err(|why| {
        let remedy = "correct the pattern and put one group of it in brackets";
        invalid(format!("the pattern does not compile: {why}"), remedy)
    })?;
    if !text.contains('(') {
        let remedy = "put brackets around the part that is to be kept";
        return Err(invalid("the pattern captures nothing", remedy));
    }
    add(draft, Transform::Pcre { pattern: text.into() })
}

fn xor(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let fault = || {
        invalid(
            format!("`{}` is not a key", value.shown()),
            "write 1 to 255 bytes as hexadecimal digits, such as 0a0DC8ff",
        )
    };
    let digits: Option<Vec<u8>> = value
        .text
        .iter()
        .map(|&b| char::from(b).to_digit(16).and_then(|n| u8::try_from(n).ok()))
        .collect();
    let digits = digits.ok_or_else(fault)?;
    if digits.is_empty() || digits.len() % 2 == 1 || digits.len() > 510 {
        return Err(fault());
    }
    let pairs = digits.as_chunks::<2>().0.iter();
    add(draft, Transform::Xor { key: pairs.map(|[high, low]| high << 4 | low).collect() })
}

#[cfg(test)]
mod tests {
    use super::super::tried;
    use super::*;

    #[test]
    fn transforms_are_kept_in_order() {
        let rule = tried("tls.sni; to_lowercase; dotprefix; xor:\"0aff\"; content:\".a\";");
        let found = rule.map(|r| r.buffers[0].transforms.clone());
        let key: std::sync::Arc<[u8]> = vec![0x0a, 0xff].into();
        let want = vec![Transform::ToLowercase, Transform::DotPrefix, Transform::Xor { key }];
        assert_eq!(found, Ok(want));
        let rule = tried("http.uri; pcrexform:\"^/a(.*)$\"; content:\"b\";");
        assert!(matches!(rule.map(|r| r.buffers[0].transforms.len()), Ok(1)));
    }

    #[test]
    fn one_buffer_with_and_without_transforms_is_two_lists() {
        let rule = tried("http.uri; content:\"a\"; http.uri; to_md5; content:\"b\";");
        assert_eq!(rule.map(|r| r.buffers.len()), Ok(2));
    }

    #[test]
    fn bad_ones_are_refused() {
        for bad in [
            "to_md5; content:\"a\";",
            "http.uri; content:\"a\"; to_md5;",
            "http.uri; to_md5; content:\"a\"; to_sha1; content:\"b\";",
            "http.uri; to_md5:x; content:\"a\";",
            "http.uri; xor:\"abc\"; content:\"a\";",
            "http.uri; xor:\"zz\"; content:\"a\";",
            "http.uri; pcrexform:\"abc\"; content:\"a\";",
            "http.uri; pcrexform:abc; content:\"a\";",
        ] {
            assert!(tried(bad).is_err(), "{bad}");
        }
    }
}
