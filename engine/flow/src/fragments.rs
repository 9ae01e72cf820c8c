//! The fragment tracker: which flow a later fragment belongs to, and whether fragments overlap.
//!
//! It keeps ranges, not bytes. A datagram is followed from whichever fragment comes first until it
//! is whole or too old; a later fragment that comes before the first one has no flow yet.

use crate::flow::{Direction, FlowId};
use crate::hash::{HashKey, place_word};
use crate::slab::{Index, Lists};
use portcullis_types::{Addr, SegmentId, Tick, VlanStack};
use portcullis_wire::{Fragment, Packet, Reject};
use std::time::Duration;

/// Limits of the tracker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FragmentLimits {
    /// Datagrams followed at once; the oldest gives way. 4,096, i.e. about 1 MiB.
    pub datagrams: u32,
    /// How long an IPv4 datagram is followed: 30 s, as Linux does (`ipfrag_time`).
    pub timeout_v4: Duration,
    /// How long an IPv6 datagram is followed: 60 s (RFC 8200, 4.5).
    pub timeout_v6: Duration,
}

impl Default for FragmentLimits {
    fn default() -> Self {
        FragmentLimits {
            datagrams: 4096,
            timeout_v4: Duration::from_secs(30),
            timeout_v6: Duration::from_secs(60),
        }
    }
}

impl FragmentLimits {
    fn room(&self) -> u32 {
        self.datagrams.clamp(1, 1 << 24)
    }

    pub(crate) fn bytes(&self) -> u64 {
        let room = self.room();
        u64::from(room) * size_of::<Datagram>() as u64 + Index::bytes(room) + Lists::bytes(room, 2)
    }
}

/// Holes that a datagram may have, plus one. In order, fragments make one range, whatever their
/// number; a sender that interleaves more than this does so on purpose.
const RANGES_MAX: usize = 16;

/// The last fragments remembered exactly, to tell a frame repeated by the link from an attack.
const RECENT_MAX: u8 = 8;

const AGE: u32 = 0;
const FREE: u32 = 1;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct DatagramKey {
    src: Addr,
    dst: Addr,
    vlan: VlanStack,
    id: u32,
    segment: SegmentId,
    protocol: u8,
}

impl DatagramKey {
    pub(crate) fn hash(&self, hash: &HashKey) -> u64 {
        let ((s0, s1), (d0, d1)) = (self.src.halves(), self.dst.halves());
        let rest = u64::from(self.id) | u64::from(self.protocol) << 32;
        hash.hash([s0, s1, d0, d1, place_word(self.segment, self.vlan), rest])
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Range {
    start: u16,
    /// Exclusive.
    end: u16,
}

#[derive(Clone, Copy, Debug, Default)]
struct Datagram {
    key: DatagramKey,
    since: Tick,
    /// Ascending, disjoint, not touching.
    ranges: [Range; RANGES_MAX],
    recent: [Range; RECENT_MAX as usize],
    flow: Option<(FlowId, Direction)>,
    /// Its length, once its last fragment was seen; 0 before.
    length: u16,
    ranges_used: u8,
    recent_next: u8,
    /// Overlapping fragments were seen: nothing of it may be used (RFC 5722).
    condemned: bool,
}

/// What the tracker says of one fragment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tracked {
    /// The flow that the first fragment belongs to, where it was seen.
    pub(crate) flow: Option<(FlowId, Direction)>,
    pub(crate) reject: Option<Reject>,
    /// It conflicts with another, or its datagram is condemned.
    pub(crate) conflict: bool,
}

/// What the tracker counts; see [`crate::FlowCounters`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct TrackerCounters {
    pub(crate) evicted: u64,
    pub(crate) expired: u64,
    pub(crate) whole: u64,
}

#[derive(Debug)]
pub(crate) struct Fragments {
    datagrams: Box<[Datagram]>,
    index: Index,
    lists: Lists,
    timeouts: [Duration; 2],
    hash: HashKey,
    pub(crate) counters: TrackerCounters,
}

impl Fragments {
    pub(crate) fn new(limits: FragmentLimits, hash: HashKey) -> Self {
        let room = limits.room();
        let mut lists = Lists::new(room, 2);
        (0..room).for_each(|slot| lists.push_back(FREE, slot));
        Fragments {
            datagrams: vec![Datagram::default(); room as usize].into_boxed_slice(),
            index: Index::new(room),
            lists,
            timeouts: [limits.timeout_v4, limits.timeout_v6],
            hash,
            counters: TrackerCounters::default(),
        }
    }

    /// Takes note of a fragment. `flow` is the flow of a first fragment.
    pub(crate) fn track(
        &mut self,
        segment: SegmentId,
        packet: &Packet,
        fragment: Fragment,
        flow: Option<(FlowId, Direction)>,
        now: Tick,
    ) -> Tracked {
        let key = key_of(segment, packet, fragment);
        let hash = self.hash_of(&key);
        let slot = self.slot_for(key, hash, now);
        let Some(datagram) = self.datagrams.get_mut(slot as usize) else {
            return Tracked::default();
        };
        if flow.is_some() {
            datagram.flow = flow;
        }
        let length = packet
            .payload_offset
            .saturating_add(packet.payload_len)
            .saturating_sub(packet.l4_offset);
        let start = fragment.offset;
        let range = Range { start, end: start.saturating_add(length) };
        let reject = if length == 0 { None } else { datagram.cover(range, fragment.more) };
        let conflict = reject.is_some() || datagram.condemned;
        let tracked = Tracked { flow: datagram.flow, reject, conflict };
        if datagram.is_whole() && !datagram.condemned {
            self.counters.whole += 1;
            self.release(slot, hash);
        }
        tracked
    }

    /// Forgets at most `budget` datagrams that are too old.
    pub(crate) fn expire(&mut self, now: Tick, budget: usize) {
        for _ in 0..budget {
            let Some(slot) = self.lists.front(AGE) else { return };
            let Some(key) = self.aged(slot, now) else { return };
            self.counters.expired += 1;
            self.release(slot, self.hash_of(&key));
        }
    }

    /// The key of a datagram that is too old.
    fn aged(&self, slot: u32, now: Tick) -> Option<DatagramKey> {
        let datagram = self.datagrams.get(slot as usize)?;
        let [v4, v6] = self.timeouts;
        let timeout = if datagram.key.src.is_v4() { v4 } else { v6 };
        (now.since(datagram.since) >= timeout).then_some(datagram.key)
    }

    fn slot_for(&mut self, key: DatagramKey, hash: u64, now: Tick) -> u32 {
        let datagrams = &self.datagrams;
        let is = |slot: u32| datagrams.get(slot as usize).is_some_and(|d| d.key == key);
        if let Some(slot) = self.index.find(hash, is) {
            if self.aged(slot, now).is_none() {
                return slot;
            }
            self.counters.expired += 1;
            self.release(slot, hash);
        }
        let slot = self.lists.pop_front(FREE).unwrap_or_else(|| self.evict());
        if let Some(datagram) = self.datagrams.get_mut(slot as usize) {
            *datagram = Datagram { key, since: now, ..Datagram::default() };
        }
        self.index.insert(hash, slot);
        self.lists.push_back(AGE, slot);
        slot
    }

    fn evict(&mut self) -> u32 {
        let slot = self.lists.front(AGE).unwrap_or(0);
        let key = self.datagrams.get(slot as usize).map(|d| d.key).unwrap_or_default();
        self.counters.evicted += 1;
        self.index.remove(self.hash_of(&key), slot);
        self.lists.unlink(slot);
        slot
    }

    fn release(&mut self, slot: u32, hash: u64) {
        self.index.remove(hash, slot);
        self.lists.unlink(slot);
        self.lists.push_front(FREE, slot);
    }

    fn hash_of(&self, key: &DatagramKey) -> u64 {
        key.hash(&self.hash)
    }
}

pub(crate) fn key_of(segment: SegmentId, packet: &Packet, fragment: Fragment) -> DatagramKey {
    // IPv6: the protocol behind the fragment header is that of the first fragment alone (RFC 8200,
    // 4.5), so it is no part of the identity there.
    let protocol = if packet.ip_version == 4 { packet.protocol } else { 0 };
    let (src, dst, vlan) = (packet.src, packet.dst, packet.vlan);
    DatagramKey { src, dst, vlan, id: fragment.id, segment, protocol }
}

impl Datagram {
    fn used(&self) -> &[Range] {
        self.ranges.get(..usize::from(self.ranges_used)).unwrap_or_default()
    }

    fn is_whole(&self) -> bool {
        self.length > 0 && self.used() == [Range { start: 0, end: self.length }]
    }

    /// Adds a range that is not empty; says what is wrong with it.
    fn cover(&mut self, range: Range, more: bool) -> Option<Reject> {
        let reject = self.fault(range, more);
        match reject {
            Some(Reject::FragmentDuplicate) => return reject,
            Some(_) => self.condemned = true,
            None => {}
        }
        if let Some(recent) = self.recent.get_mut(usize::from(self.recent_next)) {
            *recent = range;
            self.recent_next = (self.recent_next + 1) & (RECENT_MAX - 1);
        }
        if !more {
            self.length = range.end;
        }
        if self.merge(range) {
            return reject;
        }
        self.condemned = true;
        reject.or(Some(Reject::FragmentScattered))
    }

    fn fault(&self, range: Range, more: bool) -> Option<Reject> {
        let touches = |r: &&Range| r.start < range.end && range.start < r.end;
        if let Some(covered) = self.used().iter().find(touches) {
            let inside = covered.start <= range.start && range.end <= covered.end;
            return Some(match inside {
                true if self.recent.contains(&range) => Reject::FragmentDuplicate,
                true => Reject::FragmentTeardrop,
                false => Reject::FragmentOverlap,
            });
        }
        // Two ends, or bytes behind the end: no honest sender makes them, and receivers differ.
        let highest = self.used().last().map_or(0, |r| r.end);
        let beyond = self.length > 0 && range.end > self.length;
        let second_end = !more && (self.length > 0 || highest > range.end);
        (beyond || second_end).then_some(Reject::FragmentOverlap)
    }

    /// Unites a range with those that it touches; `false` where there is no room for another.
    fn merge(&mut self, range: Range) -> bool {
        let mut united = range;
        let mut kept = [Range::default(); RANGES_MAX];
        let mut count = 0;
        for r in self.used() {
            if r.start <= united.end && united.start <= r.end {
                united = Range { start: r.start.min(united.start), end: r.end.max(united.end) };
            } else if let Some(place) = kept.get_mut(count) {
                *place = *r;
                count += 1;
            }
        }
        let Some(place) = kept.get_mut(count) else { return false };
        *place = united;
        count += 1;
        if let Some(used) = kept.get_mut(..count) {
            used.sort_unstable_by_key(|r| r.start);
        }
        self.ranges = kept;
        self.ranges_used = u8::try_from(count).unwrap_or(0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tracker(datagrams: u32) -> Fragments {
        let limits = FragmentLimits { datagrams, ..FragmentLimits::default() };
        Fragments::new(limits, HashKey::from_seed([3; 16]))
    }

    fn packet(id: u32, offset: u16, length: u16, more: bool) -> Packet {
        Packet {
            ip_version: 4,
            src: Addr::v4([10, 0, 0, 1]),
            dst: Addr::v4([10, 0, 0, 2]),
            protocol: 17,
            l4_offset: 34,
            payload_offset: 34,
            payload_len: length,
            fragment: Some(Fragment { id, offset, more }),
            ..Packet::default()
        }
    }

    fn track(t: &mut Fragments, id: u32, offset: u16, length: u16, more: bool) -> Tracked {
        let p = packet(id, offset, length, more);
        t.track(SegmentId(0), &p, p.fragment.expect("a fragment"), None, Tick(1))
    }

    #[test]
    fn teardrop_overlap_and_repeats_are_told_apart() {
        let mut t = tracker(8);
        assert_eq!(track(&mut t, 1, 0, 36, true).reject, None);
        assert_eq!(track(&mut t, 1, 24, 4, false).reject, Some(Reject::FragmentTeardrop));
        assert!(track(&mut t, 1, 64, 8, true).conflict, "a condemned datagram stays so");
        assert_eq!(track(&mut t, 2, 0, 48, true).reject, None);
        assert_eq!(track(&mut t, 2, 40, 80, true).reject, Some(Reject::FragmentOverlap));
        assert_eq!(track(&mut t, 3, 0, 1480, true).reject, None);
        assert_eq!(track(&mut t, 3, 0, 1480, true).reject, Some(Reject::FragmentDuplicate));
        assert_eq!(track(&mut t, 3, 1480, 20, false), Tracked::default(), "not condemned by it");
        assert_eq!(t.counters.whole, 1);
        assert_eq!(track(&mut t, 4, 80, 20, false).reject, None);
        assert_eq!(track(&mut t, 4, 160, 8, true).reject, Some(Reject::FragmentOverlap), "behind");
        assert_eq!(track(&mut t, 5, 160, 8, true).reject, None);
        assert_eq!(track(&mut t, 5, 80, 20, false).reject, Some(Reject::FragmentOverlap), "an end");
    }

    #[test]
    fn too_many_holes_condemn() {
        let mut t = tracker(8);
        for n in 0..16 {
            assert_eq!(track(&mut t, 1, n * 16, 8, true).reject, None);
        }
        let one_more = track(&mut t, 1, 16 * 16, 8, true);
        assert_eq!(one_more.reject, Some(Reject::FragmentScattered));
        assert!(one_more.conflict);
    }

    #[test]
    fn full_forgets_the_oldest_and_time_forgets_all() {
        let mut t = tracker(2);
        for id in 0..3 {
            track(&mut t, id, 8, 8, true);
        }
        assert_eq!(t.counters.evicted, 1);
        assert_eq!(track(&mut t, 1, 8, 8, true).reject, Some(Reject::FragmentDuplicate));
        assert_eq!(track(&mut t, 0, 8, 8, true).reject, None, "forgotten");
        t.expire(Tick(31_000_000_000), 10);
        assert_eq!(t.counters.expired, 2);
        assert!(t.lists.front(AGE).is_none());
    }

    proptest! {
        /// Against a map of bytes: clean exactly where no byte was seen twice, as long as there
        /// are no more holes than the tracker holds.
        #[test]
        fn overlap_is_found_exactly(pieces in prop::collection::vec((0u16..40, 1u16..6), 1..12)) {
            let mut t = tracker(4);
            let mut seen = [false; 400];
            for (at, len) in pieces {
                let (at, len) = (at * 8, len * 8);
                let bytes = &mut seen[usize::from(at)..usize::from(at + len)];
                let again = bytes.contains(&true);
                let tracked = track(&mut t, 9, at, len, true);
                prop_assert_eq!(tracked.reject.is_some(), again);
                if again && tracked.reject != Some(Reject::FragmentDuplicate) {
                    return Ok(());
                }
                bytes.fill(true);
            }
        }
    }
}
