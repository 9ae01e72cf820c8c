//! The AVX2 kernel: eight windows at a time. It must never give other candidates than the
//! scalar loop in [`crate::filter`].
//!
//! *Justification for unsafe*: the gather is what makes one lookup per byte affordable, 2 to 4
//! times faster than the scalar loop; no safe wrapper of it exists.
#![allow(unsafe_code, reason = "vector loads and gathers have no safe form")]

use crate::filter::{Candidates, FIRST_BIT, FOLD, Filter, SECOND_BIT, SPREAD};
use crate::nibbles::{DEPTH, Nibbles};
use std::arch::x86_64::{
    __m128i, __m256i, _mm_cvtsi32_si128, _mm_loadu_si128, _mm256_and_si256,
    _mm256_broadcastsi128_si256, _mm256_castsi256_ps, _mm256_cmpeq_epi8, _mm256_cmpeq_epi32,
    _mm256_i32gather_epi32, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_movemask_ps,
    _mm256_mullo_epi32, _mm256_or_si256, _mm256_set1_epi8, _mm256_set1_epi32, _mm256_setr_epi8,
    _mm256_shuffle_epi8, _mm256_sllv_epi32, _mm256_srl_epi32, _mm256_srli_epi16, _mm256_srli_epi32,
    _mm256_xor_si256,
};

/// Pushes the positions in `from..to`, relative to `from`, whose windows pass `filter`.
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

/// The constants of a filter, in registers.
#[derive(Clone, Copy)]
struct Registers<'a> {
    words: &'a [u32],
    shift: __m128i,
    mask: __m256i,
    fold: __m256i,
    spread: __m256i,
    low5: __m256i,
    one: __m256i,
    windows: __m256i,
}

#[target_feature(enable = "avx2")]
fn avx2(filter: &Filter, bytes: &[u8], (from, to): (usize, usize), out: &mut Candidates) {
    let (words, shift, mask) = filter.table();
    let registers = Registers {
        words,
        shift: _mm_cvtsi32_si128(shift.cast_signed()),
        mask: _mm256_set1_epi32(mask.cast_signed()),
        fold: _mm256_set1_epi32(FOLD.cast_signed()),
        spread: _mm256_set1_epi32(SPREAD.cast_signed()),
        low5: _mm256_set1_epi32(31),
        one: _mm256_set1_epi32(1),
        windows: _mm256_setr_epi8(
            0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6, 4, 5, 6, 7, 5, 6, 7, 8, 6, 7, 8, 9, 7,
            8, 9, 10,
        ),
    };
    let block = bytes.get(from..).unwrap_or_default();
    let wanted = to.saturating_sub(from);
    let mut at = 0;
    // Tier 1: 32 windows per turn, one branch where nothing passes.
    while at + 32 <= wanted
        && let Some(chunk) = block.get(at..).and_then(<[u8]>::first_chunk::<40>)
    {
        let mut passed = 0u32;
        for (lane, skip) in [0usize, 8, 16, 24].into_iter().enumerate() {
            if let Some(bytes) = chunk.get(skip..).and_then(<[u8]>::first_chunk::<16>) {
                passed |= eight(registers, bytes) << (8 * lane);
            }
        }
        push(passed, at, out);
        at += 32;
    }
    while at < wanted {
        let rest = block.get(at..).unwrap_or_default();
        let passed = if let Some(bytes) = rest.first_chunk::<16>() {
            eight(registers, bytes)
        } else {
            let mut padded = [0; 16];
            padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            eight(registers, &padded)
        };
        let kept = if wanted - at >= 8 { 0xff } else { (1 << (wanted - at)) - 1 };
        push(passed & kept, at, out);
        at += 8;
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
fn avx2_nibbles(nibbles: &Nibbles, bytes: &[u8], (from, to): (usize, usize), out: &mut Candidates) {
    let none = _mm256_set1_epi8(0);
    let mut tables = [(none, none); DEPTH];
    let mut depth = 0;
    for (slot, (low, high)) in tables.iter_mut().zip(nibbles.tables()) {
        *slot = (both_lanes(low), both_lanes(high));
        depth += 1;
    }
    let tables = tables.get(..depth).unwrap_or_default();
    let block = bytes.get(from..).unwrap_or_default();
    let wanted = to.saturating_sub(from);
    let mut at = 0;
    while at < wanted {
        let rest = block.get(at..).unwrap_or_default();
        let passed = if let Some(chunk) = rest.first_chunk::<{ 32 + DEPTH }>() {
            thirty_two(tables, chunk)
        } else {
            let mut padded = [0; 32 + DEPTH];
            padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            thirty_two(tables, &padded)
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

/// Which of 32 positions pass, one bit each.
#[inline]
#[target_feature(enable = "avx2")]
fn thirty_two(tables: &[(__m256i, __m256i)], chunk: &[u8; 32 + DEPTH]) -> u32 {
    let nibble = _mm256_set1_epi8(15);
    let mut left = _mm256_set1_epi8(-1);
    for ((low, high), bytes) in tables.iter().zip(chunk.windows(32)) {
        // SAFETY: the window has 32 bytes; the load asks no alignment.
        let bytes = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
        let of_low = _mm256_shuffle_epi8(*low, _mm256_and_si256(bytes, nibble));
        let shifted = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble);
        let of_high = _mm256_shuffle_epi8(*high, shifted);
        left = _mm256_and_si256(left, _mm256_and_si256(of_low, of_high));
    }
    let nothing = _mm256_cmpeq_epi8(left, _mm256_set1_epi8(0));
    !_mm256_movemask_epi8(nothing).cast_unsigned()
}

#[inline(always)]
fn push(mut passed: u32, at: usize, out: &mut Candidates) {
    while passed != 0 {
        let position = at + passed.trailing_zeros() as usize;
        out.push(u16::try_from(position).unwrap_or(u16::MAX));
        passed &= passed - 1;
    }
}

/// Which of the eight windows in the first eleven of `bytes` pass, one bit each.
#[inline]
#[target_feature(enable = "avx2")]
fn eight(r: Registers<'_>, bytes: &[u8; 16]) -> u32 {
    // SAFETY: sixteen bytes are readable behind the reference; the load asks no alignment.
    let loaded = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
    let windows = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(loaded), r.windows);
    let folded = _mm256_and_si256(_mm256_or_si256(windows, r.fold), r.mask);
    let mixed = _mm256_xor_si256(folded, _mm256_srli_epi32::<15>(folded));
    let hash = _mm256_mullo_epi32(mixed, r.spread);
    let index = _mm256_srl_epi32(hash, r.shift);
    // SAFETY: the filter has 2^(32 - shift) words and each index is a 32-bit hash shifted right
    // by `shift`, so that it is below the number of words; `words` is borrowed meanwhile.
    let gathered = unsafe { _mm256_i32gather_epi32::<4>(r.words.as_ptr().cast(), index) };
    let first = _mm256_and_si256(_mm256_srli_epi32::<{ FIRST_BIT.cast_signed() }>(hash), r.low5);
    let second = _mm256_and_si256(_mm256_srli_epi32::<{ SECOND_BIT.cast_signed() }>(hash), r.low5);
    let bits = _mm256_or_si256(_mm256_sllv_epi32(r.one, first), _mm256_sllv_epi32(r.one, second));
    let passed = _mm256_cmpeq_epi32(_mm256_and_si256(gathered, bits), bits);
    _mm256_movemask_ps(_mm256_castsi256_ps(passed)).cast_unsigned()
}
