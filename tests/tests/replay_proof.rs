//! Who counts as proven, in captures that a forger could have had made: through the real binary
//! with the shipped detectors.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use portcullis_tests::replay::{Said, replay};
use portcullis_tests::requirement::{self, Readiness};
use portcullis_tests::{capture_file, frames, made_traffic};
use serde_json::Value;

/// The address that is forged, or scans.
const SOURCE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 55);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);
/// Who sends the source's frames: a router, or the source itself.
const SENDER: [u8; 6] = [2, 0, 0, 0, 9, 1];
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 9, 2];
const OPEN_PORT: u16 = 80;

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH_ACK: u8 = 0x18;
const ACK: u8 = 0x10;

/// The frame between these two machines on the link.
fn between(from: [u8; 6], to: [u8; 6], mut frame: Vec<u8>) -> Vec<u8> {
    frame[..6].copy_from_slice(&to);
    frame[6..12].copy_from_slice(&from);
    frame
}

/// A segment of the source's, to this port.
fn up(port: u16, flags: u8, numbers: (u32, u32)) -> Vec<u8> {
    let way = (SOURCE, SERVER, 40_000, port);
    between(SENDER, SERVER_MAC, made_traffic::segment(way, flags, numbers, b""))
}

/// The server's answer.
fn down(port: u16, flags: u8, numbers: (u32, u32)) -> Vec<u8> {
    let way = (SERVER, SOURCE, port, 40_000);
    between(SERVER_MAC, SENDER, made_traffic::segment(way, flags, numbers, b""))
}

/// A half-open scan as a forger can have it: one port is open, and the SYN that it answered is
/// taken back by an RST whose number is the sender's own; nothing of any answer is in it.
fn half_open_scan() -> Vec<Vec<u8>> {
    let one = |port: u16| {
        let own = 1_000_000 + u32::from(port);
        let syn = up(port, SYN, (own, 0));
        if port == OPEN_PORT {
            let answer = down(port, SYN | ACK, (777, own + 1));
            return vec![syn, answer, up(port, RST, (own + 1, 0))];
        }
        vec![syn, down(port, RST | ACK, (0, own + 1))]
    };
    (1..=400).flat_map(one).collect()
}

/// An ARP request for the server by this machine, which says that the address is its own.
fn announcement(mac: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    let ends = [&mac[..], &address.octets(), &[0; 6], &SERVER.octets()].concat();
    let request = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &ends].concat();
    between(mac, [0xff; 6], frames::ethernet([0xff; 6], &[], 0x0806, &request))
}

/// Replays frames ten milliseconds apart.
fn replayed(folder: &Path, configuration: &str, frames: Vec<Vec<u8>>) -> Said {
    let path = folder.join("made.pcap");
    let times = (0_u64..).map(|at| Duration::from_millis(10 * at));
    capture_file::write_timed(&path, &times.zip(frames).collect::<Vec<_>>());
    replay(configuration, &[], &[path])
}

fn blocked(said: &Said) -> Vec<String> {
    let blocks: Value = serde_json::from_str(&said.blocks).expect("blocks are JSON");
    let source = |block: &Value| block["source"].as_str().unwrap_or_default().to_owned();
    blocks.as_array().expect("a list").iter().map(source).collect()
}

fn withheld(said: &Said) -> Vec<Value> {
    let reason = |alert: &Value| alert["portcullis"]["withheld"]["reason"].clone();
    said.events_of("alert").iter().map(reason).collect()
}

#[test]
fn a_bare_reset_from_beyond_a_router_has_nobody_blocked() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let said = |configuration: &str, before: Vec<Vec<u8>>| {
        replayed(folder.path(), configuration, [before, half_open_scan()].concat())
    };
    let own = || vec![announcement(SENDER, SOURCE)];
    let forged = said("", Vec::new());
    assert_eq!(blocked(&forged), Vec::<String>::new(), "{}", forged.blocks);
    let reasons = withheld(&forged);
    assert!(!reasons.is_empty(), "no scan was seen: {}", forged.summary);
    assert!(reasons.iter().all(|reason| reason == "unproven_source"), "{reasons:?}");
    // The router's own address, and the source's on another machine, are no announcement of it.
    let others = [
        announcement(SENDER, Ipv4Addr::new(198, 51, 100, 1)),
        announcement([2, 0, 0, 0, 9, 7], SOURCE),
    ];
    assert_eq!(blocked(&said("", others.to_vec())), Vec::<String>::new());
    let scanner = [SOURCE.to_string()];
    assert_eq!(blocked(&said("", own())), scanner, "a scanner on the link");
    let policy = |word: &str| format!("[flow]\nreset_proves = \"{word}\"\n");
    assert_eq!(blocked(&said(&policy("always"), Vec::new())), scanner);
    assert_eq!(blocked(&said(&policy("never"), own())), Vec::<String>::new());
}

/// The frame with a loose source route in its IPv4 header.
fn source_routed(frame: &[u8]) -> Vec<u8> {
    let (link, packet) = frame.split_at(14);
    let length = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let route = [0x83, 7, 4, 10, 1, 2, 3, 0];
    let mut routed = [&packet[..20], &route, &packet[20..length]].concat();
    routed[0] = 0x47;
    routed[2..4].copy_from_slice(&u16::try_from(length + 8).expect("short").to_be_bytes());
    routed[10..12].fill(0);
    let sum = routed[..28].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum = sum.sum::<u32>();
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("folded");
    routed[10..12].copy_from_slice(&sum.to_be_bytes());
    [link, &routed].concat()
}

#[test]
fn an_attack_told_while_its_sender_was_unproven_is_offered_again_once_it_is_proven() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let opening = || {
        vec![
            up(OPEN_PORT, SYN, (1, 0)),
            down(OPEN_PORT, SYN | ACK, (9, 2)),
            up(OPEN_PORT, ACK, (2, 10)),
        ]
    };
    let routed = |flags, numbers| source_routed(&up(OPEN_PORT, flags, numbers));
    let attack = || vec![routed(PSH_ACK, (2, 10)); 5];
    let attacker = [SOURCE.to_string()];
    let early = replayed(folder.path(), "", [opening(), attack()].concat());
    assert_eq!(blocked(&early), attacker, "{}", early.events);
    // The same, but the first of its kind came before anything was known of the sender.
    let first = vec![routed(SYN, (1, 0))];
    let late = replayed(folder.path(), "", [first.clone(), opening(), attack()].concat());
    assert_eq!(blocked(&late), attacker, "{}", late.events);
    assert_eq!(late.events_of("anomaly").len(), 1, "told once: {}", late.events);
    // A forger's packet before an honest connection between the same ends has nobody blocked, and
    // does not end that connection.
    let honest = replayed(folder.path(), "", [first, opening()].concat());
    assert_eq!(blocked(&honest), Vec::<String>::new(), "{}", honest.events);
    assert_eq!(honest.capture()["forwarded"], 3, "{}", honest.summary);
}
