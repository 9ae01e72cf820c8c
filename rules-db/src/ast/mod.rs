//! What a rule says, as types: everything checked, names resolved, defaults filled in.
//!
//! A [`Rule`] has four parts that are evaluated in this order: the [`Header`] and [`Flow`] (who
//! talks to whom), the [`Condition`]s (facts of the packet, flow and transaction), the
//! [`BufferTests`] (what bytes are in which buffer), and, when all of these hold, the [`Effect`]s.
//! This module must never know how a rule is compiled, or where its text came from other than by
//! its [`Place`].

mod condition;
mod effect;
mod header;
mod tests_of_buffers;

pub use condition::*;
pub use effect::*;
pub use header::*;
pub use tests_of_buffers::*;

use portcullis_types::RuleId;
use std::sync::Arc;

/// Where a rule, or a word of it, stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// The file's name as the caller gave it.
    pub file: Arc<str>,
    /// From 1; of a rule over several lines, the line of the place itself.
    pub line: u32,
    /// From 1, in bytes.
    pub column: u32,
}

/// Whether a test wants the thing or its absence (`!`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, PartialOrd, Ord)]
pub enum Polarity {
    /// It must be so.
    #[default]
    Plain,
    /// It must not be so.
    Negated,
}

/// A number must be within `low..=high`, or, negated, must not. All of `<`, `>`, `=`, `!=`, `<>`
/// are brought to this form: `>5` is `6..=u64::MAX`, `!=5` is negated `5..=5`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct NumberTest {
    /// Least number, inclusive.
    pub low: u64,
    /// Largest number, inclusive. Below `low` where the rule's range is empty.
    pub high: u64,
    /// Within, or not within.
    pub polarity: Polarity,
}

impl NumberTest {
    /// Exactly this number.
    pub const fn equal(n: u64) -> Self {
        Self { low: n, high: n, polarity: Polarity::Plain }
    }

    /// Whether a number passes.
    pub fn holds(&self, n: u64) -> bool {
        (self.low <= n && n <= self.high) == (self.polarity == Polarity::Plain)
    }
}

/// `classtype`, references and the rest that is said about a rule and not tested.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct About {
    /// `msg`, unescaped.
    pub message: String,
    /// `classtype`; its row is in [`crate::Classifications`].
    pub classtype: Option<String>,
    /// `priority`, else the class's, else 3. From 1 (gravest) to 255.
    pub priority: u8,
    /// `reference`, with the system's prefix resolved by reference.config.
    pub references: Vec<Reference>,
    /// `metadata` in order: key and value (empty where the pair has none).
    pub metadata: Vec<(String, String)>,
    /// `target`: which end of the packet is the victim.
    pub target: Option<TargetSide>,
}

impl About {
    /// The first value of a metadata key.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
}

/// One `reference`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    /// `url`, `cve`, `bugtraq`, …, lower case.
    pub system: String,
    /// The rest, e.g. `2021-44228`.
    pub id: String,
    /// The whole address, e.g. `https://cve.org/CVERecord?id=CVE-2021-44228`.
    pub address: String,
}

/// `target`: which end of the alerted packet is the victim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TargetSide {
    /// `src_ip`.
    Source,
    /// `dest_ip`.
    Destination,
}

/// One rule, whole and checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Where its action word stands.
    pub place: Place,
    /// gid:sid:rev (gid 1 and rev 0 where not given).
    pub id: RuleId,
    /// Action, protocol, addresses, ports.
    pub header: Header,
    /// The `flow` keyword.
    pub flow: Flow,
    /// Facts tested, in the rule's order. All must hold.
    pub conditions: Vec<Condition>,
    /// Bytes tested, by buffer, in the order in which the rule first names each. All must hold.
    pub buffers: Vec<BufferTests>,
    /// What happens when all holds, in the rule's order.
    pub effects: Vec<Effect>,
    /// `threshold` of the rule, or of threshold.config where that names it. At most one.
    pub threshold: Option<Threshold>,
    /// `detection_filter`: counts matches before the rule takes effect. At most one.
    pub detection_filter: Option<DetectionFilter>,
    /// `rate_filter` lines of threshold.config that name this rule.
    pub rate_filters: Vec<RateFilter>,
    /// `suppress` lines of threshold.config that name this rule.
    pub suppressions: Vec<Suppression>,
    /// Names of the values made by `byte_extract` and `byte_math`; an [`Operand::Variable`] is an
    /// index here.
    pub variables: Vec<String>,
    /// Which content is to be searched first, where the rule says (`fast_pattern`).
    pub fast_pattern: Option<FastPattern>,
    /// `noalert`: no alert is written; effects still happen.
    pub alerting: Alerting,
    /// Said about it and not tested.
    pub about: About,
    /// The keywords that stand in the rule, in order, with repetition, as written.
    pub keywords: Vec<&'static str>,
}

/// Whether a match is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Alerting {
    /// It is.
    #[default]
    Alert,
    /// `noalert` or `flowbits:noalert`.
    NoAlert,
    /// `alert`: even where the rule lets pass.
    Always,
}

/// The `fast_pattern` of a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FastPattern {
    /// Index in [`Rule::buffers`].
    pub buffer: usize,
    /// Index in [`BufferTests::tests`]; it is a [`BufferTest::Content`].
    pub test: usize,
    /// Which part of it.
    pub part: FastPatternPart,
}

/// Which part of the content is searched for first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FastPatternPart {
    /// All of it.
    Whole,
    /// `only`: all of it, and the search alone decides: position need not be checked again.
    Only,
    /// `offset,length`.
    Chop {
        /// First byte of the part.
        offset: u16,
        /// Bytes in the part.
        length: u16,
    },
}
