//! Frame sources: where frames come from and go to.
//!
//! A frame is bytes in a slot, not yet believed: this crate must never know a header's meaning, a
//! verdict, a clock on the hot path, or any other floor-2 crate. The kernel program in `bpf/` reads
//! headers for itself; it shares only the map layout in `portcullis-types`.
//!
//! ```text
//!   FrameSource ──► backend/af_xdp.rs      live, inline or tap (kernel.rs loads its program)
//!               ──► backend/af_packet.rs   live fallback, inline or tap
//!               ──► backend/pcap.rs        captures from files
//!               ──► backend/memory.rs      frames from a test
//!               ──► backend/generated.rs   frames made on demand, for benches
//!   offload.rs      reads and sets the offloads that would corrupt what a source sees
//! ```
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::panic, clippy::unreachable, clippy::todo)
)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use portcullis_types::{DropReason, PortSide, Tick};

pub mod backend;
pub mod bare;
pub mod doctor;
mod error;
mod ethtool;
pub mod kernel;
mod namespace;
mod netlink;
pub mod offload;
mod port;
pub mod returning;
mod statistics;
#[cfg(test)]
mod veth_lab;

pub use error::OpenError;
pub use port::PortFacts;
pub use statistics::{PortStatistics, SourceStatistics, XdpStatistics};

/// What a source's frames begin with. `pipeline` maps it to the parser's own enum.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LinkKind {
    /// Ethernet II or 802.3 with its header, without the frame check sequence (DLT 1).
    Ethernet,
    /// Linux cooked v1 (DLT 113).
    LinuxSll,
    /// Linux cooked v2 (DLT 276).
    LinuxSll2,
    /// Cisco's HDLC: address, control and ethertype (DLT 104).
    CiscoHdlc,
    /// OpenBSD loopback: four bytes of address family, network order (DLT 108).
    Loop,
    /// BSD loopback: four bytes of address family, the writer's byte order (DLT 0).
    Null,
    /// An IPv4 or IPv6 packet without a link header (DLT 12, 14, 101, 228, 229).
    RawIp,
}

/// How a live source sleeps when nothing arrives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Wait {
    /// Spins for a few tens of microseconds, then arms need-wakeup and sleeps in `poll()`.
    /// Measured: 0.066 ms at the median and 0.117 ms at p99 for 4 % of a core.
    #[default]
    Adaptive,
    /// Like `Poll`, with the kernel's preferred busy polling on the socket
    /// (`SO_PREFER_BUSY_POLL`; wants `napi_defer_hard_irqs` and `gro_flush_timeout` on the port).
    BusyPoll,
    /// Sleeps in `poll()` at once: least processor time, 0.036 ms at the median.
    Poll,
    /// Never sleeps: the shortest way on a core of its own, a bad neighbour on a shared one.
    Spin,
}

/// The right to one frame of one source: made by [`FrameSource::receive`], ended exactly once by
/// [`FrameSource::forward`] or [`FrameSource::discard`] (or lent to another worker).
///
/// It is neither `Clone` nor `Copy` and only this crate makes one, so nobody can hold two rights to
/// the same bytes. A slot given to a source that it does not belong to is our bug: the source
/// asserts. A slot that is merely dropped leaks its frame until the source closes.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a slot is given back by forward or discard, or its frame is lost to the pool"]
pub struct Slot {
    /// Which source (or source of a shared pool) may use it.
    owner: u32,
    /// The frame's number within that source.
    index: u32,
    /// Where the frame's bytes start; the backend says relative to what.
    offset: u32,
    /// Bytes of the frame.
    len: u32,
}

#[allow(clippy::len_without_is_empty, reason = "a frame's length, not a collection's")]
impl Slot {
    /// A right to the frame `index` of `owner`. The caller vouches that there is no other.
    pub(crate) fn new(owner: SourceId, index: u32, offset: u32, len: u32) -> Self {
        Slot { owner: owner.0, index, offset, len }
    }

    /// The frame's number within its source.
    #[inline]
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Where the frame's bytes start.
    #[inline]
    pub(crate) fn offset(&self) -> u32 {
        self.offset
    }

    /// Bytes of the frame that are there.
    #[inline]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether `owner` made it.
    #[inline]
    pub(crate) fn is_of(&self, owner: SourceId) -> bool {
        self.owner == owner.0
    }
}

/// A number that no other source of this process has: slots carry it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct SourceId(u32);

impl SourceId {
    /// The next number. Four billion sources in one process life are more than there can be.
    pub(crate) fn unique() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        SourceId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// One frame as it came in.
#[derive(Debug, PartialEq, Eq)]
pub struct RxFrame {
    /// The right to its bytes.
    pub slot: Slot,
    /// The port it came in by.
    pub side: PortSide,
    /// What it begins with. Live, the source's own [`FrameSource::link`]; a capture may mix kinds.
    pub link: LinkKind,
    /// Bytes that are there.
    pub len: u32,
    /// Bytes that it had on the wire; more than `len` where a capture was cut short.
    pub wire_len: u32,
    /// Capture time; [`Tick::ZERO`] from a live source: use the burst's `now`.
    pub at: Tick,
    /// Its number from 1: within a live source, counted over both ports; within its capture.
    pub number: u64,
}

/// What a call of [`FrameSource::receive`] found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Received {
    /// The source has come to its end; nothing will follow. Never from a live source.
    EndOfInput,
    /// At least one frame was added to the burst.
    Frames,
    /// Nothing at the moment.
    Nothing,
    /// This port does not exist any more and will not come back by itself: open anew.
    PortGone(PortSide),
}

/// A source of frames, and the way on for those that pass.
///
/// It owns its frames until each slot is given back exactly once. Nothing here blocks except
/// [`FrameSource::wait`], and nothing allocates per frame once the burst vector has grown.
pub trait FrameSource {
    /// What frames begin with; where a capture mixes kinds, that of its latest frame.
    fn link(&self) -> LinkKind;

    /// Appends at most `max` frames to `burst`.
    fn receive(&mut self, burst: &mut Vec<RxFrame>, max: usize) -> Received;

    /// The frame's bytes.
    fn bytes(&self, slot: &Slot) -> &[u8];

    /// Queues the frame for the other port of the pair.
    ///
    /// # Errors
    /// The frame is dropped, its slot recycled, and the caller counts the reason.
    fn forward(&mut self, slot: Slot) -> Result<(), DropReason>;

    /// Gives the frame back without sending it.
    fn discard(&mut self, slot: Slot);

    /// Queues a crafted frame (with its link header) out of a port.
    ///
    /// # Errors
    /// Nothing was queued, for this reason.
    fn inject(&mut self, side: PortSide, frame: &[u8]) -> Result<(), DropReason>;

    /// Starts transmission, reaps what was sent, and gives free frames back to the ports. Once per
    /// burst.
    fn flush(&mut self);

    /// Sleeps until something arrives, at most `timeout`, in the way that [`Wait`] says.
    fn wait(&mut self, timeout: Duration);

    /// Says that this worker lives at `now`, for the kernel program's heartbeat. Once per burst and
    /// after each wait; a worker that is silent for longer than the segment's limit counts as dead
    /// and the kernel goes on without it. Sources without a kernel program ignore it.
    fn alive(&mut self, now: Tick) {
        let _ = now;
    }

    /// What the source and the kernel have counted since the source was opened.
    fn statistics(&mut self) -> SourceStatistics;

    /// Whether a port that is gone may come back, so that the worker waits for it
    /// ([`returning::Returning`]).
    fn comes_back(&self) -> bool {
        false
    }
}

/// A source whose frames other workers of the same segment may dispose of.
///
/// The worker that received a frame which belongs to another worker lends it; the other adopts it
/// and forwards or discards it on its own ports. No byte is copied; the frame finds its way home by
/// a bounded lane between the two sources.
pub trait HandOver: FrameSource {
    /// A frame on its way between two workers.
    type Lent: Send;

    /// Gives the right to the frame away. A lent frame that is dropped goes home by itself.
    fn lend(&mut self, slot: Slot, side: PortSide) -> Self::Lent;

    /// Whether the frame was lent by a source of the same opening of the segment, and so can be
    /// adopted; others are dropped.
    fn is_mine(&self, lent: &Self::Lent) -> bool {
        let _ = lent;
        true
    }

    /// Takes the right to a frame that another source of the same segment lent, with the port side
    /// that it came in by.
    fn adopt(&mut self, lent: Self::Lent) -> (Slot, PortSide);
}
