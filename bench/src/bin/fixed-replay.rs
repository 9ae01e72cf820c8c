//! One replay of fixed packets with the shipped detectors in the sandbox: what `bench/instructions`
//! runs under callgrind. Prints how many frames passed; the count of instructions is callgrind's.
//!
//! Options: `--plugins target/dist/plugins`, `--packets 200000`, `--flows 20000`, and
//! `--native yes` for the detectors compiled in: the difference is what the sandbox costs. With
//! `--alone yes` one lane carries all as a live worker does, in bursts of 64. `--capture FILE`
//! carries a file in place of the fixed packets.

use anyhow::{Result, ensure};
use portcullis_bench::{Carried, Detectors, Flows, Options, Street, udp_frames};
use portcullis_capture::FrameSource;
use portcullis_capture::backend::generated::GeneratedSource;
use portcullis_capture::backend::pcap::PcapSource;
use std::path::{Path, PathBuf};

fn main() -> Result<()> {
    let mut options = Options::read(include_str!("fixed-replay.rs"))?;
    let plugins: PathBuf = options.take("plugins", "target/dist/plugins".into())?;
    let packets: u32 = options.take("packets", 200_000)?;
    let flows: u32 = options.take("flows", 20_000)?;
    let native: String = options.take("native", "no".into())?;
    let alone: String = options.take("alone", "no".into())?;
    let capture: PathBuf = options.take("capture", PathBuf::new())?;
    options.end()?;
    let detectors = match native.as_str() {
        "yes" => Detectors::Native,
        _ => Detectors::Sandboxed(plugins),
    };
    let street = Street::load(&detectors)?.with_room(1 << 13);
    if capture != Path::new("") {
        let carried = carry(&street, &mut PcapSource::open(&[&capture])?, &alone)?;
        println!("{} frames, {:.1} ns each", carried.forwarded, carried.ns_per_frame());
        return Ok(());
    }
    let shape = Flows { flows, packets, frame_len: 60 };
    let carried = carry(&street, &mut GeneratedSource::new(udp_frames(shape)), &alone)?;
    ensure!(carried.forwarded == u64::from(packets), "only {} passed", carried.forwarded);
    println!("{packets} frames of {flows} flows");
    Ok(())
}

fn carry(street: &Street, source: &mut impl FrameSource, alone: &str) -> Result<Carried> {
    match alone {
        "yes" => street.carry_alone(source),
        _ => street.carry(source),
    }
}
