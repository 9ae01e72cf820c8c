//! Every limit of the plugin host, and the memory they add up to.

use crate::profile::Clock;
use portcullis_types::MemoryTerm;
use std::time::Duration;

/// Plugins in one host at most: a mask of them is one word.
pub const PLUGINS_MAX: usize = 32;

/// Limits of loading, the same for all plugins.
#[derive(Clone, Debug)]
pub struct LoadLimits {
    /// Bytes of a module at most.
    pub module_bytes: usize,
    /// MiB of memory that any grant can give.
    pub memory_mib: u32,
    /// Instances alive at once: plugins × (workers + shards) × (1 + spares), doubled for swaps.
    pub instances: u32,
    /// Events in one batch.
    pub batch_events: u32,
    /// Bytes of payload in one batch; at least one snap length fits whatever this says.
    pub batch_bytes: u32,
    /// Entries of a plugin's shared counters, and as many of its bits; 32 bytes each.
    pub counters: usize,
    /// Names of the engine's anomalies in the order of their numbers (`wire`'s rejects).
    pub anomalies: Vec<String>,
    /// Seeds the hash maps of guests and host. Live: random; replay: fixed.
    pub seed: [u64; 2],
}

impl Default for LoadLimits {
    fn default() -> Self {
        LoadLimits {
            module_bytes: 16 << 20,
            memory_mib: 64,
            instances: 256,
            batch_events: 64,
            batch_bytes: 64 << 10,
            counters: 1 << 16,
            anomalies: Vec::new(),
            seed: [0x706f_7274, 0x6375_6c6c],
        }
    }
}

/// Limits of one host: one worker's, or one shard's.
#[derive(Clone, Debug)]
pub struct HostLimits {
    /// Flows in the worker's table: flow slots and masks are indexed by the flow's index.
    pub flows: u32,
    /// Segments that exist; a place beyond them is not believed.
    pub segments: u16,
    /// Spare instances per plugin.
    pub spares: usize,
    /// Bytes of buffers that one plugin's batch keeps whole, for plugins that read by handle; a
    /// single event that shows more has its last buffers cut, counted.
    pub whole_bytes: u32,
    /// Verdicts taken from one batch; more are counted and dropped.
    pub verdicts: u32,
    /// The longest block that a plugin may propose.
    pub block: Duration,
    /// Faults from so many distinct offenders within [`HostLimits::fault_window`] are a quarantine.
    pub fault_offenders: u32,
    /// See [`HostLimits::fault_offenders`].
    pub fault_window: Duration,
    /// Faults of one offender after which it is not shown to the plugin until the window is over.
    pub fault_mute: u32,
    /// Measures what each rule costs, by this clock; `None` for a host that does real work.
    pub profile: Option<Clock>,
}

impl Default for HostLimits {
    fn default() -> Self {
        HostLimits {
            flows: 1 << 16,
            segments: u16::MAX,
            spares: 2,
            whole_bytes: 1 << 20,
            verdicts: 64,
            block: Duration::from_secs(32_768 * 60),
            fault_offenders: 4,
            fault_window: Duration::from_secs(60),
            fault_mute: 3,
            profile: None,
        }
    }
}

/// The first rest of a quarantined plugin; doubled each time up to [`REST_MAX`].
pub(crate) const REST_MIN: Duration = Duration::from_secs(1);
/// The longest rest.
pub(crate) const REST_MAX: Duration = Duration::from_secs(60);
/// Peace after which the rest is the shortest again.
pub(crate) const REST_FORGIVEN: Duration = Duration::from_secs(600);
/// Offenders that a plugin's fault log remembers; the oldest goes first.
pub(crate) const FAULT_LOG: usize = 64;
/// Plugin events kept until they are taken; more are counted and dropped.
pub(crate) const EVENTS_MAX: usize = 256;
/// Bytes of evidence in a finding.
pub(crate) const EVIDENCE_MAX: u32 = 256;

impl HostLimits {
    /// What one host keeps for each flow, whatever the plugins.
    pub fn memory_terms(&self) -> Vec<MemoryTerm> {
        vec![MemoryTerm {
            what: format!("plugin masks of {} flows, 28 bytes", self.flows),
            bytes: u64::from(self.flows) * 28,
        }]
    }
}
