//! From an IP packet to its upper layer: dispatch, fragments, and the small protocols.

use crate::{Checks, Fragment, Packet, Reject, checksum, icmp, narrow, protocol, tcp};
use portcullis_types::Addr;

/// Bytes of a datagram, header included, that IP can number.
const DATAGRAM_MAX: usize = 65_535;

/// Reads the upper layer that stands at `at..end` of the frame.
#[inline]
pub(crate) fn read(
    packet: &mut Packet,
    frame: &[u8],
    at: usize,
    end: usize,
    checks: Checks,
) -> Result<(), Reject> {
    let segment = frame.get(at..end).unwrap_or_default();
    packet.l4_offset = narrow(at);
    packet.payload_offset = narrow(at);
    packet.payload_len = narrow(segment.len());
    if packet.fragment.is_some() {
        return part(packet, segment);
    }
    match packet.protocol {
        protocol::TCP => tcp::read(packet, segment, checks)?,
        protocol::UDP => udp(packet, segment, checks)?,
        protocol::ICMPV4 => icmp::read_v4(packet, segment, checks)?,
        protocol::ICMPV6 => icmp::read_v6(packet, segment, checks)?,
        protocol::IGMP => icmp::read_igmp(packet, segment, checks),
        protocol::SCTP => sctp(packet, segment)?,
        protocol::GRE if segment.len() < 4 => packet.rejects.insert(Reject::GreTooShort),
        protocol::NONE if packet.ip_version == 6 && !segment.is_empty() => {
            packet.rejects.insert(Reject::Ipv6DataAfterNone);
        }
        _ => {}
    }
    same_address(packet);
    Ok(())
}

/// Moves the payload behind an upper-layer header of `len` bytes.
#[inline]
pub(crate) fn header(packet: &mut Packet, len: u16) {
    packet.payload_offset = packet.payload_offset.saturating_add(len);
    packet.payload_len = packet.payload_len.saturating_sub(len);
}

/// Whether checksums over the whole segment can be verified: all of it is here.
#[inline]
pub(crate) fn is_whole(packet: &Packet) -> bool {
    !packet.rejects.contains(Reject::Ipv4Truncated)
        && !packet.rejects.contains(Reject::Ipv6Truncated)
}

/// Whether the checksum over `segment` and its pseudo-header is wrong.
pub(crate) fn is_forged(packet: &Packet, segment: &[u8]) -> bool {
    is_whole(packet) && checksum::transport(packet.src, packet.dst, packet.protocol, segment) != 0
}

#[inline]
fn same_address(packet: &mut Packet) {
    if packet.src != packet.dst {
        return;
    }
    mark_same_address(packet);
}

#[cold]
fn mark_same_address(packet: &mut Packet) {
    let loopback = match packet.src.as_v4() {
        Some([first, ..]) => first == 127,
        None => packet.src.octets() == LOOPBACK_V6,
    };
    if loopback || packet.src == Addr::UNSPECIFIED {
        return;
    }
    let ported = matches!(packet.protocol, protocol::TCP | protocol::UDP);
    let land = ported && packet.src_port == packet.dst_port;
    packet.rejects.insert(if land { Reject::Land } else { Reject::AddressesEqual });
}

/// `::1`.
pub(crate) const LOOPBACK_V6: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// Notes a fragment and what its place and its `len` bytes of payload say.
pub(crate) fn fragment(packet: &mut Packet, part: Fragment, len: usize) {
    packet.fragment = Some(part);
    let icmp = matches!(packet.protocol, protocol::ICMPV4 | protocol::ICMPV6);
    if usize::from(part.offset) + len > DATAGRAM_MAX {
        packet.rejects.insert(if icmp { Reject::PingOfDeath } else { Reject::FragmentPastEnd });
    }
    if part.more && !len.is_multiple_of(8) {
        packet.rejects.insert(Reject::FragmentUnaligned);
    }
    if len == 0 {
        packet.rejects.insert(Reject::FragmentEmpty);
    }
}

/// A fragment's upper layer: ports from the first one, nothing from the others. Its payload begins
/// at the upper-layer header, since a part of a segment has no payload of its own.
#[cold]
fn part(packet: &mut Packet, segment: &[u8]) -> Result<(), Reject> {
    let Some(fragment) = packet.fragment else { return Ok(()) };
    // The least that a receiver needs to see of the header in the first fragment (RFC 1858).
    let header_len = match packet.protocol {
        protocol::TCP => 20,
        protocol::UDP | protocol::ICMPV4 | protocol::ICMPV6 => 8,
        protocol::SCTP => 12,
        _ => 0,
    };
    if fragment.offset != 0 {
        if usize::from(fragment.offset) < header_len {
            packet.rejects.insert(Reject::FragmentTiny);
        }
        return Ok(());
    }
    if segment.len() < header_len {
        packet.rejects.insert(Reject::FragmentTiny);
    }
    match packet.protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP => {
            if let Some(&[s0, s1, d0, d1]) = segment.first_chunk::<4>() {
                packet.src_port = u16::from_be_bytes([s0, s1]);
                packet.dst_port = u16::from_be_bytes([d0, d1]);
            }
        }
        protocol::ICMPV4 | protocol::ICMPV6 => icmp::read_part(packet, segment),
        _ => {}
    }
    if packet.protocol == protocol::TCP {
        tcp::read_part(packet, segment);
    }
    same_address(packet);
    Ok(())
}

#[inline]
fn udp(packet: &mut Packet, segment: &[u8], checks: Checks) -> Result<(), Reject> {
    let Some(&[s0, s1, d0, d1, l0, l1, c0, c1]) = segment.first_chunk::<8>() else {
        return Err(Reject::UdpTooShort);
    };
    packet.src_port = u16::from_be_bytes([s0, s1]);
    packet.dst_port = u16::from_be_bytes([d0, d1]);
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    if len < 8 {
        return Err(Reject::UdpHeaderLength);
    }
    header(packet, 8);
    if len != segment.len() {
        udp_length(packet, len, segment.len());
    }
    if packet.dst_port == 0 {
        packet.rejects.insert(Reject::UdpPortZero);
    }
    if [c0, c1] == [0, 0] {
        if packet.ip_version == 6 {
            packet.rejects.insert(Reject::UdpChecksumMissing);
        }
    } else if checks.has(Checks::UDP) && is_forged(packet, segment.get(..len).unwrap_or(segment)) {
        packet.rejects.insert(Reject::UdpChecksum);
    }
    Ok(())
}

#[cold]
fn udp_length(packet: &mut Packet, len: usize, available: usize) {
    if len < available {
        packet.payload_len = narrow(len - 8);
        packet.rejects.insert(Reject::UdpLengthShort);
    } else if is_whole(packet) {
        packet.rejects.insert(Reject::UdpLengthBeyond);
    }
}

/// SCTP's common header and the frames of its chunks (RFC 9260, 3).
fn sctp(packet: &mut Packet, segment: &[u8]) -> Result<(), Reject> {
    let Some((&[s0, s1, d0, d1, ..], mut chunks)) = segment.split_first_chunk::<12>() else {
        return Err(Reject::SctpTooShort);
    };
    packet.src_port = u16::from_be_bytes([s0, s1]);
    packet.dst_port = u16::from_be_bytes([d0, d1]);
    header(packet, 12);
    if packet.src_port == 0 || packet.dst_port == 0 {
        packet.rejects.insert(Reject::SctpPortZero);
    }
    // Each turn takes at least four bytes of at most 64 KiB.
    while let Some(&[_, _, l0, l1]) = chunks.first_chunk::<4>() {
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        if len < 4 || (len > chunks.len() && is_whole(packet)) {
            packet.rejects.insert(Reject::SctpChunkLength);
            break;
        }
        chunks = chunks.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(())
}
