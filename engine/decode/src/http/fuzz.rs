//! The entry for fuzzing and property tests: any bytes are a conversation of HTTP, and cutting it
//! elsewhere changes nothing that detectors see.

use crate::conversation::{Conversation, Direction, Transport};
use crate::limits::{Hashes, Limits};
use crate::output::{Output, Record};
use std::sync::Arc;

/// Of a piece: kind, index, flags, offset, seen, bytes.
pub(crate) type SeenPiece = (u16, u16, u32, u64, u32, Vec<u8>);

/// All that detectors and the journal see of a conversation.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// Transaction, direction, complete, and its pieces.
    pub(crate) messages: Vec<(u32, Direction, bool, Vec<SeenPiece>)>,
    pub(crate) records: Vec<Record>,
    pub(crate) anomalies: Vec<(u16, u32)>,
}

impl Seen {
    /// Takes what an output holds and clears it.
    pub(crate) fn take(&mut self, out: &mut Output) {
        for message in &out.messages {
            let pieces = out.pieces_of(message).iter().map(|piece| {
                let bytes = out.bytes_of(piece).to_vec();
                (piece.kind, piece.index, piece.flags, piece.offset, piece.seen, bytes)
            });
            let complete = message.stage == crate::conversation::Stage::Complete;
            let row = (message.transaction, message.direction, complete, pieces.collect());
            self.messages.push(row);
        }
        self.records.append(&mut out.records);
        self.anomalies.append(&mut out.anomalies);
        out.clear();
    }
}

/// Limits that short inputs reach.
pub(crate) fn small() -> Limits {
    Limits {
        header_bytes: 600,
        headers: 20,
        line_bytes: 300,
        body_bytes: 400,
        body_firsts: [8, 32, 64],
        body_window: 32,
        body_overlap: 8,
        inflate_free: 300,
        inflate_ratio: 4,
        transactions: 3,
        hashes: Hashes::ALL,
        ..Limits::default()
    }
}

/// Tells a conversation runs of bytes cut into steps, and all that was seen.
pub(crate) fn told(runs: &[(Direction, &[u8])], cut: &mut dyn FnMut() -> usize, l: Limits) -> Seen {
    let mut talk = Conversation::new(Transport::Tcp, 80, Arc::new(l));
    let (mut out, mut seen) = (Output::default(), Seen::default());
    for &(direction, bytes) in runs {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cut().clamp(1, rest.len()));
            talk.data(direction, now, &mut out);
            seen.take(&mut out);
            rest = later;
        }
    }
    for direction in [Direction::ToServer, Direction::ToClient] {
        talk.end(direction, &mut out);
        seen.take(&mut out);
    }
    seen
}

/// The first thing in which two readings differ.
pub(crate) fn difference(a: &Seen, b: &Seen) -> Option<String> {
    let messages = a.messages.iter().zip(&b.messages).enumerate().find(|(_, (a, b))| a != b);
    if let Some((at, (a, b))) = messages {
        let pieces = a.3.iter().zip(&b.3).find(|(a, b)| a != b);
        let heads = [(a.0, a.1, a.2, a.3.len()), (b.0, b.1, b.2, b.3.len())];
        return Some(format!("message {at}: {heads:?} {pieces:?}"));
    }
    if a.messages.len() != b.messages.len() {
        return Some(format!("{} and {} messages", a.messages.len(), b.messages.len()));
    }
    if a.records != b.records {
        return Some(format!("records {:?} and {:?}", a.records, b.records));
    }
    (a != b).then(|| format!("oddities {:?} and {:?}", a.anomalies, b.anomalies))
}

/// Reads any bytes as a conversation, whole and byte by byte, and asserts that both see the same.
///
/// # Panics
/// Where they do not: that is what it is for.
#[doc(hidden)]
pub fn fuzz_http(bytes: &[u8]) {
    let at = bytes.iter().position(|&b| b == 0xff).unwrap_or(bytes.len() / 2);
    let (request, response) = bytes.split_at(at);
    let runs = [(Direction::ToServer, request), (Direction::ToClient, response)];
    for limits in [small(), Limits::default()] {
        let whole = told(&runs, &mut || usize::MAX, limits.clone());
        let single = told(&runs, &mut || 1, limits);
        assert_eq!(difference(&whole, &single), None, "segmentation must not matter");
    }
}
