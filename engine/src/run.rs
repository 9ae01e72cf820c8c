//! `run`: the engine, live. Start-up in the order of dependence, then signals until the end.

use crate::cli::{Cli, RunArgs};
use crate::ports::{self, Kind, OpenSegment, Sources};
use crate::privileges;
use crate::promise;
use crate::street;
use crate::threads::{self, BootClock, StreetThread};
use crate::way_back::{SharedKernel, Way, WayBack};
use anyhow::{Context as _, Result, anyhow, bail};
use arc_swap::ArcSwap;
use crossbeam::channel::bounded;
use portcullis_capture::HandOver;
use portcullis_capture::bare::bare_forward_loop;
use portcullis_capture::kernel::KernelProgram;
use portcullis_capture::returning::Returning;
use portcullis_control::api::model::{SwapPlugin, SwapRules};
use portcullis_control::api::{ControlServer, Operations, Peer, ServerSettings};
use portcullis_control::config::{Config, Loaded, Segment};
use portcullis_control::eve::EveWriter;
use portcullis_control::gate::{
    Gate, GateHandle, GateParts, KernelTable, LiveTimeline, Recovered, SegmentAbout, StreetAbout,
    Timeline, context,
};
use portcullis_control::metrics::Figures;
use portcullis_control::plugins::{PluginFiles, PluginSet, PluginSetup};
use portcullis_control::rules::Rules;
use portcullis_control::snapshot::snapshot;
use portcullis_detect::{FlowHost, HostLimits};
use portcullis_enforce::WorkerTable;
use portcullis_enforce::backend::xdp_map::XdpMap;
use portcullis_flow::{FlowConfig, FlowTable, HashKey, Placement, ProvenSources, Size};
use portcullis_pipeline::{
    Fragments, LaneParts, Lines, LiveOutlet, Peers, Post, PostBox, Reading, ReadingConfig,
    ShardParts, ShardRing, ShardWorker, StreetOrder, Worker, WorkerParts,
};
use portcullis_types::{MemoryTerm, SegmentId};
use portcullis_verdict::{Breaker, Judge, WallClock};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

/// Words from the street that wait for the gate; more wait in the workers.
const WORDS_MAX: usize = 8_192;

/// `run -c FILE`
pub(crate) fn run(cli: &Cli, arguments: &RunArgs) -> Result<()> {
    let path = cli.config_path().to_owned();
    let loaded = Config::load(&path).map_err(|d| anyhow!("{d}"))?;
    log_to_stderr(&loaded.config);
    for warning in loaded.warnings.iter() {
        warn!("{warning}");
    }
    privileges::give_up(&loaded.config, &path)?;
    for directory in [&loaded.config.engine.run_dir, &loaded.config.engine.log_dir] {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("making {}", directory.display()))?;
    }
    if arguments.bare {
        return bare(&loaded.config);
    }
    let engine = Engine::start(path, loaded)?;
    engine.serve()
}

fn log_to_stderr(config: &Config) {
    let filter = EnvFilter::try_from_default_env()
        .or_else(|_| EnvFilter::try_new(&config.engine.log))
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second engine of the same process would find it set; there is none.
    let _ = log.with_ansi(std::io::stderr().is_terminal()).try_init();
}

/// A running engine.
struct Engine {
    gate: GateHandle,
    /// Serves as long as it lives.
    server: ControlServer,
    threads: Vec<StreetThread>,
    /// The program's maps and links, pinned; our handles of them.
    kernel: SharedKernel,
    /// Waits for ports that are gone.
    way_back: WayBack,
    asked_to_end: Arc<tokio::sync::Notify>,
}

/// What every worker and shard shares.
pub(crate) struct Common {
    pub(crate) config: Config,
    lines: Lines,
    pub(crate) proven: Arc<ProvenSources>,
    breaker: Arc<Breaker>,
    key: Arc<HashKey>,
    seed: [u8; 16],
    pub(crate) workers: usize,
    table_seed: u64,
}

impl Engine {
    fn start(config_file: PathBuf, loaded: Loaded) -> Result<Self> {
        let timeline: Arc<dyn Timeline> = Arc::new(LiveTimeline::new().context("the boot id")?);
        let recovered = Recovered::open(loaded, &*timeline)?;
        let config = recovered.loaded.config.clone();
        info!("{} blocks recovered from the journal", recovered.blocks());
        let (kernel, segments) = ports::open(&config)?;
        let workers: usize = segments.iter().map(OpenSegment::workers).sum();
        let shards = usize::from(config.plugins.host_shards.max(1));
        let plugins = load_plugins(&config, workers + shards)?;
        let first = snapshot(&recovered.built, &config, 1, plugins.names());
        let policy = Arc::new(ArcSwap::from_pointee(first));
        let now = timeline.moment();
        let wall = WallClock { tick: now.tick, unix_ns: now.wall_ns };
        let told = context(&config, &recovered.built.inventory, plugins.names(), wall);
        let nowhere = PathBuf::from("/dev/null");
        let events = config.events_path().unwrap_or(nowhere);
        let queue = usize::try_from(config.events.queue).unwrap_or(usize::MAX);
        let writer = EveWriter::start(&events, queue, Arc::new(told))
            .with_context(|| format!("opening {}", events.display()))?;
        let (words, heard) = bounded(WORDS_MAX);
        let lines = Lines { words, reports: writer.reports(), snapshot: Arc::clone(&policy) };
        let common = Common::new(config.clone(), lines, workers)?;
        let memory = promise::memory(&common, &segments, shards, &plugins);
        promise::promise(&config, &memory)?;
        let about = about(&config, &segments, &memory);
        let (mut street, boxes) = Street::build(&common, &plugins, segments, shards)?;
        let workers_boxes = boxes.clone();
        let kernels = kernel_tables(kernel.as_ref())?;
        let kernel = kernel.map(|kernel| Arc::new(Mutex::new(kernel)));
        let (ways, words) = (std::mem::take(&mut street.ways), common.lines.words.clone());
        let reopened = Arc::new(AtomicU64::new(0));
        let way_back =
            WayBack::watch(config.clone(), kernel.clone(), ways, words, Arc::clone(&reopened))?;
        let asked_to_end = Arc::new(tokio::sync::Notify::new());
        let end = Arc::clone(&asked_to_end);
        let gate = Gate::start(GateParts {
            recovered,
            config_file,
            timeline,
            words: heard,
            boxes,
            snapshot: policy,
            plugins,
            kernels,
            complete: complete(kernel.clone(), reopened, &common.breaker, &writer),
            herald: Box::new(writer),
            about,
            shutdown: Box::new(move || end.notify_one()),
        })?;
        gate.on_reload(move |config| take_streams(config, &workers_boxes));
        let operations: Arc<dyn Operations> = Arc::new(gate.clone());
        let server = ControlServer::start(&ServerSettings::of(&config), operations)
            .with_context(|| format!("control socket {}", config.socket_path().display()))?;
        let threads = street.start(&config)?;
        Ok(Engine { gate, server, threads, kernel, way_back, asked_to_end })
    }

    /// Waits for signals until one of them, or an operator, ends the engine.
    fn serve(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        info!("ready");
        runtime.block_on(signals(&self.gate, &self.asked_to_end))?;
        info!("ending");
        let Engine { gate, server, threads, kernel, way_back, .. } = self;
        drop(server);
        drop(way_back);
        threads::end(threads);
        gate.stop();
        // The pins stay: the kernel program goes on as `on_failure` says, and blocks hold.
        drop(kernel);
        info!("ended");
        Ok(())
    }
}

/// Has the workers read streams as a configuration says that was just taken.
fn take_streams(config: &Config, boxes: &[PostBox]) {
    let streams = street::stream_reading(config, Placement::Inline);
    for post in boxes.iter().filter(|b| matches!(b.post, Post::Worker(_))) {
        let order = StreetOrder::Streams(Box::new(streams.clone()));
        if post.give(order).is_err() {
            warn!("a worker does not take orders: it reads streams as before; reload again");
        }
    }
}

async fn signals(gate: &GateHandle, end: &tokio::sync::Notify) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut user_2 = signal(SignalKind::user_defined2())?;
    let ourselves = Peer {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        groups: Vec::new(),
        pid: rustix::process::getpid().as_raw_pid(),
        name: "a signal".into(),
    };
    loop {
        let what = tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            () = end.notified() => return Ok(()),
            _ = hang_up.recv() => "SIGHUP",
            _ = user_2.recv() => "SIGUSR2",
        };
        let (gate, who) = (gate.clone(), ourselves.clone());
        let done = tokio::task::spawn_blocking(move || match what {
            "SIGHUP" => gate.reload(&who).map(|reply| format!("{:?}", reply.changed)),
            _ => reload_plugins(&gate, &who),
        });
        match done.await {
            Ok(Ok(changed)) => info!("{what}: taken; changed: {changed}"),
            Ok(Err(refusal)) => {
                error!("{what}: not taken: {}; {}", refusal.reply.error, refusal.reply.remedy);
            }
            Err(e) => error!("{what}: {e}"),
        }
    }
}

/// Puts every detector's file to work again.
fn reload_plugins(
    gate: &GateHandle,
    who: &Peer,
) -> Result<String, portcullis_control::api::Refusal> {
    let mut swapped = Vec::new();
    if gate.status()?.rules.is_some() {
        let rules = gate.swap_rules(who, SwapRules::default())?;
        swapped.push(format!("rules {}", rules.set.hash));
    }
    for plugin in gate.list_plugins()?.plugins {
        let file = SwapPlugin { file: plugin.file };
        swapped.push(gate.swap_plugin(who, file)?.plugin.name);
    }
    Ok(swapped.join(", "))
}

fn load_plugins(config: &Config, posts: usize) -> Result<PluginSet> {
    let seed = random()?;
    let (a, b) = seed.split_at(8);
    let word = |bytes: &[u8]| bytes.iter().fold(0_u64, |n, b| n << 8 | u64::from(*b));
    let setup = PluginSetup { posts, spares: 1, seed: [word(a), word(b)] };
    let files = PluginFiles::Directory(config.plugins.dir.clone());
    let rules = Rules::load(&config.rules)?;
    if let Some(rules) = &rules {
        info!("{} rules loaded, {} refused", rules.about.count, rules.about.refused);
    }
    let plugins = PluginSet::load(&files, &config.plugins, rules.as_ref(), setup)?;
    for loaded in plugins.plugins() {
        let manifest = loaded.plugin.manifest();
        info!("detector {} {}: {} rules", manifest.name, manifest.version, manifest.rules.len());
    }
    if plugins.plugins().is_empty() {
        warn!("no detectors in {}: nothing will be detected", config.plugins.dir.display());
    }
    Ok(plugins)
}

/// Sixteen bytes that nobody can guess: the key of every table that an attacker can feed.
fn random() -> Result<[u8; 16]> {
    let mut seed = [0; 16];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut seed)
        .context("reading /dev/urandom")?;
    Ok(seed)
}

impl Common {
    fn new(config: Config, lines: Lines, workers: usize) -> Result<Self> {
        let seed = random()?;
        let window = config.flow.proof_window;
        Ok(Common {
            proven: Arc::new(ProvenSources::new(street::PROVEN_MAX, window, seed)),
            breaker: Arc::new(Breaker::new()),
            key: Arc::new(HashKey::from_seed(seed)),
            table_seed: u64::from_le_bytes([
                seed[0], seed[1], seed[2], seed[3], seed[4], seed[5], seed[6], seed[7],
            ]),
            lines,
            seed,
            workers,
            config,
        })
    }

    pub(crate) fn flow_config(&self) -> FlowConfig {
        street::flow_config(&self.config, self.workers, self.seed)
    }

    fn limits(&self) -> HostLimits {
        HostLimits {
            flows: self.flow_config().capacity(),
            segments: u16::try_from(self.config.segments.len()).unwrap_or(u16::MAX),
            ..HostLimits::default()
        }
    }

    fn lane(
        &self,
        segment: SegmentId,
        flows: FlowConfig,
        detectors: FlowHost,
        post: &PostBox,
    ) -> LaneParts {
        LaneParts {
            segment,
            flows: FlowTable::new(flows),
            detectors,
            host_interests: Default::default(),
            blocks: WorkerTable::new(
                self.config.blocks.max as usize,
                street::GRACES_MAX,
                self.table_seed,
            ),
            judge: Judge::new(Arc::clone(&self.breaker)),
            proven: Arc::clone(&self.proven),
            snapshot: self.lines.snapshot.load_full(),
            fragments: None,
            reading: None,
            counters: Arc::clone(&post.counters),
        }
    }

    /// What each worker reads behind the headers, where any detector does.
    pub(crate) fn reading(&self, plugins: &PluginSet) -> Option<ReadingConfig> {
        let flows = self.flow_config();
        let inline = Placement::Inline;
        plugins.reads().then(|| street::reading_config(&self.config, &flows, self.workers, inline))
    }
}

/// A thread's body, built but not started.
type Body = (String, PostBox, Box<dyn FnOnce() + Send>);

/// All threads of the street, built.
struct Street {
    workers: Vec<Body>,
    shards: Vec<Body>,
    /// By which segments get other sources.
    ways: Vec<Way>,
}

impl Street {
    fn build(
        common: &Common,
        plugins: &PluginSet,
        segments: Vec<OpenSegment>,
        shards: usize,
    ) -> Result<(Street, Vec<PostBox>)> {
        let mut rings: Vec<Vec<ShardRing>> = (0..common.workers).map(|_| Vec::new()).collect();
        let mut street = Street { workers: Vec::new(), shards: Vec::new(), ways: Vec::new() };
        for number in 0..shards {
            let post = PostBox::new(Post::Shard(number));
            let small = FlowConfig::with_size(Size::Flows(16), common.seed);
            let judge =
                common.lane(SegmentId(0), small, FlowHost::new(HostLimits::default()), &post);
            let parts = ShardParts {
                shard: plugins.host_shard(common.limits())?,
                judge,
                outlet: common.outlet(Vec::new(), Default::default()),
                clock: BootClock,
                post: post.clone(),
            };
            let (worker, ends) = ShardWorker::new(parts, common.workers);
            for (mine, end) in rings.iter_mut().zip(ends) {
                mine.push(end);
            }
            street.shards.push((format!("shard {number}"), post, Box::new(move || worker.run())));
        }
        let interests = plugins.host_interests()?;
        let mut rings = rings.into_iter();
        for (segment, opened) in common.config.segments.iter().zip(segments) {
            let first = street.workers.len();
            let mine: Vec<Vec<ShardRing>> = rings.by_ref().take(opened.workers()).collect();
            let seats = Seats { segment, first, interests: &interests };
            match opened.sources {
                Sources::Xdp(sources) => street.seat(common, plugins, &seats, sources, mine)?,
                Sources::Packet(sources) => street.seat(common, plugins, &seats, sources, mine)?,
            }
        }
        let boxes =
            street.workers.iter().chain(&street.shards).map(|(_, post, _)| post.clone()).collect();
        Ok((street, boxes))
    }

    fn seat<S: Kind + HandOver<Lent: Send> + Send + 'static>(
        &mut self,
        common: &Common,
        plugins: &PluginSet,
        seats: &Seats<'_>,
        sources: Vec<S>,
        rings: Vec<Vec<ShardRing>>,
    ) -> Result<()> {
        let peers = Peers::mesh(sources.len(), &common.key);
        let mut doorways = Vec::new();
        for (at, ((source, peers), rings)) in sources.into_iter().zip(peers).zip(rings).enumerate()
        {
            let post = PostBox::new(Post::Worker(seats.first + at));
            let detectors = plugins.flow_host(common.limits())?;
            let (source, doorway) = Returning::new(source);
            doorways.push(doorway);
            let mut parts = common.lane(seats.segment.id, common.flow_config(), detectors, &post);
            parts.host_interests = seats.interests.clone();
            parts.fragments = Some(Box::new(Fragments::new(
                street::defrag_config(&common.config, common.workers),
                Placement::Inline,
                common.config.streams.receivers(),
                common.seed,
            )));
            if let Some(config) = common.reading(plugins) {
                parts.reading = Some(Box::new(Reading::new(config, plugins.prefilter()?)));
            }
            let worker = Worker::new(WorkerParts {
                segment: seats.segment.id,
                lane: portcullis_pipeline::Lane::new(parts),
                source,
                clock: BootClock,
                post: post.clone(),
                outlet: common.outlet(rings, seats.interests.clone()),
                peers,
                burst_max: usize::from(common.config.engine.burst),
            });
            let name = format!("worker {} of {}", seats.first + at, seats.segment.name);
            let told = name.clone();
            let body = move || {
                let ended = worker.run();
                info!("{told}: {ended:?}");
            };
            self.workers.push((name, post, Box::new(body)));
        }
        let (segment, first) = (seats.segment.clone(), seats.first);
        self.ways.push(Way { segment, first, doorways: Box::new(doorways) });
        Ok(())
    }

    fn start(self, config: &Config) -> Result<Vec<StreetThread>> {
        let mut started = Vec::new();
        for (name, post, body) in self.shards {
            started.push(threads::start(name, None, post, body)?);
        }
        let cores = match config.engine.cpus.as_slice() {
            [] => threads::allowed_cores(),
            named => named.to_vec(),
        };
        for (at, (name, post, body)) in self.workers.into_iter().enumerate() {
            let core = cores.get(at).copied();
            started.push(threads::start(name, core, post, body)?);
        }
        Ok(started)
    }
}

/// What the workers of one segment have in common.
struct Seats<'a> {
    segment: &'a Segment,
    first: usize,
    interests: &'a portcullis_detect::Interests,
}

impl Common {
    fn outlet(&self, rings: Vec<ShardRing>, interests: portcullis_detect::Interests) -> LiveOutlet {
        LiveOutlet::new(self.lines.clone(), rings, interests, Arc::clone(&self.proven))
    }
}

fn kernel_tables(kernel: Option<&KernelProgram>) -> Result<Vec<Box<dyn KernelTable>>> {
    let Some(kernel) = kernel else { return Ok(Vec::new()) };
    let table = XdpMap::from_fd(kernel.blocks_fd_owned()?).context("the kernel's block map")?;
    Ok(vec![Box::new(table)])
}

/// Figures that only the binary can reach.
fn complete(
    kernel: SharedKernel,
    reopened: Arc<AtomicU64>,
    breaker: &Arc<Breaker>,
    writer: &EveWriter,
) -> Arc<dyn Fn(&mut Figures) + Send + Sync> {
    let (breaker, events) = (Arc::clone(breaker), Arc::clone(writer.counters()));
    Arc::new(move |figures: &mut Figures| {
        let kernel =
            kernel.as_ref().map(|kernel| kernel.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(counters) = kernel.and_then(|kernel| kernel.counters().ok()) {
            figures.kernel = counters;
        }
        figures.segments_reopened = reopened.load(Ordering::Relaxed);
        figures.breaker_trips = breaker.trips();
        figures.breaker_refused = breaker.refused();
        figures.events = portcullis_control::metrics::EventFigures::of(&events);
    })
}

fn about(config: &Config, segments: &[OpenSegment], memory: &[MemoryTerm]) -> StreetAbout {
    let workers = config.segments.iter().zip(segments);
    StreetAbout {
        workers: workers.flat_map(|(s, o)| std::iter::repeat_n(s.id, o.workers())).collect(),
        segments: segments.iter().map(|o| SegmentAbout { capture: o.capture.clone() }).collect(),
        memory_max_bytes: memory.iter().map(|t| t.bytes).sum(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// `run --bare`: the same rings and kernel program around a loop that touches nothing; the baseline
/// of the benches. Ends at SIGTERM or SIGINT and prints what it forwarded.
fn bare(config: &Config) -> Result<()> {
    let (kernel, segments) = ports::open(config)?;
    let stop = Arc::new(AtomicBool::new(false));
    let burst = usize::from(config.engine.burst);
    let mut threads = Vec::new();
    for opened in segments {
        let Sources::Xdp(sources) = opened.sources else { bail!("--bare needs AF_XDP") };
        for mut source in sources {
            let stop = Arc::clone(&stop);
            let name = format!("worker {}", threads.len());
            threads.push(
                std::thread::Builder::new()
                    .name(name)
                    .spawn(move || bare_forward_loop(&mut source, &stop, burst))?,
            );
        }
    }
    info!("ready");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        anyhow::Ok(())
    })?;
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        let done = thread.join().map_err(|_| anyhow!("a worker panicked"))?;
        println!("forwarded {} dropped {} bursts {}", done.forwarded, done.dropped, done.bursts);
    }
    drop(kernel);
    Ok(())
}
