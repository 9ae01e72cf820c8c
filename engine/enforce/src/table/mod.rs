//! A worker's own copy of the block list: asked for each packet of an unknown flow, written only by
//! [`TableOrder`]s at burst boundaries.

mod slots;
#[cfg(test)]
mod tests;

use crate::{Applied, BlockId, TableOrder};
use portcullis_types::{MemoryTerm, Tick, Whence};
use slots::{Slots, runs};

/// A hit: good until the next order is applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockHandle {
    entry: u32,
    generation: u32,
}

/// What a block has stopped since the last drain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stopped {
    /// The block.
    pub id: BlockId,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What happened to the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WorkerTableCounters {
    /// Orders that changed the table.
    pub changed: u64,
    /// Blocks that found no room here: not enforced by this worker.
    pub full: u64,
    /// Packets whose block was gone before they were counted.
    pub uncounted: u64,
}

#[derive(Clone, Copy, Debug)]
struct Blocked {
    id: BlockId,
    until: Tick,
    packets: u64,
    bytes: u64,
}

/// The table. All its memory is taken at the start.
#[derive(Clone, Debug)]
pub struct WorkerTable {
    blocks: Slots<Blocked>,
    graces: Slots<Tick>,
    epoch: u32,
    /// Entries with something to drain, each once.
    dirty: Vec<u32>,
    /// What removed blocks had stopped, not drained yet.
    retired: Vec<Stopped>,
    retired_max: usize,
    counters: WorkerTableCounters,
}

impl WorkerTable {
    /// A table for so many blocks and graces. `seed` is secret: whoever knows it can choose
    /// addresses that collide.
    pub fn new(blocks: usize, graces: usize, seed: u64) -> Self {
        WorkerTable {
            blocks: Slots::new(blocks, seed),
            graces: Slots::new(graces, !seed),
            epoch: 0,
            dirty: Vec::with_capacity(blocks),
            retired: Vec::with_capacity(blocks),
            retired_max: blocks,
            counters: WorkerTableCounters::default(),
        }
    }

    /// What one such table takes.
    pub fn memory_terms(blocks: usize, graces: usize) -> Vec<MemoryTerm> {
        let term = |what: String, bytes: usize| MemoryTerm {
            what,
            bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
        };
        let drain = blocks * (size_of::<u32>() + size_of::<Stopped>());
        vec![
            term(format!("block table, {blocks} blocks"), Slots::<Blocked>::bytes(blocks) + drain),
            term(format!("grace table, {graces} graces"), Slots::<Tick>::bytes(graces)),
        ]
    }

    /// The block that stops a frame from there, if one does at this moment. The moment `until`
    /// itself is free: a packet at it passes.
    #[inline]
    pub fn check(&self, from: &Whence, now: Tick) -> Option<BlockHandle> {
        if self.blocks.is_empty() {
            return None;
        }
        let entry = self.blocks.find(from, |b| runs(b.until, now))?;
        let generation = self.blocks.get(entry)?.generation;
        Some(BlockHandle { entry, generation })
    }

    /// Counts a packet that the block stopped.
    #[inline]
    pub fn count(&mut self, handle: BlockHandle, bytes: u32) {
        match self.blocks.get_mut(handle.entry) {
            Some(entry) if entry.generation == handle.generation => {
                let blocked = &mut entry.value;
                if blocked.packets == 0 {
                    self.dirty.push(handle.entry);
                }
                blocked.packets += 1;
                blocked.bytes += u64::from(bytes);
            }
            _ => self.counters.uncounted += 1,
        }
    }

    /// The number of the block.
    pub fn id(&self, handle: BlockHandle) -> Option<BlockId> {
        let entry = self.blocks.get(handle.entry)?;
        (entry.generation == handle.generation).then_some(entry.value.id)
    }

    /// Whether a grace runs for the source: it is not blocked again yet.
    #[inline]
    pub fn graced(&self, from: &Whence, now: Tick) -> bool {
        !self.graces.is_empty() && self.graces.find(from, |until| runs(*until, now)).is_some()
    }

    /// Changes with every change of the table: a flow that was found free at an epoch is free as
    /// long as the epoch stands.
    #[inline]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Blocks in the table, also those whose time is up and whose removal has not been ordered yet.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether there is no block.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The counters.
    pub fn counters(&self) -> WorkerTableCounters {
        self.counters
    }

    /// Carries out one order.
    pub fn apply(&mut self, order: &TableOrder) -> Applied {
        let applied = match *order {
            TableOrder::Block { id, key, until } => match self.blocks.at(&key) {
                Some(at) => self.update(at, id, until),
                None => {
                    let blocked = Blocked { id, until, packets: 0, bytes: 0 };
                    self.blocks.insert(key, blocked).map_or(Applied::Full, |_| Applied::Changed)
                }
            },
            TableOrder::Unblock { id, key } => self.remove(id, &key),
            TableOrder::Grace { key, until } => match self.graces.at(&key) {
                Some(at) => {
                    if let Some(entry) = self.graces.get_mut(at) {
                        entry.value = until;
                    }
                    Applied::Changed
                }
                None => self.graces.insert(key, until).map_or(Applied::Full, |_| Applied::Changed),
            },
            TableOrder::EndGrace { key } => {
                self.graces.remove(&key).map_or(Applied::Unchanged, |_| Applied::Changed)
            }
            TableOrder::Clear => {
                self.retire_all();
                self.blocks.clear();
                self.graces.clear();
                Applied::Changed
            }
        };
        match applied {
            Applied::Changed => {
                self.epoch = self.epoch.wrapping_add(1);
                self.counters.changed += 1;
            }
            Applied::Full => self.counters.full += 1,
            Applied::Unchanged => {}
        }
        applied
    }

    fn update(&mut self, at: u32, id: BlockId, until: Tick) -> Applied {
        let Some(entry) = self.blocks.get_mut(at) else { return Applied::Unchanged };
        let old = entry.value;
        if old.id == id && old.until == until {
            return Applied::Unchanged;
        }
        if old.id == id {
            entry.value.until = until;
        } else {
            entry.value = Blocked { id, until, packets: 0, bytes: 0 };
            self.retire(at, old);
        }
        Applied::Changed
    }

    fn remove(&mut self, id: BlockId, key: &portcullis_types::BlockKey) -> Applied {
        let Some(at) = self.blocks.at(key) else { return Applied::Unchanged };
        if self.blocks.get(at).is_none_or(|e| e.value.id != id) {
            return Applied::Unchanged;
        }
        let Some(old) = self.blocks.remove(key) else { return Applied::Unchanged };
        self.retire(at, old);
        Applied::Changed
    }

    /// Keeps what a block has stopped until the next drain.
    fn retire(&mut self, at: u32, old: Blocked) {
        if old.packets == 0 {
            return;
        }
        self.dirty.retain(|d| *d != at);
        if self.retired.len() < self.retired_max {
            let Blocked { id, packets, bytes, .. } = old;
            self.retired.push(Stopped { id, packets, bytes });
        } else {
            self.counters.uncounted += old.packets;
        }
    }

    fn retire_all(&mut self) {
        let dirty = std::mem::take(&mut self.dirty);
        for at in &dirty {
            if let Some(old) = self.blocks.get(*at).map(|e| e.value) {
                self.retire(*at, old);
            }
        }
        self.dirty = dirty;
        self.dirty.clear();
    }

    /// Hands over what was stopped since the last drain, each block at most twice.
    pub fn drain(&mut self, mut each: impl FnMut(Stopped)) {
        for stopped in self.retired.drain(..) {
            each(stopped);
        }
        for at in self.dirty.drain(..) {
            if let Some(entry) = self.blocks.get_mut(at) {
                let Blocked { id, packets, bytes, .. } = entry.value;
                (entry.value.packets, entry.value.bytes) = (0, 0);
                each(Stopped { id, packets, bytes });
            }
        }
    }
}
