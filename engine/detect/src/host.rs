//! The flow-scope plugins of one worker: inline, at the end of the burst.

use crate::fault::{Fault, PluginEvent};
use crate::instance::Instance;
use crate::interest::Interests;
use crate::limits::HostLimits;
use crate::manifest::Scope;
use crate::offer::Offer;
use crate::panel::{InstallError, Panel};
use crate::plugin::Plugin;
use crate::profile::Profile;
use crate::seat::{Retired, SeatCounters};
use crate::slots::{FlowRef, Masks};
use portcullis_plugin_abi::{Direction, EventKind};
use portcullis_types::{Finding, PluginId, Tick};
use std::sync::Arc;

/// All flow-scope plugins of one worker.
pub struct FlowHost {
    panel: Panel,
    masks: Masks,
}

impl FlowHost {
    /// Without plugins.
    pub fn new(limits: HostLimits) -> Self {
        FlowHost { masks: Masks::new(limits.flows), panel: Panel::new(Scope::Flow, limits) }
    }

    /// The test that comes before building any record.
    #[inline]
    pub fn interests(&self) -> &Interests {
        &self.panel.interests
    }

    /// Shows an event to the plugins that want it and have not finished with the flow. Records are
    /// written straight into guest memory; a batch that is full is run here, and what it finds
    /// comes with the next [`FlowHost::run`].
    #[inline]
    pub fn offer(&mut self, offer: &Offer<'_>) {
        let Some(kind) = EventKind::from_number(offer.event.kind) else { return };
        let (protocol, port) = (offer.flow.protocol, offer.flow.server_port);
        let mut seats = self.panel.interests.wanting(kind, protocol, port);
        if seats == 0 {
            return;
        }
        if let Some(flow) = offer.flow_ref {
            seats &= !self.masks.done(flow, offer.event.direction);
            if offer.event.transaction != 0 && kind == EventKind::Transaction {
                seats &= !self.masks.finished(flow, offer.event.transaction);
            }
        }
        if matches!(kind, EventKind::StreamData | EventKind::Transaction) {
            seats = self.panel.interests.wanting_application(seats, offer.flow.application);
        }
        let direction = offer.event.direction;
        let free = self.panel.interests.wanting_without_hits(seats, kind, direction, offer.flow);
        if free != seats {
            let mut found = seats & !free & self.panel.hit(offer.hits);
            if let (Some(flow), true) = (offer.flow_ref, found != 0) {
                let kib = (offer.flow.bytes_to_server + offer.flow.bytes_to_client) >> 10;
                let paused = found & self.masks.paused(flow, kib);
                self.panel.count_paused(paused);
                found &= !paused;
            }
            seats = free | found;
        }
        self.panel.offer(seats, kind, offer);
        self.mark();
    }

    /// Runs all batches and the ticks that are due; appends what was found and what faulted, in an
    /// order that depends on nothing but the offers.
    pub fn run(&mut self, now: Tick, findings: &mut Vec<Finding>, faults: &mut Vec<Fault>) {
        self.panel.run(now, findings, faults);
        self.mark();
    }

    /// The input is over: as [`FlowHost::run`], and the last event there is.
    pub fn end_of_input(
        &mut self,
        now: Tick,
        findings: &mut Vec<Finding>,
        faults: &mut Vec<Fault>,
    ) {
        self.panel.end(now, findings, faults);
        self.mark();
    }

    #[inline]
    fn mark(&mut self) {
        for (flow, bit, finished) in self.panel.marks.drain(..) {
            self.masks.mark(flow, bit, finished);
        }
    }

    /// Whether no plugin reads this direction of the flow any more: it can take the fast road.
    #[inline]
    pub fn is_read(&self, flow: FlowRef, direction: Direction) -> bool {
        self.panel.interests.readers() & !self.masks.done(flow, direction.number()) != 0
    }

    /// Whether any plugin wants this kind of event of this direction of the flow: of packets,
    /// streams and transactions, whether there is anything to reassemble and decode for.
    #[inline]
    pub fn reads(&self, flow: FlowRef, direction: Direction, kind: EventKind) -> bool {
        self.panel.interests.readers_of(kind) & !self.masks.done(flow, direction.number()) != 0
    }

    /// Whether what is found in a flow that has had so many KiB of frames is of use: not where all
    /// that look for anything have paused it.
    #[inline]
    pub fn looks(&self, flow: FlowRef, kib: u64) -> bool {
        let looking = self.panel.interests.looking();
        looking == 0 || looking & !self.masks.paused(flow, kib) != 0
    }

    /// Puts a warmed instance to work, at a burst boundary. An id that is there already is
    /// swapped: flow slots stay where the schema is the same. Flows that the version before had
    /// finished with, or had choked on, stay so: a pass over all flows would stall the burst.
    ///
    /// # Errors
    /// The instance, where it cannot be seated.
    pub fn install(
        &mut self,
        id: PluginId,
        instance: Instance,
    ) -> Result<Option<Retired>, InstallError> {
        let retired = self.panel.install(id, instance)?;
        self.mark();
        Ok(retired)
    }

    /// Takes a plugin out of work, after its pending batch. Its seat stays reserved for its id.
    pub fn unload(&mut self, id: PluginId) {
        self.panel.unload(id);
        self.mark();
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
