//! The filter of few or short literals: sets of nibbles in registers instead of a table.
//!
//! Literals are dealt to eight or sixteen buckets, one bit each. For each byte of a window two
//! tables of sixteen say which buckets have its low and its high nibble; the AND over the window's
//! bytes leaves the buckets that may match. 32 positions at a time with AVX2 (the method of
//! Hyperscan's Teddy). It must never know chains.

use crate::deal::{Accepts, Window, deal};
use crate::filter::{Candidates, Kernel};

/// Most bytes of a window.
pub(crate) const DEPTH: usize = 4;

/// Buckets of one plane: bits of a byte.
const PLANE: usize = 8;
/// Planes at most.
pub(crate) const PLANES: usize = 2;

/// Which of eight buckets have which nibbles at each byte of the window.
#[derive(Clone, Debug)]
pub(crate) struct Plane {
    pub(crate) low: [[u8; 16]; DEPTH],
    pub(crate) high: [[u8; 16]; DEPTH],
}

/// Which buckets have which nibbles at each byte of the window.
#[derive(Clone, Debug)]
pub(crate) struct Nibbles {
    /// One, or two for more than eight buckets.
    planes: Vec<Plane>,
    depth: usize,
}

impl Plane {
    fn of(buckets: &[Accepts]) -> Self {
        let mut plane = Plane { low: [[0; 16]; DEPTH], high: [[0; 16]; DEPTH] };
        for (bucket, accepts) in buckets.iter().enumerate() {
            let set = |tables: &mut [[u8; 16]; DEPTH], wanted: &[u16; DEPTH]| {
                for (table, nibbles) in tables.iter_mut().zip(wanted) {
                    for (nibble, buckets) in table.iter_mut().enumerate() {
                        *buckets |= u8::from(nibbles >> nibble & 1 == 1) << bucket;
                    }
                }
            };
            set(&mut plane.low, &accepts.low);
            set(&mut plane.high, &accepts.high);
        }
        plane
    }

    fn contains(&self, window: &[u8], depth: usize) -> bool {
        let tables = self.low.iter().zip(&self.high).take(depth);
        let left = tables.enumerate().fold(0xff, |left, (place, (low, high))| {
            // Past the end there are zeros; what does not fit is found out when it is verified.
            let byte = window.get(place).copied().unwrap_or(0);
            let low = low.get(usize::from(byte & 15)).copied().unwrap_or(0);
            let high = high.get(usize::from(byte >> 4)).copied().unwrap_or(0);
            left & low & high
        });
        left != 0
    }
}

impl Nibbles {
    /// Up to so many texts of any length go through sets of nibbles and nothing else.
    pub(crate) const TEXTS_MAX: usize = 24;
    /// More short texts than these are not tried: dealing them takes the square of their number.
    pub(crate) const SMALL_MAX: usize = 256;
    /// Where more of everyday traffic's positions pass by mistake than this, the table of
    /// [`crate::filter`] is the faster.
    const MISTAKES_MAX: f32 = 0.1;

    /// For windows of at most `depth` bytes; `None` where too much would pass by mistake.
    pub(crate) fn new(depth: usize, windows: &[Window]) -> Option<Self> {
        let (nibbles, mistakes) = Self::dealt(depth, windows);
        (mistakes <= Self::MISTAKES_MAX).then_some(nibbles)
    }

    /// The sets, and the share of everyday positions that they let through by mistake.
    fn dealt(depth: usize, windows: &[Window]) -> (Self, f32) {
        let (buckets, mistakes) = deal(windows, PLANE * PLANES);
        let planes = buckets.chunks(PLANE).map(Plane::of).collect();
        (Self { planes, depth: depth.clamp(1, DEPTH) }, mistakes)
    }

    /// Whether a window of these bytes may be one of the literals'.
    fn contains(&self, window: &[u8]) -> bool {
        self.planes.iter().any(|plane| plane.contains(window, self.depth))
    }

    /// Pushes the windows in `from..to` that pass, by their number.
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
        for (window, position) in (0..=u8::MAX).zip(from..to) {
            if self.contains(bytes.get(position..).unwrap_or_default()) {
                out.push(window);
            }
        }
    }

    /// The planes, and how many bytes windows have.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn planes(&self) -> (&[Plane], usize) {
        (&self.planes, self.depth)
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
            windows in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..=4), 0..40),
            bytes in prop::collection::vec(any::<u8>(), 1..300),
            cut in 0usize..300,
        ) {
            let near = bytes.chunks_exact(4).step_by(9).map(<[u8]>::to_vec);
            let exact = |window: Vec<u8>| window.into_iter().map(|byte| (byte, 0xff)).collect();
            let windows: Vec<Window> = windows.into_iter().chain(near).map(exact).collect();
            let (nibbles, _) = Nibbles::dealt(depth, &windows);
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
