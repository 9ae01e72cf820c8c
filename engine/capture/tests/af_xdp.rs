//! AF_XDP and the kernel program over real ports: veth pairs in network namespaces.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "af_xdp/kernel.rs"]
mod kernel;
mod lab;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use aya::maps::{HashMap, Map, MapData};
use lab::{Host, Lab, Shape, head, ipv4, ipv6, run};
use portcullis_capture::backend::af_xdp::{Mode, Opened, SegmentPlan, XdpSource, open};
use portcullis_capture::bare::bare_forward_loop;
use portcullis_capture::kernel::{
    Bypass, KernelCounters, KernelPlan, KernelProgram, OnFailure, Pieces,
};
use portcullis_capture::{FrameSource, HandOver, OpenError, Received, RxFrame, Wait};
use portcullis_types::{BlockKey, DropReason, PortSide, SegmentId, Tick, VlanStack};

const QUIET: Duration = Duration::from_millis(150);

/// Runs a test in a thread of its own, inside the engine's namespace of a fresh lab.
fn in_lab(shape: Shape, test: impl FnOnce(&Lab) + Send + 'static) {
    if !lab::is_possible() {
        return;
    }
    let body = move || {
        let lab = Lab::new(shape);
        lab.enter();
        test(&lab);
    };
    if let Err(e) = std::thread::spawn(body).join() {
        std::panic::resume_unwind(e);
    }
}

fn load(lab: &Lab, pieces: Pieces) -> KernelProgram {
    let plan = KernelPlan { pin_directory: lab.pins.clone(), blocks_max: 1024, pieces };
    KernelProgram::load(&plan).unwrap()
}

fn plan() -> SegmentPlan {
    SegmentPlan {
        order: vec![Mode::Native],
        wait: Wait::Poll,
        ring_size: 512,
        frames_per_worker: 4096,
        heartbeat_max: Duration::from_secs(30),
        ..SegmentPlan::new(SegmentId(7), vec!["pa".into(), "pb".into()])
    }
}

fn one(opened: Opened) -> XdpSource {
    let mut sources = opened.sources;
    assert_eq!(sources.len(), 1);
    let mut source = sources.pop().unwrap();
    source.alive(now());
    source
}

fn counters(program: &KernelProgram) -> KernelCounters {
    program.counters().unwrap()[0].1
}

fn now() -> Tick {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Tick(u64::try_from(t.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap())
}

/// Forwards what comes until nothing has come for `quiet`; how many frames.
fn pump(source: &mut XdpSource, quiet: Duration) -> usize {
    let mut burst = Vec::new();
    let mut frames = 0;
    let mut last = Instant::now();
    while last.elapsed() < quiet {
        source.alive(now());
        if source.receive(&mut burst, 64) == Received::Frames {
            last = Instant::now();
            frames += burst.len();
            for frame in burst.drain(..) {
                source.forward(frame.slot).unwrap();
            }
        }
        source.flush();
        source.wait(Duration::from_millis(5));
    }
    frames
}

/// Whether a frame gets from one host to the other through the pump.
fn passes(source: &mut XdpSource, from: &Host, to: &Host, frame: &[u8]) -> bool {
    from.send(frame);
    pump(source, Duration::from_millis(30));
    let got = to.drain(Duration::from_millis(10));
    assert!(got.iter().all(|g| g == frame), "nothing else comes");
    got.len() == 1
}

fn every_kind() -> Vec<Vec<u8>> {
    let mut frames = vec![
        ipv4(&[], 1, 1000, 0),
        ipv4(&[(0x8100, 10)], 1, 1000, 30),
        ipv4(&[(0x8100, 0)], 1, 1000, 30),
        ipv4(&[(0x88a8, 10), (0x8100, 20)], 1, 1000, 30),
        ipv4(&[(0x9100, 10), (0x8100, 0x6014)], 1, 1000, 30),
        ipv4(&[(0x8100, 10), (0x8100, 20), (0x8100, 30)], 1, 1000, 30),
        ipv4(&[(0x8100, 1), (0x8100, 2), (0x8100, 3), (0x8100, 4), (0x8100, 5)], 1, 1, 3),
        ipv4(&[], 1, 1000, 1472),
        // A packet socket sends 1,518 bytes with an 802.1Q tag, else 1,514.
        ipv4(&[(0x8100, 10)], 1, 1000, 1472),
        ipv4(&[(0x88a8, 10), (0x8100, 20)], 1, 1000, 1464),
        ipv6(1, 1, 17, 0),
        ipv6(1, 1, 58, 135),
        [head(&[], 0x0806), vec![0, 1, 8, 0, 6, 4, 0, 1], vec![0; 38]].concat(),
        [head(&[(0x8100, 10)], 0x0806), vec![0, 1, 8, 0, 6, 4, 0, 1], vec![0; 38]].concat(),
        [head(&[], 0x88cc), vec![7; 46]].concat(),
        [head(&[], 0x1234), vec![7; 1500]].concat(),
        [head(&[], 46), vec![0x42; 46]].concat(),
        head(&[], 0x0800),
        head(&[], 0x86dd),
    ];
    frames.extend((1..40).map(|n| ipv4(&[], 1, n, usize::from(n) * 20)));
    frames
}

fn both_directions(mode: Mode) {
    in_lab(Shape::default(), move |lab| {
        let (a, b) = (lab.host("ha"), lab.host("hb"));
        let mut program = load(lab, Pieces::One);
        let opened = open(&mut program, &SegmentPlan { order: vec![mode], ..plan() }).unwrap();
        assert_eq!((opened.facts.mode, opened.facts.refused.len()), (mode, 0));
        assert_eq!(opened.facts.ports[0].queues, 1);
        let mut source = one(opened);
        let frames = every_kind();
        for (from, to) in [(&a, &b), (&b, &a)] {
            for frame in &frames {
                from.send(frame);
            }
            assert_eq!(pump(&mut source, QUIET), frames.len());
            let got = to.drain(QUIET);
            assert_eq!(got.len(), frames.len());
            for (got, sent) in got.iter().zip(&frames) {
                assert_eq!(got, sent, "byte for byte");
            }
        }
        let statistics = source.statistics();
        for port in statistics.ports {
            assert_eq!(port.received, frames.len() as u64);
            assert_eq!(port.transmitted, frames.len() as u64);
            assert_eq!(port.received_bytes, frames.iter().map(|f| f.len() as u64).sum::<u64>());
            assert_eq!((port.kernel_dropped, port.transmit_full, port.oversize), (0, 0, 0));
        }
        assert_eq!(statistics.in_hand, 0);
        let counters = program.counters().unwrap();
        assert_eq!(counters[0].0, "pa");
        assert_eq!(counters[0].1.redirected, frames.len() as u64);
        // Of all kinds, those with three and five VIDs are beyond what the program parses.
        assert_eq!(counters[1].1.too_many_tags, 2);
    });
}

#[test]
fn native_forwards_both_directions_byte_for_byte() {
    both_directions(Mode::Native);
}

#[test]
fn generic_forwards_both_directions_byte_for_byte() {
    both_directions(Mode::Generic);
}

#[test]
fn what_does_not_work_is_said_aloud() {
    in_lab(Shape::default(), |lab| {
        let mut program = load(lab, Pieces::One);
        let order = Mode::ORDER_DEFAULT.to_vec();
        let opened = open(&mut program, &SegmentPlan { order, ..plan() }).unwrap();
        assert_eq!(opened.facts.mode, Mode::Native, "veth refuses zero-copy");
        assert_eq!(opened.facts.refused[0].0, Mode::ZeroCopy);
        assert!(opened.facts.refused[0].1.contains("binding"), "{:?}", opened.facts.refused);
        assert!(opened.facts.memory.iter().map(|m| m.bytes).sum::<u64>() > 4096 * 2048);
        drop(opened);

        let e = open(&mut program, &SegmentPlan { workers: 2, ..plan() }).unwrap_err();
        assert!(e.to_string().contains("write workers = 1"), "{e}");
        let e = open(&mut program, &SegmentPlan { ring_size: 100, ..plan() }).unwrap_err();
        assert!(e.to_string().contains("power of two"), "{e}");
        let e = open(&mut program, &SegmentPlan { ports: vec!["pz".into()], ..plan() });
        assert!(matches!(e.unwrap_err(), OpenError::NoSuchPort { port } if port == "pz"));
    });
}

#[test]
fn two_queues_two_workers_and_hand_over() {
    in_lab(Shape { queues: 2, ..Shape::default() }, |lab| {
        let (a, b) = (lab.host("ha"), lab.host("hb"));
        let mut program = load(lab, Pieces::One);
        let opened = open(&mut program, &SegmentPlan { workers: 2, ..plan() }).unwrap();
        assert_eq!(opened.facts.ports[1].queues, 2);
        let [mut first, mut second]: [XdpSource; 2] =
            opened.sources.try_into().expect("two sources");
        first.alive(now());
        second.alive(now());
        // More frames than a worker has chunks, so every chunk must find home again and again.
        let rounds: u16 = 200;
        let each: u16 = 50;
        let mut by_worker = [0usize; 2];
        let mut burst: Vec<RxFrame> = Vec::new();
        for round in 0..rounds {
            let frames: BTreeSet<Vec<u8>> =
                (0..each).map(|i| ipv4(&[], 1, round * each + i + 1, 20)).collect();
            frames.iter().for_each(|f| a.send(f));
            let mut seen = 0;
            let patience = Instant::now();
            while seen < usize::from(each) && patience.elapsed() < Duration::from_secs(2) {
                for (worker, counted) in by_worker.iter_mut().enumerate() {
                    let (own, other) = match worker {
                        0 => (&mut first, &mut second),
                        _ => (&mut second, &mut first),
                    };
                    own.alive(now());
                    own.receive(&mut burst, 64);
                    *counted += burst.len();
                    seen += burst.len();
                    // Everything is the other worker's business; every tenth frame is lost on the
                    // way and must come home all the same.
                    for (i, frame) in burst.drain(..).enumerate() {
                        let lent = own.lend(frame.slot, frame.side);
                        if i % 10 == 9 {
                            drop(lent);
                            continue;
                        }
                        let (slot, side) = other.adopt(lent);
                        assert_eq!(side, PortSide::A);
                        assert!(frames.contains(other.bytes(&slot)));
                        other.forward(slot).unwrap();
                    }
                    own.flush();
                    other.flush();
                }
            }
            assert_eq!(seen, usize::from(each), "round {round}");
            while let Some(got) = b.receive(Duration::ZERO) {
                assert!(frames.contains(&got));
            }
        }
        assert!(by_worker.iter().all(|&n| n > 1000), "both queues are used: {by_worker:?}");
        first.flush();
        second.flush();
        let (s, t) = (first.statistics(), second.statistics());
        assert!(s.returned_home > 900 && t.returned_home > 900);
        assert_eq!((s.in_hand, t.in_hand), (0, 0));
        assert_eq!(s.ports[0].kernel_dropped + t.ports[0].kernel_dropped, 0);
    });
}

#[test]
fn one_worker_serves_two_queues() {
    in_lab(Shape { queues: 2, ..Shape::default() }, |lab| {
        let (a, b) = (lab.host("ha"), lab.host("hb"));
        let mut program = load(lab, Pieces::One);
        let mut source = one(open(&mut program, &plan()).unwrap());
        (0..200).for_each(|i| a.send(&ipv4(&[], 1, i, 20)));
        assert_eq!(pump(&mut source, QUIET), 200);
        assert_eq!(b.drain(QUIET).len(), 200);
        assert_eq!(counters(&program).no_socket, 0);
    });
}

#[test]
fn a_removed_port_is_noticed() {
    in_lab(Shape::default(), |lab| {
        let mut program = load(lab, Pieces::One);
        let mut source = one(open(&mut program, &plan()).unwrap());
        let mut burst = Vec::new();
        source.wait(Duration::from_millis(20));
        assert_eq!(source.receive(&mut burst, 64), Received::Nothing);
        run(&format!("ip -n {} link del pb", lab.engine));
        let patience = Instant::now();
        let mut found = Received::Nothing;
        while found == Received::Nothing && patience.elapsed() < Duration::from_secs(3) {
            source.flush();
            source.wait(Duration::from_millis(20));
            found = source.receive(&mut burst, 64);
        }
        assert_eq!(found, Received::PortGone(PortSide::B));
        assert!(patience.elapsed() < Duration::from_secs(1));
        // What still comes in by the other port cannot go anywhere, and is counted so.
        lab.host("ha").send(&ipv4(&[], 1, 9, 20));
        source.alive(now());
        lab.host("ha").send(&ipv4(&[], 1, 9, 20));
        source.wait(Duration::from_millis(200));
        assert_eq!(source.receive(&mut burst, 64), Received::Frames);
        let frame = burst.pop().unwrap();
        assert_eq!(source.forward(frame.slot), Err(DropReason::PortDown));
        source.statistics();
    });
}

#[test]
fn a_link_that_was_down_comes_back() {
    in_lab(Shape::default(), |lab| {
        let (a, b) = (lab.host("ha"), lab.host("hb"));
        let mut program = load(lab, Pieces::One);
        let mut source = one(open(&mut program, &plan()).unwrap());
        let frame = ipv4(&[], 1, 9, 20);
        assert!(passes(&mut source, &a, &b, &frame));
        run(&format!("ip -n {} link set pb down", lab.engine));
        source.alive(now());
        source.wait(Duration::from_millis(20));
        a.send(&frame);
        let mut burst = Vec::new();
        source.wait(Duration::from_millis(200));
        assert_eq!(source.receive(&mut burst, 64), Received::Frames);
        let gone = burst.pop().unwrap();
        assert_eq!(source.forward(gone.slot), Err(DropReason::PortDown));
        assert_eq!(source.statistics().port(PortSide::B).link_down, 1);
        run(&format!("ip -n {} link set pb up", lab.engine));
        source.flush();
        pump(&mut source, Duration::from_millis(20));
        b.drain(Duration::from_millis(20));
        assert!(passes(&mut source, &a, &b, &frame));
        assert_eq!(source.statistics().port(PortSide::B).link_down, 1);
    });
}

#[test]
fn overruns_are_counted_exactly() {
    in_lab(Shape::default(), |lab| {
        let a = lab.host("ha");
        let mut program = load(lab, Pieces::One);
        let heartbeat_max = Duration::from_secs(60);
        let opened = open(&mut program, &SegmentPlan { heartbeat_max, ..plan() }).unwrap();
        let mut source = one(opened);
        source.alive(now());
        // Rings of 512; nobody takes anything.
        (0..2000).for_each(|i| a.send(&ipv4(&[], 1, i, 20)));
        std::thread::sleep(QUIET);
        let received = pump(&mut source, QUIET) as u64;
        let port = *source.statistics().port(PortSide::A);
        assert_eq!(port.received, received);
        assert!(port.kernel_dropped >= 1400, "{port:?}");
        assert_eq!(port.received + port.kernel_dropped, 2000, "{port:?}");
        assert_eq!((port.xdp.rx_invalid_descs, port.xdp.tx_invalid_descs), (0, 0));
        assert!(port.xdp.rx_fill_ring_empty_descs + port.xdp.rx_ring_full > 0, "{port:?}");
    });
}

#[test]
fn crafted_frames_and_limits() {
    in_lab(Shape::default(), |lab| {
        let (a, b) = (lab.host("ha"), lab.host("hb"));
        let mut program = load(lab, Pieces::One);
        let mut source = one(open(&mut program, &plan()).unwrap());
        let reset = ipv4(&[(0x8100, 10)], 5, 9, 20);
        source.inject(PortSide::A, &reset).unwrap();
        source.inject(PortSide::B, &reset).unwrap();
        source.flush();
        assert_eq!(a.drain(QUIET), std::slice::from_ref(&reset));
        assert_eq!(b.drain(QUIET), [reset]);
        let long = vec![0; 1500 + 14 + 8 + 1];
        assert_eq!(source.inject(PortSide::A, &long), Err(DropReason::TooLong));
        assert_eq!(source.inject(PortSide::A, &[0; 5000]), Err(DropReason::TooLong));

        // A port with a smaller MTU: what does not fit is dropped by name, not sent and lost.
        run(&format!("ip -n {} link set pb mtu 1000", lab.engine));
        source.statistics();
        a.send(&ipv4(&[], 1, 9, 1400));
        source.alive(now());
        a.send(&ipv4(&[], 1, 9, 1400));
        source.wait(Duration::from_millis(200));
        let mut burst = Vec::new();
        assert_eq!(source.receive(&mut burst, 1), Received::Frames);
        let slot = burst.pop().unwrap().slot;
        assert_eq!(source.forward(slot), Err(DropReason::TooLong));

        // The transmit ring has 512 places.
        let small = ipv4(&[], 5, 9, 20);
        let mut refused = 0;
        run(&format!("ip -n {} link set pa down", lab.engine));
        for _ in 0..600 {
            refused += usize::from(source.inject(PortSide::A, &small).is_err());
        }
        assert_eq!(refused, 88);
        assert_eq!(source.statistics().port(PortSide::A).transmit_full, 1, "then the link is down");
    });
}

#[test]
fn a_tap_receives_and_forwards_nothing() {
    in_lab(Shape::default(), |lab| {
        let (a, b) = (lab.host("ha"), lab.host("hb"));
        let mut program = load(lab, Pieces::One);
        let tap = SegmentPlan { ports: vec!["pa".into()], ..plan() };
        let mut source = one(open(&mut program, &tap).unwrap());
        source.alive(now());
        a.send(&ipv4(&[(0x8100, 10)], 1, 9, 20));
        source.wait(Duration::from_millis(200));
        let mut burst = Vec::new();
        assert_eq!(source.receive(&mut burst, 64), Received::Frames);
        let frame = burst.pop().unwrap();
        assert_eq!(source.bytes(&frame.slot), ipv4(&[(0x8100, 10)], 1, 9, 20));
        assert_eq!(source.forward(frame.slot), Err(DropReason::Copy));
        assert_eq!(source.inject(PortSide::B, &[0; 60]), Err(DropReason::Copy));
        // Also without a worker nothing leaves by a tap.
        drop(source);
        a.send(&ipv4(&[], 1, 9, 20));
        assert!(a.drain(QUIET).is_empty() && b.drain(QUIET).is_empty());
    });
}

#[test]
fn jumbo_frames_come_in_pieces_and_leave_whole() {
    in_lab(Shape { mtu: 9000, queues: 2, ..Shape::default() }, |lab| {
        let (a, b) = (lab.host("ha"), lab.host("hb"));
        let pieces = Pieces::for_ports(["pa", "pb"]).unwrap();
        assert_eq!(pieces, Pieces::Several);
        let mut program = load(lab, pieces);
        let opened = open(&mut program, &SegmentPlan { workers: 2, ..plan() }).unwrap();
        assert_eq!((opened.facts.mode, opened.facts.pieces), (Mode::Native, Pieces::Several));
        let mut sources = opened.sources;
        sources.iter_mut().for_each(|s| s.alive(now()));
        for size in [20usize, 1472, 3800, 3840, 5000, 8972] {
            let frame = ipv4(&[(0x8100, 10)], 1, 9, size);
            for disposal in ["forward", "discard", "lend", "lose"] {
                a.send(&frame);
                let mut burst = Vec::new();
                let patience = Instant::now();
                let worker = loop {
                    assert!(patience.elapsed() < Duration::from_secs(2), "{size} bytes come");
                    let mut seen = sources.iter_mut().enumerate().filter_map(|(i, s)| {
                        s.alive(now());
                        (s.receive(&mut burst, 8) == Received::Frames).then_some(i)
                    });
                    if let Some(i) = seen.next() {
                        break i;
                    }
                };
                let got = burst.pop().unwrap();
                assert_eq!(sources[worker].bytes(&got.slot), frame, "{size} bytes whole");
                assert_eq!(got.len as usize, frame.len());
                match disposal {
                    "forward" => sources[worker].forward(got.slot).unwrap(),
                    "discard" => sources[worker].discard(got.slot),
                    _ => {
                        let lent = sources[worker].lend(got.slot, got.side);
                        if disposal == "lend" {
                            let (slot, _) = sources[1 - worker].adopt(lent);
                            assert_eq!(sources[1 - worker].bytes(&slot), frame);
                            sources[1 - worker].forward(slot).unwrap();
                        }
                    }
                }
                sources.iter_mut().for_each(FrameSource::flush);
                let came = b.drain(Duration::from_millis(20));
                let expected = usize::from(matches!(disposal, "forward" | "lend"));
                assert_eq!(came.len(), expected, "{size} bytes, {disposal}");
                assert!(came.iter().all(|c| *c == frame));
            }
        }
        sources.iter_mut().for_each(FrameSource::flush);
        assert!(sources.iter_mut().all(|s| s.statistics().in_hand == 0));
    });
}

#[test]
fn the_bare_loop_forwards_in_every_way_of_waiting() {
    in_lab(Shape::default(), |lab| {
        let (a, b) = (lab.host("ha"), lab.host("hb"));
        for wait in [Wait::Adaptive, Wait::BusyPoll, Wait::Poll, Wait::Spin] {
            let mut program = load(lab, Pieces::One);
            let mut source = one(open(&mut program, &SegmentPlan { wait, ..plan() }).unwrap());
            let stop = std::sync::atomic::AtomicBool::new(false);
            let done = std::thread::scope(|scope| {
                let bare = scope.spawn(|| bare_forward_loop(&mut source, &stop, 64));
                // Only the loop itself stamps the heartbeat.
                std::thread::sleep(Duration::from_millis(50));
                for i in 0..300 {
                    a.send(&ipv4(&[], 1, i, 20));
                    if i % 100 == 0 {
                        std::thread::sleep(Duration::from_millis(60));
                    }
                }
                let got = b.drain(QUIET).len();
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
                assert_eq!(got, 300, "{wait:?}");
                bare.join().unwrap()
            });
            assert_eq!((done.forwarded, done.dropped, done.gone), (300, 0, None), "{wait:?}");
        }
    });
}
