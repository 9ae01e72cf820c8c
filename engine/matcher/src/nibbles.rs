//! The filter of few or short literals: sets of nibbles in registers instead of a table.
//!
//! Literals are dealt to eight buckets, one bit each. For each byte of a window two tables of
//! sixteen say which buckets have its low and its high nibble; the AND over the window's bytes
//! leaves the buckets that may match. 32 positions at a time with AVX2 (the method of Hyperscan's
//! Teddy). It must never know chains.

use crate::filter::{Candidates, Kernel};

/// Most bytes of a window.
pub(crate) const DEPTH: usize = 4;

/// Which buckets have which nibbles at each byte of the window.
#[derive(Clone, Debug)]
pub(crate) struct Nibbles {
    low: [[u8; 16]; DEPTH],
    high: [[u8; 16]; DEPTH],
    depth: usize,
}

impl Nibbles {
    /// More texts of any length than this fill the buckets, and the table of [`crate::filter`] is
    /// the faster.
    pub(crate) const TEXTS_MAX: usize = 24;
    /// As [`Nibbles::TEXTS_MAX`], for texts of four bytes and more: windows that ask four bytes let
    /// less through.
    pub(crate) const SMALL_MAX: usize = 96;
    /// Texts of fewer bytes that may go with those.
    pub(crate) const TINY_MAX: usize = 16;

    /// No literals, for windows of at most `depth` bytes.
    pub(crate) fn new(depth: usize) -> Self {
        let none = [[0; 16]; DEPTH];
        Self { low: none, high: none, depth: depth.clamp(1, DEPTH) }
    }

    /// Adds a window, `(payload & mask) == value` byte by byte, to one of eight buckets.
    pub(crate) fn insert(&mut self, bucket: usize, window: &[(u8, u8)]) {
        let bit = 1u8 << (bucket & 7);
        for (place, (low, high)) in self.low.iter_mut().zip(&mut self.high).enumerate() {
            for byte in 0..=255u8 {
                let fits = window.get(place).is_none_or(|(value, mask)| byte & mask == *value);
                if fits && let Some(set) = low.get_mut(usize::from(byte & 15)) {
                    *set |= bit;
                }
                if fits && let Some(set) = high.get_mut(usize::from(byte >> 4)) {
                    *set |= bit;
                }
            }
        }
    }

    /// Whether a window of these bytes may be one of the literals'.
    fn contains(&self, window: &[u8]) -> bool {
        let tables = self.low.iter().zip(&self.high).take(self.depth);
        let left = tables.enumerate().fold(0xff, |left, (place, (low, high))| {
            // Past the end there are zeros; what does not fit is found out when it is verified.
            let byte = window.get(place).copied().unwrap_or(0);
            let low = low.get(usize::from(byte & 15)).copied().unwrap_or(0);
            let high = high.get(usize::from(byte >> 4)).copied().unwrap_or(0);
            left & low & high
        });
        left != 0
    }

    /// Pushes the positions in `from..to`, relative to `from`, whose windows pass.
    #[inline]
    pub(crate) fn candidates(
        &self,
        kernel: Kernel,
        bytes: &[u8],
        (from, to): (usize, usize),
        out: &mut Candidates,
    ) {
        out.clear();
        #[cfg(target_arch = "x86_64")]
        if kernel == Kernel::Avx2 {
            crate::kernel::nibble_candidates(self, bytes, (from, to), out);
            return;
        }
        let _ = kernel;
        for (relative, position) in (0u16..).zip(from..to) {
            if self.contains(bytes.get(position..).unwrap_or_default()) {
                out.push(relative);
            }
        }
    }

    /// The tables of low and high nibbles, as many as windows have bytes.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&[u8; 16], &[u8; 16])> {
        self.low.iter().zip(&self.high).take(self.depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::BLOCK;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn kernels_agree(
            depth in 1usize..=4,
            windows in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..=4), 0..24),
            bytes in prop::collection::vec(any::<u8>(), 1..300),
            cut in 0usize..300,
        ) {
            let mut nibbles = Nibbles::new(depth);
            let near = bytes.chunks_exact(4).step_by(9).map(<[u8]>::to_vec);
            for (bucket, window) in windows.into_iter().chain(near).enumerate() {
                let window: Vec<_> = window.iter().map(|byte| (*byte, 0xff)).collect();
                nibbles.insert(bucket, &window);
            }
            let from = cut.min(bytes.len());
            let to = bytes.len().min(from + BLOCK);
            let mut scalar = Candidates::new();
            let mut vector = Candidates::new();
            nibbles.candidates(Kernel::Scalar, &bytes, (from, to), &mut scalar);
            nibbles.candidates(Kernel::detect(), &bytes, (from, to), &mut vector);
            prop_assert_eq!(scalar.as_slice(), vector.as_slice());
        }
    }
}
