//! What became of each capture, and how far reading has come.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_types::Tick;

/// Link types counted apart per capture; frames of any further ones are counted under the last.
const REFUSED_LINKS_MAX: usize = 64;

/// How a capture ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CaptureEnd {
    /// Between two records, as it should.
    Complete,
    /// The file contradicts itself; what follows was not read.
    Damaged(&'static str),
    /// The system or the decompressor refused; what follows was not read.
    Failed(String),
    /// Not yet: it is being read.
    Reading,
    /// Inside a record: whoever wrote it was interrupted.
    Truncated,
}

/// Frames refused for their link type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefusedLink {
    /// The link type's number; `None` for frames of an interface that the file never described.
    pub link_type: Option<u32>,
    /// How many.
    pub frames: u64,
}

/// What has been seen of one capture.
/// `frames = delivered + oversized + refused`, at all times.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaptureOutcome {
    /// The file.
    pub path: PathBuf,
    /// Frames numbered, from 1: whole records of any kind.
    pub frames: u64,
    /// Frames handed to the burst loop.
    pub delivered: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames refused for their link type, in the order first seen.
    pub refused: Vec<RefusedLink>,
    /// Frames longer than [`super::FRAME_BYTES_MAX`], skipped.
    pub oversized: u64,
    /// Records cut off by the end of the file: 0 or 1. Not numbered.
    pub truncated: u64,
    /// Frames whose time lay before their predecessor's and was raised to it.
    pub times_raised: u64,
    /// Time of the first frame delivered.
    pub first: Option<Tick>,
    /// Time of the last frame delivered.
    pub last: Option<Tick>,
    /// How it ended.
    pub end: CaptureEnd,
}

impl CaptureOutcome {
    pub(super) fn new(path: PathBuf) -> CaptureOutcome {
        CaptureOutcome {
            path,
            frames: 0,
            delivered: 0,
            bytes: 0,
            refused: Vec::new(),
            oversized: 0,
            truncated: 0,
            times_raised: 0,
            first: None,
            last: None,
            end: CaptureEnd::Reading,
        }
    }

    /// Frames refused for their link types, all together.
    pub fn refused_frames(&self) -> u64 {
        self.refused.iter().map(|refused| refused.frames).sum()
    }

    #[cold]
    pub(super) fn refuse(&mut self, link_type: Option<u32>) {
        let full = self.refused.len() >= REFUSED_LINKS_MAX;
        match self.refused.iter_mut().find(|refused| refused.link_type == link_type) {
            Some(refused) => refused.frames += 1,
            None if full => {
                if let Some(last) = self.refused.last_mut() {
                    last.frames += 1;
                }
            }
            None => self.refused.push(RefusedLink { link_type, frames: 1 }),
        }
    }
}

/// How far reading has come; shared with whoever draws it.
#[derive(Debug)]
pub struct CaptureProgress {
    bytes_read: AtomicU64,
    bytes_total: u64,
    captures_ended: AtomicU64,
    captures: u64,
}

impl CaptureProgress {
    pub(super) fn new(bytes_total: u64, captures: u64) -> CaptureProgress {
        CaptureProgress {
            bytes_read: AtomicU64::new(0),
            bytes_total,
            captures_ended: AtomicU64::new(0),
            captures,
        }
    }

    pub(super) fn read(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn capture_ended(&self) {
        self.captures_ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes of the files (compressed ones as they are on disk) read so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Bytes of all files together; pipes count as nothing.
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    /// Captures read to their end.
    pub fn captures_ended(&self) -> u64 {
        self.captures_ended.load(Ordering::Relaxed)
    }

    /// Captures given.
    pub fn captures(&self) -> u64 {
        self.captures
    }
}
