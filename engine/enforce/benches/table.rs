//! What the block table costs a packet: a miss with 65,536 random blocks beside a miss in an empty
//! table, and a hit. Sources are drawn anew for each packet from a set that no cache line of the
//! table favours.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis_enforce::{BlockId, TableOrder, WorkerTable};
use portcullis_types::{Addr, BlockKey, Prefix, SegmentId, Tick, VlanStack, Whence};
use std::hint::black_box;

const BLOCKS: usize = 65_536;
const PACKETS: usize = 65_536;

/// Numbers without a pattern (splitmix64).
fn numbers(mut seed: u64) -> impl Iterator<Item = [u8; 8]> {
    std::iter::from_fn(move || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = seed;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some((z ^ z >> 31).to_be_bytes())
    })
}

fn v4(n: [u8; 8], first: u8) -> Addr {
    Addr::v4([first, n[1], n[2], n[3]])
}

fn v6(n: [u8; 8], first: u8) -> Addr {
    Addr::v6([first, 1, n[0], n[1], n[2], n[3], n[4], n[5], 0, 0, 0, 0, 0, 0, n[6], n[7]])
}

fn key(source: Prefix) -> BlockKey {
    BlockKey { segment: SegmentId(0), vlan: VlanStack::UNTAGGED, source, tunnel: 0 }
}

fn table(addr: fn([u8; 8], u8) -> Addr) -> WorkerTable {
    let mut table = WorkerTable::new(BLOCKS, 16, 42);
    for (n, id) in numbers(1).zip(0..).take(BLOCKS) {
        let key = key(Prefix::host(addr(n, 0x20)));
        table.apply(&TableOrder::Block { id: BlockId(id), key, until: Tick::NEVER });
    }
    table
}

fn packets(addr: fn([u8; 8], u8) -> Addr, seed: u64, first: u8) -> Vec<Whence> {
    let from = |n| Whence {
        segment: SegmentId(0),
        vlan: VlanStack::UNTAGGED,
        source: addr(n, first),
        tunnel: 0,
    };
    numbers(seed).map(from).take(PACKETS).collect()
}

fn check(table: &WorkerTable, packets: &[Whence]) -> usize {
    packets.iter().filter(|p| table.check(black_box(p), Tick(1)).is_some()).count()
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("block_table");
    group.throughput(Throughput::Elements(PACKETS as u64));
    let empty = WorkerTable::new(BLOCKS, 16, 42);
    let (full4, full6) = (table(v4), table(v6));
    let (miss4, hit4) = (packets(v4, 2, 0x21), packets(v4, 1, 0x20));
    let miss6 = packets(v6, 2, 0x21);
    group.bench_function("miss_empty", |b| b.iter(|| check(&empty, &miss4)));
    group.bench_function("miss_65536_v4", |b| b.iter(|| check(&full4, &miss4)));
    group.bench_function("miss_65536_v6", |b| b.iter(|| check(&full6, &miss6)));
    group.bench_function("hit_65536_v4", |b| b.iter(|| check(&full4, &hit4)));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
