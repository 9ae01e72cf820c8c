//! The list of the peer's tests that are known to fail, and why.
//!
//! Must never know: how tests are run.

use std::collections::BTreeMap;

use portcullis_tests::requirement;

/// The list, from the repository's root.
pub(crate) const FILE: &str = "tests/cases/suricata-verify-expected.toml";
/// A reason shorter than this explains nothing.
const REASON_LEAST: usize = 12;

/// By test, the reason.
pub(crate) fn read() -> BTreeMap<String, String> {
    let path = requirement::repository().join(FILE);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{FILE}: {e}"));
    let table: toml::Table = text.parse().unwrap_or_else(|e| panic!("{FILE}: {e}"));
    table
        .into_iter()
        .map(|(name, reason)| {
            let reason = reason.as_str().unwrap_or_default().to_owned();
            assert!(reason.len() >= REASON_LEAST, "{FILE}: say why {name} fails");
            (name, reason)
        })
        .collect()
}
