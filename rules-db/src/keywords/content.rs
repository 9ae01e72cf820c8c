//! `content`, `uricontent` and what modifies them.

use super::{Keyword, Value, alone, bare, perhaps, quoted};
use crate::ast::{Anchor, BufferTest, Case, Content, FastPatternPart, Operand, Polarity};
use crate::draft::{Current, Draft};
use crate::fault::{Outcome, invalid, shown};
use crate::numbers::{signed, unsigned};
use portcullis_plugin_abi::buffer_kind;

/// Positions in contents' modifiers are at most this far, either way.
const POSITION_MAX: i64 = 1 << 20;

pub(super) const ROWS: &[Keyword] = &[
    quoted("content", content),
    quoted("uricontent", uricontent),
    alone("nocase", nocase),
    alone("rawbytes", rawbytes),
    bare("offset", offset),
    bare("depth", depth),
    bare("distance", distance),
    bare("within", within),
    alone("startswith", startswith),
    alone("endswith", endswith),
    perhaps("fast_pattern", fast_pattern),
];

/// The bytes of a content's text: `|41 42|`, `\"`, `\;`, `\:`, `\\`.
pub(crate) fn bytes_of(value: &Value<'_>) -> Outcome<Vec<u8>> {
    let mut out = Vec::with_capacity(value.text.len());
    let mut hex: Option<Option<u8>> = None;
    let mut escaped = false;
    for (at, &byte) in value.text.iter().enumerate() {
        let fault = |reason: String, remedy: &str| Err(invalid(reason, remedy).at(value.at + at));
        if let Some(half) = &mut hex {
            match (byte, nibble(byte), *half) {
                (b'|', _, None) => hex = None,
                (b' ' | b',', _, _) => {}
                (_, Some(low), Some(high)) => {
                    out.push(high << 4 | low);
                    *half = None;
                }
                (_, Some(high), None) => *half = Some(high),
                _ => {
                    let reason = format!("`{}` between | and |", shown(&[byte]));
                    return fault(reason, "write pairs of hexadecimal digits, such as |0d 0a|");
                }
            }
        } else if escaped {
            if !matches!(byte, b'"' | b';' | b':' | b'\\') {
                let reason = format!("`\\{}` is not an escape", shown(&[byte]));
                return fault(reason, "escape only \" ; : and \\, and write others as |hex|");
            }
            out.push(byte);
            escaped = false;
        } else {
            match byte {
                b'|' => hex = Some(None),
                b'\\' => escaped = true,
                b'"' => return fault("a quote inside".to_owned(), "write it as \\\" or |22|"),
                _ => out.push(byte),
            }
        }
    }
    if hex.is_some() || escaped {
        let remedy = "close each | with another, and write \\ as |5c|";
        return Err(invalid("it ends inside |hex| or an escape", remedy));
    }
    if out.is_empty() {
        return Err(invalid("it is empty", "write at least one byte"));
    }
    Ok(out)
}

fn nibble(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|n| u8::try_from(n).ok())
}

fn parsed(value: &Value<'_>) -> Outcome<Content> {
    let bytes = bytes_of(value)?;
    Ok(Content { bytes, polarity: value.polarity, ..Content::default() })
}

fn content(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let content = parsed(value)?;
    draft.push(BufferTest::Content(content));
    Ok(())
}

fn uricontent(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    if draft.is_sticky() {
        let remedy = "put pkt_data before it, or use http.uri and content";
        return Err(invalid("uricontent stands where a sticky buffer is set", remedy));
    }
    draft.require_application(portcullis_plugin_abi::application::HTTP)?;
    let content = parsed(value)?;
    draft.push_to_kind(buffer_kind::HTTP_URI, BufferTest::Content(content));
    Ok(())
}

fn nocase(draft: &mut Draft<'_, '_>, _: &Value<'_>) -> Outcome {
    let content = draft.last_content("nocase")?;
    if content.case == Case::Ignored {
        return Err(twice("nocase"));
    }
    content.case = Case::Ignored;
    Ok(())
}

fn rawbytes(draft: &mut Draft<'_, '_>, _: &Value<'_>) -> Outcome {
    if draft.is_sticky() {
        let remedy = "take rawbytes out: the buffer says which bytes are meant";
        return Err(invalid("rawbytes does not go with a sticky buffer", remedy));
    }
    let content = draft.last_content("rawbytes")?;
    if content.rawbytes == Anchor::Yes {
        return Err(twice("rawbytes"));
    }
    content.rawbytes = Anchor::Yes;
    Ok(())
}

fn twice(keyword: &str) -> Box<crate::fault::Fault> {
    invalid(format!("two {keyword} for one content"), format!("take one {keyword} out"))
}

/// A number within limits or a variable.
fn position(draft: &Draft<'_, '_>, value: &Value<'_>, least: i64) -> Outcome<Operand> {
    let Some(n) = signed(value.text) else {
        return draft.variable(value.word()?).map(Operand::Variable);
    };
    if n < least || n > POSITION_MAX {
        return Err(invalid(
            format!("{n} is not between {least} and {POSITION_MAX}"),
            "write a smaller number",
        ));
    }
    Ok(Operand::Number(n))
}

fn absolute<'d>(draft: &'d mut Draft<'_, '_>, keyword: &'static str) -> Outcome<&'d mut Content> {
    let content = draft.last_content(keyword)?;
    if content.is_relative() {
        return Err(invalid(
            format!("{keyword} and distance or within on one content"),
            "use offset and depth, or distance and within",
        ));
    }
    if content.startswith == Anchor::Yes {
        return Err(invalid(
            format!("{keyword} does not go with startswith"),
            format!("take out {keyword}: startswith says it all"),
        ));
    }
    Ok(content)
}

fn offset(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let place = position(draft, value, 0)?;
    let content = absolute(draft, "offset")?;
    if content.offset.replace(place).is_some() {
        return Err(twice("offset"));
    }
    Ok(())
}

fn not_below_length(keyword: &str, place: Operand, content: &Content) -> Outcome {
    let length = i64::try_from(content.bytes.len()).unwrap_or(i64::MAX);
    match place {
        Operand::Number(n) if n < length => Err(invalid(
            format!("{keyword} {n} is smaller than the content, which has {length} bytes"),
            format!("write {keyword}:{length} or more"),
        )),
        _ => Ok(()),
    }
}

fn depth(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let place = position(draft, value, 0)?;
    let content = absolute(draft, "depth")?;
    not_below_length("depth", place, content)?;
    if content.depth.replace(place).is_some() {
        return Err(twice("depth"));
    }
    Ok(())
}

fn relative<'d>(draft: &'d mut Draft<'_, '_>, keyword: &'static str) -> Outcome<&'d mut Content> {
    let before = draft.before_last_content().map(|step| step.serial);
    let only = draft.fast_pattern.filter(|f| f.1 == FastPatternPart::Only).map(|f| f.0);
    if before.is_some() && before == only {
        return Err(invalid(
            format!(
                "{keyword} counts from a content with fast_pattern:only, whose place is unknown"
            ),
            "take :only out of the fast_pattern before it",
        ));
    }
    let content = draft.last_content(keyword)?;
    if content.offset.is_some() || content.depth.is_some() {
        return Err(invalid(
            format!("{keyword} and offset or depth on one content"),
            "use offset and depth, or distance and within",
        ));
    }
    if content.startswith == Anchor::Yes {
        return Err(invalid(
            format!("{keyword} does not go with startswith"),
            format!("take out {keyword} or startswith"),
        ));
    }
    Ok(content)
}

fn distance(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let place = position(draft, value, -POSITION_MAX)?;
    let content = relative(draft, "distance")?;
    if content.distance.replace(place).is_some() {
        return Err(twice("distance"));
    }
    Ok(())
}

fn within(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let place = position(draft, value, -POSITION_MAX)?;
    let content = relative(draft, "within")?;
    not_below_length("within", place, content)?;
    if content.within.replace(place).is_some() {
        return Err(twice("within"));
    }
    Ok(())
}

fn startswith(draft: &mut Draft<'_, '_>, _: &Value<'_>) -> Outcome {
    let content = draft.last_content("startswith")?;
    if content.startswith == Anchor::Yes {
        return Err(twice("startswith"));
    }
    if content.is_relative() || content.offset.is_some() || content.depth.is_some() {
        return Err(invalid(
            "startswith and another position on one content",
            "take out offset, depth, distance and within: startswith says it all",
        ));
    }
    content.startswith = Anchor::Yes;
    content.offset = Some(Operand::Number(0));
    content.depth = i64::try_from(content.bytes.len()).ok().map(Operand::Number);
    Ok(())
}

fn endswith(draft: &mut Draft<'_, '_>, _: &Value<'_>) -> Outcome {
    let content = draft.last_content("endswith")?;
    if content.endswith == Anchor::Yes {
        return Err(twice("endswith"));
    }
    content.endswith = Anchor::Yes;
    Ok(())
}

fn fast_pattern(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    if matches!(draft.current, Current::Base64) {
        let remedy = "put fast_pattern on a content before base64_decode";
        return Err(invalid("the bytes of base64_data are not searched first", remedy));
    }
    if draft.fast_pattern.is_some() {
        let remedy = "take all but one fast_pattern out";
        return Err(invalid("two fast_pattern in one rule", remedy));
    }
    let part = fast_pattern_part(value)?;
    let content = draft.last_content("fast_pattern")?;
    let placed = content.is_relative() || content.offset.is_some() || content.depth.is_some();
    if content.polarity == Polarity::Negated && (placed || part == FastPatternPart::Only) {
        let remedy = "put fast_pattern on a content without `!`";
        return Err(invalid("fast_pattern on a negated content with a position", remedy));
    }
    match part {
        FastPatternPart::Only if placed => {
            let remedy = "write fast_pattern without :only";
            return Err(invalid("fast_pattern:only on a content with a position", remedy));
        }
        FastPatternPart::Chop { offset, length }
            if usize::from(offset) + usize::from(length) > content.bytes.len() =>
        {
            return Err(invalid(
                format!(
                    "{offset},{length} is more than the content's {} bytes",
                    content.bytes.len()
                ),
                "write an offset and length inside the content",
            ));
        }
        _ => {}
    }
    let serial = draft.last_content_place().and_then(|place| draft.serial(place));
    draft.fast_pattern = serial.map(|serial| (serial, part));
    Ok(())
}

fn fast_pattern_part(value: &Value<'_>) -> Outcome<FastPatternPart> {
    if value.text.is_empty() {
        return Ok(FastPatternPart::Whole);
    }
    if value.text.eq_ignore_ascii_case(b"only") {
        return Ok(FastPatternPart::Only);
    }
    let mut numbers = value
        .text
        .split(|&b| b == b',')
        .map(|part| unsigned(part).and_then(|n| u16::try_from(n).ok()));
    match (numbers.next().flatten(), numbers.next().flatten(), numbers.next()) {
        (Some(offset), Some(length), None) if length > 0 => {
            Ok(FastPatternPart::Chop { offset, length })
        }
        _ => Err(invalid(
            format!("`{}` is not a part of a content", value.shown()),
            "write fast_pattern; or fast_pattern:only; or fast_pattern:OFFSET,LENGTH;",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tried;
    use super::*;

    fn first(options: &str) -> Content {
        match tried(options).map(|rule| rule.buffers[0].tests[0].clone()) {
            Ok(BufferTest::Content(content)) => content,
            other => panic!("{options}: {other:?}"),
        }
    }

    #[test]
    fn bytes_hex_and_escapes() {
        assert_eq!(first(r#"content:"a|3A 0d0a|b\;\"\:\\";"#).bytes, b"a:\r\nb;\":\\");
        let negated = first("content:!\"x\"; nocase;");
        assert_eq!((negated.polarity, negated.case), (Polarity::Negated, Case::Ignored));
    }

    #[test]
    fn positions() {
        let c = first("content:\"abc\"; offset:4; depth:10;");
        assert_eq!((c.offset, c.depth), (Some(Operand::Number(4)), Some(Operand::Number(10))));
        let c = first("content:\"abc\"; startswith; endswith;");
        assert_eq!((c.offset, c.depth), (Some(Operand::Number(0)), Some(Operand::Number(3))));
        assert_eq!(c.endswith, Anchor::Yes);
    }

    #[test]
    fn fast_pattern_is_found_by_its_place() {
        let rule = tried("content:\"a\"; http_uri; content:\"bcd\"; fast_pattern:1,2;");
        let found = rule.ok().and_then(|r| r.fast_pattern.map(|f| (r.buffers[f.buffer].kind, f)));
        let Some((kind, found)) = found else { panic!("no fast pattern") };
        assert_eq!((kind, found.test), (buffer_kind::PAYLOAD, 0));
        assert_eq!(found.part, FastPatternPart::Chop { offset: 1, length: 2 });
    }

    #[test]
    fn bad_contents_are_refused_with_a_remedy() {
        for bad in [
            "content:abc;",
            "content:\"\";",
            "content:\"|4|\";",
            "content:\"|41\";",
            "content:\"|4x|\";",
            "content:\"a\\n\";",
            "nocase;",
            "content:\"a\"; nocase; nocase;",
            "content:\"abc\"; depth:2;",
            "content:\"abc\"; offset:1; within:9;",
            "content:\"abc\"; distance:1; depth:9;",
            "content:\"abc\"; offset:1; offset:2;",
            "content:\"abc\"; startswith; offset:1;",
            "content:\"abc\"; startswith; startswith;",
            "content:\"abc\"; depth:nope;",
            "content:\"abc\"; offset:-1;",
            "content:\"abc\"; within:2;",
            "content:\"a\"; fast_pattern; content:\"b\"; fast_pattern;",
            "content:\"a\"; fast_pattern:1,2;",
            "content:\"a\"; fast_pattern:some;",
            "content:\"a\"; fast_pattern:only; content:\"b\"; distance:1;",
            "content:\"a\"; offset:1; fast_pattern:only;",
        ] {
            let refusal = tried(bad).err().unwrap_or_else(|| panic!("{bad} was taken"));
            assert!(!refusal.remedy.is_empty() && refusal.sid == 1, "{refusal}");
        }
    }
}
