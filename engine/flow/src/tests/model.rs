//! The table against a map that has no limits, no wheel and no index.

use super::*;
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
