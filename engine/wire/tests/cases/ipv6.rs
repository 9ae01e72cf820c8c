//! IPv6: extension headers, fragments, addresses.

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
