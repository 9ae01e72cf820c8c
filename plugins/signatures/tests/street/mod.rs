//! A host made of maps, and events made by hand: the whole chain from a rule's text to a finding,
//! without a sandbox.

use portcullis_matcher as matcher;
use portcullis_plugin_sdk::{application, buffer_kind};
use portcullis_rules_db::compile::{Vocabulary, compile};
use portcullis_rules_db::policy::Policy;
use portcullis_rules_db::{Reading, ThresholdConfig, Vars};
use portcullis_rules_form::{Field, RuleSet};
use signatures::evaluate::{Evaluator, Finding, Passed};
use signatures::world::{BitChange, Facts, Found, Occasion, Piece, Way, World};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// A host with a compiled set.
pub(crate) struct Street {
    pub(crate) set: Vec<u8>,
    regexes: matcher::Regexes,
    relative: Vec<bool>,
    grouped: Vec<bool>,
    counts: HashMap<(u32, Vec<u8>), (u64, u32)>,
    bits: HashSet<(u32, Vec<u8>)>,
    slots: HashMap<u64, Vec<u8>>,
    flow: u64,
    now_ms: u64,
    buffers: Vec<Vec<u8>>,
    /// What the budget of the last event's flow did not allow.
    pub(crate) passed: Passed,
}

/// An event by hand.
#[derive(Clone)]
pub(crate) struct Event {
    pub(crate) facts: Facts,
    pub(crate) buffers: Vec<(u16, Vec<u8>, u64, bool)>,
}

pub(crate) fn v4(a: u8, b: u8, c: u8, d: u8) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

pub(crate) const SECOND: u64 = 1_000_000_000;

impl Event {
    pub(crate) fn new(occasion: Occasion, way: Way) -> Event {
        Event {
            facts: Facts {
                occasion,
                way,
                at: 1_700_000_000 * SECOND,
                flow: 1,
                transaction: u32::from(occasion == Occasion::Transaction),
                client: v4(192, 168, 0, 1),
                server: v4(203, 0, 113, 9),
                client_port: 40_000,
                server_port: 80,
                protocol: 6,
                ip_version: 4,
                application: 0,
                bytes: 0,
                established: true,
                tcp_flags: 0x18,
                numbers: vec![(Field::Ttl, 64), (Field::PayloadSize, 0)],
            },
            buffers: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, kind: u16, bytes: impl AsRef<[u8]>) -> Event {
        self.buffers.push((kind, bytes.as_ref().to_vec(), 0, true));
        self
    }

    pub(crate) fn piece(mut self, kind: u16, bytes: &[u8], offset: u64, complete: bool) -> Event {
        self.buffers.push((kind, bytes.to_vec(), offset, complete));
        self
    }

    pub(crate) fn number(self, kind: u16, n: u64) -> Event {
        self.with(kind, n.to_le_bytes())
    }

    pub(crate) fn change(mut self, change: impl FnOnce(&mut Facts)) -> Event {
        change(&mut self.facts);
        self
    }
}

/// A packet with this payload.
pub(crate) fn packet(way: Way, payload: &[u8]) -> Event {
    let size = payload.len() as u64;
    Event::new(Occasion::Packet, way)
        .change(|f| f.numbers = vec![(Field::Ttl, 64), (Field::PayloadSize, size)])
        .with(1, payload)
}

/// The first piece of a stream.
pub(crate) fn stream(way: Way, bytes: &[u8]) -> Event {
    Event::new(Occasion::Stream, way).piece(2, bytes, 0, false)
}

/// A transaction of an application; buffers by kind.
pub(crate) fn transaction(application: u16, way: Way) -> Event {
    Event::new(Occasion::Transaction, way).change(|f| f.application = application)
}

impl Street {
    pub(crate) fn new(rules: &str) -> Street {
        Street::with_thresholds(rules, "")
    }

    /// With the lines of a `threshold.config`.
    pub(crate) fn with_thresholds(rules: &str, lines: &str) -> Street {
        let vars = Vars::default();
        let mut thresholds = ThresholdConfig::default();
        let faults = thresholds.read(lines.as_bytes(), &vars);
        assert!(faults.is_empty(), "{faults:?}");
        let rules = Reading::new(&vars)
            .thresholds(thresholds)
            .data_files(&|_, name| match name {
                "scores.list" => Ok(b"L2dvb2Q=,10\nL2JhZA==,90\n".to_vec()),
                _ => Err("there is none".to_owned()),
            })
            .texts(&[("case.rules", rules.as_bytes())]);
        assert!(rules.refused.is_empty(), "{}", rules.refused[0]);
        let app_event = |name: &str| portcullis_decode::event_named(name);
        let anomaly = |name: &str| vec![name.to_owned()];
        let vocabulary = Vocabulary { app_event: &app_event, anomaly: &anomaly };
        let set = compile(&rules, &vocabulary, &Policy::shipped()).expect("small").bytes;
        Street::of(set)
    }

    pub(crate) fn of(set: Vec<u8>) -> Street {
        let mut regexes = matcher::Regexes::new(matcher::RegexLimits::default());
        let (mut relative, mut grouped) = (Vec::new(), Vec::new());
        let form = RuleSet::open(&set).expect("whole");
        for regex in form.regexes() {
            let flags = matcher::Flags::of_letters(regex.flags);
            regexes.add(regex.pattern, flags).expect(regex.pattern);
            relative.push(regex.flags.contains('R'));
            grouped.push(regex.flags.contains('C'));
        }
        Street {
            set,
            regexes,
            relative,
            grouped,
            counts: HashMap::new(),
            bits: HashSet::new(),
            slots: HashMap::new(),
            flow: 0,
            now_ms: 0,
            buffers: Vec::new(),
            passed: Passed::default(),
        }
    }

    /// Makes an evaluator; anomalies have the numbers of their places in `names`.
    pub(crate) fn evaluator(&mut self, names: &[&str]) -> Evaluator {
        let number =
            |name: &str| names.iter().position(|n| *n == name).and_then(|n| u16::try_from(n).ok());
        Evaluator::open(self, number).expect("a compiled set")
    }

    /// What the rules say of an event.
    pub(crate) fn judge(&mut self, evaluator: &mut Evaluator, event: &Event) -> Vec<Finding> {
        self.flow = event.facts.flow;
        self.now_ms = event.facts.at / 1_000_000;
        self.buffers = event.buffers.iter().map(|b| b.1.clone()).collect();
        let hits = self.hits(event);
        let mut pieces: Vec<Piece<'_>> = pieces(event).collect();
        let mut out = Vec::new();
        self.passed = evaluator.judge(self, &event.facts, &mut pieces, hits, &mut out);
        out
    }

    /// Judges events whose hits are whatever literals there may be, by a set that may be torn.
    pub(crate) fn judge_hostile(&mut self, events: &[Event]) {
        let Ok(mut evaluator) = Evaluator::open(self, |_| None) else { return };
        for event in events {
            self.flow = event.facts.flow;
            self.buffers = event.buffers.iter().map(|b| b.1.clone()).collect();
            let mut pieces: Vec<Piece<'_>> = pieces(event).collect();
            let mut out = Vec::new();
            evaluator.judge(self, &event.facts, &mut pieces, 0..8, &mut out);
        }
    }

    /// As the host's matcher: literals of the groups that fit, in the buffers of their kind.
    fn hits(&self, event: &Event) -> Vec<u32> {
        let set = RuleSet::open(&self.set).expect("whole");
        let facts = &event.facts;
        let direction = u8::from(facts.way == Way::ToClient);
        let inside = |ports: Option<Vec<portcullis_rules_form::PortRange>>, port: u16| {
            ports.is_none_or(|p| p.iter().any(|r| r.low <= port && port <= r.high))
        };
        let groups: Vec<_> = set
            .groups()
            .filter(|g| {
                g.direction == direction
                    && (g.protocol == 0 || g.protocol == facts.protocol)
                    && inside(set.server_ports(g), facts.server_port)
                    && inside(set.client_ports(g), facts.client_port)
            })
            .collect();
        let mut hits = Vec::new();
        for literal in set.literals() {
            let Some(group) = groups.iter().find(|g| g.id == literal.group) else { continue };
            let found = event.buffers.iter().filter(|b| b.0 == group.kind).any(|b| {
                b.1.windows(literal.bytes.len()).any(|w| match literal.nocase {
                    true => w.eq_ignore_ascii_case(literal.bytes),
                    false => w == literal.bytes,
                })
            });
            if found {
                hits.push(literal.id);
            }
        }
        hits
    }

    fn find(&self, id: u32, bytes: &[u8], from: u32) -> Found {
        let relative = self.relative.get(id as usize).copied().unwrap_or(false);
        let base = if relative { from as usize } else { 0 };
        let Some(subject) = bytes.get(base..) else { return Found::No };
        let from = from as usize - base;
        let answer = match self.grouped.get(id as usize) {
            Some(true) => self.regexes.group(id, (subject, from), 1 << 20),
            _ => self.regexes.find(id, subject, from, 1 << 20),
        };
        match answer {
            matcher::Answer::Found { start, end } => {
                let place = |n: usize| u32::try_from(n + base).expect("small");
                Found::At(place(start), place(end))
            }
            matcher::Answer::No => Found::No,
            matcher::Answer::GaveUp => Found::Unknown,
        }
    }
}

fn pieces(event: &Event) -> impl Iterator<Item = Piece<'_>> {
    (0u32..).zip(&event.buffers).map(|(i, (kind, bytes, offset, complete))| Piece {
        kind: *kind,
        index: 0,
        handle: i,
        place: i,
        offset: *offset,
        complete: *complete,
        truncated: false,
        bytes: Cow::Borrowed(bytes),
    })
}

impl World for Street {
    fn rules(&mut self, offset: u32, to: &mut [u8]) -> Option<()> {
        let at = offset as usize;
        to.copy_from_slice(self.set.get(at..at.checked_add(to.len())?)?);
        Some(())
    }
    fn whole(&mut self, handle: u32) -> Option<Vec<u8>> {
        self.buffers.get(handle as usize).cloned()
    }
    fn regex(&mut self, id: u32, handle: u32, from: u32) -> Found {
        let Some(bytes) = self.buffers.get(handle as usize) else { return Found::Unknown };
        self.find(id, bytes, from)
    }
    fn regex_in(&mut self, id: u32, bytes: &[u8], from: u32) -> Found {
        self.find(id, bytes, from)
    }
    fn count(&mut self, table: u32, key: &[u8], window_ms: u32) -> Option<u32> {
        let now = self.now_ms;
        let entry = self.counts.entry((table, key.to_vec())).or_insert((now, 0));
        if now - entry.0 >= u64::from(window_ms) {
            *entry = (now, 0);
        }
        entry.1 += 1;
        Some(entry.1)
    }
    fn bit(&mut self, table: u32, key: &[u8], change: BitChange) -> bool {
        let key = (table, key.to_vec());
        match change {
            BitChange::Test => self.bits.contains(&key),
            BitChange::Set => !self.bits.insert(key),
            BitChange::Clear => self.bits.remove(&key),
        }
    }
    fn fuel(&mut self) -> u64 {
        u64::MAX
    }
    fn slot(&mut self) -> &mut [u8] {
        self.slots.entry(self.flow).or_insert_with(|| vec![0; 256])
    }
}

/// Rules, events; which sids each event tells.
pub(crate) fn told(rules: &str, events: &[Event]) -> Vec<Vec<u32>> {
    let mut street = Street::new(rules);
    let names = ["ipv4.trunc_pkt", "stream.odd"];
    let mut evaluator = street.evaluator(&names);
    events.iter().map(|e| street.judge(&mut evaluator, e).iter().map(|f| f.sid).collect()).collect()
}

/// A request for an address, of a transaction.
pub(crate) fn get(uri: &str, number: u32) -> Event {
    transaction(application::HTTP, Way::ToServer)
        .with(buffer_kind::HTTP_URI, uri)
        .change(|f| f.transaction = number)
}
