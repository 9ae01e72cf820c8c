//! What a rule set remembers of a flow, in the flow's slot: bits, integers, rules that wait for
//! more of a transaction, rules that were told. Bounded: the slot has 256 bytes.
//!
//! ```text
//! 0    bits        14 × u32   key of the name, 0 free
//! 56   account     u32 points that lack to the allowance, u32 bytes that are paid in
//! 64   integers     6 × (u32 key of the name, u32 value)
//! 112  waiting      8 × (u32 rule + 1, u32 transaction)
//! 176  told         8 × (u32 key of the rule + 1, u32 transaction)
//! 240  next waiting, next told, flags
//! 244  where the stream shown last ended, 2 × u32
//! 252  u32          the set that `waiting` has its numbers from
//! ```
//!
//! Only `waiting` holds numbers of one set: under another set it is empty. All else is kept by
//! keys that mean the same in every set.
//!
//! Must never know what a rule asks.

use crate::budget::Account;
use crate::world::Way;

/// Bytes that the slot must have.
pub(crate) const SLOT: usize = 256;

const BITS: usize = 14;
const ACCOUNT_AT: usize = 56;
const INTEGERS_AT: usize = 64;
const INTEGERS: usize = 6;
const WAITING_AT: usize = 112;
const TOLD_AT: usize = 176;
const RING: usize = 8;
const NEXT_AT: usize = 240;
const FLAGS_AT: usize = 242;
const SHOWN_AT: [usize; 2] = [244, 248];
const SET_AT: usize = 252;

/// The flow's bits did not all fit: those that did not are with the host.
const OVERFLOWN: u8 = 1;
/// A `pass` rule matched: no rule is tried on the flow any more.
const PASSED: u8 = 2;
/// It was told that the flow could not pay for all of its candidates.
const SHORT: u8 = 4;

/// What became of a bit that was to be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kept {
    /// It is in the slot.
    Here,
    /// No room: it is for the host to keep.
    Elsewhere,
}

/// A flow's memory. A slot of another size holds nothing.
pub(crate) struct Memory<'a> {
    slot: &'a mut [u8],
}

impl<'a> Memory<'a> {
    /// In this slot.
    pub(crate) fn new(slot: &'a mut [u8]) -> Self {
        let slot = if slot.len() >= SLOT { slot } else { &mut [] };
        Memory { slot }
    }

    fn u32_at(&self, at: usize) -> u32 {
        self.slot.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(to) = self.slot.get_mut(at..at + bytes.len()) {
            to.copy_from_slice(bytes);
        }
    }

    fn flag(&self, flag: u8) -> bool {
        self.slot.get(FLAGS_AT).is_some_and(|b| b & flag != 0)
    }

    fn raise(&mut self, flag: u8) {
        if let Some(byte) = self.slot.get_mut(FLAGS_AT) {
            *byte |= flag;
        }
    }

    /// From here on rules' numbers are this set's. Those that another set left are forgotten: what
    /// they waited for is looked at anew.
    pub(crate) fn of_set(&mut self, set: u32) {
        let before = self.u32_at(SET_AT);
        if before == set {
            return;
        }
        if before != 0 {
            self.put(WAITING_AT, &[0; 8 * RING]);
        }
        self.put(SET_AT, &set.to_le_bytes());
    }

    /// Whether the flow was passed.
    pub(crate) fn is_passed(&self) -> bool {
        self.flag(PASSED)
    }

    /// No rule is to be tried any more.
    pub(crate) fn pass(&mut self) {
        self.raise(PASSED);
    }

    /// What the flow has spent on candidates.
    pub(crate) fn account(&self) -> Account {
        Account { spent: self.u32_at(ACCOUNT_AT), bytes: self.u32_at(ACCOUNT_AT + 4) }
    }

    /// Notes what the flow has spent.
    pub(crate) fn set_account(&mut self, account: Account) {
        self.put(ACCOUNT_AT, &account.spent.to_le_bytes());
        self.put(ACCOUNT_AT + 4, &account.bytes.to_le_bytes());
    }

    /// Candidates of the flow were passed over; whether for the first time.
    pub(crate) fn is_short_first(&mut self) -> bool {
        let is_first = !self.flag(SHORT);
        self.raise(SHORT);
        is_first
    }

    /// Where the stream of this direction ended that was shown last; 0 before the first.
    pub(crate) fn shown(&self, way: Way) -> u32 {
        self.u32_at(SHOWN_AT[usize::from(way == Way::ToClient)])
    }

    /// The stream was shown up to here.
    pub(crate) fn show(&mut self, way: Way, end: u32) {
        self.put(SHOWN_AT[usize::from(way == Way::ToClient)], &end.to_le_bytes());
    }

    /// Whether a bit is set here; `None`: not here, and perhaps with the host.
    pub(crate) fn bit(&self, key: u32) -> Option<bool> {
        if self.place_of_bit(key).is_some() {
            return Some(true);
        }
        (!self.flag(OVERFLOWN) && !self.slot.is_empty()).then_some(false)
    }

    fn place_of_bit(&self, key: u32) -> Option<usize> {
        (0..BITS).map(|i| 4 * i).find(|&at| at + 4 <= self.slot.len() && self.u32_at(at) == key)
    }

    /// Sets a bit.
    pub(crate) fn set_bit(&mut self, key: u32) -> Kept {
        if self.place_of_bit(key).is_some() {
            return Kept::Here;
        }
        let Some(free) = self.place_of_bit(0) else {
            self.raise(OVERFLOWN);
            return Kept::Elsewhere;
        };
        self.put(free, &key.to_le_bytes());
        Kept::Here
    }

    /// Clears a bit.
    pub(crate) fn clear_bit(&mut self, key: u32) {
        if let Some(at) = self.place_of_bit(key) {
            self.put(at, &[0; 4]);
        }
    }

    fn place_of_integer(&self, key: u32) -> Option<usize> {
        (0..INTEGERS)
            .map(|i| INTEGERS_AT + 8 * i)
            .find(|&at| at + 8 <= self.slot.len() && self.u32_at(at) == key)
    }

    /// An integer; `None` where it is not set.
    pub(crate) fn integer(&self, key: u32) -> Option<u32> {
        self.place_of_integer(key).map(|at| self.u32_at(at + 4))
    }

    /// Sets an integer; without room it stays unset.
    pub(crate) fn set_integer(&mut self, key: u32, value: u32) {
        if let Some(at) = self.place_of_integer(key).or_else(|| self.place_of_integer(0)) {
            self.put(at, &key.to_le_bytes());
            self.put(at + 4, &value.to_le_bytes());
        }
    }

    fn ring(&self, at: usize, rule: u32, transaction: u32) -> Option<usize> {
        let key = rule.wrapping_add(1);
        let is = |place: &usize| {
            place + 8 <= self.slot.len()
                && self.u32_at(*place) == key
                && self.u32_at(place + 4) == transaction
        };
        (0..RING).map(|i| at + 8 * i).find(is)
    }

    fn push(&mut self, at: usize, next_at: usize, rule: u32, transaction: u32) {
        if self.ring(at, rule, transaction).is_some() {
            return;
        }
        let next = self.slot.get(next_at).map_or(0, |n| usize::from(*n) % RING);
        self.put(at + 8 * next, &rule.wrapping_add(1).to_le_bytes());
        self.put(at + 8 * next + 4, &transaction.to_le_bytes());
        self.put(next_at, &[u8::try_from((next + 1) % RING).unwrap_or(0)]);
    }

    /// Has a rule tried again when the transaction goes on. The oldest of eight gives way.
    pub(crate) fn wait(&mut self, rule: u32, transaction: u32) {
        self.push(WAITING_AT, NEXT_AT, rule, transaction);
    }

    /// The rule waits no more.
    pub(crate) fn settle(&mut self, rule: u32, transaction: u32) {
        if let Some(at) = self.ring(WAITING_AT, rule, transaction) {
            self.put(at, &[0; 8]);
        }
    }

    /// The rules that wait for more of this transaction.
    pub(crate) fn waiting(&self, transaction: u32) -> Vec<u32> {
        (0..RING)
            .map(|i| WAITING_AT + 8 * i)
            .filter(|&at| at + 8 <= self.slot.len() && self.u32_at(at + 4) == transaction)
            .filter_map(|at| self.u32_at(at).checked_sub(1))
            .collect()
    }

    /// Notes that the rule was told of this transaction. The oldest of eight gives way.
    pub(crate) fn tell(&mut self, rule: u32, transaction: u32) {
        self.push(TOLD_AT, NEXT_AT + 1, rule, transaction);
    }

    /// Whether the rule was told of this transaction.
    pub(crate) fn is_told(&self, rule: u32, transaction: u32) -> bool {
        self.ring(TOLD_AT, rule, transaction).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_keeps_what_fits() {
        let mut slot = [0; SLOT];
        let mut memory = Memory::new(&mut slot);
        assert_eq!(memory.bit(3), Some(false));
        for n in 1..=14 {
            assert_eq!(memory.set_bit(n), Kept::Here);
        }
        assert_eq!(memory.set_bit(99), Kept::Elsewhere);
        assert_eq!((memory.bit(3), memory.bit(99)), (Some(true), None));
        memory.clear_bit(3);
        assert_eq!(memory.set_bit(99), Kept::Here);
        memory.set_integer(7, 5);
        assert_eq!((memory.integer(7), memory.integer(8)), (Some(5), None));
        memory.wait(4, 1);
        memory.wait(4, 1);
        memory.wait(5, 2);
        assert_eq!((memory.waiting(1), memory.waiting(2)), (vec![4], vec![5]));
        memory.settle(4, 1);
        assert!(memory.waiting(1).is_empty());
        (0..8).for_each(|n| memory.tell(n, 1));
        assert!(memory.is_told(0, 1) && !memory.is_told(0, 2));
        memory.tell(8, 1);
        assert!(!memory.is_told(0, 1), "the oldest gave way");
        assert!(!memory.is_passed());
        memory.pass();
        assert!(memory.is_passed());
    }

    #[test]
    fn without_a_slot_nothing_is_kept() {
        let mut memory = Memory::new(&mut []);
        assert_eq!((memory.set_bit(1), memory.bit(1)), (Kept::Elsewhere, None));
        memory.wait(1, 1);
        assert!(memory.waiting(1).is_empty());
    }
}
