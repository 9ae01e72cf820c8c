//! Lanes between the workers of a segment: a frame goes to the worker that owns its conversation.
//!
//! Bounded; a frame that finds its lane full is dropped and counted by who received it. With one
//! worker there are no lanes and nothing is asked.

use crate::owner::owner;
use crossbeam::queue::ArrayQueue;
use portcullis_capture::{HandOver, RxFrame};
use portcullis_flow::HashKey;
use portcullis_types::{SegmentId, Tick};
use portcullis_wire::Packet;
use std::sync::Arc;

/// Frames that one lane between two workers holds.
pub const LANE_FRAMES: usize = 1_024;

/// A frame on its way, with its length on the wire.
type Lane<T> = Arc<ArrayQueue<T>>;

/// One worker's ends of the lanes.
pub struct Peers<T> {
    own: usize,
    key: Arc<HashKey>,
    /// By owner; the worker's own place is a lane that nobody uses.
    out: Vec<Lane<T>>,
    /// By sender.
    incoming: Vec<Lane<T>>,
}

impl<T> Peers<T> {
    /// The lanes between `workers` workers of one segment, one set of ends for each.
    pub fn mesh(workers: usize, key: &Arc<HashKey>) -> Vec<Peers<T>> {
        let lane = || Arc::new(ArrayQueue::new(if workers > 1 { LANE_FRAMES } else { 1 }));
        let lanes: Vec<Vec<Lane<T>>> =
            (0..workers).map(|_| (0..workers).map(|_| lane()).collect()).collect();
        let ends = |own: usize| Peers {
            own,
            key: Arc::clone(key),
            out: lanes.get(own).cloned().unwrap_or_default(),
            incoming: lanes.iter().filter_map(|from| from.get(own).cloned()).collect(),
        };
        (0..workers).map(ends).collect()
    }

    /// The other worker that owns the frame, if one does.
    #[inline]
    pub(crate) fn other_owner(&self, segment: SegmentId, packet: Option<&Packet>) -> Option<usize> {
        let workers = self.out.len();
        if workers <= 1 {
            return None;
        }
        Some(owner(&self.key, segment, packet, workers)).filter(|owner| *owner != self.own)
    }

    /// Sends a frame to its owner; gives it back where the lane is full.
    pub(crate) fn send(&self, owner: usize, lent: T) -> Result<(), T> {
        match self.out.get(owner) {
            Some(lane) => lane.push(lent),
            None => Err(lent),
        }
    }

    /// Takes what other workers have sent, at most `max` frames; answers how many were of a port
    /// that is gone, and are dropped.
    pub(crate) fn adopt<S: HandOver<Lent = T>>(
        &self,
        source: &mut S,
        frames: &mut Vec<RxFrame>,
        max: usize,
    ) -> u64 {
        let mut refused = 0;
        if self.out.len() <= 1 {
            return refused;
        }
        for lane in &self.incoming {
            while frames.len() < max {
                let Some(lent) = lane.pop() else { break };
                if !source.is_mine(&lent) {
                    refused += 1;
                    continue;
                }
                let (slot, side) = source.adopt(lent);
                let len = slot.len();
                let link = source.link();
                frames.push(RxFrame {
                    slot,
                    side,
                    len,
                    wire_len: len,
                    at: Tick::ZERO,
                    number: 0,
                    link,
                });
            }
        }
        refused
    }
}
