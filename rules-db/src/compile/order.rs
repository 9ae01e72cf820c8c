//! The order in which rules are tried: by action, `pass` first unless told otherwise, and who sets
//! a bit before who asks for it.
//! Must never look at what rules match.

use crate::ast::{Condition, Effect, Rule};
use crate::ruleset::ActionOrder;
use std::collections::BTreeMap;

/// Longest chain of rules that set bits for one another; longer ones, and circles, are cut.
const CHAIN_MAX: u32 = 32;

/// Indexes of the rules, in the order of trial.
pub(super) fn order(rules: &[Rule], actions: &ActionOrder) -> Vec<usize> {
    let levels = levels(rules);
    let mut order: Vec<usize> = (0..rules.len()).collect();
    let key = |&i: &usize| {
        let rule = rules.get(i)?;
        Some((actions.place(rule.header.action), levels.get(i)?, rule.about.priority, i))
    };
    order.sort_by(|a, b| key(a).cmp(&key(b)));
    order
}

/// A name, by the keyword that it belongs to.
type Bit<'a> = (u8, &'a str);

fn reads(rule: &Rule) -> Vec<Bit<'_>> {
    let mut out = Vec::new();
    for condition in &rule.conditions {
        match condition {
            Condition::Flowbits(test) => out.extend(test.names.iter().map(|n| (0, n.as_str()))),
            Condition::Xbits(test) => out.push((1, test.name.as_str())),
            Condition::Flowint(test) => out.push((2, test.name.as_str())),
            _ => {}
        }
    }
    out
}

fn writes(rule: &Rule) -> Vec<Bit<'_>> {
    let mut out = Vec::new();
    for effect in &rule.effects {
        match effect {
            Effect::Flowbits { names, .. } => out.extend(names.iter().map(|n| (0, n.as_str()))),
            Effect::Xbits { name, .. } => out.push((1, name.as_str())),
            Effect::Flowint { name, .. } => out.push((2, name.as_str())),
            _ => {}
        }
    }
    out
}

/// How far behind the first writer of its bits each rule stands.
fn levels(rules: &[Rule]) -> Vec<u32> {
    let mut levels = vec![0; rules.len()];
    let mut written: BTreeMap<Bit<'_>, u32> = BTreeMap::new();
    for _ in 0..CHAIN_MAX {
        let mut changed = false;
        for (rule, level) in rules.iter().zip(&mut levels) {
            let own = writes(rule);
            let behind = reads(rule)
                .iter()
                .filter(|bit| !own.contains(bit))
                .filter_map(|bit| written.get(bit))
                .max();
            let at = behind.map_or(0, |n| n + 1);
            if at > *level {
                *level = at;
                changed = true;
            }
            for bit in own {
                let new = !written.contains_key(&bit);
                let known = written.entry(bit).or_insert(*level);
                if new || *known < *level {
                    *known = *level;
                    changed = true;
                }
            }
        }
        if !changed {
            break;
        }
    }
    levels
}
