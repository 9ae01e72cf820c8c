//! The flow key: which packets belong together, the same from either end.
//!
//! This file must never know a state or a clock.

use crate::hash::HashKey;
use portcullis_types::{Addr, SegmentId, VlanStack};
use portcullis_wire::{Packet, Quoted};

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP6: u8 = 58;
const SCTP: u8 = 132;

/// Which end of a key a packet came from. Addresses (then ports) order the ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Low,
    High,
}

impl End {
    pub(crate) fn other(self) -> Self {
        match self {
            End::Low => End::High,
            End::High => End::Low,
        }
    }
}

/// What makes two packets one flow: segment, VLAN stack, tunnel, protocol and both ends.
///
/// For ICMP there are no ports: the low port is the identifier and the high one the type of the
/// request (so that a reply meets its request), whichever end is which. For protocols that `wire`
/// reads no ports of, both are 0: the pair of addresses is the flow.
///
/// Whole words only: the key is made in registers and compared and hashed word by word. (Made from
/// bytes and then read in larger pieces, it would stall on its own stores.)
#[derive(Clone, Copy, Eq, Debug, Default)]
#[repr(C)]
pub(crate) struct FlowKey {
    /// The halves of the address.
    low: [u64; 2],
    high: [u64; 2],
    pub(crate) vlan: VlanStack,
    /// From the lowest bit: low port, high port, segment (16 each), protocol, IP version (8 each).
    rest: u64,
    tunnel: u64,
}

impl PartialEq for FlowKey {
    #[inline]
    fn eq(&self, other: &FlowKey) -> bool {
        let [a0, a1, a2, a3, a4, a5, a6] = self.words();
        let [b0, b1, b2, b3, b4, b5, b6] = other.words();
        let addresses = (a0 ^ b0) | (a1 ^ b1) | (a2 ^ b2) | (a3 ^ b3);
        addresses | (a4 ^ b4) | (a5 ^ b5) | (a6 ^ b6) == 0
    }
}

impl FlowKey {
    #[inline]
    fn words(&self) -> [u64; 7] {
        let ([l0, l1], [h0, h1]) = (self.low, self.high);
        [l0, l1, h0, h1, self.vlan.bits(), self.rest, self.tunnel]
    }

    /// The key of a packet that is no later fragment, and the end that sent it.
    #[inline(always)]
    pub(crate) fn of(segment: SegmentId, packet: &Packet) -> (FlowKey, End) {
        let (src_port, dst_port) = Self::ports(packet);
        let (src, dst) = ((packet.src, src_port), (packet.dst, dst_port));
        Self::between(segment, packet, packet.protocol, src, dst)
    }

    /// The key of the packet that an ICMP error quotes, and the end that is said to have sent it.
    pub(crate) fn quoted(segment: SegmentId, packet: &Packet, quoted: &Quoted) -> (FlowKey, End) {
        let (src_port, dst_port) = match quoted.protocol {
            // Only echo requests draw errors (RFC 1122, 3.2.2: never about an error).
            ICMP => (quoted.icmp_id, 8),
            ICMP6 => (quoted.icmp_id, 128),
            _ => (quoted.src_port, quoted.dst_port),
        };
        let (src, dst) = ((quoted.src, src_port), (quoted.dst, dst_port));
        Self::between(segment, packet, quoted.protocol, src, dst)
    }

    #[inline(always)]
    fn between(
        segment: SegmentId,
        packet: &Packet,
        protocol: u8,
        (src, src_port): (Addr, u16),
        (dst, dst_port): (Addr, u16),
    ) -> (FlowKey, End) {
        let icmp = matches!(protocol, ICMP | ICMP6);
        let (first, second) = (src.number(), dst.number());
        let src_first = first < second || first == second && (icmp || src_port <= dst_port);
        let end = if src_first { End::Low } else { End::High };
        let ((s0, s1), (d0, d1)) = (src.halves(), dst.halves());
        let (low, high) = if src_first { ([s0, s1], [d0, d1]) } else { ([d0, d1], [s0, s1]) };
        let rest = Self::rest(segment, packet, protocol, (src_port, dst_port), end);
        (FlowKey { low, high, vlan: packet.vlan, rest, tunnel: 0 }, end)
    }

    /// Everything but the addresses and the place; the ports are those of source and destination.
    #[inline]
    fn rest(
        segment: SegmentId,
        packet: &Packet,
        protocol: u8,
        (src_port, dst_port): (u16, u16),
        end: End,
    ) -> u64 {
        let turned = end == End::High && !matches!(protocol, ICMP | ICMP6);
        let (low_port, high_port) =
            if turned { (dst_port, src_port) } else { (src_port, dst_port) };
        u64::from(low_port)
            | u64::from(high_port) << 16
            | u64::from(segment.0) << 32
            | u64::from(protocol) << 48
            | u64::from(packet.ip_version) << 56
    }

    /// Whether this is the key of a packet that came from `end`: [`FlowKey::of`] and a comparison,
    /// without a key being made.
    #[inline]
    pub(crate) fn is_of(&self, segment: SegmentId, packet: &Packet, end: End) -> bool {
        let ([s0, s1], [d0, d1]) = match end {
            End::Low => (self.low, self.high),
            End::High => (self.high, self.low),
        };
        let ((p0, p1), (q0, q1)) = (packet.src.halves(), packet.dst.halves());
        let addresses = (s0 ^ p0) | (s1 ^ p1) | (d0 ^ q0) | (d1 ^ q1);
        let rest = Self::rest(segment, packet, packet.protocol, Self::ports(packet), end);
        let place = self.vlan.bits() ^ packet.vlan.bits();
        addresses | (self.rest ^ rest) | place | self.tunnel == 0
    }

    /// What stands for the ports of source and destination.
    #[inline]
    fn ports(packet: &Packet) -> (u16, u16) {
        match packet.protocol {
            ICMP | ICMP6 => (packet.icmp_id, request_type(packet.protocol, packet.icmp_type)),
            _ => (packet.src_port, packet.dst_port),
        }
    }

    /// The seeded hash.
    #[inline]
    pub(crate) fn hash(&self, key: &HashKey) -> u64 {
        let ([l0, l1], [h0, h1]) = (self.low, self.high);
        // A VLAN stack has 36 bits; the tunnel goes above them.
        let place = self.vlan.bits() ^ self.tunnel.rotate_left(36);
        key.hash([l0, l1, h0, h1, place, self.rest])
    }

    /// The address of an end.
    pub(crate) fn address(&self, end: End) -> Addr {
        let [high, low] = if end == End::Low { self.low } else { self.high };
        Addr::of_halves(high, low)
    }

    #[inline]
    pub(crate) fn low_port(&self) -> u16 {
        bits_16(self.rest)
    }

    #[inline]
    pub(crate) fn high_port(&self) -> u16 {
        bits_16(self.rest >> 16)
    }

    pub(crate) fn segment(&self) -> SegmentId {
        SegmentId(bits_16(self.rest >> 32))
    }

    #[inline]
    pub(crate) fn protocol(&self) -> u8 {
        bits_16(self.rest >> 48).to_le_bytes()[0]
    }

    pub(crate) fn ip_version(&self) -> u8 {
        bits_16(self.rest >> 48).to_le_bytes()[1]
    }

    pub(crate) fn tunnel(&self) -> u32 {
        u32::try_from(self.tunnel).unwrap_or(0)
    }
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the lowest sixteen bits are what is wanted")]
fn bits_16(n: u64) -> u16 {
    n as u16
}

/// Whether `wire` reads ports of this protocol.
#[inline]
pub(crate) fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | SCTP)
}

/// Whether an ICMP type is the answer to another type.
pub(crate) fn is_reply_type(protocol: u8, icmp_type: u8) -> bool {
    request_type(protocol, icmp_type) != u16::from(icmp_type)
}

/// The type under which a request and its reply meet: the request's. Others stand for themselves.
#[inline(never)]
fn request_type(protocol: u8, icmp_type: u8) -> u16 {
    let request = match (protocol, icmp_type) {
        (ICMP, 0) => 8,      // echo
        (ICMP, 14) => 13,    // timestamp
        (ICMP, 16) => 15,    // information
        (ICMP, 18) => 17,    // address mask
        (ICMP6, 129) => 128, // echo
        (ICMP6, 134) => 133, // router solicitation, advertisement
        (ICMP6, 136) => 135, // neighbour solicitation, advertisement
        (ICMP6, 140) => 139, // node information
        (_, other) => other,
    };
    u16::from(request)
}
