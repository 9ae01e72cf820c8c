//! The engine's threads: workers on their cores, host shards, and how they end.

use anyhow::{Context, Result};
use portcullis_pipeline::PostBox;
use portcullis_types::{Clock, Tick};
use std::thread::JoinHandle;
use tracing::{info, warn};

/// `CLOCK_BOOTTIME`: never jumps, counts while the machine sleeps, and is the kernel program's own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BootClock;

impl Clock for BootClock {
    fn now(&self) -> Tick {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let part = |n: i64| u64::try_from(n).unwrap_or(0);
        Tick(part(t.tv_sec).saturating_mul(1_000_000_000).saturating_add(part(t.tv_nsec)))
    }
}

/// A thread of the street with its letter box.
pub(crate) struct StreetThread {
    pub(crate) name: String,
    pub(crate) post: PostBox,
    thread: JoinHandle<()>,
}

/// Starts a thread, on a core of its own where one is given.
pub(crate) fn start(
    name: String,
    core: Option<u16>,
    post: PostBox,
    body: impl FnOnce() + Send + 'static,
) -> Result<StreetThread> {
    let told = name.clone();
    let thread = std::thread::Builder::new()
        .name(name.chars().take(15).collect())
        .spawn(move || {
            if let Some(core) = core
                && let Err(e) = pin(core)
            {
                warn!("{told}: cannot be kept on core {core}: {e}");
            }
            body();
            info!("{told}: ended");
        })
        .context("starting a thread")?;
    Ok(StreetThread { name, post, thread })
}

/// The cores that this process may use, in order; none where the system does not say.
pub(crate) fn allowed_cores() -> Vec<u16> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    let cores = (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| set.is_set(*core));
    cores.filter_map(|core| u16::try_from(core).ok()).collect()
}

fn pin(core: u16) -> rustix::io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(usize::from(core));
    rustix::thread::sched_setaffinity(None, &set)
}

/// Asks all to end and waits until they have.
pub(crate) fn end(threads: Vec<StreetThread>) {
    for thread in &threads {
        thread.post.end();
    }
    for thread in threads {
        if thread.thread.join().is_err() {
            warn!("{}: ended by a panic", thread.name);
        }
    }
}
