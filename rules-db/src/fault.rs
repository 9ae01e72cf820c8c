//! What is wrong with one rule, before it is known where the rule stands.

use crate::refusal::RefusalKind;

/// A fault found in a rule; boxed because it is rare and large.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    /// What kind of reason.
    pub(crate) kind: RefusalKind,
    /// What is wrong.
    pub(crate) reason: String,
    /// What to write instead.
    pub(crate) remedy: String,
    /// The keyword, where another than the one at hand is at fault.
    pub(crate) keyword: Option<String>,
    /// Offset in the rule's text, where it is not that of the word at hand.
    pub(crate) at: Option<usize>,
}

/// What reading something gives.
pub(crate) type Outcome<T = ()> = Result<T, Box<Fault>>;

impl Fault {
    fn new(kind: RefusalKind, reason: String, remedy: String) -> Box<Self> {
        Box::new(Fault { kind, reason, remedy, keyword: None, at: None })
    }

    /// The fault of a keyword other than the one at hand.
    pub(crate) fn of(mut self: Box<Self>, keyword: &str) -> Box<Self> {
        self.keyword.get_or_insert_with(|| keyword.to_owned());
        self
    }

    /// The fault at an offset of the rule's text.
    pub(crate) fn at(mut self: Box<Self>, offset: usize) -> Box<Self> {
        self.at.get_or_insert(offset);
        self
    }
}

/// The text is wrong.
pub(crate) fn invalid(reason: impl Into<String>, remedy: impl Into<String>) -> Box<Fault> {
    Fault::new(RefusalKind::Invalid, reason.into(), remedy.into())
}

/// The text is right, but this engine does not do it.
pub(crate) fn unsupported(reason: impl Into<String>, remedy: impl Into<String>) -> Box<Fault> {
    Fault::new(RefusalKind::Unsupported, reason.into(), remedy.into())
}

/// `requires` is not met.
pub(crate) fn not_required(reason: impl Into<String>) -> Box<Fault> {
    let remedy = "nothing is wrong with it; it is for another version or build";
    Fault::new(RefusalKind::NotRequired, reason.into(), remedy.to_owned())
}

/// Bytes of a rule as people can read them, cut at 60 characters.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut cut: String = text.trim().chars().take(60).collect();
    if text.trim().chars().count() > 60 {
        cut.push('…');
    }
    cut
}
