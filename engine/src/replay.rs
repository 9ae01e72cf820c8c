//! `replay`: the same engine over captures, on the captures' own clock.

mod summary;

use crate::ask::wall_now;
use crate::cli::{Cli, Output, ReplayArgs, Replayed};
use crate::street;
use anyhow::{Context as _, Result, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use portcullis_capture::backend::pcap::{CaptureProgress, PcapSource};
use portcullis_control::config::{Config, Loaded, SHIPPED, Segment};
use portcullis_control::eve::{Context, EveFile, ReplayAudience, SegmentLabel};
use portcullis_control::plugins::{PluginFiles, PluginSet, PluginSetup};
use portcullis_control::policy::{self, Overrides};
use portcullis_control::rules::{Rules, is_compiled};
use portcullis_detect::{Clock, HostLimits};
use portcullis_enforce::{Book, WorkerTable};
use portcullis_flow::{FlowTable, HashKey, Placement, ProvenSources};
use portcullis_pipeline::{
    Fragments, Lane, LaneCounters, LaneParts, Prefilter, REPLAY_LANES, Reading, Replay,
    ReplayParts, Snapshot,
};
use portcullis_types::SegmentId;
use portcullis_verdict::{Breaker, Judge};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use summary::Sums;

/// The seed of a replay's tables: fixed, because a replay must repeat itself.
const SEED: [u8; 16] = *b"portcullis-again";

/// What does not change from one capture to the next.
pub(crate) struct Setting {
    config: Config,
    snapshot: Arc<Snapshot>,
    /// The detectors, and their rules.
    pub(crate) plugins: PluginSet,
    /// What these look for, built with the first capture and the same for all.
    prefilter: OnceLock<Arc<Prefilter>>,
    segment: SegmentId,
    workers: usize,
}

impl Setting {
    /// What the detectors look for; `None` where none reads behind the headers.
    fn prefilter(&self) -> Result<Option<Arc<Prefilter>>> {
        if let Some(known) = self.prefilter.get() {
            return Ok(Some(Arc::clone(known)));
        }
        if !self.plugins.reads() {
            return Ok(None);
        }
        let built = self.plugins.prefilter()?;
        Ok(Some(Arc::clone(self.prefilter.get_or_init(|| built))))
    }
}

/// How far the reading has come: captures done, and the one at hand.
#[derive(Default)]
struct Told {
    done: u64,
    reading: Option<Arc<CaptureProgress>>,
}

impl Told {
    fn bytes(&self) -> u64 {
        self.done + self.reading.as_ref().map_or(0, |p| p.bytes_read())
    }
}

/// `replay PCAP...`
pub(crate) fn replay(cli: &Cli, arguments: &ReplayArgs, out: &mut impl Write) -> Result<()> {
    let began = Instant::now();
    let to_output = [&arguments.eve, &arguments.blocks].map(is_output);
    if to_output == [true, true] {
        bail!("--eve and --blocks both name standard output: give one of them a file");
    }
    let setting = setting(cli, &arguments.of, arguments.workers)?;
    let loading = began.elapsed();
    let mut sums = Sums::default();
    let bar = progress_bar(cli, arguments);
    let told = Arc::new(Mutex::new(Told::default()));
    let mut audience = ReplayAudience::new(Arc::new(context(&setting))).with_progress({
        let (bar, told) = (bar.clone(), Arc::clone(&told));
        move |_| bar.set_position(told.lock().unwrap_or_else(PoisonError::into_inner).bytes())
    });
    if let Some(path) = &arguments.eve {
        audience = audience.with_events(
            EveFile::create(path).with_context(|| format!("--eve {}", path.display()))?,
        );
    }
    if arguments.blocks.is_some() {
        audience = audience.with_blocks();
    }
    let each: Vec<&[PathBuf]> = match arguments.each {
        true => arguments.of.captures.chunks(1).collect(),
        false => vec![&arguments.of.captures],
    };
    for paths in each {
        if let [path] = paths {
            audience.set_capture(Some(&path.display().to_string()));
        }
        carry(&setting, paths, &mut audience, &mut sums, &told)?;
    }
    bar.finish_and_clear();
    audience.finish().context("writing events")?;
    if let Some(path) = &arguments.blocks {
        audience.write_blocks(path).with_context(|| format!("--blocks {}", path.display()))?;
    }
    let (output, plugins, counts) = (cli.output, &setting.plugins, audience.counts());
    // What stands on standard output already is for a program: the summary goes beside it.
    match to_output.contains(&true) {
        true => sums.tell(output, plugins, counts, loading, &mut std::io::stderr().lock())?,
        false => sums.tell(output, plugins, counts, loading, out)?,
    }
    sums.all_were_captures()
}

/// Whether this file stands for standard output.
fn is_output(file: &Option<PathBuf>) -> bool {
    file.as_deref() == Some(Path::new("-"))
}

/// What the configuration and the command line say of a replay.
pub(crate) fn setting(cli: &Cli, arguments: &Replayed, workers: u16) -> Result<Setting> {
    let loaded = match &cli.config {
        Some(path) => Config::load(path).map_err(|d| anyhow!("{d}"))?,
        None => Config::parse(Path::new("the shipped configuration"), SHIPPED.into())
            .map_err(|d| anyhow!("{d}"))?,
    };
    let Loaded { mut config, warnings, source } = loaded;
    if config.segments.is_empty() {
        // Nothing is inside unless it is said: then everybody may be attacked, and blocked.
        config.segments.push(Segment { protected: Vec::new(), ..Segment::for_replay() });
    }
    if let Some(first) = config.segments.first_mut() {
        first.protected.extend(&arguments.protected);
    }
    let beside = || {
        let exe = std::env::current_exe().ok()?;
        Some(exe.parent()?.parent()?.join("plugins")).filter(|dir| dir.is_dir())
    };
    let directory: PathBuf = match &arguments.plugins {
        Some(dir) => dir.clone(),
        None if cli.config.is_some() => config.plugins.dir.clone(),
        None => beside().unwrap_or_else(|| config.plugins.dir.clone()),
    };
    let setup = PluginSetup {
        posts: REPLAY_LANES + usize::from(config.plugins.host_shards),
        spares: 1,
        seed: [1, 2],
    };
    named_rules(arguments, &mut config)?;
    let rules = Rules::load(&config.rules)?;
    let files = PluginFiles::Directory(directory);
    let plugins = PluginSet::load(&files, &config.plugins, rules.as_ref(), setup)?;
    let loaded = Loaded { config, warnings, source };
    let (wall, now) = wall_now();
    let built =
        policy::build(&loaded, &Overrides::default(), wall, now).map_err(|d| anyhow!("{d}"))?;
    let snapshot =
        portcullis_control::snapshot::snapshot(&built, &loaded.config, 1, plugins.names());
    let segment = loaded.config.segments.first().map(|s| s.id).unwrap_or_default();
    Ok(Setting {
        config: loaded.config,
        snapshot: Arc::new(snapshot),
        plugins,
        segment,
        workers: usize::from(workers).min(REPLAY_LANES),
        prefilter: OnceLock::new(),
    })
}

/// Rules and variables named on the command line take the place of the configuration's.
fn named_rules(arguments: &Replayed, config: &mut Config) -> Result<()> {
    if !arguments.rules.is_empty() || arguments.rules_compiled.is_some() {
        config.rules.files.clone_from(&arguments.rules);
        config.rules.compiled.clone_from(&arguments.rules_compiled);
    }
    if let [only] = &config.rules.files[..]
        && only.is_file()
        && is_compiled(only)?
    {
        config.rules.compiled = config.rules.files.pop();
    }
    crate::rules::set_variables(&mut config.rules, &arguments.vars);
    Ok(())
}

/// What events are told with.
pub(crate) fn context(setting: &Setting) -> Context {
    let labels = setting
        .config
        .segments
        .iter()
        .map(|s| SegmentLabel { name: Arc::from(s.name.as_str()), interface: None });
    Context::new(&setting.config.events, labels.collect(), setting.plugins.names().to_vec())
        .with_classes(&setting.config.rules)
}

/// One timeline with fresh state, from its first frame to its last.
fn carry(
    setting: &Setting,
    paths: &[PathBuf],
    audience: &mut ReplayAudience<'_>,
    sums: &mut Sums,
    told: &Mutex<Told>,
) -> Result<()> {
    let mut source = PcapSource::open(paths)?;
    told.lock().unwrap_or_else(PoisonError::into_inner).reading = Some(source.progress());
    setting.plugins.forget_counters();
    let mut replay = Replay::new(parts(setting, paths, None)?);
    let (began, cpu) = (Instant::now(), process_cpu());
    replay.run(&mut source, audience);
    sums.wall += began.elapsed();
    sums.cpu += process_cpu().saturating_sub(cpu);
    sums.add(&source, &replay, setting.plugins.names(), paths);
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    told.done = told.bytes();
    told.reading = None;
    Ok(())
}

/// A street of eight lanes with fresh state; `profile` is the clock that rules are measured by.
pub(crate) fn parts(
    setting: &Setting,
    paths: &[PathBuf],
    profile: Option<Clock>,
) -> Result<ReplayParts> {
    let config = &setting.config;
    let mut sized = config.clone();
    sized.flow.memory = sized.flow.memory.min(flow_bytes_needed(paths));
    let flow_config = street::flow_config(&sized, REPLAY_LANES, SEED);
    let limits = HostLimits {
        flows: flow_config.capacity(),
        segments: u16::try_from(config.segments.len()).unwrap_or(u16::MAX),
        profile,
        ..HostLimits::default()
    };
    let book = street::book_config(config);
    let blocks = book.capacity;
    let proven = Arc::new(ProvenSources::new(1 << 16, config.flow.proof_window, SEED));
    let breaker = Arc::new(Breaker::new());
    let shards = (0..config.plugins.host_shards.max(1))
        .map(|_| setting.plugins.host_shard(limits.clone()))
        .collect::<Result<Vec<_>, _>>()?;
    let prefilter = setting.prefilter()?;
    let reading = || {
        let prefilter = Arc::clone(prefilter.as_ref()?);
        let config =
            street::reading_config(&sized, &flow_config, REPLAY_LANES, Placement::Watching);
        Some(Box::new(Reading::new(config, prefilter)))
    };
    let lane = || -> Result<Lane> {
        Ok(Lane::new(LaneParts {
            segment: setting.segment,
            flows: FlowTable::new(flow_config),
            detectors: setting.plugins.flow_host(limits.clone())?,
            host_interests: shards.first().map(|s| s.interests().clone()).unwrap_or_default(),
            blocks: WorkerTable::new(blocks, street::GRACES_MAX, 0x706f_7274),
            judge: Judge::new(Arc::clone(&breaker)),
            proven: Arc::clone(&proven),
            snapshot: Arc::clone(&setting.snapshot),
            fragments: Some(Box::new(Fragments::new(
                street::defrag_config(config, REPLAY_LANES),
                Placement::Watching,
                config.streams.receivers(),
                SEED,
            ))),
            reading: reading(),
            counters: Arc::new(LaneCounters::default()),
        }))
    };
    Ok(ReplayParts {
        segment: setting.segment,
        lanes: (0..REPLAY_LANES).map(|_| lane()).collect::<Result<_>>()?,
        shards,
        book: Book::new(book),
        key: HashKey::from_seed(SEED),
        workers: setting.workers,
    })
}

/// A table that no capture of this size can fill: each packet takes 30 bytes of a file at least,
/// and opens one flow of some 300 bytes at most. Compressed captures get what is configured.
fn flow_bytes_needed(paths: &[PathBuf]) -> u64 {
    paths.iter().fold(4 << 20, |sum: u64, path| {
        let compressed = path.extension().is_some_and(|e| e == "gz" || e == "zst");
        let bytes = std::fs::metadata(path).map_or(u64::MAX, |m| m.len());
        match compressed || !path.is_file() {
            true => u64::MAX,
            // Eight lanes, and all packets may be one lane's.
            false => sum.saturating_add(bytes.saturating_mul(10 * REPLAY_LANES as u64)),
        }
    })
}

/// Processor time of this process.
pub(crate) fn process_cpu() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}

fn progress_bar(cli: &Cli, arguments: &ReplayArgs) -> ProgressBar {
    let shown = std::io::stderr().is_terminal() && !arguments.quiet && cli.output == Output::Table;
    if !shown {
        return ProgressBar::hidden();
    }
    let sizes = arguments.of.captures.iter().filter_map(|p| std::fs::metadata(p).ok());
    let bar = ProgressBar::new(sizes.map(|m| m.len()).sum());
    let shape = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    if let Ok(style) = ProgressStyle::with_template(shape) {
        bar.set_style(style);
    }
    bar
}
