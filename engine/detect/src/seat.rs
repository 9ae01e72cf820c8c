//! One plugin in one host: its instance and spares, the batch being filled, and what happens when
//! the guest faults in the middle of it.
//!
//! ```text
//! offer ─► records straight into the guest's input arena ─► run ─► verdicts ─► findings
//!                                                            │
//!                  fault at event k: what was said before k stands;
//!                  k is blamed (for fuel: only after it failed alone, on a budget of its own);
//!                  a warmed spare takes over the rest of the batch
//! ```

use crate::check::{Refusal, finding};
use crate::conduct::{Conduct, Step};
use crate::fault::{Fault, FaultKind, PluginEvent};
use crate::instance::Instance;
use crate::limits::{EVENTS_MAX, HostLimits};
use crate::places::{HEADER_LEN, STRIDES};
use crate::plugin::Plugin;
use crate::slots::{Directions, FlowRef, Slots};
use portcullis_plugin_abi::{
    ABI, Batch, Buffer, BufferKind, Done, DoneScope, Event, EventKind, FlowRec, MAGIC, NONE,
    Output, record, write_record,
};
use portcullis_types::{Finding, FlowFacts, FrameIndex, Party, PluginId, Tick};
use std::sync::Arc;

/// Fuel for the batch loop itself, whatever the events: reading the header, the first calls.
const FUEL_BATCH: u64 = 20_000;

/// An event as it is offered to a host.
#[derive(Clone, Copy)]
pub struct Offer<'a> {
    /// The flow as it stands; its slot is filled in by the host.
    pub flow: &'a FlowRec,
    /// The event; its indices are filled in by the host.
    pub event: Event,
    /// Bytes behind the transport header; cut to each plugin's snap length.
    pub payload: &'a [u8],
    /// What a finding will carry.
    pub facts: &'a FlowFacts,
    /// The frame in the burst; `None` where there is none.
    pub frame: Option<FrameIndex>,
    /// The flow in its worker's table; `None` where there is none (ARP, host scope).
    pub flow_ref: Option<FlowRef>,
}

/// The host's own record of an event in the batch. The guest never sees it.
pub(crate) struct Offered {
    pub(crate) facts: FlowFacts,
    pub(crate) kind: EventKind,
    pub(crate) direction: u8,
    pub(crate) frame: Option<FrameIndex>,
    pub(crate) flow: Option<FlowRef>,
    pub(crate) at: Tick,
    pub(crate) buffer: Option<Shown>,
    /// Taken back: its flow or its sender made the guest fault earlier in this batch.
    void: bool,
}

/// A buffer as it was shown.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) index: u32,
    pub(crate) at: u32,
    pub(crate) len: u32,
}

impl Offered {
    fn sender(&self) -> Party {
        match (self.kind, self.direction) {
            (EventKind::Tick | EventKind::EndOfInput, _) => Party::Nobody,
            (_, 0) => Party::Addr(self.facts.client),
            _ => Party::Addr(self.facts.server),
        }
    }
}

/// Figures of one plugin in one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeatCounters {
    /// Events shown.
    pub events: u64,
    /// Batches run.
    pub batches: u64,
    /// Fuel used: the local cost meter.
    pub fuel: u64,
    /// Verdicts taken.
    pub verdicts: u64,
    /// Verdicts refused, by [`Refusal`].
    pub refused: [u64; Refusal::COUNT],
    /// Verdicts, dones and text that found no room in the guest's own arena.
    pub lost: u64,
    /// Dones that named no event of the batch.
    pub dones_refused: u64,
    /// Faults, by [`FaultKind`].
    pub faults: [u64; 4],
    /// Events not shown since the plugin rested or its sender was muted.
    pub unjudged: u64,
    /// Flows beyond the table: shown without a slot.
    pub slotless: u64,
    /// Plugin events that found no room.
    pub events_lost: u64,
}

/// Where the results of running go.
pub(crate) struct Desk<'a> {
    pub(crate) limits: &'a HostLimits,
    pub(crate) now: Tick,
    pub(crate) findings: &'a mut Vec<Finding>,
    pub(crate) faults: &'a mut Vec<Fault>,
    pub(crate) events: &'a mut Vec<(PluginId, PluginEvent)>,
    pub(crate) marks: &'a mut Vec<(FlowRef, u32, Directions)>,
}

/// How a flow's records in the batch are found again.
#[derive(Clone, Copy, Default)]
struct Recent {
    stamp: u32,
    flow: FlowRef,
    rec: u32,
    slot: u32,
}

pub(crate) struct Seat {
    pub(crate) id: PluginId,
    pub(crate) bit: u32,
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) previous: Option<Arc<Plugin>>,
    pub(crate) instance: Option<Instance>,
    pub(crate) spares: Vec<Instance>,
    pub(crate) resting_until: Option<Tick>,
    pub(crate) next_tick: Option<Tick>,
    pub(crate) counters: SeatCounters,
    conduct: Conduct,
    slots: Slots,
    metrics: Vec<i64>,
    number: u64,
    pending: Vec<Offered>,
    flows: u32,
    buffers: u32,
    data: u32,
    slots_used: Vec<FlowRef>,
    recent: Vec<Recent>,
    stamp: u32,
}

impl Seat {
    pub(crate) fn new(id: PluginId, bit: u32, instance: Instance, limits: &HostLimits) -> Self {
        let plugin = instance.plugin().clone();
        let events = plugin.places.events_max as usize;
        Seat {
            id,
            bit,
            slots: Slots::new(limits.flows, plugin.manifest.flow_state),
            metrics: vec![0; plugin.manifest.metrics.len()],
            previous: None,
            instance: Some(instance),
            spares: Vec::with_capacity(limits.spares + 1),
            resting_until: None,
            next_tick: None,
            counters: SeatCounters::default(),
            conduct: Conduct::new(),
            number: 0,
            pending: Vec::with_capacity(events),
            flows: 0,
            buffers: 0,
            data: 0,
            slots_used: Vec::with_capacity(events),
            recent: vec![Recent::default(); (events * 2).next_power_of_two()],
            stamp: 1,
            plugin,
        }
    }

    /// Another version takes over; answers whether flow slots were zeroed.
    pub(crate) fn take_over(&mut self, instance: Instance, limits: &HostLimits) -> bool {
        let plugin = instance.plugin().clone();
        let zeroed = self.adopt(plugin.clone(), limits);
        self.instance = Some(instance);
        self.resting_until = None;
        zeroed
    }

    fn adopt(&mut self, plugin: Arc<Plugin>, limits: &HostLimits) -> bool {
        self.collect_metrics();
        let (old, new) = (&self.plugin.manifest, &plugin.manifest);
        let same = (old.flow_state, old.schema) == (new.flow_state, new.schema);
        if !same {
            self.slots = Slots::new(limits.flows, new.flow_state);
        }
        self.metrics.resize(new.metrics.len(), 0);
        let events = plugin.places.events_max as usize;
        self.recent = vec![Recent::default(); (events * 2).next_power_of_two()];
        self.pending.reserve(events);
        self.spares.clear();
        self.instance = None;
        self.conduct = Conduct::new();
        self.plugin = plugin;
        !same && old_state_mattered(&self.plugin)
    }

    /// The plugin's metrics by index, all versions and instances together.
    pub(crate) fn metrics(&mut self) -> &[i64] {
        self.collect_metrics();
        &self.metrics
    }

    fn collect_metrics(&mut self) {
        let Some(instance) = &mut self.instance else { return };
        for (sum, value) in self.metrics.iter_mut().zip(&mut instance.side().metrics) {
            *sum = sum.saturating_add(std::mem::take(value));
        }
    }

    /// Whether the batch is full for this event.
    #[inline]
    pub(crate) fn is_full(&self, payload: usize) -> bool {
        let places = &self.plugin.places;
        let room = places.data_max.saturating_sub(self.data);
        self.pending.len() >= places.events_max as usize
            || payload.min(self.plugin.manifest.snap as usize) > room as usize
    }

    /// Puts an event into the batch. There is room: see [`Seat::is_full`].
    #[inline]
    pub(crate) fn push(&mut self, offer: &Offer<'_>, kind: EventKind, limits: &HostLimits) {
        let offered = Offered {
            facts: *offer.facts,
            kind,
            direction: offer.event.direction,
            frame: offer.frame,
            flow: offer.flow_ref,
            at: Tick(offer.event.at),
            buffer: None,
            void: false,
        };
        let muted = self.conduct.mutes(offered.sender(), offered.at, limits);
        if self.resting_until.is_some() || self.instance.is_none() || muted {
            self.counters.unjudged += 1;
            return;
        }
        self.write(offer, offered);
    }

    fn write(&mut self, offer: &Offer<'_>, mut offered: Offered) {
        let (slot, known) = match offer.flow_ref {
            Some(flow) => self.slot_of(flow),
            None => (NONE, None),
        };
        let Some(instance) = &mut self.instance else { return };
        let places = &self.plugin.places;
        let arena = instance.input();
        let stride = |i: u32, size: u32| i as usize * size as usize;

        let flow = FlowRec { slot, slot_len: places.slot_len, ..*offer.flow };
        let rec_at = |rec: u32| places.flows_at as usize + stride(rec, STRIDES[0]);
        let last = known.or(self.flows.checked_sub(1)).filter(|&rec| {
            arena.get(rec_at(rec)..rec_at(rec) + STRIDES[0] as usize)
                == Some(bytemuck::bytes_of(&flow))
        });
        let rec = last.unwrap_or(self.flows);
        let mut fits = true;
        if rec == self.flows {
            fits &= write_record(arena, rec_at(rec), &flow);
            self.flows += 1;
        }

        let snap = self.plugin.manifest.snap as usize;
        let shown = offer.payload.get(..offer.payload.len().min(snap)).unwrap_or(&[]);
        let mut event = Event { flow: rec, first_buffer: self.buffers, buffers: 0, ..offer.event };
        if !shown.is_empty() {
            let at = places.data_at + self.data;
            let len = u32::try_from(shown.len()).unwrap_or(0);
            let cut = shown.len() < offer.payload.len();
            let buffer = Buffer {
                handle: self.buffers,
                kind: u16::from(BufferKind::Payload.number()),
                flags: if cut { Buffer::TRUNCATED } else { Buffer::COMPLETE },
                data_at: at,
                data_len: len,
                ..bytemuck::Zeroable::zeroed()
            };
            let buffer_at = places.buffers_at as usize + stride(self.buffers, STRIDES[2]);
            fits &= write_record(arena, buffer_at, &buffer);
            match arena.get_mut(at as usize..at as usize + shown.len()) {
                Some(room) => room.copy_from_slice(shown),
                None => fits = false,
            }
            event.buffers = 1;
            offered.buffer = Some(Shown { index: self.buffers, at, len });
            self.buffers += 1;
            self.data += len;
        }
        let index = u32::try_from(self.pending.len()).unwrap_or(u32::MAX);
        fits &= write_record(arena, places.events_at as usize + stride(index, STRIDES[1]), &event);
        debug_assert!(fits, "places are computed for events_max events");
        if let (Some(flow), true) = (offer.flow_ref, rec + 1 == self.flows) {
            self.remember(flow, rec);
        }
        self.counters.events += 1;
        self.pending.push(offered);
    }

    /// Where the flow's slot lies in this batch and its last record, if it has one. A slot met for
    /// the first time in the batch is copied in.
    fn slot_of(&mut self, flow: FlowRef) -> (u32, Option<u32>) {
        if let Some(recent) = self.recent(flow) {
            return (recent.slot, Some(recent.rec));
        }
        let places = self.plugin.places;
        if places.slot_len == 0 {
            return (NONE, None);
        }
        let (Some(slot), Some(instance)) = (self.slots.slot(flow), &mut self.instance) else {
            self.counters.slotless += 1;
            return (NONE, None);
        };
        let index = u32::try_from(self.slots_used.len()).unwrap_or(0);
        let at = places.slots_at + index * places.slot_len;
        let range = at as usize..(at + places.slot_len) as usize;
        if let Some(room) = instance.input().get_mut(range) {
            room.copy_from_slice(slot);
        }
        self.slots_used.push(flow);
        (at, None)
    }

    fn recent(&self, flow: FlowRef) -> Option<&Recent> {
        let mut at = hash(flow);
        loop {
            let recent = self.recent.get(at & (self.recent.len() - 1))?;
            if recent.stamp != self.stamp {
                return None;
            }
            if recent.flow == flow {
                return Some(recent);
            }
            at = at.wrapping_add(1);
        }
    }

    fn remember(&mut self, flow: FlowRef, rec: u32) {
        let places = self.plugin.places;
        let mask = self.recent.len() - 1;
        let mut at = hash(flow);
        let slot = self.slots_used.len().checked_sub(1).and_then(|i| u32::try_from(i).ok());
        // Twice as many places as events: a free one is found.
        while let Some(recent) = self.recent.get_mut(at & mask) {
            if recent.stamp == self.stamp && recent.flow == flow {
                recent.rec = rec;
                return;
            }
            if recent.stamp != self.stamp {
                let newest = slot.filter(|&i| self.slots_used.get(i as usize) == Some(&flow));
                let slot = newest.map_or(NONE, |i| places.slots_at + i * places.slot_len);
                *recent = Recent { stamp: self.stamp, flow, rec, slot };
                return;
            }
            at = at.wrapping_add(1);
        }
    }

    /// Runs the batch. Answers whether the version to run has changed (rollback).
    pub(crate) fn run(&mut self, desk: &mut Desk<'_>) -> bool {
        let fuel = self.plugin.manifest.fuel.event;
        self.run_with(desk, fuel)
    }

    /// Runs a batch of one event without a flow: a tick, or the end of input.
    pub(crate) fn run_alone(
        &mut self,
        kind: EventKind,
        facts: &FlowFacts,
        desk: &mut Desk<'_>,
    ) -> bool {
        let changed = self.run(desk);
        let event = Event { kind: kind.number(), at: desk.now.0, ..bytemuck::Zeroable::zeroed() };
        let flow: FlowRec = bytemuck::Zeroable::zeroed();
        let offer = Offer { flow: &flow, event, payload: &[], facts, frame: None, flow_ref: None };
        self.push(&offer, kind, desk.limits);
        let fuel = self.plugin.manifest.fuel.tick;
        self.run_with(desk, fuel) || changed
    }

    fn run_with(&mut self, desk: &mut Desk<'_>, fuel: u64) -> bool {
        let events = u32::try_from(self.pending.len()).unwrap_or(0);
        if events == 0 {
            return false;
        }
        let (mut first, mut last) = (0, events);
        let mut changed = false;
        while first < events {
            let Some((result, out)) = self.call(first, last, fuel, desk.now) else {
                self.unjudged(first, desk);
                break;
            };
            match result {
                Ok(used) => {
                    self.counters.fuel += used;
                    self.take(first, last, &out, desk);
                    self.keep_slots(last, None);
                    (first, last) = (last, events);
                }
                Err(kind) => {
                    let culprit = out.progress.clamp(first, last - 1);
                    let certain = kind != FaultKind::Fuel || last - first == 1;
                    self.take(first, culprit + u32::from(certain), &out, desk);
                    self.keep_slots(culprit, Some(culprit));
                    self.replace(kind, culprit, desk);
                    if certain {
                        changed |= self.blame(culprit, kind, desk);
                        (first, last) = (culprit + 1, events);
                    } else {
                        (first, last) = (culprit, culprit + 1);
                    }
                }
            }
        }
        self.begin_batch();
        self.collect_lines(desk);
        changed
    }

    fn begin_batch(&mut self) {
        self.pending.clear();
        self.slots_used.clear();
        (self.flows, self.buffers, self.data) = (0, 0, 0);
        self.stamp = self.stamp.wrapping_add(1);
    }

    /// One call into the guest for the events from `first` to `last`.
    fn call(
        &mut self,
        first: u32,
        last: u32,
        fuel: u64,
        now: Tick,
    ) -> Option<(Result<u64, FaultKind>, Output)> {
        let places = self.plugin.places;
        let instance = self.instance.as_mut()?;
        self.number += 1;
        self.counters.batches += 1;
        let header = Batch {
            magic: MAGIC,
            abi: ABI,
            header_len: HEADER_LEN,
            now: now.0,
            number: self.number,
            flows: self.flows,
            flow_stride: STRIDES[0],
            flows_at: places.flows_at,
            events: u32::try_from(self.pending.len()).unwrap_or(0),
            event_stride: STRIDES[1],
            events_at: places.events_at,
            buffers: self.buffers,
            buffer_stride: STRIDES[2],
            buffers_at: places.buffers_at,
            hits: 0,
            hit_stride: 16,
            hits_at: places.slots_at,
            slots_at: places.slots_at,
            slots_len: places.data_at - places.slots_at,
            data_at: places.data_at,
            data_len: self.data,
            first,
            last,
            verdicts_max: VERDICTS_PER_BATCH,
            reserved: [0; 7],
        };
        if !write_record(instance.input(), 0, &header) {
            return Some((Err(FaultKind::Memory), bytemuck::Zeroable::zeroed()));
        }
        let budget = fuel.saturating_mul(u64::from(last - first)).saturating_add(FUEL_BATCH);
        let result = instance.run(budget, now.0);
        let mut out = instance.published();
        if result.is_err() && out.progress < first {
            out.progress = first;
        }
        Some((result, out))
    }

    /// Takes the verdicts and dones about events from `first` to below `last`.
    fn take(&mut self, first: u32, last: u32, out: &Output, desk: &mut Desk<'_>) {
        self.counters.lost += u64::from(out.lost);
        if out.verdicts == 0 && out.dones == 0 {
            return;
        }
        let Some(instance) = &mut self.instance else { return };
        let mut reached = first;
        for index in 0..out.verdicts {
            let Some(verdict) = instance.verdict(index) else { break };
            if verdict.event >= last && verdict.event < out.progress.saturating_add(1) {
                continue; // Of the event that will be judged again, alone.
            }
            let result = if index >= desk.limits.verdicts {
                Err(Refusal::Flood)
            } else if verdict.event < reached || verdict.event >= last {
                Err(Refusal::Event)
            } else {
                reached = verdict.event;
                match self.pending.get(verdict.event as usize).filter(|o| !o.void) {
                    Some(offered) => finding(self.id, instance, &verdict, offered, desk.limits),
                    None => Err(Refusal::Event),
                }
            };
            match result {
                Ok(finding) => {
                    self.counters.verdicts += 1;
                    desk.findings.push(finding);
                }
                Err(refusal) => {
                    if let Some(n) = self.counters.refused.get_mut(refusal as usize) {
                        *n += 1;
                    }
                }
            }
        }
        for index in 0..out.dones {
            let Some(done) = instance.done(index) else { break };
            match mark(&self.pending, &done, first..last) {
                Some((flow, directions)) => desk.marks.push((flow, self.bit, directions)),
                None => self.counters.dones_refused += 1,
            }
        }
    }

    /// Keeps the slots of flows that were judged before `last`; not that of the culprit's flow.
    fn keep_slots(&mut self, last: u32, culprit: Option<u32>) {
        let Some(instance) = &mut self.instance else { return };
        let places = self.plugin.places;
        let blamed = culprit.and_then(|c| self.pending.get(c as usize)).and_then(|o| o.flow);
        let judged = self.pending.get(..last as usize).unwrap_or(&[]);
        for (i, &flow) in self.slots_used.iter().enumerate() {
            let at = places.slots_at as usize + i * places.slot_len as usize;
            let touched = culprit.is_none()
                || (blamed != Some(flow) && judged.iter().any(|o| o.flow == Some(flow)));
            if !touched {
                continue;
            }
            let bytes = instance.input().get(at..at + places.slot_len as usize);
            if let (Some(bytes), Some(slot)) = (bytes, self.slots.slot(flow)) {
                slot.copy_from_slice(bytes);
            }
        }
    }

    /// Throws the faulted instance away and lets a spare take over its batch.
    fn replace(&mut self, kind: FaultKind, culprit: u32, desk: &mut Desk<'_>) {
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
    fn blame(&mut self, culprit: u32, kind: FaultKind, desk: &mut Desk<'_>) -> bool {
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
            desk.marks.push((flow, self.bit, Directions::Both));
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
    fn take_back(&mut self, behind: u32, matching: impl Fn(&Offered) -> bool) {
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

    fn rest(&mut self, rest: std::time::Duration, offenders: u32, desk: &mut Desk<'_>) -> bool {
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
    fn unjudged(&mut self, first: u32, desk: &mut Desk<'_>) {
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

    fn collect_lines(&mut self, desk: &mut Desk<'_>) {
        let Some(instance) = &mut self.instance else { return };
        let side = instance.side();
        if !side.has_lines() {
            return;
        }
        for line in side.take_lines() {
            if desk.events.len() < EVENTS_MAX {
                desk.events.push((self.id, line));
            } else {
                self.counters.events_lost += 1;
            }
        }
    }

    pub(crate) fn event(&mut self, event: PluginEvent, desk: &mut Desk<'_>) {
        if desk.events.len() < EVENTS_MAX {
            desk.events.push((self.id, event));
        } else {
            self.counters.events_lost += 1;
        }
    }
}

/// Verdicts that a guest is told to keep to; above any host's own limit, so that floods show.
const VERDICTS_PER_BATCH: u32 = 256;

fn old_state_mattered(plugin: &Plugin) -> bool {
    plugin.manifest.flow_state > 0
}

fn hash((index, generation): FlowRef) -> usize {
    // Fibonacci hashing: indices of one batch are often neighbours.
    let mixed = (index ^ generation.rotate_left(16)).wrapping_mul(0x9e37_79b9);
    (mixed >> 7) as usize
}

/// What a done means, where it names a judged event with a flow.
fn mark(
    pending: &[Offered],
    done: &Done,
    judged: std::ops::Range<u32>,
) -> Option<(FlowRef, Directions)> {
    let offered = pending.get(done.event as usize).filter(|_| judged.contains(&done.event))?;
    let directions = match DoneScope::from_number(done.scope)? {
        DoneScope::Flow => Directions::Both,
        DoneScope::Direction => Directions::One(offered.direction.min(1)),
        // Transactions come with the decoders; until then there is nothing to be done with.
        DoneScope::Transaction => return None,
    };
    Some((offered.flow?, directions))
}
