//! Which stretches of a sequence are held, and which arrival each of them came with.
//!
//! Pieces are ascending and disjoint. Where two arrivals meet, a rule of precedence between them
//! decides byte for byte whose bytes stay; a piece therefore remembers how its arrival lay, also
//! when parts of it have been cut away. All is allocated at start. This file must never know what
//! the bytes are, nor which rule applies.

use crate::slab::NONE;

/// How an arrival lies: its first offset and the one behind its last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Extent {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

impl Extent {
    pub(crate) fn new(start: i64, len: usize) -> Self {
        Extent { start, end: start.saturating_add(i64::try_from(len).unwrap_or(i64::MAX)) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// What both have.
    pub(crate) fn meet(&self, other: &Extent) -> Extent {
        Extent { start: self.start.max(other.start), end: self.end.min(other.end) }
    }
}

/// Whether an arrival that begins where another one ends becomes one with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Joint {
    /// Each stays what it was.
    Apart,
    /// From then on both are one arrival, as long as they are together.
    Joined,
}

/// A stretch of an arrival.
#[derive(Clone, Copy, Debug)]
struct Piece {
    held: Extent,
    /// The whole arrival that it came with.
    arrival: Extent,
    next: u32,
    /// Of arrivals each of which was appended to the one before, where the first began.
    run: u32,
}

/// The pieces of one owner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patchwork {
    first: u32,
    last: u32,
    count: u32,
}

impl Default for Patchwork {
    fn default() -> Self {
        Patchwork { first: NONE, last: NONE, count: 0 }
    }
}

impl Patchwork {
    pub(crate) fn is_empty(&self) -> bool {
        self.first == NONE
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> u32 {
        self.count
    }
}

/// The pool of pieces.
#[derive(Debug)]
pub(crate) struct Pieces {
    /// As far as they were ever used, within the room allocated at start.
    pieces: Vec<Piece>,
    free: u32,
    left: u32,
}

impl Pieces {
    pub(crate) fn bytes_for(pieces: u32) -> u64 {
        u64::from(pieces) * size_of::<Piece>() as u64
    }

    pub(crate) fn new(room: u32) -> Self {
        Pieces { pieces: Vec::with_capacity(room as usize), free: NONE, left: room }
    }

    fn piece(&self, at: u32) -> Option<&Piece> {
        self.pieces.get(at as usize)
    }

    fn piece_mut(&mut self, at: u32) -> Option<&mut Piece> {
        self.pieces.get_mut(at as usize)
    }

    /// The first piece.
    pub(crate) fn first(&self, work: &Patchwork) -> Option<Extent> {
        self.piece(work.first).map(|piece| piece.held)
    }

    /// Behind the last piece.
    pub(crate) fn end(&self, work: &Patchwork) -> Option<i64> {
        self.piece(work.last).map(|piece| piece.held.end)
    }

    /// The stretch without a hole that begins with the first piece.
    pub(crate) fn run(&self, work: &Patchwork) -> Option<Extent> {
        let mut run = self.first(work)?;
        let mut at = self.piece(work.first).map_or(NONE, |piece| piece.next);
        while let Some(piece) = self.piece(at)
            && piece.held.start == run.end
        {
            run.end = piece.held.end;
            at = piece.next;
        }
        Some(run)
    }

    /// The last piece that begins before `at`, as a place to go on from.
    fn before(&self, work: &Patchwork, at: i64) -> u32 {
        if self.piece(work.last).is_some_and(|piece| piece.held.end <= at) {
            return work.last;
        }
        let (mut found, mut next) = (NONE, work.first);
        while let Some(piece) = self.piece(next)
            && piece.held.end <= at
        {
            (found, next) = (next, piece.next);
        }
        found
    }

    fn following(&self, work: &Patchwork, before: u32) -> u32 {
        if before == NONE { work.first } else { self.piece(before).map_or(NONE, |p| p.next) }
    }

    /// Shows every held stretch that `extent` meets, with the arrival that it came with.
    pub(crate) fn meets(
        &self,
        work: &Patchwork,
        extent: Extent,
        mut each: impl FnMut(Extent, Extent),
    ) -> u32 {
        let mut at = self.following(work, self.before(work, extent.start));
        let mut met = 0;
        while let Some(piece) = self.piece(at)
            && piece.held.start < extent.end
        {
            each(piece.held.meet(&extent), piece.arrival);
            met += 1;
            at = piece.next;
        }
        met
    }

    /// Whether all that `extent` meets came in order, each arrival behind the last of its time.
    pub(crate) fn in_one_run(&self, work: &Patchwork, extent: Extent) -> bool {
        let mut at = self.following(work, self.before(work, extent.start));
        let run = self.piece(at).map(|piece| piece.run);
        while let Some(piece) = self.piece(at)
            && piece.held.start < extent.end
        {
            if Some(piece.run) != run {
                return false;
            }
            at = piece.next;
        }
        true
    }

    /// The run of an arrival that begins at `start`.
    fn run_of(&self, work: &Patchwork, start: i64) -> u32 {
        match self.piece(work.last) {
            Some(last) if last.held.end == start => last.run,
            _ => u32::try_from(start & i64::from(u32::MAX)).unwrap_or(0),
        }
    }

    fn link(&mut self, work: &mut Patchwork, before: u32, new: Piece) -> u32 {
        let next = self.following(work, before);
        let Some(left) = self.left.checked_sub(1) else { return before };
        let fresh = self.take(Piece { next, ..new });
        self.left = left;
        work.count += 1;
        match self.piece_mut(before) {
            Some(piece) => piece.next = fresh,
            None => work.first = fresh,
        }
        if next == NONE {
            work.last = fresh;
        }
        fresh
    }

    /// Puts a piece where one was given back, or else behind those ever used.
    fn take(&mut self, piece: Piece) -> u32 {
        let fresh = self.free;
        match self.piece_mut(fresh) {
            Some(place) => {
                let free = place.next;
                *place = piece;
                self.free = free;
                fresh
            }
            None => {
                self.pieces.push(piece);
                u32::try_from(self.pieces.len()).map_or(NONE, |n| n - 1)
            }
        }
    }

    fn unlink(&mut self, work: &mut Patchwork, before: u32, gone: u32) {
        let next = self.following(work, gone);
        match self.piece_mut(before) {
            Some(piece) => piece.next = next,
            None => work.first = next,
        }
        if work.last == gone {
            work.last = before;
        }
        work.count -= 1;
        let free = self.free;
        if let Some(piece) = self.piece_mut(gone) {
            piece.next = free;
            self.free = gone;
            self.left += 1;
        }
    }

    /// Whether an arrival that meets `met` pieces can be put in without exceeding `most`.
    pub(crate) fn has_room(&self, work: &Patchwork, met: u32, most: u32) -> bool {
        let needed = met.saturating_mul(2).saturating_add(1);
        needed <= self.left && work.count.saturating_add(needed) <= most
    }

    /// Puts an arrival in, for which [`Pieces::has_room`]. `wins` says of two arrivals, the new
    /// one by itself and one that came before, whether the new one's bytes stay; `write` is told
    /// every stretch whose bytes are now the new one's.
    pub(crate) fn insert(
        &mut self,
        work: &mut Patchwork,
        new: Extent,
        joint: Joint,
        wins: impl Fn(Extent, Extent) -> bool,
        mut write: impl FnMut(Extent),
    ) {
        let mut before = self.before(work, new.start);
        let mut at = new.start;
        let run = self.run_of(work, new.start);
        let joins = joint == Joint::Joined;
        let joined = self.join(work, before, new).filter(|_| joins);
        let part = |held| Piece { held, arrival: joined.unwrap_or(new), next: NONE, run };
        loop {
            let here = self.following(work, before);
            let Some(piece) = self.piece(here).copied().filter(|p| p.held.start < new.end) else {
                break;
            };
            if at < piece.held.start {
                let fresh = Extent { start: at, end: piece.held.start };
                write(fresh);
                let extends = joined.is_some() && at == new.start;
                before = self.put(work, before, part(fresh), extends);
            }
            let met = piece.held.meet(&new);
            before = if wins(new, piece.arrival) {
                write(met);
                self.replace(work, before, here, part(met))
            } else {
                here
            };
            at = met.end;
        }
        if at < new.end {
            let fresh = Extent { start: at, end: new.end };
            write(fresh);
            let extends = joined.is_some() && at == new.start;
            self.put(work, before, part(fresh), extends);
        }
    }

    /// How an arrival lies together with the one that ends where it begins.
    fn join(&self, work: &Patchwork, before: u32, new: Extent) -> Option<Extent> {
        let piece = self.piece(before)?;
        let behind = self.piece(self.following(work, before));
        let fits = piece.held.end == new.start && piece.arrival.end == new.start;
        let fresh = behind.is_none_or(|piece| piece.held.start > new.start);
        (fits && fresh).then_some(Extent { start: piece.arrival.start, end: new.end })
    }

    /// Puts a stretch behind a piece, or adds it to that where it `extends` it.
    fn put(&mut self, work: &mut Patchwork, before: u32, part: Piece, extends: bool) -> u32 {
        match self.piece_mut(before).filter(|_| extends) {
            Some(piece) => {
                (piece.held.end, piece.arrival) = (part.held.end, part.arrival);
                before
            }
            None => self.link(work, before, part),
        }
    }

    /// Gives `part` of a piece to another arrival; says which piece now ends with `part`, or where
    /// to go on from.
    fn replace(&mut self, work: &mut Patchwork, mut before: u32, here: u32, part: Piece) -> u32 {
        let Some(piece) = self.piece(here).copied() else { return here };
        if piece.held.start < part.held.start {
            let left = Extent { end: part.held.start, ..piece.held };
            self.link(work, before, Piece { held: left, ..piece });
            before = self.following(work, before);
        }
        if part.held.end < piece.held.end {
            before = self.link(work, before, part);
            if let Some(piece) = self.piece_mut(here) {
                piece.held.start = part.held.end;
            }
            return before;
        }
        if let Some(held) = self.piece_mut(here) {
            *held = Piece { next: held.next, ..part };
        }
        here
    }

    /// Takes out everything before `at`.
    pub(crate) fn take_before(&mut self, work: &mut Patchwork, at: i64) {
        while let Some(piece) = self.piece(work.first).copied()
            && piece.held.start < at
        {
            if piece.held.end > at {
                if let Some(piece) = self.piece_mut(work.first) {
                    piece.held.start = at;
                }
                return;
            }
            self.unlink(work, NONE, work.first);
        }
    }

    /// Takes out everything.
    pub(crate) fn clear(&mut self, work: &mut Patchwork) {
        while work.first != NONE {
            self.unlink(work, NONE, work.first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(pieces: &Pieces, work: &Patchwork, model: &[Option<(Extent, usize)>]) {
        let all = Extent { start: 0, end: 64 };
        let mut seen = vec![None; 64];
        let mut end = 0;
        let mut count = 0;
        pieces.meets(work, all, |held, arrival| {
            assert!(held.start >= end && !held.is_empty());
            end = held.end;
            count += 1;
            for at in held.start..held.end {
                seen[usize::try_from(at).expect("small")] = Some(arrival);
            }
        });
        assert_eq!(count, work.len());
        assert_eq!(seen, model.iter().map(|m| m.map(|m| m.0)).collect::<Vec<_>>());
    }

    #[test]
    fn what_continues_an_arrival_joins_it() {
        let (mut pieces, mut work) = (Pieces::new(40), Patchwork::default());
        let wider = |new: Extent, old: Extent| new.start <= old.start && new.end > old.end;
        let mut put = |joint, start, len| {
            let mut written = 0;
            let new = Extent::new(start, len);
            let write = |part: Extent| written += part.end - part.start;
            pieces.insert(&mut work, new, joint, wider, write);
            (written, work.len())
        };
        assert_eq!(put(Joint::Joined, 0, 4), (4, 1));
        assert_eq!(put(Joint::Joined, 4, 4), (4, 1));
        assert_eq!(put(Joint::Joined, 8, 4), (4, 1));
        assert_eq!(put(Joint::Joined, 0, 8), (0, 1), "within the three");
        assert_eq!(put(Joint::Apart, 12, 4), (4, 2));
        assert_eq!(put(Joint::Joined, 0, 14), (12, 2), "around the three");
    }

    proptest! {
        /// Against one owner per byte.
        #[test]
        fn byte_for_byte(
            arrivals in prop::collection::vec((0i64..56, 1usize..9), 1..14),
            rule in 0u8..4,
        ) {
            let joint = Joint::Apart;
            let wins = |new: Extent, old: Extent| match rule {
                0 => true,
                1 => false,
                2 => new.start < old.start,
                _ => new.end > old.end,
            };
            let mut pieces = Pieces::new(40);
            let mut work = Patchwork::default();
            let mut model: Vec<Option<(Extent, usize)>> = vec![None; 64];
            for (n, (start, len)) in arrivals.into_iter().enumerate() {
                let new = Extent::new(start, len);
                let range = usize::try_from(start).expect("small")..;
                let met = pieces.meets(&work, new, |_, _| {});
                if !pieces.has_room(&work, met, 40) { continue }
                let mut written = vec![];
                pieces.insert(&mut work, new, joint, wins, |part| written.push(part));
                for (at, byte) in model[range][..len].iter_mut().enumerate() {
                    let at = start + i64::try_from(at).expect("small");
                    let won = byte.is_none_or(|(old, _)| wins(new, old));
                    let said = written.iter().any(|w| w.start <= at && at < w.end);
                    prop_assert_eq!(won, said);
                    if won { *byte = Some((new, n)) }
                }
                check(&pieces, &work, &model);
            }
            pieces.clear(&mut work);
            prop_assert_eq!((pieces.left, work.len()), (40, 0));
        }
    }
}
