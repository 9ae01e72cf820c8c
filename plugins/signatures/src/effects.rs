//! What a rule asks of and leaves in the engine's memory: flow bits, other bits, integers,
//! thresholds, data sets.

use crate::inspect::DataSets;
use crate::keys::Keys;
use crate::memory::{Kept, Memory};
use crate::store::Store;
use crate::world::{BitChange, Facts, World};
use portcullis_rules_form::{Check, Flowbit, Hash, NONE, Track};

/// Tables of the host's counters and bits.
mod table {
    pub(super) const THRESHOLD: u32 = 1;
    pub(super) const FILTER: u32 = 2;
    pub(super) const RATE: u32 = 3;
    pub(super) const FLOWBIT: u32 = 4;
    pub(super) const XBIT: u32 = 5;
    pub(super) const DATA_SET: u32 = 6;
    pub(super) const DATA_UNSET: u32 = 7;
    pub(super) const RATE_ACTIVE: u32 = 8;
}

/// A bit with an end is set for this many parts of its life, and one more.
const PARTS: u64 = 4;

/// What a rule's match is to come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Telling {
    /// Whether it is told.
    pub(crate) told: bool,
    /// The action that a rate filter puts in place of the rule's.
    pub(crate) action: Option<u8>,
}

/// Which rule, for keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RuleKey {
    /// Generator.
    pub(crate) gid: u32,
    /// Number.
    pub(crate) sid: u32,
}

fn tracked(facts: &Facts, track: Track) -> Vec<u8> {
    let [(source, _), (destination, _)] = facts.ends();
    match track {
        Track::Source => source.to_vec(),
        Track::Destination => destination.to_vec(),
        Track::Pair => {
            let (low, high) = (source.min(destination), source.max(destination));
            [low, high].concat()
        }
        Track::Rule => Vec::new(),
        Track::Flow => facts.flow.to_le_bytes().to_vec(),
        Track::Transaction => {
            let (flow, transaction) = (facts.flow.to_le_bytes(), facts.transaction.to_le_bytes());
            [&flow[..], &transaction[..]].concat()
        }
    }
}

fn rule_key(rule: RuleKey, facts: &Facts, track: Track) -> Vec<u8> {
    let mut key = [rule.gid.to_le_bytes(), rule.sid.to_le_bytes()].concat();
    key.push(track as u8);
    key.extend(tracked(facts, track));
    key
}

/// A bit by its name: as the flow's slot holds it, and as the host does.
#[derive(Clone, Copy)]
struct BitKey {
    short: u32,
    name: u64,
}

fn bit_key(keys: &Keys, bit: u16) -> BitKey {
    BitKey { short: keys.short(bit), name: keys.name(bit) }
}

fn flowbit_key(facts: &Facts, bit: BitKey) -> [u8; 16] {
    let mut key = [0; 16];
    let (flow, name) = key.split_at_mut(8);
    flow.copy_from_slice(&facts.flow.to_le_bytes());
    name.copy_from_slice(&bit.name.to_le_bytes());
    key
}

/// Whether a flow bit is set.
fn flowbit(world: &mut impl World, facts: &Facts, bit: BitKey) -> bool {
    match Memory::new(world.slot()).bit(bit.short) {
        Some(known) => known,
        None => world.bit(table::FLOWBIT, &flowbit_key(facts, bit), BitChange::Test),
    }
}

fn change_flowbit(world: &mut impl World, facts: &Facts, bit: BitKey, operation: Flowbit) {
    let set = match operation {
        Flowbit::Set => true,
        Flowbit::Toggle => !flowbit(world, facts, bit),
        _ => false,
    };
    if set {
        if Memory::new(world.slot()).set_bit(bit.short) == Kept::Elsewhere {
            world.bit(table::FLOWBIT, &flowbit_key(facts, bit), BitChange::Set);
        }
        return;
    }
    if Memory::new(world.slot()).bit(bit.short).is_none() {
        world.bit(table::FLOWBIT, &flowbit_key(facts, bit), BitChange::Clear);
    }
    Memory::new(world.slot()).clear_bit(bit.short);
}

fn xbit_key(facts: &Facts, bit: u64, track: Track, epoch: u64) -> Vec<u8> {
    let mut key = bit.to_le_bytes().to_vec();
    key.push(track as u8);
    key.extend(epoch.to_le_bytes());
    key.extend(tracked(facts, track));
    key
}

/// The host's bits have no end. One that has is set for the parts of time that it lives in.
fn epoch(facts: &Facts, expire_s: u32) -> u64 {
    let part = (u64::from(expire_s.max(1)) * 1_000_000_000 / PARTS).max(1);
    facts.at / part
}

fn xbit(world: &mut impl World, facts: &Facts, bit: u64, track: Track, expire_s: u32) -> bool {
    let key = xbit_key(facts, bit, track, epoch(facts, expire_s));
    world.bit(table::XBIT, &key, BitChange::Test)
}

fn change_xbit(world: &mut impl World, facts: &Facts, xbit_named: (u64, Track, u32), set: bool) {
    let (bit, track, expire_s) = xbit_named;
    let first = epoch(facts, expire_s);
    let change = if set { BitChange::Set } else { BitChange::Clear };
    for at in first..=first + PARTS {
        world.bit(table::XBIT, &xbit_key(facts, bit, track, at), change);
    }
}

fn integer(world: &mut impl World, keys: &Keys, value: u32, named: bool) -> Option<u32> {
    if !named {
        return Some(value);
    }
    Memory::new(world.slot()).integer(keys.short(u16::try_from(value).unwrap_or(u16::MAX)))
}

/// Whether a check of memory holds; `None` for a check of something else.
pub(crate) fn asks(
    world: &mut impl World,
    keys: &Keys,
    facts: &Facts,
    check: &Check,
) -> Option<bool> {
    Some(match check {
        Check::Flowbits { operation: Flowbit::IsSet, bits } => {
            bits.iter().any(|b| flowbit(world, facts, bit_key(keys, *b)))
        }
        Check::Flowbits { operation: Flowbit::IsNotSet, bits } => {
            bits.iter().any(|b| !flowbit(world, facts, bit_key(keys, *b)))
        }
        Check::Xbits { operation, bit, track, expire_s } => {
            let is_set = xbit(world, facts, keys.name(*bit), *track, *expire_s);
            is_set == (*operation == Flowbit::IsSet)
        }
        Check::Flowint { variable, operation, value, named } => {
            let own = Memory::new(world.slot()).integer(keys.short(*variable));
            match (operation, own) {
                (6, own) => own.is_some(),
                (7, own) => own.is_none(),
                (_, None) => false,
                (compare, Some(own)) => {
                    integer(world, keys, *value, *named).is_some_and(|with| match compare {
                        0 => own < with,
                        1 => own > with,
                        2 => own == with,
                        3 => own <= with,
                        4 => own >= with,
                        5 => own != with,
                        _ => false,
                    })
                }
            }
        }
        _ => return None,
    })
}

/// Carries out a rule's effects and says whether the match is told.
pub(crate) fn carry_out(
    world: &mut impl World,
    store: &mut Store,
    facts: &Facts,
    rule: RuleKey,
    effects: &[Check],
) -> Telling {
    let mut telling = Telling { told: true, action: None };
    for effect in effects {
        match effect {
            Check::Flowbits { operation, bits } => {
                for bit in bits {
                    change_flowbit(world, facts, bit_key(&store.keys, *bit), *operation);
                }
            }
            Check::Xbits { operation, bit, track, expire_s } => {
                let bit = store.keys.name(*bit);
                let set = match operation {
                    Flowbit::Set => true,
                    Flowbit::Toggle => !xbit(world, facts, bit, *track, *expire_s),
                    _ => false,
                };
                change_xbit(world, facts, (bit, *track, *expire_s), set);
            }
            Check::Flowint { variable, operation, value, named } => {
                let with = integer(world, &store.keys, *value, *named).unwrap_or(0);
                let variable = store.keys.short(*variable);
                let mut memory = Memory::new(world.slot());
                let own = memory.integer(variable);
                let new = match operation {
                    8 => with,
                    9 => own.unwrap_or(0).saturating_add(with),
                    _ => own.unwrap_or(0).saturating_sub(with),
                };
                memory.set_integer(variable, new);
            }
            Check::Threshold { .. } => {
                telling.told = threshold(world, facts, rule, effect) && telling.told;
            }
            Check::Suppress { side, set } => {
                let silent = *set == NONE || address(world, store, facts, *side, *set);
                telling.told = telling.told && !silent;
            }
            Check::RateFilter { .. } => {
                telling.action = rate_filter(world, facts, rule, effect).or(telling.action);
            }
            Check::AddressData { side, set, operation } => {
                let ends = facts.ends();
                let end = ends[usize::from(*side != 0)].0;
                dataset(world, store, *set, *operation, &end);
            }
            _ => {}
        }
    }
    telling
}

/// Whether an end's address lies in a set; side 0 source, 1 destination, 2 either, 3 both.
pub(crate) fn address(
    world: &mut impl World,
    store: &mut Store,
    facts: &Facts,
    side: u8,
    set: u32,
) -> bool {
    let [(source, _), (destination, _)] = facts.ends();
    let (source, destination) = (
        side != 1 && store.holds_address(world, set, &source),
        side != 0 && store.holds_address(world, set, &destination),
    );
    match side {
        0 => source,
        1 => destination,
        2 => source || destination,
        _ => source && destination,
    }
}

fn threshold(world: &mut impl World, facts: &Facts, rule: RuleKey, effect: &Check) -> bool {
    let Check::Threshold { kind, track, count, seconds, multiplier } = *effect else {
        return true;
    };
    let key = rule_key(rule, facts, track);
    let window = match kind {
        4 => u32::MAX,
        _ => seconds.saturating_mul(1000),
    };
    let table = if kind == 3 { table::FILTER } else { table::THRESHOLD };
    // What cannot be counted is told.
    let Some(n) = world.count(table, &key, window) else { return true };
    let count = count.max(1);
    match kind {
        0 => n <= count,
        1 => n % count == 0,
        2 => n == count,
        3 => n > count,
        _ => {
            let mut at = count;
            while at < n && multiplier > 1 {
                at = at.saturating_mul(multiplier);
            }
            at == n
        }
    }
}

fn rate_filter(world: &mut impl World, facts: &Facts, rule: RuleKey, effect: &Check) -> Option<u8> {
    let Check::RateFilter { track, action, count, seconds, timeout } = *effect else {
        return None;
    };
    let key = rule_key(rule, facts, track);
    let part = |at: u64| {
        let mut key = key.clone();
        key.extend(at.to_le_bytes());
        key
    };
    let now = epoch(facts, timeout);
    if timeout > 0 && world.bit(table::RATE_ACTIVE, &part(now), BitChange::Test) {
        return Some(action);
    }
    let n = world.count(table::RATE, &key, seconds.saturating_mul(1000))?;
    if n <= count {
        return None;
    }
    if timeout > 0 {
        (now..=now + PARTS).for_each(|at| {
            world.bit(table::RATE_ACTIVE, &part(at), BitChange::Set);
        });
    }
    Some(action)
}

/// Tests or changes a data set; whether the step holds.
pub(crate) fn dataset(
    world: &mut impl World,
    store: &mut Store,
    set: u32,
    operation: u8,
    bytes: &[u8],
) -> bool {
    let mut key = store.keys.data(set).to_le_bytes().to_vec();
    key.extend(Hash::of(bytes).0);
    let compiled = store.data_has(world, set, bytes);
    let added = world.bit(table::DATA_SET, &key, BitChange::Test);
    let removed = compiled && world.bit(table::DATA_UNSET, &key, BitChange::Test);
    let there = added || compiled && !removed;
    match operation {
        0 => there,
        1 => !there,
        2 => {
            if !there {
                world.bit(table::DATA_SET, &key, BitChange::Set);
                world.bit(table::DATA_UNSET, &key, BitChange::Clear);
            }
            !there
        }
        _ => {
            if there {
                world.bit(table::DATA_SET, &key, BitChange::Clear);
                if compiled {
                    world.bit(table::DATA_UNSET, &key, BitChange::Set);
                }
            }
            there
        }
    }
}

impl<W: World> DataSets<W> for Store {
    fn dataset(&mut self, world: &mut W, set: u32, operation: u8, bytes: &[u8]) -> bool {
        dataset(world, self, set, operation, bytes)
    }
}
