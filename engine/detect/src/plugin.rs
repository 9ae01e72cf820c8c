//! A loaded plugin: its manifest, and what instances are made from.

use crate::LoadError;
use crate::data::{PluginData, RegexBank};
use crate::manifest::{Manifest, Rule};
use crate::offer::Shown;
use crate::pattern::Patterns;
use crate::places::Places;
use crate::shared::SharedTables;
use crate::warm::Sandboxed;
use portcullis_plugin_abi::{Call, NativeGuest, buffer_kind, code};
use portcullis_types::Action;
use std::sync::{Arc, OnceLock};

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
#[derive(Clone)]
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
    pub(crate) reading: Reading,
}

/// What a plugin reads beside its events, and how much of those.
pub(crate) struct Reading {
    pub(crate) data: PluginData,
    /// Snap lengths by kinds of buffers.
    snaps: Box<[u32; buffer_kind::COUNT]>,
    /// Whether buffers are kept whole for it.
    pub(crate) whole: bool,
    /// Whether it is shown any buffers at all.
    pub(crate) shows: bool,
    /// The manifest's patterns, or the section's.
    patterns: Arc<Patterns>,
    /// With those that its code gave, and the rows that it gave them by.
    given: OnceLock<(Box<[u8]>, Arc<Patterns>)>,
    regexes: OnceLock<Arc<dyn RegexBank>>,
}

impl Reading {
    pub(crate) fn new(manifest: &Manifest, data: PluginData) -> Result<Self, LoadError> {
        if let Some(name) = &manifest.section
            && (data.rules.is_none() || data.section(name.as_bytes()).is_none())
        {
            return Err(LoadError::SectionMissing(name.to_string()));
        }
        let mut snaps = Box::new([manifest.snap; buffer_kind::COUNT]);
        for &(kind, snap) in &manifest.snaps {
            if let Some(place) = snaps.get_mut(usize::from(kind)) {
                *place = snap;
            }
        }
        let patterns = match &data.rules {
            Some(rules) if manifest.section.is_some() => rules.patterns(),
            _ => Patterns { reads: manifest.reads(), ..manifest.patterns.clone() },
        };
        Ok(Reading {
            data,
            shows: manifest.reads_whole() || snaps.iter().any(|&snap| snap > 0),
            snaps,
            whole: manifest.reads_whole(),
            patterns: Arc::new(patterns),
            given: OnceLock::new(),
            regexes: OnceLock::new(),
        })
    }

    /// Bytes shown of a buffer of that kind.
    #[inline]
    pub(crate) fn snap(&self, kind: u16) -> usize {
        self.snaps.get(usize::from(kind)).map_or(0, |&n| n as usize)
    }

    /// Whether a buffer is the same bytes as its neighbour `before`, of which at least as many are
    /// shown: then they lie in the batch already.
    #[inline]
    pub(crate) fn shares(&self, shown: &Shown<'_>, before: &Shown<'_>) -> bool {
        !shown.bytes.is_empty()
            && std::ptr::eq(shown.bytes, before.bytes)
            && self.snap(shown.kind) <= self.snap(before.kind)
    }

    pub(crate) fn regexes(&self) -> Option<&dyn RegexBank> {
        self.regexes.get().map(|bank| &**bank)
    }

    /// Takes the patterns that an instance's code gives at init: the first instance's hold, and
    /// all others must give the same. Answers how many, or a code.
    pub(crate) fn give(&self, manifest: &Manifest, rows: &[u8]) -> i32 {
        if manifest.section.is_some() {
            return code::CONFLICT;
        }
        let mut patterns = (*self.patterns).clone();
        let Some(count) = patterns.add_rows(rows) else { return code::OUT_OF_RANGE };
        let (first, _) = self.given.get_or_init(|| (rows.into(), Arc::new(patterns)));
        if **first == *rows { i32::try_from(count).unwrap_or(i32::MAX) } else { code::CONFLICT }
    }
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

    /// One of its rules, wherever they come from; `gid` 0 stands for the manifest's.
    pub fn rule(&self, gid: u32, sid: u32) -> Option<Rule> {
        match &self.reading.data.rules {
            Some(table) if self.manifest.section.is_some() => {
                table.rule(gid, sid).or_else(|| self.manifest.own_rule(gid, sid).cloned())
            }
            _ => self.manifest.own_rule(gid, sid).cloned(),
        }
    }

    /// What it looks for. Complete once one instance has been warmed: its code may add to it.
    pub fn patterns(&self) -> Arc<Patterns> {
        match self.reading.given.get() {
            Some((_, patterns)) => patterns.clone(),
            None => self.reading.patterns.clone(),
        }
    }

    /// Gives it the regexes of [`Plugin::patterns`], made by whoever has a matcher: once, before
    /// an instance is installed. Answers `false` where it has some already. Without them
    /// `regex_match` answers `UNSUPPORTED`.
    pub fn give_regexes(&self, bank: Arc<dyn RegexBank>) -> bool {
        self.reading.regexes.set(bank).is_ok()
    }

    /// The same module under the same manifest and grants with other sections, e.g. newer rules:
    /// a plugin of its own, warmed and installed as one. Cheap: nothing is compiled.
    pub fn with_data(&self, data: PluginData) -> Result<Arc<Plugin>, LoadError> {
        Ok(Arc::new(Plugin {
            reading: Reading::new(&self.manifest, data)?,
            manifest: self.manifest.clone(),
            grants: self.grants.clone(),
            places: self.places,
            shared: self.shared.clone(),
            body: self.body.clone(),
            anomalies: self.anomalies.clone(),
            seed: self.seed,
        }))
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
