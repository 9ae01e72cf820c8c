//! The second table: from a window that passed the filter to the literals that have it.
//!
//! A chain for each place of the filter, one after another. What is compared first, eight bytes of
//! the literal round its window, lies in the chain, so that most near misses end there, without the
//! literals being touched. It must never know groups.

use crate::beside::{Beside, DISTANCES};
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

/// One window of one literal.
#[derive(Clone, Copy, Debug)]
struct Link {
    /// The eight bytes that the entry compares, folded; zeros past the literal's end.
    folded: u64,
    /// The literal.
    entry: u32,
    /// Which of its windows this is.
    number: u8,
    /// How far from the window those bytes begin.
    from: i8,
    /// How many of them are the literal's, 1 to 8.
    length: u8,
}

impl Link {
    /// Whether the literal may be there, by these bytes.
    #[inline(always)]
    fn fits(&self, bytes: &[u8], position: usize) -> bool {
        let Some(start) = position.checked_add_signed(isize::from(self.from)) else { return false };
        folded(eight_at(bytes, start), self.length) == self.folded
    }
}

/// The first `length` (1 to 8) of eight bytes with bit 5 set, as the filter's windows have it.
#[inline(always)]
fn folded(eight: u64, length: u8) -> u64 {
    let eights = u64::from(FOLD) << 32 | u64::from(FOLD);
    (eight | eights) & (u64::MAX >> (64 - 8 * u32::from(length.clamp(1, 8))))
}

/// All literals of a group whose windows have the same width.
#[derive(Debug)]
pub(crate) struct Chains {
    /// Where each place's chain begins; one more at the end, where the last one ends.
    starts: Box<[u32]>,
    /// The windows, chain after chain.
    links: Box<[Link]>,
    entries: Box<[Entry]>,
}

/// Windows are chosen among the last so many of a literal: more would not be rarer.
const WINDOWS_TRIED: usize = 48;
/// Bits of surprise that a window loses for each literal that is in its chain already: five
/// more comparisons weigh as much as a window that is a thousand times as frequent.
const CROWD: u32 = 2;

/// Bits of surprise that a window gains for each of up to four bytes behind it, which let near
/// misses be turned away.
const BEHIND: i64 = 2;

impl Chains {
    /// Chooses the windows of each literal, fills `filter`, and orders them by its places.
    pub(crate) fn build(wanted: &[Wanted], store: &Store, filter: &mut Filter) -> Self {
        let stride = filter.stride();
        let mut crowds = vec![0u32; filter.places()];
        let mut entries = Vec::with_capacity(wanted.len());
        let mut placed: Vec<(usize, Link)> = Vec::with_capacity(wanted.len() * stride);
        for (entry, one) in (0u32..).zip(wanted) {
            let values = store.parts(one.text).0;
            let offset = choose(values, filter, &crowds);
            let made = entry_of(*one, store, offset);
            for (number, at) in (0u8..).zip(offset..offset + stride) {
                let window = window_at(values, at);
                let place = filter.place(window);
                filter.insert(window);
                if let Some(crowd) = crowds.get_mut(place) {
                    *crowd += 1;
                }
                placed.push((place, link_of(&made, values, (entry, number))));
            }
            entries.push(made);
        }
        placed.sort_by_key(|(place, _)| *place);
        let mut starts = Vec::with_capacity(crowds.len() + 1);
        let (mut first, mut rest) = (0, placed.as_slice());
        for number in 0..crowds.len() {
            let length = rest.iter().take_while(|(place, _)| *place == number).count();
            let (chain, after) = rest.split_at(length);
            if !chain.is_empty() {
                filter.expect(number, beside(chain, &entries, store, filter.width()));
            }
            starts.push(first);
            first += u32::try_from(length).unwrap_or(u32::MAX);
            rest = after;
        }
        starts.push(first);
        Self {
            starts: starts.into_boxed_slice(),
            links: placed.into_iter().map(|(_, link)| link).collect(),
            entries: entries.into_boxed_slice(),
        }
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
        let place = filter.place(window_at(bytes, position));
        let Some(&[start, end]) = self.starts.get(place..).and_then(<[_]>::first_chunk::<2>) else {
            return 0;
        };
        let chain = self.links.get(start as usize..end as usize).unwrap_or_default();
        for link in chain.iter().filter(|link| link.fits(bytes, position)) {
            let Some(entry) = self.entries.get(link.entry as usize) else { continue };
            let Some(first) = position.checked_sub(usize::from(link.number)) else { continue };
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
        size_of_val(&*self.starts) + size_of_val(&*self.links) + size_of_val(&*self.entries)
    }
}

/// A window of an entry's literal, whose bytes are `values`.
fn link_of(made: &Entry, values: &[u8], (entry, number): (u32, u8)) -> Link {
    let window = usize::from(made.window_offset) + usize::from(number);
    let check = usize::from(made.check_offset);
    let length = u8::try_from((values.len() - check.min(values.len())).min(8)).unwrap_or(8);
    let from = check as i64 - window as i64;
    Link {
        folded: folded(eight_at(values, check), length),
        entry,
        number,
        from: i8::try_from(from).unwrap_or(0),
        length,
    }
}

/// What the literals of a chain have beside their windows: where the most bytes outside the window
/// are told by all of them, and the fewest different ones.
fn beside(chain: &[(usize, Link)], entries: &[Entry], store: &Store, width: usize) -> Beside {
    if width < 4 {
        return Beside::ANYTHING;
    }
    let four = |(_, link): &(usize, Link), distance: i8| -> Option<u32> {
        let entry = entries.get(link.entry as usize)?;
        let window = usize::from(entry.window_offset) + usize::from(link.number);
        let start = window.checked_add_signed(isize::from(distance))?;
        let values = store.parts(entry.text).0;
        (start + 4 <= values.len()).then(|| window_at(values, start))
    };
    let told = |distance: i8| -> Option<Beside> {
        let fours: Option<Vec<u32>> = chain.iter().map(|link| four(link, distance)).collect();
        Some(Beside::at(distance, fours?.into_iter()))
    };
    let mut best: Option<(i8, Beside)> = None;
    for distance in DISTANCES {
        // As much, of fewer: the distances come with those that tell most first.
        let is_less = best.is_some_and(|(other, _)| other.abs() > distance.abs());
        let Some(beside) = (!is_less).then(|| told(distance)).flatten() else { continue };
        if best.is_none_or(|(_, other)| beside.crowd() < other.crowd()) {
            best = Some((distance, beside));
        }
    }
    best.map_or(Beside::ANYTHING, |(_, beside)| beside)
}

/// The offset of the literal's rarest windows, as many as the filter's stride, crowded chains
/// counted as less rare. Among its last ones, so that little is read again at the next chunk.
fn choose(values: &[u8], filter: &Filter, crowds: &[u32]) -> usize {
    let (width, stride) = (filter.width(), filter.stride());
    let together = width + stride - 1;
    let worth_of = |bytes: &[u8]| {
        let place = filter.place(window_at(bytes, 0));
        let crowd = crowds.get(place).copied().unwrap_or(0);
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
