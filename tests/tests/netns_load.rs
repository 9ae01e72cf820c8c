//! Changes while traffic flows: not one frame is lost, and where frames are lost they are counted.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use portcullis_tests::command::wait_until;
use portcullis_tests::engine::{Engine, Figures, Settings};
use portcullis_tests::lab::{self, Lab, Side};
use portcullis_tests::namespace::Namespace;
use portcullis_tests::place::Place;
use portcullis_tests::requirement;
use portcullis_tests::traffic::{self, UdpStream};

const PLACE: Place = Place::VLAN_10;

/// Rates above are not tried: on a machine that is shared, how much more there is changes from one
/// second to the next.
const RATE_MAX: u32 = 200_000;
/// How often a change is tried where the machine itself loses datagrams.
const TRIES: usize = 3;
/// More than a Rust sender on a shared core can reach: the sender goes as fast as it can.
const FLOOD_PER_SECOND: u32 = 2_000_000;

fn two_hosts() -> Lab {
    Lab::of(&["neighbr", "server10"])
}

/// The kernel's statistics that count a loss. The sixth, `tx_ring_empty_descs`, counts how often it
/// found nothing to send.
const XDP_LOSSES: [&str; 5] = [
    "rx_dropped",
    "rx_fill_ring_empty_descs",
    "rx_invalid_descs",
    "rx_ring_full",
    "tx_invalid_descs",
];

/// What the kernel has lost on either port. The figures are gathered once a second.
fn lost(engine: &Engine<'_>) -> f64 {
    std::thread::sleep(Duration::from_millis(1200));
    let figures = engine.figures();
    XDP_LOSSES.iter().map(|name| figures.sum(name)).sum()
}

/// Has `change` work while datagrams cross at half of a rate at which none is lost here and now.
/// Where one is lost all the same, only a machine that keeps everything without the change shows a
/// fault of ours.
fn loses_nothing(lab: &Lab, engine: &mut Engine<'_>, mut change: impl FnMut(&mut Engine<'_>)) {
    let ends = (lab.host("neighbr"), lab.host("server10"));
    let pause = || std::thread::sleep(Duration::from_millis(300));
    for tried in 1..=TRIES {
        let rate = traffic::half_of_loss_free(ends, RATE_MAX);
        let (before, began) = (lost(engine), Instant::now());
        let delivery = traffic::while_sending(ends, rate, || {
            pause();
            change(engine);
            pause();
        });
        let time = began.elapsed();
        let in_kernel = lost(engine) - before;
        println!("try {tried}: {rate} a second: {delivery:?}, {in_kernel} lost in the kernel");
        assert!(delivery.sent > 1_000 && delivery.repeated == 0, "{delivery:?}");
        if delivery.is_whole() && in_kernel < 1.0 {
            return;
        }
        let still = traffic::while_sending(ends, rate, || std::thread::sleep(time));
        assert!(
            tried < TRIES && !still.is_whole(),
            "{delivery:?}, {in_kernel} lost in the kernel, and without a change {still:?}\n{:#?}",
            engine.figures()
        );
    }
}

#[test]
fn a_reload_loses_nothing() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let lab = two_hosts();
    let mut engine = Engine::start(&lab, &Settings::default());
    loses_nothing(&lab, &mut engine, |engine| {
        for block_for in ["5m", "6m", "7m", "8m"] {
            engine.configure(&Settings { block_for, ..Settings::default() });
            engine.reload();
            std::thread::sleep(Duration::from_millis(300));
        }
    });
    assert!(engine.is_alive());
}

#[test]
fn a_reload_with_mistakes_changes_nothing() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let lab = two_hosts();
    let mut engine = Engine::start(&lab, &Settings::default());
    let sections = "[nonsense]\nx = 1\n".to_owned();
    let mistaken = Settings { sections, ..Settings::default() };
    loses_nothing(&lab, &mut engine, |engine| {
        engine.configure(&mistaken);
        engine.reload();
        std::thread::sleep(Duration::from_millis(500));
        // The command line reads it, too, to find the engine.
        engine.configure(&Settings::default());
    });
    assert!(engine.is_alive());
    assert!(engine.log().contains("nonsense"), "the mistake is not named: {}", engine.log());
}

#[test]
fn a_plugin_swap_loses_nothing() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let lab = two_hosts();
    let mut engine = Engine::start(&lab, &Settings::default());
    loses_nothing(&lab, &mut engine, |engine| {
        for name in ["port-scan", "packet-attacks", "port-scan"] {
            let wasm = requirement::distribution().join(format!("plugins/{name}.wasm"));
            engine.swap_plugin(&wasm);
        }
    });
    assert!(!engine.events("plugin").is_empty(), "a swap is an event");
}

#[test]
fn a_mode_switch_loses_nothing() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let lab = two_hosts();
    let mut engine = Engine::start(&lab, &Settings::default());
    loses_nothing(&lab, &mut engine, |engine| {
        for mode in ["monitor", "prevent", "monitor", "prevent"] {
            engine.set_mode(mode);
        }
    });
}

#[test]
fn blocks_of_others_that_come_and_go_lose_nothing() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let lab = two_hosts();
    let mut engine = Engine::start(&lab, &Settings::default());
    let mut host = 0;
    loses_nothing(&lab, &mut engine, |engine| {
        // Another host each time: grace and exclusion stay.
        host += 1;
        let source = IpAddr::from([203, 0, 113, host]);
        assert!(engine.block(source, PLACE, "1s"));
        let expires = || wait_until(Duration::from_secs(5), || !engine.is_blocked(source, PLACE));
        assert!(expires(), "{:?}", engine.blocks());
        assert!(engine.block(source, PLACE, "10m") && engine.unblock(source, PLACE));
        assert!(engine.block(source, PLACE, "10m"));
        engine.exclude(&format!("{source} vlan 10 do-not-block"));
        assert!(!engine.is_blocked(source, PLACE), "the exclusion frees it");
        let other = IpAddr::from([198, 51, 100, host]);
        assert!(engine.block(other, PLACE, "10m"));
        assert!(engine.unblock_with_grace(other, PLACE, "5m"));
    });
}

#[test]
fn at_full_rate_every_lost_frame_is_counted() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let lab = two_hosts();
    let segment_lines = "ring_frames = 256".to_owned();
    let mut engine = Engine::start(&lab, &Settings { segment_lines, ..Settings::default() });
    // One echo first, so that no datagram waits for the address resolution of another.
    assert!(portcullis_tests::lab::pings(
        lab.host("neighbr"),
        lab::SERVER.into(),
        Duration::from_secs(5)
    ));
    let before = at_rest(&engine, &lab);
    let stream = UdpStream::start(lab.host("neighbr"), lab.host("server10"), FLOOD_PER_SECOND);
    std::thread::sleep(Duration::from_secs(2));
    // A pause as long as the ring is short: frames are lost, and the kernel counts them.
    engine.signal(rustix::process::Signal::STOP);
    std::thread::sleep(Duration::from_millis(100));
    engine.signal(rustix::process::Signal::CONT);
    std::thread::sleep(Duration::from_secs(1));
    let delivery = stream.finish();
    let after = at_rest(&engine, &lab);
    let lost = after.1.lost_since(&before.1);
    let counted: f64 = ["rx_ring_full", "rx_dropped", "transmit_full", "oversize", "port_down"]
        .iter()
        .map(|name| after.0.sum(name) - before.0.sum(name))
        .sum();
    assert!(lost > 0, "nothing was lost, so nothing was tried: {delivery:?}");
    assert!(delivery.sent > delivery.received, "{delivery:?}");
    assert_eq!(format!("{counted}"), lost.to_string(), "{delivery:?}\n{after:#?}");
}

/// The engine's figures and the wires', once no frame crosses any more. Hosts of the lab speak of
/// their own accord now and then (address resolution, listeners' reports); such a frame between
/// two readings would be taken for a loss.
fn at_rest(engine: &Engine<'_>, lab: &Lab) -> (Figures, Border) {
    let mut border = Border::read(lab);
    for _ in 0..20 {
        // The figures are gathered once a second.
        std::thread::sleep(Duration::from_millis(1500));
        let figures = engine.figures();
        let again = Border::read(lab);
        if again == border {
            return (figures, border);
        }
        border = again;
    }
    panic!("the lab does not come to rest: {border:?}");
}

/// What crossed the wires on both sides of the engine. Bridges, hosts and sockets of the lab lose
/// frames of their own at full rate; those are not the engine's to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Border {
    /// Frames that the kernel handed to the engine's ports.
    entered: u64,
    /// Frames that the engine handed to the kernel.
    left: u64,
}

impl Border {
    fn read(lab: &Lab) -> Border {
        let figure = |namespace: &Namespace, device: &str, name: &str| -> u64 {
            let path = format!("/sys/class/net/{device}/statistics/{name}");
            let text = namespace.must(&["cat", &path]);
            text.trim().parse().unwrap_or_else(|e| panic!("{path}: {text:?}: {e}"))
        };
        let (mut entered, mut left) = (0, 0);
        for side in [Side::Outside, Side::Inside] {
            entered += figure(lab.bridge(side), lab::WIRE, "tx_packets");
            left += figure(lab.bridge(side), lab::WIRE, "rx_packets");
        }
        for port in [lab::PORT_A, lab::PORT_B] {
            // Taken from the engine, and lost on the wire behind it.
            left += figure(lab.engine(), port, "tx_dropped");
        }
        Border { entered, left }
    }

    fn lost_since(&self, before: &Border) -> u64 {
        (self.entered - before.entered).saturating_sub(self.left - before.left)
    }
}
