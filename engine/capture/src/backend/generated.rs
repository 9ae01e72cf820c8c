//! Frames made when they are asked for, and forgotten when they are given back: for benches.
//!
//! One buffer per frame in hand and nothing kept of what passed, so that a stream of any length
//! costs no memory and hardly any time beside what is measured. It must never know what is in a
//! frame, and never be used for live traffic.

#![allow(
    clippy::indexing_slicing,
    reason = "indices are the source's own; a bench wants to hear of the rest"
)]

use std::time::Duration;

use portcullis_types::{DropReason, PortSide, Tick};

use crate::{FrameSource, LinkKind, Received, RxFrame, Slot, SourceId, SourceStatistics};

/// Room for one frame, bytes.
pub const FRAME_MAX: usize = 2048;

/// A frame that the maker has written to the front of its buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Made {
    /// The port that it comes in by.
    pub side: PortSide,
    /// When.
    pub at: Tick,
    /// Its bytes, at most [`FRAME_MAX`].
    pub len: u16,
}

/// A source of made Ethernet frames; `None` from the maker is the end of the input.
pub struct GeneratedSource<F> {
    id: SourceId,
    make: F,
    frames: Vec<[u8; FRAME_MAX]>,
    free: Vec<u32>,
    number: u64,
    statistics: SourceStatistics,
}

impl<F: FnMut(&mut [u8; FRAME_MAX]) -> Option<Made>> GeneratedSource<F> {
    /// A source whose frames `make` writes. A buffer comes as it was left by some earlier frame.
    pub fn new(make: F) -> Self {
        GeneratedSource {
            id: SourceId::unique(),
            make,
            frames: Vec::new(),
            free: Vec::new(),
            number: 0,
            statistics: SourceStatistics::default(),
        }
    }

    fn room(&mut self) -> u32 {
        if let Some(index) = self.free.pop() {
            return index;
        }
        self.frames.push([0; FRAME_MAX]);
        u32::try_from(self.frames.len() - 1).unwrap_or(u32::MAX)
    }

    fn give_back(&mut self, slot: &Slot) {
        assert!(slot.is_of(self.id), "a slot of another source");
        self.free.push(slot.index());
    }
}

impl<F: FnMut(&mut [u8; FRAME_MAX]) -> Option<Made>> FrameSource for GeneratedSource<F> {
    fn link(&self) -> LinkKind {
        LinkKind::Ethernet
    }

    fn receive(&mut self, burst: &mut Vec<RxFrame>, max: usize) -> Received {
        for n in 0..max {
            let index = self.room();
            let Some(made) = (self.make)(&mut self.frames[index as usize]) else {
                self.free.push(index);
                return if n == 0 { Received::EndOfInput } else { Received::Frames };
            };
            let Made { side, at, len } = made;
            let len = u32::from(len);
            self.number += 1;
            let port = self.statistics.port_mut(side);
            port.received += 1;
            port.received_bytes += u64::from(len);
            let slot = Slot::new(self.id, index, 0, len);
            let (link, number) = (LinkKind::Ethernet, self.number);
            burst.push(RxFrame { slot, side, link, len, wire_len: len, at, number });
        }
        Received::Frames
    }

    fn bytes(&self, slot: &Slot) -> &[u8] {
        assert!(slot.is_of(self.id), "a slot of another source");
        &self.frames[slot.index() as usize][..slot.len() as usize]
    }

    fn forward(&mut self, slot: Slot) -> Result<(), DropReason> {
        self.give_back(&slot);
        Ok(())
    }

    fn discard(&mut self, slot: Slot) {
        self.give_back(&slot);
    }

    fn inject(&mut self, _: PortSide, _: &[u8]) -> Result<(), DropReason> {
        Ok(())
    }

    fn flush(&mut self) {}

    fn wait(&mut self, _: Duration) {}

    fn statistics(&mut self) -> SourceStatistics {
        SourceStatistics {
            in_hand: (self.frames.len() - self.free.len()) as u64,
            ..self.statistics
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_made_once_and_their_room_is_used_again() {
        let mut left = 3_u8;
        let mut source = GeneratedSource::new(|frame| {
            left = left.checked_sub(1)?;
            frame[0] = left;
            Some(Made { side: PortSide::A, at: Tick(9), len: 60 })
        });
        let mut burst = Vec::new();
        assert_eq!(source.receive(&mut burst, 2), Received::Frames);
        assert_eq!(source.statistics().in_hand, 2);
        let firsts: Vec<u8> = burst.iter().map(|f| source.bytes(&f.slot)[0]).collect();
        assert_eq!(firsts, [2, 1]);
        for frame in burst.drain(..) {
            source.discard(frame.slot);
        }
        assert_eq!(source.receive(&mut burst, 2), Received::Frames);
        assert_eq!((burst.len(), source.frames.len()), (1, 2));
        assert_eq!(source.receive(&mut burst, 2), Received::EndOfInput);
    }
}
