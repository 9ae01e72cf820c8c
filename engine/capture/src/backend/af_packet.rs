//! AF_PACKET: an inline pair or a tap on any Linux port, where AF_XDP cannot be had.
//!
//! Frames come in by a memory-mapped ring (TPACKET_V3) and leave by `sendmmsg` straight from it.
//! The kernel takes the outer VLAN tag out of a frame on receive; it is put back into the bytes, so
//! that no frame changes its VLAN. This file must never know what a header says beyond that.
//!
//! Several workers share a port by the kernel's fan-out, by a hash that is the same for both
//! directions of a flow. Fragments and tunnels hash otherwise: [`HandOver`] copies them across.
//!
//! The host's own stack sees the frames too: its ports must have no address and no bridge, which
//! `doctor` checks. Each frame waits for its block: up to [`AfPacketSettings::retire_ms`].

mod ring;
mod socket;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use portcullis_types::{DropReason, PortSide, Tick};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::copied::{CopiedFrame, Copies, Lendings};
use crate::port::{Asker, port_error};
use crate::{
    FrameSource, HandOver, LinkKind, OpenError, Received, RxFrame, Slot, SourceId,
    SourceStatistics, Wait,
};
use ring::{Next, Ring, RingFrame};
use socket::{PacketSocket, SEND_MAX};

/// How the rings are laid out. Memory per worker and port: `block_bytes * blocks`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AfPacketSettings {
    /// Bytes of one block: a multiple of 4,096, and more than the longest frame.
    pub block_bytes: u32,
    /// Blocks per ring.
    pub blocks: u32,
    /// Milliseconds after which a block is handed over though it is not full: what a lonely frame
    /// waits at most.
    pub retire_ms: u32,
    /// Frames queued for transmission per port at most; beyond, `transmit_full`.
    pub queue_max: usize,
    /// How to sleep. `Adaptive` and `BusyPoll` mean `Poll` here: a block takes a millisecond to
    /// come, so there is nothing to spin for.
    pub wait: Wait,
}

impl Default for AfPacketSettings {
    /// 64 blocks of 128 KiB: 8 MiB, some 5,000 full frames; one frame waits 1 ms at most.
    fn default() -> Self {
        AfPacketSettings {
            block_bytes: 128 << 10,
            blocks: 64,
            retire_ms: 1,
            queue_max: 4_096,
            wait: Wait::default(),
        }
    }
}

/// Marks slots whose bytes are a copy and not in a ring.
const COPY: u32 = 1 << 31;
/// Marks slots of port B.
const SIDE_B: u32 = 1 << 30;
const NUMBER: u32 = SIDE_B - 1;

/// A frame waiting to be sent, by the same words as its slot.
#[derive(Clone, Copy, Debug)]
struct Queued {
    index: u32,
    offset: u32,
    len: u32,
}

/// One port of the pair.
#[derive(Debug)]
struct Port {
    name: String,
    ifindex: u32,
    socket: PacketSocket,
    ring: Ring,
    queue: VecDeque<Queued>,
    freezes: u64,
}

/// An inline pair, or a tap, on packet sockets. One per worker.
#[derive(Debug)]
pub struct AfPacketSource {
    id: SourceId,
    settings: AfPacketSettings,
    asker: Asker,
    a: Port,
    /// `None` makes it a tap.
    b: Option<Port>,
    /// Frames that are not in our rings.
    copies: Copies,
    lendings: Lendings,
    /// The port that is asked first in the next burst.
    first: PortSide,
    number: u64,
    gone: Option<PortSide>,
    statistics: SourceStatistics,
}

impl AfPacketSource {
    /// Opens a pair (`b` given) or a tap for one worker.
    ///
    /// # Errors
    /// No such port, no right to packet sockets (CAP_NET_RAW), or settings that the kernel refuses.
    pub fn open(
        a: &str,
        b: Option<&str>,
        settings: AfPacketSettings,
    ) -> Result<AfPacketSource, OpenError> {
        let mut workers = Self::open_workers(a, b, settings, 1)?;
        workers.pop().ok_or_else(|| OpenError::Limit("at least one worker".to_owned()))
    }

    /// Opens a pair or a tap for several workers, among which the kernel divides the flows.
    ///
    /// # Errors
    /// As [`AfPacketSource::open`].
    pub fn open_workers(
        a: &str,
        b: Option<&str>,
        settings: AfPacketSettings,
        workers: usize,
    ) -> Result<Vec<AfPacketSource>, OpenError> {
        check(&settings, workers)?;
        let a_ports = Port::open_all(a, &settings, workers)?;
        let mut b_ports = match b {
            Some(b) => Port::open_all(b, &settings, workers)?.into_iter().map(Some).collect(),
            None => Vec::new(),
        };
        b_ports.resize_with(workers, || None);
        let mut sources = Vec::with_capacity(workers);
        for (a, b) in a_ports.into_iter().zip(b_ports) {
            let name = a.name.clone();
            sources.push(AfPacketSource {
                id: SourceId::unique(),
                settings,
                asker: Asker::new().map_err(|e| port_error(&name, "opening a socket", e))?,
                a,
                b,
                copies: Copies::default(),
                lendings: Lendings::default(),
                first: PortSide::A,
                number: 0,
                gone: None,
                statistics: SourceStatistics::default(),
            });
        }
        // Only now, when every group is whole: a socket alone would get frames of the others too.
        for source in &sources {
            for port in [Some(&source.a), source.b.as_ref()].into_iter().flatten() {
                port.socket.let_in().map_err(|e| port_error(&port.name, "letting frames in", e))?;
            }
        }
        Ok(sources)
    }

    /// How often a ring stood still for want of a free block, over both ports.
    pub fn freezes(&self) -> u64 {
        self.a.freezes + self.b.as_ref().map_or(0, |b| b.freezes)
    }

    #[inline]
    fn port(&self, side: PortSide) -> Option<&Port> {
        match side {
            PortSide::A => Some(&self.a),
            PortSide::B => self.b.as_ref(),
        }
    }

    #[inline]
    fn port_mut(&mut self, side: PortSide) -> Option<&mut Port> {
        match side {
            PortSide::A => Some(&mut self.a),
            PortSide::B => self.b.as_mut(),
        }
    }

    fn receive_from(&mut self, side: PortSide, burst: &mut Vec<RxFrame>, max: usize) {
        for _ in 0..max {
            let next = self.port_mut(side).map_or(Next::Nothing, |port| port.ring.next());
            let counters = self.statistics.port_mut(side);
            let RingFrame { block, offset, len } = match next {
                Next::Frame(frame) => frame,
                Next::Oversize => {
                    counters.oversize += 1;
                    continue;
                }
                Next::Nothing => return,
            };
            counters.received += 1;
            counters.received_bytes += u64::from(len);
            self.number += 1;
            let slot = Slot::new(self.id, block | side_bit(side), offset, len);
            burst.push(RxFrame {
                slot,
                side,
                link: LinkKind::Ethernet,
                len,
                wire_len: len,
                at: Tick::ZERO,
                number: self.number,
            });
        }
    }

    #[inline]
    fn frame_bytes(&self, index: u32, offset: u32, len: u32) -> &[u8] {
        if index & COPY != 0 {
            return self.copies.bytes(index & NUMBER);
        }
        let port = self.port(side_of(index));
        port.map(|port| port.ring.bytes(index & NUMBER, offset, len)).unwrap_or_default()
    }

    fn give_back(&mut self, index: u32) {
        if index & COPY == 0 {
            if let Some(port) = self.port_mut(side_of(index)) {
                port.ring.give_back(index & NUMBER);
            }
            return;
        }
        if let Some(buffer) = self.copies.end(index & NUMBER) {
            self.lendings.spare(buffer);
        }
    }

    /// Queues a frame, or says why not.
    fn queue(&mut self, out: PortSide, queued: Queued) -> Result<(), DropReason> {
        let queue_max = self.settings.queue_max;
        let reason = match self.port_mut(out) {
            None => DropReason::Copy,
            Some(port) if port.queue.len() >= queue_max => DropReason::TransmitFull,
            Some(port) => {
                port.queue.push_back(queued);
                let counters = self.statistics.port_mut(out);
                counters.transmitted += 1;
                counters.transmitted_bytes += u64::from(queued.len);
                return Ok(());
            }
        };
        if reason == DropReason::TransmitFull {
            self.statistics.port_mut(out).transmit_full += 1;
        }
        self.give_back(queued.index);
        Err(reason)
    }

    /// Sends what is queued out of one port until it is all gone or the port takes no more.
    fn send_queued(&mut self, out: PortSide) {
        while let Some(port) = self.port(out).filter(|port| !port.queue.is_empty()) {
            let mut frames: [&[u8]; SEND_MAX] = [&[]; SEND_MAX];
            let mut count = 0;
            for (place, queued) in frames.iter_mut().zip(&port.queue) {
                *place = self.frame_bytes(queued.index, queued.offset, queued.len);
                count += 1;
            }
            match port.socket.send(frames.get(..count).unwrap_or_default()) {
                Ok(0) => return,
                Ok(sent) => {
                    for _ in 0..sent {
                        self.sent_one(out);
                    }
                }
                Err(error) => match error.raw_os_error() {
                    // The port is busy: again with the next burst, until the queue is full.
                    Some(libc::EAGAIN | libc::ENOBUFS | libc::EINTR) => return,
                    Some(libc::ENETDOWN) => return self.drop_queued(out),
                    Some(libc::ENXIO | libc::ENODEV) => {
                        self.gone = Some(out);
                        return self.drop_queued(out);
                    }
                    // Longer than the port's MTU, or shorter than a header: this frame only.
                    _ => {
                        self.statistics.port_mut(out).oversize += 1;
                        self.unsend_one(out);
                    }
                },
            }
        }
    }

    /// Takes the oldest queued frame off the queue: it was sent.
    fn sent_one(&mut self, out: PortSide) -> u32 {
        let Some(queued) = self.port_mut(out).and_then(|port| port.queue.pop_front()) else {
            return 0;
        };
        self.give_back(queued.index);
        queued.len
    }

    /// Takes the oldest queued frame off the queue: it was not sent.
    fn unsend_one(&mut self, out: PortSide) {
        let len = self.sent_one(out);
        let counters = self.statistics.port_mut(out);
        counters.transmitted = counters.transmitted.saturating_sub(1);
        counters.transmitted_bytes = counters.transmitted_bytes.saturating_sub(u64::from(len));
    }

    /// The link is down: what waits would be old when it comes back.
    fn drop_queued(&mut self, out: PortSide) {
        self.statistics.port_mut(out).link_down += 1;
        while self.port(out).is_some_and(|port| !port.queue.is_empty()) {
            self.unsend_one(out);
        }
    }

    /// After an error on a socket: is the link down, or the port gone for good?
    fn look_at_error(&mut self, side: PortSide) {
        let Some(port) = self.port(side) else { return };
        if !port.socket.take_error().is_ok_and(|error| error == libc::ENETDOWN) {
            return;
        }
        let there = self.asker.facts(&port.name).is_ok_and(|facts| facts.ifindex == port.ifindex);
        self.statistics.port_mut(side).link_down += 1;
        if !there {
            self.gone = Some(side);
        }
    }

    fn read_ring_statistics(&mut self, side: PortSide) {
        let Some(port) = self.port_mut(side) else { return };
        if let Ok(counted) = port.socket.ring_statistics() {
            port.freezes += u64::from(counted.freezes);
            self.statistics.port_mut(side).kernel_dropped += u64::from(counted.drops);
        }
    }
}

impl Port {
    /// The same port once per worker, in one group.
    fn open_all(
        name: &str,
        settings: &AfPacketSettings,
        workers: usize,
    ) -> Result<Vec<Port>, OpenError> {
        let failed = |doing| move |error: io::Error| port_error(name, doing, error);
        let asker = Asker::new().map_err(failed("opening a socket"))?;
        let ifindex = asker.facts(name)?.ifindex;
        let mut group = None;
        let mut ports = Vec::with_capacity(workers);
        for _ in 0..workers {
            let socket = PacketSocket::new().map_err(failed("opening a packet socket"))?;
            let AfPacketSettings { block_bytes, blocks, retire_ms, .. } = *settings;
            let ring = Ring::new(&socket, block_bytes, blocks, retire_ms)
                .map_err(failed("making a receive ring (fewer blocks need less memory)"))?;
            socket.bind(ifindex).map_err(failed("binding a packet socket"))?;
            if workers > 1 {
                group = Some(socket.join(group).map_err(failed("joining the fan-out group"))?);
            }
            ports.push(Port {
                name: name.to_owned(),
                ifindex,
                socket,
                ring,
                queue: VecDeque::with_capacity(settings.queue_max),
                freezes: 0,
            });
        }
        Ok(ports)
    }
}

impl FrameSource for AfPacketSource {
    fn link(&self) -> LinkKind {
        LinkKind::Ethernet
    }

    fn receive(&mut self, burst: &mut Vec<RxFrame>, max: usize) -> Received {
        if let Some(side) = self.gone {
            return Received::PortGone(side);
        }
        let before = burst.len();
        // Both ports get their half; what one leaves the other may use.
        let half = if self.b.is_some() { max.div_ceil(2) } else { max };
        let (first, second) = (self.first, self.first.other());
        self.receive_from(first, burst, half);
        self.receive_from(second, burst, max - (burst.len() - before));
        self.receive_from(first, burst, max - (burst.len() - before));
        self.first = second;
        if burst.len() > before { Received::Frames } else { Received::Nothing }
    }

    #[inline]
    fn bytes(&self, slot: &Slot) -> &[u8] {
        assert!(slot.is_of(self.id), "a slot of another source");
        self.frame_bytes(slot.index(), slot.offset(), slot.len())
    }

    #[inline]
    fn forward(&mut self, slot: Slot) -> Result<(), DropReason> {
        assert!(slot.is_of(self.id), "a slot of another source");
        let (index, offset, len) = (slot.index(), slot.offset(), slot.len());
        self.queue(side_of(index).other(), Queued { index, offset, len })
    }

    #[inline]
    fn discard(&mut self, slot: Slot) {
        assert!(slot.is_of(self.id), "a slot of another source");
        self.give_back(slot.index());
    }

    fn inject(&mut self, side: PortSide, frame: &[u8]) -> Result<(), DropReason> {
        if self.port(side).is_none() {
            return Err(DropReason::PortDown);
        }
        let len = u32::try_from(frame.len()).map_err(|_| DropReason::TooLong)?;
        let mut bytes = self.lendings.buffer();
        bytes.extend_from_slice(frame);
        let index = self.copies.keep(bytes, None) | COPY | side_bit(side.other());
        self.queue(side, Queued { index, offset: 0, len })
    }

    fn flush(&mut self) {
        self.send_queued(PortSide::A);
        self.send_queued(PortSide::B);
    }

    fn wait(&mut self, timeout: Duration) {
        if self.settings.wait == Wait::Spin {
            std::hint::spin_loop();
            return;
        }
        let busy =
            [Some(&self.a), self.b.as_ref()].into_iter().flatten().any(|p| !p.queue.is_empty());
        // With frames still queued the port must be tried again soon, whatever arrives.
        let timeout = if busy { timeout.min(Duration::from_millis(1)) } else { timeout };
        let Ok(timeout) = Timespec::try_from(timeout) else { return };
        let b = self.b.as_ref().unwrap_or(&self.a);
        let mut ports =
            [PollFd::new(&self.a.socket, PollFlags::IN), PollFd::new(&b.socket, PollFlags::IN)];
        if poll(&mut ports, Some(&timeout)).is_err() {
            return;
        }
        let [a, b] = ports.map(|port| port.revents().contains(PollFlags::ERR));
        for (failed, side) in [(a, PortSide::A), (b, PortSide::B)] {
            if failed {
                self.look_at_error(side);
            }
        }
    }

    fn statistics(&mut self) -> SourceStatistics {
        self.read_ring_statistics(PortSide::A);
        self.read_ring_statistics(PortSide::B);
        let in_rings = self.a.ring.lent() + self.b.as_ref().map_or(0, |b| b.ring.lent());
        SourceStatistics {
            in_hand: in_rings + self.copies.count() + self.lendings.out(),
            returned_home: self.lendings.returned(),
            ..self.statistics
        }
    }
}

impl HandOver for AfPacketSource {
    type Lent = CopiedFrame;

    fn lend(&mut self, slot: Slot, side: PortSide) -> CopiedFrame {
        assert!(slot.is_of(self.id), "a slot of another source");
        let mut bytes = self.lendings.buffer();
        bytes.extend_from_slice(self.frame_bytes(slot.index(), slot.offset(), slot.len()));
        self.give_back(slot.index());
        self.lendings.lend(bytes, side, LinkKind::Ethernet)
    }

    fn adopt(&mut self, lent: CopiedFrame) -> (Slot, PortSide) {
        let CopiedFrame { bytes, side, home, .. } = lent;
        let len = u32::try_from(bytes.len()).unwrap_or(0);
        let number = self.copies.keep(bytes, Some(home));
        (Slot::new(self.id, number | COPY | side_bit(side), 0, len), side)
    }
}

#[inline]
const fn side_bit(side: PortSide) -> u32 {
    match side {
        PortSide::A => 0,
        PortSide::B => SIDE_B,
    }
}

#[inline]
const fn side_of(index: u32) -> PortSide {
    if index & SIDE_B == 0 { PortSide::A } else { PortSide::B }
}

fn check(settings: &AfPacketSettings, workers: usize) -> Result<(), OpenError> {
    /// What a fan-out group can have (`PACKET_FANOUT_MAX` before it could be set).
    const WORKERS_MAX: usize = 256;
    let refuse = |what: String| Err(OpenError::Limit(what));
    if workers == 0 || workers > WORKERS_MAX {
        return refuse(format!("{workers} workers: use 1 to {WORKERS_MAX}"));
    }
    if settings.block_bytes == 0 || !settings.block_bytes.is_multiple_of(4_096) {
        return refuse(format!("block_bytes = {}: use a multiple of 4096", settings.block_bytes));
    }
    if settings.blocks < 2 || settings.blocks > NUMBER {
        return refuse(format!("blocks = {}: use at least 2", settings.blocks));
    }
    Ok(())
}
