//! What reassembly is told: sizes at start, policy per segment; and what it counts.

use crate::patchwork::Pieces;
use crate::pool::Pages;
use crate::slab::Lists;
use crate::streams::table::{HEADS, Stream};
use crate::target::TargetPolicy;
use portcullis_types::MemoryTerm;

/// Whether the engine stands between the ends or beside them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Placement {
    /// What is dropped does not arrive.
    #[default]
    Inline,
    /// A tap, a capture, or a segment that only watches: everything arrives.
    Watching,
}

/// What a conversation is whose handshake was not seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StreamPickup {
    /// It is read from where it was met (Suricata: `midstream: true`).
    #[default]
    Read,
    /// It passes unread.
    Pass,
    /// It is dropped.
    Drop,
}

/// What a conversation is of which only one side is seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OneSided {
    /// It is read (Suricata: `async-oneside: true`).
    #[default]
    Read,
    /// The handshake stays open, and its data passes unread.
    Pass,
}

/// What happens to segments that no receiver accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Invalid {
    /// Dropped (Suricata: `drop-invalid: yes`).
    #[default]
    Drop,
    /// Forwarded; their payload is not read, since the receiver does not read it either.
    Forward,
}

/// What becomes of bytes marked urgent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Urgent {
    /// They are part of the stream (`SO_OOBINLINE`).
    Inline,
    /// They are taken out of the stream, as receivers do unless told otherwise: RFC 6093.
    #[default]
    OutOfBand,
}

/// Whether forwarded bytes are kept until they are acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Retain {
    /// Nothing is kept: a retransmission cannot be compared with what it repeats.
    Nothing,
    /// They are: a copy of each payload, bounded by the pool.
    #[default]
    Unacknowledged,
}

/// How the conversations of a network are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StreamPolicy {
    /// What its hosts do with overlapping segments. Counts only where the engine is watching.
    pub target: TargetPolicy,
    /// Inline or watching.
    pub placement: Placement,
    /// Conversations met in the middle.
    pub midstream: StreamPickup,
    /// Conversations of which only one side is seen.
    pub one_sided: OneSided,
    /// Segments that no receiver accepts.
    pub invalid: Invalid,
    /// Urgent bytes.
    pub urgent: Urgent,
    /// Retransmissions compared, or not.
    pub retain: Retain,
    /// Bytes of each direction that are read, 0 for all of them. Bytes beyond pass unread.
    pub depth: u64,
}

/// How much room there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamConfig {
    /// The capacity of the flow table whose ids are used.
    pub flows: u32,
    /// TCP conversations followed at once: 65,536. When there are more, the oldest half-open one
    /// gives way, then the one that has been quiet for longest; it is picked up again midstream.
    pub streams: u32,
    /// Bytes for segments ahead of a hole and for forwarded ones not yet acknowledged: 32 MiB.
    pub bytes: u64,
    /// Segments ahead of holes, all streams together: 65,536.
    pub segments: u32,
    /// Segments ahead of a hole, in one direction of one stream: 2,048.
    pub segments_per_direction: u32,
    /// Bytes ahead of a hole, in one direction of one stream: 1 MiB.
    pub bytes_per_direction: u32,
    /// Urgent bytes taken out of one direction; those behind are read inline: 64.
    pub urgent_max: u16,
}

impl Default for StreamConfig {
    fn default() -> Self {
        StreamConfig {
            flows: 65_536,
            streams: 65_536,
            bytes: 32 << 20,
            segments: 65_536,
            segments_per_direction: 2_048,
            bytes_per_direction: 1 << 20,
            urgent_max: 64,
        }
    }
}

impl StreamConfig {
    pub(crate) fn pages(&self) -> u32 {
        let pages = self.bytes.div_ceil(crate::pool::PAGE.cast_unsigned());
        u32::try_from(pages).unwrap_or(u32::MAX).clamp(4, 1 << 24)
    }

    pub(crate) fn room(&self) -> u32 {
        self.streams.clamp(4, 1 << 24)
    }

    /// What streams of this configuration take, all at start.
    pub fn memory_terms(&self) -> Vec<MemoryTerm> {
        let streams = u64::from(self.room());
        let size = size_of::<Stream>() as u64;
        let term = |what: String, bytes| MemoryTerm { what, bytes };
        vec![
            term(
                format!("streams ({streams} of {size} bytes, {} flows)", self.flows),
                streams * size + Lists::bytes(self.room(), HEADS) + u64::from(self.flows) * 4,
            ),
            term(format!("stream bytes ({} pages)", self.pages()), Pages::bytes_for(self.pages())),
            term(
                format!("stream segments ahead of holes ({})", self.segments),
                Pieces::bytes_for(self.segments),
            ),
        ]
    }
}

/// What reassembly counts. Per worker; `control` adds them up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StreamCounters {
    /// Streams begun.
    pub started: u64,
    /// Streams now.
    pub live: u64,
    /// Streams begun without a handshake.
    pub midstream: u64,
    /// Streams that gave way in a full table.
    pub evicted: u64,
    /// Segments seen.
    pub segments: u64,
    /// Bytes handed to sinks.
    pub delivered: u64,
    /// Of these, bytes that had been held.
    pub reordered: u64,
    /// Gaps told to sinks.
    pub gaps: u64,
    /// Bytes in them.
    pub gap_bytes: u64,
    /// Bytes that repeat others.
    pub repeated: u64,
    /// Unacknowledged bytes repeated that could not be compared, since nothing was kept of them.
    pub unverified: u64,
    /// Segments with other bytes for a place.
    pub conflicts: u64,
    /// Segments that no receiver accepts.
    pub invalid: u64,
    /// Segments refused for want of memory.
    pub full: u64,
    /// Kept bytes given up early for want of memory, in pages.
    pub spare_lost: u64,
    /// Segments of conversations met in the middle that policy drops whole.
    pub refused: u64,
    /// Pages in use, and the most there ever were.
    pub pages: u64,
    /// The most pages there ever were in use.
    pub pages_max: u64,
}
