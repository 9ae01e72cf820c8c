//! One capture being read: its grammar, and the chunks of memory that its frames lie in.
//!
//! ```text
//! chunk 0  [ frame lent | frame lent | …                 | half a record ]
//!                                                              │ copied when the chunk is full
//! chunk 1  [ half a record · rest of it | frame | …  ]  ◄──────┘
//! ```
//! A chunk with frames out is never written below its fill mark; a full one is taken again once its
//! last frame is back. Where every chunk has frames out, reading pauses.

use std::io;

use super::format::{Format, HEAD_BYTES, RecordAt, Step, WINDOW_BYTES_MAX};
use super::input::Input;

/// Bytes of one chunk: enough for the longest record, and so few that the two which are mostly in
/// use stay in a core's second-level cache: what is read is parsed from there, and nothing of it
/// goes to memory and back.
const CHUNK_BYTES: usize = 384 << 10;
const _: () = assert!(CHUNK_BYTES >= WINDOW_BYTES_MAX);

/// Chunks per source: the one being read, one that the last burst still holds, and more for bursts
/// of long frames and for frames that a slower lane holds longer. The first free one is taken, and
/// what is never written takes no memory.
const CHUNKS: usize = 11;

/// Memory that frames lie in while the burst loop holds them.
pub(super) struct Chunk {
    bytes: Box<[u8]>,
    /// Bytes read so far; nothing below is written while frames are out.
    filled: usize,
    /// Frames out.
    lent: u32,
    /// Which capture, in the order given, its frames are from.
    capture: usize,
}

/// All chunks of a source.
pub(super) struct Chunks(Vec<Chunk>);

impl Chunks {
    pub(super) fn new() -> Chunks {
        let chunk = || Chunk {
            bytes: vec![0; CHUNK_BYTES].into_boxed_slice(),
            filled: 0,
            lent: 0,
            capture: 0,
        };
        Chunks((0..CHUNKS).map(|_| chunk()).collect())
    }

    #[inline]
    pub(super) fn get(&self, number: usize) -> Option<&Chunk> {
        self.0.get(number)
    }

    #[inline]
    pub(super) fn lend(&mut self, number: usize) {
        if let Some(chunk) = self.0.get_mut(number) {
            chunk.lent += 1;
        }
    }

    #[inline]
    pub(super) fn give_back(&mut self, number: usize) {
        if let Some(chunk) = self.0.get_mut(number) {
            debug_assert!(chunk.lent > 0, "a frame came back twice");
            chunk.lent = chunk.lent.saturating_sub(1);
        }
    }

    /// Frames out, over all chunks.
    pub(super) fn lent(&self) -> u64 {
        self.0.iter().map(|chunk| u64::from(chunk.lent)).sum()
    }

    /// An unused chunk, emptied for `capture`.
    pub(super) fn take(&mut self, capture: usize) -> Option<usize> {
        let number = self.0.iter().position(|chunk| chunk.lent == 0)?;
        let chunk = self.0.get_mut(number)?;
        chunk.filled = 0;
        chunk.capture = capture;
        Some(number)
    }
}

impl Chunk {
    #[inline]
    pub(super) fn capture(&self) -> usize {
        self.capture
    }

    #[inline]
    pub(super) fn frame(&self, offset: u32, len: u32) -> &[u8] {
        let (offset, len) = (offset as usize, len as usize);
        self.bytes.get(offset..offset + len).unwrap_or_default()
    }
}

/// A frame, its chunk, and where it starts there.
pub(super) struct Found {
    pub(super) record: RecordAt,
    pub(super) chunk: usize,
    pub(super) offset: usize,
}

/// What came of looking for the next frame.
pub(super) enum Advance {
    Frame(Found),
    /// A frame too long to deliver went by.
    Oversized,
    /// Every chunk has frames out: come again when some are back.
    Blocked,
    /// The file ended between two records.
    Complete,
    /// The file ended inside a record.
    Truncated,
    Damaged(&'static str),
    Failed(io::Error),
}

/// What came of asking for more bytes.
enum Grown {
    More,
    End,
    Blocked,
    Failed(io::Error),
}

/// One open capture.
pub(super) struct Reading {
    input: Input,
    format: Format,
    chunk: usize,
    /// The next unread byte in the chunk.
    position: usize,
    /// Bytes to pass over before the next record; may reach far beyond the chunk.
    skip: u64,
    ended: bool,
}

impl Reading {
    /// Starts in an empty chunk. `None` where the first bytes are no capture's; they stay there.
    pub(super) fn start(
        mut input: Input,
        chunks: &mut Chunks,
        chunk: usize,
    ) -> io::Result<Option<Reading>> {
        let Some(memory) = chunks.0.get_mut(chunk) else { return Ok(None) };
        let head = memory.bytes.get_mut(..HEAD_BYTES).unwrap_or_default();
        memory.filled = input.read(head)?;
        let head = head.get(..memory.filled).unwrap_or_default();
        let Some(format) = Format::recognise(head) else { return Ok(None) };
        Ok(Some(Reading { input, format, chunk, position: 0, skip: 0, ended: false }))
    }

    /// Bytes of the file itself read since the last call.
    pub(super) fn newly_read(&mut self) -> u64 {
        self.input.newly_read()
    }

    /// The next frame, or why there is none.
    #[inline]
    pub(super) fn advance(&mut self, chunks: &mut Chunks) -> Advance {
        loop {
            let Some(chunk) = chunks.0.get(self.chunk) else { return Advance::Blocked };
            let unread = chunk.filled - self.position;
            if self.skip > unread as u64 {
                self.skip -= unread as u64;
                self.position = chunk.filled;
                match self.more(chunks, 1) {
                    Grown::More => continue,
                    Grown::End => return self.end(Advance::Truncated),
                    Grown::Blocked => return Advance::Blocked,
                    Grown::Failed(error) => return self.end(Advance::Failed(error)),
                }
            }
            self.position += usize::try_from(self.skip).unwrap_or(unread);
            self.skip = 0;
            let window = chunk.bytes.get(self.position..chunk.filled).unwrap_or_default();
            match self.format.step(window) {
                Step::Frame { record, length } => {
                    self.skip = length;
                    let offset = self.position + record.offset;
                    return Advance::Frame(Found { record, chunk: self.chunk, offset });
                }
                Step::Skip { length } => self.skip = length,
                Step::Oversized { length } => {
                    self.skip = length;
                    return Advance::Oversized;
                }
                Step::Damaged(what) => return self.end(Advance::Damaged(what)),
                Step::More { bytes } => {
                    let clean = window.is_empty();
                    match self.more(chunks, bytes) {
                        Grown::More => {}
                        Grown::End if clean => return self.end(Advance::Complete),
                        Grown::End => return self.end(Advance::Truncated),
                        Grown::Blocked => return Advance::Blocked,
                        Grown::Failed(error) => return self.end(Advance::Failed(error)),
                    }
                }
            }
        }
    }

    /// Nothing follows: whoever asks again hears that the file is complete.
    #[cold]
    fn end(&mut self, how: Advance) -> Advance {
        let chunk_end = self.position;
        self.ended = true;
        self.skip = 0;
        self.position = chunk_end;
        how
    }

    /// Makes room for `bytes` from the position on, and reads as much as there is room for.
    #[cold]
    fn more(&mut self, chunks: &mut Chunks, bytes: usize) -> Grown {
        if self.ended {
            return Grown::End;
        }
        if self.position + bytes > CHUNK_BYTES && !self.move_on(chunks) {
            return Grown::Blocked;
        }
        let Some(chunk) = chunks.0.get_mut(self.chunk) else { return Grown::Blocked };
        let room = chunk.bytes.get_mut(chunk.filled..).unwrap_or_default();
        match self.input.read(room) {
            Ok(0) => {
                self.ended = true;
                Grown::End
            }
            Ok(count) => {
                chunk.filled += count;
                Grown::More
            }
            Err(error) => Grown::Failed(error),
        }
    }

    /// Takes the unread bytes to the start of a chunk without frames out: this one if it has none.
    fn move_on(&mut self, chunks: &mut Chunks) -> bool {
        let Some(chunk) = chunks.0.get_mut(self.chunk) else { return false };
        let unread = self.position..chunk.filled;
        let tail = unread.len();
        if chunk.lent == 0 {
            chunk.bytes.copy_within(unread, 0);
            chunk.filled = tail;
            self.position = 0;
            return true;
        }
        let capture = chunk.capture;
        let Some(free) = chunks.take(capture) else { return false };
        let Ok([from, to]) = chunks.0.get_disjoint_mut([self.chunk, free]) else { return false };
        if let (Some(from), Some(to)) = (from.bytes.get(unread), to.bytes.get_mut(..tail)) {
            to.copy_from_slice(from);
        }
        to.filled = tail;
        self.chunk = free;
        self.position = 0;
        true
    }
}
