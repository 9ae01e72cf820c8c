//! What rules and detectors cost as they grow: CPU time of one mixed capture with 0, 1,000, 5,000,
//! 10,000 and 25,000 rules, and with 1 to 10 detectors more than the shipped ones.
//!
//! Method: mixed traffic of `--flows` conversations (see `mixed-against-suricata`). The rules are
//! those of `--rules`, in an order drawn from a seed, and each set is a prefix of it: the larger
//! has all of the smaller. The detectors are copies of the shipped `packet-attacks` under names of
//! their own. As it is shipped it asks for anomalies and for packets of port 139, which this
//! traffic hardly has; so a second curve has copies that ask for every packet of TCP port 80. All
//! points of a curve are read in turn in each round; what counts is the CPU time of the process
//! from the first frame to the last, so loading counts for none.
//!
//! Options: `--rules DIR`, `--only rules|detectors`, `--flows 4000`, `--rounds 3`, `--engine`,
//! `--plugins`.

use anyhow::{Context, Result, ensure};
use portcullis_bench::{Mix, Options, Replayer, Sequence, median, rule_text, write_mixed_capture};
use std::path::{Path, PathBuf};

const RULES: [usize; 5] = [0, 1_000, 5_000, 10_000, 25_000];
const DETECTORS: [usize; 4] = [0, 1, 5, 10];
/// The section of a module that holds its manifest.
const MANIFEST: &str = "portcullis.manifest";

/// A point of a curve.
struct Point {
    name: String,
    replayer: Replayer,
    set: Option<PathBuf>,
    cpu: Vec<f64>,
    loading: Vec<f64>,
    peak: f64,
}

struct Bench {
    engine: PathBuf,
    plugins: PathBuf,
    folder: PathBuf,
    rounds: u32,
}

impl Bench {
    fn point(&self, name: String, plugins: &Path, set: Option<PathBuf>) -> Point {
        let replayer = Replayer {
            engine: self.engine.clone(),
            plugins: plugins.to_owned(),
            folder: self.folder.clone(),
        };
        Point { name, replayer, set, cpu: Vec::new(), loading: Vec::new(), peak: 0.0 }
    }

    /// Sets of growing size.
    fn of_rules(&self, rules: &Path) -> Result<Vec<Point>> {
        let text = rule_text(rules)?;
        let is_rule = |line: &&str| {
            ["alert ", "drop ", "pass ", "reject "].iter().any(|action| line.starts_with(action))
        };
        let mut lines: Vec<&str> = text.lines().filter(is_rule).collect();
        let mut sequence = Sequence(5);
        for at in (1..lines.len()).rev() {
            let with = usize::try_from((sequence.next() >> 16) % (at as u64 + 1))?;
            lines.swap(at, with);
        }
        let mut points = Vec::new();
        for count in RULES {
            let count = count.min(lines.len());
            let set = match count {
                0 => None,
                _ => {
                    let file = self.folder.join(format!("{count}.rules"));
                    std::fs::write(&file, lines[..count].join("\n"))?;
                    let point = self.point(String::new(), &self.plugins, None);
                    Some(point.replayer.compile(&file, &format!("{count}.set"))?)
                }
            };
            points.push(self.point(format!("{count} rules"), &self.plugins, set));
        }
        Ok(points)
    }

    /// Growing numbers of detectors; `busy`: each wants every packet of port 80.
    fn of_detectors(&self, busy: bool) -> Result<Vec<Point>> {
        let module = std::fs::read(self.plugins.join("packet-attacks.wasm"))?;
        let mut points = Vec::new();
        for count in DETECTORS {
            let folder = self.folder.join(format!("{count}-{busy}"));
            std::fs::create_dir(&folder)?;
            for entry in std::fs::read_dir(&self.plugins)? {
                let entry = entry?;
                std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
            }
            for n in 0..count {
                let copy = renamed(&module, &format!("copy-{n}"), busy)?;
                std::fs::write(folder.join(format!("copy-{n}.wasm")), copy)?;
            }
            points.push(self.point(format!("{count} more detectors"), &folder, None));
        }
        Ok(points)
    }

    fn measure(&self, what: &str, mut points: Vec<Point>) -> Result<()> {
        let all = self.folder.join("all.pcap");
        println!("\n{what}");
        for _ in 0..self.rounds {
            for point in &mut points {
                let read = point.replayer.read(&all, point.set.as_deref())?;
                point.cpu.push(read.cpu);
                point.loading.push(read.loading);
                point.peak = point.peak.max(read.peak_bytes as f64 / f64::from(1 << 20));
            }
        }
        let bytes = std::fs::metadata(&all)?.len() as f64;
        let first = points.first().map_or(f64::NAN, |point| median(&point.cpu));
        for point in &points {
            let cpu = median(&point.cpu);
            println!(
                "  {}: {cpu:.3} s ({:?}), {:.1} MB per CPU second, {:.2} of the first; loading \
                 {:.2} s, peak {:.0} MiB",
                point.name,
                point.cpu.iter().map(|s| (s * 1000.0).round() / 1000.0).collect::<Vec<_>>(),
                bytes / cpu / 1e6,
                cpu / first,
                median(&point.loading),
                point.peak
            );
        }
        Ok(())
    }
}

/// A module under another name; `busy`: it wants every packet of TCP port 80.
fn renamed(module: &[u8], name: &str, busy: bool) -> Result<Vec<u8>> {
    let mut out = module.get(..8).context("no module")?.to_vec();
    let mut rest = &module[8..];
    let mut is_renamed = false;
    while let Some((&id, behind)) = rest.split_first() {
        let (len, behind) = leb128(behind)?;
        let (body, behind) = behind.split_at_checked(len).context("a section is cut")?;
        rest = behind;
        let mut body = body.to_vec();
        if id == 0 {
            let (len, content) = leb128(&body)?;
            let (section, text) = content.split_at_checked(len).context("a name is cut")?;
            if section == MANIFEST.as_bytes() {
                let text = std::str::from_utf8(text)?;
                let mut text = text.replacen("\"packet-attacks\"", &format!("\"{name}\""), 1);
                if busy {
                    text = text.replacen("ports = [139]", "ports = [80]", 1);
                }
                let head = [leb128_of(MANIFEST.len()), MANIFEST.as_bytes().to_vec()].concat();
                body = [head, text.into_bytes()].concat();
                is_renamed = true;
            }
        }
        out.push(id);
        out.extend(leb128_of(body.len()));
        out.extend(body);
    }
    ensure!(is_renamed, "the module has no section {MANIFEST}");
    Ok(out)
}

fn leb128(bytes: &[u8]) -> Result<(usize, &[u8])> {
    let mut value = 0;
    for (n, &byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return Ok((value, &bytes[n + 1..]));
        }
    }
    anyhow::bail!("a number is cut")
}

fn leb128_of(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            out.push(low);
            return out;
        }
        out.push(low | 0x80);
    }
}

fn main() -> Result<()> {
    let mut options = Options::read(include_str!("cost-curves.rs"))?;
    let rules: PathBuf = options.take("rules", PathBuf::new())?;
    let only: String = options.take("only", String::new())?;
    let flows = options.take("flows", 4_000)?;
    let bench = Bench {
        engine: options.take("engine", "target/dist/bin/portcullis".into())?,
        plugins: options.take("plugins", "target/dist/plugins".into())?,
        folder: std::env::temp_dir().join(format!("cost-curves-{}", std::process::id())),
        rounds: options.take("rounds", 3)?,
    };
    options.end()?;
    ensure!(["", "rules", "detectors"].contains(&only.as_str()), "--only rules or detectors");
    ensure!(only == "detectors" || !rules.as_os_str().is_empty(), "write --rules DIR");
    std::fs::create_dir(&bench.folder)?;
    let outcome = (|| {
        write_mixed_capture(&bench.folder.join("all.pcap"), Mix::Enterprise, flows)?;
        if only != "detectors" {
            bench.measure("as rules grow", bench.of_rules(&rules)?)?;
        }
        if only == "rules" {
            return Ok(());
        }
        bench.measure("as detectors grow, as shipped", bench.of_detectors(false)?)?;
        bench.measure("as detectors grow, each wants all of port 80", bench.of_detectors(true)?)
    })();
    std::fs::remove_dir_all(&bench.folder)?;
    outcome
}
