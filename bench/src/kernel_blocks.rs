//! The kernel program's block map, by its pin: what an observer outside of the engine sees of it.
//!
//! It must never know who wrote a block, or why.

use anyhow::{Context, Result};
use aya::maps::{HashMap, Map, MapData};
use portcullis_types::{Addr, BlockKey, KernelBlock, KernelKey, Prefix, SegmentId, VlanStack};
use std::path::Path;

/// Plain bytes for the kernel.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
struct Key(KernelKey);

/// Plain bytes for the kernel.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
struct Value(KernelBlock);

#[allow(unsafe_code, reason = "the kernel copies keys as plain bytes")]
// SAFETY: justification: integers and byte arrays without padding, 24 bytes (asserted in `types`).
unsafe impl aya::Pod for Key {}
#[allow(unsafe_code, reason = "the kernel copies values as plain bytes")]
// SAFETY: justification: three `u64`, any bits are a value.
unsafe impl aya::Pod for Value {}

/// The pinned map.
#[derive(Debug)]
pub struct KernelBlocks {
    map: HashMap<MapData, Key, Value>,
}

fn key(source: [u8; 4]) -> Result<Key> {
    let source = Prefix::of(Addr::v4(source), 32);
    let key = BlockKey { segment: SegmentId(0), vlan: VlanStack::UNTAGGED, source, tunnel: 0 };
    Ok(Key(key.kernel_key().context("no key for the kernel")?))
}

impl KernelBlocks {
    /// Opens the map that is pinned below this folder.
    ///
    /// # Errors
    /// There is none, or it is of another layout.
    pub fn open(bpffs: &Path) -> Result<KernelBlocks> {
        let mut pins = std::fs::read_dir(bpffs)?.flatten().map(|entry| entry.path());
        let is_it = |path: &std::path::PathBuf| {
            path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("blocks"))
        };
        let pin = pins.find(is_it).with_context(|| format!("no map in {}", bpffs.display()))?;
        let map = HashMap::try_from(Map::HashMap(MapData::from_pin(pin)?))?;
        Ok(KernelBlocks { map })
    }

    /// Whether an untagged IPv4 source of the first segment is in the map.
    ///
    /// # Errors
    /// None that is known.
    pub fn has(&self, source: [u8; 4]) -> Result<bool> {
        Ok(self.map.get(&key(source)?, 0).is_ok())
    }

    /// Takes a source out, behind the engine's back: from then on user space stops it.
    ///
    /// # Errors
    /// It is not there.
    pub fn take_out(&mut self, source: [u8; 4]) -> Result<()> {
        Ok(self.map.remove(&key(source)?)?)
    }

    /// Puts a source in for as long as the machine runs.
    ///
    /// # Errors
    /// The map is full.
    pub fn put_in(&mut self, source: [u8; 4]) -> Result<()> {
        let block = KernelBlock { until_boot_ns: u64::MAX, ..KernelBlock::default() };
        Ok(self.map.insert(key(source)?, Value(block), 0)?)
    }
}
