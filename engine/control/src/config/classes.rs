//! `[attacks]`, `[activity]` and `[[ceiling]]`: what is looked for and what is done about it.

use super::section::{Section, Word, words};
use portcullis_types::{Action, Class, Confidence, Severity};
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

/// The shortest block: product.md.
pub const BLOCK_FOR_MIN: Duration = Duration::from_secs(1);
/// The longest block: 32768 minutes, as operators of this kind of product know it.
pub const BLOCK_FOR_MAX: Duration = Duration::from_secs(32_768 * 60);

impl Word for Action {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("ignore", Action::Report),
        ("terminate", Action::Terminate),
        ("terminate-and-block", Action::TerminateAndBlock),
    ];
}

impl Word for Confidence {
    const WORDS: &'static [(&'static str, Self)] =
        &[("low", Confidence::Low), ("medium", Confidence::Medium), ("high", Confidence::High)];
}

impl Word for Severity {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("info", Severity::Info),
        ("low", Severity::Low),
        ("medium", Severity::Medium),
        ("high", Severity::High),
        ("critical", Severity::Critical),
    ];
}

/// A rule, or all revisions of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RuleRef {
    /// Generator.
    pub gid: u32,
    /// The rule within its generator.
    pub sid: u32,
    /// Its revision; `None` is any.
    pub rev: Option<u32>,
}

impl FromStr for RuleRef {
    type Err = &'static str;

    /// `gid:sid` or `gid:sid:rev`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANT: &str = "write gid:sid or gid:sid:rev, such as \"1:2010935\" or \"1:2010935:3\"";
        let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        let parts: Result<Vec<u32>, _> = text
            .split(':')
            .map(|t| if digits(t) { t.parse().map_err(|_| WANT) } else { Err(WANT) })
            .collect();
        match *parts?.as_slice() {
            [gid, sid] => Ok(RuleRef { gid, sid, rev: None }),
            [gid, sid, rev] => Ok(RuleRef { gid, sid, rev: Some(rev) }),
            _ => Err(WANT),
        }
    }
}

/// `[attacks]` and `[activity]`: one detection class.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassSettings {
    /// Whether findings of this class count at all.
    pub enabled: bool,
    /// The action on detection.
    pub action: Action,
    /// How long an offender is blocked; 1 s to 32768 min.
    pub block_for: Duration,
    /// Rules of this class that count for nothing.
    pub rule_exclusions: Vec<RuleRef>,
    /// Block sources that may be forged, too.
    pub block_unproven: bool,
}

impl Default for ClassSettings {
    fn default() -> Self {
        ClassSettings {
            enabled: true,
            action: Action::TerminateAndBlock,
            block_for: Duration::from_secs(3600),
            rule_exclusions: Vec::new(),
            block_unproven: false,
        }
    }
}

impl ClassSettings {
    fn read_shared(s: &mut Section<'_, '_>) -> Self {
        let d = ClassSettings::default();
        ClassSettings {
            enabled: s.switch("enabled", d.enabled),
            action: s.word("action", d.action),
            block_for: s.duration("block_for", d.block_for, BLOCK_FOR_MIN..=BLOCK_FOR_MAX),
            rule_exclusions: s.list("rule_exclusions", d.rule_exclusions, RuleRef::from_str),
            block_unproven: s.switch("block_unproven", d.block_unproven),
        }
    }

    pub(super) fn read_attacks(mut s: Section<'_, '_>) -> Self {
        let settings = Self::read_shared(&mut s);
        s.finish();
        settings
    }
}

/// `[activity]`: the class, and the categories of it that can be switched. `malware` is always on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Activity {
    /// What both classes have.
    pub class: ClassSettings,
    /// Findings of the category `adware`.
    pub adware: bool,
    /// Findings of the category `other`: legal software that intruders use, such as remote
    /// administration, downloaders, monitors and password tools.
    pub other: bool,
}

impl Default for Activity {
    fn default() -> Self {
        Activity { class: ClassSettings::default(), adware: true, other: false }
    }
}

impl Activity {
    pub(super) fn read(mut s: Section<'_, '_>) -> Self {
        let d = Activity::default();
        let activity = Activity {
            class: ClassSettings::read_shared(&mut s),
            adware: s.switch("adware", d.adware),
            other: s.switch("other", d.other),
        };
        s.finish();
        activity
    }
}

words! {
    /// Which class a row is about.
    ClassChoice {
        /// Either.
        Any = "any",
        /// Network attacks.
        Attack = "attack",
        /// Suspicious activity.
        Activity = "activity",
    }
}

impl ClassChoice {
    /// The class, or `None` for either.
    pub fn class(self) -> Option<Class> {
        match self {
            ClassChoice::Any => None,
            ClassChoice::Attack => Some(Class::Attack),
            ClassChoice::Activity => Some(Class::Suspicious),
        }
    }
}

/// What a row of the ceiling does with a rule's own action.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// The rule's own action, but no more than this (`at_most`).
    AtMost(Action),
    /// This where the rule itself only reports (`raise`); a rule that says more keeps its own.
    Raise(Action),
}

/// `[[ceiling]]`: how far a rule may go; the first row that fits decides, and what no row fits is
/// reported only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CeilingRow {
    /// Where it stands in the file.
    pub at: Range<usize>,
    /// The class.
    pub class: ClassChoice,
    /// The category; `None` (`"*"`) is any.
    pub category: Option<String>,
    /// The generator: 1 for Suricata-language rules; `None` (0) is any.
    pub gid: Option<u32>,
    /// The least confidence.
    pub confidence: Confidence,
    /// The least severity.
    pub severity: Severity,
    /// What the row does; both are limited by the class action.
    pub limit: Limit,
}

impl CeilingRow {
    /// The shipped table, as `verdict` has it by default: Suricata-language rules that are grave
    /// and hardly ever wrong are raised to the class action, all others keep their own; detectors'
    /// rules of some confidence keep their own; the rest is reported.
    pub fn shipped() -> Vec<Self> {
        let row = |gid, confidence, severity, limit| CeilingRow {
            at: 0..0,
            class: ClassChoice::Any,
            category: None,
            gid,
            confidence,
            severity,
            limit,
        };
        let own = Limit::AtMost(Action::TerminateAndBlock);
        let raised = Limit::Raise(Action::TerminateAndBlock);
        vec![
            row(Some(1), Confidence::High, Severity::High, raised),
            row(Some(1), Confidence::Low, Severity::Info, own),
            row(None, Confidence::Medium, Severity::Low, own),
        ]
    }

    fn read(mut s: Section<'_, '_>) -> Self {
        let any = |t: &str| Ok::<_, &str>(if t == "*" { None } else { Some(t.to_owned()) });
        let class = s.word("class", ClassChoice::Any);
        let category = s.parsed("category", None, any);
        let gid = s.number("gid", 0, 0..=u32::MAX);
        let confidence = s.word("confidence", Confidence::Low);
        let severity = s.word("severity", Severity::Info);
        let at_most = s.word("at_most", Action::TerminateAndBlock);
        let raise = s.word("raise", Action::TerminateAndBlock);
        if s.has("at_most") == s.has("raise") {
            let remedy = "write at_most = \"terminate\" to hold rules down, or \
                          raise = \"terminate-and-block\" to lift rules that only report";
            s.wrong(s.at(), "a ceiling row has either `at_most` or `raise`", remedy);
        }
        let limit = if s.has("raise") { Limit::Raise(raise) } else { Limit::AtMost(at_most) };
        let at = s.at();
        s.finish();
        let gid = (gid != 0).then_some(gid);
        CeilingRow { at, class, category, gid, confidence, severity, limit }
    }

    /// The rows of the file; the shipped table where the file says nothing about it.
    pub(super) fn read_all(s: &mut Section<'_, '_>) -> Vec<Self> {
        match s.rows("ceiling") {
            None => CeilingRow::shipped(),
            Some(rows) => rows.into_iter().map(CeilingRow::read).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_optional() {
        let rule = |gid, sid, rev| Ok(RuleRef { gid, sid, rev });
        assert_eq!("1:2010935".parse(), rule(1, 2_010_935, None));
        assert_eq!("1:2010935:3".parse(), rule(1, 2_010_935, Some(3)));
        for wrong in ["", "1", "1:", "1:+2", "1:2:3:4", "a:b", "1:99999999999", ":1"] {
            assert!(wrong.parse::<RuleRef>().is_err(), "{wrong}");
        }
    }
}
