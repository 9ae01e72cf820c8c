//! Real ports: byte-for-byte forwarding with every tag stack, fan-out, loss of a port.
#![allow(clippy::cast_possible_truncation, reason = "bytes of patterns")]
#![allow(clippy::unwrap_used, reason = "a test says what failed by where it stopped")]

use std::time::{Duration, Instant};

use super::*;
use crate::veth_lab::{VethLab, ip};

/// IEEE's ethertype for experiments: no stack answers it.
const MARK: [u8; 2] = [0x88, 0xb5];
const PATIENCE: Duration = Duration::from_secs(5);

fn small() -> AfPacketSettings {
    AfPacketSettings { blocks: 16, ..AfPacketSettings::default() }
}

fn open(lab: &VethLab, space: &str, a: &str, b: Option<&str>) -> AfPacketSource {
    lab.inside(space, || AfPacketSource::open(a, b, small())).unwrap()
}

/// A frame with these tags, numbered, so that order and content can be compared.
fn frame(tags: &[[u8; 4]], number: u16, len: usize) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2];
    for tag in tags {
        frame.extend(tag);
    }
    frame.extend(MARK);
    frame.extend(number.to_be_bytes());
    while frame.len() < len {
        frame.push((frame.len() & 0xff) as u8);
    }
    frame
}

fn assorted() -> Vec<Vec<u8>> {
    let stacks: [&[[u8; 4]]; 6] = [
        &[],
        &[[0x81, 0, 0, 10]],
        &[[0x81, 0, 0xe0, 0]],
        &[[0x88, 0xa8, 0, 20], [0x81, 0, 0, 10]],
        &[[0x81, 0, 0, 20], [0x81, 0, 0, 10]],
        &[[0x81, 0, 0, 1], [0x81, 0, 0, 2], [0x81, 0, 0x7f, 0xff]],
    ];
    (0..240_u16)
        .map(|i| frame(stacks[usize::from(i) % 6], i, 60 + usize::from(i) * 6 % 1_440))
        .collect()
}

/// Moves frames across the pair and collects what the two hosts' ends see, until both have
/// `wanted` marked frames.
fn collect(
    pair: &mut AfPacketSource,
    ends: [&mut AfPacketSource; 2],
    wanted: [usize; 2],
) -> [Vec<Vec<u8>>; 2] {
    let [left, right] = ends;
    let mut seen = [Vec::new(), Vec::new()];
    let start = Instant::now();
    let mut burst = Vec::new();
    while (seen[0].len() < wanted[0] || seen[1].len() < wanted[1]) && start.elapsed() < PATIENCE {
        pair.wait(Duration::from_millis(2));
        pair.receive(&mut burst, 64);
        for frame in burst.drain(..) {
            pair.forward(frame.slot).unwrap();
        }
        pair.flush();
        for (end, seen) in [&mut *left, &mut *right].into_iter().zip(&mut seen) {
            end.receive(&mut burst, 64);
            for frame in burst.drain(..) {
                let bytes = end.bytes(&frame.slot).to_vec();
                if bytes.windows(2).take(26).any(|w| w == MARK) {
                    seen.push(bytes);
                }
                end.discard(frame.slot);
            }
        }
    }
    seen
}

#[test]
fn a_pair_forwards_every_tag_stack_byte_for_byte() {
    let Some(lab) = VethLab::new() else { return };
    let mut left = open(&lab, &lab.left(), "l0", None);
    let mut right = open(&lab, &lab.right(), "r0", None);
    let mut pair = open(&lab, &lab.middle(), "a", Some("b"));
    let frames = assorted();
    for frame in &frames {
        left.inject(PortSide::A, frame).unwrap();
        right.inject(PortSide::A, frame).unwrap();
    }
    left.flush();
    right.flush();
    let [at_left, at_right] = collect(&mut pair, [&mut left, &mut right], [240, 240]);
    assert!(at_right == frames, "left to right: {} of 240", at_right.len());
    assert!(at_left == frames, "right to left: {} of 240", at_left.len());
    let statistics = pair.statistics();
    assert_eq!(statistics.in_hand, 0, "every block is back");
    assert_eq!(statistics.port(PortSide::A).kernel_dropped, 0);
    assert!(statistics.port(PortSide::B).transmitted >= 240);
    assert_eq!(left.statistics().port(PortSide::A).transmitted, 240);
}

#[test]
fn frames_longer_than_the_way_on_are_counted_and_the_rest_passes() {
    let Some(lab) = VethLab::new() else { return };
    let middle = lab.middle();
    assert!(ip(&["-n", &middle, "link", "set", "dev", "b", "mtu", "1000"]));
    let mut left = open(&lab, &lab.left(), "l0", None);
    let mut right = open(&lab, &lab.right(), "r0", None);
    let mut pair = open(&lab, &middle, "a", Some("b"));
    for (number, len) in [(1, 100), (2, 1_400), (3, 200)] {
        left.inject(PortSide::A, &frame(&[], number, len)).unwrap();
    }
    left.flush();
    let [_, seen] = collect(&mut pair, [&mut left, &mut right], [0, 2]);
    assert_eq!(seen, [frame(&[], 1, 100), frame(&[], 3, 200)]);
    assert_eq!(pair.statistics().port(PortSide::B).oversize, 1);
}

#[test]
fn workers_share_a_port_and_hand_frames_over() {
    let Some(lab) = VethLab::new() else { return };
    let mut left = open(&lab, &lab.left(), "l0", None);
    let mut right = open(&lab, &lab.right(), "r0", None);
    let workers = lab
        .inside(&lab.middle(), || AfPacketSource::open_workers("a", Some("b"), small(), 2))
        .unwrap();
    let [mut one, mut two] = <[AfPacketSource; 2]>::try_from(workers).ok().unwrap();
    // UDP between many ports, so that the hash has something to spread.
    let flow = |port: u16, forth: bool| {
        let mut f = frame(&[], 0, 42);
        f.truncate(12);
        f.extend([0x08, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]);
        let (near, far) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let (from, to) = if forth { (near, far) } else { (far, near) };
        let (from_port, to_port) = if forth { (port, 53) } else { (53, port) };
        f.extend([from, to].concat());
        f.extend([from_port.to_be_bytes(), to_port.to_be_bytes(), [0, 8], [0, 0]].concat());
        f
    };
    for port in 1_000..1_064 {
        left.inject(PortSide::A, &flow(port, true)).unwrap();
        right.inject(PortSide::A, &flow(port, false)).unwrap();
    }
    left.flush();
    right.flush();
    let start = Instant::now();
    let (mut of_one, mut of_two, mut burst) = (Vec::new(), Vec::new(), Vec::new());
    let port_of =
        |b: &[u8]| u16::from_be_bytes([b[34], b[35]]).max(u16::from_be_bytes([b[36], b[37]]));
    while of_one.len() + of_two.len() < 128 && start.elapsed() < PATIENCE {
        one.wait(Duration::from_millis(2));
        one.receive(&mut burst, 64);
        for frame in burst.drain(..) {
            of_one.push((port_of(one.bytes(&frame.slot)), frame.side));
            // What worker one gets, worker two sends.
            let lent = one.lend(frame.slot, frame.side);
            let (slot, side) = two.adopt(lent);
            assert_eq!(side, frame.side);
            two.forward(slot).unwrap();
        }
        two.receive(&mut burst, 64);
        for frame in burst.drain(..) {
            of_two.push((port_of(two.bytes(&frame.slot)), frame.side));
            two.forward(frame.slot).unwrap();
        }
        two.flush();
    }
    assert_eq!(of_one.len() + of_two.len(), 128, "each frame came to one worker, once");
    assert!(!of_one.is_empty() && !of_two.is_empty(), "both workers have work");
    for (port, side) in &of_one {
        assert!(of_one.contains(&(*port, side.other())), "both directions of {port} meet");
    }
    let statistics = one.statistics();
    assert_eq!((statistics.in_hand, statistics.returned_home), (0, of_one.len() as u64));
    let mut arrived = 0;
    let start = Instant::now();
    while arrived < 64 && start.elapsed() < PATIENCE {
        right.receive(&mut burst, 64);
        for frame in burst.drain(..) {
            arrived += 1;
            right.discard(frame.slot);
        }
    }
    assert_eq!(arrived, 64);
}

#[test]
fn a_deleted_port_is_told_and_a_tap_forwards_nothing() {
    let Some(lab) = VethLab::new() else { return };
    let mut left = open(&lab, &lab.left(), "l0", None);
    let mut tap = open(&lab, &lab.middle(), "a", None);
    left.inject(PortSide::A, &frame(&[], 1, 60)).unwrap();
    left.flush();
    let mut burst = Vec::new();
    let start = Instant::now();
    while tap.receive(&mut burst, 8) == Received::Nothing && start.elapsed() < PATIENCE {
        tap.wait(Duration::from_millis(5));
    }
    assert_eq!(tap.bytes(&burst[0].slot), frame(&[], 1, 60));
    assert_eq!(tap.forward(burst.remove(0).slot), Err(DropReason::Copy));
    assert_eq!(tap.inject(PortSide::B, &[0; 60]), Err(DropReason::PortDown));
    assert!(ip(&["-n", &lab.left(), "link", "del", "l0"]));
    let start = Instant::now();
    while tap.receive(&mut burst, 8) != Received::PortGone(PortSide::A) {
        assert!(start.elapsed() < PATIENCE, "the loss of the port is told");
        tap.wait(Duration::from_millis(20));
    }
}

#[test]
fn impossible_settings_and_ports_are_refused() {
    let odd = AfPacketSettings { block_bytes: 5_000, ..small() };
    assert!(AfPacketSource::open("lo", None, odd).is_err());
    assert!(AfPacketSource::open_workers("lo", None, small(), 0).is_err());
    let error = AfPacketSource::open("no-such-port", None, small()).err().unwrap().to_string();
    assert!(error.contains("no-such-port"), "{error}");
}

/// With both ends mended, two ordinary hosts talk through the pair; ping alone would prove nothing.
#[test]
fn hosts_talk_tcp_and_udp_through_a_mended_pair() {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::sync::atomic::{AtomicBool, Ordering};
    let Some(lab) = VethLab::new() else { return };
    for (space, port, address) in
        [(lab.left(), "l0", "10.77.0.1/24"), (lab.right(), "r0", "10.77.0.2/24")]
    {
        assert!(ip(&["-n", &space, "addr", "add", address, "dev", port]));
    }
    let mended = lab.inside(&lab.middle(), || {
        [crate::offload::fix("a").unwrap(), crate::offload::fix("b").unwrap()].concat()
    });
    assert_eq!(mended, []);
    let mut pair = open(&lab, &lab.middle(), "a", Some("b"));
    let done = AtomicBool::new(false);
    const BYTES: usize = 2_000_000;
    std::thread::scope(|scope| {
        let (lab, done) = (&lab, &done);
        let forwarding = scope.spawn(move || {
            let mut burst = Vec::new();
            // A failed assertion below must not keep this thread for ever.
            let start = Instant::now();
            while !done.load(Ordering::Relaxed) && start.elapsed() < PATIENCE * 6 {
                pair.wait(Duration::from_millis(5));
                pair.receive(&mut burst, 64);
                for frame in burst.drain(..) {
                    let _counted = pair.forward(frame.slot);
                }
                pair.flush();
            }
            pair.statistics()
        });
        let (listener, server) = lab.inside(&lab.right(), || {
            let tcp = TcpListener::bind("10.77.0.2:7000").unwrap();
            (tcp, UdpSocket::bind("10.77.0.2:7001").unwrap())
        });
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let receiver = scope.spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut all = Vec::new();
            let _ = stream.read_to_end(&mut all);
            all
        });
        let (mut stream, client) = lab.inside(&lab.left(), || {
            let address = "10.77.0.2:7000".parse().unwrap();
            let tcp = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
            (tcp, UdpSocket::bind("10.77.0.1:0").unwrap())
        });
        let sent: Vec<u8> = (0..BYTES).map(|i| (i % 251) as u8).collect();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&sent).unwrap();
        drop(stream);
        assert!(receiver.join().unwrap() == sent, "TCP arrives whole");
        let mut buffer = [0; 2_000];
        for i in 0..100_u8 {
            client.send_to(&vec![i; 100 + usize::from(i) * 10], "10.77.0.2:7001").unwrap();
            let count = server.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..count], vec![i; 100 + usize::from(i) * 10]);
        }
        done.store(true, Ordering::Relaxed);
        let statistics = forwarding.join().unwrap();
        assert_eq!(statistics.in_hand, 0);
        assert_eq!(statistics.port(PortSide::B).oversize, 0, "no frame beyond the MTU");
        assert!(statistics.port(PortSide::B).transmitted_bytes > BYTES as u64);
    });
}
