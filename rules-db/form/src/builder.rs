//! Puts a set together. The same calls in the same order give the same bytes.

use crate::body::Body;
use crate::directory::{Hash, Section, Span, Written};
use crate::rows::{
    AddressRange, Always, Candidate, DataKind, DataSet, GroupRow, InfoRow, Interval, LiteralRow,
    NONE, PortRange, RegexRow, Row, RuleRow, SetRow, StringRow, literal,
};
use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use bytemuck::Zeroable;
use core::fmt;

/// What the host is to know of a rule; strings apart.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "as in `InfoRow`")]
pub struct Info {
    pub gid: u32,
    pub sid: u32,
    pub rev: u32,
    pub priority: u32,
    pub class: u8,
    pub severity: u8,
    pub confidence: u8,
    pub action: u8,
    pub offender: u8,
    pub target: u8,
    pub reach: u8,
    pub verb: u8,
    pub ceiling: u8,
    pub message: String,
    pub classtype: String,
    pub category: String,
    pub references: Vec<String>,
    pub attack: Vec<String>,
    pub metadata: Vec<(String, String)>,
}

/// A rule's number in the set, as [`Builder::rule`] gave it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RuleEntry(pub u32);

/// The set would be longer than 4 GiB, or a table than its index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rules take more than 4 GiB; split the set")
    }
}

impl core::error::Error for TooLarge {}

/// A set being made.
#[derive(Debug, Default)]
pub struct Builder {
    rules: Vec<RuleRow>,
    bodies: Vec<u8>,
    groups: Vec<GroupRow>,
    literals: BTreeMap<(u32, Vec<u8>, bool), Vec<Candidate>>,
    always: Vec<Always>,
    strings: Vec<u8>,
    string_at: BTreeMap<String, StringRow>,
    regexes: Vec<RegexRow>,
    regex_at: BTreeMap<(String, String), u32>,
    addresses: Sets<AddressRange>,
    ports: Sets<PortRange>,
    sources: Vec<(AddressRange, u32)>,
    destinations: Vec<(AddressRange, u32)>,
    data_sets: Vec<DataSet>,
    data_members: Vec<[u8; 16]>,
    data_names: Vec<StringRow>,
    infos: BTreeMap<(u32, u32), Info>,
    event_names: Vec<StringRow>,
    flowbit_names: Vec<StringRow>,
    kinds: BTreeSet<u32>,
}

#[derive(Debug)]
struct Sets<T> {
    rows: Vec<SetRow>,
    ranges: Vec<T>,
    known: BTreeMap<Vec<T>, u32>,
}

impl<T> Default for Sets<T> {
    fn default() -> Self {
        Sets { rows: Vec::new(), ranges: Vec::new(), known: BTreeMap::new() }
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(NONE)
}

impl<T: Copy + Ord> Sets<T> {
    fn add(&mut self, ranges: &[T]) -> u32 {
        if let Some(&known) = self.known.get(ranges) {
            return known;
        }
        let id = number(self.rows.len());
        self.rows.push(SetRow { first: number(self.ranges.len()), count: number(ranges.len()) });
        self.ranges.extend_from_slice(ranges);
        self.known.insert(ranges.to_vec(), id);
        id
    }
}

impl Builder {
    /// An empty set.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Adds a rule. Rules are tried in the order in which they are added.
    pub fn rule(&mut self, body: &Body, info: Info) -> RuleEntry {
        let entry = RuleEntry(number(self.rules.len()));
        self.kinds.extend(body.parts.iter().map(|part| u32::from(part.kind)));
        let bytes = body.to_bytes();
        let row = RuleRow { at: number(self.bodies.len()), len: number(bytes.len()) };
        self.bodies.extend_from_slice(&bytes);
        self.rules.push(row);
        self.infos.insert((info.gid, info.sid), info);
        entry
    }

    /// Adds a group of literals; `None` means all ports. The caller keeps groups apart.
    pub fn group(
        &mut self,
        kind: u16,
        direction: u8,
        protocol: u8,
        ports: [Option<&[PortRange]>; 2],
    ) -> u32 {
        let [server_ports, client_ports] = ports.map(|p| self.port_set(p));
        let id = number(self.groups.len());
        let row = GroupRow { kind, direction, protocol, server_ports, client_ports, literals: 0 };
        self.groups.push(row);
        id
    }

    /// Has a rule tried where this literal is found.
    pub fn candidate(&mut self, group: u32, bytes: &[u8], nocase: bool, candidate: Candidate) {
        let bytes = bytes.get(..usize::from(u16::MAX)).unwrap_or(bytes);
        let mut bytes = bytes.to_vec();
        if nocase {
            bytes.make_ascii_lowercase();
        }
        let list = self.literals.entry((group, bytes, nocase)).or_default();
        if !list.contains(&candidate) {
            list.push(candidate);
        }
    }

    /// Has a rule tried on every event that fits.
    pub fn always(&mut self, row: Always) {
        self.always.push(row);
    }

    /// The number of a regular expression.
    pub fn regex(&mut self, pattern: &str, flags: &str) -> u32 {
        let key = (pattern.to_owned(), flags.to_owned());
        if let Some(&known) = self.regex_at.get(&key) {
            return known;
        }
        let (p, f) = (self.string(pattern), self.string(flags));
        let id = number(self.regexes.len());
        self.regexes.push(RegexRow {
            pattern_at: p.at,
            pattern_len: p.len,
            flags_at: f.at,
            flags_len: f.len,
        });
        self.regex_at.insert(key, id);
        id
    }

    /// The number of a set of addresses (sorted, apart); [`NONE`] for all.
    pub fn address_set(&mut self, ranges: Option<&[AddressRange]>) -> u32 {
        ranges.map_or(NONE, |r| self.addresses.add(r))
    }

    /// The number of a set of ports (sorted, apart); [`NONE`] for all.
    pub fn port_set(&mut self, ranges: Option<&[PortRange]>) -> u32 {
        ranges.map_or(NONE, |r| self.ports.add(r))
    }

    /// Has a rule tried on the first packet from these addresses.
    pub fn from_addresses(&mut self, ranges: &[AddressRange], rule: RuleEntry) {
        self.sources.extend(ranges.iter().map(|r| (*r, rule.0)));
    }

    /// Has a rule tried on the first packet to these addresses.
    pub fn to_addresses(&mut self, ranges: &[AddressRange], rule: RuleEntry) {
        self.destinations.extend(ranges.iter().map(|r| (*r, rule.0)));
    }

    /// Adds a data set.
    pub fn data_set(&mut self, name: &str, kind: DataKind, members: &[Vec<u8>]) -> u32 {
        let mut hashes: Vec<[u8; 16]> = members.iter().map(|m| Hash::of(m).0).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let name = self.string(name);
        let id = number(self.data_sets.len());
        self.data_sets.push(DataSet {
            kind: kind as u32,
            first: number(self.data_members.len()),
            count: number(hashes.len()),
            name: number(self.data_names.len()),
        });
        self.data_names.push(name);
        self.data_members.append(&mut hashes);
        id
    }

    /// The number of an event's name.
    pub fn event_name(&mut self, name: &str) -> u32 {
        let row = self.string(name);
        if let Some(i) = self.event_names.iter().position(|r| *r == row) {
            return number(i);
        }
        self.event_names.push(row);
        number(self.event_names.len() - 1)
    }

    /// Names of bits, in the order of their numbers.
    pub fn flowbit_names(&mut self, names: &[&str]) {
        self.flowbit_names = names.iter().map(|n| self.string(n)).collect();
    }

    fn string(&mut self, text: &str) -> StringRow {
        if let Some(&known) = self.string_at.get(text) {
            return known;
        }
        let row = StringRow { at: number(self.strings.len()), len: number(text.len()) };
        self.strings.extend_from_slice(text.as_bytes());
        self.string_at.insert(text.to_owned(), row);
        row
    }

    /// The set's bytes.
    pub fn finish(mut self) -> Result<Vec<u8>, TooLarge> {
        let mut file = File::default();
        let mut interval_rules = Vec::new();
        let sources = intervals(core::mem::take(&mut self.sources), &mut interval_rules);
        let destinations = intervals(core::mem::take(&mut self.destinations), &mut interval_rules);
        let (info, lists) = self.infos();
        self.always.sort_unstable();
        self.always.dedup();
        let (literals, literal_bytes, candidates) = self.literals();
        file.table(Section::Rules, &self.rules)?;
        file.table(Section::Always, &self.always)?;
        file.table(Section::Groups, &self.groups)?;
        file.table(Section::Literals, &literals)?;
        file.table(Section::Candidates, &candidates)?;
        file.table(Section::AddressSets, &self.addresses.rows)?;
        file.table(Section::AddressRanges, &self.addresses.ranges)?;
        file.table(Section::PortSets, &self.ports.rows)?;
        file.table(Section::PortRanges, &self.ports.ranges)?;
        file.table(Section::SourceIntervals, &sources)?;
        file.table(Section::DestinationIntervals, &destinations)?;
        file.table(Section::IntervalRules, &interval_rules)?;
        file.table(Section::DataSets, &self.data_sets)?;
        file.bytes(Section::DataMembers, bytemuck::cast_slice(&self.data_members))?;
        file.table(Section::DataSetNames, &self.data_names)?;
        file.table(Section::EventNames, &self.event_names)?;
        file.table(Section::FlowbitNames, &self.flowbit_names)?;
        let kinds: Vec<u32> = self.kinds.iter().copied().collect();
        file.table(Section::Kinds, &kinds)?;
        file.bytes(Section::Bodies, &self.bodies)?;
        file.bytes(Section::LiteralBytes, &literal_bytes)?;
        file.table(Section::Regexes, &self.regexes)?;
        file.table(Section::Info, &info)?;
        file.table(Section::Lists, &lists)?;
        file.bytes(Section::Strings, &self.strings)?;
        file.finish()
    }

    fn literals(&mut self) -> (Vec<LiteralRow>, Vec<u8>, Vec<Candidate>) {
        let (mut rows, mut bytes, mut candidates) = (Vec::new(), Vec::new(), Vec::new());
        for ((group, text, nocase), mut list) in core::mem::take(&mut self.literals) {
            list.sort_unstable_by_key(|c| c.rule);
            rows.push(LiteralRow {
                at: number(bytes.len()),
                len: u16::try_from(text.len()).unwrap_or(u16::MAX),
                flags: if nocase { literal::NOCASE } else { 0 },
                group,
                first: number(candidates.len()),
                count: number(list.len()),
            });
            bytes.extend_from_slice(&text);
            candidates.append(&mut list);
            if let Some(g) = usize::try_from(group).ok().and_then(|g| self.groups.get_mut(g)) {
                g.literals += 1;
            }
        }
        (rows, bytes, candidates)
    }

    fn infos(&mut self) -> (Vec<InfoRow>, Vec<StringRow>) {
        let (mut rows, mut lists) = (Vec::new(), Vec::new());
        for (_, info) in core::mem::take(&mut self.infos) {
            let mut row = InfoRow {
                gid: info.gid,
                sid: info.sid,
                rev: info.rev,
                priority: info.priority,
                message: self.string(&info.message),
                classtype: self.string(&info.classtype),
                category: self.string(&info.category),
                lists: number(lists.len()),
                class: info.class,
                severity: info.severity,
                confidence: info.confidence,
                action: info.action,
                offender: info.offender,
                target: info.target,
                reach: info.reach,
                verb: info.verb,
                ceiling: info.ceiling,
                ..InfoRow::zeroed()
            };
            row.references = u16::try_from(info.references.len()).unwrap_or(0);
            row.attack = u16::try_from(info.attack.len()).unwrap_or(0);
            row.metadata = u16::try_from(info.metadata.len()).unwrap_or(0);
            for text in info.references.iter().chain(&info.attack) {
                lists.push(self.string(text));
            }
            for (key, value) in &info.metadata {
                lists.push(self.string(&[key.as_str(), value.as_str()].join(" ")));
            }
            rows.push(row);
        }
        (rows, lists)
    }
}

/// Turns overlapping ranges into intervals apart, each with the rules that name it.
fn intervals(ranges: Vec<(AddressRange, u32)>, rules: &mut Vec<u32>) -> Vec<Interval> {
    // At each point: rules that begin there, and rules that have ended just before.
    let mut points: BTreeMap<u128, (Vec<u32>, Vec<u32>)> = BTreeMap::new();
    let mut unending = Vec::new();
    for (range, rule) in ranges {
        let (low, high) = (u128::from_be_bytes(range.low), u128::from_be_bytes(range.high));
        if low > high {
            continue;
        }
        points.entry(low).or_default().0.push(rule);
        match high.checked_add(1) {
            Some(end) => points.entry(end).or_default().1.push(rule),
            None => unending.push(rule),
        }
    }
    let mut open: BTreeMap<u32, u32> = BTreeMap::new();
    let mut lists: BTreeMap<Vec<u32>, u32> = BTreeMap::new();
    let mut out = Vec::new();
    let ends: Vec<u128> = points.keys().skip(1).map(|p| p - 1).chain([u128::MAX]).collect();
    for ((low, (begun, ended)), high) in points.into_iter().zip(ends) {
        for rule in ended {
            let left = open.get(&rule).copied().unwrap_or(1) - 1;
            if left == 0 {
                open.remove(&rule)
            } else {
                open.insert(rule, left)
            };
        }
        for rule in begun {
            *open.entry(rule).or_default() += 1;
        }
        if open.is_empty() {
            continue;
        }
        let list: Vec<u32> = open.keys().copied().collect();
        let count = number(list.len());
        let first = *lists.entry(list).or_insert_with_key(|list| {
            let first = number(rules.len());
            rules.extend_from_slice(list);
            first
        });
        let (low, high) = (low.to_be_bytes(), high.to_be_bytes());
        out.push(Interval { low, high, first, count });
    }
    out
}

struct File {
    content: Vec<u8>,
    spans: [Span; 32],
}

impl Default for File {
    fn default() -> File {
        File { content: Vec::new(), spans: [Span::zeroed(); 32] }
    }
}

impl File {
    fn table<R: Row>(&mut self, section: Section, rows: &[R]) -> Result<(), TooLarge> {
        self.bytes(section, bytemuck::cast_slice(rows))
    }

    fn bytes(&mut self, section: Section, bytes: &[u8]) -> Result<(), TooLarge> {
        // Sections begin at multiples of 16.
        self.content.resize(self.content.len().next_multiple_of(16), 0);
        let pad = Written::LEN.next_multiple_of(16) - Written::LEN;
        let at = self.content.len().checked_add(usize::try_from(pad).unwrap_or(0));
        let at = at.and_then(|n| u32::try_from(n).ok()).and_then(|n| n.checked_add(Written::LEN));
        let len = u32::try_from(bytes.len()).map_err(|_| TooLarge)?;
        if let Some(span) = self.spans.get_mut(section as usize) {
            *span = Span { at: at.ok_or(TooLarge)?, len };
        }
        self.content.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>, TooLarge> {
        let pad = Written::LEN.next_multiple_of(16) - Written::LEN;
        let mut content = alloc::vec![0; usize::try_from(pad).unwrap_or(0)];
        content.extend_from_slice(&self.content);
        let total = u32::try_from(content.len()).ok().and_then(|n| n.checked_add(Written::LEN));
        let head = Written::new(self.spans, total.ok_or(TooLarge)?, Hash::of(&content));
        let mut out = bytemuck::bytes_of(&head).to_vec();
        out.append(&mut content);
        Ok(out)
    }
}
