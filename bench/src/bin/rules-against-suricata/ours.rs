//! Our own answers: one replay of all captures, each on its own.

use super::{Options, Pairs};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The pairs of our engine.
pub(super) fn answers(options: &Options, files: &[&str]) -> Result<Pairs> {
    if let Some(events) = &options.events {
        return pairs(options, events);
    }
    let name = |what: &str| -> PathBuf {
        std::env::temp_dir().join(format!("rules-against-suricata-{}.{what}", std::process::id()))
    };
    let (configuration, events) = (name("toml"), name("json"));
    std::fs::write(&configuration, settings(options)).context("the temporary folder")?;
    let mut command = Command::new(&options.engine);
    command.args(["replay", "--each", "-q", "-c"]).arg(&configuration);
    command.arg("--plugins").arg(&options.plugins).arg("--eve").arg(&events);
    command.args(files.iter().map(|file| options.corpus.join(file)));
    let output = command.output().with_context(|| format!("{}", options.engine.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "replay ended with {}: {said}", output.status);
    let found = pairs(options, &events);
    for file in [configuration, events] {
        // Nothing can be done about a temporary file that stays.
        let _ = std::fs::remove_file(file);
    }
    found
}

fn settings(options: &Options) -> String {
    let midstream = if options.midstream { "read" } else { "packets" };
    let mut text = "ceiling = []\n[activity]\nother = true\n[wire]\n".to_owned();
    for layer in ["ipv4", "tcp", "udp", "icmp"] {
        text += &format!("checksum_{layer} = \"ignore\"\n");
    }
    text += &format!("[streams]\nmidstream = {midstream:?}\none_sided = {midstream:?}\n");
    text += "[flow]\nfragment_overlap = \"report\"\n";
    text += &format!("[rules]\nfiles = [{:?}]\n[rules.addresses]\n", options.rules);
    text + &format!("HOME_NET = {:?}\nEXTERNAL_NET = {:?}\n", options.home, options.external())
}

fn pairs(options: &Options, events: &Path) -> Result<Pairs> {
    let text = std::fs::read_to_string(events).with_context(|| format!("{}", events.display()))?;
    let mut pairs = Pairs::new();
    for line in text.lines().filter(|line| line.contains("\"alert\"")) {
        let event: Value = serde_json::from_str(line).context("an event")?;
        let alert = &event["alert"];
        if event["event_type"] != "alert" || alert["metadata"]["detector"][0] != "signatures" {
            continue;
        }
        let path = Path::new(event["pcap_filename"].as_str().unwrap_or_default());
        let file = path.strip_prefix(&options.corpus).unwrap_or(path);
        if let Some(sid) = alert["signature_id"].as_u64() {
            pairs.insert((file.display().to_string(), sid));
        }
    }
    Ok(pairs)
}
