//! `portcullis replay`, run as an operator runs it, and all that it says.
//!
//! Must never know: what was replayed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::{command, requirement};

/// The longest takes some seconds; a hang is what this finds.
const LIMIT: Duration = Duration::from_secs(300);

/// What one replay leaves behind, word for word, but for how long it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// EVE events, a line each.
    pub events: String,
    /// The blocks, as JSON.
    pub blocks: String,
    /// The summary, as JSON.
    pub summary: String,
}

impl Said {
    /// The events of one type.
    #[must_use]
    pub fn events_of(&self, event_type: &str) -> Vec<Value> {
        let all = self.events.lines().map(serde_json::from_str::<Value>);
        all.map(|event| event.expect("each line is one JSON object"))
            .filter(|event| event["event_type"] == event_type)
            .collect()
    }

    /// The first capture of the summary.
    #[must_use]
    pub fn capture(&self) -> Value {
        let summary: Value = serde_json::from_str(&self.summary).expect("the summary is JSON");
        summary["captures"][0].clone()
    }
}

/// Replays captures under a configuration, with the shipped detectors and more options.
#[must_use]
pub fn replay(configuration: &str, options: &[&str], captures: &[PathBuf]) -> Said {
    let shipped = requirement::distribution().join("plugins");
    replay_with(&shipped, configuration, options, captures)
}

/// The same with the detectors of a folder.
#[must_use]
pub fn replay_with(
    plugins: &Path,
    configuration: &str,
    options: &[&str],
    captures: &[PathBuf],
) -> Said {
    let work = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| work.path().join(name).to_string_lossy().into_owned();
    let (file, eve, blocks) = (path("replay.toml"), path("eve.json"), path("blocks.json"));
    std::fs::write(&file, configuration).expect("the temporary folder can be written");
    let engine = requirement::engine_binary().to_string_lossy().into_owned();
    let plugins = plugins.to_string_lossy().into_owned();
    let fixed = [engine.as_str(), "replay", "-c", &file, "--plugins", &plugins, "-o", "json"];
    let outputs = ["--eve", &eve, "--blocks", &blocks];
    let files: Vec<String> = captures.iter().map(|c| c.to_string_lossy().into_owned()).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let words = [&fixed[..], &outputs, options, &files].concat();
    let summary = command::run(&words, LIMIT).expect_success();
    let read = |path: &str| std::fs::read_to_string(path).expect("the replay wrote it");
    let summary = summary.lines().map(without_time).collect::<Vec<_>>().join("\n");
    Said { events: read(&eve), blocks: read(&blocks), summary }
}

/// A line of the summary; one that says how long something took says nothing.
fn without_time(line: &str) -> String {
    match line.split_once(':') {
        Some((key, value)) if key.contains("_second") => {
            format!("{key}: 0{}", if value.ends_with(',') { "," } else { "" })
        }
        _ => line.to_owned(),
    }
}
