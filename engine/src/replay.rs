//! `replay`: the same engine over captures, on the captures' own clock.

use crate::ask::wall_now;
use crate::cli::{Cli, Output, ReplayArgs, Replayed};
use crate::street;
use anyhow::{Context as _, Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use portcullis_capture::backend::pcap::{CaptureProgress, PcapSource};
use portcullis_control::config::{Config, Loaded, SHIPPED, Segment};
use portcullis_control::eve::{Context, EveFile, ReplayAudience, ReplayCounts, SegmentLabel};
use portcullis_control::plugins::{PluginFiles, PluginSet, PluginSetup};
use portcullis_control::policy::{self, Overrides};
use portcullis_control::rules::{Rules, is_compiled};
use portcullis_detect::{Clock, HostLimits, SeatCounters};
use portcullis_enforce::{Book, WorkerTable};
use portcullis_flow::{FlowTable, HashKey, Placement, ProvenSources};
use portcullis_pipeline::{
    Fragments, Lane, LaneCounters, LaneParts, Prefilter, REPLAY_LANES, Reading, ReadingFigures,
    Replay, ReplayParts, Snapshot,
};
use portcullis_types::{DropReason, SegmentId};
use portcullis_verdict::{Breaker, Judge};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

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

/// The sums that the summary prints.
#[derive(Default)]
struct Sums {
    frames: u64,
    bytes: u64,
    cpu: Duration,
    wall: Duration,
    captures: Vec<Value>,
}

/// `replay PCAP...`
pub(crate) fn replay(cli: &Cli, arguments: &ReplayArgs, out: &mut impl Write) -> Result<()> {
    let began = Instant::now();
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
        audience = audience.with_events(EveFile::create(path).context("--eve")?);
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
    summary(cli, &sums, audience.counts(), loading, out)
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
    let row = row(&source, &replay, paths);
    sums.frames += row["frames"].as_u64().unwrap_or(0);
    sums.bytes += replay.lanes().map(|c| c.bytes_in.read()).sum::<u64>();
    sums.captures.push(row);
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

fn row(source: &PcapSource, replay: &Replay, paths: &[PathBuf]) -> Value {
    let sum = |each: &dyn Fn(&LaneCounters) -> u64| -> u64 { replay.lanes().map(each).sum() };
    let mut dropped = Map::new();
    for reason in DropReason::ALL {
        let n = sum(&|c| c.dropped.get(reason.index()).map_or(0, |cell| cell.read()));
        if n > 0 {
            dropped.insert(reason.name().into(), n.into());
        }
    }
    let mut rejects = Map::new();
    for reject in portcullis_wire::Reject::ALL {
        let n = sum(&|c| c.rejects.get(reject.index()).map_or(0, |cell| cell.read()));
        if n > 0 {
            rejects.insert(reject.name().into(), n.into());
        }
    }
    let outcomes = source.outcomes();
    let files: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
    let refused: u64 = outcomes.iter().map(|o| o.frames - o.delivered).sum();
    json!({
        "file": files.join(" "),
        "frames": sum(&|c| c.frames_in.read()),
        "bytes": sum(&|c| c.bytes_in.read()),
        "refused": refused,
        "truncated": outcomes.iter().map(|o| o.truncated).sum::<u64>(),
        "refused_links": outcomes.iter().flat_map(|o| &o.refused)
            .map(|r| json!({"link": r.link_type, "frames": r.frames})).collect::<Vec<_>>(),
        "end": outcomes.iter().map(|o| format!("{:?}", o.end)).collect::<Vec<_>>().join(" "),
        "forwarded": sum(&|c| c.forwarded.read()),
        "dropped": dropped,
        "rejects": rejects,
        "flows": sum(&|c| c.flows_started.read()),
        "detectors": detectors(replay),
        "reading": readings(replay),
        "vlans": replay.vlans().filter(|v| v.depth() > 0).map(|v| v.to_vec()).collect::<Vec<_>>(),
    })
}

/// What each flow-scope detector was shown and said, by its number.
fn detectors(replay: &Replay) -> Value {
    let mut sums: BTreeMap<u16, SeatCounters> = BTreeMap::new();
    for (id, seat) in replay.seats() {
        let sum = sums.entry(id.0).or_default();
        sum.events += seat.events;
        sum.fuel += seat.fuel;
        sum.verdicts += seat.verdicts;
        sum.lost += seat.lost + seat.buffers_cut + seat.hits_cut + seat.events_lost;
        sum.unjudged += seat.unjudged;
        for (sum, n) in sum.refused.iter_mut().zip(seat.refused) {
            *sum += n;
        }
        for (sum, n) in sum.faults.iter_mut().zip(seat.faults) {
            *sum += n;
        }
    }
    let rows = sums.into_iter().map(|(id, seat)| {
        json!({
            "detector": id,
            "events": seat.events,
            "fuel": seat.fuel,
            "verdicts": seat.verdicts,
            "refused": seat.refused,
            "faults": seat.faults,
            "lost": seat.lost,
            "unjudged": seat.unjudged,
        })
    });
    Value::Array(rows.collect())
}

/// What was read behind the headers; `null` where nothing was.
fn readings(replay: &Replay) -> Value {
    let all: Vec<ReadingFigures> = replay.readings().collect();
    let sum = |each: fn(&ReadingFigures) -> u64| all.iter().map(each).sum::<u64>();
    if all.is_empty() {
        return Value::Null;
    }
    json!({
        "streams": sum(|r| r.streams.started),
        "stream_bytes": sum(|r| r.streams.delivered),
        "gap_bytes": sum(|r| r.streams.gap_bytes),
        "messages": sum(|r| r.messages),
        "records": sum(|r| r.records),
        "undecoded": sum(|r| r.undecoded),
        "conversation_bytes_most": sum(|r| r.conversation_bytes_most),
        "scans": sum(|r| r.scans.scans),
        "scanned_bytes": sum(|r| r.scans.bytes),
        "hits": sum(|r| r.scans.hits),
        "hits_lost": sum(|r| r.scans.hits_lost),
        "offered": sum(|r| r.offered),
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

fn summary(
    cli: &Cli,
    sums: &Sums,
    counts: &ReplayCounts,
    loading: Duration,
    out: &mut impl Write,
) -> Result<()> {
    let cpu = sums.cpu.as_secs_f64();
    let per_second = if cpu > 0.0 { sums.frames as f64 / cpu } else { 0.0 };
    if cli.output == Output::Json {
        let told = json!({
            "frames": sums.frames,
            "bytes": sums.bytes,
            "alerts": counts.alerts,
            "anomalies": counts.anomalies,
            "blocks": counts.blocks,
            "cpu_seconds": cpu,
            "wall_seconds": sums.wall.as_secs_f64(),
            "loading_seconds": loading.as_secs_f64(),
            "frames_per_cpu_second": per_second,
            "captures": sums.captures,
        });
        serde_json::to_writer_pretty(&mut *out, &told)?;
        writeln!(out)?;
        return Ok(());
    }
    let total = |key: &str| -> u64 { sums.captures.iter().filter_map(|c| c[key].as_u64()).sum() };
    writeln!(out, "captures   {}", sums.captures.len())?;
    writeln!(out, "frames     {} ({} bytes)", sums.frames, sums.bytes)?;
    writeln!(out, "forwarded  {}", total("forwarded"))?;
    let mut dropped: std::collections::BTreeMap<&str, u64> = Default::default();
    for (reason, n) in sums.captures.iter().filter_map(|c| c["dropped"].as_object()).flatten() {
        *dropped.entry(reason).or_default() += n.as_u64().unwrap_or(0);
    }
    for (reason, n) in &dropped {
        writeln!(out, "dropped    {n} ({reason})")?;
    }
    let refused = total("refused");
    if refused > 0 {
        writeln!(out, "refused    {refused} of link types that are not read")?;
    }
    writeln!(out, "flows      {}", total("flows"))?;
    writeln!(out, "alerts     {}", counts.alerts)?;
    writeln!(out, "anomalies  {}", counts.anomalies)?;
    writeln!(out, "blocks     {}", counts.blocks)?;
    writeln!(
        out,
        "time       {cpu:.3} s processor, {:.3} s wall, {:.3} s loading; {per_second:.0} frames \
         per processor second",
        sums.wall.as_secs_f64(),
        loading.as_secs_f64(),
    )?;
    Ok(())
}
