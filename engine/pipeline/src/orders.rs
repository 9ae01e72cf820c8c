//! What passes between the street and whoever runs it: orders down, words up.
//!
//! Both queues are bounded. Orders down are taken at a burst boundary, all of them, before the next
//! burst is polled: a block that was published is in force for the first burst polled after it.
//! Words up that find no room wait in the worker and are counted, never lost.

use crate::counters::LaneCounters;
use crate::reading::{Prefilter, ReadingFigures, StreamReading};
use crate::report::Report;
use crate::snapshot::Snapshot;
use arc_swap::ArcSwap;
use crossbeam::channel::Sender;
use crossbeam::queue::ArrayQueue;
use portcullis_capture::SourceStatistics;
use portcullis_detect::{Instance, Plugin, PluginEvent, SeatCounters};
use portcullis_enforce::{Stopped, TableOrder};
use portcullis_flow::FlowCounters;
use portcullis_types::{BlockOrder, PluginId, PortSide};
use portcullis_verdict::Trip;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Orders that one worker's or shard's queue holds; whoever gives more waits for it to take some.
pub const ORDERS_MAX: usize = 8_192;

/// An order to a worker or a host shard, taken at a burst boundary.
pub enum StreetOrder {
    /// A change of the block table.
    Table(TableOrder),
    /// Plugins' first versions or their next, warmed, with the patterns of all plugins where their
    /// own have changed them: taken together, so that no number means another version's pattern.
    Install(Vec<(PluginId, Instance)>, Option<Arc<Prefilter>>),
    /// How streams are read from now on. Workers only.
    Streams(Box<StreamReading>),
    /// A warmed spare.
    Spare(PluginId, Box<Instance>),
    /// A spare could not be warmed.
    InitFailed(PluginId),
    /// The host-scope plugins have changed: what they want to see. Workers only.
    HostInterests(Box<portcullis_detect::Interests>),
}

/// A word from the street.
pub enum StreetWord {
    /// A detector's block; the worker's own table has it already.
    Block(BlockOrder),
    /// What blocks have stopped since the last time.
    Stopped(Vec<Stopped>),
    /// A plugin needs so many spares of this version.
    NeedsSpare {
        /// From which worker or shard.
        from: Post,
        /// Which plugin.
        plugin: PluginId,
        /// The version at work.
        version: Arc<Plugin>,
        /// How many.
        count: usize,
    },
    /// A step in a plugin's life.
    Plugin {
        /// From which worker or shard.
        from: Post,
        /// Which plugin.
        plugin: PluginId,
        /// What.
        event: PluginEvent,
    },
    /// The breaker refuses blocks of this detector from here on, until the next minute: said once.
    Tripped {
        /// Whose block was the first to be refused.
        plugin: PluginId,
        /// Which cap.
        trip: Trip,
    },
    /// What newer versions have taken the place of, to be dropped where nobody waits.
    Retired(Box<Vec<Box<dyn Send>>>),
    /// A port is gone: its segment has stopped.
    PortGone {
        /// Which worker saw it.
        from: Post,
        /// Which of its ports.
        side: PortSide,
    },
    /// A segment's ports are there again and opened: it goes on.
    PortsBack {
        /// One of its workers.
        from: Post,
    },
}

/// Who speaks: a worker or a host shard, by its number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Post {
    /// A worker, counted over all segments.
    Worker(usize),
    /// A thread of host-scope detectors.
    Shard(usize),
}

/// What whoever runs the street holds of one worker or shard.
#[derive(Clone)]
pub struct PostBox {
    /// Who.
    pub post: Post,
    /// Its orders.
    pub orders: Arc<ArrayQueue<StreetOrder>>,
    /// Its counters.
    pub counters: Arc<LaneCounters>,
    /// Figures that it publishes a few times a second.
    pub figures: Arc<Mutex<PostFigures>>,
    /// Set to end it; it drains, tells and returns.
    pub stop: Arc<AtomicBool>,
}

/// Figures that are dearer than a counter; published a few times a second.
#[derive(Clone, Debug, Default)]
pub struct PostFigures {
    /// The source's own.
    pub source: SourceStatistics,
    /// The flow table's; `None` for a shard, which has none of its own.
    pub flow: Option<FlowCounters>,
    /// Per plugin.
    pub plugins: Vec<(PluginId, SeatCounters)>,
    /// The plugins' own metrics.
    pub metrics: Vec<(PluginId, String, i64)>,
    /// What was read behind the headers; `None` where nothing is.
    pub reading: Option<ReadingFigures>,
    /// Blocks in this post's table.
    pub blocks: usize,
    /// Processor time of the thread, nanoseconds.
    pub cpu_ns: u64,
}

impl PostBox {
    /// An empty box for a new worker or shard.
    pub fn new(post: Post) -> Self {
        PostBox {
            post,
            orders: Arc::new(ArrayQueue::new(ORDERS_MAX)),
            counters: Arc::default(),
            figures: Arc::default(),
            stop: Arc::default(),
        }
    }

    /// Gives an order; gives it back where the queue is full, to be given again a little later.
    ///
    /// # Errors
    /// The order, untouched.
    pub fn give(&self, order: StreetOrder) -> Result<(), StreetOrder> {
        self.orders.push(order)
    }

    /// The figures as last published.
    pub fn read(&self) -> PostFigures {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks it to end.
    pub fn end(&self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// What every worker and shard is given to speak with.
#[derive(Clone)]
pub struct Lines {
    /// To whoever keeps the book. Bounded.
    pub words: Sender<StreetWord>,
    /// To the event writer. Bounded; a full one loses the report, counted.
    pub reports: Sender<Report>,
    /// Policy, swapped as a whole.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
}
