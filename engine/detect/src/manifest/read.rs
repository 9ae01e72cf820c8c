//! A manifest as it is written: TOML, its words, and the sentence for each that is not understood.

use super::{Fuel, Manifest, Rule, Scope, Shard};
use crate::LoadError;
use crate::pattern::{Case, PatternGroup, Patterns, RegexText, application_named, literal};
use portcullis_plugin_abi::{
    ABI, CALLS, Call, Direction, EventKind, PartyKind, application, buffer_kind,
};
use portcullis_types::{Action, Class, Confidence, Reach, RuleId, RuleMeta, Severity};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    vendor: String,
    version: String,
    #[serde(rename = "abi")]
    _abi: u16,
    classes: Vec<String>,
    scope: String,
    #[serde(default)]
    shard: Option<String>,
    events: Vec<String>,
    #[serde(default)]
    protocols: Vec<Protocol>,
    #[serde(default)]
    packet_protocols: Vec<Protocol>,
    #[serde(default)]
    ports: Vec<Port>,
    #[serde(default)]
    anomalies: Vec<String>,
    #[serde(default)]
    applications: Vec<String>,
    #[serde(default)]
    snap: u32,
    #[serde(default)]
    snaps: BTreeMap<String, u32>,
    #[serde(default)]
    only_hits: bool,
    #[serde(default)]
    section: Option<String>,
    #[serde(default)]
    memory_mib: Option<u32>,
    #[serde(default)]
    fuel: Option<u64>,
    #[serde(default)]
    fuel_init: Option<u64>,
    #[serde(default)]
    fuel_tick: Option<u64>,
    #[serde(default)]
    flow_state: u32,
    #[serde(default)]
    schema: Option<u32>,
    #[serde(default)]
    tick_ms: u64,
    #[serde(default)]
    capabilities: Vec<String>,
    #[serde(default)]
    metrics: Vec<String>,
    #[serde(default)]
    max_action: Option<String>,
    gid: u32,
    sids: [u32; 2],
    #[serde(default)]
    rule: Vec<WrittenRule>,
    #[serde(default)]
    pattern: Vec<WrittenPattern>,
    #[serde(default)]
    regex: Vec<WrittenRegex>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPattern {
    content: String,
    #[serde(default)]
    nocase: bool,
    buffer: String,
    #[serde(default)]
    direction: Option<String>,
    #[serde(default)]
    protocols: Vec<Protocol>,
    #[serde(default)]
    ports: Vec<Port>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRegex {
    regex: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Protocol {
    Number(u8),
    Name(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Port {
    One(u16),
    Range(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    sid: u32,
    rev: u32,
    message: String,
    class: String,
    category: String,
    severity: String,
    confidence: String,
    action: String,
    offender: String,
    target: String,
    #[serde(default)]
    reach: Option<String>,
    #[serde(default)]
    forgeable: bool,
    #[serde(default)]
    attack: Vec<String>,
    #[serde(default)]
    references: Vec<String>,
}

/// The words of capabilities, for error sentences.
pub(crate) fn capability_names() -> String {
    let mut names: Vec<&str> = CALLS.iter().map(|row| row.2).collect();
    names.dedup();
    names.join(", ")
}

pub(super) fn bad(what: impl Into<String>) -> LoadError {
    LoadError::Manifest(what.into())
}

/// A word out of a list, or the sentence that lists them.
fn word<T: Copy>(key: &str, written: &str, known: &[(&str, T)]) -> Result<T, LoadError> {
    known.iter().find(|(name, _)| *name == written).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        bad(format!("`{key}` is {written:?}; write one of {}", names.join(", ")))
    })
}

const CLASSES: [(&str, Class); 2] = [("attack", Class::Attack), ("suspicious", Class::Suspicious)];
const ACTIONS: [(&str, Action); 4] = [
    ("pass", Action::Pass),
    ("report", Action::Report),
    ("terminate", Action::Terminate),
    ("terminate-and-block", Action::TerminateAndBlock),
];
const SEVERITIES: [(&str, Severity); 5] = [
    ("info", Severity::Info),
    ("low", Severity::Low),
    ("medium", Severity::Medium),
    ("high", Severity::High),
    ("critical", Severity::Critical),
];
const CONFIDENCES: [(&str, Confidence); 3] =
    [("low", Confidence::Low), ("medium", Confidence::Medium), ("high", Confidence::High)];
const REACHES: [(&str, Reach); 4] = [
    ("packet", Reach::Packet),
    ("transaction", Reach::Transaction),
    ("flow", Reach::Flow),
    ("offender", Reach::Offender),
];
const PROTOCOLS: [(&str, u8); 8] = [
    ("arp", 0),
    ("icmp", 1),
    ("igmp", 2),
    ("tcp", 6),
    ("udp", 17),
    ("gre", 47),
    ("icmpv6", 58),
    ("sctp", 132),
];

impl Manifest {
    /// Parses and checks.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, LoadError> {
        let text = std::str::from_utf8(bytes).map_err(|_| bad("it is not UTF-8; write TOML"))?;
        let text = text.trim_end_matches('\0');
        // The ABI first, by itself: the rest may be of another version.
        let loose: toml::Table = text.parse().map_err(|e: toml::de::Error| bad(e.to_string()))?;
        match loose.get("abi").and_then(toml::Value::as_integer) {
            Some(abi) if abi == i64::from(ABI) => {}
            Some(abi) => return Err(LoadError::Abi(u16::try_from(abi).unwrap_or(u16::MAX))),
            None => return Err(bad(format!("`abi` is missing; write abi = {ABI}"))),
        }
        let written: Written = toml::from_str(text).map_err(|e| bad(e.to_string()))?;
        Manifest::checked(written)
    }

    fn checked(w: Written) -> Result<Manifest, LoadError> {
        let scope = word("scope", &w.scope, &[("flow", Scope::Flow), ("host", Scope::Host)])?;
        let shards = [("source", Shard::Source), ("target", Shard::Target), ("none", Shard::None)];
        let shard = word("shard", w.shard.as_deref().unwrap_or("none"), &shards)?;
        let classes: Vec<Class> =
            w.classes.iter().map(|c| word("classes", c, &CLASSES)).collect::<Result<_, _>>()?;
        let max_action = word("max_action", w.max_action.as_deref().unwrap_or("report"), &ACTIONS)?;
        let tick = tick(w.tick_ms)?;
        let manifest = Manifest {
            events: w.events.iter().map(|e| event(e)).collect::<Result<_, _>>()?,
            protocols: w.protocols.iter().map(protocol).collect::<Result<_, _>>()?,
            packet_protocols: w.packet_protocols.iter().map(protocol).collect::<Result<_, _>>()?,
            ports: w.ports.iter().map(port).collect::<Result<_, _>>()?,
            calls: calls(&w.capabilities)?,
            rules: rules(&w.rule, w.gid, w.sids, &classes, max_action)?,
            name: w.name.into(),
            vendor: w.vendor.into(),
            version: w.version.into(),
            applications: w.applications.iter().map(|a| app(a)).collect::<Result<_, _>>()?,
            snaps: w
                .snaps
                .iter()
                .map(|(k, &n)| Ok((kind("snaps", k)?, n)))
                .collect::<Result<_, LoadError>>()?,
            patterns: patterns(&w.pattern, &w.regex)?,
            section: w.section.map(Into::into),
            only_hits: w.only_hits,
            classes,
            scope,
            shard,
            anomalies: w.anomalies,
            snap: w.snap,
            memory_mib: w.memory_mib.unwrap_or(16),
            fuel: Fuel {
                event: w.fuel.unwrap_or(100_000),
                init: w.fuel_init.unwrap_or(100_000_000),
                tick: w.fuel_tick.unwrap_or(10_000_000),
            },
            flow_state: w.flow_state,
            schema: w.schema.unwrap_or(1),
            tick,
            metrics: w.metrics,
            max_action,
            gid: w.gid,
        };
        manifest.limited()
    }
}

fn tick(ms: u64) -> Result<Option<Duration>, LoadError> {
    match ms {
        0 => Ok(None),
        1..10 => Err(bad("`tick_ms` is 0 for none, or at least 10")),
        _ => Ok(Some(Duration::from_millis(ms))),
    }
}

fn event(name: &str) -> Result<EventKind, LoadError> {
    EventKind::named(name).ok_or_else(|| {
        let known: Vec<&str> = EventKind::ALL.iter().map(|k| k.name()).collect();
        bad(format!("`events` has {name:?}; write one of {}", known.join(", ")))
    })
}

fn protocol(written: &Protocol) -> Result<u8, LoadError> {
    match written {
        Protocol::Number(n) => Ok(*n),
        Protocol::Name(name) => word("protocols", name, &PROTOCOLS),
    }
}

fn port(written: &Port) -> Result<(u16, u16), LoadError> {
    let range = match written {
        Port::One(p) => return Ok((*p, *p)),
        Port::Range(range) => range,
    };
    let parts = range.split_once('-').and_then(|(a, b)| {
        let (a, b) = (a.trim().parse().ok()?, b.trim().parse().ok()?);
        (a <= b).then_some((a, b))
    });
    parts.ok_or_else(|| bad(format!("`ports` has {range:?}; write a number or \"1000-1999\"")))
}

fn calls(capabilities: &[String]) -> Result<Vec<Call>, LoadError> {
    let mut out = Vec::new();
    for capability in capabilities {
        let before = out.len();
        out.extend(CALLS.iter().filter(|row| row.2 == capability).map(|row| row.0));
        if out.len() == before {
            return Err(LoadError::CapabilityUnknown(capability.clone()));
        }
    }
    Ok(out)
}

fn rules(
    written: &[WrittenRule],
    gid: u32,
    [first, last]: [u32; 2],
    classes: &[Class],
    max_action: Action,
) -> Result<Vec<Rule>, LoadError> {
    let mut out = Vec::with_capacity(written.len());
    for w in written {
        if w.sid < first || w.sid > last {
            return Err(LoadError::RuleOutside { sid: w.sid });
        }
        let rule = rule(w, gid)?;
        if !classes.contains(&rule.meta.class) {
            return Err(bad(format!("rule {} has a class that `classes` lacks", w.sid)));
        }
        if rule.meta.action > max_action {
            return Err(bad(format!(
                "rule {} asks for more than `max_action`; raise that or lower the rule's `action`",
                w.sid
            )));
        }
        out.push(rule);
    }
    out.sort_by_key(|r| r.meta.id.sid);
    match out.iter().zip(out.iter().skip(1)).find(|(a, b)| a.meta.id.sid == b.meta.id.sid) {
        Some((twice, _)) => Err(LoadError::RuleTwice { sid: twice.meta.id.sid }),
        None => Ok(out),
    }
}

fn rule(w: &WrittenRule, gid: u32) -> Result<Rule, LoadError> {
    let party = |key: &str, written: &str| {
        PartyKind::named(written).ok_or_else(|| {
            let known: Vec<&str> = PartyKind::ALL.iter().map(|k| k.name()).collect();
            bad(format!("`{key}` is {written:?}; write one of {}", known.join(", ")))
        })
    };
    if w.message.is_empty() || w.message.len() > 256 || w.message.chars().any(char::is_control) {
        return Err(bad(format!("the `message` of rule {} is one line of 1 to 256 bytes", w.sid)));
    }
    Ok(Rule {
        meta: Arc::new(RuleMeta {
            id: RuleId { gid, sid: w.sid, rev: w.rev },
            message: w.message.clone(),
            class: word("class", &w.class, &CLASSES)?,
            category: w.category.clone(),
            severity: word("severity", &w.severity, &SEVERITIES)?,
            confidence: word("confidence", &w.confidence, &CONFIDENCES)?,
            action: word("action", &w.action, &ACTIONS)?,
            forgeable: w.forgeable,
            attack: w.attack.clone(),
            references: w.references.clone(),
            classtype: String::new(),
            priority: 0,
            metadata: Vec::new(),
        }),
        offender: party("offender", &w.offender)?,
        target: party("target", &w.target)?,
        reach: word("reach", w.reach.as_deref().unwrap_or("flow"), &REACHES)?,
    })
}

fn app(name: &str) -> Result<u16, LoadError> {
    application_named(name).ok_or_else(|| {
        let known: Vec<&str> = application::ALL.iter().map(|row| row.1).collect();
        bad(format!("`applications` has {name:?}; write one of unknown, {}", known.join(", ")))
    })
}

fn kind(key: &str, name: &str) -> Result<u16, LoadError> {
    buffer_kind::named(name).ok_or_else(|| {
        let known: Vec<&str> = buffer_kind::ALL.iter().map(|row| row.1).collect();
        bad(format!("`{key}` has {name:?}; write one of {}", known.join(", ")))
    })
}

fn patterns(written: &[WrittenPattern], regexes: &[WrittenRegex]) -> Result<Patterns, LoadError> {
    let mut out = Patterns::default();
    for w in written {
        let direction = match w.direction.as_deref() {
            None => None,
            Some(word) => Some(Direction::named(word).ok_or_else(|| {
                bad(format!("`direction` is {word:?}; write to-server, to-client, or leave it out"))
            })?),
        };
        let bytes = literal(&w.content)
            .map_err(|why| bad(format!("the content {:?} is not understood: {why}", w.content)))?;
        let group = PatternGroup {
            buffer: kind("buffer", &w.buffer)?,
            direction: direction.map(Direction::number),
            protocols: w.protocols.iter().map(protocol).collect::<Result<_, _>>()?,
            ports: w.ports.iter().map(port).collect::<Result<_, _>>()?,
            client_ports: vec![],
        };
        out.add(group, &bytes, if w.nocase { Case::Folded } else { Case::Exact });
    }
    for w in regexes {
        let regex = RegexText::parse(&w.regex).ok_or_else(|| {
            bad(format!("the regex {:?} is not understood; write \"/pattern/flags\"", w.regex))
        })?;
        out.regexes.push(regex);
    }
    Ok(out)
}
