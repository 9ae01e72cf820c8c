//! The second table: from a window that passed the filter to the literals that have it.
//!
//! Buckets of a hash table whose entries lie one after another. An entry carries eight bytes of
//! its literal round the window, so that most near misses end there. It must never know groups.

use crate::filter::{FOLD, Filter, window_at};
use crate::frequency::surprise_of;
use crate::store::{Store, Text};

/// A literal as one group looks for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Eight bytes of the literal from `check_offset`, zeros past its end.
    value: u64,
    /// Their masks.
    mask: u64,
    pub(crate) text: Text,
    /// Where in the literal its first window begins. With a stride the next ones, one for each
    /// byte of it, are in the tables too, so that one of them is always tested.
    pub(crate) window_offset: u16,
    check_offset: u16,
    /// Its numbers in the group's list.
    pub(crate) ids: u32,
    pub(crate) id_count: u16,
}

impl Entry {
    /// Where the literal ends if its first window is at `position` and it is there.
    #[inline(always)]
    fn end_at(&self, store: &Store, bytes: &[u8], position: usize) -> Option<usize> {
        let start = position.checked_sub(usize::from(self.window_offset))?;
        let end = start + usize::from(self.text.length);
        let eight = eight_at(bytes, start + usize::from(self.check_offset));
        if eight & self.mask != self.value || end > bytes.len() {
            return None;
        }
        if self.text.length > 8 && !store.is(self.text, bytes.get(start..end)?) {
            return None;
        }
        Some(end)
    }

    /// The bytes and masks of its window, `width` of them.
    pub(crate) fn window(&self, store: &Store, width: usize) -> Vec<(u8, u8)> {
        let (values, masks) = store.parts(self.text);
        let pairs = values.iter().copied().zip(masks.iter().copied());
        pairs.skip(usize::from(self.window_offset)).take(width).collect()
    }

    /// How many bytes of the literal lie from its window's start to its end.
    pub(crate) fn reach(&self) -> usize {
        usize::from(self.text.length) - usize::from(self.window_offset)
    }
}

/// Eight bytes from `position`, zeros past the end.
#[inline(always)]
fn eight_at(bytes: &[u8], position: usize) -> u64 {
    let rest = bytes.get(position..).unwrap_or_default();
    if let Some(eight) = rest.first_chunk::<8>() {
        return u64::from_le_bytes(*eight);
    }
    let mut eight = [0; 8];
    eight.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    u64::from_le_bytes(eight)
}

/// A literal that waits for its window: text, and where its numbers are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) text: Text,
    pub(crate) ids: u32,
    pub(crate) id_count: u16,
}

/// Which bytes may follow the windows of a bucket: one bit for the hash of what does in each of
/// its entries. An attacker who sends the windows of many literals is turned away here, without
/// the entries being touched; nor is everyday text, so that these lie apart, small and near.
#[derive(Clone, Copy, Debug, Default)]
struct Followers(u32);

/// Bits of hashes; above them is how many bytes (0 to 4) after the window count.
const FOLLOWER_BITS: u32 = 29;

impl Followers {
    /// Whether entries may have their window and `after`, the four bytes behind it.
    #[inline(always)]
    fn may_have(self, after: u32) -> bool {
        self.0 & follower_bit(after, self.0 >> FOLLOWER_BITS) != 0
    }
}

/// The bit of the first `count` (0 to 4) bytes of `after`, folded.
#[inline(always)]
fn follower_bit(after: u32, count: u32) -> u32 {
    let kept = u64::from(after | FOLD) & ((1 << (8 * count)) - 1);
    let kept = (kept ^ (kept >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    1 << (((kept >> 32) * u64::from(FOLLOWER_BITS)) >> 32)
}

/// All literals of a group whose windows have the same width.
#[derive(Debug)]
pub(crate) struct Chains {
    /// What may follow the windows of each bucket.
    followers: Box<[Followers]>,
    /// Where each bucket's windows begin; one more at the end, where the last one's end.
    starts: Box<[u32]>,
    shift: u32,
    /// The buckets' windows, bucket after bucket: the entry's place in the high bits, which of its
    /// windows it is in the lowest two.
    windows: Box<[u32]>,
    entries: Box<[Entry]>,
}

const WINDOW_BITS: u32 = 2;

/// Spreads windows over buckets, independently of the filter's hash.
const SPREAD: u32 = 0x85eb_ca6b;

#[inline(always)]
fn bucket_of(folded: u32, shift: u32) -> usize {
    (((folded ^ (folded >> 13)).wrapping_mul(SPREAD)) >> shift) as usize
}

/// Windows are chosen among the last so many of a literal: more would not be rarer.
const WINDOWS_TRIED: usize = 48;
/// Bits of surprise that a window loses for each literal that is in its bucket already: five
/// more comparisons weigh as much as a window that is a thousand times as frequent.
const CROWD: u32 = 2;

/// Bits of surprise that a window gains for each of up to four bytes behind it, which let a
/// bucket turn near misses away.
const BEHIND: i64 = 2;

impl Chains {
    /// Chooses the windows of each literal, fills `filter`, and orders them by bucket.
    pub(crate) fn build(wanted: &[Wanted], store: &Store, filter: &mut Filter) -> Self {
        let stride = filter.stride();
        // Two for each literal, and no fewer than windows.
        let buckets = (wanted.len() * stride.max(2)).max(1).next_power_of_two();
        let log = buckets.trailing_zeros().clamp(1, 20);
        let shift = 32 - log;
        let mut crowds = vec![0u32; 1 << log];
        let mut entries = Vec::with_capacity(wanted.len());
        let mut placed: Vec<(usize, u32)> = Vec::with_capacity(wanted.len() * stride);
        for one in wanted {
            let values = store.parts(one.text).0;
            let offset = choose(values, filter, shift, &crowds);
            for (number, at) in (0u32..).zip(offset..offset + stride) {
                let window = window_at(values, at);
                let bucket = bucket_of(filter.folded(window), shift);
                filter.insert(window);
                if let Some(crowd) = crowds.get_mut(bucket) {
                    *crowd += 1;
                }
                let entry = u32::try_from(entries.len()).unwrap_or(u32::MAX >> WINDOW_BITS);
                placed.push((bucket, entry << WINDOW_BITS | number));
            }
            entries.push(entry_of(*one, store, offset));
        }
        placed.sort_by_key(|(bucket, _)| *bucket);
        let mut followers = Vec::with_capacity(crowds.len());
        let mut starts = Vec::with_capacity(crowds.len() + 1);
        let (mut first, mut rest) = (0, placed.as_slice());
        for number in 0..crowds.len() {
            let length = rest.iter().take_while(|(place, _)| *place == number).count();
            let (chain, after) = rest.split_at(length);
            let windows = chain.iter().filter_map(|(_, window)| window_of(&entries, *window));
            followers.push(followers_of(windows, store, filter.width()));
            starts.push(first);
            first += u32::try_from(length).unwrap_or(u32::MAX);
            rest = after;
        }
        starts.push(first);
        Self {
            followers: followers.into_boxed_slice(),
            starts: starts.into_boxed_slice(),
            shift,
            windows: placed.into_iter().map(|(_, window)| window).collect(),
            entries: entries.into_boxed_slice(),
        }
    }

    /// Whether a literal may have its window at `position`, by its bucket.
    #[inline(always)]
    pub(crate) fn may_have(&self, filter: &Filter, bytes: &[u8], position: usize) -> bool {
        let (window, after) = halves(eight_at(bytes, position));
        let bucket = bucket_of(filter.folded(window), self.shift);
        self.followers.get(bucket).is_some_and(|followers| followers.may_have(after))
    }

    /// Calls `found` for each literal whose window is at `position`; returns how many were tried.
    #[inline(always)]
    pub(crate) fn verify(
        &self,
        filter: &Filter,
        store: &Store,
        (bytes, position): (&[u8], usize),
        mut found: impl FnMut(&Entry, usize),
    ) -> u64 {
        let folded = filter.folded(window_at(bytes, position));
        let bucket = bucket_of(folded, self.shift);
        let Some(&[start, end]) = self.starts.get(bucket..).and_then(<[_]>::first_chunk::<2>)
        else {
            return 0;
        };
        let chain = self.windows.get(start as usize..end as usize).unwrap_or_default();
        for &window in chain {
            let Some((entry, number)) = window_of(&self.entries, window) else { continue };
            let Some(first) = position.checked_sub(number) else { continue };
            if let Some(end) = entry.end_at(store, bytes, first) {
                found(entry, end);
            }
        }
        chain.len() as u64
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The most literals that one window can ask to be compared.
    pub(crate) fn longest(&self) -> usize {
        let pairs = self.starts.iter().zip(self.starts.iter().skip(1));
        pairs.map(|(start, end)| (end - start) as usize).max().unwrap_or(0)
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.followers)
            + size_of_val(&*self.starts)
            + size_of_val(&*self.windows)
            + size_of_val(&*self.entries)
    }
}

/// The entry of a window, and which of its windows it is.
#[inline(always)]
fn window_of(entries: &[Entry], window: u32) -> Option<(&Entry, usize)> {
    let entry = entries.get((window >> WINDOW_BITS) as usize)?;
    Some((entry, (window & ((1 << WINDOW_BITS) - 1)) as usize))
}

/// A window and the four bytes behind it.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "the two halves of a word")]
fn halves(eight: u64) -> (u32, u32) {
    (eight as u32, (eight >> 32) as u32)
}

/// What follows these windows, which lie in one bucket.
fn followers_of<'e>(
    chain: impl Iterator<Item = (&'e Entry, usize)> + Clone,
    store: &Store,
    width: usize,
) -> Followers {
    let behind =
        |(entry, number): (&Entry, usize)| entry.reach().saturating_sub(number + width).min(4);
    let count = chain.clone().map(behind).min().unwrap_or(0);
    let count = if width == 4 { u32::try_from(count).unwrap_or(0) } else { 0 };
    let bit = |(entry, number): (&Entry, usize)| {
        let (values, _) = store.parts(entry.text);
        let (_, after) = halves(eight_at(values, usize::from(entry.window_offset) + number));
        follower_bit(after, count)
    };
    Followers(chain.map(bit).fold(count << FOLLOWER_BITS, |all, bit| all | bit))
}

/// The offset of the literal's rarest windows, as many as the filter's stride, crowded buckets
/// counted as less rare. Among its last ones, so that little is read again at the next chunk.
fn choose(values: &[u8], filter: &Filter, shift: u32, crowds: &[u32]) -> usize {
    let (width, stride) = (filter.width(), filter.stride());
    let together = width + stride - 1;
    let worth_of = |bytes: &[u8]| {
        let bucket = bucket_of(filter.folded(window_at(bytes, 0)), shift);
        let crowd = crowds.get(bucket).copied().unwrap_or(0);
        i64::from(surprise_of(bytes)) - i64::from(CROWD * crowd)
    };
    let offsets = (values.len() + 1).saturating_sub(together);
    let mut best = (0, i64::MIN);
    for offset in offsets.saturating_sub(WINDOWS_TRIED)..offsets {
        let Some(bytes) = values.get(offset..offset + together) else { break };
        // The commonest of them is what costs.
        let rarity = bytes.windows(width).map(worth_of).min().unwrap_or(0);
        let behind = (values.len() - offset - together).min(4) as i64;
        let worth = rarity + BEHIND * behind;
        if worth > best.1 {
            best = (offset, worth);
        }
    }
    best.0
}

/// The entry of a literal whose first window is at `offset`.
fn entry_of(wanted: Wanted, store: &Store, offset: usize) -> Entry {
    let (values, masks) = store.parts(wanted.text);
    let check = offset.saturating_sub(2).min(values.len().saturating_sub(8));
    let small = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    Entry {
        value: eight_at(values, check),
        mask: eight_at(masks, check),
        text: wanted.text,
        window_offset: small(offset),
        check_offset: small(check),
        ids: wanted.ids,
        id_count: wanted.id_count,
    }
}
