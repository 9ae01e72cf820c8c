//! What IP carries: TCP, UDP, ICMP, IGMP, SCTP.

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
    assert_eq!(found.iter().collect::<Vec<_>>(), [Reject::TcpChecksum, Reject::TcpReservedBits]);
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
    assert_eq!(refuse(&Craft::ip(A, B, 1).payload(&[8; 7]).frame()).reject, Reject::Icmpv4TooShort);
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
