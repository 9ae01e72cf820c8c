//! The gate: one thread that keeps the list of blocks and everything that hangs on it.
//!
//! ```text
//!   street ── words ──►┐                ┌─► kernel maps      at once
//!   sockets ─ errands ►│ Keeper ─ Book ─┼─► every post's box at once, or as soon as it has room
//!   clock ── due ─────►┘                ├─► journal ── on the disk ─► events, answers
//!                                       └─► Snapshot (policy), swapped whole
//! ```
//!
//! An order is carried out first and acknowledged last: whoever reads of a block in an event, in
//! the list or in an answer may rely on it after a crash. What compiles, reads files or waits for a
//! disk runs on other threads. The gate must never know what a detector looks for.

mod answers;
mod blocks;
mod book;
mod breaker;
mod carry;
mod errands;
mod exclusions;
mod herald;
mod keeper;
mod ledger;
mod moments;
mod operations;
mod own;
mod policy;
mod recovery;
mod reload;
mod rules;
mod status;
mod swaps;
#[cfg(test)]
mod tests;

pub use carry::KernelTable;
pub use herald::{Herald, Silent};
pub use moments::{LiveTimeline, Timeline};
pub use policy::context;
pub use recovery::{RecoverError, Recovered};
pub use status::{SegmentAbout, StreetAbout};

use crate::config::{Config, Loaded};
use crate::metrics::Figures;
use crate::plugins::PluginSet;
use arc_swap::ArcSwap;
use crossbeam::channel::{Receiver, Sender, unbounded};
use keeper::{Keeper, Message};
use portcullis_pipeline::{PostBox, Snapshot, StreetWord};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What a gate is made of.
pub struct GateParts {
    /// What the journal gave back; from [`Recovered::open`].
    pub recovered: Recovered,
    /// The configuration's file, for reloads.
    pub config_file: PathBuf,
    /// The clocks.
    pub timeline: Arc<dyn Timeline>,
    /// What the street says.
    pub words: Receiver<StreetWord>,
    /// Every worker's and shard's box.
    pub boxes: Vec<PostBox>,
    /// Policy as the street reads it.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// The detectors.
    pub plugins: PluginSet,
    /// Where blocks are carried out beside the workers' tables.
    pub kernels: Vec<Box<dyn KernelTable>>,
    /// Who is told what happened.
    pub herald: Box<dyn Herald>,
    /// What is known about the street once and for all.
    pub about: StreetAbout,
    /// Fills in the figures that the gate does not know (the kernel program's, the breaker's, the
    /// events' writer's). Runs on the gate's thread: reads counters, and no more.
    pub complete: Arc<dyn Fn(&mut Figures) + Send + Sync>,
    /// Called when an operator ends the engine.
    pub shutdown: Box<dyn Fn() + Send + Sync>,
}

/// What is called with a configuration that was just taken.
type OnReload = Box<dyn Fn(&Config) + Send>;

/// What handles share.
struct Shared {
    messages: Sender<Message>,
    plugins: Arc<Mutex<PluginSet>>,
    config: Arc<ArcSwap<Loaded>>,
    config_file: PathBuf,
    boxes: Vec<PostBox>,
    shutdown: Box<dyn Fn() + Send + Sync>,
    on_reload: Mutex<Vec<OnReload>>,
}

/// The gate, for whoever gives orders: implements [`crate::api::Operations`]. Cheap to clone; all
/// its methods may wait.
#[derive(Clone)]
pub struct GateHandle {
    shared: Arc<Shared>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// Starts the gate.
pub struct Gate;

impl Gate {
    /// Brings kernel maps and boxes in step with the book and starts the thread. Nothing that was
    /// blocked before is let through meanwhile.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(parts: GateParts) -> io::Result<GateHandle> {
        // Answers of the journal, of errands and requests: bounded by the journal's queue, the
        // spares asked for, and the requests that the server carries out at once.
        let (messages, heard) = unbounded();
        let plugins = Arc::new(Mutex::new(parts.plugins));
        let config = Arc::new(ArcSwap::from_pointee(parts.recovered.loaded.clone()));
        let shared = Arc::new(Shared {
            messages: messages.clone(),
            plugins: Arc::clone(&plugins),
            config: Arc::clone(&config),
            config_file: parts.config_file,
            boxes: parts.boxes.clone(),
            shutdown: parts.shutdown,
            on_reload: Mutex::default(),
        });
        let mut keeper = Keeper::new(keeper::KeeperParts {
            recovered: parts.recovered,
            timeline: parts.timeline,
            boxes: parts.boxes,
            snapshot: parts.snapshot,
            plugins,
            kernels: parts.kernels,
            herald: parts.herald,
            about: parts.about,
            config,
            block_delay: Arc::default(),
            complete: parts.complete,
            messages,
        })?;
        keeper.begin();
        let words = parts.words;
        let thread = std::thread::Builder::new()
            .name("gate".into())
            .spawn(move || keeper.run(&words, &heard))?;
        Ok(GateHandle { shared, thread: Arc::new(Mutex::new(Some(thread))) })
    }
}

impl GateHandle {
    /// Ends the gate: what the street has said is taken, the journal is flushed, everything is
    /// told. Call it when the workers have ended.
    pub fn stop(&self) {
        let _ = self.shared.messages.send(Message::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Loaded> {
        self.shared.config.load_full()
    }

    /// From now on `then` is called with every configuration that a reload takes, off the gate's
    /// thread: for what the gate does not own (who may use the socket, log levels).
    pub fn on_reload(&self, then: impl Fn(&Config) + Send + 'static) {
        let mut list = self.shared.on_reload.lock().unwrap_or_else(PoisonError::into_inner);
        list.push(Box::new(then));
    }
}
