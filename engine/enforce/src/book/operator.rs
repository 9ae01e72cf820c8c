//! What an operator does with the list: lift, move, grace, free by exclusion.

use super::{Block, BlockFilter, Book, BookError, BookEvent, JournalEntry, Outbox, Unblocked};
use crate::{BlockId, TableOrder};
use portcullis_types::{BlockKey, Tick};
use std::time::Duration;

impl Book {
    /// Lifts a block. Its offences are forgotten: whoever lifts it says that it was wrong.
    pub fn unblock(&mut self, id: BlockId, now: Tick, out: &mut Outbox) -> Result<(), BookError> {
        let key = self.show(id).ok_or(BookError::NoSuchBlock)?.key;
        self.forget_offences(key, now, out);
        self.end(id, Unblocked::Operator, now, out);
        Ok(())
    }

    /// Lifts a block, and keeps its source from being blocked again by detectors for a while.
    pub fn unblock_with_grace(
        &mut self,
        id: BlockId,
        grace: Duration,
        now: Tick,
        out: &mut Outbox,
    ) -> Result<(), BookError> {
        let key = self.show(id).ok_or(BookError::NoSuchBlock)?.key;
        // The grace first: the block stays where there is no room for it.
        self.grace(key, now + grace, out)?;
        self.unblock(id, now, out)
    }

    /// Keeps a source from being blocked by detectors until then.
    pub fn grace(&mut self, key: BlockKey, until: Tick, out: &mut Outbox) -> Result<(), BookError> {
        if !self.graces.set(key, until, ()) {
            return Err(BookError::GracesFull);
        }
        out.orders.push(TableOrder::Grace { key, until });
        out.journal.push(JournalEntry::Grace { key, until });
        out.events.push(BookEvent::Grace { key, until });
        Ok(())
    }

    /// Ends a grace before its time; `false` where there is none.
    pub fn end_grace(&mut self, key: &BlockKey, out: &mut Outbox) -> bool {
        let ended = self.graces.remove(key).is_some();
        if ended {
            self.say_grace_ended(*key, out);
        }
        ended
    }

    pub(super) fn say_grace_ended(&mut self, key: BlockKey, out: &mut Outbox) {
        out.orders.push(TableOrder::EndGrace { key });
        out.journal.push(JournalEntry::EndGrace(key));
        out.events.push(BookEvent::GraceEnded { key });
    }

    /// The graces that run, with their ends.
    pub fn graces(&self) -> impl Iterator<Item = (BlockKey, Tick)> {
        self.graces.iter().map(|(key, until, ())| (*key, until))
    }

    /// Moves a block's end; one that has come ends the block. The new end is returned.
    pub fn set_until(
        &mut self,
        id: BlockId,
        until: Tick,
        now: Tick,
        out: &mut Outbox,
    ) -> Result<Tick, BookError> {
        self.show(id).ok_or(BookError::NoSuchBlock)?;
        if until <= now {
            self.end(id, Unblocked::Operator, now, out);
        } else {
            self.move_end(id, until, out);
        }
        Ok(until)
    }

    /// Moves a block's end away by so much.
    pub fn extend(
        &mut self,
        id: BlockId,
        by: Duration,
        now: Tick,
        out: &mut Outbox,
    ) -> Result<Tick, BookError> {
        let until = self.show(id).ok_or(BookError::NoSuchBlock)?.until;
        self.set_until(id, until + by, now, out)
    }

    /// Moves a block's end nearer by so much.
    pub fn shorten(
        &mut self,
        id: BlockId,
        by: Duration,
        now: Tick,
        out: &mut Outbox,
    ) -> Result<Tick, BookError> {
        let until = self.show(id).ok_or(BookError::NoSuchBlock)?.until;
        // A block without an end is shortened from now on.
        let from = if until == Tick::NEVER { now } else { until };
        self.set_until(id, from - by, now, out)
    }

    /// Lifts all blocks that the filter means; how many.
    pub fn clear(&mut self, filter: &BlockFilter, now: Tick, out: &mut Outbox) -> usize {
        let meant: Vec<BlockId> = self.list(filter).map(|b| b.id).collect();
        for id in &meant {
            if let Some(key) = self.show(*id).map(|b| b.key) {
                self.forget_offences(key, now, out);
                self.end(*id, Unblocked::Operator, now, out);
            }
        }
        meant.len()
    }

    /// Lifts the blocks that an exclusion frees; `frees` says which. How many it was.
    pub fn free(&mut self, frees: &dyn Fn(&Block) -> bool, now: Tick, out: &mut Outbox) -> usize {
        let freed: Vec<BlockId> = self.blocks.values().filter(|b| frees(b)).map(|b| b.id).collect();
        for id in &freed {
            if let Some(key) = self.show(*id).map(|b| b.key) {
                self.forget_offences(key, now, out);
                self.end(*id, Unblocked::Exclusion, now, out);
            }
        }
        freed.len()
    }

    fn forget_offences(&mut self, key: BlockKey, now: Tick, out: &mut Outbox) {
        if self.offences.remove(&key).is_some() {
            out.journal.push(JournalEntry::Offences { key, count: 0, until: now });
        }
    }
}
