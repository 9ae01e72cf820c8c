//! Packets and flows into events: the records that detectors read.
//!
//! Pure translation. This file must never know who wants an event or what comes of it.

use portcullis_flow::{Direction, Flow};
use portcullis_plugin_abi as abi;
use portcullis_types::{FlowFacts, Proof, SegmentId, Tick};
use portcullis_wire::Packet;

/// The flow as detectors see it.
pub(crate) fn flow_record(flow: &Flow) -> abi::FlowRec {
    let (to_server, to_client) = (flow.tally(Direction::ToServer), flow.tally(Direction::ToClient));
    abi::FlowRec {
        id: flow.id64(),
        client: flow.client().octets(),
        server: flow.server().octets(),
        client_port: flow.client_port(),
        server_port: flow.server_port(),
        vids: flow.vlan().vids(),
        vlan_depth: depth(flow.vlan().depth()),
        ip_version: flow.ip_version(),
        protocol: flow.protocol(),
        flags: inside_flags(flow.client_inside(), flow.server_inside()),
        segment: flow.segment().0,
        tunnel: flow.tunnel(),
        tcp_state: flow.tcp_state() as u8,
        client_proof: flow.client_proof() as u8,
        server_proof: flow.server_proof() as u8,
        client_mac: flow.client_mac().0,
        server_mac: flow.server_mac().0,
        started: flow.first().0,
        packets_to_server: to_server.packets,
        packets_to_client: to_client.packets,
        bytes_to_server: to_server.bytes,
        bytes_to_client: to_client.bytes,
        stream_to_server: flow.stream_size(Direction::ToServer).unwrap_or(abi::NONE),
        stream_to_client: flow.stream_size(Direction::ToClient).unwrap_or(abi::NONE),
        slot: abi::NONE,
        ..bytemuck::Zeroable::zeroed()
    }
}

/// What stands for a flow where a packet has none (ARP, fragments without their first one): its
/// sender is the client.
pub(crate) fn lone_record(
    segment: SegmentId,
    packet: &Packet,
    inside: (bool, bool),
) -> abi::FlowRec {
    abi::FlowRec {
        client: packet.src.octets(),
        server: packet.dst.octets(),
        client_port: packet.src_port,
        server_port: packet.dst_port,
        vids: packet.vlan.vids(),
        vlan_depth: depth(packet.vlan.depth()),
        ip_version: packet.ip_version,
        protocol: packet.protocol,
        flags: inside_flags(inside.0, inside.1),
        segment: segment.0,
        client_mac: packet.src_mac.0,
        server_mac: packet.dst_mac.0,
        packets_to_server: 1,
        bytes_to_server: u64::from(packet.ip_len),
        stream_to_server: abi::NONE,
        stream_to_client: abi::NONE,
        slot: abi::NONE,
        ..bytemuck::Zeroable::zeroed()
    }
}

/// The facts that go with [`lone_record`].
pub(crate) fn lone_facts(segment: SegmentId, packet: &Packet, inside: (bool, bool)) -> FlowFacts {
    FlowFacts {
        segment,
        vlan: packet.vlan,
        tunnel: 0,
        protocol: packet.protocol,
        client: packet.src,
        server: packet.dst,
        client_port: packet.src_port,
        server_port: packet.dst_port,
        client_inside: inside.0,
        server_inside: inside.1,
        client_proof: Proof::None,
        server_proof: Proof::None,
    }
}

/// An event about one packet; its kind, and its code where the kind has one, are the caller's.
pub(crate) fn packet_event(
    kind: abi::EventKind,
    packet: &Packet,
    direction: Direction,
    at: Tick,
    wire_len: u32,
) -> abi::Event {
    abi::Event {
        kind: kind.number(),
        direction: direction as u8,
        tcp_flags: packet.tcp.flags.0,
        ttl: packet.ttl,
        at: at.0,
        seq: packet.tcp.seq,
        ack: packet.tcp.ack,
        window: packet.tcp.window,
        icmp_type: packet.icmp_type,
        icmp_code: packet.icmp_code,
        wire_len,
        payload_len: u32::from(packet.payload_len),
        operation: packet.arp_operation,
        icmp_id: packet.icmp_id,
        tos: packet.tos,
        urgent: packet.tcp.urgent,
        ..bytemuck::Zeroable::zeroed()
    }
}

/// The event of a flow's end: no packet caused it.
pub(crate) fn end_event(reason: u16, at: Tick) -> abi::Event {
    abi::Event {
        kind: abi::EventKind::FlowEnd.number(),
        at: at.0,
        code: reason,
        ..bytemuck::Zeroable::zeroed()
    }
}

fn depth(n: usize) -> u8 {
    u8::try_from(n).unwrap_or(u8::MAX)
}

fn inside_flags(client: bool, server: bool) -> u8 {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    flag(client, abi::FLOW_CLIENT_INSIDE) | flag(server, abi::FLOW_SERVER_INSIDE)
}
