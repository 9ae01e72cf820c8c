//! A body or file in transfer, cut into pieces at fixed places of its decoded bytes, so that
//! segmentation does not matter. Must never know which protocol carries it.
//!
//! ```text
//! 0        4K           16K                     40K             56K
//! ├─ first ┤            │                       │               │
//! ├─ second, from byte 0 ┤                      │               │
//! ├─ third, from byte 0 ────────────────────────┤               │
//!                                           ├4K─┴─ window ──────┤   … and what is left at the end
//! ```

use super::digest::Digests;
use super::{FileRecord, FileState, magic};
use crate::conversation::Direction;
use crate::limits::{Hashes, Limits};
use crate::output::{Fresh, Output, Piece, index};
use portcullis_plugin_abi::{Buffer, buffer_kind};

/// Bytes that [`magic`] looks at.
const MAGIC_BYTES: usize = 512;

/// Bytes that a piece gets room for before they are there.
const PIECE_MAX: usize = 64 * 1024;

/// Bytes of a body on their way to detectors.
#[derive(Debug, Default)]
pub(crate) struct Body {
    window: Vec<u8>,
    /// Offset of the window's first byte.
    at: u64,
    /// End of the last piece shown.
    seen: u64,
    /// Decoded bytes, shown or not.
    size: u64,
    /// Bytes were lost.
    gap: bool,
    /// What follows was not decoded.
    cut: bool,
    /// Bytes behind the limit were counted and digested, and not shown.
    unshown: bool,
    file: Option<Box<File>>,
}

/// What is known of the file besides its bytes.
#[derive(Debug, Default)]
pub(crate) struct File {
    pub(crate) name: Vec<u8>,
    name_shown: bool,
    magic: Option<&'static str>,
    magic_shown: bool,
    digests: Digests,
    pub(crate) range: Option<(u64, u64)>,
}

/// What a body's bytes led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taken {
    /// Everything was taken.
    All,
    /// A piece is ready after this many bytes: show it, then go on.
    Piece(usize),
}

impl Body {
    /// Starts a body; with a name it is a file.
    pub(crate) fn start(&mut self, name: Option<Vec<u8>>, hashes: Hashes) {
        self.window.clear();
        (self.at, self.seen, self.size) = (0, 0, 0);
        (self.gap, self.cut, self.unshown) = (false, false, false);
        self.file = name
            .map(|name| Box::new(File { name, digests: Digests::new(hashes), ..File::default() }));
    }

    pub(crate) fn file(&mut self) -> Option<&mut File> {
        self.file.as_deref_mut()
    }

    /// Decoded bytes so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes were lost in it.
    pub(crate) fn gap(&mut self) {
        self.gap = true;
    }

    /// What follows is not decoded.
    pub(crate) fn cut(&mut self) {
        self.cut = true;
    }

    fn end(&self) -> u64 {
        self.at + self.window.len() as u64
    }

    /// Where the piece ends that is being gathered.
    fn boundary(&self, limits: &Limits) -> u64 {
        let firsts = limits.body_firsts.iter().map(|&first| u64::from(first));
        let next = firsts.clone().find(|&first| first > self.seen);
        next.unwrap_or_else(|| {
            let last = firsts.max().unwrap_or(0);
            let window = u64::from(limits.body_window.max(1));
            last + (self.seen.saturating_sub(last) / window + 1) * window
        })
    }

    /// Bytes up to the next piece; at least one, and all that come behind the limit.
    pub(crate) fn room(&self, limits: &Limits) -> usize {
        let stop = self.boundary(limits).min(limits.body_bytes.max(self.end()));
        let room = usize::try_from(stop - self.end()).unwrap_or(usize::MAX);
        if room == 0 { usize::MAX } else { room }
    }

    /// Takes decoded bytes up to the next boundary.
    pub(crate) fn take(&mut self, bytes: &[u8], limits: &Limits, out: &mut Output) -> Taken {
        if bytes.is_empty() {
            return Taken::All;
        }
        let shown = limits.body_bytes.saturating_sub(self.end());
        let stop = self.boundary(limits).min(self.end() + shown);
        let room = usize::try_from(stop - self.end()).unwrap_or(usize::MAX);
        let (now, behind) = bytes.split_at(room.min(bytes.len()));
        self.note(now);
        if self.window.capacity() < self.window.len() + now.len() {
            // To the next piece's end at once, not by doubling: a body is told of at few places.
            let piece = usize::try_from(stop - self.at).unwrap_or(0).min(PIECE_MAX);
            let wanted = piece.max(self.window.len() + now.len());
            self.window.reserve_exact(wanted - self.window.len());
        }
        self.window.extend_from_slice(now);
        if self.end() == stop && self.end() > self.seen {
            return Taken::Piece(now.len());
        }
        if !behind.is_empty() {
            // Behind the limit: followed for its length and digests only.
            if !std::mem::replace(&mut self.unshown, true) {
                out.counters.bodies_cut += 1;
            }
            self.note(behind);
        }
        Taken::All
    }

    /// Counts and digests.
    fn note(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        if let Some(file) = &mut self.file {
            file.digests.update(bytes);
        }
    }

    /// Adds the gathered piece to the open message under its names.
    pub(crate) fn show(
        &mut self,
        kinds: &[u16],
        number: usize,
        complete: bool,
        limits: &Limits,
        out: &mut Output,
    ) {
        if self.size == 0 && !complete {
            return;
        }
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        if !self.window.is_empty() {
            let range = out.append(&self.window);
            let seen = index(usize::try_from(self.seen.saturating_sub(self.at)).unwrap_or(0));
            let seen = seen.min(range.end - range.start);
            let fresh = if self.end() > self.seen { Fresh::New } else { Fresh::Earlier };
            let flags = self.flags(complete);
            for &kind in kinds {
                let (range, offset) = (range.clone(), self.at);
                out.piece(Piece { kind, index: number, flags, offset, range, seen, fresh });
            }
        }
        self.show_file(number, complete, out);
        self.seen = self.end();
        let last = limits.body_firsts.iter().max().copied().unwrap_or(0);
        if self.seen >= u64::from(last) {
            let keep = (limits.body_overlap as usize).min(self.window.len());
            let drop = self.window.len() - keep;
            self.window.drain(..drop);
            self.at += drop as u64;
        }
    }

    fn flags(&self, complete: bool) -> u32 {
        let is_cut = self.cut || self.unshown;
        let mut flags = if complete && self.at == 0 && !is_cut && !self.gap {
            Buffer::COMPLETE
        } else if complete {
            0
        } else {
            Buffer::MORE
        };
        if self.gap {
            flags |= Buffer::GAP;
        }
        if is_cut {
            flags |= Buffer::TRUNCATED;
        }
        flags
    }

    fn show_file(&mut self, number: u16, complete: bool, out: &mut Output) {
        let (size, whole) = (self.size, complete && !self.cut && !self.gap);
        let Some(file) = &mut self.file else { return };
        let fresh = |shown: bool| if shown { Fresh::Earlier } else { Fresh::New };
        out.buffer(buffer_kind::FILE_NAME, number, &file.name, fresh(file.name_shown));
        file.name_shown = true;
        if self.at == 0 && (complete || self.window.len() >= MAGIC_BYTES) {
            file.magic.get_or_insert_with(|| magic(&self.window));
        }
        if let Some(magic) = file.magic {
            let fresh = fresh(file.magic_shown);
            out.buffer(buffer_kind::FILE_MAGIC, number, magic.as_bytes(), fresh);
            file.magic_shown = true;
        }
        let flags = if whole { Buffer::COMPLETE } else { Buffer::MORE };
        let range = out.append(&size.to_le_bytes());
        let (kind, fresh) = (buffer_kind::FILE_SIZE, Fresh::New);
        out.piece(Piece { kind, index: number, flags, offset: 0, range, seen: 0, fresh });
        if whole {
            let digests = file.digests.clone().finish();
            if let Some(md5) = digests.md5 {
                out.buffer(buffer_kind::FILE_MD5, number, &md5, Fresh::New);
            }
            if let Some(sha1) = digests.sha1 {
                out.buffer(buffer_kind::FILE_SHA1, number, &sha1, Fresh::New);
            }
            if let Some(sha256) = digests.sha256 {
                out.buffer(buffer_kind::FILE_SHA256, number, &sha256, Fresh::New);
            }
        }
    }

    /// The file as the journal prints it; `None` for a body that is no file.
    pub(crate) fn record(
        &mut self,
        way: Direction,
        tx_id: u32,
        state: FileState,
    ) -> Option<Box<FileRecord>> {
        // The next body may be long in coming.
        self.window = Vec::new();
        let (size, gaps) = (self.size, self.gap);
        let cut = self.cut || gaps;
        let state = if state == FileState::Closed && cut { FileState::Truncated } else { state };
        let mut file = self.file.take()?;
        let digests =
            if state == FileState::Closed { file.digests.finish() } else { Default::default() };
        Some(Box::new(FileRecord {
            to_client: way == Direction::ToClient,
            app_proto: "",
            http: None,
            filename: file.name,
            magic: file.magic,
            gaps,
            state,
            md5: digests.md5,
            sha1: digests.sha1,
            sha256: digests.sha256,
            size,
            tx_id,
            start: file.range.map(|range| range.0),
            end: file.range.map(|range| range.1),
        }))
    }

    pub(crate) fn memory(&self) -> usize {
        self.window.capacity()
            + self
                .file
                .as_ref()
                .map_or(0, |file| size_of::<File>() + file.name.capacity() + file.digests.memory())
    }
}
