//! How HTTP/1 is recognised: by the first word of a direction.

use crate::conversation::Direction;
use crate::registry::Probe;

/// Methods whose name at the start of a direction makes it HTTP.
pub(super) const METHODS: &[&[u8]] = &[
    b"GET",
    b"PUT",
    b"POST",
    b"HEAD",
    b"TRACE",
    b"OPTIONS",
    b"CONNECT",
    b"DELETE",
    b"PATCH",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"CHECKOUT",
    b"CHECKIN",
    b"UNCHECKOUT",
    b"MKWORKSPACE",
    b"UPDATE",
    b"LABEL",
    b"REPORT",
    b"MERGE",
    b"BASELINE-CONTROL",
    b"MKACTIVITY",
    b"VERSION-CONTROL",
    b"INVALID",
];

/// Whether the start of a direction is HTTP/1.
pub(crate) fn probe(direction: Direction, bytes: &[u8]) -> Probe {
    match direction {
        Direction::ToServer => METHODS.iter().map(|m| method_at(m, bytes)).max(),
        Direction::ToClient => Some(begins(b"HTTP/", bytes)),
    }
    .unwrap_or(Probe::No)
}

fn method_at(method: &[u8], bytes: &[u8]) -> Probe {
    match begins(method, bytes) {
        Probe::Yes => match bytes.get(method.len()) {
            Some(b' ' | b'\t') => Probe::Yes,
            Some(_) => Probe::No,
            None => Probe::More,
        },
        other => other,
    }
}

fn begins(word: &[u8], bytes: &[u8]) -> Probe {
    let length = word.len().min(bytes.len());
    match (word.get(..length), bytes.get(..length)) {
        (Some(a), Some(b)) if a.eq_ignore_ascii_case(b) => {
            if length == word.len() {
                Probe::Yes
            } else {
                Probe::More
            }
        }
        _ => Probe::No,
    }
}
