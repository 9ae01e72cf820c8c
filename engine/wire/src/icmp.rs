//! ICMP of both versions with the packet that errors quote, and IGMP.

use crate::checksum::Sum;
use crate::transport::{header, is_forged, is_whole};
use crate::{Checks, Packet, Quoted, Reject, protocol};
use portcullis_types::Addr;

/// ICMPv4 (RFC 792).
pub(crate) fn read_v4(packet: &mut Packet, segment: &[u8], checks: Checks) -> Result<(), Reject> {
    let Some((fixed, body)) = segment.split_first_chunk::<8>() else {
        return Err(Reject::Icmpv4TooShort);
    };
    note(packet, fixed);
    header(packet, 8);
    if packet.ip_version == 6 {
        packet.rejects.insert(Reject::Icmpv4InIpv6);
    }
    if checks.has(Checks::ICMPV4) && is_whole(packet) && Sum::default().bytes(segment).finish() != 0
    {
        packet.rejects.insert(Reject::Icmpv4Checksum);
    }
    match packet.icmp_type {
        3 | 4 | 5 | 11 | 12 => {
            packet.quoted = quoted_v4(packet, body);
        }
        8 | 13 if packet.dst.is_group() => packet.rejects.insert(Reject::Icmpv4EchoToGroup),
        _ => {}
    }
    // The last code of each type (IANA, "ICMP Type Numbers"); types without entry are unknown.
    let code_max = match packet.icmp_type {
        0 | 4 | 8 | 10 | 13..=18 | 30 | 37 | 38 => 0,
        3 => 15,
        5 => 3,
        9 => 16,
        11 => 1,
        12 => 2,
        40 => 5,
        42 => 0,
        43 => 4,
        // Deprecated or experimental without codes of their own.
        6 | 31..=36 | 39 | 41 | 253 | 254 => u8::MAX,
        _ => {
            packet.rejects.insert(Reject::Icmpv4UnknownType);
            return Ok(());
        }
    };
    if packet.icmp_code > code_max {
        packet.rejects.insert(Reject::Icmpv4UnknownCode);
    }
    Ok(())
}

/// ICMPv6 (RFC 4443), neighbour discovery (RFC 4861), multicast listeners (RFC 3810).
pub(crate) fn read_v6(packet: &mut Packet, segment: &[u8], checks: Checks) -> Result<(), Reject> {
    let Some((fixed, body)) = segment.split_first_chunk::<8>() else {
        return Err(Reject::Icmpv6TooShort);
    };
    note(packet, fixed);
    header(packet, 8);
    if packet.ip_version == 4 {
        packet.rejects.insert(Reject::Icmpv6InIpv4);
        return Ok(());
    }
    if checks.has(Checks::ICMPV6) && is_forged(packet, segment) {
        packet.rejects.insert(Reject::Icmpv6Checksum);
    }
    match packet.icmp_type {
        1..=4 => {
            packet.quoted = quoted_v6(packet, body);
        }
        130..=132 | 143 if packet.ttl != 1 => {
            packet.rejects.insert(Reject::Icmpv6ListenerHopLimit);
        }
        133..=137 if packet.ttl != 255 => {
            packet.rejects.insert(Reject::Icmpv6NeighbourHopLimit);
        }
        _ => {}
    }
    let code_max = match packet.icmp_type {
        1 => 8,
        2 | 128..=132 | 133..=137 | 141..=149 | 151..=153 => 0,
        3 => 1,
        4 => 10,
        138 => u8::MAX,
        139 | 140 => 2,
        150 | 154..=161 | 100 | 101 | 200 | 201 => u8::MAX,
        _ => {
            packet.rejects.insert(Reject::Icmpv6UnknownType);
            return Ok(());
        }
    };
    if packet.icmp_code > code_max {
        packet.rejects.insert(Reject::Icmpv6UnknownCode);
    }
    Ok(())
}

/// The first fragment of an ICMP message: what fits, unjudged.
pub(crate) fn read_part(packet: &mut Packet, segment: &[u8]) {
    if let Some(fixed) = segment.first_chunk::<8>() {
        note(packet, fixed);
    }
}

/// Type and code, and the identifier where the type has one.
fn note(packet: &mut Packet, fixed: &[u8; 8]) {
    let &[kind, code, _, _, i0, i1, s0, s1] = fixed;
    packet.icmp_type = kind;
    packet.icmp_code = code;
    if has_id(packet.protocol, kind) {
        packet.icmp_id = u16::from_be_bytes([i0, i1]);
        packet.icmp_sequence = u16::from_be_bytes([s0, s1]);
    }
}

/// Echo, timestamp, information, address mask, extended echo.
const fn has_id(protocol: u8, kind: u8) -> bool {
    match protocol {
        protocol::ICMPV4 => matches!(kind, 0 | 8 | 13..=18 | 42 | 43),
        _ => matches!(kind, 128 | 129 | 160 | 161),
    }
}

fn quoted_v4(packet: &mut Packet, body: &[u8]) -> Option<Quoted> {
    let Some(&[v, _, _, _, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3]) =
        body.first_chunk::<20>()
    else {
        packet.rejects.insert(Reject::Icmpv4QuoteTruncated);
        return None;
    };
    let header_len = usize::from(v & 0x0f) * 4;
    if v >> 4 != 4 || header_len < 20 {
        packet.rejects.insert(Reject::Icmpv4QuoteVersion);
        return None;
    }
    let quoted = Quoted {
        src: Addr::v4([s0, s1, s2, s3]),
        dst: Addr::v4([d0, d1, d2, d3]),
        protocol,
        src_port: 0,
        dst_port: 0,
        icmp_id: 0,
        seq: 0,
    };
    // A later fragment has no ports, and nothing is wrong with that.
    if u16::from_be_bytes([f0, f1]) & 0x1fff != 0 {
        return Some(quoted);
    }
    let filled = quoted_upper(quoted, body.get(header_len..).unwrap_or_default());
    if filled.is_none() {
        packet.rejects.insert(Reject::Icmpv4QuoteTruncated);
    }
    filled.or(Some(quoted))
}

fn quoted_v6(packet: &mut Packet, body: &[u8]) -> Option<Quoted> {
    let Some((fixed, upper)) = body.split_first_chunk::<40>() else {
        packet.rejects.insert(Reject::Icmpv6QuoteTruncated);
        return None;
    };
    let &[v, _, _, _, _, _, protocol, _, ..] = fixed;
    if v >> 4 != 6 {
        packet.rejects.insert(Reject::Icmpv6QuoteVersion);
        return None;
    }
    let (_, addresses) = fixed.split_first_chunk::<8>()?;
    let (src, dst) = addresses.split_first_chunk::<16>()?;
    let dst = dst.first_chunk::<16>()?;
    let quoted = Quoted {
        src: Addr::v6(*src),
        dst: Addr::v6(*dst),
        protocol,
        src_port: 0,
        dst_port: 0,
        icmp_id: 0,
        seq: 0,
    };
    let (protocol, upper, later) = crate::ipv6::skip_extensions(protocol, upper);
    let quoted = Quoted { protocol, ..quoted };
    if later {
        return Some(quoted);
    }
    let filled = quoted_upper(quoted, upper);
    if filled.is_none() {
        packet.rejects.insert(Reject::Icmpv6QuoteTruncated);
    }
    filled.or(Some(quoted))
}

/// Ports, sequence number or identifier from the eight bytes that every quote should have.
fn quoted_upper(quoted: Quoted, upper: &[u8]) -> Option<Quoted> {
    if !matches!(
        quoted.protocol,
        protocol::TCP | protocol::UDP | protocol::SCTP | protocol::ICMPV4 | protocol::ICMPV6
    ) {
        return Some(quoted);
    }
    let &[a, b, c, d, e, f, g, h] = upper.first_chunk::<8>()?;
    Some(match quoted.protocol {
        protocol::ICMPV4 | protocol::ICMPV6 if has_id(quoted.protocol, a) => {
            Quoted { icmp_id: u16::from_be_bytes([e, f]), ..quoted }
        }
        protocol::ICMPV4 | protocol::ICMPV6 => quoted,
        _ => Quoted {
            src_port: u16::from_be_bytes([a, b]),
            dst_port: u16::from_be_bytes([c, d]),
            seq: match quoted.protocol {
                protocol::TCP => u32::from_be_bytes([e, f, g, h]),
                _ => 0,
            },
            ..quoted
        },
    })
}

/// IGMP (RFC 1112, 2236, 3376). Nothing in it is needed to go on, so nothing is fatal.
pub(crate) fn read_igmp(packet: &mut Packet, segment: &[u8], checks: Checks) {
    let Some((&[kind, code, _, _, _, _, n0, n1], body)) = segment.split_first_chunk::<8>() else {
        packet.rejects.insert(Reject::IgmpTooShort);
        return;
    };
    packet.icmp_type = kind;
    packet.icmp_code = code;
    header(packet, 8);
    if checks.has(Checks::IGMP) && is_whole(packet) && Sum::default().bytes(segment).finish() != 0 {
        packet.rejects.insert(Reject::IgmpChecksum);
    }
    if kind == 0x22 && is_whole(packet) && !has_records(body, u16::from_be_bytes([n0, n1])) {
        packet.rejects.insert(Reject::IgmpMalformed);
    }
}

/// Whether a version 3 report holds `count` group records.
fn has_records(mut body: &[u8], count: u16) -> bool {
    for _ in 0..count {
        let Some((&[_, auxiliary, n0, n1, _, _, _, _], behind)) = body.split_first_chunk::<8>()
        else {
            return false;
        };
        let sources = usize::from(u16::from_be_bytes([n0, n1]));
        let len = sources * 4 + usize::from(auxiliary) * 4;
        let Some(next) = behind.get(len..) else { return false };
        body = next;
    }
    true
}
