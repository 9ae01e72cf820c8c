//! The compiled form of a rule set: its layout, a total reader, and a builder.
//!
//! ```text
//! Directory (magic, version, length, hash, where each section lies)
//! rules | bodies                       read rule by rule by the evaluator
//! literals | groups | candidates       scanned by the host; candidates read per hit
//! always                               rules without a literal
//! regexes | address and port sets | intervals of IP-only rules | data sets
//! info | strings                       what the host prints; a guest never sees them
//! ```
//!
//! All numbers are little-endian. A set is read either from a mapping of the whole file
//! ([`RuleSet`]) or piece by piece through a [`Source`]. Opening checks the directory and nothing
//! else; every accessor is total: hostile bytes give `None` or an empty answer, never a panic.
//!
//! This crate knows the bytes only: no rule language, no engine, no plugin.
#![no_std]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::unreachable))]

extern crate alloc;

mod body;
mod builder;
mod codec;
mod directory;
mod fuzz;
mod rows;
mod set;
mod steps;

pub use body::{Body, Check, Comparison, Field, Flowbit, Range, Track, flow, needs, protocol};
pub use builder::{Builder, Info, RuleEntry, TooLarge};
pub use directory::{Directory, Hash, Refused, Section, Source, VERSION};
pub use fuzz::fuzz_form;
pub use rows::{
    AddressRange, Always, Candidate, DataKind, DataSet, GroupRow, Head, InfoRow, Interval,
    LiteralRow, NONE, PortRange, RegexRow, Row, RuleRow, SetRow, StringRow, action, head, literal,
};
pub use set::{Group, Literal, Regex, RuleInfo, RuleSet};
pub use steps::{
    Base, ByteSource, Content, Endian, MathOperator, Operator, Part, Step, Transform, Value,
    content, part,
};
