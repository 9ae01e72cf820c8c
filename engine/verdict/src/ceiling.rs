//! The ceiling of a rule's action: an editable table, first row that matches wins.
//!
//! Emerging Threats writes all its rules as `alert`; the table says which of them are raised to the
//! class action, and holds down what is not sure enough.

use portcullis_types::{Action, Class, Confidence, RuleMeta, Severity};

/// What a row of the table does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The rule's own action, but no more than this.
    AtMost(Action),
    /// This action where the rule itself says only `alert`; a rule that says more keeps its own.
    Raise(Action),
}

/// One row. `None` matches anything; confidence and severity match from the given one upwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CeilingRow {
    /// The class asserted.
    pub class: Option<Class>,
    /// The category of the rule.
    pub category: Option<Box<str>>,
    /// The generator: 1 for Suricata-language rules.
    pub gid: Option<u32>,
    /// The least confidence.
    pub confidence: Confidence,
    /// The least severity.
    pub severity: Severity,
    /// What the row does.
    pub limit: Limit,
}

impl CeilingRow {
    fn matches(&self, class: Class, rule: &RuleMeta, sure: Confidence, grave: Severity) -> bool {
        self.class.is_none_or(|c| c == class)
            && self.category.as_deref().is_none_or(|c| c == rule.category)
            && self.gid.is_none_or(|g| g == rule.id.gid)
            && sure >= self.confidence
            && grave >= self.severity
    }
}

/// The table. What no row matches is reported only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceilings {
    /// The rows, in the order in which they are asked.
    pub rows: Vec<CeilingRow>,
}

impl Default for Ceilings {
    /// The shipped table:
    /// 1. Suricata-language rules of high confidence and at least high severity go up to the class
    ///    action; all others of that language keep their own action.
    /// 2. Detectors' rules of at least medium confidence and low severity keep their own action.
    /// 3. The rest is reported.
    fn default() -> Self {
        let row = |gid, confidence, severity, limit| CeilingRow {
            class: None,
            category: None,
            gid,
            confidence,
            severity,
            limit,
        };
        let all = Limit::AtMost(Action::TerminateAndBlock);
        let raise = Limit::Raise(Action::TerminateAndBlock);
        Ceilings {
            rows: vec![
                row(Some(1), Confidence::High, Severity::High, raise),
                row(Some(1), Confidence::Low, Severity::Info, all),
                row(None, Confidence::Medium, Severity::Low, all),
            ],
        }
    }
}

impl Ceilings {
    /// The most that the rule may do at this confidence and severity, with the row that says so.
    pub fn of(
        &self,
        class: Class,
        rule: &RuleMeta,
        sure: Confidence,
        grave: Severity,
    ) -> (Action, Option<usize>) {
        for (at, row) in self.rows.iter().enumerate() {
            if row.matches(class, rule, sure, grave) {
                let action = match row.limit {
                    Limit::AtMost(most) => rule.action.min(most),
                    Limit::Raise(to) if rule.action == Action::Report => to,
                    Limit::Raise(_) => rule.action,
                };
                return (action, Some(at));
            }
        }
        (rule.action.min(Action::Report), None)
    }
}
