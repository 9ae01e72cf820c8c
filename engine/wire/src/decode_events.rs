//! Suricata's decoder events, by the reject that each of them is.
//!
//! For rules that ask for `decode-event:NAME`. This file must never know how a reject is found.

use crate::Reject;

/// Whichever version of IP.
const ANY: u8 = 0;
const V4: u8 = 4;
const V6: u8 = 6;

/// Names after `decode-event:`, the reject that says so, and the version of IP that the packet has
/// to have, 0 for any. Ascending by name; a name that several rejects say stands several times.
/// Names that are not here are never raised: protocols that are not decoded, or nothing wrong.
pub const DECODE_EVENTS: &[(&str, Reject, u8)] = &[
    ("chdlc.pkt_too_small", Reject::HdlcTooShort, ANY),
    ("ethernet.pkt_too_small", Reject::EthernetTooShort, ANY),
    ("gre.pkt_too_small", Reject::GreTooShort, ANY),
    ("icmpv4.ipv4_trunc_pkt", Reject::Icmpv4QuoteTruncated, ANY),
    ("icmpv4.ipv4_unknown_ver", Reject::Icmpv4QuoteVersion, ANY),
    ("icmpv4.pkt_too_small", Reject::Icmpv4TooShort, ANY),
    ("icmpv4.unknown_code", Reject::Icmpv4UnknownCode, ANY),
    ("icmpv4.unknown_type", Reject::Icmpv4UnknownType, ANY),
    ("icmpv6.ipv6_trunc_pkt", Reject::Icmpv6QuoteTruncated, ANY),
    ("icmpv6.ipv6_unknown_version", Reject::Icmpv6QuoteVersion, ANY),
    ("icmpv6.mld_message_with_invalid_hl", Reject::Icmpv6ListenerHopLimit, ANY),
    ("icmpv6.pkt_too_small", Reject::Icmpv6TooShort, ANY),
    ("icmpv6.unassigned_type", Reject::Icmpv6UnknownType, ANY),
    ("icmpv6.unknown_code", Reject::Icmpv6UnknownCode, ANY),
    ("icmpv6.unknown_type", Reject::Icmpv6UnknownType, ANY),
    ("igmp.malformed", Reject::IgmpMalformed, ANY),
    ("igmp.pkt_too_small", Reject::IgmpTooShort, ANY),
    ("ipraw.invalid_ip_version", Reject::RawIpVersion, ANY),
    ("ipv4.frag_overlap", Reject::FragmentDuplicate, V4),
    ("ipv4.frag_overlap", Reject::FragmentOverlap, V4),
    ("ipv4.frag_overlap", Reject::FragmentTeardrop, V4),
    ("ipv4.frag_pkt_too_large", Reject::FragmentPastEnd, V4),
    ("ipv4.frag_pkt_too_large", Reject::PingOfDeath, V4),
    ("ipv4.hlen_too_small", Reject::Ipv4BadHeaderLength, ANY),
    ("ipv4.icmpv6", Reject::Icmpv6InIpv4, ANY),
    ("ipv4.iplen_smaller_than_hlen", Reject::Ipv4LengthBelowHeader, ANY),
    ("ipv4.opt_duplicate", Reject::Ipv4OptionDuplicate, ANY),
    ("ipv4.opt_invalid_len", Reject::Ipv4OptionLength, ANY),
    ("ipv4.opt_malformed", Reject::Ipv4OptionMalformed, ANY),
    ("ipv4.opt_unknown", Reject::Ipv4OptionUnknown, ANY),
    ("ipv4.pkt_too_small", Reject::Ipv4TooShort, ANY),
    ("ipv4.trunc_pkt", Reject::Ipv4Truncated, ANY),
    ("ipv4.wrong_ip_version", Reject::Ipv4BadVersion, ANY),
    ("ipv6.data_after_none_header", Reject::Ipv6DataAfterNone, ANY),
    ("ipv6.dstopts_only_padding", Reject::Ipv6OptionsOnlyPadding, ANY),
    ("ipv6.dstopts_unknown_opt", Reject::Ipv6OptionUnknown, ANY),
    ("ipv6.exthdr_ah_res_not_null", Reject::Ipv6AhReserved, ANY),
    ("ipv6.exthdr_dupl_ah", Reject::Ipv6DuplicateAh, ANY),
    ("ipv6.exthdr_dupl_dh", Reject::Ipv6DuplicateDestination, ANY),
    ("ipv6.exthdr_dupl_fh", Reject::Ipv6DuplicateFragment, ANY),
    ("ipv6.exthdr_dupl_hh", Reject::Ipv6DuplicateHopByHop, ANY),
    ("ipv6.exthdr_dupl_rh", Reject::Ipv6DuplicateRouting, ANY),
    ("ipv6.exthdr_invalid_optlen", Reject::Ipv6OptionLength, ANY),
    ("ipv6.exthdr_useless_fh", Reject::Ipv6AtomicFragment, ANY),
    ("ipv6.fh_non_zero_reserved_field", Reject::Ipv6FragmentReserved, ANY),
    ("ipv6.frag_invalid_length", Reject::FragmentUnaligned, V6),
    ("ipv6.frag_overlap", Reject::FragmentDuplicate, V6),
    ("ipv6.frag_overlap", Reject::FragmentOverlap, V6),
    ("ipv6.frag_overlap", Reject::FragmentTeardrop, V6),
    ("ipv6.frag_pkt_too_large", Reject::FragmentPastEnd, V6),
    ("ipv6.frag_pkt_too_large", Reject::PingOfDeath, V6),
    ("ipv6.hopopts_only_padding", Reject::Ipv6HopByHopAbuse, ANY),
    ("ipv6.hopopts_unknown_opt", Reject::Ipv6HopByHopUnknown, ANY),
    ("ipv6.icmpv4", Reject::Icmpv4InIpv6, ANY),
    ("ipv6.pkt_too_small", Reject::Ipv6TooShort, ANY),
    ("ipv6.rh_type_0", Reject::Ipv6RoutingType0, ANY),
    ("ipv6.trunc_exthdr", Reject::Ipv6ExtensionTruncated, ANY),
    ("ipv6.trunc_pkt", Reject::Ipv6Truncated, ANY),
    ("ipv6.wrong_ip_version", Reject::Ipv6BadVersion, ANY),
    ("ipv6.zero_len_padn", Reject::Ipv6ZeroPadN, ANY),
    ("ltnull.pkt_too_small", Reject::NullTooShort, ANY),
    ("sll.pkt_too_small", Reject::SllTooShort, ANY),
    ("tcp.hlen_too_small", Reject::TcpHeaderLength, ANY),
    ("tcp.invalid_optlen", Reject::TcpOptionLength, ANY),
    ("tcp.opt_duplicate", Reject::TcpOptionDuplicate, ANY),
    ("tcp.opt_invalid_len", Reject::TcpOptionLength, ANY),
    ("tcp.pkt_too_small", Reject::TcpTooShort, ANY),
    ("too_many_layers", Reject::Ipv6ExtensionTooMany, ANY),
    ("udp.hlen_invalid", Reject::UdpLengthShort, ANY),
    ("udp.hlen_too_small", Reject::UdpTooShort, ANY),
    ("udp.len_invalid", Reject::UdpHeaderLength, ANY),
    ("udp.pkt_too_small", Reject::UdpLengthBeyond, ANY),
    ("vlan.header_too_small", Reject::VlanTruncated, ANY),
    ("vlan.too_many_layers", Reject::VlanTooDeep, ANY),
];

/// The rejects and versions of IP that a name after `decode-event:` stands for.
pub fn decode_event(name: &str) -> impl Iterator<Item = (Reject, u8)> + '_ {
    let from = DECODE_EVENTS.partition_point(|&(held, ..)| held < name);
    let behind = DECODE_EVENTS.get(from..).unwrap_or_default().iter();
    behind
        .take_while(move |(held, ..)| *held == name)
        .map(|&(_, reject, version)| (reject, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ascending_and_found() {
        assert!(DECODE_EVENTS.is_sorted());
        let overlap: Vec<_> = decode_event("ipv6.frag_overlap").collect();
        let shapes = [Reject::FragmentDuplicate, Reject::FragmentOverlap, Reject::FragmentTeardrop];
        assert_eq!(overlap, shapes.map(|reject| (reject, V6)));
        assert_eq!(decode_event("ipv4.trunc_pkt").next(), Some((Reject::Ipv4Truncated, ANY)));
        assert_eq!(decode_event("gre.pkt_too_small").next(), Some((Reject::GreTooShort, ANY)));
        assert_eq!(decode_event("gre.wrong_version").next(), None);
        for &(name, reject, _) in DECODE_EVENTS {
            assert!(decode_event(name).any(|(found, _)| found == reject));
        }
    }
}
