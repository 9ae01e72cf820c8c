//! Tables by number of rule or row. The numbers are the rule set's own and no traffic chooses
//! them, so that a multiplication spreads them well enough, at a tenth of the price of SipHash.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A table whose keys are numbers of the set.
pub(crate) type ByNumber<T> = HashMap<u32, T, BuildHasherDefault<Spread>>;

/// Spreads a number over 64 bits; only [`Hasher::write_u32`] is used.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spread(u64);

/// 2⁶⁴ / φ, odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(GOLDEN);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
