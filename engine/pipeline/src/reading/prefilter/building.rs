//! From the groups of literals that plugins have to the sets that are scanned for. It must never
//! know a buffer's bytes.

use super::{Group, Sought, Sweep, TRANSPORTS, family, number, transport};
use portcullis_detect::{Case as PatternCase, PatternGroup, Patterns};
use portcullis_matcher::{BuildError, Builder, Case, Limits, Literal};
use portcullis_plugin_abi::buffer_kind;
use portcullis_types::PluginId;

/// Literals for some ports that are shorter are looked for at these ports only.
const SHORT: usize = 2;

/// A prefilter that is being built.
pub(super) struct Building {
    pub(super) builder: Builder,
    pub(super) groups: Vec<Group>,
    pub(super) sought: Vec<Sought>,
    pub(super) sweeps: Vec<[[Sweep; TRANSPORTS]; 2]>,
    pub(super) read: Vec<[bool; 2]>,
    /// Sets of literals so far.
    sets: u32,
}

impl Building {
    pub(super) fn new() -> Self {
        Building {
            builder: Builder::new(Limits::default()),
            groups: Vec::new(),
            sought: Vec::new(),
            sweeps: vec![Default::default(); buffer_kind::COUNT],
            read: vec![[false; 2]; buffer_kind::COUNT],
            sets: 0,
        }
    }

    pub(super) fn add(&mut self, plugin: PluginId, set: &Patterns) -> Result<(), BuildError> {
        let base = number(self.groups.len());
        for covers in &set.groups {
            self.groups.push(Group { plugin, covers: covers.clone() });
        }
        // The sets of a group: for its short literals, and for the others.
        let mut sets: Vec<[Option<Vec<u32>>; 2]> = vec![[None, None]; set.groups.len()];
        for literal in &set.literals {
            let Some(covers) = set.groups.get(literal.group as usize) else { continue };
            let has_ports = !covers.ports.is_empty() || !covers.client_ports.is_empty();
            let apart = has_ports && literal.bytes.len() < SHORT;
            let group = base + literal.group;
            let known = sets.get_mut(literal.group as usize);
            let Some(known) = known.and_then(|two| two.get_mut(usize::from(apart))) else {
                continue;
            };
            let into = known.get_or_insert_with(|| self.sets_of(group, covers, apart));
            let id = number(self.sought.len());
            let length = u16::try_from(literal.bytes.len()).unwrap_or(u16::MAX);
            self.sought.push(Sought { group, pattern: literal.number, length });
            let nocase = match literal.case {
                PatternCase::Exact => Case::Sensitive,
                PatternCase::Folded => Case::Insensitive,
            };
            for &group in &*into {
                self.builder.add(Literal { id, bytes: &literal.bytes, nocase, group })?;
            }
        }
        Ok(())
    }

    /// The sets that a group's literals are in; new ones where there are none yet.
    fn sets_of(&mut self, group: u32, covers: &PatternGroup, apart: bool) -> Vec<u32> {
        let mut out = Vec::new();
        let own = self.sets;
        self.sets += u32::from(apart);
        let Some(ways) = self.sweeps.get_mut(usize::from(family(covers.buffer))) else {
            return out;
        };
        for (direction, transports) in (0_u8..).zip(ways) {
            if covers.direction.is_some_and(|only| only != direction) {
                continue;
            }
            let both = self.read.get_mut(usize::from(covers.buffer));
            if let Some(reads) = both.and_then(|both| both.get_mut(usize::from(direction))) {
                *reads = true;
            }
            for (at, sweep) in transports.iter_mut().enumerate() {
                let is_of = |p: &u8| transport(covers.buffer, *p) == at;
                let any = covers.protocols.is_empty()
                    && (at == 0 || family(covers.buffer) == buffer_kind::STREAM);
                if !any && !covers.protocols.iter().any(is_of) {
                    continue;
                }
                if apart {
                    sweep.at_ports.push((own, group));
                    continue;
                }
                let sets = &mut self.sets;
                out.push(*sweep.all.get_or_insert_with(|| {
                    *sets += 1;
                    *sets - 1
                }));
            }
        }
        if apart { vec![own] } else { out }
    }
}
