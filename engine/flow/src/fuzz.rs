//! The entries for fuzzing and property tests: any bytes are a history of packets.

use crate::config::{FlowConfig, Midstream, Size, WhenFull};
use crate::defrag::{Defrag, DefragConfig, DefragPolicy, FragmentFate};
use crate::flow::{Direction, FlowId};
use crate::streams::{
    Placement, Retain, Segment, StreamAnomaly, StreamConfig, StreamEnd, StreamPolicy, StreamSink,
    Streams, Urgent,
};
use crate::table::{Admission, FlowTable};
use crate::target::TargetPolicy;
use portcullis_types::{Addr, DropReason, PortSide, SegmentId, Tick};
use portcullis_wire::build::Craft;
use portcullis_wire::{
    Checks, Fragment, LinkType, Packet, PacketKind, Quoted, Reject, Tcp, TcpFlags, TcpOptions,
};

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

/// Carries a history of segments of two flows through streams with little room and asserts what
/// must always hold: order, ends, memory, and inline that no two versions are ever forwarded.
///
/// # Panics
/// Where an invariant is broken: that is what it is for.
#[doc(hidden)]
pub fn fuzz_streams(bytes: &[u8]) {
    let [policy, rest @ ..] = bytes else { return };
    let mut streams = Streams::new(StreamConfig {
        flows: 2,
        streams: 4,
        bytes: 16 << 10,
        segments: 24,
        segments_per_direction: 16,
        bytes_per_direction: 8 << 10,
        urgent_max: 3,
    });
    let placement = if policy & 1 == 1 { Placement::Watching } else { Placement::Inline };
    let target = usize::from(policy >> 4);
    let policy = StreamPolicy {
        placement,
        target: TargetPolicy::ALL.get(target).copied().unwrap_or_default(),
        retain: if policy & 2 == 2 { Retain::Nothing } else { Retain::Unacknowledged },
        depth: if policy & 4 == 4 { 700 } else { 0 },
        urgent: if policy & 8 == 8 { Urgent::Inline } else { Urgent::OutOfBand },
        ..StreamPolicy::default()
    };
    let mut sinks = [Ordered::default(), Ordered::default()];
    for (n, step) in rest.chunks_exact(8).enumerate() {
        let &[who, flags, seq, ack, len, fill, back, stamp] = step else { return };
        let id = FlowId { index: u32::from(who & 1), generation: 1 };
        let direction = if who & 2 == 0 { Direction::ToServer } else { Direction::ToClient };
        let payload = [fill & 3; 1024];
        let payload = payload.get(..usize::from(len) * 4).unwrap_or_default();
        let mut tcp = Tcp {
            seq: u32::from(seq).wrapping_mul(16).wrapping_sub(64),
            ack: u32::from(ack).wrapping_mul(16).wrapping_sub(64),
            window: u16::from(back) << 8,
            urgent: u16::from(fill),
            flags: TcpFlags(flags),
            ..Tcp::default()
        };
        if who & 4 == 4 {
            // A plausible one, so that conversations come to stand.
            tcp.flags = TcpFlags(flags & 0x31 | 0x10);
        }
        let stamps = (stamp > 127).then_some((u32::from(stamp), 0));
        let options = TcpOptions { timestamps: stamps, ..TcpOptions::default() };
        let segment = Segment { tcp, options, payload };
        let now = Tick(n as u64 * 1_000_000_000);
        let sink = sinks.get_mut(id.index as usize).expect("two flows");
        streams.segment(id, direction, &segment, &policy, now, sink);
        if who & 0xf0 == 0x50 {
            streams.end(id, &policy, sink);
            *sink = Ordered::default();
        }
        let counters = streams.counters();
        assert!(counters.pages <= 8 && counters.live <= 2);
    }
    for (index, sink) in (0..).zip(&mut sinks) {
        streams.end(FlowId { index, generation: 1 }, &policy, sink);
    }
    let counters = streams.counters();
    assert_eq!((counters.pages, counters.live), (0, 0), "nothing is left behind");
}

/// A sink that only asks for order.
#[derive(Default)]
struct Ordered {
    next: [u64; 2],
    ended: [bool; 2],
}

impl Ordered {
    fn advance(&mut self, direction: Direction, offset: u64, len: u64) {
        let [to_server, to_client] = &mut self.next;
        let next = if direction == Direction::ToServer { to_server } else { to_client };
        assert_eq!(*next, offset, "offsets follow each other");
        *next += len;
        let [to_server, to_client] = self.ended;
        assert!(!if direction == Direction::ToServer { to_server } else { to_client });
    }
}

impl StreamSink for Ordered {
    fn data(&mut self, direction: Direction, offset: u64, bytes: &[u8]) {
        assert!(!bytes.is_empty());
        self.advance(direction, offset, bytes.len() as u64);
    }

    fn gap(&mut self, direction: Direction, offset: u64, len: u64) {
        self.advance(direction, offset, len);
    }

    fn end(&mut self, direction: Direction, _: StreamEnd) {
        let [to_server, to_client] = &mut self.ended;
        let ended = if direction == Direction::ToServer { to_server } else { to_client };
        assert!(!std::mem::replace(ended, true), "once");
    }

    fn anomaly(&mut self, anomaly: &StreamAnomaly<'_>) {
        if let Some(versions) = anomaly.versions {
            assert!(versions.first.len() == versions.later.len());
            assert_ne!(versions.first.first(), versions.later.first());
        }
    }

    fn urgent(&mut self, direction: Direction, offset: u64, _: u8) {
        self.advance(direction, offset, 1);
    }
}

/// Carries fragments of few datagrams, and any bytes at all, through defragmentation with little
/// room, and asserts that what becomes whole can be read.
///
/// # Panics
/// Where an invariant is broken: that is what it is for.
#[doc(hidden)]
pub fn fuzz_defrag(bytes: &[u8]) {
    let [policy, rest @ ..] = bytes else { return };
    let config = DefragConfig {
        datagrams: 3,
        bytes: 0,
        fragments: 24,
        fragments_per_datagram: 16,
        ..DefragConfig::default()
    };
    let mut defrag = Defrag::new(config, [*policy; 16]);
    let placement = if policy & 1 == 1 { Placement::Watching } else { Placement::Inline };
    let target = TargetPolicy::ALL.get(usize::from(policy >> 4)).copied().unwrap_or_default();
    let policy = DefragPolicy { target, placement, ..DefragPolicy::default() };
    let mut now = Tick(0);
    for step in rest.chunks(64) {
        let &[kind, id, offset, len, fill, pause, ref free @ ..] = step else { return };
        now = Tick(now.0 + u64::from(pause) * 100_000_000);
        let offset = u16::from(offset) * 8;
        let part = Fragment { id: u32::from(id & 3), offset, more: kind & 2 == 0 };
        let payload = vec![fill & 3; usize::from(len) * usize::from(1 + (kind >> 4))];
        let (src, dst) =
            if kind & 1 == 0 { ("10.0.0.1", "10.0.0.2") } else { ("2001:db8::1", "2001:db8::2") };
        let crafted = Craft::ip(src, dst, 17).part(part).payload(&payload).frame();
        let frame = if kind & 12 == 12 { free } else { crafted.as_slice() };
        let Ok(mut packet) = portcullis_wire::parse(frame, LinkType::Ethernet, Checks::NONE) else {
            continue;
        };
        packet.fragment = packet.fragment.or(Some(part));
        let done = defrag.insert(SegmentId(0), (&packet, frame), None, &policy, now);
        if let FragmentFate::Whole(whole) = done.fate {
            assert!(whole.bytes.len() <= 65_535);
            if let Ok(read) = whole.parse(&packet, Checks::IPV4) {
                assert!(read.fragment.is_none() || kind & 12 == 12);
                assert!(!read.rejects.contains(Reject::Ipv4Checksum));
            }
        }
        if kind & 0xf0 == 0x30 {
            defrag.condemn(SegmentId(0), &packet, DropReason::Verdict, now);
        }
        defrag.expire(now, 1);
        assert!(defrag.counters().pages <= 40);
    }
    defrag.expire(Tick(u64::MAX), 10);
    assert_eq!(defrag.counters().pages, 0, "nothing is left behind");
}
