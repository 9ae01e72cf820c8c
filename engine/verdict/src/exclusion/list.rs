//! The ordered list, compiled: which row decides for a finding, and whether a new flow is read.
//!
//! Ranges are split into prefixes, and every source prefix leads to the numbers of its rows. A
//! lookup asks once per prefix length that exists and keeps the lowest row that matches, so that
//! its cost grows with the lengths in use (few), not with the rows (thousands).

use super::{Exclusion, ExclusionAction, Expires, Place, PortRange, Source, Unreachable, cover};
use crate::{RuleRef, WallClock};
use portcullis_types::{Addr, Prefix, RuleId, SegmentId, Tick, VlanStack};
use std::collections::HashMap;
use std::fmt;

/// Rows at most: ranges of IPv6 take up to 254 prefixes each.
const ROWS_MAX: usize = 65_536;

/// What the rows are matched with: a new flow, or the flow of a finding seen from its offender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// The segment.
    pub segment: SegmentId,
    /// The place on it.
    pub vlan: VlanStack,
    /// The client of a flow, or the offender of a finding.
    pub source: Addr,
    /// The server of a flow, or the target of a finding.
    pub destination: Addr,
    /// IP protocol number.
    pub protocol: u8,
    /// The port of the service (the flow's server port).
    pub port: u16,
}

/// Why a list was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExclusionsError {
    /// A row names a segment that does not exist. Rows count from 1.
    Segment {
        /// The row.
        row: usize,
        /// The name that it gives.
        name: Box<str>,
    },
    /// More rows than the list takes.
    TooMany,
}

impl fmt::Display for ExclusionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExclusionsError::Segment { row, name } => write!(
                f,
                "exclusion {row}: there is no segment \"{name}\"; write the name of a configured \
                 segment, or remove the clause"
            ),
            ExclusionsError::TooMany => write!(
                f,
                "an exclusion list has at most {ROWS_MAX} rows; join addresses to networks or ranges"
            ),
        }
    }
}

impl std::error::Error for ExclusionsError {}

/// What of a row is compared after its source has matched.
#[derive(Clone, Copy, Debug)]
struct Row {
    place: Place,
    destination: Source,
    protocol: Option<u8>,
    ports: Option<PortRange>,
    segment: Option<SegmentId>,
    rule: Option<RuleRef>,
    until: Tick,
    action: ExclusionAction,
}

impl Row {
    fn matches(&self, t: &Traffic, rule: Option<RuleId>, now: Tick) -> bool {
        self.place.holds(t.vlan)
            && now < self.until
            && self.segment.is_none_or(|s| s == t.segment)
            && self.protocol.is_none_or(|p| p == t.protocol)
            && self.ports.is_none_or(|p| p.holds(t.port))
            && self.rule.is_none_or(|r| rule.is_some_and(|rule| r.names(rule)))
            && self.destination.holds(t.destination)
    }
}

/// Row numbers by source prefix.
#[derive(Clone, Debug, Default)]
struct Index {
    lengths_v4: Vec<u8>,
    lengths_v6: Vec<u8>,
    rows: HashMap<Prefix, Vec<u32>>,
}

impl Index {
    fn insert(&mut self, source: &Source, row: u32) {
        for prefix in prefixes(source) {
            let lengths =
                if prefix.addr().is_v4() { &mut self.lengths_v4 } else { &mut self.lengths_v6 };
            if !lengths.contains(&prefix.len()) {
                lengths.push(prefix.len());
            }
            self.rows.entry(prefix).or_default().push(row);
        }
    }

    /// The lowest row of this source that `matches`.
    fn first(&self, source: Addr, matches: impl Fn(u32) -> bool) -> Option<u32> {
        let lengths = if source.is_v4() { &self.lengths_v4 } else { &self.lengths_v6 };
        let mut best: Option<u32> = None;
        for &length in lengths {
            let Some(rows) = self.rows.get(&Prefix::of(source, length)) else { continue };
            let bound = best.unwrap_or(u32::MAX);
            let found = rows.iter().take_while(|r| **r < bound).find(|r| matches(**r));
            best = found.copied().or(best);
        }
        best
    }
}

/// The row that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decided {
    /// Its index, from 0.
    pub(crate) row: usize,
    /// What it says.
    pub(crate) action: ExclusionAction,
}

/// The list. Cheap to ask, built off the street.
#[derive(Clone, Debug, Default)]
pub struct Exclusions {
    texts: Vec<Exclusion>,
    rows: Vec<Row>,
    all: Index,
    /// Rows that may decide whether a new flow is read: those without a rule, up to the last
    /// do-not-scan row. Empty, and then never asked, where there is no such row.
    unread: Index,
}

impl Exclusions {
    /// Builds the list. `segment` finds a segment by its name; `wall` places `expires` on the
    /// engine's timeline (build the list again when the wall clock was set).
    pub fn new(
        texts: Vec<Exclusion>,
        segment: impl Fn(&str) -> Option<SegmentId>,
        wall: WallClock,
    ) -> Result<Self, ExclusionsError> {
        if texts.len() > ROWS_MAX {
            return Err(ExclusionsError::TooMany);
        }
        let mut list = Exclusions::default();
        let last_unread = texts.iter().rposition(|t| t.action == ExclusionAction::DoNotScan);
        for (at, text) in texts.iter().enumerate() {
            let segment =
                match &text.segment {
                    None => None,
                    Some(name) => Some(segment(name).ok_or_else(|| ExclusionsError::Segment {
                        row: at + 1,
                        name: name.clone(),
                    })?),
                };
            let number = u32::try_from(at).map_err(|_| ExclusionsError::TooMany)?;
            list.all.insert(&text.source, number);
            if text.rule.is_none() && last_unread.is_some_and(|last| at <= last) {
                list.unread.insert(&text.source, number);
            }
            list.rows.push(Row {
                place: text.place,
                destination: text.destination.unwrap_or(Source::Any),
                protocol: text.protocol.map(|p| p.0),
                ports: text.ports,
                segment,
                rule: text.rule,
                until: until(text.expires, wall),
                action: text.action,
            });
        }
        list.texts = texts;
        Ok(list)
    }

    /// The rows, in order.
    pub fn rows(&self) -> &[Exclusion] {
        &self.texts
    }

    /// Whether any row can leave a flow unread. Where not, [`Exclusions::leaves_unread`] need not
    /// be asked.
    #[inline]
    pub fn may_leave_unread(&self) -> bool {
        !self.unread.rows.is_empty()
    }

    /// Whether a new flow passes unread, and by which row (from 0).
    #[inline]
    pub fn leaves_unread(&self, flow: &Traffic, now: Tick) -> Option<usize> {
        if self.unread.rows.is_empty() {
            return None;
        }
        let row = self.unread.first(flow.source, |row| self.matches(row, flow, None, now))?;
        let row = usize::try_from(row).ok()?;
        (self.rows.get(row)?.action == ExclusionAction::DoNotScan).then_some(row)
    }

    /// The first row that matches a finding of this rule.
    pub(crate) fn decide(&self, traffic: &Traffic, rule: RuleId, now: Tick) -> Option<Decided> {
        let row =
            self.all.first(traffic.source, |row| self.matches(row, traffic, Some(rule), now))?;
        let row = usize::try_from(row).ok()?;
        Some(Decided { row, action: self.rows.get(row)?.action })
    }

    /// Whether a block of this source at this place would no longer be made: its first matching row
    /// forbids blocks. Adding such a row frees the block. `destination`, `protocol`, `port` and the
    /// rule are those of the finding that made it.
    pub fn frees(&self, traffic: &Traffic, rule: Option<RuleId>, now: Tick) -> Option<usize> {
        let row = self.all.first(traffic.source, |row| self.matches(row, traffic, rule, now))?;
        let row = usize::try_from(row).ok()?;
        match self.rows.get(row)?.action {
            ExclusionAction::Default => None,
            ExclusionAction::Class(crate::ClassAction::TerminateAndBlock, _) => None,
            ExclusionAction::Class(..)
            | ExclusionAction::DoNotBlock
            | ExclusionAction::DoNotScan => Some(row),
        }
    }

    /// Rows that can never match, each with the reason. Rows count from 0.
    pub fn unreachable(&self, now: Tick) -> Vec<Unreachable> {
        let until: Vec<Tick> = self.rows.iter().map(|r| r.until).collect();
        cover::unreachable(&self.texts, &until, now)
    }

    /// The segment that a row names, where it names one.
    pub(crate) fn segment_of(&self, row: usize) -> Option<SegmentId> {
        self.rows.get(row)?.segment
    }

    /// When a row ends.
    pub(crate) fn until_of(&self, row: usize) -> Tick {
        self.rows.get(row).map_or(Tick::NEVER, |r| r.until)
    }

    fn matches(&self, row: u32, t: &Traffic, rule: Option<RuleId>, now: Tick) -> bool {
        let row = usize::try_from(row).ok().and_then(|at| self.rows.get(at));
        row.is_some_and(|r| r.matches(t, rule, now))
    }
}

fn until(expires: Option<Expires>, wall: WallClock) -> Tick {
    match expires {
        None => Tick::NEVER,
        Some(Expires::At(unix)) => wall.tick_of(unix),
        Some(Expires::In(duration)) => wall.tick + duration,
    }
}

/// The prefixes that make up a source: at most 62 for a range of IPv4, 254 for one of IPv6.
fn prefixes(source: &Source) -> Vec<Prefix> {
    let (mut first, last) = match source {
        Source::Any => {
            return vec![Prefix::of(Addr::v4([0; 4]), 0), Prefix::of(Addr::v6([0; 16]), 0)];
        }
        Source::Network(prefix) => return vec![*prefix],
        Source::Range(first, last) => {
            (u128::from_be_bytes(first.octets()), u128::from_be_bytes(last.octets()))
        }
    };
    let width: u32 = if source.ends().is_some_and(|(a, _)| a.is_v4()) { 32 } else { 128 };
    let mut made = Vec::new();
    loop {
        // The largest block that begins here and does not pass the end.
        let room = last - first;
        let fits = if room == u128::MAX { 128 } else { (room + 1).ilog2() };
        let spare = first.trailing_zeros().min(fits).min(width);
        let length = u8::try_from(width - spare).unwrap_or(128);
        let addr = Addr::v6(first.to_be_bytes());
        // A range of IPv6 may run over the mapped block, in which no IPv6 address exists.
        if addr.is_v4() == (width == 32) {
            made.push(Prefix::of(addr, length));
        }
        let step = if spare >= 128 { return made } else { 1u128 << spare };
        match first.checked_add(step) {
            Some(next) if next <= last => first = next,
            _ => return made,
        }
    }
}
