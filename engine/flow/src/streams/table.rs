//! The streams of one worker, by flow: a bounded table, and the door for segments.

use crate::flow::{Direction, FlowId};
use crate::patchwork::Pieces;
use crate::pool::Pages;
use crate::slab::Lists;
use crate::streams::half::{Half, mark};
use crate::streams::policy::{Placement, StreamConfig, StreamCounters, StreamPolicy};
use crate::streams::reassembly::Work;
use crate::streams::segment::{Segment, SegmentFate, StreamEnd, StreamSink};
use portcullis_types::{DropReason, MemoryTerm, Tick};
use portcullis_wire::TcpFlags;

/// Lists of streams.
pub(crate) const HEADS: u32 = 3;
const FREE: u32 = 0;
const HALF_OPEN: u32 = 1;
const OPEN: u32 = 2;

/// Busy streams passed over before one of them has to give way all the same.
const PASSED_MAX: usize = 8;

/// How far a conversation has come. The closing ones are named from the client's FIN
/// ([`State::CloseWait`]) or the server's ([`State::FinWait1`]), whichever was first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum State {
    #[default]
    None,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
    Closed,
}

/// One conversation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stream {
    pub(crate) flow: FlowId,
    pub(crate) state: State,
    pub(crate) marks: u8,
    /// Different SYNs and SYN-ACKs seen.
    pub(crate) syns: u8,
    pub(crate) syn_acks: u8,
    /// The number behind another SYN of the client.
    pub(crate) other_base: Option<u32>,
    pub(crate) halves: [Half; 2],
}

pub(crate) mod flag {
    /// Segments came since it was last looked at for eviction.
    pub(crate) const ACTIVE: u8 = 1;
    /// Both ends use timestamps.
    pub(crate) const STAMPS: u8 = 1 << 1;
    /// The server has answered the SYN with a SYN.
    pub(crate) const SPLIT: u8 = 1 << 2;
    /// The client has shown that it has the SYN-ACK, or the server that it has the answer.
    pub(crate) const CONFIRMED: u8 = 1 << 3;
    /// It passes unread.
    pub(crate) const UNREAD: u8 = 1 << 4;
    /// It is dropped.
    pub(crate) const DROPPED: u8 = 1 << 5;
    /// In use.
    pub(crate) const LIVE: u8 = 1 << 6;
}

impl Stream {
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.marks & flag != 0
    }

    #[inline]
    pub(crate) fn half(&self, direction: Direction) -> &Half {
        let [to_server, to_client] = &self.halves;
        if direction == Direction::ToServer { to_server } else { to_client }
    }

    #[inline]
    pub(crate) fn half_mut(&mut self, direction: Direction) -> &mut Half {
        let [to_server, to_client] = &mut self.halves;
        if direction == Direction::ToServer { to_server } else { to_client }
    }
}

/// The streams of one worker.
#[derive(Debug)]
pub struct Streams {
    config: StreamConfig,
    /// As far as a stream was ever in them, within the room allocated at start.
    streams: Vec<Stream>,
    /// By flow index.
    slots: Box<[u32]>,
    lists: Lists,
    pages: Pages,
    pieces: Pieces,
    counters: StreamCounters,
}

impl Streams {
    /// No streams; allocates all that it will ever use (see [`StreamConfig::memory_terms`]).
    pub fn new(config: StreamConfig) -> Self {
        let room = config.room();
        Streams {
            config,
            streams: Vec::with_capacity(room as usize),
            slots: vec![0; config.flows as usize].into_boxed_slice(),
            lists: Lists::new(room, HEADS),
            pages: Pages::new(config.pages()),
            pieces: Pieces::new(config.segments),
            counters: StreamCounters::default(),
        }
    }

    /// What it takes, all since start.
    pub fn memory_terms(&self) -> Vec<MemoryTerm> {
        self.config.memory_terms()
    }

    /// What was counted.
    pub fn counters(&self) -> StreamCounters {
        let (used, most) = self.pages.used();
        StreamCounters { pages: used.into(), pages_max: most.into(), ..self.counters }
    }

    /// Reads one segment of a flow. Call it for every TCP packet of the flow that is no fragment,
    /// in the order of arrival, SYN and RST included, and for none that has been dropped before.
    pub fn segment(
        &mut self,
        id: FlowId,
        direction: Direction,
        segment: &Segment<'_>,
        policy: &StreamPolicy,
        now: Tick,
        out: &mut impl StreamSink,
    ) -> SegmentFate {
        self.counters.segments += 1;
        let slot = match self.slot(id) {
            Some(slot) => slot,
            None => match self.begin(id, segment) {
                Ok(slot) => slot,
                Err(fate) => return fate,
            },
        };
        let Some(stream) = self.streams.get_mut(slot as usize) else {
            return SegmentFate::Forward;
        };
        stream.marks |= flag::ACTIVE;
        if stream.has(flag::UNREAD) {
            return SegmentFate::Forward;
        }
        if stream.has(flag::DROPPED) {
            self.counters.refused += 1;
            return SegmentFate::Drop(DropReason::StreamInvalid);
        }
        let needed = segment.payload.len() as u64 / crate::pool::PAGE.cast_unsigned() + 2;
        if u64::from(self.pages.left()) < needed {
            self.make_room(needed);
        }
        let Some(stream) = self.streams.get_mut(slot as usize) else {
            return SegmentFate::Forward;
        };
        let (pages, pieces) = (&mut self.pages, &mut self.pieces);
        let (counters, config) = (&mut self.counters, &self.config);
        let before = stream.state;
        let mut work = Work {
            stream,
            owner: slot * 2,
            pages,
            pieces,
            counters,
            config,
            policy,
            direction,
            segment,
            now,
            out,
        };
        let fate = work.run();
        if before != work.stream.state {
            self.relist(slot);
        }
        fate
    }

    /// The flow is over: tells what was still held, where that reached its receiver, and the end
    /// of both directions.
    pub fn end(&mut self, id: FlowId, policy: &StreamPolicy, out: &mut impl StreamSink) {
        let Some(slot) = self.slot(id) else { return };
        let segment =
            Segment { tcp: Default::default(), options: Default::default(), payload: &[] };
        if let Some(stream) = self.streams.get_mut(slot as usize)
            && !stream.has(flag::UNREAD | flag::DROPPED)
        {
            for direction in [Direction::ToServer, Direction::ToClient] {
                let (pages, pieces) = (&mut self.pages, &mut self.pieces);
                let (counters, config) = (&mut self.counters, &self.config);
                let (stream, segment, now) = (&mut *stream, &segment, Tick::ZERO);
                let mut work = Work {
                    stream,
                    owner: slot * 2,
                    pages,
                    pieces,
                    counters,
                    config,
                    policy,
                    direction,
                    segment,
                    now,
                    out,
                };
                if policy.placement == Placement::Watching {
                    work.give_up_holes(direction);
                }
                let reset = work.stream.halves.iter().any(|half| half.has(mark::RESET));
                work.tell_end(direction, if reset { StreamEnd::Reset } else { StreamEnd::Flow });
            }
        }
        self.free(slot);
    }

    /// Whether both directions have ended: the sink is told nothing of this flow any more.
    pub fn is_over(&self, id: FlowId) -> bool {
        let stream = self.slot(id).and_then(|slot| self.streams.get(slot as usize));
        stream.is_some_and(|s| s.halves.iter().all(|half| half.has(mark::ENDED)))
    }

    /// Forgets a stream without a word.
    pub fn forget(&mut self, id: FlowId) {
        if let Some(slot) = self.slot(id) {
            self.free(slot);
        }
    }

    fn slot(&self, id: FlowId) -> Option<u32> {
        let slot = self.slots.get(id.index as usize)?.checked_sub(1)?;
        let stream = self.streams.get(slot as usize)?;
        (stream.flow == id && stream.has(flag::LIVE)).then_some(slot)
    }

    fn begin(&mut self, id: FlowId, segment: &Segment<'_>) -> Result<u32, SegmentFate> {
        let stale = self.slots.get(id.index as usize).and_then(|slot| slot.checked_sub(1));
        if let Some(slot) = stale
            && self.streams.get(slot as usize).is_some_and(|s| s.flow.index == id.index)
        {
            self.free(slot);
        }
        let Some(place) = self.slots.get(id.index as usize).copied() else {
            return Err(SegmentFate::Forward);
        };
        debug_assert!(place == 0 || stale.is_some());
        let slot = match self.lists.pop_free(FREE) {
            Some(slot) => slot,
            None => self.evict().ok_or(SegmentFate::Forward)?,
        };
        let syn = segment.has(TcpFlags::SYN) && !segment.has(TcpFlags::ACK);
        let marks = flag::LIVE;
        let stream = Stream { flow: id, marks, ..Stream::default() };
        let has_room = self.streams.len() < self.streams.capacity();
        match self.streams.get_mut(slot as usize) {
            Some(place) => *place = stream,
            // A slot used for the first time is the next one behind those in use.
            None if has_room => self.streams.push(stream),
            None => {}
        }
        if let Some(place) = self.slots.get_mut(id.index as usize) {
            *place = slot + 1;
        }
        self.lists.push_back(if syn { HALF_OPEN } else { OPEN }, slot);
        self.counters.started += 1;
        self.counters.live += 1;
        Ok(slot)
    }

    fn relist(&mut self, slot: u32) {
        let Some(stream) = self.streams.get(slot as usize) else { return };
        let half_open = matches!(stream.state, State::None | State::SynSent | State::SynReceived);
        self.lists.unlink(slot);
        self.lists.push_back(if half_open { HALF_OPEN } else { OPEN }, slot);
    }

    /// Makes place in a full table.
    fn evict(&mut self) -> Option<u32> {
        let mut chosen = self.lists.front(HALF_OPEN);
        for _ in 0..PASSED_MAX {
            if chosen.is_some() {
                break;
            }
            let front = self.lists.front(OPEN)?;
            let stream = self.streams.get_mut(front as usize)?;
            if stream.has(flag::ACTIVE) {
                stream.marks &= !flag::ACTIVE;
                self.lists.unlink(front);
                self.lists.push_back(OPEN, front);
            } else {
                chosen = Some(front);
            }
        }
        let chosen = chosen.or_else(|| self.lists.front(OPEN))?;
        self.counters.evicted += 1;
        self.free(chosen);
        self.lists.pop_free(FREE)
    }

    fn free(&mut self, slot: u32) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            self.let_go(slot, direction);
        }
        let Some(stream) = self.streams.get_mut(slot as usize) else { return };
        stream.marks = 0;
        let index = stream.flow.index as usize;
        if let Some(place) = self.slots.get_mut(index).filter(|place| **place == slot + 1) {
            *place = 0;
        }
        self.lists.unlink(slot);
        self.lists.push_front(FREE, slot);
        self.counters.live -= 1;
    }

    /// Lets go of all that is held and kept of a direction.
    fn let_go(&mut self, slot: u32, direction: Direction) {
        let Some(stream) = self.streams.get_mut(slot as usize) else { return };
        let half = stream.half_mut(direction);
        self.pieces.clear(&mut half.held);
        self.pages.release(&mut half.pages);
        half.kept_from = half.next;
    }

    /// Gives up the oldest kept bytes until `needed` pages are free.
    #[cold]
    fn make_room(&mut self, needed: u64) {
        while u64::from(self.pages.left()) < needed {
            let Some(owner) = self.pages.oldest_spare() else { return };
            let Some(stream) = self.streams.get_mut(owner as usize / 2) else { return };
            let [to_server, to_client] = &mut stream.halves;
            let half = if owner & 1 == 0 { to_server } else { to_client };
            let Some(end) = self.pages.release_first(&mut half.pages) else { return };
            half.kept_from = half.kept_from.max(end.min(half.next));
            self.counters.spare_lost += 1;
        }
    }
}
