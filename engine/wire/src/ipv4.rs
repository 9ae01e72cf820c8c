//! The IPv4 header and its options (RFC 791).

use crate::checksum::Sum;
use crate::{Checks, Fragment, Packet, PacketKind, Reject, transport};
use portcullis_types::{Addr, Mac};

/// Tier: four in five frames. No option, no fragment: straight to the transport.
#[inline]
pub(crate) fn read(
    packet: &mut Packet,
    frame: &[u8],
    at: usize,
    checks: Checks,
) -> Result<(), Reject> {
    let behind = frame.get(at..).unwrap_or_default();
    // In words of four: what is read byte by byte is put together byte by byte.
    let Some((&[[v, tos, l0, l1], [i0, i1, f0, f1], [ttl, protocol, ..], src, dst], _)) =
        behind.as_chunks::<4>().0.split_first_chunk::<5>()
    else {
        return Err(Reject::Ipv4TooShort);
    };
    if v >> 4 != 4 {
        return Err(Reject::Ipv4BadVersion);
    }
    packet.kind = PacketKind::Ip;
    packet.ip_version = 4;
    packet.src = Addr::v4(src);
    packet.dst = Addr::v4(dst);
    packet.protocol = protocol;
    packet.ttl = ttl;
    packet.tos = tos;
    let header_len = usize::from(v & 0x0f) * 4;
    let total = u16::from_be_bytes([l0, l1]);
    packet.ip_len = total;
    if header_len < 20 {
        return Err(Reject::Ipv4BadHeaderLength);
    }
    if usize::from(total) < header_len {
        return Err(Reject::Ipv4LengthBelowHeader);
    }
    let Some(header) = behind.get(..header_len) else { return Err(Reject::Ipv4TooShort) };
    let available = usize::from(total).min(behind.len());
    if available < usize::from(total) {
        packet.rejects.insert(Reject::Ipv4Truncated);
    }
    if header_len > 20 {
        options(packet, header.get(20..).unwrap_or_default());
    }
    if checks.has(Checks::IPV4) && is_wrong(header) {
        packet.rejects.insert(Reject::Ipv4Checksum);
    }
    if unusual(ttl, src[0], dst) {
        addresses(packet, src, dst);
    }
    let rest = u16::from_be_bytes([f0, f1]);
    // Bit 15 is reserved, 14 forbids fragments, 13 says more follow; the offset is in eights.
    if rest & 0xbfff != 0 {
        fragment(packet, rest, u16::from_be_bytes([i0, i1]), usize::from(total) - header_len);
    }
    transport::read(packet, frame, at + header_len, at + available, checks)
}

/// Whether the header's checksum is wrong. Nearly all headers have no options: a sum over a length
/// that is known needs no loop.
#[inline]
fn is_wrong(header: &[u8]) -> bool {
    match <&[u8; 20]>::try_from(header) {
        Ok(plain) => !Sum::default().bytes(plain).is_right(),
        Err(_) => !Sum::default().bytes(header).is_right(),
    }
}

/// One test for everything that [`addresses`] looks at, so that the common path has one branch.
#[inline]
const fn unusual(ttl: u8, source: u8, destination: [u8; 4]) -> bool {
    ttl == 0 || source >= 224 || source == 127 || matches!(destination, [127, ..] | [0, 0, 0, 0])
}

#[cold]
fn addresses(packet: &mut Packet, src: [u8; 4], dst: [u8; 4]) {
    if packet.ttl == 0 {
        packet.rejects.insert(Reject::Ipv4TtlZero);
    }
    match src {
        [224..=239, ..] | [255, 255, 255, 255] => {
            packet.rejects.insert(Reject::Ipv4GroupSource);
        }
        [240..=255, ..] => packet.rejects.insert(Reject::Ipv4ReservedSource),
        _ => {}
    }
    // A loopback device has no hardware addresses.
    let on_wire = packet.src_mac != Mac::default();
    if on_wire && (matches!(src, [127, ..]) || matches!(dst, [127, ..])) {
        packet.rejects.insert(Reject::Ipv4LoopbackOnWire);
    }
    if dst == [0; 4] {
        packet.rejects.insert(Reject::Ipv4UnspecifiedDestination);
    }
}

#[cold]
fn fragment(packet: &mut Packet, rest: u16, id: u16, len: usize) {
    if rest & 0x8000 != 0 {
        packet.rejects.insert(Reject::Ipv4ReservedFlag);
    }
    let part =
        Fragment { id: u32::from(id), offset: (rest & 0x1fff) << 3, more: rest & 0x2000 != 0 };
    if part.offset == 0 && !part.more {
        return;
    }
    if rest & 0x4000 != 0 {
        packet.rejects.insert(Reject::Ipv4DontFragment);
    }
    transport::fragment(packet, part, len);
}

/// Walks the options: at most 40 bytes.
#[cold]
fn options(packet: &mut Packet, mut rest: &[u8]) {
    let mut seen = 0u64;
    while let Some((&kind, behind)) = rest.split_first() {
        match kind {
            0 => return,
            1 => {
                rest = behind;
                continue;
            }
            _ => {}
        }
        let len = behind.first().copied().map_or(0, usize::from);
        let (Some(body), Some(next)) = (rest.get(2..len), rest.get(len..)) else {
            packet.rejects.insert(Reject::Ipv4OptionLength);
            return;
        };
        option(packet, kind, body);
        // The six low bits tell registered options apart well enough to spot a double.
        let bit = 1u64 << (kind & 0x3f);
        if seen & bit != 0 {
            packet.rejects.insert(Reject::Ipv4OptionDuplicate);
        }
        seen |= bit;
        rest = next;
    }
}

/// `body` is what stands behind kind and length.
fn option(packet: &mut Packet, kind: u8, body: &[u8]) {
    let reject = match kind {
        7 => Reject::Ipv4RecordRoute,
        68 => Reject::Ipv4Timestamp,
        131 => Reject::Ipv4SourceRouteLoose,
        137 => Reject::Ipv4SourceRouteStrict,
        // Security, extended security, CIPSO, stream id, router alert, and the rest of IANA's list.
        130 | 133 | 134 | 136 | 148 | 10 | 11 | 12 | 15 | 25 | 30 | 82 | 94 | 142 | 144 | 145
        | 147 | 149 | 150 | 151 | 152 | 158 | 205 | 222 => {
            if matches!((kind, body.len()), (136 | 148, 2) | (133 | 134 | 130, 1..)) {
                return;
            }
            if matches!(kind, 130 | 133 | 134 | 136 | 148) {
                packet.rejects.insert(Reject::Ipv4OptionMalformed);
            }
            return;
        }
        _ => Reject::Ipv4OptionUnknown,
    };
    packet.rejects.insert(reject);
    let whole = match kind {
        // Pointer from 4 in fours; then addresses.
        7 | 131 | 137 => match body.split_first() {
            Some((&pointer, route)) => {
                pointer >= 4 && pointer.is_multiple_of(4) && route.len().is_multiple_of(4)
            }
            None => false,
        },
        // Pointer from 5; overflow and flag: 0 stamps, 1 and 3 addresses with stamps.
        68 => match body {
            [pointer, flag, stamps @ ..] => {
                *pointer >= 5 && matches!(flag & 0x0f, 0 | 1 | 3) && stamps.len().is_multiple_of(4)
            }
            _ => false,
        },
        _ => true,
    };
    if !whole {
        packet.rejects.insert(Reject::Ipv4OptionMalformed);
    }
}
