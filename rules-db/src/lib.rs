//! The rule language: parser, checker, compiler.
//!
//! Text in Suricata's rule language becomes a [`RuleSet`] of [`ast::Rule`]s; what does not is a
//! [`Refusal`] with its place, keyword, reason and remedy, and never stops the rest. This crate
//! must never know packets or flows, nor match anything: it says what a rule means.
//!
//! ```text
//! files ─► lines ─► header + options ─► keywords ─► draft ─► finish ─► ast::Rule ─► compile
//!                                                                  └─► policy
//! ```

pub mod ast;
mod check;
pub mod compile;
mod config;
mod dates;
mod draft;
mod events;
mod fault;
mod finish;
pub mod fuzz;
mod groups;
mod header;
mod keywords;
mod lines;
mod numbers;
pub mod policy;
mod ranges;
mod reading;
mod refusal;
mod ruleset;
mod shared;
mod thresholds;
mod vars;

pub use check::{CheckReport, NotCarriedOut, Refused, check, check_with, report};
pub use config::{LineFault, ReferenceSystems};
pub use events::{application_events, decode_events, stream_events};
pub use keywords::supported_keywords;
pub use reading::Reading;
pub use refusal::{Refusal, RefusalKind};
pub use ruleset::{
    ActionOrder, Classification, Classifications, FileCount, KeywordCount, Reputations, RuleSet,
};
pub use shared::{DataFiles, RegexCheck};
pub use thresholds::ThresholdConfig;
pub use vars::Vars;
