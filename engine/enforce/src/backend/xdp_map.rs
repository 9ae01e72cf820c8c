//! The kernel program's block map: same keys, same ends as the book.
//!
//! The map is handed in as a file descriptor; who loads the program and pins the map is not known
//! here. Values carry counters that the program writes while we look: moving a block's end writes
//! them back as they were read, so that what it stops within these microseconds is not counted.
#![allow(
    unsafe_code,
    reason = "the kernel copies keys and values as plain bytes; two newtypes say that they are"
)]

use super::{Enforcer, EnforcerCounters, Outcome};
use crate::TableOrder;
use aya::maps::{HashMap as KernelMap, Map, MapData, MapError};
use portcullis_types::{BlockKey, KernelBlock, KernelKey, Tick};
use std::collections::HashMap;
use std::os::fd::OwnedFd;

/// Plain bytes for the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
struct Key(KernelKey);

/// Plain bytes for the kernel.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
struct Value(KernelBlock);

// SAFETY: `KernelKey` is `repr(C)` of integers and byte arrays, 24 bytes without padding (asserted
// in `types`), and any bit pattern is a valid one.
unsafe impl aya::Pod for Key {}
// SAFETY: `KernelBlock` is `repr(C)` of three `u64`, 24 bytes without padding (asserted in
// `types`), and any bit pattern is a valid one.
unsafe impl aya::Pod for Value {}

/// Why the map cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum XdpMapError {
    /// The descriptor is no map, or its key and value are of another size than this engine's.
    #[error("the kernel's block map cannot be used; remove its pin and load the program again")]
    Map(#[from] MapError),
}

/// What was put there for a key.
#[derive(Clone, Copy, Debug)]
struct Mine {
    key: BlockKey,
    /// Counters as last read.
    packets: u64,
    bytes: u64,
}

/// The map.
pub struct XdpMap {
    map: KernelMap<MapData, Key, Value>,
    mine: HashMap<Key, Mine>,
    /// Stopped under keys that are gone, not handed over yet.
    gone: Vec<(BlockKey, u64, u64)>,
    counters: EnforcerCounters,
}

impl XdpMap {
    /// Takes the map of this descriptor.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, XdpMapError> {
        let map = KernelMap::try_from(Map::HashMap(MapData::from_fd(fd)?))?;
        let (mine, gone) = (HashMap::new(), Vec::new());
        Ok(XdpMap { map, mine, gone, counters: EnforcerCounters::default() })
    }

    /// Brings a map that outlived its engine in step: what it holds beyond `orders` is removed,
    /// what is missing or ends at another time is written. Blocks that are in both hold throughout.
    pub fn resync(&mut self, orders: impl Iterator<Item = TableOrder>) {
        let mut wanted = HashMap::new();
        for order in orders {
            if let TableOrder::Block { key, until, .. } = order
                && let Some(kernel) = key.kernel_key()
            {
                wanted.insert(Key(kernel), (key, until));
            }
        }
        let there: Vec<Key> = self.map.keys().filter_map(Result::ok).collect();
        for key in there.iter().filter(|k| !wanted.contains_key(k)) {
            let outcome = outcome(self.map.remove(key));
            self.counters.note(outcome);
        }
        for (kernel, (key, until)) in wanted {
            let outcome = self.put(kernel, key, until);
            self.counters.note(outcome);
        }
    }

    /// Blocks in the map that this engine put there.
    pub fn len(&self) -> usize {
        self.mine.len()
    }

    /// Whether this engine put nothing there.
    pub fn is_empty(&self) -> bool {
        self.mine.is_empty()
    }

    /// When the kernel lets this key through, where it is blocked.
    pub fn until(&self, key: &BlockKey) -> Option<Tick> {
        let kernel = Key(key.kernel_key()?);
        self.map.get(&kernel, 0).ok().map(|v| Tick(v.0.until_boot_ns))
    }

    fn put(&mut self, kernel: Key, key: BlockKey, until: Tick) -> Outcome {
        let old = self.map.get(&kernel, 0).map(|v| v.0).unwrap_or_default();
        if old.until_boot_ns != until.0 {
            let value = Value(KernelBlock { until_boot_ns: until.0, ..old });
            match outcome(self.map.insert(kernel, value, 0)) {
                Outcome::Done => {}
                other => return other,
            }
        }
        // Counters of an earlier engine's time were handed over by it, or are lost with it.
        let fresh = Mine { key, packets: old.packets, bytes: old.bytes };
        self.mine.entry(kernel).or_insert(fresh);
        Outcome::Done
    }

    fn remove(&mut self, kernel: Key) -> Outcome {
        if let Some(mine) = self.mine.remove(&kernel)
            && let Ok(last) = self.map.get(&kernel, 0)
        {
            let packets = last.0.packets.saturating_sub(mine.packets);
            let bytes = last.0.bytes.saturating_sub(mine.bytes);
            if packets > 0 {
                self.gone.push((mine.key, packets, bytes));
            }
        }
        outcome(self.map.remove(&kernel))
    }

    fn clear(&mut self) -> Outcome {
        let there: Vec<Key> = self.map.keys().filter_map(Result::ok).collect();
        let mut worst = Outcome::Done;
        for key in there {
            match self.remove(key) {
                Outcome::Done => {}
                other => worst = other,
            }
        }
        worst
    }
}

impl Enforcer for XdpMap {
    fn name(&self) -> &'static str {
        "xdp_map"
    }

    fn apply(&mut self, order: &TableOrder) -> Outcome {
        let outcome = match *order {
            TableOrder::Block { key, until, .. } => match key.kernel_key() {
                Some(kernel) => self.put(Key(kernel), key, until),
                None => Outcome::NotMine,
            },
            TableOrder::Unblock { key, .. } => match key.kernel_key() {
                Some(kernel) => self.remove(Key(kernel)),
                None => Outcome::NotMine,
            },
            TableOrder::Clear => self.clear(),
            TableOrder::Grace { .. } | TableOrder::EndGrace { .. } => Outcome::NotMine,
        };
        self.counters.note(outcome);
        outcome
    }

    fn collect(&mut self, each: &mut dyn FnMut(BlockKey, u64, u64)) {
        for (key, packets, bytes) in self.gone.drain(..) {
            each(key, packets, bytes);
        }
        for (kernel, mine) in &mut self.mine {
            let Ok(now) = self.map.get(kernel, 0) else { continue };
            let packets = now.0.packets.saturating_sub(mine.packets);
            let bytes = now.0.bytes.saturating_sub(mine.bytes);
            (mine.packets, mine.bytes) = (now.0.packets, now.0.bytes);
            if packets > 0 {
                each(mine.key, packets, bytes);
            }
        }
    }

    fn counters(&self) -> EnforcerCounters {
        self.counters
    }
}

/// The system's answer as an outcome. Removing what is not there is done already.
fn outcome(result: Result<(), MapError>) -> Outcome {
    // Linux numbers: a full hash map answers E2BIG; a preallocated one may answer ENOMEM.
    const ENOENT: i32 = 2;
    const E2BIG: i32 = 7;
    const ENOMEM: i32 = 12;
    match result {
        Ok(()) | Err(MapError::KeyNotFound | MapError::ElementNotFound) => Outcome::Done,
        Err(MapError::SyscallError(e)) => match e.io_error.raw_os_error() {
            Some(ENOENT) => Outcome::Done,
            Some(E2BIG | ENOMEM) => Outcome::Full,
            Some(number) => Outcome::Failed(number),
            None => Outcome::Failed(0),
        },
        Err(_) => Outcome::Failed(0),
    }
}

#[cfg(test)]
#[path = "xdp_map_tests.rs"]
mod tests;
