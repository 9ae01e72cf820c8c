//! The burst loop of one worker: one core, one thread, one burst at a time.
//!
//! [`Worker::burst`] is the whole engine; read it first. Frames wait in the burst for the verdict:
//! the one that carries the attack is not forwarded. This file must never know what an attack is,
//! a file, or a lock.

use crate::burst::{Fate, Hand};
use crate::handover::Peers;
use crate::lane::{ENDINGS_PER_BURST, Lane, LaneParts};
use crate::live::LiveOutlet;
use crate::neighbours;
use crate::orders::{PostBox, PostFigures, StreetOrder, StreetWord};
use crate::owner::read_headers;
use arc_swap::Cache;
use portcullis_capture::{HandOver, Received, RxFrame};
use portcullis_enforce::terminate::{RstPair, icmp_prohibited, rst_pair};
use portcullis_types::{Clock, DropReason, FrameIndex, PortSide, SegmentId, Tick};
use portcullis_verdict::Mode;
use portcullis_wire::{LinkType, protocol};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a worker sleeps at most: well below the heartbeat's limit.
const SLEEP_MAX: Duration = Duration::from_millis(50);
/// How often figures are published.
const FIGURES_EVERY: Duration = Duration::from_millis(200);

/// One worker.
pub struct Worker<S: HandOver, C: Clock> {
    pub(crate) segment: SegmentId,
    pub(crate) lane: Lane,
    pub(crate) source: S,
    pub(crate) clock: C,
    pub(crate) post: PostBox,
    pub(crate) outlet: LiveOutlet,
    pub(crate) peers: Peers<S::Lent>,
    pub(crate) snapshot: Cache<Arc<arc_swap::ArcSwap<crate::Snapshot>>, Arc<crate::Snapshot>>,
    frames: Vec<RxFrame>,
    polled: Vec<RxFrame>,
    held: Hand,
    crafted: RstPair,
    figures_due: Tick,
    burst_max: usize,
}

/// What a worker is made of.
pub struct WorkerParts<S: HandOver, C: Clock> {
    /// The protected link.
    pub segment: SegmentId,
    /// The street between the ports.
    pub lane: Lane,
    /// The ports.
    pub source: S,
    /// The engine's clock.
    pub clock: C,
    /// Where its orders come from.
    pub post: PostBox,
    /// Where its words go.
    pub outlet: LiveOutlet,
    /// The other workers of its segment.
    pub peers: Peers<S::Lent>,
    /// Frames per burst at most.
    pub burst_max: usize,
}

/// Why a worker has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It was asked to.
    Asked,
    /// Its source came to its end.
    EndOfInput,
    /// A port is gone.
    PortGone(PortSide),
}

impl<S: HandOver, C: Clock> Worker<S, C> {
    /// A worker of these parts. Allocates what it needs for its life.
    pub fn new(parts: WorkerParts<S, C>) -> Self {
        let WorkerParts { segment, lane, source, clock, post, outlet, peers, burst_max } = parts;
        let snapshot = Cache::new(Arc::clone(&outlet.lines.snapshot));
        Worker {
            segment,
            lane,
            source,
            clock,
            post,
            outlet,
            peers,
            snapshot,
            frames: Vec::with_capacity(2 * burst_max),
            polled: Vec::with_capacity(2 * burst_max),
            held: Hand::with_capacity(2 * burst_max),
            crafted: RstPair::default(),
            figures_due: Tick::ZERO,
            burst_max,
        }
    }

    /// Carries bursts until it is asked to end or its ports do.
    pub fn run(mut self) -> Ended {
        let ended = loop {
            if self.post.stop.load(Ordering::Relaxed) {
                break Ended::Asked;
            }
            match self.burst() {
                Received::Frames => {}
                Received::Nothing => {
                    self.source.wait(SLEEP_MAX);
                }
                Received::EndOfInput => break Ended::EndOfInput,
                Received::PortGone(side) => {
                    let from = self.post.post;
                    self.outlet.say(StreetWord::PortGone { from, side });
                    if !self.source.comes_back() {
                        break Ended::PortGone(side);
                    }
                    // It goes on without frames: blocks and detectors stay in step until the port
                    // is back.
                }
            }
        };
        let now = self.clock.now();
        self.lane.drain(now, &mut self.outlet);
        self.publish(now);
        self.outlet.finish();
        ended
    }

    /// One burst: poll, examine, detect, decide, dispose, expire.
    pub fn burst(&mut self) -> Received {
        self.take_orders();
        let now = self.clock.now();
        self.source.alive(now);
        let received = self.receive(now);
        if !self.frames.is_empty() {
            let (source, frames) = (&self.source, &self.frames);
            let bytes = |at: FrameIndex| {
                frames.get(usize::from(at.0)).map_or(&[][..], |f| source.bytes(&f.slot))
            };
            self.lane.examine(&mut self.held, &bytes, |_| LinkType::Ethernet, &mut self.outlet);
        }
        self.lane.detect(now);
        self.lane.decide(&mut self.held, now, &mut self.outlet);
        self.end_connections();
        self.dispose();
        self.source.flush();
        self.lane.expire(now, &mut self.outlet);
        self.outlet.pass_on(&self.lane.parts.counters);
        if now >= self.figures_due {
            self.publish(now);
        }
        received
    }

    /// Takes what has been ordered and decided since the last burst, all of it, so that a block is
    /// in force for the first burst polled after its publication.
    fn take_orders(&mut self) {
        let snapshot = self.snapshot.load();
        if !Arc::ptr_eq(snapshot, &self.lane.parts.snapshot) {
            self.lane.parts.snapshot = Arc::clone(snapshot);
        }
        let mut retired: Vec<Box<dyn Send>> = Vec::new();
        while let Some(order) = self.post.orders.pop() {
            let parts = &mut self.lane.parts;
            match order {
                StreetOrder::Table(order) => drop(parts.blocks.apply(&order)),
                // A plugin that cannot be seated was refused before it was warmed.
                StreetOrder::Install(instances, prefilter) => {
                    for (id, instance) in instances {
                        retired.push(Box::new(parts.detectors.install(id, instance)));
                    }
                    if let (Some(reading), Some(prefilter)) = (&mut parts.reading, prefilter) {
                        retired.push(Box::new(reading.install(prefilter)));
                    }
                }
                StreetOrder::Streams(streams) => {
                    if let Some(reading) = &mut parts.reading {
                        reading.take(*streams);
                    }
                }
                StreetOrder::Spare(id, instance) => {
                    // One of a version that has gone may be the last to hold its rules.
                    if let Err(late) = parts.detectors.install_spare(id, *instance) {
                        retired.push(Box::new(late));
                    }
                }
                StreetOrder::InitFailed(id) => parts.detectors.init_failed(id),
                StreetOrder::HostInterests(interests) => {
                    self.outlet.interests = (*interests).clone();
                    parts.host_interests = *interests;
                }
            }
        }
        if !retired.is_empty() {
            self.outlet.say(StreetWord::Retired(Box::new(retired)));
        }
    }

    /// Polls the ports and the other workers, and gives away what is not ours.
    fn receive(&mut self, now: Tick) -> Received {
        self.held.clear();
        let stale = self.peers.adopt(&mut self.source, &mut self.frames, self.burst_max);
        self.lane.parts.counters.lost_on_the_way(stale, DropReason::PortDown);
        let adopted = self.frames.len();
        let received = self.source.receive(&mut self.frames, self.burst_max);
        self.lane.parts.counters.adopted.add(adopted as u64);
        // In the order of arrival: frames of one conversation must not overtake each other.
        let mut polled = std::mem::take(&mut self.polled);
        std::mem::swap(&mut polled, &mut self.frames);
        for (at, frame) in polled.drain(..).enumerate() {
            let index = FrameIndex(u16::try_from(self.frames.len()).unwrap_or(u16::MAX));
            let held = self.held.take_up(index, frame.side, now, frame.wire_len);
            let bytes = self.source.bytes(&frame.slot);
            read_headers(held, bytes, LinkType::Ethernet, self.lane.checks());
            let LaneParts { proven, counters, .. } = &self.lane.parts;
            neighbours::hear(proven, self.segment, held, bytes, counters);
            match self.peers.other_owner(self.segment, held.packet.as_ref()) {
                Some(owner) if at >= adopted => {
                    self.held.give_up();
                    self.hand_over(owner, frame);
                }
                _ => self.frames.push(frame),
            }
        }
        self.polled = polled;
        match received {
            Received::Nothing if adopted > 0 => Received::Frames,
            other => other,
        }
    }

    fn hand_over(&mut self, owner: usize, frame: RxFrame) {
        let counters = &self.lane.parts.counters;
        let lent = self.source.lend(frame.slot, frame.side);
        match self.peers.send(owner, lent) {
            Ok(()) => counters.handed_over.add(1),
            // A lent frame that is dropped goes home by itself. It was ours until here.
            Err(_) => {
                counters.frames_in.add(1);
                counters.bytes_in.add(u64::from(frame.wire_len));
                counters.drop_for(DropReason::HandoverFull);
            }
        }
    }

    /// Ends connections towards their ends: RST to both, or an ICMP error to the sender.
    fn end_connections(&mut self) {
        debug_assert!(self.lane.endings.len() <= ENDINGS_PER_BURST);
        for ending in self.lane.endings.drain(..) {
            let at = usize::from(ending.frame.0);
            let (Some(held), Some(frame)) = (self.held.get(at), self.frames.get(at)) else {
                continue;
            };
            let Some(packet) = held.packet.as_ref() else { continue };
            let (bytes, side) = (self.source.bytes(&frame.slot), held.side);
            let fate = portcullis_enforce::terminate::Fate::Dropped;
            let crafted = match packet.protocol {
                protocol::TCP => rst_pair(bytes, packet, fate, &mut self.crafted),
                protocol::UDP => {
                    self.crafted.to_receiver.clear();
                    icmp_prohibited(bytes, packet, &mut self.crafted.to_sender)
                }
                _ => continue,
            };
            if crafted.is_err() {
                continue;
            }
            for (side, frame) in
                [(side, &self.crafted.to_sender), (side.other(), &self.crafted.to_receiver)]
            {
                if frame.is_empty() {
                    continue;
                }
                let counters = &self.lane.parts.counters;
                match self.source.inject(side, frame) {
                    Ok(()) => counters.injected.add(1),
                    Err(_) => counters.injected_lost.add(1),
                }
            }
        }
    }

    /// Every frame goes on or ends, by its fate, and is counted.
    fn dispose(&mut self) {
        for (frame, held) in self.frames.drain(..).zip(self.held.iter()) {
            match self.lane.settle_fate(held) {
                Fate::Drop(_) => self.source.discard(frame.slot),
                Fate::Forward => {
                    if let Err(reason) = self.source.forward(frame.slot) {
                        self.lane.not_sent(held, reason);
                    }
                }
            }
        }
    }

    /// Publishes what is dearer than a counter, a few times a second.
    fn publish(&mut self, now: Tick) {
        self.figures_due = now + FIGURES_EVERY;
        let parts = &mut self.lane.parts;
        let mut stopped = Vec::new();
        parts.blocks.drain(|s| stopped.push(s));
        if !stopped.is_empty() {
            self.outlet.say(StreetWord::Stopped(stopped));
        }
        let from = self.post.post;
        self.outlet.say_of_plugins(from, |events| parts.detectors.take_events(events));
        for (plugin, version, count) in parts.detectors.needs_spare() {
            self.outlet.say(StreetWord::NeedsSpare { from, plugin, version, count });
        }
        let mut figures = PostFigures {
            source: self.source.statistics(),
            flow: Some(parts.flows.counters()),
            plugins: parts.detectors.counters().map(|(id, c)| (id, *c)).collect(),
            metrics: Vec::new(),
            reading: parts.reading.as_ref().map(|reading| reading.figures()),
            blocks: parts.blocks.len(),
            cpu_ns: crate::live::thread_cpu_ns(),
        };
        let metrics = &mut figures.metrics;
        parts.detectors.metrics(|id, name, value| metrics.push((id, name.to_owned(), value)));
        // Whoever reads holds it for a copy's time; a worker does not wait for that.
        if let Ok(mut place) = self.post.figures.try_lock() {
            *place = figures;
        }
    }

    /// Whether the segment watches only.
    pub fn mode(&self) -> Mode {
        self.lane.parts.snapshot.policy.mode(self.segment)
    }
}

#[cfg(test)]
mod tests;
