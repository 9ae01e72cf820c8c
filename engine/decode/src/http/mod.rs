//! HTTP/1 (RFC 9112) with the reading of Suricata 7's libhtp, personality IDS: what a lenient
//! receiver makes of it. Must never know a rule.

mod record;

pub use record::{ContentRange, HttpRecord};

use crate::conversation::{Direction, Transport};
use crate::limits::Limits;
use crate::output::Output;
use crate::registry::{Decoder, Next, Probe};
use std::sync::Arc;

/// Methods whose name at the start of a direction makes it HTTP.
const METHODS: &[&[u8]] = &[
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

/// The decoder of one flow.
#[derive(Debug)]
pub(crate) struct Http {}

impl Decoder for Http {
    fn start(_: Transport, _: u16, _: &Arc<Limits>) -> Self {
        Self {}
    }
    fn data(&mut self, _: Direction, _: &[u8], _: &mut Output) -> Next {
        Next::More
    }
    fn gap(&mut self, _: Direction, _: u64, _: &mut Output) -> Next {
        Next::Done
    }
    fn end(&mut self, _: Direction, _: &mut Output) {}
    fn memory(&self) -> usize {
        0
    }
}
