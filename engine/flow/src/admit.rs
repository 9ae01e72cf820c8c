//! What happens to one packet: its flow is found, begun, or known to be another's.

use crate::flow::{Changes, Direction, EndReason, Flow, FlowId, TcpEnd, TcpState, mark};
use crate::key::{End, FlowKey, ICMP, ICMP6, TCP, is_reply_type};
use crate::table::{Admission, Arrival, FREE, FlowTable, Kind, Located};
use crate::tcp::{self, Port, Sender, Shape, Step};
use portcullis_types::{Addr, DropReason, PortSide};
use portcullis_wire::{Packet, RejectSet};

/// Below this, a port is a server's by long custom (RFC 6335: system ports).
const SYSTEM_PORTS: u16 = 1024;

/// From here on, hosts choose ports for clients (Linux `ip_local_port_range`).
const EPHEMERAL_PORTS: u16 = 32_768;

impl FlowTable {
    /// The last step of [`FlowTable::admit`].
    #[inline]
    pub fn admit_located(
        &mut self,
        located: &Located,
        packet: &Packet,
        arrival: Arrival,
        inside: impl FnOnce(Addr, Addr) -> (bool, bool),
    ) -> Admission {
        match located.kind {
            Kind::Whole => {
                if packet.fragment.is_some() {
                    return self.lone(packet);
                }
                self.admit_whole(located, packet, arrival, inside)
            }
            Kind::Quoted => {
                if let Some(admission) = self.attach_error(located, packet, arrival) {
                    return admission;
                }
                self.counters.icmp_stray += 1;
                let (key, end) = FlowKey::of(arrival.segment, packet);
                let hash = key.hash(&self.hash);
                let located = Located { hash, end, kind: Kind::Whole, ..*located };
                self.admit_whole(&located, packet, arrival, inside)
            }
            Kind::Flowless => self.lone(packet),
        }
    }

    #[cold]
    fn lone(&mut self, packet: &Packet) -> Admission {
        self.counters.flowless += 1;
        Admission::NoFlow { rejects: packet.rejects }
    }

    #[inline]
    fn admit_whole(
        &mut self,
        located: &Located,
        packet: &Packet,
        arrival: Arrival,
        inside: impl FnOnce(Addr, Addr) -> (bool, bool),
    ) -> Admission {
        let (key, _) = FlowKey::of(arrival.segment, packet);
        let Some(slot) = self.find_hinted(located, &key) else {
            return self.open(located, packet, arrival, None, inside);
        };
        if self.is_over(slot, arrival) {
            self.end(slot, self.reason_when_over(slot));
            return self.open(located, packet, arrival, None, inside);
        }
        match self.advance(slot, located.end, packet, arrival) {
            Ok(admission) => admission,
            Err(syn_seq) => {
                self.end(slot, EndReason::Closed);
                self.open(located, packet, arrival, syn_seq, inside)
            }
        }
    }

    #[inline]
    fn is_over(&self, slot: u32, arrival: Arrival) -> bool {
        self.flows.get(slot as usize).is_some_and(|flow| {
            let silent = arrival.now.0.saturating_sub(flow.last.0);
            silent >= self.shortest && arrival.now >= self.deadline(flow) && arrival.now > flow.last
        })
    }

    /// A packet of a known flow. `Err` where it begins another between the same ends; it holds the
    /// number of the SYN that the packet answers, where it is not that SYN itself.
    #[inline]
    fn advance(
        &mut self,
        slot: u32,
        end: End,
        packet: &Packet,
        arrival: Arrival,
    ) -> Result<Admission, Option<u32>> {
        let policy = self.tcp;
        let two_ports = packet.protocol == TCP && self.has_two_ports(arrival);
        let refused = Admission::Refused(DropReason::FlowTableFull);
        let Some(flow) = self.flows.get_mut(slot as usize) else { return Ok(refused) };
        let direction = flow.direction_from(end);
        let state = flow.state;
        let mut changes = Changes::EMPTY;
        if packet.protocol == TCP {
            let port = port_of(flow, direction, arrival.side, two_ports);
            self.counters.wrong_port += u64::from(port == Port::Odd);
            let sender = Sender { port, announced: arrival.announced };
            match tcp::advance(flow, direction, packet, sender, policy) {
                Step::Stays(by_tcp) => changes = by_tcp,
                Step::Reopens => return Err(None),
                Step::ReopenAnswered => return Err(Some(flow.client_isn)),
            }
        }
        count(flow, direction, arrival);
        let first_to_client = flow.has(mark::FIRST_TO_CLIENT);
        if !flow.is_replied() && first_to_client == (direction == Direction::ToServer) {
            flow.marks |= mark::REPLIED;
            changes.add(Changes::REPLIED);
        }
        let rejects = fresh_rejects(flow, packet.rejects, &mut changes);
        let id = FlowId { index: slot, generation: flow.generation };
        let changed_state = flow.state != state;
        if changes.has(Changes::RESET) && state == TcpState::SynReceived {
            let unproven = direction == Direction::ToServer && !flow.client_proof().is_proven();
            self.counters.resets_unproven += u64::from(unproven);
        }
        let over = changed_state && is_over_state(flow.state);
        if !changes.is_empty() || changed_state {
            self.counters.proven += u64::from(changes.has(Changes::PROVEN));
            self.restand(slot, over);
        }
        Ok(Admission::Flow { id, direction, changes, rejects })
    }

    /// After a change: rank, and for a flow that is over, its nearer deadline.
    fn restand(&mut self, slot: u32, over: bool) {
        self.relist(slot);
        if over && let Some(flow) = self.flows.get(slot as usize) {
            let deadline = self.deadline(flow);
            self.wheel.remove(slot);
            self.wheel.insert(slot, deadline);
        }
    }

    /// Whether the segment is known to have two ports, so that a frame's port says where its
    /// sender lives. A tap has only port A.
    #[inline]
    pub(crate) fn has_two_ports(&mut self, arrival: Arrival) -> bool {
        let (word, bit) = (usize::from(arrival.segment.0 >> 6), arrival.segment.0 & 63);
        let Some(word) = self.inline.get_mut(word) else { return false };
        if arrival.side == PortSide::B {
            *word |= 1 << bit;
        }
        *word >> bit & 1 == 1
    }

    /// Begins a flow. `syn_seq` is the number of the SYN where the packet is the SYN-ACK to it.
    #[cold]
    #[inline(never)]
    fn open(
        &mut self,
        located: &Located,
        packet: &Packet,
        arrival: Arrival,
        syn_seq: Option<u32>,
        inside: impl FnOnce(Addr, Addr) -> (bool, bool),
    ) -> Admission {
        if self.counters.live == 0 {
            self.wheel.start(arrival.now);
        }
        self.has_two_ports(arrival);
        let Some(slot) = self.ranks.pop_free(FREE).or_else(|| self.evict()) else {
            self.counters.refused += 1;
            return Admission::Refused(DropReason::FlowTableFull);
        };
        let generation = self.flows.get(slot as usize).map_or(0, |flow| flow.generation);
        let mut flow = begin(located, packet, arrival, syn_seq, inside);
        flow.generation = generation;
        flow.id64 = self.id64(located, &flow);
        let direction = flow.direction_from(located.end);
        let mut changes = Changes::STARTED;
        if !self.ended.is_empty() {
            changes.add(Changes::OTHERS_ENDED);
        }
        if syn_seq.is_some() {
            let sender = Sender { port: Port::Expected, announced: arrival.announced };
            let step = tcp::advance(&mut flow, direction, packet, sender, self.tcp);
            if let Step::Stays(by_tcp) = step {
                changes.add(by_tcp);
            }
        }
        let rejects = fresh_rejects(&mut flow, packet.rejects, &mut changes);
        let rank = flow.worth();
        flow.set_rank(rank);
        self.counters.midstream += u64::from(flow.is_midstream());
        self.counters.started += 1;
        self.counters.live += 1;
        self.counters.live_max = self.counters.live_max.max(self.counters.live);
        let deadline = self.deadline(&flow);
        self.place(slot, flow);
        self.index.insert(located.hash, slot);
        self.ranks.push_back(u32::from(rank as u16), slot);
        self.wheel.insert(slot, deadline);
        Admission::Flow { id: FlowId { index: slot, generation }, direction, changes, rejects }
    }

    fn id64(&self, located: &Located, flow: &Flow) -> u64 {
        let isn = u64::from(flow.client_isn) << 32 | u64::from(flow.server_isn);
        let id = self.hash.hash([located.hash, flow.first.0, isn, 0, 0, 0]);
        (id & ((1 << 53) - 1)).max(1)
    }

    /// An ICMP error about a known flow, which it then belongs to: as a word from the other end.
    fn attach_error(
        &mut self,
        located: &Located,
        packet: &Packet,
        arrival: Arrival,
    ) -> Option<Admission> {
        let quoted = packet.quoted?;
        let (key, _) = FlowKey::quoted(arrival.segment, packet, &quoted);
        let slot = self.find_hinted(located, &key)?;
        if self.is_over(slot, arrival) {
            return None;
        }
        let flow = self.flows.get_mut(slot as usize)?;
        let quoted_direction = flow.direction_from(located.end);
        let sent = flow.tally(quoted_direction).packets > 0;
        let sender = flow.tcp_end(quoted_direction);
        // Whoever makes up an error has to guess the number of a segment that was sent.
        let fits =
            quoted.protocol != TCP || sender.is_seen() && tcp::near_seen(quoted.seq, &sender);
        if !sent || !fits {
            return None;
        }
        let direction = quoted_direction.other();
        count(flow, direction, arrival);
        let mut changes = Changes::EMPTY;
        if is_unreachable(packet) && !flow.is_unreachable() {
            flow.marks |= mark::UNREACHABLE;
            changes.add(Changes::UNREACHABLE);
        }
        let rejects = fresh_rejects(flow, packet.rejects, &mut changes);
        self.counters.icmp_attached += 1;
        let id = FlowId { index: slot, generation: flow.generation };
        Some(Admission::Flow { id, direction, changes, rejects })
    }

    /// The flow that a first fragment's ports name, where it is there. A fragment begins no flow
    /// and changes no state: the whole datagram does.
    pub fn flow_of_fragment(
        &self,
        located: &Located,
        packet: &Packet,
        arrival: Arrival,
    ) -> Option<(FlowId, Direction)> {
        let (key, _) = FlowTable::key(arrival.segment, packet, located.kind)?;
        let slot = self.find_hinted(located, &key).filter(|&slot| !self.is_over(slot, arrival))?;
        let flow = self.flows.get(slot as usize)?;
        let id = FlowId { index: slot, generation: flow.generation };
        Some((id, flow.direction_from(located.end)))
    }

    /// Counts a fragment in its datagram's flow. `rejects` are the fragment's own; `None` where
    /// the flow is over.
    pub fn follow_fragment(
        &mut self,
        (id, direction): (FlowId, Direction),
        rejects: RejectSet,
        arrival: Arrival,
    ) -> Option<Admission> {
        let mut changes = Changes::EMPTY;
        let flow = self.flow_mut(id)?;
        count(flow, direction, arrival);
        let rejects = fresh_rejects(flow, rejects, &mut changes);
        self.counters.fragment_followed += 1;
        Some(Admission::Flow { id, direction, changes, rejects })
    }
}

#[inline]
pub(crate) fn count(flow: &mut Flow, direction: Direction, arrival: Arrival) {
    // Captures merged from several machines step back in time; a flow's last packet does not.
    flow.last = flow.last.max(arrival.now);
    let tally = flow.tally_mut(direction);
    tally.packets += 1;
    tally.bytes += u64::from(arrival.frame_len);
}

/// Those of `rejects` that the flow has not reported; they are reported from now on.
#[inline]
fn fresh_rejects(flow: &mut Flow, rejects: RejectSet, changes: &mut Changes) -> RejectSet {
    if rejects.is_empty() {
        return rejects;
    }
    let fresh = rejects.without(flow.rejects);
    if !fresh.is_empty() {
        flow.rejects = flow.rejects.union(fresh);
        changes.add(Changes::REJECTED);
    }
    fresh
}

pub(crate) fn is_over_state(state: TcpState) -> bool {
    matches!(state, TcpState::Closed | TcpState::Reset)
}

#[inline]
pub(crate) fn port_of(flow: &Flow, direction: Direction, side: PortSide, two_ports: bool) -> Port {
    let client_on_b = flow.has(mark::CLIENT_ON_B);
    let sender_on_b = client_on_b == (direction == Direction::ToServer);
    let as_before = sender_on_b == (side == PortSide::B);
    if as_before || !two_ports { Port::Expected } else { Port::Odd }
}

/// A flow's first state.
fn begin(
    located: &Located,
    packet: &Packet,
    arrival: Arrival,
    syn_seq: Option<u32>,
    inside: impl FnOnce(Addr, Addr) -> (bool, bool),
) -> Flow {
    let (key, _) = FlowKey::of(arrival.segment, packet);
    let mut flow = Flow { key, last: arrival.now, first: arrival.now, ..Flow::default() };
    flow.marks = mark::LIVE;
    let client = if syn_seq.is_some() { located.end.other() } else { opener(packet, located.end) };
    if client == End::High {
        flow.marks |= mark::CLIENT_IS_HIGH;
    }
    let direction = flow.direction_from(located.end);
    if (arrival.side == PortSide::B) == (direction == Direction::ToServer) {
        flow.marks |= mark::CLIENT_ON_B;
    }
    (flow.client_mac, flow.server_mac) = (packet.src_mac, packet.dst_mac);
    if direction == Direction::ToClient {
        flow.marks |= mark::FIRST_TO_CLIENT;
        (flow.client_mac, flow.server_mac) = (packet.dst_mac, packet.src_mac);
    }
    let (client_inside, server_inside) = inside(flow.client(), flow.server());
    if client_inside {
        flow.marks |= mark::CLIENT_INSIDE;
    }
    if server_inside {
        flow.marks |= mark::SERVER_INSIDE;
    }
    count(&mut flow, direction, arrival);
    match (packet.protocol, syn_seq) {
        (TCP, None) => tcp::open(&mut flow, direction, packet),
        (TCP, Some(seq)) => {
            flow.state = TcpState::SynSent;
            flow.client_isn = seq;
            let (_, client) = flow.ends_mut(direction);
            *client = TcpEnd { next_seq: seq.wrapping_add(1), ..TcpEnd::default() };
            client.marks = TcpEnd::SEEN;
        }
        _ => {}
    }
    flow
}

/// Which end is the client of a flow that begins with this packet from `sender`.
///
/// Where neither SYN nor SYN-ACK was seen it is a guess: the end with a system port is the server,
/// else the one below the ephemeral ports; where both are alike, and for flags that answer
/// nothing, the sender is the client.
fn opener(packet: &Packet, sender: End) -> End {
    match packet.protocol {
        ICMP | ICMP6 if is_reply_type(packet.protocol, packet.icmp_type) => sender.other(),
        TCP => match tcp::shape(packet.tcp.flags) {
            Shape::SynAck => sender.other(),
            Shape::Syn | Shape::Nonsense => sender,
            Shape::Rst | Shape::Segment => by_ports(packet, sender),
        },
        _ => sender,
    }
}

fn by_ports(packet: &Packet, sender: End) -> End {
    let (from, to) = (packet.src_port, packet.dst_port);
    let of_server = |limit: u16| from < limit && to >= limit;
    let to_server = |limit: u16| to < limit && from >= limit;
    if to_server(SYSTEM_PORTS) {
        sender
    } else if of_server(SYSTEM_PORTS) || of_server(EPHEMERAL_PORTS) {
        sender.other()
    } else {
        sender
    }
}

/// Errors that say that a host, port or protocol is not there. "Fragmentation needed" is not one.
fn is_unreachable(packet: &Packet) -> bool {
    match packet.protocol {
        ICMP => packet.icmp_type == 3 && packet.icmp_code != 4,
        ICMP6 => packet.icmp_type == 1,
        _ => false,
    }
}
