//! Events about blocks: `block` where one is made, moved, raised or refused, `unblock` where one
//! ends or a grace begins or ends. `block.action` and `unblock.action` say which.

use super::json::{Line, Object};
use super::scribe::{Scribe, class_name, ip_version, unix_ns};
use crate::config::EventType;
use portcullis_enforce::{Block, BookEvent};
use portcullis_types::{BlockKey, BlockOrder, Cause, Origin, Tick};
use portcullis_verdict::{WallClock, format_timestamp};

impl Scribe {
    /// What happened to the list of blocks.
    pub fn book(&mut self, event: &BookEvent, now: Tick, line: &mut Line) {
        match event {
            BookEvent::Blocked(block) => self.made(block, None, now, line),
            BookEvent::Moved { block, was } => self.made(block, Some(*was), now, line),
            BookEvent::Raised { id, hosts } => {
                let Some(mut root) = self.begin(line, EventType::Block, now) else { return };
                let mut object = root.object("block");
                object.text("action", "raised").number("id", id.0).number("hosts", *hosts);
            }
            BookEvent::Refused { order, why } => self.refused(order, why.name(), why, now, line),
            BookEvent::Unblocked { block, reason, at } => {
                let Some(mut root) = self.begin(line, EventType::Unblock, *at) else { return };
                self.block_head(&mut root, &block.key, &block.cause);
                let mut object = root.object("unblock");
                object.text("action", "lifted").text("reason", reason.name());
                self.block_facts(&mut object, block, *at);
            }
            BookEvent::Grace { key, until } => self.grace(key, Some(*until), now, line),
            BookEvent::GraceEnded { key } => self.grace(key, None, now, line),
        }
    }

    fn made(&mut self, block: &Block, was: Option<Tick>, now: Tick, line: &mut Line) {
        let Some(mut root) = self.begin(line, EventType::Block, now) else { return };
        self.block_head(&mut root, &block.key, &block.cause);
        let mut object = root.object("block");
        object.text("action", if was.is_some() { "moved" } else { "made" });
        if let Some(was) = was.filter(|was| *was != Tick::NEVER) {
            object.text("was_until", self.moment(was).as_str());
        }
        self.block_facts(&mut object, block, now);
    }

    fn refused(
        &mut self,
        order: &BlockOrder,
        reason: &str,
        why: impl std::fmt::Display,
        now: Tick,
        line: &mut Line,
    ) {
        let Some(mut root) = self.begin(line, EventType::Block, now) else { return };
        self.block_head(&mut root, &order.key, &order.cause);
        let mut object = root.object("block");
        object.text("action", "refused").text("reason", reason).shown("remedy", why);
        self.key_facts(&mut object, &order.key);
        self.cause_facts(&mut object, &order.key, &order.cause);
        self.ends(&mut object, order.since, order.until, now);
    }

    fn grace(&mut self, key: &BlockKey, until: Option<Tick>, now: Tick, line: &mut Line) {
        let Some(mut root) = self.begin(line, EventType::Unblock, now) else { return };
        self.place(&mut root, key.segment, key.vlan);
        root.shown("src_ip", key.source.addr());
        ip_version(&mut root, key.source.addr());
        let mut object = root.object("unblock");
        object.text("action", if until.is_some() { "grace" } else { "grace_ended" });
        self.key_facts(&mut object, key);
        if let Some(until) = until {
            object.text("until", self.moment(until).as_str());
            object.number("remaining", until.since(now).as_secs());
        }
    }

    /// Blocked source and target, in the fields that every reader of EVE knows.
    fn block_head(&self, root: &mut Object<'_>, key: &BlockKey, cause: &Cause) {
        if cause.flow_id != 0 {
            root.number("flow_id", cause.flow_id);
        }
        self.place(root, key.segment, key.vlan);
        root.shown("src_ip", key.source.addr());
        if let Some(target) = cause.target {
            root.shown("dest_ip", target);
        }
        ip_version(root, key.source.addr());
    }

    fn block_facts(&mut self, object: &mut Object<'_>, block: &Block, now: Tick) {
        object.number("id", block.id.0);
        self.key_facts(object, &block.key);
        self.cause_facts(object, &block.key, &block.cause);
        self.ends(object, block.since, block.until, now);
        object.number("packets", block.packets).number("bytes", block.bytes);
        object.number("factor", block.factor);
    }

    fn key_facts(&self, object: &mut Object<'_>, key: &BlockKey) {
        let context = self.context();
        object.shown("source", key.source.addr()).number("prefix_len", key.source.len());
        object.numbers("vlan", &key.vlan.to_vec()).text("segment", context.segment(key.segment));
        if key.tunnel != 0 {
            object.number("tunnel", key.tunnel);
        }
        let machine = context.machine(key.segment, key.vlan, key.source.addr());
        object.text_if("source_machine", machine);
    }

    fn cause_facts(&self, object: &mut Object<'_>, key: &BlockKey, cause: &Cause) {
        object.text_if("class", cause.class.map(class_name));
        if let Some(rule) = cause.rule {
            object.shown("rule", rule);
        }
        object.text("message", &cause.message);
        let (origin, by) = origin(&cause.origin);
        object.text("origin", origin);
        object.text_if(origin, by);
        if let Some(target) = cause.target {
            object.shown("target", target);
            let machine = self.context().machine(key.segment, key.vlan, target);
            object.text_if("target_machine", machine);
        }
    }

    /// A block without an end has neither `until` nor `remaining`.
    fn ends(&mut self, object: &mut Object<'_>, since: Tick, until: Tick, now: Tick) {
        object.text("since", self.moment(since).as_str());
        if until != Tick::NEVER {
            object.text("until", self.moment(until).as_str());
            object.number("remaining", until.since(now).as_secs());
        }
    }

    /// One element of `replay --blocks`: what is not known is `null`, so that every element has
    /// every key; moments as RFC 3339 has them.
    pub(super) fn block_row(&self, object: &mut Object<'_>, block: &Block) {
        let (context, cause, key) = (self.context(), &block.cause, &block.key);
        object.shown("source", key.source.addr()).number("prefix_len", key.source.len());
        object.numbers("vlan", &key.vlan.to_vec()).text("segment", context.segment(key.segment));
        text_or_null(object, "class", cause.class.map(class_name));
        let rule = cause.rule.map(|rule| rule.to_string());
        text_or_null(object, "rule", rule.as_deref());
        object.text("message", &cause.message);
        let (origin, by) = origin(&cause.origin);
        text_or_null(object, "detector", by.filter(|_| origin == "detector"));
        object.text("since", &rfc3339(context.wall, block.since));
        let until = (block.until != Tick::NEVER).then(|| rfc3339(context.wall, block.until));
        text_or_null(object, "until", until.as_deref());
        let target = cause.target.map(|target| target.to_string());
        text_or_null(object, "target", target.as_deref());
        text_or_null(object, "pcap_filename", self.capture());
    }
}

fn text_or_null(object: &mut Object<'_>, key: &str, value: Option<&str>) {
    match value {
        Some(value) => object.text(key, value),
        None => object.null(key),
    };
}

/// `2017-04-07T22:24:37.251547Z`
fn rfc3339(wall: WallClock, at: Tick) -> String {
    let ns = unix_ns(wall, at);
    let seconds = format_timestamp(ns / 1_000_000_000);
    format!("{}.{:06}Z", seconds.trim_end_matches('Z'), ns / 1_000 % 1_000_000)
}

/// What kind of thing made a block, and its name.
fn origin(origin: &Origin) -> (&'static str, Option<&str>) {
    match origin {
        Origin::Detector(name) => ("detector", Some(name)),
        Origin::Operator(name) => ("operator", Some(name)),
        Origin::Raised => ("raised", None),
    }
}
