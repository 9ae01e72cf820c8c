//! IPv4: lengths, options, fragments, addresses.

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
