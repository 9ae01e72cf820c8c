//! What the judge says about a finding, and which row of the policy said so.

use crate::{BlockDuration, ProtectedReason, Trip};
use portcullis_types::{Action, BlockOrder, Class};
use std::fmt;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing, and nothing is said: the class, category or rule is off, or the traffic is excluded
    /// from scanning.
    Silent,
    /// A `pass` rule that works: the traffic passes, other findings on it are not acted on.
    Pass,
    /// An event, no action.
    Report,
    /// An event; the connection ends and stays dropped.
    Terminate,
    /// An event; the connection ends, and all traffic from the offender is blocked.
    TerminateAndBlock(BlockOrder),
}

impl Effect {
    /// The word in events.
    pub fn name(&self) -> &'static str {
        match self {
            Effect::Silent => "silent",
            Effect::Pass => "pass",
            Effect::Report => "report",
            Effect::Terminate => "terminate",
            Effect::TerminateAndBlock(_) => "terminate-and-block",
        }
    }

    /// Whether the connection ends.
    #[inline]
    pub fn ends_connection(&self) -> bool {
        matches!(self, Effect::Terminate | Effect::TerminateAndBlock(_))
    }
}

/// What a segment in monitor mode would have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Would {
    /// The action.
    pub action: Action,
    /// The length of the block, where it would have blocked.
    pub block_for: Option<BlockDuration>,
}

/// Why less was done than the policy asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// The offender is blocked at this place already.
    Blocked,
    /// The breaker has tripped.
    Breaker(Trip),
    /// An exclusion row (from 0) says do-not-block.
    Exclusion(usize),
    /// An operator unblocked the offender with a grace that still runs.
    Grace,
    /// The offender is a protected machine itself.
    Inside,
    /// The finding names nobody, or no address that a single host can have.
    NoAddress,
    /// The `pass` of this rule needs a grant.
    PassNotGranted,
    /// The offender is a protected address.
    Protected(ProtectedReason),
    /// The offender's address is not proven and may be forged.
    UnprovenSource,
}

impl Withheld {
    /// The label in metrics and events.
    pub fn name(&self) -> &'static str {
        match self {
            Withheld::Blocked => "blocked_already",
            Withheld::Breaker(_) => "breaker",
            Withheld::Exclusion(_) => "exclusion",
            Withheld::Grace => "grace",
            Withheld::Inside => "inside",
            Withheld::NoAddress => "no_address",
            Withheld::PassNotGranted => "pass_not_granted",
            Withheld::Protected(_) => "protected",
            Withheld::UnprovenSource => "unproven_source",
        }
    }
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Withheld::Blocked => f.write_str("block withheld: the source is blocked already"),
            Withheld::Breaker(trip) => {
                write!(f, "block withheld: breaker, over {} new blocks a minute", trip.limit)
            }
            Withheld::Exclusion(row) => write!(f, "action withheld: exclusion {}", row + 1),
            Withheld::Grace => f.write_str("block withheld: grace after an unblock"),
            Withheld::Inside => f.write_str("block withheld: inside address"),
            Withheld::NoAddress => f.write_str("block withheld: no address to block"),
            Withheld::PassNotGranted => f.write_str("pass withheld: not granted to this plugin"),
            Withheld::Protected(reason) => {
                write!(f, "block withheld: protected address ({})", reason.name())
            }
            Withheld::UnprovenSource => f.write_str("block withheld: unproven source"),
        }
    }
}

/// What had the last word on the action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecidedBy {
    /// A row of the ceiling table (from 0), or no row of it at all.
    Ceiling(Option<usize>),
    /// The category's switch.
    CategoryOff,
    /// The class's action.
    ClassAction,
    /// The class's switch.
    ClassOff,
    /// The detector, which proposed less than its rule may do.
    Detector,
    /// An earlier verdict of the burst: the frame passes, or is dropped, whatever this says.
    Earlier,
    /// An exclusion row (from 0).
    Exclusion(usize),
    /// A `pass` rule.
    Pass,
    /// A rule exclusion of the class (from 0).
    RuleExclusion(usize),
}

impl fmt::Display for DecidedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecidedBy::Ceiling(Some(row)) => write!(f, "ceiling {}", row + 1),
            DecidedBy::Ceiling(None) => f.write_str("no ceiling row, so report only"),
            DecidedBy::CategoryOff => f.write_str("category switched off"),
            DecidedBy::ClassAction => f.write_str("class action"),
            DecidedBy::ClassOff => f.write_str("class switched off"),
            DecidedBy::Detector => f.write_str("the detector's own proposal"),
            DecidedBy::Earlier => f.write_str("an earlier verdict on the frame"),
            DecidedBy::Exclusion(row) => write!(f, "exclusion {}", row + 1),
            DecidedBy::Pass => f.write_str("pass rule"),
            DecidedBy::RuleExclusion(row) => write!(f, "rule exclusion {}", row + 1),
        }
    }
}

/// The verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What is to be done.
    pub effect: Effect,
    /// In monitor mode, what would have been done, where that is more than a report.
    pub would: Option<Would>,
    /// Why less was done than asked.
    pub withheld: Option<Withheld>,
    /// The class in which it was judged.
    pub class: Class,
    /// What had the last word on the action.
    pub by: DecidedBy,
    /// The most that the rule may do, by the ceiling table.
    pub ceiling: Action,
}

impl Verdict {
    /// On a finding that comes behind a verdict which settles its frame.
    pub fn settled(class: Class) -> Self {
        let (effect, by) = (Effect::Silent, DecidedBy::Earlier);
        Verdict { effect, would: None, withheld: None, class, by, ceiling: Action::Pass }
    }
}
