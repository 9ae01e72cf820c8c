//! One matcher for what all flow-scope plugins look for: each buffer is scanned once, and a plugin
//! is woken by what was found. Immutable; workers take a new one together with the plugin whose
//! patterns changed, so that numbers never mean another version's patterns.
//!
//! Kinds of buffers that show the same bytes are one family: a stretch of a stream and the packet
//! that brought it, a body and the file in it. A family's literals are one set, whatever ports they
//! are for; whom a hit concerns is asked when there is one. Only the short ones that are for some
//! ports are sets of their own: in other traffic they would be found all the time.
//!
//! It must never know what a literal is for.

mod building;

use building::Building;
use portcullis_decode::Hashes;
use portcullis_detect::{OfferedHit, PatternGroup, Patterns};
use portcullis_matcher::{Budget, BuildError, Matcher};
use portcullis_plugin_abi::buffer_kind;
use portcullis_types::PluginId;
use portcullis_wire::protocol;

/// Hits that one event carries at most; more are counted and dropped.
pub(crate) const HITS_PER_EVENT: usize = 1_024;

/// A group of literals of one plugin.
#[derive(Debug)]
struct Group {
    plugin: PluginId,
    covers: PatternGroup,
}

/// A literal of one group; its place is its number in the matcher.
#[derive(Clone, Copy, Debug)]
struct Sought {
    group: u32,
    pattern: u32,
    length: u16,
}

/// What is looked for in one family, direction and transport. Numbers are the matcher's groups.
#[derive(Clone, Debug, Default)]
struct Sweep {
    all: Option<u32>,
    /// Short literals for some ports, and the group whose ports those are.
    at_ports: Vec<(u32, u32)>,
}

/// What all flow-scope plugins look for.
#[derive(Debug)]
pub struct Prefilter {
    matcher: Matcher,
    groups: Vec<Group>,
    sought: Vec<Sought>,
    /// By family, direction and transport.
    sweeps: Vec<[[Sweep; TRANSPORTS]; 2]>,
    /// Kinds in which anything is looked for, by direction.
    read: Vec<[bool; 2]>,
    /// Digests of files that anybody reads.
    hashes: Hashes,
}

/// TCP, UDP, others.
const TRANSPORTS: usize = 3;

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
    #[inline]
    fn is_covered(&self, group: &PatternGroup) -> bool {
        let within = |ports: &[(u16, u16)], port: u16| {
            ports.is_empty() || ports.iter().any(|&(low, high)| (low..=high).contains(&port))
        };
        (group.protocols.is_empty() || group.protocols.contains(&self.protocol))
            && within(&group.ports, self.server_port)
            && within(&group.client_ports, self.client_port)
    }
}

/// Bytes to be scanned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch<'b> {
    pub(crate) bytes: &'b [u8],
    /// How many of them were scanned before: what ends there was told.
    pub(crate) from: usize,
}

impl<'b> Stretch<'b> {
    /// Bytes of which none was scanned before.
    pub(crate) fn whole(bytes: &'b [u8]) -> Self {
        Stretch { bytes, from: 0 }
    }
}

/// A literal found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// The kind of buffer in which it was looked for.
    pub(crate) kind: u16,
    pub(crate) plugin: PluginId,
    pub(crate) pattern: u32,
    /// Offset behind its last byte.
    pub(crate) end: usize,
    /// Its bytes.
    pub(crate) length: usize,
}

impl Found {
    /// The hit as an event has it, in the buffer at that place.
    pub(crate) fn in_buffer(self, buffer: u16, end: usize) -> OfferedHit {
        OfferedHit { plugin: self.plugin, buffer, pattern: self.pattern, end: number(end) }
    }
}

/// What scanning costs and loses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanCounters {
    /// Sets of literals looked for in a buffer: one, and those of its ports.
    pub scans: u64,
    /// Bytes scanned, each once a set.
    pub bytes: u64,
    /// Literals found.
    pub hits: u64,
    /// Literals found that an event had no room for.
    pub hits_lost: u64,
    /// Scans whose verification budget was spent: near misses.
    pub overruns: u64,
    /// Bytes not scanned: whoever looks for anything had paused the flow.
    pub paused: u64,
}

impl ScanCounters {
    /// Adds a hit to those of an event, unless it has no room.
    pub(crate) fn keep(&mut self, hits: &mut Vec<OfferedHit>, hit: OfferedHit) {
        if hits.len() < HITS_PER_EVENT {
            self.hits += 1;
            hits.push(hit);
        } else {
            self.hits_lost += 1;
        }
    }
}

impl Prefilter {
    /// Builds the matcher of these plugins' patterns. Off the street: it takes milliseconds.
    pub fn new<'a>(
        sets: impl IntoIterator<Item = (PluginId, &'a Patterns)>,
    ) -> Result<Prefilter, BuildError> {
        let mut building = Building::new();
        let mut hashes = Hashes::default();
        for (plugin, set) in sets {
            building.add(plugin, set)?;
            hashes = hashes.with(digests_of(set));
        }
        let Building { builder, groups, sought, sweeps, read, .. } = building;
        Ok(Prefilter { matcher: builder.build(), groups, sought, sweeps, read, hashes })
    }

    /// Which digests of files anybody reads.
    pub(crate) fn hashes(&self) -> Hashes {
        self.hashes
    }

    /// Whether anybody looks for anything in this kind of buffer going this way.
    #[inline]
    pub(crate) fn reads(&self, kind: u16, direction: u8) -> bool {
        let both = self.read.get(usize::from(kind));
        both.and_then(|both| both.get(usize::from(direction))).is_some_and(|reads| *reads)
    }

    /// Looks through a stretch for what is sought in the family of `kind`; tells each literal that
    /// ends behind what was scanned before, and the kind of buffer that it is sought in.
    pub(crate) fn sweep(
        &self,
        kind: u16,
        place: Place,
        stretch: Stretch<'_>,
        counters: &mut ScanCounters,
        mut found: impl FnMut(&mut ScanCounters, Found),
    ) {
        let (family, transport) = (family(kind), transport(kind, place.protocol));
        let of_family = self.sweeps.get(usize::from(family));
        let of_way = of_family.and_then(|ways| ways.get(usize::from(place.direction)));
        let Some(sweep) = of_way.and_then(|all| all.get(transport)) else { return };
        let here = sweep.at_ports.iter().filter(|(_, group)| {
            self.groups.get(*group as usize).is_some_and(|g| place.is_covered(&g.covers))
        });
        for set in sweep.all.into_iter().chain(here.map(|(set, _)| *set)) {
            self.sweep_set(set, place, stretch, counters, &mut found);
        }
    }

    fn sweep_set(
        &self,
        set: u32,
        place: Place,
        stretch: Stretch<'_>,
        counters: &mut ScanCounters,
        found: &mut impl FnMut(&mut ScanCounters, Found),
    ) {
        let start = stretch.from.saturating_sub(self.matcher.carry(set));
        let Some(slice) = stretch.bytes.get(start..) else { return };
        let mut budget = Budget::of_payload(slice.len());
        self.matcher.scan(set, slice, stretch.from - start, &mut budget, &mut |hit| {
            let Some(sought) = self.sought.get(hit.id as usize) else { return };
            let Some(group) = self.groups.get(sought.group as usize) else { return };
            if place.is_covered(&group.covers) {
                let one = Found {
                    kind: group.covers.buffer,
                    plugin: group.plugin,
                    pattern: sought.pattern,
                    end: start + hit.end as usize,
                    length: usize::from(sought.length),
                };
                found(counters, one);
            }
        });
        counters.scans += 1;
        counters.bytes += slice.len() as u64;
        counters.overruns += u64::from(budget.overruns());
    }

    /// Scans a buffer of one kind; `buffer` is its place in the event.
    pub(crate) fn scan(
        &self,
        (kind, buffer): (u16, u16),
        place: Place,
        stretch: Stretch<'_>,
        hits: &mut Vec<OfferedHit>,
        counters: &mut ScanCounters,
    ) {
        if self.reads(kind, place.direction) {
            self.sweep(kind, place, stretch, counters, |counters, one| {
                if one.kind == kind {
                    counters.keep(hits, one.in_buffer(buffer, one.end));
                }
            });
        }
    }

    /// Literals of all plugins.
    pub fn literals(&self) -> usize {
        self.matcher.literals()
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.matcher.bytes() + size_of_val(&*self.sought)
    }
}

/// The digests that a plugin reads, or looks for literals in.
fn digests_of(set: &Patterns) -> Hashes {
    let reads = |kind| set.reads.contains(&kind) || set.groups.iter().any(|g| g.buffer == kind);
    Hashes {
        md5: reads(buffer_kind::FILE_MD5),
        sha1: reads(buffer_kind::FILE_SHA1),
        sha256: reads(buffer_kind::FILE_SHA256),
    }
}

/// Kinds of buffers that may show the same bytes have the number of one of them.
pub(crate) fn family(kind: u16) -> u16 {
    match kind {
        buffer_kind::PAYLOAD => buffer_kind::STREAM,
        buffer_kind::HTTP_REQUEST_BODY | buffer_kind::HTTP_RESPONSE_BODY => buffer_kind::FILE_DATA,
        own => own,
    }
}

/// Only raw payload is a set for each transport: other kinds are of few.
fn transport(kind: u16, ip_protocol: u8) -> usize {
    match (family(kind), ip_protocol) {
        (buffer_kind::STREAM, protocol::UDP) => 1,
        (buffer_kind::STREAM, other) if other != protocol::TCP => 2,
        _ => 0,
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_detect::{Case as PatternCase, Pattern};
    use portcullis_plugin_abi::buffer_kind::{FILE_DATA, HTTP_RESPONSE_BODY, PAYLOAD, STREAM};

    /// Literals, each of a group: kind, protocol, server's port.
    fn prefilter(rows: &[(&str, u16, u8, Option<u16>)]) -> Prefilter {
        let mut set = Patterns::default();
        for (number, &(text, buffer, protocol, port)) in (0_u32..).zip(rows) {
            set.groups.push(PatternGroup {
                buffer,
                protocols: vec![protocol],
                ports: port.map(|p| (p, p)).into_iter().collect(),
                ..PatternGroup::default()
            });
            let (bytes, group) = (text.as_bytes().into(), number);
            set.literals.push(Pattern { number, bytes, case: PatternCase::Exact, group });
        }
        Prefilter::new([(PluginId(0), &set)]).expect("few literals")
    }

    fn place(protocol: u8, server_port: u16) -> Place {
        Place { direction: 0, protocol, server_port, client_port: 40_000 }
    }

    fn found(prefilter: &Prefilter, kind: u16, at: Place, stretch: Stretch<'_>) -> Vec<(u32, u32)> {
        let (mut hits, mut counters) = (Vec::new(), ScanCounters::default());
        prefilter.scan((kind, 0), at, stretch, &mut hits, &mut counters);
        let mut out: Vec<_> = hits.iter().map(|hit| (hit.pattern, hit.end)).collect();
        out.sort_unstable();
        out
    }

    #[test]
    fn a_group_is_found_in_its_own_kind_protocol_and_ports_only() {
        let rows = [
            ("attack-one", PAYLOAD, 6, None),
            ("attack-one", STREAM, 6, None),
            ("attack-one", PAYLOAD, 17, None),
            ("attack-one", PAYLOAD, 6, Some(80)),
            ("at", PAYLOAD, 6, Some(80)),
            ("attack-one", FILE_DATA, 6, None),
            ("attack-one", HTTP_RESPONSE_BODY, 6, None),
        ];
        let prefilter = prefilter(&rows);
        let stretch = Stretch::whole(b"an attack-one!");
        let numbers = |kind, at| -> Vec<u32> {
            found(&prefilter, kind, at, stretch).into_iter().map(|(number, _)| number).collect()
        };
        assert_eq!(numbers(PAYLOAD, place(6, 80)), [0, 3, 4]);
        assert_eq!(numbers(PAYLOAD, place(6, 81)), [0]);
        assert_eq!(numbers(PAYLOAD, place(17, 80)), [2]);
        assert_eq!(numbers(STREAM, place(6, 80)), [1]);
        assert_eq!(numbers(FILE_DATA, place(6, 80)), [5]);
        assert_eq!(numbers(HTTP_RESPONSE_BODY, place(6, 80)), [6]);
        assert!(!prefilter.reads(STREAM + 200, 0));
    }

    #[test]
    fn a_segment_scanned_with_its_stream_has_the_hits_of_the_packet() {
        let texts = ["wxyz", "abcdefgh", "ghijkl", "a", "lmnopqrstuv"];
        let rows: Vec<_> = [PAYLOAD, STREAM]
            .into_iter()
            .flat_map(|kind| texts.map(|text| (text, kind, 6, None)))
            .collect();
        let prefilter = prefilter(&rows);
        let stream = b"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";
        for from in 0..stream.len() {
            let stretch = Stretch { bytes: stream, from };
            let mut shared = Vec::new();
            let mut counters = ScanCounters::default();
            prefilter.sweep(STREAM, place(6, 80), stretch, &mut counters, |_, one| {
                if one.kind == PAYLOAD && one.end >= from + one.length {
                    shared.push((one.pattern, number(one.end - from)));
                }
            });
            shared.sort_unstable();
            let alone = Stretch::whole(&stream[from..]);
            assert_eq!(shared, found(&prefilter, PAYLOAD, place(6, 80), alone), "from {from}");
        }
    }
}
