//! The matcher of all groups. It must never know what a group stands for.

use crate::budget::Budget;
use crate::filter::Kernel;
use crate::group::{Group, Scan};
use crate::literal::Hit;
use crate::store::Store;

/// All literals of all groups; immutable, to be shared by the workers.
#[derive(Debug)]
pub struct Matcher {
    kernel: Kernel,
    store: Store,
    groups: Box<[(u32, Group)]>,
    literals: usize,
}

/// What an operator may want to know of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupFigures {
    /// The caller's number.
    pub group: u32,
    /// Different texts; literals of the same bytes and case count once.
    pub texts: usize,
    /// Bytes of its longest literal.
    pub longest: usize,
    /// The most literals that one window of a payload can ask to be compared.
    pub longest_chain: usize,
    /// Bytes of memory, without the texts, which all groups share.
    pub bytes: usize,
}

impl Matcher {
    pub(crate) fn new(
        kernel: Kernel,
        store: Store,
        groups: Vec<(u32, Group)>,
        literals: usize,
    ) -> Self {
        Self { kernel, store, groups: groups.into_boxed_slice(), literals }
    }

    /// Reports every occurrence of the group's literals in `bytes` that ends after `from`.
    ///
    /// `bytes` should begin [`Matcher::carry`] bytes before `from` where the stream goes on, so
    /// that literals across the border are found. The order of the hits is always the same for
    /// the same input, and is not that of their ends. Only the first 4 GiB are read. A group
    /// that is not there has no hits.
    pub fn scan(
        &self,
        group: u32,
        bytes: &[u8],
        from: usize,
        budget: &mut Budget,
        hits: &mut impl FnMut(Hit),
    ) {
        let Some(group) = self.group(group) else { return };
        let readable = bytes.get(..u32::MAX as usize).unwrap_or(bytes);
        if from >= readable.len() {
            return;
        }
        let mut scan =
            Scan { store: &self.store, kernel: self.kernel, bytes: readable, from, hits };
        group.scan(budget, &mut scan);
    }

    fn group(&self, number: u32) -> Option<&Group> {
        // Most callers number their groups from 0 on.
        let there = self.groups.get(number as usize).filter(|(there, _)| *there == number);
        let found = || {
            let place = self.groups.binary_search_by_key(&number, |(number, _)| *number).ok()?;
            self.groups.get(place)
        };
        there.or_else(found).map(|(_, group)| group)
    }

    /// Bytes to keep from before a new chunk: the group's longest literal, less one.
    #[must_use]
    pub fn carry(&self, group: u32) -> usize {
        self.group(group).map_or(0, |group| group.longest().saturating_sub(1))
    }

    /// Literals added, of all groups.
    #[must_use]
    pub fn literals(&self) -> usize {
        self.literals
    }

    /// The kernel in use.
    #[must_use]
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// The groups in the order of their numbers.
    pub fn groups(&self) -> impl Iterator<Item = GroupFigures> {
        self.groups.iter().map(|(number, group)| GroupFigures {
            group: *number,
            texts: group.texts(),
            longest: group.longest(),
            longest_chain: group.longest_chain(),
            bytes: group.bytes(),
        })
    }

    /// Bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let groups: usize = self.groups.iter().map(|(_, group)| group.bytes()).sum();
        size_of::<Self>() + self.store.bytes() + groups
    }
}
