//! Nanoseconds to parse one frame: `cargo bench -p portcullis-wire`.
//!
//! Each case walks 256 frames that differ in addresses and ports, so that no branch and no line is
//! learnt by heart. The common path should stay under 25 ns.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use portcullis_types::Addr;
use portcullis_wire::build::Craft;
use portcullis_wire::{Checks, LinkType, parse};
use std::hint::black_box;

const FRAMES: u16 = 256;

fn v4(n: u16) -> Addr {
    let [a, b] = n.to_be_bytes();
    Addr::v4([10, 1, a, b])
}

fn v6(n: u16) -> Addr {
    let [a, b] = n.to_be_bytes();
    Addr::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b])
}

fn frames(make: impl Fn(u16) -> Craft) -> Vec<Vec<u8>> {
    (1..=FRAMES).map(|n| make(n).padded_frame()).collect()
}

/// Payload that makes an untagged IPv4 frame of TCP with timestamps 1500 bytes of IP long.
const FULL: [u8; 1448] = [0x61; 1448];
/// The options of nearly every segment of an established connection.
const STAMPS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];

fn tcp(n: u16) -> Craft {
    Craft::tcp(v4(n), 1024 + n, v4(9999), 443).tcp_options(&STAMPS).payload(&FULL)
}

fn parsing(criterion: &mut Criterion) {
    let cases = [
        ("udp_64", Checks::NONE, frames(|n| Craft::udp(v4(n), 1024 + n, v4(9999), 53))),
        ("tcp_1500", Checks::NONE, frames(tcp)),
        ("tcp_1500_vlan", Checks::NONE, frames(|n| tcp(n).vlan(10))),
        ("tcp_1500_qinq", Checks::NONE, frames(|n| tcp(n).tag(0x88a8, 10).vlan(20))),
        (
            "tcp_ipv6",
            Checks::NONE,
            frames(|n| Craft::tcp(v6(n), 1024 + n, v6(9999), 443).tcp_options(&STAMPS)),
        ),
        ("udp_ipv6", Checks::NONE, frames(|n| Craft::udp(v6(n), 1024 + n, v6(9999), 53))),
        ("udp_64_checked", Checks::ALL, frames(|n| Craft::udp(v4(n), 1024 + n, v4(9999), 53))),
        ("tcp_1500_checked", Checks::ALL, frames(tcp)),
    ];
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Elements(u64::from(FRAMES)));
    for (name, checks, frames) in &cases {
        group.bench_with_input(BenchmarkId::from_parameter(name), frames, |bencher, frames| {
            bencher.iter(|| {
                for frame in frames {
                    let outcome = parse(black_box(frame), LinkType::Ethernet, *checks);
                    black_box(&outcome);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, parsing);
criterion_main!(benches);
