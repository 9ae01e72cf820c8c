//! From a guest's verdict to a finding. Nothing that a guest returns is believed: what is out of
//! range is refused and counted, what is too much is cut, and who did what to whom comes from the
//! host's own record of the event.

use crate::data::RuleCache;
use crate::instance::Instance;
use crate::limits::{EVIDENCE_MAX, HostLimits};
use crate::manifest::Rule;
use crate::plugin::Plugin;
use crate::seat::Offered;
use crate::shelf::Shelf;
use crate::text::printable;
use portcullis_plugin_abi::{AS_MANIFEST, EventKind, NONE, PartyKind, Verdict};
use portcullis_types::{
    Action, Addr, Class, Confidence, Evidence, Finding, FlowFacts, Mac, Party, PluginId, Proof,
    Reach, SegmentId, Severity, VlanStack,
};
use std::time::Duration;

/// Why a verdict is refused. Alphabetical; each is counted per plugin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Refusal {
    /// A class that the manifest does not name.
    Class,
    /// An event out of the batch, out of order, or not yet reached.
    Event,
    /// More verdicts than one batch may have.
    Flood,
    /// A number that means nothing.
    Number,
    /// `pass` without a grant.
    Pass,
    /// A segment or VIDs that do not exist.
    Place,
    /// A rule that the manifest does not have.
    Rule,
}

impl Refusal {
    /// How many there are.
    pub const COUNT: usize = 7;

    /// All of them, in the order of their counters.
    pub const ALL: [Refusal; Refusal::COUNT] = [
        Refusal::Class,
        Refusal::Event,
        Refusal::Flood,
        Refusal::Number,
        Refusal::Pass,
        Refusal::Place,
        Refusal::Rule,
    ];

    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Refusal::Class => "class",
            Refusal::Event => "event",
            Refusal::Flood => "flood",
            Refusal::Number => "number",
            Refusal::Pass => "pass",
            Refusal::Place => "place",
            Refusal::Rule => "rule",
        }
    }
}

/// A small field: the manifest's word, or the guest's where it means something.
fn field<T: Copy>(n: u8, manifest: T, known: impl Fn(u8) -> Option<T>) -> Result<T, Refusal> {
    if n == AS_MANIFEST { Ok(manifest) } else { known(n).ok_or(Refusal::Number) }
}

/// What the host knows beside the verdict and its event.
pub(crate) struct Knowledge<'a> {
    pub(crate) plugin: PluginId,
    pub(crate) shelf: &'a Shelf,
    pub(crate) rules: &'a mut RuleCache,
    pub(crate) limits: &'a HostLimits,
}

/// The rule that a verdict names: of the section where that has it, or else of the manifest.
fn rule(plugin: &Plugin, rules: &mut RuleCache, gid: u32, sid: u32) -> Option<Rule> {
    let manifest = &plugin.manifest;
    match &plugin.reading.data.rules {
        Some(table) if manifest.section.is_some() => {
            let named = if gid == 0 { manifest.gid } else { gid };
            rules.rule(&**table, named, sid).or_else(|| manifest.own_rule(gid, sid).cloned())
        }
        _ => manifest.rule(sid).cloned(),
    }
}

/// Builds the finding of a verdict about an event.
pub(crate) fn finding(
    known: &mut Knowledge<'_>,
    instance: &mut Instance,
    verdict: &Verdict,
    offered: &Offered,
) -> Result<Finding, Refusal> {
    let plugin = instance.plugin().clone();
    let manifest = plugin.manifest();
    let limits = known.limits;
    let rule = rule(&plugin, known.rules, verdict.gid, verdict.sid).ok_or(Refusal::Rule)?;
    let (v, meta) = (verdict, &rule.meta);
    if (v.gid != 0 && v.gid != meta.id.gid) || (v.rev != 0 && v.rev != meta.id.rev) {
        return Err(Refusal::Rule);
    }
    let ceiling = meta.action.min(manifest.max_action);
    let action = field(v.action, meta.action, Action::from_number)?.min(ceiling);
    if action == Action::Pass && !plugin.grants().pass {
        return Err(Refusal::Pass);
    }
    let class = field(v.class, meta.class, Class::from_number)?;
    if !manifest.classes.contains(&class) {
        return Err(Refusal::Class);
    }
    let (facts, offender, target) = parties(verdict, &rule, offered, limits)?;
    Ok(Finding {
        plugin: known.plugin,
        rule: meta.clone(),
        class,
        confidence: field(v.confidence, meta.confidence, Confidence::from_number)?
            .min(meta.confidence),
        severity: field(v.severity, meta.severity, Severity::from_number)?.min(meta.severity),
        action: action.min(plugin.grants().max_action),
        reach: field(v.reach, rule.reach, Reach::from_number)?,
        proof: proof(&facts, offender),
        offender,
        target,
        facts,
        flow: offered.flow,
        frame: offered.frame,
        order: verdict.order,
        at: offered.at,
        duration: (v.duration_s > 0)
            .then(|| Duration::from_secs(u64::from(v.duration_s)).min(limits.block)),
        evidence: evidence(instance, verdict, offered, known.shelf),
    })
}

fn proof(facts: &FlowFacts, offender: Party) -> Proof {
    match offender.addr() {
        Some(a) if a == facts.client => facts.client_proof,
        Some(a) if a == facts.server => facts.server_proof,
        _ => Proof::None,
    }
}

/// Offender and target, and the place: the flow's, or the given one at a tick.
fn parties(
    v: &Verdict,
    rule: &Rule,
    offered: &Offered,
    limits: &HostLimits,
) -> Result<(FlowFacts, Party, Party), Refusal> {
    let offender_kind = field(v.offender, rule.offender, PartyKind::from_number)?;
    let target_kind = field(v.target, rule.target, PartyKind::from_number)?;
    if !matches!(offered.kind, EventKind::Tick | EventKind::EndOfInput) {
        let offender = party(offender_kind, &v.offender_addr, Some(offered));
        let target = party(target_kind, &v.target_addr, Some(offered));
        return Ok((offered.facts, offender, target));
    }
    let vlan = VlanStack::from_vids(&v.vids).ok_or(Refusal::Place)?;
    if v.segment >= limits.segments {
        return Err(Refusal::Place);
    }
    let offender = party(offender_kind, &v.offender_addr, None);
    let target = party(target_kind, &v.target_addr, None);
    let facts = FlowFacts {
        segment: SegmentId(v.segment),
        vlan,
        client: offender.addr().unwrap_or(Addr::UNSPECIFIED),
        server: target.addr().unwrap_or(Addr::UNSPECIFIED),
        ..offered.facts
    };
    Ok((facts, offender, target))
}

fn party(kind: PartyKind, given: &[u8; 16], offered: Option<&Offered>) -> Party {
    let known = |addr: Addr| {
        if addr == Addr::UNSPECIFIED || addr == Addr::v4([0; 4]) {
            Party::Nobody
        } else {
            Party::Addr(addr)
        }
    };
    let end = |client: bool| match offered {
        Some(o) => known(if client { o.facts.client } else { o.facts.server }),
        None => Party::Nobody,
    };
    let to_server = offered.is_none_or(|o| o.direction == 0);
    match kind {
        PartyKind::Nobody => Party::Nobody,
        PartyKind::Client => end(true),
        PartyKind::Server => end(false),
        PartyKind::Source => end(to_server),
        PartyKind::Destination => end(!to_server),
        PartyKind::Given => known(Addr::v6(*given)),
        PartyKind::GivenMac => match given {
            [0, 0, 0, 0, 0, 0, ..] => Party::Nobody,
            [a, b, c, d, e, f, ..] => Party::Mac(Mac([*a, *b, *c, *d, *e, *f])),
        },
    }
}

fn evidence(instance: &mut Instance, v: &Verdict, offered: &Offered, shelf: &Shelf) -> Evidence {
    let text = instance.text(v);
    let text = (!text.is_empty()).then(|| printable(text));
    let (first, count) = offered.buffers;
    let shows = v.evidence != NONE && v.evidence.checked_sub(first).is_some_and(|i| i < count);
    let row = shelf.row(v.evidence).filter(|_| shows);
    let bytes = row.and_then(|row| {
        let whole = shelf.whole(row);
        let all = match whole.is_empty() {
            false => whole,
            true => instance.input().get(row.at as usize..(row.at + row.len) as usize)?,
        };
        let from = (v.evidence_at as usize).min(all.len());
        let len = (v.evidence_len.min(EVIDENCE_MAX) as usize).min(all.len() - from);
        all.get(from..from + len).map(Box::from)
    });
    let bytes: Option<Box<[u8]>> = bytes;
    Evidence { text, bytes: bytes.filter(|b| !b.is_empty()) }
}
