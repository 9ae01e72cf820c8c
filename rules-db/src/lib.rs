//! The rule language: parser, checker, compiler.
//!
//! Text in Suricata's rule language becomes a [`RuleSet`] of [`ast::Rule`]s; what does not is a
//! [`Refusal`] with its place, keyword, reason and remedy, and never stops the rest. This crate
//! must never know packets or flows, nor match anything: it says what a rule means.

pub mod ast;
pub mod compile;
mod refusal;
mod ruleset;

pub use refusal::{Refusal, RefusalKind};
pub use ruleset::{Classification, Classifications, FileCount, Reputations, RuleSet};
