//! `kill -9` at random moments: every order that a child process acknowledged is read back.

#![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

use portcullis_control::journal::{BootId, Journal, JournalWriter, Moment, Order, PlaceRecord};
use portcullis_types::Tick;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const DIRECTORY: &str = "PORTCULLIS_JOURNAL_TEST_DIR";
const ROUNDS: u32 = 25;

fn now() -> Moment {
    Moment { tick: Tick(1), wall_ns: 1, boot: BootId(1) }
}

fn open(dir: &Path) -> (Journal, portcullis_control::journal::Recovery) {
    // Small, so that many rounds die in the midst of a compaction.
    Journal::open(&dir.join("blocks.journal"), 20_000, &now()).unwrap()
}

fn place(n: u64) -> PlaceRecord {
    PlaceRecord { segment: "lab".into(), vlan: vec![10], source: n.to_string(), tunnel: 0 }
}

/// Not a test: the child. It orders without end and prints each number once it is acknowledged; odd
/// numbers replace an order that is there already, so that compaction has something to drop.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let (journal, recovery) = open(Path::new(&dir));
    let first = recovery.live.graces().map(|(p, _)| p.source.parse::<u64>().unwrap() + 2).max();
    let writer = JournalWriter::start(journal).unwrap();
    for n in first.unwrap_or(1)..u64::MAX {
        let mut orders = vec![Order::Grace { place: place(n), until: u64::MAX }];
        if n % 2 == 1 {
            orders.push(Order::Mode { segment: "last".into(), mode: n.to_string() });
        }
        let acknowledge = Box::new(move |held: Result<u64, &std::io::Error>| {
            held.unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "ack {n}").unwrap();
            out.flush().unwrap();
        });
        while writer.submit(now(), orders.clone(), acknowledge.clone()).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
        if n % 16 == 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

#[test]
fn every_acknowledged_order_survives_kill_nine() {
    let dir = tempfile::tempdir().unwrap();
    let mut total = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(DIRECTORY, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            out.lines()
                .map_while(Result::ok)
                .filter_map(|line| line.rsplit_once("ack ").and_then(|(_, n)| n.parse().ok()))
                .collect::<Vec<u64>>()
        });
        std::thread::sleep(Duration::from_millis(u64::from(40 + round * 7 % 60)));
        child.kill().unwrap();
        child.wait().unwrap();
        let acknowledged = reader.join().unwrap();
        total += acknowledged.len();
        let (_journal, recovery) = open(dir.path());
        assert_eq!(recovery.report.damaged_bytes, 0, "round {round}");
        for n in &acknowledged {
            let held = recovery.live.graces().any(|(p, _)| p.source == n.to_string());
            assert!(held, "round {round}: order {n} was acknowledged and is gone");
        }
        let last = recovery.live.mode("last").map_or(0, |n| n.parse::<u64>().unwrap());
        let odd = acknowledged.iter().filter(|n| *n % 2 == 1).max().copied().unwrap_or(0);
        assert!(last >= odd, "round {round}: {last} < {odd}");
    }
    assert!(total > 100, "the children acknowledged {total} orders in all: too slow to mean much");
}
