//! One direction of a stream: its numbers, and what is held of it.
//!
//! Offsets are 64 bits wide, never wrap and never go back behind what the sink was told: offset 0
//! is the byte behind the SYN, the SYN itself is at -1. Where a handshake begins anew with another
//! SYN, the byte behind that one gets the offset that the sink gets next. This file must never
//! know the pools.

use crate::patchwork::Patchwork;
use crate::pool::Chain;

/// How far a number may lie from what is known where no window is known: half of what 32 bits tell
/// apart.
const FAR: i64 = 1 << 30;

/// The largest window there is without scaling.
const WINDOW_MAX: i64 = 65_535;

/// What one end sends, and what the other has said about it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Half {
    /// Sequence number of the byte behind the SYN.
    pub(crate) base: u32,
    /// The offset of that byte: 0, but for a handshake begun anew after bytes were told.
    pub(crate) first: i64,
    /// The offset that the sink gets next.
    pub(crate) next: i64,
    /// Behind the highest offset seen, FIN included.
    pub(crate) high: i64,
    /// The offset that the receiver has said it expects.
    pub(crate) acked: i64,
    /// Behind the last offset that the receiver has said it would take.
    pub(crate) edge: i64,
    /// Forwarded bytes are kept from here to `next`.
    pub(crate) kept_from: i64,
    /// Where the FIN is.
    pub(crate) fin_at: Option<i64>,
    /// The last urgent byte that is not behind.
    pub(crate) urgent_at: Option<i64>,
    /// What is held ahead of a hole.
    pub(crate) held: Patchwork,
    /// The pages of what is held and kept.
    pub(crate) pages: Chain,
    /// The window that this end, as a receiver, last offered, unscaled.
    pub(crate) window: u16,
    /// Urgent bytes taken out.
    pub(crate) urgents: u16,
    /// The shift of the windows that this end offers.
    pub(crate) scale: u8,
    pub(crate) marks: u8,
    /// The timestamp last accepted from this end.
    pub(crate) stamp: u32,
    /// When, in seconds.
    pub(crate) stamp_at: u32,
}

pub(crate) mod mark {
    /// A segment of this end has been seen: the numbers mean something.
    pub(crate) const SEEN: u8 = 1;
    /// `end` was told.
    pub(crate) const ENDED: u8 = 1 << 1;
    /// Nobody reads it any more.
    pub(crate) const UNREAD: u8 = 1 << 2;
    /// `stamp` means something.
    pub(crate) const STAMPED: u8 = 1 << 3;
    /// Its SYN offered a window scale.
    pub(crate) const SCALES: u8 = 1 << 4;
    /// Its window is not known: the other end was never seen.
    pub(crate) const OPEN: u8 = 1 << 5;
    /// It has sent an RST that the other end accepts.
    pub(crate) const RESET: u8 = 1 << 6;
    /// Its SYN held data, or asked for fast open.
    pub(crate) const FAST_OPEN: u8 = 1 << 7;
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers wrap")]
fn low(offset: i64) -> u32 {
    offset as u32
}

impl Half {
    #[inline]
    pub(crate) fn has(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }

    /// The byte behind the SYN has this sequence number.
    pub(crate) fn start(&mut self, base: u32) {
        self.base = base;
        self.marks |= mark::SEEN;
    }

    /// The same direction with a SYN yet to come: nothing is known of it but what the sink was
    /// told. Its pieces and pages must have been given back.
    pub(crate) fn anew(&self) -> Half {
        let next = self.next;
        Half {
            next,
            first: next,
            high: next,
            acked: next,
            edge: next,
            kept_from: next,
            urgents: self.urgents,
            marks: self.marks & (mark::ENDED | mark::UNREAD),
            ..Half::default()
        }
    }

    /// The offset nearest to `next` that has this sequence number.
    #[inline]
    pub(crate) fn offset(&self, seq: u32) -> i64 {
        let expected = self.base.wrapping_add(low(self.next - self.first));
        self.next + i64::from(seq.wrapping_sub(expected).cast_signed())
    }

    /// What the receiver `other` offers of a window, beyond what it acknowledges.
    #[inline]
    pub(crate) fn room(window: u16, scale: u8) -> i64 {
        i64::from(window) << scale.min(14)
    }

    /// Takes note that the receiver expects `ack` and takes `room` bytes from there.
    #[inline]
    pub(crate) fn acknowledged(&mut self, ack: i64, room: i64) {
        self.acked = self.acked.max(ack);
        self.edge = self.edge.max(ack + room);
        self.high = self.high.max(ack);
    }

    /// Whether an acknowledgement of this half can have been sent: neither beyond what may have
    /// been sent, nor older than a window (RFC 5961, 5.2).
    #[inline]
    pub(crate) fn may_acknowledge(&self, ack: i64) -> bool {
        if !self.has(mark::SEEN) {
            return true;
        }
        let known = !self.has(mark::OPEN);
        let oldest =
            if known { self.acked - (self.edge - self.acked).max(WINDOW_MAX) } else { -FAR };
        let newest = if known { self.high.max(self.edge) } else { self.high + FAR };
        oldest <= ack && ack <= newest
    }

    /// Whether the receiver takes anything of `start..end`: RFC 9293, 3.10.7.4. A byte that probes
    /// a closed window is taken.
    #[inline]
    pub(crate) fn in_window(&self, start: i64, end: i64) -> bool {
        if self.has(mark::OPEN) {
            return (start - self.next).abs() < FAR;
        }
        let probe = i64::from(end - start <= 1);
        end <= self.edge + probe && end >= self.acked.min(self.next) - FAR
    }

    /// Whether an RST at `at` resets: RFC 5961, 3.2 wants the very number that the receiver
    /// expects; from outside that is one between what it has acknowledged and what was sent.
    pub(crate) fn resets(&self, at: i64) -> bool {
        if !self.has(mark::SEEN) {
            return true;
        }
        at == self.next || self.acked <= at && at <= self.high
    }
}
