//! Every evasion of the corpus: what the engine reads of it where it only watches, and what it
//! lets through where it stands inline, against what its receiver makes of it.
//!
//! `tests/cases/corpus-evasions.toml` has a row for each, written from the captures and from what
//! receivers do with them. `PORTCULLIS_CORPUS` as in `corpus.rs`.

#[path = "corpus/manifest.rs"]
#[allow(dead_code, reason = "the tests of the whole corpus ask for more")]
mod manifest;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portcullis_tests::replay::{Said, replay};
use portcullis_tests::requirement::{self, Readiness};
use serde_json::Value;

/// The table, from the repository's root.
const FILE: &str = "tests/cases/corpus-evasions.toml";
/// A sentence about the receiver that is shorter explains nothing.
const SENTENCE_LEAST: usize = 20;

/// Whatever becomes of a packet, it arrives.
const WATCHING: &str = "[[segment]]\nname = \"replay\"\ntap = \"replay\"\nmode = \"monitor\"\n\
                        protected = [\"192.0.2.0/24\"]\n";
/// What is dropped does not.
const INLINE: &str = "[blocks]\nblock_inside = true\n";
/// Somebody who wants streams, messages and datagrams: without one nothing is read.
const RULES: &str = "\
alert http any any -> any any (msg:\"Requests\"; http.method; content:\"nobody says\"; sid:1;)\n\
alert udp any any -> any any (msg:\"Datagrams\"; content:\"nobody says\"; sid:2;)\n\
alert dns any any -> any any (msg:\"Names\"; dns.query; content:\"nobody says\"; sid:3;)\n\
alert tcp any any -> any any (msg:\"Streams\"; content:\"nobody says\"; sid:4;)\n";

/// What is expected, or was found, of one capture: lines with how often.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reading {
    /// Watching: bytes of streams, messages, files, oddities.
    watching: BTreeMap<String, u64>,
    /// Inline: what became of the frames, and what the detectors say.
    inline: BTreeMap<String, u64>,
}

/// The table's rows, by capture.
fn expected() -> BTreeMap<String, Reading> {
    let path = requirement::repository().join(FILE);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{FILE}: {e}"));
    let table: toml::Table = text.parse().unwrap_or_else(|e| panic!("{FILE}: {e}"));
    let lines = |row: &toml::Value, key: &str| {
        let lines = row.get(key).and_then(toml::Value::as_array).into_iter().flatten();
        let mut counted = BTreeMap::new();
        for line in lines.filter_map(toml::Value::as_str) {
            *counted.entry(line.to_owned()).or_default() += 1;
        }
        counted
    };
    let mut rows = BTreeMap::new();
    for row in table.get("capture").and_then(toml::Value::as_array).into_iter().flatten() {
        let text = |key: &str| row.get(key).and_then(toml::Value::as_str).unwrap_or_default();
        let (file, receiver) = (text("file"), text("receiver"));
        assert!(receiver.len() >= SENTENCE_LEAST, "{FILE}: {file}: say what its receiver does");
        let reading = Reading { watching: lines(row, "watching"), inline: lines(row, "inline") };
        assert!(rows.insert(file.to_owned(), reading).is_none(), "{FILE}: {file} stands twice");
    }
    rows
}

/// An event as a line of the table; `None` where it is no reading.
fn read(event: &Value) -> Option<String> {
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.escape_debug().to_string(),
        other => other.to_string(),
    };
    let kind = event["event_type"].as_str()?;
    let of = &event[kind];
    Some(match kind {
        "http" => {
            let keys = ["http_method", "hostname", "url", "status", "length"];
            let words: Vec<String> = keys.iter().map(|key| text(&of[*key])).collect();
            format!("http {}", words.join(" "))
        }
        "dns" => format!("dns {} {} {}", text(&of["type"]), text(&of["id"]), text(&of["rrname"])),
        "fileinfo" => format!("file {} {}", text(&of["filename"]), text(&of["size"])),
        "anomaly" => format!("anomaly {}", text(&of["event"])),
        "flow" => {
            let counts = (&of["pkts_toserver"], &of["pkts_toclient"]);
            let ports = (text(&event["src_port"]), text(&event["dest_port"]));
            format!("flow {} {}: {} {}", ports.0, ports.1, counts.0, counts.1)
        }
        _ => return None,
    })
}

/// What a detector says, as a line of the table.
fn said(event: &Value) -> Option<String> {
    let alert = event.get("alert")?;
    let (gid, sid) = (&alert["gid"], &alert["signature_id"]);
    Some(format!("{} {gid}:{sid}", alert["action"].as_str()?))
}

/// Adds the lines of each capture's events.
fn add(
    said: &Said,
    folder: &Path,
    line: impl Fn(&Value) -> Option<String>,
    to: &mut dyn FnMut(&str, String, u64),
) {
    let relative = |file: &Value| {
        let path = Path::new(file.as_str().unwrap_or_default());
        path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned()
    };
    for event in said.events.lines() {
        let event: Value = serde_json::from_str(event).expect("each line is one JSON object");
        if let Some(line) = line(&event) {
            to(&relative(&event["pcap_filename"]), line, 1);
        }
    }
    let summary: Value = serde_json::from_str(&said.summary).expect("the summary is JSON");
    for capture in summary["captures"].as_array().into_iter().flatten() {
        if let Some(line) = line(capture) {
            to(&relative(&capture["file"]), line, 1);
        }
        let dropped = capture["dropped"].as_object().cloned().unwrap_or_default();
        for (reason, count) in dropped {
            let count = count.as_u64().unwrap_or_default();
            to(&relative(&capture["file"]), format!("dropped {reason}"), count);
        }
    }
}

fn found(folder: &Path, captures: &[String]) -> BTreeMap<String, Reading> {
    let work = tempfile::tempdir().expect("a temporary folder");
    let rules = work.path().join("reading.rules");
    std::fs::write(&rules, RULES).expect("the temporary folder can be written");
    let options = ["--each", "--rules", &rules.to_string_lossy()];
    let files: Vec<PathBuf> = captures.iter().map(|file| folder.join(file)).collect();
    let (watching, inline) = (replay(WATCHING, &options, &files), replay(INLINE, &options, &files));
    let mut found: BTreeMap<String, Reading> = BTreeMap::new();
    let bytes = |row: &Value| {
        let bytes = row["reading"]["stream_bytes"].as_u64().filter(|bytes| *bytes > 0)?;
        Some(format!("stream bytes {bytes}"))
    };
    let mut to = |file: &str, line: String, count: u64| {
        let reading = found.entry(file.to_owned()).or_default();
        *reading.watching.entry(line).or_default() += count;
    };
    add(&watching, folder, |row| read(row).or_else(|| bytes(row)), &mut to);
    let mut to = |file: &str, line: String, count: u64| {
        let reading = found.entry(file.to_owned()).or_default();
        *reading.inline.entry(line).or_default() += count;
    };
    add(&inline, folder, said, &mut to);
    found
}

/// Lines of one side that the other has not, for messages.
fn lacking(of: &BTreeMap<String, u64>, in_those: &BTreeMap<String, u64>) -> Vec<String> {
    let more = of.iter().filter_map(|(line, count)| {
        let there = in_those.get(line).copied().unwrap_or_default();
        (there < *count).then(|| format!("{} × {line}", count - there))
    });
    more.collect()
}

#[test]
fn evasions_of_the_corpus_are_read_as_their_receivers_read_them() {
    let Some(folder) = requirement::corpus(&["MANIFEST.jsonl"]) else { return };
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let captures: Vec<String> = manifest::read(&folder)
        .into_iter()
        .map(|capture| capture.file)
        .filter(|file| file.starts_with("evasion/"))
        .collect();
    let mut expected = expected();
    let mut found = found(&folder, &captures);
    let mut wrong = Vec::new();
    for file in &captures {
        let is = found.remove(file).unwrap_or_default();
        let Some(wanted) = expected.remove(file) else {
            wrong.push(format!("{file}: {FILE} has no row for it; found: {is:#?}"));
            continue;
        };
        let sides =
            [("watching", &wanted.watching, &is.watching), ("inline", &wanted.inline, &is.inline)];
        for (side, wanted, is) in sides.into_iter().filter(|(_, wanted, is)| wanted != is) {
            let (missing, new) = (lacking(wanted, is), lacking(is, wanted));
            wrong.push(format!("{file}, {side}: missing {missing:#?}, not wanted {new:#?}"));
        }
    }
    println!("corpus: {} evasions", captures.len());
    assert!(!captures.is_empty(), "no evasions in the manifest");
    assert!(expected.is_empty(), "{FILE} has rows for what is not there: {:?}", expected.keys());
    assert!(wrong.is_empty(), "{} readings are others:\n{}", wrong.len(), wrong.join("\n"));
}
