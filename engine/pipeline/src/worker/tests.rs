//! Whole workers over frames in memory: what holds for a burst by the time that it is disposed of.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use super::*;
use crate::orders::{Lines, Post};
use crate::{LaneParts, Report, Snapshot};
use arc_swap::ArcSwap;
use crossbeam::channel::{Receiver, bounded};
use portcullis_capture::backend::memory::{Ending, MemorySource, Shape};
use portcullis_detect::{FlowHost, Grants, HostLimits, LoadLimits, Loader};
use portcullis_enforce::{BlockId, TableOrder, WorkerTable};
use portcullis_flow::{FlowConfig, FlowTable, HashKey, PROOF_WINDOW, ProvenSources, Size};
use portcullis_types::{Addr, BlockKey, PluginId, Prefix, VlanStack};
use portcullis_verdict::{Breaker, ClassPolicy, Judge, Policy, SegmentPolicy};
use portcullis_wire::build::Craft;
use portcullis_wire::{Checks, RejectSet};

const SEED: [u8; 16] = [7; 16];
const SEGMENT: SegmentId = SegmentId(0);
const LONG: Tick = Tick(3_600_000_000_000);

/// Finds something in every datagram to port 139.
const MANIFEST: &str = r#"
name = "finder"
vendor = "Nobody"
version = "1"
abi = 1
classes = ["attack"]
scope = "flow"
events = ["packet"]
protocols = ["udp"]
ports = [139]
gid = 900
sids = [1, 9]
max_action = "terminate-and-block"
[[rule]]
sid = 1
rev = 1
message = "something"
class = "attack"
category = "test"
severity = "high"
confidence = "high"
action = "terminate-and-block"
reach = "packet"
offender = "source"
target = "destination"
"#;
const SKELETON: &str = include_str!("../../../../tests/hostile/skeleton.wat");
const JUDGE: &str = "(func $judge (param $event i32) (param $at i32)
    (call $say (local.get $event) (i32.const 1)))";

fn finder() -> Vec<u8> {
    let name = b"portcullis.manifest";
    let body = [&[19][..], name, MANIFEST.as_bytes()].concat();
    let length = u16::try_from(body.len()).unwrap();
    // LEB128 in two bytes: the section is between 128 bytes and 16 KiB.
    let length = [length.to_le_bytes()[0] | 0x80, (length >> 7).to_le_bytes()[0]];
    let wasm = wat::parse_str(SKELETON.replace(";; JUDGE", JUDGE)).unwrap();
    [&wasm[..], &[0], &length, &body].concat()
}

/// A moment that does not pass.
struct Stopped(Tick);

impl Clock for Stopped {
    fn now(&self) -> Tick {
        self.0
    }
}

type InMemory = Worker<MemorySource, Stopped>;

/// The workers of one segment, the letter boxes by which they take orders, and what they say.
struct Street {
    workers: Vec<InMemory>,
    boxes: Vec<PostBox>,
    words: Receiver<StreetWord>,
    reports: Receiver<Report>,
}

impl Street {
    fn new(workers: usize) -> Street {
        let policy = Policy {
            segments: vec![SegmentPolicy {
                id: SEGMENT,
                name: "lan".into(),
                mode: Mode::Prevent,
                protected: Vec::new(),
            }],
            // Datagrams prove nobody; here it is about when a block holds, not about whom.
            attacks: ClassPolicy { block_unproven: true, ..ClassPolicy::default() },
            ..Policy::default()
        };
        let snapshot = Snapshot {
            generation: 1,
            policy: Arc::new(policy),
            checks: Checks::NONE,
            drop_rejects: RejectSet::EMPTY,
            inside: Vec::new(),
            on_fault: crate::OnFault::Open,
            detectors: vec!["finder".into()],
        };
        let ((to_book, words), (to_writer, reports)) = (bounded(64), bounded(4_096));
        let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
        let lines = Lines { words: to_book, reports: to_writer, snapshot };
        let proven = Arc::new(ProvenSources::new(1_024, PROOF_WINDOW, SEED));
        let plugin = Loader::new(LoadLimits::default()).unwrap();
        let plugin = plugin.load(&finder(), &Grants::standard()).unwrap();
        let breaker = Arc::new(Breaker::new());
        let key = Arc::new(HashKey::from_seed(SEED));
        let mut street = Street { workers: Vec::new(), boxes: Vec::new(), words, reports };
        for (number, peers) in Peers::mesh(workers, &key).into_iter().enumerate() {
            let post = PostBox::new(Post::Worker(number));
            let limits = HostLimits { flows: 1_024, segments: 1, ..HostLimits::default() };
            let mut detectors = FlowHost::new(limits);
            detectors.install(PluginId(0), plugin.warm().unwrap()).unwrap();
            let lane = Lane::new(LaneParts {
                segment: SEGMENT,
                flows: FlowTable::new(FlowConfig::with_size(Size::Flows(1_024), SEED)),
                detectors,
                host_interests: Default::default(),
                blocks: WorkerTable::new(64, 64, 1),
                judge: Judge::new(Arc::clone(&breaker)),
                proven: Arc::clone(&proven),
                snapshot: lines.snapshot.load_full(),
                fragments: None,
                reading: None,
                counters: Arc::clone(&post.counters),
            });
            let outlet =
                LiveOutlet::new(lines.clone(), Vec::new(), Default::default(), proven.clone());
            street.boxes.push(post.clone());
            street.workers.push(Worker::new(WorkerParts {
                segment: SEGMENT,
                lane,
                source: MemorySource::new(Shape::Pair, Ending::Wait),
                clock: Stopped(Tick(1_000_000_000)),
                post,
                outlet,
                peers,
                burst_max: 64,
            }));
        }
        street
    }

    /// A burst of every worker, each with these frames at its port A; a second one, for those that
    /// the other has handed over.
    fn carry(&mut self, frames: &[Vec<u8>]) {
        for worker in &mut self.workers {
            frames.iter().for_each(|frame| worker.source.push(PortSide::A, Tick(0), frame));
        }
        for _ in 0..2 {
            for worker in &mut self.workers {
                worker.burst();
            }
        }
    }

    fn forwarded(&self) -> Vec<Vec<u8>> {
        self.workers.iter().flat_map(|w| w.source.forwarded(PortSide::B)).cloned().collect()
    }

    fn dropped_for(&self, reason: DropReason) -> Vec<u64> {
        self.workers.iter().map(|w| w.post.counters.dropped[reason.index()].read()).collect()
    }
}

fn place_of(source: &str, vids: &[u16]) -> BlockKey {
    let source = Prefix::host(source.parse::<Addr>().unwrap());
    let vlan = VlanStack::from_vids(vids).unwrap();
    BlockKey { segment: SEGMENT, vlan, source, tunnel: 0 }
}

/// TCP from a source to many hosts, so that each worker owns some of the conversations.
fn to_many(source: &str) -> Vec<Vec<u8>> {
    let to = |n| Craft::tcp(source, 40_000, format!("10.0.0.{n}").as_str(), 80).frame();
    (1..=16).map(to).collect()
}

#[test]
fn a_published_block_holds_for_the_first_burst_polled_behind_it_on_every_worker() {
    for workers in [1, 2] {
        let mut street = Street::new(workers);
        let (bad, good) = (to_many("192.0.2.66"), to_many("192.0.2.7"));
        street.carry(&bad);
        let all = workers * bad.len();
        assert_eq!(street.forwarded().len(), all, "nobody is blocked yet");
        // To both workers before either polls: whoever publishes does not wait for them.
        let (id, key) = (BlockId::default(), place_of("192.0.2.66", &[]));
        for post in &street.boxes {
            let order = StreetOrder::Table(TableOrder::Block { id, key, until: LONG });
            assert!(post.give(order).is_ok());
        }
        street.carry(&[bad, good.clone()].concat());
        let forwarded = street.forwarded();
        let blocked = street.dropped_for(DropReason::Blocked);
        assert_eq!(blocked.iter().sum::<u64>(), all as u64, "{workers} workers");
        assert!(blocked.iter().all(|&frames| frames > 0), "each has blocked some: {blocked:?}");
        let behind = &forwarded[all..];
        assert_eq!(behind.len(), all, "the other source goes on");
        assert!(forwarded.iter().filter(|f| good.contains(f)).count() == all);
        let adopted: u64 = street.boxes.iter().map(|b| b.counters.adopted.read()).sum();
        assert_eq!(adopted > 0, workers > 1, "frames went from worker to worker");
    }
}

#[test]
fn nothing_of_an_offender_behind_its_attack_leaves_in_the_same_burst() {
    let mut street = Street::new(1);
    let (bad, good, target) = ("192.0.2.66", "192.0.2.7", "10.0.0.1");
    let tcp = |from, port| Craft::tcp(from, port, target, 80);
    let before = tcp(bad, 1_000).frame();
    let attack = Craft::udp(bad, 2_000, target, 139).payload(b"attack").frame();
    let behind = tcp(bad, 1_001).frame();
    let same_flow = tcp(bad, 1_000).payload(b"more").frame();
    let other = tcp(good, 1_000).frame();
    let elsewhere = tcp(bad, 1_000).vlan(20).frame();
    let burst = [&before, &attack, &behind, &other, &same_flow, &elsewhere].map(Vec::clone);
    street.carry(&burst);
    assert_eq!(street.forwarded(), [before, other.clone(), elsewhere.clone()]);
    assert_eq!(street.dropped_for(DropReason::Verdict), [3]);
    let source = &street.workers[0].source;
    assert_eq!(source.discarded(PortSide::A), [attack, behind.clone(), same_flow]);
    let alerts = street.reports.try_iter().filter(|r| matches!(r, Report::Alert(_))).count();
    assert_eq!(alerts, 1);
    let orders: Vec<BlockKey> = street
        .words
        .try_iter()
        .filter_map(|word| match word {
            StreetWord::Block(order) => Some(order.key),
            _ => None,
        })
        .collect();
    assert_eq!(orders, [place_of(bad, &[])], "the book hears of it");
    // The next burst meets the worker's own table, before any order has come back.
    street.carry(&[behind, other.clone(), elsewhere.clone()]);
    assert_eq!(street.dropped_for(DropReason::Blocked), [1]);
    assert_eq!(street.forwarded()[3..], [other, elsewhere]);
}
