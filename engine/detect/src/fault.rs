//! What can go wrong with a plugin, as values. Nothing here acts.

use portcullis_types::{FrameIndex, Party, PluginId, Tick};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How a guest faulted. Alphabetical.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum FaultKind {
    /// It burnt its budget of fuel.
    Fuel,
    /// It touched memory beyond its own, or its stack overflowed.
    Memory,
    /// No spare instance was left: the event was not judged.
    NoInstance,
    /// It trapped otherwise: a panic, a division by zero, an unreachable instruction.
    Trap,
}

impl FaultKind {
    /// All of them, in the order of their counters.
    pub const ALL: [FaultKind; 4] =
        [FaultKind::Fuel, FaultKind::Memory, FaultKind::NoInstance, FaultKind::Trap];

    /// The label in metrics and events.
    pub const fn name(self) -> &'static str {
        match self {
            FaultKind::Fuel => "fuel",
            FaultKind::Memory => "memory",
            FaultKind::NoInstance => "no_instance",
            FaultKind::Trap => "trap",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One event that a plugin did not judge. Its flow is `unscanned: fault` and follows `on_fault`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Whose fault.
    pub plugin: PluginId,
    /// The flow that the event belongs to.
    pub flow: Option<(u32, u32)>,
    /// The frame in the burst that carried it.
    pub frame: Option<FrameIndex>,
    /// Who sent what the plugin choked on.
    pub offender: Party,
    /// How.
    pub kind: FaultKind,
    /// When.
    pub at: Tick,
}

/// A step in a plugin's life, for the event log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PluginEvent {
    /// An instance faulted and was thrown away.
    Discarded {
        /// Why.
        kind: FaultKind,
        /// On whose packet; `Nobody` at init and ticks.
        offender: Party,
        /// When.
        at: Tick,
    },
    /// A version took over at a burst boundary.
    Installed {
        /// Its version.
        version: Arc<str>,
        /// The version of the sections that it was given, e.g. of rules.
        data: Option<Arc<str>>,
    },
    /// What the guest logged, printable, at most 256 bytes.
    Log {
        /// 0 error … 4 trace.
        level: u8,
        /// The text.
        text: Box<str>,
    },
    /// Packets from this offender are not shown to the plugin for a while: it choked on several.
    Muted {
        /// Who.
        offender: Party,
        /// Until then.
        until: Tick,
    },
    /// Resting after faults from several distinct offenders, or at init or ticks.
    Quarantined {
        /// For so long.
        rest: Duration,
        /// Distinct offenders that counted.
        offenders: u32,
    },
    /// Back from quarantine.
    Resumed,
    /// The previous version is wanted back; it works once its instance is installed.
    RolledBack {
        /// The version that failed.
        from: Arc<str>,
        /// The version wanted.
        to: Arc<str>,
    },
    /// Flow slots were zeroed since the new version has another schema.
    SlotsZeroed {
        /// Schema before.
        from: u32,
        /// Schema now.
        to: u32,
    },
}
