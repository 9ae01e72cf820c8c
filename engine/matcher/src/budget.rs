//! How much verification one payload may cost. It must never know literals.

/// The verification budget of one payload, and what was spent.
///
/// One unit is one bucket looked up or one literal compared at one position. When it is spent, the
/// rest of the payload is read by the group's automaton if [`crate::Matcher::prepare`] made one;
/// otherwise scanning goes on as before, slower. No hit is ever lost to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    allowed: u64,
    spent: u64,
    overruns: u32,
    automaton_bytes: u64,
}

impl Budget {
    /// Comparisons that any payload may cost, however short.
    const FLOOR: u64 = 256;
    /// Comparisons per byte: past this an automaton, at some 40 ns a byte, is the cheaper.
    const PER_BYTE: u64 = 4;

    /// A budget of `comparisons`.
    #[must_use]
    pub const fn new(comparisons: u64) -> Self {
        Self { allowed: comparisons, spent: 0, overruns: 0, automaton_bytes: 0 }
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

    /// Scans that went past the budget: where this grows for a group, prepare its automaton.
    #[must_use]
    pub const fn overruns(&self) -> u32 {
        self.overruns
    }

    /// Bytes that were read by an automaton.
    #[must_use]
    pub const fn automaton_bytes(&self) -> u64 {
        self.automaton_bytes
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

    pub(crate) fn read_by_automaton(&mut self, bytes: usize) {
        self.automaton_bytes = self.automaton_bytes.saturating_add(bytes as u64);
    }
}
