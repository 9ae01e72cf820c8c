//! The text of an exclusion → [`Exclusion`]. Total: any text gives a row or an error that names the
//! position, the word, and what to write instead.

use super::{Exclusion, ExclusionAction, Expires, Place, PortRange, Source};
use crate::{ClassAction, parse_duration, parse_timestamp};
use portcullis_types::{Addr, Prefix, VLAN_DEPTH_MAX, VlanStack};
use std::fmt;

/// The longest text of one row, in bytes. A row with all its clauses and a long comment takes a
/// quarter of it.
pub(super) const TEXT_MAX: usize = 4096;

const ACTION_HELP: &str = "write default, do-not-scan, do-not-block, ignore, terminate, \
                           terminate-and-block or terminate-and-block for 10m";
const SOURCE_HELP: &str = "write an address (192.0.2.1), a network (192.0.2.0/24), a range \
                           (192.0.2.1-192.0.2.9) or any";
const VLAN_HELP: &str = "write vlan 0 (no tag), a VLAN from 1 to 4094 (vlan 10), two or three of \
                         them from the outermost in (vlan 10.20), or vlan 4095 (any tag)";

/// Why a row was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExclusionError {
    /// Where, in characters from 1; one past the end where something is missing.
    pub column: usize,
    /// The word there; empty where something is missing.
    pub word: String,
    /// What is wrong and what to write instead.
    pub remedy: String,
}

impl fmt::Display for ExclusionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.word.is_empty() {
            write!(f, "column {}: {}", self.column, self.remedy)
        } else {
            write!(f, "column {}, \"{}\": {}", self.column, self.word, self.remedy)
        }
    }
}

impl std::error::Error for ExclusionError {}

/// One word of the row: text between blanks, or between quotes.
#[derive(Clone, Debug)]
struct Word {
    column: usize,
    text: String,
    quoted: Quoted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quoted {
    Yes,
    No,
}

impl Word {
    fn error(&self, remedy: impl Into<String>) -> ExclusionError {
        let mut word: String = self.text.chars().take(64).collect();
        if word.len() < self.text.len() {
            word.push('…');
        }
        ExclusionError { column: self.column, word, remedy: remedy.into() }
    }
}

/// The words of the row and the place where reading goes on.
struct Words {
    rest: std::vec::IntoIter<Word>,
    end: usize,
}

impl Words {
    fn split(text: &str) -> Result<Words, ExclusionError> {
        let missing = |column, remedy: &str| ExclusionError {
            column,
            word: String::new(),
            remedy: remedy.into(),
        };
        if text.len() > TEXT_MAX {
            return Err(missing(TEXT_MAX, "a row has at most 4096 bytes; shorten its comment"));
        }
        let (mut words, mut chars) = (Vec::new(), text.chars().zip(1..).peekable());
        while let Some((c, column)) = chars.next() {
            if c.is_whitespace() {
                continue;
            }
            let mut word = Word { column, text: String::new(), quoted: Quoted::No };
            if c == '"' {
                word.quoted = Quoted::Yes;
                loop {
                    match chars.next() {
                        Some(('"', _)) => break,
                        Some(('\\', _)) => word.text.extend(chars.next().map(|(c, _)| c)),
                        Some((c, _)) => word.text.push(c),
                        None => return Err(missing(column, "close the quotes with \"")),
                    }
                }
            } else {
                word.text.push(c);
                while let Some((c, _)) = chars.next_if(|(c, _)| !c.is_whitespace() && *c != '"') {
                    word.text.push(c);
                }
            }
            words.push(word);
        }
        Ok(Words { rest: words.into_iter(), end: text.chars().count() + 1 })
    }

    fn next(&mut self) -> Option<Word> {
        self.rest.next()
    }

    fn want(&mut self, remedy: &str) -> Result<Word, ExclusionError> {
        self.rest.next().ok_or(ExclusionError {
            column: self.end,
            word: String::new(),
            remedy: remedy.into(),
        })
    }

    /// The next word where it is this one, bare.
    fn take(&mut self, text: &str) -> Option<Word> {
        let next = self.rest.as_slice().first()?;
        if next.text == text && next.quoted == Quoted::No { self.rest.next() } else { None }
    }
}

impl Exclusion {
    /// Reads one row.
    pub fn parse(text: &str) -> Result<Exclusion, ExclusionError> {
        let mut words = Words::split(text)?;
        let first = words.want(SOURCE_HELP)?;
        let source = Source::read(&first)?;
        let mut row = Exclusion::new(source, ExclusionAction::Default);
        let mut seen = Vec::new();
        while let Some(word) = words.next() {
            let clause = row.clause(&word, &mut words)?;
            if seen.contains(&clause) {
                return Err(word.error(format!("this row has {clause} already; remove one")));
            }
            seen.push(clause);
        }
        if !seen.contains(&"an action") {
            words.want(ACTION_HELP)?;
        }
        row.consistent(&first)?;
        Ok(row)
    }

    /// Reads one clause and names its kind.
    fn clause(&mut self, word: &Word, words: &mut Words) -> Result<&'static str, ExclusionError> {
        let text = if word.quoted == Quoted::Yes { "" } else { word.text.as_str() };
        match text {
            "novlan" => {
                self.place = Place::Stack(VlanStack::UNTAGGED);
                Ok("a VLAN")
            }
            "vlan" => {
                self.place = Place::read(&words.want(VLAN_HELP)?)?;
                Ok("a VLAN")
            }
            "to" => {
                self.destination = Some(Source::read(&words.want(SOURCE_HELP)?)?);
                Ok("a destination")
            }
            "protocol" => {
                let word = words.want("write the protocol, such as tcp")?;
                self.protocol = Some(word.text.parse().map_err(|e: &str| word.error(e))?);
                Ok("a protocol")
            }
            "port" => {
                self.ports = Some(PortRange::read(&words.want("write a port, such as 443")?)?);
                Ok("a port")
            }
            "segment" => {
                self.segment = Some(name(words.want("write the segment's name")?)?);
                Ok("a segment")
            }
            "rule" => {
                let word = words.want("write gid:sid or gid:sid:rev, such as 1:2010935")?;
                self.rule = Some(
                    word.text
                        .parse()
                        .map_err(|e: crate::RuleRefError| word.error(e.to_string()))?,
                );
                Ok("a rule")
            }
            "expires" => {
                self.expires = Some(expiry(words)?);
                Ok("an expiry")
            }
            "owner" => {
                self.owner = Some(name(words.want("write the owner in quotes")?)?);
                Ok("an owner")
            }
            "comment" => {
                self.comment = Some(name(words.want("write the comment in quotes")?)?);
                Ok("a comment")
            }
            _ => {
                self.action = action(word, words)?;
                Ok("an action")
            }
        }
    }

    /// What each clause alone cannot tell.
    fn consistent(&self, first: &Word) -> Result<(), ExclusionError> {
        if let Some(Some((destination, _))) = self.destination.map(|d| d.ends())
            && let Some((source, _)) = self.source.ends()
            && source.is_v4() != destination.is_v4()
        {
            return Err(first.error(
                "source and destination are of different families, so the row can never match; \
                 write both in IPv4 or both in IPv6",
            ));
        }
        if self.ports.is_some() && self.protocol.is_some_and(|p| !p.has_ports()) {
            return Err(first.error(
                "the protocol of this row has no ports; remove port, or write protocol tcp, udp \
                 or sctp",
            ));
        }
        if self.rule.is_some() && self.action == ExclusionAction::DoNotScan {
            return Err(first.error(
                "do-not-scan cannot depend on a rule, since no rule sees the traffic; write \
                 ignore or do-not-block, or remove rule",
            ));
        }
        Ok(())
    }
}

impl std::str::FromStr for Source {
    type Err = String;
    /// An address, a network, a range or `any`; the error says what to write instead.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "any" {
            return Ok(Source::Any);
        }
        if let Some((first, last)) = text.split_once('-') {
            let ends = first.parse::<Addr>().ok().zip(last.parse::<Addr>().ok());
            let (first, last) = ends.ok_or(SOURCE_HELP)?;
            if first.is_v4() != last.is_v4() {
                return Err("a range lies in one family; write both ends in IPv4 or in IPv6".into());
            }
            if first > last {
                return Err(format!("a range begins with its lower end; write {last}-{first}"));
            }
            return Ok(Source::Range(first, last));
        }
        text.parse::<Prefix>().map(Source::Network).map_err(|e| match e {
            portcullis_types::PrefixError::Address => SOURCE_HELP.into(),
            other => other.to_string(),
        })
    }
}

impl Source {
    fn read(word: &Word) -> Result<Source, ExclusionError> {
        word.text.parse().map_err(|e: String| word.error(e))
    }
}

impl std::str::FromStr for Place {
    type Err = &'static str;
    /// What stands behind `vlan`: `0`, `10`, `10.20`, `4095`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "0" => return Ok(Place::Stack(VlanStack::UNTAGGED)),
            "4095" => return Ok(Place::Tagged),
            _ => {}
        }
        let mut vids = Vec::new();
        for part in text.split('.') {
            let plain = part.bytes().all(|b| b.is_ascii_digit()) && part.len() <= 4;
            let vid = if plain { part.parse::<u16>().ok() } else { None };
            vids.push(vid.filter(|v| (1..=4094).contains(v)).ok_or(VLAN_HELP)?);
            if vids.len() > VLAN_DEPTH_MAX {
                return Err(VLAN_HELP);
            }
        }
        VlanStack::from_vids(&vids).map(Place::Stack).ok_or(VLAN_HELP)
    }
}

impl Place {
    fn read(word: &Word) -> Result<Place, ExclusionError> {
        word.text.parse().map_err(|e: &str| word.error(e))
    }
}

impl std::str::FromStr for PortRange {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const HELP: &str = "write a port from 0 to 65535, or a range such as 8000-8080";
        let port = |s: &str| {
            let plain = s.bytes().all(|b| b.is_ascii_digit());
            if plain { s.parse::<u16>().map_err(|_| HELP) } else { Err(HELP) }
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (port(first)?, port(last)?);
        if first > last { Err(HELP) } else { Ok(PortRange { first, last }) }
    }
}

impl PortRange {
    fn read(word: &Word) -> Result<PortRange, ExclusionError> {
        word.text.parse().map_err(|e: &str| word.error(e))
    }
}

/// Words of a person: quoted, or one bare word; no control characters, so that lists stay lists.
fn name(word: Word) -> Result<Box<str>, ExclusionError> {
    if word.text.is_empty() || word.text.chars().any(char::is_control) {
        return Err(word.error("write at least one character, and no line breaks or controls"));
    }
    Ok(word.text.into_boxed_str())
}

fn expiry(words: &mut Words) -> Result<Expires, ExclusionError> {
    const HELP: &str = "write a moment (2027-01-31T18:00:00Z) or a time from now (in 2h)";
    if words.take("in").is_some() {
        let word = words.want("write how long, such as 2h")?;
        return match parse_duration(&word.text) {
            Ok(duration) if !duration.is_zero() => Ok(Expires::In(duration)),
            _ => Err(word.error("write how long, such as 90s, 10m, 2h or 7d")),
        };
    }
    let word = words.want(HELP)?;
    parse_timestamp(&word.text).map(Expires::At).map_err(|_| word.error(HELP))
}

impl std::str::FromStr for ExclusionAction {
    type Err = ExclusionError;
    /// The action alone, as it stands in a row: `terminate-and-block for 10m`.
    fn from_str(text: &str) -> Result<Self, ExclusionError> {
        let mut words = Words::split(text)?;
        let first = words.want(ACTION_HELP)?;
        let action = action(&first, &mut words)?;
        match words.next() {
            Some(word) => Err(word.error("nothing follows the action here; remove this")),
            None => Ok(action),
        }
    }
}

fn action(word: &Word, words: &mut Words) -> Result<ExclusionAction, ExclusionError> {
    let text = if word.quoted == Quoted::Yes { "" } else { word.text.as_str() };
    let class = match text {
        "default" => return Ok(ExclusionAction::Default),
        "do-not-scan" => return Ok(ExclusionAction::DoNotScan),
        "do-not-block" => return Ok(ExclusionAction::DoNotBlock),
        other => other.parse::<ClassAction>().map_err(|_| word.error(unknown(&word.text)))?,
    };
    let Some(for_word) = words.take("for") else { return Ok(ExclusionAction::Class(class, None)) };
    if class != ClassAction::TerminateAndBlock {
        let remedy = "only terminate-and-block has a duration; remove for and what follows it";
        return Err(for_word.error(remedy));
    }
    let word = words.want("write how long the block lasts, such as 10m")?;
    let duration =
        word.text.parse().map_err(|e: crate::DurationError| word.error(e.to_string()))?;
    Ok(ExclusionAction::Class(class, Some(duration)))
}

/// What to write instead of a word that is neither clause nor action: the nearest one.
fn unknown(word: &str) -> String {
    const KNOWN: [&str; 16] = [
        "comment",
        "default",
        "do-not-block",
        "do-not-scan",
        "expires",
        "ignore",
        "novlan",
        "owner",
        "port",
        "protocol",
        "rule",
        "segment",
        "terminate",
        "terminate-and-block",
        "to",
        "vlan",
    ];
    let near = KNOWN
        .iter()
        .map(|known| (distance(word, known), known))
        .filter(|(far, known)| *far <= 2 && *far < known.len() / 2 + 1)
        .min();
    match near {
        Some((_, known)) => format!("write {known}"),
        None => format!(
            "write a clause (vlan, to, protocol, port, segment, rule, expires, owner, comment) \
             or an action: {ACTION_HELP}"
        ),
    }
}

/// Letters to insert, remove or change to make one word of the other (Levenshtein); words over 32
/// letters are far from everything.
fn distance(a: &str, b: &str) -> usize {
    if a.chars().count() > 32 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut before = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let change = before + usize::from(x != y);
            before = *cell;
            left = change.min(*cell + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}
