//! Every type of event against the schema of its readers, and what each says.

#![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

mod records;
pub(super) mod samples;
mod schema;

use super::*;
use portcullis_pipeline::Audience;
use portcullis_types::{PluginId, Tick};
use samples::{Sample, context, everything};
use serde_json::{Value, json};
use std::sync::Arc;

fn told(sample: &Sample) -> Value {
    let mut scribe = Scribe::new(Arc::new(context()));
    scribe.set_capture(Some("a b.pcap"));
    let mut line = Line::new();
    sample.write(&mut scribe, &mut line);
    assert!(!line.as_str().contains('\n'));
    serde_json::from_str(line.as_str()).unwrap_or_else(|e| panic!("{e}: {}", line.as_str()))
}

#[test]
fn every_event_fits_the_schema() {
    for sample in everything() {
        let event = told(&sample);
        let complaints = schema::complaints(&event);
        assert!(complaints.is_empty(), "{complaints:#?}\n{event:#}");
    }
}

#[test]
fn the_schema_finds_faults() {
    let mut event = told(&Sample::Report(samples::report(samples::alert())));
    event["alert"]["signature_id"] = json!("text");
    event["alert"]["surprise"] = json!(1);
    event.as_object_mut().unwrap().remove("timestamp");
    let complaints = schema::complaints(&event).join("\n");
    for word in ["alert.signature_id", "alert.surprise", "timestamp"] {
        assert!(complaints.contains(word), "{complaints}");
    }
}

#[test]
fn an_alert_says_everything() {
    let e = told(&Sample::Report(samples::report(samples::alert())));
    assert_eq!(e["timestamp"], "2017-04-07T22:24:37.251547+0000");
    assert_eq!((&e["event_type"], &e["in_iface"]), (&json!("alert"), &json!("eth0-eth1")));
    assert_eq!(e["vlan"], json!([10, 20]));
    assert_eq!(
        (&e["proto"], &e["ip_v"], &e["src_port"]),
        (&json!("TCP"), &json!(4), &json!(34855))
    );
    assert_eq!(e["community_id"], "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    assert_eq!((&e["pcap_cnt"], &e["pcap_filename"]), (&json!(7), &json!("a b.pcap")));
    assert_eq!(e["alert"]["action"], "blocked");
    assert_eq!(e["alert"]["severity"], 1);
    assert_eq!(e["alert"]["metadata"]["mitre_technique_id"], json!(["T1046"]));
    assert_eq!(e["alert"]["metadata"]["target_machine"], json!(["web"]));
    let verdict = json!({"action": "drop", "reject": ["tcp-reset"], "reject_target": "both"});
    assert_eq!(e["verdict"], verdict);
    assert_eq!(e["portcullis"]["action"], "terminate");
    let withheld =
        json!({"reason": "unproven_source", "message": "block withheld: unproven source"});
    assert_eq!(e["portcullis"]["withheld"], withheld);
    assert_eq!(e["portcullis"]["evidence"], json!({"text": "12 \"ports\"", "bytes": "00ff"}));
}

#[test]
fn an_alert_tells_what_its_rule_says() {
    let mut alert = samples::alert();
    let rule = Arc::make_mut(&mut alert.rule);
    rule.classtype = "web-application-attack".into();
    rule.priority = 3;
    let entries = [
        ("created_at", "2020_01_01"),
        ("affected_product", "Any"),
        ("created_at", "2020_01_01"),
        ("affected_product", "Web \"x\""),
        ("signature_severity", "Minor"),
        ("proof", "mine"),
    ];
    rule.metadata = entries.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let e = told(&Sample::Report(samples::report(alert.clone())));
    assert!(schema::complaints(&e).is_empty());
    assert_eq!(e["alert"]["category"], "An attack on a web application");
    assert_eq!(e["alert"]["severity"], 3);
    let metadata = &e["alert"]["metadata"];
    assert_eq!(metadata["created_at"], json!(["2020_01_01"]));
    assert_eq!(metadata["affected_product"], json!(["Any", "Web \"x\""]));
    assert_eq!(metadata["signature_severity"], json!(["Minor"]));
    assert_eq!(metadata["confidence"], json!(["Medium"]));
    assert_eq!(metadata["proof"], json!(["unproven"]));
    assert_eq!(e["alert"]["references"], json!(["CVE-1999-0016"]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("classification.config");
    std::fs::write(&file, "config classification: web-application-attack,Told so,1\n").unwrap();
    let rules = crate::config::Rules { classification: Some(file), ..Default::default() };
    let mut scribe = Scribe::new(Arc::new(context().with_classes(&rules)));
    let mut line = Line::new();
    scribe.report(&samples::report(alert.clone()), &mut line);
    assert!(line.as_str().contains("\"category\":\"Told so\""), "{}", line.as_str());
    Arc::make_mut(&mut alert.rule).classtype = "of-our-own".into();
    let e = told(&Sample::Report(samples::report(alert)));
    assert_eq!(e["alert"]["category"], "of-our-own");
}

#[test]
fn what_only_watches_allows() {
    let mut alert = samples::alert();
    alert.outcome.action = portcullis_types::Action::Report;
    alert.outcome.would = Some(portcullis_types::Action::TerminateAndBlock);
    let e = told(&Sample::Report(samples::report(alert)));
    assert_eq!(
        (&e["alert"]["action"], &e["verdict"]["action"]),
        (&json!("allowed"), &json!("alert"))
    );
    assert_eq!(e["portcullis"]["would"], "terminate-and-block");
    assert_eq!(e["verdict"].get("reject"), None);
}

#[test]
fn what_is_not_known_is_left_out() {
    let mut anomaly = samples::anomaly();
    let (first, later) = (Box::from(*b"good"), Box::from(*b"evil"));
    anomaly.conflict = Some(portcullis_pipeline::Conflict { offset: 1480, first, later });
    anomaly.conversation = samples::nowhere();
    let e = told(&Sample::Report(portcullis_pipeline::Report::Anomaly(Box::new(anomaly))));
    for key in ["vlan", "src_ip", "src_port", "proto", "ip_v", "community_id", "flow_id"] {
        assert_eq!(e.get(key), None, "{key}");
    }
    assert_eq!(e["anomaly"]["type"], "decode");
    let both = serde_json::json!({"offset": 1480, "first": "676f6f64", "later": "6576696c"});
    assert_eq!(e["portcullis"]["conflict"], both);
}

#[test]
fn a_block_lists_its_facts() {
    let e = told(&Sample::Book(samples::blocked()));
    assert_eq!((&e["src_ip"], &e["event_type"]), (&json!("2001:db8::"), &json!("block")));
    let b = &e["block"];
    assert_eq!(
        (&b["prefix_len"], &b["vlan"], &b["segment"]),
        (&json!(64), &json!([10]), &json!("dmz"))
    );
    assert_eq!((&b["class"], &b["rule"]), (&json!("activity"), &json!("9:1:2")));
    assert_eq!((&b["origin"], &b["detector"]), (&json!("detector"), &json!("port-scan")));
    assert_eq!(
        (&b["remaining"], &b["packets"], &b["bytes"]),
        (&json!(3600), &json!(3), &json!(180))
    );
    assert_eq!(b["until"], "2017-04-07T23:24:37.251547+0000");
}

#[test]
fn types_are_switched_off_but_not_blocks() {
    let mut off = context();
    off.types = EventTypes::of(&[]);
    let mut scribe = Scribe::new(Arc::new(off));
    for sample in everything() {
        let mut line = Line::new();
        sample.write(&mut scribe, &mut line);
        assert_eq!(line.is_empty(), !matches!(sample, Sample::Book(_)), "{}", line.as_str());
    }
}

#[test]
fn moments_are_right_to_the_microsecond() {
    let mut scribe = Scribe::new(Arc::new(context()));
    let mut text = |ns| scribe.moment(Tick(ns)).as_str().to_owned();
    assert_eq!(text(0), "1970-01-01T00:00:00.000000+0000");
    assert_eq!(text(999), "1970-01-01T00:00:00.000000+0000");
    assert_eq!(text(1_491_603_877_251_547_999), "2017-04-07T22:24:37.251547+0000");
    assert_eq!(text(1_000_001_000), "1970-01-01T00:00:01.000001+0000");
}

#[test]
fn a_replay_is_heard_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (events, blocks) = (folder.path().join("eve.json"), folder.path().join("blocks.json"));
    let mut frames = 0;
    let mut audience = ReplayAudience::new(Arc::new(context()))
        .with_events(EveFile::create(&events).unwrap())
        .with_blocks()
        .with_progress(|n| frames = n);
    audience.set_capture(Some("one.pcap"));
    let at = samples::AT;
    audience.report(samples::report(samples::alert()));
    audience.block(samples::blocked(), at);
    audience.report(portcullis_pipeline::Report::Anomaly(Box::new(samples::anomaly())));
    audience.plugin(PluginId(0), portcullis_detect::PluginEvent::Resumed, at);
    audience.progress(256);
    audience.finish().unwrap();
    audience.write_blocks(&blocks).unwrap();
    let counts = audience.take_counts();
    assert_eq!((counts.alerts, counts.blocks, counts.anomalies), (1, 1, 1));
    assert_eq!((counts.written, counts.frames, counts.plugin_events), (4, 256, 1));
    assert_eq!(audience.counts(), &ReplayCounts::default());
    drop(audience);
    assert_eq!(frames, 256);
    let text = std::fs::read_to_string(events).unwrap();
    let types: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["event_type"].clone())
        .collect();
    assert_eq!(types, ["alert", "block", "anomaly", "plugin"]);
    let rows: Value = serde_json::from_str(&std::fs::read_to_string(blocks).unwrap()).unwrap();
    let row = json!({
        "source": "2001:db8::", "prefix_len": 64, "vlan": [10], "segment": "dmz",
        "class": "activity", "rule": "9:1:2", "message": "a scan", "detector": "port-scan",
        "since": "2017-04-07T22:24:37.251547Z", "until": "2017-04-07T23:24:37.251547Z",
        "target": "2001:db8:1::1", "pcap_filename": "one.pcap",
    });
    assert_eq!(rows, json!([row]));
}

#[test]
fn a_full_disk_does_not_stop_a_replay() {
    let Ok(full) = EveFile::create(std::path::Path::new("/dev/full")) else { return };
    let mut audience = ReplayAudience::new(Arc::new(context())).with_events(full);
    for _ in 0..1_000 {
        audience.report(samples::report(samples::alert()));
    }
    assert_eq!(audience.counts().alerts, 1_000);
    assert!(audience.finish().is_err());
}
