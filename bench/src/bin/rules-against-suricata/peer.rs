//! Suricata's answers: one process that loads the rules once and is handed captures over its
//! command socket; between captures it drops its state.

use super::{Options, Pairs, rules};
use anyhow::{Context, Result};
use portcullis_bench::Suricata;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// All captures together take about ten minutes.
const READING: Duration = Duration::from_secs(3600);

/// What the peer said of captures.
#[derive(Default)]
pub(super) struct Answers {
    /// Its pairs.
    pub(super) pairs: Pairs,
    /// Those of them that it raised on packets inside tunnels only.
    pub(super) tunnelled: Pairs,
}

impl Answers {
    /// A line a pair, `inside` or `outside` of tunnels.
    fn text(&self) -> String {
        let mut text = String::new();
        for pair in &self.pairs {
            let mark = if self.tunnelled.contains(pair) { "inside" } else { "outside" };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}\t{}\t{mark}", pair.0, pair.1);
        }
        text
    }

    fn from_text(text: &str, files: &[&str]) -> Answers {
        let mut answers = Answers::default();
        for line in text.lines() {
            let mut columns = line.split('\t');
            let (Some(file), Some(Ok(sid)), Some(mark)) =
                (columns.next(), columns.next().map(str::parse), columns.next())
            else {
                continue;
            };
            if !files.contains(&file) {
                continue;
            }
            answers.note((file.to_owned(), sid), mark == "inside");
        }
        answers
    }

    /// An alert; one outside of tunnels makes its pair one of those.
    fn note(&mut self, pair: (String, u64), inside: bool) {
        let is_new = self.pairs.insert(pair.clone());
        if !inside {
            self.tunnelled.remove(&pair);
        } else if is_new {
            self.tunnelled.insert(pair);
        }
    }
}

/// The peer's answers: from the file that keeps them, which is made where it is missing.
pub(super) fn answers(options: &Options, files: &[&str]) -> Result<Answers> {
    let kept = &options.answers;
    if !kept.is_file() {
        let found = ask(options, files)?;
        std::fs::write(kept, found.text())
            .with_context(|| format!("--answers {}", kept.display()))?;
        return Ok(found);
    }
    Ok(Answers::from_text(&std::fs::read_to_string(kept)?, files))
}

/// A folder that goes with this.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn ask(options: &Options, files: &[&str]) -> Result<Answers> {
    let name = format!("rules-against-suricata-{}", std::process::id());
    let folder = Folder(std::env::temp_dir().join(name));
    let Folder(path) = &folder;
    std::fs::create_dir(path).with_context(|| format!("{}", path.display()))?;
    let mut peer = start(options, path)?;
    for (number, file) in files.iter().enumerate() {
        let outputs = path.join(number.to_string());
        std::fs::create_dir(&outputs)?;
        peer.hand(&options.corpus.join(file), &outputs)?;
    }
    peer.finish(READING)?;
    let mut answers = Answers::default();
    for (number, file) in files.iter().enumerate() {
        let events = path.join(number.to_string()).join("eve.json");
        // A capture that cannot be opened may leave none.
        let text = std::fs::read_to_string(&events).unwrap_or_default();
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).context("an event of the peer")?;
            if let Some(sid) = event["alert"]["signature_id"].as_u64() {
                answers.note(((*file).to_owned(), sid), event["tunnel"].is_object());
            }
        }
    }
    Ok(answers)
}

fn start(options: &Options, folder: &Path) -> Result<Suricata> {
    let mut all = Vec::new();
    for file in rules::files(&options.rules)? {
        all.extend(std::fs::read(&file)?);
        all.push(b'\n');
    }
    let path = |name: &str| folder.join(name);
    std::fs::write(path("all.rules"), all)?;
    std::fs::write(path("suricata.yaml"), settings(options, folder))?;
    let mut command = Command::new(&options.suricata);
    command.arg("-c").arg(path("suricata.yaml")).arg("-S").arg(path("all.rules"));
    command.arg("--set").arg(format!("vars.address-groups.HOME_NET={}", options.home));
    let external = options.external();
    command.arg("--set").arg(format!("vars.address-groups.EXTERNAL_NET={external}"));
    command.args(["-k", "none", "-l"]).arg(folder);
    Suricata::start(command, folder)
}

/// Its own configuration as shipped, with the settings that the comparison needs over it.
fn settings(options: &Options, folder: &Path) -> String {
    let midstream = if options.midstream { "yes" } else { "no" };
    format!(
        "%YAML 1.1
---
include: /etc/suricata/suricata.yaml
outputs:
  - eve-log:
      enabled: yes
      filetype: regular
      filename: eve.json
      types: [alert]
stats:
  enabled: no
stream:
  midstream: {midstream}
  async-oneside: {midstream}
unix-command:
  enabled: yes
  filename: {}/socket
",
        folder.display()
    )
}
