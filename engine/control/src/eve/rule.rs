//! What a rule says of itself, in an alert: category, severity, metadata. Must never know what is
//! done about a finding.

use super::context::Context;
use super::json::Object;
use super::scribe::{class_name, confidence_name, priority, signature_severity};
use super::traffic::Named;
use portcullis_pipeline::Alert;
use portcullis_types::{Party, RuleMeta};
use std::collections::BTreeMap;

/// Keys that are ours in every alert; a rule's own entries of these names are left out.
const OURS: [&str; 7] =
    ["class", "detector", "offender", "offender_machine", "proof", "target", "target_machine"];

/// The words for the class type; the class type where it has none; what a detector that knows no
/// class types says.
pub(super) fn category<'a>(rule: &'a RuleMeta, context: &'a Context) -> &'a str {
    if rule.classtype.is_empty() {
        return &rule.category;
    }
    context
        .classes
        .named(&rule.classtype)
        .map_or(rule.classtype.as_str(), |class| &class.description)
}

/// The rule's priority, 1 is the gravest; by its severity where it has none.
pub(super) fn severity(rule: &RuleMeta) -> u8 {
    if rule.priority > 0 { rule.priority } else { priority(rule.severity) }
}

/// An object of lists: what the rule says, and what we know.
pub(super) fn metadata(metadata: &mut Object<'_>, a: &Alert, context: &Context) {
    let rule = &a.rule;
    let mut said: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, value) in rule.metadata.iter().filter(|(key, _)| !OURS.contains(&key.as_str())) {
        let values = said.entry(key).or_default();
        if !values.contains(&value.as_str()) {
            values.push(value);
        }
    }
    // The rule's own words for these stand where it has them.
    if !said.contains_key("mitre_technique_id") {
        metadata.texts("mitre_technique_id", &rule.attack);
    }
    if !said.contains_key("confidence") {
        metadata.single("confidence", confidence_name(rule.confidence));
    }
    if !said.contains_key("signature_severity") {
        metadata.single("signature_severity", signature_severity(rule.severity));
    }
    for (key, values) in &said {
        let mut list = metadata.list(key);
        for value in values {
            list.text(value);
        }
    }
    metadata.single("class", class_name(rule.class)).single("detector", &a.detector);
    metadata.single("proof", a.proof.name());
    for (key, machine_key, who) in
        [("offender", "offender_machine", a.offender), ("target", "target_machine", a.target)]
    {
        if who != Party::Nobody {
            metadata.single(key, Named(who));
        }
        let place = &a.conversation;
        if let Some(machine) = context.machine_of(place.segment, place.vlan, who) {
            metadata.single(machine_key, machine);
        }
    }
}
