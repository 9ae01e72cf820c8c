#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use super::*;
use crate::{Applied, WorkerTable};
use portcullis_types::{Addr, Cause, Class, RuleId, SegmentId, VlanStack};
use proptest::prelude::*;
use std::sync::Arc;

const SECOND: u64 = 1_000_000_000;

fn at(seconds: u64) -> Tick {
    Tick(seconds * SECOND)
}

fn key(source: &str) -> BlockKey {
    let vlan = VlanStack::from_vids(&[10]).unwrap();
    BlockKey { segment: SegmentId(0), vlan, source: source.parse().unwrap(), tunnel: 0 }
}

fn order(key: BlockKey, origin: Origin, since: u64, seconds: u64) -> BlockOrder {
    let cause = Cause {
        origin,
        class: Some(Class::Attack),
        rule: Some(RuleId { gid: 1, sid: 2, rev: 3 }),
        message: "an attack".into(),
        target: None,
        flow_id: 0,
    };
    BlockOrder { key, since: at(since), until: at(since + seconds), cause }
}

fn detected(source: &str, since: u64, seconds: u64) -> BlockOrder {
    order(key(source), Origin::Detector("d".into()), since, seconds)
}

fn by_hand(source: &str, since: u64, seconds: u64) -> BlockOrder {
    order(key(source), Origin::Operator("ann".into()), since, seconds)
}

const NONE: &dyn Fn(&BlockKey) -> bool = &|_| false;

fn book() -> (Book, Outbox) {
    (Book::new(BookConfig::default()), Outbox::default())
}

fn from(source: &str) -> Whence {
    whence(&key(source))
}

fn reasons(out: &Outbox) -> Vec<Unblocked> {
    let reason = |e: &BookEvent| match e {
        BookEvent::Unblocked { reason, .. } => Some(*reason),
        _ => None,
    };
    out.events.iter().filter_map(reason).collect()
}

#[test]
fn a_block_begins_grows_and_ends() {
    let (mut book, mut out) = book();
    let id = book.block(detected("192.0.2.1", 0, 60), NONE, &mut out).unwrap();
    assert!(book.stops(&from("192.0.2.1"), Tick(60 * SECOND - 1)));
    assert!(!book.stops(&from("192.0.2.1"), at(60)));
    assert_eq!(
        book.block(detected("192.0.2.1", 10, 20), NONE, &mut out),
        Ok(id),
        "nothing shorter"
    );
    assert_eq!(book.show(id).unwrap().until, at(60));
    assert_eq!(book.block(detected("192.0.2.1", 10, 60), NONE, &mut out), Ok(id));
    assert_eq!((book.show(id).unwrap().until, book.next_due()), (at(70), Some(at(70))));
    assert_eq!(
        out.orders.last(),
        Some(&TableOrder::Block { id, key: key("192.0.2.1"), until: at(70) })
    );
    book.count(id, 3, 180);
    out = Outbox::default();
    assert_eq!(book.expire(Tick(70 * SECOND - 1), 9, &mut out), 0);
    assert_eq!(book.expire(at(70), 9, &mut out), 1);
    assert_eq!(reasons(&out), [Unblocked::Expired]);
    assert!(matches!(&out.events[0], BookEvent::Unblocked { block, .. } if block.packets == 3));
    assert_eq!(out.orders, [TableOrder::Unblock { id, key: key("192.0.2.1") }]);
    assert!(book.is_empty());
}

#[test]
fn shapes_and_times_are_checked() {
    let (mut book, mut out) = book();
    for source in ["192.0.2.0/24", "2001:db8::/32", "2001:db8::/96"] {
        assert_eq!(book.block(by_hand(source, 0, 9), NONE, &mut out), Err(Refusal::Prefix));
    }
    assert_eq!(book.block(detected("192.0.2.1", 5, 0), NONE, &mut out), Err(Refusal::Past));
    assert!(book.block(by_hand("2001:db8::/64", 0, 9), NONE, &mut out).is_ok());
    assert_eq!(book.counters().refused_other, 4);
}

#[test]
fn at_the_limit() {
    let config = BookConfig { capacity: 2, ..BookConfig::default() };
    let (mut book, mut out) = (Book::new(config.clone()), Outbox::default());
    book.block(by_hand("192.0.2.1", 0, 10), NONE, &mut out).unwrap();
    book.block(detected("192.0.2.2", 0, 20), NONE, &mut out).unwrap();
    assert_eq!(book.block(detected("192.0.2.3", 0, 20), NONE, &mut out), Err(Refusal::Full));
    book.block(detected("192.0.2.3", 0, 30), NONE, &mut out).unwrap();
    assert_eq!(reasons(&out), [Unblocked::Displaced], "by hand is never displaced");
    book.block(detected("192.0.2.4", 15, 5), NONE, &mut out).unwrap();
    assert_eq!(reasons(&out)[1], Unblocked::Expired, "room by time");
    let strict = BookConfig { at_limit: AtLimit::Refuse, ..config };
    book.reconfigure(strict);
    assert_eq!(book.block(detected("192.0.2.9", 15, 99), NONE, &mut out), Err(Refusal::Full));
    let c = book.counters();
    assert_eq!((c.displaced, c.refused_full), (1, 2));
    assert!(matches!(out.events.last(), Some(BookEvent::Refused { why: Refusal::Full, .. })));
}

#[test]
fn repeaters_are_blocked_for_longer() {
    let escalation = Escalation { factors: vec![1, 4, 24], memory: Duration::from_secs(1000) };
    let config =
        BookConfig { escalation, block_for_max: Duration::from_secs(2000), ..Default::default() };
    let (mut book, mut out) = (Book::new(config), Outbox::default());
    let mut lengths = Vec::new();
    let mut now = 0;
    for pause in [10, 10, 10, 10, 2000] {
        let id = book.block(detected("192.0.2.1", now, 60), NONE, &mut out).unwrap();
        let length = book.show(id).unwrap().until.since(at(now)).as_secs();
        lengths.push(length);
        now += length;
        book.expire(at(now), 9, &mut out);
        now += pause;
        book.expire(at(now), 9, &mut out);
    }
    lengths.push(
        book.block(detected("192.0.2.1", now, 60), NONE, &mut out)
            .map(|id| book.show(id).unwrap().until.since(at(now)).as_secs())
            .unwrap(),
    );
    assert_eq!(lengths, [60, 240, 1440, 1440, 1440, 60]);
    // Lifting a block forgets its offence.
    book.unblock(book.covering(&key("192.0.2.1")).unwrap(), at(now), &mut out).unwrap();
    let id = book.block(detected("192.0.2.1", now, 60), NONE, &mut out).unwrap();
    assert_eq!(book.show(id).unwrap().factor, 1);
    // By hand, a duration is what was written.
    book.unblock(id, at(now), &mut out).unwrap();
    let id = book.block(by_hand("192.0.2.1", now, 60), NONE, &mut out).unwrap();
    assert_eq!(book.show(id).unwrap().remaining(at(now)).as_secs(), 60);
}

#[test]
fn hosts_of_a_network_raise_it() {
    let config = BookConfig { raise_at: 3, ..Default::default() };
    let (mut book, mut out) = (Book::new(config), Outbox::default());
    let host = |n: u64| format!("2001:db8:0:1::{n:x}");
    let spared: &dyn Fn(&BlockKey) -> bool = &|k| k.source == "2001:db8:0:1::/64".parse().unwrap();
    for n in 1..=4 {
        book.block(detected(&host(n), n, 60), spared, &mut out).unwrap();
    }
    assert_eq!((book.len(), book.counters().raised), (4, 0), "a spared network stays free");
    let first = book.covering(&key(&host(1))).unwrap();
    book.count(first, 5, 500);
    let id = book.block(detected(&host(5), 5, 100), NONE, &mut out).unwrap();
    let raised = book.show(id).unwrap();
    assert_eq!(raised.key, key("2001:db8:0:1::/64"));
    assert_eq!((raised.until, &raised.cause.origin, raised.packets), (at(105), &Origin::Raised, 5));
    assert_eq!(book.len(), 1);
    assert_eq!(reasons(&out), [Unblocked::Covered; 5]);
    assert!(book.stops(&from("2001:db8:0:1:ffff::1"), at(104)));
    assert!(!book.stops(&from("2001:db8:0:2::1"), at(104)));
    // A further host extends the network's block.
    assert_eq!(book.block(detected(&host(9), 50, 100), NONE, &mut out), Ok(id));
    assert_eq!((book.show(id).unwrap().until, book.len()), (at(150), 1));
}

#[test]
fn a_grace_keeps_detectors_off() {
    let (mut book, mut out) = book();
    let id = book.block(detected("192.0.2.1", 0, 60), NONE, &mut out).unwrap();
    book.unblock_with_grace(id, Duration::from_secs(300), at(10), &mut out).unwrap();
    assert_eq!(reasons(&out), [Unblocked::Operator]);
    assert!(!book.stops(&from("192.0.2.1"), at(10)) && book.graced(&from("192.0.2.1"), at(309)));
    assert_eq!(book.block(detected("192.0.2.1", 20, 60), NONE, &mut out), Err(Refusal::Grace));
    assert!(book.block(detected("192.0.2.2", 20, 60), NONE, &mut out).is_ok());
    assert!(
        book.block(detected("192.0.2.1", 310, 60), NONE, &mut out).is_ok(),
        "it ends by itself"
    );
    let id = book.covering(&key("192.0.2.1")).unwrap();
    book.unblock_with_grace(id, Duration::from_secs(300), at(320), &mut out).unwrap();
    book.block(by_hand("192.0.2.1", 330, 60), NONE, &mut out).unwrap();
    assert_eq!(book.graces().count(), 0, "an operator's block ends it");
    assert_eq!(book.unblock(BlockId(99), at(0), &mut out), Err(BookError::NoSuchBlock));
}

#[test]
fn operators_move_ends_clear_and_free() {
    let (mut book, mut out) = book();
    let a = book.block(detected("192.0.2.1", 0, 60), NONE, &mut out).unwrap();
    let b = book.block(by_hand("192.0.2.2", 0, 60), NONE, &mut out).unwrap();
    assert_eq!(book.extend(a, Duration::from_secs(40), at(1), &mut out), Ok(at(100)));
    assert_eq!(book.shorten(a, Duration::from_secs(50), at(1), &mut out), Ok(at(50)));
    book.shorten(b, Duration::from_secs(60), at(1), &mut out).unwrap();
    assert!(book.show(b).is_none(), "an end that has come ends the block");
    book.block(detected("198.51.100.7", 0, 60), NONE, &mut out).unwrap();
    let filter = BlockFilter {
        source: "198.51.100.0/24".parse().ok(),
        by: Some("d".into()),
        ..Default::default()
    };
    assert_eq!(book.list(&filter).count(), 1);
    assert_eq!(book.clear(&filter, at(2), &mut out), 1);
    out = Outbox::default();
    assert_eq!(book.free(&|b| b.key == key("192.0.2.1"), at(3), &mut out), 1);
    assert_eq!((reasons(&out), book.len()), (vec![Unblocked::Exclusion], 0));
}

#[derive(Clone, Debug)]
enum Step {
    Block { host: u8, v6: u8, hand: u8, seconds: u64 },
    Unblock(u64),
    Grace(u64, u64),
    Extend(u64, u64),
    Shorten(u64, u64),
    Free(u8),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u8..12, 0u8..2, 0u8..4, 1u64..50)
            .prop_map(|(host, v6, hand, seconds)| Step::Block { host, v6, hand, seconds }),
        2 => (0u64..40).prop_map(Step::Unblock),
        2 => (0u64..40, 1u64..40).prop_map(|(id, s)| Step::Grace(id, s)),
        1 => (0u64..40, 1u64..40).prop_map(|(id, s)| Step::Extend(id, s)),
        1 => (0u64..40, 1u64..40).prop_map(|(id, s)| Step::Shorten(id, s)),
        1 => (0u8..12).prop_map(Step::Free),
        6 => (0u64..30).prop_map(Step::Wait),
    ]
}

fn host(host: u8, v6: u8) -> BlockKey {
    let source = match v6 {
        0 => Addr::v4([192, 0, 2, host]),
        _ => {
            let mut b = [0u8; 16];
            (b[0], b[7], b[15]) = (0x20, host / 6, host);
            Addr::v6(b)
        }
    };
    BlockKey { source: Prefix::host(source), ..key("192.0.2.1") }
}

fn step(book: &mut Book, step: &Step, now: &mut u64, out: &mut Outbox) {
    let id = |n: u64| BlockId(n);
    match *step {
        Step::Block { host: h, v6, hand, seconds } => {
            let origin = if hand == 0 { by_hand("::1", 0, 1) } else { detected("::1", 0, 1) };
            let _ = book.block(order(host(h, v6), origin.cause.origin, *now, seconds), NONE, out);
        }
        Step::Unblock(n) => {
            let _ = book.unblock(id(n), at(*now), out);
        }
        Step::Grace(n, s) => {
            let _ = book.unblock_with_grace(id(n), Duration::from_secs(s), at(*now), out);
        }
        Step::Extend(n, s) => {
            let _ = book.extend(id(n), Duration::from_secs(s), at(*now), out);
        }
        Step::Shorten(n, s) => {
            let _ = book.shorten(id(n), Duration::from_secs(s), at(*now), out);
        }
        Step::Free(h) => {
            book.free(&|b| b.key.source == host(h, 0).source, at(*now), out);
        }
        Step::Wait(s) => {
            *now += s;
            book.expire(at(*now), 3, out);
        }
    }
}

proptest! {
    /// The tables are in step, the journal makes the same book again, and every block of a detector
    /// is found until its end and not at it.
    #[test]
    fn tables_and_journal_agree_with_the_book(steps in prop::collection::vec(any_step(), 0..150)) {
        let escalation = Escalation { factors: vec![1, 2, 3], memory: Duration::from_secs(20) };
        let config =
            BookConfig { capacity: 10, graces: 4, raise_at: 3, escalation, ..Default::default() };
        let (mut book, mut now) = (Book::new(config.clone()), 0);
        let mut table = WorkerTable::new(config.capacity, config.graces, 7);
        let mut replayed = Book::new(config.clone());
        for s in &steps {
            let mut out = Outbox::default();
            step(&mut book, s, &mut now, &mut out);
            for order in &out.orders {
                prop_assert_ne!(table.apply(order), Applied::Full);
            }
            for entry in out.journal {
                replayed.restore(entry);
            }
            prop_assert!(book.len() <= config.capacity);
            prop_assert_eq!(table.len(), book.len());
            for moment in [at(now), Tick(at(now).0.saturating_sub(1)), at(now + 7)] {
                for h in 0..12 {
                    for v6 in 0..2 {
                        let from = whence(&host(h, v6));
                        let stops = table.check(&from, moment).is_some();
                        prop_assert_eq!(stops, book.stops(&from, moment));
                        let graced = table.graced(&from, moment);
                        prop_assert_eq!(graced, book.graced(&from, moment));
                    }
                }
            }
        }
        prop_assert_eq!(replayed.snapshot(), book.snapshot());
        let mut restored = Book::new(config);
        book.snapshot().into_iter().for_each(|e| restored.restore(e));
        prop_assert_eq!(restored.snapshot(), book.snapshot());
        prop_assert!(restored.orders().eq(book.orders()));
        let ids: std::collections::HashSet<_> =
            book.list(&BlockFilter::default()).map(|b| b.id).collect();
        prop_assert_eq!(ids.len(), book.len());
    }
}

#[test]
fn names_are_shared_not_copied() {
    let (mut book, mut out) = book();
    let name: Arc<str> = "d".into();
    book.block(order(key("192.0.2.1"), Origin::Detector(name.clone()), 0, 1), NONE, &mut out)
        .unwrap();
    assert!(Arc::strong_count(&name) > 1);
}
