//! A bounded hash table that allocates once.
//!
//! ```text
//!   tags   [u8]   one byte per slot: 0 empty, else seven or eight bits of the hash
//!   index  [u32]  one per slot: which entry
//!   entries[E]    dense, never moved: handles stay good
//! ```
//!
//! Open addressing with linear probing at a load of one half or less, removal by backward shift: no
//! tombstones, so never a rehash and never an allocation after the start. A miss reads one or two
//! neighbouring tag bytes: 128 KiB of them for 65,536 entries, which stay in the second cache.
//! The hash is seeded, so that no sender can choose addresses that meet in one slot.
#![allow(
    clippy::indexing_slicing,
    reason = "slots are masked to the tables' power-of-two length; entries are numbered by us"
)]

use portcullis_types::{BlockKey, Tick, VlanStack, Whence};

/// One entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<V> {
    pub(super) key: BlockKey,
    hash: u64,
    /// Rises when the entry is given to another key.
    pub(super) generation: u32,
    pub(super) value: V,
}

/// The table.
#[derive(Clone, Debug)]
pub(super) struct Slots<V> {
    tags: Box<[u8]>,
    index: Box<[u32]>,
    entries: Vec<Entry<V>>,
    free: Vec<u32>,
    capacity: usize,
    mask: usize,
    seed: [u64; 4],
    lengths_v4: Lengths,
    lengths_v6: Lengths,
}

impl<V: Copy> Slots<V> {
    /// A table for `capacity` entries, at most 2^30.
    pub(super) fn new(capacity: usize, seed: u64) -> Self {
        let capacity = capacity.clamp(1, 1 << 30);
        let slots = (capacity * 2).next_power_of_two();
        Slots {
            tags: vec![0; slots].into_boxed_slice(),
            index: vec![0; slots].into_boxed_slice(),
            entries: Vec::with_capacity(capacity),
            free: Vec::with_capacity(capacity),
            capacity,
            mask: slots - 1,
            seed: spread(seed),
            lengths_v4: Lengths::new(),
            lengths_v6: Lengths::new(),
        }
    }

    /// Bytes that a table of this capacity takes.
    pub(super) fn bytes(capacity: usize) -> usize {
        let slots = (capacity.clamp(1, 1 << 30) * 2).next_power_of_two();
        slots * 5 + capacity * (size_of::<Entry<V>>() + 4)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.len() == self.free.len()
    }

    /// The entry for a frame: of the longest prefix first, as far as `wanted` takes it.
    #[inline]
    pub(super) fn find(&self, from: &Whence, wanted: impl Fn(&V) -> bool) -> Option<u32> {
        let v4 = from.source.is_v4();
        let lengths = if v4 { &self.lengths_v4 } else { &self.lengths_v6 };
        for &length in lengths.in_use() {
            let source = if length == from.source.family_bits() {
                portcullis_types::Prefix::host(from.source)
            } else {
                portcullis_types::Prefix::of(from.source, length)
            };
            let key =
                BlockKey { segment: from.segment, vlan: from.vlan, source, tunnel: from.tunnel };
            let hit = self.at(&key).filter(|at| wanted(&self.entries[*at as usize].value));
            if hit.is_some() {
                return hit;
            }
        }
        None
    }

    /// The entry of exactly this key.
    #[inline]
    pub(super) fn at(&self, key: &BlockKey) -> Option<u32> {
        self.slot_of(key, hash(key, &self.seed)).map(|slot| self.index[slot])
    }

    #[inline]
    fn slot_of(&self, key: &BlockKey, hash: u64) -> Option<usize> {
        let (tag, mut slot) = (tag(hash), self.home(hash));
        loop {
            let here = self.tags[slot];
            if here == 0 {
                return None;
            }
            if here == tag {
                let entry = &self.entries[self.index[slot] as usize];
                if entry.hash == hash && entry.key == *key {
                    return Some(slot);
                }
            }
            slot = (slot + 1) & self.mask;
        }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "masked to the table's length at once")]
    fn home(&self, hash: u64) -> usize {
        hash as usize & self.mask
    }

    pub(super) fn get(&self, at: u32) -> Option<&Entry<V>> {
        self.entries.get(at as usize)
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Entry<V>> {
        self.entries.get_mut(at as usize)
    }

    /// Adds a key that is not there; `None` where the table is full.
    pub(super) fn insert(&mut self, key: BlockKey, value: V) -> Option<u32> {
        let hash = hash(&key, &self.seed);
        let at = match self.free.pop() {
            Some(at) => {
                let entry = &mut self.entries[at as usize];
                let generation = entry.generation.wrapping_add(1);
                *entry = Entry { key, hash, generation, value };
                at
            }
            None if self.entries.len() < self.capacity => {
                let at = u32::try_from(self.entries.len()).ok()?;
                self.entries.push(Entry { key, hash, generation: 0, value });
                at
            }
            None => return None,
        };
        let mut slot = self.home(hash);
        while self.tags[slot] != 0 {
            slot = (slot + 1) & self.mask;
        }
        self.tags[slot] = tag(hash);
        self.index[slot] = at;
        self.lengths(&key).add(key.source.len());
        Some(at)
    }

    /// Removes a key; its value is returned.
    pub(super) fn remove(&mut self, key: &BlockKey) -> Option<V> {
        let mut gap = self.slot_of(key, hash(key, &self.seed))?;
        let at = self.index[gap];
        let mut next = gap;
        loop {
            next = (next + 1) & self.mask;
            if self.tags[next] == 0 {
                break;
            }
            let home = self.home(self.entries[self.index[next] as usize].hash);
            // An entry may move back into the gap unless its home lies behind the gap.
            let from_home = next.wrapping_sub(home) & self.mask;
            let from_gap = next.wrapping_sub(gap) & self.mask;
            if from_home >= from_gap {
                self.tags[gap] = self.tags[next];
                self.index[gap] = self.index[next];
                gap = next;
            }
        }
        self.tags[gap] = 0;
        self.free.push(at);
        self.lengths(key).remove(key.source.len());
        let entry = &mut self.entries[at as usize];
        entry.generation = entry.generation.wrapping_add(1);
        Some(entry.value)
    }

    pub(super) fn clear(&mut self) {
        self.tags.fill(0);
        self.entries.clear();
        self.free.clear();
        self.lengths_v4 = Lengths::new();
        self.lengths_v6 = Lengths::new();
    }

    fn lengths(&mut self, key: &BlockKey) -> &mut Lengths {
        if key.source.addr().is_v4() { &mut self.lengths_v4 } else { &mut self.lengths_v6 }
    }
}

/// The tag of a slot: the top byte of the hash, which the home slot does not use; never 0.
#[inline]
fn tag(hash: u64) -> u8 {
    let [top, ..] = hash.to_be_bytes();
    top.max(1)
}

/// Two folded multiplications over all that makes a key.
#[inline]
fn hash(key: &BlockKey, seed: &[u64; 4]) -> u64 {
    let (high, low) = key.source.addr().halves();
    let place =
        place(key.vlan) | u64::from(key.segment.0) << 40 | u64::from(key.source.len()) << 56;
    let [a, b, c, d] = *seed;
    let first = fold(high ^ a, low ^ b);
    fold(first ^ place ^ c, d ^ u64::from(key.tunnel))
}

#[inline]
fn place(vlan: VlanStack) -> u64 {
    vlan.bits()
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the two halves are what is wanted")]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Four well-mixed words of one (splitmix64).
fn spread(mut seed: u64) -> [u64; 4] {
    std::array::from_fn(|_| {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = seed;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) | 1
    })
}

/// Which prefix lengths are in use, the longest first, so that a lookup asks only for those.
#[derive(Clone, Debug)]
struct Lengths {
    counts: [u32; 129],
    in_use: Vec<u8>,
}

impl Lengths {
    fn new() -> Self {
        Lengths { counts: [0; 129], in_use: Vec::with_capacity(129) }
    }

    #[inline]
    fn in_use(&self) -> &[u8] {
        &self.in_use
    }

    fn add(&mut self, length: u8) {
        let count = &mut self.counts[usize::from(length.min(128))];
        *count += 1;
        if *count == 1 {
            self.in_use.push(length);
            self.in_use.sort_unstable_by(|a, b| b.cmp(a));
        }
    }

    fn remove(&mut self, length: u8) {
        let count = &mut self.counts[usize::from(length.min(128))];
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.in_use.retain(|l| *l != length);
        }
    }
}

/// Whether a moment has not come yet.
#[inline]
pub(super) fn runs(until: Tick, now: Tick) -> bool {
    now < until
}
