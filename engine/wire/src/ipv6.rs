//! The IPv6 header and its extension headers (RFC 8200).

use crate::transport::LOOPBACK_V6;
use crate::{Checks, Fragment, Packet, PacketKind, Reject, transport};
use portcullis_types::{Addr, Mac};

/// Extension headers read; RFC 8200, 4.1 knows of seven places. More are
/// [`Reject::Ipv6ExtensionTooMany`].
pub const IPV6_EXTENSIONS_MAX: usize = 10;

/// Hop-by-hop options that a router should bear (RFC 9673, 5.2.1), padding not counted.
const HOP_OPTIONS_MAX: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

/// ESP is none: what stands behind it cannot be read, so it is an upper layer here.
#[inline]
const fn is_extension(next: u8) -> bool {
    matches!(
        next,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION | MOBILITY | HIP | SHIM6
    )
}

/// Tier: one in five frames. No extension header: straight to the transport.
#[inline]
pub(crate) fn read(
    packet: &mut Packet,
    frame: &[u8],
    at: usize,
    checks: Checks,
) -> Result<(), Reject> {
    let behind = frame.get(at..).unwrap_or_default();
    let Some((&[v0, v1, _, _, l0, l1, next, hop_limit], rest)) = behind.split_first_chunk::<8>()
    else {
        return Err(Reject::Ipv6TooShort);
    };
    if v0 >> 4 != 6 {
        return Err(Reject::Ipv6BadVersion);
    }
    let Some((&src, rest)) = rest.split_first_chunk::<16>() else {
        return Err(Reject::Ipv6TooShort);
    };
    let Some((&dst, rest)) = rest.split_first_chunk::<16>() else {
        return Err(Reject::Ipv6TooShort);
    };
    let len = u16::from_be_bytes([l0, l1]);
    packet.ip_version = 6;
    packet.protocol = next;
    packet.ttl = hop_limit;
    packet.tos = v0 << 4 | v1 >> 4;
    packet.ip_len = len.saturating_add(40);
    packet.src = Addr::v6(src);
    packet.dst = Addr::v6(dst);
    // A mapped address would read as the IPv4 host's own: neither name may be believed.
    if packet.src.is_v4() || packet.dst.is_v4() {
        return Err(Reject::Ipv6MappedAddress);
    }
    packet.kind = PacketKind::Ip;
    let available = usize::from(len).min(rest.len());
    if available < usize::from(len) {
        packet.rejects.insert(Reject::Ipv6Truncated);
    }
    let [s0, s1, ..] = src;
    let [d0, d1, ..] = dst;
    if hop_limit == 0 || s0 == 0xff || (s0 | s1 == 0) || (d0 | d1 == 0) {
        addresses(packet, src, dst);
    }
    let upper = at + 40;
    if is_extension(next) {
        return extensions(packet, frame, upper, upper + available, checks);
    }
    transport::read(packet, frame, upper, upper + available, checks)
}

#[cold]
fn addresses(packet: &mut Packet, src: [u8; 16], dst: [u8; 16]) {
    if packet.ttl == 0 {
        packet.rejects.insert(Reject::Ipv6HopLimitZero);
    }
    if matches!(src, [0xff, ..]) {
        packet.rejects.insert(Reject::Ipv6GroupSource);
    }
    // A loopback device has no hardware addresses.
    if packet.src_mac != Mac::default() && (src == LOOPBACK_V6 || dst == LOOPBACK_V6) {
        packet.rejects.insert(Reject::Ipv6LoopbackOnWire);
    }
    if dst == [0; 16] {
        packet.rejects.insert(Reject::Ipv6UnspecifiedDestination);
    }
}

/// How often each extension header has been seen, and how far the order has come.
#[derive(Default)]
struct Chain {
    hop_by_hop: u8,
    destination: u8,
    routing: u8,
    fragment: u8,
    authentication: u8,
    rank: u8,
}

impl Chain {
    /// Counts one header in and names what its place is wrong for.
    fn admit(&mut self, packet: &mut Packet, kind: u8, index: usize) {
        // Destination options stand before routing or last; the other ranks are RFC 8200's order.
        let (count, most, double, rank) = match kind {
            HOP_BY_HOP => (&mut self.hop_by_hop, 1, Reject::Ipv6DuplicateHopByHop, 0),
            DESTINATION => (&mut self.destination, 2, Reject::Ipv6DuplicateDestination, self.rank),
            ROUTING => (&mut self.routing, 1, Reject::Ipv6DuplicateRouting, 2),
            FRAGMENT => (&mut self.fragment, 1, Reject::Ipv6DuplicateFragment, 3),
            AUTHENTICATION => (&mut self.authentication, 1, Reject::Ipv6DuplicateAh, 4),
            _ => return,
        };
        *count = count.saturating_add(1);
        if *count > most {
            packet.rejects.insert(double);
        }
        if kind == HOP_BY_HOP && index > 0 {
            packet.rejects.insert(Reject::Ipv6HopByHopLate);
        } else if rank < self.rank {
            packet.rejects.insert(Reject::Ipv6ExtensionOrder);
        }
        self.rank = self.rank.max(rank);
    }
}

/// Walks the chain of extension headers from `at`, bounded by `end` and [`IPV6_EXTENSIONS_MAX`].
#[cold]
fn extensions(
    packet: &mut Packet,
    frame: &[u8],
    mut at: usize,
    end: usize,
    checks: Checks,
) -> Result<(), Reject> {
    let mut chain = Chain::default();
    for index in 0..IPV6_EXTENSIONS_MAX {
        let kind = packet.protocol;
        if !is_extension(kind) {
            return transport::read(packet, frame, at, end, checks);
        }
        let rest = frame.get(at..end).unwrap_or_default();
        let Some(&[next, units, b2, b3, ..]) = rest.first_chunk::<8>() else {
            return Err(extension_cut(packet));
        };
        let len = extension_len(kind, units);
        let Some(header) = rest.get(..len) else { return Err(extension_cut(packet)) };
        chain.admit(packet, kind, index);
        packet.protocol = next;
        at += len;
        match kind {
            HOP_BY_HOP => hop_by_hop(packet, header)?,
            DESTINATION => destination(packet, header),
            ROUTING if b2 == 0 => packet.rejects.insert(Reject::Ipv6RoutingType0),
            AUTHENTICATION if [b2, b3] != [0, 0] => packet.rejects.insert(Reject::Ipv6AhReserved),
            FRAGMENT => {
                fragment(packet, header, rest.len() - len);
                // Behind a later fragment's header stands data, not a chain.
                if !packet.has_transport() {
                    return transport::read(packet, frame, at, end, checks);
                }
            }
            _ => {}
        }
    }
    if is_extension(packet.protocol) {
        return Err(Reject::Ipv6ExtensionTooMany);
    }
    transport::read(packet, frame, at, end, checks)
}

/// Bytes of an extension header: units of eight beyond the first, AH units of four beyond two.
const fn extension_len(kind: u8, units: u8) -> usize {
    match kind {
        FRAGMENT => 8,
        AUTHENTICATION => (units as usize + 2) * 4,
        _ => (units as usize + 1) * 8,
    }
}

/// A first fragment that ends within the chain of headers is the attack of RFC 7112.
fn extension_cut(packet: &mut Packet) -> Reject {
    if packet.fragment.is_some() {
        packet.rejects.insert(Reject::FragmentTiny);
    }
    Reject::Ipv6ExtensionTruncated
}

fn fragment(packet: &mut Packet, header: &[u8], len: usize) {
    let Some(&[_, reserved, o0, o1, i0, i1, i2, i3]) = header.first_chunk::<8>() else { return };
    let rest = u16::from_be_bytes([o0, o1]);
    if reserved != 0 || rest & 0x0006 != 0 {
        packet.rejects.insert(Reject::Ipv6FragmentReserved);
    }
    let part = Fragment {
        id: u32::from_be_bytes([i0, i1, i2, i3]),
        offset: rest & 0xfff8,
        more: rest & 1 != 0,
    };
    if part.offset == 0 && !part.more {
        packet.rejects.insert(Reject::Ipv6AtomicFragment);
        return;
    }
    transport::fragment(packet, part, len);
}

/// What a walk over options found.
#[derive(Default)]
struct Options {
    real: usize,
    unknown: bool,
    jumbo: bool,
}

fn hop_by_hop(packet: &mut Packet, header: &[u8]) -> Result<(), Reject> {
    let found = options(packet, header);
    if found.jumbo {
        return Err(Reject::Ipv6Jumbogram);
    }
    if found.real == 0 || found.real > HOP_OPTIONS_MAX {
        packet.rejects.insert(Reject::Ipv6HopByHopAbuse);
    }
    if found.unknown {
        packet.rejects.insert(Reject::Ipv6HopByHopUnknown);
    }
    Ok(())
}

fn destination(packet: &mut Packet, header: &[u8]) {
    let found = options(packet, header);
    if found.real == 0 {
        packet.rejects.insert(Reject::Ipv6OptionsOnlyPadding);
    }
    if found.unknown {
        packet.rejects.insert(Reject::Ipv6OptionUnknown);
    }
}

/// Walks the options of a hop-by-hop or destination header: at most 2,046 bytes.
fn options(packet: &mut Packet, header: &[u8]) -> Options {
    let mut found = Options::default();
    let mut rest = header.get(2..).unwrap_or_default();
    while let Some((&kind, behind)) = rest.split_first() {
        if kind == 0 {
            rest = behind;
            continue;
        }
        let Some((&len, body)) = behind.split_first() else {
            packet.rejects.insert(Reject::Ipv6OptionLength);
            break;
        };
        let (Some(value), Some(next)) =
            (body.get(..usize::from(len)), body.get(usize::from(len)..))
        else {
            packet.rejects.insert(Reject::Ipv6OptionLength);
            break;
        };
        match kind {
            1 => padding(packet, value),
            0xc2 => found.jumbo = true,
            // IANA's list: tunnel limit, router alert, CALIPSO, quick start, SMF, home address,
            // endpoint, ILNP, identification, RPL, MPL, IOAM, alternate marking, path MTU, …
            0x04 | 0x05 | 0x07 | 0x08 | 0x0f | 0x11 | 0x12 | 0x1e | 0x23 | 0x26 | 0x30 | 0x31
            | 0x32 | 0x3e | 0x5e | 0x63 | 0x6d | 0x7e | 0x8a | 0x8b | 0x8c | 0x9e | 0xbe | 0xc9
            | 0xde | 0xee | 0xfe => {}
            _ => found.unknown = true,
        }
        found.real += usize::from(kind != 1);
        rest = next;
    }
    found
}

fn padding(packet: &mut Packet, value: &[u8]) {
    if value.is_empty() {
        packet.rejects.insert(Reject::Ipv6ZeroPadN);
    }
    if value.iter().any(|&byte| byte != 0) {
        packet.rejects.insert(Reject::Ipv6PaddingNotZero);
    }
}

/// Skips the extension headers of a quoted packet: its protocol, what stands behind, and whether
/// it is a later fragment, which has no ports.
pub(crate) fn skip_extensions(mut next: u8, mut rest: &[u8]) -> (u8, &[u8], bool) {
    for _ in 0..IPV6_EXTENSIONS_MAX {
        if !is_extension(next) {
            break;
        }
        let Some(&[behind, units, o0, o1, ..]) = rest.first_chunk::<8>() else { break };
        let later = next == FRAGMENT && u16::from_be_bytes([o0, o1]) & 0xfff8 != 0;
        rest = rest.get(extension_len(next, units)..).unwrap_or_default();
        next = behind;
        if later {
            return (next, rest, true);
        }
    }
    (next, rest, false)
}
