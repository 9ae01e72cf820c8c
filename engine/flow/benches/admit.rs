//! Nanoseconds per packet of the flow table: known flows, new flows, a SYN flood.
//!
//! `cargo bench -p portcullis-flow`. Bursts of 64, as the street carries them; `warmed` does the
//! index lookups of a burst first, so that their cache misses overlap.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench, not a product")]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use portcullis_flow::{Admission, Arrival, FlowConfig, FlowTable, HashKey, Size, lane_hash};
use portcullis_types::{Addr, PortSide, SegmentId, Tick};
use portcullis_wire::{Packet, PacketKind, Tcp, TcpFlags};
use std::hint::black_box;

const BURST: usize = 64;

fn packet(protocol: u8, n: u32) -> Packet {
    let syn = Tcp { seq: n, flags: TcpFlags::SYN, ..Tcp::default() };
    Packet {
        kind: PacketKind::Ip,
        ip_version: 4,
        protocol,
        src: Addr::v4((0x0a00_0000 + n).to_be_bytes()),
        dst: Addr::v4([192, 168, 0, 1]),
        src_port: 1000,
        dst_port: 53,
        tcp: if protocol == 6 { syn } else { Tcp::default() },
        ..Packet::default()
    }
}

fn table(flows: u32) -> FlowTable {
    FlowTable::new(FlowConfig::with_size(Size::Flows(flows), [9; 16]))
}

fn admit(table: &mut FlowTable, packet: &Packet, now: u64) -> Admission {
    table.admit(SegmentId(0), PortSide::A, packet, 64, Tick(now), |_, _| (false, true))
}

/// The packets of `flows` flows in an order that caches cannot guess.
fn shuffled(protocol: u8, flows: u32) -> Vec<Packet> {
    let mut state = 1u32;
    (0..flows.max(4096))
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            packet(protocol, (state >> 8) % flows)
        })
        .collect()
}

fn known(c: &mut Criterion) {
    let mut group = c.benchmark_group("known_udp");
    group.throughput(Throughput::Elements(BURST as u64));
    for flows in [1u32, 1_000, 100_000] {
        let mut table = table(200_000);
        let packets = shuffled(17, flows);
        packets.iter().for_each(|p| {
            black_box(admit(&mut table, p, 1));
        });
        let mut bursts = packets.chunks_exact(BURST).cycle();
        group.bench_function(BenchmarkId::new("one_by_one", flows), |b| {
            b.iter(|| {
                for p in bursts.next().unwrap() {
                    black_box(admit(&mut table, p, 2));
                }
            });
        });
        let mut bursts = packets.chunks_exact(BURST).cycle();
        group.bench_function(BenchmarkId::new("warmed", flows), |b| {
            let arrival = Arrival {
                segment: SegmentId(0),
                side: PortSide::A,
                frame_len: 64,
                now: Tick(3),
                announced: false,
            };
            let mut located = Vec::with_capacity(BURST);
            b.iter(|| {
                let burst = bursts.next().unwrap();
                located.clear();
                located.extend(burst.iter().map(|p| table.locate(SegmentId(0), p)));
                located.iter_mut().for_each(|l| table.warm(l));
                for (l, p) in located.iter().zip(burst) {
                    black_box(table.admit_located(l, p, arrival, |_, _| (false, true)));
                }
            });
        });
    }
    group.finish();
}

fn fresh(c: &mut Criterion) {
    let mut group = c.benchmark_group("new");
    group.throughput(Throughput::Elements(100_000));
    group.sample_size(10);
    let packets: Vec<_> = (0..100_000).map(|n| packet(17, n)).collect();
    group.bench_function("udp_with_room", |b| {
        b.iter_batched_ref(
            || table(200_000),
            |table| {
                packets.iter().for_each(|p| {
                    black_box(admit(table, p, 1));
                })
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
    let mut group = c.benchmark_group("syn_flood");
    group.throughput(Throughput::Elements(BURST as u64));
    for flows in [10_000u32, 200_000] {
        let mut table = table(flows);
        let mut n = 0;
        group.bench_function(BenchmarkId::new("full_table", flows), |b| {
            b.iter(|| {
                for _ in 0..BURST {
                    n = (n + 1) % 100_000_000;
                    black_box(admit(&mut table, &packet(6, n), 1));
                }
                table.take_ended(&mut |id, _, _| {
                    black_box(id);
                });
            });
        });
    }
    group.finish();
}

fn hash(c: &mut Criterion) {
    let key = HashKey::from_seed([1; 16]);
    let p = packet(17, 5);
    c.bench_function("hash/lane", |b| {
        b.iter(|| lane_hash(&key, SegmentId(0), black_box(p.vlan), black_box(p.src), p.dst));
    });
    let table = table(16);
    c.bench_function("hash/locate", |b| {
        b.iter(|| table.locate(SegmentId(0), black_box(&p)));
    });
}

criterion_group!(benches, known, fresh, hash);
criterion_main!(benches);
