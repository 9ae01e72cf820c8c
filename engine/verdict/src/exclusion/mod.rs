//! Exclusions: an ordered list, the first row that matches wins.
//!
//! ```text
//!   SOURCE [novlan | vlan 0 | vlan 10 | vlan 10.20 | vlan 4095] [to DST] [protocol tcp]
//!          [port N[-M]] [segment NAME] [rule gid:sid[:rev]] ACTION
//!          [expires MOMENT | expires in DURATION] [owner WORDS] [comment WORDS]
//! ```
//!
//! This file has the nouns and their canonical text; `parse` reads it, `list` matches, `cover`
//! finds rows that can never match.

mod cover;
mod list;
mod parse;
#[cfg(test)]
mod tests;

pub use cover::{Unreachable, UnreachableReason};
pub(crate) use list::Decided;
pub use list::{Exclusions, ExclusionsError, Traffic};
pub use parse::ExclusionError;

use crate::{BlockDuration, ClassAction, RuleRef, format_duration, format_timestamp};
use portcullis_types::{Addr, Prefix, VlanStack};
use std::fmt;
use std::time::Duration;

/// Which addresses a row is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// Every address of both families.
    Any,
    /// An address or a CIDR network.
    Network(Prefix),
    /// From the first address to the last, both included, of one family.
    Range(Addr, Addr),
}

impl Source {
    /// Whether the address is one of them.
    pub fn holds(&self, addr: Addr) -> bool {
        match self {
            Source::Any => true,
            Source::Network(p) => p.contains(addr),
            Source::Range(first, last) => {
                first.is_v4() == addr.is_v4() && *first <= addr && addr <= *last
            }
        }
    }

    /// The first and the last address; `None` for all.
    pub(crate) fn ends(&self) -> Option<(Addr, Addr)> {
        match *self {
            Source::Any => None,
            Source::Network(p) => Some((p.addr(), last_of(p))),
            Source::Range(first, last) => Some((first, last)),
        }
    }
}

/// The last address of a network.
fn last_of(prefix: Prefix) -> Addr {
    let spare = u32::from(prefix.addr().family_bits() - prefix.len());
    let ones = u128::MAX.checked_shr(128 - spare).unwrap_or(0);
    Addr::v6((u128::from_be_bytes(prefix.addr().octets()) | ones).to_be_bytes())
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Any => f.write_str("any"),
            Source::Network(p) => write!(f, "{p}"),
            Source::Range(first, last) => write!(f, "{first}-{last}"),
        }
    }
}

/// At which place of the segment a row holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Place {
    /// Any place.
    #[default]
    Any,
    /// Frames with any tag: `vlan 4095`.
    Tagged,
    /// Exactly this stack; [`VlanStack::UNTAGGED`] for `novlan` and `vlan 0`. `vlan 10` is not
    /// QinQ 10.20: they are two places.
    Stack(VlanStack),
}

impl Place {
    /// Whether a frame with this stack is at the place.
    #[inline]
    pub fn holds(&self, vlan: VlanStack) -> bool {
        match self {
            Place::Any => true,
            Place::Tagged => vlan != VlanStack::UNTAGGED,
            Place::Stack(stack) => *stack == vlan,
        }
    }
}

impl fmt::Display for Place {
    /// Nothing for any place, else ` vlan …` with a space before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Any => Ok(()),
            Place::Tagged => f.write_str(" vlan 4095"),
            Place::Stack(VlanStack::UNTAGGED) => f.write_str(" vlan 0"),
            Place::Stack(stack) => write!(f, " vlan {stack}"),
        }
    }
}

/// An IP protocol number that prints as its name where it has one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProtocolNumber(pub u8);

/// The protocols that people name.
const PROTOCOLS: [(&str, u8); 10] = [
    ("ah", 51),
    ("esp", 50),
    ("gre", 47),
    ("icmp", 1),
    ("icmpv6", 58),
    ("igmp", 2),
    ("ospf", 89),
    ("sctp", 132),
    ("tcp", 6),
    ("udp", 17),
];

impl ProtocolNumber {
    /// Whether the protocol has ports.
    pub fn has_ports(self) -> bool {
        matches!(self.0, 6 | 17 | 132)
    }
}

impl std::str::FromStr for ProtocolNumber {
    type Err = &'static str;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let named = PROTOCOLS.iter().find(|(name, _)| *name == s).map(|(_, number)| *number);
        let number = || s.bytes().all(|b| b.is_ascii_digit()).then(|| s.parse().ok())?;
        named.or_else(number).map(ProtocolNumber).ok_or(
            "write tcp, udp, icmp, icmpv6, sctp, gre, esp, ah, igmp, ospf or a number to 255",
        )
    }
}

impl fmt::Display for ProtocolNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match PROTOCOLS.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Ports from the first to the last, both included; the ports of the service (the server's side).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port, not below the first.
    pub last: u16,
}

impl PortRange {
    /// Whether the port is one of them.
    #[inline]
    pub fn holds(&self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// When a row ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Expires {
    /// At a moment of the wall clock, in seconds since 1970.
    At(u64),
    /// So long after the row was made. Whoever keeps the row turns this into a moment first
    /// ([`Exclusion::resolved`]), or it would begin anew at each reload.
    In(Duration),
}

/// What a row says about the traffic that it matches.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ExclusionAction {
    /// As the class policy says: carves out of a wider row below.
    Default,
    /// Scanned and reported, never acted on.
    DoNotBlock,
    /// Passes unread.
    DoNotScan,
    /// A class action of its own, with its own duration where it blocks.
    Class(ClassAction, Option<BlockDuration>),
}

impl fmt::Display for ExclusionAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExclusionAction::Default => f.write_str("default"),
            ExclusionAction::DoNotBlock => f.write_str("do-not-block"),
            ExclusionAction::DoNotScan => f.write_str("do-not-scan"),
            ExclusionAction::Class(action, duration) => {
                f.write_str(action.name())?;
                duration.map_or(Ok(()), |d| write!(f, " for {d}"))
            }
        }
    }
}

/// One row. All that is `None` or `Any` matches everything.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Exclusion {
    /// Whose traffic: of a flow the client's, of a finding the offender's.
    pub source: Source,
    /// At which place of the segment.
    pub place: Place,
    /// To whom: of a flow the server, of a finding the target.
    pub destination: Option<Source>,
    /// Over which protocol.
    pub protocol: Option<ProtocolNumber>,
    /// To which ports of the service.
    pub ports: Option<PortRange>,
    /// On which segment, by name.
    pub segment: Option<Box<str>>,
    /// For which rule.
    pub rule: Option<RuleRef>,
    /// What it says.
    pub action: ExclusionAction,
    /// Until when.
    pub expires: Option<Expires>,
    /// Who answers for it.
    pub owner: Option<Box<str>>,
    /// Why it is there.
    pub comment: Option<Box<str>>,
}

impl Exclusion {
    /// A row about one source at any place.
    pub fn new(source: Source, action: ExclusionAction) -> Self {
        Exclusion {
            source,
            place: Place::Any,
            destination: None,
            protocol: None,
            ports: None,
            segment: None,
            rule: None,
            action,
            expires: None,
            owner: None,
            comment: None,
        }
    }

    /// The row with `expires in` turned into a moment, counted from `unix_s`.
    pub fn resolved(mut self, unix_s: u64) -> Self {
        if let Some(Expires::In(duration)) = self.expires {
            self.expires = Some(Expires::At(unix_s.saturating_add(duration.as_secs())));
        }
        self
    }
}

impl std::str::FromStr for Exclusion {
    type Err = ExclusionError;
    fn from_str(s: &str) -> Result<Self, ExclusionError> {
        Exclusion::parse(s)
    }
}

impl fmt::Display for Exclusion {
    /// The canonical text; [`Exclusion::parse`] reads it back to the same row.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.source, self.place)?;
        if let Some(destination) = &self.destination {
            write!(f, " to {destination}")?;
        }
        if let Some(protocol) = self.protocol {
            write!(f, " protocol {protocol}")?;
        }
        if let Some(ports) = &self.ports {
            write!(f, " port {ports}")?;
        }
        if let Some(segment) = &self.segment {
            write!(f, " segment {}", Words(segment))?;
        }
        if let Some(rule) = &self.rule {
            write!(f, " rule {rule}")?;
        }
        write!(f, " {}", self.action)?;
        match self.expires {
            Some(Expires::At(unix)) => write!(f, " expires {}", format_timestamp(unix))?,
            Some(Expires::In(duration)) => {
                write!(f, " expires in {}", format_duration(duration))?;
            }
            None => {}
        }
        if let Some(owner) = &self.owner {
            write!(f, " owner {}", Words(owner))?;
        }
        if let Some(comment) = &self.comment {
            write!(f, " comment {}", Words(comment))?;
        }
        Ok(())
    }
}

/// Text in quotes, with `\` before quotes and backslashes.
struct Words<'a>(&'a str);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        f.write_str("\"")
    }
}
