//! Numbers for the names of flow bits, other bits, flow integers. In the order of their spelling,
//! so that the order of the rules does not matter.

use crate::ast::{Condition, Effect, FlowintAsk, FlowintValue, Rule};
use std::collections::BTreeMap;

/// The names.
pub(super) struct Names {
    numbers: BTreeMap<String, u16>,
    /// How long each other bit stays set, seconds: who asks for it must know, too.
    expiries: BTreeMap<String, u32>,
}

impl Names {
    pub(super) fn of(rules: &[Rule]) -> Names {
        let mut numbers = BTreeMap::new();
        let mut expiries: BTreeMap<String, u32> = BTreeMap::new();
        for rule in rules {
            for condition in &rule.conditions {
                for name in of_condition(condition) {
                    numbers.insert(name.to_owned(), 0);
                }
            }
            for effect in &rule.effects {
                if let Effect::Xbits { name, expire, .. } = effect {
                    let longest = expiries.entry(name.clone()).or_default();
                    *longest = (*longest).max(*expire);
                }
                for name in of_effect(effect) {
                    numbers.insert(name.to_owned(), 0);
                }
            }
        }
        for (i, number) in numbers.values_mut().enumerate() {
            *number = u16::try_from(i).unwrap_or(u16::MAX);
        }
        Names { numbers, expiries }
    }

    /// The number of a name. More than 65,535 names share the last.
    pub(super) fn number(&self, name: &str) -> u16 {
        self.numbers.get(name).copied().unwrap_or(u16::MAX)
    }

    /// How long another bit stays set: the longest that any rule gives it.
    pub(super) fn expiry(&self, name: &str) -> u32 {
        self.expiries.get(name).copied().unwrap_or(0)
    }

    pub(super) fn list(&self) -> Vec<&str> {
        self.numbers.keys().map(String::as_str).collect()
    }
}

fn of_value(value: &FlowintValue) -> Option<&str> {
    match value {
        FlowintValue::Named(name) => Some(name),
        FlowintValue::Number(_) => None,
    }
}

fn of_condition(condition: &Condition) -> Vec<&str> {
    match condition {
        Condition::Flowbits(test) => test.names.iter().map(String::as_str).collect(),
        Condition::Xbits(test) => vec![&test.name],
        Condition::Flowint(test) => {
            let other = match &test.test {
                FlowintAsk::Compare(_, value) => of_value(value),
                FlowintAsk::IsSet | FlowintAsk::IsNotSet => None,
            };
            std::iter::once(test.name.as_str()).chain(other).collect()
        }
        _ => Vec::new(),
    }
}

fn of_effect(effect: &Effect) -> Vec<&str> {
    match effect {
        Effect::Flowbits { names, .. } => names.iter().map(String::as_str).collect(),
        Effect::Xbits { name, .. } => vec![name],
        Effect::Flowint { name, value, .. } => {
            std::iter::once(name.as_str()).chain(of_value(value)).collect()
        }
        _ => Vec::new(),
    }
}
