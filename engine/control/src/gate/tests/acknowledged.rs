//! What was acknowledged holds: the order of disk and telling, restarts, deaths.

use super::*;

fn blocked(fact: &Fact) -> Option<BlockId> {
    match fact {
        Fact::Book(BookEvent::Blocked(block), _) => Some(block.id),
        _ => None,
    }
}

#[test]
fn nothing_is_told_before_it_is_on_the_disk() {
    let lab = lab();
    for n in 1..=50 {
        let source = format!("192.0.2.{n}");
        lab.words.send(StreetWord::Block(detected(&source, 700))).unwrap();
        let (_, journal) = lab.fact_of(blocked);
        assert!(journal.contains(&format!("\"{source}\"")), "{source} was told too early");
    }
    // An answer waits for the same.
    lab.add("198.51.100.7", &[]);
    let path = lab.handle.config().config.journal_path();
    let journal = std::fs::read(path).unwrap();
    assert!(String::from_utf8_lossy(&journal).contains("198.51.100.7"));
}

#[test]
fn a_killed_engine_comes_back_with_everything_that_was_acknowledged() {
    let mut lab = lab();
    let mut held: Vec<String> = Vec::new();
    for round in 0..8u8 {
        for n in 0..4 {
            let source = format!("192.0.2.{}", round * 4 + n);
            lab.add(&source, &[10]);
            held.push(source);
        }
        let lifted = held.remove(usize::from(round));
        lab.handle.remove_blocks(&peer(), lift(&lifted)).unwrap();
        // Not acknowledged to anybody: may be there or not, and harms nothing.
        lab.words.send(StreetWord::Block(detected("203.0.113.9", 500))).unwrap();
        lab = lab.killed(moment(1, 100 + u64::from(round), 5_000), "");
        let mut sources = lab.sources();
        sources.retain(|s| s != "203.0.113.9");
        held.sort_by_key(|s| s.parse::<std::net::Ipv4Addr>().unwrap());
        assert_eq!(sources, held);
        let map = lab.map.lock().unwrap();
        assert!(held.iter().all(|s| map.contains_key(&key(s, &[10]))), "the map is in step");
        assert!(!map.contains_key(&key(&lifted, &[10])), "what was lifted is not in the map");
        drop(map);
    }
}

#[test]
fn remaining_times_are_right_after_restart_reboot_and_clock_change() {
    let lab = lab();
    lab.add("192.0.2.1", &[10]); // from 100 s to 700 s
    // The same boot, the wall clock set forward by a day.
    let lab = lab.killed(moment(1, 130, 91_430), "");
    let list = lab.handle.list_blocks(BlockFilter::default()).unwrap();
    assert_eq!(list.blocks[0].remaining_seconds, Some(570));
    // Another boot, after 60 s by the wall clock.
    let lab = lab.killed(moment(2, 5, 91_490), "");
    let list = lab.handle.list_blocks(BlockFilter::default()).unwrap();
    let remaining = list.blocks[0].remaining_seconds.unwrap();
    // 60 s since the journal was written last, at 130 s of the first boot.
    assert_eq!(remaining, 510);
    assert_eq!(lab.map.lock().unwrap()[&key("192.0.2.1", &[10])], Tick((5 + 510) * S));
    let orders = lab.taken(0);
    assert!(matches!(orders[..], [TableOrder::Block { until, .. }] if until == Tick(515 * S)));
    // Its time is up while nobody looks.
    lab.set(moment(2, 515, 92_000));
    within(Duration::from_secs(20), || lab.map.lock().unwrap().is_empty());
    assert!(lab.sources().is_empty());
}

#[test]
fn numbers_are_never_used_again() {
    let lab = lab();
    let ids = |lab: &Lab| lab.fact_of(blocked).0;
    lab.add("192.0.2.1", &[]);
    let first = ids(&lab);
    lab.handle.remove_blocks(&peer(), lift("192.0.2.1")).unwrap();
    let lab = lab.killed(moment(1, 110, 5_010), "");
    lab.add("192.0.2.2", &[]);
    assert!(ids(&lab) > first);
}

#[test]
fn stale_entries_of_a_pinned_map_go_and_those_of_the_book_stay() {
    let map = Map::default();
    map.lock().unwrap().insert(key("203.0.113.5", &[]), Tick(900 * S));
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let lab = gate(&dir, moment(1, 100, 5_000), Arc::clone(&map), "");
    assert!(map.lock().unwrap().is_empty());
    lab.add("192.0.2.1", &[10, 20]);
    assert!(map.lock().unwrap().contains_key(&key("192.0.2.1", &[10, 20])));
}

#[test]
fn a_graceful_end_tells_everything() {
    let lab = lab();
    for n in 0..64 {
        lab.words.send(StreetWord::Block(detected(&format!("192.0.2.{n}"), 700))).unwrap();
    }
    lab.handle.stop();
    let told = lab.facts.try_iter().filter(|(fact, _)| blocked(fact).is_some()).count();
    assert_eq!(told, 64);
    assert!(lab.handle.list_blocks(BlockFilter::default()).is_err(), "it has ended");
    let Lab { dir, .. } = lab;
    let again = gate(&dir, moment(1, 100, 5_000), Map::default(), "");
    assert_eq!(again.sources().len(), 64);
}
