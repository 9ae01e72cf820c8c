//! The receive ring: blocks of frames in memory that we share with the kernel.
//!
//! ```text
//! block ─► [ header 48 | frame header 48 · address 20 · free ≥ 16 · bytes | frame header … ]
//!            status: KERNEL ─(full, or after the timeout)─► USER ─(all frames back)─► KERNEL
//! ```
//! A block belongs to exactly one side at a time, and its status word says to which. We look into a
//! block only between reading USER (acquire) and writing KERNEL (release); frames that the burst
//! loop holds keep their block from going back.

#![allow(unsafe_code, reason = "memory shared with the kernel")]

use std::io;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use super::socket::{HEADROOM_BYTES, PacketSocket};

const BLOCK_STATUS: usize = 8;
const BLOCK_FRAMES: usize = 12;
const BLOCK_FIRST: usize = 16;

const FRAME_NEXT: usize = 0;
const FRAME_CAPTURED: usize = 12;
const FRAME_LEN: usize = 16;
const FRAME_STATUS: usize = 20;
const FRAME_MAC: usize = 24;
const FRAME_TCI: usize = 32;
const FRAME_TPID: usize = 36;

/// The two MAC addresses, which stand before the tag.
const ADDRESSES_BYTES: usize = 12;
const TAG_BYTES: usize = 4;
const _: () = assert!(TAG_BYTES <= HEADROOM_BYTES as usize);

/// The tag's type where the kernel names none: 802.1Q.
const TPID_DEFAULT: u16 = 0x8100;

/// Who has a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hold {
    /// The kernel has it.
    Kernel,
    /// We read frames from it: so many remain, the next one at this offset.
    Reading { frames: u32, next: u32 },
    /// All its frames are out; it goes back when they are.
    Drained,
}

/// What we know of a block.
#[derive(Clone, Copy, Debug)]
struct Block {
    hold: Hold,
    /// Frames that the burst loop holds.
    lent: u32,
}

/// A frame found in the ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RingFrame {
    pub(super) block: u32,
    /// From the start of the block.
    pub(super) offset: u32,
    pub(super) len: u32,
}

/// What the ring had next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    Frame(RingFrame),
    /// A frame that did not fit a block: what is there is not all of it.
    Oversize,
    Nothing,
}

/// The ring of one socket.
#[derive(Debug)]
pub(super) struct Ring {
    memory: NonNull<u8>,
    block_bytes: usize,
    blocks: Vec<Block>,
    current: usize,
}

// SAFETY: justification: workers are built by one thread and run by another. The mapping belongs to
// this value alone and is reached through it alone, so it may move between threads.
unsafe impl Send for Ring {}

impl Ring {
    /// Makes and maps a ring for `socket`. `block_bytes` is a multiple of the page size.
    pub(super) fn new(
        socket: &PacketSocket,
        block_bytes: u32,
        blocks: u32,
        retire_ms: u32,
    ) -> io::Result<Ring> {
        use rustix::mm::{MapFlags, ProtFlags};
        socket.make_ring(block_bytes, blocks, retire_ms)?;
        let length = block_bytes as usize * blocks as usize;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: justification: the ring is reached by a shared mapping only. The address is the
        // kernel's choice, the length that of the ring just made; the mapping lives until drop.
        let memory = unsafe {
            let none = std::ptr::null_mut();
            rustix::mm::mmap(none, length, protection, MapFlags::SHARED, socket.as_fd(), 0)?
        };
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let blocks = vec![Block { hold: Hold::Kernel, lent: 0 }; blocks as usize];
        Ok(Ring { memory, block_bytes: block_bytes as usize, blocks, current: 0 })
    }

    /// Frames that the burst loop holds.
    pub(super) fn lent(&self) -> u64 {
        self.blocks.iter().map(|block| u64::from(block.lent)).sum()
    }

    /// The next frame, with its VLAN tag back in place.
    #[inline]
    pub(super) fn next(&mut self) -> Next {
        loop {
            let Some(block) = self.blocks.get(self.current).copied() else { return Next::Nothing };
            match block.hold {
                Hold::Kernel if self.status(self.current) & libc::TP_STATUS_USER != 0 => {
                    // Ours from here on, which is what lets us look inside.
                    self.set_hold(Hold::Reading { frames: 0, next: 0 });
                    let frames = self.word(BLOCK_FRAMES);
                    let next = self.word(BLOCK_FIRST);
                    self.set_hold(Hold::Reading { frames, next });
                }
                Hold::Reading { frames: 1.., next } => return self.frame(next),
                Hold::Reading { frames: 0, .. } => {
                    self.set_hold(Hold::Drained);
                    self.release_if_done(self.current);
                    self.current = (self.current + 1) % self.blocks.len();
                }
                Hold::Kernel | Hold::Drained => return Next::Nothing,
            }
        }
    }

    /// The frame's bytes. The block is ours because the frame is lent.
    #[inline]
    pub(super) fn bytes(&self, block: u32, offset: u32, len: u32) -> &[u8] {
        let (offset, len) = (offset as usize, len as usize);
        self.block(block as usize).get(offset..offset + len).unwrap_or_default()
    }

    /// Takes a frame back; with its block's last one, the block goes to the kernel.
    #[inline]
    pub(super) fn give_back(&mut self, block: u32) {
        if let Some(known) = self.blocks.get_mut(block as usize) {
            debug_assert!(known.lent > 0, "a frame came back twice");
            known.lent = known.lent.saturating_sub(1);
            self.release_if_done(block as usize);
        }
    }

    fn set_hold(&mut self, hold: Hold) {
        if let Some(block) = self.blocks.get_mut(self.current) {
            block.hold = hold;
        }
    }

    /// Reads one frame's header in the current block and steps over it.
    #[inline]
    fn frame(&mut self, at: u32) -> Next {
        let header = at as usize;
        let captured = self.word(header + FRAME_CAPTURED);
        let len = self.word(header + FRAME_LEN);
        let status = self.word(header + FRAME_STATUS);
        let mac = self.word(header + FRAME_MAC) & 0xffff;
        let step = self.word(header + FRAME_NEXT);
        let current = self.current;
        let Some(block) = self.blocks.get_mut(current) else { return Next::Nothing };
        if let Hold::Reading { frames, next } = &mut block.hold {
            *frames -= 1;
            *next = next.saturating_add(step);
        }
        if captured < len {
            return Next::Oversize;
        }
        block.lent += 1;
        let mut offset = at + mac;
        let mut len = captured;
        if status & libc::TP_STATUS_VLAN_VALID != 0 && self.restore_tag(header, offset as usize) {
            offset -= 4;
            len += 4;
        }
        Next::Frame(RingFrame { block: u32::try_from(current).unwrap_or(0), offset, len })
    }

    /// Puts the tag that the kernel took out back behind the addresses, which move into the free
    /// room before the frame. Without this a frame would leave in another VLAN than it came.
    fn restore_tag(&mut self, header: usize, start: usize) -> bool {
        let tci = self.word(header + FRAME_TCI) & 0xffff;
        let tpid = match self.word(header + FRAME_STATUS) & libc::TP_STATUS_VLAN_TPID_VALID {
            0 => u32::from(TPID_DEFAULT),
            _ => self.word(header + FRAME_TPID) & 0xffff,
        };
        let tag = ((tpid << 16) | tci).to_be_bytes();
        let current = self.current;
        let Some(moved) = start.checked_sub(TAG_BYTES) else { return false };
        let block = self.block_mut(current);
        let Some(room) = block.get_mut(moved..start + ADDRESSES_BYTES) else { return false };
        room.copy_within(TAG_BYTES.., 0);
        match room.last_chunk_mut() {
            Some(place) => *place = tag,
            None => return false,
        }
        true
    }

    /// Four bytes of the current block, which is ours, in this machine's order.
    #[inline]
    fn word(&self, offset: usize) -> u32 {
        let block = self.block(self.current);
        let bytes = block.get(offset..).and_then(<[u8]>::first_chunk).copied();
        bytes.map_or(0, u32::from_ne_bytes)
    }

    #[inline]
    fn release_if_done(&mut self, number: usize) {
        let Some(block) = self.blocks.get_mut(number) else { return };
        if block.hold == Hold::Drained && block.lent == 0 {
            block.hold = Hold::Kernel;
            if let Some(word) = self.status_word(number) {
                word.store(libc::TP_STATUS_KERNEL, Ordering::Release);
            }
        }
    }

    #[inline]
    fn status(&self, number: usize) -> u32 {
        self.status_word(number).map_or(0, |word| word.load(Ordering::Acquire))
    }

    #[inline]
    fn status_word(&self, number: usize) -> Option<&AtomicU32> {
        if number >= self.blocks.len() {
            return None;
        }
        // SAFETY: justification: the kernel writes this word at any time, so it is only ever read
        // and written atomically. It lies within the mapping (the number was just checked), is
        // aligned because blocks are pages, and lives as long as `self`.
        Some(unsafe {
            let word = self.memory.add(number * self.block_bytes + BLOCK_STATUS);
            AtomicU32::from_ptr(word.as_ptr().cast())
        })
    }

    /// A block's bytes; nothing where the kernel has it.
    #[inline]
    fn block(&self, number: usize) -> &[u8] {
        match self.blocks.get(number) {
            // SAFETY: justification: frames are read in place. The block lies within the mapping;
            // it is ours (it left `Hold::Kernel` after an acquire of USER), so the kernel does not
            // write it until `release_if_done`, which needs `&mut self` and so ends this borrow.
            Some(block) if block.hold != Hold::Kernel => unsafe {
                let start = self.memory.add(number * self.block_bytes);
                std::slice::from_raw_parts(start.as_ptr(), self.block_bytes)
            },
            _ => &[],
        }
    }

    /// The same, to write a tag into.
    fn block_mut(&mut self, number: usize) -> &mut [u8] {
        match self.blocks.get(number) {
            // SAFETY: justification: the tag is put back in place. As for `block`, and `&mut self`
            // makes this the only borrow.
            Some(block) if block.hold != Hold::Kernel => unsafe {
                let start = self.memory.add(number * self.block_bytes);
                std::slice::from_raw_parts_mut(start.as_ptr(), self.block_bytes)
            },
            _ => &mut [],
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let length = self.block_bytes * self.blocks.len();
        // SAFETY: justification: the mapping made in `new` ends with this value; every borrow of it
        // is a borrow of this value.
        let _unmapped = unsafe { rustix::mm::munmap(self.memory.as_ptr().cast(), length) };
    }
}
