//! The peer's tests as the corpus lists them, and which of them are this product's to pass.
//!
//! Must never know: how the engine is run, or what it answered.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::check::{self, EventCheck};
use super::settings::Settings;
use super::yaml;

/// Categories of `TESTS.jsonl` whose protocols the engine recognises, but does not read deeply yet.
const LATER_CATEGORIES: [&str; 12] = [
    "smb/dcerpc",
    "http2",
    "mqtt",
    "smtp",
    "ftp",
    "ssh",
    "ike",
    "dnp3",
    "enip",
    "krb5",
    "nfs",
    "snmp",
];
/// Rule headers of the same.
const LATER_HEADERS: [&str; 15] = [
    "smb", "dcerpc", "http2", "mqtt", "smtp", "ftp", "ftp-data", "ssh", "ike", "ikev2", "dnp3",
    "enip", "krb5", "nfs", "snmp",
];
/// The family that is reported apart.
const EVADER: &str = "http-evader";

/// Which figure a test counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    /// HTTP responses that browsers read and inspection often does not.
    HttpEvader,
    /// Everything else.
    Other,
}

impl Family {
    /// As the summary prints it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Family::HttpEvader => "http-evader",
            Family::Other => "outside http-evader",
        }
    }
}

/// One test.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    pub(crate) name: String,
    pub(crate) family: Family,
    pub(crate) capture: PathBuf,
    pub(crate) rules: Vec<PathBuf>,
    pub(crate) settings: Settings,
    /// Of alerts.
    pub(crate) checks: Vec<EventCheck>,
    /// Of records of protocols.
    pub(crate) records: Vec<EventCheck>,
}

/// The tests of `folder` (`suricata-verify` in the corpus) that hold for the engine, by name.
pub(crate) fn read(folder: &Path) -> Vec<Test> {
    let listed = std::fs::read_to_string(folder.join("TESTS.jsonl")).expect("it was found");
    let mut tests: Vec<Test> = listed
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is one JSON object"))
        .filter(is_ours)
        .map(|row| test_of(folder, &row))
        .filter(|test| !test.checks.is_empty())
        .collect();
    tests.sort_by(|a, b| a.name.cmp(&b.name));
    tests
}

/// Golden, and of no protocol that is read later.
fn is_ours(row: &Value) -> bool {
    let has = |key: &str, later: &[&str]| words(&row[key]).any(|word| later.contains(&word));
    row["golden"] == true && !has("categories", &LATER_CATEGORIES) && !has("protos", &LATER_HEADERS)
}

fn words(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn test_of(folder: &Path, row: &Value) -> Test {
    let name = row["test"].as_str().expect("a row has a name").to_owned();
    let own = folder.join("tests").join(&name);
    let text = std::fs::read_to_string(own.join("test.yaml"))
        .unwrap_or_else(|e| panic!("{name}: test.yaml cannot be read: {e}"));
    let described = yaml::read(&text).unwrap_or_else(|e| panic!("{name}: test.yaml: {e}"));
    let configured = std::fs::read_to_string(own.join("suricata.yaml")).unwrap_or_default();
    let configured = yaml::read(&configured).unwrap_or(Value::Null);
    let arguments: Vec<&str> = words(&row["args"]).flat_map(str::split_whitespace).collect();
    let families: BTreeSet<&str> = words(&row["categories"]).collect();
    Test {
        family: if families.contains(EVADER) { Family::HttpEvader } else { Family::Other },
        capture: folder.join(row["pcap"].as_str().unwrap_or_default()),
        rules: words(&row["rules_files"]).map(|file| folder.join(file)).collect(),
        settings: Settings::of(&arguments, &configured),
        checks: check::event_checks(&described, &["alert"]),
        records: check::event_checks(&described, &check::RECORDS),
        name,
    }
}
