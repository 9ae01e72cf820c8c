//! A lane: everything that one worker owns of the street between its ports.
//!
//! [`Lane::examine`] carries a burst from bytes to events; [`Lane::detect`] runs the detectors on
//! what it has gathered; `telling.rs` makes the events and reports; `decide.rs` turns findings into
//! verdicts. The lane must never know where frames come from, a clock, or who listens at its
//! [`Outlet`].

use crate::burst::{Fate, InHand};
use crate::counters::LaneCounters;
use crate::decide::Ending;
use crate::flowless::FlowlessBound;
use crate::fragments::Fragments;
use crate::outlet::Outlet;
use crate::reading::{Reading, Teller};
use crate::report::Conflict;
use crate::snapshot::{OnFault, Snapshot};
use crate::telling::Seen;
use portcullis_detect::{Fault, FlowHost, Interests};
use portcullis_enforce::{WorkerTable, is_link_control};
use portcullis_flow::{Admission, Arrival, Changes, FlowId, FlowTable, Located, ProvenSources};
use portcullis_plugin_abi::EventKind;
use portcullis_types::{Addr, DropReason, Finding, FrameIndex, SegmentId, Tick, Whence};
use portcullis_verdict::{BurstVerdicts, Claim, Judge, Mode};
use portcullis_wire::{
    Checks, LinkType, Packet, PacketKind, Reject, RejectSet, TcpFlags, protocol,
};
use std::sync::Arc;

/// Findings that one burst may raise; more are counted and not judged.
pub const FINDINGS_PER_BURST: usize = 1_024;
/// Connections that one burst may end with RSTs; more end by being dropped.
pub const ENDINGS_PER_BURST: usize = 64;
/// Flows that one burst may expire.
pub const EXPIRED_PER_BURST: usize = 256;

/// What a lane is made of.
pub struct LaneParts {
    /// The protected link.
    pub segment: SegmentId,
    /// Flows.
    pub flows: FlowTable,
    /// Flow-scope detectors.
    pub detectors: FlowHost,
    /// What host-scope detectors want to see, all together.
    pub host_interests: Interests,
    /// Blocks, this lane's own copy.
    pub blocks: WorkerTable,
    /// Who judges; shares the breaker with all others.
    pub judge: Judge,
    /// Addresses proven or announced lately, shared by all lanes.
    pub proven: Arc<ProvenSources>,
    /// Policy.
    pub snapshot: Arc<Snapshot>,
    /// Datagrams in pieces; `None` where fragments pass unread.
    pub fragments: Option<Box<Fragments>>,
    /// Streams, decoders and the matcher; `None` where no detector reads behind the headers.
    pub reading: Option<Box<Reading>>,
    /// What is counted.
    pub counters: Arc<LaneCounters>,
}

/// Everything that one worker owns between its ports.
pub struct Lane {
    pub(crate) parts: LaneParts,
    pub(crate) findings: Vec<Finding>,
    pub(crate) faults: Vec<Fault>,
    /// Frames that no detector's fault lets pass, with their flows: `on_fault = "closed"`.
    pub(crate) unjudged: Vec<(FrameIndex, Option<FlowId>)>,
    pub(crate) verdicts: BurstVerdicts,
    /// Connections that this burst's verdicts end.
    pub endings: Vec<Ending>,
    /// The two versions that the fragment in hand has shown.
    pub(crate) conflict: Option<Conflict>,
    /// How often frames without a flow are told of.
    pub(crate) flowless: FlowlessBound,
    located: Vec<(usize, Located)>,
}

impl Lane {
    /// A lane of these parts. Allocates what it needs for its life.
    pub fn new(parts: LaneParts) -> Self {
        Lane {
            parts,
            findings: Vec::with_capacity(FINDINGS_PER_BURST),
            faults: Vec::with_capacity(64),
            unjudged: Vec::with_capacity(64),
            verdicts: BurstVerdicts::new(2 * FINDINGS_PER_BURST),
            endings: Vec::with_capacity(ENDINGS_PER_BURST),
            conflict: None,
            flowless: FlowlessBound::default(),
            located: Vec::with_capacity(crate::burst::WINDOW_FRAMES),
        }
    }

    /// The lane's parts, for its owner between bursts.
    pub fn parts(&mut self) -> &mut LaneParts {
        &mut self.parts
    }

    /// Carries a burst, whose headers have been read, from packets to events, in passes over its
    /// frames.
    ///
    /// The first drops what is blocked or cannot be read, the next two touch the flow table for
    /// all of them, its index and then its flows, so that the cache misses overlap; the last
    /// follows the flows.
    ///
    /// Five speeds, counted apart: *(1)* blocked in the kernel, never seen here; *(2)* blocked by
    /// the table, or excluded; *(3)* a flow already decided; *(4)* a known flow; *(5)* a new flow.
    pub fn examine<'f>(
        &mut self,
        burst: &mut [InHand],
        bytes: &impl Fn(FrameIndex) -> &'f [u8],
        link: impl Fn(FrameIndex) -> LinkType,
        outlet: &mut impl Outlet,
    ) {
        self.forget_condemned();
        let mut located = std::mem::take(&mut self.located);
        for (at, held) in burst.iter_mut().enumerate() {
            if let Some(found) = self.read(held, bytes, &link, outlet) {
                located.push((at, found));
            }
        }
        for (_, found) in &located {
            self.parts.flows.touch(found);
        }
        for (_, found) in &mut located {
            self.parts.flows.warm(found);
        }
        for (at, found) in located.drain(..) {
            if let Some(held) = burst.get_mut(at) {
                self.follow(held, &found, bytes, outlet);
            }
        }
        self.located = located;
    }

    /// From headers to the flow's place in the table. `None` where the frame has no flow to
    /// follow. Nearly no frame's bytes are asked for: its headers have been read.
    #[inline]
    fn read<'f>(
        &mut self,
        held: &mut InHand,
        bytes: &impl Fn(FrameIndex) -> &'f [u8],
        link: &impl Fn(FrameIndex) -> LinkType,
        outlet: &mut impl Outlet,
    ) -> Option<Located> {
        let counters = &self.parts.counters;
        counters.frames_in.add(1);
        counters.bytes_in.add(u64::from(held.wire_len));
        let Some(packet) = &mut held.packet else {
            self.malformed(held, bytes(held.index), link(held.index), outlet);
            return None;
        };
        if !packet.rejects.is_empty() && (held.wire_len as usize) > bytes(held.index).len() {
            packet.rejects = packet.rejects.without(RejectSet::CUT_CAPTURE);
        }
        match packet.kind {
            PacketKind::Ip => {}
            PacketKind::Arp => {
                let packet = *packet;
                self.examine_arp(held, &packet, outlet);
                return None;
            }
            PacketKind::Other => {
                counters.untouched.add(1);
                return None;
            }
        }
        if packet.protocol == protocol::ICMPV4 {
            mark_echo_to_network(&self.parts.snapshot, self.parts.segment, packet);
        }
        // Speed 2. A block never cuts the segment's own neighbour discovery.
        let segment = self.parts.segment;
        let whence = Whence { segment, vlan: packet.vlan, source: packet.src, tunnel: 0 };
        let stopped = self.parts.blocks.check(&whence, held.at);
        if let Some(block) = stopped.filter(|_| !is_link_control(packet)) {
            self.parts.blocks.count(block, held.wire_len);
            held.fate = Fate::Drop(DropReason::Blocked);
            return None;
        }
        Some(self.parts.flows.locate(segment, packet))
    }

    /// Packet to flow, and to events where something is new.
    #[inline]
    fn follow<'f>(
        &mut self,
        held: &mut InHand,
        located: &Located,
        bytes: &impl Fn(FrameIndex) -> &'f [u8],
        outlet: &mut impl Outlet,
    ) {
        let Some(packet) = &held.packet else { return };
        let arrival = self.arrival(held);
        if let Some((id, direction)) = self.parts.flows.follow_plain(located, packet, arrival) {
            // Most packets: nothing has changed. A copy of the headers would cost as much.
            let protocol = packet.protocol;
            held.flow = Some((id, direction));
            if let Some(fate) = self.pass_known(id, protocol) {
                held.fate = fate;
                return;
            }
            let (changes, rejects) = (Changes::EMPTY, RejectSet::EMPTY);
            let admission = Admission::Flow { id, direction, changes, rejects };
            return self.follow_slowly(held, admission, bytes(held.index), outlet);
        }
        if packet.fragment.is_some() {
            let packet = *packet;
            let bytes = bytes(held.index);
            return self.follow_fragment(held, located, &packet, bytes, outlet);
        }
        let admission = self.admit(held, located, packet);
        self.follow_slowly(held, admission, bytes(held.index), outlet);
    }

    /// A packet of a known flow that changes nothing: its fate, or `None` where somebody reads
    /// behind the headers or wants to see it.
    #[inline]
    fn pass_known(&self, id: FlowId, protocol: u8) -> Option<Fate> {
        let LaneParts { flows, counters, detectors, reading, .. } = &self.parts;
        if !reading.as_ref().is_none_or(|reading| reading.is_done(id)) {
            return None;
        }
        let flow = flows.flow(id)?;
        if flow.terminated() || flow.do_not_scan() {
            counters.decided.add(1);
            let reason = Fate::Drop(DropReason::FlowTerminated);
            return Some(if flow.terminated() { reason } else { Fate::Forward });
        }
        let interests = detectors.interests();
        if reading.is_none()
            && interests.wanting(EventKind::Packet, protocol, flow.server_port()) != 0
        {
            return None;
        }
        counters.known.add(1);
        Some(Fate::Forward)
    }

    /// Everything that is not a plain packet of a known flow.
    fn follow_slowly(
        &mut self,
        held: &mut InHand,
        admission: Admission,
        bytes: &[u8],
        outlet: &mut impl Outlet,
    ) {
        if let Some(packet) = held.packet {
            self.follow_admission(held, admission, &packet, bytes, outlet);
        }
    }

    /// A whole packet to its flow.
    #[inline]
    pub(crate) fn follow_packet(
        &mut self,
        held: &mut InHand,
        located: &Located,
        packet: &Packet,
        bytes: &[u8],
        outlet: &mut impl Outlet,
    ) {
        let admission = self.admit(held, located, packet);
        self.follow_admission(held, admission, packet, bytes, outlet);
    }

    /// The packet's flow is found, begun or refused.
    #[inline]
    fn admit(&mut self, held: &InHand, located: &Located, packet: &Packet) -> Admission {
        let announced = self.is_announced(packet, held.at);
        let arrival = Arrival { announced, ..self.arrival(held) };
        let (segment, side) = (arrival.segment, held.side);
        let snapshot = &self.parts.snapshot;
        let inside = |client: Addr, server: Addr| {
            let client_side = if client == packet.src { side } else { side.other() };
            snapshot.ends_inside(segment, client_side, (client, server))
        };
        self.parts.flows.admit_located(located, packet, arrival, inside)
    }

    /// Of an RST: whether the machine that it comes from has announced its source as its own.
    #[inline]
    fn is_announced(&self, packet: &Packet, at: Tick) -> bool {
        packet.protocol == protocol::TCP && packet.tcp.flags.any(TcpFlags::RST) && {
            let place = (self.parts.segment, packet.vlan);
            self.parts.proven.has_announced(place, packet.src, packet.src_mac, at)
        }
    }

    fn follow_admission(
        &mut self,
        held: &mut InHand,
        admission: Admission,
        packet: &Packet,
        bytes: &[u8],
        outlet: &mut impl Outlet,
    ) {
        let now = held.at;
        match admission {
            Admission::Flow { id, direction, changes, rejects } => {
                held.flow = Some((id, direction));
                // Flows that made room are told before the new one takes their place.
                if changes.has(Changes::OTHERS_ENDED) {
                    self.tell_ended(now, outlet);
                }
                let changes = Changes(changes.0 & !Changes::OTHERS_ENDED.0);
                let seen = Seen { id, direction, changes, rejects };
                self.follow_flow(held, packet, bytes, seen, outlet);
            }
            Admission::NoFlow { rejects } => {
                self.examine_lone(held, packet, bytes, rejects, outlet);
            }
            Admission::Refused(reason) => held.fate = Fate::Drop(reason),
        }
    }

    #[inline]
    fn follow_flow(
        &mut self,
        held: &mut InHand,
        packet: &Packet,
        bytes: &[u8],
        seen: Seen,
        outlet: &mut impl Outlet,
    ) {
        let Some(flow) = self.parts.flows.flow(seen.id) else { return };
        let counters = &self.parts.counters;
        // Speed 3.
        if flow.terminated() {
            counters.decided.add(1);
            held.fate = Fate::Drop(DropReason::FlowTerminated);
            return;
        }
        if flow.do_not_scan() {
            counters.decided.add(1);
            return;
        }
        // Speed 4: nothing has changed and nobody asked for plain packets of this kind. Where
        // flows are read, plain packets are offered by the reader.
        let interests = self.parts.detectors.interests();
        if seen.changes.is_empty()
            && packet.rejects.is_empty()
            && (self.parts.reading.is_some()
                || interests.wanting(EventKind::Packet, packet.protocol, flow.server_port()) == 0)
        {
            counters.known.add(1);
        } else {
            self.tell(held, packet, bytes, seen, outlet);
        }
        // Where the segment only watches, what would be dropped arrives, and is read.
        let arrives = held.fate == Fate::Forward || self.watches();
        if self.parts.reading.is_some() && arrives && !self.is_spoiled(packet) {
            self.read_flow(held, packet, bytes, seen, outlet);
        }
    }

    /// Whether its receiver drops the packet for a checksum, as far as policy takes checksums at
    /// their word: then nothing of it counts, also where it cannot be dropped here.
    #[inline]
    pub(crate) fn is_spoiled(&self, packet: &Packet) -> bool {
        const CHECKSUMS: RejectSet = RejectSet::EMPTY
            .with(Reject::Ipv4Checksum)
            .with(Reject::TcpChecksum)
            .with(Reject::UdpChecksum);
        let wrong = packet.rejects.intersection(CHECKSUMS);
        !wrong.is_empty() && !wrong.intersection(self.parts.snapshot.drop_rejects).is_empty()
    }

    /// Reads behind the headers: streams, protocols, payloads.
    fn read_flow(
        &mut self,
        held: &mut InHand,
        packet: &Packet,
        bytes: &[u8],
        seen: Seen,
        outlet: &mut impl Outlet,
    ) {
        let watches = self.watches();
        let LaneParts { flows, detectors, reading, counters, .. } = &mut self.parts;
        let (Some(reading), Some(flow)) = (reading, flows.flow(seen.id)) else { return };
        if flow.do_not_scan() {
            return;
        }
        let teller = Teller {
            id: seen.id,
            flow,
            direction: seen.direction,
            at: held.at,
            number: held.number,
            frame: Some(held.index),
            packet: Some(packet),
            wire_len: held.wire_len,
            detectors,
            counters,
            outlet,
        };
        if let Some(reason) = reading.packet(packet, bytes, watches, teller) {
            held.fate = Fate::Drop(reason);
        }
    }

    /// Runs the flow-scope detectors on what the burst has gathered, once.
    pub fn detect(&mut self, now: Tick) {
        let LaneParts { detectors, counters, snapshot, flows, .. } = &mut self.parts;
        detectors.run(now, &mut self.findings, &mut self.faults);
        let room = FINDINGS_PER_BURST.min(self.findings.len());
        counters.findings.add(self.findings.len() as u64);
        counters.findings_lost.add((self.findings.len() - room) as u64);
        self.findings.truncate(room);
        counters.faults.add(self.faults.len() as u64);
        let closed = snapshot.on_fault == OnFault::Closed;
        for fault in self.faults.drain(..) {
            let id = fault.flow.map(|(index, generation)| FlowId { index, generation });
            if let Some(flow) = id.and_then(|id| flows.flow_mut(id)) {
                flow.set_unscanned();
            }
            if !closed {
                continue;
            }
            if let Some(id) = id {
                flows.terminate(id);
            }
            self.unjudged.extend(fault.frame.map(|frame| (frame, id)));
        }
    }

    /// Lays claim to the frames that detectors choked on, and to what follows in their flows,
    /// where policy lets nothing unjudged pass.
    pub(crate) fn claim_unjudged(&mut self, verdicts: &mut BurstVerdicts) {
        for (frame, flow) in self.unjudged.drain(..) {
            verdicts.note(frame, Claim::Faulted);
            if let Some(id) = flow {
                verdicts.note(frame, Claim::FaultedFlow(id.index, id.generation));
            }
        }
    }

    /// The input is over: the detectors conclude.
    pub fn end(&mut self, now: Tick) {
        self.parts.detectors.end_of_input(now, &mut self.findings, &mut self.faults);
        self.faults.clear();
    }

    /// What the detectors have found and nobody has judged.
    pub(crate) fn take_findings(&mut self) -> impl Iterator<Item = Finding> {
        self.findings.drain(..)
    }

    /// Policy as this lane has it.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.parts.snapshot)
    }

    /// Which checksums policy has verified.
    #[inline]
    pub fn checks(&self) -> Checks {
        self.parts.snapshot.checks
    }

    /// Whether the segment lets everything pass.
    pub(crate) fn watches(&self) -> bool {
        self.parts.snapshot.policy.mode(self.parts.segment) == Mode::Monitor
    }

    /// Counts a frame's fate, and makes it a forward where the segment only watches.
    #[inline]
    pub fn settle_fate(&mut self, held: &InHand) -> Fate {
        if held.fragment.is_some() {
            return self.settle_fragment(held);
        }
        self.settle(held.fate)
    }

    /// Counts what becomes of a frame.
    #[inline]
    pub(crate) fn settle(&self, fate: Fate) -> Fate {
        let counters = &self.parts.counters;
        match fate {
            Fate::Forward => {
                counters.forwarded.add(1);
                Fate::Forward
            }
            Fate::Drop(_) if self.watches() => {
                counters.would_drop.add(1);
                counters.forwarded.add(1);
                Fate::Forward
            }
            Fate::Drop(reason) => {
                counters.drop_for(reason);
                Fate::Drop(reason)
            }
        }
    }
}

/// An echo request to all hosts of a protected network is one to a group: the headers alone do not
/// say so, the networks' masks do.
#[cold]
fn mark_echo_to_network(snapshot: &Snapshot, segment: SegmentId, packet: &mut Packet) {
    const ECHO: u8 = 8;
    const TIMESTAMP: u8 = 13;
    let asks = matches!(packet.icmp_type, ECHO | TIMESTAMP);
    if asks && snapshot.inside(segment).is_some_and(|inside| inside.is_broadcast(packet.dst)) {
        packet.rejects.insert(Reject::Icmpv4EchoToGroup);
    }
}
