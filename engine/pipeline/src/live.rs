//! A running engine's outlet: words go into bounded queues at once, and nothing waits.

use crate::counters::{Cell, LaneCounters};
use crate::orders::{Lines, Post, StreetWord};
use crate::outlet::Outlet;
use crate::report::Report;
use crate::shards::ShardRing;
use portcullis_detect::{HostEvent, Interests, PluginEvent};
use portcullis_flow::ProvenSources;
use portcullis_types::{Addr, BlockOrder, FrameIndex, PluginId, SegmentId, Tick, VlanStack};
use portcullis_verdict::Trip;
use std::collections::VecDeque;
use std::sync::Arc;

/// Words that a worker keeps while the channel is full; beyond them it stops judging new blocks'
/// words by losing the oldest figures first, never a block.
const BACKLOG_MAX: usize = 65_536;

/// Where a worker's words go.
pub struct LiveOutlet {
    /// The queues.
    pub lines: Lines,
    /// Rings to the threads of host-scope detectors.
    pub(crate) rings: Vec<ShardRing>,
    /// What those want; routes each event to its thread.
    pub(crate) interests: Interests,
    proven: Arc<ProvenSources>,
    backlog: VecDeque<StreetWord>,
    reports_lost: Cell,
    host_events_lost: Cell,
    waited: Cell,
}

impl LiveOutlet {
    /// An outlet into these queues.
    pub fn new(
        lines: Lines,
        rings: Vec<ShardRing>,
        interests: Interests,
        proven: Arc<ProvenSources>,
    ) -> Self {
        LiveOutlet {
            lines,
            rings,
            interests,
            proven,
            backlog: VecDeque::new(),
            reports_lost: Cell::default(),
            host_events_lost: Cell::default(),
            waited: Cell::default(),
        }
    }

    /// Says a word; where the channel is full it waits here for the next burst.
    pub(crate) fn say(&mut self, word: StreetWord) {
        if self.backlog.is_empty() {
            match self.lines.words.try_send(word) {
                Ok(()) => return,
                Err(refused) => self.backlog.push_back(refused.into_inner()),
            }
        } else {
            self.backlog.push_back(word);
        }
        self.waited.add(1);
        if self.backlog.len() > BACKLOG_MAX {
            // Only figures may go: a block in force that nobody knows of would be a lie.
            let figure = |w: &StreetWord| matches!(w, StreetWord::Stopped(_));
            if let Some(at) = self.backlog.iter().position(figure) {
                self.backlog.remove(at);
            }
        }
    }

    /// Says what plugins have lived through.
    pub(crate) fn say_of_plugins(
        &mut self,
        from: Post,
        take: impl FnOnce(&mut Vec<(PluginId, PluginEvent)>),
    ) {
        let mut events = Vec::new();
        take(&mut events);
        for (plugin, event) in events {
            self.say(StreetWord::Plugin { from, plugin, event });
        }
    }

    /// Once per burst: sends what has waited, wakes the threads of host-scope detectors, publishes
    /// what was lost.
    pub(crate) fn pass_on(&mut self, counters: &LaneCounters) {
        while let Some(word) = self.backlog.pop_front() {
            if let Err(refused) = self.lines.words.try_send(word) {
                self.backlog.push_front(refused.into_inner());
                break;
            }
        }
        for ring in &mut self.rings {
            ring.wake();
        }
        counters.reports_lost.set(self.reports_lost.read());
        counters.host_events_lost.set(self.host_events_lost.read());
        counters.orders_waited.set(self.waited.read());
    }

    /// The worker ends: what waits is sent, waiting for room, as long as somebody listens.
    pub(crate) fn finish(&mut self) {
        for word in self.backlog.drain(..) {
            if self.lines.words.send(word).is_err() {
                break;
            }
        }
    }
}

impl Outlet for LiveOutlet {
    fn report(&mut self, _: FrameIndex, report: Report) {
        if self.lines.reports.try_send(report).is_err() {
            self.reports_lost.add(1);
        }
    }

    fn order(&mut self, order: BlockOrder) {
        self.say(StreetWord::Block(order));
    }

    fn tripped(&mut self, plugin: PluginId, trip: Trip) {
        self.say(StreetWord::Tripped { plugin, trip });
    }

    fn host_event(&mut self, _: FrameIndex, event: &HostEvent) {
        for (shard, seats) in self.interests.routes(event.seats, &event.flow, self.rings.len()) {
            if seats == 0 {
                continue;
            }
            let Some(ring) = self.rings.get_mut(shard) else { continue };
            if !ring.push(HostEvent { seats, ..*event }) {
                self.host_events_lost.add(1);
            }
        }
    }

    fn proven(&mut self, segment: SegmentId, vlan: VlanStack, addr: Addr, at: Tick) {
        self.proven.record(segment, vlan, addr, at);
    }
}

/// Processor time that this thread has used, nanoseconds; 0 where the system does not say.
pub(crate) fn thread_cpu_ns() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let part = |n: i64| u64::try_from(n).unwrap_or(0);
    part(t.tv_sec).saturating_mul(1_000_000_000).saturating_add(part(t.tv_nsec))
}
