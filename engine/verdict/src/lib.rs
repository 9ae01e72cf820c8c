//! Findings to verdicts: classes, ceilings, exclusions, proof of source, protected addresses,
//! breaker.
//!
//! ```text
//!   Finding ─► switches ─► rule exclusions ─► exclusions ─► ceiling ─► who is blocked ─► Verdict
//!              class,       gid:sid[:rev]      first match   min()      inside, protected,
//!              category                        wins                     grace, proof, breaker
//! ```
//!
//! This crate does no input or output and reads no clock: policy, finding and the present moment
//! come in, a [`Verdict`] goes out. It must never know how a block is carried out.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::panic, clippy::unreachable, clippy::todo)
)]

mod breaker;
mod burst;
mod ceiling;
mod duration;
mod exclusion;
mod explain;
mod judge;
mod policy;
mod protected;
mod time;
mod verdict;

pub use breaker::{Breaker, BreakerLimits, BreakerScope, Trip};
pub use burst::{BurstVerdicts, Claim};
pub use ceiling::{CeilingRow, Ceilings, Limit};
pub use duration::{
    BLOCK_FOR_MAX, BLOCK_FOR_MIN, BlockDuration, DurationError, format_duration, parse_duration,
};
pub use exclusion::{
    Exclusion, ExclusionAction, ExclusionError, Exclusions, ExclusionsError, Expires, Place,
    PortRange, ProtocolNumber, Source, Traffic, Unreachable, UnreachableReason,
};
pub use explain::{Answer, Conditional, Explanation, Question, explain};
pub use judge::{Context, Judge};
pub use policy::{
    Categories, ClassAction, ClassPolicy, Mode, ModeError, PassGrants, Policy, RuleRef,
    RuleRefError, SegmentPolicy,
};
pub use protected::{
    InventoryProof, InventoryRow, ProtectedAddresses, ProtectedReason, ProtectedRow,
};
pub use time::{TimestampError, WallClock, format_timestamp, parse_timestamp};
pub use verdict::{DecidedBy, Effect, Verdict, Withheld, Would};
