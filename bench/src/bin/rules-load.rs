//! What loading a compiled rule set costs. At most one CPU second.
//!
//! Method: the rules are compiled once. Each round replays a capture of one frame with the compiled
//! set and the shipped detectors, and then without rules; what counts is the CPU time
//! (user and system, all threads, as the operating system accounts it) of the whole process with
//! rules, from its start to its end. The other is printed beside it: what the detectors themselves
//! take.
//!
//! Options: `--rules DIR`, `--rounds 9`, `--engine`, `--plugins`.

use anyhow::{Result, ensure};
use portcullis_bench::{Options, Replayer, Wanted, measure, median};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A pcap file's header, Ethernet, and that of a record of 60 bytes.
const HEADERS: [u8; 40] = [
    0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0,
];

fn run(bench: &Replayer, rules: &Path, rounds: u32) -> Result<()> {
    let set = bench.compile(rules, "set")?;
    println!("set: {:.1} MB", std::fs::metadata(&set)?.len() as f64 / 1e6);
    let capture = bench.folder.join("one.pcap");
    std::fs::write(&capture, [&HEADERS[..], &[0; 60]].concat())?;
    let used = |set: Option<&Path>| -> Result<f64> {
        let mut command = Command::new(&bench.engine);
        command.arg("replay").arg("--plugins").arg(&bench.plugins);
        if let Some(set) = set {
            command.arg("--rules-compiled").arg(set);
        }
        Ok(measure(command.arg(&capture))?.0.cpu)
    };
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        with.push(used(Some(&set))?);
        without.push(used(None)?);
        let last = |all: &[f64]| all.last().copied().unwrap_or(f64::NAN);
        println!("round {round}: {:.3} s with rules, {:.3} s without", last(&with), last(&without));
    }
    println!("median without rules: {:.3} s", median(&without));
    Wanted::AtMost(1.0).judge("CPU seconds from start to end with compiled rules", median(&with));
    Ok(())
}

fn main() -> Result<()> {
    let mut options = Options::read(include_str!("rules-load.rs"))?;
    let rules: PathBuf = options.take("rules", PathBuf::new())?;
    let rounds = options.take("rounds", 9)?;
    let bench = Replayer {
        engine: options.take("engine", "target/dist/bin/portcullis".into())?,
        plugins: options.take("plugins", "target/dist/plugins".into())?,
        folder: std::env::temp_dir().join(format!("rules-load-{}", std::process::id())),
    };
    options.end()?;
    ensure!(!rules.as_os_str().is_empty(), "write --rules DIR");
    std::fs::create_dir(&bench.folder)?;
    let outcome = run(&bench, &rules, rounds);
    std::fs::remove_dir_all(&bench.folder)?;
    outcome
}
