//! The rules that an event may match: by the literals found, by what always wants such an event, by
//! its addresses, and those that wait for more of its transaction. Must never know how a rule is
//! tried.

use super::Evaluator;
use crate::budget;
use crate::memory::Memory;
use crate::store::End;
use crate::world::{Facts, Occasion, Piece, World};
use portcullis_plugin_sdk::EventKind;
use portcullis_rules_form::{Always, Candidate, NONE, Section, needs};

/// Why a rule is tried: the literal that was found, [`WAITED`] or [`UNASKED`]. Where there are
/// several reasons the least counts.
pub(super) type Because = u32;
/// It was found before, and waits for more of its transaction.
pub(super) const WAITED: Because = NONE - 1;
/// Nothing was found: by its event, or by an address.
pub(super) const UNASKED: Because = NONE;

/// An oddity's number, and the version of IP that it has to be of; 0 for any.
pub(super) type Oddity = (u16, u8);

/// The oddities that one of the set's event names stands for.
pub(super) fn oddities(names: &str, number: impl Fn(&str) -> Option<u16>) -> Vec<Oddity> {
    let one = |word: &str| {
        let (version, name) = match word.split_once('/') {
            Some((version, name)) => (version.parse().ok()?, name),
            None => (0, word),
        };
        Some((number(name)?, version))
    };
    names.split(' ').filter_map(one).collect()
}

pub(super) fn is_odd(facts: &Facts, any: &[Oddity]) -> bool {
    let Occasion::Anomaly(found) = facts.occasion else { return false };
    any.iter().any(|&(n, version)| n == found && (version == 0 || version == facts.ip_version))
}

fn event_kinds(occasion: Occasion) -> &'static [EventKind] {
    match occasion {
        Occasion::Packet => &[EventKind::Packet],
        Occasion::Stream => &[EventKind::StreamData],
        Occasion::Transaction => &[EventKind::Transaction],
        Occasion::Anomaly(_) => &[EventKind::Anomaly],
        Occasion::FlowStart => &[EventKind::FlowStart, EventKind::FlowReply],
    }
}

pub(super) fn need(occasion: Occasion) -> u8 {
    match occasion {
        Occasion::Packet => needs::PACKET,
        Occasion::Stream => needs::STREAM,
        Occasion::Transaction => needs::TRANSACTION,
        Occasion::Anomaly(_) => needs::ANOMALY,
        Occasion::FlowStart => needs::FLOW,
    }
}

impl Evaluator {
    /// Rules to be tried, and why.
    pub(super) fn candidates(
        &mut self,
        world: &mut impl World,
        facts: &Facts,
        pieces: &[Piece<'_>],
        hits: impl IntoIterator<Item = u32>,
    ) -> Vec<(u32, Because)> {
        let mut rules = self.by_literals(world, facts, hits);
        let all = self.store.rules;
        let (mut by_address, mut unasked) = (false, Vec::new());
        let kinds = event_kinds(facts.occasion).iter();
        let always = kinds.flat_map(|kind| self.store.always(kind.number(), facts.way));
        for row in always.filter(|row| self.wants(row, facts, pieces)) {
            if row.rule == NONE {
                by_address = true;
            } else {
                unasked.push(row.rule);
            }
        }
        if by_address {
            let [(source, _), (destination, _)] = facts.ends();
            let tables =
                [(Section::SourceIntervals, source), (Section::DestinationIntervals, destination)];
            for (table, address) in tables {
                self.store.rules_naming(world, table, &address, &mut unasked);
            }
        }
        self.waited.clear();
        if facts.occasion == Occasion::Transaction {
            self.waited = Memory::new(world.slot()).waiting(facts.transaction);
            if !self.waited.is_empty() {
                self.open_account(world, facts);
            }
        }
        let waited = self.waited.iter().map(|rule| (*rule, WAITED));
        let others = waited.chain(unasked.into_iter().map(|rule| (rule, UNASKED)));
        for (rule, because) in others {
            if self.once.is_new(rule, all) {
                rules.push((rule, because));
            }
        }
        rules
    }

    /// Rules that the literals found may stand for, as far as the flow can pay for them.
    fn by_literals(
        &mut self,
        world: &mut impl World,
        facts: &Facts,
        hits: impl IntoIterator<Item = u32>,
    ) -> Vec<(u32, Because)> {
        let need = need(facts.occasion);
        let port = facts.ends()[1].1;
        let fits = |c: &&Candidate| {
            c.needs & need != 0
                && (c.application == 0 || c.application == facts.application)
                && (c.protocol == 0 || c.protocol == facts.protocol)
                && (c.port_low <= port && port <= c.port_high)
        };
        let mut literals = std::mem::take(&mut self.literals);
        literals.clear();
        literals.extend(hits);
        if let Ok(found @ 1..) = u32::try_from(literals.len()) {
            self.open_account(world, facts);
            self.budget.charge(budget::EVENT + budget::HIT * found, false);
        }
        literals.sort_unstable();
        literals.dedup();
        let (mut rules, all, ends) = (Vec::new(), self.store.rules, facts.ends());
        self.once.begin();
        self.store.begin();
        for &literal in &literals {
            if !self.budget.pays(true) {
                self.over.literals += 1;
                continue;
            }
            let Some(rows) = self.store.candidates(world, literal) else { continue };
            let all_rules = self.budget.pays(false);
            let row_count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
            self.budget.charge(budget::LITERAL.saturating_add(budget::ROW * row_count), false);
            for row in rows.iter().filter(fits) {
                if !all_rules && row.needs & Candidate::URGENT == 0 {
                    self.over.rules += 1;
                    continue;
                }
                let mut lies = |set: u16, end| {
                    set == Candidate::ANY || self.store.holds_end(world, set.into(), end, &ends)
                };
                if lies(row.source, End::SourceAddress)
                    && lies(row.destination, End::TargetAddress)
                    && self.once.is_new(row.rule, all)
                {
                    rules.push((row.rule, literal));
                }
            }
        }
        self.literals = literals;
        rules
    }

    fn wants(&self, row: &Always, facts: &Facts, pieces: &[Piece<'_>]) -> bool {
        let [(_, source), (_, destination)] = facts.ends();
        let code = || {
            let Ok(at) = usize::try_from(row.code) else { return false };
            self.anomalies.get(at).is_some_and(|any| is_odd(facts, any))
        };
        (row.protocol == 0 || row.protocol == facts.protocol)
            && (row.tcp_flags == 0 || row.tcp_flags & facts.tcp_flags != 0)
            && (row.application == 0 || row.application == facts.application)
            && (row.port_low <= destination && destination <= row.port_high)
            && (row.source_low <= source && source <= row.source_high)
            && (row.code == NONE || code())
            && (row.buffer == 0 || pieces.iter().any(|p| p.kind == row.buffer))
    }
}
