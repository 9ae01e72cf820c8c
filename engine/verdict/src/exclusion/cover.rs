//! Rows that can never match: hidden behind one earlier row, or past their expiry. A row hidden
//! only by several earlier rows together is not found; the report says what is certain.

use super::{Exclusion, Place, Source};
use portcullis_types::{Tick, VlanStack};
use std::fmt;

/// Why a row can never match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreachableReason {
    /// Its time is up.
    Expired,
    /// The earlier row of this index matches all that it matches.
    Shadowed(usize),
}

/// A row that can never match. Rows count from 0 here and from 1 in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// The row.
    pub row: usize,
    /// Why.
    pub reason: UnreachableReason,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = self.row + 1;
        match self.reason {
            UnreachableReason::Expired => {
                write!(f, "exclusion {row} has expired; remove it or give it a later expiry")
            }
            UnreachableReason::Shadowed(by) => write!(
                f,
                "exclusion {row} can never match, since exclusion {} matches all of its traffic \
                 first; move it up or remove it",
                by + 1
            ),
        }
    }
}

/// All rows that can never match, at `now`, with the given ends.
pub(super) fn unreachable(rows: &[Exclusion], until: &[Tick], now: Tick) -> Vec<Unreachable> {
    let mut found = Vec::new();
    for (at, (row, ends)) in rows.iter().zip(until).enumerate() {
        let reason = if *ends <= now {
            Some(UnreachableReason::Expired)
        } else {
            rows.iter()
                .zip(until)
                .take(at)
                .position(|(earlier, lasts)| lasts >= ends && covers(earlier, row))
                .map(UnreachableReason::Shadowed)
        };
        found.extend(reason.map(|reason| Unreachable { row: at, reason }));
    }
    found
}

/// Whether `wide` matches all that `narrow` matches, time apart.
fn covers(wide: &Exclusion, narrow: &Exclusion) -> bool {
    covers_source(&wide.source, &narrow.source)
        && covers_place(wide.place, narrow.place)
        && wide
            .destination
            .is_none_or(|w| covers_source(&w, &narrow.destination.unwrap_or(Source::Any)))
        && (wide.protocol.is_none() || wide.protocol == narrow.protocol)
        && wide
            .ports
            .is_none_or(|w| narrow.ports.is_some_and(|n| w.first <= n.first && n.last <= w.last))
        && (wide.segment.is_none() || wide.segment == narrow.segment)
        && wide.rule.is_none_or(|w| narrow.rule.is_some_and(|n| w.covers(&n)))
}

fn covers_source(wide: &Source, narrow: &Source) -> bool {
    match (wide.ends(), narrow.ends()) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some((a, b)), Some((c, d))) => a.is_v4() == c.is_v4() && a <= c && d <= b,
    }
}

fn covers_place(wide: Place, narrow: Place) -> bool {
    match (wide, narrow) {
        (Place::Any, _) => true,
        (Place::Tagged, Place::Tagged) => true,
        (Place::Tagged, Place::Stack(stack)) => stack != VlanStack::UNTAGGED,
        (Place::Stack(a), Place::Stack(b)) => a == b,
        _ => false,
    }
}
