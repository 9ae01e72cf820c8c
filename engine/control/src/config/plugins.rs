//! `[plugins]`: where detectors are, and what each of them is allowed.

use super::engine::absolute;
use super::section::{Section, words};
use portcullis_types::Action;
use std::collections::BTreeMap;
use std::path::PathBuf;

words! {
    /// What happens to a flow whose detector faulted.
    OnFault {
        /// It passes unscanned.
        Open = "open",
        /// It is dropped.
        Closed = "closed",
    }
}

/// What a plugin may use beside reading what it is given, by the manifest's names.
pub const CAPABILITIES: [&str; 12] = [
    "bit", "buffer", "count", "fuel", "log", "metric", "pass", "pattern", "profile", "random",
    "regex", "section",
];

/// `[plugins.grant.NAME]`: what one plugin is allowed, whatever its manifest asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// Whether it is loaded at all.
    pub enabled: bool,
    /// Bytes of memory per instance.
    pub memory: u64,
    /// The most that a finding of it leads to.
    pub max_action: Action,
    /// What it may use; `None` is whatever the manifest asks for, but never `pass`.
    pub capabilities: Option<Vec<String>>,
    /// Settings for the detector: lines of `key = value`.
    pub config: String,
}

impl Default for Grant {
    fn default() -> Self {
        Grant {
            enabled: true,
            memory: 16 << 20,
            max_action: Action::TerminateAndBlock,
            capabilities: None,
            config: String::new(),
        }
    }
}

impl Grant {
    /// Whether `pass` may be said: it takes traffic out of everybody's sight.
    pub fn allows_pass(&self) -> bool {
        self.capabilities.as_ref().is_some_and(|list| list.iter().any(|c| c == "pass"))
    }

    fn read(mut s: Section<'_, '_>, default: &Grant) -> Self {
        let capability = |t: &str| {
            if CAPABILITIES.contains(&t) {
                Ok(t.to_owned())
            } else {
                Err(format!("write one of: {}", CAPABILITIES.join(", ")))
            }
        };
        let listed = s.has("capabilities");
        let capabilities = s.list("capabilities", Vec::new(), capability);
        let grant = Grant {
            enabled: s.switch("enabled", default.enabled),
            memory: s.size("memory", default.memory, MEMORY_MIN..=MEMORY_MAX),
            max_action: s.word("max_action", default.max_action),
            capabilities: listed.then_some(capabilities),
            config: s.text("config", &default.config),
        };
        s.finish();
        grant
    }
}

/// One wasm page is 64 KiB.
const MEMORY_MIN: u64 = 64 << 10;
/// A 32-bit guest cannot address more.
const MEMORY_MAX: u64 = 4 << 30;

/// `[plugins]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plugins {
    /// Every `*.wasm` in it is loaded, in the order of the names.
    pub dir: PathBuf,
    /// What happens to a flow whose detector faulted.
    pub on_fault: OnFault,
    /// Bytes of memory per instance for plugins without a grant of their own.
    pub memory: u64,
    /// Threads, and so instances, per host-scope plugin.
    pub host_shards: u16,
    /// Grants by the manifest's name.
    pub grants: BTreeMap<String, Grant>,
}

impl Default for Plugins {
    fn default() -> Self {
        Plugins {
            dir: "/usr/lib/portcullis/plugins".into(),
            on_fault: OnFault::Open,
            memory: Grant::default().memory,
            host_shards: 1,
            grants: BTreeMap::new(),
        }
    }
}

impl Plugins {
    /// What a plugin of this name is allowed.
    pub fn grant(&self, name: &str) -> Grant {
        let default = || Grant { memory: self.memory, ..Grant::default() };
        self.grants.get(name).cloned().unwrap_or_else(default)
    }

    pub(super) fn read(mut s: Section<'_, '_>) -> Self {
        let d = Plugins::default();
        let memory = s.size("memory", d.memory, MEMORY_MIN..=MEMORY_MAX);
        let default = Grant { memory, ..Grant::default() };
        let plugins = Plugins {
            dir: s.parsed("dir", d.dir, absolute),
            on_fault: s.word("on_fault", d.on_fault),
            memory,
            host_shards: s.number("host_shards", d.host_shards, 1..=64),
            grants: s
                .named_tables("grant")
                .into_iter()
                .map(|(name, below)| (name, Grant::read(below, &default)))
                .collect(),
        };
        s.finish();
        plugins
    }
}
