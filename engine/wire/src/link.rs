//! Link headers: Ethernet with its tags, 802.3 with LLC and SNAP, Linux cooked, null, loop, raw.
//!
//! Tier: every frame passes here. It must never know what is behind the network layer.

use crate::{Checks, Packet, PacketKind, Reject, arp, ethertype, ipv4, ipv6, narrow};
use portcullis_types::{Mac, VLAN_DEPTH_MAX, VlanId, VlanStack};

/// Tags read, VID 0 included: as many as the stack holds, and as many priority tags again. A frame
/// with more is [`Reject::VlanTooDeep`].
pub const VLAN_TAGS_MAX: usize = 2 * VLAN_DEPTH_MAX;

/// The largest 802.3 length; larger values in its place are ethertypes (from 1536).
const LENGTH_MAX: u16 = 1500;

/// What kind of header a frame begins with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum LinkType {
    /// Ethernet II or 802.3.
    #[default]
    Ethernet,
    /// OpenBSD loopback: the address family in network order.
    Loop,
    /// BSD loopback: the address family in the byte order of whoever captured.
    Null,
    /// Linux cooked, version 1.
    LinuxSll,
    /// Linux cooked, version 2.
    LinuxSll2,
    /// Cisco's HDLC: address, control, ethertype.
    CiscoHdlc,
    /// No link header: IPv4 or IPv6 at once.
    RawIp,
}

#[inline]
pub(crate) fn read(
    packet: &mut Packet,
    frame: &[u8],
    link: LinkType,
    checks: Checks,
) -> Result<(), Reject> {
    match link {
        LinkType::Ethernet => ethernet(packet, frame, checks),
        LinkType::Loop | LinkType::Null => loopback(packet, frame, checks),
        LinkType::LinuxSll => cooked(packet, frame, checks),
        LinkType::LinuxSll2 => cooked_v2(packet, frame, checks),
        LinkType::CiscoHdlc => cisco_hdlc(packet, frame, checks),
        LinkType::RawIp => by_version(packet, frame, 0, checks),
    }
}

#[inline]
fn ethernet(packet: &mut Packet, frame: &[u8], checks: Checks) -> Result<(), Reject> {
    let Some((header, _)) = frame.split_first_chunk::<14>() else {
        return Err(Reject::EthernetTooShort);
    };
    // In pieces of six: what is read byte by byte is put together byte by byte.
    let (&[dst, src], &[t0, t1]) = header.as_chunks::<6>() else {
        return Err(Reject::EthernetTooShort);
    };
    (packet.dst_mac, packet.src_mac) = (Mac(dst), Mac(src));
    if src[0] & 1 != 0 {
        packet.rejects.insert(Reject::EthernetGroupSource);
    }
    behind_type(packet, frame, 14, u16::from_be_bytes([t0, t1]), checks)
}

/// What follows an ethertype (or an 802.3 length) that ended at `at`.
#[inline]
fn behind_type(
    packet: &mut Packet,
    frame: &[u8],
    at: usize,
    kind: u16,
    checks: Checks,
) -> Result<(), Reject> {
    // Tagged or not, one way on: the network layer is inlined here and only here.
    let (at, kind) = if is_tag(kind) { tags(packet, frame, at)? } else { (at, kind) };
    if kind <= LENGTH_MAX {
        return llc(packet, frame, at, kind, checks);
    }
    network(packet, frame, at, kind, checks)
}

/// Reads all tags from the first one's body at `at`; the place and the type behind them.
#[inline]
fn tags(packet: &mut Packet, frame: &[u8], mut at: usize) -> Result<(usize, u16), Reject> {
    let mut stack = VlanStack::UNTAGGED;
    for _ in 0..VLAN_TAGS_MAX {
        let Some(&[c0, c1, t0, t1]) = frame.get(at..).and_then(|r| r.first_chunk::<4>()) else {
            return Err(Reject::VlanTruncated);
        };
        at += 4;
        if let Some(vid) = VlanId::new(u16::from_be_bytes([c0, c1]) & 0x0fff) {
            if stack.depth() == VLAN_DEPTH_MAX {
                return Err(Reject::VlanTooDeep);
            }
            if vid.number() == 0x0fff {
                packet.rejects.insert(Reject::VlanReserved);
            }
            stack = stack.pushed(vid);
            packet.vlan = stack;
        }
        let kind = u16::from_be_bytes([t0, t1]);
        if !is_tag(kind) {
            return Ok((at, kind));
        }
    }
    Err(Reject::VlanTooDeep)
}

#[inline]
const fn is_tag(kind: u16) -> bool {
    matches!(kind, ethertype::VLAN | ethertype::SERVICE_VLAN | ethertype::OLD_SERVICE_VLAN)
}

/// Behind an 802.3 length: SNAP leads to a network protocol, all else passes untouched.
#[cold]
fn llc(
    packet: &mut Packet,
    frame: &[u8],
    at: usize,
    length: u16,
    checks: Checks,
) -> Result<(), Reject> {
    // LLC: DSAP and SSAP 0xaa with unnumbered information is SNAP; organisation 0 (RFC 1042) or
    // 00:00:f8 (802.1H bridges) carries an ethertype.
    let behind = frame.get(at..).unwrap_or_default();
    match behind.first_chunk::<8>() {
        Some(&[0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8, t0, t1]) => {
            // The 802.3 length bounds what belongs to the frame, as the IP length does after it.
            let end = (at + usize::from(length)).min(frame.len());
            let inside = frame.get(..end).unwrap_or(frame);
            snap(packet, inside, at + 8, u16::from_be_bytes([t0, t1]), checks)
        }
        _ => {
            other(packet, frame, at);
            Ok(())
        }
    }
}

fn snap(
    packet: &mut Packet,
    frame: &[u8],
    at: usize,
    kind: u16,
    checks: Checks,
) -> Result<(), Reject> {
    if !is_tag(kind) {
        return network(packet, frame, at, kind, checks);
    }
    let (at, kind) = tags(packet, frame, at)?;
    network(packet, frame, at, kind, checks)
}

#[inline]
fn network(
    packet: &mut Packet,
    frame: &[u8],
    at: usize,
    kind: u16,
    checks: Checks,
) -> Result<(), Reject> {
    packet.ethertype = kind;
    packet.l3_offset = narrow(at);
    match kind {
        ethertype::IPV4 => ipv4::read(packet, frame, at, checks),
        ethertype::IPV6 => ipv6::read(packet, frame, at, checks),
        ethertype::ARP => arp::read(packet, frame, at),
        _ => {
            other(packet, frame, at);
            Ok(())
        }
    }
}

fn other(packet: &mut Packet, frame: &[u8], at: usize) {
    packet.kind = PacketKind::Other;
    packet.l3_offset = narrow(at);
    packet.l4_offset = narrow(at);
    packet.payload_offset = narrow(at);
    packet.payload_len = narrow(frame.len().saturating_sub(at));
}

/// IP without an ethertype: its own first bits tell the version.
fn by_version(packet: &mut Packet, frame: &[u8], at: usize, checks: Checks) -> Result<(), Reject> {
    match frame.get(at).map(|byte| byte >> 4) {
        Some(4) => network(packet, frame, at, ethertype::IPV4, checks),
        Some(6) => network(packet, frame, at, ethertype::IPV6, checks),
        Some(_) | None => Err(Reject::RawIpVersion),
    }
}

/// Null and loop: four bytes of address family. AF_INET is 2 everywhere; AF_INET6 is 24, 28, 30 or
/// 10 by system. Both byte orders are tried: null has the capturing host's.
fn loopback(packet: &mut Packet, frame: &[u8], checks: Checks) -> Result<(), Reject> {
    let Some(&family) = frame.first_chunk::<4>() else { return Err(Reject::NullTooShort) };
    let family = match u32::from_be_bytes(family) {
        wide if wide > 0xffff => wide.swap_bytes(),
        narrow => narrow,
    };
    match family {
        2 => network(packet, frame, 4, ethertype::IPV4, checks),
        10 | 24 | 28 | 30 => network(packet, frame, 4, ethertype::IPV6, checks),
        _ => {
            other(packet, frame, 4);
            Ok(())
        }
    }
}

/// Linux cooked v1: packet type, ARPHRD, address length, address (8), protocol.
fn cooked(packet: &mut Packet, frame: &[u8], checks: Checks) -> Result<(), Reject> {
    let Some(&[_, _, _, _, l0, l1, a0, a1, a2, a3, a4, a5, _, _, t0, t1]) =
        frame.first_chunk::<16>()
    else {
        return Err(Reject::SllTooShort);
    };
    if u16::from_be_bytes([l0, l1]) == 6 {
        packet.src_mac = Mac([a0, a1, a2, a3, a4, a5]);
    }
    cooked_behind(packet, frame, 16, u16::from_be_bytes([t0, t1]), checks)
}

/// Linux cooked v2: protocol, reserved, interface, ARPHRD, packet type, address length, address.
fn cooked_v2(packet: &mut Packet, frame: &[u8], checks: Checks) -> Result<(), Reject> {
    let Some(&[t0, t1, _, _, _, _, _, _, _, _, _, len, a0, a1, a2, a3, a4, a5, _, _]) =
        frame.first_chunk::<20>()
    else {
        return Err(Reject::SllTooShort);
    };
    if len == 6 {
        packet.src_mac = Mac([a0, a1, a2, a3, a4, a5]);
    }
    cooked_behind(packet, frame, 20, u16::from_be_bytes([t0, t1]), checks)
}

/// Cisco's HDLC: address, control, ethertype; Cisco's own protocols (keepalives) are none of IP.
fn cisco_hdlc(packet: &mut Packet, frame: &[u8], checks: Checks) -> Result<(), Reject> {
    let Some(&[_, _, t0, t1]) = frame.first_chunk::<4>() else {
        return Err(Reject::HdlcTooShort);
    };
    match u16::from_be_bytes([t0, t1]) {
        kind @ (ethertype::IPV4 | ethertype::IPV6) => network(packet, frame, 4, kind, checks),
        _ => {
            other(packet, frame, 4);
            Ok(())
        }
    }
}

/// Cooked protocols under 1536 are Linux's own numbers (e.g. 4 for 802.2), not lengths.
fn cooked_behind(
    packet: &mut Packet,
    frame: &[u8],
    at: usize,
    kind: u16,
    checks: Checks,
) -> Result<(), Reject> {
    if kind <= LENGTH_MAX {
        other(packet, frame, at);
        return Ok(());
    }
    behind_type(packet, frame, at, kind, checks)
}
