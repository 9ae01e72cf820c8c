//! The directory at the start of a set, and reading rows through a [`Source`].

use crate::rows::Row;
use alloc::vec::Vec;
use bytemuck::{Pod, Zeroable};
use core::fmt;

const MAGIC: [u8; 8] = *b"PORTRULE";
/// Version of the layout. Another one is refused: compile the rules again.
pub const VERSION: u32 = 3;
const SECTIONS: usize = 32;
/// Bytes read at once: a directory that lies must not make its reader allocate without end.
const READ_MAX: u32 = 4 << 20;

/// The parts of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
#[expect(missing_docs, reason = "each is named after its rows")]
pub enum Section {
    Rules = 0,
    Bodies = 1,
    Literals = 2,
    LiteralBytes = 3,
    Groups = 4,
    Candidates = 5,
    Always = 6,
    Regexes = 7,
    Strings = 8,
    AddressSets = 9,
    AddressRanges = 10,
    PortSets = 11,
    PortRanges = 12,
    SourceIntervals = 13,
    DestinationIntervals = 14,
    IntervalRules = 15,
    DataSets = 16,
    DataMembers = 17,
    Info = 18,
    Lists = 19,
    EventNames = 20,
    FlowbitNames = 21,
    DataSetNames = 22,
    Kinds = 23,
}

#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Span {
    pub(crate) at: u32,
    pub(crate) len: u32,
}

#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Written {
    pub(crate) magic: [u8; 8],
    pub(crate) version: u32,
    pub(crate) header_len: u32,
    pub(crate) total_len: u32,
    pub(crate) reserved: u32,
    pub(crate) hash: [u8; 16],
    pub(crate) spans: [Span; SECTIONS],
}

const _: () = assert!(size_of::<Written>() == 296);

impl Written {
    #[allow(clippy::cast_possible_truncation, reason = "a few hundred bytes")]
    pub(crate) const LEN: u32 = size_of::<Written>() as u32;

    pub(crate) fn new(spans: [Span; SECTIONS], total_len: u32, hash: Hash) -> Written {
        Written {
            magic: MAGIC,
            version: VERSION,
            header_len: Written::LEN,
            total_len,
            reserved: 0,
            hash: hash.0,
            spans,
        }
    }
}

/// Hash of a set's content: names it, and tells a torn file from a whole one. Not a signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Hash(pub [u8; 16]);

impl Hash {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Hash {
        const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut lanes = [0x243f_6a88_85a3_08d3u64, 0x1319_8a2e_0370_7344];
        for (i, chunk) in bytes.chunks(8).enumerate() {
            let mut word = [0; 8];
            if let Some(to) = word.get_mut(..chunk.len()) {
                to.copy_from_slice(chunk);
            }
            let [a, b] = &mut lanes;
            let lane = if i & 1 == 0 { a } else { b };
            *lane = (*lane ^ u64::from_le_bytes(word)).wrapping_mul(PRIME);
            *lane ^= *lane >> 29;
        }
        let [mut a, mut b] = lanes;
        a ^= u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        for _ in 0..3 {
            a = (a ^ b.rotate_left(31)).wrapping_mul(PRIME);
            b = (b ^ (a >> 32)).wrapping_mul(PRIME | 2);
        }
        let mut out = [0; 16];
        let (low, high) = out.split_at_mut(8);
        low.copy_from_slice(&a.to_le_bytes());
        high.copy_from_slice(&b.to_le_bytes());
        Hash(out)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// Why a set was not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// It does not begin as a compiled set does.
    NotARuleSet,
    /// Its layout is of another version.
    Version(u32),
    /// It is shorter than its header says, or a section lies outside of it.
    Torn,
    /// Its content does not have the hash that its header says.
    Hash,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::NotARuleSet => {
                f.write_str("this is no compiled rule set; make one with `rules compile`")
            }
            Refused::Version(v) => write!(
                f,
                "the rule set has layout {v}, this engine reads {VERSION}; compile the rules again"
            ),
            Refused::Torn => f.write_str("the rule set is cut off; compile the rules again"),
            Refused::Hash => f.write_str("the rule set was changed; compile the rules again"),
        }
    }
}

impl core::error::Error for Refused {}

/// Something that a set is read from, piece by piece.
pub trait Source {
    /// Fills `to` with the bytes from `offset`; `None` where there are not so many.
    fn read(&mut self, offset: u32, to: &mut [u8]) -> Option<()>;
}

impl Source for &[u8] {
    fn read(&mut self, offset: u32, to: &mut [u8]) -> Option<()> {
        let at = usize::try_from(offset).ok()?;
        to.copy_from_slice(self.get(at..at.checked_add(to.len())?)?);
        Some(())
    }
}

/// Where everything lies. Small; read once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Directory {
    written: Written,
}

impl Directory {
    /// Bytes of the directory.
    pub const LEN: u32 = Written::LEN;

    /// Reads and checks the directory.
    pub fn read(source: &mut impl Source) -> Result<Directory, Refused> {
        let mut written = Written::zeroed();
        let bytes = bytemuck::bytes_of_mut(&mut written);
        source.read(0, bytes).ok_or(Refused::NotARuleSet)?;
        Directory::checked(written)
    }

    fn checked(w: Written) -> Result<Directory, Refused> {
        if w.magic != MAGIC {
            return Err(Refused::NotARuleSet);
        }
        if w.version != VERSION || w.header_len != Written::LEN {
            return Err(Refused::Version(w.version));
        }
        let outside = |s: &Span| {
            s.at.checked_add(s.len).is_none_or(|end| end > w.total_len) || s.at < Written::LEN
        };
        if w.spans.iter().any(|s| s.len > 0 && outside(s)) {
            return Err(Refused::Torn);
        }
        Ok(Directory { written: w })
    }

    /// Bytes of the whole set.
    pub fn total_len(&self) -> u32 {
        self.written.total_len
    }

    /// Hash of the content, as the header says.
    pub fn hash(&self) -> Hash {
        Hash(self.written.hash)
    }

    /// Where a section lies: offset and bytes.
    pub fn span(&self, section: Section) -> (u32, u32) {
        self.written.spans.get(section as usize).map_or((0, 0), |s| (s.at, s.len))
    }

    /// How many rows a table has.
    pub fn count<R: Row>(&self, section: Section) -> u32 {
        self.span(section).1 / stride::<R>()
    }

    /// One row.
    pub fn row<R: Row>(&self, source: &mut impl Source, section: Section, i: u32) -> Option<R> {
        let (at, _) = self.span(section);
        if i >= self.count::<R>(section) {
            return None;
        }
        let mut row = R::zeroed();
        let at = at.checked_add(i.checked_mul(stride::<R>())?)?;
        source.read(at, bytemuck::bytes_of_mut(&mut row))?;
        Some(row)
    }

    /// `count` rows from `first`, appended; `None` (and nothing appended) where they are not.
    pub fn rows<R: Row>(
        &self,
        source: &mut impl Source,
        section: Section,
        run: crate::SetRow,
        out: &mut Vec<R>,
    ) -> Option<()> {
        let (at, _) = self.span(section);
        let end = run.first.checked_add(run.count)?;
        if end > self.count::<R>(section) || run.count > READ_MAX / stride::<R>() {
            return None;
        }
        let before = out.len();
        let more = usize::try_from(run.count).ok()?;
        out.resize(before.checked_add(more)?, R::zeroed());
        let at = at.checked_add(run.first.checked_mul(stride::<R>())?)?;
        let read = source.read(at, bytemuck::cast_slice_mut(out.get_mut(before..)?));
        if read.is_none() {
            out.truncate(before);
        }
        read
    }

    /// `len` bytes at `at` of a section, into `out`, which is cleared first.
    pub fn bytes(
        &self,
        source: &mut impl Source,
        section: Section,
        place: crate::StringRow,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let (start, section_len) = self.span(section);
        if place.at.checked_add(place.len)? > section_len || place.len > READ_MAX {
            return None;
        }
        out.clear();
        out.resize(usize::try_from(place.len).ok()?, 0);
        source.read(start.checked_add(place.at)?, out)
    }
}

#[allow(clippy::cast_possible_truncation, reason = "rows are at most 64 bytes")]
pub(crate) const fn stride<R>() -> u32 {
    size_of::<R>() as u32
}
