//! What a packet and a flow have to tell: events for the detectors that asked, reports for the
//! event writer. Off the shortest path: a plain packet of a known flow never gets here.

use crate::burst::{Fate, InHand};
use crate::counters::LaneCounters;
use crate::events;
use crate::lane::{EXPIRED_PER_BURST, Lane, LaneParts};
use crate::outlet::Outlet;
use crate::reading::{Reading, Teller, ip_header};
use crate::report::{Anomaly, Conversation, FlowEnded, Report};
use portcullis_detect::{FlowHost, HostEvent, Interests, Offer, Shown};
use portcullis_flow::{Changes, Direction, EndReason, Flow, FlowId, Scan, TcpState};
use portcullis_plugin_abi::{EventKind, FlowRec};
use portcullis_types::{DropReason, FlowFacts, FrameIndex, Tick};
use portcullis_verdict::Traffic;
use portcullis_wire::{LinkType, Malformed, Packet, Reject, RejectSet};

impl Lane {
    /// Speed 5, and whatever else deserves an event.
    pub(crate) fn tell(
        &mut self,
        held: &mut InHand,
        packet: &Packet,
        bytes: &[u8],
        seen: Seen,
        outlet: &mut impl Outlet,
    ) {
        if seen.changes.has(Changes::STARTED) {
            self.parts.counters.opened.add(1);
            self.parts.counters.flows_started.add(1);
            if self.excluded(seen.id, held.at) {
                return;
            }
        } else {
            self.parts.counters.known.add(1);
        }
        self.note_proof(seen, held.at, outlet);
        self.reject(held, packet, seen, outlet);
        let again = self.shown_by_proven(packet, seen, held.at);
        let seen = Seen { rejects: seen.rejects.union(again), ..seen };
        let Some(flow) = self.parts.flows.flow(seen.id) else { return };
        let facts = flow.facts();
        let record = events::flow_record(flow);
        let mut offer = Offering { lane: &mut self.parts, held, record, facts, bytes, outlet };
        offer.changes(packet, seen);
        offer.anomalies(packet, seen);
        if offer.lane.reading.is_none() {
            offer.packet(packet, seen.direction);
        }
    }

    /// Packets that have no flow: fragments before their first one, and the like.
    pub(crate) fn examine_lone(
        &mut self,
        held: &mut InHand,
        packet: &Packet,
        bytes: &[u8],
        rejects: RejectSet,
        outlet: &mut impl Outlet,
    ) {
        let ends = (packet.src, packet.dst);
        let inside = self.parts.snapshot.ends_inside(self.parts.segment, held.side, ends);
        let (direction, changes) = (Direction::ToServer, Changes::EMPTY);
        let seen = Seen { id: FlowId::default(), direction, changes, rejects };
        self.reject(held, packet, seen, outlet);
        let record = events::lone_record(self.parts.segment, packet, inside);
        let facts = events::lone_facts(self.parts.segment, packet, inside);
        let mut offer = Offering { lane: &mut self.parts, held, record, facts, bytes, outlet };
        offer.anomalies(packet, seen);
        if packet.fragment.is_none() {
            return offer.packet(packet, direction);
        }
        // By itself it has an IP header and no more: ports and payload are the whole datagram's.
        let tcp = Packet::EMPTY.tcp;
        let bare = Packet { src_port: 0, dst_port: 0, tcp, payload_len: 0, ..*packet };
        offer.record = events::lone_record(offer.lane.segment, &bare, inside);
        offer.packet(&bare, direction);
    }

    pub(crate) fn examine_arp(
        &mut self,
        held: &mut InHand,
        packet: &Packet,
        outlet: &mut impl Outlet,
    ) {
        // ARP is the segment's own: it is never dropped, neither by a block nor by policy.
        for reject in packet.rejects.iter() {
            self.parts.counters.reject(reject);
        }
        let seats = self.parts.host_interests.wanting(EventKind::Packet, 0, 0);
        if seats == 0 {
            return;
        }
        let ends = (packet.src, packet.dst);
        let inside = self.parts.snapshot.ends_inside(self.parts.segment, held.side, ends);
        let event = events::packet_event(
            EventKind::Packet,
            packet,
            Direction::ToServer,
            held.at,
            held.wire_len,
        );
        let flow = events::lone_record(self.parts.segment, packet, inside);
        let facts = events::lone_facts(self.parts.segment, packet, inside);
        self.parts.counters.host_events.add(1);
        outlet.host_event(held.index, &HostEvent { seats, flow, event, facts });
    }

    /// Whether an exclusion lets the new flow pass unread; then it is marked so.
    fn excluded(&mut self, id: FlowId, now: Tick) -> bool {
        let exclusions = &self.parts.snapshot.policy.exclusions;
        if !exclusions.may_leave_unread() {
            return false;
        }
        let Some(flow) = self.parts.flows.flow_mut(id) else { return false };
        let traffic = Traffic {
            segment: flow.segment(),
            vlan: flow.vlan(),
            source: flow.client(),
            destination: flow.server(),
            protocol: flow.protocol(),
            port: flow.server_port(),
        };
        let excluded = exclusions.leaves_unread(&traffic, now).is_some();
        if excluded {
            flow.set_do_not_scan(Scan::Skip);
            self.parts.counters.do_not_scan.add(1);
        }
        excluded
    }

    /// Addresses that have shown themselves become known to all lanes.
    fn note_proof(&mut self, seen: Seen, at: Tick, outlet: &mut impl Outlet) {
        let proofs = Changes::ESTABLISHED.with(Changes::PROVEN).with(Changes::SERVER_PROVEN);
        if seen.changes.0 & proofs.0 == 0 {
            return;
        }
        let Some(flow) = self.parts.flows.flow(seen.id) else { return };
        if flow.client_proof().is_proven() {
            outlet.proven(flow.segment(), flow.vlan(), flow.client(), at);
        }
        if flow.server_proof().is_proven() {
            outlet.proven(flow.segment(), flow.vlan(), flow.server(), at);
        }
    }

    /// Attack shapes that are offered to the detectors although they have been told of this flow:
    /// then their sender may have been forged, now it is proven. Each once per flow.
    #[inline]
    fn shown_by_proven(&mut self, packet: &Packet, seen: Seen, at: Tick) -> RejectSet {
        if packet.rejects.intersection(RejectSet::ATTACK_SHAPES).is_empty() {
            return RejectSet::EMPTY;
        }
        let LaneParts { flows, proven, .. } = &mut self.parts;
        let Some(flow) = flows.flow_mut(seen.id) else { return RejectSet::EMPTY };
        let proof = match seen.direction {
            Direction::ToServer => flow.client_proof(),
            Direction::ToClient => flow.server_proof(),
        };
        if proof.is_proven() || proven.recent(flow.segment(), flow.vlan(), packet.src, at) {
            flow.first_by_proven(packet.rejects)
        } else {
            RejectSet::EMPTY
        }
    }

    /// Counts what is wrong with a packet that parsed, tells it once per flow, drops it by policy.
    fn reject(&mut self, held: &mut InHand, packet: &Packet, seen: Seen, outlet: &mut impl Outlet) {
        let new = seen.rejects;
        let all = new.union(packet.rejects);
        if all.is_empty() {
            return;
        }
        for reject in all.iter() {
            self.parts.counters.reject(reject);
        }
        let dropping = all.intersection(self.parts.snapshot.drop_rejects);
        if !dropping.is_empty() {
            let fragment = dropping.contains(Reject::FragmentOverlap)
                || dropping.contains(Reject::FragmentTeardrop);
            held.fate = Fate::Drop(match fragment {
                true => DropReason::FragmentOverlap,
                false => DropReason::Malformed,
            });
        }
        let flow = held.flow.and_then(|(id, _)| self.parts.flows.flow(id));
        let conversation = Conversation::of(self.parts.segment, packet, flow.map_or(0, Flow::id64));
        for reject in new.iter() {
            let sender = (packet.vlan, packet.src_mac, Some(packet.src));
            if held.flow.is_none() && !self.flowless.admits(sender, reject, held.at) {
                self.parts.counters.anomalies_untold.add(1);
                continue;
            }
            let anomaly = Anomaly {
                at: held.at,
                frame_number: held.number,
                conversation,
                reject,
                dropped: dropping.contains(reject),
                conflict: match reject {
                    Reject::FragmentOverlap => self.conflict.take(),
                    _ => None,
                },
            };
            outlet.report(held.index, Report::Anomaly(Box::new(anomaly)));
        }
    }

    #[cold]
    pub(crate) fn malformed(
        &mut self,
        held: &mut InHand,
        bytes: &[u8],
        link: LinkType,
        outlet: &mut impl Outlet,
    ) {
        let Err(bad) = portcullis_wire::parse(bytes, link, self.checks()) else { return };
        self.tell_malformed(held, &bad, outlet);
    }

    /// Tells of headers that cannot be used, and drops the frame by policy.
    #[cold]
    pub(crate) fn tell_malformed(
        &mut self,
        held: &mut InHand,
        bad: &Malformed,
        outlet: &mut impl Outlet,
    ) {
        self.parts.counters.reject(bad.reject);
        for reject in bad.rejects.iter() {
            self.parts.counters.reject(reject);
        }
        let dropped = self.parts.snapshot.drop_rejects.contains(bad.reject);
        if dropped {
            held.fate = Fate::Drop(DropReason::Malformed);
        }
        let anomaly = Anomaly {
            at: held.at,
            frame_number: held.number,
            conversation: Conversation::of_malformed(self.parts.segment, bad),
            reject: bad.reject,
            dropped,
            conflict: None,
        };
        match self.flowless.admits((bad.vlan, bad.src_mac, bad.src), bad.reject, held.at) {
            true => outlet.report(held.index, Report::Anomaly(Box::new(anomaly))),
            false => self.parts.counters.anomalies_untold.add(1),
        }
        // What was read of it before its headers came to no end.
        let (src, dst) = (bad.src.unwrap_or_default(), bad.dst.unwrap_or_default());
        let version = match bad.src {
            Some(src) if src.is_v4() => 4,
            Some(_) => 6,
            None => 0,
        };
        let packet = Packet {
            src_mac: bad.src_mac,
            dst_mac: bad.dst_mac,
            vlan: bad.vlan,
            ethertype: bad.ethertype,
            ip_version: version,
            src,
            dst,
            protocol: bad.protocol,
            ..Packet::EMPTY
        };
        let inside = self.parts.snapshot.ends_inside(self.parts.segment, held.side, (src, dst));
        let record = events::lone_record(self.parts.segment, &packet, inside);
        let facts = events::lone_facts(self.parts.segment, &packet, inside);
        let mut offer = Offering { lane: &mut self.parts, held, record, facts, bytes: &[], outlet };
        for reject in bad.rejects.union(RejectSet::EMPTY.with(bad.reject)).iter() {
            offer.offer(EventKind::Anomaly, &packet, Direction::ToServer, reject as u16);
        }
    }

    /// Ends flows whose time is up, a bounded number.
    pub fn expire(&mut self, now: Tick, outlet: &mut impl Outlet) {
        self.expire_fragments(now);
        let LaneParts { flows, counters, host_interests, reading, detectors, .. } = &mut self.parts;
        let mut ended = |id: FlowId, flow: &Flow, reason: EndReason| {
            conclude(reading, detectors, (id, flow, now), counters, outlet);
            tell_end(flow, reason, now, counters, host_interests, outlet);
        };
        flows.expire(now, EXPIRED_PER_BURST, &mut ended);
        counters.flows.set(flows.len() as u64);
        counters.flows_evicted.set(flows.counters().evicted());
    }

    /// Tells of flows that ended because others needed their room.
    #[cold]
    pub(crate) fn tell_ended(&mut self, now: Tick, outlet: &mut impl Outlet) {
        let LaneParts { flows, counters, host_interests, reading, detectors, .. } = &mut self.parts;
        flows.take_ended(&mut |id: FlowId, flow: &Flow, reason: EndReason| {
            conclude(reading, detectors, (id, flow, now), counters, outlet);
            tell_end(flow, reason, now, counters, host_interests, outlet);
        });
    }

    /// Ends every flow: the input is over.
    pub fn drain(&mut self, now: Tick, outlet: &mut impl Outlet) {
        let LaneParts { flows, counters, host_interests, reading, detectors, .. } = &mut self.parts;
        let mut ended = |id: FlowId, flow: &Flow, reason: EndReason| {
            conclude(reading, detectors, (id, flow, now), counters, outlet);
            tell_end(flow, reason, now, counters, host_interests, outlet);
        };
        flows.drain(&mut ended);
        counters.flows.set(flows.len() as u64);
    }
}

/// What `flow` said about a packet.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) id: FlowId,
    pub(crate) direction: Direction,
    pub(crate) changes: Changes,
    pub(crate) rejects: RejectSet,
}

/// One packet's events on their way to the detectors that asked.
struct Offering<'a, O> {
    lane: &'a mut LaneParts,
    held: &'a InHand,
    record: FlowRec,
    facts: FlowFacts,
    bytes: &'a [u8],
    outlet: &'a mut O,
}

impl<O: Outlet> Offering<'_, O> {
    fn changes(&mut self, packet: &Packet, seen: Seen) {
        const KINDS: [(Changes, EventKind); 4] = [
            (Changes::STARTED, EventKind::FlowStart),
            (Changes::REPLIED, EventKind::FlowReply),
            (Changes::ESTABLISHED, EventKind::FlowEstablished),
            (Changes::PROVEN, EventKind::FlowProven),
        ];
        for (change, kind) in KINDS {
            if seen.changes.has(change) {
                self.offer(kind, packet, seen.direction, 0);
            }
        }
        // An ICMP error that quotes the flow is its reply: the port is closed.
        if seen.changes.has(Changes::UNREACHABLE) && !seen.changes.has(Changes::REPLIED) {
            self.offer(EventKind::FlowReply, packet, Direction::ToClient, 0);
        }
    }

    fn anomalies(&mut self, packet: &Packet, seen: Seen) {
        for reject in seen.rejects.iter() {
            self.offer(EventKind::Anomaly, packet, seen.direction, reject as u16);
        }
    }

    fn packet(&mut self, packet: &Packet, direction: Direction) {
        self.offer(EventKind::Packet, packet, direction, 0);
    }

    fn offer(&mut self, kind: EventKind, packet: &Packet, direction: Direction, code: u16) {
        let (protocol, port) = (self.record.protocol, self.record.server_port);
        let wanting = |interests: &Interests| {
            let seats = interests.wanting(kind, protocol, port);
            if kind == EventKind::Anomaly { interests.wanting_anomaly(seats, code) } else { seats }
        };
        let inline = wanting(self.lane.detectors.interests());
        let seats = wanting(&self.lane.host_interests);
        if inline | seats == 0 {
            return;
        }
        let held = self.held;
        let mut event = events::packet_event(kind, packet, direction, held.at, held.wire_len);
        event.code = code;
        if inline != 0 {
            self.lane.counters.events.add(1);
            let payload = Shown::payload(packet.payload(self.bytes));
            // Rules may ask which part of a datagram a fragment is.
            let header = ip_header(packet, self.bytes).filter(|_| packet.fragment.is_some());
            let shown = [payload, header.unwrap_or(payload)];
            let buffers = shown.get(..1 + usize::from(header.is_some())).unwrap_or_default();
            self.lane.detectors.offer(&Offer {
                flow: &self.record,
                event,
                buffers,
                hits: &[],
                facts: &self.facts,
                frame: Some(held.index),
                flow_ref: held.flow_ref(),
            });
        }
        if seats != 0 {
            self.lane.counters.host_events.add(1);
            let told = HostEvent { seats, flow: self.record, event, facts: self.facts };
            self.outlet.host_event(held.index, &told);
        }
    }
}

/// What was still being read of a flow that is over.
fn conclude(
    reading: &mut Option<Box<Reading>>,
    detectors: &mut FlowHost,
    (id, flow, at): (FlowId, &Flow, Tick),
    counters: &LaneCounters,
    outlet: &mut impl Outlet,
) {
    let Some(reading) = reading else { return };
    reading.end(Teller {
        id,
        flow,
        direction: Direction::ToServer,
        at,
        number: 0,
        frame: None,
        packet: None,
        wire_len: 0,
        detectors,
        counters,
        outlet,
    });
}

fn tell_end(
    flow: &Flow,
    reason: EndReason,
    now: Tick,
    counters: &LaneCounters,
    host_interests: &Interests,
    outlet: &mut impl Outlet,
) {
    counters.flows_ended.add(1);
    let last = FrameIndex(u16::MAX);
    outlet.report(last, Report::Flow(Box::new(FlowEnded::of(flow, reason, now))));
    let seats = host_interests.wanting(EventKind::FlowEnd, flow.protocol(), flow.server_port());
    if seats != 0 {
        let event = events::end_event(reason as u16, now);
        let ended =
            HostEvent { seats, flow: events::flow_record(flow), event, facts: flow.facts() };
        counters.host_events.add(1);
        outlet.host_event(last, &ended);
    }
}

impl FlowEnded {
    fn of(flow: &Flow, reason: EndReason, now: Tick) -> Self {
        let tally = |d| {
            let t = flow.tally(d);
            (t.packets, t.bytes)
        };
        FlowEnded {
            conversation: Conversation::of_flow(flow),
            first: flow.first(),
            last: flow.last(),
            at: now,
            to_server: tally(Direction::ToServer),
            to_client: tally(Direction::ToClient),
            reason,
            state: state_name(flow),
            terminated: flow.terminated(),
            alerted: flow.alerted(),
            unscanned: flow.unscanned(),
            proof: flow.client_proof(),
        }
    }
}

/// The state as peers name it.
fn state_name(flow: &Flow) -> &'static str {
    match flow.tcp_state() {
        TcpState::Closed | TcpState::Reset | TcpState::Closing => "closed",
        TcpState::Established => "established",
        TcpState::None if flow.is_replied() => "established",
        _ => "new",
    }
}
