//! Rules without a literal: tried by address where they name few, else on every event that fits.

use super::targets::Target;
use super::{Compiler, groups, info, kinds};
use crate::ast::{AddressSet, Arrow, BitsMode, Condition, FlowPart, Polarity, Rule};
use portcullis_plugin_abi::EventKind;
use portcullis_rules_form::{AddressRange, Always, Body, Check, NONE, RuleEntry, head, needs};

/// Sets of more ranges than that are not looked up by address: `!$HOME_NET` and its like have few,
/// lists of bad addresses have many, and nothing has more than this.
const RANGES_MAX: usize = 1 << 20;

impl Compiler<'_> {
    pub(super) fn without_literal(
        &mut self,
        rule: &Rule,
        body: &Body,
        target: &Target,
        entry: RuleEntry,
    ) {
        let by_address = target.needs & (needs::FLOW | needs::PACKET) != 0
            && target.needs & (needs::TRANSACTION | needs::STREAM | needs::ANOMALY) == 0
            && self.by_address(rule, entry);
        let tried = if by_address { NONE } else { entry.0 };
        if by_address {
            self.counts.by_address += 1;
        } else {
            self.counts.always += 1;
        }
        for row in rows(rule, body, target, tried) {
            self.builder.always(row);
        }
    }

    /// Notes the rule at the addresses of the side that names the smaller part of all.
    fn by_address(&mut self, rule: &Rule, entry: RuleEntry) -> bool {
        let listed = |set: &AddressSet| {
            let ranges = info::address_ranges(set)?;
            (ranges.len() <= RANGES_MAX && size(&ranges) < MOST).then_some(ranges)
        };
        let source = listed(&rule.header.source);
        let destination = listed(&rule.header.destination);
        let both = rule.header.arrow == Arrow::Both;
        match (source, destination) {
            (Some(s), d) if d.as_ref().is_none_or(|d| size(&s) <= size(d)) => {
                self.builder.from_addresses(&s, entry);
                if both {
                    self.builder.to_addresses(&s, entry);
                }
                true
            }
            (_, Some(d)) => {
                self.builder.to_addresses(&d, entry);
                if both {
                    self.builder.from_addresses(&d, entry);
                }
                true
            }
            _ => false,
        }
    }
}

/// Sets of an eighth of the IPv4 addresses and more (or as many of IPv6) are no list.
const MOST: u128 = 1 << 29;

fn size(ranges: &[AddressRange]) -> u128 {
    ranges.iter().fold(0u128, |sum, r| {
        let count = u128::from_be_bytes(r.high) - u128::from_be_bytes(r.low);
        sum.saturating_add(count).saturating_add(1)
    })
}

/// The events that the rule is tried on.
fn rows(rule: &Rule, body: &Body, target: &Target, tried: u32) -> Vec<Always> {
    let direction = match target.directions {
        [true, false] => 0,
        [false, true] => 1,
        _ => 2,
    };
    let (port_low, port_high) = groups::bounds(rule, &rule.header.destination_ports);
    let (source_low, source_high) = groups::bounds(rule, &rule.header.source_ports);
    let row = |event: EventKind| Always {
        event: event.number(),
        direction,
        protocol: transport(rule),
        tcp_flags: 0,
        application: body.head.application,
        buffer: 0,
        code: NONE,
        rule: tried,
        port_low,
        port_high,
        source_low,
        source_high,
    };
    let mut out = Vec::new();
    if target.needs & needs::ANOMALY != 0 {
        out.extend(body.checks.iter().filter_map(|c| match c {
            Check::Anomaly { name } => {
                let any = Always { direction: 2, ..row(EventKind::Anomaly) };
                Some(Always { code: *name, ..any })
            }
            _ => None,
        }));
    }
    if target.needs & needs::TRANSACTION != 0 {
        let sticky = body.parts.iter().map(|p| p.kind);
        let own = sticky.filter(|k| !super::is_payload(*k) && !kinds::is_header(*k)).min();
        out.push(Always { buffer: own.unwrap_or(0), ..row(EventKind::Transaction) });
    }
    if target.traits & head::MIXED != 0 {
        // The other half is found by its own literal.
        return out;
    }
    if target.needs & needs::STREAM != 0 {
        out.push(row(EventKind::StreamData));
    }
    if target.needs & needs::PACKET != 0 && rule.flow.stream != FlowPart::Only {
        out.push(Always { tcp_flags: wanted_flags(rule), ..row(EventKind::Packet) });
    }
    if target.needs & needs::FLOW != 0 {
        out.push(row(EventKind::FlowStart));
        out.push(row(EventKind::FlowReply));
    }
    out
}

/// The one transport that the rule is for, by its header or by `ip_proto`; 0 for several.
fn transport(rule: &Rule) -> u8 {
    let asked = rule.conditions.iter().find_map(|c| match c {
        Condition::IpProto(t) if t.low == t.high && t.polarity == Polarity::Plain => {
            u8::try_from(t.low).ok()
        }
        _ => None,
    });
    asked.unwrap_or_else(|| groups::transport(rule))
}

/// From the rarest flag in traffic to the commonest.
const RAREST_FIRST: [u8; 8] = [0x40, 0x80, 0x20, 0x02, 0x04, 0x01, 0x08, 0x10];

/// TCP flags of which the packet must have at least one; 0 where nothing follows from the rule.
fn wanted_flags(rule: &Rule) -> u8 {
    rule.conditions
        .iter()
        .find_map(|c| match c {
            Condition::TcpFlags(t) => Some(t),
            _ => None,
        })
        .map_or(0, |t| match t.mode {
            BitsMode::Any => t.flags,
            BitsMode::Exact | BitsMode::All => {
                RAREST_FIRST.into_iter().find(|f| t.flags & f != 0).unwrap_or(0)
            }
            BitsMode::None => 0,
        })
}
