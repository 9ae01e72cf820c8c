//! Real scans and attacks through the real engine: who is blocked, where, from when to when.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use portcullis_tests::command::wait_until;
use portcullis_tests::engine::{Block, Engine, Settings};
use portcullis_tests::lab::{self, Host, HostPlan, Lab, Queues, Side};
use portcullis_tests::place::Place;
use portcullis_tests::requirement;
use portcullis_tests::service::{self, Service};
use portcullis_tests::sniffer::Sniffer;
use portcullis_tests::traffic::{self, Scan};

const ATTACKER: IpAddr = IpAddr::V4(lab::CLIENT);
const NEIGHBOUR: IpAddr = IpAddr::V4(lab::NEIGHBOUR);
const SERVER: IpAddr = IpAddr::V4(lab::SERVER);
/// How long something that must not pass is tried.
const REFUSAL: Duration = Duration::from_secs(1);
/// The ports of a scan that no detector may miss.
const SCANNED_PORTS: &str = "1-400";

/// A lab with a web server in every place that has a server.
fn street(plans: &[HostPlan]) -> (Lab, Vec<Service>) {
    let lab = Lab::build(plans, Queues::One);
    let services = lab
        .hosts()
        .iter()
        .filter(|host| host.plan.side == Side::Inside)
        .map(|host| service::http(&lab, host))
        .collect();
    (lab, services)
}

fn plans(names: &[&str]) -> Vec<HostPlan> {
    lab::STREET.into_iter().filter(|plan| names.contains(&plan.name)).collect()
}

fn scan(lab: &Lab, name: &str, kind: &str) -> Scan {
    Scan::start(lab, lab.host(name), kind, SCANNED_PORTS, &SERVER.to_string())
}

/// Scans until the scanner is blocked, and not longer: nmap would go on for most of a minute.
fn scan_until_blocked(lab: &Lab, engine: &Engine<'_>, name: &str, kind: &str) -> Block {
    let _scan = scan(lab, name, kind);
    engine.await_block(ATTACKER, lab.host(name).plan.place)
}

fn is_refused(host: &Host) -> bool {
    !traffic::fetches_within(host, SERVER, REFUSAL)
}

#[test]
fn a_scan_is_blocked_in_its_vlan_and_nowhere_else() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _services) = street(&lab::STREET);
    let engine = Engine::start(&lab, &Settings::default());
    assert!(traffic::fetches(lab.host("attacker"), SERVER), "before the scan all is well");
    let block = scan_until_blocked(&lab, &engine, "attacker", "-sS");
    assert_eq!(engine.blocks().len(), 1, "{:?}", engine.blocks());
    assert!(block.row.contains(lab::SERVER.to_string().as_str()), "no target: {}", block.row);
    assert!(is_refused(lab.host("attacker")), "blocked, and yet it fetches");
    assert!(!lab::pings(lab.host("attacker"), SERVER, REFUSAL), "all its traffic is blocked");
    for name in ["neighbr", "honest20", "honest0", "honestq"] {
        assert!(traffic::fetches(lab.host(name), SERVER), "{name} notices the block");
    }
    assert!(traffic::fetches(lab.host("attacker"), lab::SERVER_6.into()), "another address");
    let told = engine.events("block");
    assert!(told.iter().any(|event| event["src_ip"] == ATTACKER.to_string()), "{told:?}");
}

#[test]
fn scans_of_each_kind_are_blocked() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _services) = street(&plans(&["attacker", "server10"]));
    let mut engine = Engine::start(&lab, &Settings::default());
    for kind in ["-sT", "-sS", "-sF", "-sN", "-sX", "-sA", "-sM"] {
        // A source whose answers show that it is not forged is blocked; stealth scans alone prove
        // nothing, so an honest connection comes first.
        assert!(traffic::fetches(lab.host("attacker"), SERVER), "before {kind}");
        scan_until_blocked(&lab, &engine, "attacker", kind);
        assert!(is_refused(lab.host("attacker")), "after {kind}");
        assert!(engine.unblock(ATTACKER, Place::VLAN_10));
        // The detector remembers the scan and would tell it again when its source connects.
        engine.restart();
    }
}

#[test]
fn a_scan_over_ipv6_is_blocked() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _services) =
        street(&plans(&["attacker", "neighbr", "honest20", "server10", "server20"]));
    let engine = Engine::start(&lab, &Settings::default());
    let target = IpAddr::V6(lab::SERVER_6);
    let host = lab.host("attacker");
    assert!(traffic::fetches(host, target));
    let scan = Scan::start(&lab, host, "-sS", SCANNED_PORTS, &target.to_string());
    engine.await_block(lab::CLIENT_6.into(), Place::VLAN_10);
    drop(scan);
    assert!(!traffic::fetches_within(host, target, REFUSAL));
    assert!(traffic::fetches(lab.host("honest20"), target), "the same address in VLAN 20");
    assert!(traffic::fetches(lab.host("neighbr"), target), "another address of the /64");
    assert!(traffic::fetches(host, SERVER), "another address of the same machine");
}

#[test]
fn an_attack_is_stopped_with_the_packet_that_carries_it() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _services) = street(&plans(&["attacker", "neighbr", "server10"]));
    let _netbios = service::open_port(&lab, lab.host("server10"), 139);
    let engine = Engine::start(&lab, &Settings::default());
    let sniffer = Sniffer::on_wire(&lab, Side::Inside);
    traffic::winnuke(lab.host("attacker"), SERVER);
    engine.await_block(ATTACKER, Place::VLAN_10);
    assert!(is_refused(lab.host("attacker")));
    assert!(traffic::fetches(lab.host("neighbr"), SERVER));
    let heard = sniffer.frames();
    let carries =
        |needle: &[u8]| heard.iter().any(|f| f.windows(needle.len()).any(|w| w == needle));
    assert!(!carries(traffic::WINNUKE_DATA.as_bytes()), "the attack itself went through");
    assert!(!carries(traffic::WINNUKE_SEQUEL.as_bytes()), "what followed the attack went through");
}

#[test]
fn a_tag_with_vid_0_does_not_evade_a_block() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let evader = HostPlan { name: "evader", place: Place::VID_0, ..plans(&["honest0"])[0] };
    let mut hosts = plans(&["honest0", "honest20", "server0", "server20"]);
    hosts.push(evader);
    let (lab, _services) = street(&hosts);
    let engine = Engine::start(&lab, &Settings::default());
    // Two machines share one address here: forget who answered last.
    let forget = || {
        for name in ["server0", "honest0", "evader"] {
            lab.host(name).namespace.ip("neigh flush all\n");
        }
    };
    scan_until_blocked(&lab, &engine, "honest0", "-sS");
    assert!(is_refused(lab.host("honest0")));
    forget();
    assert!(is_refused(lab.host("evader")), "VID 0 evades the block");
    assert!(traffic::fetches(lab.host("honest20"), SERVER));
    assert!(engine.unblock(ATTACKER, Place::UNTAGGED));
    forget();
    assert!(traffic::fetches(lab.host("evader"), SERVER), "it was the block that stopped VID 0");
}

#[test]
fn a_block_expires_by_itself() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _services) = street(&plans(&["attacker", "server10"]));
    let _netbios = service::open_port(&lab, lab.host("server10"), 139);
    let engine = Engine::start(&lab, &Settings { block_for: "5s", ..Settings::default() });
    // One packet, and a detector without a memory: nothing but the clock decides what follows.
    traffic::winnuke(lab.host("attacker"), SERVER);
    engine.await_block(ATTACKER, Place::VLAN_10);
    let seen = Instant::now();
    assert!(is_refused(lab.host("attacker")));
    let ended = wait_until(Duration::from_secs(12), || {
        traffic::fetches_within(lab.host("attacker"), SERVER, Duration::from_millis(500))
    });
    assert!(ended, "it never ends");
    assert!(seen.elapsed() > Duration::from_secs(2));
    assert!(!engine.is_blocked(ATTACKER, Place::VLAN_10));
    let told = wait_until(Duration::from_secs(3), || !engine.events("unblock").is_empty());
    assert!(told, "no unblock event");
}

#[test]
fn an_operator_blocks_and_unblocks_by_hand() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _services) = street(&plans(&["attacker", "honest20", "server10", "server20"]));
    let engine = Engine::start(&lab, &Settings::default());
    assert!(engine.block(ATTACKER, Place::VLAN_20, "5m"));
    assert!(engine.is_blocked(ATTACKER, Place::VLAN_20));
    assert!(is_refused(lab.host("honest20")), "in force when it is acknowledged");
    assert!(traffic::fetches(lab.host("attacker"), SERVER), "VLAN 10 was not meant");
    assert!(engine.unblock(ATTACKER, Place::VLAN_20));
    assert!(traffic::fetches(lab.host("honest20"), SERVER), "lifted when it is acknowledged");
    assert!(!engine.unblock(ATTACKER, Place::VLAN_20), "there is no block any more");
}

#[test]
fn grace_keeps_an_unblocked_address_free() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _services) = street(&plans(&["attacker", "server10"]));
    let engine = Engine::start(&lab, &Settings::default());
    scan_until_blocked(&lab, &engine, "attacker", "-sS");
    assert!(engine.unblock_with_grace(ATTACKER, Place::VLAN_10, "5m"));
    let alerts = engine.events("alert").len();
    // A scan that goes on is told again after ten seconds.
    let is_told = (0..4).any(|_| {
        let _scan = scan(&lab, "attacker", "-sT");
        wait_until(Duration::from_secs(8), || engine.events("alert").len() > alerts)
    });
    assert!(is_told, "grace is no blindness");
    assert!(!engine.is_blocked(ATTACKER, Place::VLAN_10));
    assert!(traffic::fetches(lab.host("attacker"), SERVER));
}

#[test]
fn an_exclusion_frees_and_keeps_free_where_it_says() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _services) = street(&plans(&["attacker", "honest20", "server10", "server20"]));
    let engine = Engine::start(&lab, &Settings::default());
    scan_until_blocked(&lab, &engine, "attacker", "-sS");
    engine.exclude(&format!("{ATTACKER} vlan 10 do-not-block"));
    assert!(!engine.is_blocked(ATTACKER, Place::VLAN_10), "the exclusion frees at once");
    assert!(traffic::fetches(lab.host("attacker"), SERVER));
    let _ = traffic::nmap(lab.host("attacker"), "-sT", SCANNED_PORTS, &SERVER.to_string());
    scan_until_blocked(&lab, &engine, "honest20", "-sT");
    assert!(!engine.is_blocked(ATTACKER, Place::VLAN_10), "VLAN 10 is excluded, VLAN 20 is not");
    assert!(traffic::fetches(lab.host("attacker"), SERVER));
}

#[test]
fn monitor_lets_pass_and_says_what_it_would_have_done() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _services) = street(&plans(&["attacker", "server10"]));
    let _netbios = service::open_port(&lab, lab.host("server10"), 139);
    let engine = Engine::start(&lab, &Settings { mode: "monitor", ..Settings::default() });
    let open = traffic::nmap(lab.host("attacker"), "-sS", SCANNED_PORTS, &SERVER.to_string());
    assert!(open.stdout.contains("80/tcp"), "the scan goes through: {open}");
    assert!(traffic::fetches(lab.host("attacker"), SERVER));
    assert!(engine.blocks().is_empty(), "{:?}", engine.blocks());
    let alerts = engine.events("alert");
    let would = |alert: &serde_json::Value| alert["portcullis"]["would"] == "terminate-and-block";
    assert!(alerts.iter().any(would), "it does not say what it would have done: {alerts:?}");
    traffic::winnuke(lab.host("attacker"), SERVER);
    let counted = wait_until(REFUSAL * 3, || {
        let figures = engine.figures();
        figures.sum("would_block") > 0.0 && figures.sum("proven") > 0.0
    });
    assert!(counted, "{:#?}", engine.figures());
    // What befell the flow table is told by reason, by those that did not happen as well.
    assert!(engine.figures().sum("evicted_proven") < 1.0, "{:#?}", engine.figures());
    engine.set_mode("prevent");
    // A scan that goes on is reported again after ten seconds.
    let is_blocked = (0..4).any(|_| {
        let _scan = scan(&lab, "attacker", "-sT");
        wait_until(Duration::from_secs(8), || engine.is_blocked(ATTACKER, Place::VLAN_10))
    });
    assert!(is_blocked, "{}", engine.log());
    assert!(is_refused(lab.host("attacker")));
}

#[test]
fn a_breaker_that_opens_is_said_loudly() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _services) = street(&plans(&["attacker", "neighbr", "server10"]));
    let _netbios = service::open_port(&lab, lab.host("server10"), 139);
    let sections = "[blocks]\nbreaker_per_detector = 1\n".to_owned();
    let engine = Engine::start(&lab, &Settings { sections, ..Settings::default() });
    traffic::winnuke(lab.host("attacker"), SERVER);
    engine.await_block(ATTACKER, Place::VLAN_10);
    assert!(!engine.log().contains("the breaker has opened"), "{}", engine.log());
    // At the turn of a minute the first is admitted anew.
    let opened = (0..3).any(|_| {
        let _ = engine.unblock(NEIGHBOUR, Place::VLAN_10);
        traffic::winnuke(lab.host("neighbr"), SERVER);
        wait_until(REFUSAL, || engine.log().contains("the breaker has opened"))
    });
    assert!(opened, "{}", engine.log());
    let is_told = |event: &serde_json::Value| {
        let plugin = &event["plugin"];
        plugin["action"] == "breaker_opened" && plugin["name"] == "packet-attacks"
    };
    assert!(wait_until(REFUSAL * 3, || engine.events("plugin").iter().any(is_told)));
    let status = engine.answer(&["status"]);
    let warnings = status["warnings"].to_string();
    assert!(warnings.contains("breaker") && warnings.contains("packet-attacks"), "{status}");
    assert!(!engine.is_blocked(NEIGHBOUR, Place::VLAN_10));
}

#[test]
fn a_forged_source_blocks_nobody() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _services) = street(&plans(&["attacker", "neighbr", "server10"]));
    let engine = Engine::start(&lab, &Settings::default());
    let land = format!("IP(src='{SERVER}',dst='{SERVER}')/TCP(sport=80,dport=80,flags='S')*50");
    let _ = traffic::scapy(lab.host("attacker"), &land);
    // A SYN scan in the neighbour's name: its answers never reach the attacker.
    let forged = ["-S", "-a", "10.9.0.55", "--faster", "-p", "++1"];
    let _ = traffic::hping(lab.host("attacker"), &forged, 400, SERVER);
    std::thread::sleep(Duration::from_secs(1));
    assert!(traffic::fetches(lab.host("neighbr"), SERVER), "a forger had the neighbour blocked");
    assert!(!engine.is_blocked(SERVER, Place::VLAN_10), "LAND blocks the address it forges");
}
