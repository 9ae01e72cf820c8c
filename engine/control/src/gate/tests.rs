#![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

//! A gate with a clock, a kernel map and a herald that the test owns; workers are boxes that nobody
//! empties but the test.

mod acknowledged;
mod orders;
mod policies;

use super::*;
use crate::api::model::{AddBlock, BlockFilter, BlockInfo, BlockSelector, RemoveBlocks};
use crate::api::{Operations, Peer};
use crate::eve::{Context, Fact};
use crate::journal::{BootId, Moment};
use crate::plugins::{PluginFiles, PluginSetup};
use crate::snapshot::snapshot;
use crossbeam::channel::{Sender, bounded};
use portcullis_enforce::backend::{Enforcer, EnforcerCounters, Outcome};
use portcullis_enforce::{BlockId, BookEvent, TableOrder};
use portcullis_pipeline::{Post, StreetOrder};
use portcullis_types::{
    BlockKey, BlockOrder, Cause, Class, Origin, PluginId, RuleId, SegmentId, Tick, VlanStack,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const S: u64 = 1_000_000_000;

/// A clock that stands until it is set.
struct Standing(Mutex<Moment>);

impl Timeline for Standing {
    fn moment(&self) -> Moment {
        *self.0.lock().unwrap()
    }
}

fn moment(boot: u128, tick_s: u64, wall_s: u64) -> Moment {
    Moment { tick: Tick(tick_s * S), wall_ns: wall_s * S, boot: BootId(boot) }
}

type Map = Arc<Mutex<BTreeMap<BlockKey, Tick>>>;

/// A kernel map that outlives its engine.
struct Pinned(Map);

impl Enforcer for Pinned {
    fn name(&self) -> &'static str {
        "pinned"
    }

    fn apply(&mut self, order: &TableOrder) -> Outcome {
        let mut map = self.0.lock().unwrap();
        match *order {
            TableOrder::Block { key, until, .. } => drop(map.insert(key, until)),
            TableOrder::Unblock { key, .. } => drop(map.remove(&key)),
            _ => return Outcome::NotMine,
        }
        Outcome::Done
    }

    fn collect(&mut self, each: &mut dyn FnMut(BlockKey, u64, u64)) {
        for key in self.0.lock().unwrap().keys() {
            each(*key, 1, 60);
        }
    }

    fn counters(&self) -> EnforcerCounters {
        EnforcerCounters::default()
    }
}

impl KernelTable for Pinned {
    fn resync(&mut self, orders: &[TableOrder]) {
        let mut map = self.0.lock().unwrap();
        let wanted: BTreeMap<BlockKey, Tick> = orders
            .iter()
            .filter_map(|o| match o {
                TableOrder::Block { key, until, .. } => Some((*key, *until)),
                _ => None,
            })
            .collect();
        *map = wanted;
    }
}

/// Hears facts, and looks into the journal's file at each.
struct Listening {
    journal: PathBuf,
    heard: Sender<(Fact, String)>,
}

impl Herald for Listening {
    fn tell(&mut self, fact: Fact) -> Result<(), Fact> {
        let bytes = std::fs::read(&self.journal).unwrap_or_default();
        let _ = self.heard.send((fact, String::from_utf8_lossy(&bytes).into_owned()));
        Ok(())
    }

    fn set_context(&mut self, _: Arc<Context>) {}

    fn reopen(&mut self) {}
}

/// A gate and everything around it.
struct Lab {
    handle: GateHandle,
    clock: Arc<Standing>,
    words: Sender<StreetWord>,
    boxes: Vec<PostBox>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    map: Map,
    facts: Receiver<(Fact, String)>,
    dir: Arc<TempDir>,
}

fn config_text(dir: &Path, more: &str) -> String {
    format!(
        "[engine]\nstate_dir = {state:?}\nrun_dir = {state:?}\nlog_dir = {state:?}\n\
         [events]\nstats_interval = \"0s\"\n\
         [[segment]]\nname = \"dmz\"\nports = [\"a\", \"b\"]\ninside = \"b\"\n\
         protected = [\"10.0.0.0/8\"]\n\
         [[segment]]\nname = \"lab\"\ntap = \"c\"\nprotected = [\"10.0.0.0/8\"]\n{more}\n",
        state = dir.join("state"),
    )
}

/// A gate over this directory, at this moment, with this map.
fn gate(dir: &Arc<TempDir>, now: Moment, map: Map, more: &str) -> Lab {
    let file = dir.path().join("p.toml");
    let more = format!("[blocks]\nprotect_sessions = false\n{more}");
    std::fs::write(&file, config_text(dir.path(), &more)).unwrap();
    let loaded = Config::load(&file).unwrap();
    let clock = Arc::new(Standing(Mutex::new(now)));
    let recovered = Recovered::open(loaded, &*clock).unwrap();
    let plugin_dir = dir.path().join("plugins");
    std::fs::create_dir_all(&plugin_dir).unwrap();
    let config = &recovered.loaded.config;
    let setup = PluginSetup { posts: 3, spares: 1, seed: [1, 2] };
    let plugins =
        PluginSet::load(&PluginFiles::Directory(plugin_dir), &config.plugins, None, setup).unwrap();
    let first = snapshot(&recovered.built, config, 1, plugins.names());
    let snapshot = Arc::new(ArcSwap::from_pointee(first));
    let boxes: Vec<PostBox> =
        [Post::Worker(0), Post::Worker(1), Post::Shard(0)].map(PostBox::new).into();
    let (words, heard) = bounded(64);
    let (tell, facts) = unbounded();
    let journal = config.journal_path();
    let handle = Gate::start(GateParts {
        recovered,
        config_file: file,
        timeline: Arc::clone(&clock) as Arc<dyn Timeline>,
        words: heard,
        boxes: boxes.clone(),
        snapshot: Arc::clone(&snapshot),
        plugins,
        kernels: vec![Box::new(Pinned(Arc::clone(&map)))],
        herald: Box::new(Listening { journal, heard: tell }),
        about: StreetAbout { workers: vec![SegmentId(0), SegmentId(1)], ..StreetAbout::default() },
        complete: Arc::new(|_| {}),
        shutdown: Box::new(|| {}),
    })
    .unwrap();
    Lab { handle, clock, words, boxes, snapshot, map, facts, dir: Arc::clone(dir) }
}

/// A fresh one.
fn lab() -> Lab {
    gate(&Arc::new(tempfile::tempdir().unwrap()), moment(1, 100, 5_000), Map::default(), "")
}

impl Lab {
    /// The engine is gone at once, and comes back at that moment: what the gate had in hand is
    /// lost. The journal's file is all that is left; the map is pinned.
    fn killed(self, now: Moment, more: &str) -> Lab {
        let Lab { handle, map, dir, .. } = self;
        // A copy as it is on the disk now: whatever the old gate does later is not in it.
        let fresh = Arc::new(tempfile::tempdir().unwrap());
        let state = fresh.path().join("state");
        std::fs::create_dir_all(&state).unwrap();
        let name = "blocks.journal";
        std::fs::copy(dir.path().join("state").join(name), state.join(name)).unwrap();
        handle.stop();
        gate(&fresh, now, map, more)
    }

    fn set(&self, now: Moment) {
        *self.clock.0.lock().unwrap() = now;
    }

    fn fact(&self) -> (Fact, String) {
        self.facts.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    /// Takes facts until one is wanted.
    fn fact_of<T>(&self, wanted: impl Fn(&Fact) -> Option<T>) -> (T, String) {
        loop {
            let (fact, journal) = self.fact();
            if let Some(found) = wanted(&fact) {
                return (found, journal);
            }
        }
    }

    fn add(&self, source: &str, vlan: &[u16]) -> BlockInfo {
        self.handle.add_block(&peer(), asked(source, vlan)).unwrap()
    }

    fn sources(&self) -> Vec<String> {
        let list = self.handle.list_blocks(BlockFilter::default()).unwrap();
        list.blocks.into_iter().map(|b| b.source).collect()
    }

    /// What a post has been given since the last time: orders of the table.
    fn taken(&self, post: usize) -> Vec<TableOrder> {
        let mut taken = Vec::new();
        while let Some(order) = self.boxes[post].orders.pop() {
            if let StreetOrder::Table(order) = order {
                taken.push(order);
            }
        }
        taken
    }
}

fn peer() -> Peer {
    Peer { uid: 0, gid: 0, groups: Vec::new(), pid: 1, name: "root".into() }
}

fn asked(source: &str, vlan: &[u16]) -> AddBlock {
    AddBlock {
        source: source.into(),
        segment: Some("dmz".into()),
        vlan: vlan.to_vec(),
        tunnel: 0,
        seconds: Some(600),
        message: String::new(),
    }
}

fn which(source: &str) -> BlockSelector {
    BlockSelector { source: source.into(), ..BlockSelector::default() }
}

fn lift(source: &str) -> RemoveBlocks {
    RemoveBlocks { blocks: vec![which(source)], ..RemoveBlocks::default() }
}

fn key(source: &str, vlan: &[u16]) -> BlockKey {
    BlockKey {
        segment: SegmentId(0),
        vlan: VlanStack::from_vids(vlan).unwrap(),
        source: source.parse().unwrap(),
        tunnel: 0,
    }
}

/// A detector's order, given at 100 s.
fn detected(source: &str, until_s: u64) -> BlockOrder {
    BlockOrder {
        key: key(source, &[10]),
        since: Tick(100 * S),
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

fn within(limit: Duration, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < limit, "it did not come true in {limit:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
