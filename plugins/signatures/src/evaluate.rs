//! An event against the rules that may match it.
//!
//! ```text
//! hits ─► literals ─► candidates ┐
//! always-rules, address rules    ├─► sorted by number ─► header ─► checks ─► parts ─► effects
//! rules that wait for more       ┘    (pass first, who sets a bit before who asks for it)
//! ```
//!
//! Must never know where the bytes come from: see [`crate::world`].

mod candidates;

use crate::budget::{self, Budget, Limits};
use crate::effects::{self, RuleKey};
use crate::header;
use crate::inspect::{Subject, inspect};
use crate::keys;
use crate::memory::Memory;
use crate::once::Once;
use crate::store::Store;
use crate::suspension::Suspensions;
use crate::transform;
use crate::world::{Facts, Occasion, Piece, World};
use candidates::{Because, Oddity, UNASKED, WAITED, is_odd, need, oddities};
use portcullis_plugin_sdk::buffer_kind;
use portcullis_rules_form::{Body, Check, Head, NONE, Part, Refused, action, head, needs, part};
use std::borrow::Cow;
use std::sync::Arc;

/// Candidates of one event that are tried; the rest is counted.
const CANDIDATES_MAX: usize = 4_096;
/// Findings of one event.
const FINDINGS_MAX: usize = 64;
/// Matches lately told: the same rule on packet and stream of one frame is told once.
const RECENT: usize = 32;

/// A rule that matched and is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Generator.
    pub gid: u32,
    /// Number.
    pub sid: u32,
    /// Revision.
    pub rev: u32,
    /// The rule's verb, or a rate filter's: [`action`].
    pub verb: u8,
    /// The verb is not the rule's own.
    pub changed: bool,
    /// It holds for the flow, not for this packet alone.
    pub whole_flow: bool,
    /// Where the rule stands among all.
    pub order: u32,
    /// Where it shows: the buffer's place, offset and length.
    pub evidence: Option<(u32, u32, u32)>,
}

/// What was done; since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Rules tried.
    pub tried: u64,
    /// Rules that matched, told or not.
    pub matched: u64,
    /// Rules that were suspended when they would have been tried.
    pub suspended: u64,
    /// Rules whose body could not be read.
    pub unreadable: u64,
    /// Candidates over the limit of one event.
    pub too_many: u64,
    /// Rules that were not tried, since the flow could not pay for them,
    pub rules_over: u64,
    /// literals that were not followed,
    pub literals_over: u64,
    /// and flows of which that was told.
    pub flows_short: u64,
}

/// A flow could not pay for all of its candidates, for the first time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Short {
    /// Rules of this event that were not tried.
    pub rules: u32,
    /// Literals of this event that were not followed.
    pub literals: u32,
    /// Bytes of the flow so far.
    pub bytes: u64,
}

/// What an event's budget came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Passed {
    /// Told once a flow.
    pub short: Option<Short>,
    /// Nothing more of the flow can be judged before it has had so many KiB.
    pub until_kib: Option<u64>,
}

/// What became of a rule on an event.
enum Tried {
    Match(Option<(u32, u32, u32)>),
    No,
    /// Not yet: a buffer is not there, or not to its end.
    Open,
}

/// The rules, as far as they were read, and what was lately done.
pub struct Evaluator {
    store: Store,
    /// The engine's numbers of the events that rules ask for.
    anomalies: Vec<Vec<Oddity>>,
    suspensions: Suspensions,
    recent: [(u64, u32, u64); RECENT],
    recent_next: usize,
    /// The flow that was passed last, when, and by which rule.
    passed: (u64, u64, u32),
    variables: Vec<u64>,
    once: Once,
    /// The literals of an event, each once: kept for its room.
    literals: Vec<u32>,
    /// The rules that waited for more of the event's transaction when it came.
    waited: Vec<u32>,
    budget: Budget,
    /// The flow's account is open: the event has hits, or rules have waited for it.
    is_open: bool,
    /// What the rule being tried came to.
    points: u32,
    /// What was passed over of the event.
    over: Short,
    /// What was left when the last rule had been tried.
    fuel: u64,
    /// Counters.
    pub counters: Counters,
}

impl Evaluator {
    /// Reads the small tables. `anomaly` numbers the engine's oddities by name.
    pub fn open(
        world: &mut impl World,
        anomaly: impl Fn(&str) -> Option<u16>,
    ) -> Result<Evaluator, Refused> {
        let store = Store::open(world)?;
        let numbered = |names: &String| oddities(names, &anomaly);
        let anomalies = store.event_names.iter().map(numbered).collect();
        Ok(Evaluator {
            store,
            anomalies,
            suspensions: Suspensions::default(),
            recent: [(0, NONE, 0); RECENT],
            recent_next: 0,
            passed: (0, 0, 0),
            variables: Vec::new(),
            once: Once::default(),
            literals: Vec::new(),
            waited: Vec::new(),
            budget: Budget::new(Limits::default()),
            is_open: false,
            points: 0,
            over: Short::default(),
            fuel: 0,
            counters: Counters::default(),
        })
    }

    /// How much flows may cost.
    pub fn limit(&mut self, limits: Limits) {
        self.budget = Budget::new(limits);
    }

    /// Tries the rules that an event may match; `hits` are numbers of literals. Says what the
    /// flow's budget did not allow.
    pub fn judge(
        &mut self,
        world: &mut impl World,
        facts: &Facts,
        pieces: &mut [Piece<'_>],
        hits: impl IntoIterator<Item = u32>,
        out: &mut Vec<Finding>,
    ) -> Passed {
        Memory::new(world.slot()).of_set(self.store.keys.set);
        (self.is_open, self.over) = (false, Short::default());
        self.rules(world, facts, pieces, hits, out);
        if !self.is_open {
            return Passed::default();
        }
        let mut memory = Memory::new(world.slot());
        self.budget.end(&mut memory);
        let over = Short { bytes: facts.bytes, ..self.over };
        if over.rules == 0 && over.literals == 0 {
            return Passed::default();
        }
        self.counters.rules_over += u64::from(over.rules);
        self.counters.literals_over += u64::from(over.literals);
        let is_first = memory.is_short_first();
        self.counters.flows_short += u64::from(is_first);
        Passed { short: is_first.then_some(over), until_kib: self.budget.pause() }
    }

    /// Opens the flow's account, for the first that costs.
    fn open_account(&mut self, world: &mut impl World, facts: &Facts) {
        if !std::mem::replace(&mut self.is_open, true) {
            self.budget.begin(&Memory::new(world.slot()), facts.bytes);
        }
    }

    /// Tries them for as long as the flow can pay.
    fn rules(
        &mut self,
        world: &mut impl World,
        facts: &Facts,
        pieces: &mut [Piece<'_>],
        hits: impl IntoIterator<Item = u32>,
        out: &mut Vec<Finding>,
    ) {
        let memory = Memory::new(world.slot());
        // Of the packet that passed the flow, the rules before the `pass` are tried still.
        let before = match (memory.is_passed(), self.passed) {
            (false, _) => NONE,
            (true, (flow, at, rule)) if (flow, at) == (facts.flow, facts.at) => rule,
            (true, _) => return,
        };
        let mut rules = self.candidates(world, facts, pieces, hits);
        let shown = (facts.occasion == Occasion::Stream).then(|| end_of_stream(pieces)).flatten();
        rules.sort_unstable();
        if let Some(over) = rules.len().checked_sub(CANDIDATES_MAX) {
            self.counters.too_many += over as u64;
            rules.truncate(CANDIDATES_MAX);
        }
        self.fuel = if rules.is_empty() { 0 } else { world.fuel() };
        world.spent_on_none();
        for (rule, because) in rules.into_iter().filter(|(rule, _)| *rule < before) {
            if self.suspensions.holds(rule, facts.at) {
                self.counters.suspended += 1;
                continue;
            }
            let Some(body) = self.store.body(world, rule) else {
                self.counters.unreadable += 1;
                continue;
            };
            let is_urgent = body.head.traits & head::URGENT != 0;
            if because != UNASKED && !self.budget.pays(is_urgent) {
                self.over.rules += 1;
                continue;
            }
            if !self.heads(world, facts, (rule, because), &body.head) {
                continue;
            }
            if self.told(world, facts, (rule, &body.head)) {
                world.spent_on_none();
                continue;
            }
            let matched = self.counters.matched;
            let passed = self.rule(world, facts, pieces, (rule, because), &body, out);
            let literal = (because < WAITED).then_some(because);
            let found = self.counters.matched > matched;
            world.spent_on((body.head.gid, body.head.sid), literal, found);
            if passed || out.len() >= FINDINGS_MAX {
                break;
            }
        }
        if let Some(end) = shown {
            Memory::new(world.slot()).show(facts.way, end);
        }
    }

    /// Whether the rule's head fits the event; a rule whose head does not is done with. Apart from
    /// the rest, since most end here where a flood names many.
    fn heads(
        &mut self,
        world: &mut impl World,
        facts: &Facts,
        (rule, because): (u32, Because),
        head: &Head,
    ) -> bool {
        if head.needs & need(facts.occasion) != 0
            && header::fits(world, &mut self.store, facts, head)
        {
            return true;
        }
        self.counters.tried += 1;
        if because != UNASKED {
            self.budget.charge(budget::HEAD, head.traits & head::URGENT != 0);
        }
        self.settle(world, facts, rule);
        let literal = (because < WAITED).then_some(because);
        world.spent_on((head.gid, head.sid), literal, false);
        false
    }

    /// The rule waits no more for its transaction, if it did.
    fn settle(&self, world: &mut impl World, facts: &Facts, rule: u32) {
        if self.waited.contains(&rule) {
            Memory::new(world.slot()).settle(rule, facts.transaction);
        }
    }

    /// One rule; whether it lets the traffic pass, so that no other is tried.
    fn rule(
        &mut self,
        world: &mut impl World,
        facts: &Facts,
        pieces: &mut [Piece<'_>],
        (rule, because): (u32, Because),
        body: &Arc<Body>,
        out: &mut Vec<Finding>,
    ) -> bool {
        self.counters.tried += 1;
        self.points = budget::BODY;
        let tried = self.attempt(world, facts, pieces, body, rule);
        if because != UNASKED {
            self.budget.charge(self.points, body.head.traits & head::URGENT != 0);
        }
        let left = world.fuel();
        self.suspensions.spent(rule, facts.at, self.fuel.saturating_sub(left));
        self.fuel = left;
        let transaction = facts.occasion == Occasion::Transaction;
        let evidence = match tried {
            Tried::Match(evidence) => evidence,
            Tried::Open if transaction && because != UNASKED => {
                Memory::new(world.slot()).wait(rule, facts.transaction);
                return false;
            }
            Tried::Open | Tried::No => {
                self.settle(world, facts, rule);
                return false;
            }
        };
        if body.head.traits & head::MIXED != 0 && !both_halves(world, facts, &body.head) {
            return false;
        }
        self.counters.matched += 1;
        self.tell(world, facts, (rule, &body.head));
        let head = &body.head;
        let key = RuleKey { gid: head.gid, sid: head.sid };
        let telling = effects::carry_out(world, &mut self.store, facts, key, &body.effects);
        let verb = telling.action.unwrap_or(head.action);
        // What both packets and streams are looked through for holds for the flow where the stream
        // shows it.
        let payload = head.traits & head::READS_PAYLOAD != 0;
        let whole_flow = head.traits & head::WHOLE_FLOW != 0
            && !(payload && (facts.occasion == Occasion::Packet || is_alone(pieces)));
        // A `pass` is not told, but it counts.
        if telling.told && (head.traits & head::NOALERT == 0 || verb == action::PASS) {
            let changed = telling.action.is_some();
            let Body { head, .. } = &**body;
            let told = |verb: u8| Finding {
                gid: head.gid,
                sid: head.sid,
                rev: head.rev,
                verb,
                changed,
                whole_flow,
                order: rule.saturating_add(1),
                evidence,
            };
            if verb == action::PASS && head.traits & head::TELLS_PASS != 0 {
                out.push(Finding { changed: true, ..told(action::ALERT) });
            }
            out.push(told(verb));
        }
        if verb == action::PASS && whole_flow {
            Memory::new(world.slot()).pass();
            self.passed = (facts.flow, facts.at, rule);
        }
        verb == action::PASS
    }

    /// Whether the rule was told of this transaction, or of this frame.
    fn told(&self, world: &mut impl World, facts: &Facts, (rule, head): (u32, &Head)) -> bool {
        match facts.occasion {
            Occasion::Transaction => {
                Memory::new(world.slot()).is_told(keys::rule(head), facts.transaction)
            }
            _ => self.recent.contains(&(facts.flow, rule, facts.at)),
        }
    }

    fn tell(&mut self, world: &mut impl World, facts: &Facts, (rule, head): (u32, &Head)) {
        if facts.occasion == Occasion::Transaction {
            self.settle(world, facts, rule);
            let mut memory = Memory::new(world.slot());
            memory.tell(keys::rule(head), facts.transaction);
            return;
        }
        if let Some(place) = self.recent.get_mut(self.recent_next) {
            *place = (facts.flow, rule, facts.at);
        }
        self.recent_next = (self.recent_next + 1) % RECENT;
    }

    fn attempt(
        &mut self,
        world: &mut impl World,
        facts: &Facts,
        pieces: &mut [Piece<'_>],
        body: &Body,
        rule: u32,
    ) -> Tried {
        for check in &body.checks {
            if !self.check(world, facts, pieces, check) {
                return Tried::No;
            }
        }
        self.variables.clear();
        self.variables.resize(usize::from(body.head.variables.min(64)), 0);
        let mut open = false;
        let (mut evidence, mut steps) = (None, 0);
        let mixed = body.head.traits & head::MIXED != 0;
        let transaction = facts.occasion == Occasion::Transaction;
        for (i, part) in body.parts.iter().enumerate() {
            if mixed && transaction == (part.kind == buffer_kind::PAYLOAD) {
                continue;
            }
            match self.part(world, facts, pieces, part, &mut steps) {
                Tried::Match(found) => {
                    let fast = usize::from(body.head.fast_part) == i;
                    if evidence.is_none() || fast {
                        evidence = found.or(evidence);
                    }
                }
                Tried::Open => open = true,
                Tried::No => {
                    self.suspensions.steps(rule, facts.at, steps);
                    return Tried::No;
                }
            }
        }
        self.suspensions.steps(rule, facts.at, steps);
        if open { Tried::Open } else { Tried::Match(evidence) }
    }

    fn check(
        &mut self,
        world: &mut impl World,
        facts: &Facts,
        pieces: &[Piece<'_>],
        check: &Check,
    ) -> bool {
        if let Some(known) = effects::asks(world, &self.store.keys, facts, check) {
            return known;
        }
        match check {
            Check::Anomaly { name } => {
                let at = usize::try_from(*name).unwrap_or(usize::MAX);
                self.anomalies.get(at).is_some_and(|any| is_odd(facts, any))
            }
            Check::Address { side, negated, set } => {
                effects::address(world, &mut self.store, facts, *side, *set) != *negated
            }
            other => header::check(facts, pieces, other),
        }
    }

    /// One part against the buffers of its kind.
    fn part(
        &mut self,
        world: &mut impl World,
        facts: &Facts,
        pieces: &mut [Piece<'_>],
        part: &Part,
        steps: &mut u32,
    ) -> Tried {
        let kind = own_kind(part.kind, facts.occasion);
        let mut address = facts.address(kind);
        let pieces = address.as_mut().map_or(pieces, std::slice::from_mut);
        let mut there = false;
        let mut complete = true;
        for piece in pieces.iter_mut().filter(|p| p.kind == kind) {
            there = true;
            complete &= piece.complete;
            if piece.truncated
                && let Some(whole) = world.whole(piece.handle)
            {
                piece.bytes = Cow::Owned(whole);
                piece.truncated = false;
            }
            for _ in &part.transforms {
                let made = budget::points(piece.bytes.len(), budget::BYTES_MADE);
                self.points = self.points.saturating_add(made);
            }
            let Some((bytes, handle)) = transformed(world, part, piece) else { continue };
            let subject = Subject {
                bytes: &bytes,
                offset: piece.offset,
                seen: seen(world, facts, piece),
                complete: piece.complete,
                handle,
                seconds: facts.at / 1_000_000_000,
                source: facts.ends()[0].0,
            };
            let (variables, store) = (&mut self.variables, &mut self.store);
            let inspected = inspect(&subject, &part.steps, variables, world, store);
            *steps = (*steps).max(inspected.steps);
            self.points = self.points.saturating_add(inspected.points);
            if inspected.matched && piece.is_made() {
                return Tried::Match(None);
            }
            if inspected.matched {
                // What was found in bytes made here is no place of the buffer.
                let place = inspected.evidence.filter(|_| handle.is_some());
                let (at, len) = place.unwrap_or((0, bytes.len().min(256)));
                let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
                return Tried::Match(Some((piece.place, number(at), number(len))));
            }
            if part.flags & part::MULTIPLE == 0 && complete {
                break;
            }
        }
        let open = facts.occasion == Occasion::Transaction && (!there || !complete);
        if open { Tried::Open } else { Tried::No }
    }
}

/// In the place of a transaction: what half of a rule has held in the flow.
const FIELDS_HELD: u32 = u32::MAX;
const PAYLOAD_HELD: u32 = u32::MAX - 1;

const UDP: u8 = 17;
/// Microseconds that are told apart, in the place of a transaction.
const MOMENTS: u64 = 1 << 30;

/// Notes that one half of a rule holds; whether the other does.
fn both_halves(world: &mut impl World, facts: &Facts, head: &Head) -> bool {
    let mut memory = Memory::new(world.slot());
    let [fields, payload] = match facts.protocol {
        // Halves of one datagram: those of another are not meant.
        UDP => {
            let moment = u32::try_from(facts.at / 1_000 % MOMENTS).unwrap_or(0);
            [moment | 1 << 31, moment | 3 << 30]
        }
        _ => [FIELDS_HELD, PAYLOAD_HELD],
    };
    let (own, other) = match facts.occasion {
        Occasion::Transaction => (fields, payload),
        _ => (payload, fields),
    };
    // A payload that nothing finds is taken as it should be.
    if head.needs & (needs::STREAM | needs::PACKET) == 0 || memory.is_told(keys::rule(head), other)
    {
        return true;
    }
    memory.tell(keys::rule(head), own);
    false
}

/// Behind the last byte of the stream's piece, as far as 32 bits tell.
fn end_of_stream(pieces: &[Piece<'_>]) -> Option<u32> {
    let piece = pieces.iter().find(|p| p.kind == buffer_kind::STREAM)?;
    Some(low(piece.offset).wrapping_add(low(piece.bytes.len() as u64)))
}

/// How many bytes of a piece of a stream the last event showed. What was found in them was told.
fn seen(world: &mut impl World, facts: &Facts, piece: &Piece<'_>) -> usize {
    if facts.occasion != Occasion::Stream || piece.complete {
        return 0;
    }
    let shown = Memory::new(world.slot()).shown(facts.way).wrapping_sub(low(piece.offset));
    usize::try_from(shown).ok().filter(|n| *n <= piece.bytes.len()).unwrap_or(0)
}

/// Whether this is no piece of a stream, but what a packet carries that no stream has taken.
fn is_alone(pieces: &[Piece<'_>]) -> bool {
    pieces.iter().any(|piece| piece.kind == buffer_kind::STREAM && piece.complete)
}

fn low(n: u64) -> u32 {
    u32::try_from(n & u64::from(u32::MAX)).unwrap_or(0)
}

/// A content without a sticky buffer reads the payload of packets, the stream of streams.
fn own_kind(kind: u16, occasion: Occasion) -> u16 {
    match (kind, occasion) {
        (buffer_kind::PAYLOAD, Occasion::Stream | Occasion::Transaction) => buffer_kind::STREAM,
        (kind, _) => kind,
    }
}

/// A piece's bytes as the part wants them, and the handle where they are the host's own.
fn transformed<'p>(
    world: &mut impl World,
    part: &Part,
    piece: &'p Piece<'_>,
) -> Option<(Cow<'p, [u8]>, Option<u32>)> {
    let mut bytes: Cow<'p, [u8]> = Cow::Borrowed(&piece.bytes);
    for transform in &part.transforms {
        bytes = Cow::Owned(transform::apply(transform, &bytes, world)?);
    }
    let is_shown = part.transforms.is_empty() && !piece.is_made();
    let handle = is_shown.then_some(piece.handle);
    Some((bytes, handle))
}
