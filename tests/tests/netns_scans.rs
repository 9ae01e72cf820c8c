//! Scans and sweeps that ask no TCP port of one host, by nmap through the real engine: the scanner
//! is blocked in its VLAN, and nobody else.

use std::net::IpAddr;
use std::time::Duration;

use portcullis_tests::command::Running;
use portcullis_tests::engine::{Engine, Settings};
use portcullis_tests::lab::{self, Host, Lab};
use portcullis_tests::place::Place;
use portcullis_tests::service;
use portcullis_tests::{requirement, traffic};

const SCANNER: IpAddr = IpAddr::V4(lab::CLIENT);
const SERVER: IpAddr = IpAddr::V4(lab::SERVER);
/// A network behind the server, where nobody answers.
const SILENT: &str = "10.9.64.0/26";
/// Half of the link's own addresses, of which nobody has one.
const UNUSED: &str = "10.9.0.128/25";

/// A scan: nmap's words, and the rule of `port-scan` that names it.
struct Kind {
    words: &'static [&'static str],
    sid: u64,
}

const KINDS: [Kind; 5] = [
    Kind { words: &["-Pn", "-sU", "-p", "1-400", "10.9.0.10"], sid: 8 },
    Kind { words: &["-Pn", "-sS", "-p", "8080", SILENT], sid: 21 },
    Kind { words: &["-Pn", "-sU", "-p", "161", SILENT], sid: 28 },
    Kind { words: &["-sn", "-PE", SILENT], sid: 69 },
    Kind { words: &["-sn", "-PR", UNUSED], sid: 72 },
];

/// Runs in the background until it is dropped: whoever is blocked goes on long after it.
struct Nmap(Running);

impl Nmap {
    fn start(lab: &Lab, host: &Host, words: &[&str]) -> Nmap {
        let all = ["nmap", "-n", "-T4", "--max-retries", "1", "--host-timeout", "40s"];
        Nmap(host.namespace.start(&[&all[..], words].concat(), &lab.folder().join("nmap.log")))
    }
}

impl Drop for Nmap {
    fn drop(&mut self) {
        self.0.kill();
    }
}

#[test]
fn scans_by_udp_and_across_hosts_and_sweeps_are_blocked() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let lab = Lab::of(&["attacker", "neighbr", "honest20", "server10", "server20"]);
    let _services = ["server10", "server20"].map(|name| service::http(&lab, lab.host(name)));
    let scanner = lab.host("attacker");
    scanner.namespace.ip(&format!("route add {SILENT} via {SERVER}\n"));
    let mut engine = Engine::start(&lab, &Settings::default());
    for Kind { words, sid } in KINDS {
        let what = format!("{words:?}, rule {sid}");
        // Neither datagrams nor pings nor ARP prove their source; a connection does.
        assert!(traffic::fetches(scanner, SERVER), "before {what}");
        let told = engine.events("alert").len();
        let nmap = Nmap::start(&lab, scanner, words);
        engine.await_block(SCANNER, Place::VLAN_10);
        drop(nmap);
        let alerts = engine.events("alert");
        let sids: Vec<&serde_json::Value> =
            alerts[told..].iter().map(|alert| &alert["alert"]["signature_id"]).collect();
        assert_eq!(sids.first().copied(), Some(&sid.into()), "{what}: {sids:?}");
        assert_eq!(engine.blocks().len(), 1, "{what}: {:?}", engine.blocks());
        let refusal = Duration::from_secs(1);
        assert!(!traffic::fetches_within(scanner, SERVER, refusal), "after {what}");
        assert!(traffic::arp_answers(scanner, SERVER), "{what}: ARP is the link's own");
        assert!(traffic::fetches(lab.host("honest20"), SERVER), "{what}: VLAN 20 notices");
        assert!(traffic::fetches(lab.host("neighbr"), SERVER), "{what}: the neighbour notices");
        assert!(engine.unblock(SCANNER, Place::VLAN_10));
        // The detector remembers the scan and would tell it again when its source connects.
        engine.restart();
    }
}
