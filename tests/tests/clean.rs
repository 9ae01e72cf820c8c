//! Clean captures with a whole rule set of others: it loads soon, nobody is blocked, and no more is
//! alerted than Suricata does, but for what `tests/cases/clean-alerts-expected.toml` lists with
//! the reason.
//!
//! `PORTCULLIS_CORPUS` as in `corpus.rs`; the rules stand beside the corpus.
//! `PORTCULLIS_CLEAN_REPORT=FILE` writes the table of counts as it would have to be.

#[path = "clean/expected.rs"]
mod expected;
#[path = "corpus/manifest.rs"]
#[allow(dead_code, reason = "the tests of the whole corpus ask for more")]
mod manifest;
#[path = "corpus/outcome.rs"]
#[allow(dead_code, reason = "the same")]
mod outcome;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use expected::Counts;
use manifest::Capture;
use outcome::Outcome;
use portcullis_tests::command;
use portcullis_tests::requirement::{self, Readiness};

/// Compiling and replaying take half a minute; a hang is what this finds.
const LIMIT: Duration = Duration::from_secs(300);
/// The rule set, in the folder `rules` beside the corpus.
const RULES: &str = "../rules/et-open-2024-04-21";
/// Rules of which fewer are no whole set.
const RULES_LEAST: u64 = 24_000;
/// Captures of which fewer try nothing.
const CAPTURES_LEAST: usize = 700;

/// Inside addresses may be blocked: a harder trial. Streams met in the middle, or seen one way
/// only, are read as the peer read them whose alerts are recorded.
const CONFIGURATION: &str = "[blocks]\nblock_inside = true\n\
                             [streams]\nmidstream = \"packets\"\none_sided = \"packets\"\n";

/// What was said of the clean captures, and what the peer says of them.
struct Tried {
    outcome: Outcome,
    counts: BTreeMap<String, Counts>,
}

/// Done once for all tests of this file; `None`: skipped.
fn tried() -> Option<&'static Tried> {
    static TRIED: OnceLock<Option<Tried>> = OnceLock::new();
    TRIED
        .get_or_init(|| {
            let (corpus, rules) = folders()?;
            if requirement::engine() == Readiness::Skip {
                return None;
            }
            let began = Instant::now();
            let mut captures = manifest::read(&corpus);
            captures.retain(Capture::is_clean);
            assert!(captures.len() >= CAPTURES_LEAST, "only {} clean captures", captures.len());
            let work = tempfile::tempdir().expect("a temporary folder");
            let set = compile(work.path(), &rules);
            let outcome = replay(work.path(), &corpus, &set, &captures);
            println!("corpus: {} clean captures, {:.1?}", captures.len(), began.elapsed());
            let counts = counts(&captures, &outcome);
            report(&counts);
            Some(Tried { outcome, counts })
        })
        .as_ref()
}

/// Where captures and rules are.
fn folders() -> Option<(PathBuf, PathBuf)> {
    let corpus = requirement::corpus(&["MANIFEST.jsonl", RULES])?;
    let rules = corpus.join(RULES);
    Some((corpus, rules))
}

/// The rules, compiled. The captures' networks are many: everybody is inside, and outside.
fn compile(work: &Path, rules: &Path) -> String {
    let set = work.join("compiled.set").to_string_lossy().into_owned();
    let engine = requirement::engine_binary().to_string_lossy().into_owned();
    let rules = rules.to_string_lossy();
    let networks = ["--var", "HOME_NET=any", "--var", "EXTERNAL_NET=any"];
    let options = [&engine, "rules", "compile", "-o", "json", "-O", &set, &rules];
    let compiled = run(&[&options[..], &networks].concat());
    let said: serde_json::Value = serde_json::from_str(&compiled).expect("the answer is JSON");
    let loaded = said["loaded"].as_u64().unwrap_or_default();
    assert!(loaded >= RULES_LEAST, "{loaded} rules loaded: {compiled}");
    set
}

/// The words of a replay with the set.
fn replaying(set: &str) -> Vec<String> {
    let engine = requirement::engine_binary().to_string_lossy().into_owned();
    let plugins = requirement::distribution().join("plugins").to_string_lossy().into_owned();
    let options = ["replay", "--plugins", &plugins, "--rules-compiled", set, "-o", "json"];
    [engine.as_str()].iter().chain(&options).map(|word| (*word).to_owned()).collect()
}

fn replay(work: &Path, corpus: &Path, set: &str, captures: &[Capture]) -> Outcome {
    let path = |name: &str| work.join(name).to_string_lossy().into_owned();
    let [configuration, eve, blocks] = ["replay.toml", "eve.json", "blocks.json"].map(path);
    std::fs::write(&configuration, CONFIGURATION).expect("the temporary folder can be written");
    let files = ["--each", "-c", &configuration, "--eve", &eve, "--blocks", &blocks];
    let captures = captures.iter().map(|c| corpus.join(&c.file).to_string_lossy().into_owned());
    let files = files.into_iter().map(str::to_owned).chain(captures);
    let words: Vec<String> = replaying(set).into_iter().chain(files).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Outcome::read(corpus, &run(&words), Path::new(&eve), Path::new(&blocks))
}

/// What a run of the engine that succeeds prints.
fn run(words: &[&str]) -> String {
    let finished = command::run(words, LIMIT);
    let tail = &finished.stderr
        [finished.stderr.floor_char_boundary(finished.stderr.len().saturating_sub(4000))..];
    assert!(!finished.stderr.contains("panicked"), "the engine panicked: {tail}");
    assert_eq!(finished.code, Some(0), "failed after {:?}: {tail}", finished.took);
    finished.stdout
}

/// Of each capture with an alert of either.
fn counts(captures: &[Capture], outcome: &Outcome) -> BTreeMap<String, Counts> {
    let both = captures.iter().map(|capture| {
        let ours = outcome.alert_counts.get(&capture.file).copied().unwrap_or_default();
        (capture.file.clone(), Counts { ours, peers: capture.peers_alerts })
    });
    both.filter(|(_, counts)| counts.ours + counts.peers > 0).collect()
}

/// The table, where it is asked for.
fn report(counts: &BTreeMap<String, Counts>) {
    let Ok(file) = std::env::var("PORTCULLIS_CLEAN_REPORT") else { return };
    let rows: String = counts.iter().map(|(capture, counts)| counts.row(capture) + "\n").collect();
    std::fs::write(&file, rows).unwrap_or_else(|e| panic!("{file}: {e}"));
}

#[test]
fn clean_captures_with_a_whole_rule_set_block_nobody() {
    let Some(tried) = tried() else { return };
    assert!(tried.outcome.blocks.is_empty(), "blocked: {:#?}", tried.outcome.blocks);
}

#[test]
fn clean_captures_alert_no_more_than_the_peer() {
    let Some(tried) = tried() else { return };
    let sum = |of: fn(&Counts) -> u64| tried.counts.values().map(of).sum::<u64>();
    let (ours, peers) = (sum(|c| c.ours), sum(|c| c.peers));
    println!("corpus: {ours} alerts on clean captures, the peer's are {peers}");
    assert!(ours <= peers, "{ours} alerts on clean captures, the peer's are {peers}");
    let expected = expected::read();
    let more: Vec<String> = tried
        .counts
        .iter()
        .filter(|(file, counts)| counts.ours > counts.peers && !expected.explains(file))
        .map(|(file, counts)| counts.row(file) + &of(&tried.outcome, file))
        .collect();
    let file = expected::FILE;
    assert!(more.is_empty(), "more than the peer, and no reason in {file}:\n{}", more.join("\n"));
}

#[test]
fn alerts_on_clean_captures_are_the_expected_ones() {
    let Some(tried) = tried() else { return };
    let expected = expected::read();
    let files = tried.counts.keys().chain(expected.counts.keys());
    let files: std::collections::BTreeSet<&String> = files.collect();
    let mut changed = Vec::new();
    for file in files {
        let now = tried.counts.get(file).copied().unwrap_or_default();
        let before = expected.counts.get(file).copied().unwrap_or_default();
        if now != before {
            let (is, was) = (now.row(file), before.row(file));
            changed.push(format!("{is}, listed: {was}{}", of(&tried.outcome, file)));
        }
    }
    let file = expected::FILE;
    assert!(
        changed.is_empty(),
        "other counts than {file} lists (ours, the peer's); see why, then change it \
         (PORTCULLIS_CLEAN_REPORT writes the rows):\n{}",
        changed.join("\n")
    );
    let idle = expected.idle_reasons();
    assert!(idle.is_empty(), "{file}: reasons for captures without more than the peer: {idle:?}");
}

/// What alerted, for messages.
fn of(outcome: &Outcome, file: &str) -> String {
    format!(" {:?}", outcome.alerts.get(file).cloned().unwrap_or_default())
}
