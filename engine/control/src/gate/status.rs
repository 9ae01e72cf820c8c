//! Figures of the gate and of the whole engine, and what an operator should look at.

use super::answers::moment;
use super::keeper::Keeper;
use crate::api::model::{ReadingStatus, SegmentStatus, StatusReply};
use crate::config::Segment;
use crate::metrics::{Figures, JournalFigures, PluginFigures, WorkerFigures, resident_bytes};
use portcullis_pipeline::{Cell, Post, PostBox};
use portcullis_types::{DropReason, PortSide, SegmentId};
use std::sync::Arc;
use std::time::Duration;

/// What is known about one segment once its ports are open.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SegmentAbout {
    /// How frames are read, e.g. `af_xdp native, 2 queues`.
    pub capture: String,
}

/// What is known about the street once it is built.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StreetAbout {
    /// The segment of each worker, by worker number.
    pub workers: Vec<SegmentId>,
    /// By segment number.
    pub segments: Vec<SegmentAbout>,
    /// Bytes that the engine will use at most.
    pub memory_max_bytes: u64,
    /// The engine's version.
    pub version: String,
}

impl StreetAbout {
    /// The segment of a post; a shard has none.
    pub(super) fn segment_of(&self, post: Post) -> Option<SegmentId> {
        match post {
            Post::Worker(number) => self.workers.get(number).copied(),
            Post::Shard(_) => None,
        }
    }

    /// All workers.
    pub(super) fn workers(&self) -> Vec<Post> {
        (0..self.workers.len()).map(Post::Worker).collect()
    }
}

/// Fills in what the gate does not know: the kernel program, the breaker, the events' writer.
pub(super) type Complete = Arc<dyn Fn(&mut Figures) + Send + Sync>;

impl Keeper {
    /// All figures of the engine.
    pub(super) fn figures(&mut self) -> Figures {
        self.collect();
        let loaded = self.config.load_full();
        let mut figures = Figures {
            version: self.about.version.clone(),
            uptime: self.now().since(self.started),
            plugins: self.plugin_figures(),
            rules: self.rules().cloned(),
            rules_swapped: self.rules_swapped,
            book: self.book.counters(),
            blocks: self.book.len() as u64,
            exclusions: self.policy().policy.exclusions.rows().len() as u64,
            enforcers: self.carriers.kernel_counters(),
            kernel_latency: self.block_delay.read(),
            journal: JournalFigures::of(self.ledger.journal()),
            memory_promised: self.about.memory_max_bytes,
            memory_resident: resident_bytes(),
            ..Figures::default()
        };
        for post in self.carriers.boxes() {
            let read = post.read();
            let cpu = Duration::from_nanos(read.cpu_ns);
            match post.post {
                Post::Shard(_) => figures.shards.push(cpu),
                Post::Worker(worker) => {
                    let id = self.about.segment_of(post.post).unwrap_or_default();
                    let segment = loaded.config.segments.get(usize::from(id.0));
                    let port = |side| {
                        let name = segment.and_then(|s| s.ports.name(side)).unwrap_or_default();
                        Arc::from(name)
                    };
                    figures.reading.push(read.reading);
                    figures.workers.push(WorkerFigures {
                        segment: segment.map_or_else(Arc::default, |s| s.name.as_str().into()),
                        worker,
                        ports: [port(PortSide::A), port(PortSide::B)],
                        lane: Arc::clone(&post.counters),
                        source: read.source,
                        flow: read.flow,
                        blocks: read.blocks as u64,
                        cpu,
                    });
                }
            }
        }
        (self.complete)(&mut figures);
        figures
    }

    /// Each plugin's figures, of all posts, as they published them last.
    pub(super) fn plugin_figures(&self) -> Vec<PluginFigures> {
        let mut all: Vec<PluginFigures> = self
            .line_up
            .iter()
            .map(|loaded| PluginFigures {
                name: loaded.plugin.manifest().name.clone(),
                version: loaded.plugin.manifest().version.clone(),
                ..PluginFigures::default()
            })
            .collect();
        for figures in self.carriers.boxes().map(PostBox::read) {
            for (id, seat) in &figures.plugins {
                if let Some(sum) = all.get_mut(usize::from(id.0)) {
                    sum.add(seat);
                }
            }
            for (id, name, value) in figures.metrics {
                let Some(sum) = all.get_mut(usize::from(id.0)) else { continue };
                match sum.own.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, total)) => *total = total.saturating_add(value),
                    None => sum.own.push((name, value)),
                }
            }
        }
        all
    }

    /// The engine at a glance.
    pub(super) fn status(&mut self) -> StatusReply {
        let loaded = self.config.load_full();
        let now = self.now();
        StatusReply {
            version: self.about.version.clone(),
            pid: std::process::id(),
            started: moment(self.wall, self.started),
            uptime_seconds: now.since(self.started).as_secs(),
            config: loaded.source.file().to_owned(),
            memory_max_bytes: self.about.memory_max_bytes,
            segments: loaded.config.segments.iter().map(|s| self.segment_status(s)).collect(),
            blocks: self.book.len() as u64,
            exclusions: self.policy().policy.exclusions.rows().len() as u64,
            rules: self.rules().map(super::rules::info),
            rules_swapped: self.rules_swapped,
            reading: self.reading_status(),
            plugins: self.plugins().plugins,
            warnings: self.warnings(),
        }
    }

    /// What could not be read behind the headers.
    fn reading_status(&self) -> Option<ReadingStatus> {
        let mut all = self.carriers.boxes().filter_map(|b| b.read().reading).peekable();
        all.peek()?;
        Some(all.fold(ReadingStatus::default(), |sum, read| ReadingStatus {
            streams: sum.streams + read.streams.live,
            gap_bytes: sum.gap_bytes + read.streams.gap_bytes,
            undecoded: sum.undecoded + read.undecoded,
            headers_cut: sum.headers_cut + read.decoding.headers_cut,
            bodies_cut: sum.bodies_cut + read.decoding.bodies_cut,
            inflate_bombs: sum.inflate_bombs + read.decoding.inflate_bombs,
            decoder_gap_bytes: sum.decoder_gap_bytes + read.decoding.gap_bytes,
            scan_overruns: sum.scan_overruns + read.scans.overruns,
        }))
    }

    fn segment_status(&self, segment: &Segment) -> SegmentStatus {
        let about = self.about.segments.get(usize::from(segment.id.0));
        let mut status = SegmentStatus {
            name: segment.name.clone(),
            mode: self.policy().policy.mode(segment.id).name().to_owned(),
            ports: segment.ports.names().map(str::to_owned).collect(),
            capture: about.map(|a| a.capture.clone()).unwrap_or_default(),
            ..SegmentStatus::default()
        };
        let of_segment = |b: &&PostBox| self.about.segment_of(b.post) == Some(segment.id);
        for counters in self.carriers.boxes().filter(of_segment).map(|b| &b.counters) {
            status.frames_in += counters.frames_in.read();
            status.forwarded += counters.forwarded.read();
            status.dropped += counters.dropped_all();
            let blocked = counters.dropped.get(DropReason::Blocked.index());
            status.blocked += blocked.map_or(0, Cell::read);
            status.flows += counters.flows.read();
            status.alerts += counters.findings.read();
        }
        let stopped = self.carriers.stopped_in(segment.id);
        status.blocked += stopped;
        status
    }

    /// What an operator should look at.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let loaded = self.config.load();
        for (segment, port) in &self.gone {
            let name = loaded.config.segments.get(usize::from(segment.0));
            let name = name.map_or("unknown", |s| s.name.as_str());
            warnings.push(format!("port {port} is gone: segment {name} has stopped"));
        }
        for (plugin, post) in &self.resting {
            let version = self.at_work(*plugin);
            let name = version.map_or("unknown", |p| &p.manifest().name);
            warnings.push(format!("plugin {name} is quarantined at {post}"));
        }
        let kernels = self.carriers.kernel_counters();
        let orders: u64 = kernels.iter().map(|(_, kernel)| kernel.failed + kernel.full).sum();
        if orders > 0 {
            warnings.push(format!("{orders} orders hold in the workers but not in the kernel"));
        }
        if self.book.counters().refused_full > 0 {
            let refused = self.book.counters().refused_full;
            warnings.push(format!("the block list was full: {refused} blocks were not made"));
        }
        warnings.extend(self.trip_warning());
        if self.ledger.next_due().is_some() {
            let waiting = self.ledger.waiting();
            warnings.push(format!("the journal cannot be written: {waiting} orders wait"));
        }
        let lost: u64 = self.carriers.boxes().map(|b| b.counters.reports_lost.read()).sum();
        if lost > 0 {
            warnings.push(format!("{lost} events were lost: the disk does not keep up"));
        }
        warnings
    }
}
