//! Every protocol and every reject, from crafted bytes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use portcullis_types::{Addr, Mac};
use portcullis_wire::build::Craft;
use portcullis_wire::{
    Checks, Fragment, LinkType, Malformed, Packet, PacketKind, Reject, RejectSet, TcpFlags, parse,
};

const A: &str = "10.0.0.1";
const B: &str = "10.0.0.2";
const A6: &str = "2001:db8::1";
const B6: &str = "2001:db8::2";

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

fn read(frame: &[u8]) -> Packet {
    parse(frame, LinkType::Ethernet, Checks::ALL).unwrap()
}

fn refuse(frame: &[u8]) -> Malformed {
    parse(frame, LinkType::Ethernet, Checks::ALL).unwrap_err()
}

/// The rejects of a frame that parses.
fn odd(craft: &Craft) -> Vec<Reject> {
    read(&craft.frame()).rejects.iter().collect()
}

fn fragment(offset: u16, more: u8) -> Fragment {
    Fragment { id: 7, offset, more: more == 1 }
}

/// A frame with some bytes of its datagram replaced, and the IPv4 header's checksum left as it was.
fn patched(craft: &Craft, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = craft.frame();
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

mod link {
    use super::*;

    #[test]
    fn tags_make_the_stack() {
        let plain = Craft::udp(A, 1, B, 2);
        let cases: [(Craft, &[u16]); 8] = [
            (plain.clone(), &[]),
            (plain.clone().vlan(10), &[10]),
            (plain.clone().tag(0x88a8, 10).vlan(20), &[10, 20]),
            (plain.clone().tag(0x9100, 10).vlan(20).vlan(30), &[10, 20, 30]),
            (plain.clone().vlan(0), &[]),
            (plain.clone().vlan(0).vlan(10), &[10]),
            (plain.clone().tag(0x8100, 0xe000 | 10), &[10]),
            (plain.clone().vlan(0).vlan(1).vlan(0).vlan(2).vlan(0).vlan(3), &[1, 2, 3]),
        ];
        for (craft, vids) in cases {
            let packet = read(&craft.frame());
            assert_eq!(packet.vlan.to_vec(), vids);
            assert_eq!((packet.src_port, packet.dst_port, packet.ethertype), (1, 2, 0x0800));
            assert!(packet.rejects.is_empty(), "{:?}", packet.rejects);
        }
    }

    #[test]
    fn too_many_tags() {
        let three = Craft::udp(A, 1, B, 2).vlan(1).vlan(2).vlan(3);
        let e = refuse(&three.clone().vlan(4).frame());
        assert_eq!((e.reject, e.vlan.to_vec()), (Reject::VlanTooDeep, vec![1, 2, 3]));
        let zeros = (0..7).fold(Craft::udp(A, 1, B, 2), |craft, _| craft.vlan(0));
        assert_eq!(refuse(&zeros.frame()).reject, Reject::VlanTooDeep);
        assert_eq!(refuse(&three.frame()[..24]).reject, Reject::VlanTruncated);
        assert_eq!(odd(&Craft::udp(A, 1, B, 2).vlan(4095)), [Reject::VlanReserved]);
    }

    #[test]
    fn ethernet_itself() {
        let frame = Craft::udp(A, 1, B, 2).frame();
        assert_eq!(refuse(&frame[..13]).reject, Reject::EthernetTooShort);
        let group = Craft::udp(A, 1, B, 2).macs(Mac([1; 6]), Mac([2; 6]));
        assert_eq!(odd(&group), [Reject::EthernetGroupSource]);
    }

    #[test]
    fn what_is_not_ours_passes() {
        // LLDP, a spanning-tree BPDU in LLC, a length longer than the frame, PROFINET.
        let header = [1, 0x80, 0xc2, 0, 0, 0x0e, 2, 0, 0, 0, 0, 1];
        let bodies: [&[u8]; 4] = [
            &[0x88, 0xcc, 2, 7, 4, 0, 0],
            &[0, 38, 0x42, 0x42, 3, 0, 0, 0],
            &[5, 0xdc, 0xaa],
            &[0x88, 0x92, 1],
        ];
        for body in bodies {
            let frame = [&header, body].concat();
            let packet = read(&frame);
            assert_eq!((packet.kind, packet.rejects), (PacketKind::Other, RejectSet::EMPTY));
            assert_eq!(packet.payload(&frame), &frame[14..]);
        }
    }

    #[test]
    fn snap_leads_to_ip() {
        let datagram = Craft::udp(A, 1, B, 2).payload(b"hello").datagram();
        let len = u16::try_from(8 + datagram.len()).unwrap();
        let llc = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
        let frame =
            [&[2; 6][..], &[4; 6], &len.to_be_bytes(), &llc, &datagram, b"padding"].concat();
        let packet = read(&frame);
        assert_eq!((packet.ethertype, packet.dst_port), (0x0800, 2));
        assert_eq!(packet.payload(&frame), b"hello");
        // The 802.3 length cuts what the IP header claims.
        let frame = [&[2; 6][..], &[4; 6], &[0, 30], &llc, &datagram].concat();
        assert!(read_none(&frame).rejects.contains(Reject::Ipv4Truncated));
    }

    fn read_none(frame: &[u8]) -> Malformed {
        parse(frame, LinkType::Ethernet, Checks::NONE).unwrap_err()
    }

    #[test]
    fn other_links() {
        let v4 = Craft::udp(A, 1, B, 2).payload(b"x").datagram();
        let v6 = Craft::udp(A6, 1, B6, 2).payload(b"x").datagram();
        let sll = [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 9, 0, 0];
        let sll2 = [0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 9, 0, 0];
        let cases = [
            (LinkType::RawIp, v4.clone(), 4),
            (LinkType::RawIp, v6.clone(), 6),
            (LinkType::Null, [&[2, 0, 0, 0], &v4[..]].concat(), 4),
            (LinkType::Null, [&[0, 0, 0, 2], &v4[..]].concat(), 4),
            (LinkType::Null, [&[30, 0, 0, 0], &v6[..]].concat(), 6),
            (LinkType::Loop, [&[0, 0, 0, 24], &v6[..]].concat(), 6),
            (LinkType::LinuxSll, [&sll[..], &[8, 0], &v4[..]].concat(), 4),
            (LinkType::LinuxSll, [&sll[..], &[0x81, 0, 0, 5, 8, 0], &v4[..]].concat(), 4),
            (LinkType::CiscoHdlc, [&[0x0f, 0, 8, 0], &v4[..]].concat(), 4),
            (LinkType::CiscoHdlc, [&[0x8f, 0, 0x86, 0xdd], &v6[..]].concat(), 6),
            (LinkType::LinuxSll2, [&[0x86, 0xdd], &sll2[..], &v6[..]].concat(), 6),
        ];
        for (link, frame, version) in cases {
            let packet = parse(&frame, link, Checks::ALL).unwrap();
            assert_eq!((packet.ip_version, packet.dst_port), (version, 2), "{link:?}");
            assert_eq!(packet.payload(&frame), b"x");
        }
        let short = |link| parse(&[0x50, 0, 0], link, Checks::NONE).unwrap_err().reject;
        assert_eq!(short(LinkType::RawIp), Reject::RawIpVersion);
        assert_eq!(short(LinkType::Null), Reject::NullTooShort);
        assert_eq!(short(LinkType::CiscoHdlc), Reject::HdlcTooShort);
        assert_eq!(short(LinkType::LinuxSll2), Reject::SllTooShort);
    }

    #[test]
    fn arp() {
        let packet = read(&Craft::arp(1, A, B).vlan(10).padded_frame());
        assert_eq!((packet.kind, packet.arp_operation), (PacketKind::Arp, 1));
        assert_eq!((packet.src, packet.dst), (addr(A), addr(B)));
        assert_eq!(packet.dst_mac, Mac([0xff; 6]));
        assert!(packet.rejects.is_empty());
        assert_eq!(refuse(&Craft::arp(1, A, B).frame()[..41]).reject, Reject::ArpTruncated);
        assert_eq!(odd(&Craft::arp(77, A, B)), [Reject::ArpUnknownOperation]);
        let spoofed = patched(&Craft::arp(2, A, B), 22, &[3; 6]);
        let found: Vec<_> = read(&spoofed).rejects.iter().collect();
        assert_eq!(found, [Reject::ArpGroupSender, Reject::ArpSenderMismatch]);
        // Another protocol over ARP is not ours.
        let other = patched(&Craft::arp(1, A, B), 16, &[0x86, 0xdd]);
        assert_eq!(read(&other).kind, PacketKind::Other);
    }
}

mod ipv4 {
    use super::*;

    #[test]
    fn lengths_bound_the_payload() {
        let craft = Craft::udp(A, 1, B, 2).payload(b"abc");
        let frame = craft.padded_frame();
        let packet = read(&frame);
        assert_eq!((packet.payload(&frame), packet.ip_len, frame.len()), (&b"abc"[..], 31, 60));
        assert_eq!(packet.datagram(&frame), craft.datagram());
        let cut = &craft.frame()[..44];
        let packet = read(cut);
        assert!(packet.rejects.contains(Reject::Ipv4Truncated));
        assert_eq!(packet.payload(cut), b"ab");
    }

    #[test]
    fn headers_that_cannot_be_used() {
        let craft = Craft::udp(A, 1, B, 2);
        let fatal = |at, bytes: &[u8]| refuse(&patched(&craft, at, bytes)).reject;
        assert_eq!(fatal(14, &[0x65]), Reject::Ipv4BadVersion);
        assert_eq!(fatal(14, &[0x44]), Reject::Ipv4BadHeaderLength);
        assert_eq!(fatal(16, &[0, 19]), Reject::Ipv4LengthBelowHeader);
        assert_eq!(fatal(14, &[0x4f, 0, 0, 60]), Reject::Ipv4TooShort);
        assert_eq!(refuse(&craft.frame()[..33]).reject, Reject::Ipv4TooShort);
        let e = refuse(&patched(&craft, 16, &[0, 24]));
        assert_eq!((e.reject, e.src, e.protocol), (Reject::UdpTooShort, Some(addr(A)), 17));
    }

    #[test]
    fn addresses() {
        let udp = |src: &str, dst: &str| odd(&Craft::udp(src, 1, dst, 2));
        assert_eq!(udp("224.0.0.1", B), [Reject::Ipv4GroupSource]);
        assert_eq!(udp("255.255.255.255", B), [Reject::Ipv4GroupSource]);
        assert_eq!(udp("241.0.0.1", B), [Reject::Ipv4ReservedSource]);
        assert_eq!(udp("127.0.0.1", B), [Reject::Ipv4LoopbackOnWire]);
        assert_eq!(udp(A, "0.0.0.0"), [Reject::Ipv4UnspecifiedDestination]);
        assert_eq!(udp("0.0.0.0", "255.255.255.255"), []);
        assert_eq!(udp(A, A), [Reject::AddressesEqual]);
        assert_eq!(odd(&Craft::udp(A, 7, A, 7)), [Reject::Land]);
        assert_eq!(odd(&Craft::tcp(A6, 7, A6, 7)), [Reject::Land]);
        assert_eq!(odd(&Craft::udp(A, 1, B, 2).ttl(0)), [Reject::Ipv4TtlZero]);
        let lo = Craft::udp("127.0.0.1", 1, "127.0.0.1", 1).macs(Mac([0; 6]), Mac([0; 6]));
        assert_eq!(odd(&lo), []);
    }

    #[test]
    fn options() {
        let with = |options: &[u8]| odd(&Craft::udp(A, 1, B, 2).ip_options(options));
        let route = [3 + 8, 4, 10, 0, 0, 9, 10, 0, 0, 8];
        let routed = |kind: u8| with(&[&[kind][..], &route].concat());
        assert_eq!(routed(131), [Reject::Ipv4SourceRouteLoose]);
        assert_eq!(routed(137), [Reject::Ipv4SourceRouteStrict]);
        assert_eq!(routed(7), [Reject::Ipv4RecordRoute]);
        assert_eq!(with(&[68, 8, 5, 0, 0, 0, 0, 0]), [Reject::Ipv4Timestamp]);
        assert_eq!(with(&[148, 4, 0, 0]), []);
        assert_eq!(with(&[1, 1, 1, 0]), []);
        assert_eq!(with(&[131, 3, 2]), [Reject::Ipv4OptionMalformed, Reject::Ipv4SourceRouteLoose]);
        assert_eq!(with(&[148, 3, 0]), [Reject::Ipv4OptionMalformed]);
        assert_eq!(with(&[7, 1, 0, 0]), [Reject::Ipv4OptionLength]);
        assert_eq!(with(&[1, 1, 7, 9]), [Reject::Ipv4OptionLength]);
        assert_eq!(with(&[1, 1, 1, 7]), [Reject::Ipv4OptionLength]);
        assert_eq!(with(&[99, 4, 0, 0]), [Reject::Ipv4OptionUnknown]);
        assert_eq!(with(&[148, 4, 0, 0, 148, 4, 0, 0]), [Reject::Ipv4OptionDuplicate]);
    }

    #[test]
    fn checksums_only_where_asked() {
        let frame = patched(&Craft::udp(A, 1, B, 2).payload(b"x"), 24, &[0, 0]);
        let ask = |checks| parse(&frame, LinkType::Ethernet, checks).unwrap().rejects;
        assert!(ask(Checks::ALL).contains(Reject::Ipv4Checksum));
        assert!(ask(Checks::NONE.with(Checks::UDP)).is_empty());
    }

    #[test]
    fn fragments() {
        let craft = Craft::udp(A, 1, B, 2).payload(&[7; 40]);
        let frames = craft.fragments(9, 16);
        let parts: Vec<_> = frames.iter().map(|f| read(f)).collect();
        let facts: Vec<_> = parts
            .iter()
            .map(|p| (p.fragment.unwrap().offset, p.fragment.unwrap().more, p.dst_port))
            .collect();
        assert_eq!(facts, [(0, true, 2), (16, true, 0), (32, false, 0)]);
        assert!(parts.iter().all(|p| p.rejects.is_empty() && p.fragment.unwrap().id == 9));
        let bytes: Vec<u8> =
            parts.iter().zip(&frames).flat_map(|(p, f)| p.payload(f).to_vec()).collect();
        assert_eq!(bytes[8..], [7; 40]);
    }

    #[test]
    fn fragments_that_attack() {
        let icmp = Craft::echo(A, B, 1, 1).payload(&[0; 56]);
        assert_eq!(odd(&icmp.clone().part(fragment(65_528, 0))), [Reject::PingOfDeath]);
        let udp = Craft::udp(A, 1, B, 2).payload(&[0; 8]);
        assert_eq!(odd(&udp.clone().part(fragment(65_528, 0))), [Reject::FragmentPastEnd]);
        assert_eq!(odd(&udp.clone().part(fragment(65_512, 0))), []);
        assert_eq!(
            odd(&Craft::udp(A, 1, B, 2).payload(&[0; 3]).part(fragment(8, 1))),
            [Reject::FragmentUnaligned]
        );
        assert_eq!(odd(&Craft::ip(A, B, 17).part(fragment(64, 0))), [Reject::FragmentEmpty]);
        let tiny = Craft::ip(A, B, 6).payload(&[0, 1, 0, 2, 0, 0, 0, 0]);
        let packet = read(&tiny.clone().part(fragment(0, 1)).frame());
        assert_eq!(packet.rejects.iter().collect::<Vec<_>>(), [Reject::FragmentTiny]);
        assert_eq!((packet.src_port, packet.dst_port), (1, 2));
        assert_eq!(odd(&tiny.part(fragment(8, 0))), [Reject::FragmentTiny]);
        let xmas = Craft::tcp(A, 1, B, 2).flags(TcpFlags(0x29)).payload(&[0; 4]);
        assert_eq!(odd(&xmas.part(fragment(0, 1))), [Reject::TcpXmas]);
    }
}

mod ipv6 {
    use super::*;

    fn udp() -> Craft {
        Craft::udp(A6, 1, B6, 2).payload(b"six")
    }

    #[test]
    fn plain_and_extended() {
        let frame = udp().tos(0xb8).padded_frame();
        let packet = read(&frame);
        assert_eq!((packet.src, packet.dst, packet.tos), (addr(A6), addr(B6), 0xb8));
        assert_eq!((packet.payload(&frame), packet.ip_len), (&b"six"[..], 51));
        let chained = udp()
            .extension(0, &[5, 2, 0, 0])
            .extension(60, &[0xc9, 4, 1, 2, 3, 4])
            .extension(43, &[4, 0, 0, 0])
            .extension(51, &[0, 0, 0, 0, 0, 1, 0, 0, 0, 1])
            .extension(60, &[0xc9, 4, 1, 2, 3, 4])
            .extension(135, &[0, 0, 0, 0, 0, 0])
            .extension(139, &[0; 38])
            .extension(140, &[0; 6]);
        let frame = chained.frame();
        let packet = read(&frame);
        assert_eq!((packet.protocol, packet.dst_port), (17, 2));
        assert_eq!(packet.payload(&frame), b"six");
        assert!(packet.rejects.is_empty(), "{:?}", packet.rejects);
    }

    #[test]
    fn headers_that_cannot_be_used() {
        let fatal = |at, bytes: &[u8]| refuse(&patched(&udp(), at, bytes)).reject;
        assert_eq!(fatal(14, &[0x45]), Reject::Ipv6BadVersion);
        assert_eq!(refuse(&udp().frame()[..53]).reject, Reject::Ipv6TooShort);
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1];
        assert_eq!(fatal(22, &mapped), Reject::Ipv6MappedAddress);
        assert_eq!(fatal(38, &mapped), Reject::Ipv6MappedAddress);
        let e = refuse(&patched(&udp(), 22, &mapped));
        assert_eq!((e.src, e.dst), (None, None));
        let many = (0..11).fold(udp(), |craft, _| craft.extension(60, &[1, 4, 0, 0, 0, 0]));
        assert_eq!(refuse(&many.frame()).reject, Reject::Ipv6ExtensionTooMany);
        let jumbo = udp().extension(0, &[0xc2, 4, 0, 1, 0, 0]);
        assert_eq!(refuse(&jumbo.frame()).reject, Reject::Ipv6Jumbogram);
        let cut = Craft::ip(A6, B6, 60).payload(&[17, 9, 1, 4, 0, 0, 0, 0]);
        assert_eq!(refuse(&cut.frame()).reject, Reject::Ipv6ExtensionTruncated);
        let cut = udp().frame();
        assert!(read(&cut[..63]).rejects.contains(Reject::Ipv6Truncated));
    }

    #[test]
    fn extensions_that_are_odd() {
        let with = |chain: &[(u8, &[u8])]| {
            odd(&chain.iter().fold(udp(), |craft, (kind, body)| craft.extension(*kind, body)))
        };
        let alert: &[u8] = &[5, 2, 0, 0, 1, 0];
        let home: &[u8] = &[0xc9, 4, 0, 0, 0, 0];
        let route: &[u8] = &[4, 0, 0, 0, 0, 0];
        assert_eq!(with(&[(0, alert)]), [Reject::Ipv6ZeroPadN]);
        let alert: &[u8] = &[5, 2, 0, 0, 0, 0];
        assert_eq!(with(&[(0, alert)]), []);
        assert_eq!(with(&[(43, &[0, 1, 0, 0, 0, 0])]), [Reject::Ipv6RoutingType0]);
        assert_eq!(with(&[(0, &[1, 4, 0, 0, 0, 0])]), [Reject::Ipv6HopByHopAbuse]);
        let flood = [[5u8, 0]; 11].concat();
        assert_eq!(with(&[(0, &flood)]), [Reject::Ipv6HopByHopAbuse]);
        assert_eq!(with(&[(0, &[0x3f, 4, 0, 0, 0, 0])]), [Reject::Ipv6HopByHopUnknown]);
        assert_eq!(with(&[(60, &[0x3f, 4, 0, 0, 0, 0])]), [Reject::Ipv6OptionUnknown]);
        assert_eq!(with(&[(60, &[0xc9, 99, 0, 0, 0, 0])]).first(), Some(&Reject::Ipv6OptionLength));
        assert_eq!(with(&[(60, &[1, 4, 0, 0, 0, 0])]), [Reject::Ipv6OptionsOnlyPadding]);
        assert_eq!(
            with(&[(60, &[1, 4, 0, 9, 0, 0])]),
            [Reject::Ipv6OptionsOnlyPadding, Reject::Ipv6PaddingNotZero]
        );
        assert_eq!(
            with(&[(0, alert), (0, alert)]),
            [Reject::Ipv6DuplicateHopByHop, Reject::Ipv6HopByHopLate]
        );
        assert_eq!(with(&[(60, home), (0, alert)]), [Reject::Ipv6HopByHopLate]);
        assert_eq!(with(&[(43, route), (43, route)]), [Reject::Ipv6DuplicateRouting]);
        assert_eq!(with(&[(60, home), (60, home), (60, home)]), [Reject::Ipv6DuplicateDestination]);
        let ah: &[u8] = &[0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(with(&[(51, ah), (51, ah)]), [Reject::Ipv6DuplicateAh]);
        assert_eq!(with(&[(51, ah), (43, route)]), [Reject::Ipv6ExtensionOrder]);
        assert_eq!(
            with(&[(51, &[0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0])]),
            [Reject::Ipv6AhReserved]
        );
        assert_eq!(odd(&Craft::ip(A6, B6, 59).payload(b"x")), [Reject::Ipv6DataAfterNone]);
    }

    #[test]
    fn fragments() {
        let frames = Craft::udp(A6, 1, B6, 2).payload(&[7; 40]).fragments(0x1_0001, 16);
        let facts: Vec<_> = frames
            .iter()
            .map(|f| read(f))
            .map(|p| (p.fragment.unwrap(), p.dst_port, p.protocol, p.rejects.is_empty()))
            .collect();
        let part = |offset, more| Fragment { id: 0x1_0001, offset, more };
        assert_eq!(
            facts,
            [
                (part(0, true), 2, 17, true),
                (part(16, true), 0, 17, true),
                (part(32, false), 0, 17, true)
            ]
        );
        assert_eq!(odd(&udp().part(fragment(0, 0))), [Reject::Ipv6AtomicFragment]);
        assert_eq!(read(&udp().part(fragment(0, 0)).frame()).fragment, None);
        let oversize = Craft::echo(A6, B6, 1, 1).payload(&[0; 56]).part(fragment(65_528, 0));
        assert_eq!(odd(&oversize), [Reject::PingOfDeath]);
        let twice = udp().extension(44, &[0, 1, 0, 0, 0, 1]).part(fragment(0, 1));
        assert!(odd(&twice).contains(&Reject::Ipv6DuplicateFragment));
        // The first fragment ends within the chain (RFC 7112).
        let cut = Craft::ip(A6, B6, 60).payload(&[17, 0]).part(fragment(0, 1));
        let e = refuse(&cut.frame());
        assert_eq!(e.reject, Reject::Ipv6ExtensionTruncated);
        assert!(e.rejects.contains(Reject::FragmentTiny));
    }

    #[test]
    fn addresses() {
        let udp = |src: &str, dst: &str| odd(&Craft::udp(src, 1, dst, 2));
        assert_eq!(udp("ff02::1", B6), [Reject::Ipv6GroupSource]);
        assert_eq!(udp("::1", B6), [Reject::Ipv6LoopbackOnWire]);
        assert_eq!(udp(A6, "::"), [Reject::Ipv6UnspecifiedDestination]);
        assert_eq!(udp("::", "ff02::16"), []);
        assert_eq!(odd(&Craft::udp(A6, 1, B6, 2).ttl(0)), [Reject::Ipv6HopLimitZero]);
    }
}

mod upper {
    use super::*;

    #[test]
    fn tcp_in_full() {
        let options = [2, 4, 5, 0xb4, 1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 8];
        let craft = Craft::tcp(A, 1000, B, 80)
            .flags(TcpFlags::SYN)
            .numbers(0xdead_beef, 0)
            .window(8192)
            .urgent(3)
            .tcp_options(&options);
        let frame = craft.frame();
        let packet = read(&frame);
        assert_eq!((packet.tcp.seq, packet.tcp.window, packet.tcp.urgent), (0xdead_beef, 8192, 3));
        assert_eq!((packet.tcp.header_len, packet.payload_len), (40, 0));
        assert!(packet.rejects.is_empty());
        let options = packet.tcp_options(&frame);
        assert_eq!((options.mss, options.window_scale), (Some(1460), Some(7)));
        assert_eq!((options.sack_permitted, options.timestamps), (true, Some((9, 8))));
        let signed = Craft::tcp(A, 1, B, 2).tcp_options(&[&[19, 18][..], &[0; 16]].concat());
        assert!(read(&signed.frame()).tcp_options(&signed.frame()).signed);
        let open = Craft::tcp(A, 1, B, 2).tcp_options(&[34, 2]);
        assert!(read(&open.frame()).tcp_options(&open.frame()).fast_open);
        assert_eq!(read(&open.frame()).tcp_options(&[]), Default::default());
    }

    #[test]
    fn tcp_flags() {
        let with = |flags: u8| odd(&Craft::tcp(A, 1, B, 2).flags(TcpFlags(flags)));
        let clean = [0x02, 0x12, 0x10, 0x18, 0x11, 0x19, 0x04, 0x14, 0xc2, 0x52, 0x38, 0x90];
        for flags in clean {
            assert_eq!(with(flags), [], "{flags:#x}");
        }
        assert_eq!(with(0), [Reject::TcpNullFlags]);
        assert_eq!(with(0xc0), [Reject::TcpNullFlags]);
        assert_eq!(with(0x29), [Reject::TcpXmas]);
        assert_eq!(with(0x01), [Reject::TcpFinOnly]);
        assert_eq!(with(0x08), [Reject::TcpNoAck]);
        assert_eq!(with(0x03), [Reject::TcpSynFin]);
        assert_eq!(with(0x06), [Reject::TcpSynRst]);
        assert_eq!(with(0x05), [Reject::TcpFinRst]);
        assert_eq!(with(0x3f), [Reject::TcpSynFin, Reject::TcpSynRst]);
        let data = Craft::tcp(A, 1, B, 2).flags(TcpFlags::SYN).payload(b"x");
        assert_eq!(odd(&data), [Reject::TcpSynData]);
    }

    #[test]
    fn tcp_otherwise_odd() {
        let with = |options: &[u8]| odd(&Craft::tcp(A, 1, B, 2).tcp_options(options));
        assert_eq!(with(&[2, 3, 0]), [Reject::TcpOptionLength]);
        assert_eq!(with(&[2, 0]), [Reject::TcpOptionLength]);
        assert_eq!(with(&[1, 1, 1, 8]), [Reject::TcpOptionLength]);
        assert_eq!(with(&[3, 3, 1, 3, 3, 1]), [Reject::TcpOptionDuplicate]);
        assert_eq!(odd(&Craft::tcp(A, 0, B, 2)), [Reject::TcpPortZero]);
        assert_eq!(odd(&Craft::tcp(A, 1, "224.0.0.1", 2)), [Reject::TcpToGroup]);
        let craft = Craft::tcp(A, 1, B, 2);
        let fatal = |at, bytes: &[u8]| refuse(&patched(&craft, at, bytes)).reject;
        assert_eq!(fatal(46, &[0x40]), Reject::TcpHeaderLength);
        assert_eq!(fatal(46, &[0x60]), Reject::TcpHeaderLength);
        assert_eq!(fatal(16, &[0, 39]), Reject::TcpTooShort);
        let found = read(&patched(&craft, 46, &[0x52])).rejects;
        assert_eq!(
            found.iter().collect::<Vec<_>>(),
            [Reject::TcpChecksum, Reject::TcpReservedBits]
        );
    }

    #[test]
    fn udp() {
        let craft = Craft::udp(A, 1, B, 2).payload(b"abcd");
        let none =
            |at, bytes: &[u8]| parse(&patched(&craft, at, bytes), LinkType::Ethernet, Checks::NONE);
        let short = none(38, &[0, 10]).unwrap();
        assert_eq!(short.rejects.iter().collect::<Vec<_>>(), [Reject::UdpLengthShort]);
        assert_eq!(short.payload(&craft.frame()), b"ab");
        let beyond = none(38, &[0, 13]).unwrap();
        assert_eq!(beyond.rejects.iter().collect::<Vec<_>>(), [Reject::UdpLengthBeyond]);
        assert_eq!(beyond.payload(&craft.frame()), b"abcd");
        assert_eq!(none(38, &[0, 7]).unwrap_err().reject, Reject::UdpHeaderLength);
        assert_eq!(odd(&Craft::udp(A, 1, B, 0)), [Reject::UdpPortZero]);
        assert_eq!(odd(&Craft::udp(A, 0, B, 1)), []);
        assert!(read(&patched(&craft, 42, b"x")).rejects.contains(Reject::UdpChecksum));
        assert!(read(&patched(&craft, 40, &[0, 0])).rejects.is_empty());
        let six = patched(&Craft::udp(A6, 1, B6, 2), 60, &[0, 0]);
        assert!(read(&six).rejects.contains(Reject::UdpChecksumMissing));
    }

    #[test]
    fn icmp_and_what_it_quotes() {
        let packet = read(&Craft::echo(A, B, 77, 5).frame());
        assert_eq!((packet.icmp_type, packet.icmp_id, packet.icmp_sequence), (8, 77, 5));
        assert!(packet.rejects.is_empty());
        let inner = Craft::tcp(B, 1234, A, 80).numbers(99, 0).datagram();
        let packet = read(&Craft::icmp(A, B, 3, 3).payload(&inner[..28]).frame());
        let quoted = packet.quoted.unwrap();
        assert_eq!((quoted.src, quoted.dst, quoted.protocol), (addr(B), addr(A), 6));
        assert_eq!((quoted.src_port, quoted.dst_port, quoted.seq), (1234, 80, 99));
        let inner = Craft::echo(B6, A6, 31, 1).extension(60, &[1, 4, 0, 0, 0, 0]).datagram();
        let packet = read(&Craft::icmp(A6, B6, 1, 4).payload(&inner).frame());
        let quoted = packet.quoted.unwrap();
        assert_eq!((quoted.protocol, quoted.icmp_id, quoted.dst), (58, 31, addr(A6)));
    }

    #[test]
    fn icmp_that_is_odd() {
        let inner = Craft::tcp(B, 1, A, 80).datagram();
        let quote = |bytes: &[u8]| odd(&Craft::icmp(A, B, 3, 1).payload(bytes));
        assert_eq!(quote(&inner[..19]), [Reject::Icmpv4QuoteTruncated]);
        assert_eq!(quote(&inner[..27]), [Reject::Icmpv4QuoteTruncated]);
        assert_eq!(quote(&[0x60; 28]), [Reject::Icmpv4QuoteVersion]);
        let quote6 = |bytes: &[u8]| odd(&Craft::icmp(A6, B6, 1, 1).payload(bytes));
        assert_eq!(quote6(&[0x60; 39]), [Reject::Icmpv6QuoteTruncated]);
        assert_eq!(quote6(&[0x40; 48]), [Reject::Icmpv6QuoteVersion]);
        assert_eq!(odd(&Craft::icmp(A, B, 8, 1)), [Reject::Icmpv4UnknownCode]);
        assert_eq!(odd(&Craft::icmp(A, B, 99, 0)), [Reject::Icmpv4UnknownType]);
        assert_eq!(odd(&Craft::icmp(A6, B6, 250, 0)), [Reject::Icmpv6UnknownType]);
        assert_eq!(odd(&Craft::icmp(A6, B6, 128, 1)), [Reject::Icmpv6UnknownCode]);
        assert_eq!(odd(&Craft::echo(A, "224.0.0.1", 1, 1)), [Reject::Icmpv4EchoToGroup]);
        assert_eq!(odd(&Craft::icmp(A6, B6, 135, 0)), [Reject::Icmpv6NeighbourHopLimit]);
        assert_eq!(odd(&Craft::icmp(A6, B6, 135, 0).ttl(255)), []);
        assert_eq!(odd(&Craft::icmp(A6, B6, 131, 0)), [Reject::Icmpv6ListenerHopLimit]);
        assert_eq!(odd(&Craft::ip(A, B, 58).payload(&[128; 8])), [Reject::Icmpv6InIpv4]);
        let v4_in_v6 = odd(&Craft::ip(A6, B6, 1).payload(&[8, 0, 0xf7, 0xff, 0, 0, 0, 0]));
        assert_eq!(v4_in_v6, [Reject::Icmpv4InIpv6]);
        assert_eq!(
            refuse(&Craft::ip(A, B, 1).payload(&[8; 7]).frame()).reject,
            Reject::Icmpv4TooShort
        );
        let forged = read(&patched(&Craft::echo(A, B, 1, 1), 36, &[1, 1])).rejects;
        assert_eq!(forged.iter().collect::<Vec<_>>(), [Reject::Icmpv4Checksum]);
        let forged = read(&patched(&Craft::echo(A6, B6, 1, 1), 56, &[1, 1])).rejects;
        assert_eq!(forged.iter().collect::<Vec<_>>(), [Reject::Icmpv6Checksum]);
    }

    #[test]
    fn igmp_and_sctp() {
        let report = [0x16, 0, 0x09, 0xfa, 224, 0, 0, 5];
        let packet = read(&Craft::ip(A, "224.0.0.5", 2).payload(&report).ttl(1).frame());
        assert_eq!((packet.icmp_type, packet.rejects), (0x16, RejectSet::EMPTY));
        let short = Craft::ip(A, "224.0.0.5", 2).payload(&[0x16; 7]);
        assert_eq!(odd(&short), [Reject::IgmpTooShort]);
        let lying = Craft::ip(A, "224.0.0.22", 2).payload(&[0x22, 0, 0xdd, 0xfa, 0, 0, 0, 3]);
        assert!(odd(&lying).contains(&Reject::IgmpMalformed));
        let header = [0, 7, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0];
        let chunk = [0, 3, 0, 6, 1, 2, 0, 0];
        let sctp = Craft::ip(A, B, 132).payload(&[&header[..], &chunk].concat());
        let packet = read(&sctp.frame());
        assert_eq!((packet.src_port, packet.dst_port, packet.payload_len), (7, 8, 8));
        assert!(packet.rejects.is_empty());
        let lying = Craft::ip(A, B, 132).payload(&[&header[..], &[0, 3, 0, 60]].concat());
        assert_eq!(odd(&lying), [Reject::SctpChunkLength]);
        let short = Craft::ip(A, B, 132).payload(&header[..11]);
        assert_eq!(refuse(&short.frame()).reject, Reject::SctpTooShort);
    }
}

mod names {
    use super::*;

    #[test]
    fn alphabetical_distinct_and_well_formed() {
        let names: Vec<_> = Reject::ALL.iter().map(|r| format!("{r:?}")).collect();
        assert!(names.is_sorted(), "{names:?}");
        for (index, reject) in Reject::ALL.iter().enumerate() {
            assert_eq!(reject.index(), index);
            assert_eq!(Reject::from_index(index), Some(*reject));
            let snake: String = format!("{reject:?}")
                .chars()
                .enumerate()
                .flat_map(|(i, c)| {
                    let word = c.is_ascii_uppercase() && i > 0;
                    word.then_some('_').into_iter().chain([c.to_ascii_lowercase()])
                })
                .collect();
            let flat = |s: &str| s.replace('_', "");
            assert_eq!(flat(reject.name()), flat(&snake));
            assert!(reject.suricata_event().starts_with("decoder."));
        }
    }

    #[test]
    fn sets() {
        let set: RejectSet = [Reject::Land, Reject::TcpXmas].into_iter().collect();
        assert_eq!((set.len(), set.contains(Reject::Land)), (2, true));
        assert_eq!(set.iter().collect::<Vec<_>>(), [Reject::Land, Reject::TcpXmas]);
        assert_eq!(RejectSet::from_bits(u128::MAX).len() as usize, Reject::COUNT);
        assert!(set.without(set).is_empty());
        assert_eq!(RejectSet::from_bits(set.bits()), set);
        assert!(Reject::ALL.iter().all(|r| !r.is_fatal() || RejectSet::DEFAULT_DROP.contains(*r)));
        assert!(!RejectSet::DEFAULT_DROP.contains(Reject::TcpSynData));
    }
}
