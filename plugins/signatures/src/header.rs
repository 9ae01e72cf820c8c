//! A rule's head and its numbers against an event's facts and the headers of its packet.

use crate::store::{End, Store};
use crate::world::{Facts, Occasion, Piece, Way, World};
use portcullis_plugin_sdk::buffer_kind as kind;
use portcullis_rules_form::{Check, Field, Head, flow, head, protocol};

/// Whether protocol, flow, addresses and ports fit.
pub(crate) fn fits(world: &mut impl World, store: &mut Store, facts: &Facts, head: &Head) -> bool {
    protocol_fits(facts, head.protocols)
        && flow_fits(facts, head.flow)
        && (head.application == 0 || head.application == facts.application)
        && addresses_fit(world, store, facts, head)
}

fn protocol_fits(facts: &Facts, bits: u32) -> bool {
    let version = match facts.ip_version {
        4 => protocol::IPV4,
        6 => protocol::IPV6,
        _ => 0,
    };
    let versions = bits & (protocol::IPV4 | protocol::IPV6);
    if versions != 0 && versions & version == 0 {
        return false;
    }
    let own = match facts.protocol {
        1 => protocol::ICMP,
        6 => protocol::TCP,
        17 => protocol::UDP,
        58 => protocol::ICMPV6,
        132 => protocol::SCTP,
        _ => protocol::OTHER,
    };
    let any = bits & protocol::PACKET != 0 || bits & protocol::IP != 0 && facts.ip_version != 0;
    any || bits & own != 0
}

fn flow_fits(facts: &Facts, bits: u32) -> bool {
    let way = match facts.way {
        Way::ToServer => flow::TO_SERVER,
        Way::ToClient => flow::TO_CLIENT,
    };
    let ways = bits & (flow::TO_SERVER | flow::TO_CLIENT);
    let packet = !matches!(facts.occasion, Occasion::Stream | Occasion::Transaction);
    (ways == 0 || ways & way != 0)
        && (bits & flow::ESTABLISHED == 0 || facts.established)
        && (bits & flow::NOT_ESTABLISHED == 0 || !facts.established)
        && (bits & flow::ONLY_STREAM == 0 || !packet)
        && (bits & flow::NO_STREAM == 0 || packet)
        && bits & flow::ONLY_FRAG == 0
}

fn addresses_fit(world: &mut impl World, store: &mut Store, facts: &Facts, head: &Head) -> bool {
    let ends = facts.ends();
    let mut fit = |[source, source_port, target, port]: [End; 4]| {
        store.holds_end(world, head.destination_ports, port, &ends)
            && store.holds_end(world, head.source_ports, source_port, &ends)
            && store.holds_end(world, head.source, source, &ends)
            && store.holds_end(world, head.destination, target, &ends)
    };
    fit([End::SourceAddress, End::SourcePort, End::TargetAddress, End::TargetPort])
        || head.traits & head::BIDIRECTIONAL != 0
            && fit([End::TargetAddress, End::TargetPort, End::SourceAddress, End::SourcePort])
}

/// A check of packet or flow. What is not known does not hold.
pub(crate) fn check(facts: &Facts, pieces: &[Piece<'_>], check: &Check) -> bool {
    match check {
        Check::Number { field, comparison } => {
            number(facts, pieces, *field).is_some_and(|n| comparison.holds(n))
        }
        Check::Bits { field, mode, bits: wanted, ignored } => number(facts, pieces, *field)
            .and_then(|n| u32::try_from(n).ok())
            .is_some_and(|n| bits(n, *mode, *wanted, *ignored)),
        Check::TcpFlags { mode, bits: wanted, ignored } => {
            facts.protocol == 6
                && bits(u32::from(facts.tcp_flags), *mode, u32::from(*wanted), u32::from(*ignored))
        }
        Check::StreamSize { side, comparison } => {
            let size = |field| number(facts, pieces, field).is_some_and(|n| comparison.holds(n));
            match side {
                0 => size(Field::StreamToClient),
                1 => size(Field::StreamToServer),
                2 => size(Field::StreamToClient) && size(Field::StreamToServer),
                _ => size(Field::StreamToClient) || size(Field::StreamToServer),
            }
        }
        Check::SameAddress => facts.client == facts.server,
        // As long as nobody knows what is spoken, it is neither this nor something else.
        Check::Application { application, negated } => {
            facts.application != 0 && (facts.application == *application) != *negated
        }
        Check::Protocols { negated, numbers } => numbers.contains(&facts.protocol) != *negated,
        _ => false,
    }
}

fn bits(value: u32, mode: u8, wanted: u32, ignored: u32) -> bool {
    let value = value & !ignored;
    match mode {
        0 => value == wanted,
        1 => value & wanted == wanted,
        2 => value & wanted != 0,
        _ => value & wanted == 0,
    }
}

/// A number of the packet or flow: as the records carry it, or out of the packet's headers.
pub(crate) fn number(facts: &Facts, pieces: &[Piece<'_>], field: Field) -> Option<u64> {
    if let Some((_, n)) = facts.numbers.iter().find(|(f, _)| *f == field) {
        return Some(*n);
    }
    match field {
        Field::IpProtocol => return Some(u64::from(facts.protocol)),
        Field::IpVersion => return Some(u64::from(facts.ip_version)),
        _ => {}
    }
    let header = |kind: u16| pieces.iter().find(|p| p.kind == kind).map(|p| &p.bytes[..]);
    let two = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes).map(u64::from)
    };
    let icmp = || header(kind::ICMPV4_HDR).or_else(|| header(kind::ICMPV6_HDR));
    match field {
        Field::IpId => two(header(kind::IPV4_HDR)?, 4),
        Field::FragmentBits => two(header(kind::IPV4_HDR)?, 6).map(|n| n & 0xe000),
        Field::FragmentOffset => two(header(kind::IPV4_HDR)?, 6).map(|n| n & 0x1fff),
        Field::IpOptions => ip_options(header(kind::IPV4_HDR)?),
        Field::SegmentSize => segment_size(header(kind::TCP_HDR)?),
        Field::IcmpId => two(icmp()?, 4),
        Field::IcmpSequence => two(icmp()?, 6),
        Field::IcmpMtu => {
            let bytes = header(kind::ICMPV6_HDR)?;
            let mtu = bytes.get(4..8)?.try_into().ok().map(u32::from_be_bytes);
            mtu.map(u64::from).filter(|_| bytes.first() == Some(&2))
        }
        _ => None,
    }
}

/// A bit for the number of each option that is there.
fn ip_options(header: &[u8]) -> Option<u64> {
    let mut rest = header.get(20..)?;
    let mut found = 0;
    while let Some((&option, tail)) = rest.split_first() {
        found |= 1u64 << (option & 31);
        rest = match option {
            0 => break,
            1 => tail,
            _ => rest.get(usize::from(*tail.first()?).max(2)..).unwrap_or(&[]),
        };
    }
    Some(found)
}

fn segment_size(header: &[u8]) -> Option<u64> {
    let mut rest = header.get(20..)?;
    while let Some((&option, tail)) = rest.split_first() {
        rest = match option {
            0 => break,
            1 => tail,
            2 => {
                let size = tail.get(1..3)?.try_into().ok().map(u16::from_be_bytes)?;
                return Some(u64::from(size));
            }
            _ => rest.get(usize::from(*tail.first()?).max(2)..).unwrap_or(&[]),
        };
    }
    None
}
