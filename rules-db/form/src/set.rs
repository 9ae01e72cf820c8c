//! A whole set in memory, as the host maps it. All accessors are total.

use crate::Body;
use crate::directory::{Directory, Hash, Refused, Section};
use crate::rows::{
    Always, Candidate, GroupRow, InfoRow, LiteralRow, NONE, PortRange, RegexRow, Row, RuleRow,
    SetRow, StringRow, literal,
};
use alloc::vec::Vec;

/// A compiled set, read in place.
#[derive(Clone, Copy, Debug)]
pub struct RuleSet<'a> {
    bytes: &'a [u8],
    directory: Directory,
}

/// A literal that the matcher looks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Literal<'a> {
    /// Its number: the `pattern` of a hit.
    pub id: u32,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Whether ASCII letters match in either case.
    pub nocase: bool,
    /// Its group.
    pub group: u32,
}

/// A group of literals, and the buffers that it is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its number.
    pub id: u32,
    /// Kind of buffer.
    pub kind: u16,
    /// 0 to the server, 1 to the client.
    pub direction: u8,
    /// IP protocol; 0 any.
    pub protocol: u8,
    /// How many literals.
    pub literals: u32,
    server_ports: u32,
    client_ports: u32,
}

/// A regular expression.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Regex<'a> {
    /// Its number.
    pub id: u32,
    /// The pattern, without slashes.
    pub pattern: &'a str,
    /// Its flags, those of the regex engine, and `R`: the subject begins where the search does.
    pub flags: &'a str,
}

/// What the host knows of a rule.
#[derive(Clone, Copy, Debug)]
pub struct RuleInfo<'a> {
    set: RuleSet<'a>,
    row: InfoRow,
}

impl<'a> RuleSet<'a> {
    /// Checks the directory. Does not read the rest: see [`RuleSet::verify`].
    pub fn open(bytes: &'a [u8]) -> Result<RuleSet<'a>, Refused> {
        let mut source = bytes;
        let directory = Directory::read(&mut source)?;
        let whole = usize::try_from(directory.total_len()).ok().is_some_and(|n| n <= bytes.len());
        if whole { Ok(RuleSet { bytes, directory }) } else { Err(Refused::Torn) }
    }

    /// Whether the content has the hash that the header says. Reads every byte.
    pub fn verify(&self) -> Result<(), Refused> {
        let from = usize::try_from(Directory::LEN).unwrap_or(usize::MAX);
        let to = usize::try_from(self.directory.total_len()).unwrap_or(0);
        let content = self.bytes.get(from..to).ok_or(Refused::Torn)?;
        if Hash::of(content) == self.hash() { Ok(()) } else { Err(Refused::Hash) }
    }

    /// The content's hash.
    pub fn hash(&self) -> Hash {
        self.directory.hash()
    }

    /// The directory.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// All bytes, for `section_read`.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many rules.
    pub fn len(&self) -> u32 {
        self.directory.count::<RuleRow>(Section::Rules)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn row<R: Row>(&self, section: Section, i: u32) -> Option<R> {
        let mut source = self.bytes;
        self.directory.row(&mut source, section, i)
    }

    fn table<R: Row>(self, section: Section) -> impl Iterator<Item = R> + use<'a, R> {
        (0..self.directory.count::<R>(section)).map_while(move |i| self.row(section, i))
    }

    fn run<R: Row>(self, section: Section, run: SetRow) -> impl Iterator<Item = R> + use<'a, R> {
        let end = run.first.saturating_add(run.count);
        (run.first..end).map_while(move |i| self.row(section, i))
    }

    fn slice(&self, section: Section, at: u32, len: u32) -> Option<&'a [u8]> {
        let (start, section_len) = self.directory.span(section);
        if at.checked_add(len)? > section_len {
            return None;
        }
        let from = usize::try_from(start.checked_add(at)?).ok()?;
        self.bytes.get(from..from.checked_add(usize::try_from(len).ok()?)?)
    }

    fn string(&self, row: StringRow) -> &'a str {
        self.slice(Section::Strings, row.at, row.len)
            .and_then(|b| core::str::from_utf8(b).ok())
            .unwrap_or("")
    }

    /// All literals, in the order of their numbers.
    pub fn literals(self) -> impl Iterator<Item = Literal<'a>> + use<'a> {
        (0..).zip(self.table::<LiteralRow>(Section::Literals)).map_while(move |(id, row)| {
            let bytes = self.slice(Section::LiteralBytes, row.at, u32::from(row.len))?;
            let nocase = row.flags & literal::NOCASE != 0;
            Some(Literal { id, bytes, nocase, group: row.group })
        })
    }

    /// The rules to be tried when this literal was found.
    pub fn candidates(self, literal: u32) -> impl Iterator<Item = Candidate> + use<'a> {
        let run = self
            .row::<LiteralRow>(Section::Literals, literal)
            .map_or(SetRow { first: 0, count: 0 }, |l| SetRow { first: l.first, count: l.count });
        self.run(Section::Candidates, run)
    }

    /// All groups, in the order of their numbers.
    pub fn groups(self) -> impl Iterator<Item = Group> + use<'a> {
        (0..).zip(self.table::<GroupRow>(Section::Groups)).map(|(id, row)| Group {
            id,
            kind: row.kind,
            direction: row.direction,
            protocol: row.protocol,
            literals: row.literals,
            server_ports: row.server_ports,
            client_ports: row.client_ports,
        })
    }

    /// The ports of the server that a group is for; `None` for all.
    pub fn server_ports(self, group: &Group) -> Option<Vec<PortRange>> {
        self.ports(group.server_ports)
    }

    /// The ports of the client that a group is for; `None` for all.
    pub fn client_ports(self, group: &Group) -> Option<Vec<PortRange>> {
        self.ports(group.client_ports)
    }

    fn ports(self, set: u32) -> Option<Vec<PortRange>> {
        if set == NONE {
            return None;
        }
        let run = self.row::<SetRow>(Section::PortSets, set);
        Some(run.map(|r| self.run(Section::PortRanges, r).collect()).unwrap_or_default())
    }

    /// All regular expressions, in the order of their numbers.
    pub fn regexes(self) -> impl Iterator<Item = Regex<'a>> + use<'a> {
        (0..).zip(self.table::<RegexRow>(Section::Regexes)).map(move |(id, row)| Regex {
            id,
            pattern: self.string(StringRow { at: row.pattern_at, len: row.pattern_len }),
            flags: self.string(StringRow { at: row.flags_at, len: row.flags_len }),
        })
    }

    /// What rules without a literal want to see.
    pub fn always(self) -> impl Iterator<Item = Always> + use<'a> {
        self.table(Section::Always)
    }

    /// Whether rules that name addresses alone are in the set: they want a flow's first packets.
    pub fn has_address_rules(&self) -> bool {
        let one = |s| self.directory.span(s).1 > 0;
        one(Section::SourceIntervals) || one(Section::DestinationIntervals)
    }

    /// Names of the events (`decode-event`, `stream-event`) that rules ask for.
    pub fn event_names(self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.table::<StringRow>(Section::EventNames).map(move |row| self.string(row))
    }

    /// Names of flow bits, flow integers and other bits, by their numbers.
    pub fn flowbit_names(self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.table::<StringRow>(Section::FlowbitNames).map(move |row| self.string(row))
    }

    /// A rule's body.
    pub fn body(self, rule: u32) -> Option<Body> {
        let row = self.row::<RuleRow>(Section::Rules, rule)?;
        Body::from_bytes(self.slice(Section::Bodies, row.at, row.len)?)
    }

    /// What is known of a rule.
    pub fn info(self, gid: u32, sid: u32) -> Option<RuleInfo<'a>> {
        let (mut low, mut high) = (0, self.directory.count::<InfoRow>(Section::Info));
        while low < high {
            let middle = low + (high - low) / 2;
            let row = self.row::<InfoRow>(Section::Info, middle)?;
            match (row.gid, row.sid).cmp(&(gid, sid)) {
                core::cmp::Ordering::Less => low = middle + 1,
                core::cmp::Ordering::Greater => high = middle,
                core::cmp::Ordering::Equal => return Some(RuleInfo { set: self, row }),
            }
        }
        None
    }

    /// All that is known of all rules, by generator and number.
    pub fn infos(self) -> impl Iterator<Item = RuleInfo<'a>> + use<'a> {
        self.table::<InfoRow>(Section::Info).map(move |row| RuleInfo { set: self, row })
    }

    /// The length of the longest literal: that much, less one, is scanned again before new bytes.
    pub fn longest_literal(self) -> usize {
        self.table::<LiteralRow>(Section::Literals).map(|l| usize::from(l.len)).max().unwrap_or(0)
    }

    /// The kinds of buffers that the rules read, in the order of their numbers.
    pub fn kinds(self) -> impl Iterator<Item = u16> + use<'a> {
        self.table::<u32>(Section::Kinds).filter_map(|kind| u16::try_from(kind).ok())
    }
}

impl<'a> RuleInfo<'a> {
    /// The numbers and small fields.
    pub fn row(&self) -> &InfoRow {
        &self.row
    }

    /// The message.
    pub fn message(&self) -> &'a str {
        self.set.string(self.row.message)
    }

    /// The class type.
    pub fn classtype(&self) -> &'a str {
        self.set.string(self.row.classtype)
    }

    /// The category.
    pub fn category(&self) -> &'a str {
        self.set.string(self.row.category)
    }

    fn list(&self, skip: u32, count: u16) -> impl Iterator<Item = &'a str> + use<'a> {
        let set = self.set;
        let first = self.row.lists.saturating_add(skip);
        set.run::<StringRow>(Section::Lists, SetRow { first, count: u32::from(count) })
            .map(move |row| set.string(row))
    }

    /// References, as addresses or `system,id`.
    pub fn references(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.list(0, self.row.references)
    }

    /// ATT&CK ids.
    pub fn attack(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.list(u32::from(self.row.references), self.row.attack)
    }

    /// Metadata: key and value.
    pub fn metadata(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let skip = u32::from(self.row.references) + u32::from(self.row.attack);
        self.list(skip, self.row.metadata).map(|s| s.split_once(' ').unwrap_or((s, "")))
    }
}
