//! `pcre`: the pattern, its flags, and what it captures. Whether a pattern's syntax is right is
//! asked of the caller's check; this file must never know a regex engine.

use super::{Keyword, Value, either};
use crate::ast::{BufferTest, Capture, CaptureScope, Origin, Pcre};
use crate::draft::Draft;
use crate::fault::{Outcome, invalid, shown};
use crate::keywords::buffers;
use portcullis_plugin_abi::buffer_kind;

pub(super) const ROWS: &[Keyword] = &[either("pcre", pcre)];

/// Captures of one pattern that can be kept.
const CAPTURES_MAX: usize = 32;

/// The buffer that a flag means.
fn buffer_of(flag: u8) -> Option<u16> {
    Some(match flag {
        b'U' => buffer_kind::HTTP_URI,
        b'I' => buffer_kind::HTTP_URI_RAW,
        b'P' => buffer_kind::HTTP_REQUEST_BODY,
        b'Q' => buffer_kind::HTTP_RESPONSE_BODY,
        b'H' => buffer_kind::HTTP_HEADER,
        b'D' => buffer_kind::HTTP_HEADER_RAW,
        b'M' => buffer_kind::HTTP_METHOD,
        b'C' => buffer_kind::HTTP_COOKIE,
        b'S' => buffer_kind::HTTP_STAT_CODE,
        b'Y' => buffer_kind::HTTP_STAT_MSG,
        b'V' => buffer_kind::HTTP_USER_AGENT,
        b'W' => buffer_kind::HTTP_HOST,
        b'Z' => buffer_kind::HTTP_HOST_RAW,
        _ => return None,
    })
}

struct Flags {
    engine: String,
    from: Origin,
    buffer: Option<u16>,
}

fn flags_of(letters: &[u8]) -> Outcome<Flags> {
    let mut flags = Flags { engine: String::new(), from: Origin::Start, buffer: None };
    for &letter in letters {
        match letter {
            b'i' | b'm' | b's' | b'x' | b'A' | b'E' | b'G' => {
                if !flags.engine.contains(char::from(letter)) {
                    flags.engine.push(char::from(letter));
                }
            }
            b'R' => flags.from = Origin::Cursor,
            // Raw bytes are what the payload is; `O` lifts a limit that this engine has not.
            b'B' | b'O' => {}
            _ => {
                let found = buffer_of(letter).ok_or_else(|| {
                    invalid(
                        format!("`{}` is not a flag of pcre", shown(&[letter])),
                        "use i m s x A E G R, or a sticky buffer instead of U I P H D M C S Y V W",
                    )
                })?;
                if flags.buffer.is_some_and(|known| known != found) {
                    let remedy = "write one pcre for each buffer";
                    return Err(invalid("two buffers in one pcre", remedy));
                }
                flags.buffer = Some(found);
            }
        }
    }
    let mut letters: Vec<char> = flags.engine.chars().collect();
    letters.sort_unstable();
    flags.engine = letters.into_iter().collect();
    Ok(flags)
}

/// Pattern and flags of `/pattern/flags`, and what stands behind the flags.
fn divide<'t>(value: &Value<'t>) -> Outcome<(&'t [u8], &'t [u8], &'t [u8])> {
    let remedy = "write \"/pattern/flags\"";
    let text = value.text;
    let fault = || invalid(format!("`{}` is not between slashes", value.shown()), remedy);
    let body = text.strip_prefix(b"/").ok_or_else(fault)?;
    let end = body.iter().rposition(|&b| b == b'/').ok_or_else(fault)?;
    // Names of captures stand behind a comma, and may not hold a slash.
    let (pattern, rest) = (body.get(..end), body.get(end + 1..));
    let (pattern, rest) = pattern.zip(rest).ok_or_else(fault)?;
    let comma = rest.iter().position(|&b| b == b',').unwrap_or(rest.len());
    let (flags, captures) = rest.split_at(comma);
    if pattern.is_empty() {
        return Err(invalid("the pattern is empty", "write what is to be matched"));
    }
    Ok((pattern, flags.trim_ascii(), captures.strip_prefix(b",").unwrap_or_default()))
}

fn pcre(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let (pattern, letters, listed) = divide(value)?;
    let flags = flags_of(letters)?;
    let text = text_of(pattern);
    let (pattern, captures) = captures_of(&text, listed)?;
    (draft.shared.regex)(&pattern, &flags.engine).map_err(|why| {
        invalid(
            format!("the pattern does not compile: {why}"),
            "correct the pattern; it is read as Perl-compatible, without recursion or callouts",
        )
    })?;
    let test = BufferTest::Pcre(Pcre {
        pattern,
        flags: flags.engine,
        polarity: value.polarity,
        from: flags.from,
        captures,
    });
    match flags.buffer {
        None => draft.push(test),
        Some(kind) if draft.is_sticky() => {
            // The body of a response is what file.data is in HTTP.
            let same = draft.current_kind() == kind
                || (kind, draft.current_kind())
                    == (buffer_kind::HTTP_RESPONSE_BODY, buffer_kind::FILE_DATA);
            if !same {
                return Err(invalid(
                    "its flag names another buffer than the sticky buffer that is set",
                    "take the flag out, or put pkt_data before the pcre",
                ));
            }
            draft.push(test);
        }
        Some(kind) => {
            if let Some(number) = buffers::application_of(kind) {
                draft.require_application(number)?;
            }
            draft.push_to_kind(kind, test);
        }
    }
    Ok(())
}

/// The pattern as text: `\"`, `\;` lose their backslash where it is the rule's and not the
/// pattern's (both mean the same to a regex), bytes above 0x7f become `\xhh`.
fn text_of(pattern: &[u8]) -> String {
    let mut out = String::with_capacity(pattern.len());
    for chunk in pattern.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_ascii() {
                out.push(c);
            } else {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    out.push_str(&format!("\\x{byte:02x}"));
                }
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// The names of `(?P<flow_x>...)` groups and of the list behind the flags; named groups become
/// plain ones.
fn captures_of(pattern: &str, listed: &[u8]) -> Outcome<(String, Vec<Capture>)> {
    let mut captures = Vec::new();
    let (mut group, mut class, mut escaped) = (0_u16, false, false);
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let behind = rest.get(c.len_utf8()..).unwrap_or_default();
        if escaped {
            escaped = false;
        } else {
            match c {
                '\\' => escaped = true,
                '[' => class = true,
                ']' => class = false,
                '(' if !class => {
                    let name = group_name(behind);
                    if !behind.starts_with('?') || name.is_some() {
                        group = group.saturating_add(1);
                    }
                    let kept = name.and_then(scope_of);
                    captures.extend(kept.map(|(scope, name)| Capture {
                        group,
                        scope,
                        name: name.to_owned(),
                    }));
                }
                _ => {}
            }
        }
        rest = behind;
    }
    for (number, name) in (1_u16..).zip(listed.split(|&b| b == b',').filter(|n| !n.is_empty())) {
        let name = String::from_utf8_lossy(name);
        let (scope, name) = listed_scope(name.trim()).ok_or_else(|| {
            invalid(format!("`{name}` is not a name for a capture"), "write flow:NAME or pkt:NAME")
        })?;
        if number > group {
            let remedy = "put brackets around what is to be captured";
            return Err(invalid("more names than captured groups", remedy));
        }
        captures.push(Capture { group: number, scope, name: name.to_owned() });
    }
    if captures.len() > CAPTURES_MAX {
        let remedy = "split the pattern";
        return Err(invalid(format!("more than {CAPTURES_MAX} captures"), remedy));
    }
    Ok((pattern.to_owned(), captures))
}

fn group_name(behind: &str) -> Option<&str> {
    let body = behind.strip_prefix("?P<").or_else(|| {
        let body = behind.strip_prefix("?<")?;
        Some(body).filter(|b| !b.starts_with(['=', '!']))
    })?;
    body.split_once('>').map(|(name, _)| name)
}

fn scope_of(name: &str) -> Option<(CaptureScope, &str)> {
    let scopes = [
        ("flow_", CaptureScope::Flow),
        ("pkt_", CaptureScope::Packet),
        ("alert_", CaptureScope::Alert),
    ];
    scopes.into_iter().find_map(|(prefix, scope)| Some((scope, name.strip_prefix(prefix)?)))
}

fn listed_scope(name: &str) -> Option<(CaptureScope, &str)> {
    let scopes = [
        ("flow:", CaptureScope::Flow),
        ("pkt:", CaptureScope::Packet),
        ("alert:", CaptureScope::Alert),
    ];
    let found = scopes.into_iter().find_map(|(p, scope)| Some((scope, name.strip_prefix(p)?)));
    found.filter(|(_, name)| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::tried;
    use super::*;
    use crate::ast::Polarity;

    fn one(options: &str) -> (u16, Pcre) {
        match tried(options).map(|r| (r.buffers[0].kind, r.buffers[0].tests[0].clone())) {
            Ok((kind, BufferTest::Pcre(pcre))) => (kind, pcre),
            other => panic!("{options}: {other:?}"),
        }
    }

    #[test]
    fn flags_go_to_the_engine_the_cursor_or_the_buffer() {
        let (kind, p) = one(r#"pcre:!"/a\/b\x22[\;]/UsiR";"#);
        assert_eq!((kind, p.flags.as_str()), (buffer_kind::HTTP_URI, "is"));
        assert_eq!((p.from, p.polarity), (Origin::Cursor, Polarity::Negated));
        assert_eq!(p.pattern, r"a\/b\x22[\;]");
        assert_eq!(one("http.host; pcre:\"/a/W\";").0, buffer_kind::HTTP_HOST);
        assert_eq!(one("pcre:/a/;").1.pattern, "a");
    }

    #[test]
    fn captures_are_named_in_the_pattern_or_behind_it() {
        let (_, p) = one(r#"pcre:"/(?:x)\((?P<flow_name>a+)[(](b)/";"#);
        let want = Capture { group: 1, scope: CaptureScope::Flow, name: "name".to_owned() };
        assert_eq!(p.captures, [want]);
        let (_, p) = one(r#"pcre:"/(a)(b)/i, flow:first, pkt:second";"#);
        assert_eq!(p.captures.len(), 2);
        assert_eq!(p.captures[1].scope, CaptureScope::Packet);
    }

    #[test]
    fn bad_ones_are_refused() {
        for bad in [
            "pcre:\"abc\";",
            "pcre:\"/abc\";",
            "pcre:\"//\";",
            "pcre:\"/a/q\";",
            "pcre:\"/a/UH\";",
            "http.uri; pcre:\"/a/H\";",
            "pcre:\"/a/, flow:x\";",
            "pcre:\"/(a)/, x\";",
        ] {
            assert!(tried(bad).is_err(), "{bad}");
        }
    }
}
