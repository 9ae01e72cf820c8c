//! The whole street within this process: the lanes of a replay with detectors in the sandbox or
//! compiled in, over whatever source a bench brings. Nothing is written anywhere.
//!
//! It must never know what is measured.

use anyhow::{Result, anyhow};
use packet_attacks::PacketAttacks;
use port_scan::PortScan;
use portcullis_capture::{FrameSource, Received, RxFrame};
use portcullis_control::config::{Config, Loaded, SHIPPED, Segment};
use portcullis_control::policy::{self, Overrides};
use portcullis_control::snapshot::snapshot;
use portcullis_detect::{
    FlowHost, Grants, HostEvent, HostLimits, HostShard, Interests, LoadLimits, Loader, Plugin,
    PluginEvent, Scope,
};
use portcullis_enforce::{BlockId, Book, BookConfig, BookEvent, TableOrder, WorkerTable};
use portcullis_flow::{
    DefragConfig, FlowConfig, FlowTable, HashKey, Placement, ProvenSources, Size, Targets,
};
use portcullis_pipeline::{
    Audience, BURST_FRAMES, Fate, Fragments, Hand, Lane, LaneCounters, LaneParts, Outlet,
    REPLAY_LANES, Replay, ReplayParts, Report, Snapshot, read_headers,
};
use portcullis_plugin_sdk::Guest;
use portcullis_types::{
    Addr, BlockKey, BlockOrder, FrameIndex, PluginId, SegmentId, Tick, VlanStack,
};
use portcullis_verdict::{Breaker, Judge, Trip, WallClock};
use portcullis_wire::LinkType;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SEED: [u8; 16] = *b"portcullis-again";
/// Graces that a table holds; of no matter here.
const GRACES: usize = 4_096;

/// How the first-party detectors run.
#[derive(Clone, Debug)]
pub enum Detectors {
    /// As they are shipped: the modules of this folder in the sandbox.
    Sandboxed(PathBuf),
    /// The same code compiled for this machine, with the engine, unconfined.
    Native,
}

/// A street that can be built again and again with fresh state.
pub struct Street {
    plugins: Vec<(PluginId, Arc<Plugin>)>,
    loader: Loader,
    snapshot: Arc<Snapshot>,
    flows_per_lane: u32,
    blocks: Vec<BlockKey>,
}

impl Street {
    /// Loads the detectors, under the shipped configuration.
    ///
    /// # Errors
    /// A detector cannot be read or is refused.
    pub fn load(detectors: &Detectors) -> Result<Street> {
        let limits = LoadLimits {
            anomalies: portcullis_wire::Reject::ALL.iter().map(|r| r.name().to_owned()).collect(),
            seed: [1, 2],
            ..LoadLimits::default()
        };
        let loader = Loader::new(limits)?;
        let grants = Grants::standard();
        let loaded = match detectors {
            Detectors::Sandboxed(folder) => {
                let load = |name: &str| -> Result<Arc<Plugin>> {
                    Ok(loader.load(&std::fs::read(folder.join(name))?, &grants)?)
                };
                [load("packet-attacks.wasm")?, load("port-scan.wasm")?]
            }
            Detectors::Native => [
                loader.native(
                    include_bytes!("../../plugins/packet-attacks/plugin.toml"),
                    || Box::new(Guest::<PacketAttacks>::new()),
                    &grants,
                )?,
                loader.native(
                    include_bytes!("../../plugins/port-scan/plugin.toml"),
                    || Box::new(Guest::<PortScan>::new()),
                    &grants,
                )?,
            ],
        };
        let plugins: Vec<(PluginId, Arc<Plugin>)> = (0..).map(PluginId).zip(loaded).collect();
        let names: Vec<Arc<str>> = plugins.iter().map(|(_, p)| p.manifest().name.clone()).collect();
        let snapshot = Arc::new(shipped(&names)?);
        Ok(Street { plugins, loader, snapshot, flows_per_lane: 1 << 17, blocks: Vec::new() })
    }

    /// The shipped detectors of this build, where `scripts/build` puts them.
    ///
    /// # Errors
    /// They are not there.
    pub fn shipped(folder: &Path) -> Result<Street> {
        Street::load(&Detectors::Sandboxed(folder.to_owned()))
    }

    /// With room for so many flows in each of the eight lanes.
    #[must_use]
    pub fn with_room(self, flows_per_lane: u32) -> Street {
        Street { flows_per_lane, ..self }
    }

    /// With these blocked by every lane.
    #[must_use]
    pub fn blocking(self, blocks: Vec<BlockKey>) -> Street {
        Street { blocks, ..self }
    }

    /// The lanes with fresh state, carried by one thread.
    ///
    /// # Errors
    /// A detector cannot be warmed.
    pub fn replay(&self) -> Result<Replay> {
        self.loader.forget_counters();
        let limits =
            HostLimits { flows: self.flows_per_lane, segments: 1, ..HostLimits::default() };
        let mut shard = HostShard::new(limits.clone());
        for (id, plugin) in self.of(Scope::Host) {
            shard.install(id, plugin.warm()?).map_err(|e| anyhow!("{e}"))?;
        }
        let proven = Arc::new(ProvenSources::new(1 << 16, PROOF_WINDOW, SEED));
        let breaker = Arc::new(Breaker::new());
        let lane = || self.lane(&limits, shard.interests(), &proven, &breaker);
        Ok(Replay::new(ReplayParts {
            segment: SegmentId(0),
            lanes: (0..REPLAY_LANES).map(|_| lane()).collect::<Result<_>>()?,
            shards: vec![shard],
            book: Book::new(BookConfig::default()),
            key: HashKey::from_seed(SEED),
            workers: 1,
        }))
    }

    fn lane(
        &self,
        limits: &HostLimits,
        interests: &Interests,
        proven: &Arc<ProvenSources>,
        breaker: &Arc<Breaker>,
    ) -> Result<Lane> {
        let mut detectors = FlowHost::new(limits.clone());
        for (id, plugin) in self.of(Scope::Flow) {
            detectors.install(id, plugin.warm()?).map_err(|e| anyhow!("{e}"))?;
        }
        let size = Size::Flows(self.flows_per_lane);
        Ok(Lane::new(LaneParts {
            segment: SegmentId(0),
            flows: FlowTable::new(FlowConfig::with_size(size, SEED)),
            detectors,
            host_interests: interests.clone(),
            blocks: self.table(),
            judge: Judge::new(Arc::clone(breaker)),
            proven: Arc::clone(proven),
            snapshot: Arc::clone(&self.snapshot),
            fragments: Some(Box::new(Fragments::new(
                DefragConfig::default(),
                Placement::Watching,
                Targets::default(),
                SEED,
            ))),
            reading: None,
            counters: Arc::new(LaneCounters::default()),
        }))
    }

    fn of(&self, scope: Scope) -> impl Iterator<Item = (PluginId, &Arc<Plugin>)> {
        self.plugins
            .iter()
            .filter(move |(_, p)| p.manifest().scope == scope)
            .map(|(id, p)| (*id, p))
    }

    fn table(&self) -> WorkerTable {
        let mut table = WorkerTable::new(BookConfig::default().capacity, GRACES, 0x706f_7274);
        for &key in &self.blocks {
            let order = TableOrder::Block { id: BlockId::default(), key, until: Tick(u64::MAX) };
            table.apply(&order);
        }
        table
    }
}

/// How long a proof is remembered; the shipped value.
const PROOF_WINDOW: std::time::Duration = std::time::Duration::from_secs(300);

fn shipped(names: &[Arc<str>]) -> Result<Snapshot> {
    let mut loaded: Loaded = Config::parse(Path::new("the shipped configuration"), SHIPPED.into())
        .map_err(|d| anyhow!("{d}"))?;
    // Nothing is inside, so that the traffic's direction does not matter.
    loaded.config.segments = vec![Segment { protected: Vec::new(), ..Segment::for_replay() }];
    let wall = WallClock { tick: Tick(0), unix_ns: 0 };
    let built =
        policy::build(&loaded, &Overrides::default(), wall, Tick(0)).map_err(|d| anyhow!("{d}"))?;
    Ok(snapshot(&built, &loaded.config, 1, names))
}

/// Hears everything and keeps only how much there was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deaf {
    /// Reports of any kind.
    pub reports: u64,
    /// Blocks made, moved or ended.
    pub blocks: u64,
}

impl Audience for Deaf {
    fn report(&mut self, _: Report) {
        self.reports += 1;
    }

    fn block(&mut self, _: BookEvent, _: Tick) {
        self.blocks += 1;
    }

    fn plugin(&mut self, _: PluginId, _: PluginEvent, _: Tick) {}

    fn progress(&mut self, _: u64) {}
}

/// What one replay cost and did.
#[derive(Clone, Copy, Debug)]
pub struct Carried {
    /// Processor time of the thread, seconds, without building the street.
    pub cpu: f64,
    /// Frames forwarded.
    pub forwarded: u64,
    /// What was said.
    pub heard: Deaf,
}

impl Carried {
    /// Nanoseconds of processor time for each frame forwarded.
    pub fn ns_per_frame(&self) -> f64 {
        self.cpu * 1e9 / self.forwarded as f64
    }
}

impl Street {
    /// Carries a source to its end with fresh state.
    ///
    /// # Errors
    /// See [`Street::replay`].
    #[inline(never)] // `bench/instructions` counts by this name.
    pub fn carry(&self, source: &mut impl FrameSource) -> Result<Carried> {
        let mut replay = self.replay()?;
        let mut heard = Deaf::default();
        let before = crate::thread_cpu();
        replay.run(source, &mut heard);
        let cpu = crate::thread_cpu() - before;
        let forwarded = replay.lanes().map(|c| c.forwarded.read()).sum();
        Ok(Carried { cpu, forwarded, heard })
    }
}

/// What one worker's lane says, heard at once by the thread of the host-scope detectors that a
/// bench has none of.
struct Alone {
    shard: HostShard,
    proven: Arc<ProvenSources>,
    heard: Deaf,
}

impl Outlet for Alone {
    fn report(&mut self, _: FrameIndex, _: Report) {
        self.heard.reports += 1;
    }

    fn order(&mut self, _: BlockOrder) {
        self.heard.blocks += 1;
    }

    fn tripped(&mut self, _: PluginId, _: Trip) {}

    fn host_event(&mut self, _: FrameIndex, event: &HostEvent) {
        self.shard.offer(event);
    }

    fn proven(&mut self, segment: SegmentId, vlan: VlanStack, addr: Addr, at: Tick) {
        self.proven.record(segment, vlan, addr, at);
    }
}

impl Street {
    /// Carries a source to its end as one worker does: one lane, one table of blocks, bursts of 64.
    /// The host-scope detectors run on the same thread after every burst.
    ///
    /// # Errors
    /// A detector cannot be warmed.
    pub fn carry_alone(&self, source: &mut impl FrameSource) -> Result<Carried> {
        let limits =
            HostLimits { flows: self.flows_per_lane, segments: 1, ..HostLimits::default() };
        let mut shard = HostShard::new(limits.clone());
        for (id, plugin) in self.of(Scope::Host) {
            shard.install(id, plugin.warm()?).map_err(|e| anyhow!("{e}"))?;
        }
        let proven = Arc::new(ProvenSources::new(1 << 16, PROOF_WINDOW, SEED));
        let mut lane = self.lane(&limits, shard.interests(), &proven, &Arc::new(Breaker::new()))?;
        let mut alone = Alone { shard, proven, heard: Deaf::default() };
        let before = crate::thread_cpu();
        burst_loop(source, &mut lane, &mut alone);
        let cpu = crate::thread_cpu() - before;
        let forwarded = lane.parts().counters.forwarded.read();
        Ok(Carried { cpu, forwarded, heard: alone.heard })
    }
}

/// `Worker::burst` without orders, rings and letter boxes.
fn burst_loop(source: &mut impl FrameSource, lane: &mut Lane, alone: &mut Alone) {
    let mut frames: Vec<RxFrame> = Vec::with_capacity(BURST_FRAMES);
    let mut burst = Hand::with_capacity(BURST_FRAMES);
    let (mut findings, mut faults) = (Vec::new(), Vec::new());
    let mut now = Tick::ZERO;
    while source.receive(&mut frames, BURST_FRAMES) == Received::Frames {
        burst.clear();
        for (frame, index) in frames.iter().zip(0_u16..) {
            now = now.max(frame.at);
            let held = burst.take_up(FrameIndex(index), frame.side, now, frame.wire_len);
            read_headers(held, source.bytes(&frame.slot), LinkType::Ethernet, lane.checks());
        }
        let bytes = |at: FrameIndex| {
            frames.get(usize::from(at.0)).map_or(&[][..], |f| source.bytes(&f.slot))
        };
        lane.examine(&mut burst, &bytes, |_| LinkType::Ethernet, alone);
        lane.detect(now);
        lane.decide(&mut burst, now, alone);
        for (frame, held) in frames.drain(..).zip(burst.iter()) {
            match lane.settle_fate(held) {
                // A bench's source takes whatever it is given.
                Fate::Forward => drop(source.forward(frame.slot)),
                Fate::Drop(_) => source.discard(frame.slot),
            }
        }
        source.flush();
        lane.expire(now, alone);
        alone.shard.run(now, &mut findings, &mut faults);
        findings.clear();
    }
}
