//! Events about traffic: `alert`, `anomaly`, `drop`, `flow`. What decoders have read is told in
//! `records`.

use super::context::Context;
use super::json::{Hex, Line, Object};
use super::rule::{category, metadata, severity};
use super::scribe::{Scribe, action_name, class_name};
use crate::config::EventType;
use portcullis_flow::EndReason;
use portcullis_pipeline::{Alert, Anomaly, Conflict, Drop, FlowEnded, Oddity, OddityLayer, Report};
use portcullis_plugin_abi::application;
use portcullis_types::{Action, Mac, Party};
use std::fmt::{self, Display};

/// Where Suricata says that a packet came from; detectors beyond one flow have none.
pub(super) const FROM_THE_WIRE: &str = "wire/pcap";

impl Scribe {
    /// How many lines a report makes: one, but for requests of DNS with several questions.
    pub fn lines(report: &Report) -> usize {
        match report {
            Report::Transaction(transaction) => super::records::lines(&transaction.record),
            _ => 1,
        }
    }

    /// The first line of a report; it is left empty where its type is switched off.
    pub fn report(&mut self, report: &Report, line: &mut Line) {
        self.report_line(report, 0, line);
    }

    /// One of the [`Scribe::lines`] of a report, from 0.
    pub fn report_line(&mut self, report: &Report, number: usize, line: &mut Line) {
        match report {
            Report::Alert(alert) => self.alert(alert, line),
            Report::Anomaly(anomaly) => self.anomaly(anomaly, line),
            Report::Drop(drop) => self.drop_event(drop, line),
            Report::Flow(flow) => self.flow(flow, line),
            Report::Oddity(oddity) => self.oddity(oddity, line),
            Report::Transaction(transaction) => self.transaction(transaction, number, line),
        }
    }

    fn alert(&mut self, a: &Alert, line: &mut Line) {
        let Some(mut root) = self.begin(line, EventType::Alert, a.at) else { return };
        frame(&mut root, a.frame_number);
        self.conversation(&mut root, &a.conversation);
        if a.conversation.macs.is_some() {
            root.text("pkt_src", FROM_THE_WIRE);
        }
        direction(&mut root, a.to_server);
        ether(&mut root, a.conversation.macs);
        root.text_if("app_proto", application_name(a.application));
        let context = self.shared();
        alert_object(&mut root.object("alert"), a, &context);
        verdict(&mut root.object("verdict"), a);
        let mut ours = root.object("portcullis");
        ours.text("segment", context.segment(a.conversation.segment));
        ours.text("action", action_name(a.outcome.action));
        ours.text_if("would", a.outcome.would.map(action_name));
        if let Some(withheld) = a.outcome.withheld {
            ours.object("withheld").text("reason", withheld.name()).shown("message", withheld);
        }
        party(&mut ours, "offender", a, a.offender, &context);
        party(&mut ours, "target", a, a.target, &context);
        ours.text("proof", a.proof.name());
        ours.text("class", class_name(a.rule.class)).text("detector", &a.detector);
        if a.evidence.text.is_some() || a.evidence.bytes.is_some() {
            let mut evidence = ours.object("evidence");
            evidence.text_if("text", a.evidence.text.as_deref());
            if let Some(bytes) = &a.evidence.bytes {
                evidence.shown("bytes", Hex(bytes));
            }
        }
    }

    fn anomaly(&mut self, a: &Anomaly, line: &mut Line) {
        let Some(mut root) = self.begin(line, EventType::Anomaly, a.at) else { return };
        frame(&mut root, a.frame_number);
        self.conversation(&mut root, &a.conversation);
        root.text("pkt_src", FROM_THE_WIRE);
        ether(&mut root, a.conversation.macs);
        let mut anomaly = root.object("anomaly");
        let event = a.reject.suricata_event_in(a.conversation.src.is_v4());
        anomaly.text("type", "decode").text("event", event);
        anomaly.text("layer", a.reject.layer().name());
        drop(anomaly);
        let mut ours = root.object("portcullis");
        ours.text("segment", self.context().segment(a.conversation.segment));
        ours.text("reject", a.reject.name()).truth("dropped", a.dropped);
        conflict(&mut ours, a.conflict.as_ref());
    }

    /// Suricata's `anomaly` behind the headers: of a stream, or of what is spoken over it.
    fn oddity(&mut self, o: &Oddity, line: &mut Line) {
        let Some(mut root) = self.begin(line, EventType::Anomaly, o.at) else { return };
        frame(&mut root, o.frame_number);
        self.conversation(&mut root, &o.conversation);
        root.text("pkt_src", FROM_THE_WIRE);
        ether(&mut root, o.conversation.macs);
        let mut anomaly = root.object("anomaly");
        match o.layer {
            OddityLayer::Stream => {
                anomaly.text("type", "stream");
                let bare = o.event.strip_prefix("stream.").unwrap_or(o.event);
                anomaly.shown("event", format_args!("stream.{bare}"));
            }
            OddityLayer::Application => application_event(&mut anomaly, o.event),
        }
        drop(anomaly);
        let mut ours = root.object("portcullis");
        ours.text("segment", self.context().segment(o.conversation.segment));
        conflict(&mut ours, o.conflict.as_ref());
    }

    fn drop_event(&mut self, d: &Drop, line: &mut Line) {
        let Some(mut root) = self.begin(line, EventType::Drop, d.at) else { return };
        frame(&mut root, d.frame_number);
        self.conversation(&mut root, &d.conversation);
        root.text("pkt_src", FROM_THE_WIRE);
        direction(&mut root, d.to_server);
        ether(&mut root, d.conversation.macs);
        root.object("drop")
            .number("len", d.len)
            .number("ttl", d.ttl)
            .text("reason", d.reason.name());
        root.object("verdict").text("action", "drop");
        let segment = self.context().segment(d.conversation.segment);
        root.object("portcullis").text("segment", segment);
    }

    fn flow(&mut self, f: &FlowEnded, line: &mut Line) {
        let Some(mut root) = self.begin(line, EventType::Flow, f.at) else { return };
        self.conversation(&mut root, &f.conversation);
        if let Some((src, dst)) = f.conversation.macs {
            let mut ether = root.object("ether");
            ether.single("src_macs", src).single("dest_macs", dst);
        }
        let (start, end) = (self.moment(f.first), self.moment(f.last));
        let mut flow = root.object("flow");
        flow.number("pkts_toserver", f.to_server.0).number("pkts_toclient", f.to_client.0);
        flow.number("bytes_toserver", f.to_server.1).number("bytes_toclient", f.to_client.1);
        flow.text("start", start.as_str()).text("end", end.as_str());
        flow.number("age", f.last.since(f.first).as_secs());
        flow.text("state", f.state).text("reason", flow_reason(f.reason));
        flow.truth("alerted", f.alerted);
        if f.terminated {
            flow.text("action", "drop");
        }
        drop(flow);
        let mut ours = root.object("portcullis");
        ours.text("segment", self.context().segment(f.conversation.segment));
        ours.text("reason", f.reason.name()).text("proof", f.proof.name());
        if f.unscanned {
            ours.text("unscanned", "fault");
        }
    }
}

/// Both versions of bytes that were sent twice, in hexadecimal.
fn conflict(ours: &mut Object<'_>, both: Option<&Conflict>) {
    let Some(both) = both else { return };
    let mut told = ours.object("conflict");
    told.number("offset", both.offset);
    told.shown("first", Hex(&both.first)).shown("later", Hex(&both.later));
}

/// Suricata's word for what is spoken; nothing where that is not known yet.
fn application_name(number: u16) -> Option<&'static str> {
    match number {
        application::FAILED => Some("failed"),
        number => application::name(number),
    }
}

/// `http.request_header_invalid` as Suricata has it: the protocol apart, and the name in capitals
/// where its decoder is written in C.
fn application_event(anomaly: &mut Object<'_>, event: &str) {
    let (protocol, name) = match event.split_once('.') {
        Some((protocol, name)) => (Some(protocol), name),
        None => (None, event),
    };
    anomaly.text_if("app_proto", protocol).text("type", "applayer");
    match protocol {
        Some("dns" | "ssh" | "smb") => anomaly.text("event", name),
        _ => anomaly.text("event", &name.to_ascii_uppercase()),
    };
    let layer = if protocol.is_some() { "proto_parser" } else { "proto_detect" };
    anomaly.text("layer", layer);
}

pub(super) fn frame(root: &mut Object<'_>, number: u64) {
    if number != 0 {
        root.number("pcap_cnt", number);
    }
}

fn direction(root: &mut Object<'_>, to_server: bool) {
    root.text("direction", if to_server { "to_server" } else { "to_client" });
}

pub(super) fn ether(root: &mut Object<'_>, macs: Option<(Mac, Mac)>) {
    if let Some((src, dst)) = macs {
        root.object("ether").shown("src_mac", src).shown("dest_mac", dst);
    }
}

fn alert_object(alert: &mut Object<'_>, a: &Alert, context: &Context) {
    let rule = &a.rule;
    let action = if ends_it(a) { "blocked" } else { "allowed" };
    alert.text("action", action).number("gid", rule.id.gid).number("signature_id", rule.id.sid);
    alert.number("rev", rule.id.rev).text("signature", &rule.message);
    alert.text("category", category(rule, context)).number("severity", severity(rule));
    for (key, addr) in [("source", a.offender.addr()), ("target", a.target.addr())] {
        if let Some(addr) = addr {
            alert.object(key).shown("ip", addr);
        }
    }
    metadata(&mut alert.object("metadata"), a, context);
    alert.texts("references", &rule.references);
}

fn ends_it(a: &Alert) -> bool {
    a.outcome.action >= Action::Terminate
}

/// Whether its ends are told: whoever may be forged is sent nothing.
fn is_answered(a: &Alert) -> bool {
    let may_be_forged = a.rule.forgeable && !a.proof.is_proven();
    ends_it(a) && a.offender != Party::Nobody && !may_be_forged
}

/// What becomes of the packet, and who is told.
fn verdict(verdict: &mut Object<'_>, a: &Alert) {
    verdict.text(
        "action",
        match a.outcome.action {
            Action::Pass => "pass",
            Action::Report => "alert",
            Action::Terminate | Action::TerminateAndBlock => "drop",
        },
    );
    let (how, whom) = match a.conversation.protocol {
        6 => ("tcp-reset", "both"),
        17 if a.to_server => ("icmp-prohib", "to_client"),
        17 => ("icmp-prohib", "to_server"),
        _ => return,
    };
    if is_answered(a) {
        verdict.single("reject", how).text("reject_target", whom);
    }
}

fn party(ours: &mut Object<'_>, key: &str, a: &Alert, who: Party, context: &Context) {
    let mut object = match who {
        Party::Nobody => return,
        Party::Addr(_) | Party::Mac(_) => ours.object(key),
    };
    let kind = if matches!(who, Party::Addr(_)) { "ip" } else { "mac" };
    object.shown(kind, Named(who));
    let place = &a.conversation;
    object.text_if("machine", context.machine_of(place.segment, place.vlan, who));
}

/// Suricata's words for the end of a flow; ours stands in `portcullis.reason`.
fn flow_reason(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Closed | EndReason::Timeout => "timeout",
        EndReason::Evicted => "forced",
        EndReason::Shutdown => "shutdown",
    }
}

/// A party as its address.
pub(super) struct Named(pub(super) Party);

impl Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Party::Nobody => f.write_str("nobody"),
            Party::Addr(addr) => addr.fmt(f),
            Party::Mac(mac) => mac.fmt(f),
        }
    }
}
