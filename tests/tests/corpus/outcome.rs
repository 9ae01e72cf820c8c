//! What `portcullis replay --each` left: its summary, its events, its blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use serde_json::Value;

/// What became of the frames of one capture.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Frames read.
    pub(crate) frames: u64,
    /// Frames that went through.
    pub(crate) forwarded: u64,
    /// Frames that did not, by reason.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// VLAN stacks that frames wore.
    pub(crate) vlans: BTreeSet<Vec<u16>>,
}

/// One element of the `--blocks` file.
#[derive(Debug)]
pub(crate) struct BlockMade {
    /// The capture, relative to the corpus.
    pub(crate) file: String,
    /// Who was blocked.
    pub(crate) source: IpAddr,
    /// Where.
    pub(crate) vlan: Vec<u16>,
    /// The rule and its message, for messages.
    #[allow(dead_code, reason = "it is shown where a test fails")]
    pub(crate) why: String,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// By capture, relative to the corpus.
    pub(crate) ledgers: BTreeMap<String, Ledger>,
    /// The summary's own total.
    pub(crate) frames_in_all: u64,
    /// The signatures that alerted, by capture.
    pub(crate) alerts: BTreeMap<String, BTreeSet<String>>,
    /// How many alerts there were, by capture.
    #[allow(dead_code, reason = "not every test counts them")]
    pub(crate) alert_counts: BTreeMap<String, u64>,
    /// All blocks.
    pub(crate) blocks: Vec<BlockMade>,
}

impl Outcome {
    /// Reads the three outputs.
    pub(crate) fn read(folder: &Path, summary: &str, eve: &Path, blocks: &Path) -> Outcome {
        let relative = |file: &str| {
            let path = Path::new(file);
            path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned()
        };
        let summary: Value = serde_json::from_str(summary).expect("the summary is one JSON object");
        let ledgers = summary["captures"]
            .as_array()
            .expect("the summary has a row for each capture")
            .iter()
            .map(|row| (relative(row["file"].as_str().unwrap_or_default()), ledger_of(row)))
            .collect();
        let mut alerts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut alert_counts: BTreeMap<String, u64> = BTreeMap::new();
        let events = std::fs::read_to_string(eve).expect("replay writes the events");
        for line in events.lines().filter(|line| line.contains("\"alert\"")) {
            let event: Value = serde_json::from_str(line).expect("each line is one JSON object");
            if event["event_type"] == "alert" {
                let file = relative(event["pcap_filename"].as_str().unwrap_or_default());
                let signature = event["alert"]["signature"].as_str().unwrap_or_default();
                *alert_counts.entry(file.clone()).or_default() += 1;
                alerts.entry(file).or_default().insert(signature.to_owned());
            }
        }
        let blocks = std::fs::read_to_string(blocks).expect("replay writes the blocks");
        let blocks: Value = serde_json::from_str(&blocks).expect("the blocks are a JSON array");
        let blocks = blocks.as_array().expect("the blocks are a JSON array");
        Outcome {
            ledgers,
            frames_in_all: summary["frames"].as_u64().expect("the summary counts frames"),
            alerts,
            alert_counts,
            blocks: blocks
                .iter()
                .map(|row| BlockMade {
                    file: relative(row["pcap_filename"].as_str().unwrap_or_default()),
                    source: row["source"]
                        .as_str()
                        .and_then(|text| text.parse().ok())
                        .expect("a block has a source"),
                    vlan: vids(&row["vlan"]),
                    why: format!("{} {}", row["rule"], row["message"]),
                })
                .collect(),
        }
    }

    /// The sources that were blocked in one capture.
    pub(crate) fn blocked_sources(&self, file: &str) -> BTreeSet<IpAddr> {
        self.blocks.iter().filter(|block| block.file == file).map(|block| block.source).collect()
    }
}

fn ledger_of(row: &Value) -> Ledger {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let dropped = row["dropped"].as_object().cloned().unwrap_or_default();
    let stacks = row["vlans"].as_array().cloned().unwrap_or_default();
    Ledger {
        frames: number(&row["frames"]),
        forwarded: number(&row["forwarded"]),
        dropped: dropped.iter().map(|(reason, count)| (reason.clone(), number(count))).collect(),
        vlans: stacks.iter().map(vids).collect(),
    }
}

fn vids(stack: &Value) -> Vec<u16> {
    let vids = stack.as_array().cloned().unwrap_or_default();
    vids.iter().filter_map(Value::as_u64).filter_map(|vid| u16::try_from(vid).ok()).collect()
}
