//! One matcher for what all flow-scope plugins look for: each buffer is scanned once a group that
//! covers it, and a plugin is woken by what was found. Immutable; workers take a new one together
//! with the plugin whose patterns changed, so that numbers never mean another version's patterns.
//!
//! It must never know what a literal is for.

use portcullis_detect::{Case as PatternCase, OfferedHit, PatternGroup, Patterns};
use portcullis_matcher::{Budget, BuildError, Builder, Case, Limits, Literal, Matcher};
use portcullis_plugin_abi::buffer_kind;
use portcullis_types::PluginId;

/// Hits that one event carries at most; more are counted and dropped.
pub(crate) const HITS_PER_EVENT: usize = 1_024;

/// A group of literals of one plugin.
#[derive(Debug)]
struct Group {
    plugin: PluginId,
    covers: PatternGroup,
}

/// What all flow-scope plugins look for.
#[derive(Debug)]
pub struct Prefilter {
    matcher: Matcher,
    groups: Vec<Group>,
    /// Groups by kind of buffer, then by direction.
    by_kind: Vec<[Vec<u32>; 2]>,
}

/// Where a buffer was seen: what decides on the groups that cover it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// 0 to the server, 1 to the client.
    pub(crate) direction: u8,
    /// IP protocol.
    pub(crate) protocol: u8,
    /// The server's port.
    pub(crate) server_port: u16,
    /// The client's port.
    pub(crate) client_port: u16,
}

impl Place {
    /// Whether a group's protocols and ports take it in.
    fn is_covered(&self, group: &PatternGroup) -> bool {
        let within = |ports: &[(u16, u16)], port: u16| {
            ports.is_empty() || ports.iter().any(|&(low, high)| (low..=high).contains(&port))
        };
        (group.protocols.is_empty() || group.protocols.contains(&self.protocol))
            && within(&group.ports, self.server_port)
            && within(&group.client_ports, self.client_port)
    }
}

/// What scanning costs and loses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanCounters {
    /// Buffers scanned, each once a group.
    pub scans: u64,
    /// Bytes scanned, each once a group.
    pub bytes: u64,
    /// Literals found.
    pub hits: u64,
    /// Literals found that an event had no room for.
    pub hits_lost: u64,
    /// Scans whose verification budget was spent: near misses.
    pub overruns: u64,
}

impl Prefilter {
    /// Builds the matcher of these plugins' patterns. Off the street: it takes milliseconds.
    pub fn new<'a>(
        sets: impl IntoIterator<Item = (PluginId, &'a Patterns)>,
    ) -> Result<Prefilter, BuildError> {
        let mut builder = Builder::new(Limits::default());
        let mut groups = Vec::new();
        let mut by_kind = vec![[Vec::new(), Vec::new()]; buffer_kind::COUNT];
        for (plugin, set) in sets {
            let base = number(groups.len());
            for literal in &set.literals {
                let nocase = match literal.case {
                    PatternCase::Exact => Case::Sensitive,
                    PatternCase::Folded => Case::Insensitive,
                };
                let (id, bytes, group) = (literal.number, &*literal.bytes, base + literal.group);
                builder.add(Literal { id, bytes, nocase, group })?;
            }
            for covers in &set.groups {
                let at = number(groups.len());
                let both = by_kind.get_mut(usize::from(covers.buffer)).into_iter().flatten();
                for (direction, list) in (0_u8..).zip(both) {
                    if covers.direction.is_none_or(|d| d == direction) {
                        list.push(at);
                    }
                }
                groups.push(Group { plugin, covers: covers.clone() });
            }
        }
        Ok(Prefilter { matcher: builder.build(), groups, by_kind })
    }

    /// Whether anybody looks for anything in this kind of buffer going this way.
    #[inline]
    pub(crate) fn reads(&self, kind: u16, direction: u8) -> bool {
        self.of_kind(kind, direction).is_some_and(|list| !list.is_empty())
    }

    fn of_kind(&self, kind: u16, direction: u8) -> Option<&Vec<u32>> {
        self.by_kind.get(usize::from(kind))?.get(usize::from(direction))
    }

    /// Scans a buffer whose first `from` bytes were scanned before; appends what ends behind them.
    /// `buffer` is its place in the event.
    pub(crate) fn scan(
        &self,
        (kind, buffer): (u16, u16),
        place: Place,
        (bytes, from): (&[u8], usize),
        hits: &mut Vec<OfferedHit>,
        counters: &mut ScanCounters,
    ) {
        let Some(list) = self.of_kind(kind, place.direction) else { return };
        for &at in list {
            let Some(group) = self.groups.get(at as usize) else { continue };
            if !place.is_covered(&group.covers) {
                continue;
            }
            let start = from.saturating_sub(self.matcher.carry(at));
            let Some(slice) = bytes.get(start..) else { continue };
            let mut budget = Budget::of_payload(slice.len());
            let plugin = group.plugin;
            let (before, base) = (hits.len(), number(start));
            let mut lost = 0;
            self.matcher.scan(at, slice, from - start, &mut budget, &mut |hit| {
                if hits.len() < HITS_PER_EVENT {
                    let (pattern, end) = (hit.id, hit.end + base);
                    hits.push(OfferedHit { plugin, buffer, pattern, end });
                } else {
                    lost += 1;
                }
            });
            counters.scans += 1;
            counters.bytes += slice.len() as u64;
            counters.hits += (hits.len() - before) as u64;
            counters.hits_lost += lost;
            counters.overruns += u64::from(budget.overruns());
        }
    }

    /// Literals of all plugins.
    pub fn literals(&self) -> usize {
        self.matcher.literals()
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.matcher.bytes()
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
