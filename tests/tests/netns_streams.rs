//! Streams on live traffic: two versions of the same bytes are told with both, requests in pieces
//! of pieces are read, and behind a verdict nothing passes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use portcullis_tests::capture_file;
use portcullis_tests::command::wait_until;
use portcullis_tests::engine::{Engine, Settings};
use portcullis_tests::evasion::wire::{Way, flag};
use portcullis_tests::lab::{Lab, Queues, Side};
use portcullis_tests::requirement;
use portcullis_tests::sniffer::Sniffer;
use portcullis_tests::traffic;
use serde_json::Value;

/// Frames a second; what is lost to haste would be taken for dropped.
const RATE: u32 = 500;
/// How long events may take to be written.
const SOON: Duration = Duration::from_secs(5);
/// Sequence numbers of the SYNs; the client's wraps within the first bytes.
const NUMBERS: (u32, u32) = (0xffff_fff8, 700);

const RULES: &str = "\
drop http any any -> any any (msg:\"Evil page\"; flow:established,to_server; http.uri; \
content:\"/evil-in-pieces\"; classtype:web-application-attack; sid:9000021;)\n\
alert http any any -> any any (msg:\"Good page\"; flow:established,to_server; http.uri; \
content:\"/good-in-pieces\"; http.host; content:\"h.example\"; sid:9000022;)\n\
alert http any any -> any any (msg:\"First\"; http.uri; content:\"/first\"; sid:9000023;)\n\
alert http any any -> any any (msg:\"Other\"; http.uri; content:\"/other\"; sid:9000024;)\n";

/// A conversation of made frames, of either family.
fn way(is_v6: bool, port: u16) -> Way {
    let (source, target): (IpAddr, IpAddr) = match is_v6 {
        false => (Ipv4Addr::new(10, 80, 0, 1).into(), Ipv4Addr::new(10, 81, 0, 1).into()),
        true => (
            Ipv6Addr::new(0xfd80, 0, 0, 0, 0, 0, 0, 1).into(),
            Ipv6Addr::new(0xfd81, 0, 0, 0, 0, 0, 0, 1).into(),
        ),
    };
    Way { source, target, ports: (port, 80), tags: &[] }
}

/// Where the byte at `offset` stands, and what is acknowledged with it.
fn at(offset: usize) -> (u32, u32) {
    let offset = u32::try_from(offset).expect("short");
    (NUMBERS.0.wrapping_add(1).wrapping_add(offset), NUMBERS.1 + 1)
}

/// Puts frames on the wire of a side.
fn send(lab: &Lab, side: Side, frames: &[Vec<u8>]) {
    let capture = lab.folder().join("sent.pcap");
    capture_file::write(&capture, frames);
    let sent = traffic::replay(lab, side, &capture, RATE);
    assert!(sent.succeeded(), "{sent}");
}

/// The handshake of each.
fn open(lab: &Lab, ways: &[Way]) {
    let frames = |make: &dyn Fn(&Way) -> Vec<u8>| ways.iter().map(make).collect::<Vec<_>>();
    send(lab, Side::Outside, &frames(&|way| way.segment(flag::SYN, (NUMBERS.0, 0), &[], b"")));
    let answer = (NUMBERS.1, NUMBERS.0.wrapping_add(1));
    let both = flag::SYN | flag::ACK;
    send(lab, Side::Inside, &frames(&|way| way.back().segment(both, answer, &[], b"")));
    send(lab, Side::Outside, &frames(&|way| way.segment(flag::ACK, at(0), &[], b"")));
}

fn alerts(engine: &Engine<'_>, sid: u64) -> usize {
    engine.events("alert").iter().filter(|e| e["alert"]["signature_id"] == sid).count()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn two_versions_of_a_request_are_told_with_both_and_the_first_passes() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let lab = Lab::build(&[], Queues::One);
    let engine = Engine::start(&lab, &Settings::default().with_rules(&lab, RULES));
    let sniffer = Sniffer::on_wire(&lab, Side::Inside);
    let ways = [way(false, 30_001), way(true, 30_001)];
    open(&lab, &ways);
    let (first, other) =
        (b"GET /first HTTP/1.1\r\nHost: h\r\n", b"GET /other HTTP/1.1\r\nHost: h\r\n");
    let frames = |offset: usize, bytes: &[u8]| -> Vec<Vec<u8>> {
        ways.iter().map(|way| way.segment(flag::ACK, at(offset), &[], bytes)).collect()
    };
    let (good, bad) = (frames(0, first), frames(0, other));
    let end = frames(first.len(), b"\r\n");
    send(&lab, Side::Outside, &[good.clone(), bad.clone(), end.clone()].concat());
    let told = || -> Vec<Value> {
        let is_meant = |e: &Value| !e["portcullis"]["conflict"].is_null();
        engine.events("anomaly").into_iter().filter(is_meant).collect()
    };
    assert!(wait_until(SOON, || told().len() == 2), "{:?}", engine.events("anomaly"));
    for event in told() {
        assert_eq!(event["anomaly"]["event"], "stream.reassembly_overlap_different_data");
        let conflict = &event["portcullis"]["conflict"];
        // They differ from the path's first letter on.
        assert_eq!(conflict["offset"], 5, "{event}");
        let text = |key: &str| conflict[key].as_str().unwrap_or_default().to_owned();
        let (kept, later) = (text("first"), text("later"));
        assert!(kept.len() >= 10 && hex(&first[5..]).starts_with(&kept), "{event}");
        assert!(later.len() == kept.len() && hex(&other[5..]).starts_with(&later), "{event}");
    }
    assert!(wait_until(SOON, || alerts(&engine, 9_000_023) == 2), "{:?}", engine.events("alert"));
    assert_eq!(alerts(&engine, 9_000_024), 0, "what was dropped was read");
    let heard = sniffer.frames();
    assert!([good, end].concat().iter().all(|frame| heard.contains(frame)), "what was first");
    assert!(!bad.iter().any(|frame| heard.contains(frame)), "the other version passed");
}

/// A request in segments of twenty bytes, each in two fragments.
fn in_pieces(way: &Way, first_id: u16, request: &[u8]) -> Vec<Vec<u8>> {
    let pieces = request.chunks(20).enumerate().zip(first_id..);
    let frames = pieces.flat_map(|((n, piece), id)| {
        way.segment_in_fragments((id, 24), flag::ACK, at(20 * n), piece)
    });
    frames.collect()
}

#[test]
fn a_request_in_fragments_of_segments_is_read_and_behind_a_verdict_nothing_passes() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let lab = Lab::build(&[], Queues::One);
    let engine = Engine::start(&lab, &Settings::default().with_rules(&lab, RULES));
    let sniffer = Sniffer::on_wire(&lab, Side::Inside);
    let request = |path: &str| {
        format!("GET /a/{path} HTTP/1.1\r\nHost: h.example\r\nAccept: */*\r\n\r\n").into_bytes()
    };
    let (good, evil) = (request("good-in-pieces"), request("evil-in-pieces"));
    let (goods, evils) =
        ([way(false, 30_002), way(true, 30_002)], [way(false, 30_003), way(true, 30_003)]);
    open(&lab, &[goods, evils].concat());
    let pieces = |ways: &[Way], id: u16, request: &[u8]| -> Vec<Vec<Vec<u8>>> {
        ways.iter().map(|way| in_pieces(way, id, request)).collect()
    };
    let (good, evils_pieces) = (pieces(&goods, 100, &good), pieces(&evils, 200, &evil));
    send(&lab, Side::Outside, &[good.concat(), evils_pieces.concat()].concat());
    let both = |sid| wait_until(SOON, || alerts(&engine, sid) == 2);
    assert!(both(9_000_022), "{:?}\n{}", engine.events("alert"), engine.log());
    assert!(both(9_000_021), "{:?}\n{}", engine.events("alert"), engine.log());
    // The same again, the same with another path, and what would follow.
    let other = request("good-in-pieces");
    let rest = |way: &Way| {
        let whole = |offset: usize, bytes: &[u8]| way.segment(flag::ACK, at(offset), &[], bytes);
        let next = b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
        [whole(0, &evil), whole(0, &other), whole(20, &other[20..]), whole(evil.len(), next)]
    };
    let behind: Vec<Vec<u8>> = evils.iter().flat_map(rest).collect();
    send(&lab, Side::Outside, &behind);
    let heard = sniffer.frames();
    for frame in good.concat() {
        assert!(heard.contains(&frame), "a harmless request did not arrive whole");
    }
    for frames in &evils_pieces {
        let came: Vec<bool> = frames.iter().map(|frame| heard.contains(frame)).collect();
        assert!(came[0], "what was harmless still passes: {came:?}");
        assert!(!came[came.len() - 1], "the request arrived whole: {came:?}");
        // Of a datagram that completes, the last fragment waits; behind the verdict none passes.
        let stopped = came.iter().position(|came| !came).unwrap_or_default();
        assert!(came[stopped..].iter().all(|came| !came), "with holes: {came:?}");
    }
    let passed = behind.iter().filter(|frame| heard.contains(frame)).count();
    assert_eq!(passed, 0, "frames passed behind the verdict");
    let blocked = engine.events("alert");
    let evil = blocked.iter().filter(|e| e["alert"]["signature_id"] == 9_000_021);
    assert!(evil.clone().all(|e| e["alert"]["action"] == "blocked"), "{blocked:?}");
}
