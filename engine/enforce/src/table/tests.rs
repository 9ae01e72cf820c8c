#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use super::*;
use portcullis_types::{Addr, BlockKey, Prefix, SegmentId, VlanStack};
use proptest::prelude::*;
use std::collections::HashMap;

fn from(source: &str, vids: &[u16]) -> Whence {
    Whence {
        segment: SegmentId(0),
        vlan: VlanStack::from_vids(vids).unwrap(),
        source: source.parse().unwrap(),
        tunnel: 0,
    }
}

fn key(source: &str, vids: &[u16]) -> BlockKey {
    let source = source.parse().unwrap();
    BlockKey { segment: SegmentId(0), vlan: VlanStack::from_vids(vids).unwrap(), source, tunnel: 0 }
}

fn block(id: u64, key: BlockKey, until: u64) -> TableOrder {
    TableOrder::Block { id: BlockId(id), key, until: Tick(until) }
}

#[test]
fn a_block_holds_in_its_place_and_time() {
    let mut table = WorkerTable::new(8, 8, 1);
    assert!(table.check(&from("192.0.2.1", &[10]), Tick(0)).is_none());
    assert_eq!(table.apply(&block(1, key("192.0.2.1", &[10]), 100)), Applied::Changed);
    for (source, vids, expected) in [
        ("192.0.2.1", &[10][..], true),
        ("192.0.2.1", &[20], false),
        ("192.0.2.1", &[], false),
        ("192.0.2.1", &[10, 20], false),
        ("192.0.2.2", &[10], false),
    ] {
        assert_eq!(table.check(&from(source, vids), Tick(99)).is_some(), expected);
    }
    let elsewhere = Whence { segment: SegmentId(1), ..from("192.0.2.1", &[10]) };
    let in_tunnel = Whence { tunnel: 7, ..from("192.0.2.1", &[10]) };
    assert!(
        table.check(&elsewhere, Tick(0)).is_none() && table.check(&in_tunnel, Tick(0)).is_none()
    );
    assert!(table.check(&from("192.0.2.1", &[10]), Tick(100)).is_none(), "free at `until`");
}

#[test]
fn a_network_of_ipv6_holds_all_its_addresses() {
    let mut table = WorkerTable::new(8, 8, 1);
    table.apply(&block(1, key("2001:db8:0:1::/64", &[]), 100));
    table.apply(&block(2, key("2001:db8:0:1::7", &[]), 10));
    let id =
        |source: &str, now| table.check(&from(source, &[]), Tick(now)).and_then(|h| table.id(h));
    assert_eq!(id("2001:db8:0:1::7", 0), Some(BlockId(2)));
    assert_eq!(
        id("2001:db8:0:1::7", 10),
        Some(BlockId(1)),
        "the host's time is up, the network's not"
    );
    assert_eq!(id("2001:db8:0:1:ffff::", 0), Some(BlockId(1)));
    assert_eq!(id("2001:db8:0:2::7", 0), None);
}

#[test]
fn full_is_counted_and_epochs_rise() {
    let mut table = WorkerTable::new(1, 1, 1);
    let first = block(1, key("192.0.2.1", &[]), 100);
    assert_eq!((table.apply(&first), table.apply(&first)), (Applied::Changed, Applied::Unchanged));
    assert_eq!(table.epoch(), 1);
    assert_eq!(table.apply(&block(2, key("192.0.2.2", &[]), 100)), Applied::Full);
    assert_eq!((table.epoch(), table.counters().full), (1, 1));
    let stale = TableOrder::Unblock { id: BlockId(9), key: key("192.0.2.1", &[]) };
    assert_eq!(table.apply(&stale), Applied::Unchanged, "an order about an older block");
    assert_eq!(table.apply(&TableOrder::Clear), Applied::Changed);
    assert!(table.is_empty() && table.epoch() == 2);
}

#[test]
fn counts_survive_extension_and_removal() {
    let mut table = WorkerTable::new(4, 4, 1);
    let (a, b) = (key("192.0.2.1", &[]), key("192.0.2.2", &[]));
    table.apply(&block(1, a, 100));
    table.apply(&block(2, b, 100));
    let hit = table.check(&from("192.0.2.1", &[]), Tick(1)).unwrap();
    table.count(hit, 60);
    table.apply(&block(1, a, 200));
    table.count(table.check(&from("192.0.2.1", &[]), Tick(150)).unwrap(), 40);
    table.count(table.check(&from("192.0.2.2", &[]), Tick(1)).unwrap(), 7);
    table.apply(&TableOrder::Unblock { id: BlockId(2), key: b });
    let mut drained = Vec::new();
    table.drain(|s| drained.push((s.id.0, s.packets, s.bytes)));
    assert_eq!(drained, [(2, 1, 7), (1, 2, 100)]);
    table.drain(|s| panic!("nothing is left: {s:?}"));
    table.apply(&TableOrder::Unblock { id: BlockId(1), key: a });
    table.count(hit, 1);
    assert_eq!(table.counters().uncounted, 1);
}

#[test]
fn graces_hold_for_their_time() {
    let mut table = WorkerTable::new(4, 1, 1);
    let order = TableOrder::Grace { key: key("2001:db8::/64", &[10]), until: Tick(50) };
    assert_eq!(table.apply(&order), Applied::Changed);
    assert!(table.graced(&from("2001:db8::5", &[10]), Tick(49)));
    assert!(!table.graced(&from("2001:db8::5", &[10]), Tick(50)));
    assert!(!table.graced(&from("2001:db8::5", &[]), Tick(1)));
    let other = TableOrder::Grace { key: key("192.0.2.1", &[]), until: Tick(50) };
    assert_eq!(table.apply(&other), Applied::Full);
    table.apply(&TableOrder::EndGrace { key: key("2001:db8::/64", &[10]) });
    assert!(!table.graced(&from("2001:db8::5", &[10]), Tick(1)));
}

/// Few values, so that keys meet; many keys for a small table, so that slots collide.
fn any_key() -> impl Strategy<Value = BlockKey> {
    let source = prop_oneof![
        (0u8..40).prop_map(|n| Prefix::host(Addr::v4([10, 0, 0, n]))),
        (0u8..4, 0u8..4, prop::sample::select(vec![64u8, 128])).prop_map(|(net, host, len)| {
            let mut b = [0u8; 16];
            (b[0], b[7], b[15]) = (0x20, net, host);
            Prefix::of(Addr::v6(b), len)
        }),
    ];
    (source, prop::sample::select(vec![&[][..], &[10], &[10, 20]]), 0u16..2, 0u32..2).prop_map(
        |(source, vids, segment, tunnel)| BlockKey {
            segment: SegmentId(segment),
            vlan: VlanStack::from_vids(vids).unwrap(),
            source,
            tunnel,
        },
    )
}

#[derive(Clone, Debug)]
enum Step {
    Block(BlockKey, u64),
    Unblock(BlockKey),
    Check(BlockKey, u64),
    Clear,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any_key(), 0u64..100).prop_map(|(k, t)| Step::Block(k, t)),
        6 => any_key().prop_map(Step::Unblock),
        8 => (any_key(), 0u64..100).prop_map(|(k, t)| Step::Check(k, t)),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    #[test]
    fn as_the_plain_map(steps in prop::collection::vec(any_step(), 0..400), seed: u64) {
        const CAPACITY: usize = 24;
        let mut table = WorkerTable::new(CAPACITY, 1, seed);
        let mut model: HashMap<BlockKey, (u64, u64)> = HashMap::new();
        let mut stopped: HashMap<u64, u64> = HashMap::new();
        let mut seen: HashMap<u64, u64> = HashMap::new();
        for (id, step) in steps.into_iter().enumerate() {
            let id = id as u64;
            match step {
                Step::Block(key, until) => {
                    let known = model.contains_key(&key);
                    let applied = table.apply(&block(id, key, until));
                    if known || model.len() < CAPACITY {
                        prop_assert_eq!(applied, Applied::Changed);
                        model.insert(key, (id, until));
                    } else {
                        prop_assert_eq!(applied, Applied::Full);
                    }
                }
                Step::Unblock(key) => {
                    let id = model.remove(&key).map_or(u64::MAX, |(id, _)| id);
                    table.apply(&TableOrder::Unblock { id: BlockId(id), key });
                }
                Step::Check(key, now) => {
                    let from = Whence { segment: key.segment, vlan: key.vlan,
                        source: key.source.addr(), tunnel: key.tunnel };
                    let expected = model.iter()
                        .filter(|(k, (_, until))| k.holds(&from) && now < *until)
                        .max_by_key(|(k, _)| k.source.len())
                        .map(|(_, (id, _))| *id);
                    let hit = table.check(&from, Tick(now));
                    prop_assert_eq!(hit.and_then(|h| table.id(h)).map(|id| id.0), expected);
                    if let Some(hit) = hit {
                        table.count(hit, 1);
                        *stopped.entry(expected.unwrap()).or_default() += 1;
                    }
                }
                Step::Clear => {
                    table.apply(&TableOrder::Clear);
                    model.clear();
                }
            }
            prop_assert_eq!(table.len(), model.len());
            if id.is_multiple_of(7) {
                table.drain(|s| *seen.entry(s.id.0).or_default() += s.packets);
            }
        }
        table.drain(|s| *seen.entry(s.id.0).or_default() += s.packets);
        let lost = table.counters().uncounted;
        prop_assert_eq!(seen.values().sum::<u64>() + lost, stopped.values().sum::<u64>());
        if lost == 0 {
            prop_assert_eq!(seen, stopped);
        }
    }
}
