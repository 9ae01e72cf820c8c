//! The manifest: what a plugin is, wants and may say. Read from a custom section, never by
//! running code; parsed once into a form in which nothing needs checking again.

mod read;

pub(crate) use read::capability_names;

use crate::LoadError;
use crate::pattern::Patterns;
use portcullis_plugin_abi::{Call, EventKind, FLOW_STATE_MAX, PartyKind};
use portcullis_types::{Action, Class, Reach, RuleMeta};
use read::bad;
use std::sync::Arc;
use std::time::Duration;

/// Where a plugin runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// In every worker, inline.
    Flow,
    /// On threads of its own, in shards.
    Host,
}

/// By what a host-scope plugin's events are sharded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shard {
    /// By the client's address.
    Source,
    /// By the server's address.
    Target,
    /// One instance sees all.
    None,
}

/// One of the manifest's rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// What the rest of the engine knows of it.
    pub meta: Arc<RuleMeta>,
    /// Who did it, where the guest does not say.
    pub offender: PartyKind,
    /// To whom, where the guest does not say.
    pub target: PartyKind,
    /// What it is about, where the guest does not say.
    pub reach: Reach,
}

/// A manifest, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// Its name: `a-z`, `0-9`, `-`.
    pub name: Arc<str>,
    /// Who made it.
    pub vendor: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// Classes that it may assert.
    pub classes: Vec<Class>,
    /// Where it runs.
    pub scope: Scope,
    /// How it is sharded.
    pub shard: Shard,
    /// Event kinds wanted.
    pub events: Vec<EventKind>,
    /// IP protocols wanted; empty means all.
    pub protocols: Vec<u8>,
    /// IP protocols whose plain packets are wanted; empty means as `protocols`.
    pub packet_protocols: Vec<u8>,
    /// Server ports wanted, inclusive ranges; empty means all.
    pub ports: Vec<(u16, u16)>,
    /// Anomalies wanted by name; empty means all.
    pub anomalies: Vec<String>,
    /// Application protocols whose streams and transactions are wanted; empty means all.
    pub applications: Vec<u16>,
    /// Bytes wanted of each buffer whose kind is not in `snaps`.
    pub snap: u32,
    /// Bytes wanted of buffers by their kind.
    pub snaps: Vec<(u16, u32)>,
    /// Whether packets, streams and transactions are wanted only where a pattern was found, or
    /// where the plugin's rules always want them.
    pub only_hits: bool,
    /// The section whose rules are its rules.
    pub section: Option<Arc<str>>,
    /// What it looks for, by its manifest.
    pub patterns: Patterns,
    /// MiB of memory.
    pub memory_mib: u32,
    /// Fuel for one event, for init and for a tick.
    pub fuel: Fuel,
    /// Bytes of a flow slot.
    pub flow_state: u32,
    /// Schema version of the flow slot.
    pub schema: u32,
    /// Cadence of ticks.
    pub tick: Option<Duration>,
    /// Host functions asked for.
    pub calls: Vec<Call>,
    /// Names of metrics.
    pub metrics: Vec<String>,
    /// The most that any rule asks for.
    pub max_action: Action,
    /// Generator id.
    pub gid: u32,
    /// Rules, ordered by sid; beside those of the section, where there is one.
    pub rules: Vec<Rule>,
}

/// Budgets, in units of fuel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fuel {
    /// For one event; a batch has as many times that.
    pub event: u64,
    /// For init.
    pub init: u64,
    /// For a tick.
    pub tick: u64,
}

impl Manifest {
    /// What no single field shows.
    fn limited(self) -> Result<Manifest, LoadError> {
        let name_ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(name_ok) {
            return Err(bad("`name` has 1 to 64 characters of a-z, 0-9 and `-`"));
        }
        if self.classes.is_empty() {
            return Err(bad("`classes` is empty; write [\"attack\"], [\"suspicious\"] or both"));
        }
        if self.events.is_empty() && self.tick.is_none() {
            return Err(bad("it wants no events and no ticks; name some in `events`"));
        }
        if self.scope == Scope::Flow && self.shard != Shard::None {
            return Err(bad("`shard` is for scope = \"host\"; remove it"));
        }
        if self.scope == Scope::Host && self.flow_state > 0 {
            return Err(bad("`flow_state` is for scope = \"flow\"; use count and bit instead"));
        }
        if self.scope == Scope::Host && self.snap > 0 {
            return Err(bad(
                "`snap` is for scope = \"flow\": host scope gets no payload; remove it",
            ));
        }
        if self.scope == Scope::Host && !self.patterns.is_empty() {
            return Err(bad("`[[pattern]]` is for scope = \"flow\"; remove it"));
        }
        if self.section.is_some() && !self.patterns.is_empty() {
            return Err(bad(
                "with `section`, patterns are in the section; remove [[pattern]] and \
                 [[regex]]",
            ));
        }
        if self.only_hits && !self.looks() {
            return Err(bad(
                "`only_hits` needs something to find; write [[pattern]], `section`, or \
                 the capability \"pattern\"",
            ));
        }
        if self.flow_state > FLOW_STATE_MAX || !self.flow_state.is_multiple_of(8) {
            return Err(bad("`flow_state` is a multiple of 8 from 0 to 256"));
        }
        if self.snap > 65_535 || self.snaps.iter().any(|s| s.1 > 65_535) {
            return Err(bad("`snap` and those of [snaps] are at most 65535"));
        }
        if self.fuel.event == 0 || self.fuel.event > 100_000_000 {
            return Err(bad("`fuel` goes from 1 to 100000000 units for one event"));
        }
        if self.fuel.init > 100_000_000_000 || self.fuel.tick > 1_000_000_000 {
            return Err(bad("`fuel_init` is at most 100000000000, `fuel_tick` 1000000000"));
        }
        if self.metrics.len() > 64 || self.rules.len() > 65_536 {
            return Err(bad("there are at most 64 metrics and 65536 rules"));
        }
        if self.events.iter().any(|e| matches!(e, EventKind::Tick | EventKind::EndOfInput)) {
            return Err(bad("`events` does not name ticks; write tick_ms = 1000"));
        }
        Ok(self)
    }

    /// A rule by its number.
    #[inline]
    pub fn rule(&self, sid: u32) -> Option<&Rule> {
        let at = self.rules.binary_search_by_key(&sid, |r| r.meta.id.sid).ok()?;
        self.rules.get(at)
    }

    /// One of its own rules, beside those of a section; `gid` 0 is its own generator.
    pub(crate) fn own_rule(&self, gid: u32, sid: u32) -> Option<&Rule> {
        self.rule(sid).filter(|_| gid == 0 || gid == self.gid)
    }

    /// Whether a kind of event is wanted.
    pub fn wants(&self, kind: EventKind) -> bool {
        self.events.contains(&kind)
    }

    /// Bytes wanted of a buffer of that kind.
    pub fn snap_of(&self, kind: u16) -> u32 {
        self.snaps.iter().find(|s| s.0 == kind).map_or(self.snap, |s| s.1)
    }

    /// Kinds of buffers whose bytes it asks to be shown by name.
    pub(crate) fn reads(&self) -> Vec<u16> {
        self.snaps.iter().filter(|(_, snap)| *snap > 0).map(|(kind, _)| *kind).collect()
    }

    /// Whether it can have patterns: its own, its section's, or those that its code gives.
    pub fn looks(&self) -> bool {
        !self.patterns.is_empty()
            || self.section.is_some()
            || self.calls.contains(&Call::PatternSet)
    }

    /// Whether it may read buffers by handle, and so the host keeps them whole.
    pub fn reads_whole(&self) -> bool {
        self.calls.iter().any(|c| matches!(c, Call::BufferRead | Call::RegexMatch))
    }
}
