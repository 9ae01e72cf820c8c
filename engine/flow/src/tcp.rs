//! TCP's states, as an onlooker sees them, and what its numbers prove.
//!
//! Whoever sends blindly (a forged source) sees no answers, so it cannot know the numbers in them.
//! A state or a proof that hurts somebody therefore rests on numbers that only a receiver of the
//! answer can know, and on the port that the segment came in by. This file must never know the
//! table or the time.

use crate::config::{Midstream, ResetProves};
use crate::flow::{Changes, Direction, Flow, TcpEnd, TcpState, mark};
use portcullis_types::Proof;
use portcullis_wire::{Packet, Tcp, TcpFlags};

/// How far a segment may lie from what was seen before and still count, in bytes. Larger than
/// windows that are common, small enough that a blind guess fails 2,047 times of 2,048.
const NEAR_BYTES: u32 = 1 << 20;

/// What a segment does to its flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// It belongs to the flow.
    Stays(Changes),
    /// It is the SYN of a new conversation between the same ends.
    Reopens,
    /// It is the SYN-ACK to such a SYN, which had to be doubted when it came.
    ReopenAnswered,
}

/// Whether a segment came in by the port where its sender lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Port {
    /// As before, or nobody can tell.
    Expected,
    /// By the other: forged, or the machine has moved. It changes no state and proves nothing.
    Odd,
}

/// What is known of a segment's sender before its numbers are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sender {
    pub(crate) port: Port,
    /// See [`crate::Arrival::announced`].
    pub(crate) announced: bool,
}

/// The policies that the state machine asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TcpPolicy {
    pub(crate) midstream: Midstream,
    pub(crate) reset_proves: ResetProves,
}

/// What opens, by the flags alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    Syn,
    SynAck,
    Rst,
    /// Anything else that acknowledges.
    Segment,
    /// Flags that no conversation holds: none at all, SYN with FIN or RST, FIN without ACK, …
    Nonsense,
}

#[inline]
pub(crate) fn shape(flags: TcpFlags) -> Shape {
    let (syn, ack) = (flags.any(TcpFlags::SYN), flags.any(TcpFlags::ACK));
    let rst = flags.any(TcpFlags::RST);
    match (syn, ack, rst) {
        (true, _, true) => Shape::Nonsense,
        (true, _, false) if flags.any(TcpFlags::FIN) => Shape::Nonsense,
        (true, false, false) => Shape::Syn,
        (true, true, false) => Shape::SynAck,
        (false, _, true) => Shape::Rst,
        (false, true, false) => Shape::Segment,
        (false, false, false) => Shape::Nonsense,
    }
}

/// Sequence space that the packet takes.
#[inline]
fn extent(packet: &Packet) -> u32 {
    let flags = packet.tcp.flags;
    u32::from(packet.payload_len)
        + u32::from(flags.any(TcpFlags::SYN))
        + u32::from(flags.any(TcpFlags::FIN))
}

/// Whether `n` lies within [`NEAR_BYTES`] of `of`, before or behind.
#[inline]
fn near(n: u32, of: u32) -> bool {
    n.wrapping_sub(of).wrapping_add(NEAR_BYTES) <= 2 * NEAR_BYTES
}

/// Whether a number lies near what an end has sent.
pub(crate) fn near_seen(n: u32, end: &TcpEnd) -> bool {
    near(n, end.next_seq)
}

/// Whether `n` lies in `from..=to` on the circle.
fn within(n: u32, from: u32, to: u32) -> bool {
    n.wrapping_sub(from) <= to.wrapping_sub(from)
}

/// The first segment of a flow whose client the table has decided on.
pub(crate) fn open(flow: &mut Flow, direction: Direction, packet: &Packet) {
    let tcp = &packet.tcp;
    flow.state = match shape(tcp.flags) {
        Shape::Syn => {
            flow.client_isn = tcp.seq;
            TcpState::SynSent
        }
        Shape::SynAck => {
            flow.server_isn = tcp.seq;
            TcpState::SynReceived
        }
        Shape::Rst => TcpState::Reset,
        Shape::Segment | Shape::Nonsense => TcpState::Midstream,
    };
    if flow.state != TcpState::SynSent {
        flow.marks |= mark::MIDSTREAM;
    }
    note_numbers(flow, direction, packet);
    if flow.state == TcpState::SynReceived {
        // The SYN was not seen, but the SYN-ACK says what its sender sends next.
        let (_, client) = flow.ends_mut(direction);
        client.next_seq = tcp.ack;
        client.marks |= TcpEnd::SEEN | TcpEnd::REACHED;
    }
}

/// A later segment.
#[inline]
pub(crate) fn advance(
    flow: &mut Flow,
    direction: Direction,
    packet: &Packet,
    sender: Sender,
    policy: TcpPolicy,
) -> Step {
    if sender.port == Port::Odd {
        return Step::Stays(Changes::EMPTY);
    }
    let tcp = &packet.tcp;
    match shape(tcp.flags) {
        Shape::Segment => Step::Stays(on_segment(flow, direction, packet, policy)),
        Shape::Syn => on_syn(flow, direction, packet),
        Shape::SynAck => on_syn_ack(flow, direction, packet),
        Shape::Rst => {
            let proves = bare_reset_proves(flow, packet, sender, policy);
            Step::Stays(on_reset(flow, direction, tcp, proves))
        }
        Shape::Nonsense => Step::Stays(Changes::EMPTY),
    }
}

fn on_syn(flow: &mut Flow, direction: Direction, packet: &Packet) -> Step {
    let tcp = &packet.tcp;
    match (flow.state, direction) {
        (TcpState::Midstream | TcpState::Closed | TcpState::Reset, _) if !flow.terminated() => {
            return Step::Reopens;
        }
        (TcpState::SynSent | TcpState::SynReceived, Direction::ToServer)
            if flow.client_isn != tcp.seq || flow.has(mark::MIDSTREAM) =>
        {
            // Another attempt from the same port. The handshake begins anew, within the flow.
            flow.client_isn = tcp.seq;
            flow.marks &= !mark::MIDSTREAM;
            flow.state = TcpState::SynSent;
            let (client, server) = flow.ends_mut(direction);
            client.marks = 0;
            *server = TcpEnd { proof: server.proof, ..TcpEnd::default() };
            note_numbers(flow, direction, packet);
        }
        (TcpState::Established | TcpState::Closing, Direction::ToServer) => {
            // A blind SYN must not end somebody's conversation (RFC 5961, 4): believe it when the
            // server answers it.
            flow.client_isn = tcp.seq;
            let (client, _) = flow.ends_mut(direction);
            client.marks |= TcpEnd::REOPENING;
        }
        _ => {}
    }
    Step::Stays(Changes::EMPTY)
}

fn on_syn_ack(flow: &mut Flow, direction: Direction, packet: &Packet) -> Step {
    let tcp = &packet.tcp;
    if direction == Direction::ToServer {
        return Step::Stays(Changes::EMPTY);
    }
    let first = flow.client_isn.wrapping_add(1);
    let [client, _] = flow.ends;
    match flow.state {
        TcpState::SynSent | TcpState::SynReceived => {
            let seen_syn = !flow.has(mark::MIDSTREAM);
            let answers = if seen_syn {
                within(tcp.ack, first, client.next_seq)
            } else {
                tcp.ack == client.next_seq
            };
            if !answers {
                return Step::Stays(Changes::EMPTY);
            }
            flow.server_isn = tcp.seq;
            flow.state = TcpState::SynReceived;
            let reached = packet.dst_mac == flow.client_mac;
            let (server, client) = flow.ends_mut(direction);
            server.marks = 0;
            client.marks &= !TcpEnd::REACHED;
            client.marks |= if reached { TcpEnd::REACHED } else { 0 };
            let mut changes = Changes::EMPTY;
            if seen_syn && server.proof == Proof::None {
                server.proof = Proof::Answer;
                changes = Changes::SERVER_PROVEN;
            }
            note_numbers(flow, direction, packet);
            Step::Stays(changes)
        }
        TcpState::Established | TcpState::Closing
            if client.marks & TcpEnd::REOPENING != 0 && tcp.ack == first && !flow.terminated() =>
        {
            Step::ReopenAnswered
        }
        _ => Step::Stays(Changes::EMPTY),
    }
}

/// Whether an RST of the client proves it although nothing of the SYN-ACK is in it.
///
/// The host whose address was forged answers our side's SYN-ACK with the same RST: it must come
/// from the machine that sent the SYN. Behind a router that is every machine; on the link it is the
/// one that owns the address, if it has announced it and the SYN-ACK was sent there.
fn bare_reset_proves(flow: &Flow, packet: &Packet, sender: Sender, policy: TcpPolicy) -> bool {
    let [client, _] = &flow.ends;
    packet.src_mac == flow.client_mac
        && match policy.reset_proves {
            ResetProves::Always => true,
            ResetProves::Neighbours => sender.announced && client.marks & TcpEnd::REACHED != 0,
            ResetProves::Never => false,
        }
}

fn on_reset(flow: &mut Flow, direction: Direction, tcp: &Tcp, bare_proves: bool) -> Changes {
    let [client, server] = flow.ends;
    let acks = tcp.flags.any(TcpFlags::ACK);
    let mut changes = Changes::EMPTY;
    let counts = match (flow.state, direction) {
        (TcpState::Closed | TcpState::Reset | TcpState::None, _) => false,
        (TcpState::SynSent, Direction::ToClient) => {
            let answers = acks && within(tcp.ack, flow.client_isn.wrapping_add(1), client.next_seq);
            if answers {
                changes.add(Changes::REFUSED);
                flow.marks |= mark::REFUSED;
            }
            answers
        }
        (TcpState::SynReceived, Direction::ToServer) => {
            let by_ack = acks && tcp.ack == flow.server_isn.wrapping_add(1);
            let by_seq = tcp.seq == server.acked;
            if by_ack || by_seq && bare_proves {
                changes.add(prove_client(flow, Proof::Answer));
            }
            by_ack || by_seq
        }
        (_, direction) => {
            let (sender, receiver) =
                if direction == Direction::ToServer { (client, server) } else { (server, client) };
            sender.is_seen() && near(tcp.seq, sender.next_seq)
                || receiver.is_seen() && tcp.seq == receiver.acked
        }
    };
    if counts {
        flow.state = TcpState::Reset;
        changes.add(Changes::RESET);
    }
    changes
}

#[inline]
fn on_segment(
    flow: &mut Flow,
    direction: Direction,
    packet: &Packet,
    policy: TcpPolicy,
) -> Changes {
    let tcp = &packet.tcp;
    let mut changes = match flow.state {
        TcpState::SynReceived if direction == Direction::ToServer => on_answer(flow, tcp),
        TcpState::Midstream => on_midstream(flow, direction, tcp, policy.midstream),
        _ => Changes::EMPTY,
    };
    let follows = note_numbers(flow, direction, packet);
    if follows && tcp.flags.any(TcpFlags::FIN) {
        changes.add(on_fin(flow, direction));
    }
    changes
}

/// The client's ACK in a handshake: it holds the server's initial number, which only a receiver of
/// the SYN-ACK knows.
fn on_answer(flow: &mut Flow, tcp: &Tcp) -> Changes {
    let [client, server] = flow.ends;
    let first = flow.server_isn.wrapping_add(1);
    // The server may already have sent data; more than one exact number is more than one guess,
    // so only the two that a client sends count.
    let answers = tcp.ack == first || tcp.ack == server.next_seq;
    if !answers || !near(tcp.seq, client.next_seq) {
        return Changes::EMPTY;
    }
    flow.state = TcpState::Established;
    let handshake = !flow.has(mark::MIDSTREAM);
    let proof = if handshake { Proof::Handshake } else { Proof::Answer };
    let changes = prove_client(flow, proof).with(Changes::ESTABLISHED);
    let [_, server] = &mut flow.ends;
    if server.proof == Proof::Answer {
        server.proof = Proof::Handshake;
    }
    changes
}

/// Two halves of a conversation that fit each other make one, where policy accepts that; it proves
/// nobody, since a blind sender could have made up the first half to fit a second made up as well.
fn on_midstream(flow: &mut Flow, direction: Direction, tcp: &Tcp, policy: Midstream) -> Changes {
    let (sender, receiver) = {
        let (sender, receiver) = flow.ends_mut(direction);
        (*sender, *receiver)
    };
    let fits = receiver.is_seen()
        && near(tcp.ack, receiver.next_seq)
        && (sender.is_seen() || near(tcp.seq, receiver.acked));
    if policy == Midstream::Strict || !fits {
        return Changes::EMPTY;
    }
    flow.state = TcpState::Established;
    Changes::ESTABLISHED
}

fn on_fin(flow: &mut Flow, direction: Direction) -> Changes {
    if !matches!(flow.state, TcpState::Established | TcpState::Closing) {
        return Changes::EMPTY;
    }
    let (sender, receiver) = flow.ends_mut(direction);
    sender.marks |= TcpEnd::FIN;
    if receiver.marks & TcpEnd::FIN == 0 {
        flow.state = TcpState::Closing;
        return Changes::EMPTY;
    }
    flow.state = TcpState::Closed;
    Changes::CLOSED
}

fn prove_client(flow: &mut Flow, proof: Proof) -> Changes {
    let [client, _] = &mut flow.ends;
    if client.proof != Proof::None {
        return Changes::EMPTY;
    }
    client.proof = proof;
    Changes::PROVEN
}

/// Takes the sender's numbers where they follow what was seen; says whether they do.
#[inline]
pub(crate) fn note_numbers(flow: &mut Flow, direction: Direction, packet: &Packet) -> bool {
    let tcp = &packet.tcp;
    let end = tcp.seq.wrapping_add(extent(packet));
    let (sender, receiver) = flow.ends_mut(direction);
    if sender.marks & TcpEnd::SEEN == 0 {
        sender.marks |= TcpEnd::SEEN;
        sender.next_seq = end;
        if tcp.flags.any(TcpFlags::ACK) {
            sender.acked = tcp.ack;
        }
        sender.window = tcp.window;
        return true;
    }
    if !near(tcp.seq, sender.next_seq) {
        return false;
    }
    if end.wrapping_sub(sender.next_seq) <= NEAR_BYTES {
        sender.next_seq = end;
    }
    let acks = tcp.flags.any(TcpFlags::ACK);
    if acks && (!receiver.is_seen() || near(tcp.ack, receiver.next_seq)) {
        sender.acked = tcp.ack;
        sender.window = tcp.window;
    }
    true
}
