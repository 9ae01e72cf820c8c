//! Events: one JSON object a line, in the schema that Suricata's readers know (EVE).
//!
//! [`Scribe`] turns what the street and the book tell into a [`Line`]; [`EveFile`] writes lines at
//! once, for replay; [`EveWriter`] writes them behind queues, for the live engine;
//! [`ReplayAudience`] hears a replay. What Suricata has no word for stands in an object of our own,
//! `portcullis`, and in events of our own: `block`, `unblock`, `exclusion`, `plugin`.
//!
//! What decoders read (`http`, `tls`, `dns`, …) stands in the fields of Suricata 7, and in those of
//! Suricata 8 where 7 has none (`tls.ja4`, `tls.client_alpns`, `tls.subjectaltname`).
//!
//! Nothing here decides anything, and nothing here is ever called by a worker: it leaves a value in
//! a queue and goes on.

mod audience;
mod blocks;
mod community;
mod context;
mod dns;
mod file;
mod json;
mod notices;
mod records;
mod rule;
mod scribe;
mod sessions;
mod sink;
mod stats;
mod traffic;
mod writer;

#[cfg(test)]
mod tests;

pub use audience::{ReplayAudience, ReplayCounts};
pub use community::community_id;
pub use context::{Context, EventTypes, SegmentLabel};
pub use file::EveFile;
pub use json::{Hex, Line, List, Object, Wire};
pub use notices::{ExclusionChange, ExclusionStep};
pub use scribe::{Moment, Scribe};
pub use writer::{EveCounters, EveWriter, Fact};
