//! One worker's free frames.

use std::sync::Arc;

use super::umem::{Chunk, Umem};

/// Frames that are never given away for receiving, so that a crafted frame can always be sent.
const RESERVE: usize = 64;

/// The free chunks of one home.
#[derive(Debug)]
pub(super) struct Pool {
    umem: Arc<Umem>,
    home: u32,
    free: Vec<Chunk>,
    returned_home: u64,
}

impl Pool {
    /// The pool of worker `home` with the rights to all its chunks.
    pub(super) fn new(umem: Arc<Umem>, home: u32, free: Vec<Chunk>) -> Self {
        Pool { umem, home, free, returned_home: 0 }
    }

    pub(super) fn umem(&self) -> &Arc<Umem> {
        &self.umem
    }

    /// Takes a chunk back: ours into the pool, another worker's onto its way home.
    pub(super) fn release(&mut self, chunk: Chunk) {
        if self.umem.home_of(&chunk) == self.home {
            self.free.push(chunk);
        } else {
            self.umem.send_home(chunk);
        }
    }

    /// Takes in what other workers have sent home.
    pub(super) fn collect(&mut self) {
        while let Some(chunk) = self.umem.come_home(self.home) {
            self.returned_home += 1;
            self.free.push(chunk);
        }
    }

    /// A free chunk for the fill ring; the reserve stays.
    pub(super) fn take_for_receiving(&mut self) -> Option<Chunk> {
        if self.free.len() <= RESERVE { None } else { self.free.pop() }
    }

    /// A free chunk for a crafted frame.
    pub(super) fn take(&mut self) -> Option<Chunk> {
        self.free.pop()
    }

    /// Chunks that may be given away for receiving.
    pub(super) fn spare(&self) -> u32 {
        u32::try_from(self.free.len().saturating_sub(RESERVE)).unwrap_or(u32::MAX)
    }

    /// Frames that other workers disposed of.
    pub(super) fn returned_home(&self) -> u64 {
        self.returned_home
    }
}
