//! Two structures of fixed size that never allocate after start: an index from hash to slot, and
//! lists of slots. They know nothing of what is in the slots, and do not touch memory that no slot
//! has needed yet.
//!
//! The index is not hashbrown's: removal leaves tombstones there, and a full table of tombstones
//! is rehashed (a pause) or grown (an allocation). Here removal shifts the followers back.

/// No slot.
pub(crate) const NONE: u32 = u32::MAX;

/// Open addressing with linear probing, at most two thirds full. An entry is the hash's low half
/// above the slot's number plus one; 0 is empty. Eight entries share a cache line.
///
/// It is spread over as much of its room as its entries need, since hashes scatter few entries over
/// all pages of a big table, and each lookup would miss the caches. It widens by linear hashing:
/// each entry added has two homes split, so that nobody ever waits for a table to be rehashed.
///
/// ```text
///   homes:  0 ……… split ……… narrow ……… narrow + split ……… the room
///           └ split in two ┘└ not yet ┘└ their other halves ┘
/// ```
#[derive(Debug)]
pub(crate) struct Index {
    entries: Box<[u64]>,
    mask: usize,
    used: usize,
    /// Homes before those that are being split, a power of two.
    narrow: usize,
    /// Homes below this one have been split: their other halves lie `narrow` behind them.
    split: usize,
}

/// Homes that an index begins with. Tests see it widen.
const FIRST_HOMES: usize = if cfg!(test) { 4 } else { 1 << 10 };

impl Index {
    /// Bytes that an index for `slots` slots takes.
    pub(crate) fn bytes(slots: u32) -> u64 {
        Self::room(slots) * 8
    }

    fn room(slots: u32) -> u64 {
        (u64::from(slots) * 3 / 2 + 1).next_power_of_two().max(8)
    }

    pub(crate) fn new(slots: u32) -> Self {
        let room = usize::try_from(Self::room(slots)).unwrap_or(8);
        let (entries, narrow) = (vec![0; room].into_boxed_slice(), room.min(FIRST_HOMES));
        Index { entries, mask: room - 1, used: 0, narrow, split: 0 }
    }

    /// Splits the next home: those of its entries move that belong to its other half.
    fn widen(&mut self) {
        let (home, other) = (self.split, self.split + self.narrow);
        self.split += 1;
        let mut at = home;
        // Ends: there are fewer entries than homes before the other half.
        while at < other && self.entry(at) != 0 {
            let entry = self.entry(at);
            if self.home(high(entry)) == other {
                self.close(at);
                self.settle(entry);
            } else {
                at += 1;
            }
        }
        if self.split == self.narrow {
            (self.narrow, self.split) = (self.narrow * 2, 0);
        }
    }

    /// Puts an entry into the first free place from its home on.
    fn settle(&mut self, entry: u64) {
        let mut at = self.home(high(entry));
        while self.entry(at) != 0 {
            at += 1;
        }
        self.put(at, entry);
    }

    #[inline]
    fn home(&self, tag: u32) -> usize {
        let home = tag as usize & (self.narrow - 1);
        if home < self.split { tag as usize & (2 * self.narrow - 1) } else { home }
    }

    #[inline]
    fn entry(&self, at: usize) -> u64 {
        self.entries.get(at & self.mask).copied().unwrap_or(0)
    }

    #[inline]
    fn put(&mut self, at: usize, entry: u64) {
        if let Some(place) = self.entries.get_mut(at & self.mask) {
            *place = entry;
        }
    }

    /// The entry at which looking for `hash` begins: reading it fetches its cache line.
    #[inline]
    pub(crate) fn peek(&self, hash: u64) -> u64 {
        self.entry(self.home(low(hash)))
    }

    /// The first slot under `hash` that `is` accepts.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let tag = low(hash);
        let mut at = self.home(tag);
        // Ends: a third of the entries are empty.
        loop {
            let entry = self.entry(at);
            if entry == 0 {
                return None;
            }
            if high(entry) == tag && is(low(entry) - 1) {
                return Some(low(entry) - 1);
            }
            at += 1;
        }
    }

    /// Adds a slot, of which there are never more than the index was made for.
    pub(crate) fn insert(&mut self, hash: u64, slot: u32) {
        while self.narrow < self.entries.len() && 2 * self.used >= self.narrow + self.split {
            self.widen();
        }
        self.settle(u64::from(low(hash)) << 32 | u64::from(slot + 1));
        self.used += 1;
    }

    /// Takes a slot out.
    pub(crate) fn remove(&mut self, hash: u64, slot: u32) {
        let tag = low(hash);
        let wanted = u64::from(tag) << 32 | u64::from(slot + 1);
        let mut at = self.home(tag);
        while self.entry(at) != wanted {
            if self.entry(at) == 0 {
                return;
            }
            at += 1;
        }
        self.close(at);
        self.used -= 1;
    }

    /// Empties a place and closes the gap.
    fn close(&mut self, mut gap: usize) {
        let mut at = gap + 1;
        loop {
            let entry = self.entry(at);
            if entry == 0 {
                break;
            }
            // An entry may move back into the gap unless its home lies behind the gap.
            let from_home = at.wrapping_sub(self.home(high(entry))) & self.mask;
            if from_home >= (at - gap) & self.mask {
                self.put(gap, entry);
                gap = at;
            }
            at += 1;
        }
        self.put(gap, 0);
    }
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
fn low(n: u64) -> u32 {
    n as u32
}

#[inline]
fn high(n: u64) -> u32 {
    low(n >> 32)
}

#[derive(Clone, Copy, Debug)]
struct Link {
    previous: u32,
    next: u32,
}

/// Circular lists over the same slots: each slot is in at most one. The heads lie before the slots,
/// so that linking has no special cases, and slots that were never in a list are not touched.
#[derive(Debug)]
pub(crate) struct Lists {
    /// The heads, and the slots as far as they were ever used.
    links: Vec<Link>,
    heads: u32,
    /// Heads and slots together.
    room: usize,
}

impl Lists {
    /// Bytes that `heads` lists over `slots` slots take.
    pub(crate) fn bytes(slots: u32, heads: u32) -> u64 {
        (u64::from(slots) + u64::from(heads)) * size_of::<Link>() as u64
    }

    pub(crate) fn new(slots: u32, heads: u32) -> Self {
        let room = slots as usize + heads as usize;
        let mut links = Vec::with_capacity(room);
        links.extend((0..heads).map(|n| Link { previous: n, next: n }));
        Lists { links, heads, room }
    }

    /// Slots that were ever in a list.
    fn used(&self) -> u32 {
        u32::try_from(self.links.len()).unwrap_or(NONE) - self.heads
    }

    /// The place of a slot, brought into use with those before it.
    fn place(&mut self, slot: u32) -> Option<u32> {
        let place = slot.checked_add(self.heads).filter(|&n| (n as usize) < self.room)?;
        let first = self.used() + self.heads;
        self.links.extend((first..=place).map(|n| Link { previous: n, next: n }));
        Some(place)
    }

    #[inline]
    fn link(&mut self, n: u32) -> Option<&mut Link> {
        self.links.get_mut(n as usize)
    }

    #[inline]
    fn next(&self, n: u32) -> u32 {
        self.links.get(n as usize).map_or(NONE, |link| link.next)
    }

    fn join(&mut self, a: u32, b: u32) {
        if let Some(link) = self.link(a) {
            link.next = b;
        }
        if let Some(link) = self.link(b) {
            link.previous = a;
        }
    }

    /// The first slot of a list.
    #[inline]
    pub(crate) fn front(&self, head: u32) -> Option<u32> {
        self.next(head).checked_sub(self.heads)
    }

    /// Puts a slot that is in no list at the end of one.
    pub(crate) fn push_back(&mut self, head: u32, slot: u32) {
        let Some(place) = self.place(slot) else { return };
        let last = self.links.get(head as usize).map_or(head, |link| link.previous);
        self.join(last, place);
        self.join(place, head);
    }

    /// Puts a slot that is in no list at the start of one.
    pub(crate) fn push_front(&mut self, head: u32, slot: u32) {
        let Some(place) = self.place(slot) else { return };
        let first = self.next(head);
        self.join(place, first);
        self.join(head, place);
    }

    /// Takes a slot out of whichever list it is in.
    pub(crate) fn unlink(&mut self, slot: u32) {
        let Some(place) = slot.checked_add(self.heads) else { return };
        let Some(Link { previous, next }) = self.links.get(place as usize).copied() else { return };
        self.join(previous, next);
        self.join(place, place);
    }

    /// Takes the first slot of a list.
    pub(crate) fn pop_front(&mut self, head: u32) -> Option<u32> {
        let slot = self.front(head)?;
        self.unlink(slot);
        Some(slot)
    }

    /// Takes the first slot of a list, or else the next one that was never in any: the list is that
    /// of the free slots.
    pub(crate) fn pop_free(&mut self, head: u32) -> Option<u32> {
        self.pop_front(head).or_else(|| {
            let slot = self.used();
            self.place(slot).map(|_| slot)
        })
    }

    /// Whether [`Lists::pop_free`] has one.
    pub(crate) fn has_free(&self, head: u32) -> bool {
        self.front(head).is_some() || self.links.len() < self.room
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn a_wide_index_finds_what_it_had_when_it_was_narrow() {
        let hash = |slot: u32| u64::from(slot).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7;
        let mut index = Index::new(5_000);
        for slot in 0..5_000 {
            index.insert(hash(slot), slot);
            let homes = index.narrow + index.split;
            assert!(3 * index.used <= 2 * homes.max(8), "{} in {homes}", index.used);
            assert!(
                (0..=slot).rev().step_by(97).all(|s| index.find(hash(s), |n| n == s).is_some())
            );
        }
        (0..5_000).step_by(2).for_each(|slot| index.remove(hash(slot), slot));
        for slot in 0..5_000 {
            assert_eq!(index.find(hash(slot), |s| s == slot).is_some(), slot % 2 == 1, "{slot}");
        }
        assert_eq!(index.narrow as u64, Index::room(5_000));
    }

    proptest! {
        /// Few distinct tags, so that probe runs are long, wrap around and are broken up, also by
        /// homes that are split.
        #[test]
        fn index_is_a_map(
            steps in prop::collection::vec((0u64..24, 0u32..16, any::<bool>()), 1..400)
        ) {
            let mut index = Index::new(16);
            let mut model: HashMap<u32, u64> = HashMap::new();
            for (hash, slot, add) in steps {
                if add && !model.contains_key(&slot) {
                    index.insert(hash, slot);
                    model.insert(slot, hash);
                } else if let Some(old) = model.remove(&slot) {
                    index.remove(old, slot);
                }
                for n in 0..16 {
                    let hash = model.get(&n).copied();
                    for h in 0..24 {
                        prop_assert_eq!(index.find(h, |s| s == n).is_some(), hash == Some(h));
                    }
                }
            }
        }

        /// As if all had been in the list of free slots from the start.
        #[test]
        fn free_slots_come_in_order_and_those_given_back_first(
            steps in prop::collection::vec(any::<bool>(), 1..60)
        ) {
            let mut lists = Lists::new(8, 2);
            let (mut free, mut taken): (Vec<u32>, Vec<u32>) = ((0..8).rev().collect(), vec![]);
            for take in steps {
                if take {
                    prop_assert_eq!(lists.has_free(1), !free.is_empty());
                    let slot = lists.pop_free(1);
                    prop_assert_eq!(slot, free.pop());
                    slot.iter().for_each(|&slot| lists.push_back(0, slot));
                    taken.extend(slot);
                } else if !taken.is_empty() {
                    let slot = taken.remove(taken.len() / 2);
                    lists.unlink(slot);
                    lists.push_front(1, slot);
                    free.push(slot);
                }
            }
        }

        #[test]
        fn lists_keep_order(steps in prop::collection::vec((0u32..2, 0u32..8), 1..200)) {
            let mut lists = Lists::new(8, 2);
            let mut model: [Vec<u32>; 2] = Default::default();
            for (head, slot) in steps {
                lists.unlink(slot);
                model.iter_mut().for_each(|list| list.retain(|&s| s != slot));
                lists.push_back(head, slot);
                model[head as usize].push(slot);
                for head in 0..2 {
                    let mut seen = Vec::new();
                    let mut at = lists.next(head);
                    while at >= 2 {
                        seen.push(at - 2);
                        at = lists.next(at);
                    }
                    prop_assert_eq!(&seen, &model[head as usize]);
                }
            }
        }
    }
}
