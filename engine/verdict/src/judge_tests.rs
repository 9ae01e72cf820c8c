#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use super::*;
use crate::*;
use portcullis_types::{Confidence, Evidence, PluginId, Proof, Reach, RuleId, Severity};
use std::time::Duration;

const CLIENT: &str = "192.0.2.9";
const SERVER: &str = "10.0.0.5";

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

/// A proven attack of an outside client on an inside server, in VLAN 10, judged to be blocked.
fn finding() -> Finding {
    let rule = RuleMeta {
        id: RuleId { gid: 1001, sid: 4, rev: 1 },
        message: "WinNuke".into(),
        class: Class::Attack,
        category: "dos".into(),
        severity: Severity::High,
        confidence: Confidence::High,
        action: Action::TerminateAndBlock,
        forgeable: false,
        attack: vec![],
        references: vec![],
        classtype: String::new(),
        priority: 0,
        metadata: vec![],
    };
    Finding {
        plugin: PluginId(0),
        class: Class::Attack,
        confidence: rule.confidence,
        severity: rule.severity,
        action: rule.action,
        rule: Arc::new(rule),
        reach: Reach::Offender,
        offender: Party::Addr(addr(CLIENT)),
        target: Party::Addr(addr(SERVER)),
        proof: Proof::Handshake,
        facts: FlowFacts {
            segment: SegmentId(0),
            vlan: VlanStack::from_vids(&[10]).unwrap(),
            tunnel: 0,
            protocol: 6,
            client: addr(CLIENT),
            server: addr(SERVER),
            client_port: 40_000,
            server_port: 139,
            client_inside: false,
            server_inside: true,
            client_proof: Proof::Handshake,
            server_proof: Proof::None,
        },
        flow: Some((1, 1)),
        frame: None,
        order: 0,
        at: Tick(1),
        duration: None,
        evidence: Evidence::default(),
    }
}

fn policy() -> Policy {
    let segment = SegmentPolicy {
        id: SegmentId(0),
        name: "lan".into(),
        mode: Mode::Prevent,
        protected: vec!["10.0.0.0/8".parse().unwrap()],
    };
    Policy { segments: vec![segment], ..Policy::default() }
}

fn with_rows(rows: &[&str]) -> Policy {
    let rows = rows.iter().map(|r| r.parse().unwrap()).collect();
    let exclusions = Exclusions::new(rows, |_| None, WallClock::REPLAY).unwrap();
    Policy { exclusions, ..policy() }
}

struct Street {
    recent_proof: bool,
    grace: bool,
    blocked: bool,
}

const QUIET: Street = Street { recent_proof: false, grace: false, blocked: false };

fn judged_on(street: &Street, policy: &Policy, finding: &Finding) -> Verdict {
    let detector: Arc<str> = "packet-attacks".into();
    let context = Context {
        now: Tick(1_000),
        detector: &detector,
        flow_id: 77,
        recent_proof: street.recent_proof,
        grace: street.grace,
        blocked: street.blocked,
    };
    Judge::new(Arc::new(Breaker::new())).judge(policy, finding, &context)
}

fn judged(policy: &Policy, finding: &Finding) -> Verdict {
    judged_on(&QUIET, policy, finding)
}

fn block_for(verdict: &Verdict) -> Option<Duration> {
    match &verdict.effect {
        Effect::TerminateAndBlock(order) => Some(order.until.since(order.since)),
        _ => None,
    }
}

#[test]
fn a_proven_attacker_is_blocked_in_its_vlan_for_an_hour() {
    let verdict = judged(&policy(), &finding());
    let Effect::TerminateAndBlock(order) = &verdict.effect else { panic!("{verdict:?}") };
    assert_eq!(order.key.vlan.to_vec(), [10]);
    assert_eq!(order.key.source, Prefix::host(addr(CLIENT)));
    assert_eq!((order.since, block_for(&verdict)), (Tick(1_000), Some(Duration::from_secs(3600))));
    assert_eq!(order.cause.target, Some(addr(SERVER)));
    assert_eq!(order.cause.origin, Origin::Detector("packet-attacks".into()));
    assert_eq!((order.cause.flow_id, order.cause.rule), (77, Some(finding().rule.id)));
    assert_eq!((verdict.by, verdict.withheld), (DecidedBy::ClassAction, None));
}

#[test]
fn switches_and_rule_exclusions_silence() {
    let mut p = policy();
    p.attacks.enabled = false;
    assert_eq!(judged(&p, &finding()).by, DecidedBy::ClassOff);
    let mut p = policy();
    p.attacks.rule_exclusions = vec!["1001:9".parse().unwrap(), "1001:4:1".parse().unwrap()];
    let verdict = judged(&p, &finding());
    assert_eq!((verdict.effect, verdict.by), (Effect::Silent, DecidedBy::RuleExclusion(1)));
    p.attacks.rule_exclusions = vec!["1001:4:2".parse().unwrap()];
    assert!(block_for(&judged(&p, &finding())).is_some(), "another revision is another rule");
    let mut other = finding();
    other.class = Class::Suspicious;
    Arc::make_mut(&mut other.rule).category = "other".into();
    assert_eq!(judged(&policy(), &other).by, DecidedBy::CategoryOff);
    let mut p = policy();
    p.activity.categories.other = true;
    assert!(block_for(&judged(&p, &other)).is_some());
    Arc::make_mut(&mut other.rule).category = "malware".into();
    assert!(block_for(&judged(&policy(), &other)).is_some());
}

#[test]
fn exclusion_rows_decide() {
    let hour = Some(Duration::from_secs(3600));
    for (rows, effect, blocked_for) in [
        (&["192.0.2.0/24 do-not-scan"][..], "silent", None),
        (&["192.0.2.0/24 vlan 20 do-not-scan"], "terminate-and-block", hour),
        (&["192.0.2.0/24 vlan 10 ignore"], "report", None),
        (&["192.0.2.0/24 do-not-block"], "report", None),
        (&["192.0.2.0/24 vlan 4095 terminate"], "terminate", None),
        (&["192.0.2.9 default", "any do-not-block"], "terminate-and-block", hour),
        (
            &["any port 139 rule 1001:4 terminate-and-block for 10m"],
            "terminate-and-block",
            Some(Duration::from_secs(600)),
        ),
        (&["any to 10.0.0.6 ignore"], "terminate-and-block", hour),
        (&["any to 10.0.0.5 protocol tcp ignore"], "report", None),
    ] {
        let verdict = judged(&with_rows(rows), &finding());
        assert_eq!(verdict.effect.name(), effect, "{rows:?}");
        assert_eq!(block_for(&verdict), blocked_for, "{rows:?}");
    }
    let verdict = judged(&with_rows(&["any do-not-block"]), &finding());
    assert_eq!(verdict.withheld, Some(Withheld::Exclusion(0)));
}

#[test]
fn an_action_is_the_least_of_rule_class_and_proposal() {
    let mut p = policy();
    p.attacks.action = ClassAction::Terminate;
    assert_eq!(judged(&p, &finding()).effect, Effect::Terminate);
    let mut f = finding();
    f.action = Action::Report;
    let verdict = judged(&policy(), &f);
    assert_eq!((verdict.effect, verdict.by), (Effect::Report, DecidedBy::Detector));
    let mut f = finding();
    f.confidence = Confidence::Low;
    let verdict = judged(&policy(), &f);
    assert_eq!((verdict.effect, verdict.by), (Effect::Report, DecidedBy::Ceiling(None)));
    // Suricata-language rules say `alert`; the table raises the sure and grave ones.
    let mut f = finding();
    f.action = Action::Report;
    let rule = Arc::make_mut(&mut f.rule);
    (rule.id, rule.action) = (RuleId { gid: 1, sid: 2_000_001, rev: 1 }, Action::Report);
    assert_eq!(judged(&policy(), &f).effect.name(), "terminate-and-block");
    f.confidence = Confidence::Medium;
    assert_eq!(judged(&policy(), &f).effect, Effect::Report);
    // `drop` and `reject` terminate.
    Arc::make_mut(&mut f.rule).action = Action::Terminate;
    f.action = Action::Terminate;
    assert_eq!(judged(&policy(), &f).effect, Effect::Terminate);
}

#[test]
fn a_detector_may_shorten_a_block_but_not_lengthen_it() {
    let mut f = finding();
    f.duration = Some(Duration::from_secs(60));
    assert_eq!(block_for(&judged(&policy(), &f)), f.duration);
    f.duration = Some(Duration::from_secs(100_000));
    assert_eq!(block_for(&judged(&policy(), &f)), Some(Duration::from_secs(3600)));
}

#[test]
fn pass_needs_a_grant() {
    let mut f = finding();
    f.action = Action::Pass;
    let verdict = judged(&policy(), &f);
    assert_eq!(
        (verdict.effect, verdict.withheld),
        (Effect::Report, Some(Withheld::PassNotGranted))
    );
    let mut p = policy();
    p.pass.plugins.push(PluginId(0));
    assert_eq!(judged(&p, &f).effect, Effect::Pass);
    Arc::make_mut(&mut f.rule).id = RuleId { gid: 1, sid: 1_000_007, rev: 1 };
    assert_eq!(judged(&policy(), &f).effect, Effect::Pass, "the operator's own rule");
}

#[test]
fn unproven_sources_are_not_blocked() {
    let mut f = finding();
    f.proof = Proof::None;
    let verdict = judged(&policy(), &f);
    assert_eq!(
        (verdict.effect, verdict.withheld),
        (Effect::Terminate, Some(Withheld::UnprovenSource))
    );
    assert_eq!(Withheld::UnprovenSource.to_string(), "block withheld: unproven source");
    let recent = Street { recent_proof: true, ..QUIET };
    assert!(block_for(&judged_on(&recent, &policy(), &f)).is_some());
    let mut p = policy();
    p.attacks.block_unproven = true;
    assert!(block_for(&judged(&p, &f)).is_some());
    let row = InventoryRow { segment: SegmentId(0), vlan: f.facts.vlan, addr: addr(CLIENT) };
    let p = Policy { inventory: InventoryProof::new([row]), ..policy() };
    assert!(block_for(&judged(&p, &f)).is_some());
    f.facts.vlan = VlanStack::UNTAGGED;
    assert!(block_for(&judged(&p, &f)).is_none(), "the inventory vouches for one place");
}

#[test]
fn what_anybody_can_forge_asks_for_proof_of_its_own_flow() {
    let mut f = finding();
    f.rule = Arc::new(RuleMeta { forgeable: true, ..(*f.rule).clone() });
    assert!(block_for(&judged(&policy(), &f)).is_some(), "its own handshake");
    f.proof = Proof::None;
    let recent = Street { recent_proof: true, ..QUIET };
    let verdict = judged_on(&recent, &policy(), &f);
    assert_eq!(
        (verdict.effect, verdict.withheld),
        (Effect::Terminate, Some(Withheld::UnprovenSource)),
        "an earlier handshake is the victim's, too"
    );
    let row = InventoryRow { segment: SegmentId(0), vlan: f.facts.vlan, addr: addr(CLIENT) };
    let p = Policy { inventory: InventoryProof::new([row]), ..policy() };
    assert!(block_for(&judged(&p, &f)).is_some(), "the operator's word");
    let mut p = policy();
    p.attacks.block_unproven = true;
    assert!(block_for(&judged(&p, &f)).is_some());
}

#[test]
fn inside_machines_are_terminated_and_the_far_end_is_blocked() {
    let mut f = finding();
    f.offender = Party::Addr(addr(SERVER));
    let verdict = judged(&policy(), &f);
    assert_eq!((verdict.effect, verdict.withheld), (Effect::Terminate, Some(Withheld::Inside)));
    // By the segment's networks alone, without the flow's word.
    f.facts.server_inside = false;
    assert_eq!(judged(&policy(), &f).withheld, Some(Withheld::Inside));
    let p = Policy { block_inside: true, ..policy() };
    assert!(block_for(&judged(&p, &f)).is_some());
    // Command and control: our machine is the client, the far end is the offender.
    let mut f = finding();
    (f.facts.client, f.facts.server) = (addr(SERVER), addr(CLIENT));
    (f.facts.client_inside, f.facts.server_inside) = (true, false);
    let verdict = judged(&policy(), &f);
    let Effect::TerminateAndBlock(order) = verdict.effect else { panic!("{verdict:?}") };
    assert_eq!(order.key.source, Prefix::host(addr(CLIENT)));
}

#[test]
fn nobody_protected_or_graced_is_blocked() {
    let mut f = finding();
    for party in [
        Party::Nobody,
        Party::Addr(addr("224.0.0.1")),
        Party::Addr(addr("255.255.255.255")),
        Party::Addr(addr("::")),
        Party::Addr(addr("127.0.0.1")),
        Party::Mac(Default::default()),
    ] {
        f.offender = party;
        let verdict = judged(&policy(), &f);
        assert_eq!(
            (verdict.effect, verdict.withheld),
            (Effect::Terminate, Some(Withheld::NoAddress))
        );
    }
    let mut p = policy();
    let row = |prefix: &str, reason| ProtectedRow {
        prefix: prefix.parse().unwrap(),
        segment: None,
        place: Place::Any,
        reason,
    };
    p.protected.rows.push(row("192.0.2.0/24", ProtectedReason::Gateway));
    let verdict = judged(&p, &finding());
    let gateway = Withheld::Protected(ProtectedReason::Gateway);
    assert_eq!((verdict.effect, verdict.withheld), (Effect::Terminate, Some(gateway)));
    p.protected.rows.push(row(CLIENT, ProtectedReason::Management));
    assert_eq!(judged(&p, &finding()).effect, Effect::Report, "the operator's session goes on");
    let graced = judged_on(&Street { grace: true, ..QUIET }, &policy(), &finding());
    assert_eq!((graced.effect, graced.withheld), (Effect::Terminate, Some(Withheld::Grace)));
    let again = judged_on(&Street { blocked: true, ..QUIET }, &policy(), &finding());
    assert_eq!(again.withheld, Some(Withheld::Blocked));
}

#[test]
fn monitor_reports_what_it_would_have_done() {
    let mut p = policy();
    p.segments[0].mode = Mode::Monitor;
    let verdict = judged(&p, &finding());
    let would = Would { action: Action::TerminateAndBlock, block_for: Some(BlockDuration::HOUR) };
    assert_eq!((verdict.effect, verdict.would), (Effect::Report, Some(would)));
    let mut f = finding();
    f.facts.segment = SegmentId(9);
    f.proof = Proof::None;
    let verdict = judged(&p, &f);
    assert_eq!(verdict.would, Some(Would { action: Action::Terminate, block_for: None }));
    assert_eq!(verdict.withheld, Some(Withheld::UnprovenSource));
}

#[test]
fn the_breaker_turns_blocks_into_terminations() {
    let p = Policy { breaker: BreakerLimits { per_detector: 1, in_all: 9 }, ..policy() };
    let (judge, detector) = (Judge::new(Arc::new(Breaker::new())), Arc::from("d"));
    let context = Context {
        now: Tick(1),
        detector: &detector,
        flow_id: 0,
        recent_proof: false,
        grace: false,
        blocked: false,
    };
    assert!(block_for(&judge.judge(&p, &finding(), &context)).is_some());
    let firsts: Vec<_> = (0..3)
        .map(|_| match judge.judge(&p, &finding(), &context) {
            Verdict { effect: Effect::Terminate, withheld: Some(Withheld::Breaker(t)), .. } => {
                t.first
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!((firsts, judge.breaker().trips()), (vec![true, false, false], 1));
}

#[test]
fn widening_spares_inside_and_protected() {
    let mut p = policy();
    p.segments[0].protected.push("2001:db8:1::/48".parse().unwrap());
    let net = |text: &str| text.parse::<Prefix>().unwrap();
    let v = VlanStack::UNTAGGED;
    assert!(p.spares(SegmentId(0), v, net("2001:db8:1:2::/64")));
    assert!(!p.spares(SegmentId(0), v, net("2001:db8:2::/64")));
    p.protected.rows.push(ProtectedRow {
        prefix: net("2001:db8:2::7"),
        segment: None,
        place: Place::Any,
        reason: ProtectedReason::NameServer,
    });
    assert!(p.spares(SegmentId(0), v, net("2001:db8:2::/64")));
}

fn question() -> Question {
    Question {
        source: addr(CLIENT),
        vlan: VlanStack::from_vids(&[10]).unwrap(),
        segment: SegmentId(0),
        destination: None,
        protocol: None,
        port: None,
        rule: None,
        meta: None,
        class: Some(Class::Attack),
        now: Tick(1),
    }
}

#[test]
fn explain_names_the_row() {
    let p =
        with_rows(&["any rule 1001:4 ignore", "192.0.2.0/24 vlan 10 terminate", "any do-not-scan"]);
    let told = explain(&p, question());
    assert_eq!(told.row.as_ref().map(|(r, _)| *r), Some(1));
    assert_eq!(told.conditional, [Conditional { row: 0, on: "rule 1001:4".into() }]);
    assert_eq!(
        (told.answers[0].action, told.answers[0].by),
        (Action::Terminate, DecidedBy::Exclusion(1))
    );
    let text = told.to_string();
    assert!(text.contains("exclusion 2 decides: 192.0.2.0/24 vlan 10 terminate"), "{text}");
    assert!(text.contains("exclusion 1 would decide first for rule 1001:4"), "{text}");
    let asked = Question { meta: Some(finding().rule), class: None, ..question() };
    let told = explain(&p, asked);
    assert_eq!(
        (told.row.as_ref().map(|(r, _)| *r), told.answers[0].action),
        (Some(0), Action::Report)
    );
    let told = explain(&p, Question { vlan: VlanStack::UNTAGGED, class: None, ..question() });
    assert!(told.unread && told.answers.len() == 2 && told.answers.iter().all(|a| !a.heard));
    let told = explain(&policy(), Question { source: addr(SERVER), ..question() });
    assert!(told.inside && told.answers[0].action == Action::Terminate);
    assert!(told.to_string().contains("inside address is not blocked"), "{told}");
}
