//! What a lane reads behind the headers: streams put together, protocols decoded, every new buffer
//! scanned once for the literals of all plugins, and events for those that are concerned.
//!
//! ```text
//! packet ─► payload ───────────────────────► scan ─► Packet event
//!        └► stream  ─► window of the stream ─► scan ─► StreamData event
//!                   └► conversation ─► buffers ─► scan ─► Transaction event, records
//! ```
//!
//! A plugin that says `only_hits` sees an event only where one of its literals was found or its
//! rules always want it; for all other packets nothing is built. This file must never know a
//! protocol's syntax, nor what a literal is for.

mod prefilter;
mod readers;
mod tell;
mod window;

pub(crate) use prefilter::{HITS_PER_EVENT, Place};
pub use prefilter::{Prefilter, ScanCounters};

use crate::outlet::Outlet;
use portcullis_decode::{Conversation, Limits, Output, Transport};
use portcullis_detect::OfferedHit;
use portcullis_flow::{
    Direction, Flow, FlowId, Placement, Segment, SegmentFate, StreamConfig, StreamCounters,
    StreamPickup, StreamPolicy, Streams, Targets,
};
use portcullis_plugin_abi::EventKind;
use portcullis_types::{DropReason, MemoryTerm};
use portcullis_wire::{Packet, TcpFlags, protocol};
use readers::{Readers, State};
use std::sync::Arc;
pub(crate) use tell::{Teller, ip_header};

/// How streams are read: what of [`ReadingConfig`] can change at run time.
#[derive(Clone, Debug)]
pub struct StreamReading {
    /// What their hosts do.
    pub policy: StreamPolicy,
    /// Whether conversations met in the middle pass without a look even at their packets.
    pub midstream_unseen: bool,
}

/// How much a lane may read at once, and how.
#[derive(Clone, Debug)]
pub struct ReadingConfig {
    /// Capacity of the lane's flow table.
    pub flows: u32,
    /// Reassembly.
    pub streams: StreamConfig,
    /// How streams are read; [`StreamPolicy::target`] counts for nothing.
    pub policy: StreamPolicy,
    /// What the hosts do.
    pub targets: Targets,
    /// Whether conversations met in the middle pass without a look even at their packets.
    pub midstream_unseen: bool,
    /// Limits of each conversation; digests beyond these are made where a plugin reads them.
    pub limits: Arc<Limits>,
    /// Bytes of all conversations and stream windows together.
    pub conversation_bytes: usize,
}

impl ReadingConfig {
    /// What a lane's reading takes at most.
    pub fn memory_terms(&self) -> Vec<MemoryTerm> {
        let term = |what: &str, bytes: u64| MemoryTerm { what: what.to_owned(), bytes };
        let mut terms = self.streams.memory_terms();
        terms.push(term("conversations and stream windows", self.conversation_bytes as u64));
        terms.push(term("readers", u64::from(self.flows) * 8));
        terms
    }
}

/// What reading counts, for one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadingFigures {
    /// Reassembly.
    pub streams: StreamCounters,
    /// Scanning.
    pub scans: ScanCounters,
    /// What decoders cut, gave up and missed.
    pub decoding: portcullis_decode::Counters,
    /// Events shown to plugins.
    pub offered: u64,
    /// Messages that decoders made.
    pub messages: u64,
    /// Records that decoders made.
    pub records: u64,
    /// Flows that were not decoded for want of memory.
    pub undecoded: u64,
    /// Bytes of all conversations now.
    pub conversation_bytes: u64,
    /// The most that they took so far.
    pub conversation_bytes_most: u64,
}

/// What one lane reads.
pub struct Reading {
    streams: Streams,
    policy: StreamPolicy,
    targets: Targets,
    midstream_unseen: bool,
    desk: Desk,
}

/// Everything that reading needs beside the streams, which tell it their bytes.
pub(crate) struct Desk {
    readers: Readers,
    output: Output,
    prefilter: Arc<Prefilter>,
    hits: Vec<OfferedHit>,
    segment: SegmentHits,
    /// As configured.
    configured: Arc<Limits>,
    /// With the digests that the plugins read: what new conversations get.
    limits: Arc<Limits>,
    /// Conversations met in the middle are followed.
    follows_midstream: bool,
    scans: ScanCounters,
    offered: u64,
    messages: u64,
    records: u64,
}

/// What was found in a segment while its stream was scanned: the packet shows the same bytes, and
/// needs no scan of its own.
#[derive(Debug, Default)]
struct SegmentHits {
    /// Where the bytes lie, and how many: empty where none were scanned.
    place: (usize, usize),
    hits: Vec<OfferedHit>,
}

impl SegmentHits {
    /// Another packet comes.
    fn clear(&mut self) {
        self.place = (0, 0);
        self.hits.clear();
    }

    /// These bytes are scanned now; `false` where others of the packet were already.
    fn begin(&mut self, bytes: &[u8]) -> bool {
        let is_first = self.place == (0, 0);
        if is_first {
            self.place = (bytes.as_ptr().addr(), bytes.len());
        }
        is_first
    }

    /// Whether these are the bytes that were scanned.
    fn is_of(&self, bytes: &[u8]) -> bool {
        !bytes.is_empty() && self.place == (bytes.as_ptr().addr(), bytes.len())
    }
}

impl Reading {
    /// Allocates what it needs for its life, but for conversations, which are counted.
    pub fn new(config: ReadingConfig, prefilter: Arc<Prefilter>) -> Self {
        Reading {
            streams: Streams::new(config.streams),
            policy: config.policy,
            targets: config.targets,
            midstream_unseen: config.midstream_unseen,
            desk: Desk {
                readers: Readers::new(config.flows, config.conversation_bytes),
                output: Output::default(),
                hits: Vec::with_capacity(HITS_PER_EVENT),
                segment: SegmentHits::default(),
                limits: limits_with(&config.limits, &prefilter),
                configured: config.limits,
                prefilter,
                follows_midstream: config.policy.midstream == StreamPickup::Read,
                scans: ScanCounters::default(),
                offered: 0,
                messages: 0,
                records: 0,
            },
        }
    }

    /// Other patterns, together with the plugin that they belong to; answers those before. What is
    /// under way is looked through anew with these: hits that were kept are numbers of the others.
    /// Digests are another matter: a conversation that began without goes on without.
    #[must_use = "dropping the last of it takes time: send it to where nobody waits"]
    pub fn install(&mut self, prefilter: Arc<Prefilter>) -> Arc<Prefilter> {
        self.desk.readers.epoch = self.desk.readers.epoch.wrapping_add(1);
        self.desk.limits = limits_with(&self.desk.configured, &prefilter);
        std::mem::replace(&mut self.desk.prefilter, prefilter)
    }

    /// Streams are read in another way from now on.
    pub fn take(&mut self, streams: StreamReading) {
        self.policy = streams.policy;
        self.midstream_unseen = streams.midstream_unseen;
        self.desk.follows_midstream = streams.policy.midstream == StreamPickup::Read;
    }

    /// What was counted.
    pub fn figures(&self) -> ReadingFigures {
        ReadingFigures {
            streams: self.streams.counters(),
            scans: self.desk.scans,
            decoding: self.desk.output.counters,
            offered: self.desk.offered,
            messages: self.desk.messages,
            records: self.desk.records,
            undecoded: self.desk.readers.refused,
            conversation_bytes: self.desk.readers.bytes() as u64,
            conversation_bytes_most: self.desk.readers.bytes_most as u64,
        }
    }

    /// Reads one packet of a flow; a reason where it must not go on. `watches`: whatever becomes of
    /// it, it arrives.
    pub(crate) fn packet<O: Outlet>(
        &mut self,
        packet: &Packet,
        bytes: &[u8],
        watches: bool,
        teller: Teller<'_, O>,
    ) -> Option<DropReason> {
        let (id, direction, at) = (teller.id, teller.direction, teller.at);
        let flow_ref = (id.index, id.generation);
        let begin = || conversation(teller.flow, &self.desk.limits);
        let reader = self.desk.readers.reader(id, begin)?;
        if self.midstream_unseen && is_met_in_the_middle(packet, teller.flow) {
            reader.state = State::Quiet;
        }
        if reader.state == State::Quiet {
            return None;
        }
        let side = portcullis_plugin_abi::Direction::from_number(direction as u8)?;
        let host = &*teller.detectors;
        let wanted = |kind| host.reads(flow_ref, side, kind);
        let streams = wanted(EventKind::StreamData) || wanted(EventKind::Transaction);
        let packets = wanted(EventKind::Packet);
        if !streams && !packets {
            return None;
        }
        self.desk.segment.clear();
        let mut reading = teller.at_desk(&mut self.desk);
        // What is spoken is known before the packet is looked at by itself: rules may ask for it.
        let refused = match packet.protocol {
            protocol::TCP if streams => {
                let segment = Segment::of(packet, bytes);
                let policy = match (self.policy.placement, watches) {
                    (Placement::Inline, false) => self.policy,
                    _ => StreamPolicy {
                        placement: Placement::Watching,
                        target: self.targets.of(packet.dst),
                        ..self.policy
                    },
                };
                let fate = self.streams.segment(id, direction, &segment, &policy, at, &mut reading);
                if reading.is_quiet() {
                    self.streams.forget(id);
                } else if self.streams.is_over(id) {
                    reading.is_over();
                }
                match fate {
                    SegmentFate::Forward => {
                        reading.alone(packet, bytes);
                        None
                    }
                    SegmentFate::Drop(reason) => Some(reason),
                }
            }
            protocol::UDP if streams => {
                reading.datagram(packet.payload(bytes));
                None
            }
            _ => None,
        };
        // What is dropped is not looked at, unless it arrives all the same.
        if packets && (refused.is_none() || watches) {
            reading.payload(packet, bytes);
        }
        refused
    }

    /// Whether nothing of a flow is read any more: its packets need no look behind the headers.
    #[inline]
    pub(crate) fn is_done(&self, id: FlowId) -> bool {
        self.desk.readers.is_quiet(id)
    }

    /// What is spoken in a flow: `portcullis_plugin_abi::application`.
    pub(crate) fn application(&self, id: FlowId) -> u16 {
        self.desk.readers.application(id)
    }

    /// The flow is over: what was still held is told, transactions are concluded.
    pub(crate) fn end<O: Outlet>(&mut self, teller: Teller<'_, O>) {
        let (id, flow) = (teller.id, teller.flow);
        if self.desk.readers.known(id).is_none() {
            return;
        }
        let mut reading = teller.at_desk(&mut self.desk);
        if flow.terminated() || flow.protocol() != protocol::TCP {
            self.streams.forget(id);
        } else {
            self.streams.end(id, &self.policy, &mut reading);
        }
        reading.conclude();
        self.desk.readers.forget(id);
    }
}

/// The limits of conversations that begin while these patterns are looked for.
fn limits_with(configured: &Arc<Limits>, prefilter: &Prefilter) -> Arc<Limits> {
    let hashes = configured.hashes.with(prefilter.hashes());
    if hashes == configured.hashes {
        return Arc::clone(configured);
    }
    Arc::new(Limits { hashes, ..(**configured).clone() })
}

/// Whether a flow's first packet is one that no TCP conversation begins with.
fn is_met_in_the_middle(packet: &Packet, flow: &Flow) -> bool {
    let ways = [Direction::ToServer, Direction::ToClient];
    let seen: u64 = ways.iter().map(|way| flow.tally(*way).packets).sum();
    let opens = packet.tcp.flags.has(TcpFlags::SYN) && !packet.tcp.flags.has(TcpFlags::ACK);
    packet.protocol == protocol::TCP && seen <= 1 && !opens
}

fn conversation(flow: &Flow, limits: &Arc<Limits>) -> Conversation {
    let transport = if flow.protocol() == protocol::UDP { Transport::Udp } else { Transport::Tcp };
    Conversation::new(transport, flow.server_port(), Arc::clone(limits))
}

/// The direction in the decoder's words.
fn way(direction: Direction) -> portcullis_decode::Direction {
    match direction {
        Direction::ToServer => portcullis_decode::Direction::ToServer,
        Direction::ToClient => portcullis_decode::Direction::ToClient,
    }
}
