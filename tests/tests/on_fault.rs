//! A packet that was crafted to crash a detector: what becomes of it, and of its flow, by
//! `on_fault`.

use std::net::Ipv4Addr;

use portcullis_tests::replay::{Said, replay_with};
use portcullis_tests::requirement::{self, Readiness};
use portcullis_tests::{capture_file, frames, hostile, made_traffic};
use serde_json::{Value, json};

const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const ATTACKER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
const HONEST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// So many frames, and a window of a replay is over.
const WINDOW: usize = 600;

/// A datagram of one and the same flow of a client.
fn datagram(from: Ipv4Addr, ttl: u8) -> Vec<u8> {
    of(frames::ipv4(from, SERVER, 17, &frames::udp(1000, 2000, b"words")), ttl, 0)
}

/// A fragment whose first one never comes: it belongs to no flow.
fn fragment(from: Ipv4Addr, ttl: u8) -> Vec<u8> {
    of(frames::ipv4(from, SERVER, 17, &[0x5a; 64]), ttl, 100)
}

fn of(mut packet: Vec<u8>, ttl: u8, offset: u16) -> Vec<u8> {
    packet[8] = ttl;
    packet[6..8].copy_from_slice(&offset.to_be_bytes());
    packet[10..12].fill(0);
    let sum = frames::internet_checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    made_traffic::tagged(&[], &packet)
}

fn said(configuration: &str, frames: &[Vec<u8>]) -> Said {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (plugins, capture) = (folder.path().join("plugins"), folder.path().join("made.pcap"));
    hostile::trap_on_ttl(&plugins);
    capture_file::write(&capture, frames);
    replay_with(&plugins, configuration, &[], &[capture])
}

fn fates(said: &Said) -> (Value, Value) {
    let capture = said.capture();
    (capture["forwarded"].clone(), capture["dropped"].clone())
}

/// What an attacker sends around the packet that crashes the detector, and much of somebody else.
fn conversation() -> Vec<Vec<u8>> {
    let attacker = [64, hostile::CRAFTED_TTL, 64, 64].map(|ttl| datagram(ATTACKER, ttl));
    let mut frames = attacker.to_vec();
    frames.extend(std::iter::repeat_n(datagram(HONEST, 64), WINDOW));
    frames.push(datagram(ATTACKER, 64));
    frames
}

#[test]
fn closed_drops_what_crashed_a_detector_and_what_follows_in_its_flow() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let said = said("[plugins]\non_fault = \"closed\"\n", &conversation());
    let dropped = json!({"fault_closed": 3, "flow_terminated": 1});
    assert_eq!(fates(&said), (json!(WINDOW + 1), dropped), "{}", said.summary);
    let drops = said.events_of("drop");
    let told: Vec<&Value> = drops.iter().map(|drop| &drop["drop"]["reason"]).collect();
    assert_eq!(told, ["fault_closed"; 3], "{drops:#?}");
}

#[test]
fn open_lets_pass_what_crashed_a_detector() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let said = said("[plugins]\non_fault = \"open\"\n", &conversation());
    assert_eq!(fates(&said), (json!(WINDOW + 5), json!({})), "{}", said.summary);
    let crashed = said.events_of("plugin");
    assert!(!crashed.is_empty(), "nothing crashed: {}", said.events);
}

#[test]
fn closed_drops_what_crashed_a_detector_and_has_no_flow() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let frames = [
        fragment(HONEST, 64),
        fragment(ATTACKER, hostile::CRAFTED_TTL),
        datagram(ATTACKER, 64),
        datagram(HONEST, 64),
    ];
    let said = said("[plugins]\non_fault = \"closed\"\n", &frames);
    assert_eq!(fates(&said), (json!(3), json!({"fault_closed": 1})), "{}", said.summary);
}

#[test]
fn a_segment_that_only_watches_lets_pass_whatever_crashes() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let watching = "[plugins]\non_fault = \"closed\"\n\n[[segment]]\nname = \"replay\"\n\
                    tap = \"replay\"\nmode = \"monitor\"\nprotected = [\"192.0.2.0/24\"]\n";
    let said = said(watching, &conversation());
    assert_eq!(fates(&said), (json!(WINDOW + 5), json!({})), "{}", said.summary);
    assert!(said.events_of("drop").is_empty(), "{}", said.events);
}
