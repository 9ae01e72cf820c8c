//! Replay of small UDP packets over many flows, beside Suricata 7: packets per CPU second of both.
//!
//! It knows both engines only as programs that read a capture; it must never link engine code.
//! Method: in each round each engine reads the large capture and, for what loading costs, a capture
//! of one packet; the CPU time of the whole process (all threads, user and system) of the second is
//! taken from that of the first. No rules on either side; our detectors are on. Medians over
//! rounds.

use anyhow::{Context, Result, bail, ensure};
use portcullis_bench::{Flows, Rounds, Usage, measure, median, write_udp_capture};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the issue asks for: our packets per CPU second over theirs.
const TARGET: f64 = 2.0;
/// Alerts only, no statistics, no rules, no checksums: nothing that is not packets and flows.
const SURICATA_YAML: &str = "%YAML 1.1
---
max-pending-packets: 1024
stats:
  enabled: no
outputs:
  - eve-log:
      enabled: yes
      filetype: regular
      filename: eve.json
      types: [alert]
logging:
  default-log-level: error
  outputs:
    - console:
        enabled: yes
flow:
  memcap: 512mb
  hash-size: 262144
  prealloc: 100000
defrag:
  memcap: 32mb
  hash-size: 65536
  trackers: 65535
  max-frags: 65535
  prealloc: no
  timeout: 60
";
const USAGE: &str = "\
Usage: against-suricata [--engine PATH] [--plugins DIR] [--suricata PATH]
                        [--packets N] [--flows N] [--rounds N]
Defaults: target/dist/bin/portcullis, target/dist/plugins, suricata, 4000000, 100000, 5";

struct Options {
    engine: PathBuf,
    plugins: PathBuf,
    suricata: PathBuf,
    packets: u32,
    flows: u32,
    rounds: u32,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            engine: "target/dist/bin/portcullis".into(),
            plugins: "target/dist/plugins".into(),
            suricata: "suricata".into(),
            packets: 4_000_000,
            flows: 100_000,
            rounds: 5,
        };
        while let Some(word) = words.next() {
            let value = words.next().with_context(|| format!("{word} wants a value\n{USAGE}"))?;
            match word.as_str() {
                "--engine" => options.engine = value.into(),
                "--plugins" => options.plugins = value.into(),
                "--suricata" => options.suricata = value.into(),
                "--packets" => options.packets = value.parse().context("--packets")?,
                "--flows" => options.flows = value.parse().context("--flows")?,
                "--rounds" => options.rounds = value.parse().context("--rounds")?,
                _ => bail!("{word} is not known\n{USAGE}"),
            }
        }
        ensure!(options.packets > 1 && options.flows > 0 && options.rounds > 0, USAGE);
        Ok(options)
    }
}

/// The captures and settings of one run; removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("against-suricata-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing can be done about a temporary folder that stays.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One run of our engine: its usage, and its own account (packets, CPU seconds without loading).
fn ours(options: &Options, capture: &Path) -> Result<(Usage, u64, f64)> {
    let mut command = Command::new(&options.engine);
    command.args(["replay", "--quiet", "--output", "json", "--plugins"]);
    command.arg(&options.plugins).arg(capture);
    let (usage, printed) = measure(&mut command)?;
    let report: serde_json::Value = serde_json::from_str(printed.trim())
        .with_context(|| format!("replay printed no JSON value: {printed}"))?;
    let packets = report["frames"].as_u64().with_context(|| format!("no frames in {report}"))?;
    let seconds =
        report["cpu_seconds"].as_f64().with_context(|| format!("no cpu_seconds in {report}"))?;
    Ok((usage, packets, seconds))
}

fn theirs(options: &Options, folder: &Folder, capture: &Path) -> Result<Usage> {
    let mut command = Command::new(&options.suricata);
    command.arg("-c").arg(folder.file("suricata.yaml")).arg("-r").arg(capture);
    // An empty rule file, named exclusively, so that no installed rules are found.
    command.arg("-S").arg(folder.file("none.rules"));
    command.args(["--runmode", "single", "-k", "none", "-l"]).arg(folder.file("log"));
    Ok(measure(&mut command)?.0)
}

/// Packets per second of CPU time, loading taken off.
fn rate(packets: u32, large: Usage, small: Usage) -> f64 {
    f64::from(packets - 1) / (large.cpu - small.cpu)
}

fn prepare(options: &Options, folder: &Folder) -> Result<()> {
    let shape = Flows { flows: options.flows, packets: options.packets, frame_len: 60 };
    write_udp_capture(&folder.file("large.pcap"), shape)?;
    write_udp_capture(&folder.file("small.pcap"), Flows { packets: 1, ..shape })?;
    std::fs::write(folder.file("suricata.yaml"), SURICATA_YAML)?;
    std::fs::write(folder.file("none.rules"), "")?;
    std::fs::create_dir(folder.file("log"))?;
    Ok(())
}

fn main() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    let folder = Folder::new()?;
    prepare(&options, &folder)?;
    let (large, small) = (folder.file("large.pcap"), folder.file("small.pcap"));
    let mut rounds = Rounds::default();
    let mut own_account = Vec::new();
    let mut peaks = (0_u64, 0_u64);
    println!("{} packets, {} flows, 64 B with FCS", options.packets, options.flows);
    for round in 1..=options.rounds {
        let (our_small, _, _) = ours(&options, &small)?;
        let (our_large, packets, seconds) = ours(&options, &large)?;
        let their_small = theirs(&options, &folder, &small)?;
        let their_large = theirs(&options, &folder, &large)?;
        ensure!(packets == u64::from(options.packets), "replay read {packets} packets");
        let our_rate = rate(options.packets, our_large, our_small);
        let their_rate = rate(options.packets, their_large, their_small);
        rounds.note(our_rate, their_rate);
        own_account.push(f64::from(options.packets) / seconds);
        peaks = (peaks.0.max(our_large.peak_bytes), peaks.1.max(their_large.peak_bytes));
        println!(
            "round {round}: portcullis {our_rate:.0}/s, suricata {their_rate:.0}/s, ratio {:.2} \
             (CPU s {:.2}-{:.2}, {:.2}-{:.2})",
            our_rate / their_rate,
            our_large.cpu,
            our_small.cpu,
            their_large.cpu,
            their_small.cpu
        );
    }
    let (our_rate, their_rate, ratio) = rounds.summary();
    println!("packets per CPU second: portcullis {our_rate:.0}, suricata {their_rate:.0}");
    println!("  by portcullis' own account: {:.0}", median(&own_account));
    println!("peak memory: portcullis {} MiB, suricata {} MiB", peaks.0 >> 20, peaks.1 >> 20);
    let word = if ratio >= TARGET { "reached" } else { "MISSED" };
    println!("ratio {ratio:.2}, at least {TARGET} wanted: {word}");
    Ok(())
}
