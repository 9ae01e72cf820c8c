//! The AVX2 kernel: eight windows at a time. It must never give other candidates than the
//! scalar loop in [`crate::filter`].
//!
//! *Justification for unsafe*: unaligned loads from a slice's bytes, and calls of functions that
//! ask a processor with AVX2.
#![allow(unsafe_code, reason = "vector loads have no safe form")]

use crate::filter::{Candidates, Cell, EIGHT, FIRST_BIT, FOLD, Filter, SECOND_BIT, SPREAD};
use crate::nibbles::{DEPTH, Nibbles, Plane};
use std::arch::x86_64::{
    __m128i, __m256i, _mm_cvtsi32_si128, _mm_loadu_si128, _mm256_and_si256,
    _mm256_broadcastsi128_si256, _mm256_castsi256_ps, _mm256_cmpeq_epi8, _mm256_cmpeq_epi32,
    _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_movemask_ps, _mm256_mullo_epi32,
    _mm256_or_si256, _mm256_set_m128i, _mm256_set1_epi8, _mm256_set1_epi32, _mm256_setr_epi32,
    _mm256_shuffle_epi8, _mm256_sllv_epi32, _mm256_srl_epi32, _mm256_srli_epi16, _mm256_srli_epi32,
    _mm256_storeu_si256, _mm256_xor_si256,
};

/// Pushes the windows in `from..to` that pass `filter`, by their number.
///
/// For processors that [`crate::Kernel::detect`] found to have AVX2 only.
#[inline]
pub(crate) fn candidates(
    filter: &Filter,
    bytes: &[u8],
    (from, to): (usize, usize),
    out: &mut Candidates,
) {
    // SAFETY: `Kernel::Avx2` reaches a scan only through `Kernel::or_scalar`, which asks the
    // processor; `avx2` reads memory only through checked references.
    unsafe { avx2(filter, bytes, (from, to), out) }
}

/// A filter's cells, of which a hash that was shifted by as much as the filter says picks one.
#[derive(Clone, Copy)]
struct Words<'a>(&'a [Cell]);

impl<'a> Words<'a> {
    /// `None` unless every hash shifted by `shift` has a cell.
    fn new(cells: &'a [Cell], shift: u32) -> Option<Self> {
        (1..32).contains(&shift).then_some(())?;
        (cells.len() >= 1 << (32 - shift)).then_some(Self(cells))
    }

    /// # Safety
    /// `place` is below two to the power of 32 less the shift.
    #[inline(always)]
    unsafe fn at(self, place: u32) -> u32 {
        // SAFETY: there are as many cells as such places: see `new`.
        unsafe { self.0.get_unchecked(place as usize).bits }
    }
}

/// The constants of a filter, in registers.
#[derive(Clone, Copy)]
struct Registers<'a> {
    words: Words<'a>,
    shift: __m128i,
    mask: __m256i,
    fold: __m256i,
    spread: __m256i,
    low5: __m256i,
    one: __m256i,
    /// Where in the bytes of each half its four windows lie.
    windows: __m256i,
}

#[target_feature(enable = "avx2")]
fn avx2(filter: &Filter, bytes: &[u8], block: (usize, usize), out: &mut Candidates) {
    match filter.stride() {
        1 => by_words::<1>(filter, bytes, block, out),
        2 => by_words::<2>(filter, bytes, block, out),
        _ => by_words::<4>(filter, bytes, block, out),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn by_words<const STRIDE: usize>(
    filter: &Filter,
    bytes: &[u8],
    (from, to): (usize, usize),
    out: &mut Candidates,
) {
    let (cells, shift, mask) = filter.table();
    let Some(words) = Words::new(cells, shift) else { return };
    let at = |n: i8| (n / 4) * if STRIDE == 1 { 1 } else { 2 } + n % 4;
    let [a, b, c, d] = [0, 4, 8, 12].map(|n| {
        i32::from_le_bytes([at(n), at(n + 1), at(n + 2), at(n + 3)].map(i8::cast_unsigned))
    });
    let registers = Registers {
        words,
        shift: _mm_cvtsi32_si128(shift.cast_signed()),
        mask: _mm256_set1_epi32(mask.cast_signed()),
        fold: _mm256_set1_epi32(FOLD.cast_signed()),
        spread: _mm256_set1_epi32(SPREAD.cast_signed()),
        low5: _mm256_set1_epi32(31),
        one: _mm256_set1_epi32(1),
        windows: _mm256_setr_epi32(a, b, c, d, a, b, c, d),
    };
    let block = bytes.get(from..).unwrap_or_default();
    let wanted = to.saturating_sub(from);
    let mut at = 0;
    // Tier 1: eight windows per turn, one branch where none passes.
    while at < wanted {
        let rest = block.get(at..).unwrap_or_default();
        let passed = if let Some(chunk) = rest.first_chunk::<EIGHT>() {
            eight::<STRIDE>(registers, chunk)
        } else {
            let mut padded = [0; EIGHT];
            padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            eight::<STRIDE>(registers, &padded)
        };
        let left = (wanted - at).div_ceil(STRIDE);
        let kept = if left >= 8 { 0xff } else { (1 << left) - 1 };
        out.push_eight(passed & kept, at / STRIDE);
        at += 8 * STRIDE;
    }
}

/// As [`candidates`], for the filter of few or short literals.
#[inline]
pub(crate) fn nibble_candidates(
    nibbles: &Nibbles,
    bytes: &[u8],
    (from, to): (usize, usize),
    out: &mut Candidates,
) {
    // SAFETY: as in `candidates`.
    unsafe { avx2_nibbles(nibbles, bytes, (from, to), out) }
}

#[target_feature(enable = "avx2")]
fn avx2_nibbles(nibbles: &Nibbles, bytes: &[u8], block: (usize, usize), out: &mut Candidates) {
    let (planes, depth) = nibbles.planes();
    match planes {
        [] => {}
        [one] => by_nibbles([tables_of(one, depth)], bytes, block, out),
        [one, two, ..] => {
            by_nibbles([tables_of(one, depth), tables_of(two, depth)], bytes, block, out);
        }
    }
}

/// A plane's tables in registers, with how many of them are asked.
type Tables = ([(__m256i, __m256i); DEPTH], usize);

#[inline]
#[target_feature(enable = "avx2")]
fn tables_of(plane: &Plane, depth: usize) -> Tables {
    let none = _mm256_set1_epi8(0);
    let mut tables = [(none, none); DEPTH];
    for (slot, (low, high)) in tables.iter_mut().zip(plane.low.iter().zip(&plane.high)) {
        *slot = (both_lanes(low), both_lanes(high));
    }
    (tables, depth)
}

#[inline]
#[target_feature(enable = "avx2")]
fn by_nibbles<const N: usize>(
    planes: [Tables; N],
    bytes: &[u8],
    (from, to): (usize, usize),
    out: &mut Candidates,
) {
    let block = bytes.get(from..).unwrap_or_default();
    let wanted = to.saturating_sub(from);
    let mut at = 0;
    while at < wanted {
        let rest = block.get(at..).unwrap_or_default();
        let passed = if let Some(chunk) = rest.first_chunk::<{ 32 + DEPTH }>() {
            thirty_two(&planes, chunk)
        } else {
            let mut padded = [0; 32 + DEPTH];
            padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            thirty_two(&planes, &padded)
        };
        let kept = if wanted - at >= 32 { u32::MAX } else { (1 << (wanted - at)) - 1 };
        push(passed & kept, at, out);
        at += 32;
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn both_lanes(table: &[u8; 16]) -> __m256i {
    // SAFETY: sixteen bytes are readable behind the reference; the load asks no alignment.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(table.as_ptr().cast()) })
}

/// Which of 32 positions pass in any plane, one bit each.
#[inline]
#[target_feature(enable = "avx2")]
fn thirty_two<const N: usize>(planes: &[Tables; N], chunk: &[u8; 32 + DEPTH]) -> u32 {
    let nibble = _mm256_set1_epi8(15);
    let mut left = [_mm256_set1_epi8(-1); N];
    let depth = planes.first().map_or(0, |(_, depth)| *depth);
    for (place, bytes) in chunk.windows(32).enumerate().take(depth) {
        // SAFETY: the window has 32 bytes; the load asks no alignment.
        let bytes = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
        let low_nibbles = _mm256_and_si256(bytes, nibble);
        let high_nibbles = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble);
        for (left, (tables, _)) in left.iter_mut().zip(planes) {
            let Some((low, high)) = tables.get(place) else { break };
            let of_low = _mm256_shuffle_epi8(*low, low_nibbles);
            let of_high = _mm256_shuffle_epi8(*high, high_nibbles);
            *left = _mm256_and_si256(*left, _mm256_and_si256(of_low, of_high));
        }
    }
    let none = _mm256_set1_epi8(0);
    let any = left.into_iter().fold(none, |any, one| _mm256_or_si256(any, one));
    !_mm256_movemask_epi8(_mm256_cmpeq_epi8(any, none)).cast_unsigned()
}

#[inline(always)]
fn push(mut passed: u32, at: usize, out: &mut Candidates) {
    while passed != 0 {
        let window = at + passed.trailing_zeros() as usize;
        out.push(u8::try_from(window).unwrap_or(u8::MAX));
        passed &= passed - 1;
    }
}

/// Which of the first eight windows of `bytes` pass, one bit each.
#[inline]
#[target_feature(enable = "avx2")]
fn eight<const STRIDE: usize>(r: Registers<'_>, bytes: &[u8; EIGHT]) -> u8 {
    let windows = if STRIDE == 4 {
        // Side by side already.
        // SAFETY: there are 32 bytes; the load asks no alignment.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    } else {
        // Four windows a half: the second half begins four strides on.
        let half = |skip: usize| {
            let sixteen = bytes.get(skip..).and_then(<[u8]>::first_chunk::<16>);
            // SAFETY: sixteen bytes are readable behind the reference; the load asks no alignment.
            unsafe { _mm_loadu_si128(sixteen.unwrap_or(&[0; 16]).as_ptr().cast()) }
        };
        _mm256_shuffle_epi8(_mm256_set_m128i(half(4 * STRIDE), half(0)), r.windows)
    };
    let folded = _mm256_and_si256(_mm256_or_si256(windows, r.fold), r.mask);
    let mixed = _mm256_xor_si256(folded, _mm256_srli_epi32::<15>(folded));
    let hash = _mm256_mullo_epi32(mixed, r.spread);
    // SAFETY: the hashes are shifted as `Words::new` was told.
    let found = unsafe { words_at(r.words, _mm256_srl_epi32(hash, r.shift)) };
    let first = _mm256_and_si256(_mm256_srli_epi32::<{ FIRST_BIT.cast_signed() }>(hash), r.low5);
    let second = _mm256_and_si256(_mm256_srli_epi32::<{ SECOND_BIT.cast_signed() }>(hash), r.low5);
    let bits = _mm256_or_si256(_mm256_sllv_epi32(r.one, first), _mm256_sllv_epi32(r.one, second));
    let passed = _mm256_cmpeq_epi32(_mm256_and_si256(found, bits), bits);
    let [eight, ..] = _mm256_movemask_ps(_mm256_castsi256_ps(passed)).to_le_bytes();
    eight
}

/// The words of these numbers. One load each: the gather of processors that were mended against
/// its leaks takes nearly twice the time. The numbers go by way of memory, as taking them out of
/// the register would keep the one port busy that puts the words in.
///
/// # Safety
/// As [`Words::at`] asks, for each of them.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn words_at(words: Words<'_>, numbers: __m256i) -> __m256i {
    let mut places = [0_u32; 8];
    // SAFETY: the array has 32 bytes; the store asks no alignment.
    unsafe { _mm256_storeu_si256(places.as_mut_ptr().cast(), numbers) };
    // Volatile, or the compiler takes them out of the register after all.
    // SAFETY: the places are the array's own; and as the caller says.
    let word = |place: &u32| unsafe { words.at(std::ptr::read_volatile(place)) }.cast_signed();
    let [a, b, c, d, e, f, g, h] = places.each_ref().map(word);
    _mm256_setr_epi32(a, b, c, d, e, f, g, h)
}
