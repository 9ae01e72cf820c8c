//! What a decoder makes: messages of pieces over one arena of bytes, records and oddities.
//! Must never know a protocol.
//!
//! ```text
//! messages ─► Message { pieces: 3..7 } ─► pieces[3..7] ─► Piece { range: 0..18 } ─► bytes
//! ```

use crate::conversation::{Direction, Stage};
use crate::limits::Counters;
use portcullis_plugin_abi::buffer_kind::APP_EVENT;
use std::ops::Range;

pub use crate::registry::Record;

/// Whether a piece was shown before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fresh {
    /// Shown for the first time, at least in part: see [`Piece::seen`].
    New,
    /// Shown with an earlier message of the same transaction and direction.
    Earlier,
}

/// One buffer of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Its name: `portcullis_plugin_abi::buffer_kind`.
    pub kind: u16,
    /// Which one of its kind, from 0.
    pub index: u16,
    /// `portcullis_plugin_abi::Buffer` flags.
    pub flags: u32,
    /// Offset in its body of the first byte; 0 for what is not a piece of something longer.
    pub offset: u64,
    /// Where its bytes lie in [`Output::bytes`]. Kinds from `FIRST_NUMBER` on hold eight bytes, a
    /// number in little-endian order.
    pub range: Range<u32>,
    /// How many of its first bytes an earlier piece showed: a scan starts behind them.
    pub seen: u32,
    /// Whether it was shown before.
    pub fresh: Fresh,
}

/// One inspection: all buffers that one direction of a transaction has now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// `portcullis_plugin_abi::application`.
    pub application: u16,
    /// Its number in the flow, from 1.
    pub transaction: u32,
    /// Who sent it.
    pub direction: Direction,
    /// Whether this direction of the transaction is over.
    pub stage: Stage,
    /// Its buffers: a range of [`Output::pieces`].
    pub pieces: Range<u32>,
}

/// Where decoders append. Its caller clears it and uses it again, so that its memory is kept.
#[derive(Debug, Default)]
pub struct Output {
    /// In the order in which they came about.
    pub messages: Vec<Message>,
    /// The buffers of all messages.
    pub pieces: Vec<Piece>,
    /// The bytes of all buffers.
    pub bytes: Vec<u8>,
    /// What the journal prints: transactions and files that are complete.
    pub records: Vec<Record>,
    /// Oddities: number in [`crate::APP_EVENTS`] and the transaction, 0 for none.
    pub anomalies: Vec<(u16, u32)>,
    /// What was counted; never cleared here.
    pub counters: Counters,
    epoch: u64,
}

impl Output {
    /// Forgets what it holds and keeps its memory and counters.
    pub fn clear(&mut self) {
        self.messages.clear();
        self.pieces.clear();
        self.bytes.clear();
        self.records.clear();
        self.anomalies.clear();
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// How often it was cleared: ranges of an earlier epoch are no longer valid.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Opens a message; pieces appended from now on are its own.
    pub(crate) fn message(
        &mut self,
        application: u16,
        transaction: u32,
        direction: Direction,
        stage: Stage,
    ) {
        let at = index(self.pieces.len());
        self.counters.messages += 1;
        self.messages.push(Message { application, transaction, direction, stage, pieces: at..at });
    }

    /// Appends bytes and says where they lie.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Range<u32> {
        let start = index(self.bytes.len());
        self.bytes.extend_from_slice(bytes);
        start..index(self.bytes.len())
    }

    /// Adds a piece, whose bytes lie here already, to the open message.
    pub(crate) fn piece(&mut self, piece: Piece) {
        self.pieces.push(piece);
        let end = index(self.pieces.len());
        if let Some(message) = self.messages.last_mut() {
            message.pieces.end = end;
        }
    }

    /// Adds a whole buffer to the open message.
    pub(crate) fn buffer(&mut self, kind: u16, index: u16, bytes: &[u8], fresh: Fresh) {
        let range = self.append(bytes);
        let seen = if fresh == Fresh::New { 0 } else { range.end - range.start };
        let flags = portcullis_plugin_abi::Buffer::COMPLETE;
        self.piece(Piece { kind, index, flags, offset: 0, range, seen, fresh });
    }

    /// Adds a number to the open message.
    pub(crate) fn number(&mut self, kind: u16, index: u16, value: u64, fresh: Fresh) {
        self.buffer(kind, index, &value.to_le_bytes(), fresh);
    }

    /// Notes an oddity of a transaction (0: of none). To be seen by rules it must also be a piece
    /// of a message: see [`Output::event_pieces`].
    pub(crate) fn anomaly(&mut self, event: u16, transaction: u32) {
        self.counters.anomalies += 1;
        self.anomalies.push((event, transaction));
    }

    /// Adds the oddities of its transaction to the open message, as `app.event` pieces; the first
    /// `shown` of them were shown before.
    pub(crate) fn event_pieces(&mut self, events: &[u16], shown: usize) {
        for (at, &event) in events.iter().enumerate() {
            let fresh = if at < shown { Fresh::Earlier } else { Fresh::New };
            self.number(APP_EVENT, u16::try_from(at).unwrap_or(u16::MAX), event.into(), fresh);
        }
    }

    /// The bytes of a piece.
    pub fn bytes_of(&self, piece: &Piece) -> &[u8] {
        let (from, to) = (piece.range.start as usize, piece.range.end as usize);
        self.bytes.get(from..to).unwrap_or_default()
    }

    /// The pieces of a message.
    pub fn pieces_of(&self, message: &Message) -> &[Piece] {
        let (from, to) = (message.pieces.start as usize, message.pieces.end as usize);
        self.pieces.get(from..to).unwrap_or_default()
    }
}

/// A length as the ranges hold it; an output never gets near 4 GiB because every decoder's limits
/// are far below it.
pub(crate) fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
