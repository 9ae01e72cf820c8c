//! A packet that was crafted to crash a detector, through the running engine.

use std::net::IpAddr;

use portcullis_tests::engine::{Detectors, Engine, Settings};
use portcullis_tests::lab::{self, Lab, Side};
use portcullis_tests::sniffer::Sniffer;
use portcullis_tests::{hostile, requirement, traffic};

const SERVER: IpAddr = IpAddr::V4(lab::SERVER);

/// Which of the words that an attacker sends around the crafted packet arrive at the server's side,
/// and how many frames were dropped for the fault.
fn arrived(plugin_lines: &'static str) -> (Vec<&'static str>, f64) {
    let lab = Lab::of(&["attacker", "server10"]);
    hostile::trap_on_ttl(&lab.folder().join("plugins"));
    let settings = Settings { detectors: Detectors::Absent, plugin_lines, ..Settings::default() };
    let engine = Engine::start(&lab, &settings);
    let sniffer = Sniffer::on_wire(&lab, Side::Inside);
    let crafted = hostile::CRAFTED_TTL;
    let packet = |ttl: u8, port: u16, word: &str| {
        format!("IP(dst='{SERVER}',ttl={ttl})/UDP(sport=1000,dport={port})/b'{word}'")
    };
    let packets = [
        packet(64, 2000, "first words"),
        packet(crafted, 2000, "crafted words"),
        packet(64, 2000, "words behind"),
        packet(64, 2001, "other words"),
    ];
    let sent = traffic::scapy(lab.host("attacker"), &format!("[{}]", packets.join(",")));
    assert!(sent.succeeded(), "{sent}");
    let frames = sniffer.frames();
    let words = ["first words", "crafted words", "words behind", "other words"];
    let heard =
        |w: &&str| frames.iter().any(|f| f.windows(w.len()).any(|part| part == w.as_bytes()));
    (words.into_iter().filter(heard).collect(), engine.figures().sum("fault_closed"))
}

#[test]
fn closed_stops_what_crashed_a_detector_and_open_does_not() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (words, dropped) = arrived("on_fault = \"closed\"");
    assert_eq!(words, ["first words", "other words"]);
    assert!(dropped >= 1.0, "{dropped} frames are counted");
    let (words, dropped) = arrived("on_fault = \"open\"");
    assert_eq!(words, ["first words", "crafted words", "words behind", "other words"]);
    assert!(dropped < 0.1, "{dropped} frames are counted");
}
