//! From what a rule says about itself to what its findings are: class, category, severity,
//! confidence, who did it to whom, and how far the answer may go. An operator edits the table;
//! [`SHIPPED`] is the one that comes with the engine, and its comment says how it was chosen.

use crate::ast::{AddressSet, Alerting, FlowDirection, Rule, RuleAction, TargetSide};
use portcullis_plugin_abi::{PartyKind, application};
use portcullis_types::{Action, Class, Confidence, Severity};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The table that comes with the engine, in TOML.
pub const SHIPPED: &str = include_str!("policy.toml");

/// What a rule's findings are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// Attack or suspicious activity.
    pub class: Class,
    /// `scan`, `dos`, `exploit`, `malware`, `adware`, `policy`, `other`.
    pub category: String,
    /// How grave.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// The most that the rule may do.
    pub ceiling: Action,
    /// What the rule asks for, at most the ceiling.
    pub action: Action,
    /// Who did it, as an end of the packet or of the flow.
    pub offender: PartyKind,
    /// To whom.
    pub target: PartyKind,
    /// ATT&CK technique ids of the rule's metadata.
    pub attack: Vec<String>,
}

impl Judgement {
    /// Whether more than a report can come of it: by its own action, or raised by the ceilings as
    /// they are shipped.
    pub fn may_act(&self) -> bool {
        self.action > Action::Report
            || self.confidence == Confidence::High && self.severity >= Severity::High
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ClassWord {
    Attack,
    Suspicious,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SeverityWord {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ConfidenceWord {
    Low,
    Medium,
    High,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ActionWord {
    Report,
    Terminate,
    TerminateAndBlock,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OffenderWord {
    Auto,
    Source,
    Destination,
    Client,
    Server,
    Nobody,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RuleWord {
    Alert,
    Pass,
    Drop,
    Reject,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    messages: Option<Vec<String>>,
    classtypes: Option<Vec<String>>,
    sids: Option<Vec<u32>>,
    actions: Option<Vec<RuleWord>>,
    metadata: Option<BTreeMap<String, Vec<String>>>,
    class: Option<ClassWord>,
    category: Option<String>,
    severity: Option<SeverityWord>,
    confidence: Option<ConfidenceWord>,
    ceiling: Option<ActionWord>,
    alerts: Option<ActionWord>,
    offender: Option<OffenderWord>,
}

/// The table.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    #[serde(default, rename = "row")]
    rows: Vec<Row>,
}

impl Policy {
    /// The table that comes with the engine.
    pub fn shipped() -> Self {
        Self::read(SHIPPED).unwrap_or_default()
    }

    /// A table from its text.
    ///
    /// # Errors
    /// Place and sentence of what is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| {
            format!("{error}; write [[row]] tables as the comment of the shipped table explains")
        })
    }

    /// This table with another's rows before its own.
    pub fn over(mut self, rows_before: Policy) -> Self {
        self.rows.splice(0..0, rows_before.rows);
        self
    }

    /// What a rule's findings are.
    pub fn judge(&self, rule: &Rule) -> Judgement {
        let mut found = Row::default();
        for row in self.rows.iter().filter(|row| row.fits(rule)) {
            found.class = found.class.or(row.class);
            found.category = found.category.take().or_else(|| row.category.clone());
            found.severity = found.severity.or(row.severity);
            found.confidence = found.confidence.or(row.confidence);
            found.ceiling = found.ceiling.or(row.ceiling);
            found.alerts = found.alerts.or(row.alerts);
            found.offender = found.offender.or(row.offender);
        }
        let ceiling = found.ceiling.map_or(Action::Terminate, action);
        let alerts = found.alerts.map_or(Action::Report, action);
        let asked = match rule.header.action {
            RuleAction::Alert | RuleAction::Config => alerts,
            RuleAction::Pass if rule.alerting == Alerting::Always => Action::Report,
            RuleAction::Pass => Action::Pass,
            RuleAction::Drop
            | RuleAction::RejectSource
            | RuleAction::RejectDestination
            | RuleAction::RejectBoth => Action::Terminate.max(alerts),
        };
        let (offender, target) = parties(rule, found.offender.unwrap_or(OffenderWord::Auto));
        let techniques = rule.about.metadata.iter().filter(|(key, _)| key == "mitre_technique_id");
        Judgement {
            class: match found.class {
                Some(ClassWord::Attack) => Class::Attack,
                Some(ClassWord::Suspicious) | None => Class::Suspicious,
            },
            category: found.category.unwrap_or_else(|| "unclassified".to_owned()),
            severity: severity(found.severity, rule.about.priority),
            confidence: match found.confidence {
                Some(ConfidenceWord::Low) => Confidence::Low,
                Some(ConfidenceWord::High) => Confidence::High,
                Some(ConfidenceWord::Medium) | None => Confidence::Medium,
            },
            ceiling,
            action: asked.min(ceiling),
            offender,
            target,
            attack: techniques.map(|(_, id)| id.clone()).collect(),
        }
    }
}

fn action(word: ActionWord) -> Action {
    match word {
        ActionWord::Report => Action::Report,
        ActionWord::Terminate => Action::Terminate,
        ActionWord::TerminateAndBlock => Action::TerminateAndBlock,
    }
}

fn severity(word: Option<SeverityWord>, priority: u8) -> Severity {
    match (word, priority) {
        (Some(SeverityWord::Critical), _) => Severity::Critical,
        (Some(SeverityWord::High), _) | (None, 1) => Severity::High,
        (Some(SeverityWord::Medium), _) | (None, 2) => Severity::Medium,
        (Some(SeverityWord::Low), _) | (None, 3) => Severity::Low,
        (Some(SeverityWord::Info), _) | (None, _) => Severity::Info,
    }
}

impl Row {
    fn fits(&self, rule: &Rule) -> bool {
        let about = &rule.about;
        let message = |list: &Vec<String>| list.iter().any(|m| about.message.starts_with(m));
        let classtype = |list: &Vec<String>| {
            about.classtype.as_ref().is_some_and(|c| list.iter().any(|l| l.eq_ignore_ascii_case(c)))
        };
        let metadata = |wanted: &BTreeMap<String, Vec<String>>| {
            wanted.iter().all(|(key, values)| {
                let mut found = about.metadata.iter().filter(|(k, _)| k == key);
                found.any(|(_, value)| values.iter().any(|v| v.eq_ignore_ascii_case(value)))
            })
        };
        let word = match rule.header.action {
            RuleAction::Alert | RuleAction::Config => RuleWord::Alert,
            RuleAction::Pass => RuleWord::Pass,
            RuleAction::Drop => RuleWord::Drop,
            RuleAction::RejectSource | RuleAction::RejectDestination | RuleAction::RejectBoth => {
                RuleWord::Reject
            }
        };
        self.messages.as_ref().is_none_or(message)
            && self.classtypes.as_ref().is_none_or(classtype)
            && self.sids.as_ref().is_none_or(|list| list.contains(&rule.id.sid))
            && self.actions.as_ref().is_none_or(|list| list.contains(&word))
            && self.metadata.as_ref().is_none_or(metadata)
    }
}

/// Offender and target. `target` in the rule decides; else the end that is not ours is the
/// offender; else who sent the packet that a server or client would suffer from.
fn parties(rule: &Rule, word: OffenderWord) -> (PartyKind, PartyKind) {
    let of_packet = [PartyKind::Source, PartyKind::Destination];
    let [source, destination] = of_packet;
    match word {
        OffenderWord::Source => return (source, destination),
        OffenderWord::Destination => return (destination, source),
        OffenderWord::Client => return (PartyKind::Client, PartyKind::Server),
        OffenderWord::Server => return (PartyKind::Server, PartyKind::Client),
        OffenderWord::Nobody => return (PartyKind::Nobody, PartyKind::Nobody),
        OffenderWord::Auto => {}
    }
    // The peer of a DNS query is a resolver, which has done nothing.
    let resolver = rule.header.protocol.application == Some(application::DNS);
    let (offender, target) = match rule.about.target {
        Some(TargetSide::Source) => (destination, source),
        Some(TargetSide::Destination) => (source, destination),
        None => match (is_ours(&rule.header.source), is_ours(&rule.header.destination)) {
            (true, false) => (destination, source),
            (false, true) => (source, destination),
            _ => match rule.flow.direction {
                Some(FlowDirection::ToServer | FlowDirection::ToClient) | None => {
                    (source, destination)
                }
            },
        },
    };
    if resolver { (PartyKind::Nobody, target) } else { (offender, target) }
}

/// Whether a group of addresses is one of those that are protected, by its name.
fn is_ours(group: &AddressSet) -> bool {
    let negated = group.text.trim_start().starts_with('!');
    let named = ["$HOME_NET", "_SERVERS", "$DC_", "_SERVER"];
    !negated && named.iter().any(|name| group.text.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Reading, Vars};

    fn judged(header: &str, options: &str) -> Judgement {
        let vars = Vars::default();
        let text = format!("{header} ({options} sid:1;)");
        let set = Reading::new(&vars).texts(&[("t", text.as_bytes())]);
        let rule = set.rules.first().unwrap_or_else(|| panic!("{:?}", set.refused));
        Policy::shipped().judge(rule)
    }

    const IN: &str = "http $EXTERNAL_NET any -> $HOME_NET any";
    const OUT: &str = "http $HOME_NET any -> $EXTERNAL_NET any";

    #[test]
    fn the_shipped_table_is_read() {
        assert!(Policy::read(SHIPPED).is_ok_and(|p| p.rows.len() > 20));
        assert!(Policy::read("[[row]]\nclas = \"attack\"").is_err());
    }

    #[test]
    fn information_and_policy_only_report_even_when_dropped() {
        let j = judged(
            &format!("drop {OUT}"),
            "msg:\"ET INFO x\"; classtype:trojan-activity; metadata:confidence High;",
        );
        assert_eq!((j.class, j.action), (Class::Suspicious, Action::Report));
        let j = judged(&format!("drop {IN}"), "msg:\"x\"; classtype:policy-violation;");
        assert_eq!(j.action, Action::Report);
    }

    #[test]
    fn sure_attacks_end_the_connection() {
        let options = "msg:\"ET EXPLOIT x\"; classtype:attempted-admin; \
            metadata:confidence High, signature_severity Critical, mitre_technique_id T1190;";
        let j = judged(&format!("alert {IN}"), options);
        assert_eq!((j.class, j.category.as_str()), (Class::Attack, "exploit"));
        assert_eq!((j.action, j.severity), (Action::Terminate, Severity::Critical));
        assert_eq!((j.offender, j.target), (PartyKind::Source, PartyKind::Destination));
        assert_eq!(j.attack, ["T1190"]);
        let j = judged(&format!("alert {IN}"), "msg:\"ET EXPLOIT x\"; classtype:attempted-admin;");
        assert_eq!((j.action, j.confidence), (Action::Report, Confidence::Medium));
    }

    #[test]
    fn drop_is_honoured_up_to_the_ceiling() {
        let j = judged(&format!("drop {IN}"), "msg:\"mine\";");
        assert_eq!((j.action, j.ceiling), (Action::Terminate, Action::Terminate));
        assert_eq!(judged(&format!("pass {IN}"), "msg:\"mine\";").action, Action::Pass);
    }

    #[test]
    fn the_end_that_is_not_ours_is_the_offender() {
        let j = judged(&format!("alert {OUT}"), "msg:\"x\"; classtype:trojan-activity;");
        assert_eq!((j.offender, j.target), (PartyKind::Destination, PartyKind::Source));
        let j = judged(&format!("alert {OUT}"), "msg:\"x\"; target:dest_ip;");
        assert_eq!(j.offender, PartyKind::Source);
        let j = judged("alert dns $HOME_NET any -> any 53", "msg:\"x\"; classtype:domain-c2;");
        assert_eq!((j.offender, j.target), (PartyKind::Nobody, PartyKind::Source));
        assert_eq!(
            judged(&format!("alert {IN}"), "msg:\"SURICATA x\";").offender,
            PartyKind::Nobody
        );
    }

    #[test]
    fn an_operators_rows_go_first() {
        let text = "[[row]]\nsids = [1]\nalerts = \"terminate-and-block\"\n\
                    ceiling = \"terminate-and-block\"\n";
        let table = Policy::shipped().over(Policy::read(text).unwrap_or_default());
        let vars = Vars::default();
        let set = Reading::new(&vars).texts(&[("t", b"alert ip any any -> any any (sid:1;)")]);
        assert_eq!(table.judge(&set.rules[0]).action, Action::TerminateAndBlock);
    }
}
