//! Orders on their way to those who carry them out: kernel maps first, then every post's box.
//!
//! A box that is full keeps its later orders waiting here, in their order; none is ever lost. What
//! waits is bounded by the orders that there are: the breaker lets a few thousand a minute be made.

use portcullis_detect::Instance;
use portcullis_enforce::TableOrder;
use portcullis_enforce::backend::xdp_map::XdpMap;
use portcullis_enforce::backend::{Enforcer, EnforcerCounters, Outcome};
use portcullis_pipeline::{Post, PostBox, Prefilter, StreetOrder};
use portcullis_types::{BlockKey, PluginId, SegmentId};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// A place beside the workers' tables that outlives the engine, and so must be brought in step.
pub trait KernelTable: Enforcer {
    /// Makes the table hold these orders and no others. What is in both holds throughout.
    fn resync(&mut self, orders: &[TableOrder]);
}

impl KernelTable for XdpMap {
    fn resync(&mut self, orders: &[TableOrder]) {
        XdpMap::resync(self, orders.iter().copied());
    }
}

/// Everybody who carries out orders.
pub(super) struct Carriers {
    kernels: Vec<Box<dyn KernelTable>>,
    posts: Vec<Waiting>,
    /// Packets that kernel maps have stopped since the start, by segment.
    by_segment: HashMap<SegmentId, u64>,
}

struct Waiting {
    post: PostBox,
    orders: VecDeque<StreetOrder>,
}

impl Waiting {
    /// Gives what waits, as far as there is room.
    fn push(&mut self) {
        while let Some(order) = self.orders.pop_front() {
            if let Err(order) = self.post.give(order) {
                self.orders.push_front(order);
                return;
            }
        }
    }

    fn give(&mut self, order: StreetOrder) {
        self.orders.push_back(order);
        self.push();
    }
}

impl Carriers {
    pub(super) fn new(kernels: Vec<Box<dyn KernelTable>>, boxes: Vec<PostBox>) -> Self {
        let posts = boxes.into_iter().map(|post| Waiting { post, orders: VecDeque::new() });
        Carriers { kernels, posts: posts.collect(), by_segment: HashMap::new() }
    }

    /// Brings everybody in step with a book, at the start.
    pub(super) fn begin(&mut self, orders: &[TableOrder]) {
        for kernel in &mut self.kernels {
            kernel.resync(orders);
        }
        for order in orders {
            self.give_all(*order);
        }
    }

    /// The kernel maps' part: what traffic meets first. What a map cannot carry holds in the
    /// workers' tables all the same.
    pub(super) fn carry_into_kernels(&mut self, order: &TableOrder) {
        for kernel in &mut self.kernels {
            if let Outcome::Failed(error) = kernel.apply(order) {
                tracing::warn!(table = kernel.name(), error, "a block holds in the workers only");
            }
        }
    }

    /// Every post's part.
    pub(super) fn give_all(&mut self, order: TableOrder) {
        for waiting in &mut self.posts {
            waiting.give(StreetOrder::Table(order));
        }
    }

    /// An order for one post.
    pub(super) fn give(&mut self, post: Post, order: StreetOrder) {
        if let Some(waiting) = self.posts.iter_mut().find(|w| w.post.post == post) {
            waiting.give(order);
        }
    }

    /// Warmed instances for one post, with the patterns that all plugins look for from then on.
    pub(super) fn install(
        &mut self,
        post: Post,
        instances: Vec<(PluginId, Instance)>,
        prefilter: Option<Arc<Prefilter>>,
    ) {
        self.give(post, StreetOrder::Install(instances, prefilter));
    }

    /// Tries again what waits; whether something still does.
    pub(super) fn push(&mut self) -> bool {
        self.posts.iter_mut().for_each(Waiting::push);
        self.backlog() > 0
    }

    /// Every post's box.
    pub(super) fn boxes(&self) -> impl Iterator<Item = &PostBox> {
        self.posts.iter().map(|w| &w.post)
    }

    /// Packets that kernel maps have stopped in a segment.
    pub(super) fn stopped_in(&self, segment: SegmentId) -> u64 {
        self.by_segment.get(&segment).copied().unwrap_or(0)
    }

    /// Orders that wait for room.
    pub(super) fn backlog(&self) -> usize {
        self.posts.iter().map(|w| w.orders.len()).sum()
    }

    /// Hands over what kernel maps have stopped since the last time.
    pub(super) fn collect(&mut self, mut each: impl FnMut(&BlockKey, u64, u64)) {
        let by_segment = &mut self.by_segment;
        for kernel in &mut self.kernels {
            kernel.collect(&mut |key, packets, bytes| {
                *by_segment.entry(key.segment).or_default() += packets;
                each(&key, packets, bytes);
            });
        }
    }

    /// How orders to kernel maps ended, by name.
    pub(super) fn kernel_counters(&self) -> Vec<(&'static str, EnforcerCounters)> {
        self.kernels.iter().map(|k| (k.name(), k.counters())).collect()
    }
}
