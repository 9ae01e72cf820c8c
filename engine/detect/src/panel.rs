//! All plugins of one host in their seats: what [`crate::FlowHost`] and [`crate::HostShard`] share.

use crate::fault::{Fault, PluginEvent};
use crate::instance::Instance;
use crate::interest::{Interests, Seats};
use crate::limits::{HostLimits, PLUGINS_MAX};
use crate::manifest::Scope;
use crate::offer::{Offer, OfferedHit};
use crate::plugin::Plugin;
use crate::profile::Profile;
use crate::seat::{Desk, Retired, Seat, SeatCounters};
use crate::slots::{Finished, FlowRef};
use portcullis_plugin_abi::EventKind;
use portcullis_types::{Addr, Finding, FlowFacts, PluginId, Proof, SegmentId, Tick, VlanStack};
use std::sync::Arc;

/// Why an instance was not installed. It comes back, to be dropped off the street.
#[derive(thiserror::Error)]
pub enum InstallError {
    /// All seats are taken.
    #[error("there are 32 plugins of this scope already; unload one first")]
    Full(Box<Instance>),
    /// The plugin has the other scope.
    #[error("the plugin has another scope; install it in the host of its `scope`")]
    Scope(Box<Instance>),
    /// The seat has another version by now.
    #[error("the seat has another version by now; warm that one")]
    Version(Box<Instance>),
}

impl std::fmt::Debug for InstallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

pub(crate) struct Panel {
    pub(crate) limits: HostLimits,
    pub(crate) interests: Interests,
    pub(crate) now: Tick,
    pub(crate) marks: Vec<(FlowRef, u32, Finished)>,
    scope: Scope,
    seats: Vec<Seat>,
    findings: Vec<Finding>,
    faults: Vec<Fault>,
    events: Vec<(PluginId, PluginEvent)>,
    place: FlowFacts,
}

/// A desk over the panel's own vectors.
macro_rules! desk {
    ($panel:expr) => {
        Desk {
            limits: &$panel.limits,
            now: $panel.now,
            findings: &mut $panel.findings,
            faults: &mut $panel.faults,
            events: &mut $panel.events,
            marks: &mut $panel.marks,
        }
    };
}

impl Panel {
    pub(crate) fn new(scope: Scope, limits: HostLimits) -> Self {
        Panel {
            limits,
            scope,
            interests: Interests::default(),
            now: Tick::ZERO,
            marks: Vec::with_capacity(64),
            seats: Vec::new(),
            findings: Vec::with_capacity(64),
            faults: Vec::with_capacity(64),
            events: Vec::with_capacity(64),
            place: nowhere(),
        }
    }

    /// Shows an event to the plugins in `seats`; runs a batch that is full.
    #[inline]
    pub(crate) fn offer(&mut self, seats: Seats, kind: EventKind, offer: &Offer<'_>) {
        let mut seats = seats;
        if kind == EventKind::Anomaly {
            seats = self.interests.wanting_anomaly(seats, offer.event.code);
        }
        while seats != 0 {
            let index = seats.trailing_zeros() as usize;
            seats &= seats - 1;
            let Some(seat) = self.seats.get_mut(index) else { return };
            if seat.is_full(offer) {
                self.now = self.now.max(Tick(offer.event.at));
                self.run_seat(index);
            }
            if let Some(seat) = self.seats.get_mut(index) {
                seat.push(offer, kind, &self.limits);
            }
        }
    }

    /// Whose patterns were found.
    #[inline]
    pub(crate) fn hit(&self, hits: &[OfferedHit]) -> Seats {
        let bit = |hit: &OfferedHit| {
            self.seats.iter().find(|s| s.id == hit.plugin).map_or(0, |seat| seat.bit)
        };
        hits.iter().fold(0, |all, hit| all | bit(hit))
    }

    /// Plugins were not shown what was found, since they had paused.
    #[inline]
    pub(crate) fn count_paused(&mut self, seats: Seats) {
        if seats != 0 {
            for seat in self.seats.iter_mut().filter(|s| s.bit & seats != 0) {
                seat.counters.paused += 1;
            }
        }
    }

    fn run_seat(&mut self, index: usize) {
        let Some(seat) = self.seats.get_mut(index) else { return };
        if seat.run(&mut desk!(self)) {
            self.rebuild();
        }
    }

    /// Runs all batches, then the ticks that are due.
    pub(crate) fn run(&mut self, now: Tick, findings: &mut Vec<Finding>, faults: &mut Vec<Fault>) {
        self.now = self.now.max(now);
        let mut changed = false;
        for seat in self.seats.iter_mut().filter(|s| !s.unloaded) {
            let mut desk = desk!(self);
            changed |= seat.run(&mut desk);
            seat.recover(&mut desk);
            let Some(cadence) = seat.plugin.manifest.tick else { continue };
            match seat.next_tick {
                Some(due) if desk.now < due => continue,
                Some(_) => {
                    changed |= seat.run_alone(EventKind::Tick, &self.place, &mut desk);
                }
                None => {}
            }
            seat.next_tick = Some(following(desk.now, cadence));
        }
        if changed {
            self.rebuild();
        }
        findings.append(&mut self.findings);
        faults.append(&mut self.faults);
    }

    /// The input is over: everything pending, then the last event there is.
    pub(crate) fn end(&mut self, now: Tick, findings: &mut Vec<Finding>, faults: &mut Vec<Fault>) {
        self.run(now, findings, faults);
        for seat in self.seats.iter_mut().filter(|s| !s.unloaded) {
            seat.run_alone(EventKind::EndOfInput, &self.place, &mut desk!(self));
        }
        findings.append(&mut self.findings);
        faults.append(&mut self.faults);
    }

    /// Puts a warmed instance to work. A seat with that id is swapped: slots stay if the schema is
    /// the same, and the version before is what a rollback returns to.
    pub(crate) fn install(
        &mut self,
        id: PluginId,
        instance: Instance,
    ) -> Result<Option<Retired>, InstallError> {
        if instance.plugin().manifest.scope != self.scope {
            return Err(InstallError::Scope(Box::new(instance)));
        }
        let version = instance.plugin().manifest.version.clone();
        let data = instance.plugin().reading.data.version.clone();
        let mut retired = None;
        let known = self.seats.iter().position(|s| s.id == id);
        let index = known.unwrap_or(self.seats.len());
        if index >= PLUGINS_MAX {
            return Err(InstallError::Full(Box::new(instance)));
        }
        match self.seats.get_mut(index) {
            None => self.seats.push(Seat::new(id, 1 << index, instance, &self.limits)),
            Some(seat) => {
                let mut desk = desk!(self);
                seat.run(&mut desk);
                let (from, to) = (seat.plugin.manifest.schema, instance.plugin().manifest.schema);
                let (old, zeroed) = seat.take_over(instance, desk.limits);
                retired = Some(old);
                if zeroed {
                    seat.event(PluginEvent::SlotsZeroed { from, to }, &mut desk);
                }
            }
        }
        if let Some(seat) = self.seats.get_mut(index) {
            seat.event(PluginEvent::Installed { version, data }, &mut desk!(self));
        }
        self.rebuild();
        Ok(retired)
    }

    /// Takes a plugin out of work, after its pending batch.
    pub(crate) fn unload(&mut self, id: PluginId) {
        let Some(seat) = self.seats.iter_mut().find(|s| s.id == id) else { return };
        seat.run(&mut desk!(self));
        seat.unload();
        self.rebuild();
    }

    /// What a control thread should warm: plugin, version, how many.
    pub(crate) fn needs_spare(&self) -> impl Iterator<Item = (PluginId, Arc<Plugin>, usize)> {
        self.seats.iter().filter(|s| !s.unloaded).filter_map(|seat| {
            let have = usize::from(seat.instance.is_some()) + seat.spares.len();
            let missing = (self.limits.spares + 1).saturating_sub(have);
            (missing > 0).then(|| (seat.id, seat.plugin.clone(), missing))
        })
    }

    pub(crate) fn install_spare(
        &mut self,
        id: PluginId,
        instance: Instance,
    ) -> Result<(), InstallError> {
        let spares = self.limits.spares;
        let seat = self.seats.iter_mut().find(|s| s.id == id);
        match seat.filter(|s| !s.unloaded && Arc::ptr_eq(&s.plugin, instance.plugin())) {
            Some(seat) if seat.instance.is_none() => seat.instance = Some(instance),
            Some(seat) if seat.spares.len() < spares => seat.spares.push(instance),
            Some(_) => return Err(InstallError::Full(Box::new(instance))),
            None => return Err(InstallError::Version(Box::new(instance))),
        }
        Ok(())
    }

    /// A spare could not be warmed: a fault at init counts towards quarantine.
    pub(crate) fn init_failed(&mut self, id: PluginId) {
        let Some(seat) = self.seats.iter_mut().find(|s| s.id == id) else { return };
        if seat.init_failed(&mut desk!(self)) {
            self.rebuild();
        }
    }

    pub(crate) fn take_events(&mut self, into: &mut Vec<(PluginId, PluginEvent)>) {
        into.append(&mut self.events);
    }

    pub(crate) fn counters(&self) -> impl Iterator<Item = (PluginId, &SeatCounters)> {
        self.seats.iter().map(|s| (s.id, &s.counters))
    }

    pub(crate) fn profiles(&self) -> impl Iterator<Item = (PluginId, &Profile)> {
        self.seats.iter().filter_map(|s| Some((s.id, s.profile.as_deref()?)))
    }

    pub(crate) fn metrics(&mut self, mut each: impl FnMut(PluginId, &str, i64)) {
        for seat in &mut self.seats {
            let (id, plugin) = (seat.id, seat.plugin.clone());
            for (name, value) in plugin.manifest.metrics.iter().zip(seat.metrics()) {
                each(id, name, *value);
            }
        }
    }

    pub(crate) fn plugins(&self) -> impl Iterator<Item = (PluginId, &Arc<Plugin>)> {
        self.seats.iter().filter(|s| !s.unloaded).map(|s| (s.id, &s.plugin))
    }

    fn rebuild(&mut self) {
        self.interests = Interests::default();
        for (index, seat) in self.seats.iter().enumerate().filter(|(_, s)| !s.unloaded) {
            let (plugin, always) = (&seat.plugin, &seat.plugin.patterns().always);
            self.interests.add(index, &plugin.manifest, &plugin.anomalies, always);
        }
    }
}

/// The next multiple of the cadence: ticks are on the same moments whatever the batches were.
fn following(now: Tick, cadence: std::time::Duration) -> Tick {
    let cadence = u64::try_from(cadence.as_nanos()).unwrap_or(u64::MAX).max(1);
    Tick((now.0 / cadence).saturating_add(1).saturating_mul(cadence))
}

/// The facts of a tick, before a verdict names its place.
fn nowhere() -> FlowFacts {
    FlowFacts {
        segment: SegmentId(0),
        vlan: VlanStack::UNTAGGED,
        tunnel: 0,
        protocol: 0,
        client: Addr::UNSPECIFIED,
        server: Addr::UNSPECIFIED,
        client_port: 0,
        server_port: 0,
        client_inside: false,
        server_inside: false,
        client_proof: Proof::None,
        server_proof: Proof::None,
    }
}
