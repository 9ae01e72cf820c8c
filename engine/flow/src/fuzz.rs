//! The entry for fuzzing and property tests: any bytes are a history of packets.

use crate::config::{FlowConfig, Midstream, Size, WhenFull};
use crate::table::{Admission, FlowTable};
use portcullis_types::{Addr, PortSide, SegmentId, Tick};
use portcullis_wire::{Fragment, Packet, PacketKind, Quoted, Tcp, TcpFlags};

/// Bytes per packet.
const STEP: usize = 12;

/// Carries a history of packets through a table of 16 flows and asserts what must always hold.
///
/// # Panics
/// Where an invariant is broken: that is what it is for.
#[doc(hidden)]
pub fn fuzz_admit(bytes: &[u8]) {
    let [policy, rest @ ..] = bytes else { return };
    let mut config = FlowConfig::with_size(Size::Flows(16), [*policy; 16]);
    config.fragments.datagrams = 4;
    if policy & 1 == 1 {
        config.when_full = WhenFull::Refuse;
    }
    if policy & 2 == 2 {
        config.midstream = Midstream::Strict;
    }
    let mut table = FlowTable::new(config);
    let (mut now, mut records) = (0u64, 0u64);
    for step in rest.chunks_exact(STEP) {
        let Ok(step) = <&[u8; STEP]>::try_from(step) else { return };
        let (packet, side, pause) = packet_of(step);
        now += pause;
        let before = table.counters();
        let admission =
            table.admit(SegmentId(0), side, &packet, 60, Tick(now), |_, _| (false, true));
        if let Admission::Flow { id, direction, .. } = admission {
            let flow = table.flow(id).expect("an admitted packet's flow is there");
            assert!(flow.tally(direction).packets > 0 && flow.last() >= flow.first());
            if step[11] & 7 == 0 {
                assert!(table.terminate(id));
            }
        }
        let mut gone = Vec::new();
        let budget = usize::from(step[11] >> 4);
        table.expire(Tick(now), budget, &mut |id, _, _| gone.push(id));
        records += gone.len() as u64;
        assert!(gone.iter().all(|&id| table.flow(id).is_none()), "an ended flow's id is stale");
        let after = table.counters();
        assert!(after.live <= 16 && after.started >= before.started);
        assert_eq!(after.started, after.live + after.ended());
        assert_eq!(records, after.ended(), "every end has its record");
    }
    table.drain(&mut |_, _, _| records += 1);
    assert!(table.is_empty() && records == table.counters().started);
}

/// A packet among few hosts and ports, so that flows meet, answer and are used again.
fn packet_of(b: &[u8; STEP]) -> (Packet, PortSide, u64) {
    let address = |n: u8| Addr::v4([10, 0, 0, n & 7]);
    let (src, dst) = (address(b[0]), address(b[0] >> 4));
    let (src_port, dst_port) = (u16::from(b[1] & 3), u16::from(b[1] >> 6));
    let protocol = match b[2] & 7 {
        0..=3 => 6,
        4 | 5 => 17,
        6 => 1,
        _ => 47,
    };
    let mut packet = Packet {
        kind: if b[2] == 0xff { PacketKind::Arp } else { PacketKind::Ip },
        ip_version: 4,
        src,
        dst,
        protocol,
        l4_offset: 34,
        payload_offset: 34,
        payload_len: u16::from(b[3]),
        ..Packet::default()
    };
    if protocol == 6 {
        let (seq, ack) = (u32::from(b[4] & 3) << 30 | 7, u32::from(b[5] & 3) << 30 | 8);
        packet.tcp =
            Tcp { seq, ack, flags: TcpFlags(b[6]), window: 100, header_len: 20, ..Tcp::default() };
    }
    if matches!(protocol, 6 | 17) {
        (packet.src_port, packet.dst_port) = (src_port, dst_port);
    }
    if protocol == 1 {
        (packet.icmp_type, packet.icmp_id) = (if b[4] & 1 == 0 { 8 } else { 0 }, src_port);
        if b[4] & 2 == 2 {
            packet.icmp_type = 3;
            let (protocol, seq) = (if b[5] & 1 == 0 { 6 } else { 17 }, 7);
            let (src, dst) = (packet.dst, packet.src);
            packet.quoted = Some(Quoted {
                src,
                dst,
                protocol,
                src_port: dst_port,
                dst_port: src_port,
                icmp_id: 0,
                seq,
            });
        }
    }
    if b[7] & 3 == 3 {
        let offset = u16::from(b[8]) * 8;
        packet.fragment = Some(Fragment { id: u32::from(b[7] >> 6), offset, more: b[7] & 4 == 0 });
    }
    let side = if b[9] & 1 == 0 { PortSide::A } else { PortSide::B };
    // From nothing to 40 minutes, mostly short.
    (packet, side, u64::from(b[10]).pow(4) * 600)
}
