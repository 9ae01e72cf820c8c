//! The counts of alerts on clean captures that are known, and why some are more than the peer's.
//!
//! Must never know: how captures are replayed.

use std::collections::BTreeMap;

use portcullis_tests::requirement;

/// The list, from the repository's root.
pub(crate) const FILE: &str = "tests/cases/clean-alerts-expected.toml";
/// A reason shorter than this explains nothing.
const REASON_LEAST: usize = 20;

/// Alerts on one capture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Of this engine.
    pub(crate) ours: u64,
    /// Of the peer, as the manifest of the corpus records them.
    pub(crate) peers: u64,
}

impl Counts {
    /// As the list has it.
    pub(crate) fn row(&self, capture: &str) -> String {
        format!("\"{capture}\" = [{}, {}]", self.ours, self.peers)
    }
}

/// The whole list.
#[derive(Debug)]
pub(crate) struct Expected {
    /// By capture.
    pub(crate) counts: BTreeMap<String, Counts>,
    reasons: BTreeMap<String, String>,
}

impl Expected {
    /// Whether it is said why this capture has more than the peer's.
    pub(crate) fn explains(&self, capture: &str) -> bool {
        self.reasons.contains_key(capture)
    }

    /// Captures that have a reason and need none.
    pub(crate) fn idle_reasons(&self) -> Vec<&str> {
        let is_more = |capture: &str| self.counts.get(capture).is_some_and(|c| c.ours > c.peers);
        self.reasons.keys().map(String::as_str).filter(|capture| !is_more(capture)).collect()
    }
}

/// Reads the list: `[alerts]` with a row a capture, `[reasons]` for some.
pub(crate) fn read() -> Expected {
    let path = requirement::repository().join(FILE);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{FILE}: {e}"));
    let list: toml::Table = text.parse().unwrap_or_else(|e| panic!("{FILE}: {e}"));
    let table = |name: &str| list.get(name).and_then(toml::Value::as_table).cloned();
    let number = |value: &toml::Value| value.as_integer().and_then(|n| u64::try_from(n).ok());
    let counts = |value: &toml::Value| match value.as_array().map(Vec::as_slice) {
        Some([ours, peers]) => Some(Counts { ours: number(ours)?, peers: number(peers)? }),
        _ => None,
    };
    let rows = table("alerts").unwrap_or_default().into_iter().map(|(capture, value)| {
        let counts = counts(&value).unwrap_or_else(|| {
            panic!("{FILE}: {capture}: write [ours, the peer's], two numbers, not {value}")
        });
        (capture, counts)
    });
    let reasons = table("reasons").unwrap_or_default().into_iter().map(|(capture, value)| {
        let reason = value.as_str().unwrap_or_default().to_owned();
        assert!(reason.len() >= REASON_LEAST, "{FILE}: say why {capture} has more: {reason:?}");
        (capture, reason)
    });
    Expected { counts: rows.collect(), reasons: reasons.collect() }
}
