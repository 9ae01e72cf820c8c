//! The `Packet`: what the headers of a frame say, as plain values and offsets.
//!
//! It borrows nothing, so it may wait in a burst beside its frame. Whoever wants bytes hands the
//! frame in again; every accessor is total, also with a frame that is not the packet's own.

use crate::{Reject, RejectSet};
use portcullis_types::{Addr, Mac, VlanStack};

/// What a frame turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PacketKind {
    /// Address resolution; `src` and `dst` are the sender's and the target's protocol address.
    Arp,
    /// IPv4 or IPv6.
    Ip,
    /// Anything else, e.g. LLDP, BPDU, unknown ethertypes: not ours to judge, passes untouched.
    #[default]
    Other,
}

/// The eight flag bits of TCP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: TcpFlags = TcpFlags(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: TcpFlags = TcpFlags(0x02);
    /// Reset.
    pub const RST: TcpFlags = TcpFlags(0x04);
    /// Push.
    pub const PSH: TcpFlags = TcpFlags(0x08);
    /// The acknowledgement number counts.
    pub const ACK: TcpFlags = TcpFlags(0x10);
    /// The urgent pointer counts.
    pub const URG: TcpFlags = TcpFlags(0x20);
    /// ECN echo.
    pub const ECE: TcpFlags = TcpFlags(0x40);
    /// Congestion window reduced.
    pub const CWR: TcpFlags = TcpFlags(0x80);

    /// Whether every flag of `wanted` is set.
    #[inline]
    pub const fn has(self, wanted: TcpFlags) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// Whether any flag of `wanted` is set.
    #[inline]
    pub const fn any(self, wanted: TcpFlags) -> bool {
        self.0 & wanted.0 != 0
    }

    /// The flags of both.
    #[inline]
    #[must_use]
    pub const fn union(self, other: TcpFlags) -> TcpFlags {
        TcpFlags(self.0 | other.0)
    }
}

impl std::fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = ["F", "S", "R", "P", "A", "U", "E", "C"];
        for (bit, name) in names.into_iter().enumerate().filter(|(bit, _)| self.0 >> bit & 1 == 1) {
            let _ = bit;
            f.write_str(name)?;
        }
        if self.0 == 0 { f.write_str("-") } else { Ok(()) }
    }
}

/// The fixed part of a TCP header. All zero where the packet is no TCP, or a fragment without it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Tcp {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; means nothing without [`TcpFlags::ACK`].
    pub ack: u32,
    /// Receive window, unscaled.
    pub window: u16,
    /// The checksum as received.
    pub checksum: u16,
    /// Urgent pointer; means nothing without [`TcpFlags::URG`].
    pub urgent: u16,
    /// Flags.
    pub flags: TcpFlags,
    /// Header length in bytes with options, 20–60; 0 where there is no TCP header.
    pub header_len: u8,
}

/// The options of a TCP header, read on demand with [`Packet::tcp_options`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct TcpOptions {
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale, at most 14 (RFC 7323, 2.3: larger counts as 14).
    pub window_scale: Option<u8>,
    /// Selective acknowledgement is understood.
    pub sack_permitted: bool,
    /// Selective acknowledgement blocks present, at most 4.
    pub sack_blocks: u8,
    /// Timestamp value and echo.
    pub timestamps: Option<(u32, u32)>,
    /// A fast-open cookie or request (RFC 7413) is present.
    pub fast_open: bool,
    /// An MD5 (RFC 2385) or TCP-AO (RFC 5925) signature is present.
    pub signed: bool,
}

/// Which part of a datagram a fragment is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fragment {
    /// Identification; 16 bits in IPv4.
    pub id: u32,
    /// Bytes of the datagram's payload before this fragment's; a multiple of 8. Only at 0 are there
    /// ports.
    pub offset: u16,
    /// More fragments follow.
    pub more: bool,
}

/// The packet that an ICMP error quotes: the one its receiver is said to have sent.
///
/// Packed, since every packet in hand has the room for it: with addresses in their places it would
/// be sixteen bytes more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(Rust, packed(4))]
pub struct Quoted {
    /// Its source.
    pub src: Addr,
    /// Its destination.
    pub dst: Addr,
    /// Its upper-layer protocol.
    pub protocol: u8,
    /// Its source port, 0 where there is none.
    pub src_port: u16,
    /// Its destination port, 0 where there is none.
    pub dst_port: u16,
    /// Its ICMP identifier, 0 where there is none.
    pub icmp_id: u16,
    /// Its TCP sequence number, 0 where there is none.
    pub seq: u32,
}

/// A frame whose headers have been checked. Offsets count from the frame's first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Sender on the link; zeros where the link has none.
    pub src_mac: Mac,
    /// Receiver on the link; zeros where the link has none.
    pub dst_mac: Mac,
    /// The VIDs, without VID 0.
    pub vlan: VlanStack,
    /// The ethertype behind tags and SNAP; 0 for LLC and links that have none.
    pub ethertype: u16,
    /// What it is; the fields of IP and of upper layers are zero for anything else.
    pub kind: PacketKind,
    /// 4 or 6; 0 for what is not IP.
    pub ip_version: u8,
    /// Source; the sender's protocol address in ARP.
    pub src: Addr,
    /// Destination; the target's protocol address in ARP.
    pub dst: Addr,
    /// ARP operation, 0 elsewhere.
    pub arp_operation: u16,
    /// The upper-layer protocol, behind IPv6 extension headers.
    pub protocol: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Bytes of the IP packet as its header says, saturated at 65,535.
    pub ip_len: u16,
    /// Source port (TCP, UDP, SCTP), 0 elsewhere.
    pub src_port: u16,
    /// Destination port (TCP, UDP, SCTP), 0 elsewhere.
    pub dst_port: u16,
    /// TCP's own fields.
    pub tcp: Tcp,
    /// ICMP type (either version); the IGMP type for protocol 2.
    pub icmp_type: u8,
    /// ICMP code.
    pub icmp_code: u8,
    /// ICMP identifier of echo, timestamp, information and mask messages.
    pub icmp_id: u16,
    /// ICMP sequence number of the same.
    pub icmp_sequence: u16,
    /// What an ICMP error quotes.
    pub quoted: Option<Quoted>,
    /// Set for a fragment; `None` for whole datagrams, also with an atomic fragment header.
    pub fragment: Option<Fragment>,
    /// Where the IP or ARP header starts.
    pub l3_offset: u16,
    /// Where the upper-layer header starts.
    pub l4_offset: u16,
    /// Where the payload starts.
    pub payload_offset: u16,
    /// Bytes of payload at hand: behind the upper-layer header, within the IP length and the frame.
    pub payload_len: u16,
    /// What is odd or wrong without having prevented the parse.
    pub rejects: RejectSet,
}

const _: () = assert!(size_of::<Packet>() <= 176);

impl Default for Packet {
    fn default() -> Self {
        Packet::EMPTY
    }
}

impl Packet {
    /// Nothing read yet. A constant, since a derived default is put together field by field and
    /// then copied in wide words, which stalls on its own stores.
    pub const EMPTY: Packet = Packet {
        src_mac: Mac([0; 6]),
        dst_mac: Mac([0; 6]),
        vlan: VlanStack::UNTAGGED,
        ethertype: 0,
        kind: PacketKind::Other,
        ip_version: 0,
        src: Addr::UNSPECIFIED,
        dst: Addr::UNSPECIFIED,
        arp_operation: 0,
        protocol: 0,
        ttl: 0,
        tos: 0,
        ip_len: 0,
        src_port: 0,
        dst_port: 0,
        tcp: Tcp {
            seq: 0,
            ack: 0,
            window: 0,
            checksum: 0,
            urgent: 0,
            flags: TcpFlags(0),
            header_len: 0,
        },
        icmp_type: 0,
        icmp_code: 0,
        icmp_id: 0,
        icmp_sequence: 0,
        quoted: None,
        fragment: None,
        l3_offset: 0,
        l4_offset: 0,
        payload_offset: 0,
        payload_len: 0,
        rejects: RejectSet::EMPTY,
    };

    /// The bytes behind the upper-layer header. For other IP protocols the bytes behind the IP
    /// headers, for ARP and others the bytes behind the link header.
    #[inline]
    pub fn payload<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        let from = usize::from(self.payload_offset);
        frame.get(from..from + usize::from(self.payload_len)).unwrap_or_default()
    }

    /// The upper-layer header and its payload, within the IP length.
    #[inline]
    pub fn segment<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        let end = usize::from(self.payload_offset) + usize::from(self.payload_len);
        frame.get(usize::from(self.l4_offset)..end).unwrap_or_default()
    }

    /// The IP packet with its headers, without link header and padding.
    #[inline]
    pub fn datagram<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        let end = usize::from(self.payload_offset) + usize::from(self.payload_len);
        frame.get(usize::from(self.l3_offset)..end).unwrap_or_default()
    }

    /// The two addresses in ascending order: the same for both directions.
    #[inline]
    pub fn symmetric_pair(&self) -> (Addr, Addr) {
        if self.src <= self.dst { (self.src, self.dst) } else { (self.dst, self.src) }
    }

    /// Whether ports and transport header are here: no fragment, or the first one.
    #[inline]
    pub fn has_transport(&self) -> bool {
        self.fragment.is_none_or(|f| f.offset == 0)
    }

    /// TCP's options; all absent where the packet has none.
    pub fn tcp_options(&self, frame: &[u8]) -> TcpOptions {
        let from = usize::from(self.l4_offset) + 20;
        let to = usize::from(self.l4_offset) + usize::from(self.tcp.header_len);
        crate::tcp::options(frame.get(from..to).unwrap_or_default())
    }
}

/// A frame whose headers cannot be used, with as much as was read before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// What is wrong.
    pub reject: Reject,
    /// Sender on the link; zeros where it was not read.
    pub src_mac: Mac,
    /// Receiver on the link; zeros where it was not read.
    pub dst_mac: Mac,
    /// The VIDs read before.
    pub vlan: VlanStack,
    /// The ethertype, 0 where it was not read.
    pub ethertype: u16,
    /// The source, where the IP header was read.
    pub src: Option<Addr>,
    /// The destination, where the IP header was read.
    pub dst: Option<Addr>,
    /// The protocol, 0 where it was not read.
    pub protocol: u8,
    /// Other rejects found before.
    pub rejects: RejectSet,
}
