//! Captures from files: several read one after the other as one timeline.
//!
//! Reads pcap (both byte orders, micro- and nanoseconds, Kuznetzov's variant) and pcapng (any
//! number of sections and interfaces, each with its own link type and clock), plain, gzip or zstd:
//! the content decides, never the name. This file must never know what a header says.
//!
//! Nothing is lost silently. Each capture has a [`CaptureOutcome`]: frames numbered, frames
//! delivered, frames refused by link type, cut records, and how the file ended. A damaged file ends
//! early with all frames before the damage delivered.
//!
//! ```text
//! file ─► input.rs (decompress) ─► reading.rs (chunks) ─► classic.rs │ pcapng.rs ─► RxFrame
//! ```

mod classic;
mod format;
mod input;
mod outcome;
mod pcapng;
mod reading;
#[cfg(test)]
mod tests;
mod write;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis_types::{DropReason, PortSide, Tick};

use super::copied::{CopiedFrame, Copies, Lendings};
use crate::{
    FrameSource, HandOver, LinkKind, OpenError, Received, RxFrame, Slot, SourceId, SourceStatistics,
};
pub use format::FRAME_BYTES_MAX;
use format::{Format, HEAD_BYTES};
use input::Input;
pub use outcome::{CaptureEnd, CaptureOutcome, CaptureProgress, RefusedLink};
use reading::{Advance, Chunks, Found, Reading};
pub use write::PcapWriter;

/// Captures as a frame source. Every frame comes in by port A; `forward` counts a frame as
/// forwarded and sends it nowhere; `inject` is counted as transmitted and sends nothing either.
///
/// Times never go back: a frame older than the one before it gets that one's time and is counted
/// in [`CaptureOutcome::times_raised`]. This holds across captures too, in the order given.
///
/// Memory: at most eleven chunks of 384 KiB, whatever the captures' sizes.
pub struct PcapSource {
    id: SourceId,
    waiting: VecDeque<PathBuf>,
    reading: Option<Reading>,
    chunks: Chunks,
    /// Frames adopted from another source.
    copies: Copies,
    lendings: Lendings,
    outcomes: Vec<CaptureOutcome>,
    /// The latest time given out.
    clock: Tick,
    link: LinkKind,
    statistics: SourceStatistics,
    progress: Arc<CaptureProgress>,
}

impl PcapSource {
    /// Opens captures, read in this order; `-` is standard input.
    ///
    /// # Errors
    /// A file cannot be read or is no capture. Pipes are not looked into before their turn.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<PcapSource, OpenError> {
        if paths.is_empty() {
            return Err(OpenError::Limit("no capture given: name at least one file".to_owned()));
        }
        let mut total = 0;
        for path in paths {
            total += look_into(path.as_ref())?;
        }
        let progress = CaptureProgress::new(total, paths.len() as u64);
        Ok(PcapSource {
            id: SourceId::unique(),
            waiting: paths.iter().map(|path| path.as_ref().to_owned()).collect(),
            reading: None,
            chunks: Chunks::new(),
            copies: Copies::default(),
            lendings: Lendings::default(),
            outcomes: Vec::with_capacity(paths.len()),
            clock: Tick::ZERO,
            link: LinkKind::Ethernet,
            statistics: SourceStatistics::default(),
            progress: Arc::new(progress),
        })
    }

    /// What has been seen of each capture so far, in the order given; captures that were not begun
    /// are missing.
    pub fn outcomes(&self) -> &[CaptureOutcome] {
        &self.outcomes
    }

    /// How far reading has come, to be watched from another thread.
    pub fn progress(&self) -> Arc<CaptureProgress> {
        Arc::clone(&self.progress)
    }

    /// The place of the frame's capture in [`PcapSource::outcomes`]; 0 for adopted frames.
    #[inline]
    pub fn capture_of(&self, slot: &Slot) -> usize {
        assert!(slot.is_of(self.id), "a slot of another source");
        self.chunks.get(slot.index() as usize).map_or(0, reading::Chunk::capture)
    }

    /// Starts the next capture. False where there is none or no memory is free at the moment.
    fn open_next(&mut self) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        let Some(chunk) = self.chunks.take(self.outcomes.len()) else { return false };
        let Some(path) = self.waiting.pop_front() else { return false };
        let mut outcome = CaptureOutcome::new(path);
        let started = Input::open(&outcome.path)
            .and_then(|input| Reading::start(input, &mut self.chunks, chunk));
        match started {
            Ok(Some(reading)) => self.reading = Some(reading),
            Ok(None) => outcome.end = CaptureEnd::Failed(NOT_A_CAPTURE.to_owned()),
            Err(error) => outcome.end = CaptureEnd::Failed(error.to_string()),
        }
        if self.reading.is_none() {
            self.progress.capture_ended();
        }
        self.outcomes.push(outcome);
        true
    }

    /// Numbers and delivers a frame, or counts why not.
    #[inline]
    fn deliver(&mut self, found: Found, burst: &mut Vec<RxFrame>) {
        let Some(outcome) = self.outcomes.last_mut() else { return };
        let record = found.record;
        outcome.frames += 1;
        let Some(link) = record.link_type.and_then(link_kind) else {
            outcome.refuse(record.link_type);
            self.statistics.unreadable += 1;
            return;
        };
        let stated = record.at_ns.map_or(self.clock, Tick);
        if stated < self.clock {
            outcome.times_raised += 1;
        }
        // Zero would mean "use the burst's now".
        self.clock = stated.max(self.clock).max(Tick(1));
        outcome.delivered += 1;
        outcome.bytes += u64::from(record.len);
        outcome.first.get_or_insert(self.clock);
        outcome.last = Some(self.clock);
        self.link = link;
        let (Ok(chunk), Ok(offset)) = (u32::try_from(found.chunk), u32::try_from(found.offset))
        else {
            return;
        };
        self.chunks.lend(found.chunk);
        let port = self.statistics.port_mut(PortSide::A);
        port.received += 1;
        port.received_bytes += u64::from(record.len);
        burst.push(RxFrame {
            slot: Slot::new(self.id, chunk, offset, record.len),
            side: PortSide::A,
            link,
            len: record.len,
            wire_len: record.wire_len,
            at: self.clock,
            number: outcome.frames,
        });
    }

    /// Closes the capture being read.
    #[cold]
    fn close(&mut self, end: CaptureEnd) {
        if let Some(outcome) = self.outcomes.last_mut() {
            if end == CaptureEnd::Truncated {
                outcome.truncated += 1;
                self.statistics.unreadable += 1;
            }
            outcome.end = end;
        }
        self.note_progress();
        self.reading = None;
        self.progress.capture_ended();
    }

    fn note_progress(&mut self) {
        if let Some(reading) = &mut self.reading {
            self.progress.read(reading.newly_read());
        }
    }

    #[inline]
    fn give_back(&mut self, slot: &Slot) {
        assert!(slot.is_of(self.id), "a slot of another source");
        if slot.index() & COPY == 0 {
            self.chunks.give_back(slot.index() as usize);
        } else if let Some(buffer) = self.copies.end(slot.index() & !COPY) {
            self.lendings.spare(buffer);
        }
    }
}

impl FrameSource for PcapSource {
    fn link(&self) -> LinkKind {
        self.link
    }

    fn receive(&mut self, burst: &mut Vec<RxFrame>, max: usize) -> Received {
        let before = burst.len();
        while burst.len() - before < max {
            let Some(reading) = &mut self.reading else {
                if self.open_next() {
                    continue;
                }
                break;
            };
            match reading.advance(&mut self.chunks) {
                Advance::Frame(found) => self.deliver(found, burst),
                Advance::Oversized => {
                    self.statistics.unreadable += 1;
                    if let Some(outcome) = self.outcomes.last_mut() {
                        outcome.frames += 1;
                        outcome.oversized += 1;
                    }
                }
                Advance::Blocked => break,
                Advance::Complete => self.close(CaptureEnd::Complete),
                Advance::Truncated => self.close(CaptureEnd::Truncated),
                Advance::Damaged(what) => self.close(CaptureEnd::Damaged(what)),
                Advance::Failed(error) => self.close(CaptureEnd::Failed(error.to_string())),
            }
        }
        if burst.len() > before {
            Received::Frames
        } else if self.reading.is_none() && self.waiting.is_empty() {
            Received::EndOfInput
        } else {
            Received::Nothing
        }
    }

    #[inline]
    fn bytes(&self, slot: &Slot) -> &[u8] {
        assert!(slot.is_of(self.id), "a slot of another source");
        if slot.index() & COPY != 0 {
            return self.copies.bytes(slot.index() & !COPY);
        }
        let chunk = self.chunks.get(slot.index() as usize);
        chunk.map(|chunk| chunk.frame(slot.offset(), slot.len())).unwrap_or_default()
    }

    fn forward(&mut self, slot: Slot) -> Result<(), DropReason> {
        self.give_back(&slot);
        let port = self.statistics.port_mut(PortSide::B);
        port.transmitted += 1;
        port.transmitted_bytes += u64::from(slot.len());
        Ok(())
    }

    fn discard(&mut self, slot: Slot) {
        self.give_back(&slot);
    }

    fn inject(&mut self, side: PortSide, frame: &[u8]) -> Result<(), DropReason> {
        let port = self.statistics.port_mut(side);
        port.transmitted += 1;
        port.transmitted_bytes += frame.len() as u64;
        Ok(())
    }

    fn flush(&mut self) {
        self.note_progress();
    }

    fn wait(&mut self, _timeout: Duration) {
        // A capture always has its next frame; only frames held elsewhere can be in the way.
        std::thread::yield_now();
    }

    fn statistics(&mut self) -> SourceStatistics {
        SourceStatistics {
            in_hand: self.chunks.lent() + self.copies.count() + self.lendings.out(),
            returned_home: self.lendings.returned(),
            ..self.statistics
        }
    }
}

impl HandOver for PcapSource {
    type Lent = CopiedFrame;

    fn lend(&mut self, slot: Slot, side: PortSide) -> CopiedFrame {
        let mut bytes = self.lendings.buffer();
        bytes.extend_from_slice(self.bytes(&slot));
        self.give_back(&slot);
        self.lendings.lend(bytes, side, self.link)
    }

    fn adopt(&mut self, lent: CopiedFrame) -> (Slot, PortSide) {
        let CopiedFrame { bytes, side, home, .. } = lent;
        let len = u32::try_from(bytes.len()).unwrap_or(0);
        let number = self.copies.keep(bytes, Some(home));
        (Slot::new(self.id, number | COPY, 0, len), side)
    }
}

/// Marks slots whose bytes are a copy and not in a chunk.
const COPY: u32 = 1 << 31;

const NOT_A_CAPTURE: &str =
    "neither pcap nor pcapng (plain, gzip or zstd); convert it, e.g. `editcap IN OUT.pcapng`";

/// Checks that a file is a capture, and tells its size. Pipes have none and are left unread.
fn look_into(path: &Path) -> Result<u64, OpenError> {
    let failed = |source| OpenError::File { path: path.to_owned(), source };
    if path.as_os_str() == "-" {
        return Ok(0);
    }
    let about = std::fs::metadata(path).map_err(failed)?;
    if about.is_dir() {
        let what = "a folder, not a capture; name the files in it".to_owned();
        return Err(OpenError::Form { path: path.to_owned(), what });
    }
    if !about.is_file() {
        return Ok(0);
    }
    if about.len() == 0 {
        let what = "an empty file, not a capture; see whether it was written".to_owned();
        return Err(OpenError::Form { path: path.to_owned(), what });
    }
    let mut head = [0; HEAD_BYTES];
    let seen = Input::open(path).and_then(|mut input| input.read(&mut head)).map_err(failed)?;
    match Format::recognise(head.get(..seen).unwrap_or_default()) {
        Some(_) => Ok(about.len()),
        None => Err(OpenError::Form { path: path.to_owned(), what: NOT_A_CAPTURE.to_owned() }),
    }
}

/// The link types that are read, by their numbers in captures. Others are refused and counted.
#[inline]
const fn link_kind(link_type: u32) -> Option<LinkKind> {
    match link_type {
        0 => Some(LinkKind::Null),
        1 => Some(LinkKind::Ethernet),
        12 | 14 | 101 | 228 | 229 => Some(LinkKind::RawIp),
        104 => Some(LinkKind::CiscoHdlc),
        108 => Some(LinkKind::Loop),
        113 => Some(LinkKind::LinuxSll),
        276 => Some(LinkKind::LinuxSll2),
        _ => None,
    }
}
