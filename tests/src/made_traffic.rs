//! Traffic made by hand for captures: conversations, scans and datagrams, frame by frame.
//!
//! Must never know: the engine's own notion of a flow.

use std::net::Ipv4Addr;

use crate::frames;

/// Where a segment goes: addresses, then ports.
pub type Way = (Ipv4Addr, Ipv4Addr, u16, u16);

/// A frame around an IPv4 packet, with these tags.
#[must_use]
pub fn tagged(tags: &[u8], packet: &[u8]) -> Vec<u8> {
    frames::ethernet([2, 0, 0, 0, 7, 2], tags, 0x0800, packet)
}

/// A TCP segment in a frame without a tag; `numbers` are sequence and acknowledgement.
#[must_use]
pub fn segment(way: Way, flags: u8, numbers: (u32, u32), bytes: &[u8]) -> Vec<u8> {
    let (from, to, source, target) = way;
    let segment = frames::tcp_with(from, to, (source, target), flags, numbers, bytes);
    tagged(&[], &frames::ipv4(from, to, 6, &segment))
}

/// A handshake and the beginning of a request: a conversation that stays open.
#[must_use]
pub fn asking(client: Ipv4Addr, server: Ipv4Addr, port: u16, request: &[u8]) -> Vec<Vec<u8>> {
    let (up, down) = ((client, server, port, 80), (server, client, 80, port));
    vec![
        segment(up, 0x02, (0, 0), b""),
        segment(down, 0x12, (100, 1), b""),
        segment(up, 0x10, (1, 101), b""),
        segment(up, 0x18, (1, 101), request),
    ]
}

/// A conversation of one request for a path and one answer.
#[must_use]
pub fn fetch(client: Ipv4Addr, server: Ipv4Addr, port: u16, path: &str) -> Vec<Vec<u8>> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: h.example\r\n\r\n").into_bytes();
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let (up, down) = ((client, server, port, 80), (server, client, 80, port));
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("short");
    let (asked, answered) = (1 + length(&request), 101 + length(answer));
    let mut frames = asking(client, server, port, &request);
    frames.push(segment(down, 0x18, (101, asked), answer));
    frames.push(segment(up, 0x11, (asked, answered), b""));
    frames.push(segment(down, 0x11, (answered, asked + 1), b""));
    frames
}

/// A connection to each of many ports of a target: one in forty is open, the others refuse.
#[must_use]
pub fn connect_scan(scanner: Ipv4Addr, target: Ipv4Addr) -> Vec<Vec<u8>> {
    let one = |port: u16| {
        let (up, down) = ((scanner, target, 40_000, port), (target, scanner, port, 40_000));
        let syn = segment(up, 0x02, (0, 0), b"");
        if port % 40 != 2 {
            return vec![syn, segment(down, 0x14, (0, 1), b"")];
        }
        let opened = segment(down, 0x12, (900, 1), b"");
        let ack = segment(up, 0x10, (1, 901), b"");
        vec![syn, opened, ack, segment(up, 0x14, (1, 901), b"")]
    };
    (1..400).flat_map(one).collect()
}

/// SYNs to many ports of a target that never answers.
#[must_use]
pub fn blind_scan(scanner: Ipv4Addr, target: Ipv4Addr, tags: &[u8]) -> Vec<Vec<u8>> {
    let one = |port: u16| {
        let syn = frames::tcp(scanner, target, (40_000, port), 0x02);
        tagged(tags, &frames::ipv4(scanner, target, 6, &syn))
    };
    (1..400).map(one).collect()
}

/// The frames of several lines, one of each in turn.
#[must_use]
pub fn mixed(lines: &[Vec<Vec<u8>>]) -> Vec<Vec<u8>> {
    let longest = lines.iter().map(Vec::len).max().unwrap_or(0);
    let turns = (0..longest).flat_map(|at| lines.iter().filter_map(move |line| line.get(at)));
    turns.cloned().collect()
}
