//! Mixed traffic and TLS in bulk beside Suricata 7, with the same rules and with none: bytes per
//! CPU second and peak memory of both.
//!
//! It knows both engines only as programs that read a capture; it must never link engine code.
//! Method: in each round each engine reads the capture and, for what loading costs, a capture of a
//! few flows; the CPU time of the whole process (all threads, user and system) of the second is
//! taken from that of the first. Both mean the same by `$HOME_NET`, neither verifies checksums,
//! both write alerts and nothing else. Ours reads with one worker and all detectors that are
//! shipped; the rules are compiled once before. Suricata has one thread and the settings that its
//! package installs, but for outputs.

use anyhow::{Context, Result, ensure};
use portcullis_bench::{Mix, Options, Rounds, Usage, Wanted, measure, write_mixed_capture};
use std::path::{Path, PathBuf};
use std::process::Command;

const HOME: &str = "10.0.0.0/8";
const SURICATA_YAML: &str = "%YAML 1.1
---
include: /etc/suricata/suricata.yaml
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
";
/// What loads and is not counted.
const FEW_FLOWS: u32 = 5;

/// What is compared.
struct Bench {
    engine: PathBuf,
    plugins: PathBuf,
    suricata: PathBuf,
    folder: PathBuf,
    rounds: u32,
    set: Option<PathBuf>,
    text: PathBuf,
}

/// One engine's reading of a capture: CPU seconds without loading, peak memory, alerts.
struct Read {
    cpu: f64,
    loading: f64,
    peak: u64,
    alerts: usize,
}

impl Bench {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Compiles the rules here, and makes one file of them for the peer.
    fn prepare(&mut self, rules: &Path) -> Result<()> {
        std::fs::write(self.file("suricata.yaml"), SURICATA_YAML)?;
        std::fs::write(self.file("none.rules"), "")?;
        std::fs::write(self.file("ours.toml"), settings())?;
        std::fs::create_dir_all(self.file("log"))?;
        self.text = self.file("none.rules");
        if rules.as_os_str().is_empty() {
            return Ok(());
        }
        let mut all = Vec::new();
        for file in rule_files(rules)? {
            all.extend(std::fs::read(&file)?);
            all.push(b'\n');
        }
        self.text = self.file("all.rules");
        std::fs::write(&self.text, all)?;
        let set = self.file("set");
        let mut command = Command::new(&self.engine);
        command.args(["rules", "compile"]).arg(rules).arg("--out").arg(&set);
        command.args(["--var", &format!("HOME_NET={HOME}"), "--var"]);
        command.arg("EXTERNAL_NET=!$HOME_NET");
        measure(&mut command)?;
        self.set = Some(set);
        Ok(())
    }

    fn ours(&self, capture: &Path) -> Result<(Usage, usize)> {
        let events = self.file("ours.json");
        let mut command = Command::new(&self.engine);
        command.args(["replay", "--quiet", "-o", "json", "-c"]).arg(self.file("ours.toml"));
        command.arg("--plugins").arg(&self.plugins).arg("--eve").arg(&events);
        if let Some(set) = &self.set {
            command.arg("--rules-compiled").arg(set);
        }
        let usage = measure(command.arg(capture))?.0;
        Ok((usage, alerts(&events)?))
    }

    fn theirs(&self, capture: &Path) -> Result<(Usage, usize)> {
        let (log, events) = (self.file("log"), self.file("log/eve.json"));
        let _ = std::fs::remove_file(&events);
        let mut command = Command::new(&self.suricata);
        command.arg("-c").arg(self.file("suricata.yaml")).arg("-r").arg(capture);
        command.arg("-S").arg(&self.text).arg("--set");
        command.arg(format!("vars.address-groups.HOME_NET=[{HOME}]"));
        command.args(["--runmode", "single", "-k", "none", "-l"]).arg(log);
        let usage = measure(&mut command)?.0;
        Ok((usage, alerts(&events)?))
    }

    fn read(
        &self,
        engine: impl Fn(&Self, &Path) -> Result<(Usage, usize)>,
        capture: &Path,
    ) -> Result<Read> {
        let (few, _) = engine(self, &self.file("few.pcap"))?;
        let (usage, alerts) = engine(self, capture)?;
        let cpu = usage.cpu - few.cpu;
        Ok(Read { cpu, loading: few.cpu, peak: usage.peak_bytes, alerts })
    }

    /// Interleaved rounds over one capture.
    fn compare(&self, what: &str, mix: Mix, flows: u32, wanted: f64) -> Result<()> {
        let capture = self.file("capture.pcap");
        write_mixed_capture(&self.file("few.pcap"), mix, FEW_FLOWS.min(flows))?;
        write_mixed_capture(&capture, mix, flows)?;
        let length = |path: &Path| -> Result<f64> { Ok(std::fs::metadata(path)?.len() as f64) };
        let bytes = length(&capture)? - length(&self.file("few.pcap"))?;
        println!("\n{what}: {flows} flows, {:.0} MB", bytes / 1e6);
        let (mut rates, mut peaks) = (Rounds::default(), Rounds::default());
        for round in 1..=self.rounds {
            let ours = self.read(Bench::ours, &capture)?;
            let theirs = self.read(Bench::theirs, &capture)?;
            rates.note(bytes / ours.cpu / 1e6, bytes / theirs.cpu / 1e6);
            peaks.note(ours.peak as f64, theirs.peak as f64);
            println!(
                "  round {round}: portcullis {:.2} s (loading {:.2} s), {} alerts; suricata {:.2} \
                 s (loading {:.2} s), {} alerts; ratio {:.2}",
                ours.cpu,
                ours.loading,
                ours.alerts,
                theirs.cpu,
                theirs.loading,
                theirs.alerts,
                theirs.cpu / ours.cpu
            );
        }
        let (ours, theirs, ratio) = rates.summary();
        println!("  MB per CPU second: portcullis {ours:.1}, suricata {theirs:.1}");
        Wanted::AtLeast(wanted).judge(&format!("{what}, bytes per CPU second"), ratio);
        let (ours, theirs, ratio) = peaks.summary();
        let mebibyte = f64::from(1 << 20);
        let (ours, theirs) = (ours / mebibyte, theirs / mebibyte);
        println!("  peak MiB: portcullis {ours:.0}, suricata {theirs:.0}");
        Wanted::AtMost(0.5).judge(&format!("{what}, peak memory"), ratio);
        Ok(())
    }
}

/// The `*.rules` of a folder, in the order of their names.
fn rule_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rules"));
    files.sort();
    Ok(files)
}

fn settings() -> String {
    let mut text = "ceiling = []\n[events]\ntypes = [\"alert\"]\n[wire]\n".to_owned();
    for layer in ["ipv4", "tcp", "udp", "icmp"] {
        text += &format!("checksum_{layer} = \"ignore\"\n");
    }
    text
}

fn alerts(events: &Path) -> Result<usize> {
    let text = std::fs::read_to_string(events).with_context(|| format!("{}", events.display()))?;
    Ok(text.matches("\"event_type\":\"alert\"").count())
}

fn main() -> Result<()> {
    let mut options = Options::read()?;
    let rules: PathBuf = options.take("rules", PathBuf::new())?;
    let only: String = options.take("only", String::new())?;
    let flows = options.take("flows", 100_000)?;
    let downloads = options.take("downloads", 250)?;
    let mut bench = Bench {
        engine: options.take("engine", "target/dist/bin/portcullis".into())?,
        plugins: options.take("plugins", "target/dist/plugins".into())?,
        suricata: options.take("suricata", "suricata".into())?,
        folder: std::env::temp_dir().join(format!("mixed-{}", std::process::id())),
        rounds: options.take("rounds", 3)?,
        set: None,
        text: PathBuf::new(),
    };
    options.end()?;
    ensure!(["", "rules", "none", "tls"].contains(&only.as_str()), "--only rules, none or tls");
    std::fs::create_dir(&bench.folder)?;
    let outcome = (|| {
        if only.is_empty() || only == "rules" {
            ensure!(!rules.as_os_str().is_empty(), "write --rules DIR, or --only none");
            bench.prepare(&rules)?;
            bench.compare("mixed with rules", Mix::Enterprise, flows, 2.0)?;
        }
        if only.is_empty() || only == "tls" {
            bench.prepare(&rules)?;
            bench.compare("TLS in bulk", Mix::TlsBulk, downloads, 4.0)?;
        }
        if only.is_empty() || only == "none" {
            bench.set = None;
            bench.prepare(Path::new(""))?;
            bench.compare("mixed without rules", Mix::Enterprise, flows, 2.0)?;
        }
        Ok(())
    })();
    std::fs::remove_dir_all(&bench.folder)?;
    outcome
}
