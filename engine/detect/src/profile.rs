//! What each rule of a plugin costs: fuel and time between marks that the guest sets as it goes.
//!
//! ```text
//!   begin ── … ── mark(rule) ── … ── mark(rule) ── … ── mark(none) ── … ── end
//!          to the rule        to the rule        to the rest          to the rest
//! ```
//!
//! The guest says which rule it has just tried; the host measures. It is there only where somebody
//! asks (`HostLimits::profile`), and the clock is theirs: this crate has none.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Nanoseconds of a clock that only goes forward.
pub type Clock = fn() -> u64;

/// Rules of one plugin that are told apart; what is spent on more of them counts as the rest.
const RULES_MAX: usize = 1 << 16;
/// Patterns that are told apart for one rule; candidates of more of them name none.
const PATTERNS_MAX: usize = 16;

/// Something measured many times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// All of it.
    pub total: u64,
    /// The most at once.
    pub max: u64,
}

impl Spent {
    fn add(&mut self, more: u64) {
        self.total = self.total.saturating_add(more);
        self.max = self.max.max(more);
    }

    fn merge(&mut self, other: Spent) {
        self.total = self.total.saturating_add(other.total);
        self.max = self.max.max(other.max);
    }

    fn keep_less(&mut self, again: Spent) {
        self.total = self.total.min(again.total);
        self.max = self.max.min(again.max);
    }
}

/// What one rule has cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleCost {
    /// How often it was tried.
    pub checks: u64,
    /// How often it matched.
    pub hits: u64,
    /// Units of fuel.
    pub fuel: Spent,
    /// Nanoseconds.
    pub time: Spent,
    /// How often it was tried because of which pattern, by the plugin's number; at most 16. The
    /// other checks had none.
    pub patterns: Vec<(u32, u64)>,
}

impl RuleCost {
    fn because(&mut self, pattern: u32, checks: u64) {
        if let Some(known) = self.patterns.iter_mut().find(|p| p.0 == pattern) {
            known.1 = known.1.saturating_add(checks);
        } else if pattern != portcullis_plugin_abi::NONE && self.patterns.len() < PATTERNS_MAX {
            self.patterns.push((pattern, checks));
        }
    }
}

/// What a guest says at a mark.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    /// Generator and number; number 0 is no rule.
    pub(crate) rule: (u32, u32),
    /// Why it was tried.
    pub(crate) pattern: u32,
    /// Whether it matched.
    pub(crate) found: bool,
}

/// What the rules of one plugin have cost in one host.
#[derive(Clone, Debug)]
pub struct Profile {
    clock: Clock,
    /// Fuel and time at the last mark.
    since: (u64, u64),
    rules: HashMap<(u32, u32), RuleCost>,
    /// Fuel that was spent on no single rule: reading events, finding candidates.
    pub rest_fuel: Spent,
    /// Nanoseconds that were spent on no single rule.
    pub rest_time: Spent,
    /// Checks of rules that found no room to be told apart.
    pub untold: u64,
}

impl Profile {
    /// Nothing was spent yet.
    pub fn new(clock: Clock) -> Self {
        Profile {
            clock,
            since: (0, 0),
            rules: HashMap::new(),
            rest_fuel: Spent::default(),
            rest_time: Spent::default(),
            untold: 0,
        }
    }

    /// The rules that were tried, by generator and number, in no order.
    pub fn rules(&self) -> impl Iterator<Item = ((u32, u32), &RuleCost)> {
        self.rules.iter().map(|(id, cost)| (*id, cost))
    }

    /// Adds what was measured in another host.
    pub fn merge(&mut self, other: &Profile) {
        for (id, more) in other.rules() {
            let cost = self.rules.entry(id).or_default();
            cost.checks = cost.checks.saturating_add(more.checks);
            cost.hits = cost.hits.saturating_add(more.hits);
            cost.fuel.merge(more.fuel);
            cost.time.merge(more.time);
            for &(pattern, checks) in &more.patterns {
                cost.because(pattern, checks);
            }
        }
        self.rest_fuel.merge(other.rest_fuel);
        self.rest_time.merge(other.rest_time);
        self.untold = self.untold.saturating_add(other.untold);
    }

    /// Of what the same input took again, the less: what interrupted one run is not in the other.
    pub fn keep_less(&mut self, again: &Profile) {
        for (id, cost) in &mut self.rules {
            if let Some(again) = again.rules.get(id) {
                cost.fuel.keep_less(again.fuel);
                cost.time.keep_less(again.time);
            }
        }
        self.rest_fuel.keep_less(again.rest_fuel);
        self.rest_time.keep_less(again.rest_time);
    }

    /// A batch begins, with that much fuel.
    pub(crate) fn begin(&mut self, fuel: u64) {
        self.since = (fuel, (self.clock)());
    }

    /// A batch is over, with that much fuel left.
    pub(crate) fn end(&mut self, left: u64) {
        let (fuel, time) = self.spent(left, (self.clock)());
        self.rest_fuel.add(fuel);
        self.rest_time.add(time);
    }

    /// The guest sets a mark in a call that began and ended with that much fuel. What the marking
    /// itself takes is nobody's.
    pub(crate) fn mark(&mut self, mark: Mark, before: u64, left: u64) {
        let (fuel, time) = self.spent(before, (self.clock)());
        self.charge(mark, fuel, time);
        self.since = (left, (self.clock)());
    }

    fn spent(&self, fuel: u64, now: u64) -> (u64, u64) {
        (self.since.0.saturating_sub(fuel), now.saturating_sub(self.since.1))
    }

    fn charge(&mut self, mark: Mark, fuel: u64, time: u64) {
        let room = self.rules.len() < RULES_MAX;
        let cost = match self.rules.entry(mark.rule) {
            _ if mark.rule.1 == 0 => None,
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(_) if !room => {
                self.untold = self.untold.saturating_add(1);
                None
            }
            Entry::Vacant(new) => Some(new.insert(RuleCost::default())),
        };
        let Some(cost) = cost else {
            self.rest_fuel.add(fuel);
            self.rest_time.add(time);
            return;
        };
        cost.checks = cost.checks.saturating_add(1);
        cost.hits = cost.hits.saturating_add(u64::from(mark.found));
        cost.fuel.add(fuel);
        cost.time.add(time);
        cost.because(mark.pattern, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_plugin_abi::NONE;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    /// Each look at it is 10 ns later.
    fn slow_clock() -> u64 {
        static NOW: AtomicU64 = AtomicU64::new(0);
        NOW.fetch_add(10, Relaxed)
    }

    fn mark(sid: u32, pattern: u32, found: bool) -> Mark {
        Mark { rule: (1, sid), pattern, found }
    }

    #[test]
    fn what_lies_between_marks_is_the_rules_and_the_rest_is_the_rest() {
        let mut profile = Profile::new(slow_clock);
        profile.begin(1_000);
        profile.mark(mark(0, NONE, false), 900, 890);
        profile.mark(mark(7, 3, true), 800, 790);
        profile.mark(mark(7, NONE, false), 760, 750);
        profile.end(700);
        let cost = RuleCost {
            checks: 2,
            hits: 1,
            fuel: Spent { total: 120, max: 90 },
            time: Spent { total: 20, max: 10 },
            patterns: vec![(3, 1)],
        };
        assert_eq!(profile.rules().collect::<Vec<_>>(), [((1, 7), &cost)]);
        assert_eq!(profile.rest_fuel, Spent { total: 150, max: 100 });
        let mut twice = profile.clone();
        twice.merge(&profile);
        let sum = twice.rules().next().map(|(_, c)| (c.checks, c.fuel, c.patterns.clone()));
        assert_eq!(sum, Some((4, Spent { total: 240, max: 90 }, vec![(3, 2)])));
        twice.keep_less(&profile);
        let less = twice.rules().next().map(|(_, c)| (c.checks, c.fuel, c.time));
        assert_eq!(less, Some((4, cost.fuel, cost.time)));
    }

    #[test]
    fn a_guest_that_names_rules_without_end_fills_no_memory() {
        let mut profile = Profile::new(slow_clock);
        for sid in (1..).take(RULES_MAX + 10) {
            profile.mark(mark(sid, sid, false), 0, 0);
        }
        (0..100).for_each(|pattern| profile.mark(mark(1, pattern, false), 0, 0));
        assert_eq!((profile.rules().count(), profile.untold), (RULES_MAX, 10));
        let first = profile.rules().find(|(id, _)| *id == (1, 1));
        let first = first.map(|(_, cost)| (cost.checks, cost.patterns.len()));
        assert_eq!(first, Some((101, PATTERNS_MAX)));
    }
}
