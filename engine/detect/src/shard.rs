//! The host-scope plugins of one shard: on a thread of its own, fed by rings.

use crate::fault::{Fault, PluginEvent};
use crate::instance::Instance;
use crate::interest::{Interests, Seats};
use crate::limits::HostLimits;
use crate::manifest::Scope;
use crate::offer::Offer;
use crate::panel::{InstallError, Panel};
use crate::plugin::Plugin;
use crate::profile::Profile;
use crate::seat::{Retired, SeatCounters};
use portcullis_plugin_abi::{Event, EventKind, FlowRec};
use portcullis_types::{Finding, FlowFacts, PluginId, Tick};
use std::sync::Arc;

/// An event on its way from a worker to a shard: values only.
#[derive(Clone, Copy, Debug)]
pub struct HostEvent {
    /// For which plugins of the shard ([`Interests::routes`]).
    pub seats: Seats,
    /// The flow as it stood.
    pub flow: FlowRec,
    /// What happened.
    pub event: Event,
    /// What a finding will carry.
    pub facts: FlowFacts,
}

/// All host-scope plugins of one shard. Every shard has them in the same order, so that seats mean
/// the same everywhere: install in the same order in all.
pub struct HostShard {
    panel: Panel,
}

impl HostShard {
    /// Without plugins. Of the limits, `flows` does not matter here: host scope has no slots.
    pub fn new(limits: HostLimits) -> Self {
        HostShard { panel: Panel::new(Scope::Host, HostLimits { flows: 0, ..limits }) }
    }

    /// Who wants what; workers hold a clone and send only what is wanted.
    #[inline]
    pub fn interests(&self) -> &Interests {
        &self.panel.interests
    }

    /// Takes an event.
    pub fn offer(&mut self, event: &HostEvent) {
        let Some(kind) = EventKind::from_number(event.event.kind) else { return };
        let offer = Offer {
            flow: &event.flow,
            event: event.event,
            buffers: &[],
            hits: &[],
            facts: &event.facts,
            frame: None,
            flow_ref: None,
        };
        self.panel.offer(event.seats, kind, &offer);
        self.panel.marks.clear();
    }

    /// Runs all batches and the ticks that are due by `now`.
    pub fn run(&mut self, now: Tick, findings: &mut Vec<Finding>, faults: &mut Vec<Fault>) {
        self.panel.run(now, findings, faults);
        self.panel.marks.clear();
    }

    /// Time passed without events: the same as [`HostShard::run`].
    pub fn tick(&mut self, now: Tick, findings: &mut Vec<Finding>, faults: &mut Vec<Fault>) {
        self.run(now, findings, faults);
    }

    /// The input is over: everything pending, then the last event there is.
    pub fn end_of_input(
        &mut self,
        now: Tick,
        findings: &mut Vec<Finding>,
        faults: &mut Vec<Fault>,
    ) {
        self.panel.end(now, findings, faults);
        self.panel.marks.clear();
    }

    /// Puts a warmed instance to work, between two runs.
    ///
    /// # Errors
    /// The instance, where it cannot be seated.
    pub fn install(
        &mut self,
        id: PluginId,
        instance: Instance,
    ) -> Result<Option<Retired>, InstallError> {
        self.panel.install(id, instance)
    }

    /// Takes a plugin out of work, after its pending batch. Its seat stays reserved for its id.
    pub fn unload(&mut self, id: PluginId) {
        self.panel.unload(id);
    }

    /// What a control thread should warm: plugin, version, how many.
    pub fn needs_spare(&self) -> impl Iterator<Item = (PluginId, Arc<Plugin>, usize)> {
        self.panel.needs_spare()
    }

    /// Takes a warmed spare; it becomes the instance where there is none.
    pub fn install_spare(&mut self, id: PluginId, spare: Instance) -> Result<(), InstallError> {
        self.panel.install_spare(id, spare)
    }

    /// Warming a spare failed: counts as a fault at init.
    pub fn init_failed(&mut self, id: PluginId) {
        self.panel.init_failed(id);
    }

    /// Steps in the plugins' lives since the last time.
    pub fn take_events(&mut self, into: &mut Vec<(PluginId, PluginEvent)>) {
        self.panel.take_events(into);
    }

    /// Figures per plugin.
    pub fn counters(&self) -> impl Iterator<Item = (PluginId, &SeatCounters)> {
        self.panel.counters()
    }

    /// What each plugin's rules cost, where that is measured ([`HostLimits::profile`]).
    pub fn profiles(&self) -> impl Iterator<Item = (PluginId, &Profile)> {
        self.panel.profiles()
    }

    /// The plugins' own metrics: plugin, name, value.
    pub fn metrics(&mut self, each: impl FnMut(PluginId, &str, i64)) {
        self.panel.metrics(each);
    }

    /// The plugins and their versions at work.
    pub fn plugins(&self) -> impl Iterator<Item = (PluginId, &Arc<Plugin>)> {
        self.panel.plugins()
    }
}
