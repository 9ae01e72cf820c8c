//! Keys, other protocols, fragments, errors, limits and time.

use super::*;
use crate::table::Arrival;
use crate::{HashKey, WhenFull, lane_of};
use portcullis_types::{DropReason, VlanStack};
use portcullis_wire::{Fragment, Quoted, Reject, RejectSet};

#[test]
fn place_is_part_of_the_key() {
    let mut street = Street::new(config(64));
    let plain = udp((1, 1000), (2, 53));
    let tagged = |vids: &[u16]| Packet { vlan: VlanStack::from_vids(vids).unwrap(), ..plain };
    let mut ids: Vec<_> = [plain, tagged(&[10]), tagged(&[20]), tagged(&[10, 20])]
        .iter()
        .map(|packet| street.out(packet).0)
        .collect();
    let elsewhere =
        street.table.admit(SegmentId(1), PortSide::A, &plain, 1, at(0), |_, _| (true, true));
    ids.push(flow_of(elsewhere).0);
    ids.sort_unstable_by_key(|id| id.index);
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

#[test]
fn replies_meet_requests() {
    let mut street = Street::new(config(64));
    let echo = |src, dst, kind, id| Packet { icmp_type: kind, icmp_id: id, ..ip(1, src, dst) };
    let (id, ..) = street.out(&echo(1, 2, 8, 7));
    assert_eq!(street.back(&echo(2, 1, 0, 7)), (id, Direction::ToClient, Changes::REPLIED));
    assert_ne!(street.out(&echo(1, 2, 8, 8)).0, id, "another identifier");
    let (reply_first, direction, _) = street.back(&echo(3, 1, 0, 9));
    assert_eq!(direction, Direction::ToClient);
    assert_eq!(street.table.flow(reply_first).unwrap().client(), host(1));
    let (gre, ..) = street.out(&ip(47, 1, 2));
    assert_eq!(street.back(&ip(47, 2, 1)).0, gre);
    let (a, ..) = street.out(&udp((1, 1000), (2, 53)));
    assert_eq!(street.back(&udp((2, 53), (1, 1000))), (a, Direction::ToClient, Changes::REPLIED));
    assert_eq!(street.back(&udp((2, 53), (1, 1000))).2, Changes::EMPTY);
    let arp = Packet { kind: PacketKind::Arp, ..Packet::default() };
    assert!(matches!(street.by(PortSide::A, &arp), Admission::NoFlow { .. }));
}

#[test]
fn errors_belong_to_the_flow_they_quote() {
    let mut street = Street::new(config(64));
    let (id, ..) = street.out(&udp((1, 4000), (2, 161)));
    let quoted = |src_port, dst_port| Quoted {
        src: host(1),
        dst: host(2),
        protocol: 17,
        src_port,
        dst_port,
        icmp_id: 0,
        seq: 0,
    };
    let error = |from, ports: (u16, u16)| Packet {
        icmp_type: 3,
        icmp_code: 3,
        quoted: Some(quoted(ports.0, ports.1)),
        ..ip(1, from, 1)
    };
    let by_router = error(77, (4000, 161));
    assert_eq!(street.back(&by_router), (id, Direction::ToClient, Changes::UNREACHABLE));
    assert_eq!(street.back(&by_router).2, Changes::EMPTY, "said once");
    assert!(!street.table.flow(id).unwrap().is_replied());
    assert_ne!(street.back(&error(2, (4000, 162))).0, id, "quotes nothing that was sent");
    let misdirected = Packet { dst: host(9), ..by_router };
    assert_ne!(street.back(&misdirected).0, id);
    let c = street.table.counters();
    assert_eq!((c.icmp_attached, c.icmp_stray), (2, 1));
    let key = HashKey::from_seed([0; 16]);
    let lane = |p: &Packet| lane_of(&key, SegmentId(0), p);
    assert_eq!(lane(&by_router), lane(&udp((1, 4000), (2, 161))), "one worker sees both");
}

#[test]
fn an_error_about_tcp_must_know_its_numbers() {
    let mut street = Street::new(config(64));
    let (id, ..) = street.out(&segment((1, 4000), (2, 80), SYN, 123_456_789, 0));
    let error = |seq| Packet {
        icmp_type: 3,
        icmp_code: 1,
        quoted: Some(Quoted {
            src: host(1),
            dst: host(2),
            protocol: 6,
            src_port: 4000,
            dst_port: 80,
            icmp_id: 0,
            seq,
        }),
        ..ip(1, 2, 1)
    };
    assert_ne!(street.back(&error(1)).0, id);
    assert_eq!(street.back(&error(123_456_789)).0, id);
}

#[test]
fn fragments_follow_the_first() {
    let mut street = Street::new(config(64));
    let piece = |offset, len, more| Packet {
        src_port: if offset == 0 { 1000 } else { 0 },
        dst_port: if offset == 0 { 53 } else { 0 },
        fragment: Some(Fragment { id: 5, offset, more }),
        l4_offset: 34,
        payload_offset: 34,
        payload_len: len,
        ..ip(17, 1, 2)
    };
    let arrival = Arrival {
        segment: SegmentId(0),
        side: PortSide::A,
        frame_len: 60,
        now: street.now,
        announced: false,
    };
    let first = piece(0, 80, true);
    let of = |street: &Street, packet: &Packet| {
        let located = street.table.locate(SegmentId(0), packet);
        street.table.flow_of_fragment(&located, packet, arrival)
    };
    assert_eq!(of(&street, &first), None, "a fragment begins no flow");
    assert!(matches!(street.by(PortSide::A, &first), Admission::NoFlow { .. }));
    let (id, ..) = street.out(&udp((1, 1000), (2, 53)));
    let flow = of(&street, &first).unwrap();
    assert_eq!(flow, (id, Direction::ToServer));
    assert_eq!(of(&street, &piece(80, 80, true)), None, "it has no ports");
    let odd = RejectSet::EMPTY.with(Reject::FragmentTeardrop);
    let followed = |changes, rejects| {
        Some(Admission::Flow { id, direction: Direction::ToServer, changes, rejects })
    };
    let told = street.table.follow_fragment(flow, odd, arrival);
    assert_eq!(told, followed(Changes::REJECTED, odd));
    let again = street.table.follow_fragment(flow, odd, arrival);
    assert_eq!(again, followed(Changes::EMPTY, RejectSet::EMPTY), "reported once");
    assert_eq!(street.table.flow(id).unwrap().tally(Direction::ToServer).packets, 3);
    assert_eq!(street.table.counters().fragment_followed, 2);
}

#[test]
fn rejects_are_reported_once_per_flow() {
    let mut street = Street::new(config(64));
    let odd = |reject| Packet { rejects: RejectSet::EMPTY.with(reject), ..udp((1, 1), (2, 2)) };
    assert!(street.out(&odd(Reject::Land)).2.has(Changes::REJECTED));
    assert_eq!(street.out(&odd(Reject::Land)).2, Changes::EMPTY);
    assert_eq!(street.out(&odd(Reject::PingOfDeath)).2, Changes::REJECTED);
}

#[test]
fn what_a_forger_may_have_sent_first_does_not_hide_what_a_proven_sender_does() {
    let mut street = Street::new(config(64));
    let odd = |reject| Packet { rejects: RejectSet::EMPTY.with(reject), ..udp((1, 1), (2, 2)) };
    let (id, ..) = street.out(&odd(Reject::Land));
    assert_eq!(street.out(&odd(Reject::Land)).2, Changes::EMPTY, "reported");
    let both = RejectSet::EMPTY.with(Reject::Land).with(Reject::TcpSynFin);
    let with_oddity = both.with(Reject::TcpSynData);
    let flow = street.table.flow_mut(id).unwrap();
    assert_eq!(flow.first_by_proven(RejectSet::EMPTY.with(Reject::TcpSynData)), RejectSet::EMPTY);
    assert_eq!(flow.first_by_proven(RejectSet::EMPTY.with(Reject::Land)).len(), 1);
    assert_eq!(flow.first_by_proven(with_oddity), RejectSet::EMPTY.with(Reject::TcpSynFin));
    assert_eq!(flow.first_by_proven(both), RejectSet::EMPTY, "each once");
    let all = flow.first_by_proven(RejectSet::ATTACK_SHAPES);
    assert_eq!(all, RejectSet::ATTACK_SHAPES.without(both), "each has a bit of its own");
    assert_eq!(flow.first_by_proven(RejectSet::ATTACK_SHAPES), RejectSet::EMPTY);
}

#[test]
fn timeouts_hold_to_the_moment_when_a_packet_meets_them() {
    let mut street = Street::new(config(64));
    let packet = udp((1, 1000), (2, 53));
    let (id, ..) = street.out(&packet);
    street.now = at(29);
    assert_eq!(street.out(&packet).0, id);
    street.now = at(59);
    let (next, _, changes) = street.out(&packet);
    assert_ne!(next, id, "30 s of silence ended it, sweep or no sweep");
    assert!(changes.has(Changes::STARTED.with(Changes::OTHERS_ENDED)));
    assert_eq!(street.ended(), [(id, EndReason::Timeout)]);
    street.back(&udp((2, 53), (1, 1000)));
    street.now = at(59 + 299);
    assert!(street.ended().is_empty(), "answered: 300 s");
    street.now = at(59 + 302);
    assert_eq!(street.ended(), [(next, EndReason::Timeout)]);
    assert!(street.table.is_empty());
}

#[test]
fn expiry_stays_within_its_budget() {
    let mut street = Street::new(config(1000));
    for n in 0..1000 {
        street.out(&udp((n, 1), (5000, 2)));
    }
    street.now = at(100);
    let mut ended = 0;
    street.table.expire(street.now, 64, &mut |_, _, _| ended += 1);
    assert_eq!(ended, 64);
    assert_eq!(street.table.len(), 936);
}

#[test]
fn a_syn_flood_evicts_none_but_itself() {
    let capacity = 4096;
    let mut street = Street::new(config(capacity));
    let mut honest = Vec::new();
    for n in 0..1000u32 {
        let (c, s) = ((100_000 + n, 40_000), (2, 80));
        let (id, ..) = street.out(&segment(c, s, SYN, n, 0));
        street.back(&segment(s, c, SYN | ACK, 7 * n, n + 1));
        street.out(&segment(c, s, ACK, n + 1, 7 * n + 1));
        honest.push(id);
    }
    let mut taken = 0;
    for n in 0..capacity * 10 {
        street.out(&segment((1_000_000 + n, 1), (2, 80), SYN, n, 0));
        street.table.take_ended(&mut |_, _, _| taken += 1);
    }
    assert!(honest.iter().all(|&id| street.table.flow(id).is_some()));
    assert_eq!(street.table.len(), capacity as usize);
    let c = street.table.counters();
    assert_eq!((c.evicted_proven, c.evicted_replied), (0, 0));
    assert_eq!(c.evicted_unproven, taken);
    assert_eq!(c.ended_lost, 0);
    // An honest newcomer completes its handshake in the midst of it.
    let (c, s) = ((42, 40_000), (2, 80));
    let (id, ..) = street.out(&segment(c, s, SYN, 1, 0));
    for n in 0..1000 {
        street.out(&segment((9_000_000 + n, 1), (2, 80), SYN, n, 0));
    }
    street.back(&segment(s, c, SYN | ACK, 50, 2));
    assert!(street.out(&segment(c, s, ACK, 2, 51)).2.has(Changes::PROVEN));
    assert!(street.table.flow(id).is_some());
    // The emergency timeouts clear the flood's flows after 5 s.
    street.now = at(6);
    street.ended();
    street.ended();
    assert!(street.table.len() <= 1001 && street.table.counters().emergencies == 1);
}

#[test]
fn a_full_table_does_as_policy_says() {
    let fill = |policy| {
        let mut street = Street::new(FlowConfig { when_full: policy, ..config(16) });
        for n in 0..16 {
            street.out(&udp((n, 1), (500, 2)));
            street.back(&udp((500, 2), (n, 1)));
        }
        street
    };
    let newcomer = udp((99, 1), (500, 2));
    let mut refuses = fill(WhenFull::Refuse);
    let refused = refuses.by(PortSide::A, &newcomer);
    assert_eq!(refused, Admission::Refused(DropReason::FlowTableFull));
    assert_eq!(refuses.table.counters().refused, 1);
    let mut evicts = fill(WhenFull::EvictOldest);
    evicts.out(&newcomer);
    assert_eq!(evicts.table.counters().evicted_replied, 1);
    assert_eq!(evicts.ended()[0].1, EndReason::Evicted);
}

#[test]
fn memory_is_what_was_promised() {
    let config = FlowConfig::with_size(Size::Bytes(64 << 20), [0; 16]);
    let promised: u64 = config.memory_terms().iter().map(|term| term.bytes).sum();
    assert!(promised <= 64 << 20 && config.capacity() > 200_000, "{}", config.capacity());
    let more = FlowConfig { size: Size::Flows(config.capacity() + 1), ..config };
    assert!(more.memory_terms().iter().map(|term| term.bytes).sum::<u64>() > 64 << 20);
}

#[test]
fn warmed_lookups_find_the_same_even_when_stale() {
    let mut street = Street::new(config(16));
    let packet = udp((1, 1), (2, 2));
    let (id, ..) = street.out(&packet);
    let mut located = street.table.locate(SegmentId(0), &packet);
    street.table.warm(&mut located);
    let arrival = crate::Arrival {
        segment: SegmentId(0),
        side: PortSide::A,
        frame_len: 9,
        now: at(0),
        announced: false,
    };
    let admission = street.table.admit_located(&located, &packet, arrival, |_, _| (false, false));
    assert_eq!(flow_of(admission).0, id);
    street.now = at(100);
    street.ended();
    let other = street.out(&udp((3, 3), (4, 4))).0;
    assert_eq!(other.index, id.index, "the slot has another user");
    let arrival = crate::Arrival { now: at(100), ..arrival };
    let admission = street.table.admit_located(&located, &packet, arrival, |_, _| (false, false));
    assert!(flow_of(admission).2.has(Changes::STARTED));
    assert_eq!(street.table.len(), 2);
}

#[test]
fn flow_ids_do_not_depend_on_the_slot() {
    let mut one = Street::new(config(16));
    let mut two = Street::new(config(4096));
    two.out(&udp((7, 7), (8, 8)));
    let packet = udp((1, 1), (2, 2));
    let (a, b) = (one.out(&packet).0, two.out(&packet).0);
    let (a, b) = (one.table.flow(a).unwrap().id64(), two.table.flow(b).unwrap().id64());
    assert_eq!(a, b);
    assert!(a > 0 && a < 1 << 53);
}

#[test]
fn marks_and_rank_do_not_disturb_each_other() {
    let mut street = Street::new(config(16));
    let (id, ..) = street.out(&segment((1, 1), (2, 80), SYN, 1, 0));
    let flow = street.table.flow_mut(id).unwrap();
    assert!(!flow.unscanned() && !flow.alerted() && !flow.do_not_scan());
    let rank = flow.rank();
    flow.set_unscanned();
    flow.set_alerted();
    flow.set_do_not_scan(crate::Scan::Skip);
    assert_eq!(flow.rank(), rank);
    street.back(&segment((2, 80), (1, 1), SYN | ACK, 9, 2));
    street.out(&segment((1, 1), (2, 80), ACK, 2, 10));
    let flow = street.table.flow(id).unwrap();
    assert!(flow.rank() != rank && flow.unscanned() && flow.alerted() && flow.do_not_scan());
    let other = street.out(&segment((3, 1), (2, 80), SYN, 1, 0)).0;
    assert!(!street.table.flow(other).unwrap().unscanned());
}
