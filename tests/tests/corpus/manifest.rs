//! `MANIFEST.jsonl`: what somebody else says is in each capture.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use serde_json::Value;

/// One row.
#[derive(Debug)]
pub(crate) struct Capture {
    /// Relative to the corpus.
    pub(crate) file: String,
    /// How many packets are in it.
    #[allow(dead_code, reason = "not every test asks for the shortest")]
    pub(crate) packets: u64,
    /// VLAN stacks in it, outermost VID first; VID 0 is no tag, as everywhere in this product.
    pub(crate) vlans: BTreeSet<Vec<u16>>,
    /// `attack_class` of the ground truth; empty where there is none.
    pub(crate) attack_class: String,
    /// Who attacks; empty where blocking anyone would be wrong.
    pub(crate) attackers: BTreeSet<IpAddr>,
    /// Alerts of Suricata 7.0.10 with the rule set beside the corpus.
    #[allow(dead_code, reason = "who replays without that set does not ask")]
    pub(crate) peers_alerts: u64,
    fp_use: String,
}

impl Capture {
    /// Neither a block nor an alert is right.
    pub(crate) fn is_clean(&self) -> bool {
        self.fp_use == "clean"
    }

    /// May alert, must not block.
    pub(crate) fn is_policy_only(&self) -> bool {
        self.fp_use == "policy-only"
    }
}

/// Every row of the manifest in `folder`.
pub(crate) fn read(folder: &Path) -> Vec<Capture> {
    let text = std::fs::read_to_string(folder.join("MANIFEST.jsonl")).expect("it was found");
    text.lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).expect("each line is one JSON object");
            capture_of(&row)
        })
        .collect()
}

fn capture_of(row: &Value) -> Capture {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let truth = &row["ground_truth"];
    Capture {
        file: text(&row["file"]),
        packets: row["packets"].as_u64().unwrap_or_default(),
        vlans: list(&row["vlan_ids"]).iter().filter_map(vlan_stack).collect(),
        attack_class: text(&truth["attack_class"]),
        attackers: list(&truth["attacker"])
            .iter()
            .map(|address| text(address).parse().expect("attackers are addresses"))
            .collect(),
        peers_alerts: list(&row["suricata7_et_open_2024"])
            .iter()
            .filter_map(|alert| alert["count"].as_u64())
            .sum(),
        fp_use: text(&row["fp_use"]),
    }
}

/// `"13.10"` is 13, then 10; `None` where nothing but VID 0 is in it.
fn vlan_stack(value: &Value) -> Option<Vec<u16>> {
    let vids: Vec<u16> = value
        .as_str()?
        .split('.')
        .map(|vid| vid.parse().expect("VLAN ids are numbers"))
        .filter(|vid| *vid != 0)
        .collect();
    (!vids.is_empty()).then_some(vids)
}
