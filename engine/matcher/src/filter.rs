//! The first table: which windows may begin a verification, two bits in one word each, and what
//! has to be beside them.
//!
//! Windows are folded by setting bit 5 of every byte, which maps both cases of a letter to one
//! and costs one instruction; that it also joins some other bytes costs a comparison now and
//! then, never a hit. It must never know literals.

use crate::beside::Beside;

/// How windows are tested. All kernels give the same candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Eight windows at a time with AVX2; where the processor has none, scalar.
    Avx2,
    /// One window at a time, on any processor.
    Scalar,
}

impl Kernel {
    /// The fastest that this processor has.
    #[must_use]
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            return Self::Avx2;
        }
        Self::Scalar
    }

    /// This one, or the scalar one where the processor cannot run it.
    #[must_use]
    pub fn or_scalar(self) -> Self {
        if self == Self::detect() { self } else { Self::Scalar }
    }
}

/// Windows tested in one go: their numbers fit a byte each, and a small buffer on the stack.
pub(crate) const BLOCK: usize = 256;

/// The most bytes from one tested window to the next.
pub(crate) const STRIDE_MAX: usize = 4;

/// Bytes that eight windows need at the widest stride.
pub(crate) const EIGHT: usize = 8 * STRIDE_MAX;

/// Windows that passed the filter, ascending: how many strides from the block's start.
pub(crate) struct Candidates {
    /// Eight more than can pass, as eight are written at a time.
    windows: [u8; BLOCK + 8],
    count: usize,
}

/// The numbers of the bits that are set in each byte, ascending, a byte each.
static SET_BITS: [u64; 256] = set_bits();

#[allow(clippy::indexing_slicing, reason = "while compiling")]
const fn set_bits() -> [u64; 256] {
    let mut all = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut numbers, mut count, mut bit) = (0, 0, 0);
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                numbers |= bit << (8 * count);
                count += 1;
            }
            bit += 1;
        }
        all[byte] = numbers;
        byte += 1;
    }
    all
}

impl Candidates {
    pub(crate) const fn new() -> Self {
        Self { windows: [0; BLOCK + 8], count: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.count = 0;
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, window: u8) {
        if let Some(slot) = self.windows.get_mut(self.count) {
            *slot = window;
            self.count += 1;
        }
    }

    /// Pushes those of eight windows from number `first` on whose bits are set: without a branch,
    /// as every other eight have one that passes.
    #[inline(always)]
    pub(crate) fn push_eight(&mut self, passed: u8, first: usize) {
        let numbers = SET_BITS.get(usize::from(passed)).copied().unwrap_or(0);
        let numbers = numbers.wrapping_add(0x0101_0101_0101_0101 * (first as u64 & 0xff));
        let room = self.windows.get_mut(self.count..).and_then(<[u8]>::first_chunk_mut::<8>);
        if let Some(room) = room {
            *room = numbers.to_le_bytes();
            self.count += passed.count_ones() as usize;
        }
    }

    /// Keeps those for which `may` says so; without a branch, as near misses would mislead one.
    #[inline(always)]
    pub(crate) fn keep(&self, kept: &mut Self, may: impl Fn(usize) -> bool) {
        kept.count = 0;
        for &window in self.as_slice() {
            if let Some(slot) = kept.windows.get_mut(kept.count) {
                *slot = window;
            }
            kept.count += usize::from(may(usize::from(window)));
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.windows.get(..self.count).unwrap_or_default()
    }
}

/// Spreads a window over 32 bits; an odd constant with well-mixed high bits (2³² / φ).
pub(crate) const SPREAD: u32 = 0x9e37_79b1;
/// Sets bit 5 of every byte.
pub(crate) const FOLD: u32 = 0x2020_2020;
/// Where in the hash the two bits of a word are chosen.
pub(crate) const FIRST_BIT: u32 = 11;
pub(crate) const SECOND_BIT: u32 = 6;

/// One place of the table. What is asked of a window that passed lies with what let it pass, in a
/// line of the cache that was just read.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(8))]
pub(crate) struct Cell {
    /// Two for each window that has its place here.
    pub(crate) bits: u32,
    pub(crate) beside: Beside,
}

/// A table of bits over hashes of windows of one width.
#[derive(Debug)]
pub(crate) struct Filter {
    cells: Box<[Cell]>,
    /// 32 less the logarithm of the number of cells.
    shift: u32,
    /// Keeps as many low bytes as the window is wide.
    mask: u32,
    width: usize,
    /// Bytes from one tested window to the next.
    stride: usize,
}

impl Filter {
    /// 64 Ki cells are 512 KiB: beyond that the table leaves the second cache of small cores.
    const LOG_CELLS_MAX: u32 = 16;
    /// Four cells hold a group of one literal.
    const LOG_CELLS_MIN: u32 = 2;

    /// An empty table for `entries` windows of `width` bytes (1 to 4), about one cell each, of
    /// which every `stride`th (1, 2 or 4) of a payload is tested.
    pub(crate) fn new(width: usize, stride: usize, entries: usize) -> Self {
        let log = entries.max(1).next_power_of_two().trailing_zeros();
        let log = log.clamp(Self::LOG_CELLS_MIN, Self::LOG_CELLS_MAX);
        let mask = match width {
            1 => 0xff,
            2 => 0xffff,
            3 => 0x00ff_ffff,
            _ => u32::MAX,
        };
        let cells = vec![Cell::default(); 1 << log].into_boxed_slice();
        let stride = stride.clamp(1, STRIDE_MAX);
        Self { cells, shift: 32 - log, mask, width: width.clamp(1, 4), stride }
    }

    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The window's bytes, folded, with as many low bytes as it is wide.
    #[inline(always)]
    pub(crate) fn folded(&self, window: u32) -> u32 {
        (window | FOLD) & self.mask
    }

    /// How many places the table has.
    pub(crate) fn places(&self) -> usize {
        self.cells.len()
    }

    /// A window's place, and its bits there.
    #[inline(always)]
    fn hashed(&self, window: u32) -> (usize, u32) {
        let folded = self.folded(window);
        let hash = (folded ^ (folded >> 15)).wrapping_mul(SPREAD);
        let bits = 1 << ((hash >> FIRST_BIT) & 31) | 1 << ((hash >> SECOND_BIT) & 31);
        ((hash >> self.shift) as usize, bits)
    }

    /// A window's place in the table.
    #[inline(always)]
    pub(crate) fn place(&self, window: u32) -> usize {
        self.hashed(window).0
    }

    /// Lets a window pass, whatever is beside it.
    pub(crate) fn insert(&mut self, window: u32) {
        let (place, bits) = self.hashed(window);
        if let Some(cell) = self.cells.get_mut(place) {
            cell.bits |= bits;
            cell.beside = Beside::ANYTHING;
        }
    }

    /// Says what has to be beside all windows of a place.
    pub(crate) fn expect(&mut self, place: usize, beside: Beside) {
        if let Some(cell) = self.cells.get_mut(place) {
            cell.beside = beside;
        }
    }

    fn contains(&self, window: u32) -> bool {
        let (place, bits) = self.hashed(window);
        self.cells.get(place).is_some_and(|cell| cell.bits & bits == bits)
    }

    /// Whether a literal may have its window at `position`, by what is beside it too; `sieved`
    /// where the window itself passed already.
    #[inline(always)]
    pub(crate) fn may_begin(&self, bytes: &[u8], position: usize, sieved: bool) -> bool {
        let (place, bits) = self.hashed(window_at(bytes, position));
        let Some(cell) = self.cells.get(place) else { return false };
        (sieved || cell.bits & bits == bits) & cell.beside.may_be(bytes, position)
    }

    /// Pushes the windows in `from..to` that pass, by their number: with a stride every so many
    /// positions, from the first on.
    ///
    /// `to` must leave room for a whole window, and `to - from` be at most [`BLOCK`] strides.
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
            crate::kernel::candidates(self, bytes, (from, to), out);
            return;
        }
        let _ = kernel;
        for (window, position) in (0..=u8::MAX).zip((from..to).step_by(self.stride)) {
            if self.contains(window_at(bytes, position)) {
                out.push(window);
            }
        }
    }

    /// The cells, how far a hash is shifted to number one, and the mask of a window's bytes.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn table(&self) -> (&[Cell], u32, u32) {
        (&self.cells, self.shift, self.mask)
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.cells)
    }
}

/// Four bytes from `position`, zeros past the end.
#[inline(always)]
pub(crate) fn window_at(bytes: &[u8], position: usize) -> u32 {
    let rest = bytes.get(position..).unwrap_or_default();
    if let Some(window) = rest.first_chunk::<4>() {
        return u32::from_le_bytes(*window);
    }
    let mut window = [0; 4];
    window.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    u32::from_le_bytes(window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn kernels_agree(
            width in 1usize..=4,
            stride in prop::sample::select(vec![1usize, 2, 4]),
            windows in prop::collection::vec(any::<u32>(), 0..64),
            bytes in prop::collection::vec(any::<u8>(), 4..300),
            cut in 0usize..300,
        ) {
            let mut filter = Filter::new(width, stride, windows.len());
            windows.iter().for_each(|&window| filter.insert(window));
            for start in (0..bytes.len() - 3).step_by(3) {
                filter.insert(window_at(&bytes, start));
            }
            let last = bytes.len() - width + 1;
            let from = cut.min(last);
            let to = last.min(from + BLOCK * stride);
            let mut scalar = Candidates::new();
            let mut vector = Candidates::new();
            filter.candidates(Kernel::Scalar, &bytes, (from, to), &mut scalar);
            filter.candidates(Kernel::detect(), &bytes, (from, to), &mut vector);
            prop_assert_eq!(scalar.as_slice(), vector.as_slice());
        }
    }

    #[test]
    fn small_groups_have_small_tables() {
        assert_eq!(Filter::new(4, 1, 1).bytes(), 32);
        assert_eq!(Filter::new(4, 1, 300).bytes(), 4096);
        assert_eq!(Filter::new(4, 1, 1_000_000).bytes(), 512 << 10);
    }
}
