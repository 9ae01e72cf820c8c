//! The captures of the corpus' manifest.

use super::{Options, Pairs};
use anyhow::{Context, Result};
use serde_json::Value;

/// Link types that Suricata 7 reads from captures (`source-pcap-file-helper.c`): null, Ethernet,
/// PPP, raw IP, Cisco HDLC, Linux cooked.
const PEER_LINKS: [u64; 10] = [0, 1, 9, 12, 14, 101, 104, 113, 228, 229];

/// One capture.
pub(super) struct Row {
    /// Relative to the corpus.
    pub(super) file: String,
    /// Frames in it stand behind MPLS labels.
    pub(super) is_labelled: bool,
    /// The peer cannot read its link type.
    pub(super) is_unread: bool,
    /// Sids of the peer, as the manifest has them.
    sids: Vec<u64>,
}

impl Row {
    /// The manifest's pairs of this capture.
    pub(super) fn pairs(&self) -> Pairs {
        self.sids.iter().map(|sid| (self.file.clone(), *sid)).collect()
    }
}

/// The captures of the kinds that were asked for.
pub(super) fn rows(options: &Options) -> Result<Vec<Row>> {
    let path = options.corpus.join("MANIFEST.jsonl");
    let text = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    let mut rows = Vec::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).context("a row of the manifest")?;
        let kind = row["kind"].as_str().unwrap_or_default();
        let is_asked = match options.kinds.is_empty() {
            true => kind != "suricata-verify",
            false => options.kinds.iter().any(|asked| asked == kind),
        };
        if is_asked {
            let mut links =
                row["linktypes"].as_array().into_iter().flatten().filter_map(Value::as_u64);
            let alerts = row["suricata7_et_open_2024"].as_array();
            rows.push(Row {
                is_unread: links.any(|link| !PEER_LINKS.contains(&link)),
                is_labelled: !row["encapsulations"]["mpls"].is_null(),
                file: row["file"].as_str().context("a row without a file")?.to_owned(),
                sids: alerts.into_iter().flatten().filter_map(|a| a["sid"].as_u64()).collect(),
            });
        }
    }
    Ok(rows)
}
