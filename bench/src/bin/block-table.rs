//! A full block table beside an empty one: the whole street's nanoseconds a packet with 65,536
//! blocks and random sources that are not blocked. At most 1.10x.
//!
//! Method: UDP packets of 64 bytes with the check sequence, made from a seed as they are asked for,
//! both directions of 100,000 flows in random order, so every source is looked up at random. The
//! blocked sources are addresses of 172.16.0.0/12 that never send. Each round carries the packets
//! once through a street that blocks them and once through one that blocks nobody, fresh state each
//! time; the measure is the processor time of the one thread that carries all of it: one lane in
//! bursts of 64, as one worker has it.
//!
//! Options: `--plugins target/dist/plugins`, `--rounds 7`, `--packets 4000000`, `--blocks 65536`.

use anyhow::{Result, ensure};
use portcullis_bench::{Flows, Options, Rounds, Sequence, Street, Wanted, udp_frames};
use portcullis_capture::backend::generated::GeneratedSource;
use portcullis_types::{Addr, BlockKey, Prefix, SegmentId, VlanStack};
use std::path::PathBuf;

fn main() -> Result<()> {
    let mut options = Options::read(include_str!("block-table.rs"))?;
    let plugins: PathBuf = options.take("plugins", "target/dist/plugins".into())?;
    let rounds: u32 = options.take("rounds", 7)?;
    let packets: u32 = options.take("packets", 4_000_000)?;
    let blocks: usize = options.take("blocks", 65_536)?;
    options.end()?;
    let empty = Street::shipped(&plugins)?;
    let full = Street::shipped(&plugins)?.blocking(keys(blocks));
    let shape = Flows { flows: 100_000, packets, frame_len: 60 };
    let ns = |street: &Street| -> Result<f64> {
        let carried = street.carry_alone(&mut GeneratedSource::new(udp_frames(shape)))?;
        ensure!(carried.forwarded == u64::from(packets), "only {} passed", carried.forwarded);
        Ok(carried.ns_per_frame())
    };
    let mut pairs = Rounds::default();
    for round in 1..=rounds {
        let (with, without) = (ns(&full)?, ns(&empty)?);
        pairs.note(with, without);
        println!(
            "round {round}: {blocks} blocks {with:.0} ns, none {without:.0} ns, {:.3}",
            with / without
        );
    }
    let (with, without, ratio) = pairs.summary();
    println!("medians: {with:.0} ns a packet with {blocks} blocks, {without:.0} ns without");
    Wanted::AtMost(1.10).judge("full table / empty table", ratio);
    Ok(())
}

/// Distinct addresses of 172.16.0.0/12.
fn keys(count: usize) -> Vec<BlockKey> {
    let mut sequence = Sequence(7);
    let mut hosts = std::collections::BTreeSet::new();
    while hosts.len() < count {
        hosts.insert(sequence.next() & 0x000f_ffff);
    }
    let key = |host: u64| {
        let [.., b, c, d] = host.to_be_bytes();
        let source = Prefix::of(Addr::v4([172, 16 | b, c, d]), 32);
        BlockKey { segment: SegmentId(0), vlan: VlanStack::UNTAGGED, source, tunnel: 0 }
    };
    hosts.into_iter().map(key).collect()
}
