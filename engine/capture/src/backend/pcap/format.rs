//! What a capture file says, one record at a time, from bytes already in memory.
//!
//! This file and its two grammars (`classic.rs`, `pcapng.rs`) never read, never allocate per
//! record and never believe a length: a grammar looks at a window of bytes and answers with a
//! [`Step`]. The window starts at the next unread byte; how it got there is `input.rs`'s affair.

use super::classic::Classic;
use super::pcapng::Pcapng;

/// The longest frame that is delivered. 262,144 is what every capture tool uses as its largest
/// snap length for network links; longer ones (USB, D-Bus) are skipped and counted.
pub const FRAME_BYTES_MAX: u32 = 262_144;

/// The most that a grammar may ask to see at once: a frame and its record's headers and options.
pub(super) const WINDOW_BYTES_MAX: usize = FRAME_BYTES_MAX as usize + 65_536 + 64;

/// Bytes that tell the format: a magic number, for pcap the whole file header.
pub(super) const HEAD_BYTES: usize = 24;

/// Byte order of a file or section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    Big,
    Little,
}

impl Order {
    #[inline]
    pub(super) fn word(self, bytes: [u8; 4]) -> u32 {
        match self {
            Order::Big => u32::from_be_bytes(bytes),
            Order::Little => u32::from_le_bytes(bytes),
        }
    }

    /// Four bytes at `offset`; `None` where the window ends before them.
    #[inline]
    pub(super) fn u32_at(self, window: &[u8], offset: usize) -> Option<u32> {
        Some(self.word(*window.get(offset..)?.first_chunk()?))
    }

    /// Two bytes at `offset`.
    #[inline]
    pub(super) fn u16_at(self, window: &[u8], offset: usize) -> Option<u16> {
        let bytes = *window.get(offset..)?.first_chunk()?;
        Some(match self {
            Order::Big => u16::from_be_bytes(bytes),
            Order::Little => u16::from_le_bytes(bytes),
        })
    }
}

/// One frame's place in the window and what its record says about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RecordAt {
    /// Where its bytes start in the window.
    pub(super) offset: usize,
    /// How many were captured; at most [`FRAME_BYTES_MAX`].
    pub(super) len: u32,
    /// How many there were on the wire.
    pub(super) wire_len: u32,
    /// Nanoseconds since 1970; `None` where the record has no time (simple packet blocks).
    pub(super) at_ns: Option<u64>,
    /// The link type's number; `None` where the record names an interface that was never described.
    pub(super) link_type: Option<u32>,
}

/// What the next bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// A frame; go on `length` bytes after the window's start. The whole frame is in the window,
    /// the rest of its record need not be.
    Frame { record: RecordAt, length: u64 },
    /// Nothing about a frame: skip `length` bytes.
    Skip { length: u64 },
    /// A frame longer than [`FRAME_BYTES_MAX`]: skip `length` bytes and count it.
    Oversized { length: u64 },
    /// Show at least this many bytes (at most [`WINDOW_BYTES_MAX`]).
    More { bytes: usize },
    /// The file contradicts itself here; nothing after this point can be trusted.
    Damaged(&'static str),
}

/// The grammar of one file.
#[derive(Debug)]
pub(super) enum Format {
    Classic(Classic),
    Pcapng(Pcapng),
}

impl Format {
    /// Tells the format from the first [`HEAD_BYTES`] of a file (fewer where the file is shorter).
    pub(super) fn recognise(head: &[u8]) -> Option<Format> {
        if Pcapng::recognises(head) {
            return Some(Format::Pcapng(Pcapng::new()));
        }
        Classic::recognise(head).map(Format::Classic)
    }

    #[inline]
    pub(super) fn step(&mut self, window: &[u8]) -> Step {
        match self {
            Format::Classic(classic) => classic.step(window),
            Format::Pcapng(pcapng) => pcapng.step(window),
        }
    }
}
