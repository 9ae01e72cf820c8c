//! Frames below IP: Ethernet, tags, LLC, ARP, and the headers of captures.

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
    let frame = [&[2; 6][..], &[4; 6], &len.to_be_bytes(), &llc, &datagram, b"padding"].concat();
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
