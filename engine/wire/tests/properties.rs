//! What holds whatever the bytes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use portcullis_types::Addr;
use portcullis_wire::build::Craft;
use portcullis_wire::{Checks, Fragment, LinkType, PacketKind, TcpFlags, parse};
use proptest::prelude::*;

const LINKS: [LinkType; 7] = [
    LinkType::Ethernet,
    LinkType::Loop,
    LinkType::Null,
    LinkType::LinuxSll,
    LinkType::LinuxSll2,
    LinkType::CiscoHdlc,
    LinkType::RawIp,
];

fn v4() -> impl Strategy<Value = Addr> {
    any::<[u8; 4]>().prop_map(Addr::v4)
}

fn v6() -> impl Strategy<Value = Addr> {
    any::<[u8; 16]>().prop_map(Addr::v6).prop_filter("mapped addresses are refused", |a| !a.is_v4())
}

fn pair() -> impl Strategy<Value = (Addr, Addr)> {
    prop_oneof![(v4(), v4()), (v6(), v6())]
}

fn upper(src: Addr, dst: Addr) -> impl Strategy<Value = Craft> {
    prop_oneof![
        (any::<(u16, u16, u32, u32, u8)>(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(
            move |((s, d, seq, ack, flags), options)| Craft::tcp(src, s, dst, d)
                .numbers(seq, ack)
                .flags(TcpFlags(flags))
                .tcp_options(&options)
        ),
        any::<(u16, u16)>().prop_map(move |(s, d)| Craft::udp(src, s, dst, d)),
        any::<(u8, u8)>().prop_map(move |(kind, code)| Craft::icmp(src, dst, kind, code)),
        any::<(u16, u16)>().prop_map(move |(id, seq)| Craft::echo(src, dst, id, seq)),
        any::<u8>().prop_map(move |protocol| Craft::ip(src, dst, protocol)),
        any::<u16>().prop_map(|operation| Craft::arp(operation, "10.0.0.1", "10.0.0.2")),
    ]
}

/// Frames of every kind, with tags, options, extension headers and fragment marks.
fn crafts() -> impl Strategy<Value = Craft> {
    let dress = (
        prop::collection::vec(0u16..4096, 0..4),
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(
            (
                prop::sample::select(vec![0u8, 43, 44, 51, 60, 135, 139, 140]),
                prop::collection::vec(any::<u8>(), 0..32),
            ),
            0..4,
        ),
        prop::option::of((any::<u32>(), 0u16..8192, any::<bool>())),
        prop::collection::vec(any::<u8>(), 0..200),
    );
    (pair().prop_flat_map(|(src, dst)| upper(src, dst)), dress).prop_map(
        |(craft, (tags, options, chain, part, payload))| {
            let craft = tags.iter().fold(craft, |craft, vid| craft.vlan(*vid));
            let craft =
                chain.iter().fold(craft, |craft, (kind, body)| craft.extension(*kind, body));
            let craft = craft.ip_options(&options).payload(&payload);
            match part {
                Some((id, units, more)) => craft.part(Fragment { id, offset: units * 8, more }),
                None => craft,
            }
        },
    )
}

/// Parses and asks every accessor; whatever comes out lies in the frame and in order.
fn hold_together(frame: &[u8]) {
    for link in LINKS {
        for checks in [Checks::NONE, Checks::ALL] {
            let Ok(packet) = parse(frame, link, checks) else { continue };
            let ends = usize::from(packet.payload_offset) + usize::from(packet.payload_len);
            assert!(ends <= frame.len(), "{packet:?}");
            assert!(packet.l3_offset <= packet.l4_offset);
            assert!(packet.l4_offset <= packet.payload_offset);
            assert_eq!(packet.payload(frame).len(), usize::from(packet.payload_len));
            assert!(packet.segment(frame).len() >= packet.payload(frame).len());
            assert!(packet.datagram(frame).len() >= packet.segment(frame).len());
            let _ = packet.tcp_options(frame);
            // Also with a frame that is not its own.
            let _ = (packet.payload(&[]), packet.segment(&[0; 9]), packet.tcp_options(&[1]));
            assert!(packet.rejects.iter().all(|reject| !reject.is_fatal()));
            assert_eq!(packet.kind == PacketKind::Ip, packet.ip_version != 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        hold_together(&bytes);
    }

    #[test]
    fn arbitrary_bytes_behind_a_type(
        kind in prop::sample::select(vec![0x0800u16, 0x86dd, 0x0806, 0x8100, 0x88a8, 0x0020]),
        version in prop::sample::select(vec![0x45u8, 0x46, 0x4f, 0x60]),
        mut bytes in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        bytes[0] = version;
        hold_together(&[&[2; 12][..], &kind.to_be_bytes(), &bytes].concat());
    }

    #[test]
    fn any_cut_and_any_change(craft in crafts(), at: prop::sample::Index, bits: u8) {
        let mut frame = craft.frame();
        for end in 0..=frame.len() {
            hold_together(&frame[..end]);
        }
        let at = at.index(frame.len());
        frame[at] ^= bits;
        hold_together(&frame);
    }

    #[test]
    fn what_was_built_is_read(
        (src, dst) in pair(),
        ports: (u16, u16),
        numbers: (u32, u32),
        flags: u8,
        vids in prop::collection::vec(1u16..4095, 0..4),
        payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let tagged = |craft: Craft| vids.iter().fold(craft, |c, vid| c.vlan(*vid));
        let tcp = tagged(Craft::tcp(src, ports.0, dst, ports.1))
            .numbers(numbers.0, numbers.1)
            .flags(TcpFlags(flags))
            .payload(&payload);
        let udp = tagged(Craft::udp(src, ports.0, dst, ports.1)).payload(&payload);
        for craft in [tcp, udp] {
            let frame = craft.padded_frame();
            let packet = parse(&frame, LinkType::Ethernet, Checks::ALL).unwrap();
            prop_assert_eq!((packet.src, packet.dst), (src, dst));
            prop_assert_eq!((packet.src_port, packet.dst_port), ports);
            prop_assert_eq!(packet.vlan.to_vec(), &vids[..]);
            prop_assert_eq!(packet.payload(&frame), &payload[..]);
            prop_assert_eq!(packet.datagram(&frame), &craft.datagram()[..]);
            if packet.protocol == 6 {
                prop_assert_eq!((packet.tcp.seq, packet.tcp.ack), numbers);
                prop_assert_eq!(packet.tcp.flags, TcpFlags(flags));
            }
            let wrong = packet.rejects.iter().find(|r| r.name().ends_with("checksum"));
            prop_assert_eq!(wrong, None);
        }
    }

    #[test]
    fn both_directions_make_one_pair((src, dst) in pair()) {
        let there = Craft::udp(src, 1, dst, 2).frame();
        let back = Craft::udp(dst, 2, src, 1).frame();
        let read = |frame: &[u8]| parse(frame, LinkType::Ethernet, Checks::NONE).unwrap();
        prop_assert_eq!(read(&there).symmetric_pair(), read(&back).symmetric_pair());
    }
}
