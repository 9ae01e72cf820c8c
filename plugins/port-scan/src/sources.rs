//! The sources followed: a fixed number, eight to a set. A newcomer takes the place of the one of
//! its set that has probed least, so that a flood of forged sources does not hide a scanner.

use crate::source::{Key, Millis, Source};
use portcullis_plugin_sdk::Keyed;

const WAYS: usize = 8;

/// All sources of an instance.
pub(crate) struct Sources {
    /// A set takes memory from its first source on.
    sets: Vec<Option<Box<[Source; WAYS]>>>,
    hasher: Keyed,
    /// What is older than this is as good as empty.
    window: u32,
}

impl Sources {
    pub(crate) fn new(sources: usize, window: u32, hasher: Keyed) -> Self {
        let sets = vec![None; (sources / WAYS).max(1)];
        Sources { sets, hasher, window }
    }

    #[inline]
    fn set(&mut self, key: &Key) -> Option<&mut Option<Box<[Source; WAYS]>>> {
        // The upper half, scaled: no division.
        let half = self.hasher.words(key.words()) >> 32;
        let set = usize::try_from((half * self.sets.len() as u64) >> 32).unwrap_or(0);
        self.sets.get_mut(set)
    }

    /// The source, if it is followed.
    pub(crate) fn find(&mut self, key: &Key) -> Option<&mut Source> {
        self.set(key)?.as_deref_mut()?.iter_mut().find(|s| s.key == *key)
    }

    /// The source, from now on followed; and whether another had to go for it.
    pub(crate) fn follow(&mut self, key: &Key, now: Millis) -> Option<(&mut Source, bool)> {
        let window = self.window;
        let set = self.set(key)?.get_or_insert_with(|| Box::new([Source::EMPTY; WAYS]));
        // In one pass: whoever it is, and whoever is worth least.
        let (mut known, mut least, mut at) = (false, u64::MAX, 0);
        for (way, source) in set.iter().enumerate() {
            if source.key == *key {
                (known, at) = (true, way);
                break;
            }
            let worth = source.worth(now, window);
            if worth < least {
                (least, at) = (worth, way);
            }
        }
        let source = set.get_mut(at)?;
        if known {
            source.last = now;
            return Some((source, false));
        }
        source.restart(*key, now);
        Some((source, least > 0))
    }
}
