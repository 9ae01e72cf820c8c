//! Suricata rules, evaluated in the sandbox.
//!
//! The host has the literals, the regular expressions and what is said of each rule; the rules
//! themselves are read from a compiled set, body by body, as hits name them. Nothing here is
//! available to this plugin that another vendor's could not have.
//!
//! [`evaluate`] and what it needs are generic over [`world::World`], so that rules are evaluated
//! in tests without host and sandbox.

mod asn1;
pub mod budget;
mod effects;
pub mod evaluate;
mod header;
mod inspect;
mod keys;
mod memory;
mod numbered;
mod numbers;
mod once;
mod search;
mod store;
mod suspension;
mod transform;
pub mod world;

use budget::Limits;
use evaluate::{Counters, Evaluator, Finding, Short};
use portcullis_plugin_sdk::abi::{Buffer, FLOW_UNFOLLOWED, NONE};
use portcullis_plugin_sdk::{
    Action, Detector, Direction, DoneScope, EventKind, EventView, Findings, Handle, Init, Match,
    Reach, buffer_kind,
};
use portcullis_rules_form::{Field, action};
use std::borrow::Cow;
use world::{BitChange, Facts, Found, Occasion, Piece, Way, World};

/// The section that the manifest names.
const SECTION: &str = "rules";

/// Evaluates compiled rules.
pub struct Signatures {
    /// `None` where the section is none: nothing is found, and a metric says so.
    evaluator: Option<Evaluator>,
    findings: Vec<Finding>,
    counted: Counters,
}

/// Metrics, in the manifest's order.
mod metric {
    pub(super) const TRIED: u32 = 0;
    pub(super) const MATCHED: u32 = 1;
    pub(super) const SUSPENDED: u32 = 2;
    pub(super) const UNREADABLE: u32 = 3;
    pub(super) const TOO_MANY: u32 = 4;
    pub(super) const NO_RULES: u32 = 5;
    pub(super) const RULES_OVER: u32 = 6;
    pub(super) const LITERALS_OVER: u32 = 7;
    pub(super) const FLOWS_SHORT: u32 = 8;
}

/// The manifest's own rule: near misses.
const NEAR_MISSES: u32 = 1;
/// Behind all rules.
const LAST: u32 = u32::MAX;

impl Detector for Signatures {
    fn new(init: &Init<'_>) -> Self {
        let opened = Evaluator::open(&mut Opening(init), |name| init.anomaly(name));
        let mut evaluator = opened.ok();
        if let Some(evaluator) = &mut evaluator {
            evaluator.limit(limits(init));
        }
        Signatures { evaluator, findings: Vec::new(), counted: Counters::default() }
    }

    fn on_event(&mut self, event: &EventView<'_>, out: &mut Findings<'_>) {
        let Some(occasion) = occasion(event) else { return };
        let Some(evaluator) = &mut self.evaluator else {
            out.metric(metric::NO_RULES, 1);
            return;
        };
        let facts = facts(event, occasion);
        // With room from the start: growing is an eighth of what judging an event costs.
        let mut pieces = Vec::with_capacity(event.event().buffers.into());
        pieces.extend(event.buffers().map(piece));
        let literals = event.hits().map(|hit| hit.pattern);
        self.findings.clear();
        let mut asking = Asking { out };
        let passed =
            evaluator.judge(&mut asking, &facts, &mut pieces, literals, &mut self.findings);
        for finding in &self.findings {
            send(finding, out);
        }
        if let Some(short) = passed.short {
            tell(short, out);
        }
        if let Some(kib) = passed.until_kib {
            out.pause(kib);
        }
        self.count(out);
    }
}

impl Signatures {
    /// Adds what was counted since the last event.
    fn count(&mut self, out: &mut Findings<'_>) {
        let Some(evaluator) = &self.evaluator else { return };
        let (now, before) = (evaluator.counters, self.counted);
        let rows = [
            (metric::TRIED, now.tried, before.tried),
            (metric::MATCHED, now.matched, before.matched),
            (metric::SUSPENDED, now.suspended, before.suspended),
            (metric::UNREADABLE, now.unreadable, before.unreadable),
            (metric::TOO_MANY, now.too_many, before.too_many),
            (metric::RULES_OVER, now.rules_over, before.rules_over),
            (metric::LITERALS_OVER, now.literals_over, before.literals_over),
            (metric::FLOWS_SHORT, now.flows_short, before.flows_short),
        ];
        let over = now.flows_short > before.flows_short
            || now.rules_over + now.literals_over > before.rules_over + before.literals_over;
        // Most events have none of the last three.
        let rows = if over { &rows[..] } else { rows.get(..5).unwrap_or(&rows) };
        for &(index, now, before) in rows {
            let more = i64::try_from(now.saturating_sub(before)).unwrap_or(i64::MAX);
            if more > 0 {
                out.metric(index, more);
            }
        }
        self.counted = now;
    }
}

/// What the operator set, of [`Limits`]: what is no number is as shipped.
fn limits(init: &Init<'_>) -> Limits {
    let shipped = Limits::default();
    let number = |key: &str, default: u32| {
        u32::try_from(init.number(key, default.into())).unwrap_or(u32::MAX)
    };
    Limits {
        flow: number("flow_points", shipped.flow),
        refill: number("points_per_kib", shipped.refill),
        shared: number("shared_points", shipped.shared),
    }
}

/// Candidates of the flow were passed over, for the first time.
fn tell(short: Short, out: &mut Findings<'_>) {
    let Short { rules, literals, bytes } = short;
    out.find(NEAR_MISSES)
        .reach(Reach::Flow)
        .order(LAST)
        .counting(rules.saturating_add(literals))
        .text(format_args!(
            "after {bytes} bytes {rules} rules and {literals} literals of one event were not \
             followed; metrics rules_passed_over and literals_passed_over have the sum"
        ))
        .send();
}

fn send(finding: &Finding, out: &mut Findings<'_>) {
    let mut draft = out.find(finding.sid).generator(finding.gid);
    let verb = match finding.verb {
        action::PASS => Some(Action::Pass),
        // A rate filter's `alert` takes the place of more; else the rule's ceiling is the host's.
        action::ALERT if finding.changed => Some(Action::Report),
        _ => None,
    };
    if let Some(verb) = verb {
        draft = draft.action(verb);
    }
    draft = draft.reach(if finding.whole_flow { Reach::Flow } else { Reach::Packet });
    draft = draft.order(finding.order);
    if let Some((place, at, len)) = finding.evidence {
        draft = draft.evidence(place, at, len);
    }
    draft.send();
    if finding.verb == action::PASS && finding.whole_flow {
        out.done(DoneScope::Flow);
    }
}

fn occasion(event: &EventView<'_>) -> Option<Occasion> {
    Some(match event.kind()? {
        EventKind::Packet => Occasion::Packet,
        EventKind::StreamData => Occasion::Stream,
        EventKind::Transaction => Occasion::Transaction,
        EventKind::Anomaly => Occasion::Anomaly(event.code()),
        EventKind::FlowStart | EventKind::FlowReply => Occasion::FlowStart,
        _ => return None,
    })
}

/// `FlowRec::tcp_state`: both ends speak, until the flow is gone.
const ESTABLISHED: std::ops::RangeInclusive<u8> = 3..=6;
const MIDSTREAM: u8 = 7;
const TCP: u8 = 6;

/// Numbers that [`facts`] has of one event.
const NUMBERS_MOST: usize = 16;

fn facts(event: &EventView<'_>, occasion: Occasion) -> Facts {
    let (record, flow) = (event.event(), event.flow());
    let both = flow.packets_to_server > 0 && flow.packets_to_client > 0;
    // What no stream has taken is shown whole.
    let alone = event.buffer(buffer_kind::STREAM).is_some_and(|(b, _)| b.flags & Buffer::MORE == 0);
    let spoken = matches!(occasion, Occasion::Stream | Occasion::Transaction) && !alone;
    let established = match flow.protocol {
        TCP => {
            let followed = flow.flags & FLOW_UNFOLLOWED == 0;
            let open = ESTABLISHED.contains(&flow.tcp_state) || flow.tcp_state == MIDSTREAM && both;
            spoken || followed && open
        }
        _ => both,
    };
    let way = match event.direction() {
        Direction::ToServer => Way::ToServer,
        Direction::ToClient => Way::ToClient,
    };
    let mut numbers = Vec::with_capacity(NUMBERS_MOST);
    numbers.extend([
        (Field::FlowAge, event.at().saturating_sub(flow.started) / 1_000_000_000),
        (Field::FlowPacketsToServer, flow.packets_to_server),
        (Field::FlowPacketsToClient, flow.packets_to_client),
        (Field::FlowBytesToServer, flow.bytes_to_server),
        (Field::FlowBytesToClient, flow.bytes_to_client),
    ]);
    for (field, size) in [
        (Field::StreamToServer, flow.stream_to_server),
        (Field::StreamToClient, flow.stream_to_client),
    ] {
        if size != NONE {
            numbers.push((field, size.into()));
        }
    }
    if occasion == Occasion::Packet {
        numbers.push((Field::PayloadSize, record.payload_len.into()));
        numbers.push((Field::Ttl, record.ttl.into()));
        numbers.push((Field::Tos, record.tos.into()));
        if flow.protocol == TCP {
            numbers.push((Field::Sequence, record.seq.into()));
            numbers.push((Field::Acknowledgement, record.ack.into()));
            numbers.push((Field::Window, record.window.into()));
        }
        if matches!(flow.protocol, 1 | 58) {
            numbers.push((Field::IcmpType, record.icmp_type.into()));
            numbers.push((Field::IcmpCode, record.icmp_code.into()));
        }
    }
    Facts {
        occasion,
        way,
        at: event.at(),
        flow: flow.id,
        transaction: record.transaction,
        client: flow.client,
        server: flow.server,
        client_port: flow.client_port,
        server_port: flow.server_port,
        protocol: flow.protocol,
        ip_version: flow.ip_version,
        application: flow.application,
        bytes: flow.bytes_to_server.saturating_add(flow.bytes_to_client),
        established,
        tcp_flags: record.tcp_flags,
        numbers,
    }
}

fn piece<'a>((buffer, bytes): (Buffer, &'a [u8])) -> Piece<'a> {
    Piece {
        kind: buffer.kind,
        index: buffer.index,
        handle: buffer.handle,
        place: buffer.handle & Buffer::HANDLE_INDEX,
        offset: buffer.offset,
        complete: buffer.flags & Buffer::MORE == 0,
        truncated: buffer.flags & Buffer::TRUNCATED != 0,
        bytes: Cow::Borrowed(bytes),
    }
}

/// The world while an event is judged.
struct Asking<'o, 'a> {
    out: &'o mut Findings<'a>,
}

/// Bytes of a buffer that are read at most.
const WHOLE_MAX: usize = 256 * 1024;

fn handle_of(handle: u32) -> Handle {
    Handle::from(&Buffer {
        handle,
        kind: 0,
        index: 0,
        transaction: 0,
        flags: 0,
        offset: 0,
        data_at: 0,
        data_len: 0,
        whole_len: 0,
        reserved: 0,
    })
}

fn found(answer: Match) -> Found {
    match answer {
        Match::Found { start, end } => Found::At(start, end),
        Match::No => Found::No,
        Match::GaveUp | Match::Refused(_) => Found::Unknown,
    }
}

fn filled(answer: i32, wanted: usize) -> Option<()> {
    (usize::try_from(answer).ok()? == wanted).then_some(())
}

impl World for Asking<'_, '_> {
    fn rules(&mut self, offset: u32, to: &mut [u8]) -> Option<()> {
        let wanted = to.len();
        filled(self.out.section_read(SECTION, offset, to), wanted)
    }

    fn whole(&mut self, handle: u32) -> Option<Vec<u8>> {
        let handle = handle_of(handle);
        let mut out = Vec::new();
        let mut chunk = [0; 4096];
        while out.len() < WHOLE_MAX {
            let at = u32::try_from(out.len()).ok()?;
            let read = usize::try_from(self.out.buffer_read(handle, at, &mut chunk)).ok()?;
            out.extend_from_slice(chunk.get(..read)?);
            if read < chunk.len() {
                break;
            }
        }
        Some(out)
    }

    fn regex(&mut self, id: u32, handle: u32, from: u32) -> Found {
        found(self.out.regex_match(id, handle_of(handle), from))
    }

    fn regex_in(&mut self, id: u32, bytes: &[u8], from: u32) -> Found {
        found(self.out.regex_bytes(id, bytes, from))
    }

    fn count(&mut self, table: u32, key: &[u8], window_ms: u32) -> Option<u32> {
        u32::try_from(self.out.count(table, key, window_ms)).ok()
    }

    fn bit(&mut self, table: u32, key: &[u8], change: BitChange) -> bool {
        match change {
            BitChange::Test => self.out.bit(table, key),
            BitChange::Set => self.out.set_bit(table, key),
            BitChange::Clear => self.out.clear_bit(table, key),
        }
    }

    fn fuel(&mut self) -> u64 {
        self.out.fuel()
    }

    fn spent_on(&mut self, rule: (u32, u32), literal: Option<u32>, found: bool) {
        self.out.spent_on(rule, literal, found);
    }

    fn spent_on_none(&mut self) {
        self.out.spent_on_none();
    }

    fn slot(&mut self) -> &mut [u8] {
        self.out.slot()
    }
}

/// The world at the start: the rules, and nothing else.
struct Opening<'o, 'a>(&'o Init<'a>);

impl World for Opening<'_, '_> {
    fn rules(&mut self, offset: u32, to: &mut [u8]) -> Option<()> {
        let wanted = to.len();
        filled(self.0.section_read(SECTION, offset, to), wanted)
    }
    fn whole(&mut self, _handle: u32) -> Option<Vec<u8>> {
        None
    }
    fn regex(&mut self, _id: u32, _handle: u32, _from: u32) -> Found {
        Found::Unknown
    }
    fn regex_in(&mut self, _id: u32, _bytes: &[u8], _from: u32) -> Found {
        Found::Unknown
    }
    fn count(&mut self, _table: u32, _key: &[u8], _window_ms: u32) -> Option<u32> {
        None
    }
    fn bit(&mut self, _table: u32, _key: &[u8], _change: BitChange) -> bool {
        false
    }
    fn fuel(&mut self) -> u64 {
        0
    }
    fn slot(&mut self) -> &mut [u8] {
        &mut []
    }
}

portcullis_plugin_sdk::export_detector!(Signatures, include_bytes!("../plugin.toml"));
