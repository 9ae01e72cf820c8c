//! The gate's thread: hears, orders, waits for what is due.

use super::book::Names;
use super::breaker::Trips;
use super::carry::{Carriers, KernelTable};
use super::errands::Errands;
use super::herald::Herald;
use super::ledger::{Answer, Ledger};
use super::moments::Timeline;
use super::recovery::{Recovered, wall};
use super::status::{Complete, StreetAbout};
use crate::config::Loaded;
use crate::eve::Fact;
use crate::journal::Order;
use crate::metrics::{Figures, LatencyHistogram};
use crate::plugins::{LoadedPlugin, PluginSet};
use crate::policy::{Built, Overrides};
use arc_swap::ArcSwap;
use crossbeam::channel::{Receiver, Sender, after, select};
use portcullis_detect::{Instance, Plugin, PluginEvent};
use portcullis_enforce::{BlockId, Book, Outbox, Stopped, TableOrder};
use portcullis_pipeline::{Post, PostBox, Prefilter, Snapshot, StreetOrder, StreetWord};
use portcullis_types::{BlockKey, BlockOrder, PluginId, SegmentId, Tick};
use portcullis_verdict::{ProtectedRow, WallClock};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Words and messages that are heard before what is due is looked at again.
const HEARD_AT_ONCE: usize = 256;
/// Blocks that end in one step at most, so that a flood of endings delays no order.
const ENDED_AT_ONCE: usize = 1_024;
/// How often what kernel maps have stopped is read.
const COLLECT_EVERY: Duration = Duration::from_secs(1);
/// How often the operator's own sessions are looked up.
const OWN_EVERY: Duration = Duration::from_secs(10);
/// How soon a box or a herald that was full is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(1);

/// What the gate is told beside the street's words.
pub(super) enum Message {
    /// A request: runs on the gate's thread, and answers by itself.
    Request(Box<dyn FnOnce(&mut Keeper) + Send>),
    /// The journal's answer for a batch.
    Durable(u64, Result<(), String>),
    /// A spare for a post, or none.
    Spare(Post, PluginId, Option<Box<Instance>>),
    /// The patterns of the versions that a post has.
    Patterns(Post, Arc<Prefilter>),
    /// All spares asked for by that post are made.
    SparesMade(Post, PluginId),
    /// The addresses that protect themselves.
    Own(Vec<ProtectedRow>),
    /// The end.
    Stop,
}

pub(super) struct KeeperParts {
    pub(super) recovered: Recovered,
    pub(super) timeline: Arc<dyn Timeline>,
    pub(super) boxes: Vec<PostBox>,
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) plugins: Arc<Mutex<PluginSet>>,
    pub(super) kernels: Vec<Box<dyn KernelTable>>,
    pub(super) herald: Box<dyn Herald>,
    pub(super) about: StreetAbout,
    pub(super) config: Arc<ArcSwap<Loaded>>,
    pub(super) block_delay: Arc<LatencyHistogram>,
    pub(super) complete: Complete,
    pub(super) messages: Sender<Message>,
}

/// The gate's own.
pub(super) struct Keeper {
    pub(super) book: Book,
    pub(super) ledger: Ledger,
    pub(super) carriers: Carriers,
    pub(super) herald: Box<dyn Herald>,
    pub(super) timeline: Arc<dyn Timeline>,
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) config: Arc<ArcSwap<Loaded>>,
    pub(super) built: Built,
    pub(super) overrides: Overrides,
    pub(super) own: Vec<ProtectedRow>,
    pub(super) wall: WallClock,
    pub(super) generation: u64,
    pub(super) about: StreetAbout,
    pub(super) started: Tick,
    /// Detectors at work by number, and the versions before.
    pub(super) line_up: Vec<LoadedPlugin>,
    pub(super) previous: HashMap<PluginId, LoadedPlugin>,
    /// Swaps of rules since the start.
    pub(super) rules_swapped: u64,
    /// Where detectors rest.
    pub(super) resting: BTreeSet<(PluginId, String)>,
    /// When the breaker opened.
    pub(super) trips: Trips,
    /// Ports that are gone.
    pub(super) gone: BTreeSet<(SegmentId, String)>,
    pub(super) errands: Errands,
    pub(super) outbox: Outbox,
    /// When the block in hand was ordered, until it is in the kernel maps.
    ordered: Option<Tick>,
    pub(super) complete: Complete,
    /// What the herald had no room for.
    pub(super) untold: VecDeque<Fact>,
    pub(super) block_delay: Arc<LatencyHistogram>,
    collect_at: Tick,
    own_at: Tick,
    stats_at: Tick,
    stopping: bool,
}

impl Keeper {
    pub(super) fn new(parts: KeeperParts) -> io::Result<Self> {
        let now = parts.timeline.moment();
        let line_up = {
            let set = parts.plugins.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            set.plugins().to_vec()
        };
        let recovered = parts.recovered;
        Ok(Keeper {
            book: recovered.book,
            ledger: Ledger::new(recovered.journal, parts.messages.clone())?,
            carriers: Carriers::new(parts.kernels, parts.boxes),
            herald: parts.herald,
            timeline: parts.timeline,
            generation: parts.snapshot.load().generation,
            snapshot: parts.snapshot,
            config: parts.config,
            built: recovered.built,
            overrides: recovered.overrides,
            own: Vec::new(),
            wall: wall(&now),
            about: parts.about,
            started: now.tick,
            line_up,
            previous: HashMap::new(),
            rules_swapped: 0,
            resting: BTreeSet::new(),
            trips: Trips::default(),
            gone: BTreeSet::new(),
            errands: Errands::start(parts.messages, parts.plugins)?,
            outbox: Outbox::default(),
            ordered: None,
            complete: parts.complete,
            untold: VecDeque::new(),
            block_delay: parts.block_delay,
            collect_at: now.tick + COLLECT_EVERY,
            own_at: now.tick + OWN_EVERY,
            stats_at: now.tick,
            stopping: false,
        })
    }

    /// Everybody in step with the book, before the first word is heard.
    pub(super) fn begin(&mut self) {
        let orders: Vec<TableOrder> = self.book.orders().collect();
        self.carriers.begin(&orders);
        let loaded = self.config.load_full();
        self.own = super::own::protected(&loaded.config);
        self.publish(&loaded.config);
    }

    /// The thread's one loop.
    pub(super) fn run(mut self, words: &Receiver<StreetWord>, messages: &Receiver<Message>) {
        // A street that has ended says nothing more; requests are still answered.
        let mut words = words.clone();
        while !self.stopping {
            let timer = after(self.pause());
            select! {
                recv(words) -> word => match word {
                    Ok(word) => self.word(word),
                    Err(_) => words = crossbeam::channel::never(),
                },
                recv(messages) -> message => if let Ok(message) = message {
                    self.message(message);
                },
                recv(timer) -> _ => {}
            }
            for _ in 0..HEARD_AT_ONCE {
                let word = words.try_recv().map(|word| self.word(word));
                let message = messages.try_recv().map(|message| self.message(message));
                if word.is_err() && message.is_err() {
                    break;
                }
            }
            self.due();
        }
        self.end(&words, messages);
    }

    /// How long nothing is due.
    fn pause(&self) -> Duration {
        if self.carriers.backlog() > 0 || !self.untold.is_empty() {
            return AGAIN_AFTER;
        }
        let now = self.now();
        let stats = self.stats_every().map(|_| self.stats_at);
        let due = [self.book.next_due(), self.ledger.next_due(), stats].into_iter().flatten();
        let next = due.chain([self.collect_at, self.own_at]).min().unwrap_or(now);
        next.since(now).clamp(Duration::from_micros(100), COLLECT_EVERY)
    }

    pub(super) fn now(&self) -> Tick {
        self.timeline.moment().tick
    }

    fn due(&mut self) {
        let now = self.now();
        if self.book.next_due().is_some_and(|due| due <= now) {
            self.book.expire(now, ENDED_AT_ONCE, &mut self.outbox);
            self.settle(None, Vec::new());
        }
        self.carriers.push();
        self.tell();
        let moment = self.timeline.moment();
        let loaded = self.config.load();
        let (names, book) = (Names(&loaded.config), &self.book);
        self.ledger.retry(&moment, |order| names.restated(order, book));
        drop(loaded);
        if self.collect_at <= now {
            self.collect_at = now + COLLECT_EVERY;
            self.collect();
            self.follow_wall_clock();
        }
        if let Some(every) = self.stats_every()
            && self.stats_at <= now
        {
            self.stats_at = now + every;
            let figures: Figures = self.figures();
            self.untold.push_back(Fact::Stats(Arc::new(figures), now));
            self.tell();
        }
        if self.own_at <= now {
            self.own_at = now + OWN_EVERY;
            self.errands.look_up_own(&self.config.load_full().config);
        }
    }

    /// How often figures are told; `None` for never.
    fn stats_every(&self) -> Option<Duration> {
        let every = self.config.load().config.events.stats_interval;
        (!every.is_zero()).then_some(every)
    }

    fn word(&mut self, word: StreetWord) {
        match word {
            StreetWord::Block(order) => self.block(order),
            StreetWord::Stopped(stopped) => self.stopped(&stopped),
            StreetWord::NeedsSpare { from, plugin, version, count } => {
                self.errands.warm(from, plugin, version, count);
            }
            StreetWord::Plugin { from, plugin, event } => self.plugin(from, plugin, event),
            StreetWord::Tripped { plugin, trip } => self.tripped(plugin, trip),
            StreetWord::Retired(old) => self.errands.free(old),
            StreetWord::PortGone { from, side } => self.port_gone(from, side),
            StreetWord::PortsBack { from } => self.ports_back(from),
        }
    }

    pub(super) fn message(&mut self, message: Message) {
        match message {
            Message::Request(work) => work(self),
            Message::Durable(number, held) => {
                let now = self.timeline.moment();
                self.ledger.durable(number, &held, &now, &mut self.untold);
                self.tell();
            }
            Message::Spare(post, plugin, Some(instance)) => {
                self.carriers.give(post, StreetOrder::Spare(plugin, instance));
            }
            Message::Spare(post, plugin, None) => {
                self.carriers.give(post, StreetOrder::InitFailed(plugin));
            }
            Message::Patterns(post, made) => self.carriers.install(post, Vec::new(), Some(made)),
            Message::SparesMade(post, plugin) => self.errands.made(post, plugin),
            Message::Own(rows) => self.take_own(rows),
            Message::Stop => self.stopping = true,
        }
    }

    /// A detector's block. The worker that saw the attack has it in its own table already.
    fn block(&mut self, order: BlockOrder) {
        let (key, since) = (order.key, order.since);
        let policy = self.policy();
        let spares = |key: &BlockKey| policy.spares(key);
        let made = self.book.block(order, &spares, &mut self.outbox);
        if self.outbox.orders.is_empty() {
            // Nothing is new, but the worker's table may say otherwise than the book.
            let covering = made.ok().or_else(|| self.book.covering(&key));
            let order = match covering.and_then(|id| self.book.show(id)) {
                Some(b) => TableOrder::Block { id: b.id, key: b.key, until: b.until },
                None => TableOrder::Unblock { id: BlockId::default(), key },
            };
            self.outbox.orders.push(order);
        }
        self.ordered = Some(since);
        self.settle(None, Vec::new());
    }

    /// Carries out what the book has said, and has it remembered; `more` are orders of the same
    /// step that the book does not know, `answer` waits until all of it holds.
    pub(super) fn settle(&mut self, answer: Option<Answer>, more: Vec<(Order, Option<Fact>)>) {
        let outbox = std::mem::take(&mut self.outbox);
        for order in &outbox.orders {
            self.carriers.carry_into_kernels(order);
        }
        if let Some(ordered) = self.ordered.take() {
            self.block_delay.observe(self.now().since(ordered));
        }
        for order in &outbox.orders {
            self.carriers.give_all(*order);
        }
        let moment = self.timeline.moment();
        let loaded = self.config.load();
        let mut orders = Names(&loaded.config).orders(outbox.journal, &outbox.orders);
        let mut facts: Vec<Fact> =
            outbox.events.into_iter().map(|event| Fact::Book(event, moment.tick)).collect();
        for (order, fact) in more {
            orders.push(order);
            facts.extend(fact);
        }
        self.ledger.commit(&moment, orders, facts, answer);
        self.ledger.release(&mut self.untold);
        self.tell();
    }

    /// Tells the herald what holds, as far as it has room.
    pub(super) fn tell(&mut self) {
        while let Some(fact) = self.untold.pop_front() {
            if let Err(fact) = self.herald.tell(fact) {
                self.untold.push_front(fact);
                return;
            }
        }
    }

    fn stopped(&mut self, stopped: &[Stopped]) {
        for count in stopped {
            self.book.count(count.id, count.packets, count.bytes);
        }
    }

    /// Reads what kernel maps have stopped.
    pub(super) fn collect(&mut self) {
        let book = &mut self.book;
        self.carriers.collect(|key, packets, bytes| book.count_key(key, packets, bytes));
    }

    fn plugin(&mut self, from: Post, plugin: PluginId, event: PluginEvent) {
        match &event {
            PluginEvent::Quarantined { .. } => {
                self.resting.insert((plugin, format!("{from:?}")));
            }
            PluginEvent::Resumed => {
                self.resting.remove(&(plugin, format!("{from:?}")));
            }
            PluginEvent::RolledBack { to, .. } => self.rolled_back(from, plugin, to),
            _ => {}
        }
        let name = self.line_up.iter().find(|p| p.id == plugin);
        let name = name.map_or_else(|| Arc::from("unknown"), |p| p.plugin.manifest().name.clone());
        let now = self.now();
        self.untold.push_back(Fact::Plugin(name, event, now));
        self.tell();
    }

    /// A post has returned to the version before by itself.
    fn rolled_back(&mut self, from: Post, plugin: PluginId, to: &str) {
        let back = |p: &LoadedPlugin| *p.plugin.manifest().version == *to;
        let Some(previous) = self.previous.get(&plugin).filter(|p| back(p)).cloned() else {
            return;
        };
        tracing::error!(plugin = %previous.plugin.manifest().name, version = to,
            "a new version failed; the one before works again");
        self.errands.take(previous.clone(), from);
        if let Some(known) = self.line_up.iter_mut().find(|p| p.id == plugin) {
            *known = previous;
        }
    }

    fn port_gone(&mut self, from: Post, side: portcullis_types::PortSide) {
        let segment = self.about.segment_of(from);
        let loaded = self.config.load();
        let segment = segment.and_then(|id| loaded.config.segments.get(usize::from(id.0)));
        let Some(segment) = segment else { return };
        let port = segment.ports.name(side).unwrap_or("unknown");
        tracing::error!(
            segment = segment.name,
            port,
            "a port is gone; its segment has stopped until the port is back"
        );
        self.gone.insert((segment.id, port.to_owned()));
    }

    fn ports_back(&mut self, from: Post) {
        if let Some(segment) = self.about.segment_of(from) {
            self.gone.retain(|(id, _)| *id != segment);
        }
    }

    /// The detectors' names, by number.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.line_up.iter().map(|p| p.plugin.manifest().name.clone()).collect()
    }

    /// The version of a plugin at work.
    pub(super) fn at_work(&self, plugin: PluginId) -> Option<&Arc<Plugin>> {
        self.line_up.iter().find(|p| p.id == plugin).map(|p| &p.plugin)
    }

    /// The last words are heard, the journal flushed, everything told.
    fn end(mut self, words: &Receiver<StreetWord>, messages: &Receiver<Message>) {
        self.errands.end();
        while let Ok(word) = words.try_recv() {
            self.word(word);
        }
        self.collect();
        self.ledger.close();
        while let Ok(message) = messages.try_recv() {
            match message {
                // Its answer is dropped with it: the caller learns that the engine has ended.
                Message::Request(_) => {}
                other => self.message(other),
            }
        }
        if self.stats_every().is_some() {
            let figures = self.figures();
            let now = self.now();
            self.untold.push_back(Fact::Stats(Arc::new(figures), now));
        }
        // The events' writer takes everything within its own time; a dead one is not waited for.
        for _ in 0..2_000 {
            self.tell();
            if self.untold.is_empty() {
                return;
            }
            std::thread::sleep(AGAIN_AFTER);
        }
        let facts = self.untold.len();
        tracing::error!(facts, "the events' writer did not take everything");
    }
}
