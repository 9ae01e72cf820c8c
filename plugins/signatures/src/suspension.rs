//! Rules that burn their budget are left out for a while, so that one bad rule costs neither the
//! plugin nor the flows.

use crate::numbered::ByNumber;

/// Units of fuel that one rule may cost on one event: about half a millisecond.
const FUEL_MAX: u64 = 2_000_000;
/// Steps on one buffer at which a rule is cut off.
const STEPS_MAX: u32 = 3_000;
/// Overruns after which a rule is left out,
const OVERRUNS: u8 = 5;
/// for so long, nanoseconds (as Snort 3: five overruns, thirty seconds).
const PAUSE: u64 = 30_000_000_000;
/// Rules whose overruns are remembered; then they are all forgotten.
const RULES_MAX: usize = 1_024;

/// What is known of rules that were too dear.
#[derive(Debug, Default)]
pub(crate) struct Suspensions {
    rules: ByNumber<(u8, u64)>,
}

impl Suspensions {
    /// Whether a rule is left out now.
    pub(crate) fn holds(&self, rule: u32, now: u64) -> bool {
        !self.rules.is_empty() && self.rules.get(&rule).is_some_and(|(_, until)| now < *until)
    }

    /// A rule cost this much fuel.
    pub(crate) fn spent(&mut self, rule: u32, now: u64, fuel: u64) {
        if fuel > FUEL_MAX {
            self.overrun(rule, now);
        }
    }

    /// A rule took this many steps on a buffer.
    pub(crate) fn steps(&mut self, rule: u32, now: u64, steps: u32) {
        if steps >= STEPS_MAX {
            self.overrun(rule, now);
        }
    }

    fn overrun(&mut self, rule: u32, now: u64) {
        if self.rules.len() >= RULES_MAX {
            self.rules.clear();
        }
        let (count, until) = self.rules.entry(rule).or_insert((0, 0));
        *count += 1;
        if *count >= OVERRUNS {
            (*count, *until) = (0, now.saturating_add(PAUSE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_overruns_pause_a_rule() {
        let mut all = Suspensions::default();
        for _ in 0..4 {
            all.steps(7, 10, STEPS_MAX);
        }
        all.spent(7, 10, FUEL_MAX);
        assert!(!all.holds(7, 10));
        all.spent(7, 10, FUEL_MAX + 1);
        assert!(all.holds(7, 10 + PAUSE - 1) && !all.holds(8, 10));
        assert!(!all.holds(7, 10 + PAUSE));
    }
}
