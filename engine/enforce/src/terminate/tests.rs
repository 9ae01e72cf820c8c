#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use super::*;
use portcullis_wire::build::Craft;
use portcullis_wire::{Checks, Fragment, LinkType, RejectSet, TcpFlags, parse};
use proptest::prelude::*;

const A4: &str = "192.0.2.1";
const B4: &str = "10.0.0.5";
const A6: &str = "2001:db8::1";
const B6: &str = "2001:db8::2";

fn read(frame: &[u8]) -> Packet {
    let packet = parse(frame, LinkType::Ethernet, Checks::ALL).unwrap();
    assert_eq!(packet.rejects, RejectSet::default(), "right lengths and checksums");
    packet
}

/// The tag stacks that a segment carries, priority tags and bits included.
fn tagged(craft: Craft, tags: usize) -> Craft {
    match tags {
        0 => craft,
        1 => craft.vlan(10),
        2 => craft.tag(0x8100, 0xa000),
        3 => craft.tag(0x88a8, 10).tag(0x8100, 0x6014),
        _ => craft.tag(0x8100, 0).tag(0x88a8, 0xe00a).tag(0x8100, 20),
    }
}

#[test]
fn both_ends_get_a_reset_in_their_place() {
    for (a, b) in [(A4, B4), (A6, B6)] {
        for tags in 0..5 {
            let flags = TcpFlags::ACK.union(TcpFlags::PSH);
            let craft = Craft::tcp(a, 40_000, b, 80).numbers(1000, 2000).flags(flags);
            let frame = tagged(craft.payload(b"GET /attack"), tags).frame();
            let packet = read(&frame);
            let mut pair = RstPair::default();
            rst_pair(&frame, &packet, Fate::Dropped, &mut pair).unwrap();
            let l3 = usize::from(packet.l3_offset);

            let there = read(&pair.to_receiver);
            assert_eq!(&pair.to_receiver[..l3], &frame[..l3], "the same link header");
            assert_eq!((there.src, there.dst), (packet.src, packet.dst));
            assert_eq!((there.src_port, there.dst_port), (40_000, 80));
            assert_eq!((there.tcp.seq, there.tcp.ack), (1000, 2000));

            let back = read(&pair.to_sender);
            assert_eq!(&pair.to_sender[12..l3], &frame[12..l3], "the same tags");
            assert_eq!((back.src_mac, back.dst_mac), (packet.dst_mac, packet.src_mac));
            assert_eq!((back.src, back.dst), (packet.dst, packet.src));
            assert_eq!((back.src_port, back.dst_port), (80, 40_000));
            assert_eq!((back.tcp.seq, back.tcp.ack), (2000, 1011));

            for rst in [there, back] {
                assert_eq!(rst.tcp.flags, TcpFlags::RST.union(TcpFlags::ACK));
                assert_eq!((rst.vlan, rst.payload_len), (packet.vlan, 0));
            }
            assert!(pair.to_sender.len() >= 60 && pair.to_receiver.len() >= 60);
        }
    }
}

#[test]
fn numbers_fit_the_state_of_each_end() {
    let (syn, ack, fin) = (TcpFlags::SYN, TcpFlags::ACK, TcpFlags::FIN);
    let n = |seq, ack| Some(RstNumbers { seq, ack });
    // flags, payload, to the sender, to the receiver when dropped and when forwarded
    for (flags, len, sender, dropped, forwarded) in [
        (syn, 0, n(0, Some(101)), None, n(101, None)),
        (syn.union(ack), 0, n(500, Some(101)), n(100, Some(500)), n(101, Some(500))),
        (ack, 7, n(500, Some(107)), n(100, Some(500)), n(107, Some(500))),
        (ack.union(fin), 7, n(500, Some(108)), n(100, Some(500)), n(108, Some(500))),
    ] {
        let frame =
            Craft::tcp(A4, 1, B4, 2).numbers(100, 500).flags(flags).payload(&vec![0; len]).frame();
        let packet = parse(&frame, LinkType::Ethernet, Checks::ALL).unwrap();
        let of = |toward, fate| RstNumbers::from_packet(&packet, toward, fate);
        assert_eq!(of(Toward::Sender, Fate::Dropped), sender, "{flags:?}");
        assert_eq!(of(Toward::Receiver, Fate::Dropped), dropped, "{flags:?}");
        assert_eq!(of(Toward::Receiver, Fate::Forwarded), forwarded, "{flags:?}");
    }
    let frame = Craft::tcp(A4, 1, B4, 2).numbers(u32::MAX, 5).payload(b"xy").frame();
    let wrapped = RstNumbers::from_packet(&read(&frame), Toward::Sender, Fate::Dropped);
    assert_eq!(wrapped, n(5, Some(1)));
    // To a listener nothing is sent.
    let frame = Craft::tcp(A4, 1, B4, 2).flags(syn).frame();
    let mut pair = RstPair::default();
    rst_pair(&frame, &read(&frame), Fate::Dropped, &mut pair).unwrap();
    assert!(pair.to_receiver.is_empty() && !pair.to_sender.is_empty());
}

#[test]
fn what_is_never_answered() {
    let mut out = Vec::new();
    let rst_flags = TcpFlags::RST.union(TcpFlags::ACK);
    let part = Fragment { id: 1, offset: 8, more: false };
    let cases = [
        (Craft::tcp(A4, 1, B4, 2).flags(rst_flags).frame(), Unanswered::Reset),
        (Craft::udp(A4, 1, B4, 2).frame(), Unanswered::Protocol),
        (Craft::arp(1, A4, B4).frame(), Unanswered::Protocol),
        (Craft::tcp(A4, 1, "224.0.0.1", 2).frame(), Unanswered::Group),
        (Craft::tcp("0.0.0.0", 1, B4, 2).frame(), Unanswered::Group),
        (Craft::ip(A4, B4, 6).part(part).payload(&[0; 40]).frame(), Unanswered::LaterFragment),
    ];
    let numbers = RstNumbers { seq: 0, ack: None };
    for (frame, why) in cases {
        let packet = parse(&frame, LinkType::Ethernet, Checks::ALL).unwrap();
        assert_eq!(rst(&frame, &packet, Toward::Sender, numbers, &mut out), Err(why));
        assert!(out.is_empty());
    }
    let group = portcullis_types::Mac([1, 0, 0x5e, 0, 0, 1]);
    let one = portcullis_types::Mac([2, 0, 0, 0, 0, 1]);
    let on_link = Craft::udp(A4, 1, B4, 2).macs(one, group).frame();
    for (frame, why) in [
        (Craft::icmp(A4, B4, 3, 1).payload(&[0; 28]).frame(), Unanswered::IcmpError),
        (Craft::icmp(A4, B4, 5, 1).payload(&[0; 28]).frame(), Unanswered::IcmpError),
        (Craft::icmp(A6, B6, 1, 4).payload(&[0; 48]).frame(), Unanswered::IcmpError),
        (Craft::icmp(A6, B6, 135, 0).ttl(255).payload(&[0; 16]).frame(), Unanswered::IcmpError),
        (Craft::udp(A6, 1, "ff02::1", 2).frame(), Unanswered::Group),
        (Craft::udp(A4, 1, "255.255.255.255", 2).frame(), Unanswered::Group),
        (on_link, Unanswered::Group),
    ] {
        let packet = parse(&frame, LinkType::Ethernet, Checks::ALL).unwrap();
        assert_eq!(icmp_prohibited(&frame, &packet, &mut out), Err(why));
    }
}

#[test]
fn datagrams_are_prohibited_quoting_them() {
    for (a, b, kind, most) in [(A4, B4, (3, 13), 576), (A6, B6, (1, 1), 1280)] {
        for tags in 0..5 {
            for size in [0, 5, 100, 1400] {
                let craft = Craft::udp(a, 5000, b, 53).payload(&vec![7; size]);
                let frame = tagged(craft, tags).frame();
                let packet = read(&frame);
                let mut out = Vec::with_capacity(CRAFT_MAX);
                icmp_prohibited(&frame, &packet, &mut out).unwrap();
                let answer = read(&out);
                assert_eq!((answer.icmp_type, answer.icmp_code), kind);
                assert_eq!((answer.src, answer.dst), (packet.dst, packet.src));
                assert_eq!((answer.src_mac, answer.dst_mac), (packet.dst_mac, packet.src_mac));
                assert_eq!(answer.vlan, packet.vlan);
                let quoted = answer.quoted.unwrap();
                assert_eq!((quoted.src, quoted.dst), (packet.src, packet.dst));
                assert_eq!((quoted.src_port, quoted.dst_port, quoted.protocol), (5000, 53, 17));
                assert!(
                    answer.ip_len <= most && out.len() <= CRAFT_MAX && out.capacity() == CRAFT_MAX
                );
            }
        }
    }
}

#[test]
fn length_and_snap_are_kept_right() {
    let ethernet = Craft::tcp(A4, 1, B4, 2).vlan(10).payload(b"abc").frame();
    let (link, ip) = ethernet.split_at(18);
    let mut frame = link[..16].to_vec();
    frame.extend(u16::try_from(ip.len() + 8).unwrap().to_be_bytes());
    frame.extend([0xaa, 0xaa, 3, 0, 0, 0, 8, 0]);
    frame.extend(ip);
    let packet = read(&frame);
    assert_eq!(packet.l3_offset, 26);
    let mut pair = RstPair::default();
    rst_pair(&frame, &packet, Fate::Forwarded, &mut pair).unwrap();
    assert_eq!(pair.to_sender[16..26], [0, 48, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0]);
    assert_eq!(read(&pair.to_sender).tcp.seq, packet.tcp.ack);
}

#[test]
fn without_a_link_header() {
    let datagram = Craft::tcp(A4, 1, B4, 2).payload(b"abc").datagram();
    let packet = parse(&datagram, LinkType::RawIp, Checks::ALL).unwrap();
    let mut pair = RstPair::default();
    rst_pair(&datagram, &packet, Fate::Dropped, &mut pair).unwrap();
    assert_eq!(pair.to_sender.len(), 40);
    let answer = parse(&pair.to_sender, LinkType::RawIp, Checks::ALL).unwrap();
    assert_eq!((answer.src, answer.rejects), (packet.dst, RejectSet::default()));
}

proptest! {
    /// Whatever the frame and whatever the packet says of it: no panic, and what comes out is
    /// right.
    #[test]
    fn any_frame_any_packet(frame: Vec<u8>, other: Vec<u8>, raw: bool) {
        let link = if raw { LinkType::RawIp } else { LinkType::Ethernet };
        let mut pair = RstPair::default();
        let mut out = Vec::new();
        if let Ok(packet) = parse(&frame, link, Checks::ALL) {
            for bytes in [&frame, &other] {
                let _ = rst_pair(bytes, &packet, Fate::Dropped, &mut pair);
                let _ = icmp_prohibited(bytes, &packet, &mut out);
                prop_assert!(out.len() <= CRAFT_MAX);
            }
        }
    }

    #[test]
    fn any_connection(seq: u32, ack: u32, flags: u8,
        payload in prop::collection::vec(any::<u8>(), 0..64),
        tags in 0usize..5, v6: bool, sport: u16, dport: u16) {
        let (a, b) = if v6 { (A6, B6) } else { (A4, B4) };
        let craft = Craft::tcp(a, sport, b, dport).numbers(seq, ack).flags(TcpFlags(flags));
        let frame = tagged(craft.payload(&payload), tags).frame();
        let packet = parse(&frame, LinkType::Ethernet, Checks::ALL).unwrap();
        let mut pair = RstPair::default();
        let answered = rst_pair(&frame, &packet, Fate::Forwarded, &mut pair);
        prop_assert_eq!(answered.is_err(), TcpFlags(flags).has(TcpFlags::RST));
        for bytes in [&pair.to_sender, &pair.to_receiver] {
            if !bytes.is_empty() {
                let rst = parse(bytes, LinkType::Ethernet, Checks::ALL).unwrap();
                let bad: Vec<_> = portcullis_wire::Reject::ALL.iter()
                    .filter(|r| rst.rejects.contains(**r))
                    .filter(|r| r.name().contains("checksum"))
                    .collect();
                prop_assert!(bad.is_empty(), "{bad:?}");
                prop_assert_eq!(rst.vlan, packet.vlan);
            }
        }
    }
}
