//! The table against a map that has no limits, no wheel and no index.

use super::*;
use portcullis_wire::{Reject, RejectSet};
use proptest::prelude::*;
use std::collections::HashMap;

/// What the naive model keeps of a flow of UDP.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Known {
    client: (u32, u16),
    packets: [u64; 2],
    last: u64,
}

type Ends = ((u32, u16), (u32, u16));

fn key(a: (u32, u16), b: (u32, u16)) -> Ends {
    if a <= b { (a, b) } else { (b, a) }
}

proptest! {
    /// With room for all, flows, directions, counts and ends are the model's to the packet.
    #[test]
    fn agrees_with_a_map(
        steps in prop::collection::vec(
            ((0u32..6, 0u16..3), (0u32..6, 0u16..3), 0u64..40, 0usize..3),
            1..300,
        )
    ) {
        let mut street = Street::new(config(400));
        let mut model: HashMap<Ends, Known> = HashMap::new();
        let (mut seconds, mut ended, mut model_ended) = (0, 0u64, 0u64);
        for (src, dst, pause, budget) in steps {
            seconds += pause;
            street.now = at(seconds);
            let silent = |known: &Known| {
                let answered = known.packets[0] > 0 && known.packets[1] > 0;
                seconds - known.last >= if answered { 300 } else { 30 }
            };
            let entry = model.entry(key(src, dst));
            let fresh = Known { client: src, packets: [0; 2], last: seconds };
            let known = entry.or_insert(fresh);
            if known.packets != [0; 2] && silent(known) {
                *known = fresh;
                model_ended += 1;
            }
            let started = known.packets == [0; 2];
            let way = usize::from(known.client != src);
            known.packets[way] += 1;
            known.last = seconds;
            let (id, direction, changes) = street.out(&udp(src, dst));
            prop_assert_eq!(direction as usize, way);
            prop_assert_eq!(changes.has(Changes::STARTED), started);
            let flow = street.table.flow(id).unwrap();
            prop_assert_eq!(flow.tally(Direction::ToServer).packets, known.packets[0]);
            prop_assert_eq!(flow.tally(Direction::ToClient).packets, known.packets[1]);
            prop_assert_eq!(flow.client(), host(known.client.0));
            street.table.expire(street.now, budget, &mut |_, _, _| ended += 1);
        }
        let longest = seconds + 1000;
        model_ended += model.len() as u64;
        street.now = at(longest);
        ended += street.ended().len() as u64;
        prop_assert_eq!(ended, model_ended);
        prop_assert!(street.table.is_empty());
    }

    /// Any history of packets keeps the invariants that `fuzz_admit` asserts.
    #[test]
    fn any_history_holds(bytes in prop::collection::vec(any::<u8>(), 0..6000)) {
        crate::fuzz_admit(&bytes);
    }

    /// Whatever the ends, both directions meet, and nobody else does.
    #[test]
    fn both_directions_meet(
        a in any::<[u8; 16]>(), b in any::<[u8; 16]>(), ports in any::<(u16, u16)>(),
        protocol in prop::sample::select(vec![6u8, 17, 132]),
    ) {
        let mut table = FlowTable::new(config(16));
        let there = Packet {
            kind: PacketKind::Ip, ip_version: 6, protocol, src: Addr::v6(a), dst: Addr::v6(b),
            src_port: ports.0, dst_port: ports.1,
            tcp: Tcp { flags: TcpFlags(SYN), ..Tcp::default() },
            ..Packet::default()
        };
        let back = Packet {
            src: there.dst, dst: there.src, src_port: ports.1, dst_port: ports.0,
            tcp: Tcp { flags: TcpFlags(SYN | ACK), ..Tcp::default() }, ..there
        };
        let mut admit = |p: &Packet| {
            flow_of(table.admit(SegmentId(0), PortSide::A, p, 1, at(0), |_, _| (true, false)))
        };
        let (one, way, _) = admit(&there);
        prop_assert_eq!(way, Direction::ToServer);
        let (two, way, _) = admit(&back);
        prop_assert_eq!(one, two);
        if (a, ports.0) != (b, ports.1) {
            prop_assert_eq!(way, Direction::ToClient);
        }
        let other = Packet { src_port: ports.0 ^ 1, ..there };
        if protocol != 6 && (there.src, ports.0 ^ 1) != (there.dst, ports.1) {
            prop_assert_ne!(admit(&other).0, one);
        }
    }
}

/// The same packet by the short way, where there is one for it.
fn in_short(street: &mut Street, side: PortSide, packet: &Packet) -> (Admission, bool) {
    let arrival = crate::Arrival {
        segment: SegmentId(0),
        side,
        frame_len: 100,
        now: street.now,
        announced: false,
    };
    let mut located = street.table.locate(SegmentId(0), packet);
    street.table.warm(&mut located);
    match street.table.follow_plain(&located, packet, arrival) {
        Some((id, direction)) => {
            let (changes, rejects) = (Changes::EMPTY, RejectSet::EMPTY);
            (Admission::Flow { id, direction, changes, rejects }, true)
        }
        None => {
            let inside = |_, _| (false, true);
            (street.table.admit_located(&located, packet, arrival, inside), false)
        }
    }
}

#[test]
fn most_packets_of_a_conversation_take_the_short_way() {
    let mut street = Street::new(config(16));
    let (a, b) = ((1, 40_000), (2, 443));
    let mut by = |side, packet| in_short(&mut street, side, &packet).1;
    assert!(!by(PortSide::A, segment(a, b, SYN, 100, 0)));
    assert!(!by(PortSide::B, segment(b, a, SYN | ACK, 500, 101)));
    assert!(!by(PortSide::A, segment(a, b, ACK, 101, 501)));
    assert!(by(PortSide::A, segment(a, b, ACK, 101, 501)));
    assert!(by(PortSide::B, segment(b, a, ACK, 501, 101)));
    assert!(!by(PortSide::A, segment(b, a, ACK, 501, 101)), "by the wrong port");
    assert!(!by(PortSide::B, segment(b, a, FIN | ACK, 501, 101)));
    let (a, b) = ((1, 40_000), (2, 53));
    assert!(!by(PortSide::A, udp(a, b)) && by(PortSide::A, udp(a, b)));
    assert!(
        !by(PortSide::B, udp(b, a)) && by(PortSide::B, udp(b, a)) && by(PortSide::A, udp(a, b))
    );
    let odd = Packet { rejects: RejectSet::EMPTY.with(Reject::TcpReservedBits), ..udp(a, b) };
    assert!(!by(PortSide::A, odd), "there is something to report");
}

proptest! {
    /// Whatever comes in whichever order: both ways find, count and report the same.
    #[test]
    fn the_short_way_ends_where_the_long_one_does(
        steps in prop::collection::vec(
            (0u16..3, any::<bool>(), 0usize..12, 0u32..5, 0u64..20, 0u8..12),
            1..200,
        )
    ) {
        let flags = [SYN, SYN | ACK, ACK, ACK, ACK, ACK, 0x18, 0x18, FIN | ACK, RST | ACK, RST, 0];
        let (mut long, mut short) = (Street::new(config(4)), Street::new(config(4)));
        let mut carry = |packet: &Packet, side: PortSide, pause: u64| {
            // Mostly at once, now and then minutes later.
            long.now = Tick(long.now.0 + pause.pow(3) * SECOND / 10);
            short.now = long.now;
            let (one, (other, _)) = (long.by(side, packet), in_short(&mut short, side, packet));
            prop_assert_eq!(one, other);
            if let Admission::Flow { id, .. } = one {
                let flows = [long.table.flow(id), short.table.flow(id)].map(|f| format!("{f:?}"));
                prop_assert_eq!(&flows[0], &flows[1]);
                if pause == 19 {
                    prop_assert_eq!(long.table.terminate(id), short.table.terminate(id));
                }
            }
            prop_assert_eq!(long.table.counters(), short.table.counters());
            Ok(())
        };
        for port in 0..3 {
            let (a, b) = ((1, 40_000 + port), (2, 443));
            carry(&segment(a, b, SYN, 100, 0), PortSide::A, 0)?;
            carry(&segment(b, a, SYN | ACK, 500, 101), PortSide::B, 0)?;
            carry(&segment(a, b, ACK, 101, 501), PortSide::A, 0)?;
        }
        for (port, back, kind, jump, pause, odd) in steps {
            let (a, b) = ((1, 40_000 + port), (2, 443));
            // The last jump is beyond what is near.
            let number = if jump == 4 { 1 << 24 } else { 1_000 * jump };
            let (src, dst, seq, ack) =
                if back { (b, a, 501, 101) } else { (a, b, 101, 501) };
            let mut packet = segment(src, dst, flags[kind], seq + number, ack + number);
            if odd == 1 {
                packet = udp(src, dst);
            }
            if odd == 2 {
                packet.rejects = RejectSet::EMPTY.with(Reject::TcpReservedBits);
            }
            let side = if back != (odd == 3) { PortSide::B } else { PortSide::A };
            carry(&packet, side, pause)?;
        }
    }
}
