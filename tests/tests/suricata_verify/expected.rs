//! The list of the peer's tests that are known to fail, and why.
//!
//! Must never know: how tests are run.

use std::collections::BTreeMap;

use portcullis_tests::requirement;

/// The list, from the repository's root.
pub(crate) const FILE: &str = "tests/cases/suricata-verify-expected.toml";
/// A reason shorter than this explains nothing.
const REASON_LEAST: usize = 12;

/// By test, the reason: rows of `[[cause]]`, each with a `reason` and its `tests`.
pub(crate) fn read() -> BTreeMap<String, String> {
    let path = requirement::repository().join(FILE);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{FILE}: {e}"));
    let table: toml::Table = text.parse().unwrap_or_else(|e| panic!("{FILE}: {e}"));
    let mut by_test = BTreeMap::new();
    for cause in table.get("cause").and_then(toml::Value::as_array).into_iter().flatten() {
        let reason = cause.get("reason").and_then(toml::Value::as_str).unwrap_or_default();
        assert!(reason.len() >= REASON_LEAST, "{FILE}: say why: {cause}");
        let tests = cause.get("tests").and_then(toml::Value::as_array);
        for test in tests.into_iter().flatten().filter_map(toml::Value::as_str) {
            let before = by_test.insert(test.to_owned(), reason.to_owned());
            assert!(before.is_none(), "{FILE}: {test} is listed twice");
        }
    }
    by_test
}
