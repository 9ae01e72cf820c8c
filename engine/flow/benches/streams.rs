//! Nanoseconds per segment of reassembly: in order, ahead of a hole, unread.
//!
//! `cargo bench -p portcullis-flow --bench streams`. 64 conversations in turn, segments of 1,448
//! bytes with timestamps, an acknowledgement after every second one.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench, not a product")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis_flow::{
    Direction, FlowId, Retain, Segment, StreamAnomaly, StreamConfig, StreamEnd, StreamPolicy,
    StreamSink, Streams,
};
use portcullis_types::Tick;
use portcullis_wire::{Tcp, TcpFlags, TcpOptions};
use std::hint::black_box;

const TALKS: u32 = 64;
const LENGTH: u32 = 1_448;

struct Null(u64);

impl StreamSink for Null {
    fn data(&mut self, _: Direction, _: u64, bytes: &[u8]) {
        self.0 += black_box(bytes).len() as u64;
    }
    fn gap(&mut self, _: Direction, _: u64, _: u64) {}
    fn end(&mut self, _: Direction, _: StreamEnd) {}
    fn anomaly(&mut self, _: &StreamAnomaly<'_>) {
        self.0 += 1;
    }
}

struct Bench {
    streams: Streams,
    policy: StreamPolicy,
    sink: Null,
    payload: Vec<u8>,
}

fn id(index: u32) -> FlowId {
    FlowId { index, generation: 0 }
}

impl Bench {
    fn new(retain: Retain) -> Self {
        let config = StreamConfig { flows: TALKS, streams: TALKS, ..StreamConfig::default() };
        let policy = StreamPolicy { retain, ..StreamPolicy::default() };
        let payload = vec![7; LENGTH as usize];
        let mut bench = Bench { streams: Streams::new(config), policy, sink: Null(0), payload };
        for n in 0..TALKS {
            bench.send(n, Direction::ToServer, TcpFlags::SYN, 0, 0, false);
            let syn_ack = TcpFlags::SYN.union(TcpFlags::ACK);
            bench.send(n, Direction::ToClient, syn_ack, 0, 1, false);
            bench.send(n, Direction::ToServer, TcpFlags::ACK, 1, 1, false);
        }
        bench
    }

    #[inline]
    fn send(&mut self, n: u32, d: Direction, flags: TcpFlags, seq: u32, ack: u32, data: bool) {
        let tcp = Tcp { seq, ack, flags, window: 65_000, header_len: 32, ..Tcp::default() };
        let options = TcpOptions { timestamps: Some((5, 5)), ..TcpOptions::default() };
        let payload = if data { &self.payload[..] } else { &[] };
        let segment = Segment { tcp, options, payload };
        let now = Tick(1_000_000_000);
        black_box(self.streams.segment(id(n), d, &segment, &self.policy, now, &mut self.sink));
    }

    /// Two segments each and their acknowledgement.
    fn round(&mut self, seq: &mut u32, swapped: bool) {
        let (first, second) = (*seq, seq.wrapping_add(LENGTH));
        *seq = second.wrapping_add(LENGTH);
        let (first, second) = if swapped { (second, first) } else { (first, second) };
        for n in 0..TALKS {
            self.send(n, Direction::ToServer, TcpFlags::ACK, first, 1, true);
            self.send(n, Direction::ToServer, TcpFlags::ACK, second, 1, true);
            self.send(n, Direction::ToClient, TcpFlags::ACK, 1, *seq, false);
        }
    }
}

fn segments(c: &mut Criterion) {
    let mut group = c.benchmark_group("segment");
    // Per segment with payload; half an acknowledgement each is included.
    group.throughput(Throughput::Elements(u64::from(2 * TALKS)));
    for (name, retain, swapped) in [
        ("in_order", Retain::Nothing, false),
        ("in_order_kept", Retain::Unacknowledged, false),
        ("swapped", Retain::Unacknowledged, true),
    ] {
        let mut bench = Bench::new(retain);
        let mut seq = 1;
        group.bench_function(name, |b| b.iter(|| bench.round(&mut seq, swapped)));
        assert!(bench.streams.counters().invalid == 0 && bench.streams.counters().gaps == 0);
    }
    group.finish();
}

criterion_group!(benches, segments);
criterion_main!(benches);
