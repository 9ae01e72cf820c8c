//! The scan structure of one group. It must never know the other groups.

use crate::budget::Budget;
use crate::chains::{Chains, Entry, Wanted};
use crate::deal::Window;
use crate::filter::{BLOCK, Candidates, Filter, Kernel, STRIDE_MAX};
use crate::literal::Hit;
use crate::nibbles::Nibbles;
use crate::store::{Store, Text};
use std::collections::HashMap;

/// The literals of one window width.
#[derive(Debug)]
struct Tier {
    filter: Filter,
    chains: Chains,
}

/// One way through the payload: a filter, and the tiers in which its candidates are looked up.
#[derive(Debug)]
struct Pass {
    tiers: Box<[Tier]>,
    /// The filter of few or short literals; without it that of the only tier.
    nibbles: Option<Box<Nibbles>>,
    /// Bytes of the narrowest window.
    width: usize,
    /// Bytes from one tested window to the next.
    stride: usize,
    /// The most bytes from a window's start to its literal's end.
    reach: usize,
}

/// The literals that are scanned together.
#[derive(Debug)]
pub(crate) struct Group {
    passes: Box<[Pass]>,
    ids: Box<[u32]>,
    longest: usize,
}

/// What a scan reads and where it tells.
pub(crate) struct Scan<'a, F> {
    pub(crate) store: &'a Store,
    pub(crate) kernel: Kernel,
    pub(crate) bytes: &'a [u8],
    pub(crate) from: usize,
    pub(crate) hits: &'a mut F,
}

impl Group {
    /// The structure for `literals`, each a text and its number.
    pub(crate) fn build(literals: &[(Text, u32)], store: &Store) -> Self {
        let (wanted, ids) = gathered(literals);
        let longest = wanted.iter().map(|one| usize::from(one.text.length)).max().unwrap_or(0);
        let passes = passes_of(&wanted, store);
        Self { passes: passes.into_boxed_slice(), ids: ids.into_boxed_slice(), longest }
    }

    /// Reports every occurrence that ends after `scan.from`, pass by pass, then by window.
    pub(crate) fn scan<F: FnMut(Hit)>(&self, budget: &mut Budget, scan: &mut Scan<'_, F>) {
        let mut room = [Candidates::new(), Candidates::new()];
        for pass in &self.passes {
            pass.scan(&self.ids, budget, scan, &mut room);
        }
    }

    /// Bytes of the longest literal.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// Different texts.
    pub(crate) fn texts(&self) -> usize {
        self.passes.iter().map(Pass::texts).sum()
    }

    /// The most literals compared for one window.
    pub(crate) fn longest_chain(&self) -> usize {
        let tiers = self.passes.iter().flat_map(|pass| &pass.tiers);
        tiers.map(|tier| tier.chains.longest()).max().unwrap_or(0)
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        let passes: usize = self.passes.iter().map(Pass::bytes).sum();
        passes + size_of_val(&*self.ids) + size_of_val(&*self.passes) + size_of::<Self>()
    }
}

/// Literals of the same text become one with several numbers, in the order of their first.
fn gathered(literals: &[(Text, u32)]) -> (Vec<Wanted>, Vec<u32>) {
    let mut order: Vec<(Text, Vec<u32>)> = Vec::new();
    let mut places: HashMap<Text, usize> = HashMap::new();
    for &(text, id) in literals {
        let place = *places.entry(text).or_insert(order.len());
        match order.get_mut(place) {
            // A text's count is 16 bits wide; more numbers make a second entry.
            Some((_, ids)) if ids.len() < usize::from(u16::MAX) => ids.push(id),
            _ => {
                places.insert(text, order.len());
                order.push((text, vec![id]));
            }
        }
    }
    let mut ids = Vec::with_capacity(literals.len());
    let mut wanted = Vec::with_capacity(order.len());
    for (text, of_text) in order {
        wanted.push(Wanted {
            text,
            ids: u32::try_from(ids.len()).unwrap_or(u32::MAX),
            id_count: u16::try_from(of_text.len()).unwrap_or(u16::MAX),
        });
        ids.extend(of_text);
    }
    (wanted, ids)
}

impl Tier {
    fn build((width, stride): (usize, usize), wanted: &[Wanted], store: &Store) -> Self {
        let mut filter = Filter::new(width, stride, wanted.len() * stride.max(2));
        let chains = Chains::build(wanted, store, &mut filter);
        Self { filter, chains }
    }

    fn texts(&self) -> usize {
        self.chains.entries().len()
    }
}

/// Literals of fewer bytes have no four windows of four bytes.
const LONG: usize = 4 + STRIDE_MAX - 1;

/// The ways through the payload that find all these.
///
/// Long literals are tested at every fourth byte, which costs least. The shorter ones go through
/// sets of nibbles together, as far as these keep them apart; what is left is tested at every
/// other byte, or, below five bytes, width by width.
fn passes_of(wanted: &[Wanted], store: &Store) -> Vec<Pass> {
    let of = |lengths: std::ops::Range<usize>| -> Vec<Wanted> {
        let has = |one: &&Wanted| lengths.contains(&usize::from(one.text.length));
        wanted.iter().filter(has).copied().collect()
    };
    let few = wanted.len() <= Nibbles::TEXTS_MAX;
    if let Some(pass) = few.then(|| Pass::of_nibbles(wanted, store)).flatten() {
        return vec![pass];
    }
    let mut passes = Vec::new();
    let mut rest = 1;
    for end in [LONG, 5, 4] {
        if let Some(pass) = Pass::of_nibbles(&of(1..end), store) {
            passes.push(pass);
            rest = end;
            break;
        }
    }
    for width in rest..5 {
        passes.extend(Pass::of_tier((width, 1), &of(width..width + 1), store));
    }
    passes.extend(Pass::of_tier((4, 2), &of(rest.max(5)..LONG), store));
    passes.extend(Pass::of_tier((4, STRIDE_MAX), &of(LONG..usize::MAX), store));
    passes
}

impl Pass {
    /// The pass of sets of nibbles; `None` for no literals, or where the sets would not keep these
    /// apart.
    fn of_nibbles(wanted: &[Wanted], store: &Store) -> Option<Pass> {
        if wanted.len() > Nibbles::SMALL_MAX {
            return None;
        }
        let mut tiers = Vec::new();
        for width in 1..=4usize {
            let is_wide = |one: &&Wanted| usize::from(one.text.length).min(4) == width;
            let of_width: Vec<Wanted> = wanted.iter().filter(is_wide).copied().collect();
            if !of_width.is_empty() {
                tiers.push(Tier::build((width, 1), &of_width, store));
            }
        }
        let depth = tiers.last().map(|tier| tier.filter.width())?;
        let mut windows: Vec<Window> = Vec::new();
        for tier in &tiers {
            let window = |entry: &Entry| entry.window(store, tier.filter.width());
            windows.extend(tier.chains.entries().iter().map(window));
        }
        let nibbles = Nibbles::new(depth, &windows)?;
        Some(Self::new(tiers, Some(Box::new(nibbles))))
    }

    /// The pass of one tier of this width and stride; `None` for no literals.
    fn of_tier(shape: (usize, usize), wanted: &[Wanted], store: &Store) -> Option<Pass> {
        if wanted.is_empty() {
            return None;
        }
        Some(Self::new(vec![Tier::build(shape, wanted, store)], None))
    }

    fn new(tiers: Vec<Tier>, nibbles: Option<Box<Nibbles>>) -> Self {
        let entries = || tiers.iter().flat_map(|tier| tier.chains.entries());
        let reach = entries().map(Entry::reach).max().unwrap_or(0);
        let width = tiers.iter().map(|tier| tier.filter.width()).min().unwrap_or(1);
        let stride = tiers.iter().map(|tier| tier.filter.stride()).min().unwrap_or(1);
        let tiers = tiers.into_boxed_slice();
        Self { tiers, nibbles, width, stride, reach }
    }

    fn texts(&self) -> usize {
        self.tiers.iter().map(Tier::texts).sum()
    }

    #[inline(always)]
    fn candidates(
        &self,
        kernel: Kernel,
        bytes: &[u8],
        block: (usize, usize),
        out: &mut Candidates,
    ) {
        if let Some(nibbles) = &self.nibbles {
            nibbles.candidates(kernel, bytes, block, out);
        } else if let Some(tier) = self.tiers.first() {
            tier.filter.candidates(kernel, bytes, block, out);
        }
    }

    // Tier 1: per payload byte.
    fn scan<F: FnMut(Hit)>(
        &self,
        ids: &[u32],
        budget: &mut Budget,
        scan: &mut Scan<'_, F>,
        [candidates, kept]: &mut [Candidates; 2],
    ) {
        let Some(last) = (scan.bytes.len() + 1).checked_sub(self.width) else { return };
        // A literal that ends after `from` has its window here or later.
        let mut at = (scan.from + 1).saturating_sub(self.reach);
        at -= at % self.stride;
        let mut is_over = false;
        while at < last {
            let block = (at, last.min(at + BLOCK * self.stride));
            self.candidates(scan.kernel, scan.bytes, block, candidates);
            let mut spent = 0;
            for tier in &self.tiers {
                spent += candidates.as_slice().len() as u64;
                candidates.keep(kept, |window| {
                    // What nibbles let through is of any tier, and most of it of another.
                    let sieved = self.nibbles.is_none();
                    tier.filter.may_begin(scan.bytes, at + window * self.stride, sieved)
                });
                for &window in kept.as_slice() {
                    let place = (scan.bytes, at + usize::from(window) * self.stride);
                    spent += tier.chains.verify(&tier.filter, scan.store, place, |entry, end| {
                        if end > scan.from {
                            report(entry, ids, end, scan.hits);
                        }
                    });
                }
            }
            at = block.1;
            budget.spend(spent);
            if !is_over && budget.is_spent() && at < last {
                is_over = true;
                budget.overrun();
            }
        }
    }

    fn bytes(&self) -> usize {
        let of_tier = |tier: &Tier| tier.filter.bytes() + tier.chains.bytes() + size_of::<Tier>();
        self.tiers.iter().map(of_tier).sum::<usize>()
            + self.nibbles.as_ref().map_or(0, |_| size_of::<Nibbles>())
    }
}

#[inline]
fn report(entry: &Entry, ids: &[u32], end: usize, hits: &mut impl FnMut(Hit)) {
    let first = entry.ids as usize;
    let of_text = ids.get(first..first + usize::from(entry.id_count)).unwrap_or_default();
    for &id in of_text {
        hits(Hit { id, end: u32::try_from(end).unwrap_or(u32::MAX) });
    }
}
