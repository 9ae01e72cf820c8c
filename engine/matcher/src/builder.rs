//! From literals to a [`Matcher`]. It must never know a payload.

use crate::filter::Kernel;
use crate::group::Group;
use crate::limits::Limits;
use crate::literal::Literal;
use crate::matcher::Matcher;
use crate::store::{StoreBuilder, Text};
use std::collections::BTreeMap;
use std::fmt;

/// Why a literal was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// It has no bytes.
    Empty,
    /// It has more bytes than [`Limits::literal_bytes`].
    LiteralTooLong {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// There are [`Limits::groups`] groups.
    TooManyGroups(usize),
    /// There are [`Limits::literals`] literals, or 4 GiB of their bytes.
    TooManyLiterals(usize),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the literal is empty: give it at least one byte"),
            Self::LiteralTooLong { bytes, most } => write!(
                f,
                "the literal has {bytes} bytes: write at most {most}, or split it into several"
            ),
            Self::TooManyGroups(most) => {
                write!(f, "more than {most} groups: join groups that are scanned together")
            }
            Self::TooManyLiterals(most) => {
                write!(f, "more than {most} literals: disable rules that are not needed")
            }
        }
    }
}

impl std::error::Error for BuildError {}

/// Collects literals.
#[derive(Debug)]
pub struct Builder {
    limits: Limits,
    kernel: Kernel,
    store: StoreBuilder,
    groups: BTreeMap<u32, Vec<(Text, u32)>>,
    literals: usize,
}

impl Builder {
    /// An empty one, for the fastest kernel that this processor has.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            kernel: Kernel::detect(),
            store: StoreBuilder::default(),
            groups: BTreeMap::new(),
            literals: 0,
        }
    }

    /// Scans with `kernel`, or the scalar one where the processor cannot run it.
    #[must_use]
    pub fn kernel(mut self, kernel: Kernel) -> Self {
        self.kernel = kernel.or_scalar();
        self
    }

    /// Adds a literal to its group.
    ///
    /// # Errors
    /// Where it is empty or past a limit; those added before stand.
    pub fn add(&mut self, literal: Literal<'_>) -> Result<(), BuildError> {
        let most = self.limits.literal_bytes.min(Limits::LITERAL_BYTES_MAX);
        if literal.bytes.is_empty() {
            return Err(BuildError::Empty);
        }
        if literal.bytes.len() > most {
            return Err(BuildError::LiteralTooLong { bytes: literal.bytes.len(), most });
        }
        if self.literals >= self.limits.literals.min(Limits::LITERALS_MAX) {
            return Err(BuildError::TooManyLiterals(self.limits.literals));
        }
        let is_new = !self.groups.contains_key(&literal.group);
        if is_new && self.groups.len() >= self.limits.groups {
            return Err(BuildError::TooManyGroups(self.limits.groups));
        }
        let text = self.store.add(literal.bytes, literal.nocase);
        let text = text.ok_or(BuildError::TooManyLiterals(self.limits.literals))?;
        self.groups.entry(literal.group).or_default().push((text, literal.id));
        self.literals += 1;
        Ok(())
    }

    /// The scan structures of all groups.
    #[must_use]
    pub fn build(self) -> Matcher {
        let store = self.store.store();
        let groups: Vec<(u32, Group)> = self
            .groups
            .iter()
            .map(|(number, literals)| (*number, Group::build(literals, store)))
            .collect();
        Matcher::new(self.kernel, self.store.finish(), groups, self.literals)
    }
}
