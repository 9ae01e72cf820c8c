//! The thread that owns the events' file.
//!
//! ```text
//!   workers ── try_send ──► reports, bounded: a full queue loses them, the sender counts ─┐
//!   book, exclusions, plugins ── send ──► facts, bounded: a full queue makes it wait ─┴► file
//! ```
//!
//! A disk that fails is tried again for ever: what was taken stays, facts are taken until their
//! share of memory is used, and only then do their senders wait. Workers never do.

use super::context::Context;
use super::json::Line;
use super::notices::ExclusionChange;
use super::scribe::Scribe;
use super::sink::Sink;
use arc_swap::ArcSwap;
use crossbeam::channel::{Receiver, Select, Sender, bounded};
use portcullis_detect::PluginEvent;
use portcullis_enforce::BookEvent;
use portcullis_pipeline::Report;
use portcullis_types::Tick;
use portcullis_verdict::Trip;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Facts that wait at most; beyond it their senders do.
const FACTS_MAX: usize = 4_096;
/// Bytes of one write; reports are taken as long as fewer wait.
const BATCH_BYTES: usize = 256 << 10;
/// Bytes that wait for a failing disk at most: some 30,000 blocks.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// Between two tries of a failing disk, and between two looks at the orders when nothing is told.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the end waits for a failing disk.
const FAREWELL: Duration = Duration::from_secs(2);

/// What is never lost.
#[derive(Clone, Debug)]
pub enum Fact {
    /// The list of blocks changed.
    Book(BookEvent, Tick),
    /// The list of exclusions changed.
    Exclusion(ExclusionChange, Tick),
    /// Something about the plugin of that name.
    Plugin(Arc<str>, PluginEvent, Tick),
    /// The breaker has opened, first for the detector of that name.
    Tripped(Arc<str>, Trip, Tick),
    /// Figures.
    Stats(Arc<crate::metrics::Figures>, Tick),
}

/// What the thread counts.
#[derive(Debug, Default)]
pub struct EveCounters {
    /// Lines in the file.
    pub written: AtomicU64,
    /// Lines that the disk had not taken when the engine ended.
    pub lost: AtomicU64,
    /// Writes and openings that failed.
    pub failed: AtomicU64,
    /// Times that the file was opened anew.
    pub reopened: AtomicU64,
}

/// What the thread is told beside events.
struct Orders {
    reopen: AtomicBool,
    end: AtomicBool,
    context: ArcSwap<Context>,
}

/// The events' writer. Dropping it writes what waits and ends the thread.
pub struct EveWriter {
    reports: Sender<Report>,
    facts: Sender<Fact>,
    orders: Arc<Orders>,
    counters: Arc<EveCounters>,
    thread: Option<JoinHandle<()>>,
}

impl EveWriter {
    /// Opens the file to append and starts the thread; `queue` reports wait at most.
    ///
    /// # Errors
    /// The file cannot be opened, or there can be no thread.
    pub fn start(path: &Path, queue: usize, context: Arc<Context>) -> io::Result<Self> {
        let sink = Sink::open(path)?;
        let (reports, heard) = bounded(queue);
        let (facts, known) = bounded(FACTS_MAX);
        let orders = Arc::new(Orders {
            reopen: AtomicBool::new(false),
            end: AtomicBool::new(false),
            context: ArcSwap::new(Arc::clone(&context)),
        });
        let counters = Arc::new(EveCounters::default());
        let mut desk = Desk {
            reports: heard,
            facts: known,
            orders: Arc::clone(&orders),
            counters: Arc::clone(&counters),
            scribe: Scribe::new(context),
            line: Line::new(),
            sink,
        };
        let thread = std::thread::Builder::new().name("events".into()).spawn(move || desk.run())?;
        Ok(EveWriter { reports, facts, orders, counters, thread: Some(thread) })
    }

    /// Where workers put reports, with `try_send`; they count what finds no room.
    pub fn reports(&self) -> Sender<Report> {
        self.reports.clone()
    }

    /// Tells what must never be lost; waits where the disk does not keep up.
    pub fn tell(&self, fact: Fact) {
        // The thread ends after the last handle is dropped, so it always listens.
        let _ = self.facts.send(fact);
    }

    /// A handle to tell facts with from other threads; what is sent after the writer was dropped
    /// comes back.
    pub fn facts(&self) -> Sender<Fact> {
        self.facts.clone()
    }

    /// The file was moved away: opens the path anew, within 100 ms. No line is torn.
    pub fn reopen(&self) {
        self.orders.reopen.store(true, Relaxed);
    }

    /// From now on with these names and settings.
    pub fn set_context(&self, context: Arc<Context>) {
        self.orders.context.store(context);
    }

    /// What was written, lost and failed.
    pub fn counters(&self) -> &Arc<EveCounters> {
        &self.counters
    }
}

impl Drop for EveWriter {
    fn drop(&mut self) {
        self.orders.end.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's own.
struct Desk {
    reports: Receiver<Report>,
    facts: Receiver<Fact>,
    orders: Arc<Orders>,
    counters: Arc<EveCounters>,
    scribe: Scribe,
    line: Line,
    sink: Sink,
}

impl Desk {
    fn run(&mut self) {
        let mut farewell = None;
        loop {
            // Looked at before the queues, so that what was sent before the end is taken.
            let ends = self.orders.end.load(Relaxed);
            if self.orders.reopen.swap(false, Relaxed) {
                self.sink.reopen(&self.counters);
            }
            self.scribe.set_context(self.orders.context.load_full());
            let taken = self.take();
            let failing = !self.sink.flush(&self.counters);
            if ends && !failing && taken == 0 {
                return;
            }
            if ends && failing {
                let since = *farewell.get_or_insert_with(Instant::now);
                if since.elapsed() >= FAREWELL {
                    let unheard = (self.facts.len() + self.reports.len()) as u64;
                    self.counters.lost.fetch_add(self.sink.lines_waiting() + unheard, Relaxed);
                    return;
                }
            }
            if failing {
                std::thread::sleep(PAUSE);
            } else if taken == 0 {
                self.wait();
            }
        }
    }

    /// Facts first: they are few. Both as far as there is room.
    fn take(&mut self) -> usize {
        let mut taken = 0;
        while self.sink.bytes_waiting() < WAITING_BYTES_MAX
            && let Ok(fact) = self.facts.try_recv()
        {
            self.write_fact(&fact);
            taken += 1;
        }
        while self.sink.bytes_waiting() < BATCH_BYTES
            && let Ok(report) = self.reports.try_recv()
        {
            for number in 0..Scribe::lines(&report) {
                self.scribe.report_line(&report, number, &mut self.line);
                self.sink.push(&self.line);
            }
            taken += 1;
        }
        taken
    }

    fn write_fact(&mut self, fact: &Fact) {
        let (scribe, line) = (&mut self.scribe, &mut self.line);
        match fact {
            Fact::Book(event, now) => scribe.book(event, *now, line),
            Fact::Exclusion(change, now) => scribe.exclusion(change, *now, line),
            Fact::Plugin(name, event, now) => scribe.plugin(name, event, *now, line),
            Fact::Tripped(name, trip, now) => scribe.tripped(name, trip, *now, line),
            Fact::Stats(figures, now) => scribe.stats(figures, *now, line),
        }
        self.sink.push(&self.line);
    }

    /// Until something comes, but not so long that an order waits.
    fn wait(&self) {
        let mut select = Select::new();
        select.recv(&self.facts);
        select.recv(&self.reports);
        let _ = select.ready_timeout(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

    use super::*;
    use crate::eve::tests::samples;
    use serde_json::Value;

    fn events(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn within(what: impl Fn() -> bool) -> bool {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(20) {
            if what() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    fn block() -> Fact {
        Fact::Book(samples::blocked(), samples::AT)
    }

    #[test]
    fn everything_is_written_before_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eve.json");
        let writer = EveWriter::start(&path, 20_000, Arc::new(samples::context())).unwrap();
        let reports = writer.reports();
        for _ in 0..10_000 {
            reports.try_send(samples::report(samples::alert())).unwrap();
        }
        writer.tell(block());
        let counters = Arc::clone(writer.counters());
        drop(writer);
        let types = events(&path);
        assert_eq!(types.iter().filter(|e| e["event_type"] == "alert").count(), 10_000);
        assert_eq!(types.iter().filter(|e| e["event_type"] == "block").count(), 1);
        assert_eq!((counters.written.load(Relaxed), counters.lost.load(Relaxed)), (10_001, 0));
    }

    #[test]
    fn a_rotated_file_is_left_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("eve.json"), folder.path().join("eve.json.1"));
        let writer = EveWriter::start(&path, 64, Arc::new(samples::context())).unwrap();
        writer.tell(block());
        assert!(within(|| writer.counters().written.load(Relaxed) == 1));
        std::fs::rename(&path, &old).unwrap();
        writer.reopen();
        assert!(within(|| writer.counters().reopened.load(Relaxed) == 1));
        writer.tell(block());
        drop(writer);
        assert_eq!((events(&old).len(), events(&path).len()), (1, 1));
    }

    #[test]
    fn a_full_disk_loses_reports_but_no_block() {
        let folder = tempfile::tempdir().unwrap();
        let (path, good) = (folder.path().join("eve.json"), folder.path().join("good.json"));
        if !Path::new("/dev/full").exists() {
            return;
        }
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let writer = EveWriter::start(&path, 64, Arc::new(samples::context())).unwrap();
        for _ in 0..500 {
            writer.tell(block());
        }
        assert!(within(|| writer.counters().failed.load(Relaxed) > 0));
        // Reports are taken until a batch waits; then their queue fills and their senders lose.
        let reports = writer.reports();
        let lost =
            |n: usize| reports.try_send(samples::report(samples::alert())).is_err() && n > 64;
        assert!((0..10_000).any(lost), "a failing disk never slows a worker");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&good, &path).unwrap();
        writer.reopen();
        drop(writer);
        let blocks = events(&good).iter().filter(|e| e["event_type"] == "block").count();
        assert_eq!(blocks, 500);
    }
}
