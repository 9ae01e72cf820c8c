//! Threads of host-scope detectors: sharded by source or target, fed by bounded rings from every
//! worker. Frames never wait for them; their verdicts travel back as orders.
//!
//! A ring that is full loses the event, counted, and fairly: one source may fill half of a ring at
//! most while others wait, so that a scan cannot hide in a flood of one sender.

use crate::lane::{Lane, LaneParts};
use crate::live::{LiveOutlet, thread_cpu_ns};
use crate::orders::{PostBox, PostFigures, StreetOrder, StreetWord};
use arc_swap::Cache;
use crossbeam::queue::ArrayQueue;
use portcullis_detect::{HostEvent, HostShard};
use portcullis_types::{Clock, Finding, Tick};
use portcullis_verdict::BurstVerdicts;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Duration;

/// Events that one ring between a worker and a shard holds.
pub const RING_EVENTS: usize = 16_384;
/// How long a shard sleeps at most: ticks are due at 10 ms at the earliest.
const SLEEP_MAX: Duration = Duration::from_millis(10);
/// Events taken at once from each ring.
const TAKE_MAX: usize = 256;
const FIGURES_EVERY: Duration = Duration::from_millis(200);

/// A worker's end of a ring.
pub struct ShardRing {
    events: Arc<ArrayQueue<HostEvent>>,
    sleeper: Arc<Sleeper>,
    pushed: Pushed,
    /// The sender that the last events came from, and how many of them in a row.
    run: ([u8; 16], usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pushed {
    Nothing,
    Something,
}

/// Who sleeps, and whether it does.
#[derive(Default)]
struct Sleeper {
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

impl ShardRing {
    /// Takes an event; `false` where there is no room for it.
    #[inline]
    pub(crate) fn push(&mut self, event: HostEvent) -> bool {
        let (sender, row) = &mut self.run;
        if *sender == event.flow.client {
            *row += 1;
        } else {
            (*sender, *row) = (event.flow.client, 0);
        }
        // One sender's uninterrupted flood leaves half of the ring to the others.
        if *row > RING_EVENTS / 2 && self.events.len() > RING_EVENTS / 2 {
            return false;
        }
        self.pushed = Pushed::Something;
        self.events.push(event).is_ok()
    }

    /// Wakes the shard if it sleeps and there is something for it.
    #[inline]
    pub(crate) fn wake(&mut self) {
        if self.pushed == Pushed::Nothing {
            return;
        }
        self.pushed = Pushed::Nothing;
        if self.sleeper.asleep.swap(false, Ordering::AcqRel)
            && let Some(thread) = self.sleeper.thread.get()
        {
            thread.unpark();
        }
    }
}

/// One thread's worth of host-scope detectors.
pub struct ShardWorker<C: Clock> {
    shard: HostShard,
    /// Judges its findings: a lane of its own, without flows worth the name.
    lane: Lane,
    outlet: LiveOutlet,
    clock: C,
    post: PostBox,
    rings: Vec<Arc<ArrayQueue<HostEvent>>>,
    sleeper: Arc<Sleeper>,
    snapshot: Cache<Arc<arc_swap::ArcSwap<crate::Snapshot>>, Arc<crate::Snapshot>>,
    findings: Vec<Finding>,
    verdicts: BurstVerdicts,
    figures_due: Tick,
}

/// What a shard's thread is made of.
pub struct ShardParts<C: Clock> {
    /// The detectors.
    pub shard: HostShard,
    /// Judge, policy, blocks; its flow table and flow-scope detectors stay empty.
    pub judge: LaneParts,
    /// Where its words go.
    pub outlet: LiveOutlet,
    /// The engine's clock.
    pub clock: C,
    /// Where its orders come from.
    pub post: PostBox,
}

impl<C: Clock> ShardWorker<C> {
    /// A shard fed by `workers` workers; returns their ends of the rings too.
    pub fn new(parts: ShardParts<C>, workers: usize) -> (Self, Vec<ShardRing>) {
        let rings: Vec<_> = (0..workers).map(|_| Arc::new(ArrayQueue::new(RING_EVENTS))).collect();
        let sleeper = Arc::new(Sleeper::default());
        let ends = rings.iter().map(|events| ShardRing {
            events: Arc::clone(events),
            sleeper: Arc::clone(&sleeper),
            pushed: Pushed::Nothing,
            run: ([0; 16], 0),
        });
        let ends = ends.collect();
        let snapshot = Cache::new(Arc::clone(&parts.outlet.lines.snapshot));
        let worker = ShardWorker {
            shard: parts.shard,
            lane: Lane::new(parts.judge),
            outlet: parts.outlet,
            clock: parts.clock,
            post: parts.post,
            rings,
            sleeper,
            snapshot,
            findings: Vec::new(),
            verdicts: BurstVerdicts::new(64),
            figures_due: Tick::ZERO,
        };
        (worker, ends)
    }

    /// Judges what comes until it is asked to end.
    pub fn run(mut self) {
        let _ = self.sleeper.thread.set(std::thread::current());
        while !self.post.stop.load(Ordering::Relaxed) {
            if self.round() == 0 {
                self.sleep();
            }
        }
        self.round();
        self.publish(self.clock.now());
        self.outlet.finish();
    }

    /// Takes what has come, runs the detectors, judges; returns how many events there were.
    fn round(&mut self) -> usize {
        self.take_orders();
        let now = self.clock.now();
        let mut taken = 0;
        for ring in &self.rings {
            for _ in 0..TAKE_MAX {
                let Some(event) = ring.pop() else { break };
                self.shard.offer(&event);
                taken += 1;
            }
        }
        let mut faults = Vec::new();
        self.shard.run(now, &mut self.findings, &mut faults);
        self.lane.parts.counters.faults.add(faults.len() as u64);
        for finding in self.findings.drain(..) {
            self.lane.parts.counters.findings.add(1);
            self.lane.judge(&finding, None, now, &mut self.verdicts, &mut self.outlet);
        }
        self.verdicts.clear();
        self.outlet.pass_on(&self.lane.parts.counters);
        if now >= self.figures_due {
            self.publish(now);
        }
        taken
    }

    fn take_orders(&mut self) {
        let snapshot = self.snapshot.load();
        if !Arc::ptr_eq(snapshot, &self.lane.parts.snapshot) {
            self.lane.parts.snapshot = Arc::clone(snapshot);
        }
        let mut retired: Vec<Box<dyn Send>> = Vec::new();
        while let Some(order) = self.post.orders.pop() {
            match order {
                StreetOrder::Table(order) => drop(self.lane.parts.blocks.apply(&order)),
                StreetOrder::Install(instances, _) => {
                    for (id, instance) in instances {
                        retired.push(Box::new(self.shard.install(id, instance)));
                    }
                }
                StreetOrder::Spare(id, instance) => drop(self.shard.install_spare(id, *instance)),
                StreetOrder::InitFailed(id) => self.shard.init_failed(id),
                StreetOrder::HostInterests(_) | StreetOrder::Streams(_) => {}
            }
        }
        if !retired.is_empty() {
            self.outlet.say(StreetWord::Retired(Box::new(retired)));
        }
    }

    /// Sleeps until a worker has something, or a tick may be due.
    fn sleep(&self) {
        self.sleeper.asleep.store(true, Ordering::Release);
        // A worker that pushed before it saw the flag is seen here.
        if self.rings.iter().all(|ring| ring.is_empty()) && self.post.orders.is_empty() {
            std::thread::park_timeout(SLEEP_MAX);
        }
        self.sleeper.asleep.store(false, Ordering::Release);
    }

    fn publish(&mut self, now: Tick) {
        self.figures_due = now + FIGURES_EVERY;
        let from = self.post.post;
        let shard = &mut self.shard;
        self.outlet.say_of_plugins(from, |events| shard.take_events(events));
        for (plugin, version, count) in self.shard.needs_spare() {
            self.outlet.say(StreetWord::NeedsSpare { from, plugin, version, count });
        }
        let mut figures = PostFigures {
            plugins: self.shard.counters().map(|(id, c)| (id, *c)).collect(),
            blocks: self.lane.parts.blocks.len(),
            cpu_ns: thread_cpu_ns(),
            ..PostFigures::default()
        };
        let metrics = &mut figures.metrics;
        self.shard.metrics(|id, name, value| metrics.push((id, name.to_owned(), value)));
        if let Ok(mut place) = self.post.figures.try_lock() {
            *place = figures;
        }
    }
}
