//! The datagrams in pieces, by who sent them: a bounded table, and the door for fragments.

use crate::defrag::key::{DatagramKey, key_of};
use crate::defrag::policy::{DefragConfig, DefragCounters, DefragPolicy};
use crate::defrag::rebuild::{DATAGRAM_MAX, Layout, WholeDatagram, finish};
use crate::flow::{Direction, FlowId};
use crate::hash::HashKey;
use crate::patchwork::{Extent, Joint, Patchwork, Pieces};
use crate::pool::{Chain, PAGE, Pages};
use crate::slab::{Index, Lists};
use crate::streams::{EVIDENCE_MAX, Placement, Versions};
use crate::target::FragmentPolicy;
use portcullis_types::{DropReason, MemoryTerm, SegmentId, Tick};
use portcullis_wire::{Packet, Reject, RejectSet};

/// Lists of datagrams, each by age: those that hold bytes, those given up, and free places.
pub(crate) const HEADS: u32 = 3;
const HOLDING: u32 = 0;
const BARE: u32 = 1;
const FREE: u32 = 2;

/// Where the headers of the whole datagram are kept.
const HEADERS_AT: i64 = -PAGE;

/// What a datagram has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Progress {
    #[default]
    Gathering,
    /// Nothing of it is used any more; inline its fragments are dropped for this reason.
    GivenUp(DropReason),
}

/// One datagram in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Datagram {
    key: DatagramKey,
    since: Tick,
    work: Patchwork,
    pages: Chain,
    /// Bytes behind the headers, once its last fragment is known.
    length: Option<i64>,
    /// Bytes of the headers, once its first fragment is known.
    header_len: Option<u16>,
    progress: Progress,
    /// The flow that its first fragment named.
    flow: Option<(FlowId, Direction)>,
    /// What has been said of it: each once.
    told: RejectSet,
}

/// What becomes of a fragment's frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FragmentFate<'a> {
    /// The datagram is not whole: the frame goes on, there is nothing to read yet.
    Held,
    /// The datagram is whole: read it in place of the frame, and give the frame the fate of what
    /// was read. Where a verdict drops it, call [`Defrag::condemn`].
    Whole(WholeDatagram<'a>),
    /// The frame must not arrive. Where the engine only watches, it is forwarded anyway.
    Refused(DropReason),
}

/// What defragmentation says of a fragment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Defragmented<'a> {
    /// What becomes of it.
    pub fate: FragmentFate<'a>,
    /// What is wrong with its place in the datagram, beyond what `wire` has said; each once a
    /// datagram.
    pub rejects: RejectSet,
    /// The flow that the datagram's first fragment named, this one or an earlier one.
    pub flow: Option<(FlowId, Direction)>,
    /// Where its bytes are others than those that came first: from which byte of the datagram's
    /// payload on, and both.
    pub conflict: Option<(u16, Versions<'a>)>,
}

/// The datagrams in pieces of one worker.
#[derive(Debug)]
pub struct Defrag {
    config: DefragConfig,
    /// As far as their places were ever used.
    datagrams: Vec<Datagram>,
    index: Index,
    lists: Lists,
    hash: HashKey,
    pages: Pages,
    pieces: Pieces,
    /// The datagram put together last.
    whole: Vec<u8>,
    /// The evidence found last.
    evidence: Vec<u8>,
    counters: DefragCounters,
}

/// What is known of a fragment's datagram, and said of its place there.
struct Said {
    flow: Option<(FlowId, Direction)>,
    rejects: RejectSet,
}

/// What a fragment is, apart from its bytes.
#[derive(Clone, Copy)]
struct Arrived<'a> {
    layout: Layout<'a>,
    extent: Extent,
    more: bool,
    overlap: FragmentPolicy,
    placement: Placement,
}

impl Defrag {
    /// No datagrams; allocates all that it will ever use (see [`DefragConfig::memory_terms`]).
    pub fn new(config: DefragConfig, seed: [u8; 16]) -> Self {
        let room = config.room();
        Defrag {
            config,
            datagrams: Vec::with_capacity(room as usize),
            index: Index::new(room),
            lists: Lists::new(room, HEADS),
            hash: HashKey::from_seed(seed),
            pages: Pages::new(config.pages()),
            pieces: Pieces::new(config.fragments),
            whole: Vec::with_capacity(DATAGRAM_MAX),
            evidence: Vec::with_capacity(EVIDENCE_MAX),
            counters: DefragCounters::default(),
        }
    }

    /// What it takes, all since start.
    pub fn memory_terms(&self) -> Vec<MemoryTerm> {
        self.config.memory_terms()
    }

    /// What was counted.
    pub fn counters(&self) -> DefragCounters {
        let (used, most) = self.pages.used();
        DefragCounters { pages: used.into(), pages_max: most.into(), ..self.counters }
    }

    /// Takes a fragment: a packet whose [`Packet::fragment`] is set, with its frame, and the flow
    /// that it names where it is a first one (`crate::FlowTable::flow_of_fragment`). Call it before
    /// the flow table, which sees whole datagrams only.
    pub fn insert<'a>(
        &'a mut self,
        segment: SegmentId,
        (packet, frame): (&Packet, &'a [u8]),
        flow: Option<(FlowId, Direction)>,
        policy: &DefragPolicy,
        now: Tick,
    ) -> Defragmented<'a> {
        self.counters.fragments += 1;
        self.evidence.clear();
        let mut said = Said { flow, rejects: RejectSet::EMPTY };
        let (fate, conflict) = self.take(segment, packet, frame, policy, now, &mut said);
        let fate = match fate {
            Fate::Held => FragmentFate::Held,
            Fate::Whole => {
                self.counters.whole += 1;
                FragmentFate::Whole(WholeDatagram { bytes: &self.whole })
            }
            Fate::Refused(reason) => {
                self.counters.refused += 1;
                FragmentFate::Refused(reason)
            }
        };
        let conflict = conflict.map(|(offset, later)| {
            let first = self.evidence.as_slice();
            let later = later.get(..first.len()).unwrap_or(later);
            (offset, Versions { first, later })
        });
        Defragmented { fate, rejects: said.rejects, flow: said.flow, conflict }
    }

    /// The rebuilt packet was dropped by a verdict: no fragment of that datagram passes any more,
    /// until it is too old for its receiver to complete.
    pub fn condemn(&mut self, segment: SegmentId, packet: &Packet, reason: DropReason, now: Tick) {
        let Some(fragment) = packet.fragment else { return };
        let key = key_of(segment, packet, fragment);
        if self.given_up(segment, packet).is_some() {
            return;
        }
        if let Some(slot) = self.slot_for(key, Placement::Watching, now) {
            self.give_up(slot, reason);
            self.counters.condemned += 1;
        }
    }

    /// Why the datagram of this fragment is not to arrive, where that is so.
    pub fn given_up(&self, segment: SegmentId, packet: &Packet) -> Option<DropReason> {
        let key = key_of(segment, packet, packet.fragment?);
        let is = |slot: u32| self.datagrams.get(slot as usize).is_some_and(|d| d.key == key);
        let slot = self.index.find(key.hash(&self.hash), is)?;
        match self.datagrams.get(slot as usize)?.progress {
            Progress::GivenUp(reason) => Some(reason),
            Progress::Gathering => None,
        }
    }

    /// Forgets at most `budget` datagrams that are too old.
    pub fn expire(&mut self, now: Tick, budget: usize) {
        for _ in 0..budget {
            let old = |head| self.lists.front(head).filter(|&slot| self.is_old(slot, now));
            let Some(slot) = old(HOLDING).or_else(|| old(BARE)) else { return };
            self.counters.expired += 1;
            self.release(slot);
        }
    }

    fn take<'f>(
        &mut self,
        segment: SegmentId,
        packet: &Packet,
        frame: &'f [u8],
        policy: &DefragPolicy,
        now: Tick,
        said: &mut Said,
    ) -> (Fate, Option<(u16, &'f [u8])>) {
        let unusable = (Fate::Refused(DropReason::Malformed), None);
        let Some(fragment) = packet.fragment else { return unusable };
        let Some(layout) = Layout::of(packet, frame) else { return unusable };
        // What does not end at a multiple of eight is cut there, as receivers do.
        let len = layout.share.len();
        let len = if fragment.more { len / 8 * 8 } else { len };
        let extent = Extent::new(i64::from(fragment.offset), len);
        if usize::from(fragment.offset) + len + layout.headers.len() > DATAGRAM_MAX {
            if !packet.rejects.contains(Reject::PingOfDeath) {
                said.rejects.insert(Reject::FragmentPastEnd);
            }
            return unusable;
        }
        if extent.is_empty() {
            return (Fate::Held, None);
        }
        let overlap = policy.overlap(packet.ip_version);
        let placement = policy.placement;
        let arrived = Arrived { layout, extent, more: fragment.more, overlap, placement };
        let key = key_of(segment, packet, fragment);
        let Some(slot) = self.slot_for(key, placement, now) else {
            return (Fate::Refused(DropReason::ReassemblyFull), None);
        };
        if let Some(datagram) = self.datagrams.get_mut(slot as usize) {
            datagram.flow = said.flow.or(datagram.flow);
            said.flow = datagram.flow;
        }
        let placed = self.place(slot, &arrived, &mut said.rejects);
        // Its place may have been released by now; what is written there is forgotten then.
        if let Some(datagram) = self.datagrams.get_mut(slot as usize) {
            let told = datagram.told;
            datagram.told = told.union(said.rejects);
            said.rejects = said.rejects.without(told);
        }
        placed
    }

    /// Puts a fragment in its place in its datagram.
    fn place<'f>(
        &mut self,
        slot: u32,
        arrived: &Arrived<'f>,
        rejects: &mut RejectSet,
    ) -> (Fate, Option<(u16, &'f [u8])>) {
        let Some(datagram) = self.datagrams.get(slot as usize) else { return (Fate::Held, None) };
        if let Progress::GivenUp(reason) = datagram.progress {
            return (Fate::Refused(reason), None);
        }
        let inline = arrived.placement == Placement::Inline;
        let extent = arrived.extent;
        let fits = datagram.fits(&self.pieces, extent, arrived.more);
        let conflict = self.conflict(slot, arrived);
        let (covered, inside) = self.look(slot, extent, conflict.is_some(), rejects);
        if conflict.is_some() {
            self.counters.conflicts += 1;
        }
        let differs = conflict.is_some() || !fits;
        if !fits && !inside {
            rejects.insert(Reject::FragmentOverlap);
        }
        if differs && inline {
            return (Fate::Refused(DropReason::FragmentOverlap), conflict);
        }
        let discarding = arrived.overlap == FragmentPolicy::Discard;
        let repeats = inside && (!discarding || self.in_one_run(slot, extent));
        if !fits || discarding && covered > 0 && !repeats {
            // So does the receiver. One that discards begins anew with what comes behind.
            self.counters.condemned += 1;
            match discarding {
                true => self.release(slot),
                false => self.give_up(slot, DropReason::FragmentOverlap),
            }
            return (Fate::Refused(DropReason::FragmentOverlap), conflict);
        }
        let repeated = if inside && !differs { Repeated::Wholly } else { Repeated::Hardly };
        if !self.hold(slot, arrived, repeated, rejects) {
            self.counters.starved += 1;
            self.give_up(slot, DropReason::ReassemblyFull);
            return (Fate::Refused(DropReason::ReassemblyFull), conflict);
        }
        (self.complete(slot), conflict)
    }

    fn in_one_run(&self, slot: u32, extent: Extent) -> bool {
        let datagram = self.datagrams.get(slot as usize);
        datagram.is_some_and(|datagram| self.pieces.in_one_run(&datagram.work, extent))
    }

    /// How many bytes of a place are there, and whether all of them; names what that is.
    fn look(
        &mut self,
        slot: u32,
        extent: Extent,
        differs: bool,
        rejects: &mut RejectSet,
    ) -> (i64, bool) {
        let Some(datagram) = self.datagrams.get(slot as usize) else { return (0, false) };
        let (mut covered, mut exact) = (0, false);
        self.pieces.meets(&datagram.work, extent, |held, arrival| {
            covered += held.end - held.start;
            exact |= arrival == extent;
        });
        let inside = covered == extent.end - extent.start;
        if covered > 0 {
            let repeats = exact && inside && !differs;
            rejects.insert(match inside {
                true if repeats => Reject::FragmentDuplicate,
                true if !exact => Reject::FragmentTeardrop,
                _ => Reject::FragmentOverlap,
            });
            match repeats {
                true => self.counters.duplicates += 1,
                false => self.counters.overlaps += 1,
            }
        }
        (covered, inside)
    }

    /// Where a fragment's bytes are others than those there, from that byte on; the others are the
    /// evidence then.
    fn conflict<'f>(&mut self, slot: u32, arrived: &Arrived<'f>) -> Option<(u16, &'f [u8])> {
        let datagram = self.datagrams.get(slot as usize)?;
        let mut found = None;
        let share = |extent: Extent| {
            let from = usize::try_from(extent.start - arrived.extent.start).unwrap_or(0);
            let to = usize::try_from(extent.end - arrived.extent.start).unwrap_or(0);
            arrived.layout.share.get(from..to).unwrap_or_default()
        };
        self.pieces.meets(&datagram.work, arrived.extent, |held, _| {
            if found.is_none() {
                let at = self.pages.differs(&datagram.pages, held.start, share(held));
                found = at.map(|start| Extent { start, ..held });
            }
        });
        let found: Extent = found?;
        let first = self.pages.read(&datagram.pages, found.start, found.end);
        self.evidence.extend(first.iter().take(EVIDENCE_MAX));
        Some((u16::try_from(found.start).unwrap_or(u16::MAX), share(found)))
    }

    /// Takes over a fragment's bytes, unless all of them are `repeated`; says whether there was
    /// room.
    fn hold(
        &mut self,
        slot: u32,
        arrived: &Arrived<'_>,
        repeated: Repeated,
        rejects: &mut RejectSet,
    ) -> bool {
        let extent = arrived.extent;
        let pages = u64::try_from((extent.end - extent.start) / PAGE).unwrap_or(0) + 3;
        self.make_room(slot, pages);
        let Some(datagram) = self.datagrams.get_mut(slot as usize) else { return false };
        let met = self.pieces.meets(&datagram.work, extent, |_, _| {});
        let most = self.config.fragments_per_datagram;
        if !self.pieces.has_room(&datagram.work, met, most) {
            if repeated == Repeated::Wholly {
                return true;
            }
            rejects.insert(Reject::FragmentScattered);
            return false;
        }
        let chain = &mut datagram.pages;
        if self.pages.ensure(chain, slot, extent.start, extent.end).is_err() {
            return false;
        }
        if extent.start == 0 && datagram.header_len.is_none() {
            let mut headers = [0; 2048];
            let len = arrived.layout.write_headers(&mut headers);
            let end = HEADERS_AT + PAGE;
            let Some(len) = len else { return false };
            if self.pages.ensure(chain, slot, HEADERS_AT, end).is_err() {
                return false;
            }
            self.pages.write(chain, HEADERS_AT, headers.get(..len).unwrap_or_default());
            datagram.header_len = u16::try_from(len).ok();
        }
        if !arrived.more {
            datagram.length = Some(extent.end);
        }
        let (pages, chain, overlap) = (&mut self.pages, &datagram.pages, arrived.overlap);
        let wins = |new, old| overlap.later_wins(new, old);
        self.pieces.insert(&mut datagram.work, extent, Joint::Apart, wins, |written| {
            let from = usize::try_from(written.start - extent.start).unwrap_or(0);
            let to = usize::try_from(written.end - extent.start).unwrap_or(0);
            pages.write(
                chain,
                written.start,
                arrived.layout.share.get(from..to).unwrap_or_default(),
            );
        });
        true
    }

    /// Puts the datagram together if nothing of it is missing.
    fn complete(&mut self, slot: u32) -> Fate {
        let Some(datagram) = self.datagrams.get(slot as usize) else { return Fate::Held };
        let (Some(length), Some(header_len)) = (datagram.length, datagram.header_len) else {
            return Fate::Held;
        };
        let run = self.pieces.run(&datagram.work);
        if run != Some(Extent { start: 0, end: length }) {
            return Fate::Held;
        }
        self.whole.clear();
        for extent in [
            Extent { start: HEADERS_AT, end: HEADERS_AT + i64::from(header_len) },
            Extent { start: 0, end: length },
        ] {
            let mut at = extent.start;
            while at < extent.end {
                let bytes = self.pages.read(&datagram.pages, at, extent.end);
                if bytes.is_empty() || self.whole.len() + bytes.len() > DATAGRAM_MAX {
                    break;
                }
                self.whole.extend_from_slice(bytes);
                at = at.saturating_add(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
            }
        }
        finish(&mut self.whole, usize::from(header_len));
        self.release(slot);
        Fate::Whole
    }

    fn is_old(&self, slot: u32, now: Tick) -> bool {
        let datagram = self.datagrams.get(slot as usize);
        datagram.is_some_and(|d| {
            let v4 = d.key.src.is_v4();
            let timeout = if v4 { self.config.timeout_v4 } else { self.config.timeout_v6 };
            now.since(d.since) >= timeout
        })
    }

    /// The place of a datagram, which begins now if there is none. Inline a full table has no place
    /// for new ones: the receivers of the old ones still hold theirs.
    fn slot_for(&mut self, key: DatagramKey, placement: Placement, now: Tick) -> Option<u32> {
        let hash = key.hash(&self.hash);
        let datagrams = &self.datagrams;
        let is = |slot: u32| datagrams.get(slot as usize).is_some_and(|d| d.key == key);
        if let Some(slot) = self.index.find(hash, is) {
            if !self.is_old(slot, now) {
                return Some(slot);
            }
            self.counters.expired += 1;
            self.release(slot);
        }
        if !self.lists.has_free(FREE) {
            self.expire(now, 1);
        }
        if !self.lists.has_free(FREE) && placement == Placement::Watching {
            let oldest = self.lists.front(HOLDING).or_else(|| self.lists.front(BARE));
            self.counters.evicted += 1;
            oldest.into_iter().for_each(|slot| self.release(slot));
        }
        let slot = self.lists.pop_free(FREE)?;
        let datagram = Datagram { key, since: now, ..Datagram::default() };
        match self.datagrams.get_mut(slot as usize) {
            Some(place) => *place = datagram,
            // A place used for the first time is the next one behind those in use.
            None => self.datagrams.push(datagram),
        }
        self.index.insert(hash, slot);
        self.lists.push_back(HOLDING, slot);
        Some(slot)
    }

    /// Gives the oldest other datagrams up until so many pages are free.
    fn make_room(&mut self, slot: u32, needed: u64) {
        while u64::from(self.pages.left()) < needed {
            let Some(oldest) = self.lists.front(HOLDING).filter(|&oldest| oldest != slot) else {
                return;
            };
            self.counters.starved += 1;
            self.give_up(oldest, DropReason::ReassemblyFull);
        }
    }

    /// Lets go of a datagram's bytes, and remembers that nothing of it counts any more.
    fn give_up(&mut self, slot: u32, reason: DropReason) {
        let Some(datagram) = self.datagrams.get_mut(slot as usize) else { return };
        datagram.progress = Progress::GivenUp(reason);
        self.pieces.clear(&mut datagram.work);
        self.pages.release(&mut datagram.pages);
        self.lists.unlink(slot);
        self.lists.push_back(BARE, slot);
    }

    fn release(&mut self, slot: u32) {
        let Some(datagram) = self.datagrams.get_mut(slot as usize) else { return };
        self.pieces.clear(&mut datagram.work);
        self.pages.release(&mut datagram.pages);
        self.index.remove(datagram.key.hash(&self.hash), slot);
        self.lists.unlink(slot);
        self.lists.push_front(FREE, slot);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Held,
    Whole,
    Refused(DropReason),
}

/// Whether a fragment brings anything new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Repeated {
    Wholly,
    Hardly,
}

impl Datagram {
    /// Whether a fragment agrees with what is known of the datagram's length.
    fn fits(&self, pieces: &Pieces, extent: Extent, more: bool) -> bool {
        let end = pieces.end(&self.work).unwrap_or(0);
        match (self.length, more) {
            (Some(length), true) => extent.end <= length,
            (Some(length), false) => extent.end == length,
            (None, false) => extent.end >= end,
            (None, true) => true,
        }
    }
}
