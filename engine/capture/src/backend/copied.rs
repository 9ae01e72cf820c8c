//! A frame on its way to another worker, for sources whose memory the other cannot reach.
//!
//! AF_XDP's workers share their frame memory and lend without copying; packet sockets and tests
//! have none to share, so the bytes travel. Buffers are used again by whoever ends up with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_types::PortSide;

use crate::LinkKind;

/// Buffers that a source keeps for the next frames; more are freed.
const SPARES_MAX: usize = 256;

/// A copied frame. Dropped, it counts as returned to the source that it came from.
#[derive(Debug)]
pub struct CopiedFrame {
    pub(super) bytes: Vec<u8>,
    pub(super) side: PortSide,
    pub(super) link: LinkKind,
    pub(super) home: Home,
}

/// Tells the source that lent a frame that it has been disposed of.
#[derive(Debug)]
pub(super) struct Home(Arc<AtomicU64>);

impl Drop for Home {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A source's side of lending: how many frames left, and how many of them are done with.
#[derive(Debug, Default)]
pub(super) struct Lendings {
    lent: u64,
    returned: Arc<AtomicU64>,
    spares: Vec<Vec<u8>>,
}

impl Lendings {
    /// Sends these bytes to another worker.
    pub(super) fn lend(&mut self, bytes: Vec<u8>, side: PortSide, link: LinkKind) -> CopiedFrame {
        self.lent += 1;
        CopiedFrame { bytes, side, link, home: Home(Arc::clone(&self.returned)) }
    }

    /// An empty buffer, used before if there is one.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = self.spares.pop().unwrap_or_default();
        buffer.clear();
        buffer
    }

    /// Keeps a buffer for later.
    pub(super) fn spare(&mut self, buffer: Vec<u8>) {
        if self.spares.len() < SPARES_MAX {
            self.spares.push(buffer);
        }
    }

    /// Frames lent that came home.
    pub(super) fn returned(&self) -> u64 {
        self.returned.load(Ordering::Relaxed)
    }

    /// Frames lent that did not yet.
    pub(super) fn out(&self) -> u64 {
        self.lent.saturating_sub(self.returned())
    }
}

/// Frames that are not in the source's own memory: adopted from another worker, or crafted.
#[derive(Debug, Default)]
pub(super) struct Copies {
    places: Vec<Option<Kept>>,
    free: Vec<u32>,
}

/// One such frame; dropped, it tells its home where it has one.
#[derive(Debug)]
struct Kept {
    bytes: Vec<u8>,
    _home: Option<Home>,
}

impl Copies {
    /// Keeps a frame under a number of its own.
    pub(super) fn keep(&mut self, bytes: Vec<u8>, home: Option<Home>) -> u32 {
        let copy = Some(Kept { bytes, _home: home });
        if let Some(number) = self.free.pop() {
            if let Some(place) = self.places.get_mut(number as usize) {
                *place = copy;
            }
            return number;
        }
        self.places.push(copy);
        u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
    }

    /// Its bytes.
    #[inline]
    pub(super) fn bytes(&self, number: u32) -> &[u8] {
        let copy = self.places.get(number as usize).and_then(Option::as_ref);
        copy.map(|copy| &*copy.bytes).unwrap_or_default()
    }

    /// Ends it; its buffer is for the next.
    pub(super) fn end(&mut self, number: u32) -> Option<Vec<u8>> {
        let copy = self.places.get_mut(number as usize).and_then(Option::take);
        debug_assert!(copy.is_some(), "a frame came back twice");
        let copy = copy?;
        self.free.push(number);
        Some(copy.bytes)
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        (self.places.len() - self.free.len()) as u64
    }
}
