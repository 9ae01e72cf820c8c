//! The authoritative list of blocks. One book for all workers; it lives off the street, on the
//! enforcement thread, and says by [`TableOrder`]s what the tables must hold.

mod operator;
mod raise;
mod record;
mod restore;
#[cfg(test)]
mod tests;
mod timed;

pub use record::{
    Block, BlockFilter, BookError, BookEvent, JournalEntry, Outbox, Refusal, Unblocked,
};

use crate::{BlockId, TableOrder};
use portcullis_types::{BlockKey, BlockOrder, Origin, Prefix, Tick, Whence};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;
use timed::Timed;

/// What happens to a new block when the book is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AtLimit {
    /// It is refused, counted and reported.
    Refuse,
    /// It takes the place of the block that ends soonest, where that was made by a detector and
    /// ends sooner than the new one.
    #[default]
    DisplaceSoonest,
}

/// Longer blocks for repeated offences.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Escalation {
    /// By what the first, second, third … block's duration is multiplied; the last one holds for
    /// all further. Empty: off.
    pub factors: Vec<u32>,
    /// How long after a block's end it is remembered.
    pub memory: Duration,
}

/// How the book is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookConfig {
    /// Blocks at most. The workers' tables and the kernel map are of this size too.
    pub capacity: usize,
    /// Graces at most.
    pub graces: usize,
    /// What happens when the book is full.
    pub at_limit: AtLimit,
    /// Longer blocks for repeated offences; off by default.
    pub escalation: Escalation,
    /// Blocked hosts of one IPv6 /64 that raise it to a block of the /64; 0 for never.
    pub raise_at: u32,
    /// The longest block that escalation makes.
    pub block_for_max: Duration,
}

impl Default for BookConfig {
    /// 65,536 blocks and 4,096 graces; eight hosts raise a /64, since a host rarely has more
    /// addresses at a time by itself; 32768 minutes at most.
    fn default() -> Self {
        BookConfig {
            capacity: 65_536,
            graces: 4_096,
            at_limit: AtLimit::default(),
            escalation: Escalation::default(),
            raise_at: 8,
            block_for_max: Duration::from_secs(32_768 * 60),
        }
    }
}

/// What happened to the book since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct BookCounters {
    /// Blocks begun.
    pub blocked: u64,
    /// Blocks whose end moved.
    pub moved: u64,
    /// Blocks ended, for whatever reason.
    pub unblocked: u64,
    /// Blocks displaced by later ones because the book was full.
    pub displaced: u64,
    /// Blocks refused because the book was full.
    pub refused_full: u64,
    /// Blocks refused because of a grace.
    pub refused_grace: u64,
    /// Blocks refused for their prefix or their end.
    pub refused_other: u64,
    /// Blocks of a /64 raised from hosts.
    pub raised: u64,
    /// Offences not remembered because the memory was full.
    pub offences_forgotten: u64,
    /// Counts that came for blocks no longer known.
    pub counts_stray: u64,
}

/// The list.
#[derive(Clone, Debug)]
pub struct Book {
    config: BookConfig,
    blocks: BTreeMap<BlockId, Block>,
    by_key: HashMap<BlockKey, BlockId>,
    due: BTreeSet<(Tick, BlockId)>,
    graces: Timed<BlockKey, ()>,
    offences: Timed<BlockKey, u32>,
    /// Blocked hosts of each IPv6 /64.
    nets: HashMap<BlockKey, BTreeSet<BlockId>>,
    next_id: u64,
    counters: BookCounters,
}

impl Book {
    /// An empty book.
    pub fn new(config: BookConfig) -> Self {
        Book {
            graces: Timed::new(config.graces),
            offences: Timed::new(config.capacity),
            config,
            blocks: BTreeMap::new(),
            by_key: HashMap::new(),
            due: BTreeSet::new(),
            nets: HashMap::new(),
            next_id: 1,
            counters: BookCounters::default(),
        }
    }

    /// Carries out an order: a new block, or a later end for one that is there. `order.since` is
    /// the present moment. `spares` says which networks must never be blocked whole (they hold
    /// protected or inside addresses). A refusal is also an event.
    pub fn block(
        &mut self,
        order: BlockOrder,
        spares: &dyn Fn(&BlockKey) -> bool,
        out: &mut Outbox,
    ) -> Result<BlockId, Refusal> {
        self.admit(&order, out).inspect_err(|why| self.refused(&order, *why, out))?;
        if let Some(id) = self.covering(&order.key)
            && self.blocks.get(&id).is_some_and(|b| b.until <= order.since)
        {
            // Its time is up, only nobody has said so yet: this is a new block.
            self.end(id, Unblocked::Expired, order.since, out);
        }
        if let Some(id) = self.covering(&order.key) {
            if self.blocks.get(&id).is_some_and(|b| b.until < order.until) {
                self.move_end(id, order.until, out);
            }
            return Ok(id);
        }
        let (until, factor) = self.escalated(&order);
        self.make_room(until, order.since, out)
            .inspect_err(|why| self.refused(&order, *why, out))?;
        let since = order.since;
        let id = self.begin(
            Block {
                id: BlockId(self.next_id),
                key: order.key,
                since,
                until,
                cause: order.cause,
                packets: 0,
                bytes: 0,
                factor,
            },
            out,
        );
        self.remember(id, factor, out);
        self.take_over_hosts(id, since, out);
        Ok(self.raise(id, since, spares, out).unwrap_or(id))
    }

    /// Prefix, time and grace. An operator's block ends a grace.
    fn admit(&mut self, order: &BlockOrder, out: &mut Outbox) -> Result<(), Refusal> {
        let source = order.key.source;
        if !(source.is_host() || !source.addr().is_v4() && source.len() == 64) {
            return Err(Refusal::Prefix);
        }
        if order.until <= order.since {
            return Err(Refusal::Past);
        }
        if matches!(order.cause.origin, Origin::Operator(_)) {
            self.end_grace(&order.key, out);
            return Ok(());
        }
        let from = whence(&order.key);
        if self.graced(&from, order.since) { Err(Refusal::Grace) } else { Ok(()) }
    }

    fn refused(&mut self, order: &BlockOrder, why: Refusal, out: &mut Outbox) {
        match why {
            Refusal::Full => self.counters.refused_full += 1,
            Refusal::Grace => self.counters.refused_grace += 1,
            Refusal::Past | Refusal::Prefix => self.counters.refused_other += 1,
        }
        out.events.push(BookEvent::Refused { order: Box::new(order.clone()), why });
    }

    /// The end and the factor after escalation, which only detectors' blocks know.
    fn escalated(&self, order: &BlockOrder) -> (Tick, u32) {
        let factors = &self.config.escalation.factors;
        if factors.is_empty() || !matches!(order.cause.origin, Origin::Detector(_)) {
            return (order.until, 1);
        }
        let offences = match self.offences.get(&order.key) {
            Some((until, count)) if order.since < until => *count,
            _ => 0,
        };
        let last = factors.len() - 1;
        let step = usize::try_from(offences).unwrap_or(last).min(last);
        let factor = factors.get(step).copied().unwrap_or(1).max(1);
        let asked = order.until.since(order.since);
        let most = self.config.block_for_max.max(asked);
        (order.since + asked.saturating_mul(factor).min(most), factor)
    }

    /// Notes the offence for the next time.
    fn remember(&mut self, id: BlockId, factor: u32, out: &mut Outbox) {
        let Some(block) = self.blocks.get(&id) else { return };
        let detected = matches!(block.cause.origin, Origin::Detector(_));
        if self.config.escalation.factors.is_empty() || !detected {
            return;
        }
        let key = block.key;
        let before = self.offences.get(&key).filter(|(until, _)| block.since < *until);
        let count = before.map_or(0, |(_, count)| *count).saturating_add(1);
        let until = block.until + self.config.escalation.memory;
        debug_assert!(factor >= 1, "a factor never shortens a block");
        if self.offences.set(key, until, count) {
            out.journal.push(JournalEntry::Offences { key, count, until });
        } else {
            self.counters.offences_forgotten += 1;
        }
    }

    /// Makes room for a block that ends at `until`.
    fn make_room(&mut self, until: Tick, now: Tick, out: &mut Outbox) -> Result<(), Refusal> {
        if self.blocks.len() < self.config.capacity {
            return Ok(());
        }
        let soonest = self.due.first().copied().ok_or(Refusal::Full)?;
        if soonest.0 <= now {
            self.end(soonest.1, Unblocked::Expired, now, out);
            return Ok(());
        }
        if self.config.at_limit == AtLimit::Refuse {
            return Err(Refusal::Full);
        }
        // The operator's own blocks are never displaced.
        let victim = self
            .due
            .iter()
            .take_while(|(end, _)| *end < until)
            .find(|(_, id)| self.blocks.get(id).is_some_and(|b| !b.is_by_hand()))
            .map(|(_, id)| *id)
            .ok_or(Refusal::Full)?;
        self.counters.displaced += 1;
        self.end(victim, Unblocked::Displaced, now, out);
        Ok(())
    }

    /// Puts a block in force and says so.
    fn begin(&mut self, block: Block, out: &mut Outbox) -> BlockId {
        let id = block.id;
        self.counters.blocked += 1;
        out.orders.push(TableOrder::Block { id, key: block.key, until: block.until });
        out.journal.push(JournalEntry::Block(Box::new(block.clone())));
        out.events.push(BookEvent::Blocked(block.clone()));
        self.put(block);
        id
    }

    /// Enters a block into all indexes.
    fn put(&mut self, block: Block) {
        self.next_id = self.next_id.max(block.id.0.saturating_add(1));
        self.by_key.insert(block.key, block.id);
        self.due.insert((block.until, block.id));
        if let Some(net) = net_of(&block.key) {
            self.nets.entry(net).or_default().insert(block.id);
        }
        self.blocks.insert(block.id, block);
    }

    /// Takes a block out of all indexes.
    fn take(&mut self, id: BlockId) -> Option<Block> {
        let block = self.blocks.remove(&id)?;
        self.by_key.remove(&block.key);
        self.due.remove(&(block.until, id));
        if let Some(net) = net_of(&block.key)
            && let Some(hosts) = self.nets.get_mut(&net)
        {
            hosts.remove(&id);
            if hosts.is_empty() {
                self.nets.remove(&net);
            }
        }
        Some(block)
    }

    /// Ends a block and says so.
    fn end(&mut self, id: BlockId, reason: Unblocked, at: Tick, out: &mut Outbox) -> bool {
        let Some(block) = self.take(id) else { return false };
        self.counters.unblocked += 1;
        out.orders.push(TableOrder::Unblock { id, key: block.key });
        out.journal.push(JournalEntry::Unblock(id));
        out.events.push(BookEvent::Unblocked { block, reason, at });
        true
    }

    fn move_end(&mut self, id: BlockId, until: Tick, out: &mut Outbox) {
        let Some(block) = self.blocks.get_mut(&id) else { return };
        let was = block.until;
        if was == until {
            return;
        }
        block.until = until;
        let block = block.clone();
        self.due.remove(&(was, id));
        self.due.insert((until, id));
        self.counters.moved += 1;
        out.orders.push(TableOrder::Block { id, key: block.key, until });
        out.journal.push(JournalEntry::Block(Box::new(block.clone())));
        out.events.push(BookEvent::Moved { block, was });
    }

    /// Ends what is due at `now`, at most `budget` things; how many it was.
    pub fn expire(&mut self, now: Tick, budget: usize, out: &mut Outbox) -> usize {
        let mut done = 0;
        while done < budget
            && let Some((until, id)) = self.due.first().copied()
            && until <= now
        {
            self.end(id, Unblocked::Expired, now, out);
            done += 1;
        }
        while done < budget
            && let Some((key, ())) = self.graces.pop_due(now)
        {
            self.say_grace_ended(key, out);
            done += 1;
        }
        while done < budget
            && let Some((key, _)) = self.offences.pop_due(now)
        {
            out.journal.push(JournalEntry::Offences { key, count: 0, until: now });
            done += 1;
        }
        done
    }

    /// When something ends next.
    pub fn next_due(&self) -> Option<Tick> {
        let blocks = self.due.first().map(|(until, _)| *until);
        [blocks, self.graces.next_due(), self.offences.next_due()].into_iter().flatten().min()
    }

    /// Adds what a worker or the kernel has stopped.
    pub fn count(&mut self, id: BlockId, packets: u64, bytes: u64) {
        match self.blocks.get_mut(&id) {
            Some(block) => {
                block.packets = block.packets.saturating_add(packets);
                block.bytes = block.bytes.saturating_add(bytes);
            }
            None => self.counters.counts_stray += 1,
        }
    }

    /// Adds what was stopped under this very key.
    pub fn count_key(&mut self, key: &BlockKey, packets: u64, bytes: u64) {
        match self.by_key.get(key).copied() {
            Some(id) => self.count(id, packets, bytes),
            None => self.counters.counts_stray += 1,
        }
    }

    /// The block of this number.
    pub fn show(&self, id: BlockId) -> Option<&Block> {
        self.blocks.get(&id)
    }

    /// The block that stops this key: its own, or that of its /64.
    pub fn covering(&self, key: &BlockKey) -> Option<BlockId> {
        let net = net_of(key).and_then(|net| self.by_key.get(&net));
        self.by_key.get(key).or(net).copied()
    }

    /// The blocks that the filter means, in the order of their numbers, also those whose time is up
    /// and whose end has not been said yet.
    pub fn list<'a>(&'a self, filter: &'a BlockFilter) -> impl Iterator<Item = &'a Block> {
        self.blocks.values().filter(|b| filter.matches(b))
    }

    /// Whether a frame from there is stopped at `now`.
    pub fn stops(&self, from: &Whence, now: Tick) -> bool {
        let key = BlockKey {
            segment: from.segment,
            vlan: from.vlan,
            source: Prefix::host(from.source),
            tunnel: from.tunnel,
        };
        let runs = |key: &BlockKey| {
            let block = self.by_key.get(key).and_then(|id| self.blocks.get(id));
            block.is_some_and(|b| now < b.until)
        };
        runs(&key) || net_of(&key).is_some_and(|net| runs(&net))
    }

    /// Whether a grace runs for the source at this place.
    pub fn graced(&self, from: &Whence, now: Tick) -> bool {
        let key = BlockKey {
            segment: from.segment,
            vlan: from.vlan,
            source: Prefix::host(from.source),
            tunnel: from.tunnel,
        };
        let runs = |key: &BlockKey| self.graces.get(key).is_some_and(|(until, ())| now < until);
        runs(&key) || net_of(&key).is_some_and(|net| runs(&net))
    }

    /// Blocks in the list.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether there is no block.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// How it is set up.
    pub fn config(&self) -> &BookConfig {
        &self.config
    }

    /// Takes a new set-up. Blocks beyond a smaller capacity stay until they end.
    pub fn reconfigure(&mut self, config: BookConfig) {
        self.config = config;
    }

    /// The counters.
    pub fn counters(&self) -> BookCounters {
        self.counters
    }
}

/// The key of the /64 that holds an IPv6 host; `None` for IPv4 and for networks.
fn net_of(key: &BlockKey) -> Option<BlockKey> {
    let v6_host = key.source.is_host() && !key.source.addr().is_v4();
    v6_host.then(|| BlockKey { source: Prefix::of(key.source.addr(), 64), ..*key })
}

/// The first address of the key, at its place.
fn whence(key: &BlockKey) -> Whence {
    Whence { segment: key.segment, vlan: key.vlan, source: key.source.addr(), tunnel: key.tunnel }
}
