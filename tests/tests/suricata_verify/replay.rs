//! The engine over the captures of the tests: one process for all that share rules and settings.
//!
//! Must never know: what the tests expect.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_tests::command;
use portcullis_tests::requirement;
use serde_json::Value;

use super::check::RECORDS;
use super::suite::Test;

/// Of one process; the slowest takes seconds.
const REPLAY_LIMIT: Duration = Duration::from_secs(120);

/// What the engine said in one test.
#[derive(Debug, Clone, Default)]
pub(crate) struct Events {
    /// Alerts of the rules.
    pub(crate) alerts: Vec<Value>,
    /// Records of protocols.
    pub(crate) records: Vec<Value>,
}

/// That, or why there is nothing to count.
pub(crate) type Answer = Result<Events, String>;

/// Tests that one process can answer: rules and configuration are the same.
struct Batch<'t> {
    configuration: String,
    tests: Vec<usize>,
    captures: Vec<&'t Path>,
}

/// The answers, in the order of the tests, and how many processes gave them.
pub(crate) fn replay(tests: &[Test]) -> (Vec<Answer>, usize) {
    let batches = batches(tests);
    let answers: Vec<Mutex<Answer>> =
        tests.iter().map(|_| Mutex::new(Err("it was not run".to_owned()))).collect();
    let next = AtomicUsize::new(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = run(batch);
                    for &test in &batch.tests {
                        let capture = tests[test].capture.display().to_string();
                        let answer = found.clone().map(|mut by| by.remove(&capture));
                        let mut place = answers[test].lock().expect("no thread panicked");
                        *place = answer.map(Option::unwrap_or_default);
                    }
                }
            });
        }
    });
    let answers = answers.into_iter().map(|a| a.into_inner().expect("no thread panicked"));
    (answers.collect(), batches.len())
}

fn batches(tests: &[Test]) -> Vec<Batch<'_>> {
    let mut by_key: BTreeMap<(String, String), Batch<'_>> = BTreeMap::new();
    for (number, test) in tests.iter().enumerate() {
        let text: String = test.rules.iter().map(|file| rules_text(file)).collect();
        let settings = test.settings.configuration(&[]);
        // Rules that name files read them beside their own.
        let place = if text.contains("dataset") { test.name.as_str() } else { "" };
        let batch = by_key.entry((text, settings + place)).or_insert_with(|| Batch {
            configuration: test.settings.configuration(&test.rules),
            tests: Vec::new(),
            captures: Vec::new(),
        });
        batch.tests.push(number);
        if !batch.captures.contains(&test.capture.as_path()) {
            batch.captures.push(&test.capture);
        }
    }
    by_key.into_values().collect()
}

fn rules_text(file: &Path) -> String {
    let bytes = std::fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The events of each capture.
fn run(batch: &Batch<'_>) -> Result<BTreeMap<String, Events>, String> {
    let work = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| work.path().join(name).to_string_lossy().into_owned();
    let (configuration, eve) = (path("replay.toml"), path("eve.json"));
    std::fs::write(&configuration, &batch.configuration).expect("the folder can be written");
    let words: [&Path; 4] =
        [&requirement::engine_binary(), Path::new("replay"), Path::new("--plugins"), &plugins()];
    let words = words.iter().map(|word| word.to_string_lossy().into_owned());
    let options = ["--each", "-q", "-c", &configuration, "--eve", &eve].map(str::to_owned);
    let captures = batch.captures.iter().map(|file| file.display().to_string());
    let words: Vec<String> = words.chain(options).chain(captures).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let finished = command::run(&words, REPLAY_LIMIT);
    if !finished.succeeded() || finished.stderr.contains("panicked") {
        let why: String = finished.stderr.chars().take(300).collect();
        return Err(format!("replay ended with {:?}: {}", finished.code, why.replace('\n', " ")));
    }
    Ok(events(Path::new(&eve)))
}

/// `$PORTCULLIS_PLUGINS`, or what `scripts/build` made.
fn plugins() -> PathBuf {
    std::env::var_os("PORTCULLIS_PLUGINS")
        .map_or_else(|| requirement::distribution().join("plugins"), PathBuf::from)
}

/// The alerts of the event file that rules of the language made, and the records, by capture.
fn events(eve: &Path) -> BTreeMap<String, Events> {
    let mut by_capture: BTreeMap<String, Events> = BTreeMap::new();
    let events = std::fs::read_to_string(eve).expect("replay writes the events");
    for line in events.lines() {
        let event: Value = serde_json::from_str(line).expect("each line is one JSON object");
        let capture = event["pcap_filename"].as_str().unwrap_or_default().to_owned();
        let kind = event["event_type"].as_str().unwrap_or_default();
        if kind == "alert" && event["alert"]["metadata"]["detector"][0] == "signatures" {
            by_capture.entry(capture).or_default().alerts.push(event);
        } else if RECORDS.contains(&kind) {
            by_capture.entry(capture).or_default().records.push(event);
        }
    }
    by_capture
}
