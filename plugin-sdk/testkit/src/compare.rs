//! Findings against what a case expects.

use crate::case::{Case, Expect};
use portcullis_types::{Action, Finding, Party};

fn action(action: Action) -> &'static str {
    match action {
        Action::Pass => "pass",
        Action::Report => "report",
        Action::Terminate => "terminate",
        Action::TerminateAndBlock => "terminate-and-block",
    }
}

fn party(party: &Party) -> String {
    match party {
        Party::Nobody => "nobody".into(),
        Party::Addr(a) => a.to_string(),
        Party::Mac(m) => m.to_string(),
    }
}

/// One line for people.
pub(crate) fn described(f: &Finding) -> String {
    let text = f.evidence.text.as_deref().unwrap_or("");
    format!(
        "sid {} by {} on {} in {}: {} ({}) at {} ms {text:?}",
        f.rule.id.sid,
        party(&f.offender),
        party(&f.target),
        f.facts.vlan,
        action(f.action),
        f.rule.message,
        f.at.0 / 1_000_000,
    )
}

fn fits(e: &Expect, f: &Finding) -> bool {
    let same = |wanted: &Option<String>, is: String| wanted.as_ref().is_none_or(|w| *w == is);
    e.sid == f.rule.id.sid
        && same(&e.offender, party(&f.offender))
        && same(&e.target, party(&f.target))
        && same(&e.action, action(f.action).into())
        && e.vlan.as_ref().is_none_or(|v| *v == f.facts.vlan.to_vec())
        && e.text.as_ref().is_none_or(|t| {
            f.evidence.text.as_deref().is_some_and(|text| text.contains(t.as_str()))
        })
}

/// What differs from the expectations; empty where nothing does.
pub(crate) fn differences(case: &Case, findings: &[Finding]) -> Vec<String> {
    let mut out = Vec::new();
    let mut left: Vec<&Finding> = findings.iter().collect();
    for expect in &case.expect {
        for n in 0..expect.count.unwrap_or(1) {
            match left.iter().position(|f| fits(expect, f)) {
                Some(at) => drop(left.remove(at)),
                None => {
                    out.push(format!("missing, after {n} that were there: {expect:?}"));
                    break;
                }
            }
        }
    }
    out.extend(left.into_iter().map(|f| format!("not expected: {}", described(f))));
    out
}
