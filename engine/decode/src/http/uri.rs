//! Addresses: their parts, and the path and query as a server would read them (libhtp,
//! personality IDS). Must never know a header.

use super::lines::number;
use std::ops::Range;

/// Parts of an address, as ranges of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Parts {
    pub(super) host: Option<Range<usize>>,
    pub(super) port: Option<Range<usize>>,
    pub(super) path: Range<usize>,
    pub(super) query: Option<Range<usize>>,
    pub(super) fragment: Option<Range<usize>>,
}

fn find(bytes: &[u8], from: usize, set: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.iter().position(|b| set.contains(b)).map_or(bytes.len(), |at| from + at)
}

/// Splits an address. An authority is only looked for behind a scheme.
pub(super) fn split(uri: &[u8]) -> Parts {
    let mut parts = Parts::default();
    let mut at = 0;
    if uri.first().is_some_and(|&b| b != b'/') {
        let colon = find(uri, 0, b":");
        if colon < uri.len() {
            at = colon + 1;
            let slashes = uri.get(at..at + 2) == Some(b"//") && uri.get(at + 2) != Some(&b'/');
            if slashes && uri.len() > at + 2 {
                let end = find(uri, at + 2, b"/?#");
                authority(uri, at + 2..end, &mut parts);
                at = end;
            }
        }
    }
    let path_end = find(uri, at, b"?#");
    parts.path = at..path_end;
    let mut rest = path_end;
    if uri.get(rest) == Some(&b'?') {
        let end = find(uri, rest + 1, b"#");
        parts.query = Some(rest + 1..end);
        rest = end;
    }
    if uri.get(rest) == Some(&b'#') {
        parts.fragment = Some(rest + 1..uri.len());
    }
    parts
}

/// Splits `user@host:port`.
pub(super) fn authority(uri: &[u8], range: Range<usize>, parts: &mut Parts) {
    let text = uri.get(range.clone()).unwrap_or_default();
    let start = range.start + text.iter().rposition(|&b| b == b'@').map_or(0, |at| at + 1);
    let text = uri.get(start..range.end).unwrap_or_default();
    let colon = if text.first() == Some(&b'[') {
        let close = find(text, 0, b"]");
        find(text, close, b":")
    } else {
        find(text, 0, b":")
    };
    parts.host = Some(start..start + colon);
    if colon < text.len() {
        parts.port = Some(start + colon + 1..range.end);
    }
}

/// A port's number; `None` if it is none.
pub(super) fn port(text: &[u8]) -> Option<u16> {
    number(super::lines::trim(text), 10).and_then(|n| u16::try_from(n).ok()).filter(|&n| n > 0)
}

/// Host and port of a `Host` header.
pub(super) fn host_header(value: &[u8]) -> (Range<usize>, Option<Range<usize>>) {
    let mut parts = Parts::default();
    let from = value.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(value.len());
    authority(value, from..value.len(), &mut parts);
    (parts.host.unwrap_or_default(), parts.port)
}

/// Whether a name can be a host's.
pub(super) fn is_host(name: &[u8]) -> bool {
    if name.first() == Some(&b'[') {
        return name.last() == Some(&b']');
    }
    !name.is_empty()
        && name.len() <= 255
        && name.split(|&b| b == b'.').enumerate().all(|(at, label)| {
            let last = name.iter().filter(|&&b| b == b'.').count() == at;
            (!label.is_empty() || (last && at > 0))
                && label.len() <= 63
                && label.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

fn hex(high: Option<&u8>, low: Option<&u8>) -> Option<u8> {
    let digit = |b: Option<&u8>| char::from(*b?).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// One character at `at`: its byte and how many bytes it takes.
fn decode_one(bytes: &[u8], at: usize) -> (u8, usize) {
    let byte = bytes.get(at).copied().unwrap_or_default();
    if byte != b'%' {
        return (byte, 1);
    }
    if let Some(value) = hex(bytes.get(at + 1), bytes.get(at + 2)) {
        return (value, 3);
    }
    if matches!(bytes.get(at + 1), Some(b'u' | b'U')) {
        let high = hex(bytes.get(at + 2), bytes.get(at + 3));
        let low = hex(bytes.get(at + 4), bytes.get(at + 5));
        return match (high, low) {
            (Some(0), Some(low)) => (low, 6),
            // Full-width forms of ASCII.
            (Some(0xff), Some(low)) if low <= 0x5e => (low.wrapping_add(0x20), 6),
            (Some(_), Some(_)) => (b'?', 6),
            _ => (byte, 1),
        };
    }
    (byte, 1)
}

/// Appends the path as a server would read it: decoded once, backslashes as slashes, repeated
/// slashes as one, and dot segments resolved.
pub(super) fn normal_path(path: &[u8], into: &mut Vec<u8>) {
    let base = into.len();
    let (mut at, mut slash) = (0, false);
    while at < path.len() {
        let (byte, length) = decode_one(path, at);
        at += length;
        let byte = if byte == b'\\' { b'/' } else { byte };
        if byte == b'/' && slash {
            continue;
        }
        slash = byte == b'/';
        into.push(byte);
    }
    if into.get(base..).is_some_and(|path| !path.is_ascii()) {
        best_fit(into, base);
    }
    resolve_dots(into, base);
}

/// Makes single bytes of UTF-8, overlong forms too, as servers that map it to Windows-1252 do.
fn best_fit(path: &mut Vec<u8>, base: usize) {
    let text = path.split_off(base);
    let mut at = 0;
    while let Some(&lead) = text.get(at) {
        let (bits, more) = match lead {
            0xc0..=0xdf => (u32::from(lead & 0x1f), 1),
            0xe0..=0xef => (u32::from(lead & 0x0f), 2),
            0xf0..=0xf7 => (u32::from(lead & 0x07), 3),
            _ => (0, 0),
        };
        let tail = text.get(at + 1..at + 1 + more).unwrap_or_default();
        if more == 0 || tail.len() < more || tail.iter().any(|b| b & 0xc0 != 0x80) {
            path.push(lead);
            at += 1;
            continue;
        }
        let point = tail.iter().fold(bits, |sum, b| sum << 6 | u32::from(b & 0x3f));
        path.push(match point {
            // Full-width forms of ASCII.
            0xff01..=0xff5e => u8::try_from(point - 0xfee0).unwrap_or(b'?'),
            _ => u8::try_from(point).unwrap_or(b'?'),
        });
        at += 1 + more;
    }
}

/// Resolves `.` and `..` in the path that starts at `base`.
fn resolve_dots(path: &mut Vec<u8>, base: usize) {
    let text = path.get(base..).unwrap_or_default();
    let dotted = text.split(|&b| b == b'/').any(|segment| segment == b"." || segment == b"..");
    if !dotted {
        return;
    }
    let text = text.to_vec();
    path.truncate(base);
    let rooted = text.first() == Some(&b'/');
    let mut segments: Vec<&[u8]> = Vec::new();
    let count = text.split(|&b| b == b'/').count();
    for (at, segment) in text.split(|&b| b == b'/').enumerate() {
        let last = at + 1 == count;
        match segment {
            b"." => {
                if last && (rooted || segments.len() > 1) {
                    segments.push(b"");
                }
            }
            b".." => {
                if segments.len() > usize::from(rooted) {
                    segments.pop();
                }
                if last && rooted {
                    segments.push(b"");
                }
            }
            other => segments.push(other),
        }
    }
    for (at, segment) in segments.iter().enumerate() {
        if at > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(segment);
    }
}

/// Appends the query, decoded once.
pub(super) fn normal_query(query: &[u8], into: &mut Vec<u8>) {
    let mut at = 0;
    while at < query.len() {
        let (byte, length) = decode_one(query, at);
        // Only a path knows `%u`.
        let (byte, length) = if length == 6 { (b'%', 1) } else { (byte, length) };
        at += length;
        into.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> String {
        let mut into = Vec::new();
        normal_path(text.as_bytes(), &mut into);
        String::from_utf8_lossy(&into).into_owned()
    }

    #[test]
    fn paths_are_normalised() {
        for (raw, normal) in [
            ("/a", "/a"),
            ("/a//b///c", "/a/b/c"),
            ("/%61%2fb", "/a/b"),
            ("/a/./b/../c", "/a/c"),
            ("/../../etc", "/etc"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/a\\b", "/a/b"),
            ("/%zz%4", "/%zz%4"),
            ("/%u0041", "/A"),
            ("/%2541", "/%41"),
            ("/%u0041%c0%af%e2%82%ac", "/A/?"),
            ("/%ef%bc%a1%ff", "/A\u{fffd}"),
        ] {
            assert_eq!(path(raw), normal, "{raw}");
        }
    }

    #[test]
    fn addresses_have_parts() {
        let uri = b"http://u@Host:81/p?q#f";
        let parts = split(uri);
        assert_eq!(&uri[parts.host.expect("as the test says")], b"Host");
        assert_eq!(port(&uri[parts.port.expect("as the test says")]), Some(81));
        assert_eq!(&uri[parts.path], b"/p");
        assert_eq!(&uri[parts.query.expect("as the test says")], b"q");
        assert_eq!(&uri[parts.fragment.expect("as the test says")], b"f");
        assert_eq!(split(b"/a:b//c").path, 0..7);
        assert_eq!(host_header(b"[::1]:8"), (0..5, Some(6..7)));
        assert!(is_host(b"a.b-c.d") && is_host(b"a.") && !is_host(b"a..b") && !is_host(b"a b"));
    }
}
