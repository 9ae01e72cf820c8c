//! What plugins look for: literals in kinds of buffers, regexes, and the events that they want
//! though no literal was found. Read here from manifests and from guests; found elsewhere.
//!
//! One matcher scans each buffer once for the literals of all plugins; its hits come back with the
//! event, each with the literal's number.

use portcullis_plugin_abi::{EventKind, PatternRow, application, buffer_kind, record};
use std::sync::Arc;

/// Whether letters match in either case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Case {
    /// As written.
    Exact,
    /// ASCII letters match in either case.
    Folded,
}

/// Where a literal is looked for.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct PatternGroup {
    /// The kind of buffer, see [`buffer_kind`].
    pub buffer: u16,
    /// 0 to the server, 1 to the client, `None` both.
    pub direction: Option<u8>,
    /// IP protocols; empty means all.
    pub protocols: Vec<u8>,
    /// Server ports, inclusive ranges; empty means all.
    pub ports: Vec<(u16, u16)>,
    /// Client ports, inclusive ranges; empty means all.
    pub client_ports: Vec<(u16, u16)>,
}

impl PatternGroup {
    /// Whether an event's buffer is to be scanned for the group's literals.
    pub fn covers(&self, buffer: u16, direction: u8, protocol: u8, server_port: u16) -> bool {
        self.buffer == buffer
            && self.direction.is_none_or(|d| d == direction)
            && (self.protocols.is_empty() || self.protocols.contains(&protocol))
            && (self.ports.is_empty()
                || self.ports.iter().any(|&(a, b)| (a..=b).contains(&server_port)))
    }
}

/// A literal. Where its place in a buffer matters is the plugin's own affair.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pattern {
    /// Its number in the plugin's set, as hits have it. The same in several groups is one pattern.
    pub number: u32,
    /// What to look for; never empty.
    pub bytes: Arc<[u8]>,
    /// Whether letters match in either case.
    pub case: Case,
    /// Its group in [`Patterns::groups`].
    pub group: u32,
}

/// A regex as rules write it, `/pattern/flags`, taken apart. Its number is its place.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RegexText {
    /// Between the slashes.
    pub pattern: Box<str>,
    /// Behind them.
    pub flags: Box<str>,
}

/// Events that a plugin with `only_hits` is shown though none of its literals was found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Always {
    /// The kind of event.
    pub kind: EventKind,
    /// IP protocol, `None` any.
    pub protocol: Option<u8>,
    /// 0 to the server, 1 to the client, `None` both.
    pub direction: Option<u8>,
    /// Application protocol, see [`application`]; `None` any.
    pub application: Option<u16>,
    /// TCP flags of which the packet has at least one; 0 for no such demand.
    pub tcp_flags: u8,
    /// Kind of a buffer that the event must show; 0 none.
    pub buffer: u16,
    /// Where the source's port lies, both ends included.
    pub source_ports: (u16, u16),
    /// Where the destination's port lies, both ends included.
    pub destination_ports: (u16, u16),
}

/// What of an event decides whether it is wanted without a hit.
#[derive(Clone, Copy, Debug)]
pub struct Bare {
    /// Kind of the event.
    pub kind: EventKind,
    /// IP protocol.
    pub protocol: u8,
    /// 0 to the server, 1 to the client.
    pub direction: u8,
    /// Application protocol, see [`application`].
    pub application: u16,
    /// The client's port.
    pub client_port: u16,
    /// The server's port.
    pub server_port: u16,
}

impl Always {
    /// Whether it means such an event.
    #[inline]
    pub fn covers(&self, event: &Bare) -> bool {
        let (source, destination) = match event.direction {
            0 => (event.client_port, event.server_port),
            _ => (event.server_port, event.client_port),
        };
        let within = |(low, high): (u16, u16), port| low <= port && port <= high;
        self.kind == event.kind
            && self.protocol.is_none_or(|p| p == event.protocol)
            && self.direction.is_none_or(|d| d == event.direction)
            && self.application.is_none_or(|a| a == event.application)
            && within(self.source_ports, source)
            && within(self.destination_ports, destination)
    }
}

/// Everything that one plugin looks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Patterns {
    /// Where.
    pub groups: Vec<PatternGroup>,
    /// What.
    pub literals: Vec<Pattern>,
    /// For `regex_match`, by number.
    pub regexes: Vec<RegexText>,
    /// What is shown all the same.
    pub always: Vec<Always>,
    /// Kinds of buffers that it reads, though it may look for nothing in them; where it cannot say,
    /// none. What is dear to make is made for those who say so.
    pub reads: Vec<u16>,
}

/// Literals of one plugin at most, and regexes.
pub(crate) const PATTERNS_MAX: usize = 1 << 18;

impl Patterns {
    /// Whether it looks for nothing.
    pub fn is_empty(&self) -> bool {
        self.literals.is_empty() && self.regexes.is_empty()
    }

    /// Bytes that it takes.
    pub fn memory(&self) -> usize {
        let literals: usize =
            self.literals.iter().map(|l| l.bytes.len() + size_of::<Pattern>()).sum();
        let regexes: usize =
            self.regexes.iter().map(|r| r.pattern.len() + r.flags.len() + 32).sum();
        literals + regexes + self.groups.len() * size_of::<PatternGroup>()
    }

    /// The number that the next literal has.
    fn next(&self) -> u32 {
        self.literals.last().map_or(0, |l| l.number + 1)
    }

    /// Adds a literal to a group that is there already or is made.
    pub(crate) fn add(&mut self, group: PatternGroup, bytes: &[u8], case: Case) {
        let known = self.groups.iter().position(|g| *g == group);
        let at = known.unwrap_or_else(|| {
            self.groups.push(group);
            self.groups.len() - 1
        });
        let group = u32::try_from(at).unwrap_or(0);
        let number = self.next();
        self.literals.push(Pattern { number, bytes: bytes.into(), case, group });
    }

    /// Adds the rows that a guest gave; says how many, or `None` where they are not understood.
    pub(crate) fn add_rows(&mut self, mut rows: &[u8]) -> Option<usize> {
        let mut count = 0;
        while !rows.is_empty() {
            let (head, rest) = rows.split_at_checked(size_of::<PatternRow>())?;
            let row: PatternRow = record(head);
            let (bytes, rest) = rest.split_at_checked(row.len as usize)?;
            rows = rest;
            count += 1;
            if bytes.is_empty() || self.literals.len() + self.regexes.len() >= PATTERNS_MAX {
                return None;
            }
            if row.flags & PatternRow::REGEX != 0 {
                self.regexes.push(RegexText::parse(std::str::from_utf8(bytes).ok()?)?);
                continue;
            }
            buffer_kind::name(row.buffer)?;
            let all = row.first_port == 0 && row.last_port == u16::MAX;
            let group = PatternGroup {
                buffer: row.buffer,
                direction: (row.direction < 2).then_some(row.direction),
                protocols: if row.protocol == 0 { vec![] } else { vec![row.protocol] },
                ports: if all { vec![] } else { vec![(row.first_port, row.last_port)] },
                client_ports: vec![],
            };
            let folded = row.flags & PatternRow::NOCASE != 0;
            self.add(group, bytes, if folded { Case::Folded } else { Case::Exact });
        }
        Some(count)
    }
}

impl RegexText {
    /// Takes `/pattern/flags` apart.
    pub(crate) fn parse(text: &str) -> Option<RegexText> {
        let (pattern, flags) = text.strip_prefix('/')?.rsplit_once('/')?;
        let flags_ok = flags.chars().all(|c| c.is_ascii_alphabetic());
        (!pattern.is_empty() && flags_ok)
            .then(|| RegexText { pattern: pattern.into(), flags: flags.into() })
    }
}

/// A literal as rules write it: text, and bytes in hexadecimal between bars, `GET|20 2f|`.
/// A backslash before `"`, `;`, `:`, `\` or `|` takes that character as it is.
pub fn literal(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '|' => {
                let (hex, behind) =
                    rest.as_str().split_once('|').ok_or("close the bar: write |0d 0a|")?;
                hexadecimal(hex, &mut out)?;
                rest = behind.chars();
            }
            '\\' => match rest.next() {
                Some(c @ ('"' | ';' | ':' | '\\' | '|')) => push(&mut out, c),
                _ => return Err("write \\\\ for a backslash, \\| for a bar"),
            },
            c => push(&mut out, c),
        }
    }
    if out.is_empty() { Err("it is empty; write at least one byte") } else { Ok(out) }
}

fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn hexadecimal(text: &str, out: &mut Vec<u8>) -> Result<(), &'static str> {
    const WANT: &str = "write two hexadecimal digits for each byte: |0d 0a|";
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).ok_or(WANT))
        .collect::<Result<_, _>>()?;
    for pair in digits.chunks(2) {
        let [high, low] = pair else { return Err(WANT) };
        out.push(u8::try_from(high << 4 | low).map_err(|_| WANT)?);
    }
    Ok(())
}

/// The number of an application protocol by its word; `unknown` is one too.
pub(crate) fn application_named(word: &str) -> Option<u16> {
    if word == "unknown" { Some(application::UNKNOWN) } else { application::named(word) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn row(bytes: &[u8], flags: u8) -> Vec<u8> {
        let row = PatternRow {
            len: u32::try_from(bytes.len()).unwrap(),
            buffer: buffer_kind::HTTP_URI,
            direction: PatternRow::BOTH,
            flags,
            first_port: 80,
            last_port: 81,
            protocol: 6,
            reserved: [0; 3],
        };
        [bytemuck::bytes_of(&row), bytes].concat()
    }

    #[test]
    fn literals_are_read_as_rules_write_them() {
        assert_eq!(literal("a|0d 0A|b\\|\\\\").unwrap(), b"a\r\nb|\\");
        for (bad, why) in [("", "empty"), ("|0", "close"), ("|0|", "two"), ("|zz|", "two")] {
            assert!(literal(bad).unwrap_err().contains(why), "{bad}");
        }
    }

    #[test]
    fn rows_are_numbered_in_their_order_behind_those_that_are_there() {
        let mut patterns = Patterns::default();
        patterns.add(PatternGroup::default(), b"manifest", Case::Exact);
        let rows = [row(b"one", 1), row(b"/x.y/i", 2), row(b"two", 0)].concat();
        assert_eq!(patterns.add_rows(&rows), Some(3));
        let seen: Vec<_> =
            patterns.literals.iter().map(|l| (l.number, &*l.bytes, l.case, l.group)).collect();
        let (e, f) = (Case::Exact, Case::Folded);
        assert_eq!(seen, [(0, &b"manifest"[..], e, 0), (1, b"one", f, 1), (2, b"two", e, 1)]);
        assert_eq!((&*patterns.regexes[0].pattern, &*patterns.regexes[0].flags), ("x.y", "i"));
        assert!(patterns.groups[1].covers(buffer_kind::HTTP_URI, 1, 6, 81));
        assert!(!patterns.groups[1].covers(buffer_kind::HTTP_URI, 1, 6, 82));
        for bad in [&rows[..rows.len() - 1], &row(b"", 0)[..], &row(b"x.y", 2)[..], &rows[..3]] {
            assert_eq!(Patterns::default().add_rows(bad), None);
        }
    }

    proptest! {
        #[test]
        fn any_rows_are_read_or_refused(
            rows in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,40}"
        ) {
            let _ = Patterns::default().add_rows(&rows);
            let _ = literal(&text);
        }
    }
}
