#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use super::*;
use crate::BlockId;
use portcullis_types::{SegmentId, VlanStack};
use std::os::fd::{AsRawFd, FromRawFd};

/// `union bpf_attr` of `BPF_MAP_CREATE`, its first fields.
#[repr(C)]
struct MapCreate {
    kind: u32,
    key_size: u32,
    value_size: u32,
    entries: u32,
    flags: u32,
}

/// A hash map of the kernel, or `None` where this process may not make one.
fn kernel_map(entries: u32) -> Option<OwnedFd> {
    const BPF_MAP_CREATE: libc::c_long = 0;
    const BPF_MAP_TYPE_HASH: u32 = 1;
    let create =
        MapCreate { kind: BPF_MAP_TYPE_HASH, key_size: 24, value_size: 24, entries, flags: 0 };
    // SAFETY: the kernel reads the bytes of `create`, whose size is given, and keeps no pointer.
    let fd = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_MAP_CREATE, &raw const create, size_of::<MapCreate>())
    };
    // SAFETY: a number that is not negative is a new descriptor that nobody else owns.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap()) })
}

/// A map of this size with a second handle to play the kernel program's part.
fn maps(entries: u32) -> Option<(XdpMap, KernelMap<MapData, Key, Value>)> {
    let Some(fd) = kernel_map(entries) else {
        eprintln!("skipped: this process may not make kernel maps (needs CAP_BPF)");
        return None;
    };
    assert!(fd.as_raw_fd() >= 0);
    let program =
        KernelMap::try_from(Map::HashMap(MapData::from_fd(fd.try_clone().unwrap()).unwrap()));
    Some((XdpMap::from_fd(fd).unwrap(), program.unwrap()))
}

fn key(source: &str, vids: &[u16]) -> BlockKey {
    let vlan = VlanStack::from_vids(vids).unwrap();
    BlockKey { segment: SegmentId(1), vlan, source: source.parse().unwrap(), tunnel: 0 }
}

fn block(id: u64, key: BlockKey, until: u64) -> TableOrder {
    TableOrder::Block { id: BlockId(id), key, until: Tick(until) }
}

#[test]
fn the_map_is_in_step() {
    let Some((mut map, _)) = maps(8) else { return };
    let (a, b) = (key("192.0.2.1", &[10]), key("2001:db8::/64", &[10, 20]));
    assert_eq!(map.apply(&block(1, a, 100)), Outcome::Done);
    assert_eq!(map.apply(&block(2, b, 200)), Outcome::Done);
    assert_eq!((map.until(&a), map.until(&b)), (Some(Tick(100)), Some(Tick(200))));
    map.apply(&block(1, a, 300));
    assert_eq!(map.until(&a), Some(Tick(300)));
    assert_eq!(map.apply(&TableOrder::Unblock { id: BlockId(1), key: a }), Outcome::Done);
    assert_eq!(map.apply(&TableOrder::Unblock { id: BlockId(1), key: a }), Outcome::Done, "again");
    assert_eq!((map.until(&a), map.len()), (None, 1));
    let tunnel = BlockKey { tunnel: 5, ..a };
    assert_eq!(map.apply(&block(3, tunnel, 9)), Outcome::NotMine);
    assert_eq!(map.apply(&block(3, key("192.0.2.1", &[1, 2, 3]), 9)), Outcome::NotMine);
    assert_eq!(map.apply(&TableOrder::Clear), Outcome::Done);
    assert_eq!((map.until(&b), map.counters().not_mine), (None, 2));
}

#[test]
fn a_full_map_is_counted() {
    let Some((mut map, _)) = maps(1) else { return };
    assert_eq!(map.apply(&block(1, key("192.0.2.1", &[]), 100)), Outcome::Done);
    assert_eq!(map.apply(&block(2, key("192.0.2.2", &[]), 100)), Outcome::Full);
    assert_eq!((map.counters().done, map.counters().full, map.len()), (1, 1, 1));
}

#[test]
fn counts_are_read_back_once() {
    let Some((mut map, mut program)) = maps(8) else { return };
    let a = key("192.0.2.1", &[10]);
    map.apply(&block(1, a, 100));
    let mut stopped = |until, packets, bytes| {
        let value = Value(KernelBlock { until_boot_ns: until, packets, bytes });
        program.insert(Key(a.kernel_key().unwrap()), value, 0).unwrap();
    };
    let read = |map: &mut XdpMap| {
        let mut seen = Vec::new();
        map.collect(&mut |key, packets, bytes| seen.push((key, packets, bytes)));
        seen
    };
    stopped(100, 3, 180);
    assert_eq!(read(&mut map), [(a, 3, 180)]);
    assert_eq!(read(&mut map), []);
    map.apply(&block(1, a, 200));
    stopped(200, 5, 300);
    map.apply(&TableOrder::Unblock { id: BlockId(1), key: a });
    assert_eq!(read(&mut map), [(a, 2, 120)]);
}

#[test]
fn a_map_that_outlived_its_engine_is_brought_in_step() {
    let Some((mut old, _)) = maps(8) else { return };
    let (a, b, c) = (key("192.0.2.1", &[]), key("192.0.2.2", &[]), key("192.0.2.3", &[]));
    for (id, key) in [(1, a), (2, b)] {
        old.apply(&block(id, key, 100));
    }
    old.mine.clear();
    old.resync([block(2, b, 150), block(3, c, 100)].into_iter());
    assert_eq!(
        (old.until(&a), old.until(&b), old.until(&c)),
        (None, Some(Tick(150)), Some(Tick(100)))
    );
    assert_eq!(old.len(), 2);
}

#[test]
fn another_layout_is_refused() {
    let create = MapCreate { kind: 1, key_size: 4, value_size: 8, entries: 1, flags: 0 };
    // SAFETY: as in `kernel_map`.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, 0, &raw const create, size_of::<MapCreate>()) };
    if fd < 0 {
        return;
    }
    // SAFETY: as in `kernel_map`.
    let fd = unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap()) };
    assert!(XdpMap::from_fd(fd).is_err());
}
