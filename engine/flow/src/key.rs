//! The flow key: which packets belong together, the same from either end.
//!
//! This file must never know a state or a clock.

use crate::hash::{HashKey, order, place_word};
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
/// For ICMP there are no ports: `low_port` is the identifier and `high_port` the type of the
/// request (so that a reply meets its request), whichever end is which. For protocols that `wire`
/// reads no ports of, both are 0: the pair of addresses is the flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub(crate) struct FlowKey {
    pub(crate) low: Addr,
    pub(crate) high: Addr,
    pub(crate) vlan: VlanStack,
    pub(crate) tunnel: u32,
    pub(crate) low_port: u16,
    pub(crate) high_port: u16,
    pub(crate) segment: SegmentId,
    pub(crate) protocol: u8,
    /// 4 or 6.
    pub(crate) ip_version: u8,
}

impl FlowKey {
    /// The key of a packet that is no later fragment, and the end that sent it.
    #[inline]
    pub(crate) fn of(segment: SegmentId, packet: &Packet) -> (FlowKey, End) {
        let (src_port, dst_port) = match packet.protocol {
            ICMP | ICMP6 => (packet.icmp_id, request_type(packet.protocol, packet.icmp_type)),
            _ => (packet.src_port, packet.dst_port),
        };
        Self::between(
            segment,
            packet,
            packet.protocol,
            (packet.src, src_port),
            (packet.dst, dst_port),
        )
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

    #[inline]
    fn between(
        segment: SegmentId,
        packet: &Packet,
        protocol: u8,
        src: (Addr, u16),
        dst: (Addr, u16),
    ) -> (FlowKey, End) {
        let icmp = matches!(protocol, ICMP | ICMP6);
        let end = match order(src.0).cmp(&order(dst.0)) {
            std::cmp::Ordering::Less => End::Low,
            std::cmp::Ordering::Greater => End::High,
            std::cmp::Ordering::Equal if icmp || src.1 <= dst.1 => End::Low,
            std::cmp::Ordering::Equal => End::High,
        };
        let (low, high) = if end == End::Low { (src, dst) } else { (dst, src) };
        let (low_port, high_port) = if icmp { (src.1, dst.1) } else { (low.1, high.1) };
        let key = FlowKey {
            low: low.0,
            high: high.0,
            vlan: packet.vlan,
            tunnel: 0,
            low_port,
            high_port,
            segment,
            protocol,
            ip_version: packet.ip_version,
        };
        (key, end)
    }

    /// The seeded hash.
    #[inline]
    pub(crate) fn hash(&self, key: &HashKey) -> u64 {
        let ((l0, l1), (h0, h1)) = (self.low.halves(), self.high.halves());
        let ports = u64::from(self.low_port)
            | u64::from(self.high_port) << 16
            | u64::from(self.protocol) << 32;
        // The tunnel takes the bits that a VLAN stack leaves free only in part: it is mixed in
        // with the ports by a rotation, which loses nothing that the comparison does not catch.
        let ports = ports ^ u64::from(self.tunnel).rotate_left(40);
        key.hash([l0, l1, h0, h1, place_word(self.segment, self.vlan), ports])
    }
}

/// Whether `wire` reads ports of this protocol.
pub(crate) fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | SCTP)
}

/// Whether an ICMP type is the answer to another type.
pub(crate) fn is_reply_type(protocol: u8, icmp_type: u8) -> bool {
    request_type(protocol, icmp_type) != u16::from(icmp_type)
}

/// The type under which a request and its reply meet: the request's. Others stand for themselves.
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
