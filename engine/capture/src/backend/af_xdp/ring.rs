//! One ring between us and the kernel: one side writes entries, the other takes them.
//!
//! ```text
//!   consumer ─► ▒▒▒▒▒▒▒▒ ◄─ producer      both count up for ever; entry = counter & (size − 1)
//! ```
//!
//! The producer writes entries and then its counter (release); the consumer reads the counter
//! (acquire) and then the entries. Each side keeps the other's counter as last seen and looks again
//! only when that no longer suffices.

#![allow(unsafe_code, reason = "memory that the kernel shares: the AF_XDP rings")]

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{MapFlags, ProtFlags};
use rustix::net::xdp::{XdpRingFlags, XdpRingOffset};

/// A mapped ring with entries of `T`.
#[derive(Debug)]
struct Ring<T> {
    start: NonNull<u8>,
    bytes: usize,
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: Option<NonNull<AtomicU32>>,
    entries: NonNull<T>,
    size: u32,
}

// SAFETY: justification: a socket moves to its worker's thread. The ring is reached through one
// owner in this process; what it shares is with the kernel, by the protocol above.
unsafe impl<T: Copy + Send> Send for Ring<T> {}

impl<T: Copy> Ring<T> {
    fn map(
        socket: BorrowedFd<'_>,
        page_offset: u64,
        at: &XdpRingOffset,
        size: u32,
    ) -> io::Result<Self> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "ring offsets beyond memory");
        let entries_at = usize::try_from(at.desc).map_err(|_| invalid())?;
        let bytes = entries_at + size as usize * size_of::<T>();
        // SAFETY: justification: mapping has no safe form. A fresh mapping at an address of the
        // kernel's choice aliases nothing in this process.
        let start = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::POPULATE,
                socket,
                page_offset,
            )
        }?;
        let start: NonNull<u8> = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let field = |offset: u64| -> io::Result<NonNull<AtomicU32>> {
            let offset = usize::try_from(offset).map_err(|_| invalid())?;
            if offset % 4 != 0 || offset + 4 > bytes {
                return Err(invalid());
            }
            // SAFETY: justification: fields lie where the kernel says. Checked to be inside.
            Ok(unsafe { start.add(offset) }.cast())
        };
        let flags = at.flags.map(field).transpose()?;
        if entries_at % align_of::<T>() != 0 {
            return Err(invalid());
        }
        Ok(Ring {
            start,
            bytes,
            producer: field(at.producer)?,
            consumer: field(at.consumer)?,
            flags,
            // SAFETY: justification: as for the fields; `bytes` was computed to hold the entries.
            entries: unsafe { start.add(entries_at) }.cast(),
            size,
        })
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: justification: a mapping is known by its address only. It lives as long as
        // `self`, is aligned and is only ever accessed atomically.
        unsafe { self.producer.as_ref() }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as for `producer`.
        unsafe { self.consumer.as_ref() }
    }

    /// Whether the kernel sleeps and wants a system call before it looks at this ring.
    fn needs_wakeup(&self) -> bool {
        self.flags.is_some_and(|flags| {
            // SAFETY: as for `producer`.
            let bits = unsafe { flags.as_ref() }.load(Ordering::Relaxed);
            bits & XdpRingFlags::XDP_RING_NEED_WAKEUP.bits() != 0
        })
    }

    fn entry(&self, counter: u32) -> NonNull<T> {
        // SAFETY: justification: the ring is known by its address only. Masked, the index is below
        // `size`, a power of two, and `map` made room for so many.
        unsafe { self.entries.add((counter & (self.size - 1)) as usize) }
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // SAFETY: justification: unmapping has no safe form. `map` mapped exactly this, and the one
        // owner is going.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// A ring that we write and the kernel takes from: fill and transmit.
#[derive(Debug)]
pub(super) struct Producer<T> {
    ring: Ring<T>,
    /// Our counter, ahead of the published one by what is staged.
    mine: u32,
    /// The kernel's, as last seen.
    theirs: u32,
}

impl<T: Copy> Producer<T> {
    /// Maps a ring of `size` entries, a power of two.
    pub(super) fn map(
        socket: BorrowedFd<'_>,
        page_offset: u64,
        at: &XdpRingOffset,
        size: u32,
    ) -> io::Result<Self> {
        let ring = Ring::map(socket, page_offset, at, size)?;
        let mine = ring.producer().load(Ordering::Relaxed);
        let theirs = ring.consumer().load(Ordering::Acquire);
        Ok(Producer { ring, mine, theirs })
    }

    /// Entries for which there is room; looks at the kernel's counter where less than `wanted` were
    /// known to be free.
    pub(super) fn room(&mut self, wanted: u32) -> u32 {
        let known = self.ring.size.saturating_sub(self.mine.wrapping_sub(self.theirs));
        if known >= wanted {
            return known;
        }
        self.theirs = self.ring.consumer().load(Ordering::Acquire);
        self.ring.size.saturating_sub(self.mine.wrapping_sub(self.theirs))
    }

    /// Stages an entry. The caller has made sure of room; without it the entry comes back.
    pub(super) fn stage(&mut self, entry: T) -> Result<(), T> {
        if self.room(1) == 0 {
            return Err(entry);
        }
        // SAFETY: justification: entries are plain memory. With room, the kernel does not read this
        // one before `publish` has moved the counter past it.
        unsafe { self.ring.entry(self.mine).write(entry) };
        self.mine = self.mine.wrapping_add(1);
        Ok(())
    }

    /// Shows the staged entries to the kernel.
    pub(super) fn publish(&mut self) {
        self.ring.producer().store(self.mine, Ordering::Release);
    }

    /// Entries that the kernel has not taken yet.
    pub(super) fn waiting(&mut self) -> u32 {
        self.theirs = self.ring.consumer().load(Ordering::Acquire);
        self.mine.wrapping_sub(self.theirs)
    }

    pub(super) fn needs_wakeup(&self) -> bool {
        self.ring.needs_wakeup()
    }
}

/// A ring that the kernel writes and we take from: receive and completion.
#[derive(Debug)]
pub(super) struct Consumer<T> {
    ring: Ring<T>,
    mine: u32,
    theirs: u32,
}

impl<T: Copy> Consumer<T> {
    /// Maps a ring of `size` entries, a power of two.
    pub(super) fn map(
        socket: BorrowedFd<'_>,
        page_offset: u64,
        at: &XdpRingOffset,
        size: u32,
    ) -> io::Result<Self> {
        let ring = Ring::map(socket, page_offset, at, size)?;
        let mine = ring.consumer().load(Ordering::Relaxed);
        let theirs = ring.producer().load(Ordering::Acquire);
        Ok(Consumer { ring, mine, theirs })
    }

    /// The next entry, by value. The kernel may use its place again after [`Consumer::release`].
    pub(super) fn take(&mut self) -> Option<T> {
        if self.mine == self.theirs {
            self.theirs = self.ring.producer().load(Ordering::Acquire);
            if self.mine == self.theirs {
                return None;
            }
        }
        // SAFETY: justification: entries are plain memory. The kernel has written this one (acquire
        // above) and does not write it again before `release` has moved the counter past it. Every
        // bit pattern is valid for the types used: u64 and `XdpDesc`, integers only.
        let entry = unsafe { self.ring.entry(self.mine).read() };
        self.mine = self.mine.wrapping_add(1);
        Some(entry)
    }

    /// Gives the places of the taken entries back to the kernel.
    pub(super) fn release(&mut self) {
        self.ring.consumer().store(self.mine, Ordering::Release);
    }

    /// Whether there is something to take.
    pub(super) fn has_some(&self) -> bool {
        self.ring.producer().load(Ordering::Relaxed) != self.mine
    }
}
