//! The scan structure of one group. It must never know the other groups.

use crate::budget::Budget;
use crate::chains::{Chains, Entry, Wanted};
use crate::filter::{BLOCK, Candidates, Filter, Kernel};
use crate::literal::Hit;
use crate::nibbles::Nibbles;
use crate::store::{Store, Text};
use aho_corasick::automaton::{Automaton, OverlappingState};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, Input, MatchKind};
use std::collections::HashMap;
use std::sync::OnceLock;

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
    /// The most bytes from a window's start to its literal's end.
    reach: usize,
    /// The most bytes before a window in its literal.
    lead: usize,
    /// The second strategy, where it was prepared; `None` where the literals are too many for it.
    automaton: OnceLock<Option<NFA>>,
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
        let mut tiers: Vec<Tier> = Vec::new();
        for width in 1..=4usize {
            let is_wide = |one: &&Wanted| usize::from(one.text.length).min(4) == width;
            let of_width: Vec<Wanted> = wanted.iter().filter(is_wide).copied().collect();
            if !of_width.is_empty() {
                tiers.push(Tier::build(width, &of_width, store));
            }
        }
        let passes = passes_of(tiers, store);
        Self { passes: passes.into_boxed_slice(), ids: ids.into_boxed_slice(), longest }
    }

    /// Reports every occurrence that ends after `scan.from`, pass by pass, then by window.
    pub(crate) fn scan<F: FnMut(Hit)>(&self, budget: &mut Budget, scan: &mut Scan<'_, F>) {
        for pass in &self.passes {
            pass.scan(&self.ids, budget, scan);
        }
    }

    /// Builds the second strategy. Returns its bytes.
    pub(crate) fn prepare(&self, store: &Store) -> usize {
        self.passes.iter().map(|pass| pass.prepare(store)).sum()
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
    fn build(width: usize, wanted: &[Wanted], store: &Store) -> Self {
        let mut filter = Filter::new(width, wanted.len());
        let chains = Chains::build(wanted, store, &mut filter);
        Self { filter, chains }
    }

    fn texts(&self) -> usize {
        self.chains.entries().len()
    }
}

/// Few literals, or those under four bytes where they are few, go through one pass together.
fn passes_of(mut tiers: Vec<Tier>, store: &Store) -> Vec<Pass> {
    let texts = |tiers: &[Tier]| tiers.iter().map(Tier::texts).sum::<usize>();
    if texts(&tiers) <= Nibbles::TEXTS_MAX {
        return if tiers.is_empty() { Vec::new() } else { vec![Pass::of_nibbles(tiers, store)] };
    }
    let long = tiers.pop_if(|tier| tier.filter.width() == 4);
    let mut passes = Vec::new();
    if texts(&tiers) > Nibbles::TEXTS_MAX {
        passes.extend(tiers.into_iter().map(|tier| Pass::new(vec![tier], None)));
    } else if !tiers.is_empty() {
        passes.push(Pass::of_nibbles(tiers, store));
    }
    passes.extend(long.map(|tier| Pass::new(vec![tier], None)));
    passes
}

impl Pass {
    /// An automaton of more literals would take more than some 100 MiB.
    const AUTOMATON_LITERALS_MAX: usize = 200_000;

    fn of_nibbles(tiers: Vec<Tier>, store: &Store) -> Self {
        let depth = tiers.iter().map(|tier| tier.filter.width()).max().unwrap_or(1);
        let mut nibbles = Nibbles::new(depth);
        let mut windows: Vec<Vec<(u8, u8)>> = Vec::new();
        for tier in &tiers {
            let window = |entry: &Entry| entry.window(store, tier.filter.width());
            windows.extend(tier.chains.entries().iter().map(window));
        }
        // Like windows share a bucket, so that the buckets' sets stay small.
        windows.sort_unstable();
        for (place, window) in windows.iter().enumerate() {
            nibbles.insert(place * 8 / windows.len(), window);
        }
        Self::new(tiers, Some(Box::new(nibbles)))
    }

    fn new(tiers: Vec<Tier>, nibbles: Option<Box<Nibbles>>) -> Self {
        let entries = || tiers.iter().flat_map(|tier| tier.chains.entries());
        let reach = entries().map(Entry::reach).max().unwrap_or(0);
        let lead = entries().map(|entry| usize::from(entry.window_offset)).max().unwrap_or(0);
        let width = tiers.iter().map(|tier| tier.filter.width()).min().unwrap_or(1);
        let tiers = tiers.into_boxed_slice();
        Self { tiers, nibbles, width, reach, lead, automaton: OnceLock::new() }
    }

    fn texts(&self) -> usize {
        self.tiers.iter().map(Tier::texts).sum()
    }

    /// The tier that an automaton may stand for: the only one. A pass of few literals needs none.
    fn only_tier(&self) -> Option<&Tier> {
        if self.nibbles.is_some() { None } else { self.tiers.first() }
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
    fn scan<F: FnMut(Hit)>(&self, ids: &[u32], budget: &mut Budget, scan: &mut Scan<'_, F>) {
        let Some(last) = (scan.bytes.len() + 1).checked_sub(self.width) else { return };
        // A literal that ends after `from` has its window here or later.
        let mut at = (scan.from + 1).saturating_sub(self.reach);
        let (mut candidates, mut kept) = (Candidates::new(), Candidates::new());
        let mut is_over = false;
        while at < last {
            let block = (at, last.min(at + BLOCK));
            self.candidates(scan.kernel, scan.bytes, block, &mut candidates);
            let mut spent = 0;
            for tier in &self.tiers {
                spent += candidates.as_slice().len() as u64;
                candidates.keep(&mut kept, |relative| {
                    tier.chains.may_have(&tier.filter, scan.bytes, at + relative)
                });
                for &relative in kept.as_slice() {
                    let place = (scan.bytes, at + usize::from(relative));
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
                if let Some(Some(automaton)) = self.automaton.get() {
                    self.scan_by_automaton(automaton, at, ids, scan);
                    budget.read_by_automaton(scan.bytes.len() - at);
                    return;
                }
            }
        }
    }

    /// Reports the literals whose windows are at `at` or later.
    fn scan_by_automaton<F: FnMut(Hit)>(
        &self,
        automaton: &NFA,
        at: usize,
        ids: &[u32],
        scan: &mut Scan<'_, F>,
    ) {
        let Some(tier) = self.only_tier() else { return };
        let start = at.saturating_sub(self.lead);
        let input = Input::new(scan.bytes).range(start..).anchored(Anchored::No);
        let mut state = OverlappingState::start();
        while automaton.try_find_overlapping(&input, &mut state).is_ok() {
            let Some(found) = state.get_match() else { return };
            let Some(entry) = tier.chains.entries().get(found.pattern().as_usize()) else {
                continue;
            };
            let (start, end) = (found.start(), found.end());
            let occurrence = scan.bytes.get(start..end).unwrap_or_default();
            let is_new = start + usize::from(entry.window_offset) >= at && end > scan.from;
            if is_new && scan.store.is(entry.text, occurrence) {
                report(entry, ids, end, scan.hits);
            }
        }
    }

    fn prepare(&self, store: &Store) -> usize {
        let built = self.automaton.get_or_init(|| {
            let tier = self.only_tier()?;
            if tier.texts() > Self::AUTOMATON_LITERALS_MAX {
                return None;
            }
            let texts = tier.chains.entries().iter().map(|entry| store.parts(entry.text).0);
            NFA::builder()
                .ascii_case_insensitive(true)
                .match_kind(MatchKind::Standard)
                .build(texts)
                .ok()
        });
        built.as_ref().map_or(0, Automaton::memory_usage)
    }

    fn bytes(&self) -> usize {
        let automaton = self.automaton.get().and_then(Option::as_ref);
        let of_tier = |tier: &Tier| tier.filter.bytes() + tier.chains.bytes() + size_of::<Tier>();
        self.tiers.iter().map(of_tier).sum::<usize>()
            + self.nibbles.as_ref().map_or(0, |_| size_of::<Nibbles>())
            + automaton.map_or(0, Automaton::memory_usage)
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
