//! The peer's own tests: the engine over their captures with their rules; their alert checks must
//! hold, but for those that `tests/cases/suricata-verify-expected.toml` lists with the reason.
//!
//! `PORTCULLIS_CORPUS` as in `corpus.rs`. `PORTCULLIS_VERIFY_REPORT=FILE` writes every check that
//! did not hold; `PORTCULLIS_VERIFY_ONLY=TEXT` runs the tests that have it in their names.

#[path = "suricata_verify/check.rs"]
mod check;
#[path = "suricata_verify/expected.rs"]
mod expected;
#[path = "suricata_verify/replay.rs"]
mod replay;
#[path = "suricata_verify/settings.rs"]
mod settings;
#[path = "suricata_verify/suite.rs"]
mod suite;
#[path = "suricata_verify/yaml.rs"]
mod yaml;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

use check::EventCheck;
use portcullis_tests::requirement::{self, Readiness};
use replay::Answer;
use serde_json::Value;
use suite::{Family, Test};

/// Tests that must hold, in percent of each family: a ratchet, these numbers only ever go up.
/// Wanted are 85 outside http-evader and 95 of http-evader.
const LEAST: [(Family, usize); 2] = [(Family::Other, 86), (Family::HttpEvader, 99)];

/// Checks of records that must hold, of each type of event: as above, a ratchet.
const LEAST_RECORDS: [(&str, usize); 4] =
    [("dns", 12), ("fileinfo", 257), ("http", 56), ("tls", 7)];

/// One test and the checks of it that did not hold.
struct Result {
    test: Test,
    /// Of its alerts.
    complaints: Vec<String>,
    /// Of its records, by the number of the check.
    records: Vec<(usize, String)>,
}

/// All tests, run once; `None` where they are skipped.
fn results() -> Option<&'static [Result]> {
    static RESULTS: OnceLock<Option<Vec<Result>>> = OnceLock::new();
    RESULTS
        .get_or_init(|| {
            let folder = folder()?;
            if requirement::engine() == Readiness::Skip {
                return None;
            }
            let only = std::env::var("PORTCULLIS_VERIFY_ONLY").unwrap_or_default();
            let mut tests = suite::read(&folder);
            tests.retain(|test| test.name.contains(&only));
            let began = Instant::now();
            let (answers, processes) = replay::replay(&tests);
            let (count, took) = (tests.len(), began.elapsed());
            println!("corpus: {count} of the peer's tests in {processes} runs, {took:.1?}");
            let results: Vec<Result> = tests.into_iter().zip(answers).map(judge).collect();
            report(&results);
            Some(results)
        })
        .as_deref()
}

/// Where the peer's tests are.
fn folder() -> Option<PathBuf> {
    let corpus = requirement::corpus(&["suricata-verify/TESTS.jsonl"])?;
    Some(corpus.join("suricata-verify"))
}

fn judge((test, answer): (Test, Answer)) -> Result {
    let events = match answer {
        Ok(events) => events,
        Err(why) => {
            let records = (0..test.records.len()).map(|at| (at, why.clone())).collect();
            return Result { test, complaints: vec![why], records };
        }
    };
    let said = |check: &EventCheck, events: &[Value]| -> Option<String> {
        let found = check.found(events);
        let line = || format!("{}: {} expected, {found} found", check.shown(), check.count);
        (found != check.count).then(line)
    };
    let complaints = test.checks.iter().filter_map(|check| said(check, &events.alerts)).collect();
    let records = test.records.iter().enumerate();
    let records =
        records.filter_map(|(at, check)| Some((at, said(check, &events.records)?))).collect();
    Result { test, complaints, records }
}

/// The lines that did not hold, where they are asked for.
fn report(results: &[Result]) {
    let Ok(file) = std::env::var("PORTCULLIS_VERIFY_REPORT") else { return };
    let mut text = String::new();
    for result in results {
        let name = &result.test.name;
        for complaint in &result.complaints {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name}\t{complaint}");
        }
        for (at, complaint) in &result.records {
            let kind = result.test.records.get(*at).map_or("", |check| check.kind.as_str());
            let _ = writeln!(text, "{name}\t{kind}\t{complaint}");
        }
    }
    std::fs::write(&file, text).unwrap_or_else(|e| panic!("{file}: {e}"));
}

#[test]
fn failures_are_the_expected_ones() {
    let Some(results) = results() else { return };
    let mut expected = expected::read();
    let mut new = Vec::new();
    let mut fixed = Vec::new();
    for result in results {
        let name = &result.test.name;
        match (expected.remove(name), result.complaints.is_empty()) {
            (None, false) => new.push(format!("{name}: {}", result.complaints.join("; "))),
            (Some(reason), true) => fixed.push(format!("{name}: {reason}")),
            _ => {}
        }
    }
    let file = expected::FILE;
    assert!(new.is_empty(), "{} tests that {file} does not list fail:\n{}", new.len(), lines(&new));
    assert!(
        fixed.is_empty(),
        "{} tests hold; take them out of {file}:\n{}",
        fixed.len(),
        lines(&fixed)
    );
    if std::env::var_os("PORTCULLIS_VERIFY_ONLY").is_none() {
        let unknown: Vec<&String> = expected.keys().collect();
        assert!(unknown.is_empty(), "{file} lists tests that are not run: {unknown:?}");
    }
}

fn lines(of: &[String]) -> String {
    of.join("\n")
}

#[test]
fn enough_of_each_family_holds() {
    let Some(results) = results() else { return };
    let mut sums: BTreeMap<Family, (usize, usize)> = BTreeMap::new();
    for result in results {
        let (held, all) = sums.entry(result.test.family).or_default();
        *held += usize::from(result.complaints.is_empty());
        *all += 1;
    }
    let mut short = Vec::new();
    for (family, least) in LEAST {
        let (held, all) = sums.get(&family).copied().unwrap_or_default();
        let share = (held * 1000).checked_div(all).unwrap_or_default();
        let line = format!("{}: {held} of {all} hold ({share} per mille)", family.name());
        println!("corpus: peer's tests, {line}");
        if all > 0 && share < least * 10 {
            short.push(format!("{line}, at least {least} % wanted"));
        }
    }
    assert!(short.is_empty(), "{}", lines(&short));
}

#[test]
fn records_say_what_the_peers_do() {
    let Some(results) = results() else { return };
    let mut sums: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for result in results {
        for (at, check) in result.test.records.iter().enumerate() {
            let (held, all) = sums.entry(check.kind.as_str()).or_default();
            *held += usize::from(result.records.iter().all(|(number, _)| *number != at));
            *all += 1;
        }
    }
    let all_run = std::env::var_os("PORTCULLIS_VERIFY_ONLY").is_none();
    for (kind, least) in LEAST_RECORDS {
        let (held, all) = sums.get(kind).copied().unwrap_or_default();
        println!("corpus: peer's checks of {kind} records: {held} of {all} hold");
        assert!(held >= least || !all_run, "{kind}: {held} of {all} hold, at least {least} wanted");
    }
}
