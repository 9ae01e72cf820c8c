//! The book in the journal's words, and back.
//!
//! The journal names segments and knows blocks by their place; the book knows numbers. A block of a
//! segment that is gone stays in the journal until its time is up, and comes back with the segment.

use crate::config::{Blocks, Config};
use crate::journal::{BlockRecord, Live, Order, PlaceRecord};
use portcullis_enforce::{
    AtLimit, Block, BlockId, Book, BookConfig, Escalation, JournalEntry, TableOrder,
};
use portcullis_types::{BlockKey, BlockOrder, SegmentId, Tick};
use std::collections::HashMap;

/// The book's set-up.
pub(super) fn book_config(blocks: &Blocks) -> BookConfig {
    BookConfig {
        capacity: usize::try_from(blocks.max).unwrap_or(usize::MAX),
        at_limit: AtLimit::Refuse,
        escalation: Escalation {
            factors: blocks.escalation.iter().map(|f| u32::from(*f)).collect(),
            memory: blocks.escalation_memory,
        },
        raise_at: u32::from(blocks.raise_v6_after),
        ..BookConfig::default()
    }
}

/// The book that the journal remembers.
pub(super) fn book_of(live: &Live, config: &Config) -> Book {
    let mut book = Book::new(book_config(&config.blocks));
    let segment = |name: &str| config.segment(name).map(|s| s.id);
    let mut next = live.next_id().max(1);
    for record in live.blocks() {
        let Some(order) = record.order(segment) else {
            tracing::warn!(
                segment = record.place.segment,
                source = record.place.source,
                "a block waits for its segment, which is not configured"
            );
            continue;
        };
        let known = record.id > 0 && book.show(BlockId(record.id)).is_none();
        let id = if known { record.id } else { next };
        next = next.max(id.saturating_add(1));
        book.restore(JournalEntry::Block(Box::new(block_of(BlockId(id), order, record.factor))));
    }
    book.restore(JournalEntry::NextId(BlockId(next)));
    for (place, until) in live.graces() {
        if let Some(key) = place.key(segment) {
            book.restore(JournalEntry::Grace { key, until: Tick(until) });
        }
    }
    for (place, count, until) in live.offences() {
        if let Some(key) = place.key(segment) {
            book.restore(JournalEntry::Offences { key, count, until: Tick(until) });
        }
    }
    book
}

fn block_of(id: BlockId, order: BlockOrder, factor: u32) -> Block {
    Block {
        id,
        key: order.key,
        since: order.since,
        until: order.until,
        cause: order.cause,
        packets: 0,
        bytes: 0,
        factor: factor.max(1),
    }
}

/// Names segments.
pub(super) struct Names<'a>(pub(super) &'a Config);

impl Names<'_> {
    pub(super) fn segment(&self, id: SegmentId) -> &str {
        self.0.segments.get(usize::from(id.0)).map_or("unknown", |s| &s.name)
    }

    pub(super) fn place(&self, key: &BlockKey) -> PlaceRecord {
        PlaceRecord::of(key, self.segment(key.segment))
    }

    pub(super) fn record(&self, block: &Block) -> Order {
        let order = BlockOrder {
            key: block.key,
            since: block.since,
            until: block.until,
            cause: block.cause.clone(),
        };
        let mut record = BlockRecord::of(&order, self.segment(block.key.segment));
        (record.id, record.factor) = (block.id.0, block.factor);
        Order::Block(record)
    }

    /// What the book wants remembered. `tables` are the orders of the same outbox: they know the
    /// keys of blocks that ended.
    pub(super) fn orders(&self, entries: Vec<JournalEntry>, tables: &[TableOrder]) -> Vec<Order> {
        let ended: HashMap<BlockId, BlockKey> = tables
            .iter()
            .filter_map(|order| match order {
                TableOrder::Unblock { id, key } => Some((*id, *key)),
                _ => None,
            })
            .collect();
        let orders = entries.into_iter().filter_map(|entry| match entry {
            JournalEntry::Block(block) => Some(self.record(&block)),
            JournalEntry::Unblock(id) => {
                ended.get(&id).map(|key| Order::Unblock { place: self.place(key) })
            }
            JournalEntry::Grace { key, until } => {
                Some(Order::Grace { place: self.place(&key), until: until.0 })
            }
            // A grace that is over is one that ended before everything.
            JournalEntry::EndGrace(key) => Some(Order::Grace { place: self.place(&key), until: 0 }),
            JournalEntry::Offences { key, count, until } => {
                Some(Order::Offences { place: self.place(&key), count, until: until.0 })
            }
            JournalEntry::NextId(id) => Some(Order::NextId { id: id.0 }),
        });
        orders.collect()
    }

    /// An order that was not kept, as it reads now that others were given since: what the book
    /// holds at its place. The journal would otherwise bring back what is over.
    pub(super) fn restated(&self, order: Order, book: &Book) -> Order {
        let segment = |name: &str| self.0.segment(name).map(|s| s.id);
        let place = match &order {
            Order::Block(record) => &record.place,
            Order::Unblock { place } | Order::Until { place, .. } => place,
            _ => return order,
        };
        let Some(key) = place.key(segment) else { return order };
        match book.covering(&key).and_then(|id| book.show(id)).filter(|b| b.key == key) {
            Some(block) => self.record(block),
            None => Order::Unblock { place: place.clone() },
        }
    }
}
