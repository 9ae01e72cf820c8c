//! Every malformation and oddity that headers can show, each with a name, a layer and a nature.
//!
//! One table makes the enum, its names and its events, so that none can be forgotten. This file
//! must never know how a reject is found, nor what policy does with it.

use std::fmt;

/// The layer in whose header a [`Reject`] was found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Layer {
    /// Address resolution.
    Arp,
    /// Ethernet and the other link headers (cooked, null, loop, raw).
    Ethernet,
    /// Fragments of either IP version.
    Fragment,
    /// Generic routing encapsulation.
    Gre,
    /// ICMP of IPv4.
    Icmpv4,
    /// ICMP of IPv6, with neighbour discovery and multicast listeners.
    Icmpv6,
    /// IGMP.
    Igmp,
    /// The IPv4 header and its options.
    Ipv4,
    /// The IPv6 header and its extension headers.
    Ipv6,
    /// SCTP.
    Sctp,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// 802.1Q and 802.1ad tags.
    Vlan,
}

impl Layer {
    /// The label in metrics and events.
    pub const fn name(self) -> &'static str {
        match self {
            Layer::Arp => "arp",
            Layer::Ethernet => "ethernet",
            Layer::Fragment => "fragment",
            Layer::Gre => "gre",
            Layer::Icmpv4 => "icmpv4",
            Layer::Icmpv6 => "icmpv6",
            Layer::Igmp => "igmp",
            Layer::Ipv4 => "ipv4",
            Layer::Ipv6 => "ipv6",
            Layer::Sctp => "sctp",
            Layer::Tcp => "tcp",
            Layer::Udp => "udp",
            Layer::Vlan => "vlan",
        }
    }
}

/// What a [`Reject`] says about the frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Nature {
    /// Nobody sends this but to attack, to probe or to evade; the headers parse.
    Attack,
    /// No receiver accepts it; the headers parse.
    Broken,
    /// The headers cannot be used at all: [`parse`](crate::parse) answers `Err`.
    Fatal,
    /// Unusual; honest hosts send it now and then.
    Oddity,
}

macro_rules! rejects {
    ($($(#[doc = $doc:literal])+
       $variant:ident $name:literal $layer:ident $nature:ident $event:literal;)+) => {
        /// What is wrong or odd with a frame's headers. Alphabetical; fewer than 128.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Reject { $($(#[doc = $doc])+ $variant,)+ }

        impl Reject {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Reject] = &[$(Reject::$variant,)+];

            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The label in metrics and events, `snake_case`.
            pub const fn name(self) -> &'static str {
                match self { $(Reject::$variant => $name,)+ }
            }

            /// The layer whose header shows it.
            pub const fn layer(self) -> Layer {
                match self { $(Reject::$variant => Layer::$layer,)+ }
            }

            /// What it says about the frame.
            pub const fn nature(self) -> Nature {
                match self { $(Reject::$variant => Nature::$nature,)+ }
            }

            /// The value of EVE's `anomaly.event`: Suricata's where it has one, else formed alike.
            pub const fn suricata_event(self) -> &'static str {
                match self { $(Reject::$variant => concat!("decoder.", $event),)+ }
            }
        }
    };
}

impl Reject {
    /// As [`Reject::suricata_event`], with the version of IP that the packet has.
    pub const fn suricata_event_in(self, is_v4: bool) -> &'static str {
        match (self, is_v4) {
            (Reject::FragmentOverlap, false) => "decoder.ipv6.frag_overlap",
            (Reject::FragmentPastEnd, false) => "decoder.ipv6.frag_pkt_too_large",
            (Reject::FragmentUnaligned, true) => "decoder.ipv4.frag_invalid_length",
            _ => self.suricata_event(),
        }
    }
}

rejects! {
    /// Source and destination address are the same, outside loopback, but not the ports.
    AddressesEqual "addresses_equal" Ipv4 Oddity "ip.addresses_equal";
    /// The ARP sender's hardware address is a group address.
    ArpGroupSender "arp_group_sender" Arp Attack "arp.group_sender";
    /// The ARP sender's hardware address is not the frame's source.
    ArpSenderMismatch "arp_sender_mismatch" Arp Oddity "arp.sender_mismatch";
    /// Fewer bytes than an ARP packet for Ethernet and IPv4.
    ArpTruncated "arp_truncated" Arp Fatal "arp.pkt_too_small";
    /// Neither request nor reply nor their reverse or inverse forms (1–4, 8, 9).
    ArpUnknownOperation "arp_unknown_operation" Arp Oddity "arp.unsupported_opcode";
    /// The frame's source address is a group address.
    EthernetGroupSource "ethernet_group_source" Ethernet Oddity "ethernet.group_source";
    /// Fewer than 14 bytes.
    EthernetTooShort "ethernet_too_short" Ethernet Fatal "ethernet.pkt_too_small";
    /// The same bytes of its datagram again, as a link that repeats frames makes; found by `flow`.
    FragmentDuplicate "fragment_duplicate" Fragment Oddity "ip.frag_duplicate";
    /// A fragment without payload.
    FragmentEmpty "fragment_empty" Fragment Attack "ip.frag_empty";
    /// It covers bytes that an earlier fragment of its datagram had; found by `flow`.
    FragmentOverlap "fragment_overlap" Fragment Attack "ipv4.frag_overlap";
    /// Its end lies beyond 65,535 bytes.
    FragmentPastEnd "fragment_past_end" Fragment Attack "ipv4.frag_pkt_too_large";
    /// A datagram with more holes than anyone keeps track of; found by `flow`.
    FragmentScattered "fragment_scattered" Fragment Attack "ip.frag_scattered";
    /// It lies wholly within an earlier fragment, so that a naive length turns negative; by `flow`.
    FragmentTeardrop "fragment_teardrop" Fragment Attack "ip.frag_teardrop";
    /// The first fragment ends within its transport header, or a later one starts within it.
    FragmentTiny "fragment_tiny" Fragment Attack "ip.frag_tiny";
    /// More fragments follow but its length is no multiple of eight.
    FragmentUnaligned "fragment_unaligned" Fragment Broken "ipv6.frag_invalid_length";
    /// Fewer than 4 bytes.
    GreTooShort "gre_too_short" Gre Broken "gre.pkt_too_small";
    /// A Cisco HDLC header of fewer than four bytes.
    HdlcTooShort "hdlc_too_short" Ethernet Fatal "chdlc.pkt_too_small";
    /// The checksum is wrong.
    Icmpv4Checksum "icmpv4_checksum" Icmpv4 Broken "icmpv4.invalid_checksum";
    /// An echo or timestamp request to a multicast or the limited broadcast address.
    Icmpv4EchoToGroup "icmpv4_echo_to_group" Icmpv4 Oddity "icmpv4.echo_to_group";
    /// ICMPv4 behind an IPv6 header.
    Icmpv4InIpv6 "icmpv4_in_ipv6" Icmpv4 Attack "ipv6.icmpv4";
    /// The quoted packet ends within its IP header or its ports.
    Icmpv4QuoteTruncated "icmpv4_quote_truncated" Icmpv4 Oddity "icmpv4.ipv4_trunc_pkt";
    /// The quoted packet is not IPv4.
    Icmpv4QuoteVersion "icmpv4_quote_version" Icmpv4 Oddity "icmpv4.ipv4_unknown_ver";
    /// Fewer than eight bytes.
    Icmpv4TooShort "icmpv4_too_short" Icmpv4 Fatal "icmpv4.pkt_too_small";
    /// A code that its type does not have.
    Icmpv4UnknownCode "icmpv4_unknown_code" Icmpv4 Oddity "icmpv4.unknown_code";
    /// A type that nobody has registered.
    Icmpv4UnknownType "icmpv4_unknown_type" Icmpv4 Oddity "icmpv4.unknown_type";
    /// The checksum is wrong.
    Icmpv6Checksum "icmpv6_checksum" Icmpv6 Broken "icmpv6.invalid_checksum";
    /// ICMPv6 behind an IPv4 header.
    Icmpv6InIpv4 "icmpv6_in_ipv4" Icmpv6 Attack "ipv4.icmpv6";
    /// A multicast listener message whose hop limit is not 1 (RFC 2710, 3; RFC 3810, 5).
    Icmpv6ListenerHopLimit "icmpv6_listener_hop_limit" Icmpv6 Broken "icmpv6.mld_message_with_invalid_hl";
    /// Neighbour discovery whose hop limit is not 255: it came from beyond the link (RFC 4861).
    Icmpv6NeighbourHopLimit "icmpv6_neighbour_hop_limit" Icmpv6 Attack "icmpv6.nd_hop_limit";
    /// The quoted packet ends within its IP header or its ports.
    Icmpv6QuoteTruncated "icmpv6_quote_truncated" Icmpv6 Oddity "icmpv6.ipv6_trunc_pkt";
    /// The quoted packet is not IPv6.
    Icmpv6QuoteVersion "icmpv6_quote_version" Icmpv6 Oddity "icmpv6.ipv6_unknown_version";
    /// Fewer than four bytes, or than eight where the type has a body.
    Icmpv6TooShort "icmpv6_too_short" Icmpv6 Fatal "icmpv6.pkt_too_small";
    /// A code that its type does not have.
    Icmpv6UnknownCode "icmpv6_unknown_code" Icmpv6 Oddity "icmpv6.unknown_code";
    /// A type that nobody has registered.
    Icmpv6UnknownType "icmpv6_unknown_type" Icmpv6 Oddity "icmpv6.unknown_type";
    /// The checksum is wrong.
    IgmpChecksum "igmp_checksum" Igmp Broken "igmp.invalid_checksum";
    /// A version 3 report or query whose records end beyond it.
    IgmpMalformed "igmp_malformed" Igmp Broken "igmp.malformed";
    /// Fewer than eight bytes.
    IgmpTooShort "igmp_too_short" Igmp Broken "igmp.pkt_too_small";
    /// A header length under 20 bytes.
    Ipv4BadHeaderLength "ipv4_bad_header_length" Ipv4 Fatal "ipv4.hlen_too_small";
    /// The version is not 4 where IPv4 was announced.
    Ipv4BadVersion "ipv4_bad_version" Ipv4 Fatal "ipv4.wrong_ip_version";
    /// The header's checksum is wrong.
    Ipv4Checksum "ipv4_checksum" Ipv4 Broken "ipv4.invalid_checksum";
    /// A fragment that forbids fragmentation.
    Ipv4DontFragment "ipv4_dont_fragment" Ipv4 Oddity "ipv4.frag_dont_fragment";
    /// The source is a multicast or the limited broadcast address.
    Ipv4GroupSource "ipv4_group_source" Ipv4 Attack "ipv4.group_source";
    /// The total length is less than the header's.
    Ipv4LengthBelowHeader "ipv4_length_below_header" Ipv4 Fatal "ipv4.iplen_smaller_than_hlen";
    /// A 127/8 address on a link that is no loopback.
    Ipv4LoopbackOnWire "ipv4_loopback_on_wire" Ipv4 Oddity "ipv4.loopback_on_wire";
    /// An option that may stand once stands twice.
    Ipv4OptionDuplicate "ipv4_option_duplicate" Ipv4 Oddity "ipv4.opt_duplicate";
    /// An option's length is under two or goes beyond the header.
    Ipv4OptionLength "ipv4_option_length" Ipv4 Attack "ipv4.opt_invalid_len";
    /// A known option's content contradicts itself, e.g. its pointer.
    Ipv4OptionMalformed "ipv4_option_malformed" Ipv4 Attack "ipv4.opt_malformed";
    /// An option that nobody has registered.
    Ipv4OptionUnknown "ipv4_option_unknown" Ipv4 Oddity "ipv4.opt_unknown";
    /// A record-route option.
    Ipv4RecordRoute "ipv4_record_route" Ipv4 Oddity "ipv4.opt_record_route";
    /// The reserved flag is set.
    Ipv4ReservedFlag "ipv4_reserved_flag" Ipv4 Oddity "ipv4.reserved_flag";
    /// The source lies in 240/4.
    Ipv4ReservedSource "ipv4_reserved_source" Ipv4 Oddity "ipv4.reserved_source";
    /// A loose source route.
    Ipv4SourceRouteLoose "ipv4_source_route_loose" Ipv4 Attack "ipv4.opt_source_route_loose";
    /// A strict source route.
    Ipv4SourceRouteStrict "ipv4_source_route_strict" Ipv4 Attack "ipv4.opt_source_route_strict";
    /// A timestamp option.
    Ipv4Timestamp "ipv4_timestamp" Ipv4 Oddity "ipv4.opt_timestamp";
    /// Fewer bytes than its header.
    Ipv4TooShort "ipv4_too_short" Ipv4 Fatal "ipv4.pkt_too_small";
    /// The total length goes beyond the frame's bytes.
    Ipv4Truncated "ipv4_truncated" Ipv4 Broken "ipv4.trunc_pkt";
    /// A time to live of zero on the wire.
    Ipv4TtlZero "ipv4_ttl_zero" Ipv4 Broken "ipv4.ttl_zero";
    /// The destination is 0.0.0.0.
    Ipv4UnspecifiedDestination "ipv4_unspecified_destination" Ipv4 Broken "ipv4.unspecified_destination";
    /// The reserved field of an authentication header is not zero.
    Ipv6AhReserved "ipv6_ah_reserved" Ipv6 Oddity "ipv6.exthdr_ah_res_not_null";
    /// A fragment header on a datagram in one piece (RFC 6946).
    Ipv6AtomicFragment "ipv6_atomic_fragment" Ipv6 Oddity "ipv6.exthdr_useless_fh";
    /// The version is not 6 where IPv6 was announced.
    Ipv6BadVersion "ipv6_bad_version" Ipv6 Fatal "ipv6.wrong_ip_version";
    /// Bytes behind "no next header".
    Ipv6DataAfterNone "ipv6_data_after_none" Ipv6 Oddity "ipv6.data_after_none_header";
    /// A second authentication header.
    Ipv6DuplicateAh "ipv6_duplicate_ah" Ipv6 Attack "ipv6.exthdr_dupl_ah";
    /// A third destination-options header.
    Ipv6DuplicateDestination "ipv6_duplicate_destination" Ipv6 Attack "ipv6.exthdr_dupl_dh";
    /// A second fragment header.
    Ipv6DuplicateFragment "ipv6_duplicate_fragment" Ipv6 Attack "ipv6.exthdr_dupl_fh";
    /// A second hop-by-hop header.
    Ipv6DuplicateHopByHop "ipv6_duplicate_hop_by_hop" Ipv6 Attack "ipv6.exthdr_dupl_hh";
    /// A second routing header.
    Ipv6DuplicateRouting "ipv6_duplicate_routing" Ipv6 Attack "ipv6.exthdr_dupl_rh";
    /// Extension headers in an order that RFC 8200, 4.1 does not know.
    Ipv6ExtensionOrder "ipv6_extension_order" Ipv6 Oddity "ipv6.exthdr_order";
    /// More extension headers than [`IPV6_EXTENSIONS_MAX`](crate::IPV6_EXTENSIONS_MAX).
    Ipv6ExtensionTooMany "ipv6_extension_too_many" Ipv6 Fatal "too_many_layers";
    /// An extension header ends beyond the packet.
    Ipv6ExtensionTruncated "ipv6_extension_truncated" Ipv6 Fatal "ipv6.trunc_exthdr";
    /// Reserved bits of a fragment header are set.
    Ipv6FragmentReserved "ipv6_fragment_reserved" Ipv6 Oddity "ipv6.fh_non_zero_reserved_field";
    /// The source is a multicast address.
    Ipv6GroupSource "ipv6_group_source" Ipv6 Attack "ipv6.group_source";
    /// More hop-by-hop options than routers should bear (RFC 9673; more than 8), or only padding.
    Ipv6HopByHopAbuse "ipv6_hop_by_hop_abuse" Ipv6 Attack "ipv6.hopopts_only_padding";
    /// A hop-by-hop header that is not the first: receivers must answer with an error.
    Ipv6HopByHopLate "ipv6_hop_by_hop_late" Ipv6 Attack "ipv6.hopopts_not_first";
    /// A hop-by-hop option that nobody has registered.
    Ipv6HopByHopUnknown "ipv6_hop_by_hop_unknown" Ipv6 Oddity "ipv6.hopopts_unknown_opt";
    /// A hop limit of zero on the wire.
    Ipv6HopLimitZero "ipv6_hop_limit_zero" Ipv6 Broken "ipv6.hop_limit_zero";
    /// A jumbogram (RFC 2675): longer than any link here carries.
    Ipv6Jumbogram "ipv6_jumbogram" Ipv6 Fatal "ipv6.jumbogram";
    /// ::1 on a link that is no loopback.
    Ipv6LoopbackOnWire "ipv6_loopback_on_wire" Ipv6 Oddity "ipv6.loopback_on_wire";
    /// A source or destination in ::ffff:0:0/96, which no host may put on a link (RFC 4942, 2.2).
    Ipv6MappedAddress "ipv6_mapped_address" Ipv6 Fatal "ipv6.mapped_address";
    /// An option ends beyond its header.
    Ipv6OptionLength "ipv6_option_length" Ipv6 Attack "ipv6.exthdr_invalid_optlen";
    /// A destination option that nobody has registered.
    Ipv6OptionUnknown "ipv6_option_unknown" Ipv6 Oddity "ipv6.dstopts_unknown_opt";
    /// Destination options that are padding alone.
    Ipv6OptionsOnlyPadding "ipv6_options_only_padding" Ipv6 Oddity "ipv6.dstopts_only_padding";
    /// Padding whose bytes are not zero: a covert channel.
    Ipv6PaddingNotZero "ipv6_padding_not_zero" Ipv6 Oddity "ipv6.padding_not_zero";
    /// A routing header of type 0, deprecated for amplification (RFC 5095).
    Ipv6RoutingType0 "ipv6_routing_type_0" Ipv6 Attack "ipv6.rh_type_0";
    /// Fewer than 40 bytes.
    Ipv6TooShort "ipv6_too_short" Ipv6 Fatal "ipv6.pkt_too_small";
    /// The payload length goes beyond the frame's bytes.
    Ipv6Truncated "ipv6_truncated" Ipv6 Broken "ipv6.trunc_pkt";
    /// The destination is ::.
    Ipv6UnspecifiedDestination "ipv6_unspecified_destination" Ipv6 Broken "ipv6.unspecified_destination";
    /// A PadN option without a byte of padding.
    Ipv6ZeroPadN "ipv6_zero_pad_n" Ipv6 Oddity "ipv6.zero_len_padn";
    /// Source and destination are the same in address and port (TCP, UDP): LAND (CVE-1999-0016).
    Land "land" Ipv4 Attack "ip.land";
    /// A null or loop header of fewer than four bytes.
    NullTooShort "null_too_short" Ethernet Fatal "ltnull.pkt_too_small";
    /// An ICMP fragment whose end lies beyond 65,535 bytes (CVE-1999-0128).
    PingOfDeath "ping_of_death" Fragment Attack "icmp.ping_of_death";
    /// Raw IP that is neither version 4 nor 6.
    RawIpVersion "raw_ip_version" Ethernet Fatal "ipraw.invalid_ip_version";
    /// A chunk whose length is under four or goes beyond the packet.
    SctpChunkLength "sctp_chunk_length" Sctp Broken "sctp.chunk_length";
    /// A port of zero.
    SctpPortZero "sctp_port_zero" Sctp Broken "sctp.port_zero";
    /// Fewer than 12 bytes.
    SctpTooShort "sctp_too_short" Sctp Fatal "sctp.pkt_too_small";
    /// A Linux cooked header of fewer than 16 (v2: 20) bytes.
    SllTooShort "sll_too_short" Ethernet Fatal "sll.pkt_too_small";
    /// The checksum is wrong.
    TcpChecksum "tcp_checksum" Tcp Broken "tcp.invalid_checksum";
    /// FIN without ACK: no connection ends so.
    TcpFinOnly "tcp_fin_only" Tcp Attack "tcp.fin_only";
    /// FIN and RST together.
    TcpFinRst "tcp_fin_rst" Tcp Oddity "tcp.fin_rst";
    /// The data offset is under five words or beyond the segment.
    TcpHeaderLength "tcp_header_length" Tcp Fatal "tcp.hlen_too_small";
    /// Neither SYN, ACK nor RST is set, and it is no FIN or Xmas probe.
    TcpNoAck "tcp_no_ack" Tcp Attack "tcp.no_ack";
    /// No flag at all.
    TcpNullFlags "tcp_null_flags" Tcp Attack "tcp.null_flags";
    /// An option that may stand once stands twice.
    TcpOptionDuplicate "tcp_option_duplicate" Tcp Oddity "tcp.opt_duplicate";
    /// An option's length is under two, beyond the header, or not its kind's.
    TcpOptionLength "tcp_option_length" Tcp Oddity "tcp.opt_invalid_len";
    /// A port of zero.
    TcpPortZero "tcp_port_zero" Tcp Attack "tcp.port_zero";
    /// Reserved bits are set.
    TcpReservedBits "tcp_reserved_bits" Tcp Oddity "tcp.reserved_bits";
    /// SYN with payload (fast open, or an evasion).
    TcpSynData "tcp_syn_data" Tcp Oddity "tcp.syn_data";
    /// SYN and FIN together.
    TcpSynFin "tcp_syn_fin" Tcp Attack "tcp.syn_fin";
    /// SYN and RST together.
    TcpSynRst "tcp_syn_rst" Tcp Attack "tcp.syn_rst";
    /// TCP to a multicast or the limited broadcast address.
    TcpToGroup "tcp_to_group" Tcp Attack "tcp.group_destination";
    /// Fewer than 20 bytes.
    TcpTooShort "tcp_too_short" Tcp Fatal "tcp.pkt_too_small";
    /// FIN, PSH and URG without ACK.
    TcpXmas "tcp_xmas" Tcp Attack "tcp.xmas";
    /// The checksum is wrong.
    UdpChecksum "udp_checksum" Udp Broken "udp.invalid_checksum";
    /// No checksum over IPv6, which only tunnels may leave out (RFC 6935).
    UdpChecksumMissing "udp_checksum_missing" Udp Oddity "udp.checksum_missing";
    /// The length is under eight.
    UdpHeaderLength "udp_header_length" Udp Fatal "udp.len_invalid";
    /// The length goes beyond the IP packet.
    UdpLengthBeyond "udp_length_beyond" Udp Broken "udp.pkt_too_small";
    /// The length ends before the IP packet does; the bytes behind are no payload.
    UdpLengthShort "udp_length_short" Udp Oddity "udp.hlen_invalid";
    /// A destination port of zero.
    UdpPortZero "udp_port_zero" Udp Oddity "udp.port_zero";
    /// Fewer than eight bytes.
    UdpTooShort "udp_too_short" Udp Fatal "udp.hlen_too_small";
    /// VID 4095, which no frame may carry (IEEE 802.1Q, 9.6).
    VlanReserved "vlan_reserved" Vlan Oddity "vlan.reserved_vid";
    /// More tags than [`VLAN_TAGS_MAX`](crate::VLAN_TAGS_MAX).
    VlanTooDeep "vlan_too_deep" Vlan Fatal "vlan.too_many_layers";
    /// A tag ends beyond the frame.
    VlanTruncated "vlan_truncated" Vlan Fatal "vlan.header_too_small";
}

const _: () = assert!(Reject::COUNT < 128, "a RejectSet has 128 bits");

impl Reject {
    /// Its place in tables of counters, under [`Reject::COUNT`].
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The reject with that number.
    pub fn from_index(index: usize) -> Option<Reject> {
        Reject::ALL.get(index).copied()
    }

    /// Whether [`parse`](crate::parse) answers `Err` with it.
    pub const fn is_fatal(self) -> bool {
        matches!(self.nature(), Nature::Fatal)
    }

    /// Whether nobody sends this but to attack, to probe or to evade.
    pub const fn is_attack_shape(self) -> bool {
        matches!(self.nature(), Nature::Attack)
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of [`Reject`]s; bit n is the reject with number n.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct RejectSet(u128);

impl RejectSet {
    /// None.
    pub const EMPTY: RejectSet = RejectSet(0);

    /// What policy drops unless told otherwise: the fatal ones, what no receiver accepts, and
    /// shapes that serve only attacks. Nothing that clean traffic holds more than by accident:
    /// checksums are in it because they are looked at only where `Checks` asks.
    pub const DEFAULT_DROP: RejectSet = default_drop();

    /// What a capture cut short by its snap length shows of healthy packets. Where a frame's
    /// length on the wire exceeds the bytes at hand, these say nothing against it.
    pub const CUT_CAPTURE: RejectSet =
        RejectSet::EMPTY.with(Reject::Ipv4Truncated).with(Reject::Ipv6Truncated);

    /// What nobody sends but to attack, to probe or to evade.
    pub const ATTACK_SHAPES: RejectSet = attack_shapes();

    /// The set with one more.
    #[inline]
    #[must_use]
    pub const fn with(self, reject: Reject) -> Self {
        RejectSet(self.0 | 1 << reject as u8)
    }

    /// Adds one.
    #[inline]
    pub const fn insert(&mut self, reject: Reject) {
        self.0 |= 1 << reject as u8;
    }

    /// Whether the set has it.
    #[inline]
    pub const fn contains(self, reject: Reject) -> bool {
        self.0 >> reject as u8 & 1 == 1
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Those of either set.
    #[inline]
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        RejectSet(self.0 | other.0)
    }

    /// Those of both sets.
    #[inline]
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        RejectSet(self.0 & other.0)
    }

    /// Those of `self` that are not in `other`.
    #[inline]
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        RejectSet(self.0 & !other.0)
    }

    /// The bits, for records that cross a border.
    #[inline]
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// A set from its bits; bits that name no reject are left out.
    pub const fn from_bits(bits: u128) -> Self {
        RejectSet(bits & ((1 << Reject::COUNT) - 1))
    }

    /// The members, by number. As many steps as there are members.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = Reject> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let index = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            Reject::ALL.get(index as usize).copied()
        })
    }
}

impl fmt::Debug for RejectSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromIterator<Reject> for RejectSet {
    fn from_iter<I: IntoIterator<Item = Reject>>(rejects: I) -> Self {
        rejects.into_iter().fold(RejectSet::EMPTY, RejectSet::with)
    }
}

const fn attack_shapes() -> RejectSet {
    let mut set = RejectSet::EMPTY;
    let mut rest = Reject::ALL;
    while let [reject, behind @ ..] = rest {
        if reject.is_attack_shape() {
            set.insert(*reject);
        }
        rest = behind;
    }
    set
}

const fn default_drop() -> RejectSet {
    let mut set = RejectSet::EMPTY;
    let mut rest = Reject::ALL;
    while let [reject, behind @ ..] = rest {
        let dropped = match reject.nature() {
            Nature::Attack | Nature::Broken | Nature::Fatal => true,
            Nature::Oddity => false,
        };
        if dropped {
            set.insert(*reject);
        }
        rest = behind;
    }
    set
}
