//! Things with an end, found by name and, in the order of their ends, when they are due.

use portcullis_types::Tick;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// A bounded map whose values end.
#[derive(Clone, Debug)]
pub(super) struct Timed<K, V> {
    values: HashMap<K, (Tick, V)>,
    due: BTreeSet<(Tick, K)>,
    capacity: usize,
}

impl<K: Copy + Ord + Hash, V> Timed<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Timed { values: HashMap::new(), due: BTreeSet::new(), capacity }
    }

    pub(super) fn get(&self, key: &K) -> Option<(Tick, &V)> {
        self.values.get(key).map(|(until, value)| (*until, value))
    }

    /// Sets or replaces; `false` where the map is full.
    pub(super) fn set(&mut self, key: K, until: Tick, value: V) -> bool {
        if let Some((old, _)) = self.values.get(&key) {
            self.due.remove(&(*old, key));
        } else if self.values.len() >= self.capacity {
            return false;
        }
        self.due.insert((until, key));
        self.values.insert(key, (until, value));
        true
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let (until, value) = self.values.remove(key)?;
        self.due.remove(&(until, *key));
        Some(value)
    }

    /// The next end.
    pub(super) fn next_due(&self) -> Option<Tick> {
        self.due.first().map(|(until, _)| *until)
    }

    /// Removes one whose end has come.
    pub(super) fn pop_due(&mut self, now: Tick) -> Option<(K, V)> {
        let (until, key) = *self.due.first()?;
        if until > now {
            return None;
        }
        self.due.pop_first();
        self.values.remove(&key).map(|(_, value)| (key, value))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, Tick, &V)> {
        self.due
            .iter()
            .filter_map(|(until, key)| self.values.get(key).map(|(_, value)| (key, *until, value)))
    }
}
