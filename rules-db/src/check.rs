//! What `rules check` answers: how much of the given files loads, and why the rest does not.

use crate::ast::{Condition, Effect, Rule};
use crate::compile::Unmatchable;
use crate::reading::Reading;
use crate::refusal::RefusalKind;
use crate::ruleset::{FileCount, KeywordCount, RuleSet};
use crate::vars::Vars;
use portcullis_plugin_abi::buffer_kind;
use portcullis_types::RuleId;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// One rule that does not load.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Refused {
    /// The rule's sid, 0 where it could not be read.
    pub sid: u32,
    /// The file as given.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in bytes.
    pub column: u32,
    /// The keyword at fault; `header` for the part before the bracket.
    pub keyword: String,
    /// `invalid`, `unsupported` or `not-required`.
    pub kind: RefusalKind,
    /// What is wrong.
    pub reason: String,
    /// What to write instead.
    pub remedy: String,
}

/// One rule that was taken, and is not counted as loaded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NotCarriedOut {
    /// Generator, number and revision.
    pub rule: String,
    /// What it asks for that never holds here, or is not carried out.
    pub asks: String,
}

/// The answer. `total` = `loaded` + `not_required` + rows of `refused` of the other kinds + rules
/// of `unmatchable`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct CheckReport {
    /// Rules that are not commented out.
    pub total: usize,
    /// Of these: loaded.
    pub loaded: usize,
    /// Of these: left out because their `requires` is not met.
    pub not_required: usize,
    /// Rules that are commented out.
    pub commented: usize,
    /// Rules that can never match, or an effect of which is not carried out: none of them counts as
    /// loaded. A rule is there as often as it asks for such things.
    pub unmatchable: Vec<NotCarriedOut>,
    /// What does not load, in the order of the files.
    pub refused: Vec<Refused>,
    /// Per file.
    pub files: Vec<FileCount>,
    /// Per keyword.
    pub keywords: BTreeMap<String, KeywordCount>,
    /// Loaded rules that look at certificates, which TLS 1.3 encrypts: they cannot match there.
    pub unreachable_tls13: usize,
}

/// Checks files with the built-in class types and no check of regexes.
pub fn check(files: &[PathBuf], vars: &Vars) -> CheckReport {
    check_with(files, &Reading::new(vars))
}

/// Checks files with a reading of the caller's.
pub fn check_with(files: &[PathBuf], reading: &Reading<'_>) -> CheckReport {
    report(&reading.files(files))
}

/// The report of a set that was read.
pub fn report(set: &RuleSet) -> CheckReport {
    let refused = set.refused.iter().map(|r| Refused {
        sid: r.sid,
        file: r.place.file.to_string(),
        line: r.place.line,
        column: r.place.column,
        keyword: r.keyword.clone(),
        kind: r.kind,
        reason: r.reason.clone(),
        remedy: r.remedy.clone(),
    });
    CheckReport {
        total: set.files.iter().map(|f| f.total).sum(),
        loaded: set.rules.len(),
        not_required: set.files.iter().map(|f| f.not_required).sum(),
        commented: set.files.iter().map(|f| f.commented).sum(),
        unmatchable: Vec::new(),
        refused: refused.collect(),
        files: set.files.clone(),
        keywords: set.keywords.clone(),
        unreachable_tls13: set.rules.iter().filter(|rule| needs_certificate(rule)).count(),
    }
}

impl CheckReport {
    /// With what the compiler could not put to work: those rules do not count as loaded.
    #[must_use]
    pub fn without(mut self, set: &RuleSet, rows: &[Unmatchable]) -> CheckReport {
        let ids: BTreeSet<RuleId> = rows.iter().map(|row| row.id).collect();
        for rule in set.rules.iter().filter(|rule| ids.contains(&rule.id)) {
            self.loaded -= 1;
            let file = self.files.iter_mut().find(|file| *file.file == *rule.place.file);
            if let Some(file) = file {
                file.loaded -= 1;
                file.unmatchable += 1;
            }
        }
        let told =
            |row: &Unmatchable| NotCarriedOut { rule: row.id.to_string(), asks: row.asks.clone() };
        self.unmatchable = rows.iter().map(told).collect();
        self
    }

    /// How many rules [`CheckReport::unmatchable`] names.
    pub fn unmatchable_rules(&self) -> usize {
        self.unmatchable.iter().map(|row| &row.rule).collect::<BTreeSet<_>>().len()
    }
}

fn is_certificate(kind: u16) -> bool {
    matches!(
        kind,
        buffer_kind::TLS_CERT_SUBJECT..=buffer_kind::TLS_CERTS
            | buffer_kind::TLS_SUBJECTALTNAME
            | buffer_kind::TLS_CERT_NOT_BEFORE..=buffer_kind::TLS_CERT_CHAIN_LEN
    )
}

/// Whether a rule cannot match under TLS 1.3, where certificates are encrypted.
fn needs_certificate(rule: &Rule) -> bool {
    let condition = |c: &Condition| match c {
        Condition::TlsCertTime { .. } | Condition::TlsCertExpired | Condition::TlsCertValid => true,
        Condition::Number { kind, .. } => is_certificate(*kind),
        _ => false,
    };
    rule.buffers.iter().any(|buffer| is_certificate(buffer.kind))
        || rule.conditions.iter().any(condition)
        || rule.effects.iter().any(|effect| matches!(effect, Effect::TlsStore))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_adds_up_and_is_json() {
        let vars = Vars::default();
        let text = b"alert tls any any -> any any (tls.cert_subject; content:\"a\"; sid:1;)\n\
            alert tls any any -> any any (tls.sni; content:\"a\"; sid:2;)\n\
            alert tls any any -> any any (requires: version >= 9; sid:3;)\n\
            alert tls any any -> any any (geoip:src,XX; sid:4;)\n\
            # alert tls any any -> any any (sid:5;)\n";
        let report = report(&Reading::new(&vars).texts(&[("f", text)]));
        assert_eq!((report.total, report.loaded, report.not_required), (4, 2, 1));
        assert_eq!((report.refused.len(), report.commented), (2, 1));
        assert_eq!(report.unreachable_tls13, 1);
        let json = serde_json::to_value(&report).unwrap_or_default();
        assert_eq!(json["refused"][1]["keyword"], "geoip");
        assert_eq!(json["refused"][1]["kind"], "unsupported");
        assert_eq!(json["keywords"]["tls.sni"]["rules"], 1);
        assert_eq!(json["files"][0]["loaded"], 2);
    }
}
