//! Groups of literals: by kind of buffer, direction and protocol; those of raw payload also by
//! ports, so that rules for one service are not looked for in the traffic of another.
//!
//! Sets of ports that overlap are one cluster; a buffer is scanned with at most three groups: that
//! of its server's port, that of its client's port, and that for any.

use super::pattern::Chosen;
use super::targets::Target;
use super::{Compiler, Site, is_payload, kinds};
use crate::ast::{Arrow, PortSet, Rule};
use portcullis_plugin_abi::buffer_kind as kind;
use portcullis_rules_form::{Body, Builder, Candidate, PortRange, RuleEntry, head, needs};
use std::collections::BTreeMap;

/// What keeps groups apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Key {
    kind: u16,
    direction: u8,
    protocol: u8,
}

/// Which ports a literal is for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Ports {
    Any,
    Server(Vec<(u16, u16)>),
    Client(Vec<(u16, u16)>),
}

/// Sets of more ports than that are as good as any.
const PORTS_MAX: u32 = 2048;
/// Clusters per key and side; the smallest are put together.
const CLUSTERS_MAX: usize = 12;

fn ports(server: &PortSet, client: &PortSet) -> Ports {
    let small = |set: &PortSet| {
        let count: u32 = set.ranges.iter().map(|(l, h)| u32::from(*h) - u32::from(*l) + 1).sum();
        !set.is_any() && count <= PORTS_MAX
    };
    if small(server) {
        Ports::Server(server.ranges.clone())
    } else if small(client) {
        Ports::Client(client.ranges.clone())
    } else {
        Ports::Any
    }
}

/// A set of addresses as a candidate has it.
fn addresses(rule: &Rule, set: u32) -> u16 {
    let is_one_way = rule.header.arrow != Arrow::Both;
    u16::try_from(set).ok().filter(|_| is_one_way).unwrap_or(Candidate::ANY)
}

/// The range that these ports of a rule's header lie in.
pub(super) fn bounds(rule: &Rule, ports: &PortSet) -> (u16, u16) {
    if rule.header.arrow == Arrow::Both {
        return (0, u16::MAX);
    }
    match (ports.ranges.first(), ports.ranges.last()) {
        (Some(first), Some(last)) => (first.0, last.1),
        _ => (0, u16::MAX),
    }
}

/// The one transport that a rule is for; 0 for several.
pub(super) fn transport(rule: &Rule) -> u8 {
    match rule.header.protocol.transports[..] {
        [one] => one,
        _ => 0,
    }
}

impl Compiler<'_> {
    /// Notes where a rule's literal is to be looked for.
    pub(super) fn sites(
        &mut self,
        rule: &Rule,
        body: &Body,
        target: &Target,
        chosen: &Chosen,
        entry: RuleEntry,
    ) {
        let (port_low, port_high) = bounds(rule, &rule.header.destination_ports);
        let candidate = Candidate {
            rule: entry.0,
            application: body.head.application,
            needs: target.needs
                | if body.head.traits & head::URGENT != 0 { Candidate::URGENT } else { 0 },
            protocol: transport(rule),
            port_low,
            port_high,
            source: addresses(rule, body.head.source),
            destination: addresses(rule, body.head.destination),
        };
        let raw = is_payload(chosen.kind);
        let mut buffers = Vec::new();
        if !raw {
            buffers.push(chosen.kind);
        } else {
            if target.needs & needs::PACKET != 0 {
                buffers.push(kind::PAYLOAD);
            }
            if target.needs & needs::STREAM != 0 {
                buffers.push(kind::STREAM);
            }
        }
        let goes = kinds::directions(chosen.kind);
        for direction in [0u8, 1] {
            let at = usize::from(direction);
            if !target.directions.get(at).is_some_and(|d| *d) || !goes.get(at).is_some_and(|d| *d) {
                continue;
            }
            for &buffer in &buffers {
                let protocol = match buffer {
                    kind::STREAM => 6,
                    kind::PAYLOAD => candidate.protocol,
                    _ => 0,
                };
                for ports in places(rule, direction, raw) {
                    self.sites.push(Site {
                        key: Key { kind: buffer, direction, protocol },
                        ports,
                        bytes: chosen.bytes.clone(),
                        nocase: chosen.nocase,
                        candidate,
                    });
                }
            }
        }
    }
}

/// The ports of a rule as server's and client's: the other way round in the other direction, and
/// both for rules that go both ways.
fn places(rule: &Rule, direction: u8, raw: bool) -> Vec<Ports> {
    if !raw {
        return vec![Ports::Any];
    }
    let header = &rule.header;
    let (left, right) = (&header.source_ports, &header.destination_ports);
    let forward = if direction == 0 { ports(right, left) } else { ports(left, right) };
    let mut out = vec![forward];
    if header.arrow == Arrow::Both {
        let backward = if direction == 0 { ports(left, right) } else { ports(right, left) };
        if !out.contains(&backward) {
            out.push(backward);
        }
    }
    out
}

/// Makes the groups and their literals; answers how many groups.
pub(super) fn build(builder: &mut Builder, sites: Vec<Site>) -> u32 {
    // Key, side (0 any, 1 server, 2 client) ─► sites.
    let mut by_key: BTreeMap<(Key, u8), Vec<Site>> = BTreeMap::new();
    for site in sites {
        let side = match site.ports {
            Ports::Any => 0,
            Ports::Server(_) => 1,
            Ports::Client(_) => 2,
        };
        by_key.entry((site.key, side)).or_default().push(site);
    }
    let mut groups = 0;
    for ((key, side), sites) in by_key {
        for (ranges, sites) in clusters(sites) {
            let rows: Vec<PortRange> =
                ranges.iter().map(|&(low, high)| PortRange { low, high }).collect();
            let ports = match side {
                1 => [Some(&rows[..]), None],
                2 => [None, Some(&rows[..])],
                _ => [None, None],
            };
            let group = builder.group(key.kind, key.direction, key.protocol, ports);
            groups += 1;
            for site in sites {
                builder.candidate(group, &site.bytes, site.nocase, site.candidate);
            }
        }
    }
    groups
}

type Cluster = (Vec<(u16, u16)>, Vec<Site>);

/// Puts sites whose ports overlap together, then the smallest clusters.
fn clusters(sites: Vec<Site>) -> Vec<Cluster> {
    let mut by_ports: BTreeMap<Vec<(u16, u16)>, Vec<Site>> = BTreeMap::new();
    for site in sites {
        let ranges = match &site.ports {
            Ports::Any => Vec::new(),
            Ports::Server(r) | Ports::Client(r) => r.clone(),
        };
        by_ports.entry(ranges).or_default().push(site);
    }
    let mut out: Vec<Cluster> = Vec::new();
    for (ranges, sites) in by_ports {
        let mut own = (ranges, sites);
        let mut apart = Vec::new();
        for other in out {
            if overlap(&own.0, &other.0) {
                own = merged(own, other);
            } else {
                apart.push(other);
            }
        }
        apart.push(own);
        out = apart;
    }
    while out.len() > CLUSTERS_MAX {
        out.sort_by_key(|c| std::cmp::Reverse((c.1.len(), c.0.clone())));
        let (Some(a), Some(b)) = (out.pop(), out.pop()) else { break };
        out.push(merged(a, b));
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

fn overlap(a: &[(u16, u16)], b: &[(u16, u16)]) -> bool {
    a.iter().any(|x| b.iter().any(|y| x.0 <= y.1 && y.0 <= x.1))
}

fn merged(a: Cluster, b: Cluster) -> Cluster {
    let mut ranges = a.0;
    ranges.extend(b.0);
    ranges.sort_unstable();
    let mut joined: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
    for (low, high) in ranges {
        match joined.last_mut() {
            Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
            _ => joined.push((low, high)),
        }
    }
    let mut sites = a.1;
    sites.extend(b.1);
    (joined, sites)
}
