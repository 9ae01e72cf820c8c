//! A loaded plugin: its manifest, and what instances are made from.

use crate::manifest::{Manifest, Rule};
use crate::places::Places;
use crate::shared::SharedTables;
use crate::warm::Sandboxed;
use portcullis_plugin_abi::{Call, NativeGuest};
use portcullis_types::Action;
use std::sync::Arc;

/// What the operator allows a plugin.
#[derive(Clone, Debug)]
pub struct Grants {
    /// The largest action; what exceeds it is cut.
    pub max_action: Action,
    /// Whether `pass` may be said: it takes traffic out of everybody's sight.
    pub pass: bool,
    /// Host functions.
    pub calls: Vec<Call>,
    /// MiB of memory for one instance.
    pub memory_mib: u32,
    /// Settings for the detector: lines of `key = value`.
    pub config: String,
}

impl Grants {
    /// What a plugin gets unless the operator says otherwise: all actions but `pass`, all host
    /// functions, 16 MiB.
    pub fn standard() -> Self {
        Grants {
            max_action: Action::TerminateAndBlock,
            pass: false,
            calls: portcullis_plugin_abi::CALLS.iter().map(|row| row.0).collect(),
            memory_mib: 16,
            config: String::new(),
        }
    }
}

/// Makes a natively compiled detector.
pub type NativeFactory = fn() -> Box<dyn NativeGuest>;

/// What instances are made from.
pub(crate) enum Body {
    Sandboxed(Sandboxed),
    Native(NativeFactory),
}

/// A loaded plugin, shared by all hosts. Making an instance of it is [`Plugin::warm`].
pub struct Plugin {
    pub(crate) manifest: Manifest,
    pub(crate) grants: Grants,
    pub(crate) places: Places,
    pub(crate) shared: Arc<SharedTables>,
    pub(crate) body: Body,
    pub(crate) anomalies: Arc<[String]>,
    pub(crate) seed: [u64; 2],
}

impl Plugin {
    /// What it is, wants and may say.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its rules, ordered by sid.
    pub fn rules(&self) -> &[Rule] {
        &self.manifest.rules
    }

    /// What the operator allows it.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// Its shared counters and bits.
    pub fn shared(&self) -> &Arc<SharedTables> {
        &self.shared
    }

    /// Bytes of guest memory that one instance can take.
    pub fn instance_bytes(&self) -> u64 {
        u64::from(self.manifest.memory_mib) << 20
    }

    /// Bytes that one host keeps for each flow on this plugin's behalf.
    pub fn flow_bytes(&self) -> u64 {
        if self.manifest.flow_state == 0 { 0 } else { u64::from(self.manifest.flow_state) + 4 }
    }

    pub(crate) fn allows(&self, call: Call) -> bool {
        self.manifest.calls.contains(&call) && self.grants.calls.contains(&call)
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.manifest.name, self.manifest.version)
    }
}
