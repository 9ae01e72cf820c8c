//! A flood of near misses by somebody who has the rules, beside clean traffic of the same flows and
//! lengths: bytes per CPU second of both in one run. Never below half of the clean rate.
//!
//! Method: three captures of the same conversations (half of the flows post forms over HTTP and are
//! answered pages, half are plain TCP). In one everything is words; in the second it is literals of
//! the rules, where the rules look for them, each with its last byte wrong; in the third it is the
//! literals by which rules are found, whole, of rules that ask for more than that. Rounds take
//! turns; what counts is the CPU time of the process from the first frame to the last. Alerts are
//! printed: a literal of the third kind is one of two or more, but pages of all of them also match
//! some rules.
//!
//! Options: `--rules DIR`, `--flows 4000`, `--rounds 3`, `--engine`, `--plugins`.

use anyhow::{Result, ensure};
use portcullis_bench::{
    Filling, Literals, Options, Replayer, Rounds, Wanted, rule_text, write_filled_capture,
};
use std::path::{Path, PathBuf};

fn run(bench: &Replayer, rules: &Path, flows: u32, rounds: u32) -> Result<()> {
    let text = rule_text(rules)?;
    let literals = Literals::of_rules(&text);
    ensure!(!literals.is_empty(), "{} has no rules with literals", rules.display());
    let set = bench.compile(rules, "set")?;
    let fillings = [
        ("clean", Filling::Clean),
        ("almost literals", Filling::Almost(&literals)),
        ("parts of rules", Filling::Parts(&literals)),
    ];
    let file = |n: usize| bench.folder.join(format!("{n}.pcap"));
    for (n, (_, filling)) in fillings.iter().enumerate() {
        write_filled_capture(&file(n), *filling, flows)?;
    }
    let bytes = std::fs::metadata(file(0))?.len() as f64;
    println!("{} literals; {flows} flows, {:.1} MB each", literals.len(), bytes / 1e6);
    let mut rates = [Rounds::default(), Rounds::default()];
    for round in 1..=rounds {
        let mut clean = f64::NAN;
        for (n, (name, _)) in fillings.iter().enumerate() {
            let read = bench.read(&file(n), Some(&set))?;
            let rate = bytes / read.cpu / 1e6;
            println!(
                "  round {round}, {name}: {:.2} s (loading {:.2} s), {rate:.1} MB per CPU second, \
                 {} alerts",
                read.cpu, read.loading, read.alerts
            );
            match n {
                0 => clean = rate,
                _ => rates[n - 1].note(rate, clean),
            }
        }
    }
    for (rounds, (name, _)) in rates.iter().zip(&fillings[1..]) {
        Wanted::AtLeast(0.5).judge(&format!("{name} / clean"), rounds.summary().2);
    }
    Ok(())
}

fn main() -> Result<()> {
    let mut options = Options::read(include_str!("near-miss.rs"))?;
    let rules: PathBuf = options.take("rules", PathBuf::new())?;
    let flows = options.take("flows", 4_000)?;
    let rounds = options.take("rounds", 3)?;
    let bench = Replayer {
        engine: options.take("engine", "target/dist/bin/portcullis".into())?,
        plugins: options.take("plugins", "target/dist/plugins".into())?,
        folder: std::env::temp_dir().join(format!("near-miss-{}", std::process::id())),
    };
    options.end()?;
    ensure!(!rules.as_os_str().is_empty(), "write --rules DIR");
    std::fs::create_dir(&bench.folder)?;
    let outcome = run(&bench, &rules, flows, rounds);
    std::fs::remove_dir_all(&bench.folder)?;
    outcome
}
