//! Frames from a test, and a record of what became of each.
//!
//! Deterministic: frames come in the order pushed, at most as many per burst as the test says, and
//! nothing depends on a clock. It allocates freely; it must never be used for live traffic.

#![allow(
    clippy::indexing_slicing,
    reason = "tables of two by port side; a test wants to hear of the rest"
)]

use std::collections::VecDeque;
use std::time::Duration;

use portcullis_types::{DropReason, PortSide, Tick};

use super::copied::{CopiedFrame, Home, Lendings};
use crate::{FrameSource, HandOver, LinkKind, Received, RxFrame, Slot, SourceId, SourceStatistics};

/// What becomes of the source when its last frame has been received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It ends, like a capture.
    End,
    /// It waits for more, like a port.
    Wait,
}

/// What the source stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Two ports: what is forwarded leaves by the other one.
    Pair,
    /// One port that only listens: forwarding is refused with [`DropReason::Copy`].
    Tap,
}

/// A frame that has not been received yet.
#[derive(Debug)]
struct Waiting {
    side: PortSide,
    at: Tick,
    bytes: Vec<u8>,
}

/// A frame that the burst loop holds.
#[derive(Debug)]
struct Held {
    side: PortSide,
    link: LinkKind,
    bytes: Vec<u8>,
    /// Set where it was lent by another source.
    _home: Option<Home>,
}

/// A source in memory.
#[derive(Debug)]
pub struct MemorySource {
    id: SourceId,
    shape: Shape,
    ending: Ending,
    link: LinkKind,
    burst_max: usize,
    frame_bytes_max: usize,
    waiting: VecDeque<Waiting>,
    held: Vec<Option<Held>>,
    free: Vec<u32>,
    number: u64,
    forwarded: [Vec<Vec<u8>>; 2],
    injected: [Vec<Vec<u8>>; 2],
    discarded: [Vec<Vec<u8>>; 2],
    refusing: [Option<DropReason>; 2],
    gone: Option<PortSide>,
    flushes: u64,
    lendings: Lendings,
    statistics: SourceStatistics,
}

impl MemorySource {
    /// An empty source of Ethernet frames without a limit per burst other than the caller's.
    pub fn new(shape: Shape, ending: Ending) -> MemorySource {
        MemorySource {
            id: SourceId::unique(),
            shape,
            ending,
            link: LinkKind::Ethernet,
            burst_max: usize::MAX,
            frame_bytes_max: usize::MAX,
            waiting: VecDeque::new(),
            held: Vec::new(),
            free: Vec::new(),
            number: 0,
            forwarded: Default::default(),
            injected: Default::default(),
            discarded: Default::default(),
            refusing: [None; 2],
            gone: None,
            flushes: 0,
            lendings: Lendings::default(),
            statistics: SourceStatistics::default(),
        }
    }

    /// Frames begin with this from here on.
    pub fn set_link(&mut self, link: LinkKind) {
        self.link = link;
    }

    /// Receives at most this many frames per call, whatever the caller would take.
    pub fn set_burst_max(&mut self, frames: usize) {
        self.burst_max = frames;
    }

    /// Refuses to send longer frames, with [`DropReason::TooLong`].
    pub fn set_frame_bytes_max(&mut self, bytes: usize) {
        self.frame_bytes_max = bytes;
    }

    /// Refuses everything that would leave by `side` for this reason; `None` sends again.
    pub fn set_refusing(&mut self, side: PortSide, reason: Option<DropReason>) {
        self.refusing[side.index()] = reason;
    }

    /// Says from now on that this port is gone.
    pub fn lose_port(&mut self, side: PortSide) {
        self.gone = Some(side);
    }

    /// Adds a frame that comes in by `side` at `at` (zero: the burst's `now`).
    pub fn push(&mut self, side: PortSide, at: Tick, bytes: &[u8]) {
        self.waiting.push_back(Waiting { side, at, bytes: bytes.to_vec() });
    }

    /// Frames forwarded out of a port, in order.
    pub fn forwarded(&self, out: PortSide) -> &[Vec<u8>] {
        &self.forwarded[out.index()]
    }

    /// Crafted frames sent out of a port, in order.
    pub fn injected(&self, out: PortSide) -> &[Vec<u8>] {
        &self.injected[out.index()]
    }

    /// Frames that came in by a port and were not sent on, refused ones included, in order.
    pub fn discarded(&self, side: PortSide) -> &[Vec<u8>] {
        &self.discarded[side.index()]
    }

    /// Calls of `flush` so far.
    pub fn flushes(&self) -> u64 {
        self.flushes
    }

    fn hold(&mut self, held: Held) -> Slot {
        let len = u32::try_from(held.bytes.len()).expect("a test's frame is below 4 GiB");
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.held.push(None);
                u32::try_from(self.held.len() - 1).expect("fewer than 2^32 frames in hand")
            }
        };
        self.held[index as usize] = Some(held);
        Slot::new(self.id, index, 0, len)
    }

    fn take(&mut self, slot: &Slot) -> Held {
        assert!(slot.is_of(self.id), "a slot of another source");
        self.free.push(slot.index());
        self.held[slot.index() as usize].take().expect("a slot is given back once")
    }

    fn refusal(&self, out: PortSide, bytes: &[u8]) -> Option<DropReason> {
        let too_long = (bytes.len() > self.frame_bytes_max).then_some(DropReason::TooLong);
        self.refusing[out.index()].or(too_long)
    }

    fn count_sent(&mut self, out: PortSide, bytes: usize) {
        let port = self.statistics.port_mut(out);
        port.transmitted += 1;
        port.transmitted_bytes += bytes as u64;
    }
}

impl FrameSource for MemorySource {
    fn link(&self) -> LinkKind {
        self.link
    }

    fn receive(&mut self, burst: &mut Vec<RxFrame>, max: usize) -> Received {
        if let Some(side) = self.gone {
            return Received::PortGone(side);
        }
        let count = max.min(self.burst_max).min(self.waiting.len());
        for _ in 0..count {
            let Some(Waiting { side, at, bytes }) = self.waiting.pop_front() else { break };
            self.number += 1;
            let port = self.statistics.port_mut(side);
            port.received += 1;
            port.received_bytes += bytes.len() as u64;
            let link = self.link;
            let slot = self.hold(Held { side, link, bytes, _home: None });
            let (len, number) = (slot.len(), self.number);
            burst.push(RxFrame { slot, side, link, len, wire_len: len, at, number });
        }
        match (count, self.ending) {
            (1.., _) => Received::Frames,
            (0, Ending::End) if self.waiting.is_empty() => Received::EndOfInput,
            (0, _) => Received::Nothing,
        }
    }

    fn bytes(&self, slot: &Slot) -> &[u8] {
        assert!(slot.is_of(self.id), "a slot of another source");
        &self.held[slot.index() as usize].as_ref().expect("a slot is valid until given back").bytes
    }

    fn forward(&mut self, slot: Slot) -> Result<(), DropReason> {
        let held = self.take(&slot);
        let out = held.side.other();
        let refusal = match self.shape {
            Shape::Tap => Some(DropReason::Copy),
            Shape::Pair => self.refusal(out, &held.bytes),
        };
        if let Some(reason) = refusal {
            self.discarded[held.side.index()].push(held.bytes);
            return Err(reason);
        }
        self.count_sent(out, held.bytes.len());
        self.forwarded[out.index()].push(held.bytes);
        Ok(())
    }

    fn discard(&mut self, slot: Slot) {
        let held = self.take(&slot);
        self.discarded[held.side.index()].push(held.bytes);
    }

    fn inject(&mut self, side: PortSide, frame: &[u8]) -> Result<(), DropReason> {
        if self.shape == Shape::Tap && side == PortSide::B {
            return Err(DropReason::PortDown);
        }
        if let Some(reason) = self.refusal(side, frame) {
            return Err(reason);
        }
        self.count_sent(side, frame.len());
        self.injected[side.index()].push(frame.to_vec());
        Ok(())
    }

    fn flush(&mut self) {
        self.flushes += 1;
    }

    fn wait(&mut self, _timeout: Duration) {
        std::thread::yield_now();
    }

    fn statistics(&mut self) -> SourceStatistics {
        SourceStatistics {
            in_hand: (self.held.len() - self.free.len()) as u64 + self.lendings.out(),
            returned_home: self.lendings.returned(),
            ..self.statistics
        }
    }
}

impl HandOver for MemorySource {
    type Lent = CopiedFrame;

    fn lend(&mut self, slot: Slot, side: PortSide) -> CopiedFrame {
        let held = self.take(&slot);
        self.lendings.lend(held.bytes, side, held.link)
    }

    fn adopt(&mut self, lent: CopiedFrame) -> (Slot, PortSide) {
        let CopiedFrame { bytes, side, link, home } = lent;
        (self.hold(Held { side, link, bytes, _home: Some(home) }), side)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by where it stopped")]
    use super::*;

    fn receive(source: &mut MemorySource, max: usize) -> (Received, Vec<RxFrame>) {
        let mut burst = Vec::new();
        (source.receive(&mut burst, max), burst)
    }

    #[test]
    fn every_fate_is_recorded_by_port() {
        let mut source = MemorySource::new(Shape::Pair, Ending::End);
        for (side, byte) in [(PortSide::A, 1), (PortSide::B, 2), (PortSide::A, 3)] {
            source.push(side, Tick(9), &[byte; 60]);
        }
        source.set_burst_max(2);
        let (received, mut burst) = receive(&mut source, 64);
        assert_eq!((received, burst.len()), (Received::Frames, 2));
        assert_eq!(source.statistics().in_hand, 2);
        assert_eq!(source.bytes(&burst[1].slot), [2; 60]);
        source.forward(burst.remove(0).slot).unwrap();
        source.discard(burst.remove(0).slot);
        source.inject(PortSide::A, &[7; 54]).unwrap();
        let (_, mut burst) = receive(&mut source, 64);
        assert_eq!(burst[0].number, 3);
        source.set_refusing(PortSide::B, Some(DropReason::TransmitFull));
        assert_eq!(source.forward(burst.remove(0).slot), Err(DropReason::TransmitFull));
        assert_eq!(receive(&mut source, 64).0, Received::EndOfInput);
        assert_eq!(source.forwarded(PortSide::B), [vec![1; 60]]);
        assert_eq!(source.discarded(PortSide::B), [vec![2; 60]]);
        assert_eq!(source.discarded(PortSide::A), [vec![3; 60]]);
        assert_eq!(source.injected(PortSide::A), [vec![7; 54]]);
        assert_eq!(source.statistics().in_hand, 0);
    }

    #[test]
    fn a_tap_forwards_nothing_and_a_live_source_waits() {
        let mut source = MemorySource::new(Shape::Tap, Ending::Wait);
        source.push(PortSide::A, Tick::ZERO, &[1; 60]);
        let (_, mut burst) = receive(&mut source, 1);
        assert_eq!(source.forward(burst.remove(0).slot), Err(DropReason::Copy));
        assert_eq!(receive(&mut source, 1).0, Received::Nothing);
        source.lose_port(PortSide::A);
        assert_eq!(receive(&mut source, 1).0, Received::PortGone(PortSide::A));
    }

    #[test]
    fn lent_frames_are_in_hand_until_they_are_home() {
        let mut here = MemorySource::new(Shape::Pair, Ending::Wait);
        let mut there = MemorySource::new(Shape::Pair, Ending::Wait);
        here.push(PortSide::B, Tick::ZERO, &[5; 60]);
        let (_, mut burst) = receive(&mut here, 1);
        let frame = burst.remove(0);
        let lent = here.lend(frame.slot, frame.side);
        assert_eq!(here.statistics().in_hand, 1);
        let (slot, side) = there.adopt(lent);
        assert_eq!((there.bytes(&slot), side), (&[5; 60][..], PortSide::B));
        there.forward(slot).unwrap();
        assert_eq!(there.forwarded(PortSide::A), [vec![5; 60]]);
        let statistics = here.statistics();
        assert_eq!((statistics.in_hand, statistics.returned_home), (0, 1));
        assert_eq!(there.statistics().in_hand, 0);
    }

    #[test]
    #[should_panic(expected = "another source")]
    fn a_foreign_slot_is_our_bug() {
        let mut here = MemorySource::new(Shape::Pair, Ending::Wait);
        here.push(PortSide::A, Tick::ZERO, &[0; 60]);
        let slot = receive(&mut here, 1).1.remove(0).slot;
        MemorySource::new(Shape::Pair, Ending::Wait).discard(slot);
    }
}
