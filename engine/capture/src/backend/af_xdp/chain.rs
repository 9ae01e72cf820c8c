//! Frames in several pieces: jumbo frames that one chunk does not hold.
//!
//! The bytes are copied together for whoever reads them, and the pieces stay as they are for
//! whoever sends them: forwarding a jumbo frame copies nothing. Ordinary frames never come here.

/// Pieces of one frame at most: the kernel's `MAX_SKB_FRAGS` and the head.
pub(super) const PIECES_MAX: usize = 18;

/// Frames in several pieces that one worker has in hand at most. At the limit the worker leaves
/// further frames in the ring until one is disposed of.
pub(super) const CHAINS_MAX: usize = 256;

/// Room for the bytes at first: the usual jumbo frame with tags. Longer ones make it grow once.
const BYTES_USUAL: usize = 9_728;

/// One frame in several pieces. It stands for the right to each piece's chunk.
#[derive(Debug)]
pub(super) struct Chain {
    /// All bytes, in one.
    pub(super) bytes: Vec<u8>,
    /// Offset and length of each piece in frame memory.
    pub(super) pieces: Vec<(u32, u32)>,
}

impl Chain {
    fn new() -> Box<Self> {
        let bytes = Vec::with_capacity(BYTES_USUAL);
        Box::new(Chain { bytes, pieces: Vec::with_capacity(PIECES_MAX) })
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.pieces.clear();
    }
}

#[allow(clippy::vec_box, reason = "a chain travels between workers as the box that it is")]
/// The chains of one worker: those in hand by number, and empty ones.
#[derive(Debug, Default)]
pub(super) struct Chains {
    held: Vec<Option<Box<Chain>>>,
    numbers: Vec<u32>,
    empty: Vec<Box<Chain>>,
}

impl Chains {
    /// Room for [`CHAINS_MAX`], or none where no frame comes in several pieces.
    pub(super) fn with_room(room: usize) -> Self {
        let mut held = Vec::new();
        held.resize_with(room, || None);
        let numbers = (0..u32::try_from(room).unwrap_or(0)).rev().collect();
        Chains { held, numbers, empty: (0..room).map(|_| Chain::new()).collect() }
    }

    /// Whether frames may come in several pieces at all.
    pub(super) fn is_in_use(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether one more can be held.
    pub(super) fn has_room(&self) -> bool {
        !self.numbers.is_empty()
    }

    /// An empty chain. Allocates only where chains were handed to other workers and not come back.
    pub(super) fn blank(&mut self) -> Box<Chain> {
        self.empty.pop().unwrap_or_else(Chain::new)
    }

    /// Holds a chain and gives it a number. Adopted chains may go beyond the room: there are never
    /// more of them than the other workers' rooms together.
    pub(super) fn hold(&mut self, chain: Box<Chain>) -> u32 {
        let number = self.numbers.pop().unwrap_or_else(|| {
            self.held.push(None);
            u32::try_from(self.held.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.held.get_mut(number as usize) {
            *place = Some(chain);
        }
        number
    }

    /// Looks at a held chain.
    pub(super) fn peek(&self, number: u32) -> Option<&Chain> {
        self.held.get(number as usize)?.as_deref()
    }

    /// Takes a held chain out.
    pub(super) fn take(&mut self, number: u32) -> Option<Box<Chain>> {
        let chain = self.held.get_mut(number as usize)?.take()?;
        self.numbers.push(number);
        Some(chain)
    }

    /// Keeps an empty chain for later; surplus ones, from other workers, go.
    pub(super) fn keep(&mut self, mut chain: Box<Chain>) {
        if self.empty.len() < self.held.len() {
            chain.clear();
            self.empty.push(chain);
        }
    }
}
