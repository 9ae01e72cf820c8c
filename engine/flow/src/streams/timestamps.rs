//! PAWS: old duplicates are known by their timestamps (RFC 7323, 5).

use crate::streams::half::{Half, mark};
use portcullis_types::Tick;

/// After so long without a segment, any timestamp is taken: 24 days.
const IDLE_SECONDS: u32 = 24 * 86_400;

fn seconds(now: Tick) -> u32 {
    u32::try_from((now.0 / 1_000_000_000) & u64::from(u32::MAX)).unwrap_or(0)
}

impl Half {
    /// Whether the receiver drops a segment of this end for its timestamp.
    #[inline]
    pub(crate) fn is_stale(&self, stamp: u32, now: Tick) -> bool {
        self.has(mark::STAMPED)
            && stamp.wrapping_sub(self.stamp).cast_signed() < 0
            && seconds(now).wrapping_sub(self.stamp_at) < IDLE_SECONDS
    }

    /// Takes note of the timestamp of an accepted segment at `start`: only of one in order, so that
    /// a segment ahead does not make those before it stale.
    #[inline]
    pub(crate) fn note_stamp(&mut self, stamp: u32, start: i64, now: Tick) {
        let newer = stamp.wrapping_sub(self.stamp).cast_signed() >= 0;
        if start <= self.next.max(self.acked) && (newer || !self.has(mark::STAMPED)) {
            self.stamp = stamp;
            self.stamp_at = seconds(now);
            self.marks |= mark::STAMPED;
        }
    }
}
