//! Rules, as types, into the compiled form. The same rules give the same bytes.
//!
//! ```text
//! order: who sets bits goes before who reads them ─► numbers of the rules
//! targets: which events a rule is tried on        ─► needs
//! steps, checks: what is tested                   ─► bodies
//! pattern, groups: which literal is looked for, in which buffers of which flows
//! always, intervals: what to try where there is no literal
//! ```
//!
//! This module must never match anything, nor know how a plugin evaluates what it writes.

mod always;
mod checks;
mod groups;
mod info;
mod kinds;
mod names;
mod order;
mod pattern;
mod steps;
mod targets;

use crate::ast::Rule;
use crate::policy::Policy;
use crate::ruleset::RuleSet;
use names::Names;
use portcullis_rules_form::{Body, Builder, DataKind, Head, NONE, TooLarge, head};
use portcullis_types::RuleId;
use std::collections::BTreeMap;

/// Numbers that other parts of the engine give to names.
#[derive(Clone, Copy)]
pub struct Vocabulary<'a> {
    /// The number of an event of the application layer, e.g. `http.missing_host_header`, as
    /// buffers of kind `app.event` hold it.
    pub app_event: &'a dyn Fn(&str) -> Option<u16>,
    /// The engine's own name of a decoder's or stream's event, e.g. of `ipv4.pkt_too_small`;
    /// several where the engine tells them apart.
    pub anomaly: &'a dyn Fn(&str) -> Vec<String>,
}

/// A rule, or a part of it, that can never match on this engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unmatchable {
    /// The rule.
    pub id: RuleId,
    /// What it asks for.
    pub asks: String,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The compiled form.
    pub bytes: Vec<u8>,
    /// Rules that load and can never match, or whose effect is not carried out, in the order of
    /// their ids.
    pub unmatchable: Vec<Unmatchable>,
    /// Counts for people.
    pub counts: Counts,
}

/// How the rules are found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Rules.
    pub rules: u32,
    /// Rules tried where a literal is found.
    pub by_literal: u32,
    /// Rules tried by address.
    pub by_address: u32,
    /// Rules tried on every event of a kind.
    pub always: u32,
    /// Groups of literals.
    pub groups: u32,
    /// Rules that can never match.
    pub unmatchable: u32,
}

/// Compiles a set.
///
/// # Errors
/// Where the result would be longer than 4 GiB.
pub fn compile(
    rules: &RuleSet,
    vocabulary: &Vocabulary<'_>,
    policy: &Policy,
) -> Result<Compiled, TooLarge> {
    let mut compiler = Compiler {
        rules,
        vocabulary,
        builder: Builder::new(),
        names: Names::of(&rules.rules),
        data_sets: BTreeMap::new(),
        unmatchable: Vec::new(),
        counts: Counts::default(),
        sites: Vec::new(),
    };
    for set in 0..rules.datasets.len() {
        compiler.data_set(set);
    }
    for index in order::order(&rules.rules, &rules.actions) {
        if let Some(rule) = rules.rules.get(index) {
            compiler.rule(rule, policy);
        }
    }
    compiler.finish()
}

/// One literal of one rule, before groups are made.
struct Site {
    key: groups::Key,
    ports: groups::Ports,
    bytes: Vec<u8>,
    nocase: bool,
    candidate: portcullis_rules_form::Candidate,
}

struct Compiler<'a> {
    rules: &'a RuleSet,
    vocabulary: &'a Vocabulary<'a>,
    builder: Builder,
    names: Names,
    data_sets: BTreeMap<usize, u32>,
    unmatchable: Vec<Unmatchable>,
    counts: Counts,
    sites: Vec<Site>,
}

impl Compiler<'_> {
    fn cannot(&mut self, rule: &Rule, asks: impl Into<String>) {
        self.unmatchable.push(Unmatchable { id: rule.id, asks: asks.into() });
    }

    fn rule(&mut self, rule: &Rule, policy: &Policy) {
        let target = targets::target(rule);
        let mut body = Body {
            head: self.head(rule, &target),
            checks: Vec::new(),
            parts: Vec::new(),
            effects: Vec::new(),
        };
        self.header_checks(rule, &mut body);
        self.conditions(rule, &mut body);
        self.buffers(rule, &mut body);
        self.effects(rule, &mut body);
        self.packets_own(rule, &body);
        let chosen = pattern::choose(rule);
        if let Some(chosen) = &chosen {
            body.head.fast_part = u16::try_from(chosen.buffer).unwrap_or(u16::MAX);
        }
        let judgement = policy.judge(rule);
        if judgement.may_act() || info::leads_on(&body) {
            body.head.traits |= head::URGENT;
        }
        let entry = self.builder.rule(&body, info::info(rule, &judgement));
        self.counts.rules += 1;
        if target.traits & head::MIXED != 0
            && let Some(raw) = pattern::payload(rule)
        {
            self.sites(rule, &body, &target, &raw, entry);
        }
        match chosen {
            Some(chosen) => {
                self.counts.by_literal += 1;
                self.sites(rule, &body, &target, &chosen, entry);
                if let Some(later) = pattern::later(rule, &chosen) {
                    self.sites(rule, &body, &target, &later, entry);
                }
            }
            None => self.without_literal(rule, &body, &target, entry),
        }
    }

    fn head(&mut self, rule: &Rule, target: &targets::Target) -> Head {
        let header = &rule.header;
        let ranges = info::address_ranges(&header.source);
        let source = self.builder.address_set(ranges.as_deref());
        let ranges = info::address_ranges(&header.destination);
        let destination = self.builder.address_set(ranges.as_deref());
        let ports = info::port_ranges(&header.source_ports);
        let source_ports = self.builder.port_set(ports.as_deref());
        let ports = info::port_ranges(&header.destination_ports);
        let destination_ports = self.builder.port_set(ports.as_deref());
        Head {
            sid: rule.id.sid,
            gid: rule.id.gid,
            rev: rule.id.rev,
            source,
            destination,
            source_ports,
            destination_ports,
            protocols: targets::protocols(&header.protocol),
            flow: targets::flow_bits(&rule.flow),
            application: header.protocol.application.unwrap_or(0),
            traits: target.traits,
            action: info::verb(header.action),
            needs: target.needs,
            parts: 0,
            checks: 0,
            effects: 0,
            fast_part: u16::MAX,
            variables: u16::try_from(rule.variables.len()).unwrap_or(u16::MAX),
        }
    }

    fn data_set(&mut self, set: usize) -> u32 {
        if let Some(&known) = self.data_sets.get(&set) {
            return known;
        }
        let Some(data) = self.rules.datasets.get(set) else { return NONE };
        let kind = match data.values_are {
            crate::ast::DatasetType::String => DataKind::Text,
            crate::ast::DatasetType::Md5 => DataKind::Md5,
            crate::ast::DatasetType::Sha256 => DataKind::Sha256,
            crate::ast::DatasetType::Ipv4 | crate::ast::DatasetType::Ip => DataKind::Address,
        };
        let id = self.builder.data_set(&data.name, kind, &data.values);
        self.data_sets.insert(set, id);
        id
    }

    fn finish(mut self) -> Result<Compiled, TooLarge> {
        let sites = std::mem::take(&mut self.sites);
        self.counts.groups = groups::build(&mut self.builder, sites);
        self.builder.flowbit_names(&self.names.list());
        self.unmatchable.sort_by(|a, b| (a.id, &a.asks).cmp(&(b.id, &b.asks)));
        self.unmatchable.dedup();
        let mut ids: Vec<RuleId> = self.unmatchable.iter().map(|u| u.id).collect();
        ids.dedup();
        self.counts.unmatchable = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let bytes = self.builder.finish()?;
        Ok(Compiled { bytes, unmatchable: self.unmatchable, counts: self.counts })
    }
}

/// Whether a part reads the transport's payload.
fn is_payload(kind: u16) -> bool {
    use portcullis_plugin_abi::buffer_kind::{PAYLOAD, STREAM};
    kind == PAYLOAD || kind == STREAM
}
