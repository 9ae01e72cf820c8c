//! How long something takes: a histogram of fixed buckets that anybody may add to.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper ends of the buckets in microseconds: from a map update alone to far beyond the promise of
/// one millisecond.
pub(super) const BOUNDS_US: [u64; 12] =
    [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 100_000, 1_000_000];

/// The histogram under way.
#[derive(Debug, Default)]
pub struct LatencyHistogram {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

/// The histogram as it was at a moment. Not cumulative; the last bucket has no upper end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many in each bucket.
    pub buckets: [u64; BOUNDS_US.len() + 1],
    /// All of it.
    pub sum: Duration,
}

impl LatencyHistogram {
    /// Adds one.
    pub fn observe(&self, took: Duration) {
        let us = took.as_micros();
        let at = BOUNDS_US.partition_point(|bound| u128::from(*bound) < us);
        self.buckets[at].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// As it is now.
    pub fn read(&self) -> Latency {
        let mut latency =
            Latency { sum: Duration::from_nanos(self.sum_ns.load(Relaxed)), ..Latency::default() };
        for (to, from) in latency.buckets.iter_mut().zip(&self.buckets) {
            *to = from.load(Relaxed);
        }
        latency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lands_in_its_bucket() {
        let histogram = LatencyHistogram::default();
        for us in [0, 10, 11, 1_000, 1_001, 9_000_000] {
            histogram.observe(Duration::from_micros(us));
        }
        let read = histogram.read();
        assert_eq!(read.buckets, [2, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1]);
        assert_eq!(read.sum, Duration::from_micros(9_002_022));
    }
}
