#![allow(clippy::unwrap_used, reason = "a test that finds nothing should stop there")]
//! Streams as their users see them.

mod cases;
mod fuzzed;
mod order;
mod overlap;

use crate::flow::{Direction, FlowId};
use crate::streams::{
    Placement, Segment, SegmentFate, StreamAnomaly, StreamConfig, StreamEnd, StreamEvent,
    StreamPolicy, StreamSink, Streams,
};
use portcullis_types::Tick;
use portcullis_wire::{Tcp, TcpFlags, TcpOptions};

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 16;
pub(super) const URG: u8 = 32;
pub(super) const TO_SERVER: Direction = Direction::ToServer;
pub(super) const TO_CLIENT: Direction = Direction::ToClient;
/// Initial sequence numbers close to the wrap.
pub(super) const CLIENT: u32 = 0xffff_ffe0;
pub(super) const SERVER: u32 = 0xffff_ff00;

/// What a sink was told, per direction.
#[derive(Default, Debug, PartialEq, Eq, Clone)]
pub(super) struct Told {
    pub(super) bytes: [Vec<u8>; 2],
    pub(super) gaps: [Vec<(u64, u64)>; 2],
    pub(super) ends: [Option<StreamEnd>; 2],
    pub(super) urgent: Vec<(u64, u8)>,
    pub(super) events: Vec<StreamEvent>,
    pub(super) conflicts: Vec<(u64, Vec<u8>, Vec<u8>)>,
    /// Where the next bytes have to begin.
    pub(super) at: [u64; 2],
}

impl StreamSink for Told {
    fn data(&mut self, direction: Direction, offset: u64, bytes: &[u8]) {
        let d = direction as usize;
        assert!(!bytes.is_empty() && self.ends[d].is_none(), "no bytes behind the end");
        assert_eq!(offset, self.at[d], "in order");
        self.at[d] += bytes.len() as u64;
        self.bytes[d].extend(bytes);
    }

    fn gap(&mut self, direction: Direction, offset: u64, len: u64) {
        assert_eq!(offset, self.at[direction as usize]);
        self.at[direction as usize] += len;
        self.gaps[direction as usize].push((offset, len));
    }

    fn end(&mut self, direction: Direction, reason: StreamEnd) {
        assert_eq!(self.ends[direction as usize].replace(reason), None, "once");
    }

    fn anomaly(&mut self, anomaly: &StreamAnomaly<'_>) {
        self.events.push(anomaly.event);
        if let Some(v) = anomaly.versions {
            assert!(v.first.len() == v.later.len() && v.first[0] != v.later[0]);
            self.conflicts.push((anomaly.offset, v.first.to_vec(), v.later.to_vec()));
        }
    }

    fn urgent(&mut self, direction: Direction, offset: u64, byte: u8) {
        assert_eq!(offset, self.at[direction as usize]);
        self.at[direction as usize] += 1;
        self.urgent.push((offset, byte));
    }
}

/// One conversation.
pub(super) struct Talk {
    pub(super) streams: Streams,
    pub(super) policy: StreamPolicy,
    pub(super) told: Told,
    pub(super) options: TcpOptions,
    pub(super) now: Tick,
    pub(super) id: FlowId,
}

pub(super) fn small() -> StreamConfig {
    StreamConfig {
        flows: 16,
        streams: 4,
        bytes: 64 << 10,
        segments: 64,
        segments_per_direction: 48,
        bytes_per_direction: 1 << 16,
        urgent_max: 2,
    }
}

impl Talk {
    pub(super) fn new(config: StreamConfig, placement: Placement) -> Self {
        Talk {
            streams: Streams::new(config),
            policy: StreamPolicy { placement, ..StreamPolicy::default() },
            told: Told::default(),
            options: TcpOptions::default(),
            now: Tick(5_000_000_000),
            id: FlowId { index: 3, generation: 1 },
        }
    }

    /// With the handshake behind it.
    pub(super) fn open(placement: Placement) -> Self {
        let mut talk = Talk::new(small(), placement);
        talk.handshake();
        talk
    }

    pub(super) fn handshake(&mut self) {
        assert_eq!(self.send(TO_SERVER, SYN, 0, 0, b""), SegmentFate::Forward);
        assert_eq!(self.send(TO_CLIENT, SYN | ACK, 0, 0, b""), SegmentFate::Forward);
        assert_eq!(self.send(TO_SERVER, ACK, 0, 0, b""), SegmentFate::Forward);
        assert_eq!(self.told.events, []);
    }

    /// `seq` and `ack` are offsets: those of a SYN are one less than it says.
    pub(super) fn send(
        &mut self,
        direction: Direction,
        flags: u8,
        seq: i32,
        ack: i32,
        payload: &[u8],
    ) -> SegmentFate {
        let (own, other) = if direction == TO_SERVER { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let number = |base: u32, offset: i32| base.wrapping_add(1).wrapping_add_signed(offset);
        let syn = i32::from(flags & SYN != 0);
        let tcp = Tcp {
            seq: number(own, seq - syn),
            ack: if flags & ACK == 0 { 0 } else { number(other, ack) },
            flags: TcpFlags(flags),
            window: 60_000,
            urgent: if flags & URG != 0 { u16::try_from(payload.len()).unwrap() } else { 0 },
            header_len: 20,
            ..Tcp::default()
        };
        let segment = Segment { tcp, options: self.options, payload };
        let (id, now) = (self.id, self.now);
        self.streams.segment(id, direction, &segment, &self.policy, now, &mut self.told)
    }

    pub(super) fn said(&self, direction: Direction) -> &str {
        std::str::from_utf8(&self.told.bytes[direction as usize]).unwrap()
    }

    pub(super) fn end(&mut self) {
        self.streams.end(self.id, &self.policy, &mut self.told);
        assert_eq!(self.streams.counters().pages, 0, "nothing is left behind");
        assert_eq!(self.streams.counters().live, 0);
    }
}
