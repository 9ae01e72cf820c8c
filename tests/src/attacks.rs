//! The attacks that one packet carries, made by hand: one sender's, on one target, as a detector
//! of them must know them.
//!
//! Must never know: the engine's own notion of a packet.

use std::net::IpAddr;

use crate::frames::internet_checksum;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ROUTING: u8 = 43;
const ICMP6: u8 = 58;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;

/// The server's port of a conversation in which an attack may lie; WinNuke asks for this one.
pub const PORT: u16 = 139;
/// The client's.
const CLIENT_PORT: u16 = 40_000;

/// Who sends what to whom.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// The sender.
    pub from: IpAddr,
    /// Whom it is meant for.
    pub to: IpAddr,
}

/// What an attack lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// A datagram that nothing came before.
    Alone,
    /// The conversation that [`handshake`] has opened.
    Conversation,
}

/// An attack: the rule that names it, and its packets.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    /// The rule's number in `packet-attacks`.
    pub sid: u64,
    /// Whether it is one of IPv6.
    pub is_v6: bool,
    /// Its packets, in order.
    pub packets: fn(Ends, Carrier) -> Vec<Vec<u8>>,
}

/// All of them, but for LAND, smurf and WinNuke, whose ends are special.
pub const ATTACKS: [Attack; 18] = [
    Attack { sid: 2, is_v6: false, packets: |ends, _| vec![late_fragment(ends, ICMP)] },
    Attack { sid: 3, is_v6: false, packets: |ends, by| fragments(ends, by, (2, 8)) },
    Attack { sid: 4, is_v6: false, packets: |ends, by| fragments(ends, by, (4, 48)) },
    Attack { sid: 5, is_v6: false, packets: |ends, _| vec![tiny_fragment(ends)] },
    Attack { sid: 6, is_v6: false, packets: past_end },
    Attack { sid: 9, is_v6: false, packets: |ends, _| vec![flags(ends, 0)] },
    Attack { sid: 10, is_v6: false, packets: |ends, _| vec![flags(ends, FIN | PSH | URG)] },
    Attack { sid: 11, is_v6: false, packets: |ends, _| vec![flags(ends, SYN | FIN)] },
    Attack { sid: 12, is_v6: false, packets: |ends, _| vec![flags(ends, SYN | RST)] },
    Attack { sid: 13, is_v6: false, packets: |ends, _| vec![flags(ends, FIN)] },
    Attack { sid: 15, is_v6: false, packets: |ends, by| vec![source_route(ends, by, 131)] },
    Attack { sid: 16, is_v6: false, packets: |ends, by| vec![source_route(ends, by, 137)] },
    Attack { sid: 17, is_v6: true, packets: |ends, by| vec![routing_type_0(ends, by)] },
    Attack { sid: 18, is_v6: true, packets: |ends, by| vec![extended(ends, by, &[0])] },
    Attack { sid: 19, is_v6: true, packets: |ends, by| vec![extended(ends, by, &[60, 0])] },
    Attack { sid: 20, is_v6: true, packets: |ends, by| vec![extended(ends, by, &[0, 0])] },
    Attack { sid: 21, is_v6: true, packets: |ends, _| vec![neighbour_from_afar(ends)] },
    Attack { sid: 22, is_v6: false, packets: |ends, by| vec![wrong_option(ends, by)] },
];

/// SYN, SYN-ACK and ACK between a client and a server.
#[must_use]
pub fn handshake(client: IpAddr, server: IpAddr, port: u16) -> Vec<Vec<u8>> {
    let (up, down) = ((client, server), (server, client));
    let (to_server, to_client) = ((CLIENT_PORT, port), (port, CLIENT_PORT));
    vec![
        whole(up.0, up.1, TCP, &tcp(up, to_server, SYN, (0, 0), b"")),
        whole(down.0, down.1, TCP, &tcp(down, to_client, SYN | ACK, (100, 1), b"")),
        whole(up.0, up.1, TCP, &tcp(up, to_server, ACK, (1, 101), b"")),
    ]
}

/// WinNuke: out-of-band data in a conversation with the NetBIOS port.
#[must_use]
pub fn winnuke(ends: Ends) -> Vec<u8> {
    let way = (ends.from, ends.to);
    let mut segment = tcp(way, (CLIENT_PORT, PORT), PSH | ACK | URG, (1, 101), b"out of band");
    segment[18..20].copy_from_slice(&11_u16.to_be_bytes());
    summed(&mut segment, way, TCP, 16);
    whole(ends.from, ends.to, TCP, &segment)
}

/// LAND: a SYN that its target has sent to itself, as it says.
#[must_use]
pub fn land(target: IpAddr) -> Vec<u8> {
    whole(target, target, TCP, &tcp((target, target), (PORT, PORT), SYN, (0, 0), b""))
}

/// An echo request of IPv4: a ping, or smurf where many are asked in a victim's name.
#[must_use]
pub fn echo_request(ends: Ends) -> Vec<u8> {
    let mut echo = [&[8, 0, 0, 0, 0, 1, 0, 1][..], &[0x5a; 24]].concat();
    let sum = internet_checksum(&echo);
    echo[2..4].copy_from_slice(&sum.to_be_bytes());
    whole(ends.from, ends.to, ICMP, &echo)
}

/// A segment of a conversation, or a datagram of its own: 48 bytes that carry a shape of headers.
fn carried(ends: Ends, by: Carrier) -> (u8, Vec<u8>) {
    let way = (ends.from, ends.to);
    match by {
        Carrier::Conversation => {
            (TCP, tcp(way, (CLIENT_PORT, PORT), PSH | ACK, (1, 101), &[0x5a; 28]))
        }
        Carrier::Alone => {
            let mut datagram = [&[0x9c, 0x40, 0, 7, 0, 48, 0, 0][..], &[0x5a; 40]].concat();
            summed(&mut datagram, way, UDP, 6);
            (UDP, datagram)
        }
    }
}

fn flags(ends: Ends, flags: u8) -> Vec<u8> {
    let way = (ends.from, ends.to);
    whole(ends.from, ends.to, TCP, &tcp(way, (CLIENT_PORT, PORT), flags, (1, 101), b""))
}

/// A first fragment of 48 bytes, and one at an offset (in eight bytes) of so many other bytes.
fn fragments(ends: Ends, by: Carrier, (offset, len): (u16, usize)) -> Vec<Vec<u8>> {
    let (protocol, first) = carried(ends, by);
    vec![v4(ends, protocol, &[], MORE, &first), v4(ends, protocol, &[], offset, &vec![0xa5; len])]
}

fn tiny_fragment(ends: Ends) -> Vec<u8> {
    let segment = tcp((ends.from, ends.to), (CLIENT_PORT, PORT), ACK, (1, 101), b"");
    v4(ends, TCP, &[], MORE, &segment[..8])
}

fn past_end(ends: Ends, by: Carrier) -> Vec<Vec<u8>> {
    let (protocol, first) = carried(ends, by);
    vec![v4(ends, protocol, &[], MORE, &first), late_fragment(ends, protocol)]
}

/// A last fragment that ends beyond 65,535 bytes; of ICMP: ping of death.
fn late_fragment(ends: Ends, protocol: u8) -> Vec<u8> {
    v4(ends, protocol, &[], 8_189, &[0x5a; 600])
}

fn source_route(ends: Ends, by: Carrier, kind: u8) -> Vec<u8> {
    let (protocol, payload) = carried(ends, by);
    v4(ends, protocol, &[kind, 7, 4, 192, 0, 2, 254, 0], 0, &payload)
}

/// A record-route option that is shorter than its own head.
fn wrong_option(ends: Ends, by: Carrier) -> Vec<u8> {
    let (protocol, payload) = carried(ends, by);
    v4(ends, protocol, &[7, 1, 0, 0], 0, &payload)
}

fn routing_type_0(ends: Ends, by: Carrier) -> Vec<u8> {
    let (protocol, payload) = carried(ends, by);
    let relay = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77];
    let header = [&[protocol, 2, 0, 1, 0, 0, 0, 0][..], &relay].concat();
    v6(ends, ROUTING, 64, &[header, payload].concat())
}

/// Extension headers of these kinds in a row (0 hop-by-hop, 60 destination options), padding only.
fn extended(ends: Ends, by: Carrier, kinds: &[u8]) -> Vec<u8> {
    let (protocol, payload) = carried(ends, by);
    let mut behind = (protocol, payload);
    for kind in kinds.iter().rev() {
        behind = (*kind, [&[behind.0, 0, 1, 4, 0, 0, 0, 0][..], &behind.1].concat());
    }
    v6(ends, behind.0, 64, &behind.1)
}

/// A neighbour advertisement that has passed a router.
fn neighbour_from_afar(ends: Ends) -> Vec<u8> {
    let IpAddr::V6(target) = ends.from else { panic!("IPv6") };
    let mut message = [&[136, 0, 0, 0, 0x20, 0, 0, 0][..], &target.octets()].concat();
    summed(&mut message, (ends.from, ends.to), ICMP6, 2);
    v6(ends, ICMP6, 64, &message)
}

fn tcp(
    way: (IpAddr, IpAddr),
    ports: (u16, u16),
    flags: u8,
    numbers: (u32, u32),
    bytes: &[u8],
) -> Vec<u8> {
    let mut segment = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    segment.extend_from_slice(&numbers.0.to_be_bytes());
    segment.extend_from_slice(&numbers.1.to_be_bytes());
    segment.extend_from_slice(&[0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    segment.extend_from_slice(bytes);
    summed(&mut segment, way, TCP, 16);
    segment
}

/// Writes the checksum over the pseudo-header and the message.
fn summed(message: &mut [u8], (from, to): (IpAddr, IpAddr), protocol: u8, at: usize) {
    message[at..at + 2].fill(0);
    let len = u32::try_from(message.len()).expect("a packet is short");
    let address = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let tail = [&len.to_be_bytes()[..], &[0, 0, 0, protocol], message].concat();
    let sum = internet_checksum(&[address(from), address(to), tail].concat());
    message[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

fn whole(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let ends = Ends { from, to };
    match from {
        IpAddr::V4(_) => v4(ends, protocol, &[], 0, payload),
        IpAddr::V6(_) => v6(ends, protocol, 64, payload),
    }
}

/// "More fragments" in the word that an offset (in eight bytes) stands in.
const MORE: u16 = 0x2000;

fn v4(ends: Ends, protocol: u8, options: &[u8], fragment: u16, payload: &[u8]) -> Vec<u8> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (ends.from, ends.to) else { panic!("IPv4") };
    let words = u8::try_from(5 + options.len() / 4).expect("options are short");
    let len = u16::try_from(20 + options.len() + payload.len()).expect("a packet is short");
    let mut header = vec![0x40 | words, 0, 0, 0, 0x12, 0x34, 0, 0, 64, protocol, 0, 0];
    header[2..4].copy_from_slice(&len.to_be_bytes());
    header[6..8].copy_from_slice(&fragment.to_be_bytes());
    header.extend_from_slice(&from.octets());
    header.extend_from_slice(&to.octets());
    header.extend_from_slice(options);
    let sum = internet_checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    [&header[..], payload].concat()
}

fn v6(ends: Ends, next: u8, hops: u8, payload: &[u8]) -> Vec<u8> {
    let (IpAddr::V6(from), IpAddr::V6(to)) = (ends.from, ends.to) else { panic!("IPv6") };
    let [high, low] = u16::try_from(payload.len()).expect("a packet is short").to_be_bytes();
    let head = [0x60, 0, 0, 0, high, low, next, hops];
    [&head[..], &from.octets(), &to.octets(), payload].concat()
}
