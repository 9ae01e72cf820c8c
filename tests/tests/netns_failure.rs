//! What happens when things die: the engine, its ports, its wires. Blocks hold, traffic does as the
//! policy says, and what was acknowledged is never forgotten.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use portcullis_tests::command;
use portcullis_tests::engine::{Detectors, Engine, Settings};
use portcullis_tests::lab::{self, Lab, PORT_A, PORT_B, Queues, Side};
use portcullis_tests::place::Place;
use portcullis_tests::requirement;
use portcullis_tests::service::{self, Service};
use portcullis_tests::traffic;
use rustix::process::Signal;

const ATTACKER: IpAddr = IpAddr::V4(lab::CLIENT);
const SERVER: IpAddr = IpAddr::V4(lab::SERVER);
const REFUSAL: Duration = Duration::from_secs(1);
/// How long traffic may take to find its way after something broke.
const RECOVERY: Duration = Duration::from_secs(5);
/// The kills of the journal's trial.
const KILLS: u32 = 100;

fn street() -> (Lab, Vec<Service>) {
    let lab = Lab::of(&["attacker", "neighbr", "server10"]);
    let http = service::http(&lab, lab.host("server10"));
    (lab, vec![http])
}

fn with(on_failure: &'static str) -> Settings {
    let segment_lines = "hang_after = \"300ms\"".to_owned();
    Settings { on_failure, segment_lines, ..Settings::default() }
}

fn recovers(lab: &Lab, name: &str) -> bool {
    command::wait_until(RECOVERY, || {
        traffic::fetches_within(lab.host(name), SERVER, Duration::from_millis(700))
    })
}

fn is_refused(lab: &Lab, name: &str) -> bool {
    !traffic::fetches_within(lab.host(name), SERVER, REFUSAL)
}

#[test]
fn dead_and_open_forwards_and_blocks_hold() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _http) = street();
    lab.accept_redirected_frames();
    let mut engine = Engine::start(&lab, &with("open"));
    assert!(engine.block(ATTACKER, Place::VLAN_10, "10m"));
    assert!(is_refused(&lab, "attacker"));
    engine.kill();
    assert!(recovers(&lab, "neighbr"), "open: the kernel forwards by itself");
    assert!(is_refused(&lab, "attacker"), "the block does not outlive the engine");
    engine.restart();
    assert!(engine.is_blocked(ATTACKER, Place::VLAN_10));
    assert!(is_refused(&lab, "attacker"), "the block does not survive the restart");
    assert!(recovers(&lab, "neighbr"));
}

#[test]
fn dead_and_closed_forwards_nothing() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _http) = street();
    lab.accept_redirected_frames();
    let mut engine = Engine::start(&lab, &with("closed"));
    assert!(traffic::fetches(lab.host("neighbr"), SERVER));
    engine.kill();
    assert!(is_refused(&lab, "neighbr"), "closed: nothing passes without the engine");
    engine.restart();
    assert!(recovers(&lab, "neighbr"));
}

#[test]
fn hung_and_open_forwards_and_blocks_hold() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _http) = street();
    lab.accept_redirected_frames();
    let mut engine = Engine::start(&lab, &with("open"));
    assert!(engine.block(ATTACKER, Place::VLAN_10, "10m"));
    engine.signal(Signal::STOP);
    assert!(recovers(&lab, "neighbr"), "open: a hung engine is passed by");
    assert!(is_refused(&lab, "attacker"));
    engine.signal(Signal::CONT);
    assert!(recovers(&lab, "neighbr"), "it takes the traffic back");
    assert!(engine.is_blocked(ATTACKER, Place::VLAN_10));
}

#[test]
fn hung_and_closed_forwards_nothing() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _http) = street();
    lab.accept_redirected_frames();
    let mut engine = Engine::start(&lab, &with("closed"));
    assert!(traffic::fetches(lab.host("neighbr"), SERVER));
    engine.signal(Signal::STOP);
    std::thread::sleep(Duration::from_millis(500));
    assert!(is_refused(&lab, "neighbr"));
    engine.signal(Signal::CONT);
    assert!(recovers(&lab, "neighbr"));
}

#[test]
fn a_graceful_restart_keeps_blocks_and_their_ends() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _http) = street();
    let mut engine = Engine::start(&lab, &with("closed"));
    assert!(engine.block(ATTACKER, Place::VLAN_10, "10m"));
    let before = engine.await_block(ATTACKER, Place::VLAN_10);
    assert_eq!(engine.stop(), Some(0), "{}", engine.log());
    engine.restart();
    let after = engine.await_block(ATTACKER, Place::VLAN_10);
    // To the second: what is written is a time of day, what is kept is a time since boot.
    assert_eq!(before.until.get(..18), after.until.get(..18), "{before:?} {after:?}");
    assert!(is_refused(&lab, "attacker"));
}

#[test]
fn a_link_flap_is_survived() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _http) = street();
    let mut engine = Engine::start(&lab, &with("closed"));
    for side in [Side::Outside, Side::Inside] {
        assert!(traffic::fetches(lab.host("neighbr"), SERVER));
        lab.disconnect(side);
        std::thread::sleep(Duration::from_millis(300));
        assert!(engine.is_alive(), "{}", engine.log());
        lab.connect(side);
        assert!(recovers(&lab, "neighbr"), "after the flap on {side:?}: {}", engine.log());
    }
}

#[test]
fn a_port_that_goes_is_named_and_taken_up_again() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _http) = street();
    let engine = Engine::start(&lab, &with("closed"));
    assert!(engine.block(ATTACKER, Place::VLAN_10, "10m"));
    lab.remove_port(PORT_A);
    let named = command::wait_until(RECOVERY, || engine.log().contains(PORT_A));
    assert!(named, "the lost port is not named: {}", engine.log());
    assert!(engine.ask(&["status"]).succeeded(), "it no longer answers: {}", engine.log());
    // An order is taken meanwhile, though there are no frames.
    assert!(engine.unblock(ATTACKER, Place::VLAN_10));
    assert!(engine.block(ATTACKER, Place::VLAN_10, "10m"));
    for round in 1..=2 {
        lab.plug_engine_port(PORT_A);
        assert!(recovers(&lab, "neighbr"), "the port is back: {}", engine.log());
        assert!(engine.log().contains("back and opened again"), "{}", engine.log());
        assert!((engine.figures().sum("segments_reopened") - f64::from(round)).abs() < 0.1);
        assert!(engine.is_blocked(ATTACKER, Place::VLAN_10) && is_refused(&lab, "attacker"));
        if round == 1 {
            lab.remove_port(PORT_A);
            std::thread::sleep(Duration::from_millis(700));
        }
    }
    assert!(engine.log().contains(PORT_A) && !engine.log().contains(&format!("{PORT_B} is gone")));
}

/// Blocks and unblocks while the engine is killed at random moments. What the command line
/// acknowledged is the truth; an order that was not acknowledged may be either way.
#[test]
fn acknowledged_orders_survive_a_hundred_kills() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let lab = Lab::build(&[], Queues::One);
    let settings = Settings { detectors: Detectors::Absent, ..with("closed") };
    let mut engine = Engine::start(&lab, &settings);
    let mut truth: BTreeMap<Ipv4Addr, Known> = BTreeMap::new();
    let mut chance = Chance(0x5eed);
    for round in 0..KILLS {
        let doomed_at = Instant::now() + Duration::from_millis(chance.below(60));
        let pid = engine.pid();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(doomed_at.saturating_duration_since(Instant::now()));
            let _ = command::run(&["kill", "-9", &pid.to_string()], RECOVERY);
        });
        while engine.is_alive() {
            let low = u8::try_from(chance.below(40)).expect("below 40");
            let address = Ipv4Addr::new(192, 0, 2, low);
            let is_block = truth.get(&address) != Some(&Known::Blocked);
            let acknowledged = if is_block {
                engine.block(address.into(), Place::VLAN_10, "10m")
            } else {
                engine.unblock(address.into(), Place::VLAN_10)
            };
            let after = match (acknowledged, is_block) {
                (true, true) => Known::Blocked,
                (true, false) => Known::Free,
                (false, _) => Known::Unknown,
            };
            truth.insert(address, after);
        }
        killer.join().expect("the killer does not panic");
        engine.restart();
        let blocks = engine.blocks();
        for (address, known) in &mut truth {
            let is_blocked = blocks.iter().any(|b| b.is((*address).into(), Place::VLAN_10));
            let expected = match known {
                Known::Blocked => true,
                Known::Free => false,
                Known::Unknown => is_blocked,
            };
            assert_eq!(is_blocked, expected, "round {round}: {address} was acknowledged");
            *known = if is_blocked { Known::Blocked } else { Known::Free };
        }
    }
    assert!(truth.len() > 20, "too few orders were given: {truth:?}");
}

/// What is known of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Blocked,
    Free,
    Unknown,
}

/// A small generator with a fixed seed (xorshift64): a failure can be run again.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[test]
fn a_port_that_strips_tags_is_refused_or_mended() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _services) = street();
    let mut engine = Engine::start(&lab, &with("open"));
    assert!(traffic::fetches(lab.host("attacker"), SERVER), "{}", engine.log());
    engine.kill();
    // Tags would be read by the port and hidden from us: every VLAN would be one.
    lab.engine().must(&["ethtool", "-K", PORT_A, "rxvlan", "on"]);
    engine.restart_at_once();
    let ended = command::wait_until(RECOVERY, || !engine.is_alive());
    assert!(ended, "it runs on a port that hides tags: {}", engine.log());
    let log = engine.log();
    let told = format!("port {PORT_A} hides VLAN tags");
    let remedy = format!("ethtool -K {PORT_A} rxvlan off");
    assert!(log.contains(&told) && log.contains(&remedy), "{log}");
    let segment_lines = "fix_offloads = true".to_owned();
    engine.configure(&Settings { segment_lines, ..Settings::default() });
    engine.restart();
    assert!(traffic::fetches(lab.host("attacker"), SERVER), "{}", engine.log());
}
