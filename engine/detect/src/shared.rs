//! Counters and bits that all instances of a plugin share: the one stated exception to "nothing
//! shared on the street", because a per-source threshold counted per worker is wrong by the number
//! of workers.
//!
//! A table is a fixed array of buckets of eight entries. A key goes to one bucket by a keyed hash;
//! where the bucket is full, its oldest entry makes room (counted): an attacker who sprays keys
//! pushes out the oldest counts of a bucket, and never memory. Nothing locks; two threads that race
//! for one entry may lose one count.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

const WAYS: usize = 8;

#[derive(Default)]
struct Entry {
    /// The key's fingerprint; 0 means free.
    tag: AtomicU64,
    /// When the window began (ms, upper half) and the count or bit (lower half).
    state: AtomicU64,
    /// The window, ms: behind it the entry is free.
    window: AtomicU32,
}

struct Table {
    entries: Vec<Entry>,
    evictions: AtomicU64,
}

impl Table {
    fn new(entries: usize) -> Self {
        let entries = entries.next_power_of_two().max(WAYS);
        Table {
            entries: std::iter::repeat_with(Entry::default).take(entries).collect(),
            evictions: AtomicU64::new(0),
        }
    }

    fn bucket(&self, tag: u64) -> &[Entry] {
        let buckets = self.entries.len() / WAYS;
        // The tag's upper half chooses, the whole of it identifies.
        let at = usize::try_from(tag >> 32).unwrap_or(0) & (buckets - 1);
        self.entries.get(at * WAYS..(at + 1) * WAYS).unwrap_or(&[])
    }

    /// The entry of a key, made if there is none.
    fn entry(&self, tag: u64, now: u32, window: u32) -> Option<&Entry> {
        let bucket = self.bucket(tag);
        if let Some(entry) = bucket.iter().find(|e| e.tag.load(Relaxed) == tag) {
            return Some(entry);
        }
        let age = |e: &Entry| now.wrapping_sub(began(e.state.load(Relaxed)));
        let free = |e: &&Entry| e.tag.load(Relaxed) == 0 || age(e) >= e.window.load(Relaxed);
        let entry = match bucket.iter().find(free) {
            Some(entry) => entry,
            None => {
                self.evictions.fetch_add(1, Relaxed);
                bucket.iter().max_by_key(|e| age(e))?
            }
        };
        entry.tag.store(tag, Relaxed);
        entry.window.store(window, Relaxed);
        entry.state.store(packed(now, 0), Relaxed);
        Some(entry)
    }

    fn find(&self, tag: u64) -> Option<&Entry> {
        self.bucket(tag).iter().find(|e| e.tag.load(Relaxed) == tag)
    }
}

fn packed(began: u32, value: u32) -> u64 {
    u64::from(began) << 32 | u64::from(value)
}

#[allow(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
fn began(state: u64) -> u32 {
    (state >> 32) as u32
}

#[allow(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
fn value(state: u64) -> u32 {
    state as u32
}

/// One plugin's shared counters and bits. They outlive instances, versions and reloads.
pub struct SharedTables {
    counts: Table,
    bits: Table,
    seed: [u64; 2],
}

impl SharedTables {
    /// With room for so many keys of each sort; that is the plugin's quota.
    pub fn new(entries: usize, seed: [u64; 2]) -> Self {
        SharedTables { counts: Table::new(entries), bits: Table::new(entries), seed }
    }

    /// Counts a key; answers the count with this one. The window begins with the first count and
    /// the next count behind its end begins another.
    pub fn count(&self, table: u32, key: &[u8], now_ms: u32, window_ms: u32) -> u32 {
        let tag = self.tag(table, key);
        let Some(entry) = self.counts.entry(tag, now_ms, window_ms) else { return 0 };
        entry.window.store(window_ms, Relaxed);
        let step = |state: u64| {
            if now_ms.wrapping_sub(began(state)) >= window_ms {
                packed(now_ms, 1)
            } else {
                packed(began(state), value(state).saturating_add(1))
            }
        };
        match entry.state.fetch_update(Relaxed, Relaxed, |state| Some(step(state))) {
            Ok(before) | Err(before) => value(step(before)),
        }
    }

    /// Whether a bit is set; sets or clears it where `to` says so.
    pub fn bit(&self, table: u32, key: &[u8], now_ms: u32, to: Option<bool>) -> bool {
        let tag = self.tag(table, key);
        let entry = match to {
            Some(true) => self.bits.entry(tag, now_ms, u32::MAX),
            Some(false) | None => self.bits.find(tag),
        };
        let Some(entry) = entry else { return false };
        let before = value(entry.state.load(Relaxed)) != 0;
        match to {
            Some(true) => entry.state.store(packed(now_ms, 1), Relaxed),
            Some(false) => entry.tag.store(0, Relaxed),
            None => {}
        }
        before
    }

    /// Keys that were pushed out by others before their window was over.
    pub fn evictions(&self) -> u64 {
        self.counts.evictions.load(Relaxed) + self.bits.evictions.load(Relaxed)
    }

    /// Bytes that the tables take.
    pub fn bytes(&self) -> u64 {
        let entries = self.counts.entries.len() + self.bits.entries.len();
        (entries * size_of::<Entry>()) as u64
    }

    fn tag(&self, table: u32, key: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.seed[0], self.seed[1]);
        hasher.write_u32(table);
        hasher.write(key);
        hasher.finish().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_within_windows() {
        let t = SharedTables::new(64, [1, 2]);
        assert_eq!([0, 10, 99].map(|ms| t.count(1, b"a", ms, 100)), [1, 2, 3]);
        assert_eq!(t.count(1, b"b", 99, 100), 1, "another key");
        assert_eq!(t.count(2, b"a", 99, 100), 1, "another table");
        assert_eq!(t.count(1, b"a", 100, 100), 1, "the window is over");
    }

    #[test]
    fn bits_answer_what_was() {
        let t = SharedTables::new(64, [1, 2]);
        assert!(!t.bit(1, b"a", 0, None));
        assert!(!t.bit(1, b"a", 0, Some(true)));
        assert!(t.bit(1, b"a", 0, Some(true)));
        assert!(t.bit(1, b"a", 0, Some(false)));
        assert!(!t.bit(1, b"a", 0, None));
    }

    #[test]
    fn a_full_table_forgets_the_oldest_and_says_so() {
        let t = SharedTables::new(8, [1, 2]);
        for i in 0..9u32 {
            t.count(1, &i.to_le_bytes(), i, 1_000);
        }
        assert_eq!(t.evictions(), 1);
        assert_eq!(t.count(1, &8u32.to_le_bytes(), 9, 1_000), 2);
        assert_eq!(t.count(1, &0u32.to_le_bytes(), 9, 1_000), 1, "the oldest was forgotten");
    }

    #[test]
    fn threads_count_together() {
        let t = SharedTables::new(64, [1, 2]);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    (0..1000).for_each(|_| {
                        let _ = t.count(1, b"a", 5, 1_000);
                    })
                });
            }
        });
        let n = t.count(1, b"a", 5, 1_000);
        assert!((3_990..=4_001).contains(&n), "{n}");
    }
}
