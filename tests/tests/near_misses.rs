//! A flow of near misses, by somebody who has the rules: it is judged for as much as its bytes pay
//! for, that is told once, and neither other flows nor what comes later in it go unseen.

use std::net::Ipv4Addr;

use portcullis_tests::capture_file;
use portcullis_tests::made_traffic::{self, segment};
use portcullis_tests::replay::replay;
use portcullis_tests::requirement::{self, Readiness};

/// Small enough for a short flood; nothing is lent.
const CONFIGURATION: &str = "[plugins.grant.signatures]\nconfig = \"\"\"\n\
    flow_points = 8192\npoints_per_kib = 1024\nshared_points = 0\n\"\"\"\n";
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Bytes of a segment.
const SEGMENT: usize = 1_000;

/// Forty rules that a literal finds and that ask for more, and one that is met.
fn rules() -> String {
    let near = |sid: u32| {
        format!(
            "alert tcp any any -> any any (msg:\"Near {sid}\"; content:\"near{sid}-\"; fast_pattern; \
             content:\"absent{sid}\"; sid:90010{sid};)\n"
        )
    };
    let met = "alert tcp any any -> any any (msg:\"Met\"; content:\"really-here\"; sid:9002001;)\n";
    (10..50).map(near).chain([met.to_owned()]).collect()
}

/// A conversation of segments to a port that no protocol is known by.
fn conversation(client: u8, texts: &[&str]) -> Vec<Vec<u8>> {
    let client = Ipv4Addr::new(198, 51, 100, client);
    let (up, down) = ((client, SERVER, 40_000, 9_999), (SERVER, client, 9_999, 40_000));
    let mut frames = vec![
        segment(up, 0x02, (0, 0), b""),
        segment(down, 0x12, (100, 1), b""),
        segment(up, 0x10, (1, 101), b""),
    ];
    let mut at = 1;
    for text in texts {
        let bytes: Vec<u8> = text.bytes().cycle().take(SEGMENT).collect();
        frames.push(segment(up, 0x18, (at, 101), &bytes));
        at += u32::try_from(SEGMENT).expect("short");
        frames.push(segment(down, 0x10, (101, at), b""));
    }
    frames
}

#[test]
fn a_flood_of_near_misses_is_told_once_and_hides_nothing_but_itself() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (capture, file) = (folder.path().join("flood.pcap"), folder.path().join("near.rules"));
    std::fs::write(&file, rules()).expect("the temporary folder can be written");
    let near: String = (10..50).map(|sid| format!("near{sid}-")).collect();
    let flood = [
        &[near.as_str(); 200][..],
        // Where the flood is, nothing can be paid for; behind enough other bytes it can.
        &["really-here "],
        &["nothing of interest "; 100],
        &["really-here "],
    ]
    .concat();
    let honest = ["a word or two ", "really-here ", "and more "];
    let lines = [conversation(1, &flood), conversation(2, &honest)];
    capture_file::write(&capture, &made_traffic::mixed(&lines));

    let file = file.to_string_lossy().into_owned();
    let run = |configuration, workers| {
        let options = ["--rules", &file, "--workers", workers];
        replay(configuration, &options, std::slice::from_ref(&capture))
    };
    let said = run(CONFIGURATION, "1");
    let told = |gid: u64, sid: u64| -> Vec<(String, u64)> {
        let alerts = said.events_of("alert").into_iter();
        let meant =
            alerts.filter(|e| e["alert"]["gid"] == gid && e["alert"]["signature_id"] == sid);
        meant
            .map(|e| (e["src_ip"].to_string(), e["pcap_cnt"].as_u64().unwrap_or_default()))
            .collect()
    };
    let [(client, first)] = &told(8_003, 1)[..] else { panic!("once: {}", said.events) };
    assert!(client.contains("198.51.100.1\"") && *first < 60, "{client} at {first}");
    let met = told(1, 9_002_001);
    let of = |client: &str| met.iter().filter(|(c, _)| c.contains(client)).count();
    assert_eq!((of("198.51.100.2\""), of("198.51.100.1\"")), (1, 1), "{met:?}");
    assert!(met.iter().any(|(_, frame)| *frame > 600), "the second of the flood's: {met:?}");
    let unread = said.capture()["reading"]["paused_bytes"].as_u64().unwrap_or(0);
    assert!(unread > 100_000, "near misses are not looked for: {}", said.summary);
    for workers in ["2", "8"] {
        assert_eq!(run(CONFIGURATION, workers), said, "{workers} workers");
    }

    // With the allowance as shipped so short a flood is judged as a whole; without, any.
    let whole = run("", "1");
    let unlimited = CONFIGURATION.replace("8192", "0");
    for said in [whole, run(&unlimited, "1")] {
        let alerts = said.events_of("alert");
        let met = alerts.iter().filter(|e| e["alert"]["signature_id"] == 9_002_001);
        assert_eq!((met.count(), alerts.len()), (3, 3), "{}", said.events);
    }
}
