//! AF_XDP: rings of our own over one memory area per segment.
//!
//! ```text
//!   fill ─► kernel ─► rx ─► burst ─► tx of the other port ─► kernel ─► completion ─► pool ─► fill
//!                              └──► lent to another worker, comes home by a lane ─────┘
//! ```
//!
//! Every frame is a chunk with exactly one right to it (`umem.rs`): in the pool, with the kernel,
//! or out as a [`Slot`]. A slot holds the frame's place; turning it back into a chunk consumes it.
//!
//! This module must never know what is in a frame.

#![allow(unsafe_code, reason = "slots stand for memory that the kernel writes: the AF_XDP rings")]

mod chain;
mod pool;
mod ring;
mod segment;
mod socket;
mod umem;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use portcullis_types::{DropReason, PortSide, Tick};
use rustix::net::xdp::{XdpDesc, XdpDescOptions};

use chain::{Chain, Chains, PIECES_MAX};
use pool::Pool;
use segment::{FRAME_HEAD, busy_poll};
pub use segment::{Mode, Opened, OpenedFacts, SegmentPlan, open};
use socket::{Link, Socket};
use umem::Umem;

use crate::kernel::Heartbeat;
use crate::port::{Asker, PortFacts};
use crate::{
    FrameSource, HandOver, LinkKind, PortStatistics, Received, RxFrame, Slot, SourceId,
    SourceStatistics, Wait,
};

/// In a slot's index: the frame came in by port B.
const FROM_B: u32 = 1 << 30;
/// In a slot's index: the frame is a chain, and the bits below are its number.
const CHAINED: u32 = 1 << 31;
/// In a slot's index: a chain's number.
const NUMBER: u32 = FROM_B - 1;

/// One port as one worker has it: its share of the queues.
#[derive(Debug)]
struct Port {
    side: PortSide,
    name: String,
    queues: Vec<u32>,
    /// The first one also sends: one transmit queue keeps each flow in order.
    sockets: Vec<Socket>,
    heartbeats: Vec<Heartbeat>,
    frame_max: u32,
    link: Link,
    counted: PortStatistics,
}

impl Port {
    fn new(side: PortSide, facts: &PortFacts, sockets: Vec<Socket>, queues: Vec<u32>) -> Self {
        Port {
            side,
            name: facts.name.clone(),
            queues,
            sockets,
            heartbeats: Vec::new(),
            frame_max: facts.mtu + FRAME_HEAD,
            link: Link::Up,
            counted: PortStatistics::default(),
        }
    }

    /// Takes note of what a call said about the link. A port that is gone stays gone.
    fn note(&mut self, link: Link) {
        if link == Link::Down && self.link == Link::Up {
            self.counted.link_down += 1;
        }
        if self.link != Link::Gone {
            self.link = link;
        }
    }

    fn kick(&mut self, pool: &mut Pool) {
        if let Some(first) = self.sockets.first_mut() {
            let link = first.kick(pool);
            // An idle ring says nothing about a link that was down: ask.
            let link = if self.link == Link::Up { link } else { first.probe() };
            self.note(link);
        }
    }

    /// Queues pieces for transmission; what is wrong if that cannot be.
    fn send(&mut self, pieces: &[(u32, u32)], pool: &mut Pool) -> Result<(), DropReason> {
        let bytes: u32 = pieces.iter().map(|&(_, len)| len).sum();
        if self.link != Link::Up {
            return Err(DropReason::PortDown);
        }
        if bytes > self.frame_max {
            return Err(DropReason::TooLong);
        }
        let wanted = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
        let Some(first) = self.sockets.first_mut() else { return Err(DropReason::PortDown) };
        if first.tx.room(wanted) < wanted {
            let link = first.kick(pool);
            let full = first.tx.room(wanted) < wanted;
            self.note(link);
            if full {
                self.counted.transmit_full += 1;
                return Err(DropReason::TransmitFull);
            }
        }
        if let Some(first) = self.sockets.first_mut() {
            first.stage(pieces);
        }
        self.counted.transmitted += 1;
        self.counted.transmitted_bytes += u64::from(bytes);
        Ok(())
    }
}

/// One worker's share of a segment: its queues of both ports and its part of the frame memory.
#[derive(Debug)]
pub struct XdpSource {
    id: SourceId,
    pool: Pool,
    ports: Vec<Port>,
    chains: Chains,
    wait: Wait,
    asker: Option<Asker>,
    /// Which port is asked first; alternates, so that neither starves the other.
    first: usize,
    frames: u64,
    /// Slots that are out with the burst loop.
    out: u64,
}

/// A frame on its way from the worker that received it to the one that owns its flow.
#[derive(Debug)]
pub struct LentFrame {
    umem: Arc<Umem>,
    /// `None` once it has been adopted.
    right: Option<LentRight>,
    side: PortSide,
}

#[derive(Debug)]
enum LentRight {
    Chained(Box<Chain>),
    Single { offset: u32, len: u32 },
}

impl Drop for LentFrame {
    fn drop(&mut self) {
        let go = |offset: u32| {
            // SAFETY: justification: a lent frame knows its place only. `lend` consumed the slot
            // that stood for this chunk, and `adopt` did not take it over.
            if let Some(chunk) = unsafe { self.umem.returned(u64::from(offset)) } {
                self.umem.send_home(chunk);
            }
        };
        match &self.right {
            Some(LentRight::Single { offset, .. }) => go(*offset),
            Some(LentRight::Chained(chain)) => chain.pieces.iter().for_each(|&(o, _)| go(o)),
            None => {}
        }
    }
}

impl XdpSource {
    fn assemble(pool: Pool, ports: Vec<Port>, chains: Chains, wait: Wait) -> Self {
        XdpSource {
            id: SourceId::unique(),
            pool,
            ports,
            chains,
            wait,
            asker: Asker::new().ok(),
            first: 0,
            frames: 0,
            out: 0,
        }
    }

    fn slot(&self, side: PortSide, index: u32, offset: u32, len: u32) -> Slot {
        let from = if side == PortSide::B { FROM_B } else { 0 };
        Slot::new(self.id, index | from, offset, len)
    }

    /// Puts a frame's chunks back. The caller has consumed the right to them.
    fn release(&mut self, pieces: &[(u32, u32)]) {
        for &(offset, _) in pieces {
            // SAFETY: justification: slots and chains know places only. The slot that stood for
            // this chunk has been consumed by whoever calls, and was the only right to it.
            if let Some(chunk) = unsafe { self.pool.umem().returned(u64::from(offset)) } {
                self.pool.release(chunk);
            }
        }
    }

    /// Takes what one socket has received, at most up to a burst of `until` frames.
    fn take(&mut self, port: usize, socket: usize, burst: &mut Vec<RxFrame>, until: usize) {
        let before = burst.len();
        let mut taken = false;
        while burst.len() < until && (self.chains.has_room() || !self.is_chaining()) {
            let Some(p) = self.ports.get_mut(port) else { return };
            let Some(descriptor) = p.sockets.get_mut(socket).and_then(|s| s.rx.take()) else {
                break;
            };
            taken = true;
            let side = p.side;
            let more = descriptor.options.contains(XdpDescOptions::XDP_PKT_CONTD);
            let in_pieces = more || p.sockets.get(socket).is_some_and(|s| s.partial.is_some());
            let slot = match in_pieces {
                true => self.piece(port, socket, &descriptor, more),
                false => {
                    let offset = u32::try_from(descriptor.addr).unwrap_or(u32::MAX);
                    self.pool.umem().prefetch(offset);
                    Some(self.slot(side, 0, offset, descriptor.len))
                }
            };
            let Some(slot) = slot else { continue };
            self.frames += 1;
            self.out += 1;
            let len = slot.len();
            let number = self.frames;
            let (link, at) = (LinkKind::Ethernet, Tick::ZERO);
            burst.push(RxFrame { slot, side, len, wire_len: len, at, number, link });
        }
        let Some(p) = self.ports.get_mut(port) else { return };
        if taken && let Some(s) = p.sockets.get_mut(socket) {
            s.rx.release();
        }
        let added = burst.get(before..).unwrap_or(&[]);
        p.counted.received += added.len() as u64;
        p.counted.received_bytes += added.iter().map(|f| u64::from(f.len)).sum::<u64>();
    }

    /// Whether frames may come in several pieces.
    fn is_chaining(&self) -> bool {
        self.chains.is_in_use()
    }

    /// Adds one piece to the frame that a port is receiving; the slot once it is whole.
    fn piece(
        &mut self,
        port: usize,
        socket: usize,
        descriptor: &XdpDesc,
        more: bool,
    ) -> Option<Slot> {
        let offset = u32::try_from(descriptor.addr).unwrap_or(u32::MAX);
        let p = self.ports.get_mut(port)?;
        let side = p.side;
        let s = p.sockets.get_mut(socket)?;
        let mut chain = s.partial.take().unwrap_or_else(|| self.chains.blank());
        // SAFETY: justification: the ring speaks in places. The kernel has just given this chunk to
        // us, and nobody else gets to it while it is being read here.
        let bytes = unsafe { self.pool.umem().read(offset, descriptor.len) };
        if chain.pieces.len() < PIECES_MAX {
            chain.bytes.extend_from_slice(bytes);
        }
        chain.pieces.push((offset, descriptor.len));
        if more {
            s.partial = Some(chain);
            return None;
        }
        if chain.pieces.len() > PIECES_MAX {
            p.counted.oversize += 1;
            let pieces = std::mem::take(&mut chain.pieces);
            self.release(&pieces);
            self.chains.keep(chain);
            return None;
        }
        let len = u32::try_from(chain.bytes.len()).unwrap_or(u32::MAX);
        let number = self.chains.hold(chain);
        Some(self.slot(side, number | CHAINED, 0, len))
    }

    /// The frame is no longer out: what it consists of. Consumes the slot.
    fn redeem(&mut self, slot: Slot) -> (PortSide, LentRight) {
        assert!(slot.is_of(self.id), "a slot goes back to the source that gave it");
        self.out = self.out.saturating_sub(1);
        let index = slot.index();
        let side = if index & FROM_B != 0 { PortSide::B } else { PortSide::A };
        let right = match index & CHAINED != 0 {
            // A chain's number is given out with its slot, so the chain is there.
            true => {
                let chain = self.chains.take(index & NUMBER);
                LentRight::Chained(chain.unwrap_or_else(|| self.chains.blank()))
            }
            false => LentRight::Single { offset: slot.offset(), len: slot.len() },
        };
        (side, right)
    }

    /// The port that is gone, if one is.
    fn gone(&self) -> Option<PortSide> {
        self.ports.iter().find(|p| p.link == Link::Gone).map(|p| p.side)
    }

    fn send(&mut self, side: PortSide, pieces: &[(u32, u32)]) -> Result<(), DropReason> {
        let Some(port) = self.ports.get_mut(side.index()) else { return Err(DropReason::Copy) };
        port.send(pieces, &mut self.pool)
    }

    /// Reads the ports' MTUs again: they may change under a running engine.
    fn refresh_limits(&mut self) {
        let Some(asker) = &self.asker else { return };
        for port in &mut self.ports {
            if let Ok(mtu) = asker.mtu(&port.name) {
                port.frame_max = mtu + FRAME_HEAD;
            }
        }
    }
}

impl FrameSource for XdpSource {
    fn link(&self) -> LinkKind {
        LinkKind::Ethernet
    }

    fn receive(&mut self, burst: &mut Vec<RxFrame>, max: usize) -> Received {
        let before = burst.len();
        let until = before.saturating_add(max);
        let ports = self.ports.len();
        for turn in 0..ports {
            let port = (self.first + turn) % ports.max(1);
            let sockets = self.ports.get(port).map_or(0, |p| p.sockets.len());
            for socket in 0..sockets {
                self.take(port, socket, burst, until);
            }
        }
        self.first = (self.first + 1) % ports.max(1);
        if burst.len() > before {
            return Received::Frames;
        }
        self.gone().map_or(Received::Nothing, Received::PortGone)
    }

    fn bytes(&self, slot: &Slot) -> &[u8] {
        assert!(slot.is_of(self.id), "a slot is read by the source that gave it");
        if slot.index() & CHAINED != 0 {
            let chain = self.chains.peek(slot.index() & NUMBER);
            return chain.map_or(&[], |c| &c.bytes);
        }
        // SAFETY: justification: a slot knows the frame's place only. The slot is the one right to
        // its chunk; giving it away (forward, discard, lend) needs this source exclusively, which
        // the result borrows. So nobody writes while the result lives.
        unsafe { self.pool.umem().read(slot.offset(), slot.len()) }
    }

    fn forward(&mut self, slot: Slot) -> Result<(), DropReason> {
        let (side, right) = self.redeem(slot);
        match right {
            LentRight::Single { offset, len } => {
                let pieces = [(offset, len)];
                self.send(side.other(), &pieces).inspect_err(|_| self.release(&pieces))
            }
            LentRight::Chained(chain) => {
                let sent = self.send(side.other(), &chain.pieces);
                if sent.is_err() {
                    self.release(&chain.pieces);
                }
                self.chains.keep(chain);
                sent
            }
        }
    }

    fn discard(&mut self, slot: Slot) {
        match self.redeem(slot).1 {
            LentRight::Single { offset, len } => self.release(&[(offset, len)]),
            LentRight::Chained(chain) => {
                self.release(&chain.pieces);
                self.chains.keep(chain);
            }
        }
    }

    fn inject(&mut self, side: PortSide, frame: &[u8]) -> Result<(), DropReason> {
        let Some(mut chunk) = self.pool.take() else { return Err(DropReason::TransmitFull) };
        let umem = Arc::clone(self.pool.umem());
        let Some(offset) = umem.write(&mut chunk, frame) else {
            self.pool.release(chunk);
            return Err(DropReason::TooLong);
        };
        let len = u32::try_from(frame.len()).unwrap_or(0);
        // On success the kernel has the chunk, and its completion brings it back.
        self.send(side, &[(offset, len)]).inspect_err(|_| self.pool.release(chunk))
    }

    fn flush(&mut self) {
        let busy_poll = busy_poll(self.wait);
        for port in &mut self.ports {
            port.kick(&mut self.pool);
        }
        self.pool.collect();
        let mut left = self.ports.iter().map(|p| p.sockets.len()).sum::<usize>();
        for socket in self.ports.iter_mut().flat_map(|p| &mut p.sockets) {
            // Where frames are short, each socket gets its share of what there is.
            let share = self.pool.spare() / u32::try_from(left.max(1)).unwrap_or(1);
            socket.refill(&mut self.pool, share);
            socket.nudge_receive(busy_poll);
            left -= 1;
        }
    }

    fn wait(&mut self, timeout: Duration) {
        wait::wait(&mut self.ports, self.wait, timeout);
    }

    fn alive(&mut self, now: Tick) {
        for heartbeat in self.ports.iter().flat_map(|p| &p.heartbeats) {
            heartbeat.stamp(now);
        }
    }

    fn statistics(&mut self) -> SourceStatistics {
        self.refresh_limits();
        let mut statistics = SourceStatistics {
            returned_home: self.pool.returned_home(),
            in_hand: self.out,
            ..SourceStatistics::default()
        };
        for port in &mut self.ports {
            let mut xdp = crate::XdpStatistics::default();
            for socket in &port.sockets {
                socket.add_statistics(&mut xdp);
                statistics.in_hand += u64::from(socket.outstanding());
            }
            // A port that is gone takes its counters along: what was known stays.
            if xdp != crate::XdpStatistics::default() || port.link != Link::Gone {
                port.counted.xdp = xdp;
            }
            // In copy mode a frame that met an empty fill ring is in `rx_dropped` as well.
            port.counted.kernel_dropped =
                port.counted.xdp.rx_dropped + port.counted.xdp.rx_ring_full;
            *statistics.port_mut(port.side) = port.counted;
        }
        statistics
    }
}

impl HandOver for XdpSource {
    type Lent = LentFrame;

    fn lend(&mut self, slot: Slot, side: PortSide) -> LentFrame {
        let (_, right) = self.redeem(slot);
        LentFrame { umem: Arc::clone(self.pool.umem()), right: Some(right), side }
    }

    fn adopt(&mut self, mut lent: LentFrame) -> (Slot, PortSide) {
        let same = Arc::ptr_eq(&lent.umem, self.pool.umem());
        assert!(same, "a lent frame stays within its segment");
        self.out += 1;
        let side = lent.side;
        let slot = match lent.right.take() {
            Some(LentRight::Chained(chain)) => {
                let len = u32::try_from(chain.bytes.len()).unwrap_or(u32::MAX);
                let number = self.chains.hold(chain);
                self.slot(side, number | CHAINED, 0, len)
            }
            Some(LentRight::Single { offset, len }) => self.slot(side, 0, offset, len),
            // Only `adopt` takes the right, and it consumes the frame: it is always there.
            None => self.slot(side, CHAINED | NUMBER, 0, 0),
        };
        (slot, side)
    }
}
