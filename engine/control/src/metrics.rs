//! Every figure of the engine, as Prometheus text and as JSON: one list of families, two forms.
//!
//! [`Figures`] is plain values, gathered by whoever runs the engine a few times a second at most.
//! Names are `portcullis_SUBSYSTEM_WHAT_UNIT`, with `_total` behind what only grows. It must never
//! know where a figure comes from, nor who asks.

mod exposition;
mod families;
mod latency;
mod reading;
#[cfg(test)]
pub(crate) mod tests;

pub use exposition::{Family, Kind, Sample};
pub use latency::{Latency, LatencyHistogram};

use crate::rules::About;
use portcullis_capture::SourceStatistics;
use portcullis_capture::kernel::KernelCounters;
use portcullis_detect::SeatCounters;
use portcullis_enforce::BookCounters;
use portcullis_enforce::backend::EnforcerCounters;
use portcullis_flow::FlowCounters;
use portcullis_pipeline::{LaneCounters, ReadingFigures};
use std::sync::Arc;
use std::time::Duration;

/// One worker.
#[derive(Clone, Debug, Default)]
pub struct WorkerFigures {
    /// Its segment's name.
    pub segment: Arc<str>,
    /// Its number, over all segments.
    pub worker: usize,
    /// Names of the ports on sides A and B; B is empty for a tap.
    pub ports: [Arc<str>; 2],
    /// What it counts.
    pub lane: Arc<LaneCounters>,
    /// What its source counts.
    pub source: SourceStatistics,
    /// What its flow table counts, where it says.
    pub flow: Option<FlowCounters>,
    /// Blocks in its own table.
    pub blocks: u64,
    /// Processor time of its thread.
    pub cpu: Duration,
}

/// One plugin, over all workers and shards.
#[derive(Clone, Debug, Default)]
pub struct PluginFigures {
    /// Its name.
    pub name: Arc<str>,
    /// The version at work.
    pub version: Arc<str>,
    /// What its seats have counted, summed with [`PluginFigures::add`].
    pub seat: SeatCounters,
    /// Its own metrics: name and value.
    pub own: Vec<(String, i64)>,
}

impl PluginFigures {
    /// Adds what one more seat has counted.
    pub fn add(&mut self, seat: &SeatCounters) {
        let sum = &mut self.seat;
        sum.events += seat.events;
        sum.batches += seat.batches;
        sum.fuel += seat.fuel;
        sum.verdicts += seat.verdicts;
        sum.lost += seat.lost;
        sum.dones_refused += seat.dones_refused;
        sum.unjudged += seat.unjudged;
        sum.paused += seat.paused;
        sum.slotless += seat.slotless;
        sum.events_lost += seat.events_lost;
        for (to, from) in sum.refused.iter_mut().zip(seat.refused) {
            *to += from;
        }
        for (to, from) in sum.faults.iter_mut().zip(seat.faults) {
            *to += from;
        }
    }
}

/// The journal of blocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct JournalFigures {
    /// Orders on the disk.
    pub synced: u64,
    /// Flushes.
    pub flushes: u64,
    /// Writes and flushes that failed.
    pub failures: u64,
    /// Submissions refused because too many were waiting.
    pub refused: u64,
    /// Times that it was compacted.
    pub compactions: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

impl JournalFigures {
    /// As they are now.
    pub fn of(counters: &crate::journal::JournalCounters) -> Self {
        use std::sync::atomic::Ordering::Relaxed;
        JournalFigures {
            synced: counters.synced.load(Relaxed),
            flushes: counters.flushes.load(Relaxed),
            failures: counters.failures.load(Relaxed),
            refused: counters.refused.load(Relaxed),
            compactions: counters.compactions.load(Relaxed),
            bytes: counters.bytes.load(Relaxed),
        }
    }
}

/// The events' writer.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventFigures {
    /// Lines in the file.
    pub written: u64,
    /// Lines lost at the end; what workers lost is theirs to count.
    pub lost: u64,
    /// Writes that failed.
    pub failed: u64,
}

impl EventFigures {
    /// As they are now.
    pub fn of(counters: &crate::eve::EveCounters) -> Self {
        use std::sync::atomic::Ordering::Relaxed;
        EventFigures {
            written: counters.written.load(Relaxed),
            lost: counters.lost.load(Relaxed),
            failed: counters.failed.load(Relaxed),
        }
    }
}

/// Everything there is to count.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// The rules at work.
    pub rules: Option<About>,
    /// Swaps of rules since the start.
    pub rules_swapped: u64,
    /// The engine's version.
    pub version: String,
    /// Since the start.
    pub uptime: Duration,
    /// Each worker.
    pub workers: Vec<WorkerFigures>,
    /// What each worker reads behind the headers, in the order of `workers`; `None` for one that
    /// reads nothing there.
    pub reading: Vec<Option<ReadingFigures>>,
    /// Processor time of each thread of host-scope detectors.
    pub shards: Vec<Duration>,
    /// Each plugin.
    pub plugins: Vec<PluginFigures>,
    /// The kernel program, by port.
    pub kernel: Vec<(String, KernelCounters)>,
    /// The list of blocks.
    pub book: BookCounters,
    /// Blocks in force.
    pub blocks: u64,
    /// Exclusion rows in force.
    pub exclusions: u64,
    /// Trips of the breaker.
    pub breaker_trips: u64,
    /// Times that a segment was opened again whose port had gone.
    pub segments_reopened: u64,
    /// Blocks that it withheld.
    pub breaker_refused: u64,
    /// Backends that carry out blocks, by name.
    pub enforcers: Vec<(&'static str, EnforcerCounters)>,
    /// From a verdict to the kernel's map.
    pub kernel_latency: Latency,
    /// The journal.
    pub journal: JournalFigures,
    /// The events' writer.
    pub events: EventFigures,
    /// Bytes that were promised at the start as the most.
    pub memory_promised: u64,
    /// Bytes resident now.
    pub memory_resident: u64,
}

impl Figures {
    /// As Prometheus reads it (text format 0.0.4).
    pub fn text(&self) -> String {
        exposition::text(&self.families())
    }

    /// The same as one JSON object: a list of samples for each name.
    pub fn json(&self) -> String {
        exposition::json(&self.families())
    }

    /// The sum of one counter over all workers.
    pub fn sum(&self, of: impl Fn(&LaneCounters) -> u64) -> u64 {
        self.workers.iter().map(|w| of(&w.lane)).sum()
    }
}

/// Bytes of this process in memory; 0 where the system does not say.
pub fn resident_bytes() -> u64 {
    let Ok(text) = std::fs::read_to_string("/proc/self/statm") else { return 0 };
    let pages = text.split_ascii_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok());
    pages.unwrap_or(0).saturating_mul(rustix::param::page_size() as u64)
}
