//! How a plugin conducts itself: who made it fault, and whether it must rest.
//!
//! Quarantine must not be a switch in an attacker's hand: only faults from several distinct
//! offenders count, and those at init and ticks, which no packet causes directly. One offender
//! with many faults is muted instead.

use crate::limits::{FAULT_LOG, HostLimits, REST_FORGIVEN, REST_MAX, REST_MIN};
use portcullis_types::{Party, Tick};
use std::time::Duration;

/// What follows from a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Nothing more.
    None,
    /// The offender is not shown to the plugin until then.
    Mute(Tick),
    /// The plugin rests.
    Rest { rest: Duration, offenders: u32 },
}

struct Entry {
    offender: Party,
    count: u32,
    first: Tick,
}

/// One plugin's record.
pub(crate) struct Conduct {
    log: Vec<Entry>,
    rest: Duration,
    rested: Option<Tick>,
}

impl Conduct {
    pub(crate) fn new() -> Self {
        Conduct { log: Vec::new(), rest: REST_MIN, rested: None }
    }

    /// Notes a fault. `Party::Nobody` stands for init and ticks: each counts for itself.
    pub(crate) fn fault(&mut self, offender: Party, at: Tick, limits: &HostLimits) -> Step {
        self.log.retain(|e| at.since(e.first) < limits.fault_window);
        let known =
            self.log.iter_mut().find(|e| e.offender == offender && offender != Party::Nobody);
        if let Some(entry) = known {
            entry.count += 1;
            return match entry.count >= limits.fault_mute {
                true => Step::Mute(entry.first + limits.fault_window),
                false => Step::None,
            };
        }
        if self.log.len() >= FAULT_LOG {
            self.log.remove(0);
        }
        self.log.push(Entry { offender, count: 1, first: at });
        let offenders = u32::try_from(self.log.len()).unwrap_or(u32::MAX);
        if offenders < limits.fault_offenders {
            return Step::None;
        }
        self.log.clear();
        if self.rested.is_some_and(|r| at.since(r) >= REST_FORGIVEN) {
            self.rest = REST_MIN;
        }
        let rest = self.rest;
        self.rest = (rest * 2).min(REST_MAX);
        self.rested = Some(at + rest);
        Step::Rest { rest, offenders }
    }

    /// Whether nothing is noted at all: the common case.
    #[inline]
    pub(crate) fn is_clean(&self) -> bool {
        self.log.is_empty()
    }

    /// Whether this offender's packets are kept from the plugin.
    #[inline]
    pub(crate) fn mutes(&self, offender: Party, at: Tick, limits: &HostLimits) -> bool {
        self.log.iter().any(|e| {
            e.offender == offender
                && e.count >= limits.fault_mute
                && at.since(e.first) < limits.fault_window
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_types::Addr;

    const SECOND: Duration = Duration::from_secs(1);

    fn who(n: u8) -> Party {
        Party::Addr(Addr::v4([192, 0, 2, n]))
    }

    #[test]
    fn one_offender_cannot_switch_a_plugin_off() {
        let (mut c, limits) = (Conduct::new(), HostLimits::default());
        let steps: Vec<Step> = (0..100).map(|_| c.fault(who(1), Tick(5), &limits)).collect();
        assert_eq!(steps[..2], [Step::None, Step::None]);
        assert!(steps[2..].iter().all(|s| matches!(s, Step::Mute(_))));
        assert!(c.mutes(who(1), Tick(6), &limits) && !c.mutes(who(2), Tick(6), &limits));
        assert!(!c.mutes(who(1), Tick(5) + SECOND * 61, &limits));
    }

    #[test]
    fn several_offenders_make_it_rest_twice_as_long_each_time() {
        let (mut c, limits) = (Conduct::new(), HostLimits::default());
        let mut rests = Vec::new();
        for round in 0u32..8 {
            for n in 0..4 {
                if let Step::Rest { rest, offenders } =
                    c.fault(who(n), Tick(0) + SECOND * round, &limits)
                {
                    assert_eq!((n, offenders), (3, 4));
                    rests.push(rest.as_secs());
                }
            }
        }
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60]);
        (0..3).for_each(|n| {
            let _ = c.fault(who(n), Tick(0) + SECOND * 2000, &limits);
        });
        let step = c.fault(who(3), Tick(0) + SECOND * 2000, &limits);
        assert_eq!(step, Step::Rest { rest: SECOND, offenders: 4 });
    }

    #[test]
    fn ticks_count_for_themselves() {
        let (mut c, limits) = (Conduct::new(), HostLimits::default());
        let steps: Vec<Step> = (0..4).map(|i| c.fault(Party::Nobody, Tick(i), &limits)).collect();
        assert!(matches!(steps[3], Step::Rest { .. }));
    }
}
