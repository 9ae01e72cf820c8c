//! Why a rule, or a line of a configuration file, was not taken.

use crate::ast::Place;
use serde::Serialize;
use std::fmt;

/// What kind of reason it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Hash, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// Its text is wrong; Suricata would refuse it too.
    Invalid,
    /// It asks for something that this engine does not do.
    Unsupported,
    /// Its `requires` is not met, so it is left out without being wrong.
    NotRequired,
}

/// One rule or line that was not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Where the word stands that is at fault.
    pub place: Place,
    /// The rule's sid, 0 where it could not be read.
    pub sid: u32,
    /// The keyword at fault; `header` for the part before the bracket, empty for the whole.
    pub keyword: String,
    /// What kind of reason.
    pub kind: RefusalKind,
    /// What is wrong.
    pub reason: String,
    /// What to write instead.
    pub remedy: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, column } = &self.place;
        write!(f, "{file}:{line}:{column}: ")?;
        if self.sid != 0 {
            write!(f, "sid {}: ", self.sid)?;
        }
        if !self.keyword.is_empty() {
            write!(f, "{}: ", self.keyword)?;
        }
        write!(f, "{}; {}", self.reason, self.remedy)
    }
}
