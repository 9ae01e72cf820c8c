//! The breaker: a cap on new blocks per minute, per detector and in all, shared by all judges.
//!
//! One word per counter: the minute in the upper half, blocks admitted in the lower. No lock; the
//! moment is an argument.

use portcullis_types::{PluginId, Tick};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters for this many detectors; those beyond share the last one.
const DETECTORS_MAX: usize = 256;
const MINUTE_NS: u64 = 60_000_000_000;
/// Set in a counter's word once the trip of its minute has been said.
const SAID: u64 = 1 << 31;
const COUNT_MASK: u64 = SAID - 1;

/// How many new blocks a minute may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerLimits {
    /// From one detector.
    pub per_detector: u32,
    /// From all of them.
    pub in_all: u32,
}

impl Default for BreakerLimits {
    /// 1,000 a minute from a detector and 3,000 in all: a block list of 65,536 lasts at least 20
    /// minutes of the worst, in which an operator who was told loudly can act.
    fn default() -> Self {
        BreakerLimits { per_detector: 1_000, in_all: 3_000 }
    }
}

/// Which cap was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerScope {
    /// The cap of one detector.
    Detector(PluginId),
    /// The cap of all together.
    All,
}

/// A block that the breaker refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip {
    /// Which cap.
    pub scope: BreakerScope,
    /// Blocks a minute that it allows.
    pub limit: u32,
    /// Whether this is the first refusal of the minute: the one that is said aloud.
    pub first: bool,
}

impl fmt::Display for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self.scope {
            BreakerScope::All => "of all detectors together",
            BreakerScope::Detector(_) => "of one detector",
        };
        write!(f, "over {} new blocks a minute {of}", self.limit)
    }
}

/// The shared counters.
#[derive(Debug)]
pub struct Breaker {
    detectors: Box<[AtomicU64]>,
    all: AtomicU64,
    trips: AtomicU64,
    refused: AtomicU64,
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker {
            detectors: (0..DETECTORS_MAX).map(|_| AtomicU64::new(0)).collect(),
            all: AtomicU64::new(0),
            trips: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }
}

impl Breaker {
    /// A breaker that has admitted nothing yet.
    pub fn new() -> Self {
        Breaker::default()
    }

    /// Admits one new block, or says which cap forbids it.
    pub fn admit(&self, plugin: PluginId, limits: BreakerLimits, now: Tick) -> Result<(), Trip> {
        // The upper half holds the minute plus one, so that an untouched word is no minute at all.
        let minute = (now.0 / MINUTE_NS + 1) & u64::from(u32::MAX);
        let slot = usize::from(plugin.0).min(DETECTORS_MAX - 1);
        let own = self.detectors.get(slot).unwrap_or(&self.all);
        take(own, minute, limits.per_detector).map_err(|first| {
            self.refuse(BreakerScope::Detector(plugin), limits.per_detector, first)
        })?;
        take(&self.all, minute, limits.in_all)
            .map_err(|first| self.refuse(BreakerScope::All, limits.in_all, first))
    }

    fn refuse(&self, scope: BreakerScope, limit: u32, first: bool) -> Trip {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if first {
            self.trips.fetch_add(1, Ordering::Relaxed);
        }
        Trip { scope, limit, first }
    }

    /// How often a cap was reached, each counted once per minute.
    pub fn trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
    }

    /// Blocks refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Takes one from the word of this minute; `Err(first)` where the cap is reached.
fn take(word: &AtomicU64, minute: u64, limit: u32) -> Result<(), bool> {
    let next = |old: u64| {
        let low = if old >> 32 == minute { old & u64::from(u32::MAX) } else { 0 };
        let admitted = low & COUNT_MASK < u64::from(limit).min(COUNT_MASK);
        (admitted, low & SAID == 0, minute << 32 | if admitted { low + 1 } else { low | SAID })
    };
    let mut old = word.load(Ordering::Relaxed);
    loop {
        let (admitted, first, new) = next(old);
        match word.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) if admitted => return Ok(()),
            Ok(_) => return Err(first),
            Err(seen) => old = seen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_per_detector_and_in_all_and_says_so_once_a_minute() {
        let (breaker, limits) = (Breaker::new(), BreakerLimits { per_detector: 2, in_all: 3 });
        let at = |s: u64| Tick(s * 1_000_000_000);
        let (a, b) = (PluginId(0), PluginId(1));
        assert_eq!(breaker.admit(a, limits, at(0)), Ok(()));
        assert_eq!(breaker.admit(a, limits, at(1)), Ok(()));
        let trip = Trip { scope: BreakerScope::Detector(a), limit: 2, first: true };
        assert_eq!(breaker.admit(a, limits, at(2)), Err(trip));
        assert_eq!(breaker.admit(a, limits, at(3)), Err(Trip { first: false, ..trip }));
        assert_eq!(breaker.admit(b, limits, at(4)), Ok(()));
        let all = Trip { scope: BreakerScope::All, limit: 3, first: true };
        assert_eq!(breaker.admit(b, limits, at(5)), Err(all));
        assert_eq!(breaker.admit(a, limits, at(60)), Ok(()));
        assert_eq!((breaker.trips(), breaker.refused()), (2, 3));
    }

    #[test]
    fn a_limit_of_none_admits_none() {
        let limits = BreakerLimits { per_detector: 0, in_all: 9 };
        assert!(Breaker::new().admit(PluginId(9999), limits, Tick::ZERO).is_err());
    }
}
