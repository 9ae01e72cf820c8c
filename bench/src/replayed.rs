//! What a replay costs, without what loading costs: the engine as a program, over captures.
//!
//! It must never know what is compared.

use crate::measure;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The engine, what it is given, and a folder for files of the bench.
#[derive(Debug)]
pub struct Replayer {
    /// The program.
    pub engine: PathBuf,
    /// The folder of detectors.
    pub plugins: PathBuf,
    /// Where files are written; it is there.
    pub folder: PathBuf,
}

/// What a capture cost.
#[derive(Clone, Copy, Debug)]
pub struct Replayed {
    /// Processor seconds without loading.
    pub cpu: f64,
    /// Processor seconds of loading and clearing away.
    pub loading: f64,
    /// The largest resident set, bytes.
    pub peak_bytes: u64,
    /// Alerts.
    pub alerts: u64,
}

impl Replayer {
    /// A compiled set of a file of rules.
    ///
    /// # Errors
    /// They cannot be compiled.
    pub fn compile(&self, rules: &Path, name: &str) -> Result<PathBuf> {
        let set = self.folder.join(name);
        let mut command = Command::new(&self.engine);
        command.args(["rules", "compile"]).arg(rules).arg("--out").arg(&set);
        command.args(["--var", "HOME_NET=10.0.0.0/8", "--var", "EXTERNAL_NET=!$HOME_NET"]);
        measure(&mut command)?;
        Ok(set)
    }

    /// Reads a capture. What reading cost is the engine's own account of its process's CPU clock,
    /// from the first frame to the last; the rest of what the process used is loading.
    ///
    /// # Errors
    /// A replay fails.
    pub fn read(&self, capture: &Path, set: Option<&Path>) -> Result<Replayed> {
        let (events, settings) = (self.folder.join("eve.json"), self.folder.join("engine.toml"));
        let mut text = "ceiling = []\n[events]\ntypes = [\"alert\"]\n[wire]\n".to_owned();
        for layer in ["ipv4", "tcp", "udp", "icmp"] {
            text += &format!("checksum_{layer} = \"ignore\"\n");
        }
        std::fs::write(&settings, text)?;
        let mut command = Command::new(&self.engine);
        command.args(["replay", "--quiet", "-o", "json", "-c"]).arg(settings);
        command.arg("--plugins").arg(&self.plugins).arg("--eve").arg(&events);
        if let Some(set) = set {
            command.arg("--rules-compiled").arg(set);
        }
        let (usage, printed) = measure(command.arg(capture))?;
        let summary: Value = serde_json::from_str(&printed).context("the replay's summary")?;
        let cpu = summary["cpu_seconds"].as_f64().context("the summary has no cpu_seconds")?;
        let alerts = summary["alerts"].as_u64().context("the summary has no alerts")?;
        Ok(Replayed { cpu, loading: usage.cpu - cpu, peak_bytes: usage.peak_bytes, alerts })
    }
}

/// The text of a folder's `*.rules`, in the order of their names.
///
/// # Errors
/// A file cannot be read.
pub fn rule_text(folder: &Path) -> Result<String> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rules"));
    files.sort();
    let mut text = String::new();
    for file in files {
        text += &String::from_utf8_lossy(&std::fs::read(&file)?);
        text.push('\n');
    }
    Ok(text)
}
