//! Rules that look for readings, and which of them were found where.
//!
//! Must never know: what should have been found.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use serde_json::Value;

use crate::evasion::cell::{Cell, TAGS};

/// The first rule's number.
const FIRST_SID: u64 = 7_000_000;

/// One rule for each text of each transport.
#[derive(Debug, Default)]
pub struct Rules {
    texts: Vec<(bool, Vec<u8>)>,
}

impl Rules {
    /// Looks for a text in streams or in datagrams.
    pub fn look_for(&mut self, in_streams: bool, text: &[u8]) {
        let known = |(kind, held): &(bool, Vec<u8>)| *kind == in_streams && held == text;
        if !self.texts.iter().any(known) {
            self.texts.push((in_streams, text.to_vec()));
        }
    }

    fn numbered(&self) -> impl Iterator<Item = (u64, &(bool, Vec<u8>))> {
        (FIRST_SID..).zip(&self.texts)
    }

    /// The file of rules.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = String::new();
        for (sid, (in_streams, text)) in self.numbered() {
            let protocol = if *in_streams { "tcp" } else { "udp" };
            let hex: Vec<String> = text.iter().map(|byte| format!("{byte:02x}")).collect();
            let (content, at) = (hex.join(" "), "any any -> any any");
            writeln!(
                lines,
                "alert {protocol} {at} (msg:\"reading {sid}\"; content:\"|{content}|\"; sid:{sid};)"
            )
            .expect("a string takes all");
        }
        lines
    }

    /// The rules whose text is within one of these.
    #[must_use]
    pub fn within(&self, in_streams: bool, texts: &[Vec<u8>]) -> BTreeSet<u64> {
        let is_in = |text: &[u8]| {
            texts.iter().any(|held| held.windows(text.len()).any(|part| part == text))
        };
        let meant = self.numbered().filter(|(_, (kind, text))| *kind == in_streams && is_in(text));
        meant.map(|(sid, _)| sid).collect()
    }

    /// What these rules look for, a letter for each unit.
    #[must_use]
    pub fn versions(&self, sids: &BTreeSet<u64>) -> Vec<String> {
        let letters = |text: &[u8]| text.iter().step_by(8).copied().map(char::from).collect();
        let meant = self.numbered().filter(|(sid, _)| sids.contains(sid));
        meant.map(|(_, (_, text))| letters(text)).collect()
    }
}

/// The conversation of a cell, as events have it: tags, ports and receiver.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    protocol: String,
    vlan: Vec<u64>,
    port: u64,
    target: IpAddr,
}

impl Seen {
    /// Where events of that cell are.
    #[must_use]
    pub fn of(cell: &Cell, policy: u8) -> Seen {
        let way = cell.way(policy);
        let protocol = if cell.is_stream() { "TCP" } else { "UDP" };
        Seen {
            protocol: protocol.to_owned(),
            vlan: TAGS[cell.tag].1.iter().copied().map(u64::from).collect(),
            port: way.ports.0.into(),
            target: way.target,
        }
    }

    /// Whether it is a stream.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.protocol == "TCP"
    }
}

/// Which rules alerted where.
#[must_use]
pub fn seen(alerts: &[Value]) -> BTreeMap<Seen, BTreeSet<u64>> {
    let mut seen: BTreeMap<Seen, BTreeSet<u64>> = BTreeMap::new();
    for event in alerts {
        let Some(sid) = event["alert"]["signature_id"].as_u64().filter(|sid| *sid >= FIRST_SID)
        else {
            continue;
        };
        let vlan = event["vlan"].as_array().cloned().unwrap_or_default();
        let place = Seen {
            protocol: event["proto"].as_str().unwrap_or_default().to_owned(),
            vlan: vlan.iter().filter_map(Value::as_u64).collect(),
            port: event["src_port"].as_u64().unwrap_or_default(),
            target: event["dest_ip"]
                .as_str()
                .and_then(|text| text.parse().ok())
                .expect("an alert has a target"),
        };
        seen.entry(place).or_default().insert(sid);
    }
    seen
}
