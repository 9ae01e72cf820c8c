//! One replay of fixed packets with the shipped detectors in the sandbox: what `bench/instructions`
//! runs under callgrind. Prints how many frames passed; the count of instructions is callgrind's.
//!
//! Options: `--plugins target/dist/plugins`, `--packets 200000`, `--flows 20000`, and
//! `--native yes` for the detectors compiled in: the difference is what the sandbox costs. With
//! `--alone yes` one lane carries all as a live worker does, in bursts of 64.

use anyhow::{Result, ensure};
use portcullis_bench::{Detectors, Flows, Options, Street, udp_frames};
use portcullis_capture::backend::generated::GeneratedSource;
use std::path::PathBuf;

fn main() -> Result<()> {
    let mut options = Options::read(include_str!("fixed-replay.rs"))?;
    let plugins: PathBuf = options.take("plugins", "target/dist/plugins".into())?;
    let packets: u32 = options.take("packets", 200_000)?;
    let flows: u32 = options.take("flows", 20_000)?;
    let native: String = options.take("native", "no".into())?;
    let alone: String = options.take("alone", "no".into())?;
    options.end()?;
    let detectors = match native.as_str() {
        "yes" => Detectors::Native,
        _ => Detectors::Sandboxed(plugins),
    };
    let street = Street::load(&detectors)?.with_room(1 << 13);
    let shape = Flows { flows, packets, frame_len: 60 };
    let mut source = GeneratedSource::new(udp_frames(shape));
    let carried = match alone.as_str() {
        "yes" => street.carry_alone(&mut source)?,
        _ => street.carry(&mut source)?,
    };
    ensure!(carried.forwarded == u64::from(packets), "only {} passed", carried.forwarded);
    println!("{packets} frames of {flows} flows");
    Ok(())
}
