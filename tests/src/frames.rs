//! Frames made by hand, for wires on which every byte counts.
//!
//! Must never know: the engine's own notion of a frame.

use std::net::Ipv4Addr;

/// Tags as bytes: none, 802.1Q, 802.1ad with 802.1Q, 802.1Q twice, VID 0, and priority bits.
pub const TAG_STACKS: [(&str, &[u8]); 7] = [
    ("untagged", &[]),
    ("10", &[0x81, 0, 0, 10]),
    ("20", &[0x81, 0, 0, 20]),
    ("10.20 by 802.1ad", &[0x88, 0xa8, 0, 10, 0x81, 0, 0, 20]),
    ("10.20 by 802.1Q", &[0x81, 0, 0, 10, 0x81, 0, 0, 20]),
    ("priority 5 without a VLAN", &[0x81, 0, 0xa0, 0]),
    ("10 with priority 7 and DEI", &[0x81, 0, 0xf0, 10]),
];

const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 7, 1];
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 7, 2];

/// An Ethernet frame: two addresses, tags, ethertype, payload; padded to the 60 bytes of a wire.
#[must_use]
pub fn ethernet(to: [u8; 6], tags: &[u8], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [&to[..], &CLIENT_MAC, tags, &ethertype.to_be_bytes(), payload].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

/// An IPv4 packet with a right header checksum.
#[must_use]
pub fn ipv4(source: Ipv4Addr, target: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(20 + payload.len()).expect("a packet is at most 65535 bytes");
    let mut header = vec![0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, protocol, 0, 0];
    header[2..4].copy_from_slice(&len.to_be_bytes());
    header.extend_from_slice(&source.octets());
    header.extend_from_slice(&target.octets());
    let sum = internet_checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    [&header[..], payload].concat()
}

/// A UDP datagram without a checksum, which IPv4 allows.
#[must_use]
pub fn udp(source_port: u16, target_port: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).expect("a datagram is at most 65535 bytes");
    let ports = [source_port.to_be_bytes(), target_port.to_be_bytes()].concat();
    [&ports[..], &len.to_be_bytes(), &[0, 0], payload].concat()
}

/// A TCP segment with a right checksum.
#[must_use]
pub fn tcp(source: Ipv4Addr, target: Ipv4Addr, ports: (u16, u16), flags: u8) -> Vec<u8> {
    tcp_with(source, target, ports, flags, (0, 0), &[])
}

/// A TCP segment with sequence and acknowledgement numbers and a payload; its checksum is right.
#[must_use]
pub fn tcp_with(
    source: Ipv4Addr,
    target: Ipv4Addr,
    ports: (u16, u16),
    flags: u8,
    numbers: (u32, u32),
    payload: &[u8],
) -> Vec<u8> {
    let mut segment = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    segment.extend_from_slice(&numbers.0.to_be_bytes());
    segment.extend_from_slice(&numbers.1.to_be_bytes());
    segment.extend_from_slice(&[0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    segment.extend_from_slice(payload);
    let len = u16::try_from(segment.len()).expect("a segment is at most 65535 bytes");
    let kind_and_len = [&[0, 6][..], &len.to_be_bytes()].concat();
    let pseudo = [&source.octets()[..], &target.octets(), &kind_and_len, &segment].concat();
    let sum = internet_checksum(&pseudo);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    segment
}

/// Frames of every kind that has to pass, in every tag stack: IPv4 with UDP, TCP, ICMP and SCTP of
/// several lengths, IPv6, ARP, and what is not ours to judge: an unknown ethertype, LLDP, a BPDU.
#[must_use]
pub fn of_every_kind() -> Vec<Vec<u8>> {
    let client = Ipv4Addr::new(10, 9, 1, 1);
    let server = Ipv4Addr::new(10, 9, 1, 2);
    let mut frames = Vec::new();
    for (number, (_, tags)) in (0_u16..).zip(TAG_STACKS) {
        for len in [0, 1, 18, 511, 1464] {
            let datagram = udp(1000 + number, 2000, &vec![0x5a; len]);
            frames.push(ethernet(SERVER_MAC, tags, 0x0800, &ipv4(client, server, 17, &datagram)));
        }
        let syn = tcp(client, server, (3000 + number, 80), 0x02);
        frames.push(ethernet(SERVER_MAC, tags, 0x0800, &ipv4(client, server, 6, &syn)));
        let mut echo = vec![8, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3, 4];
        let sum = internet_checksum(&echo);
        echo[2..4].copy_from_slice(&sum.to_be_bytes());
        frames.push(ethernet(SERVER_MAC, tags, 0x0800, &ipv4(client, server, 1, &echo)));
        frames.push(ethernet(SERVER_MAC, tags, 0x86dd, &ipv6_without_upper_layer()));
        frames.push(ethernet([0xff; 6], tags, 0x0806, &arp_request(client, server)));
        frames.push(ethernet(SERVER_MAC, tags, 0x88b5, b"local experimental ethertype"));
        frames.push(ethernet([1, 0x80, 0xc2, 0, 0, 0x0e], tags, 0x88cc, &[2, 7, 4, 1, 2, 3]));
        let bpdu = [0x42, 0x42, 3, 0, 0, 0, 0, 0];
        frames.push(ethernet([1, 0x80, 0xc2, 0, 0, 0], tags, 8, &bpdu));
    }
    frames
}

/// IPv6 whose next header is "none" (59): the smallest whole packet.
fn ipv6_without_upper_layer() -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, 59, 64];
    for host in [1, 2] {
        packet.extend_from_slice(&[0xfd, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, host]);
    }
    packet
}

fn arp_request(sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let fixed = [0, 1, 8, 0, 6, 4, 0, 1];
    [&fixed[..], &CLIENT_MAC, &sender.octets(), &[0; 6], &target.octets()].concat()
}

/// The checksum of RFC 1071 over these bytes.
///
/// # Panics
/// Never: the carries of 16-bit words are folded in.
#[must_use]
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([pair[0], low]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("the carries are folded in")
}

#[cfg(test)]
mod tests {
    use super::internet_checksum;

    #[test]
    fn the_checksum_is_that_of_rfc_1071() {
        assert_eq!(internet_checksum(&[0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }
}
