//! The host's part of a compiled set: messages, classes, ceilings, and what to look for.

use portcullis_detect::{
    Always, Case, Pattern, PatternGroup, Patterns, RegexText, Rule, RuleTable,
};
use portcullis_plugin_abi::{EventKind, PartyKind};
use portcullis_rules_form::{PortRange, RuleInfo, RuleSet};
use portcullis_types::{Action, Class, Confidence, Reach, RuleId, RuleMeta, Severity};
use std::sync::Arc;

/// Reads the same bytes as the detector.
pub(super) struct Table {
    pub(super) bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
}

impl Table {
    fn set(&self) -> Option<RuleSet<'_>> {
        RuleSet::open((*self.bytes).as_ref()).ok()
    }
}

impl RuleTable for Table {
    fn rule(&self, gid: u32, sid: u32) -> Option<Rule> {
        let gid = if gid == 0 { 1 } else { gid };
        self.set()?.info(gid, sid).map(|info| rule(&info))
    }

    fn patterns(&self) -> Patterns {
        self.set().map(patterns).unwrap_or_default()
    }
}

fn rule(info: &RuleInfo<'_>) -> Rule {
    let row = info.row();
    let action = Action::from_number(row.action).unwrap_or(Action::Report);
    let ceiling = Action::from_number(row.ceiling).unwrap_or(Action::Report);
    let meta = RuleMeta {
        id: RuleId { gid: row.gid, sid: row.sid, rev: row.rev },
        message: info.message().to_owned(),
        class: Class::from_number(row.class).unwrap_or(Class::Suspicious),
        category: info.category().to_owned(),
        severity: Severity::from_number(row.severity).unwrap_or(Severity::Medium),
        confidence: Confidence::from_number(row.confidence).unwrap_or(Confidence::Low),
        action: action.min(ceiling),
        forgeable: false,
        attack: info.attack().map(str::to_owned).collect(),
        references: info.references().map(str::to_owned).collect(),
        classtype: info.classtype().to_owned(),
        priority: u8::try_from(row.priority).unwrap_or(u8::MAX),
        metadata: info.metadata().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
    };
    Rule {
        meta: Arc::new(meta),
        offender: PartyKind::from_number(row.offender).unwrap_or(PartyKind::Nobody),
        target: PartyKind::from_number(row.target).unwrap_or(PartyKind::Nobody),
        reach: Reach::from_number(row.reach).unwrap_or(Reach::Flow),
    }
}

fn patterns(set: RuleSet<'_>) -> Patterns {
    let ports = |ranges: Option<Vec<PortRange>>| {
        ranges.unwrap_or_default().iter().map(|r| (r.low, r.high)).collect()
    };
    let groups = set.groups().map(|group| PatternGroup {
        buffer: group.kind,
        direction: (group.direction < 2).then_some(group.direction),
        protocols: if group.protocol == 0 { Vec::new() } else { vec![group.protocol] },
        ports: ports(set.server_ports(&group)),
        client_ports: ports(set.client_ports(&group)),
    });
    let literals = set.literals().map(|literal| Pattern {
        number: literal.id,
        bytes: literal.bytes.into(),
        case: if literal.nocase { Case::Folded } else { Case::Exact },
        group: literal.group,
    });
    let regexes = set
        .regexes()
        .map(|regex| RegexText { pattern: regex.pattern.into(), flags: regex.flags.into() });
    let mut always: Vec<Always> = set
        .always()
        .filter_map(|row| {
            Some(Always {
                kind: EventKind::from_number(row.event)?,
                protocol: (row.protocol != 0).then_some(row.protocol),
                direction: (row.direction < 2).then_some(row.direction),
                application: (row.application != 0).then_some(row.application),
                tcp_flags: row.tcp_flags,
                buffer: row.buffer,
                source_ports: (row.source_low, row.source_high),
                destination_ports: (row.port_low, row.port_high),
            })
        })
        .collect();
    always.sort_unstable();
    always.dedup();
    Patterns {
        groups: groups.collect(),
        literals: literals.collect(),
        regexes: regexes.collect(),
        always,
        reads: set.kinds().collect(),
    }
}
