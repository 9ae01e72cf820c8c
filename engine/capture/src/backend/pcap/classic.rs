//! The classic capture format: a 24-byte header, then records of 16 bytes and a frame.
//!
//! ```text
//! file    magic(4) major(2) minor(2) zone(4) figures(4) snap length(4) link type(4)
//! record  seconds(4) fraction(4) captured(4) on the wire(4)  [Kuznetzov: 8 more]  frame
//! ```

use super::format::{FRAME_BYTES_MAX, HEAD_BYTES, Order, RecordAt, Step};

const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Alexey Kuznetzov's patched libpcap: interface, protocol and direction behind each header.
const MAGIC_KUZNETZOV: u32 = 0xa1b2_cd34;

/// Only the low bits number the link; the high ones tell the length of a frame check sequence.
const LINK_TYPE_MASK: u32 = 0x03ff_ffff;

const RECORD_BYTES: usize = 16;
const KUZNETZOV_BYTES: usize = 8;

/// No snap length in earnest is longer; a record that claims more marks a damaged file.
const CAPTURED_BYTES_MAX: u32 = 128 << 20;

/// How old writers laid out the two lengths of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lengths {
    /// Captured length first, as documented.
    InOrder,
    /// Version 2.3: some writers swapped them; the captured length is the smaller.
    PerhapsSwapped,
    /// Before 2.3, and DG/UX's 543.0: on-the-wire length first.
    Swapped,
}

/// The reader's state: all of it comes from the file header.
#[derive(Debug)]
pub(super) struct Classic {
    order: Order,
    nanoseconds_per_fraction: u64,
    header_bytes: usize,
    lengths: Lengths,
    link_type: u32,
    snap_len: u32,
    started: bool,
}

impl Classic {
    pub(super) fn recognise(head: &[u8]) -> Option<Classic> {
        let magic = *head.first_chunk::<4>()?;
        let (order, magic) =
            [Order::Little, Order::Big].into_iter().map(|order| (order, order.word(magic))).find(
                |(_, m)| matches!(*m, MAGIC_MICROSECONDS | MAGIC_NANOSECONDS | MAGIC_KUZNETZOV),
            )?;
        let lengths = match (order.u16_at(head, 4)?, order.u16_at(head, 6)?) {
            (2, 3) => Lengths::PerhapsSwapped,
            (543, 0) | (0 | 1, _) | (2, 0..=2) => Lengths::Swapped,
            _ => Lengths::InOrder,
        };
        Some(Classic {
            order,
            nanoseconds_per_fraction: if magic == MAGIC_NANOSECONDS { 1 } else { 1_000 },
            header_bytes: match magic {
                MAGIC_KUZNETZOV => RECORD_BYTES + KUZNETZOV_BYTES,
                _ => RECORD_BYTES,
            },
            lengths,
            snap_len: order.u32_at(head, 16)?,
            link_type: order.u32_at(head, 20)? & LINK_TYPE_MASK,
            started: false,
        })
    }

    #[inline]
    pub(super) fn step(&mut self, window: &[u8]) -> Step {
        if !self.started {
            self.started = true;
            return Step::Skip { length: HEAD_BYTES as u64 };
        }
        let Some(header) = window.first_chunk::<RECORD_BYTES>() else {
            return Step::More { bytes: self.header_bytes };
        };
        let [s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, w0, w1, w2, w3] = *header;
        let (len, wire_len) =
            self.ordered(self.order.word([c0, c1, c2, c3]), self.order.word([w0, w1, w2, w3]));
        if len > FRAME_BYTES_MAX {
            return self.too_long(len);
        }
        let bytes = self.header_bytes + len as usize;
        if window.len() < bytes {
            return Step::More { bytes };
        }
        let seconds = u64::from(self.order.word([s0, s1, s2, s3]));
        let fraction = u64::from(self.order.word([f0, f1, f2, f3]));
        let at_ns = seconds * 1_000_000_000 + fraction * self.nanoseconds_per_fraction;
        let record = RecordAt {
            offset: self.header_bytes,
            len,
            wire_len: wire_len.max(len),
            at_ns: Some(at_ns),
            link_type: Some(self.link_type),
        };
        Step::Frame { record, length: bytes as u64 }
    }

    #[inline]
    fn ordered(&self, first: u32, second: u32) -> (u32, u32) {
        match self.lengths {
            Lengths::InOrder => (first, second),
            Lengths::PerhapsSwapped => (first.min(second), first.max(second)),
            Lengths::Swapped => (second, first),
        }
    }

    #[cold]
    fn too_long(&self, len: u32) -> Step {
        if len > self.snap_len.min(CAPTURED_BYTES_MAX) {
            return Step::Damaged("a record is longer than the capture's own snap length allows");
        }
        Step::Oversized { length: self.header_bytes as u64 + u64::from(len) }
    }
}
