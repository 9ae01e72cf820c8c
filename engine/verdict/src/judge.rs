//! The judge: a finding and the policy in, a verdict out.

use crate::exclusion::Decided;
use crate::{
    BlockDuration, Breaker, ClassAction, DecidedBy, Effect, ExclusionAction, Mode, Policy,
    ProtectedReason, Traffic, Verdict, Withheld, Would,
};
use portcullis_types::{
    Action, Addr, BlockKey, BlockOrder, Cause, Class, Finding, FlowFacts, Origin, Party, Prefix,
    RuleMeta, SegmentId, Tick, VlanStack,
};
use std::sync::Arc;

/// What the street knows about the moment and the offender, beside the finding.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The present moment.
    pub now: Tick,
    /// The detector's name, as its manifest has it.
    pub detector: &'a Arc<str>,
    /// The flow's id in events, 0 for none.
    pub flow_id: u64,
    /// Whether the offender has shown itself at this place within the last minutes.
    pub recent_proof: bool,
    /// Whether a grace runs for the offender at this place.
    pub grace: bool,
    /// Whether the offender is blocked at this place already.
    pub blocked: bool,
}

/// Judges findings. One per worker and host shard; they share the breaker.
#[derive(Clone, Debug)]
pub struct Judge {
    breaker: Arc<Breaker>,
}

/// How far the policy lets a finding go, before it is asked who would be blocked.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    action: Action,
    block_for: BlockDuration,
    by: DecidedBy,
    ceiling: Action,
    withheld: Option<Withheld>,
}

impl Judge {
    /// A judge who shares this breaker.
    pub fn new(breaker: Arc<Breaker>) -> Self {
        Judge { breaker }
    }

    /// The shared breaker, for its counters.
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }

    /// Decides what is done about a finding. In monitor mode the breaker is left alone, so that a
    /// watched segment cannot use up the blocks of a protected one.
    pub fn judge(&self, policy: &Policy, finding: &Finding, context: &Context<'_>) -> Verdict {
        let allowance = match allowance(policy, finding, context.now) {
            Ok(allowance) => allowance,
            Err(settled) => return settled.verdict(finding),
        };
        let mode = policy.mode(finding.facts.segment);
        let (action, withheld) = match bound(policy, finding, context, allowance.action) {
            (Action::TerminateAndBlock, None) if mode == Mode::Prevent => {
                match self.breaker.admit(finding.plugin, policy.breaker, context.now) {
                    Ok(()) => (Action::TerminateAndBlock, None),
                    Err(trip) => (Action::Terminate, Some(Withheld::Breaker(trip))),
                }
            }
            bounded => bounded,
        };
        let blocks = action == Action::TerminateAndBlock;
        let would = (mode == Mode::Monitor && action > Action::Report)
            .then(|| Would { action, block_for: blocks.then_some(allowance.block_for) });
        let effect = match action {
            _ if mode == Mode::Monitor => Effect::Report,
            Action::Pass | Action::Report => Effect::Report,
            Action::Terminate => Effect::Terminate,
            Action::TerminateAndBlock => order(finding, context, allowance.block_for)
                .map_or(Effect::Terminate, Effect::TerminateAndBlock),
        };
        Verdict {
            effect,
            would,
            withheld: withheld.or(allowance.withheld),
            class: finding.class,
            by: allowance.by,
            ceiling: allowance.ceiling,
        }
    }
}

/// A finding that is settled before anybody's action is asked.
#[derive(Clone, Copy, Debug)]
enum Settled {
    Pass,
    PassNotGranted,
    Silent(DecidedBy),
}

impl Settled {
    fn verdict(self, finding: &Finding) -> Verdict {
        let (effect, by, withheld) = match self {
            Settled::Pass => (Effect::Pass, DecidedBy::Pass, None),
            Settled::PassNotGranted => {
                (Effect::Report, DecidedBy::Pass, Some(Withheld::PassNotGranted))
            }
            Settled::Silent(by) => (Effect::Silent, by, None),
        };
        let class = finding.class;
        Verdict { effect, would: None, withheld, class, by, ceiling: Action::Pass }
    }
}

/// Switches, rule exclusions, exclusions and ceiling. `Err` where nothing is left to decide.
fn allowance(policy: &Policy, finding: &Finding, now: Tick) -> Result<Allowance, Settled> {
    let (class, rule) = (policy.class(finding.class), &finding.rule);
    if let Some(by) = switched_off(policy, finding.class, rule) {
        return Err(Settled::Silent(by));
    }
    if finding.action == Action::Pass || rule.action == Action::Pass {
        let granted = policy.pass.allows(finding.plugin, rule.id);
        return Err(if granted { Settled::Pass } else { Settled::PassNotGranted });
    }
    let decided = policy.exclusions.decide(&traffic(finding), rule.id, now);
    let Some(reach) = reach(decided, class.action, class.block_for) else {
        let row = decided.map_or(0, |d| d.row);
        return Err(Settled::Silent(DecidedBy::Exclusion(row)));
    };
    let (ceiling, row) =
        policy.ceilings.of(finding.class, rule, finding.confidence, finding.severity);
    // A detector that proposes all that its rule may do is raised with the rule; one that proposes
    // less is taken at its word.
    let proposed =
        if finding.action < rule.action { finding.action } else { Action::TerminateAndBlock };
    let asked = ceiling.min(proposed);
    let by = match decided {
        _ if asked < reach.limit && proposed < ceiling => DecidedBy::Detector,
        _ if asked < reach.limit => DecidedBy::Ceiling(row),
        Some(Decided { row, action }) if action != ExclusionAction::Default => {
            DecidedBy::Exclusion(row)
        }
        _ => DecidedBy::ClassAction,
    };
    let withheld = decided
        .filter(|d| d.action == ExclusionAction::DoNotBlock)
        .filter(|_| asked.min(class.action.limit()) > Action::Report)
        .map(|d| Withheld::Exclusion(d.row));
    // The detector may ask for a shorter block than policy has, never for a longer one.
    let hint = finding.duration.map_or(reach.block_for, BlockDuration::clamped);
    Ok(Allowance {
        action: asked.min(reach.limit),
        block_for: hint.min(reach.block_for),
        by,
        ceiling,
        withheld,
    })
}

/// The switch that keeps a rule of a class from being heard, if one does.
pub(crate) fn switched_off(policy: &Policy, class: Class, rule: &RuleMeta) -> Option<DecidedBy> {
    let of = policy.class(class);
    if !of.enabled {
        return Some(DecidedBy::ClassOff);
    }
    if !of.categories.looks_at(class, &rule.category) {
        return Some(DecidedBy::CategoryOff);
    }
    of.rule_exclusions.iter().position(|r| r.names(rule.id)).map(DecidedBy::RuleExclusion)
}

/// The class action after the exclusion row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClassReach {
    pub(crate) limit: Action,
    pub(crate) block_for: BlockDuration,
}

/// What class and row allow together; `None` where the row says do-not-scan.
pub(crate) fn reach(
    decided: Option<Decided>,
    action: ClassAction,
    block_for: BlockDuration,
) -> Option<ClassReach> {
    let own = ClassReach { limit: action.limit(), block_for };
    match decided.map(|d| d.action) {
        None | Some(ExclusionAction::Default) => Some(own),
        Some(ExclusionAction::DoNotBlock) => Some(ClassReach { limit: Action::Report, ..own }),
        Some(ExclusionAction::DoNotScan) => None,
        Some(ExclusionAction::Class(action, duration)) => {
            Some(ClassReach { limit: action.limit(), block_for: duration.unwrap_or(block_for) })
        }
    }
}

/// The finding's traffic as exclusion rows see it: from the offender to the target. Where the
/// offender has no address, from the client.
fn traffic(finding: &Finding) -> Traffic {
    let facts = &finding.facts;
    let source = finding.offender.addr().unwrap_or(facts.client);
    let far_end = if source == facts.client { facts.server } else { facts.client };
    Traffic {
        segment: facts.segment,
        vlan: facts.vlan,
        source,
        destination: finding.target.addr().unwrap_or(far_end),
        protocol: facts.protocol,
        port: facts.server_port,
    }
}

/// The action after asking who would be blocked, with the first reason to do less.
fn bound(
    policy: &Policy,
    finding: &Finding,
    context: &Context<'_>,
    action: Action,
) -> (Action, Option<Withheld>) {
    if action < Action::Terminate {
        return (action, None);
    }
    let facts = &finding.facts;
    let offender = finding.offender.addr().filter(is_one_host);
    let protected = offender.and_then(|a| policy.protected.reason(facts.segment, facts.vlan, a));
    if protected == Some(ProtectedReason::Management) {
        // Ending the operator's session would lock out the one person who can undo it.
        return (Action::Report, Some(Withheld::Protected(ProtectedReason::Management)));
    }
    if action == Action::Terminate {
        return (action, None);
    }
    let Some(offender) = offender else {
        return (Action::Terminate, Some(Withheld::NoAddress));
    };
    let class = policy.class(finding.class);
    // What anybody can send in another's name blocks nobody for having been here lately.
    let recent = context.recent_proof && !finding.rule.forgeable;
    let proven = || {
        finding.proof.is_proven()
            || recent
            || policy.inventory.vouches(facts.segment, facts.vlan, offender)
    };
    let withheld = if !policy.block_inside && is_inside(policy, facts, offender) {
        Some(Withheld::Inside)
    } else if let Some(reason) = protected {
        Some(Withheld::Protected(reason))
    } else if context.grace {
        Some(Withheld::Grace)
    } else if context.blocked {
        Some(Withheld::Blocked)
    } else if !class.block_unproven && !proven() {
        Some(Withheld::UnprovenSource)
    } else {
        None
    };
    let allowed = if withheld.is_some() { Action::Terminate } else { action };
    (allowed, withheld)
}

/// Whether a single host can have the address: not multicast, broadcast, unspecified, loopback.
pub(crate) fn is_one_host(addr: &Addr) -> bool {
    let ip = addr.ip();
    !(addr.is_group() || ip.is_unspecified() || ip.is_loopback())
}

/// Whether the address is on the protected side: as the flow says, or by the segment's networks.
fn is_inside(policy: &Policy, facts: &FlowFacts, addr: Addr) -> bool {
    (addr == facts.client && facts.client_inside)
        || (addr == facts.server && facts.server_inside)
        || policy.segment(facts.segment).is_some_and(|s| s.protects(addr))
}

impl Policy {
    /// Whether a network holds a protected or (unless `block_inside`) an inside address at this
    /// place, and must therefore never be blocked whole.
    pub fn spares(&self, segment: SegmentId, vlan: VlanStack, network: Prefix) -> bool {
        let inside = !self.block_inside
            && self
                .segment(segment)
                .is_some_and(|s| s.protected.iter().any(|p| p.overlaps(&network)));
        inside || self.protected.touches(segment, vlan, network)
    }
}

fn order(finding: &Finding, context: &Context<'_>, block_for: BlockDuration) -> Option<BlockOrder> {
    let facts = &finding.facts;
    let source = Prefix::host(finding.offender.addr()?);
    let target = match finding.target {
        Party::Addr(addr) => Some(addr),
        Party::Nobody | Party::Mac(_) => None,
    };
    Some(BlockOrder {
        key: BlockKey { segment: facts.segment, vlan: facts.vlan, source, tunnel: facts.tunnel },
        since: context.now,
        until: context.now + block_for.duration(),
        cause: Cause {
            origin: Origin::Detector(Arc::clone(context.detector)),
            class: Some(finding.class),
            rule: Some(finding.rule.id),
            message: Arc::from(finding.rule.message.as_str()),
            target,
            flow_id: context.flow_id,
        },
    })
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
