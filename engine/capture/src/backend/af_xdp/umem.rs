//! Frame memory: one area per segment, cut into chunks, each with exactly one right to it.
//!
//! ```text
//!   ┌ home of worker 0 ┬ home of worker 1 ┬ …          a chunk: 256 bytes that the kernel keeps,
//!   │ chunk │ chunk │ …│ chunk │ chunk │ …│            then the frame
//!   └──────────────────┴──────────────────┴
//! ```
//!
//! A [`Chunk`] is the right to read and write one chunk. It is neither `Clone` nor `Copy`; the only
//! ways to have one are [`Umem::carve`], once for each chunk, and [`Umem::returned`], for a chunk
//! that the kernel has given back. Giving a chunk to the kernel consumes the right.

#![allow(unsafe_code, reason = "memory that the kernel writes into: the AF_XDP rings")]

use std::io;
use std::ptr::NonNull;

use crossbeam::queue::ArrayQueue;
use rustix::mm::{Advice, MapFlags, ProtFlags};

use crate::OpenError;

/// Bytes at the head of each chunk that the kernel keeps for itself (`XDP_PACKET_HEADROOM`).
pub(super) const HEADROOM: u32 = 256;

/// The right to one chunk, by its number.
#[derive(Debug)]
#[must_use = "a chunk that is dropped is lost to its home"]
pub(super) struct Chunk(u32);

/// The memory, and the lanes by which chunks come home.
#[derive(Debug)]
pub(super) struct Umem {
    start: NonNull<u8>,
    bytes: usize,
    chunk_bytes: u32,
    chunks: u32,
    chunks_per_home: u32,
    /// One for each worker, with room for every chunk of that home: a push cannot fail.
    lanes: Box<[ArrayQueue<Chunk>]>,
}

// SAFETY: justification: the workers of a segment share the memory. What is reachable through a
// shared reference is either immutable or guarded by the right to a chunk, which has one holder.
unsafe impl Send for Umem {}
// SAFETY: as above.
unsafe impl Sync for Umem {}

impl Umem {
    /// Memory for `homes` times `chunks_per_home` chunks of `chunk_bytes` (2048 or 4096), and the
    /// rights to them by home.
    pub(super) fn carve(
        chunk_bytes: u32,
        chunks_per_home: u32,
        homes: u32,
    ) -> Result<(Self, Vec<Vec<Chunk>>), OpenError> {
        let too_much = || {
            OpenError::Limit(format!(
                "frame memory of {homes} workers × {chunks_per_home} frames × {chunk_bytes} bytes \
                 is beyond 2 GiB for one segment; lower frames_per_worker"
            ))
        };
        let chunks = chunks_per_home.checked_mul(homes).ok_or_else(too_much)?;
        let total = chunks.checked_mul(chunk_bytes).filter(|&b| b <= 1 << 31);
        let bytes = total.ok_or_else(too_much)? as usize;
        // SAFETY: justification: mapping memory has no safe form. A fresh mapping at an address of
        // the kernel's choice aliases nothing.
        let start = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }
        .map_err(|e| memory_error(bytes, e.into()))?;
        let start = NonNull::new(start.cast())
            .ok_or_else(|| memory_error(bytes, io::ErrorKind::OutOfMemory.into()))?;
        populate(start, bytes);
        let home = |h: u32| (h * chunks_per_home..(h + 1) * chunks_per_home).map(Chunk).collect();
        let rights = (0..homes).map(home).collect();
        let lanes = (0..homes).map(|_| ArrayQueue::new(chunks_per_home as usize)).collect();
        Ok((Umem { start, bytes, chunk_bytes, chunks, chunks_per_home, lanes }, rights))
    }

    /// The address that the kernel is told.
    pub(super) fn address(&self) -> u64 {
        self.start.as_ptr().addr() as u64
    }

    /// All bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of one chunk.
    pub(super) fn chunk_bytes(&self) -> u32 {
        self.chunk_bytes
    }

    /// The longest frame that one chunk holds.
    pub(super) fn frame_max(&self) -> u32 {
        self.chunk_bytes - HEADROOM
    }

    /// Where a chunk begins.
    pub(super) fn offset(&self, chunk: &Chunk) -> u32 {
        chunk.0 * self.chunk_bytes
    }

    /// The right to the chunk that holds `offset`; `None` where that is no chunk of ours.
    ///
    /// # Safety
    /// The kernel has just given this chunk back (by a receive or completion descriptor), or the
    /// caller consumes a slot that stands for it: nobody else has a right to it.
    pub(super) unsafe fn returned(&self, offset: u64) -> Option<Chunk> {
        let number = u32::try_from(offset / u64::from(self.chunk_bytes)).ok()?;
        (number < self.chunks).then_some(Chunk(number))
    }

    /// The bytes of a frame; empty where the range is not within the memory.
    ///
    /// # Safety
    /// While the result lives, somebody holds the right to the chunk of this range and neither
    /// gives it away nor writes.
    pub(super) unsafe fn read(&self, offset: u32, len: u32) -> &[u8] {
        let (offset, len) = (offset as usize, len as usize);
        if offset.checked_add(len).is_none_or(|end| end > self.bytes) {
            return &[];
        }
        // SAFETY: justification: a mapping is known by its address only. The range is within it,
        // the memory is initialised (anonymous mappings are zeros), and the caller vouches for the
        // right.
        unsafe { std::slice::from_raw_parts(self.start.add(offset).as_ptr(), len) }
    }

    /// Has the processor fetch the first bytes of a frame that will be read soon: on another core
    /// or by a device they were written a moment ago, so each frame's first read would wait.
    #[inline]
    pub(super) fn prefetch(&self, offset: u32) {
        #[cfg(target_arch = "x86_64")]
        if (offset as usize) < self.bytes {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: justification: the hint takes an address only. It is within the mapping, and
            // nothing is read by it that a program could see.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.start.add(offset as usize).as_ptr().cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = offset;
    }

    /// Copies `frame` into a chunk, behind the headroom; its offset, or `None` where it is too
    /// long.
    pub(super) fn write(&self, chunk: &mut Chunk, frame: &[u8]) -> Option<u32> {
        if frame.len() > self.frame_max() as usize {
            return None;
        }
        let offset = self.offset(chunk) + HEADROOM;
        // SAFETY: justification: a mapping is known by its address only. The chunk lies within it,
        // the frame fits behind the headroom, and the exclusive right excludes any other access.
        unsafe {
            let to = self.start.add(offset as usize).as_ptr();
            std::ptr::copy_nonoverlapping(frame.as_ptr(), to, frame.len());
        }
        Some(offset)
    }

    /// The worker to which a chunk belongs.
    pub(super) fn home_of(&self, chunk: &Chunk) -> u32 {
        chunk.0 / self.chunks_per_home
    }

    /// Sends a chunk to its home's lane.
    pub(super) fn send_home(&self, chunk: Chunk) {
        let home = self.home_of(&chunk) as usize;
        let sent = self.lanes.get(home).map(|lane| lane.push(chunk));
        debug_assert!(matches!(sent, Some(Ok(()))), "a lane has room for all chunks of its home");
    }

    /// The next chunk that has come home to `home`.
    pub(super) fn come_home(&self, home: u32) -> Option<Chunk> {
        self.lanes.get(home as usize)?.pop()
    }
}

/// Has the memory there before the first frame, in huge pages where the system has them: a ring of
/// frames lies in thousands of small pages, more than the processor keeps the places of, and so
/// each frame's first byte would cost a walk through the page tables.
fn populate(start: NonNull<u8>, bytes: usize) {
    for advice in [Advice::LinuxHugepage, Advice::LinuxPopulateWrite] {
        // SAFETY: justification: advice has no safe form. The range is a mapping of our own, and
        // neither changes what is in it. Refused (by kernels without huge pages, or before 5.14),
        // the pages are small, or come when the socket pins them.
        let _ = unsafe { rustix::mm::madvise(start.as_ptr().cast(), bytes, advice) };
    }
}

impl Drop for Umem {
    fn drop(&mut self) {
        // SAFETY: justification: unmapping has no safe form. `carve` mapped exactly this; with the
        // last owner gone nothing borrows from it, and the kernel holds its pages itself for as
        // long as a socket needs them.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

pub(super) fn memory_error(bytes: usize, source: io::Error) -> OpenError {
    let way_out = "grant CAP_IPC_LOCK (or LimitMEMLOCK=infinity), or lower frames_per_worker";
    OpenError::Memory { bytes, source, way_out }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]
    use super::*;

    #[test]
    fn every_chunk_has_one_right_and_finds_home() {
        let (umem, homes) = Umem::carve(2048, 4, 3).unwrap();
        let numbers: Vec<u32> = homes.iter().flatten().map(|c| c.0).collect();
        assert_eq!(numbers, (0..12).collect::<Vec<_>>());
        for chunk in homes.into_iter().flatten() {
            umem.send_home(chunk);
        }
        for home in 0..3 {
            let back: Vec<_> = std::iter::from_fn(|| umem.come_home(home)).collect();
            assert_eq!(back.len(), 4);
            assert!(back.iter().all(|c| umem.home_of(c) == home));
        }
    }

    #[test]
    fn writes_stay_within_their_chunk() {
        let (umem, mut homes) = Umem::carve(2048, 2, 1).unwrap();
        let mut rights = homes.pop().unwrap();
        let mut second = rights.pop().unwrap();
        let mut first = rights.pop().unwrap();
        let (ones, twos) = (vec![1u8; 1792], vec![2u8; 1792]);
        let a = umem.write(&mut first, &ones).unwrap();
        let b = umem.write(&mut second, &twos).unwrap();
        assert_eq!(umem.write(&mut first, &[0; 1793]), None);
        // SAFETY: both rights are held here until the end of the test.
        let (x, y) = unsafe { (umem.read(a, 1792), umem.read(b, 1792)) };
        assert!(x == ones && y == twos);
        // SAFETY: as above; the range is outside and yields nothing.
        assert!(unsafe { umem.read(b, 1793) }.is_empty());
    }

    #[test]
    fn beyond_the_limit_is_refused() {
        assert!(matches!(Umem::carve(4096, 1 << 20, 4), Err(OpenError::Limit(_))));
        assert!(matches!(Umem::carve(4096, u32::MAX, 4), Err(OpenError::Limit(_))));
    }
}
