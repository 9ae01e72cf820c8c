//! Where blocks are carried out beside the workers' own tables: traffic that is stopped there never
//! reaches a worker.

pub mod xdp_map;

use crate::TableOrder;
use portcullis_types::BlockKey;

/// What a backend made of an order. Anything but `Done` and `NotMine` is counted and reported, and
/// the block still holds in the workers' tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is carried out there.
    Done,
    /// The backend refused; the error is the system's number.
    Failed(i32),
    /// The backend has no room.
    Full,
    /// The backend cannot carry this key (a tunnel, three tags), or orders of this kind.
    NotMine,
}

impl Outcome {
    /// The label in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Failed(_) => "failed",
            Outcome::Full => "full",
            Outcome::NotMine => "not_mine",
        }
    }
}

/// How orders ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EnforcerCounters {
    /// Carried out.
    pub done: u64,
    /// Refused by the system.
    pub failed: u64,
    /// No room.
    pub full: u64,
    /// Not this backend's.
    pub not_mine: u64,
}

impl EnforcerCounters {
    /// Counts one outcome.
    pub fn note(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Done => self.done += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Full => self.full += 1,
            Outcome::NotMine => self.not_mine += 1,
        }
    }
}

/// A place where blocks are carried out. Boxed: there are few, and they are called per order.
pub trait Enforcer: Send {
    /// Its name in events and metrics.
    fn name(&self) -> &'static str;

    /// Carries out one order. The same order twice is the same as once.
    fn apply(&mut self, order: &TableOrder) -> Outcome;

    /// Hands over packets and bytes stopped there since the last time.
    fn collect(&mut self, each: &mut dyn FnMut(BlockKey, u64, u64));

    /// How orders ended so far.
    fn counters(&self) -> EnforcerCounters;
}
