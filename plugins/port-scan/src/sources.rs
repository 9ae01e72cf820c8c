//! The sources followed: a fixed number, eight to a set. A newcomer takes the place of the one of
//! its set that has probed least, so that a flood of forged sources does not hide a scanner.

use crate::source::{Key, Millis, Source, age};
use portcullis_plugin_sdk::Keyed;
use std::hash::BuildHasher;

const WAYS: usize = 8;

/// All sources of an instance.
pub(crate) struct Sources {
    ways: Vec<Source>,
    sets: u64,
    hasher: Keyed,
    /// What is older than this is as good as empty.
    window: u32,
}

impl Sources {
    pub(crate) fn new(sources: usize, window: u32, hasher: Keyed) -> Self {
        let sets = (sources / WAYS).max(1);
        Sources { ways: vec![Source::EMPTY; sets * WAYS], sets: sets as u64, hasher, window }
    }

    fn set(&mut self, key: &Key) -> &mut [Source] {
        let set = usize::try_from(self.hasher.hash_one(key) % self.sets).unwrap_or(0);
        self.ways.get_mut(set * WAYS..(set + 1) * WAYS).unwrap_or(&mut [])
    }

    /// The source, if it is followed.
    pub(crate) fn find(&mut self, key: &Key) -> Option<&mut Source> {
        self.set(key).iter_mut().find(|s| s.key == *key)
    }

    /// The source, from now on followed; and whether another had to go for it.
    pub(crate) fn follow(&mut self, key: &Key, now: Millis) -> Option<(&mut Source, bool)> {
        let window = self.window;
        let set = self.set(key);
        if let Some(at) = set.iter().position(|s| s.key == *key) {
            let source = set.get_mut(at)?;
            source.last = now;
            return Some((source, false));
        }
        let worth = |s: &Source| {
            let age = age(now, s.last);
            if s.key == Key::default() || age > window {
                (0, 0)
            } else {
                (1 + s.probes().len(), u32::MAX - age)
            }
        };
        let source = set.iter_mut().min_by_key(|s| worth(s))?;
        let evicts = worth(source).0 > 0;
        source.restart(*key, now);
        Some((source, evicts))
    }
}
