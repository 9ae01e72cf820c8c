//! The text is read back, and both forms say the same.

#![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

use super::*;
use portcullis_types::DropReason;
use portcullis_wire::Reject;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn figures() -> Figures {
    let worker = |segment: &str, worker| {
        let lane = Arc::new(LaneCounters::default());
        lane.frames_in.add(10);
        lane.forwarded.add(7);
        lane.drop_for(DropReason::Blocked);
        lane.reject(Reject::Land);
        let mut source = SourceStatistics::default();
        source.ports[1].xdp.rx_dropped = 3;
        WorkerFigures {
            segment: segment.into(),
            worker,
            ports: ["a".into(), "b".into()],
            lane,
            source,
            flow: Some(FlowCounters::default()),
            cpu: Duration::from_millis(1_500),
            ..WorkerFigures::default()
        }
    };
    let mut plugin =
        PluginFigures { name: "scan".into(), own: vec![("x".into(), -4)], ..Default::default() };
    let seat = SeatCounters { events: 2, faults: [1, 0, 0, 0], ..Default::default() };
    plugin.add(&seat);
    plugin.add(&seat);
    let latency = LatencyHistogram::default();
    latency.observe(Duration::from_micros(30));
    latency.observe(Duration::from_secs(5));
    Figures {
        version: "0.1.0".into(),
        workers: vec![worker("d\"m\\z\n", 0), worker("lan", 1)],
        reading: vec![
            None,
            Some(ReadingFigures { records: 5, conversation_bytes: 6, ..Default::default() }),
        ],
        plugins: vec![plugin],
        kernel: vec![("a".into(), KernelCounters { dropped_blocked: 5, ..Default::default() })],
        enforcers: vec![("xdp", EnforcerCounters::default())],
        kernel_latency: latency.read(),
        memory_promised: 1 << 30,
        ..Figures::default()
    }
}

/// A reader of the text format: series (name and labels, unescaped) with their numbers.
fn read(text: &str) -> BTreeMap<(String, Vec<(String, String)>), f64> {
    let mut series = BTreeMap::new();
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    let mut helped = BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(helped.insert(rest.split_once(' ').unwrap().0.to_owned()), "twice: {line}");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(helped.contains(name) && !named.contains_key(name), "{line}");
            assert!(kind != "counter" || name.ends_with("_total"), "{line}");
            named.insert(name.to_owned(), kind.to_owned());
            continue;
        }
        let end = line.find(['{', ' ']).unwrap();
        let (name, rest) = line.split_at(end);
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s));
        let family = family.filter(|f| named.get(*f).is_some_and(|k| k == "histogram"));
        assert!(named.contains_key(family.unwrap_or(name)), "{line}");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
        let (labels, value) = labels(rest);
        let value: f64 = value.trim().parse().unwrap();
        assert_eq!(series.insert((name.to_owned(), labels), value), None, "twice: {line}");
    }
    series
}

fn labels(rest: &str) -> (Vec<(String, String)>, &str) {
    let Some(mut rest) = rest.strip_prefix('{') else { return (vec![], rest) };
    let mut labels = Vec::new();
    loop {
        let (name, after) = rest.split_once("=\"").unwrap();
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    c => c,
                }),
                (_, c) => value.push(c),
            }
        };
        labels.push((name.to_owned(), value));
        let after = &after[end + 1..];
        match after.strip_prefix('}') {
            Some(value) => return (labels, value),
            None => rest = after.strip_prefix(',').unwrap(),
        }
    }
}

#[test]
fn the_text_comes_back() {
    let series = read(&figures().text());
    let value = |name: &str, labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        series[&(format!("portcullis_{name}"), labels)]
    };
    let first = ("segment", "d\"m\\z\n");
    assert_eq!(value("lane_frames_in_total", &[first, ("worker", "0")]), 10.0);
    let reason = ("reason", "blocked");
    assert_eq!(value("lane_dropped_total", &[first, ("worker", "0"), reason]), 1.0);
    assert_eq!(value("lane_rejects_total", &[first, ("worker", "0"), ("reject", "land")]), 1.0);
    let second = [("segment", "lan"), ("worker", "1"), ("port", "b")];
    assert_eq!(value("xdp_rx_dropped_total", &second), 3.0);
    let lan = [("segment", "lan"), ("worker", "1")];
    assert_eq!(value("reading_records_total", &lan), 5.0);
    assert_eq!(value("reading_conversation_bytes", &lan), 6.0);
    let of_reading = series.keys().filter(|(n, _)| n.starts_with("portcullis_reading_"));
    assert_eq!(of_reading.count(), 38, "a worker that reads nothing has no such figures");
    assert_eq!(value("plugin_events_total", &[("plugin", "scan")]), 4.0);
    assert_eq!(value("plugin_metric", &[("plugin", "scan"), ("metric", "x")]), -4.0);
    assert_eq!(value("kernel_block_latency_seconds_bucket", &[("le", "0.00005")]), 1.0);
    assert_eq!(value("kernel_block_latency_seconds_bucket", &[("le", "+Inf")]), 2.0);
    assert_eq!(value("kernel_block_latency_seconds_count", &[]), 2.0);
    assert_eq!(value("memory_promised_bytes", &[]), f64::from(1 << 30));
}

#[test]
fn each_family_says_what_it_counts() {
    let text = figures().text();
    let helps = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
    for (name, help) in helps {
        let is_said = help.ends_with('.') && help == help.trim() && !help.contains("ARCHITECTURE");
        assert!(is_said, "{name}: {help}");
    }
    assert!(
        text.contains("lane_orders_waited_total Orders to the book"),
        "a sentence of the counter's own"
    );
}

#[test]
fn both_forms_say_the_same() {
    let figures = figures();
    let json: serde_json::Value = serde_json::from_str(&figures.json()).unwrap();
    let samples: usize =
        json.as_object().unwrap().values().map(|v| v.as_array().unwrap().len()).sum();
    assert_eq!(samples, read(&figures.text()).len());
    assert_eq!(json["portcullis_uptime_seconds"][0]["value"], 0);
    assert_eq!(json["portcullis_lane_frames_in_total"][1]["labels"]["segment"], "lan");
}

#[test]
fn this_process_is_in_memory() {
    assert!(resident_bytes() > 100_000);
}
