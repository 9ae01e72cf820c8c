//! What a replay costs, without what loading costs: the engine as a program, over captures.
//!
//! It must never know what is compared.

use crate::{Usage, measure};
use anyhow::{Context, Result};
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
    /// Processor seconds of loading.
    pub loading: f64,
    /// The largest resident set, bytes.
    pub peak_bytes: u64,
    /// Alerts.
    pub alerts: usize,
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

    /// Reads a capture, and for what loading costs one of a few flows of the same kind.
    ///
    /// # Errors
    /// A replay fails.
    pub fn read(&self, capture: &Path, few: &Path, set: Option<&Path>) -> Result<Replayed> {
        let (loading, _) = self.replay(few, set)?;
        let (all, alerts) = self.replay(capture, set)?;
        let cpu = all.cpu - loading.cpu;
        Ok(Replayed { cpu, loading: loading.cpu, peak_bytes: all.peak_bytes, alerts })
    }

    fn replay(&self, capture: &Path, set: Option<&Path>) -> Result<(Usage, usize)> {
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
        let usage = measure(command.arg(capture))?.0;
        let told =
            std::fs::read_to_string(&events).with_context(|| format!("{}", events.display()))?;
        Ok((usage, told.matches("\"event_type\":\"alert\"").count()))
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
