//! The book as a list of journal entries, and back.

use super::{Book, JournalEntry, net_of};
use crate::{BlockId, TableOrder};

impl Book {
    /// Entries that make this book again, counts of packets and bytes included.
    pub fn snapshot(&self) -> Vec<JournalEntry> {
        let blocks = self.blocks.values().map(|b| JournalEntry::Block(Box::new(b.clone())));
        let graces =
            self.graces.iter().map(|(key, until, ())| JournalEntry::Grace { key: *key, until });
        let offences = self.offences.iter().map(|(key, until, count)| JournalEntry::Offences {
            key: *key,
            count: *count,
            until,
        });
        let next = JournalEntry::NextId(BlockId(self.next_id));
        std::iter::once(next).chain(blocks).chain(graces).chain(offences).collect()
    }

    /// Applies one entry of a journal; nothing is said to anybody. What was acknowledged is kept
    /// even beyond the capacity: only new blocks are refused.
    pub fn restore(&mut self, entry: JournalEntry) {
        match entry {
            JournalEntry::Block(block) => {
                self.take(block.id);
                if let Some(old) = self.by_key.get(&block.key).copied() {
                    self.take(old);
                }
                self.put(*block);
            }
            JournalEntry::Unblock(id) => {
                self.take(id);
                self.next_id = self.next_id.max(id.0.saturating_add(1));
            }
            JournalEntry::Grace { key, until } => {
                self.graces.set(key, until, ());
            }
            JournalEntry::EndGrace(key) => {
                self.graces.remove(&key);
            }
            JournalEntry::Offences { key, count: 0, .. } => {
                self.offences.remove(&key);
            }
            JournalEntry::Offences { key, count, until } => {
                self.offences.set(key, until, count);
            }
            JournalEntry::NextId(id) => self.next_id = self.next_id.max(id.0),
        }
        debug_assert!(
            self.nets.keys().all(|net| net_of(net).is_none()),
            "only networks gather hosts"
        );
    }

    /// Orders that bring an empty table in step with the book.
    pub fn orders(&self) -> impl Iterator<Item = TableOrder> {
        let blocks = self.blocks.values().map(|b| TableOrder::Block {
            id: b.id,
            key: b.key,
            until: b.until,
        });
        let graces =
            self.graces.iter().map(|(key, until, ())| TableOrder::Grace { key: *key, until });
        blocks.chain(graces)
    }
}
