//! Honest traffic passes the real engine unchanged, in every place, over every way of capturing.

use std::net::IpAddr;
use std::time::Duration;

use portcullis_tests::capture_file;
use portcullis_tests::engine::{Engine, Settings};
use portcullis_tests::frames;
use portcullis_tests::lab::{self, Lab, Queues, Side};
use portcullis_tests::requirement;
use portcullis_tests::service;
use portcullis_tests::sniffer::Sniffer;
use portcullis_tests::traffic;

const CLIENTS: [&str; 5] = ["attacker", "neighbr", "honest20", "honest0", "honestq"];
const SERVERS: [&str; 4] = ["server10", "server20", "server0", "serverq"];
/// Connections of the two-queue test: with fewer, chance could put all on one queue.
const CONNECTIONS: usize = 40;

fn with(capture: &'static str) -> Settings {
    Settings { capture, ..Settings::default() }
}

#[test]
fn every_place_passes_over_af_xdp() {
    every_place_passes(&with("af_xdp"));
}

#[test]
fn every_place_passes_over_af_xdp_in_the_stack() {
    let segment_lines = "xdp_mode = \"generic\"".to_owned();
    every_place_passes(&Settings { segment_lines, ..with("af_xdp") });
}

#[test]
fn every_place_passes_over_af_packet() {
    every_place_passes(&with("af_packet"));
}

fn every_place_passes(settings: &Settings) {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let lab = Lab::street();
    let mut engine = Engine::start(&lab, settings);
    let mut services = Vec::new();
    for server in SERVERS.map(|name| lab.host(name)) {
        services.push(service::http(&lab, server));
        services.push(service::udp_echo(&lab, server));
    }
    for name in CLIENTS {
        let client = lab.host(name);
        for target in [IpAddr::V4(lab::SERVER), IpAddr::V6(lab::SERVER_6)] {
            assert!(lab::pings(client, target, Duration::from_secs(5)), "{name} pings {target}");
            assert!(traffic::fetches(client, target), "{name} fetches from {target}");
            assert!(traffic::echoes(client, target), "{name} hears an echo of {target}");
        }
        assert!(traffic::arp_answers(client, lab::SERVER.into()), "{name} is answered by ARP");
        let large = traffic::curl(client, lab::SERVER.into(), service::LARGE_FILE);
        assert_eq!(large.stdout.len(), service::LARGE_FILE_LEN, "{name}: {:?}", large.code);
    }
    assert!(engine.blocks().is_empty(), "honest clients are blocked: {:?}", engine.blocks());
    assert_eq!(engine.stop(), Some(0), "{}", engine.log());
}

#[test]
fn frames_pass_byte_for_byte_over_af_xdp() {
    frames_pass_byte_for_byte(&with("af_xdp"));
}

#[test]
fn frames_pass_byte_for_byte_over_af_packet() {
    frames_pass_byte_for_byte(&with("af_packet"));
}

fn frames_pass_byte_for_byte(settings: &Settings) {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let lab = Lab::build(&[], Queues::One);
    let _engine = Engine::start(&lab, settings);
    let sent = frames::of_every_kind();
    let capture = lab.folder().join("every-kind.pcap");
    capture_file::write(&capture, &sent);
    for (from, to) in [(Side::Outside, Side::Inside), (Side::Inside, Side::Outside)] {
        let sniffer = Sniffer::on_wire(&lab, to);
        let replayed = traffic::replay(&lab, from, &capture, 2000);
        assert!(replayed.succeeded(), "{replayed}");
        let heard = sniffer.frames();
        for (index, frame) in sent.iter().enumerate() {
            assert!(heard.contains(frame), "frame {index} is lost or changed: {frame:02x?}");
        }
        assert_eq!(heard.len(), sent.len(), "more frames came out than went in");
        assert_eq!(heard, sent, "the order changed");
    }
}

#[test]
fn on_two_queues_no_flow_is_seen_half() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let plans: Vec<_> =
        lab::STREET.into_iter().filter(|p| ["neighbr", "server10"].contains(&p.name)).collect();
    let lab = Lab::build(&plans, Queues::Two);
    let settings = Settings { workers: "2", ..with("af_xdp") };
    let mut engine = Engine::start(&lab, &settings);
    let _http = service::http(&lab, lab.host("server10"));
    let client = lab.host("neighbr");
    for _ in 0..CONNECTIONS {
        assert!(traffic::fetches(client, lab::SERVER.into()));
    }
    let transfer = service::iperf(&lab, lab.host("server10"));
    let result = traffic::iperf(client, lab::SERVER.into(), 2, 4);
    assert!(result.succeeded(), "{result}");
    drop(transfer);
    // At its end the engine reports every flow that is still open.
    assert_eq!(engine.stop(), Some(0), "{}", engine.log());
    let flows = engine.events("flow");
    let web: Vec<_> = flows.iter().filter(|flow| flow["dest_port"] == 80).collect();
    assert_eq!(web.len(), CONNECTIONS, "each connection is one flow: {web:#?}");
    for flow in flows.iter().filter(|flow| flow["proto"] == "TCP") {
        let packets = |way: &str| flow["flow"][way].as_u64().unwrap_or_default();
        let both = packets("pkts_toserver") > 1 && packets("pkts_toclient") > 1;
        assert!(both, "a flow was seen half: {flow}");
    }
}
