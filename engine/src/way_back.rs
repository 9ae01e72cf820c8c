//! Ports that go and come back: a thread that waits for them, opens their segment anew and hands
//! the sources to the workers, which have kept everything else.
//!
//! Off the street: opening takes milliseconds. It must never know a packet.

use crate::ports::{self, Kind, Sources};
use anyhow::{Result, anyhow, bail};
use crossbeam::channel::Sender;
use portcullis_capture::kernel::KernelProgram;
use portcullis_capture::returning::Doorway;
use portcullis_control::config::{Config, Segment};
use portcullis_pipeline::{Post, StreetWord};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// How often it looks whether a port is back.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// After a port could not be opened: it may not be set up yet.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The kernel program, as those share it who open ports and read counters.
pub(crate) type SharedKernel = Option<Arc<Mutex<KernelProgram>>>;

/// The doorways of one segment's workers, in their order.
pub(crate) trait Doorways: Send {
    /// Whether all workers have let go of their sources.
    fn are_empty(&self) -> bool;

    /// Hands in one source for each.
    fn hand_in(&self, sources: Sources) -> Result<()>;
}

impl<S: Kind + Send> Doorways for Vec<Doorway<S>> {
    fn are_empty(&self) -> bool {
        self.iter().all(Doorway::is_empty)
    }

    fn hand_in(&self, sources: Sources) -> Result<()> {
        let restart = "restart the engine to take that up";
        let Some(sources) = S::of(sources) else {
            bail!("the ports can only be captured from in another way than before: {restart}");
        };
        if sources.len() != self.len() {
            let (now, before) = (sources.len(), self.len());
            bail!("the ports have queues for {now} workers and had {before}: {restart}");
        }
        for (doorway, source) in self.iter().zip(sources) {
            doorway.hand_in(source).map_err(|_| anyhow!("a worker has ended: {restart}"))?;
        }
        Ok(())
    }
}

/// A segment, and how its workers get other sources.
pub(crate) struct Way {
    pub(crate) segment: Segment,
    /// Its first worker, counted over all segments.
    pub(crate) first: usize,
    pub(crate) doorways: Box<dyn Doorways>,
}

/// The thread that waits. Dropping it ends it.
pub(crate) struct WayBack {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl WayBack {
    /// Begins to wait for ports of these segments; `reopened` counts those opened again.
    pub(crate) fn watch(
        config: Config,
        kernel: SharedKernel,
        ways: Vec<Way>,
        words: Sender<StreetWord>,
        reopened: Arc<AtomicU64>,
    ) -> Result<WayBack> {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("ports".into()).spawn(move || {
            let mut waits: Vec<Wait> = ways.into_iter().map(Wait::new).collect();
            while !asked.load(Ordering::Relaxed) {
                for wait in &mut waits {
                    if let Some(from) = wait.look(&config, &kernel) {
                        reopened.fetch_add(1, Ordering::Relaxed);
                        // The gate may be at its end; then nobody asks any more.
                        let _ = words.send(StreetWord::PortsBack { from });
                    }
                }
                std::thread::park_timeout(LOOK_EVERY);
            }
        })?;
        Ok(WayBack { stop, thread: Some(thread) })
    }
}

impl Drop for WayBack {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// One segment that may be waited for.
struct Wait {
    way: Way,
    not_before: Option<Instant>,
    /// Why it did not work, so that it is said once.
    told: String,
}

impl Wait {
    fn new(way: Way) -> Self {
        Wait { way, not_before: None, told: String::new() }
    }

    /// Opens the segment where it has stopped and its ports are there; who is to be told of.
    fn look(&mut self, config: &Config, kernel: &SharedKernel) -> Option<Post> {
        let segment = &self.way.segment;
        let is_early = self.not_before.is_some_and(|at| Instant::now() < at);
        if is_early || !self.way.doorways.are_empty() || !segment.ports.names().all(is_there) {
            return None;
        }
        let mut kernel =
            kernel.as_ref().map(|kernel| kernel.lock().unwrap_or_else(PoisonError::into_inner));
        let opened = ports::open_again(config, segment, kernel.as_deref_mut())
            .and_then(|opened| self.way.doorways.hand_in(opened.sources));
        match opened {
            Ok(()) => {
                (self.not_before, self.told) = (None, String::new());
                info!("segment {}: its ports are back and opened again", segment.name);
                Some(Post::Worker(self.way.first))
            }
            Err(e) => {
                self.not_before = Some(Instant::now() + AGAIN_AFTER);
                let why = format!("{e:#}");
                if why != self.told {
                    warn!(
                        "segment {}: its ports are back and cannot be opened: {why}",
                        segment.name
                    );
                    self.told = why;
                }
                None
            }
        }
    }
}

/// Whether the system has a port of that name.
fn is_there(port: &str) -> bool {
    let text = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
    text.lines().filter_map(|line| line.split_once(':')).any(|(name, _)| name.trim() == port)
}
