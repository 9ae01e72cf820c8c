//! What following hits may cost. Each flow has an allowance, and its bytes fill it again; what a
//! flow earns and does not need is lent to those that need more. So whoever sends one near miss
//! after the other is judged for as much as his bytes pay for, and others as if he was not there.
//!
//! ```text
//! bytes ─► allowance of the flow ─► (full) lent to all flows of this instance ─► (full) nobody's
//!            last quarter: urgent rules   last eighth: urgent rules
//! ```
//!
//! In points: about twenty of the sandbox's instructions each, by what they were measured to be.
//! Must never know a clock, nor what a rule asks.

use crate::memory::Memory;

/// An event with hits.
pub(crate) const EVENT: u32 = 512;
/// A hit of it.
pub(crate) const HIT: u32 = 16;
/// A literal that was found: its rules are looked up.
pub(crate) const LITERAL: u32 = 64;
/// A rule that may be looked for by it: does it fit?
pub(crate) const ROW: u32 = 4;
/// A rule that ends at its head.
pub(crate) const HEAD: u32 = 32;
/// A rule whose head fits.
pub(crate) const BODY: u32 = 128;
/// A step of a rule on a buffer.
pub(crate) const STEP: u32 = 32;
/// A regular expression that the host is asked for.
pub(crate) const REGEX: u32 = 128;
/// Bytes that a point looks through for a literal,
pub(crate) const BYTES_SEARCHED: usize = 8;
/// bytes that it asks a regular expression about,
pub(crate) const BYTES_MATCHED: usize = 16;
/// and bytes that it makes others of.
pub(crate) const BYTES_MADE: usize = 4;

/// How much may be spent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// A flow's allowance, points; 0: there is no limit.
    pub flow: u32,
    /// Points that a KiB of the flow's frames fills in again.
    pub refill: u32,
    /// The most that flows may have left to others, points.
    pub shared: u32,
}

impl Limits {
    /// No value is larger.
    pub const MAX: u32 = 1 << 30;
}

impl Default for Limits {
    fn default() -> Self {
        Limits { flow: 16_384, refill: 512, shared: 10_485_760 }
    }
}

/// A flow's account, as its slot has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Account {
    /// Points that lack to the full allowance.
    pub(crate) spent: u32,
    /// Bytes of the flow that are paid in; the low 32 bits.
    pub(crate) bytes: u32,
}

/// The account of the flow at hand, and what all flows lent.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    shared: i64,
    own: i64,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        let most = |n: u32| n.min(Limits::MAX);
        let limits =
            Limits { flow: most(limits.flow), refill: limits.refill, shared: most(limits.shared) };
        Budget { limits, shared: limits.shared.into(), own: 0, bytes: 0 }
    }

    /// An event of a flow that has had so many bytes.
    pub(crate) fn begin(&mut self, memory: &Memory<'_>, bytes: u64) {
        let Account { spent, bytes: before } = memory.account();
        let new = low(bytes).wrapping_sub(before);
        // Time does not go back; where it does, nothing is earned.
        let new = if new > u32::MAX / 2 { 0 } else { new };
        let earned = ((u64::from(new) * u64::from(self.limits.refill)) >> 10).min(1 << 40);
        let earned = i64::try_from(earned).unwrap_or(0);
        let own = i64::from(self.limits.flow) - i64::from(spent) + earned;
        self.own = own.min(self.limits.flow.into());
        self.shared = (self.shared + own - self.own).min(self.limits.shared.into());
        self.bytes = bytes;
    }

    /// The event is judged.
    pub(crate) fn end(&self, memory: &mut Memory<'_>) {
        let spent = i64::from(self.limits.flow) - self.own;
        let spent = u32::try_from(spent).unwrap_or(0);
        memory.set_account(Account { spent, bytes: low(self.bytes) });
    }

    /// What is kept for urgent rules.
    fn floors(&self, is_urgent: bool) -> (i64, i64) {
        match is_urgent {
            true => (0, 0),
            false => (i64::from(self.limits.flow / 4), i64::from(self.limits.shared / 8)),
        }
    }

    /// Whether the flow can pay for a rule.
    #[inline]
    pub(crate) fn pays(&self, is_urgent: bool) -> bool {
        let (own, shared) = self.floors(is_urgent);
        self.own > own || self.shared > shared || self.limits.flow == 0
    }

    /// Points are spent: the flow's own, those lent, and then what the flow will earn.
    #[inline]
    pub(crate) fn charge(&mut self, points: u32, is_urgent: bool) {
        let (own, shared) = self.floors(is_urgent);
        let mut left = i64::from(points);
        if left <= self.own - own {
            self.own -= left;
            return;
        }
        for (purse, floor) in [(&mut self.own, own), (&mut self.shared, shared)] {
            let here = left.min((*purse - floor).max(0));
            *purse -= here;
            left -= here;
        }
        // A debt of one allowance at most: bytes that are honest again are soon judged.
        self.own = (self.own - left).max(-i64::from(self.limits.flow));
    }

    /// Where not even an urgent rule can be paid for: with how many KiB of the flow half of its
    /// allowance is there again.
    pub(crate) fn pause(&self) -> Option<u64> {
        if self.pays(true) {
            return None;
        }
        let lacks = u64::try_from(i64::from(self.limits.flow / 2) - self.own).unwrap_or(0);
        let kib = lacks.checked_div(self.limits.refill.into()).unwrap_or(u32::MAX.into());
        Some((self.bytes >> 10) + kib + 1)
    }
}

fn low(n: u64) -> u32 {
    u32::try_from(n & u64::from(u32::MAX)).unwrap_or(0)
}

/// Points for this many bytes.
#[inline]
pub(crate) fn points(bytes: usize, per_point: usize) -> u32 {
    u32::try_from(bytes / per_point.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::SLOT;

    const LIMITS: Limits = Limits { flow: 1_000, refill: 1_024, shared: 400 };

    #[test]
    fn a_flow_spends_its_own_then_what_was_lent_then_what_it_will_earn() {
        let (mut budget, mut slot) = (Budget::new(LIMITS), [0; SLOT]);
        budget.begin(&Memory::new(&mut slot), 0);
        budget.charge(700, false);
        assert!(budget.pays(false) && budget.own == 300, "its own");
        budget.charge(300, false);
        assert_eq!((budget.own, budget.shared), (250, 150), "not below a quarter, then lent");
        assert!(budget.pays(false) && budget.pause().is_none());
        budget.charge(110, false);
        assert_eq!((budget.own, budget.shared), (240, 50));
        assert!(!budget.pays(false) && budget.pays(true), "the rest is for urgent rules");
        budget.charge(350, true);
        assert_eq!((budget.own, budget.shared), (-60, 0), "what it will earn");
        assert_eq!((budget.pays(true), budget.pause()), (false, Some(1)));
        budget.end(&mut Memory::new(&mut slot));
        let mut deep = Budget::new(LIMITS);
        deep.charge(9_000, true);
        assert_eq!(deep.own, -1_000, "no deeper than an allowance");

        // Bytes pay the debt first; what a full allowance does not take is lent.
        budget.begin(&Memory::new(&mut slot), 1_060);
        assert_eq!((budget.own, budget.shared), (1_000, 0));
        budget.end(&mut Memory::new(&mut slot));
        budget.begin(&Memory::new(&mut slot), 1_160);
        assert_eq!((budget.own, budget.shared), (1_000, 100));
        budget.begin(&Memory::new(&mut slot), 9_000);
        assert_eq!(budget.shared, 400, "no more than may be lent");
    }

    #[test]
    fn other_flows_have_their_own_allowance_and_without_a_limit_all_is_paid() {
        let (mut budget, mut flood, mut other) = (Budget::new(LIMITS), [0; SLOT], [0; SLOT]);
        budget.begin(&Memory::new(&mut flood), 0);
        budget.charge(1 << 20, true);
        budget.end(&mut Memory::new(&mut flood));
        budget.begin(&Memory::new(&mut other), 0);
        assert_eq!(budget.own, 1_000);
        let mut all = Budget::new(Limits { flow: 0, ..LIMITS });
        all.begin(&Memory::new(&mut flood), 0);
        all.charge(1 << 30, false);
        assert!(all.pays(false) && all.pause().is_none());
        let mut never = Budget::new(Limits { refill: 0, shared: 0, ..LIMITS });
        never.begin(&Memory::new(&mut flood), 5_000);
        assert!(never.pause().is_some_and(|kib| kib > 1 << 24), "nothing comes again");
    }
}
