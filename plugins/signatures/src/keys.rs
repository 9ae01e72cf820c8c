//! What keeps its meaning when a set is swapped for another: keys made of names and of rule ids,
//! where the numbers of one set are another set's numbers for something else.
//!
//! What is remembered of flows and hosts is remembered by these. A key has 32 bits of a hash where
//! a flow's slot holds it (two of ten thousand names meet once in a hundred sets), 64 where the
//! host does.

use portcullis_rules_form::{DataSet, Directory, Hash, Head, Refused, Section, Source, StringRow};

/// The keys of a set's names, by their numbers.
pub(crate) struct Keys {
    bits: Vec<u64>,
    data: Vec<u64>,
    /// Of the set itself: what is remembered by its numbers means this set.
    pub(crate) set: u32,
}

/// Never 0: that is a free place.
fn key(bytes: &[u8]) -> u64 {
    let Hash([a, b, c, d, e, f, g, h, ..]) = Hash::of(bytes);
    u64::from_le_bytes([a, b, c, d, e, f, g, h]) | 1
}

/// The half that a slot holds.
#[allow(clippy::cast_possible_truncation, reason = "the half is what is wanted")]
fn half(key: u64) -> u32 {
    key as u32
}

impl Keys {
    /// Reads the names.
    pub(crate) fn read(directory: &Directory, source: &mut impl Source) -> Result<Keys, Refused> {
        let mut text = Vec::new();
        let mut named = |source: &mut _, section, at| {
            let row = directory.row::<StringRow>(source, section, at)?;
            directory.bytes(source, Section::Strings, row, &mut text)?;
            Some(key(&text))
        };
        let bits = (0..directory.count::<StringRow>(Section::FlowbitNames))
            .map(|at| named(source, Section::FlowbitNames, at));
        let bits = bits.collect::<Option<_>>().ok_or(Refused::Torn)?;
        let data = (0..directory.count::<DataSet>(Section::DataSets)).map(|at| {
            let row = directory.row::<DataSet>(source, Section::DataSets, at)?;
            named(source, Section::DataSetNames, row.name)
        });
        let data = data.collect::<Option<_>>().ok_or(Refused::Torn)?;
        let Hash([a, b, c, d, ..]) = directory.hash();
        Ok(Keys { bits, data, set: u32::from_le_bytes([a, b, c, d]) | 1 })
    }

    /// Of a bit or an integer, for the host.
    pub(crate) fn name(&self, number: u16) -> u64 {
        self.bits.get(usize::from(number)).copied().unwrap_or(u64::MAX)
    }

    /// Of a bit or an integer, for a flow's slot.
    pub(crate) fn short(&self, number: u16) -> u32 {
        half(self.name(number))
    }

    /// Of a data set.
    pub(crate) fn data(&self, set: u32) -> u64 {
        usize::try_from(set).ok().and_then(|at| self.data.get(at)).copied().unwrap_or(u64::MAX)
    }
}

/// Of a rule: the same in every set and every revision.
pub(crate) fn rule(head: &Head) -> u32 {
    match head.gid {
        1 => head.sid,
        gid => half(key(&[gid.to_le_bytes(), head.sid.to_le_bytes()].concat())),
    }
}
