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

mod contain;
mod page;
mod write;

use crate::check::{Knowledge, Refusal, finding};
use crate::conduct::Conduct;
use crate::data::RuleCache;
use crate::fault::{Fault, FaultKind, PluginEvent};
use crate::instance::{Instance, Lent};
use crate::limits::{EVENTS_MAX, HostLimits};
use crate::offer::Offer;
use crate::places::{HEADER_LEN, STRIDES};
use crate::plugin::Plugin;
use crate::profile::Profile;
use crate::shelf::Shelf;
use crate::slots::{Finished, FlowRef, Slots};
use portcullis_plugin_abi::{
    ABI, Batch, Done, DoneScope, Event, EventKind, FlowRec, MAGIC, Output, write_record,
};
use portcullis_types::{Finding, FlowFacts, FrameIndex, Party, PluginId, Tick};
use std::sync::Arc;

/// Fuel for the batch loop itself, whatever the events: reading the header, the first calls.
const FUEL_BATCH: u64 = 20_000;

/// The host's own record of an event in the batch. The guest never sees it.
pub(crate) struct Offered {
    pub(crate) facts: FlowFacts,
    pub(crate) kind: EventKind,
    pub(crate) direction: u8,
    pub(crate) frame: Option<FrameIndex>,
    pub(crate) flow: Option<FlowRef>,
    pub(crate) at: Tick,
    /// Its buffers in the batch: the first and how many.
    pub(crate) buffers: (u32, u32),
    pub(crate) transaction: u32,
    /// Taken back: its flow or its sender made the guest fault earlier in this batch.
    void: bool,
}

impl Offered {
    fn sender(&self) -> Party {
        sender(&self.facts, self.kind, self.direction)
    }
}

/// Who sent what an event is about.
fn sender(facts: &FlowFacts, kind: EventKind, direction: u8) -> Party {
    match (kind, direction) {
        (EventKind::Tick | EventKind::EndOfInput, _) => Party::Nobody,
        (_, 0) => Party::Addr(facts.client),
        _ => Party::Addr(facts.server),
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
    /// Events with hits that were not shown since the plugin wanted no more of the flow's.
    pub paused: u64,
    /// Flows beyond the table: shown without a slot.
    pub slotless: u64,
    /// Plugin events that found no room.
    pub events_lost: u64,
    /// Buffers that were left out, or kept shorter than they are, since their event shows more
    /// than a batch holds.
    pub buffers_cut: u64,
    /// Hits that found no room.
    pub hits_cut: u64,
    /// Regexes given up at their step limit.
    pub regexes_given_up: u64,
}

/// Where the results of running go.
pub(crate) struct Desk<'a> {
    pub(crate) limits: &'a HostLimits,
    pub(crate) now: Tick,
    pub(crate) findings: &'a mut Vec<Finding>,
    pub(crate) faults: &'a mut Vec<Fault>,
    pub(crate) events: &'a mut Vec<(PluginId, PluginEvent)>,
    pub(crate) marks: &'a mut Vec<(FlowRef, u32, Finished)>,
}

/// How a flow's records in the batch are found again.
#[derive(Clone, Copy, Default)]
struct Recent {
    stamp: u32,
    flow: FlowRef,
    rec: u32,
    slot: u32,
}

/// What a newer version has taken the place of. Freeing it takes milliseconds where it is the last
/// to hold a rule set: it is dropped off the street.
#[must_use = "send it to where nobody waits, and drop it there"]
pub struct Retired {
    _instances: [Vec<Instance>; 2],
    _rules: RuleCache,
    _previous: Option<Arc<Plugin>>,
}

pub(crate) struct Seat {
    pub(crate) id: PluginId,
    pub(crate) bit: u32,
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) previous: Option<Arc<Plugin>>,
    pub(crate) instance: Option<Instance>,
    pub(crate) spares: Vec<Instance>,
    pub(crate) unloaded: bool,
    pub(crate) resting_until: Option<Tick>,
    pub(crate) next_tick: Option<Tick>,
    pub(crate) counters: SeatCounters,
    /// What its rules cost; `None` where nobody wants to know.
    pub(crate) profile: Option<Box<Profile>>,
    conduct: Conduct,
    slots: Slots,
    metrics: Vec<i64>,
    number: u64,
    pending: Vec<Offered>,
    flows: u32,
    hits: u32,
    data: u32,
    shelf: Shelf,
    /// Where the buffers of the event being written came to lie, by their places in the offer.
    placed: Vec<u32>,
    rules: RuleCache,
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
            unloaded: false,
            resting_until: None,
            next_tick: None,
            counters: SeatCounters::default(),
            profile: limits.profile.map(|clock| Box::new(Profile::new(clock))),
            conduct: Conduct::new(),
            number: 0,
            pending: Vec::with_capacity(events),
            flows: 0,
            hits: 0,
            data: 0,
            shelf: shelf(&plugin, limits),
            placed: Vec::new(),
            rules: RuleCache::default(),
            slots_used: Vec::with_capacity(events),
            recent: vec![Recent::default(); (events * 2).next_power_of_two()],
            stamp: 1,
            plugin,
        }
    }

    /// Another version takes over; answers what it took the place of, and whether flow slots were
    /// zeroed.
    pub(crate) fn take_over(&mut self, instance: Instance, limits: &HostLimits) -> (Retired, bool) {
        self.collect_metrics();
        let is_other = !Arc::ptr_eq(&self.plugin, instance.plugin());
        let before = is_other.then(|| self.plugin.clone());
        let retired = Retired {
            _instances: [
                self.instance.take().into_iter().collect(),
                std::mem::take(&mut self.spares),
            ],
            _rules: std::mem::take(&mut self.rules),
            _previous: std::mem::replace(&mut self.previous, before),
        };
        self.spares.reserve(limits.spares + 1);
        let zeroed = self.adopt(instance.plugin().clone(), limits);
        self.instance = Some(instance);
        self.unloaded = false;
        self.resting_until = None;
        (retired, zeroed)
    }

    /// Out of work until something is installed again.
    pub(crate) fn unload(&mut self) {
        self.collect_metrics();
        self.unloaded = true;
        self.instance = None;
        self.spares.clear();
        self.previous = None;
    }

    fn adopt(&mut self, plugin: Arc<Plugin>, limits: &HostLimits) -> bool {
        self.collect_metrics();
        let (old, new) = (&self.plugin.manifest, &plugin.manifest);
        let same = (old.flow_state, old.schema) == (new.flow_state, new.schema);
        if !same {
            self.slots = Slots::new(limits.flows, new.flow_state);
        }
        self.metrics.resize(new.metrics.len(), 0);
        let other_places = plugin.places != self.plugin.places;
        if other_places || plugin.reading.whole != self.plugin.reading.whole {
            let events = plugin.places.events_max as usize;
            self.recent = vec![Recent::default(); (events * 2).next_power_of_two()];
            self.pending.reserve(events);
            self.shelf = shelf(&plugin, limits);
        }
        self.spares.clear();
        self.instance = None;
        self.conduct = Conduct::new();
        self.rules.clear();
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
        let offer = Offer {
            flow: &flow,
            event,
            buffers: &[],
            hits: &[],
            facts,
            frame: None,
            flow_ref: None,
        };
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
            buffers: self.shelf.len(),
            buffer_stride: STRIDES[2],
            buffers_at: places.buffers_at,
            hits: self.hits,
            hit_stride: STRIDES[3],
            hits_at: places.hits_at,
            slots_at: places.slots_at,
            slots_len: places.data_at - places.slots_at,
            data_at: places.data_at,
            data_len: self.data,
            first,
            last,
            verdicts_max: VERDICTS_PER_BATCH,
            flags: if self.profile.is_some() { Batch::PROFILED } else { 0 },
            reserved: [0; 6],
        };
        if !write_record(instance.input(), 0, &header) {
            return Some((Err(FaultKind::Memory), bytemuck::Zeroable::zeroed()));
        }
        let budget = fuel.saturating_mul(u64::from(last - first)).saturating_add(FUEL_BATCH);
        let lent = Lent { shelf: &mut self.shelf, profile: &mut self.profile };
        let result = instance.run(budget, now.0, lent);
        self.counters.regexes_given_up += std::mem::take(&mut instance.side().given_up);
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
        let known = &mut Knowledge {
            plugin: self.id,
            shelf: &self.shelf,
            rules: &mut self.rules,
            limits: desk.limits,
        };
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
                    Some(offered) => finding(known, instance, &verdict, offered),
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
                Some((flow, finished)) => desk.marks.push((flow, self.bit, finished)),
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

/// A shelf for a plugin: whole buffers only where it may read them.
fn shelf(plugin: &Plugin, limits: &HostLimits) -> Shelf {
    let room = if plugin.reading.whole { limits.whole_bytes } else { 0 };
    Shelf::new(plugin.places.buffers_max, room)
}

/// What a done means, where it names a judged event with a flow.
fn mark(
    pending: &[Offered],
    done: &Done,
    judged: std::ops::Range<u32>,
) -> Option<(FlowRef, Finished)> {
    let offered = pending.get(done.event as usize).filter(|_| judged.contains(&done.event))?;
    let finished = match DoneScope::from_number(done.scope)? {
        DoneScope::Flow => Finished::Flow,
        DoneScope::Direction => Finished::Direction(offered.direction.min(1)),
        DoneScope::Transaction if offered.transaction == 0 => return None,
        DoneScope::Transaction => Finished::Transaction(offered.transaction),
        DoneScope::Pause => {
            let [a, b, c] = done.until;
            Finished::Hits(u32::from_le_bytes([a, b, c, 0]))
        }
    };
    Some((offered.flow?, finished))
}
