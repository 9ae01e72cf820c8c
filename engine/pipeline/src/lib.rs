//! The street: bursts of frames from a source to the other port, with everything between.
//!
//! Begin with [`worker`]: the burst loop of one worker is one function there. [`lane`] is what a
//! worker owns; [`replay`] carries captures over the same lanes. This crate introduces the floor-2
//! stages to each other, and must never know a protocol's syntax, a file, or that a control plane
//! exists: policy comes as a [`Snapshot`], words go to an [`Outlet`].
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::panic, clippy::unreachable, clippy::todo)
)]

mod burst;
mod collect;
mod counters;
mod decide;
mod events;
mod flowless;
mod fragments;
mod handover;
pub mod lane;
mod links;
mod live;
mod neighbours;
mod orders;
mod outlet;
mod owner;
mod reading;
pub mod replay;
mod report;
mod shards;
mod snapshot;
mod telling;
pub mod worker;

pub use burst::{BURST_FRAMES, Fate, Hand, InHand, WINDOW_FRAMES};
pub use counters::{Cell, LaneCounters};
pub use decide::Ending;
pub use fragments::Fragments;
pub use handover::{LANE_FRAMES, Peers};
pub use lane::{Lane, LaneParts};
pub use links::link_type;
pub use live::LiveOutlet;
pub use orders::{Lines, ORDERS_MAX, Post, PostBox, PostFigures, StreetOrder, StreetWord};
pub use outlet::Outlet;
pub use owner::{owner, read_headers};
pub use reading::{Prefilter, Reading, ReadingConfig, ReadingFigures, ScanCounters, StreamReading};
pub use replay::{Audience, REPLAY_LANES, Replay, ReplayParts};
pub use report::{
    Alert, Anomaly, Conflict, Conversation, Drop, FlowEnded, Oddity, OddityLayer, Outcome, Report,
    Transaction,
};
pub use shards::{RING_EVENTS, ShardParts, ShardRing, ShardWorker};
pub use snapshot::{Inside, OnFault, Snapshot};
pub use worker::{Ended, Worker, WorkerParts};
