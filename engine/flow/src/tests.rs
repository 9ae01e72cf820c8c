#![allow(clippy::unwrap_used, reason = "a test that finds nothing should stop there")]
//! The table as its users see it.

mod flows;
mod model;
mod tcp;

use crate::{Admission, Changes, Direction, EndReason, FlowConfig, FlowId, FlowTable, Size};
use portcullis_types::{Addr, PortSide, SegmentId, Tick};
use portcullis_wire::{Packet, PacketKind, Tcp, TcpFlags};

const SECOND: u64 = 1_000_000_000;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
const FIN: u8 = 0x01;

fn at(seconds: u64) -> Tick {
    Tick(1_000 * SECOND + seconds * SECOND)
}

fn config(flows: u32) -> FlowConfig {
    FlowConfig::with_size(Size::Flows(flows), [5; 16])
}

fn host(n: u32) -> Addr {
    Addr::v4((0x0a00_0000 + n).to_be_bytes())
}

fn ip(protocol: u8, src: u32, dst: u32) -> Packet {
    Packet {
        kind: PacketKind::Ip,
        ip_version: 4,
        protocol,
        src: host(src),
        dst: host(dst),
        l4_offset: 34,
        payload_offset: 54,
        ..Packet::default()
    }
}

fn udp(src: (u32, u16), dst: (u32, u16)) -> Packet {
    Packet { src_port: src.1, dst_port: dst.1, ..ip(17, src.0, dst.0) }
}

fn segment(src: (u32, u16), dst: (u32, u16), flags: u8, seq: u32, ack: u32) -> Packet {
    let tcp =
        Tcp { seq, ack, flags: TcpFlags(flags), window: 64_000, header_len: 20, ..Tcp::default() };
    Packet { src_port: src.1, dst_port: dst.1, tcp, ..ip(6, src.0, dst.0) }
}

/// A table with one segment whose client side is port A.
struct Street {
    table: FlowTable,
    now: Tick,
}

impl Street {
    fn new(config: FlowConfig) -> Self {
        Street { table: FlowTable::new(config), now: at(0) }
    }

    fn by(&mut self, side: PortSide, packet: &Packet) -> Admission {
        self.table.admit(SegmentId(0), side, packet, 100, self.now, |_, _| (false, true))
    }

    /// From the client's side.
    fn out(&mut self, packet: &Packet) -> (FlowId, Direction, Changes) {
        flow_of(self.by(PortSide::A, packet))
    }

    /// From the server's side.
    fn back(&mut self, packet: &Packet) -> (FlowId, Direction, Changes) {
        flow_of(self.by(PortSide::B, packet))
    }

    fn ended(&mut self) -> Vec<(FlowId, EndReason)> {
        let mut ended = Vec::new();
        self.table.expire(self.now, 1_000_000, &mut |id, _, why| ended.push((id, why)));
        ended
    }
}

fn flow_of(admission: Admission) -> (FlowId, Direction, Changes) {
    let Admission::Flow { id, direction, changes, .. } = admission else {
        panic!("a flow, not {admission:?}");
    };
    (id, direction, changes)
}
