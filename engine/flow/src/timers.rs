//! The timer wheel: which flows may have ended by now.
//!
//! Lazy: packets only stamp their flow, and the wheel looks at the stamp when a flow's bucket comes
//! round, ending it or moving it on. A flow is thus looked at about once per timeout, not per
//! packet. A flow is swept at most one bucket late; a packet that meets a flow which is past its
//! time finds it ended at once, so that what flows are does not depend on when sweeps run.

use crate::slab::Lists;
use portcullis_types::Tick;

/// A bucket's width: 2^30 ns, 1.07 s.
const SHIFT: u32 = 30;

/// Buckets, 18 minutes in all: no default timeout laps the wheel.
pub(crate) const BUCKETS: u32 = 1024;

#[derive(Debug)]
pub(crate) struct Wheel {
    lists: Lists,
    /// Buckets before this one have been emptied.
    cursor: u64,
}

impl Wheel {
    pub(crate) fn new(slots: u32) -> Self {
        Wheel { lists: Lists::new(slots, BUCKETS), cursor: 0 }
    }

    #[allow(clippy::cast_possible_truncation, reason = "a remainder of BUCKETS")]
    fn head(bucket: u64) -> u32 {
        (bucket % u64::from(BUCKETS)) as u32
    }

    /// Puts a slot, which is in no bucket, where its deadline belongs; deadlines beyond the wheel
    /// go to the last bucket and are moved on from there.
    pub(crate) fn insert(&mut self, slot: u32, deadline: Tick) {
        let last = self.cursor + u64::from(BUCKETS) - 1;
        let bucket = (deadline.0 >> SHIFT).clamp(self.cursor, last);
        self.lists.push_back(Self::head(bucket), slot);
    }

    /// Takes a slot out.
    pub(crate) fn remove(&mut self, slot: u32) {
        self.lists.unlink(slot);
    }

    /// Sets the present where nothing is in the wheel, so that the first sweep need not catch up.
    pub(crate) fn start(&mut self, now: Tick) {
        self.cursor = now.0 >> SHIFT;
    }

    /// The next slot whose bucket has passed, out of the wheel: end it or insert it again.
    pub(crate) fn next_due(&mut self, now: Tick) -> Option<u32> {
        let target = now.0 >> SHIFT;
        if target.saturating_sub(self.cursor) > u64::from(BUCKETS) {
            // Time has jumped by more than a lap: one lap visits everything.
            self.cursor = target - u64::from(BUCKETS);
        }
        while self.cursor < target {
            if let Some(slot) = self.lists.pop_front(Self::head(self.cursor)) {
                return Some(slot);
            }
            self.cursor += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn nothing_is_due_early_and_all_is_due_one_bucket_late() {
        let mut wheel = Wheel::new(4);
        wheel.start(Tick(100 * SECOND));
        wheel.insert(0, Tick(160 * SECOND));
        wheel.insert(1, Tick(5_000 * SECOND));
        assert_eq!(wheel.next_due(Tick(158 * SECOND)), None);
        assert_eq!(wheel.next_due(Tick(162 * SECOND)), Some(0));
        assert_eq!(wheel.next_due(Tick(162 * SECOND)), None);
        // Beyond the wheel: comes up once a lap, to be put back.
        assert_eq!(wheel.next_due(Tick(1_300 * SECOND)), Some(1));
    }

    #[test]
    fn a_jump_in_time_loses_nothing() {
        let mut wheel = Wheel::new(300);
        wheel.start(Tick(0));
        for slot in 0..300 {
            wheel.insert(slot, Tick(u64::from(slot) * 7 * SECOND));
        }
        let now = Tick(1_700_000_000 * SECOND);
        let due = std::iter::from_fn(|| wheel.next_due(now)).count();
        assert_eq!(due, 300);
    }
}
