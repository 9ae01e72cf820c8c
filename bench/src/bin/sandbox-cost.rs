//! What the sandbox costs: the shipped detectors in WebAssembly beside the same detectors compiled
//! in, each in the same street over the same packets. At most 1.10x.
//!
//! Method: UDP packets of 64 bytes with the check sequence, made from a seed as they are asked for,
//! both directions of 100,000 flows in random order. Each round carries them once through a street
//! with the detectors in the sandbox and once through one with native detectors, fresh state each
//! time; the measure is the processor time of the one thread that carries all of it, without
//! building the street. Two shapes: 40 packets a flow, and 10, where starting flows (which is what
//! detectors are told of) dominates. The making of the packets is in both.
//!
//! Options: `--plugins target/dist/plugins`, `--rounds 7`, `--flows 100000`.

use anyhow::Result;
use portcullis_bench::{Detectors, Flows, Options, Rounds, Street, Wanted, udp_frames};
use portcullis_capture::backend::generated::GeneratedSource;
use std::path::PathBuf;

fn main() -> Result<()> {
    let mut options = Options::read(include_str!("sandbox-cost.rs"))?;
    let plugins: PathBuf = options.take("plugins", "target/dist/plugins".into())?;
    let rounds: u32 = options.take("rounds", 7)?;
    let flows: u32 = options.take("flows", 100_000)?;
    options.end()?;
    let sandboxed = Street::load(&Detectors::Sandboxed(plugins))?;
    let native = Street::load(&Detectors::Native)?;
    for per_flow in [40, 10] {
        let shape = Flows { flows, packets: flows * per_flow, frame_len: 60 };
        let ns = |street: &Street| -> Result<f64> {
            Ok(street.carry(&mut GeneratedSource::new(udp_frames(shape)))?.ns_per_frame())
        };
        let mut pairs = Rounds::default();
        for round in 1..=rounds {
            let (ours, theirs) = (ns(&sandboxed)?, ns(&native)?);
            pairs.note(ours, theirs);
            println!(
                "{per_flow} packets a flow, round {round}: sandboxed {ours:.0} ns, \
                 native {theirs:.0} ns, {:.3}",
                ours / theirs
            );
        }
        let (ours, theirs, ratio) = pairs.summary();
        println!("medians: sandboxed {ours:.0} ns a packet, native {theirs:.0} ns");
        let what = format!("sandboxed / native at {per_flow} packets a flow");
        Wanted::AtMost(1.10).judge(&what, ratio);
    }
    Ok(())
}
