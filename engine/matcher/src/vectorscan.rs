//! The same search by Vectorscan, for comparison: never on the street.
//!
//! Only with the feature `vectorscan`, which links the system's `libhs` (Debian's
//! `libvectorscan-dev`; `libhyperscan-dev` has the same interface). Each group is a database of
//! its own, in block mode; literals are given as escaped expressions, so that any byte may stand
//! in them.

use crate::budget::Budget;
use crate::literal::{Case, Hit, Literal};
use crate::matcher::Matcher;
use hyperscan::prelude::{BlockDatabase, Builder as _, Matching, Scratch};
use hyperscan::{CompileFlags, Pattern, Patterns};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// A search for the literals of groups, whoever does it.
pub trait LiteralSearch {
    /// Reports every occurrence of the group's literals in `bytes` that ends after `from`, in an
    /// order of its own.
    fn search(&mut self, group: u32, bytes: &[u8], from: usize, hits: &mut dyn FnMut(Hit));
}

/// This crate's own, each search with the budget that its bytes deserve.
impl LiteralSearch for &Matcher {
    fn search(&mut self, group: u32, bytes: &[u8], from: usize, hits: &mut dyn FnMut(Hit)) {
        self.scan(group, bytes, from, &mut Budget::of_payload(bytes.len()), &mut |hit| hits(hit));
    }
}

/// What the library said.
#[derive(Debug)]
pub struct VectorscanError(String);

impl fmt::Display for VectorscanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vectorscan: {}; leave out the literal that it names", self.0)
    }
}

impl std::error::Error for VectorscanError {}

/// One group: its database, and room to work in for one thread.
struct Database {
    database: BlockDatabase,
    scratch: Scratch,
}

/// All groups, compiled by the library.
pub struct Vectorscan {
    groups: BTreeMap<u32, Database>,
}

impl Vectorscan {
    /// Compiles the literals of all groups. Takes about a second for ten thousand.
    ///
    /// # Errors
    /// Where the library refuses a group, e.g. for a literal of more than 4,000 bytes.
    pub fn new<'l>(
        literals: impl IntoIterator<Item = Literal<'l>>,
    ) -> Result<Self, VectorscanError> {
        let mut patterns: BTreeMap<u32, Vec<Pattern>> = BTreeMap::new();
        for literal in literals {
            let flags = match literal.nocase {
                Case::Sensitive => CompileFlags::empty(),
                Case::Insensitive => CompileFlags::CASELESS,
            };
            let mut pattern = Pattern::with_flags(escaped(literal.bytes), flags).map_err(said)?;
            pattern.id = usize::try_from(literal.id).ok();
            patterns.entry(literal.group).or_default().push(pattern);
        }
        let compiled = patterns.into_iter().map(|(group, patterns)| {
            let database: BlockDatabase = Patterns(patterns).build().map_err(said)?;
            let scratch = database.alloc_scratch().map_err(said)?;
            Ok((group, Database { database, scratch }))
        });
        Ok(Vectorscan { groups: compiled.collect::<Result<_, _>>()? })
    }
}

impl LiteralSearch for Vectorscan {
    fn search(&mut self, group: u32, bytes: &[u8], from: usize, hits: &mut dyn FnMut(Hit)) {
        let Some(Database { database, scratch }) = self.groups.get(&group) else { return };
        let bytes = bytes.get(..u32::MAX as usize).unwrap_or(bytes);
        let each = |id: u32, _: u64, end: u64, _: u32| {
            if let Ok(end) = u32::try_from(end)
                && end as usize > from
            {
                hits(Hit { id, end });
            }
            Matching::Continue
        };
        // It can only fail for what is not so here: scratch of another database or in use.
        let _ = database.scan(bytes, scratch, each);
    }
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 4), |mut text, byte| {
        let _ = write!(text, "\\x{byte:02x}");
        text
    })
}

fn said(error: impl fmt::Display) -> VectorscanError {
    VectorscanError(error.to_string())
}
