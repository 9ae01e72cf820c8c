//! Frames crafted for tests, demos and benches, with right lengths and checksums.
//!
//! ```
//! use portcullis_wire::{Checks, LinkType, TcpFlags, build::Craft, parse};
//! let frame = Craft::tcp("10.0.0.1", 40000, "10.0.0.2", 80).vlan(10).flags(TcpFlags::SYN).frame();
//! let packet = parse(&frame, LinkType::Ethernet, Checks::ALL).expect("a SYN");
//! assert_eq!((packet.dst_port, packet.vlan.to_vec()), (80, vec![10]));
//! ```
//!
//! Not for the street: this module allocates, and panics on addresses that are none.

use crate::{Fragment, TcpFlags, checksum, ethertype, narrow, protocol};
use portcullis_types::{Addr, Mac};

/// The recipe for one frame. Every setting has an ordinary default.
#[derive(Clone, Debug)]
pub struct Craft {
    src_mac: Mac,
    dst_mac: Mac,
    tags: Vec<[u8; 4]>,
    src: Addr,
    dst: Addr,
    ttl: u8,
    tos: u8,
    ip_options: Vec<u8>,
    extensions: Vec<(u8, Vec<u8>)>,
    part: Option<Fragment>,
    upper: Upper,
    payload: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Upper {
    Arp { operation: u16, sender: Mac },
    Icmp { kind: u8, code: u8, rest: [u8; 4] },
    Other(u8),
    Tcp(Box<TcpHeader>),
    Udp { src: u16, dst: u16 },
}

#[derive(Clone, Debug)]
struct TcpHeader {
    src: u16,
    dst: u16,
    seq: u32,
    ack: u32,
    flags: TcpFlags,
    window: u16,
    urgent: u16,
    options: Vec<u8>,
}

/// An address, or its text, for the makers of [`Craft`].
pub trait IntoAddr {
    /// The address.
    ///
    /// # Panics
    /// Where a text is no address.
    fn into_addr(self) -> Addr;
}

impl IntoAddr for Addr {
    fn into_addr(self) -> Addr {
        self
    }
}

impl IntoAddr for &str {
    fn into_addr(self) -> Addr {
        self.parse().expect("a crafted frame needs an IP address such as 10.0.0.1 or 2001:db8::1")
    }
}

impl Craft {
    /// A TCP segment with ACK alone; see [`Craft::flags`].
    pub fn tcp(src: impl IntoAddr, src_port: u16, dst: impl IntoAddr, dst_port: u16) -> Self {
        let header = TcpHeader {
            src: src_port,
            dst: dst_port,
            seq: 1,
            ack: 1,
            flags: TcpFlags::ACK,
            window: 64_240,
            urgent: 0,
            options: Vec::new(),
        };
        Craft::new(src.into_addr(), dst.into_addr(), Upper::Tcp(Box::new(header)))
    }

    /// A UDP datagram.
    pub fn udp(src: impl IntoAddr, src_port: u16, dst: impl IntoAddr, dst_port: u16) -> Self {
        let upper = Upper::Udp { src: src_port, dst: dst_port };
        Craft::new(src.into_addr(), dst.into_addr(), upper)
    }

    /// An ICMP message of the version that fits the addresses.
    pub fn icmp(src: impl IntoAddr, dst: impl IntoAddr, kind: u8, code: u8) -> Self {
        Craft::new(src.into_addr(), dst.into_addr(), Upper::Icmp { kind, code, rest: [0; 4] })
    }

    /// An echo request of the version that fits the addresses.
    pub fn echo(src: impl IntoAddr, dst: impl IntoAddr, id: u16, sequence: u16) -> Self {
        let (src, dst) = (src.into_addr(), dst.into_addr());
        let kind = if src.is_v4() { 8 } else { 128 };
        Craft::icmp(src, dst, kind, 0).icmp_id(id, sequence)
    }

    /// A packet of any other protocol; [`Craft::payload`] is what stands behind the IP header.
    pub fn ip(src: impl IntoAddr, dst: impl IntoAddr, protocol: u8) -> Self {
        Craft::new(src.into_addr(), dst.into_addr(), Upper::Other(protocol))
    }

    /// An ARP packet: operation 1 asks who has `target`, 2 answers.
    pub fn arp(operation: u16, sender: impl IntoAddr, target: impl IntoAddr) -> Self {
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        let upper = Upper::Arp { operation, sender: mac };
        let dst_mac = if operation == 1 { Mac([0xff; 6]) } else { Mac([2, 0, 0, 0, 0, 2]) };
        Craft::new(sender.into_addr(), target.into_addr(), upper).macs(mac, dst_mac)
    }

    fn new(src: Addr, dst: Addr, upper: Upper) -> Self {
        Craft {
            src_mac: Mac([2, 0, 0, 0, 0, 1]),
            dst_mac: Mac([2, 0, 0, 0, 0, 2]),
            tags: Vec::new(),
            src,
            dst,
            ttl: 64,
            tos: 0,
            ip_options: Vec::new(),
            extensions: Vec::new(),
            part: None,
            upper,
            payload: Vec::new(),
        }
    }

    /// Hardware addresses.
    #[must_use]
    pub fn macs(mut self, src: Mac, dst: Mac) -> Self {
        (self.src_mac, self.dst_mac) = (src, dst);
        if let Upper::Arp { sender, .. } = &mut self.upper {
            *sender = src;
        }
        self
    }

    /// One more, inner, 802.1Q tag.
    #[must_use]
    pub fn vlan(self, vid: u16) -> Self {
        self.tag(ethertype::VLAN, vid)
    }

    /// One more, inner, tag with its TPID and its 16 bits of control information.
    #[must_use]
    pub fn tag(mut self, tpid: u16, control: u16) -> Self {
        let [t0, t1] = tpid.to_be_bytes();
        let [c0, c1] = control.to_be_bytes();
        self.tags.push([t0, t1, c0, c1]);
        self
    }

    /// Time to live or hop limit; 64 unless told.
    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// Type of service or traffic class.
    #[must_use]
    pub fn tos(mut self, tos: u8) -> Self {
        self.tos = tos;
        self
    }

    /// IPv4 options, padded with zeros to a multiple of four; at most 40 bytes count.
    #[must_use]
    pub fn ip_options(mut self, options: &[u8]) -> Self {
        self.ip_options = padded(options, 4);
        self.ip_options.truncate(40);
        self
    }

    /// One more IPv6 extension header: its number and what stands behind "next header" and length.
    /// Padded with zeros to a multiple of eight.
    #[must_use]
    pub fn extension(mut self, kind: u8, body: &[u8]) -> Self {
        self.extensions.push((kind, body.to_vec()));
        self
    }

    /// Marks the packet as that fragment, as it is: nothing is cut. See [`Craft::fragments`].
    #[must_use]
    pub fn part(mut self, part: Fragment) -> Self {
        self.part = Some(part);
        self
    }

    /// TCP flags.
    #[must_use]
    pub fn flags(mut self, flags: TcpFlags) -> Self {
        if let Upper::Tcp(header) = &mut self.upper {
            header.flags = flags;
        }
        self
    }

    /// TCP sequence and acknowledgement numbers.
    #[must_use]
    pub fn numbers(mut self, seq: u32, ack: u32) -> Self {
        if let Upper::Tcp(header) = &mut self.upper {
            (header.seq, header.ack) = (seq, ack);
        }
        self
    }

    /// TCP window.
    #[must_use]
    pub fn window(mut self, window: u16) -> Self {
        if let Upper::Tcp(header) = &mut self.upper {
            header.window = window;
        }
        self
    }

    /// TCP urgent pointer.
    #[must_use]
    pub fn urgent(mut self, urgent: u16) -> Self {
        if let Upper::Tcp(header) = &mut self.upper {
            header.urgent = urgent;
        }
        self
    }

    /// TCP options, padded with zeros to a multiple of four; at most 40 bytes count.
    #[must_use]
    pub fn tcp_options(mut self, options: &[u8]) -> Self {
        if let Upper::Tcp(header) = &mut self.upper {
            header.options = padded(options, 4);
            header.options.truncate(40);
        }
        self
    }

    /// ICMP identifier and sequence number.
    #[must_use]
    pub fn icmp_id(mut self, id: u16, sequence: u16) -> Self {
        if let Upper::Icmp { rest, .. } = &mut self.upper {
            let ([a, b], [c, d]) = (id.to_be_bytes(), sequence.to_be_bytes());
            *rest = [a, b, c, d];
        }
        self
    }

    /// What stands behind the upper-layer header; for ICMP errors the quoted packet.
    #[must_use]
    pub fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    /// The frame with its link header.
    pub fn frame(&self) -> Vec<u8> {
        let datagram = self.datagram();
        self.framed(&datagram)
    }

    /// The frame, padded with zeros to 60 bytes as a NIC does.
    pub fn padded_frame(&self) -> Vec<u8> {
        let mut frame = self.frame();
        frame.resize(frame.len().max(60), 0);
        frame
    }

    /// The IP or ARP packet without a link header.
    pub fn datagram(&self) -> Vec<u8> {
        if let Upper::Arp { operation, sender } = self.upper {
            return self.arp_bytes(operation, sender);
        }
        let segment = self.segment();
        if self.src.is_v4() { self.ipv4(&segment) } else { self.ipv6(&segment) }
    }

    /// The whole datagram in frames of fragments, each of at most `size` bytes of payload, rounded
    /// down to a multiple of eight, at least eight.
    pub fn fragments(&self, id: u32, size: usize) -> Vec<Vec<u8>> {
        let size = (size / 8 * 8).max(8);
        let segment = self.segment();
        let last = segment.len().saturating_sub(1) / size;
        let cut = |(index, chunk): (usize, &[u8])| {
            let offset = narrow(index * size);
            let part = Fragment { id, offset, more: index < last };
            let piece = self.clone().part(part);
            let datagram = if self.src.is_v4() { piece.ipv4(chunk) } else { piece.ipv6(chunk) };
            piece.framed(&datagram)
        };
        segment.chunks(size).enumerate().map(cut).collect()
    }

    fn framed(&self, datagram: &[u8]) -> Vec<u8> {
        let mut frame = [self.dst_mac.0, self.src_mac.0].concat();
        frame.extend(self.tags.iter().flatten());
        let kind = match self.upper {
            Upper::Arp { .. } => ethertype::ARP,
            _ if self.src.is_v4() => ethertype::IPV4,
            _ => ethertype::IPV6,
        };
        frame.extend(kind.to_be_bytes());
        frame.extend(datagram);
        frame
    }

    fn arp_bytes(&self, operation: u16, sender: Mac) -> Vec<u8> {
        let mut bytes = vec![0, 1, 8, 0, 6, 4];
        bytes.extend(operation.to_be_bytes());
        bytes.extend(sender.0);
        bytes.extend(self.src.as_v4().unwrap_or_default());
        bytes.extend(if operation == 1 { [0; 6] } else { self.dst_mac.0 });
        bytes.extend(self.dst.as_v4().unwrap_or_default());
        bytes
    }

    /// The protocol number of the upper layer.
    fn protocol(&self) -> u8 {
        match self.upper {
            Upper::Arp { .. } => 0,
            Upper::Icmp { .. } if self.src.is_v4() => protocol::ICMPV4,
            Upper::Icmp { .. } => protocol::ICMPV6,
            Upper::Other(number) => number,
            Upper::Tcp(_) => protocol::TCP,
            Upper::Udp { .. } => protocol::UDP,
        }
    }

    /// The upper-layer header, its checksum, and the payload.
    fn segment(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(60 + self.payload.len());
        let sum_at = match &self.upper {
            Upper::Arp { .. } => return bytes,
            Upper::Other(_) => return self.payload.clone(),
            Upper::Icmp { kind, code, rest } => {
                bytes.extend([*kind, *code, 0, 0]);
                bytes.extend(rest);
                2
            }
            Upper::Tcp(header) => {
                header.write(&mut bytes);
                16
            }
            Upper::Udp { src, dst } => {
                bytes.extend(src.to_be_bytes());
                bytes.extend(dst.to_be_bytes());
                bytes.extend(narrow(8 + self.payload.len()).to_be_bytes());
                bytes.extend([0, 0]);
                6
            }
        };
        bytes.extend(&self.payload);
        let number = self.protocol();
        let sum = match number {
            protocol::ICMPV4 => checksum::internet(&[&bytes]),
            _ => checksum::transport(self.src, self.dst, number, &bytes),
        };
        let sum = if sum == 0 && number == protocol::UDP { 0xffff } else { sum };
        put(&mut bytes, sum_at, &sum.to_be_bytes());
        bytes
    }

    fn ipv4(&self, segment: &[u8]) -> Vec<u8> {
        let header_len = 20 + self.ip_options.len();
        let (id, rest) = match self.part {
            Some(part) => (narrow(part.id as usize), part.offset >> 3 | u16::from(part.more) << 13),
            None => (0, 0x4000),
        };
        let words = u8::try_from(header_len / 4).unwrap_or(15);
        let mut bytes = vec![0x40 | words, self.tos];
        bytes.extend(narrow(header_len + segment.len()).to_be_bytes());
        bytes.extend(id.to_be_bytes());
        bytes.extend(rest.to_be_bytes());
        bytes.extend([self.ttl, self.protocol(), 0, 0]);
        bytes.extend(self.src.as_v4().unwrap_or_default());
        bytes.extend(self.dst.as_v4().unwrap_or_default());
        bytes.extend(&self.ip_options);
        let sum = checksum::internet(&[&bytes]);
        put(&mut bytes, 10, &sum.to_be_bytes());
        bytes.extend(segment);
        bytes
    }

    fn ipv6(&self, segment: &[u8]) -> Vec<u8> {
        let mut chain = self.extensions.clone();
        if let Some(part) = self.part {
            let mut body = (part.offset | u16::from(part.more)).to_be_bytes().to_vec();
            body.extend(part.id.to_be_bytes());
            chain.push((44, body));
        }
        let nexts = chain.iter().skip(1).map(|(kind, _)| *kind).chain([self.protocol()]);
        let mut behind = Vec::new();
        for ((kind, body), next) in chain.iter().zip(nexts) {
            let header = padded(&[&[next, 0], body.as_slice()].concat(), 8);
            // Fragment: reserved. Authentication: words less two. Others: units of eight less one.
            let units = match kind {
                44 => 0,
                51 => header.len() / 4 - 2,
                _ => header.len() / 8 - 1,
            };
            let from = behind.len();
            behind.extend(header);
            put(&mut behind, from + 1, &[u8::try_from(units).unwrap_or(u8::MAX)]);
        }
        behind.extend(segment);
        let first = chain.first().map_or(self.protocol(), |(kind, _)| *kind);
        let mut bytes = vec![0x60 | self.tos >> 4, self.tos << 4, 0, 0];
        bytes.extend(narrow(behind.len()).to_be_bytes());
        bytes.extend([first, self.ttl]);
        bytes.extend(self.src.octets());
        bytes.extend(self.dst.octets());
        bytes.extend(behind);
        bytes
    }
}

impl TcpHeader {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.src.to_be_bytes());
        bytes.extend(self.dst.to_be_bytes());
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.ack.to_be_bytes());
        let words = u8::try_from(5 + self.options.len() / 4).unwrap_or(15);
        bytes.extend([words << 4, self.flags.0]);
        bytes.extend(self.window.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(self.urgent.to_be_bytes());
        bytes.extend(&self.options);
    }
}

fn padded(bytes: &[u8], unit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(unit), 0);
    bytes
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    for (to, from) in bytes.iter_mut().skip(at).zip(value) {
        *to = *from;
    }
}
