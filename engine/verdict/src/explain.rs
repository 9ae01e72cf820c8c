//! `explain`: which exclusion, class and action decide about an address at a place, and why.
//!
//! What the question leaves open (rule, destination, …) stays open: rows that depend on it are
//! named as such, and the first row that matches in any case decides.

use crate::exclusion::Decided;
use crate::judge::{is_one_host, reach, switched_off};
use crate::{DecidedBy, Exclusion, ExclusionAction, Mode, Policy, ProtectedReason, RuleRef};
use portcullis_types::{Action, Addr, Class, RuleMeta, SegmentId, Tick, VlanStack};
use std::fmt;
use std::sync::Arc;

/// What is asked. Whatever is `None` is left open.
#[derive(Clone, Debug)]
pub struct Question {
    /// The offender's address.
    pub source: Addr,
    /// The place.
    pub vlan: VlanStack,
    /// The segment.
    pub segment: SegmentId,
    /// The target.
    pub destination: Option<Addr>,
    /// IP protocol number.
    pub protocol: Option<u8>,
    /// The port of the service.
    pub port: Option<u16>,
    /// The rule by its number.
    pub rule: Option<RuleRef>,
    /// The rule as its plugin's manifest has it, where it is loaded.
    pub meta: Option<Arc<RuleMeta>>,
    /// The class; `None` asks for both.
    pub class: Option<Class>,
    /// The present moment.
    pub now: Tick,
}

/// A row that would decide before the deciding one, if what the question leaves open were so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditional {
    /// The row, from 0.
    pub row: usize,
    /// What it depends on, e.g. `rule 1:5`.
    pub on: String,
}

/// What holds for one class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The class.
    pub class: Class,
    /// The most that would be done.
    pub action: Action,
    /// How long a block would last.
    pub block_for: crate::BlockDuration,
    /// What had the last word.
    pub by: DecidedBy,
    /// Whether findings are heard at all.
    pub heard: bool,
    /// The reason in one sentence.
    pub why: String,
}

/// The answer, structured; `Display` tells it in sentences.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What was asked.
    pub question: Question,
    /// The name of the segment, where it is configured.
    pub segment: Option<Box<str>>,
    /// Its mode.
    pub mode: Mode,
    /// The exclusion row that decides, from 0, with its text.
    pub row: Option<(usize, String)>,
    /// Rows above it that may decide instead.
    pub conditional: Vec<Conditional>,
    /// Whether the source lies in a protected network of the segment.
    pub inside: bool,
    /// Whether an inside address may be blocked.
    pub block_inside: bool,
    /// Why the source is a protected address, if it is.
    pub protected: Option<ProtectedReason>,
    /// Whether the inventory vouches for the source.
    pub vouched: bool,
    /// Whether new flows of the source pass unread.
    pub unread: bool,
    /// What holds for each class asked about.
    pub answers: Vec<Answer>,
}

/// Whether a row matches, as far as the question tells.
enum Match {
    Yes,
    No,
    Depends(String),
}

/// Answers the question.
pub fn explain(policy: &Policy, question: Question) -> Explanation {
    let (decided, conditional) = deciding(policy, &question);
    let segment = policy.segment(question.segment);
    let (id, vlan, source) = (question.segment, question.vlan, question.source);
    let classes = match question.class {
        Some(class) => vec![class],
        None => match &question.meta {
            Some(meta) => vec![meta.class],
            None => vec![Class::Attack, Class::Suspicious],
        },
    };
    let text = |d: Decided| policy.exclusions.rows().get(d.row).map(|r| (d.row, r.to_string()));
    Explanation {
        segment: segment.map(|s| s.name.clone()),
        mode: policy.mode(id),
        row: decided.and_then(text),
        conditional,
        inside: segment.is_some_and(|s| s.protects(source)),
        block_inside: policy.block_inside,
        protected: policy.protected.reason(id, vlan, source),
        vouched: policy.inventory.vouches(id, vlan, source),
        unread: decided.is_some_and(|d| d.action == ExclusionAction::DoNotScan),
        answers: classes.into_iter().map(|c| answer(policy, &question, c, decided)).collect(),
        question,
    }
}

/// The first row that matches in any case, and the rows above it that may match.
fn deciding(policy: &Policy, question: &Question) -> (Option<Decided>, Vec<Conditional>) {
    let mut conditional = Vec::new();
    for (row, text) in policy.exclusions.rows().iter().enumerate() {
        if policy.exclusions.until_of(row) <= question.now {
            continue;
        }
        match matches(text, policy.exclusions.segment_of(row), question) {
            Match::Yes => return (Some(Decided { row, action: text.action }), conditional),
            Match::Depends(on) => conditional.push(Conditional { row, on }),
            Match::No => {}
        }
    }
    (None, conditional)
}

fn matches(row: &Exclusion, segment: Option<SegmentId>, q: &Question) -> Match {
    let elsewhere = segment.is_some_and(|s| s != q.segment);
    if !row.source.holds(q.source) || !row.place.holds(q.vlan) || elsewhere {
        return Match::No;
    }
    let mut open = Vec::new();
    // For each clause: known and different ends it, unknown leaves it open.
    let mut clause = |agrees: Option<bool>, text: String| match agrees {
        Some(false) => false,
        Some(true) => true,
        None => {
            open.push(text);
            true
        }
    };
    let agrees = row
        .destination
        .is_none_or(|d| clause(q.destination.map(|a| d.holds(a)), format!("destination {d}")))
        && row
            .protocol
            .is_none_or(|p| clause(q.protocol.map(|n| n == p.0), format!("protocol {p}")))
        && row.ports.is_none_or(|p| clause(q.port.map(|n| p.holds(n)), format!("port {p}")))
        && row.rule.is_none_or(|r| {
            let known = q.meta.as_ref().map(|m| r.names(m.id));
            let by_number = || q.rule.and_then(|asked| agrees_with(r, asked));
            let open_question = q.rule.is_none() && q.meta.is_none();
            let agrees = if open_question { None } else { known.or_else(by_number) };
            clause(agrees, format!("rule {r}"))
        });
    match agrees {
        false => Match::No,
        true if open.is_empty() => Match::Yes,
        true => Match::Depends(open.join(" and ")),
    }
}

/// Whether a row's rule is the one asked about; `None` where that hangs on the revision.
fn agrees_with(row: RuleRef, asked: RuleRef) -> Option<bool> {
    if row.covers(&asked) {
        Some(true)
    } else if asked.covers(&row) {
        None
    } else {
        Some(false)
    }
}

fn answer(policy: &Policy, question: &Question, class: Class, decided: Option<Decided>) -> Answer {
    let of = policy.class(class);
    let silent = |by: DecidedBy, why: String| Answer {
        class,
        action: Action::Pass,
        block_for: of.block_for,
        by,
        heard: false,
        why,
    };
    if !of.enabled {
        return silent(DecidedBy::ClassOff, "the class is switched off".into());
    }
    if let Some(by) = question.meta.as_ref().and_then(|m| switched_off(policy, class, m)) {
        return silent(by, format!("the rule is not heard: {by}"));
    }
    let named = |r: &RuleRef| question.rule.is_some_and(|asked| r.covers(&asked));
    if let Some(row) = of.rule_exclusions.iter().position(named) {
        let by = DecidedBy::RuleExclusion(row);
        return silent(by, format!("the rule is not heard: {by}"));
    }
    let Some(reach) = reach(decided, of.action, of.block_for) else {
        let by = DecidedBy::Exclusion(decided.map_or(0, |d| d.row));
        return silent(by, format!("its traffic passes unread: {by}"));
    };
    let by = match decided {
        Some(d) if d.action != ExclusionAction::Default => DecidedBy::Exclusion(d.row),
        _ => DecidedBy::ClassAction,
    };
    let ceiling =
        question.meta.as_ref().map(|m| policy.ceilings.of(class, m, m.confidence, m.severity));
    let mut answer = Answer {
        class,
        action: reach.limit,
        block_for: reach.block_for,
        by,
        heard: true,
        why: format!("{by} allows at most {}", action_name(reach.limit)),
    };
    if let Some((ceiling, row)) = ceiling.filter(|(c, _)| *c < reach.limit) {
        answer.by = DecidedBy::Ceiling(row);
        answer.action = ceiling;
        answer.why = format!("{} allows the rule at most {}", answer.by, action_name(ceiling));
    }
    if answer.action == Action::TerminateAndBlock
        && let Some(reason) = never_blocked(policy, question)
    {
        answer.action = Action::Terminate;
        answer.why = format!("{}, but {reason}", answer.why);
    }
    answer
}

/// Why this very address is never blocked, whatever class and row say.
fn never_blocked(policy: &Policy, q: &Question) -> Option<String> {
    if !is_one_host(&q.source) {
        return Some("no single host can have this address".into());
    }
    let inside = policy.segment(q.segment).is_some_and(|s| s.protects(q.source));
    if inside && !policy.block_inside {
        return Some("an inside address is not blocked (block_inside = false)".into());
    }
    let reason = policy.protected.reason(q.segment, q.vlan, q.source)?;
    Some(format!("a protected address is never blocked ({})", reason.name()))
}

fn action_name(action: Action) -> &'static str {
    match action {
        Action::Pass => "nothing",
        Action::Report => "a report",
        Action::Terminate => "terminate",
        Action::TerminateAndBlock => "terminate-and-block",
    }
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Attack => "attacks",
        Class::Suspicious => "activity",
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let q = &self.question;
        let segment = self.segment.as_deref().unwrap_or("not configured");
        let mode = self.mode.name();
        writeln!(f, "{}, {} (vlan), segment {segment}, mode {mode}", q.source, q.vlan)?;
        match &self.row {
            Some((row, text)) => writeln!(f, "exclusion {} decides: {text}", row + 1)?,
            None => writeln!(f, "no exclusion decides: class policy applies")?,
        }
        for c in &self.conditional {
            writeln!(f, "exclusion {} would decide first for {}", c.row + 1, c.on)?;
        }
        if self.inside {
            writeln!(f, "the source is inside: it lies in a protected network of the segment")?;
        }
        if let Some(reason) = self.protected {
            writeln!(f, "the source is a protected address: {}", reason.name())?;
        }
        for a in &self.answers {
            write!(f, "[{}] ", class_name(a.class))?;
            if !a.heard {
                writeln!(f, "nothing is reported or done: {}", a.why)?;
                continue;
            }
            write!(f, "{}: {}", action_name(a.action), a.why)?;
            if a.action == Action::TerminateAndBlock {
                let proof =
                    if self.vouched { "the inventory vouches for it" } else { "once proven" };
                write!(f, "; blocked for {} ({proof})", a.block_for)?;
            }
            writeln!(f)?;
        }
        if self.mode == Mode::Monitor {
            writeln!(f, "the segment only watches: events say what it would have done")?;
        }
        Ok(())
    }
}
