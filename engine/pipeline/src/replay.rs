//! Replay: the same street over captures, on the captures' own clock, the same output byte for
//! byte for any number of workers.
//!
//! ```text
//!   window of 256 to 2,048 ─► lanes examine, in parallel ─► one judge, in the order of the frames
//!   frames, 20 ms                (always eight lanes)        ─► dispose, tell, expire
//!   host-scope detectors take each window as a whole; their verdicts come two windows later.
//! ```
//!
//! The partition of flows never depends on the number of threads that carry the lanes; that is what
//! makes the output independent of it. This file must never know a file format or a wall clock.

use crate::burst::{Fate, InHand, WINDOW_FRAMES, WINDOW_STEP, is_window};
use crate::collect::{Collected, Told};
use crate::counters::LaneCounters;
use crate::decide::turn;
use crate::lane::Lane;
use crate::neighbours;
use crate::owner::{owner, read_headers};
use crate::reading::ReadingFigures;
use portcullis_capture::{FrameSource, Received, RxFrame};
use portcullis_detect::{HostEvent, HostShard, Profile, SeatCounters, Turns};
use portcullis_enforce::{Book, BookEvent, Outbox};
use portcullis_flow::HashKey;
use portcullis_types::{
    BlockKey, BlockOrder, DropReason, Finding, FrameIndex, PluginId, PortSide, SegmentId, Tick,
    VlanStack,
};
use portcullis_verdict::{BurstVerdicts, Claim, Effect};
use portcullis_wire::{Checks, LinkType};
use std::collections::{BTreeSet, VecDeque};

/// Lanes of a replay, whatever the number of workers.
pub const REPLAY_LANES: usize = 8;

/// Windows between a host-scope finding and its verdict.
const HOST_DELAY: usize = 2;

/// Whoever hears what a replay says, in order.
pub trait Audience {
    /// A report of the street.
    fn report(&mut self, report: crate::report::Report);
    /// A block made, moved or ended.
    fn block(&mut self, event: BookEvent, now: Tick);
    /// Something about a plugin.
    fn plugin(&mut self, plugin: PluginId, event: portcullis_detect::PluginEvent, now: Tick);
    /// A window is done: so many frames so far.
    fn progress(&mut self, frames: u64);
}

/// What a replay is made of.
pub struct ReplayParts {
    /// The protected link that the captures are of.
    pub segment: SegmentId,
    /// Exactly [`REPLAY_LANES`] of them.
    pub lanes: Vec<Lane>,
    /// Host-scope detectors.
    pub shards: Vec<HostShard>,
    /// The list of blocks.
    pub book: Book,
    /// Key of the owner's hash.
    pub key: HashKey,
    /// Threads that carry the lanes, at least 1.
    pub workers: usize,
}

/// A replay under way.
pub struct Replay {
    parts: ReplayParts,
    outbox: Outbox,
    pending: VecDeque<Vec<Finding>>,
    now: Tick,
    frames: u64,
    jobs: Vec<LaneJob>,
    /// The frame whose headers are being read.
    held: InHand,
    /// Events for the host-scope detectors; empty between windows.
    heard: Vec<(FrameIndex, HostEvent)>,
    vlans: BTreeSet<VlanStack>,
}

/// One lane's share of a window.
struct LaneJob {
    held: Vec<InHand>,
    told: Collected,
    /// A flow's number means something in its lane only; an offender's frames may lie in all.
    verdicts: BurstVerdicts,
}

impl LaneJob {
    /// The lane carries its share from headers to findings.
    fn carry<'f>(
        &mut self,
        lane: &mut Lane,
        bytes: &impl Fn(FrameIndex) -> &'f [u8],
        links: impl Fn(FrameIndex) -> LinkType,
        now: Tick,
    ) {
        if !self.held.is_empty() {
            lane.examine(&mut self.held, bytes, links, &mut self.told);
            lane.detect(now);
        }
    }
}

impl Replay {
    /// A replay of these parts.
    pub fn new(parts: ReplayParts) -> Self {
        let jobs = parts.lanes.iter().map(|_| LaneJob {
            held: Vec::with_capacity(WINDOW_FRAMES),
            told: Collected::default(),
            verdicts: BurstVerdicts::new(8 * WINDOW_FRAMES),
        });
        Replay {
            jobs: jobs.collect(),
            outbox: Outbox::default(),
            pending: VecDeque::new(),
            now: Tick::ZERO,
            frames: 0,
            held: InHand::new(FrameIndex(0), PortSide::A, Tick::ZERO, 0),
            heard: Vec::new(),
            vlans: BTreeSet::new(),
            parts,
        }
    }

    /// The lanes' counters.
    pub fn lanes(&self) -> impl Iterator<Item = &LaneCounters> {
        self.parts.lanes.iter().map(|lane| &*lane.parts.counters)
    }

    /// Each flow-scope plugin's figures in each lane.
    pub fn seats(&self) -> impl Iterator<Item = (PluginId, SeatCounters)> {
        self.parts.lanes.iter().flat_map(|l| l.parts.detectors.counters()).map(|(id, c)| (id, *c))
    }

    /// What the rules of each plugin have cost, lane by lane and shard by shard.
    pub fn profiles(&self) -> impl Iterator<Item = (PluginId, &Profile)> {
        let lanes = self.parts.lanes.iter().flat_map(|lane| lane.parts.detectors.profiles());
        lanes.chain(self.parts.shards.iter().flat_map(HostShard::profiles))
    }

    /// Each plugin's own metrics, lane by lane and shard by shard.
    pub fn metrics(&mut self, mut each: impl FnMut(PluginId, &str, i64)) {
        for lane in &mut self.parts.lanes {
            lane.parts.detectors.metrics(&mut each);
        }
        for shard in &mut self.parts.shards {
            shard.metrics(&mut each);
        }
    }

    /// What each lane read behind the headers.
    pub fn readings(&self) -> impl Iterator<Item = ReadingFigures> {
        self.parts.lanes.iter().filter_map(|l| l.parts.reading.as_ref()).map(|r| r.figures())
    }

    /// The VLAN stacks seen.
    pub fn vlans(&self) -> impl Iterator<Item = VlanStack> {
        self.vlans.iter().copied()
    }

    /// Carries everything that the source has, to its end.
    pub fn run<S: FrameSource>(&mut self, source: &mut S, audience: &mut impl Audience) {
        let mut frames: Vec<RxFrame> = Vec::with_capacity(WINDOW_FRAMES);
        loop {
            let (dealt, room) = (frames.len(), WINDOW_STEP - frames.len() % WINDOW_STEP);
            let received = source.receive(&mut frames, room);
            self.deal(source, &frames, dealt);
            let over = matches!(received, Received::EndOfInput | Received::PortGone(_));
            // A source that has nothing may be waiting for its frames to be given back.
            let stalled = over || received == Received::Nothing;
            if is_whole(&frames) || (stalled && !frames.is_empty()) {
                self.window(source, &mut frames, audience);
            }
            if over {
                break;
            }
        }
        self.finish(audience);
    }

    fn window<S: FrameSource>(
        &mut self,
        source: &mut S,
        frames: &mut Vec<RxFrame>,
        audience: &mut impl Audience,
    ) {
        self.frames += frames.len() as u64;
        let steps = frames.len().div_ceil(WINDOW_STEP);
        let due = if self.pending.len() >= HOST_DELAY { self.pending.pop_front() } else { None };
        let mut told = Told::default();
        for finding in due.into_iter().flatten() {
            self.judge_one(0, &finding, None, &mut told);
        }
        self.examine(source, frames);
        self.judge(&mut told);
        self.hear_shards();
        self.dispose(source, frames, &mut told);
        self.settle(steps, &mut told);
        told.tell(audience, self.now);
        audience.progress(self.frames);
        for job in &mut self.jobs {
            job.held.clear();
            job.verdicts.clear();
        }
    }

    /// Reads the headers of the frames from the one that came as `first` on, and gives each to the
    /// lane that owns it. Done as they come: by the end of a window their bytes have left the
    /// caches.
    fn deal<S: FrameSource>(&mut self, source: &S, frames: &[RxFrame], first: usize) {
        let checks = self.parts.lanes.first().map_or_else(Default::default, Lane::checks);
        let mut last = None;
        for (at, frame) in frames.iter().enumerate().skip(first) {
            self.now = self.now.max(frame.at);
            let index = FrameIndex(u16::try_from(at).unwrap_or(u16::MAX));
            // A capture's clock may step back; the street's never does.
            let held = &mut self.held;
            held.renew(index, frame.side, self.now, frame.wire_len);
            held.number = frame.number;
            read_headers(held, source.bytes(&frame.slot), link(frame), checks);
            let vlan = match &held.packet {
                Some(packet) => Some(packet.vlan),
                None => vlan_of_malformed(source.bytes(&frame.slot), link(frame), checks),
            };
            if vlan != last {
                last = vlan;
                self.vlans.extend(vlan);
            }
            if let Some(Lane { parts, .. }) = self.parts.lanes.first() {
                let bytes = source.bytes(&frame.slot);
                neighbours::hear(&parts.proven, parts.segment, held, bytes, &parts.counters);
            }
            let lane =
                owner(&self.parts.key, self.parts.segment, held.packet.as_ref(), self.jobs.len());
            if let Some(job) = self.jobs.get_mut(lane) {
                job.held.push(*held);
            }
        }
    }

    /// Lanes from headers to findings, spread over the workers.
    fn examine<S: FrameSource>(&mut self, source: &S, frames: &[RxFrame]) {
        let now = self.now;
        let links =
            |index: FrameIndex| frames.get(usize::from(index.0)).map_or(LinkType::Ethernet, link);
        let lanes = self.parts.lanes.iter_mut().zip(&mut self.jobs);
        if self.parts.workers <= 1 {
            let bytes = |index: FrameIndex| {
                let frame = frames.get(usize::from(index.0));
                frame.map(|frame| source.bytes(&frame.slot)).unwrap_or_default()
            };
            lanes.for_each(|(lane, job)| job.carry(lane, &bytes, links, now));
            return;
        }
        // A source need not be one that threads may share; the frames' bytes always are.
        let slices: Vec<&[u8]> = frames.iter().map(|f| source.bytes(&f.slot)).collect();
        let bytes =
            |index: FrameIndex| slices.get(usize::from(index.0)).copied().unwrap_or_default();
        // What the lanes' detectors count together is counted in the order of the lanes.
        let mut shares: Vec<(usize, (&mut Lane, &mut LaneJob))> = lanes.enumerate().collect();
        let turns = Turns::new(shares.len());
        let per_worker = shares.len().div_ceil(self.parts.workers);
        std::thread::scope(|scope| {
            for chunk in shares.chunks_mut(per_worker) {
                let (turns, bytes) = (&turns, &bytes);
                scope.spawn(move || {
                    for (place, (lane, job)) in chunk {
                        turns.carry(*place, || job.carry(lane, bytes, links, now));
                    }
                });
            }
        });
    }

    /// Judges the findings of all lanes in the order of their frames.
    fn judge(&mut self, told: &mut Told) {
        let mut findings: Vec<(usize, Finding)> = Vec::new();
        for (at, lane) in self.parts.lanes.iter_mut().enumerate() {
            lane.parts().detectors.take_events(&mut told.plugins);
            findings.extend(lane.take_findings().map(|f| (at, f)));
            if let Some(job) = self.jobs.get_mut(at) {
                lane.claim_unjudged(&mut job.verdicts);
            }
        }
        findings.sort_by_key(|(_, f)| turn(f));
        for (lane, finding) in findings {
            let held = finding.frame.and_then(|frame| self.held(lane, frame));
            self.judge_one(lane, &finding, held, told);
        }
    }

    fn held(&self, lane: usize, frame: FrameIndex) -> Option<InHand> {
        let held = &self.jobs.get(lane)?.held;
        held.binary_search_by_key(&frame, |h| h.index).ok().and_then(|at| held.get(at)).copied()
    }

    fn judge_one(&mut self, lane: usize, finding: &Finding, held: Option<InHand>, told: &mut Told) {
        let (Some(lane), Some(job)) = (self.parts.lanes.get_mut(lane), self.jobs.get_mut(lane))
        else {
            return;
        };
        let verdict =
            lane.judge(finding, held.as_ref(), self.now, &mut job.verdicts, &mut job.told);
        if let Effect::TerminateAndBlock(order) = verdict.effect {
            if let Some(held) = held {
                let claim = Claim::Offender(order.key);
                self.jobs.iter_mut().for_each(|job| job.verdicts.note(held.index, claim));
            }
            self.block(order, finding.frame, told);
        }
    }

    /// The book takes the order, and every lane's table follows before the next window.
    fn block(&mut self, order: BlockOrder, frame: Option<FrameIndex>, told: &mut Told) {
        let snapshot = self.parts.lanes.first().map(Lane::snapshot);
        let spares = |key: &BlockKey| snapshot.as_ref().is_some_and(|s| s.spares(key));
        let _ = self.parts.book.block(order, &spares, &mut self.outbox);
        self.publish(frame, told);
    }

    fn publish(&mut self, frame: Option<FrameIndex>, told: &mut Told) {
        for order in self.outbox.orders.drain(..) {
            for lane in &mut self.parts.lanes {
                lane.parts().blocks.apply(&order);
            }
        }
        for event in self.outbox.events.drain(..) {
            told.block(frame.unwrap_or(FrameIndex(u16::MAX)), event);
        }
        self.outbox.journal.clear();
    }

    /// Gives the window's events to the host-scope detectors, in the order of their frames.
    fn hear_shards(&mut self) {
        let mut events = std::mem::take(&mut self.heard);
        for job in &mut self.jobs {
            events.append(&mut job.told.host_events);
            for (segment, vlan, addr, at) in job.told.proven.drain(..) {
                if let Some(lane) = self.parts.lanes.first_mut() {
                    lane.parts().proven.record(segment, vlan, addr, at);
                }
            }
        }
        // The events are some hundred bytes each: their order is made apart from them.
        let mut order: Vec<(FrameIndex, usize)> =
            events.iter().enumerate().map(|(at, (frame, _))| (*frame, at)).collect();
        order.sort_unstable();
        let (mut findings, mut faults) = (Vec::new(), Vec::new());
        let shards = self.parts.shards.len();
        for (_, event) in order.iter().filter_map(|(_, at)| events.get(*at)) {
            let Some(first) = self.parts.shards.first() else { break };
            for (shard, seats) in first.interests().routes(event.seats, &event.flow, shards) {
                if let Some(shard) = self.parts.shards.get_mut(shard).filter(|_| seats != 0) {
                    shard.offer(&HostEvent { seats, ..*event });
                }
            }
        }
        for shard in &mut self.parts.shards {
            shard.run(self.now, &mut findings, &mut faults);
        }
        events.clear();
        self.heard = events;
        self.pending.push_back(findings);
    }

    /// Gives every frame back, by its fate, in the order of arrival.
    fn dispose<S: FrameSource>(
        &mut self,
        source: &mut S,
        frames: &mut Vec<RxFrame>,
        told: &mut Told,
    ) {
        let mut fates = vec![Fate::Drop(DropReason::Copy); frames.len()];
        for (lane, job) in self.parts.lanes.iter_mut().zip(&mut self.jobs) {
            if !job.verdicts.is_empty() {
                let held = job.held.iter_mut();
                held.for_each(|held| lane.mark(held, &job.verdicts, &mut job.told));
            }
            for held in &job.held {
                if let Some(fate) = fates.get_mut(usize::from(held.index.0)) {
                    *fate = lane.settle_fate(held);
                }
            }
            told.reports.append(&mut job.told.reports);
        }
        for (frame, fate) in frames.drain(..).zip(fates) {
            match fate {
                // Where a capture is replayed nothing is sent; the fate is what counts.
                Fate::Forward => drop(source.forward(frame.slot)),
                Fate::Drop(_) => source.discard(frame.slot),
            }
        }
        source.flush();
    }

    /// Ends what is due: flows a bounded number for each of so many steps, blocks all.
    fn settle(&mut self, steps: usize, told: &mut Told) {
        for (lane, job) in self.parts.lanes.iter_mut().zip(&mut self.jobs) {
            (0..steps).for_each(|_| lane.expire(self.now, &mut job.told));
            told.reports.append(&mut job.told.reports);
            lane.parts().blocks.drain(|stopped| {
                self.parts.book.count(stopped.id, stopped.packets, stopped.bytes);
            });
        }
        self.parts.book.expire(self.now, usize::MAX, &mut self.outbox);
        self.publish(None, told);
    }

    /// The input is over: detectors conclude, what is pending is judged, flows end.
    fn finish(&mut self, audience: &mut impl Audience) {
        let mut told = Told::default();
        for job in &mut self.jobs {
            job.held.clear();
        }
        for (lane, job) in self.parts.lanes.iter_mut().zip(&mut self.jobs) {
            lane.drain(self.now, &mut job.told);
            lane.end(self.now);
            told.reports.append(&mut job.told.reports);
        }
        self.judge(&mut told);
        self.hear_shards();
        let (mut last, mut faults) = (Vec::new(), Vec::new());
        for shard in &mut self.parts.shards {
            shard.end_of_input(self.now, &mut last, &mut faults);
        }
        self.pending.push_back(last);
        while let Some(findings) = self.pending.pop_front() {
            for finding in findings {
                self.judge_one(0, &finding, None, &mut told);
            }
        }
        for job in &mut self.jobs {
            told.reports.append(&mut job.told.reports);
        }
        self.settle(1, &mut told);
        told.tell(audience, self.now);
        audience.progress(self.frames);
    }
}

/// Where a frame is that cannot be used further in.
#[cold]
fn vlan_of_malformed(bytes: &[u8], link: LinkType, checks: Checks) -> Option<VlanStack> {
    portcullis_wire::parse(bytes, link, checks).err().map(|malformed| malformed.vlan)
}

/// Whether these frames are decided on now.
fn is_whole(frames: &[RxFrame]) -> bool {
    let [first, .., last] = frames else { return false };
    is_window(frames.len(), first.at, last.at)
}

/// The capture's words for a frame's first header, in the parser's.
pub(crate) fn link(frame: &RxFrame) -> LinkType {
    crate::links::link_type(frame.link)
}
