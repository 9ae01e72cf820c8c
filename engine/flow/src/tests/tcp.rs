//! States, proofs and forgeries.

use super::*;
use crate::{Arrival, Midstream, ResetProves, TcpState};
use portcullis_types::{Mac, Proof};

const C: (u32, u16) = (1, 40_000);
const S: (u32, u16) = (2, 80);

fn handshake(street: &mut Street) -> FlowId {
    let (id, ..) = street.out(&segment(C, S, SYN, 100, 0));
    street.back(&segment(S, C, SYN | ACK, 900, 101));
    street.out(&segment(C, S, ACK, 101, 901));
    id
}

#[test]
fn a_handshake_proves_both_ends() {
    let mut street = Street::new(config(64));
    let (id, direction, changes) = street.out(&segment(C, S, SYN, 100, 0));
    assert_eq!((direction, changes), (Direction::ToServer, Changes::STARTED));
    assert_eq!(street.table.flow(id).unwrap().tcp_state(), TcpState::SynSent);
    let (same, direction, changes) = street.back(&segment(S, C, SYN | ACK, 900, 101));
    assert_eq!((same, direction), (id, Direction::ToClient));
    assert_eq!(changes, Changes::REPLIED.with(Changes::SERVER_PROVEN));
    let (_, _, changes) = street.out(&segment(C, S, ACK, 101, 901));
    assert_eq!(changes, Changes::ESTABLISHED.with(Changes::PROVEN));
    let flow = street.table.flow(id).unwrap();
    assert_eq!((flow.client(), flow.client_port()), (host(1), 40_000));
    assert_eq!((flow.server(), flow.server_port()), (host(2), 80));
    assert_eq!((flow.client_proof(), flow.server_proof()), (Proof::Handshake, Proof::Handshake));
    assert!(flow.facts().server_inside && !flow.facts().client_inside);
    let data = Packet { payload_len: 50, ..segment(C, S, ACK, 101, 901) };
    assert_eq!(street.out(&data).2, Changes::EMPTY);
    let client = street.table.flow(id).unwrap().tcp_end(Direction::ToServer);
    assert_eq!((client.next_seq, client.acked, client.window), (151, 901, 64_000));
    street.out(&segment(C, S, FIN | ACK, 151, 901));
    assert_eq!(street.table.flow(id).unwrap().tcp_state(), TcpState::Closing);
    assert_eq!(street.back(&segment(S, C, FIN | ACK, 901, 152)).2, Changes::CLOSED);
    assert_eq!(street.table.flow(id).unwrap().tally(Direction::ToServer).packets, 4);
    street.now = at(62);
    assert_eq!(street.ended(), [(id, EndReason::Closed)]);
}

#[test]
fn blind_guesses_prove_nothing() {
    let mut street = Street::new(config(64));
    let (id, ..) = street.out(&segment(C, S, SYN, 100, 0));
    street.back(&segment(S, C, SYN | ACK, 900, 101));
    for wrong in [segment(C, S, ACK, 101, 902), segment(C, S, RST, 5000, 0)] {
        assert_eq!(street.out(&wrong).2, Changes::EMPTY);
    }
    let flow = street.table.flow(id).unwrap();
    assert_eq!((flow.tcp_state(), flow.client_proof()), (TcpState::SynReceived, Proof::None));
    // The forger's own number, which it need not guess, ends the attempt and proves nothing.
    assert_eq!(street.out(&segment(C, S, RST, 101, 0)).2, Changes::RESET);
    assert_eq!(street.table.flow(id).unwrap().client_proof(), Proof::None);
}

#[test]
fn a_syn_ack_by_the_clients_own_port_is_a_forgery() {
    let mut street = Street::new(config(64));
    street.back(&udp((2, 1), (9, 1))); // something by port B: the segment has two ports
    let (id, ..) = street.out(&segment(C, S, SYN, 100, 0));
    assert_eq!(street.out(&segment(S, C, SYN | ACK, 900, 101)).2, Changes::REPLIED);
    street.out(&segment(C, S, ACK, 101, 901));
    let flow = street.table.flow(id).unwrap();
    assert_eq!((flow.tcp_state(), flow.client_proof()), (TcpState::SynSent, Proof::None));
    assert_eq!(street.table.counters().wrong_port, 1);
    // A tap has one port; there the same packets are a handshake.
    let mut tap = Street::new(config(64));
    tap.out(&segment(C, S, SYN, 100, 0));
    tap.out(&segment(S, C, SYN | ACK, 900, 101));
    assert!(tap.out(&segment(C, S, ACK, 101, 901)).2.has(Changes::PROVEN));
}

/// A SYN that is answered and taken back by a bare RST, whose number is the sender's own. `[syn,
/// answered, reset]`: the link addresses that the SYN came from, its answer went to, and the RST
/// came from; `announced`: whether the last has announced the client's address.
fn taken_back(policy: ResetProves, [syn, answered, reset]: [u8; 3], announced: bool) -> Proof {
    let mut street = Street::new(FlowConfig { reset_proves: policy, ..config(64) });
    let mac = |n: u8| Mac([2, 0, 0, 0, 0, n]);
    let (id, ..) = street.out(&Packet { src_mac: mac(syn), ..segment(C, S, SYN, 100, 0) });
    street.back(&Packet { dst_mac: mac(answered), ..segment(S, C, SYN | ACK, 900, 101) });
    let packet = Packet { src_mac: mac(reset), ..segment(C, S, RST, 101, 0) };
    let located = street.table.locate(SegmentId(0), &packet);
    let (segment, side) = (SegmentId(0), PortSide::A);
    let arrival = Arrival { segment, side, frame_len: 60, now: street.now, announced };
    let admission = street.table.admit_located(&located, &packet, arrival, |_, _| (false, true));
    let (_, _, changes) = flow_of(admission);
    assert!(changes.has(Changes::RESET), "it ends the attempt, whoever sent it");
    let proof = street.table.flow(id).unwrap().client_proof();
    assert_eq!(changes.has(Changes::PROVEN), proof == Proof::Answer);
    assert_eq!(street.table.counters().resets_unproven, u64::from(proof == Proof::None));
    proof
}

#[test]
fn a_bare_reset_proves_a_neighbour_and_no_forger() {
    use ResetProves::{Always, Neighbours, Never};
    let (own, router, other) = (1, 9, 2);
    assert_eq!(taken_back(Neighbours, [own; 3], true), Proof::Answer);
    // Beyond a router everybody has its link address, and a forger knows its own number.
    assert_eq!(taken_back(Neighbours, [router; 3], false), Proof::None);
    // A forger on the link announces the address of a host that is elsewhere: the answer is not
    // sent to him.
    assert_eq!(taken_back(Neighbours, [own, router, own], true), Proof::None);
    // The host whose address was forged answers the SYN-ACK.
    assert_eq!(taken_back(Neighbours, [other, own, own], true), Proof::None);
    assert_eq!(taken_back(Always, [router; 3], false), Proof::Answer);
    assert_eq!(taken_back(Always, [router, other, other], true), Proof::None);
    assert_eq!(taken_back(Never, [own; 3], true), Proof::None);
}

#[test]
fn a_reset_that_acknowledges_the_answer_proves_anybody() {
    for policy in [ResetProves::Neighbours, ResetProves::Never] {
        let mut street = Street::new(FlowConfig { reset_proves: policy, ..config(64) });
        let (id, ..) = street.out(&segment(C, S, SYN, 100, 0));
        street.back(&segment(S, C, SYN | ACK, 900, 101));
        assert!(street.out(&segment(C, S, RST | ACK, 101, 901)).2.has(Changes::PROVEN));
        assert_eq!(street.table.flow(id).unwrap().client_proof(), Proof::Answer);
        assert_eq!(street.table.counters().resets_unproven, 0);
    }
}

#[test]
fn a_closed_port_refuses() {
    let mut street = Street::new(config(64));
    let (id, ..) = street.out(&segment(C, S, SYN, 100, 0));
    assert_eq!(street.back(&segment(S, C, RST | ACK, 0, 555)).2, Changes::REPLIED, "wrong number");
    let (_, _, changes) = street.back(&segment(S, C, RST | ACK, 0, 101));
    assert_eq!(changes, Changes::RESET.with(Changes::REFUSED));
    assert!(street.table.flow(id).unwrap().is_refused());
    // The next attempt from the same port is another flow.
    let (next, _, changes) = street.out(&segment(C, S, SYN, 700, 0));
    assert_ne!(next, id);
    assert_eq!(changes, Changes::STARTED.with(Changes::OTHERS_ENDED));
    assert_eq!(street.ended(), [(id, EndReason::Closed)]);
}

#[test]
fn the_receiver_of_a_syn_ack_is_the_client() {
    let mut street = Street::new(config(64));
    let (id, direction, _) = street.back(&segment(S, C, SYN | ACK, 900, 101));
    assert_eq!(direction, Direction::ToClient);
    let (_, _, changes) = street.out(&segment(C, S, ACK, 101, 901));
    assert!(changes.has(Changes::ESTABLISHED.with(Changes::PROVEN).with(Changes::REPLIED)));
    let flow = street.table.flow(id).unwrap();
    assert_eq!((flow.client(), flow.client_proof()), (host(1), Proof::Answer));
    assert_eq!(flow.server_proof(), Proof::None, "nobody saw the SYN it answers");
}

#[test]
fn midstream_is_guessed_by_ports_and_never_proven() {
    for (policy, state) in
        [(Midstream::Accept, TcpState::Established), (Midstream::Strict, TcpState::Midstream)]
    {
        let mut street = Street::new(FlowConfig { midstream: policy, ..config(64) });
        let data = Packet { payload_len: 10, ..segment(S, C, ACK, 5_000, 800) };
        let (id, direction, _) = street.back(&data);
        assert_eq!(direction, Direction::ToClient, "port 80 serves");
        street.out(&segment(C, S, ACK, 800, 5_010));
        let flow = street.table.flow(id).unwrap();
        assert_eq!((flow.tcp_state(), flow.client_proof()), (state, Proof::None));
        assert!(flow.is_midstream());
    }
}

#[test]
fn probes_without_ack_come_from_the_client() {
    let mut street = Street::new(config(64));
    for flags in [0, FIN, FIN | 0x28, SYN | FIN] {
        let (_, direction, _) =
            street.out(&segment((1, 53), (2, 50_000 + u16::from(flags)), flags, 1, 0));
        assert_eq!(direction, Direction::ToServer);
    }
}

#[test]
fn a_blind_syn_or_reset_ends_nothing() {
    let mut street = Street::new(config(64));
    let id = handshake(&mut street);
    street.out(&segment(C, S, SYN, 77, 0));
    street.out(&segment(C, S, RST, 2_000_000_000, 0));
    let flow = street.table.flow(id).unwrap();
    assert_eq!(flow.tcp_state(), TcpState::Established);
    street.back(&segment(S, C, ACK, 901, 101)); // the server's challenge
    assert_eq!(street.table.flow(id).unwrap().tcp_state(), TcpState::Established);
}

#[test]
fn a_syn_that_the_server_answers_begins_another_flow() {
    let mut street = Street::new(config(64));
    let old = handshake(&mut street);
    street.out(&segment(C, S, SYN, 77, 0));
    let (new, direction, changes) = street.back(&segment(S, C, SYN | ACK, 4_000, 78));
    assert_ne!(new, old);
    assert_eq!(direction, Direction::ToClient);
    assert!(changes.has(Changes::STARTED.with(Changes::SERVER_PROVEN)), "{changes:?}");
    let (_, _, changes) = street.out(&segment(C, S, ACK, 78, 4_001));
    assert!(changes.has(Changes::ESTABLISHED.with(Changes::PROVEN).with(Changes::REPLIED)));
    assert_eq!(street.ended(), [(old, EndReason::Closed)]);
    assert_eq!(street.table.flow(new).unwrap().client(), host(1));
}

#[test]
fn a_terminated_flow_stays_dropped_until_it_has_been_silent() {
    let mut street = Street::new(config(64));
    let id = handshake(&mut street);
    assert!(street.table.terminate(id));
    street.out(&segment(C, S, RST, 101, 901));
    for seconds in [100, 500, 1000] {
        street.now = at(seconds);
        assert!(street.ended().is_empty());
        let (same, _, changes) = street.out(&segment(C, S, SYN, 3_000, 0));
        assert_eq!((same, changes), (id, Changes::EMPTY));
        assert!(street.table.flow(id).unwrap().terminated());
    }
    street.now = at(1601);
    let (fresh, _, _) = street.out(&segment(C, S, SYN, 3_000, 0));
    assert_ne!(fresh, id);
    assert!(!street.table.flow(fresh).unwrap().terminated());
    assert!(!street.table.terminate(id), "a stale id ends nobody");
}
