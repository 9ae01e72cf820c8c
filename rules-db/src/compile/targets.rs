//! Which events a rule is tried on, and what of its header and `flow` is bits.
//!
//! As Suricata decides for TCP (detect-content and `SigValidate`): a rule that asks for anything of
//! the packet itself looks at packets; else at the stream; and where offset or depth bind a
//! content to a beginning, or `stream_size` is asked, at both.

use super::{is_payload, kinds, pattern};
use crate::ast::{
    Alerting, BitChange, BufferTest, Condition, DataWanted, Effect, Flow, FlowDirection, FlowPart,
    FlowState, IpVersions, Protocol, Rule,
};
use portcullis_rules_form::{flow, head, needs, protocol};

/// Where a rule is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Target {
    /// [`needs`].
    pub(super) needs: u8,
    /// [`head`].
    pub(super) traits: u16,
    /// `[to the server, to the client]`.
    pub(super) directions: [bool; 2],
}

const TCP: u8 = 6;
const UDP: u8 = 17;

fn asks_of_packet(condition: &Condition) -> bool {
    use Condition as C;
    matches!(
        condition,
        C::Dsize(_)
            | C::Ttl(_)
            | C::Tos(_)
            | C::IpId(_)
            | C::FragBits(_)
            | C::FragOffset(_)
            | C::IpOpts(_)
            | C::SameIp
            | C::TcpFlags(_)
            | C::Seq(_)
            | C::Ack(_)
            | C::Window(_)
            | C::Mss(_)
            | C::IcmpType(_)
            | C::IcmpCode(_)
            | C::IcmpId(_)
            | C::IcmpSeq(_)
            | C::Icmpv6Mtu(_)
            | C::Checksum(..)
    )
}

fn asks_of_transaction(condition: &Condition) -> bool {
    use Condition as C;
    matches!(
        condition,
        C::AppLayerEvent(_)
            | C::Number { .. }
            | C::TlsVersion { .. }
            | C::TlsState { .. }
            | C::TlsCertTime { .. }
            | C::TlsCertExpired
            | C::TlsCertValid
            | C::FileHash(_)
            | C::FtpBounce
    )
}

fn may_be_tcp(protocol: &Protocol) -> bool {
    protocol.transports.is_empty() || protocol.transports.contains(&TCP)
}

fn only_tcp(protocol: &Protocol) -> bool {
    protocol.transports == [TCP]
}

/// Packet, stream or both, for contents without a sticky buffer.
fn payload_needs(rule: &Rule, asks_packet: bool) -> u8 {
    let protocol = &rule.header.protocol;
    match protocol.data {
        DataWanted::Packet | DataWanted::HeaderOnly => return needs::PACKET,
        DataWanted::Stream => return needs::STREAM,
        DataWanted::Either => {}
    }
    if rule.flow.stream == FlowPart::Only {
        return needs::STREAM;
    }
    if rule.flow.stream == FlowPart::Not || asks_packet || !may_be_tcp(protocol) {
        return needs::PACKET;
    }
    let bound = |test: &BufferTest| match test {
        BufferTest::Content(c) => c.offset.is_some() || c.depth.is_some(),
        _ => false,
    };
    let mut payloads = rule.buffers.iter().filter(|b| is_payload(b.kind));
    let stream_size = rule.conditions.iter().any(|c| matches!(c, Condition::StreamSize(_)));
    let both = stream_size || payloads.any(|b| b.tests.iter().any(bound));
    if both || !only_tcp(protocol) { needs::STREAM | needs::PACKET } else { needs::STREAM }
}

/// Where a rule is tried.
pub(super) fn target(rule: &Rule) -> Target {
    let payload = rule.buffers.iter().any(|b| is_payload(b.kind));
    let of_packet = |kind| kinds::is_header(kind) && !kinds::is_address(kind);
    let header = rule.buffers.iter().any(|b| of_packet(b.kind));
    let transaction = rule.buffers.iter().any(|b| !is_payload(b.kind) && !kinds::is_header(b.kind))
        || rule.conditions.iter().any(asks_of_transaction);
    let anomaly = rule
        .conditions
        .iter()
        .any(|c| matches!(c, Condition::DecodeEvent(_) | Condition::StreamEvent(_)));
    let asks_packet = header || rule.conditions.iter().any(asks_of_packet);
    let (mut bits, mut traits) = (0, 0);
    if anomaly {
        bits = needs::ANOMALY;
    } else if transaction {
        bits = needs::TRANSACTION;
        if payload {
            traits |= head::MIXED;
            if pattern::payload(rule).is_some() {
                bits |= payload_needs(rule, asks_packet);
            }
        }
    } else if payload {
        bits = payload_needs(rule, asks_packet);
    } else if addresses_alone(rule) {
        bits = needs::FLOW;
        traits |= head::IP_ONLY;
    } else if rule.flow.stream == FlowPart::Only {
        bits = needs::STREAM;
    }
    if bits == 0 {
        bits = needs::PACKET;
    }
    if payload {
        traits |= head::READS_PAYLOAD;
    }
    let whole = needs::STREAM | needs::TRANSACTION | needs::FLOW;
    if bits & whole != 0 || is_header_alone(rule) || speaks_alone(rule) {
        traits |= head::WHOLE_FLOW;
    }
    if rule.header.arrow == crate::ast::Arrow::Both {
        traits |= head::BIDIRECTIONAL;
    }
    let configures = rule.header.action == crate::ast::RuleAction::Config;
    if configures || rule.alerting == Alerting::NoAlert {
        traits |= head::NOALERT;
    }
    if rule.alerting == Alerting::Always {
        traits |= head::TELLS_PASS;
    }
    Target { needs: bits, traits, directions: directions(rule) }
}

/// As Suricata's "IP-only": addresses, of TCP and UDP no ports, and nothing else that is asked.
/// Tried once in each direction of a flow.
fn addresses_alone(rule: &Rule) -> bool {
    let header = &rule.header;
    let any_port = header.source_ports.is_any() && header.destination_ports.is_any();
    let has_no_ports = !header.protocol.transports.iter().any(|t| matches!(t, &TCP | &UDP));
    let is_open = !is_negated(&header.source.text) && !is_negated(&header.destination.text);
    is_header_alone(rule) && is_open && (any_port || has_no_ports)
}

/// Nothing but the header is asked: what it says of one packet it says of the flow.
fn is_header_alone(rule: &Rule) -> bool {
    let protocol = &rule.header.protocol;
    protocol.data != DataWanted::HeaderOnly
        && protocol.application.is_none()
        && rule.flow == Flow::default()
        && rule.buffers.is_empty()
        && rule.conditions.iter().all(is_of_addresses)
        && rule.effects.iter().all(is_beside_addresses)
}

/// Suricata's "PD-only" and rules of a protocol's name: what is spoken is all that is asked.
fn speaks_alone(rule: &Rule) -> bool {
    let asks_nothing = rule.buffers.is_empty() && !rule.conditions.iter().any(asks_of_packet);
    let spoken = rule.conditions.iter().any(|c| matches!(c, Condition::AppLayerProtocol(_)));
    asks_nothing && (spoken || rule.header.protocol.application.is_some())
}

fn is_of_addresses(condition: &Condition) -> bool {
    matches!(condition, Condition::IpReputation(_))
}

fn is_negated(addresses: &str) -> bool {
    addresses.contains('!')
}

fn is_beside_addresses(effect: &Effect) -> bool {
    match effect {
        Effect::Flowbits { change, .. } => *change == BitChange::Set,
        _ => true,
    }
}

fn directions(rule: &Rule) -> [bool; 2] {
    match rule.flow.direction {
        Some(FlowDirection::ToServer) => [true, false],
        Some(FlowDirection::ToClient) => [false, true],
        None => {
            let mut both = [true, true];
            for tests in &rule.buffers {
                let [server, client] = kinds::directions(tests.kind);
                both = [both[0] && server, both[1] && client];
            }
            // Buffers of both ways in one rule: tried on either.
            if both == [false, false] { [true, true] } else { both }
        }
    }
}

/// Bits of the `flow` keyword.
pub(super) fn flow_bits(written: &Flow) -> u32 {
    let mut bits = match written.direction {
        Some(FlowDirection::ToServer) => flow::TO_SERVER,
        Some(FlowDirection::ToClient) => flow::TO_CLIENT,
        None => 0,
    };
    bits |= match written.state {
        FlowState::Any => 0,
        FlowState::Established => flow::ESTABLISHED,
        FlowState::NotEstablished => flow::NOT_ESTABLISHED,
        FlowState::Stateless => flow::STATELESS,
    };
    bits |= match written.stream {
        FlowPart::Any => 0,
        FlowPart::Only => flow::ONLY_STREAM,
        FlowPart::Not => flow::NO_STREAM,
    };
    bits | match written.fragment {
        FlowPart::Any => 0,
        FlowPart::Only => flow::ONLY_FRAG,
        FlowPart::Not => flow::NO_FRAG,
    }
}

/// Bits of the header's protocol.
pub(super) fn protocols(written: &Protocol) -> u32 {
    let mut bits = match written.versions {
        IpVersions::Any => 0,
        IpVersions::V4 => protocol::IPV4,
        IpVersions::V6 => protocol::IPV6,
    };
    if written.data == DataWanted::HeaderOnly {
        bits |= protocol::PACKET;
    } else if written.transports.is_empty() {
        bits |= protocol::IP;
    }
    for transport in &written.transports {
        bits |= match transport {
            1 => protocol::ICMP,
            6 => protocol::TCP,
            17 => protocol::UDP,
            58 => protocol::ICMPV6,
            132 => protocol::SCTP,
            _ => protocol::OTHER,
        };
    }
    bits
}
