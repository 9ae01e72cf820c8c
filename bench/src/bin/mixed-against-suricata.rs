//! Mixed traffic and TLS in bulk beside Suricata 7, with the same rules and with none: bytes per
//! CPU second and peak memory of both.
//!
//! It knows both engines only as programs that read captures; it must never link engine code.
//! Method: one process of each, both on the same core, loads once and is then handed captures one
//! after the other, each with a state of its own: Suricata over its command socket, ours by gates
//! (`gates.rs`). In each round each reads a capture of a few flows, the large one, and the few
//! again. What a reading costs is by how much the process's CPU clock went on (user and system, all
//! its threads, those that have ended among them); the median of what the few flows cost, which is
//! setting up and clearing away, is taken off. Loading is read from the same clock before the first
//! capture, and counts for nothing. Both read the few flows once before the rounds. Peak memory is
//! that of a process of its own each, which reads the large capture once. Both mean the same by
//! `$HOME_NET`, neither verifies checksums, both write alerts and nothing else. Ours reads with one
//! worker and all detectors that are shipped; the rules are compiled once before. Suricata has one
//! thread for packets (`runmode: single`) and the settings that its package installs, but for
//! outputs and the bounds of its memory: with the installed ones it gives up reassembly and
//! protocols in most flows of a large capture, unseen but for its statistics. Two rules of our own
//! say whether both read all: a name of a host that one request and hello in 144 asks for, alerts
//! of which are compared.
//!
//! Options: `--rules DIR`, `--only rules|tls|none`, `--flows 100000`, `--downloads 250`,
//! `--rounds 3`, `--core 1`, `--engine`, `--plugins`, `--suricata`.

use anyhow::{Context, Result, ensure};
use portcullis_bench::{
    Gates, Mix, Options, Rounds, Suricata, Wanted, measure, median, process_cpu,
    write_mixed_capture,
};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const HOME: &str = "10.0.0.0/8";
const SURICATA_YAML: &str = "%YAML 1.1
---
include: /etc/suricata/suricata.yaml
runmode: single
unix-command:
  enabled: yes
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
/// Bounds of Suricata's memory at which it loses nothing of the captures here.
const SURICATA_ROOM: [&str; 4] = [
    "stream.memcap=4gb",
    "stream.reassembly.memcap=8gb",
    "flow.memcap=4gb",
    "app-layer.protocols.http.memcap=8gb",
];
/// Some of the hosts' names that the mix makes.
const CONTROL_RULES: &str = "\
alert http any any -> any any (msg:\"Bench: a request was read\"; http.host; \
content:\"mail.\"; startswith; sid:9000001; rev:1;)
alert tls any any -> any any (msg:\"Bench: a hello was read\"; tls.sni; \
content:\"mail.\"; startswith; sid:9000002; rev:1;)
";
/// What sets up and clears away, and is not counted.
const FEW_FLOWS: u32 = 5;
/// The same in bulk, where one flow is 4 MiB.
const FEW_DOWNLOADS: u32 = 1;
/// Reading one capture.
const READING: Duration = Duration::from_secs(1800);

/// What is compared.
struct Bench {
    engine: PathBuf,
    plugins: PathBuf,
    suricata: PathBuf,
    folder: PathBuf,
    rounds: u32,
    core: usize,
    set: Option<PathBuf>,
    text: PathBuf,
}

/// A process that reads captures: what it has used when its last reading was done.
trait Reader {
    /// Its process.
    fn id(&self) -> u32;
    /// Reads a capture.
    fn read(&mut self, capture: &Path) -> Result<()>;

    /// CPU seconds of one more reading.
    fn cost(&mut self, capture: &Path) -> Result<f64> {
        let before = process_cpu(self.id())?;
        self.read(capture)?;
        Ok(process_cpu(self.id())? - before)
    }
}

impl Reader for Gates {
    fn id(&self) -> u32 {
        self.id()
    }

    /// Its captures were named when it was started, in the order of the rounds.
    fn read(&mut self, _: &Path) -> Result<()> {
        self.pass()
    }
}

/// Suricata, and where its outputs go.
struct Peer {
    suricata: Suricata,
    log: PathBuf,
}

impl Reader for Peer {
    fn id(&self) -> u32 {
        self.suricata.id()
    }

    fn read(&mut self, capture: &Path) -> Result<()> {
        self.suricata.hand(capture, &self.log)?;
        self.suricata.finish(READING)
    }
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
        self.text = self.file("none.rules");
        if rules.as_os_str().is_empty() {
            return Ok(());
        }
        let control = self.file("control.rules");
        std::fs::write(&control, CONTROL_RULES)?;
        let mut all = CONTROL_RULES.as_bytes().to_vec();
        for file in rule_files(rules)? {
            all.extend(std::fs::read(&file)?);
            all.push(b'\n');
        }
        self.text = self.file("all.rules");
        std::fs::write(&self.text, all)?;
        let set = self.file("set");
        let mut command = Command::new(&self.engine);
        command.args(["rules", "compile"]).arg(rules).arg(&control).arg("--out").arg(&set);
        command.args(["--var", &format!("HOME_NET={HOME}"), "--var"]);
        command.arg("EXTERNAL_NET=!$HOME_NET");
        measure(&mut command)?;
        self.set = Some(set);
        Ok(())
    }

    /// Ours, loaded; it is to read a few flows, and then these and the large capture in turn.
    fn ours(&self) -> Result<Gates> {
        let (few, capture) = (self.file("few.pcap"), self.file("capture.pcap"));
        let mut captures = vec![few.clone()];
        for _ in 0..self.rounds {
            captures.extend([few.clone(), capture.clone(), few.clone()]);
        }
        let gates = self.file("gates");
        std::fs::create_dir(&gates)?;
        let mut command = self.replay();
        command.arg("--each");
        Gates::start(command, &gates, &captures)
    }

    /// Suricata, loaded.
    fn theirs(&self) -> Result<Peer> {
        let log = self.file("log");
        std::fs::create_dir(&log)?;
        let suricata = Suricata::start(self.suricata(&log), &self.folder)?;
        Ok(Peer { suricata, log })
    }

    /// A replay but for its captures.
    fn replay(&self) -> Command {
        let mut command = self.on_core(&self.engine);
        command.args(["replay", "--quiet", "-o", "json", "-c"]).arg(self.file("ours.toml"));
        command.arg("--plugins").arg(&self.plugins).arg("--eve").arg(self.file("ours.json"));
        if let Some(set) = &self.set {
            command.arg("--rules-compiled").arg(set);
        }
        command
    }

    /// Suricata but for where its captures come from.
    fn suricata(&self, log: &Path) -> Command {
        let mut command = self.on_core(&self.suricata);
        command.arg("-c").arg(self.file("suricata.yaml")).arg("-S").arg(&self.text).arg("--set");
        command.arg(format!("vars.address-groups.HOME_NET=[{HOME}]"));
        for bound in SURICATA_ROOM {
            command.args(["--set", bound]);
        }
        command.args(["-k", "none", "-l"]).arg(log);
        command
    }

    fn on_core(&self, program: &Path) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", &self.core.to_string()]).arg(program);
        command
    }

    /// Interleaved rounds over one capture.
    fn compare(&self, what: &str, mix: Mix, flows: u32, wanted: f64) -> Result<()> {
        let (few, capture) = (self.file("few.pcap"), self.file("capture.pcap"));
        let few_flows = if mix == Mix::TlsBulk { FEW_DOWNLOADS } else { FEW_FLOWS };
        write_mixed_capture(&few, mix, few_flows.min(flows))?;
        write_mixed_capture(&capture, mix, flows)?;
        let length = |path: &Path| -> Result<f64> { Ok(std::fs::metadata(path)?.len() as f64) };
        let bytes = length(&capture)? - length(&few)?;
        println!("\n{what}: {flows} flows, {:.0} MB", bytes / 1e6);
        let (mut ours, mut theirs) = (self.ours()?, self.theirs()?);
        for (name, reader) in self.named(&mut ours, &mut theirs) {
            println!("  {name}: loading {:.2} s", process_cpu(reader.id())?);
            reader.read(&few)?;
        }
        let (mut small, mut large) = ([vec![], vec![]], [vec![], vec![]]);
        for _ in 0..self.rounds {
            for (n, (_, reader)) in self.named(&mut ours, &mut theirs).into_iter().enumerate() {
                small[n].push(reader.cost(&few)?);
                large[n].push(reader.cost(&capture)?);
                small[n].push(reader.cost(&few)?);
            }
        }
        ours.end()?;
        drop(theirs);
        let rates = rates(bytes, &small, &large);
        let (ours, theirs, ratio) = rates.summary();
        println!("  MB per CPU second: portcullis {ours:.1}, suricata {theirs:.1}");
        Wanted::AtLeast(wanted).judge(&format!("{what}, bytes per CPU second"), ratio);
        for folder in ["gates", "log"] {
            std::fs::remove_dir_all(self.file(folder))?;
        }
        self.peaks(what, &capture)
    }

    /// A process of its own each, which reads the capture once.
    fn peaks(&self, what: &str, capture: &Path) -> Result<()> {
        let (events, log) = (self.file("ours.json"), self.file("log"));
        std::fs::create_dir(&log)?;
        let ours = measure(self.replay().arg(capture))?.0;
        let theirs = measure(self.suricata(&log).arg("-r").arg(capture))?.0;
        let told = [alerts(&events)?, alerts(&log.join("eve.json"))?];
        println!("  alerts: portcullis {}, suricata {}", told[0], told[1]);
        if self.set.is_some() {
            let (fewer, more) = (told[0].min(told[1]) as f64, told[0].max(told[1]) as f64);
            Wanted::AtLeast(0.99).judge(&format!("{what}, alerts of both"), fewer / more.max(1.0));
        }
        std::fs::remove_dir_all(&log)?;
        let [ours, theirs] =
            [ours, theirs].map(|usage| usage.peak_bytes as f64 / f64::from(1 << 20));
        println!("  peak MiB: portcullis {ours:.0}, suricata {theirs:.0}");
        Wanted::AtMost(0.5).judge(&format!("{what}, peak memory"), ours / theirs);
        Ok(())
    }

    fn named<'r>(
        &self,
        ours: &'r mut Gates,
        theirs: &'r mut Peer,
    ) -> [(&'static str, &'r mut dyn Reader); 2] {
        [("portcullis", ours), ("suricata", theirs)]
    }
}

/// Bytes per CPU second of each round: what the large capture cost, less the median of the small.
fn rates(bytes: f64, small: &[Vec<f64>; 2], large: &[Vec<f64>; 2]) -> Rounds {
    let [ours, theirs] = [0, 1].map(|n| median(&small[n]));
    println!("  the few flows: portcullis {ours:.3} s {:.3?}", small[0]);
    println!("  the few flows: suricata {theirs:.3} s {:.3?}", small[1]);
    let mut rates = Rounds::default();
    for (all, peer) in large[0].iter().zip(&large[1]) {
        let (all, peer) = (all - ours, peer - theirs);
        println!("  portcullis {all:.3} s, suricata {peer:.3} s, ratio {:.2}", peer / all);
        rates.note(bytes / all / 1e6, bytes / peer / 1e6);
    }
    rates
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
    let mut options = Options::read(include_str!("mixed-against-suricata.rs"))?;
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
        core: options.take("core", 1)?,
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
