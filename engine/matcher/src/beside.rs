//! What literals have beside a window: a sieve for windows that everyday text or an attacker has,
//! without what belongs to them. It must never know which literals those are.

use crate::filter::{FOLD, window_at};

/// Four bytes near a window that literals have: one bit for the hash of what each of them has
/// there, and in the upper three bits how far from the window they begin, -4 to 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beside(u32);

/// Bits of hashes; above them is the distance.
const BITS: u32 = 29;

/// How far the bytes beside a window may begin from it, those that tell most first. At none it is
/// the window itself, which tells nothing more.
pub(crate) const DISTANCES: [i8; 7] = [-4, 3, -3, 2, -2, 1, -1];

impl Default for Beside {
    /// No literal has the window.
    fn default() -> Self {
        Beside(0)
    }
}

impl Beside {
    /// Anything may be beside the window.
    pub(crate) const ANYTHING: Beside = Beside((1 << BITS) - 1);

    /// The literals have one of these at that distance.
    pub(crate) fn at(distance: i8, fours: impl Iterator<Item = u32>) -> Self {
        let high = u32::from_le_bytes(i32::from(distance).to_le_bytes()) << BITS;
        Beside(fours.fold(high, |all, four| all | bit_of(four)))
    }

    /// How many of the hashes there are.
    pub(crate) fn crowd(self) -> u32 {
        (self.0 << (32 - BITS)).count_ones()
    }

    /// Whether a literal may have its window at `position` of a payload, by what is beside it.
    /// Where that lies outside the payload, so does the literal.
    #[inline(always)]
    pub(crate) fn may_be(self, bytes: &[u8], position: usize) -> bool {
        let distance = (self.0.cast_signed() >> BITS) as isize;
        let start = position.wrapping_add_signed(distance);
        match bytes.get(start..).and_then(<[u8]>::first_chunk::<4>) {
            Some(four) => self.0 & bit_of(u32::from_le_bytes(*four)) != 0,
            None => distance == 0 && self.0 & bit_of(window_at(bytes, start)) != 0,
        }
    }
}

#[inline(always)]
fn bit_of(four: u32) -> u32 {
    let folded = four | FOLD;
    let hash = (folded ^ (folded >> 15)).wrapping_mul(0x85eb_ca6b);
    1 << ((u64::from(hash) * u64::from(BITS)) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_the_payload_is_no_literal() {
        let text = b"..abcdefgh";
        let four = |at: usize| window_at(text, at);
        let before = Beside::at(-4, [four(2)].into_iter());
        assert!(before.may_be(text, 6) && before.may_be(b"abcdefgh", 4));
        assert!(!before.may_be(b"cdefgh", 2), "it would begin before the payload");
        let behind = Beside::at(3, [four(6)].into_iter());
        assert!(behind.may_be(text, 3) && behind.may_be(b"BCDEFGH", 0), "folded");
        assert!(!behind.may_be(b"bcdefg", 0), "it would end behind the payload");
        assert!(Beside::ANYTHING.may_be(b"ab", 1) && !Beside::default().may_be(b"abcd", 0));
        assert_eq!((before.crowd(), Beside::ANYTHING.crowd()), (1, 29));
    }
}
