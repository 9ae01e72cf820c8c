//! The journal as a whole: reopening, compaction, reboot, damage, the thread.

#![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

use super::*;
use portcullis_types::{
    BlockKey, BlockOrder, Cause, Class, Origin, Prefix, RuleId, SegmentId, Tick, VlanStack,
};
use std::sync::mpsc;

const S: u64 = 1_000_000_000;

fn at(boot: u128, tick_s: u64, wall_s: u64) -> Moment {
    Moment { tick: Tick(tick_s * S), wall_ns: wall_s * S, boot: BootId(boot) }
}

fn order(n: u8, until_s: u64) -> BlockOrder {
    BlockOrder {
        key: BlockKey {
            segment: SegmentId(1),
            vlan: VlanStack::from_vids(&[10, 20]).unwrap(),
            source: format!("192.0.2.{n}").parse::<Prefix>().unwrap(),
            tunnel: 7,
        },
        since: Tick(50 * S),
        until: Tick(until_s * S),
        cause: Cause {
            origin: Origin::Detector("port-scan".into()),
            class: Some(Class::Suspicious),
            rule: Some(RuleId { gid: 1001, sid: 3, rev: 2 }),
            message: "SYN scan".into(),
            target: Some("10.0.0.1".parse().unwrap()),
            flow_id: 99,
        },
    }
}

fn block(n: u8, until_s: u64) -> Order {
    Order::Block(BlockRecord::of(&order(n, until_s), "lab"))
}

fn place(n: u8) -> PlaceRecord {
    PlaceRecord::of(&order(n, 0).key, "lab")
}

fn open(dir: &tempfile::TempDir, now: &Moment) -> (Journal, Recovery) {
    Journal::open(&dir.path().join("blocks.journal"), COMPACT_AFTER_BYTES, now).unwrap()
}

#[test]
fn an_order_comes_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let now = at(1, 100, 5000);
    let (mut journal, recovery) = open(&dir, &now);
    assert!(recovery.live.is_empty());
    assert_eq!(journal.append(&now, &[block(1, 160), block(2, 170)]).unwrap(), 2);
    assert_eq!(journal.sync(&now).unwrap(), 2);
    drop(journal);
    let (_journal, recovery) = open(&dir, &at(1, 110, 5010));
    let names = |name: &str| (name == "lab").then_some(SegmentId(1));
    let orders: Vec<BlockOrder> = recovery.live.blocks().map(|b| b.order(names).unwrap()).collect();
    assert_eq!(orders, [order(1, 160), order(2, 170)]);
    assert_eq!(recovery.report, ReadReport { frames: 2, ..ReadReport::default() });
    let gone = recovery.live.blocks().next().unwrap().order(|_| None);
    assert_eq!(gone, None, "its segment is gone");
}

#[test]
fn later_orders_win() {
    let dir = tempfile::tempdir().unwrap();
    let now = at(1, 100, 5000);
    let (mut journal, _) = open(&dir, &now);
    let row = || "192.0.2.0/24 do-not-block".to_owned();
    let orders = [
        block(1, 160),
        block(2, 160),
        block(3, 160),
        Order::Unblock { place: place(1) },
        Order::Until { place: place(2), until: 500 * S },
        Order::Until { place: place(9), until: 500 * S },
        Order::Grace { place: place(1), until: 300 * S },
        Order::ExclusionAdded { row: row() },
        Order::ExclusionAdded { row: "198.51.100.7 do-not-scan".into() },
        Order::ExclusionRemoved { row: row() },
        Order::Mode { segment: "lab".into(), mode: "monitor".into() },
        Order::Mode { segment: "lab".into(), mode: "prevent".into() },
    ];
    journal.append(&now, &orders).unwrap();
    journal.sync(&now).unwrap();
    drop(journal);
    let (journal, recovery) = open(&dir, &at(1, 170, 5070));
    let live = recovery.live;
    let blocks: Vec<(&str, u64)> =
        live.blocks().map(|b| (b.place.source.as_str(), b.until / S)).collect();
    assert_eq!(blocks, [("192.0.2.2", 500)], "1 was lifted, 3 is over");
    assert_eq!(live.graces().collect::<Vec<_>>(), [(&place(1), 300 * S)]);
    assert_eq!(live.exclusions(), ["198.51.100.7 do-not-scan"]);
    assert_eq!(live.mode("lab"), Some("prevent"));
    assert_eq!(journal.live(), &live);
}

#[test]
fn remaining_times_survive_reboots_and_clock_changes() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(&dir, &at(1, 100, 5000));
    journal.append(&at(1, 100, 5000), &[block(1, 160)]).unwrap();
    journal.sync(&at(1, 100, 5000)).unwrap();
    drop(journal);
    // Restarted within the boot, after somebody set the wall clock forward by a day.
    let (journal, recovery) = open(&dir, &at(1, 120, 91_400));
    assert_eq!(recovery.live.block(&place(1)).unwrap().until, 160 * S);
    drop(journal);
    // Rebooted: 40 s remained, the wall clock says that 15 s have passed.
    let (journal, recovery) = open(&dir, &at(2, 5, 91_415));
    assert_eq!(recovery.live.block(&place(1)).unwrap().until, 30 * S);
    drop(journal);
    // Rebooted again, with the clock set back: no more than the 25 s that remained.
    let (journal, recovery) = open(&dir, &at(3, 2, 10));
    assert_eq!(recovery.live.block(&place(1)).unwrap().until, 27 * S);
    drop(journal);
    let (_journal, recovery) = open(&dir, &at(3, 27, 35));
    assert!(recovery.live.is_empty(), "until is exclusive");
}

#[test]
fn a_grown_journal_is_compacted_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let now = at(1, 100, 5000);
    let path = dir.path().join("blocks.journal");
    let (mut journal, _) = Journal::open(&path, 4096, &now).unwrap();
    for n in 0..200u8 {
        journal.append(&now, &[block(n, 160)]).unwrap();
        if n % 2 == 0 {
            journal.append(&now, &[Order::Unblock { place: place(n) }]).unwrap();
        }
        journal.sync(&now).unwrap();
    }
    assert!(journal.compactions() > 0);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), journal.bytes());
    drop(journal);
    let (_journal, recovery) = Journal::open(&path, 4096, &now).unwrap();
    assert_eq!(recovery.live.len(), 100);
    assert!(!recovery.report.is_damaged() && recovery.report.torn_bytes == 0);
}

#[test]
fn damage_is_kept_and_torn_tails_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("blocks.journal");
    let now = at(1, 100, 5000);
    let (mut journal, _) = open(&dir, &now);
    journal.append(&now, &[block(1, 160), block(2, 160), block(3, 160)]).unwrap();
    journal.sync(&now).unwrap();
    drop(journal);
    let mut bytes = std::fs::read(&path).unwrap();
    let whole = bytes.clone();
    bytes.extend_from_slice(&whole[..50]);
    std::fs::write(&path, &bytes).unwrap();
    let (journal, recovery) = open(&dir, &now);
    assert_eq!((recovery.live.len(), recovery.report.torn_bytes, recovery.kept), (3, 50, None));
    assert_eq!(std::fs::read(&path).unwrap(), whole, "the tail is cut");
    drop(journal);
    let middle = whole.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (_journal, recovery) = open(&dir, &now);
    assert_eq!(recovery.live.len(), 2);
    assert_eq!(std::fs::read(recovery.kept.unwrap()).unwrap(), bytes);
}

#[test]
fn a_second_engine_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let now = at(1, 100, 5000);
    let (first, _) = open(&dir, &now);
    let e = Journal::open(&dir.path().join("blocks.journal"), 4096, &now).unwrap_err();
    assert!(e.to_string().contains("another engine"), "{e}");
    drop(first);
    open(&dir, &now);
}

#[test]
fn an_order_that_is_too_long_is_refused_alone() {
    let dir = tempfile::tempdir().unwrap();
    let now = at(1, 100, 5000);
    let (mut journal, _) = open(&dir, &now);
    let row = "x".repeat(20_000);
    assert!(journal.append(&now, &[Order::ExclusionAdded { row }]).is_err());
    journal.append(&now, &[block(1, 160)]).unwrap();
    journal.sync(&now).unwrap();
    drop(journal);
    assert_eq!(open(&dir, &now).1.live.len(), 1);
}

#[test]
fn the_thread_acknowledges_what_is_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("blocks.journal");
    let now = at(1, 100, 5000);
    let writer = JournalWriter::start(open(&dir, &now).0).unwrap();
    let (acks, acked) = mpsc::channel();
    for n in 0..250u8 {
        let (acks, path) = (acks.clone(), path.clone());
        let on_durable: OnDurable = Box::new(move |held| {
            let found = read_frames(&std::fs::read(path).unwrap()).0;
            let here = found.iter().any(|e| e.order == block(n, 160));
            acks.send((n, held.is_ok(), here)).unwrap();
        });
        writer.submit(now, vec![block(n, 160)], on_durable).unwrap();
    }
    drop(acks);
    let all: Vec<(u8, bool, bool)> = acked.iter().collect();
    assert_eq!(all, (0..250).map(|n| (n, true, true)).collect::<Vec<_>>());
    let counters = std::sync::Arc::clone(writer.counters());
    let journal = writer.close().unwrap();
    assert_eq!(journal.live().len(), 250);
    let flushes = counters.flushes.load(std::sync::atomic::Ordering::Relaxed);
    assert!((1..=250).contains(&flushes));
}
