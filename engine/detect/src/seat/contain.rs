//! What happens when the guest faults: the instance is thrown away, one event is blamed, a spare
//! takes over, and a plugin that keeps faulting rests.

use super::{Desk, Offered, Seat};
use crate::conduct::Step;
use crate::fault::{Fault, FaultKind, PluginEvent};
use crate::places::STRIDES;
use crate::slots::Finished;
use portcullis_plugin_abi::{Event, EventKind, record, write_record};
use portcullis_types::Party;

impl Seat {
    /// Throws the faulted instance away and lets a spare take over its batch.
    pub(super) fn replace(&mut self, kind: FaultKind, culprit: u32, desk: &mut Desk<'_>) {
        self.collect_lines(desk);
        self.collect_metrics();
        let Some(mut old) = self.instance.take() else { return };
        let offender = self.pending.get(culprit as usize).map_or(Party::Nobody, Offered::sender);
        let at = desk.now;
        self.event(PluginEvent::Discarded { kind, offender, at }, desk);
        let Some(mut spare) = self.spares.pop() else { return };
        for (to, from) in spare.input().iter_mut().zip(old.input().iter()) {
            *to = *from;
        }
        let places = self.plugin.places;
        for (i, &flow) in self.slots_used.iter().enumerate() {
            let at = places.slots_at as usize + i * places.slot_len as usize;
            let room = spare.input().get_mut(at..at + places.slot_len as usize);
            if let (Some(room), Some(slot)) = (room, self.slots.slot(flow)) {
                room.copy_from_slice(slot);
            }
        }
        self.instance = Some(spare);
    }

    /// Blames one event: its flow goes unscanned by this plugin, its sender is noted.
    pub(super) fn blame(&mut self, culprit: u32, kind: FaultKind, desk: &mut Desk<'_>) -> bool {
        if let Some(n) = self.counters.faults.get_mut(kind as usize) {
            *n += 1;
        }
        let Some(offered) = self.pending.get(culprit as usize) else { return false };
        let (offender, flow, at) = (offered.sender(), offered.flow, offered.at);
        if !matches!(offered.kind, EventKind::Tick | EventKind::EndOfInput) {
            let (plugin, frame) = (self.id, offered.frame);
            desk.faults.push(Fault { plugin, flow, frame, offender, kind, at });
        }
        if let Some(flow) = flow {
            desk.marks.push((flow, self.bit, Finished::Flow));
        }
        let step = self.conduct.fault(offender, desk.now, desk.limits);
        let muted = matches!(step, Step::Mute(_));
        self.take_back(culprit, |o| {
            (flow.is_some() && o.flow == flow) || (muted && o.sender() == offender)
        });
        match step {
            Step::None => false,
            Step::Mute(until) => {
                self.event(PluginEvent::Muted { offender, until }, desk);
                false
            }
            Step::Rest { rest, offenders } => self.rest(rest, offenders, desk),
        }
    }

    /// Takes back the later events that match: the guest skips an event of kind 0.
    pub(super) fn take_back(&mut self, behind: u32, matching: impl Fn(&Offered) -> bool) {
        let places = self.plugin.places;
        let Some(instance) = &mut self.instance else { return };
        let arena = instance.input();
        for (i, offered) in self.pending.iter_mut().enumerate().skip(behind as usize + 1) {
            if !matching(offered) {
                continue;
            }
            let at = places.events_at as usize + i * STRIDES[1] as usize;
            let void = Event { kind: 0, ..record(arena.get(at..).unwrap_or(&[])) };
            offered.void = write_record(arena, at, &void);
            self.counters.unjudged += 1;
        }
    }

    pub(super) fn rest(
        &mut self,
        rest: std::time::Duration,
        offenders: u32,
        desk: &mut Desk<'_>,
    ) -> bool {
        self.event(PluginEvent::Quarantined { rest, offenders }, desk);
        self.resting_until = Some(desk.now + rest);
        let Some(previous) = self.previous.take() else { return false };
        let from = self.plugin.manifest.version.clone();
        let to = previous.manifest.version.clone();
        let schemas = (self.plugin.manifest.schema, previous.manifest.schema);
        let zeroed = self.adopt(previous, desk.limits);
        self.event(PluginEvent::RolledBack { from, to }, desk);
        if zeroed {
            self.event(PluginEvent::SlotsZeroed { from: schemas.0, to: schemas.1 }, desk);
        }
        true
    }

    /// No instance could be made: counts as a fault at init.
    pub(crate) fn init_failed(&mut self, desk: &mut Desk<'_>) -> bool {
        match self.conduct.fault(Party::Nobody, desk.now, desk.limits) {
            Step::Rest { rest, offenders } => self.rest(rest, offenders, desk),
            Step::None | Step::Mute(_) => false,
        }
    }

    /// The events from `first` on found no instance.
    pub(super) fn unjudged(&mut self, first: u32, desk: &mut Desk<'_>) {
        for offered in self.pending.iter().skip(first as usize).filter(|o| !o.void) {
            self.counters.unjudged += 1;
            if let Some(n) = self.counters.faults.get_mut(FaultKind::NoInstance as usize) {
                *n += 1;
            }
            if matches!(offered.kind, EventKind::Tick | EventKind::EndOfInput) {
                continue;
            }
            desk.faults.push(Fault {
                plugin: self.id,
                flow: offered.flow,
                frame: offered.frame,
                offender: offered.sender(),
                kind: FaultKind::NoInstance,
                at: offered.at,
            });
        }
    }

    /// Ends a rest that is over and puts a spare where an instance is missing.
    pub(crate) fn recover(&mut self, desk: &mut Desk<'_>) {
        if self.instance.is_none() {
            self.instance = self.spares.pop();
        }
        if self.resting_until.is_some_and(|until| desk.now >= until) && self.instance.is_some() {
            self.resting_until = None;
            self.event(PluginEvent::Resumed, desk);
        }
    }
}
