//! The one who writes lines: what all events have in common, and the words for our values.
//!
//! Pure formatting: no file, no queue, no clock. The caller gives the moment of everything.

use super::context::Context;
use super::json::{Line, Object};
use crate::config::EventType;
use portcullis_pipeline::Conversation;
use portcullis_types::{Action, Addr, Class, Confidence, SegmentId, Severity, Tick, VlanStack};
use portcullis_verdict::{WallClock, format_timestamp};
use std::sync::Arc;

/// Writes events as lines.
#[derive(Clone, Debug)]
pub struct Scribe {
    context: Arc<Context>,
    capture: Option<Box<str>>,
    calendar: Calendar,
}

/// A moment as text: `2017-04-07T22:24:37.251547+0000`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment([u8; 31]);

impl Moment {
    /// Its text.
    pub fn as_str(&self) -> &str {
        // Only digits and signs are ever put in.
        std::str::from_utf8(&self.0).unwrap_or("1970-01-01T00:00:00.000000+0000")
    }
}

/// Turns moments into text; the last second is kept, for events come in crowds.
#[derive(Clone, Debug)]
struct Calendar {
    second: u64,
    text: [u8; 31],
}

impl Calendar {
    fn at_1970() -> Self {
        Calendar { second: 0, text: *b"1970-01-01T00:00:00.000000+0000" }
    }

    fn moment(&mut self, unix_ns: u64) -> Moment {
        let second = unix_ns / 1_000_000_000;
        if second != self.second {
            let text = format_timestamp(second);
            if let (Some(to), Some(from)) = (self.text.get_mut(..19), text.as_bytes().get(..19)) {
                to.copy_from_slice(from);
                self.second = second;
            }
        }
        let mut micros = unix_ns / 1_000 % 1_000_000;
        for digit in self.text[20..26].iter_mut().rev() {
            *digit = b'0' + u8::try_from(micros % 10).unwrap_or(0);
            micros /= 10;
        }
        Moment(self.text)
    }
}

/// Nanoseconds since 1970 at a tick; moments before 1970 are its beginning.
pub(crate) fn unix_ns(wall: WallClock, at: Tick) -> u64 {
    let ns = i128::from(at.0) - i128::from(wall.tick.0) + i128::from(wall.unix_ns);
    u64::try_from(ns.max(0)).unwrap_or(u64::MAX)
}

impl Scribe {
    /// Writes with these names and settings.
    pub fn new(context: Arc<Context>) -> Self {
        Scribe { context, capture: None, calendar: Calendar::at_1970() }
    }

    /// The names and settings in use.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// From now on with these: after a reload, or where the wall clock was set.
    pub fn set_context(&mut self, context: Arc<Context>) {
        self.context = context;
    }

    /// From now on everything comes from this capture (`pcap_filename`).
    pub fn set_capture(&mut self, name: Option<&str>) {
        self.capture = name.map(Into::into);
    }

    /// The capture in hand.
    pub fn capture(&self) -> Option<&str> {
        self.capture.as_deref()
    }

    /// A tick as text.
    pub fn moment(&mut self, at: Tick) -> Moment {
        self.calendar.moment(unix_ns(self.context.wall, at))
    }

    pub(super) fn shared(&self) -> Arc<Context> {
        Arc::clone(&self.context)
    }

    /// Begins the line, unless this type is switched off: then the line is left empty.
    pub(super) fn begin<'l>(
        &mut self,
        line: &'l mut Line,
        event_type: EventType,
        at: Tick,
    ) -> Option<Object<'l>> {
        line.clear();
        if !self.context.types.has(event_type) {
            return None;
        }
        let moment = self.moment(at);
        let mut root = line.object();
        root.text("timestamp", moment.as_str()).text("event_type", event_type.name());
        root.text_if("pcap_filename", self.capture.as_deref());
        Some(root)
    }

    /// The segment and the place on it.
    pub(super) fn place(&self, root: &mut Object<'_>, segment: SegmentId, vlan: VlanStack) {
        root.text_if("in_iface", self.context.interface(segment));
        let vids = vlan.vids();
        if let Some(vids) = vids.get(..vlan.depth()).filter(|v| !v.is_empty()) {
            root.numbers("vlan", vids);
        }
    }

    /// Who spoke to whom, where.
    pub(super) fn conversation(&self, root: &mut Object<'_>, of: &Conversation) {
        if of.flow_id != 0 {
            root.number("flow_id", of.flow_id);
        }
        self.place(root, of.segment, of.vlan);
        let is_known = |addr: Addr| addr != Addr::UNSPECIFIED;
        let has_ports = has_ports(of.protocol);
        if is_known(of.src) || is_known(of.dst) {
            root.shown("src_ip", of.src);
            if has_ports {
                root.number("src_port", of.src_port);
            }
            root.shown("dest_ip", of.dst);
            if has_ports {
                root.number("dest_port", of.dst_port);
            }
            ip_version(root, if is_known(of.src) { of.src } else { of.dst });
        }
        if of.protocol != 0 {
            protocol(root, of.protocol);
        }
        if let Some((kind, code)) = of.icmp {
            root.number("icmp_type", kind).number("icmp_code", code);
        }
        if let Some(seed) = self.context.community_id_seed.filter(|_| has_community_id(of)) {
            let ends = ((of.src, of.src_port), (of.dst, of.dst_port));
            let id = super::community_id(seed, of.protocol, ends.0, ends.1, of.icmp);
            root.shown("community_id", id);
        }
    }
}

/// The id of ICMP is made of types and codes; without them there is none.
fn has_community_id(of: &Conversation) -> bool {
    of.protocol != 0
        && (of.src != Addr::UNSPECIFIED || of.dst != Addr::UNSPECIFIED)
        && of.src.is_v4() == of.dst.is_v4()
        && (of.icmp.is_some() || !matches!(of.protocol, 1 | 58))
}

pub(super) fn ip_version(root: &mut Object<'_>, addr: Addr) {
    root.number("ip_v", if addr.is_v4() { 4u8 } else { 6 });
}

/// TCP, UDP, SCTP.
fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 132)
}

/// The names that Suricata writes; three digits where there is none.
fn protocol(root: &mut Object<'_>, number: u8) {
    let name = match number {
        1 => "ICMP",
        2 => "IGMP",
        6 => "TCP",
        17 => "UDP",
        47 => "GRE",
        50 => "ESP",
        51 => "AH",
        58 => "IPv6-ICMP",
        132 => "SCTP",
        other => {
            root.shown("proto", format_args!("{other:03}"));
            return;
        }
    };
    root.text("proto", name);
}

/// The class as operators name it.
pub(crate) fn class_name(class: Class) -> &'static str {
    match class {
        Class::Attack => "attack",
        Class::Suspicious => "activity",
    }
}

/// The action as the configuration names it.
pub(crate) fn action_name(action: Action) -> &'static str {
    match action {
        Action::Pass => "pass",
        Action::Report => "report",
        Action::Terminate => "terminate",
        Action::TerminateAndBlock => "terminate-and-block",
    }
}

/// Suricata's priority: 1 is the gravest, 4 the least.
pub(super) fn priority(severity: Severity) -> u8 {
    match severity {
        Severity::Critical | Severity::High => 1,
        Severity::Medium => 2,
        Severity::Low => 3,
        Severity::Info => 4,
    }
}

/// The word of Emerging Threats' `signature_severity`.
pub(super) fn signature_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "Critical",
        Severity::High | Severity::Medium => "Major",
        Severity::Low => "Minor",
        Severity::Info => "Informational",
    }
}

/// The word of Emerging Threats' `confidence`.
pub(super) fn confidence_name(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "High",
        Confidence::Medium => "Medium",
        Confidence::Low => "Low",
    }
}
