//! The heartbeat: a plain store that the kernel program reads.

#![allow(unsafe_code, reason = "the kernel map `heartbeats`, mapped into this process")]

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_types::Tick;
use rustix::mm::{MapFlags, ProtFlags};

use super::layout::SOCKETS_MAX;

const BYTES: usize = SOCKETS_MAX as usize * size_of::<u64>();

/// The whole map.
#[derive(Debug)]
pub(crate) struct HeartbeatMap {
    start: NonNull<AtomicU64>,
}

// SAFETY: justification: the workers of all segments stamp into one mapping. It holds atomics only
// and lives until the last `Arc` to it goes.
unsafe impl Send for HeartbeatMap {}
// SAFETY: as above.
unsafe impl Sync for HeartbeatMap {}

impl HeartbeatMap {
    /// Maps the values of `map`, an array of [`SOCKETS_MAX`] `u64` made with `BPF_F_MMAPABLE`.
    pub(crate) fn new(map: BorrowedFd<'_>) -> io::Result<Arc<Self>> {
        // SAFETY: justification: mapping memory has no safe form. A fresh mapping at an address of
        // the kernel's choice aliases nothing in this process.
        let start = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                map,
                0,
            )
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Arc::new(HeartbeatMap { start }))
    }

    fn row(&self, index: u32) -> Option<&AtomicU64> {
        // SAFETY: justification: a mapping is known by its address only. It has SOCKETS_MAX aligned
        // u64, the index is below that, and every access on both sides is a single aligned word.
        (index < SOCKETS_MAX).then(|| unsafe { self.start.add(index as usize).as_ref() })
    }
}

impl Drop for HeartbeatMap {
    fn drop(&mut self) {
        // SAFETY: justification: unmapping has no safe form. `new` mapped exactly this, and with
        // the last `Arc` gone no row is borrowed.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), BYTES) };
    }
}

/// The heartbeat of one queue's worker.
#[derive(Clone, Debug)]
pub(crate) struct Heartbeat {
    map: Arc<HeartbeatMap>,
    index: u32,
}

impl Heartbeat {
    pub(crate) fn new(map: &Arc<HeartbeatMap>, index: u32) -> Self {
        Heartbeat { map: Arc::clone(map), index }
    }

    /// Says that the worker lives at `now` (`CLOCK_BOOTTIME`).
    #[inline]
    pub(crate) fn stamp(&self, now: Tick) {
        if let Some(row) = self.map.row(self.index) {
            row.store(now.0, Ordering::Relaxed);
        }
    }
}
