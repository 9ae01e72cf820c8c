//! Pages of bytes for what cannot be handed on at once: a fixed pool, and chains of its pages.
//!
//! A chain is ascending in the offset that its pages begin at; a page holds the bytes of
//! [`PAGE`] offsets, whichever of them are there. Which are is known to [`crate::patchwork`]. All
//! is allocated at start. This file must never know a protocol.

use crate::slab::{Lists, NONE};

/// Bytes of a page: an Ethernet payload and some, so that most segments touch one or two.
pub(crate) const PAGE: i64 = 2048;
const PAGE_BYTES: usize = 2048;

const FREE: u32 = 0;
/// Pages that are only kept to compare retransmissions with; the oldest give way.
const SPARE: u32 = 1;
const HEADS: u32 = 2;

/// No page could be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

#[derive(Clone, Copy, Debug)]
struct Page {
    base: i64,
    owner: u32,
    next: u32,
}

/// The pages of one owner, ascending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    first: u32,
    last: u32,
    /// The first page that is not spare.
    cursor: u32,
}

impl Default for Chain {
    fn default() -> Self {
        Chain { first: NONE, last: NONE, cursor: NONE }
    }
}

impl Chain {
    pub(crate) fn is_empty(&self) -> bool {
        self.first == NONE
    }
}

/// The pool.
#[derive(Debug)]
pub(crate) struct Pages {
    bytes: Box<[u8]>,
    /// As far as they were ever used.
    pages: Vec<Page>,
    room: u32,
    lists: Lists,
    used: u32,
    used_max: u32,
}

impl Pages {
    pub(crate) fn bytes_for(pages: u32) -> u64 {
        u64::from(pages) * (PAGE_BYTES as u64 + size_of::<Page>() as u64)
            + Lists::bytes(pages, HEADS)
    }

    pub(crate) fn new(room: u32) -> Self {
        Pages {
            bytes: vec![0; room as usize * PAGE_BYTES].into_boxed_slice(),
            pages: Vec::with_capacity(room as usize),
            room,
            lists: Lists::new(room, HEADS),
            used: 0,
            used_max: 0,
        }
    }

    /// Pages in chains now, and the most there ever were.
    pub(crate) fn used(&self) -> (u32, u32) {
        (self.used, self.used_max)
    }

    /// Pages in no chain.
    #[inline]
    pub(crate) fn left(&self) -> u32 {
        self.room - self.used
    }

    fn page(&self, at: u32) -> Option<&Page> {
        self.pages.get(at as usize)
    }

    fn next(&self, at: u32) -> u32 {
        self.page(at).map_or(NONE, |page| page.next)
    }

    fn set_next(&mut self, at: u32, next: u32) {
        if let Some(page) = self.pages.get_mut(at as usize) {
            page.next = next;
        }
    }

    /// The last page of the chain that begins at or before `at`.
    fn before(&self, chain: &Chain, at: i64) -> Option<u32> {
        let starts = |page: u32| self.page(page).is_some_and(|p| p.base <= at);
        let mut found = [chain.last, chain.cursor, chain.first].into_iter().find(|&p| starts(p))?;
        while starts(self.next(found)) {
            found = self.next(found);
        }
        Some(found)
    }

    fn find(&self, chain: &Chain, at: i64) -> Option<u32> {
        self.before(chain, at).filter(|&p| self.page(p).is_some_and(|p| at < p.base + PAGE))
    }

    /// Sees to it that there are pages for `start..end`. What was taken before the pool was empty
    /// stays in the chain, and does no harm there.
    pub(crate) fn ensure(
        &mut self,
        chain: &mut Chain,
        owner: u32,
        start: i64,
        end: i64,
    ) -> Result<(), Full> {
        let mut base = start & !(PAGE - 1);
        while base < end {
            let before = self.before(chain, base);
            let there = before.is_some_and(|p| self.page(p).is_some_and(|p| p.base == base));
            if !there {
                self.add(chain, owner, base, before)?;
            }
            base += PAGE;
        }
        Ok(())
    }

    fn add(
        &mut self,
        chain: &mut Chain,
        owner: u32,
        base: i64,
        before: Option<u32>,
    ) -> Result<(), Full> {
        let fresh = self.lists.pop_free(FREE).ok_or(Full)?;
        self.used += 1;
        self.used_max = self.used_max.max(self.used);
        let next = before.map_or(chain.first, |page| self.next(page));
        let page = Page { base, owner, next };
        match self.pages.get_mut(fresh as usize) {
            Some(place) => *place = page,
            // A page used for the first time is the next one behind those in use.
            None => self.pages.push(page),
        }
        match before {
            Some(page) => self.set_next(page, fresh),
            None => chain.first = fresh,
        }
        if next == NONE {
            chain.last = fresh;
        }
        // New pages hold what is not delivered: the cursor is at the first of those.
        if chain.cursor == NONE || next == chain.cursor {
            chain.cursor = fresh;
        }
        Ok(())
    }

    /// Writes bytes for which [`Pages::ensure`] has found pages.
    pub(crate) fn write(&mut self, chain: &Chain, mut at: i64, mut bytes: &[u8]) {
        let mut page = self.find(chain, at);
        while let Some(here) = page
            && !bytes.is_empty()
        {
            let Some(base) = self.page(here).map(|p| p.base) else { return };
            let from = usize::try_from(at - base).unwrap_or(0);
            let len = bytes.len().min(PAGE_BYTES.saturating_sub(from));
            let place = here as usize * PAGE_BYTES + from;
            let (now, later) = bytes.split_at_checked(len).unwrap_or((bytes, &[]));
            if let Some(room) = self.bytes.get_mut(place..place + len) {
                room.copy_from_slice(now);
            }
            at = base + PAGE;
            bytes = later;
            page = Some(self.next(here)).filter(|&p| self.page(p).is_some_and(|p| p.base == at));
        }
    }

    /// The bytes from `at` to `end` or to the end of the page, whichever comes first; empty where
    /// there is no page.
    pub(crate) fn read(&self, chain: &Chain, at: i64, end: i64) -> &[u8] {
        let Some(here) = self.find(chain, at) else { return &[] };
        let Some(base) = self.page(here).map(|p| p.base) else { return &[] };
        let from = usize::try_from(at - base).unwrap_or(0);
        let to = usize::try_from((end - base).clamp(0, PAGE)).unwrap_or(0);
        let place = here as usize * PAGE_BYTES;
        self.bytes.get(place + from..place + to).unwrap_or_default()
    }

    /// The first offset of `start..` at which the chain's bytes are others than these.
    pub(crate) fn differs(&self, chain: &Chain, start: i64, bytes: &[u8]) -> Option<i64> {
        let (mut at, mut left) = (start, bytes);
        while !left.is_empty() {
            let end = at.saturating_add(i64::try_from(left.len()).unwrap_or(i64::MAX));
            let held = self.read(chain, at, end);
            if held.is_empty() {
                return None;
            }
            let (now, later) = left.split_at_checked(held.len())?;
            if now != held {
                let same = now.iter().zip(held).take_while(|(a, b)| a == b).count();
                return Some(at + i64::try_from(same).unwrap_or(0));
            }
            at += i64::try_from(held.len()).unwrap_or(0);
            left = later;
        }
        None
    }

    /// Pages that end at or before `at` become spare.
    pub(crate) fn spare_before(&mut self, chain: &mut Chain, at: i64) {
        while let Some(page) = self.page(chain.cursor)
            && page.base + PAGE <= at
        {
            let next = page.next;
            self.lists.push_back(SPARE, chain.cursor);
            chain.cursor = next;
        }
    }

    /// Lets pages go that end at or before `at`.
    pub(crate) fn release_before(&mut self, chain: &mut Chain, at: i64) {
        while let Some(page) = self.page(chain.first)
            && page.base + PAGE <= at
        {
            self.release_first(chain);
        }
    }

    /// Lets the first page go; says where it ended.
    pub(crate) fn release_first(&mut self, chain: &mut Chain) -> Option<i64> {
        let gone = chain.first;
        let page = *self.page(gone)?;
        chain.first = page.next;
        if chain.cursor == gone {
            chain.cursor = page.next;
        }
        if chain.last == gone {
            chain.last = NONE;
        }
        self.lists.unlink(gone);
        self.lists.push_front(FREE, gone);
        self.used -= 1;
        Some(page.base + PAGE)
    }

    /// Lets all pages go.
    pub(crate) fn release(&mut self, chain: &mut Chain) {
        while self.release_first(chain).is_some() {}
    }

    /// Whose first page is the one that has been spare for longest.
    pub(crate) fn oldest_spare(&self) -> Option<u32> {
        self.page(self.lists.front(SPARE)?).map(|page| page.owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(pages: &Pages, chain: &Chain, at: i64, wanted: &[u8]) -> bool {
        pages.differs(chain, at, wanted).is_none() && !pages.read(chain, at, at + 1).is_empty()
    }

    #[test]
    fn bytes_come_back_across_pages_and_in_any_order() {
        let mut pages = Pages::new(8);
        let mut chain = Chain::default();
        let bytes: Vec<u8> = (0..5000u32).map(|n| n.to_le_bytes()[0]).collect();
        for at in [9000i64, 1000] {
            pages.ensure(&mut chain, 3, at, at + 5000).expect("room");
            pages.write(&chain, at, &bytes);
        }
        assert!(holds(&pages, &chain, 9000, &bytes) && holds(&pages, &chain, 1000, &bytes));
        let mut other = bytes.clone();
        other[3333] ^= 1;
        assert_eq!(pages.differs(&chain, 1000, &other), Some(4333));
        assert_eq!(pages.ensure(&mut Chain::default(), 4, 0, 1 << 14), Err(Full));
        pages.release(&mut chain);
        assert_eq!((pages.used().1, chain.is_empty()), (8, true));
    }

    #[test]
    fn spare_pages_are_the_oldest() {
        let mut pages = Pages::new(4);
        let mut chain = Chain::default();
        pages.ensure(&mut chain, 7, 0, 4 * PAGE).expect("room");
        assert_eq!(pages.oldest_spare(), None);
        pages.spare_before(&mut chain, 3 * PAGE - 1);
        assert_eq!(pages.oldest_spare(), Some(7));
        assert_eq!(pages.release_first(&mut chain), Some(PAGE));
        pages.spare_before(&mut chain, 4 * PAGE);
        pages.release_before(&mut chain, 4 * PAGE);
        assert_eq!((pages.used(), chain.is_empty()), ((0, 4), true));
    }
}
