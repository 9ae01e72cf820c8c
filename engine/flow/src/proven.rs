//! Addresses that have lately proven themselves, shared by all workers (proof of source, c), and
//! those that machines on the link have announced as their own.
//!
//! Lock-free and of fixed size: sets of four cells, each one atomic word that holds 36 bits of the
//! keyed hash and the time. A cell is overwritten whole, so no reader sees half of one; a set that
//! is full forgets its oldest. A stranger is taken for proven with probability 2^-34 at most, and
//! cannot choose to be, since the hash is keyed.

use crate::hash::{HashKey, lane_hash, place_word};
use portcullis_types::{Addr, Mac, MemoryTerm, SegmentId, Tick, VlanStack};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a proof counts unless configured: five minutes.
pub const PROOF_WINDOW: Duration = Duration::from_secs(300);

/// How long an announcement counts: four hours, the longest that common systems believe one
/// (Cisco's ARP cache), so that two ends need not ask for each other anew in between.
pub const ANNOUNCEMENT_WINDOW: Duration = Duration::from_secs(4 * 3600);

const SET: usize = 4;
/// Time in cells: units of 2^30 ns in 28 bits, nine years around.
const TIME_SHIFT: u32 = 30;
const TIME_BITS: u32 = 28;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

/// Both tables. Put it in an `Arc`; `&self` suffices for everything.
#[derive(Debug)]
pub struct ProvenSources {
    proofs: Recent,
    /// Place, address and link address in one, so that an announcement by another machine adds to
    /// the first one's and does not take its place. Apart from the proofs: whoever floods the link
    /// with announcements pushes out no proof.
    announcements: Recent,
    hash: HashKey,
}

impl ProvenSources {
    /// Room for `addresses` (rounded up to a power of two, at least 64), whose proof counts for
    /// `window` (rounded up to whole units of 1.07 s), and for a quarter as many announcements.
    pub fn new(addresses: u32, window: Duration, seed: [u8; 16]) -> Self {
        ProvenSources {
            proofs: Recent::new(addresses, window),
            announcements: Recent::new(addresses / 4, ANNOUNCEMENT_WINDOW),
            hash: HashKey::from_seed(seed),
        }
    }

    /// Takes note that an address was proven.
    pub fn record(&self, segment: SegmentId, vlan: VlanStack, address: Addr, now: Tick) {
        self.proofs.record(self.place_of(segment, vlan, address), now);
    }

    /// Whether an address was proven within the window.
    pub fn recent(&self, segment: SegmentId, vlan: VlanStack, address: Addr, now: Tick) -> bool {
        self.proofs.holds(self.place_of(segment, vlan, address), now)
    }

    /// Takes note that a machine on the link has announced the address as its own. `false` where
    /// an older announcement gave way.
    pub fn announce(
        &self,
        (segment, vlan): (SegmentId, VlanStack),
        address: Addr,
        mac: Mac,
        now: Tick,
    ) -> bool {
        self.announcements.record(self.neighbour(segment, vlan, address, mac), now)
    }

    /// Whether the machine of that link address has announced the address within
    /// [`ANNOUNCEMENT_WINDOW`].
    pub fn has_announced(
        &self,
        (segment, vlan): (SegmentId, VlanStack),
        address: Addr,
        mac: Mac,
        now: Tick,
    ) -> bool {
        self.announcements.holds(self.neighbour(segment, vlan, address, mac), now)
    }

    /// What it takes, all at start.
    pub fn memory_term(&self) -> MemoryTerm {
        let (proofs, announcements) = (self.proofs.room(), self.announcements.room());
        let what = format!("proven sources ({proofs} addresses, {announcements} announced)");
        MemoryTerm { what, bytes: (proofs + announcements) * 8 }
    }

    fn place_of(&self, segment: SegmentId, vlan: VlanStack, address: Addr) -> u64 {
        lane_hash(&self.hash, segment, vlan, address, Addr::UNSPECIFIED)
    }

    fn neighbour(&self, segment: SegmentId, vlan: VlanStack, address: Addr, mac: Mac) -> u64 {
        let ((high, low), Mac([a, b, c, d, e, f])) = (address.halves(), mac);
        let mac = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        self.hash.hash([high, low, mac, 0, place_word(segment, vlan), 0])
    }
}

/// What was lately, by its keyed hash.
#[derive(Debug)]
struct Recent {
    cells: Box<[AtomicU64]>,
    /// In the cells' units.
    window: u64,
}

impl Recent {
    fn new(room: u32, window: Duration) -> Self {
        let room = room.max(64).next_power_of_two();
        let window = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        Recent {
            cells: (0..room).map(|_| AtomicU64::new(0)).collect(),
            window: (window >> TIME_SHIFT).saturating_add(1).min(TIME_MASK / 4),
        }
    }

    fn room(&self) -> u64 {
        self.cells.len() as u64
    }

    /// `false` where one gave way whose time was not up.
    fn record(&self, hash: u64, now: Tick) -> bool {
        let (set, tag) = self.set_of(hash);
        let stamp = now.0 >> TIME_SHIFT & TIME_MASK;
        let fresh = tag | stamp;
        let mut oldest = (0, None);
        for cell in set {
            // Relaxed: a cell stands for itself, nothing is published by it.
            let held = cell.load(Ordering::Relaxed);
            if held & !TIME_MASK == tag || held == 0 {
                cell.store(fresh, Ordering::Relaxed);
                return true;
            }
            let age = stamp.wrapping_sub(held) & TIME_MASK;
            if oldest.1.is_none() || age > oldest.0 {
                oldest = (age, Some(cell));
            }
        }
        if let (_, Some(cell)) = oldest {
            cell.store(fresh, Ordering::Relaxed);
        }
        oldest.0 > self.window
    }

    fn holds(&self, hash: u64, now: Tick) -> bool {
        let (set, tag) = self.set_of(hash);
        let stamp = now.0 >> TIME_SHIFT & TIME_MASK;
        set.iter().map(|cell| cell.load(Ordering::Relaxed)).any(|held| {
            let age = stamp.wrapping_sub(held) & TIME_MASK;
            // Another worker's present may be a unit ahead of this one's.
            held & !TIME_MASK == tag && (age <= self.window || age >= TIME_MASK - 1)
        })
    }

    fn set_of(&self, hash: u64) -> (&[AtomicU64], u64) {
        let sets = self.cells.len() / SET;
        // The low bits choose the set, the high ones are the tag; never 0, which is "empty".
        let set = usize::try_from(hash & TIME_MASK).unwrap_or(0) % sets;
        let tag = (hash & !TIME_MASK).max(1 << TIME_BITS);
        (self.cells.get(set * SET..set * SET + SET).unwrap_or_default(), tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Tick {
        Tick(seconds * 1_000_000_000)
    }

    #[test]
    fn counts_in_its_place_and_for_its_time() {
        let table = ProvenSources::new(1024, PROOF_WINDOW, [1; 16]);
        let (a, b) = (Addr::v4([192, 0, 2, 1]), Addr::v4([192, 0, 2, 2]));
        let vlan = VlanStack::from_vids(&[10]).expect("a stack");
        table.record(SegmentId(1), vlan, a, at(1000));
        assert!(table.recent(SegmentId(1), vlan, a, at(1000)));
        assert!(table.recent(SegmentId(1), vlan, a, at(1299)));
        assert!(!table.recent(SegmentId(1), vlan, a, at(1303)));
        assert!(!table.recent(SegmentId(1), VlanStack::UNTAGGED, a, at(1000)));
        assert!(!table.recent(SegmentId(2), vlan, a, at(1000)));
        assert!(!table.recent(SegmentId(1), vlan, b, at(1000)));
        table.record(SegmentId(1), vlan, a, at(2000));
        assert!(table.recent(SegmentId(1), vlan, a, at(2100)), "a second proof starts anew");
        let epoch = at(1_700_000_000);
        assert!(!table.recent(SegmentId(1), vlan, a, epoch));
        table.record(SegmentId(1), vlan, a, epoch);
        assert!(table.recent(SegmentId(1), vlan, a, epoch), "a capture's clock serves as well");
    }

    #[test]
    fn an_announcement_holds_for_its_machine_and_place_alone() {
        let table = ProvenSources::new(1024, PROOF_WINDOW, [1; 16]);
        let (a, b) = (Addr::v4([192, 0, 2, 1]), Addr::v4([192, 0, 2, 2]));
        let (own, router) = (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]));
        let vlan = VlanStack::from_vids(&[10]).expect("a stack");
        let place = (SegmentId(1), vlan);
        assert!(table.announce(place, a, own, at(1000)));
        assert!(table.has_announced(place, a, own, at(1000)));
        assert!(table.has_announced(place, a, own, at(1000 + 4 * 3600)));
        assert!(!table.has_announced(place, a, own, at(1000 + 4 * 3600 + 3)));
        assert!(!table.has_announced(place, a, router, at(1000)));
        assert!(!table.has_announced(place, b, own, at(1000)));
        assert!(!table.has_announced((SegmentId(1), VlanStack::UNTAGGED), a, own, at(1000)));
        assert!(!table.has_announced((SegmentId(2), vlan), a, own, at(1000)));
        assert!(!table.recent(SegmentId(1), vlan, a, at(1000)), "it proves nobody by itself");
        table.announce(place, a, router, at(1001));
        assert!(table.has_announced(place, a, own, at(1002)), "another's claim undoes nothing");
        let mac = |n: u32| Mac([2, 0, 0, 0, n.to_be_bytes()[2], n.to_be_bytes()[3]]);
        let displaced = (0..10_000).filter(|&n| !table.announce(place, b, mac(n), at(1003)));
        assert!(displaced.count() > 9_000, "of 256 cells: each that gave way is told");
        assert!(table.has_announced(place, b, mac(9_999), at(1004)));
    }

    #[test]
    fn full_forgets_the_oldest_and_never_grows() {
        let table = ProvenSources::new(64, PROOF_WINDOW, [1; 16]);
        let address = |n: u32| Addr::v4(n.to_be_bytes());
        for n in 0..10_000 {
            table.record(
                SegmentId(0),
                VlanStack::UNTAGGED,
                address(n),
                at(1000 + u64::from(n / 100)),
            );
        }
        let held = (0..10_000)
            .filter(|&n| table.recent(SegmentId(0), VlanStack::UNTAGGED, address(n), at(1100)));
        assert!(held.count() <= 64);
        assert!(table.recent(SegmentId(0), VlanStack::UNTAGGED, address(9_999), at(1100)));
    }

    #[test]
    fn threads_share_it() {
        let table = ProvenSources::new(1 << 16, PROOF_WINDOW, [1; 16]);
        let address = |t: u8, n: u16| Addr::v4([10, t, n.to_be_bytes()[0], n.to_be_bytes()[1]]);
        std::thread::scope(|scope| {
            for t in 0..4 {
                let table = &table;
                scope.spawn(move || {
                    for n in 0..1000 {
                        table.record(SegmentId(0), VlanStack::UNTAGGED, address(t, n), at(50));
                    }
                });
            }
        });
        let known = (0..4).flat_map(|t| (0..1000).map(move |n| address(t, n)));
        let held = known.filter(|&a| table.recent(SegmentId(0), VlanStack::UNTAGGED, a, at(60)));
        assert!(held.count() > 3_990, "four per set: hardly any of 4,000 in 65,536 is pushed out");
    }
}
