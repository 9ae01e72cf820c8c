//! What the host is told of a rule, and addresses and ports as the form has them.

use crate::ast::{AddressSet, PortSet, Rule, RuleAction};
use crate::policy::Judgement;
use portcullis_rules_form::{AddressRange, Body, Check, Info, PortRange, action, head};
use portcullis_types::Reach;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A rule's verb, as the form has it. `config` says nothing and stops nothing.
pub(super) fn verb(written: RuleAction) -> u8 {
    match written {
        RuleAction::Alert | RuleAction::Config => action::ALERT,
        RuleAction::Pass => action::PASS,
        RuleAction::Drop => action::DROP,
        RuleAction::RejectSource | RuleAction::RejectDestination | RuleAction::RejectBoth => {
            action::REJECT
        }
    }
}

/// Whether it says nothing itself, and leaves bits that other rules ask for; or lets pass.
pub(super) fn leads_on(body: &Body) -> bool {
    let sets = |effect: &Check| matches!(effect, Check::Flowbits { .. } | Check::Xbits { .. });
    body.head.action == action::PASS
        || body.head.traits & head::NOALERT != 0 && body.effects.iter().any(sets)
}

pub(super) fn info(rule: &Rule, judgement: &Judgement) -> Info {
    Info {
        gid: rule.id.gid,
        sid: rule.id.sid,
        rev: rule.id.rev,
        priority: u32::from(rule.about.priority),
        class: judgement.class as u8,
        severity: judgement.severity as u8,
        confidence: judgement.confidence as u8,
        action: judgement.action as u8,
        ceiling: judgement.ceiling as u8,
        offender: judgement.offender.number(),
        target: judgement.target.number(),
        reach: Reach::Flow as u8,
        verb: verb(rule.header.action),
        message: rule.about.message.clone(),
        classtype: rule.about.classtype.clone().unwrap_or_default(),
        category: judgement.category.clone(),
        references: rule.about.references.iter().map(|r| r.address.clone()).collect(),
        attack: judgement.attack.clone(),
        metadata: rule.about.metadata.clone(),
    }
}

/// Sorted ranges of 128 bits; `None` for all addresses.
pub(super) fn address_ranges(set: &AddressSet) -> Option<Vec<AddressRange>> {
    const MAPPED: u128 = 0xffff_0000_0000;
    if set.is_any() {
        return None;
    }
    let v4 = set.v4.iter().map(|&(l, h)| (MAPPED | u128::from(l), MAPPED | u128::from(h)));
    let mut all: Vec<(u128, u128)> = v4.chain(set.v6.iter().copied().flat_map(unmapped)).collect();
    all.sort_unstable();
    let range = |(low, high): (u128, u128)| AddressRange {
        low: low.to_be_bytes(),
        high: high.to_be_bytes(),
    };
    Some(all.into_iter().map(range).collect())
}

/// An IPv6 range without the addresses that stand for IPv4.
fn unmapped((low, high): (u128, u128)) -> Vec<(u128, u128)> {
    const FIRST: u128 = 0xffff_0000_0000;
    const LAST: u128 = 0xffff_ffff_ffff;
    if high < FIRST || low > LAST {
        return vec![(low, high)];
    }
    let before = (low < FIRST).then_some((low, FIRST - 1));
    let behind = (high > LAST).then_some((LAST + 1, high));
    before.into_iter().chain(behind).collect()
}

/// The addresses that pass, as sorted ranges apart. Where networks overlap the smallest decides.
pub(super) fn reputed(rows: impl Iterator<Item = (IpAddr, IpAddr, bool)>) -> Vec<AddressRange> {
    let number = |address| match address {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6),
    };
    let mut rows: Vec<(u128, u128, bool)> =
        rows.map(|(low, high, passes)| (number(low), number(high), passes)).collect();
    // The largest first: each takes the place of what it lies in. Of equal ones either passing is
    // enough.
    rows.sort_unstable_by_key(|&(low, high, passes)| (std::cmp::Reverse(high - low), low, passes));
    let mut painted: BTreeMap<u128, (u128, bool)> = BTreeMap::new();
    for (low, high, passes) in rows {
        let before = painted.range(..low).next_back().map(|(at, row)| (*at, *row));
        if let Some((at, (end, old))) = before.filter(|(_, (end, _))| *end >= low) {
            painted.insert(at, (low - 1, old));
            if end > high {
                painted.insert(high + 1, (end, old));
            }
        }
        let inside: Vec<u128> = painted.range(low..=high).map(|(at, _)| *at).collect();
        for at in inside {
            if let Some((end, old)) = painted.remove(&at).filter(|(end, _)| *end > high) {
                painted.insert(high + 1, (end, old));
            }
        }
        painted.insert(low, (high, passes));
    }
    let passing = painted.into_iter().filter(|(_, (_, passes))| *passes);
    let range = |(low, (high, _)): (u128, (u128, bool))| AddressRange {
        low: low.to_be_bytes(),
        high: high.to_be_bytes(),
    };
    passing.map(range).collect()
}

/// Sorted ranges; `None` for all ports.
pub(super) fn port_ranges(set: &PortSet) -> Option<Vec<PortRange>> {
    if set.is_any() {
        return None;
    }
    Some(set.ranges.iter().map(|&(low, high)| PortRange { low, high }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_network_decides() {
        let row = |low: &str, high: &str, passes| {
            (low.parse().expect("address"), high.parse().expect("address"), passes)
        };
        let rows = [
            row("10.1.2.3", "10.1.2.3", true),
            row("10.0.0.0", "10.255.255.255", true),
            row("10.1.0.0", "10.1.255.255", false),
            row("2001:db8::", "2001:db8::ff", true),
            row("192.0.2.1", "192.0.2.1", false),
        ];
        let address = |bytes: [u8; 16]| std::net::Ipv6Addr::from(bytes).to_canonical().to_string();
        let found: Vec<_> = reputed(rows.into_iter())
            .iter()
            .map(|range| format!("{}-{}", address(range.low), address(range.high)))
            .collect();
        let wanted = [
            "10.0.0.0-10.0.255.255",
            "10.1.2.3-10.1.2.3",
            "10.2.0.0-10.255.255.255",
            "2001:db8::-2001:db8::ff",
        ];
        assert_eq!(found, wanted);
    }
}
