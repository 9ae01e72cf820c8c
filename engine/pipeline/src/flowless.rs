//! How often malformations of frames without a flow are told: what has a flow is told once per
//! flow; what has none would be told for each frame, and a flood of nonsense would fill the disk.
//!
//! ```text
//!   hash(segment's place, source, reason) ─► one of 256 counts, each of one second
//! ```
//!
//! Sources that meet in a count share it: the bound holds for all of them together, whatever is
//! forged. What is not told is counted, by reason as well (`rejects`).

use portcullis_types::{Addr, Mac, Tick, VlanStack};
use portcullis_wire::Reject;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Events of one reason from one source in one second: enough to see what is done.
pub(crate) const TOLD_PER_SECOND: u8 = 16;
/// Counts; so a worker tells 4,096 such events a second at most.
const COUNTS: usize = 256;
const SECOND_NS: u64 = 1_000_000_000;

/// What has been told in this second.
pub(crate) struct FlowlessBound {
    /// The second, and events told in it.
    counts: Box<[(u64, u8)]>,
}

impl Default for FlowlessBound {
    fn default() -> Self {
        FlowlessBound { counts: vec![(0, 0); COUNTS].into_boxed_slice() }
    }
}

impl FlowlessBound {
    /// Whether another event of this reason may be told about that sender.
    pub(crate) fn admits(
        &mut self,
        (vlan, mac, source): (VlanStack, Mac, Option<Addr>),
        reject: Reject,
        at: Tick,
    ) -> bool {
        // Without a key, so that a replay says the same each time. Who finds two sources that meet
        // makes the second one's events fewer, no more than by sending in its name.
        let mut hasher = DefaultHasher::new();
        vlan.hash(&mut hasher);
        match source {
            Some(source) => source.hash(&mut hasher),
            None => mac.hash(&mut hasher),
        }
        (reject as usize).hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % COUNTS as u64).unwrap_or(0);
        // From 1, so that an untouched count is no second at all.
        let second = at.0 / SECOND_NS + 1;
        let Some(count) = self.counts.get_mut(place) else { return false };
        if count.0 != second {
            *count = (second, 0);
        }
        let admitted = count.1 < TOLD_PER_SECOND;
        count.1 += u8::from(admitted);
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bound: &mut FlowlessBound, source: Addr, reject: Reject, at: Tick) -> usize {
        let sender = (VlanStack::UNTAGGED, Mac::default(), Some(source));
        (0..100).filter(|_| bound.admits(sender, reject, at)).count()
    }

    #[test]
    fn a_source_is_told_of_so_often_a_second_and_reason() {
        let mut bound = FlowlessBound::default();
        let source = Addr::v4([192, 0, 2, 1]);
        let (first, second) = (Tick(5 * SECOND_NS), Tick(6 * SECOND_NS));
        let most = usize::from(TOLD_PER_SECOND);
        assert_eq!(told(&mut bound, source, Reject::Ipv4Checksum, first), most);
        assert_eq!(told(&mut bound, source, Reject::FragmentOverlap, first), most);
        assert_eq!(told(&mut bound, source, Reject::Ipv4Checksum, first), 0);
        assert_eq!(told(&mut bound, source, Reject::Ipv4Checksum, second), most);
    }

    #[test]
    fn all_forged_sources_together_are_bounded() {
        let mut bound = FlowlessBound::default();
        let at = Tick(SECOND_NS);
        let all: usize = (0..100_u8)
            .flat_map(|a| (0..100_u8).map(move |b| Addr::v4([10, 1, a, b])))
            .map(|source| told(&mut bound, source, Reject::FragmentOverlap, at))
            .sum();
        assert_eq!(all, COUNTS * usize::from(TOLD_PER_SECOND));
    }
}
