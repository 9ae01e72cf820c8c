//! A segment's bytes: told at once, held ahead of a hole, or compared with what was there.
//!
//! This file must never know flags or states: it gets what the session has accepted.

use crate::flow::Direction;
use crate::patchwork::{Extent, Joint, Pieces};
use crate::pool::Pages;
use crate::streams::event::StreamEvent;
use crate::streams::half::{Half, mark};
use crate::streams::policy::{
    Placement, Retain, StreamConfig, StreamCounters, StreamPolicy, Urgent,
};
use crate::streams::segment::{
    EVIDENCE_MAX, Segment, SegmentFate, StreamAnomaly, StreamEnd, StreamSink, Versions,
};
use crate::streams::table::Stream;
use portcullis_types::{DropReason, Tick};

/// One segment's way through its stream.
pub(crate) struct Work<'a, S> {
    pub(crate) stream: &'a mut Stream,
    /// Of the pages of the direction to the server; the other's is one more.
    pub(crate) owner: u32,
    pub(crate) pages: &'a mut Pages,
    pub(crate) pieces: &'a mut Pieces,
    pub(crate) counters: &'a mut StreamCounters,
    pub(crate) config: &'a StreamConfig,
    pub(crate) policy: &'a StreamPolicy,
    pub(crate) direction: Direction,
    pub(crate) segment: &'a Segment<'a>,
    pub(crate) now: Tick,
    pub(crate) out: &'a mut S,
}

/// An offset as the sink has it.
pub(crate) fn told(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or(0)
}

fn length(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(0)
}

/// The bytes of `bytes`, which begin at `start`, that lie in `extent`.
fn part(bytes: &[u8], start: i64, extent: Extent) -> &[u8] {
    let from = usize::try_from(extent.start - start).unwrap_or(0);
    let to = usize::try_from(extent.end - start).unwrap_or(0);
    bytes.get(from..to).unwrap_or_default()
}

/// Tells bytes in order, but for an urgent one.
fn tell(half: &mut Half, direction: Direction, bytes: &[u8], out: &mut impl StreamSink) {
    let at = half.next;
    half.next += length(bytes);
    let urgent = half.urgent_at.filter(|&urgent| urgent < half.next);
    if urgent.is_some() {
        half.urgent_at = None;
    }
    let Some((before, &byte, behind)) =
        urgent.and_then(|urgent| usize::try_from(urgent - at).ok()).and_then(|urgent| {
            Some((bytes.get(..urgent)?, bytes.get(urgent)?, bytes.get(urgent + 1..)?))
        })
    else {
        out.data(direction, told(at), bytes);
        return;
    };
    if !before.is_empty() {
        out.data(direction, told(at), before);
    }
    let urgent = at + length(before);
    half.urgents = half.urgents.saturating_add(1);
    out.urgent(direction, told(urgent), byte);
    if !behind.is_empty() {
        out.data(direction, told(urgent + 1), behind);
    }
}

impl<S: StreamSink> Work<'_, S> {
    pub(crate) fn event(&mut self, event: StreamEvent) {
        let half = self.stream.half(self.direction);
        let offset = told(half.offset(self.segment.tcp.seq));
        let direction = self.direction;
        self.out.anomaly(&StreamAnomaly { event, direction, offset, versions: None });
    }

    fn owner_of(&self, direction: Direction) -> u32 {
        self.owner + u32::from(direction == Direction::ToClient)
    }

    /// Takes the segment's payload, which begins at `start`.
    #[inline]
    pub(crate) fn arrive(&mut self, start: i64) -> SegmentFate {
        let (direction, payload) = (self.direction, self.segment.payload);
        let half = self.stream.half(direction);
        if half.marks & (mark::UNREAD | mark::ENDED) != 0 {
            return self.arrive_unread(start);
        }
        if start == half.next && half.held.is_empty() {
            self.in_order(payload);
            return SegmentFate::Forward;
        }
        self.arrive_otherwise(start)
    }

    /// Data with a SYN is held until the answer says whether it was taken.
    pub(crate) fn arrive_with_syn(&mut self) -> SegmentFate {
        let new = Extent::new(0, self.segment.payload.len());
        if self.compare(new) {
            self.counters.conflicts += 1;
            return SegmentFate::Drop(DropReason::StreamConflict);
        }
        if !self.hold(0, new, false) {
            self.counters.full += 1;
            return SegmentFate::Drop(DropReason::ReassemblyFull);
        }
        SegmentFate::Forward
    }

    #[cold]
    fn arrive_unread(&mut self, start: i64) -> SegmentFate {
        let end = start + self.segment.len();
        let half = self.stream.half_mut(self.direction);
        if half.has(mark::ENDED) && !half.has(mark::UNREAD) && end > half.next {
            // Behind a FIN or a reset: no receiver takes it.
            self.counters.invalid += 1;
            return SegmentFate::Drop(DropReason::StreamInvalid);
        }
        half.next = half.next.max(end);
        half.kept_from = half.next;
        SegmentFate::Forward
    }

    /// The next bytes, which meet nothing that is held: told as they are.
    #[inline]
    fn in_order(&mut self, bytes: &[u8]) {
        let direction = self.direction;
        let start = self.stream.half(direction).next;
        self.counters.delivered += bytes.len() as u64;
        tell(self.stream.half_mut(direction), direction, bytes, self.out);
        self.keep(start, bytes);
        self.check_depth(direction);
    }

    /// Keeps forwarded bytes to compare repetitions with.
    #[inline]
    fn keep(&mut self, start: i64, bytes: &[u8]) {
        let owner = self.owner_of(self.direction);
        let half = self.stream.half_mut(self.direction);
        let kept = self.policy.retain == Retain::Unacknowledged
            && half.acked < half.next
            && self.pages.ensure(&mut half.pages, owner, start, half.next).is_ok();
        if kept {
            self.pages.write(&half.pages, start, bytes);
            self.pages.spare_before(&mut half.pages, half.next);
        } else {
            half.kept_from = half.next;
            if half.held.is_empty() {
                self.pages.release(&mut half.pages);
            }
        }
    }

    /// A payload that is not simply the next one: repeats, lies ahead, or meets what is held.
    #[cold]
    fn arrive_otherwise(&mut self, start: i64) -> SegmentFate {
        let new = Extent::new(start, self.segment.payload.len());
        if new.is_empty() {
            return SegmentFate::Forward;
        }
        let inline = self.policy.placement == Placement::Inline;
        let differs = self.compare(new);
        if differs {
            self.counters.conflicts += 1;
            if inline {
                return SegmentFate::Drop(DropReason::StreamConflict);
            }
        }
        let half = self.stream.half(self.direction);
        let fresh = Extent { start: new.start.max(half.next), end: new.end };
        if fresh.is_empty() {
            return SegmentFate::Forward;
        }
        let held = self.pieces.first(&half.held);
        if fresh.start == half.next && held.is_none_or(|first| fresh.end <= first.start) {
            self.in_order(part(self.segment.payload, start, fresh));
            self.drain(self.direction);
            return SegmentFate::Forward;
        }
        if fresh.start == half.next && !differs {
            self.weave(start, fresh.end);
            return SegmentFate::Forward;
        }
        if self.hold(start, fresh, differs) {
            self.drain(self.direction);
            return SegmentFate::Forward;
        }
        self.counters.full += 1;
        if inline {
            return SegmentFate::Drop(DropReason::ReassemblyFull);
        }
        // Nothing can be dropped: the hole is given up, so that what lies behind it is read.
        self.give_up_holes(self.direction);
        let half = self.stream.half(self.direction);
        let (next, read) = (half.next, !half.has(mark::UNREAD));
        let fresh = Extent { start: fresh.start.max(next), end: fresh.end };
        if read
            && !fresh.is_empty()
            && (fresh.start == next || self.is_lost(self.direction, fresh.start))
        {
            self.skip_to(self.direction, fresh.start);
            self.in_order(part(self.segment.payload, start, fresh));
        }
        SegmentFate::Forward
    }

    /// Tells bytes in order that meet held ones and are the same there: needs no room.
    fn weave(&mut self, start: i64, end: i64) {
        loop {
            let half = self.stream.half(self.direction);
            let next = half.next;
            if next >= end || half.has(mark::UNREAD) {
                return;
            }
            let stop = self.pieces.first(&half.held).map_or(end, |first| first.start.min(end));
            if next < stop {
                let fresh = Extent { start: next, end: stop };
                self.in_order(part(self.segment.payload, start, fresh));
            }
            self.drain(self.direction);
            if self.stream.half(self.direction).next == next {
                return;
            }
        }
    }

    /// Compares a payload with what is kept and held of its place; tells the first difference.
    fn compare(&mut self, new: Extent) -> bool {
        let direction = self.direction;
        let half = self.stream.half(direction);
        let behind = Extent { start: new.start.max(half.first), end: new.end.min(half.next) };
        if !behind.is_empty() {
            self.counters.repeated += told(behind.end - behind.start);
            let unknown = Extent { start: behind.start.max(half.acked), ..behind };
            let unknown = Extent { end: unknown.end.min(half.kept_from), ..unknown };
            if !unknown.is_empty() {
                self.counters.unverified += told(unknown.end - unknown.start);
            }
        }
        let kept = Extent { start: half.kept_from, end: half.next }.meet(&new);
        let payload = self.segment.payload;
        let mut found = None;
        let pages = &*self.pages;
        let mut check = |extent: Extent| {
            if !extent.is_empty() && found.is_none() {
                let bytes = part(payload, new.start, extent);
                found = pages
                    .differs(&half.pages, extent.start, bytes)
                    .map(|at| Extent { start: at, ..extent });
            }
        };
        check(kept);
        self.pieces.meets(&half.held, new, |held, _| check(held));
        let Some(found) = found else { return false };
        let first = self.pages.read(&half.pages, found.start, found.end);
        let first = first.get(..EVIDENCE_MAX).unwrap_or(first);
        let later = part(payload, new.start, found);
        let later = later.get(..first.len()).unwrap_or(later);
        self.out.anomaly(&StreamAnomaly {
            event: StreamEvent::OverlapDifferentData,
            direction,
            offset: told(found.start),
            versions: Some(Versions { first, later }),
        });
        true
    }

    /// Holds bytes ahead, or bytes that meet held ones; says whether there was room. `start` is
    /// where the payload begins, `fresh` the part of it that is not behind; `differs` where held
    /// bytes are others.
    fn hold(&mut self, start: i64, fresh: Extent, differs: bool) -> bool {
        let owner = self.owner_of(self.direction);
        let payload = self.segment.payload;
        let half = self.stream.half_mut(self.direction);
        if fresh.end - half.next > i64::from(self.config.bytes_per_direction) {
            return false;
        }
        let mut covered = 0;
        let each = |held: Extent, _| covered += held.end - held.start;
        let met = self.pieces.meets(&half.held, fresh, each);
        if !self.pieces.has_room(&half.held, met, self.config.segments_per_direction) {
            // What is there already needs none.
            return !differs && covered == fresh.end - fresh.start;
        }
        if self.pages.ensure(&mut half.pages, owner, fresh.start, fresh.end).is_err() {
            return false;
        }
        // Where nothing but first versions are ever forwarded, the first stay.
        let inline = self.policy.placement == Placement::Inline;
        let target = self.policy.target;
        let wins = |new, old| !inline && target.later_wins(new, old);
        let (pages, chain) = (&mut *self.pages, &half.pages);
        let joint = if inline { Joint::Apart } else { target.joint() };
        self.pieces.insert(&mut half.held, fresh, joint, wins, |written| {
            pages.write(chain, written.start, part(payload, start, written));
        });
        true
    }

    /// Tells what is held, as far as it follows without a hole.
    pub(crate) fn drain(&mut self, direction: Direction) {
        let half = self.stream.half_mut(direction);
        let Some(run) = self.pieces.run(&half.held).filter(|run| run.start <= half.next) else {
            return;
        };
        self.pieces.take_before(&mut half.held, run.end);
        while half.next < run.end {
            let bytes = self.pages.read(&half.pages, half.next, run.end);
            if bytes.is_empty() {
                break;
            }
            self.counters.delivered += bytes.len() as u64;
            self.counters.reordered += bytes.len() as u64;
            tell(half, direction, bytes, self.out);
        }
        if self.policy.retain == Retain::Nothing {
            half.kept_from = half.next;
        }
        self.pages.spare_before(&mut half.pages, half.next);
        self.release(direction);
        self.check_depth(direction);
    }

    /// Lets go of what has been acknowledged.
    #[inline]
    pub(crate) fn release(&mut self, direction: Direction) {
        let half = self.stream.half_mut(direction);
        let done = half.acked.min(half.next).max(half.kept_from);
        if half.pages.is_empty() {
            return;
        }
        half.kept_from = done;
        if done == half.next && half.held.is_empty() {
            self.pages.release(&mut half.pages);
        } else {
            self.pages.release_before(&mut half.pages, done);
        }
    }

    /// Whether the receiver has everything before `at`, so that a hole there will not be filled.
    fn is_lost(&self, direction: Direction, at: i64) -> bool {
        self.stream.half(direction).acked >= at
    }

    /// After an acknowledgement: a hole that its receiver does not have is one only for us.
    pub(crate) fn settle(&mut self, direction: Direction) {
        let half = self.stream.half(direction);
        if let Some(first) = self.pieces.first(&half.held)
            && first.start > half.next
            && half.acked >= first.start
        {
            self.skip_to(direction, first.start);
            self.drain(direction);
        }
        self.release(direction);
    }

    /// Tells a gap up to `at`, if there is one.
    pub(crate) fn skip_to(&mut self, direction: Direction, at: i64) {
        let half = self.stream.half_mut(direction);
        let (from, missing) = (half.next, at - half.next);
        if missing <= 0 || half.has(mark::ENDED) {
            return;
        }
        (half.next, half.kept_from) = (at, at);
        self.pages.spare_before(&mut half.pages, at);
        self.counters.gaps += 1;
        self.counters.gap_bytes += told(missing);
        let (event, offset) = (StreamEvent::SequenceGap, told(from));
        self.out.anomaly(&StreamAnomaly { event, direction, offset, versions: None });
        self.out.gap(direction, offset, told(missing));
    }

    /// Tells everything that is held, with the gaps between.
    pub(crate) fn give_up_holes(&mut self, direction: Direction) {
        while let Some(first) = self.pieces.first(&self.stream.half(direction).held) {
            self.skip_to(direction, first.start);
            let before = self.stream.half(direction).next;
            self.drain(direction);
            if self.stream.half(direction).next == before {
                return;
            }
        }
    }

    /// Tells that there will be no more, once.
    pub(crate) fn tell_end(&mut self, direction: Direction, reason: StreamEnd) {
        let half = self.stream.half_mut(direction);
        if half.marks & (mark::ENDED | mark::UNREAD) != 0 {
            return;
        }
        half.marks |= mark::ENDED;
        self.out.end(direction, reason);
    }

    #[inline]
    fn check_depth(&mut self, direction: Direction) {
        let half = self.stream.half(direction);
        if self.policy.depth == 0 || told(half.next) < self.policy.depth || half.has(mark::UNREAD) {
            return;
        }
        let (event, offset) = (StreamEvent::DepthReached, told(half.next));
        self.out.anomaly(&StreamAnomaly { event, direction, offset, versions: None });
        self.tell_end(direction, StreamEnd::Depth);
        let half = self.stream.half_mut(direction);
        half.marks |= mark::UNREAD;
        self.pieces.clear(&mut half.held);
        self.pages.release(&mut half.pages);
        half.kept_from = half.next;
    }

    /// Takes note of an urgent byte (RFC 6093: the pointer stands behind it).
    pub(crate) fn note_urgent(&mut self, start: i64) {
        if self.policy.urgent == Urgent::Inline {
            return;
        }
        let pointer = i64::from(self.segment.tcp.urgent);
        let half = self.stream.half_mut(self.direction);
        let at = start + (pointer - 1).max(0);
        if at < half.next || half.urgent_at.is_some_and(|before| before >= at) {
            return;
        }
        if half.urgents >= self.config.urgent_max {
            self.event(StreamEvent::UrgentLimit);
            return;
        }
        half.urgent_at = Some(at);
    }
}
