//! `rules profile`: what each rule costs, on a real capture with rules as they are published.
//!
//! `PORTCULLIS_CORPUS` as in `corpus.rs`; the rules are those beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_tests::command;
use portcullis_tests::requirement::{self, Readiness};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);
const CAPTURE: &str = "attack/exploit-web/nDPI__WebattackRCE.pcap";
const PUBLISHED: [&str; 2] = ["emerging-web_server.rules", "emerging-info.rules"];
/// One whose expressions run to and fro over each request, and one that is always true.
const OWN: &str = concat!(
    r#"alert tcp any any -> any any (msg:"dear to try"; content:"HTTP/1."; "#,
    r#"pcre:"/(?:[a-z0-9]+.{0,20}){3}/si"; pcre:"/(?:.*t){4}.*\x00\x01never/si"; sid:9000001;)"#,
    "\n",
    r#"alert http any any -> any any (msg:"a request"; http.method; content:"GET"; sid:9000002;)"#,
    "\n",
);

/// The capture, and the published rules; `None` where the test is skipped.
fn material() -> Option<(PathBuf, Vec<PathBuf>)> {
    let published = PUBLISHED.map(|name| format!("../rules/et-open-2024-04-21/{name}"));
    let [web, info] = &published;
    let corpus = requirement::corpus(&[CAPTURE, web, info])?;
    let rules = published.iter().map(|path| corpus.join(path)).collect();
    (requirement::engine() == Readiness::Ready).then(|| (corpus.join(CAPTURE), rules))
}

fn engine(words: &[&str], rules: &[PathBuf], capture: &Path) -> String {
    let engine = requirement::engine_binary().to_string_lossy().into_owned();
    let plugins = requirement::distribution().join("plugins").to_string_lossy().into_owned();
    let mut line = vec![engine];
    line.extend(words.iter().map(|word| (*word).to_owned()));
    line.extend(["--plugins".to_owned(), plugins]);
    // The capture's networks are nobody's own: everybody is inside, and outside.
    line.extend(["--var", "HOME_NET=any", "--var", "EXTERNAL_NET=any"].map(str::to_owned));
    for file in rules {
        line.extend(["--rules".to_owned(), file.to_string_lossy().into_owned()]);
    }
    line.push(capture.to_string_lossy().into_owned());
    let words: Vec<&str> = line.iter().map(String::as_str).collect();
    command::run(&words, LIMIT).expect_success()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("the answer is JSON")
}

fn sum(rules: &[Value], key: &str) -> u64 {
    rules.iter().map(|rule| rule[key].as_u64().expect("a number")).sum()
}

#[test]
fn each_rules_checks_hits_and_costs_are_told() {
    let Some((capture, mut rules)) = material() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let own = folder.path().join("own.rules");
    std::fs::write(&own, OWN).expect("the temporary folder can be written");
    rules.push(own);
    let words = ["rules", "profile", "-o", "json", "--top", "0"];
    let told = json(&engine(&words, &rules, &capture));
    let rows = told["rules"].as_array().expect("rules are an array");
    let detector = told["detectors"].as_array().into_iter().flatten();
    let detector = detector.into_iter().find(|d| d["detector"] == "signatures").expect("it is");
    // What the host was told rule by rule is what the detector counted by itself.
    let metrics = &detector["metrics"];
    assert!(rows.len() > 10 && sum(rows, "checks") > 1_000, "{detector}");
    assert_eq!(metrics["rules_tried"], sum(rows, "checks"), "{detector}");
    assert_eq!(metrics["rules_matched"], sum(rows, "hits"), "{detector}");
    assert_eq!(detector["fuel"], sum(rows, "fuel"), "{detector}");
    // The dear one is first, and the shares are of all.
    let dear = &rows[0];
    assert_eq!((&dear["sid"], &dear["message"]), (&9_000_001.into(), &"dear to try".into()));
    assert_eq!(dear["literals"][0]["content"], "HTTP/1.", "{dear}");
    assert!(dear["share"].as_f64().is_some_and(|share| share > 0.3), "{dear}");
    let shares: f64 = rows.iter().filter_map(|rule| rule["share"].as_f64()).sum();
    assert!((shares - 1.0).abs() < 1e-6, "{shares}");
    assert!(rows.is_sorted_by(|a, b| a["seconds"].as_f64() >= b["seconds"].as_f64()));
    let request = rows.iter().find(|rule| rule["sid"] == 9_000_002).expect("it was tried");
    assert!(request["hits"].as_u64().is_some_and(|hits| hits > 100), "{request}");
    assert_eq!(request["literals"][0]["buffers"], "http.method", "{request}");
    // Whoever measures changes nothing, and the sandbox's own count is the same each time.
    let again = json(&engine(&[&words[..], &["--rounds", "1"]].concat(), &rules, &capture));
    let by_sid = |told: &Value, key: &str| -> Vec<(u64, u64)> {
        let row = |rule: &Value| Some((rule["sid"].as_u64()?, rule[key].as_u64()?));
        let mut rows: Vec<_> =
            told["rules"].as_array().into_iter().flatten().filter_map(row).collect();
        rows.sort_unstable();
        rows
    };
    for key in ["fuel", "checks", "hits"] {
        assert_eq!(by_sid(&told, key), by_sid(&again, key), "{key}");
    }
    let plain = json(&engine(&["replay", "-o", "json"], &rules, &capture));
    assert_eq!((&plain["alerts"], &plain["frames"]), (&told["alerts"], &told["frames"]));
}

#[test]
fn the_table_lists_as_many_as_asked_for_in_the_order_asked_for() {
    let Some((capture, rules)) = material() else { return };
    let words = ["rules", "profile", "--rounds", "1", "--sort", "checks", "--top", "3"];
    let text = engine(&words, &rules, &capture);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("RULE  "), "{text}");
    let checks = |line: &&str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
    let listed: Vec<u64> = lines.iter().skip(1).take(3).filter_map(checks).collect();
    assert!(listed.len() == 3 && listed.is_sorted_by(|a, b| a >= b), "{text}");
    assert_eq!(lines[4], "", "{text}");
    assert!(lines[5].starts_with("not listed") && text.contains("signatures  "), "{text}");
}
