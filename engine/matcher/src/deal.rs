//! Which windows share a bucket of the [`crate::nibbles`].
//!
//! A bucket lets through every byte whose low nibble is one of its windows' and whose high nibble
//! is, also where no window has both: the more its windows differ, the more passes by mistake. So
//! windows are joined pair by pair, each time the two whose joining lets through the least, by the
//! bytes of everyday traffic. It must never know literals.

use crate::frequency::surprise;
use crate::nibbles::DEPTH;
use std::sync::OnceLock;

/// A byte that fits where `(byte & mask) == value`, for each place of a window.
pub(crate) type Window = Vec<(u8, u8)>;

/// What a bucket accepts: the low and the high nibbles at each place, one bit each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Accepts {
    pub(crate) low: [u16; DEPTH],
    pub(crate) high: [u16; DEPTH],
}

impl Accepts {
    /// What one window accepts; any byte in the places that it does not have.
    pub(crate) fn of(window: &[(u8, u8)]) -> Self {
        let mut one = Accepts { low: [u16::MAX; DEPTH], high: [u16::MAX; DEPTH] };
        let places = one.low.iter_mut().zip(&mut one.high);
        for (&(value, mask), (low, high)) in window.iter().zip(places) {
            let fits = |byte: &u8| byte & mask == value;
            *low = (0..=255).filter(fits).fold(0, |all, byte| all | 1 << (byte & 15));
            *high = (0..=255).filter(fits).fold(0, |all, byte| all | 1 << (byte >> 4));
        }
        one
    }

    fn with(&self, other: &Self) -> Self {
        let mut both = *self;
        both.low.iter_mut().zip(other.low).for_each(|(mine, its)| *mine |= its);
        both.high.iter_mut().zip(other.high).for_each(|(mine, its)| *mine |= its);
        both
    }
}

/// How often a byte of traffic has which nibbles.
struct Traffic {
    /// By high nibble and by half of the low ones: the share of bytes for each set of those eight.
    shares: [[[f32; 256]; 2]; 16],
}

impl Traffic {
    fn new() -> Box<Self> {
        let often = |byte: u8| -> f32 {
            (0..=255).map(|next| 0.5_f32.powi(surprise(byte, next).cast_signed())).sum()
        };
        let all: f32 = (0..=255).map(often).sum();
        let mut traffic = Box::new(Traffic { shares: [[[0.0; 256]; 2]; 16] });
        for (high, halves) in (0u8..).zip(&mut traffic.shares) {
            for (half, sets) in (0u8..).zip(halves) {
                let each: Vec<f32> =
                    (0..8).map(|low| often(high << 4 | half << 3 | low) / all).collect();
                for (set, share) in sets.iter_mut().enumerate() {
                    let has = |low: &usize| set >> low & 1 == 1;
                    *share = (0..8).filter(has).filter_map(|low| each.get(low)).sum();
                }
            }
        }
        traffic
    }

    /// The share of positions that a bucket lets through.
    fn passing(&self, accepts: &Accepts) -> f32 {
        let places = accepts.low.iter().zip(&accepts.high);
        places
            .map(|(low, high)| -> f32 {
                let [first, second] = low.to_le_bytes().map(usize::from);
                let has = |n: &(usize, &[[f32; 256]; 2])| high >> n.0 & 1 == 1;
                let rows = self.shares.iter().enumerate().filter(has);
                rows.map(|(_, [a, b])| a.get(first).unwrap_or(&0.0) + b.get(second).unwrap_or(&0.0))
                    .sum()
            })
            .product()
    }
}

/// The bytes of everyday traffic, counted once.
fn traffic() -> &'static Traffic {
    static TRAFFIC: OnceLock<Box<Traffic>> = OnceLock::new();
    TRAFFIC.get_or_init(Traffic::new)
}

/// Deals windows to at most `most` buckets, in steps as the square of their number. Says, too,
/// which share of positions passes by mistake.
pub(crate) fn deal(windows: &[Window], most: usize) -> (Vec<Accepts>, f32) {
    let mut buckets: Vec<Accepts> = windows.iter().map(|window| Accepts::of(window)).collect();
    buckets.sort_unstable_by_key(|one| (one.low, one.high));
    buckets.dedup();
    if buckets.len() <= most {
        return (buckets, 0.0);
    }
    let traffic = traffic();
    let mut passing: Vec<f32> = buckets.iter().map(|one| traffic.passing(one)).collect();
    let by_right: f32 = passing.iter().sum();
    let worse = |buckets: &[Accepts], passing: &[f32], a: usize, b: usize| -> f32 {
        let (Some(x), Some(y)) = (buckets.get(a), buckets.get(b)) else { return f32::MAX };
        let apart = passing.get(a).unwrap_or(&0.0) + passing.get(b).unwrap_or(&0.0);
        traffic.passing(&x.with(y)) - apart
    };
    // For each bucket the one behind it that it is best joined with.
    let best_of = |buckets: &[Accepts], passing: &[f32], a: usize| {
        let all = (a + 1..buckets.len()).map(|b| (worse(buckets, passing, a, b), b));
        all.min_by(|x, y| x.0.total_cmp(&y.0)).unwrap_or((f32::MAX, a))
    };
    let mut best: Vec<(f32, usize)> =
        (0..buckets.len()).map(|a| best_of(&buckets, &passing, a)).collect();
    while buckets.len() > most {
        let pairs = best.iter().enumerate();
        let Some((a, &(_, b))) = pairs.min_by(|x, y| x.1.0.total_cmp(&y.1.0)) else { break };
        let (Some(&x), Some(&y)) = (buckets.get(a), buckets.get(b)) else { break };
        let last = buckets.len() - 1;
        buckets.swap_remove(b);
        passing.swap_remove(b);
        best.swap_remove(b);
        let joined = x.with(&y);
        if let (Some(slot), Some(share)) = (buckets.get_mut(a), passing.get_mut(a)) {
            *slot = joined;
            *share = traffic.passing(&joined);
        }
        for c in 0..buckets.len() {
            let stale = best
                .get(c)
                .is_none_or(|&(_, other)| c == a || c == b || [a, b, last].contains(&other));
            let own = if stale {
                best_of(&buckets, &passing, c)
            } else {
                let known = best.get(c).copied().unwrap_or((f32::MAX, c));
                let with = |other: usize| (worse(&buckets, &passing, c, other), other);
                let moved = [a, b].into_iter().filter(|other| *other > c).map(with);
                moved.fold(known, |least, one| if one.0 < least.0 { one } else { least })
            };
            if let Some(slot) = best.get_mut(c) {
                *slot = own;
            }
        }
    }
    (buckets, passing.iter().sum::<f32>() - by_right)
}
