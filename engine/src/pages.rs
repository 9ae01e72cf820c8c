//! Big tables in huge pages: the allocator of a running engine.
//!
//! The flow table and its index, the block table and the literals of rules are read at places that
//! a packet chooses. In pages of 4 KiB they are more pages than the processor keeps the places of,
//! so that a lookup costs a walk through the page tables too, in a virtual machine a double one.
//! Everything else is as in the standard library. This file must never know what is allocated.

#![allow(unsafe_code, reason = "a global allocator, and advice to the kernel about its memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

/// From this size on, bytes: what is smaller fits the processor's memory of places.
const BIG: usize = 4 << 20;

/// A huge page, bytes. Where they are of another size, the kernel takes what is whole of them.
const HUGE_PAGE: usize = 2 << 20;

/// From this size on, bytes, an allocation is a mapping of its own: its pages are there once they
/// are written, and gone once it is freed.
const OWN_MAPPING: libc::c_int = 256 << 10;

/// The system's allocator, with a hint for what is big.
pub(crate) struct Pages {
    huge: AtomicBool,
}

impl Pages {
    pub(crate) const fn new() -> Self {
        Pages { huge: AtomicBool::new(false) }
    }

    /// From now on every big allocation is a mapping of its own. By itself glibc raises that size
    /// to 32 MiB as such allocations are freed; a table for the most flows that there can be would
    /// then be cut from the heap, where zeroing it takes all of its memory at once.
    pub(crate) fn keep_big_apart(&self) {
        // SAFETY: justification: a C function; it takes two numbers and changes how memory is
        // taken from here on, not what is there.
        let _ = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_MAPPING) };
    }

    /// From now on big allocations lie in huge pages, where the system has them. For an engine that
    /// stays: a command that ends soon would clear memory that it never uses.
    pub(crate) fn use_huge(&self) {
        self.huge.store(true, Ordering::Relaxed);
    }

    /// Says to the kernel that a big allocation is worth huge pages: those that lie in it whole.
    fn advise(&self, start: *mut u8, bytes: usize) {
        if bytes < BIG || start.is_null() || !self.huge.load(Ordering::Relaxed) {
            return;
        }
        let skip = start.align_offset(HUGE_PAGE);
        let Some(whole) = bytes.checked_sub(skip).map(|rest| rest & !(HUGE_PAGE - 1)) else {
            return;
        };
        // SAFETY: justification: advice has no safe form. The range lies in an allocation that is
        // the caller's own, and its bytes stay what they are, whatever the kernel makes of it.
        let _ = unsafe { libc::madvise(start.add(skip).cast(), whole, libc::MADV_HUGEPAGE) };
    }
}

// SAFETY: justification: an allocator is an unsafe trait. All is handed to the system's allocator
// as it comes, and what it gives is handed back.
unsafe impl GlobalAlloc for Pages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's word, handed on.
        let start = unsafe { System.alloc(layout) };
        self.advise(start, layout.size());
        start
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's word, handed on.
        let start = unsafe { System.alloc_zeroed(layout) };
        self.advise(start, layout.size());
        start
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's word, handed on.
        let start = unsafe { System.realloc(start, layout, bytes) };
        self.advise(start, bytes);
        start
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's word, handed on.
        unsafe { System.dealloc(start, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Allocates, writes the ends, grows, and gives back; with and without huge pages.
    #[test]
    fn what_is_allocated_is_all_there() {
        let pages = Pages::new();
        for round in 0..2 {
            for size in [1, 4096, BIG - 1, BIG, 3 * BIG + 7] {
                let layout = Layout::from_size_align(size, 64).expect("a layout");
                let wider = Layout::from_size_align(2 * size, 64).expect("a layout");
                // SAFETY: a layout of some bytes; each end is written within them, and the memory
                // is given back as it was last asked for.
                unsafe {
                    let start = pages.alloc_zeroed(layout);
                    assert!(!start.is_null() && *start == 0 && *start.add(size - 1) == 0);
                    *start = 1;
                    *start.add(size - 1) = 2;
                    let start = pages.realloc(start, layout, 2 * size);
                    assert_eq!((*start.add(size - 1), round), (2, round));
                    pages.dealloc(start, wider);
                }
            }
            pages.use_huge();
        }
    }
}
