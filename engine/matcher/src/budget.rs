//! How much verification one payload may cost. It must never know literals.

/// The verification budget of one payload, and what was spent.
///
/// One unit is one bucket looked up or one literal compared at one position. When it is spent,
/// scanning goes on as before, and that is counted: no hit is ever lost to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    allowed: u64,
    spent: u64,
    overruns: u32,
}

impl Budget {
    /// Comparisons that any payload may cost, however short.
    const FLOOR: u64 = 256;
    /// Comparisons per byte: what an automaton's step at every byte would cost.
    const PER_BYTE: u64 = 4;

    /// A budget of `comparisons`.
    #[must_use]
    pub const fn new(comparisons: u64) -> Self {
        Self { allowed: comparisons, spent: 0, overruns: 0 }
    }

    /// What a payload of `bytes` deserves.
    #[must_use]
    pub const fn of_payload(bytes: usize) -> Self {
        Self::new(Self::FLOOR + Self::PER_BYTE * bytes as u64)
    }

    /// Comparisons made so far.
    #[must_use]
    pub const fn spent(&self) -> u64 {
        self.spent
    }

    /// Scans that went past the budget: near misses, sent by somebody who has the literals.
    #[must_use]
    pub const fn overruns(&self) -> u32 {
        self.overruns
    }

    pub(crate) fn spend(&mut self, comparisons: u64) {
        self.spent = self.spent.saturating_add(comparisons);
    }

    pub(crate) const fn is_spent(&self) -> bool {
        self.spent > self.allowed
    }

    pub(crate) fn overrun(&mut self) {
        self.overruns = self.overruns.saturating_add(1);
    }
}
