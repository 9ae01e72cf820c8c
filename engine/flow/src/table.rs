//! The table: a bounded slab of flows with its index, wheel and ranks.
//!
//! ```text
//!   packet ─ key ─ hash ─► index ─► slot ─► Flow          known: stamped, counted, advanced
//!                            │
//!                            └ nothing ─► free slot, or whoever is worth least ─► Flow begins
//!
//!   wheel:  slots by when they may have ended          ranks:  spent < unproven < replied < proven
//! ```
//!
//! Everything is allocated at start. This file must never read a clock, nor know a verdict.

use crate::config::{CLASSES, Class, FlowConfig, WhenFull};
use crate::counters::FlowCounters;
use crate::flow::{Changes, Direction, EndReason, Flow, FlowId, Rank, mark};
use crate::hash::HashKey;
use crate::key::{End, FlowKey};
use crate::slab::{Index, Lists};
use crate::tcp::TcpPolicy;
use crate::timers::Wheel;
use portcullis_types::{Addr, DropReason, MemoryTerm, PortSide, SegmentId, Tick};
use portcullis_wire::{Packet, PacketKind, RejectSet};

/// Lists in the ranks: one per [`Rank`], and the free slots.
pub(crate) const HEADS: u32 = 5;
pub(crate) const FREE: u32 = 4;

/// Ended flows that wait to be taken. A packet ends at most two.
pub(crate) const ENDED_MAX: usize = 1024;

/// An ended flow that waits to be taken.
pub(crate) type PendingEnd = (FlowId, Flow, EndReason);

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It belongs to a flow.
    Flow {
        /// Which.
        id: FlowId,
        /// Which way it goes.
        direction: Direction,
        /// What it changed.
        changes: Changes,
        /// Rejects of the packet that this flow has not reported before.
        rejects: RejectSet,
    },
    /// ARP, what is not IP, and fragments: a flow has whole datagrams only. See
    /// [`FlowTable::flow_of_fragment`].
    NoFlow {
        /// All of the packet's.
        rejects: RejectSet,
    },
    /// A limit of ours: the flow could not be kept.
    Refused(DropReason),
}

/// Where and when a packet came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The protected link.
    pub segment: SegmentId,
    /// By which of its ports.
    pub side: PortSide,
    /// Bytes on the wire, link header included.
    pub frame_len: u32,
    /// When.
    pub now: Tick,
    /// Of an RST: the frame comes from the machine on the link that has announced the packet's
    /// source as its own. Nobody need ask for other packets.
    pub announced: bool,
}

/// A packet's hash, computed ahead so that a burst's lookups can overlap. Its key is made again
/// from the packet where it is compared: that takes less than to keep it until then.
#[derive(Clone, Copy, Debug)]
pub struct Located {
    pub(crate) hash: u64,
    /// Where [`FlowTable::warm`] saw a flow of the same hash.
    pub(crate) hint: u32,
    pub(crate) end: End,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// No IP, or a fragment without ports.
    Flowless,
    /// An ICMP error: the key is that of the packet it quotes, `end` who is said to have sent it.
    Quoted,
    Whole,
}

/// The flows of one worker.
#[derive(Debug)]
pub struct FlowTable {
    pub(crate) config: FlowConfig,
    pub(crate) hash: HashKey,
    /// The slots that were ever used, within the room allocated at start: memory that no flow has
    /// needed yet is not touched.
    pub(crate) flows: Vec<Flow>,
    pub(crate) room: u32,
    pub(crate) index: Index,
    pub(crate) wheel: Wheel,
    pub(crate) ranks: Lists,
    pub(crate) ended: Vec<PendingEnd>,
    pub(crate) timeouts: [u64; CLASSES],
    pub(crate) emergency_timeouts: [u64; CLASSES],
    /// The least of the timeouts: before that no flow is over.
    pub(crate) shortest: u64,
    pub(crate) tcp: TcpPolicy,
    /// Bit n: segment n has two ports, as a frame by port B has shown.
    pub(crate) inline: Box<[u64]>,
    pub(crate) pressure: Pressure,
    pub(crate) counters: FlowCounters,
}

/// Whether the emergency timeouts are in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pressure {
    Calm,
    Emergency,
}

impl FlowTable {
    /// An empty table; allocates all that it will ever use (see [`FlowConfig::memory_terms`]).
    pub fn new(config: FlowConfig) -> Self {
        let room = config.capacity();
        let hash = HashKey::from_seed(config.seed);
        FlowTable {
            config,
            hash,
            flows: Vec::with_capacity(room as usize),
            room,
            index: Index::new(room),
            wheel: Wheel::new(room),
            ranks: Lists::new(room, HEADS),
            ended: Vec::with_capacity(ENDED_MAX),
            timeouts: config.timeouts.table(),
            shortest: config.timeouts.table().into_iter().min().unwrap_or(0),
            emergency_timeouts: config.emergency.table(),
            tcp: TcpPolicy { midstream: config.midstream, reset_proves: config.reset_proves },
            inline: vec![0; 1024].into_boxed_slice(),
            pressure: Pressure::Calm,
            counters: FlowCounters::default(),
        }
    }

    /// Finds or begins the packet's flow, counts the packet and advances the flow.
    ///
    /// `inside` is asked once per flow, with its client and server: which of them is protected.
    pub fn admit(
        &mut self,
        segment: SegmentId,
        side: PortSide,
        packet: &Packet,
        frame_len: u32,
        now: Tick,
        inside: impl FnOnce(Addr, Addr) -> (bool, bool),
    ) -> Admission {
        let located = self.locate(segment, packet);
        let arrival = Arrival { segment, side, frame_len, now, announced: false };
        self.admit_located(&located, packet, arrival, inside)
    }

    /// The first step of [`FlowTable::admit`]: arithmetic only.
    #[inline]
    pub fn locate(&self, segment: SegmentId, packet: &Packet) -> Located {
        let kind = match (packet.kind, &packet.quoted) {
            (PacketKind::Arp | PacketKind::Other, _) => Kind::Flowless,
            (PacketKind::Ip, _) if !packet.has_transport() => Kind::Flowless,
            // An error goes to whoever sent the packet that it quotes; others are made up.
            (PacketKind::Ip, Some(quoted)) if packet.dst == { quoted.src } => Kind::Quoted,
            (PacketKind::Ip, _) => Kind::Whole,
        };
        let (hash, end) = match Self::key(segment, packet, kind) {
            Some((key, end)) => (key.hash(&self.hash), end),
            None => (0, End::Low),
        };
        Located { hash, hint: crate::slab::NONE, end, kind }
    }

    /// The key that a packet of this kind has, and the end that sent it.
    #[inline]
    pub(crate) fn key(segment: SegmentId, packet: &Packet, kind: Kind) -> Option<(FlowKey, End)> {
        match (kind, &packet.quoted) {
            (Kind::Whole, _) => Some(FlowKey::of(segment, packet)),
            (Kind::Quoted, Some(quoted)) => Some(FlowKey::quoted(segment, packet, quoted)),
            (Kind::Quoted, None) | (Kind::Flowless, _) => None,
        }
    }

    /// The second step, optional: reads the packet's entry of the index and does nothing with it.
    /// With so little to do, the processor begins the next packets' reads before the first one's
    /// entry has come.
    #[inline]
    pub fn touch(&self, located: &Located) {
        std::hint::black_box(self.index.peek(located.hash));
    }

    /// The third step, optional: reads what a packet of the burst will change of its flow, so that
    /// the cache misses of all overlap before any is admitted. Whose flow it is is not asked yet:
    /// of the hash, the index has half.
    #[inline]
    pub fn warm(&self, located: &mut Located) {
        if located.kind == Kind::Flowless {
            return;
        }
        let lives = |slot| {
            self.flows.get(slot as usize).is_some_and(|flow| {
                std::hint::black_box(flow.last);
                flow.has(mark::LIVE)
            })
        };
        located.hint = self.index.find(located.hash, lives).unwrap_or(crate::slab::NONE);
    }

    /// The slot of a flow.
    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &FlowKey) -> Option<u32> {
        self.index
            .find(hash, |slot| self.flows.get(slot as usize).is_some_and(|flow| flow.key == *key))
    }

    /// Like [`FlowTable::find`], trying the hint first: it may be another's.
    #[inline]
    pub(crate) fn find_hinted(&self, located: &Located, key: &FlowKey) -> Option<u32> {
        let hinted = self.flows.get(located.hint as usize);
        match hinted {
            Some(flow) if flow.has(mark::LIVE) && flow.key == *key => Some(located.hint),
            _ => self.find(located.hash, key),
        }
    }

    /// A flow by its id; `None` once it has ended.
    #[inline]
    pub fn flow(&self, id: FlowId) -> Option<&Flow> {
        let flow = self.flows.get(id.index as usize)?;
        (flow.generation == id.generation && flow.has(mark::LIVE)).then_some(flow)
    }

    /// A flow by its id, for what may be written.
    #[inline]
    pub fn flow_mut(&mut self, id: FlowId) -> Option<&mut Flow> {
        let flow = self.flows.get_mut(id.index as usize)?;
        (flow.generation == id.generation && flow.has(mark::LIVE)).then_some(flow)
    }

    /// Has a flow dropped from now on, until it ends: by then nothing of it has come for the
    /// timeout of an established flow, since an end may ignore the RST. A SYN between the same
    /// ends changes nothing before that. Says whether the flow was there.
    pub fn terminate(&mut self, id: FlowId) -> bool {
        let Some(flow) = self.flow_mut(id) else { return false };
        flow.marks |= mark::TERMINATED;
        self.relist(id.index);
        true
    }

    /// What was counted.
    pub fn counters(&self) -> FlowCounters {
        self.counters
    }

    /// Flows in the table now.
    pub fn len(&self) -> usize {
        usize::try_from(self.counters.live).unwrap_or(usize::MAX)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.counters.live == 0
    }

    /// Flows that it can hold.
    pub fn capacity(&self) -> u32 {
        self.room
    }

    /// What it takes, all since start.
    pub fn memory_terms(&self) -> Vec<MemoryTerm> {
        self.config.memory_terms()
    }

    /// When a flow ends unless another packet comes.
    #[inline]
    pub(crate) fn deadline(&self, flow: &Flow) -> Tick {
        let timeout = self.timeouts.get(Class::of(flow) as usize).copied().unwrap_or(0);
        Tick(flow.last.0.saturating_add(timeout))
    }

    /// Puts a new flow into its slot. Free slots come up in order, those given back first, so that
    /// a slot used for the first time is always the next one behind those in use.
    pub(crate) fn place(&mut self, slot: u32, flow: Flow) {
        let has_room = self.flows.len() < self.flows.capacity();
        match self.flows.get_mut(slot as usize) {
            Some(place) => *place = flow,
            None if has_room => self.flows.push(flow),
            None => {}
        }
    }

    /// Puts a flow into the rank that it is worth by now.
    pub(crate) fn relist(&mut self, slot: u32) {
        let Some(flow) = self.flows.get_mut(slot as usize) else { return };
        let (held, worth) = (flow.rank(), flow.worth());
        if held != worth {
            flow.set_rank(worth);
            self.ranks.unlink(slot);
            self.ranks.push_back(u32::from(worth as u16), slot);
        }
    }

    /// Makes place in a full table: whoever is worth least, and of those the oldest.
    pub(crate) fn evict(&mut self) -> Option<u32> {
        let spare = [Rank::Replied, Rank::Proven];
        let spare = if self.config.when_full == WhenFull::Refuse { &[] } else { &spare[..] };
        let ranks = [Rank::Spent, Rank::Unproven];
        let mut ranks = ranks.iter().chain(spare);
        let (rank, slot) =
            ranks.find_map(|&rank| Some((rank, self.ranks.front(u32::from(rank as u16))?)))?;
        *match rank {
            Rank::Spent => &mut self.counters.evicted_spent,
            Rank::Unproven => &mut self.counters.evicted_unproven,
            Rank::Replied => &mut self.counters.evicted_replied,
            Rank::Proven => &mut self.counters.evicted_proven,
        } += 1;
        self.end(slot, EndReason::Evicted);
        self.ranks.pop_free(FREE)
    }
}
