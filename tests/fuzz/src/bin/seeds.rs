//! Writes the first inputs of every target to `corpus/TARGET/`, so that no run starts from nothing.

use portcullis_wire::build::Craft;
use portcullis_wire::{Fragment, TcpFlags};
use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    write("abi", &batches())?;
    write("exclusions", &exclusions())?;
    write("flow", &histories())?;
    write("wire", &frames())
}

fn write(target: &str, seeds: &[Vec<u8>]) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    for (index, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("seed-{index:03}")), seed)?;
    }
    Ok(())
}

/// A batch of two events with a flow, a buffer and a slot, and an empty one.
fn batches() -> Vec<Vec<u8>> {
    let word = |arena: &mut [u8], at: usize, value: u32| {
        arena[at..at + 4].copy_from_slice(&value.to_le_bytes());
    };
    let mut empty = vec![0; 128];
    empty[..8].copy_from_slice(b"PCA1\x01\0\x80\0");
    let mut full = empty.clone();
    full.resize(640, 0);
    // Counts, strides and places of flows, events and buffers; slots; data; the range to judge.
    let words = [
        (24, [1, 160, 128]),
        (36, [2, 64, 288]),
        (48, [1, 32, 416]),
        (72, [448, 64, 512]),
        (84, [100, 0, 2]),
    ];
    for (at, values) in words {
        for (i, value) in values.into_iter().enumerate() {
            word(&mut full, at + 4 * i, value);
        }
    }
    word(&mut full, 440, 520);
    word(&mut full, 444, 10);
    vec![empty, full]
}

/// Rows with every clause of the grammar.
fn exclusions() -> Vec<Vec<u8>> {
    [
        "10.0.0.0/8 vlan 10 do-not-block",
        "any novlan ignore",
        "2001:db8::1-2001:db8::9 vlan 10.20 to any protocol udp port 53-54 do-not-scan",
        "192.0.2.1 vlan 4095 segment dmz rule 1:2010935:3 terminate-and-block for 1h30m \
         expires 2027-01-31T18:00:00+02:00 owner \"ann\" comment \"a \\\"scanner\\\"\"",
        "any default expires in 2h",
    ]
    .map(|row| row.as_bytes().to_vec())
    .to_vec()
}

/// One frame of every kind that the parser has a file for.
fn frames() -> Vec<Vec<u8>> {
    let (a, b) = ("10.0.0.1", "10.0.0.2");
    let (a6, b6) = ("2001:db8::1", "2001:db8::2");
    let syn = [2, 4, 5, 0xb4, 1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 8];
    let udp = Craft::udp(a, 5353, b, 53).payload(b"question");
    let six = Craft::udp(a6, 5353, b6, 53).payload(b"question");
    let quoted = udp.datagram();
    let part = Fragment { id: 7, offset: 0, more: true };
    let crafts = [
        Craft::tcp(a, 40_000, b, 80).flags(TcpFlags::SYN).tcp_options(&syn),
        Craft::tcp(a6, 40_000, b6, 80).vlan(10).payload(b"GET / HTTP/1.0\r\n\r\n"),
        udp.clone().tag(0x88a8, 10).vlan(20),
        udp.clone().ip_options(&[131, 11, 4, 10, 0, 0, 9, 10, 0, 0, 8, 0]),
        udp.clone().ip_options(&[68, 8, 5, 0, 0, 0, 0, 0]),
        udp.clone().part(part),
        six.clone().part(part),
        six.clone().extension(0, &[5, 2, 0, 0, 1, 0]).extension(43, &[0, 1, 0, 0, 0, 0]),
        six.clone().extension(60, &[0xc9, 4, 0, 0]).extension(51, &[0; 10]).extension(135, &[0; 6]),
        Craft::echo(a, b, 1, 2).payload(&[0; 56]),
        Craft::echo(a6, b6, 1, 2).payload(&[0; 56]),
        Craft::icmp(a, b, 3, 3).payload(&quoted),
        Craft::icmp(a6, b6, 1, 4).payload(&six.extension(60, &[1, 4, 0, 0, 0, 0]).datagram()),
        Craft::ip(a, "224.0.0.22", 2)
            .payload(&[0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 224, 0, 0, 9]),
        Craft::ip(a, b, 132).payload(&[0, 7, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 3, 0, 6, 1, 2, 0, 0]),
        Craft::arp(1, a, b),
    ];
    let mut frames: Vec<_> = crafts.iter().map(Craft::frame).collect();
    frames.extend(crafts.iter().map(Craft::datagram));
    let llc = [0, 60, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    frames.push([&[2; 12][..], &llc, &quoted].concat());
    frames.push([&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 9, 0, 0, 8, 0][..], &quoted].concat());
    frames
}

/// Histories of packets as `portcullis_flow::fuzz_admit` reads them: a policy byte, then twelve
/// bytes a packet: hosts, ports, protocol, length, two numbers, flags, fragment, offset, port of
/// the segment, pause, and what to do with the flow.
fn histories() -> Vec<Vec<u8>> {
    let handshake = [
        [0x21, 0x40, 0, 0, 0, 0, 0x02, 0, 0, 0, 1, 0xf1],
        [0x12, 0x01, 0, 0, 0, 0, 0x12, 0, 0, 1, 1, 0xf1],
        [0x21, 0x40, 0, 9, 0, 0, 0x10, 0, 0, 0, 1, 0xf1],
        [0x21, 0x40, 0, 0, 0, 0, 0x04, 0, 0, 0, 90, 0xf1],
    ];
    let fragments = [
        [0x21, 0x40, 4, 80, 0, 0, 0, 0x03, 0, 0, 1, 0xf1],
        [0x21, 0x40, 4, 80, 0, 0, 0, 0x03, 10, 0, 1, 0xf1],
        [0x21, 0x40, 4, 8, 0, 0, 0, 0x07, 5, 0, 1, 0xf1],
    ];
    let error = [
        [0x21, 0x40, 4, 9, 0, 0, 0, 0, 0, 0, 1, 0xf1],
        [0x12, 0x40, 6, 9, 2, 1, 0, 0, 0, 1, 1, 0xf0],
    ];
    [&handshake[..], &fragments, &error]
        .into_iter()
        .zip(0u8..)
        .map(|(packets, policy)| [&[policy][..], &packets.concat()].concat())
        .collect()
}
