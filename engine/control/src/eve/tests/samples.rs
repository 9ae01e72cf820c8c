//! One event of every type and kind; those of decoders are in `records`.

use crate::config::Events;
use crate::eve::{Context, ExclusionChange, ExclusionStep, Line, Scribe, SegmentLabel};
use crate::inventory::{Inventory, Machine};
use portcullis_detect::{FaultKind, PluginEvent};
use portcullis_enforce::{Block, BlockId, BookEvent, Refusal, Unblocked};
use portcullis_flow::EndReason;
use portcullis_pipeline::{Alert, Anomaly, Conversation, Drop, FlowEnded, Outcome, Report};
use portcullis_types::{
    Action, Addr, BlockKey, BlockOrder, Cause, Class, Confidence, DropReason, Evidence, Mac,
    Origin, Party, PluginId, Prefix, Proof, RuleId, RuleMeta, SegmentId, Severity, Tick, VlanStack,
};
use portcullis_verdict::{BreakerScope, Trip, Withheld};
use portcullis_wire::Reject;
use std::sync::Arc;
use std::time::Duration;

/// 2017-04-07T22:24:37.251547 UTC.
pub(in crate::eve) const AT: Tick = Tick(1_491_603_877_251_547_000);

/// Anything that makes a line.
pub(in crate::eve) enum Sample {
    Report(Report),
    Book(BookEvent),
    Plugin(PluginEvent),
    Exclusion(ExclusionChange),
    Tripped(Trip),
    Stats,
}

impl Sample {
    pub(in crate::eve) fn write(&self, scribe: &mut Scribe, line: &mut Line) {
        match self {
            Sample::Report(report) => scribe.report(report, line),
            Sample::Book(event) => scribe.book(event, AT, line),
            Sample::Plugin(event) => scribe.plugin("port-scan", event, AT, line),
            Sample::Exclusion(change) => scribe.exclusion(change, AT, line),
            Sample::Tripped(trip) => scribe.tripped("port-scan", trip, AT, line),
            Sample::Stats => scribe.stats(&crate::metrics::tests::figures(), AT, line),
        }
    }
}

pub(in crate::eve) fn context() -> Context {
    let label = SegmentLabel { name: "dmz".into(), interface: Some("eth0-eth1".into()) };
    let mut context = Context::new(&Events::default(), vec![label], vec!["port-scan".into()]);
    context.inventory = Arc::new(Inventory::of(vec![Machine {
        name: "web".into(),
        segment: None,
        vlan: None,
        addresses: vec![addr("66.35.250.204")],
        macs: vec![],
        is_static: false,
    }]));
    context
}

pub(super) fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

pub(super) fn conversation() -> Conversation {
    Conversation {
        segment: SegmentId(0),
        vlan: VlanStack::from_vids(&[10, 20]).unwrap(),
        flow_id: 1 << 52,
        src: addr("128.232.110.120"),
        dst: addr("66.35.250.204"),
        src_port: 34855,
        dst_port: 80,
        protocol: 6,
        icmp: None,
        macs: Some((Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]))),
    }
}

pub(in crate::eve) fn nowhere() -> Conversation {
    Conversation {
        segment: SegmentId(0),
        vlan: VlanStack::UNTAGGED,
        flow_id: 0,
        src: Addr::UNSPECIFIED,
        dst: Addr::UNSPECIFIED,
        src_port: 0,
        dst_port: 0,
        protocol: 0,
        icmp: None,
        macs: None,
    }
}

fn rule() -> RuleMeta {
    RuleMeta {
        id: RuleId { gid: 9, sid: 1, rev: 2 },
        message: "a scan".into(),
        class: Class::Suspicious,
        category: "scan".into(),
        severity: Severity::High,
        confidence: Confidence::Medium,
        action: Action::TerminateAndBlock,
        forgeable: false,
        attack: vec!["T1046".into()],
        references: vec!["CVE-1999-0016".into()],
        classtype: String::new(),
        priority: 0,
        metadata: vec![],
    }
}

pub(in crate::eve) fn alert() -> Alert {
    Alert {
        at: AT,
        frame_number: 7,
        conversation: conversation(),
        rule: Arc::new(rule()),
        detector: "port-scan".into(),
        offender: Party::Addr(addr("128.232.110.120")),
        proof: Proof::None,
        target: Party::Addr(addr("66.35.250.204")),
        evidence: Evidence {
            text: Some("12 \"ports\"".into()),
            bytes: Some(vec![0, 255].into_boxed_slice()),
        },
        outcome: Outcome {
            action: Action::Terminate,
            would: None,
            withheld: Some(Withheld::UnprovenSource),
        },
        to_server: true,
        application: 1,
    }
}

pub(in crate::eve) fn report(alert: Alert) -> Report {
    Report::Alert(Box::new(alert))
}

pub(in crate::eve) fn anomaly() -> Anomaly {
    Anomaly {
        at: AT,
        frame_number: 8,
        conversation: Conversation { protocol: 253, ..conversation() },
        reject: Reject::Land,
        dropped: false,
        conflict: None,
    }
}

fn drop_report() -> Drop {
    let icmp = Conversation {
        protocol: 58,
        icmp: Some((128, 0)),
        src: addr("2001:db8::1"),
        dst: addr("2001:db8::2"),
        ..conversation()
    };
    Drop {
        at: AT,
        frame_number: 9,
        conversation: icmp,
        reason: DropReason::Blocked,
        len: 60,
        ttl: 64,
        to_server: false,
    }
}

fn flow_ended(reason: EndReason) -> FlowEnded {
    FlowEnded {
        conversation: conversation(),
        first: AT - Duration::from_secs(5),
        last: AT,
        at: AT,
        to_server: (3, 180),
        to_client: (2, 120),
        reason,
        state: "established",
        terminated: true,
        alerted: true,
        unscanned: true,
        proof: Proof::Handshake,
    }
}

fn key() -> BlockKey {
    BlockKey {
        segment: SegmentId(0),
        vlan: VlanStack::from_vids(&[10]).unwrap(),
        source: Prefix::of(addr("2001:db8::"), 64),
        tunnel: 0,
    }
}

fn cause(origin: Origin) -> Cause {
    Cause {
        origin,
        class: Some(Class::Suspicious),
        rule: Some(RuleId { gid: 9, sid: 1, rev: 2 }),
        message: "a scan".into(),
        target: Some(addr("2001:db8:1::1")),
        flow_id: 11,
    }
}

fn block(until: Tick, origin: Origin) -> Block {
    Block {
        id: BlockId(4),
        key: key(),
        since: AT,
        until,
        cause: cause(origin),
        packets: 3,
        bytes: 180,
        factor: 1,
    }
}

pub(in crate::eve) fn blocked() -> BookEvent {
    let hour = AT + Duration::from_secs(3600);
    BookEvent::Blocked(block(hour, Origin::Detector("port-scan".into())))
}

/// One of each.
pub(in crate::eve) fn everything() -> Vec<Sample> {
    let hour = AT + Duration::from_secs(3600);
    let by_hand = block(Tick::NEVER, Origin::Operator("root".into()));
    let order = BlockOrder { key: key(), since: AT, until: hour, cause: cause(Origin::Raised) };
    let reports = [
        report(alert()),
        Report::Anomaly(Box::new(anomaly())),
        Report::Drop(Box::new(drop_report())),
        Report::Flow(Box::new(flow_ended(EndReason::Closed))),
        Report::Flow(Box::new(flow_ended(EndReason::Evicted))),
    ];
    let book = [
        blocked(),
        BookEvent::Moved { block: by_hand.clone(), was: hour },
        BookEvent::Raised { id: BlockId(4), hosts: 8 },
        BookEvent::Refused { order: Box::new(order), why: Refusal::Full },
        BookEvent::Unblocked { block: by_hand, reason: Unblocked::Operator, at: AT },
        BookEvent::Grace { key: key(), until: hour },
        BookEvent::GraceEnded { key: key() },
    ];
    let offender = Party::Mac(Mac([2, 0, 0, 0, 0, 1]));
    let plugin = [
        PluginEvent::Discarded { kind: FaultKind::Fuel, offender, at: AT },
        PluginEvent::Installed { version: "1.0".into(), data: Some("5e7".into()) },
        PluginEvent::Log { level: 1, text: "x".into() },
        PluginEvent::Muted { offender, until: hour },
        PluginEvent::Quarantined { rest: Duration::from_millis(1500), offenders: 3 },
        PluginEvent::Resumed,
        PluginEvent::RolledBack { from: "2".into(), to: "1".into() },
        PluginEvent::SlotsZeroed { from: 1, to: 2 },
    ];
    let steps = [ExclusionStep::Added { freed: 1 }, ExclusionStep::Expired, ExclusionStep::Removed];
    let changes = steps.map(|step| ExclusionChange {
        step,
        row: "192.0.2.1 vlan 10 do-not-block".into(),
        by: "root".into(),
    });
    let mut all: Vec<Sample> = reports.into_iter().map(Sample::Report).collect();
    all.extend(super::records::everything().into_iter().map(Sample::Report));
    all.extend(book.into_iter().map(Sample::Book));
    all.extend(plugin.into_iter().map(Sample::Plugin));
    all.extend(changes.into_iter().map(Sample::Exclusion));
    let scopes = [BreakerScope::All, BreakerScope::Detector(PluginId(0))];
    all.extend(scopes.map(|scope| Sample::Tripped(Trip { scope, limit: 1000, first: true })));
    all.push(Sample::Stats);
    all
}
