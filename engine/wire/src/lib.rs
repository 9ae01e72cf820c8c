//! Bytes to [`Packet`]: headers checked once, every accessor total.
//!
//! ```text
//! frame ─► link (ethernet, cooked, null, raw) ─► tags ─► arp
//!                                                    └─► ipv4 | ipv6 ─► tcp udp icmp igmp sctp
//! ```
//!
//! [`parse`] reads headers and nothing behind them, except for checksums where [`Checks`] asks. The
//! slice decides, never a length field. What cannot be used is [`Malformed`]; what is merely odd or
//! wrong is a [`Reject`] in [`Packet::rejects`], and the packet parses. This crate never allocates
//! (but for [`build`], which crafts frames for tests and tools) and must never know a flow, a
//! policy, a clock or a table.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::panic, clippy::unreachable, clippy::todo)
)]

mod arp;
pub mod build;
mod checks;
pub mod checksum;
mod decode_events;
mod icmp;
mod ipv4;
mod ipv6;
mod link;
mod packet;
mod reject;
mod tcp;
mod transport;

pub use checks::Checks;
pub use decode_events::{DECODE_EVENTS, decode_event};
pub use ipv6::IPV6_EXTENSIONS_MAX;
pub use link::{LinkType, VLAN_TAGS_MAX};
pub use packet::{Fragment, Malformed, Packet, PacketKind, Quoted, Tcp, TcpFlags, TcpOptions};
pub use reject::{Layer, Nature, Reject, RejectSet};

/// Ethertypes that the engine knows by name.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// Address resolution.
    pub const ARP: u16 = 0x0806;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// 802.1Q tag.
    pub const VLAN: u16 = 0x8100;
    /// 802.1ad service tag.
    pub const SERVICE_VLAN: u16 = 0x88a8;
    /// The service tag of switches older than 802.1ad.
    pub const OLD_SERVICE_VLAN: u16 = 0x9100;
}

/// Upper-layer protocols that the engine knows by name (IANA's numbers).
pub mod protocol {
    /// Generic routing encapsulation.
    pub const GRE: u8 = 47;
    /// ICMP of IPv4.
    pub const ICMPV4: u8 = 1;
    /// IGMP.
    pub const IGMP: u8 = 2;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP of IPv6.
    pub const ICMPV6: u8 = 58;
    /// No next header.
    pub const NONE: u8 = 59;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// Reads the headers of a frame.
///
/// Bytes beyond the first 65,535 are not looked at: no link carries such a frame, and so every
/// offset is a `u16`.
///
/// # Errors
/// [`Malformed`] where a header cannot be used at all; it says what was read before.
#[inline]
pub fn parse(frame: &[u8], link: LinkType, checks: Checks) -> Result<Packet, Malformed> {
    let frame = frame.get(..usize::from(u16::MAX)).unwrap_or(frame);
    // The packet is filled in where it will be returned: a copy of it costs as much as IPv4.
    let mut outcome = Ok(Packet::EMPTY);
    if let Ok(packet) = &mut outcome
        && let Err(reject) = link::read(packet, frame, link, checks)
    {
        outcome = Err(malformed(packet, reject));
    }
    outcome
}

/// [`parse`] into a packet that stays where it is: whoever keeps packets saves a copy. It is
/// [`Packet::EMPTY`] until then.
///
/// # Errors
/// As [`parse`]; the packet is then to be forgotten.
#[inline]
pub fn parse_into(
    packet: &mut Packet,
    frame: &[u8],
    link: LinkType,
    checks: Checks,
) -> Result<(), Reject> {
    let frame = frame.get(..usize::from(u16::MAX)).unwrap_or(frame);
    debug_assert!(*packet == Packet::EMPTY, "what is read is added to what is there");
    link::read(packet, frame, link, checks)
}

#[cold]
fn malformed(packet: &Packet, reject: Reject) -> Malformed {
    let (src, dst) = match packet.kind {
        PacketKind::Ip => (Some(packet.src), Some(packet.dst)),
        PacketKind::Arp | PacketKind::Other => (None, None),
    };
    Malformed {
        reject,
        src_mac: packet.src_mac,
        dst_mac: packet.dst_mac,
        vlan: packet.vlan,
        ethertype: packet.ethertype,
        src,
        dst,
        protocol: packet.protocol,
        rejects: packet.rejects,
    }
}

/// An offset or a length within a frame of at most 65,535 bytes.
#[inline]
fn narrow(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}
