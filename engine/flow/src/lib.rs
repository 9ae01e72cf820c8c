//! Packets to flows, and flows to what their receivers read.
//!
//! ```text
//!   packet ─► fragment?  Defrag ─► whole datagram ─► parsed again
//!               │ no                                     │
//!               ▼                                        ▼
//!   FlowTable::admit ─► flow ─► TCP?  Streams::segment ─► sink: data, gap, end, anomaly
//! ```
//!
//! A bounded table of two-way conversations within one segment and VLAN stack ([`FlowTable`]), what
//! TCP numbers prove about addresses and the table of lately proven ones that workers share
//! ([`ProvenSources`]), datagrams from fragments ([`Defrag`]), the bytes of TCP in order
//! ([`Streams`]). Each is a structure of its own with its own bounded memory. This crate must never
//! read a clock, know a verdict, or allocate after start.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::panic, clippy::unreachable, clippy::todo)
)]

mod admit;
mod config;
mod counters;
mod defrag;
mod ending;
mod flow;
mod fuzz;
mod hash;
mod key;
mod patchwork;
mod plain;
mod pool;
mod proven;
mod slab;
mod streams;
mod table;
mod target;
mod tcp;
#[cfg(test)]
mod tests;
mod timers;

pub use config::{FlowConfig, Midstream, ResetProves, Size, Timeouts, WhenFull};
pub use counters::FlowCounters;
pub use defrag::{
    Defrag, DefragConfig, DefragCounters, DefragPolicy, Defragmented, FragmentFate, Ipv6Overlap,
    WholeDatagram,
};
pub use flow::{Changes, Direction, EndReason, Flow, FlowId, Scan, Tally, TcpEnd, TcpState};
#[doc(hidden)]
pub use fuzz::{fuzz_admit, fuzz_defrag, fuzz_streams};
pub use hash::{HashKey, lane_hash, lane_of};
pub use proven::{ANNOUNCEMENT_WINDOW, PROOF_WINDOW, ProvenSources};
pub use streams::{
    EVIDENCE_MAX, Invalid, OneSided, Placement, Retain, STREAM_EVENTS, Segment, SegmentFate,
    StreamAnomaly, StreamConfig, StreamCounters, StreamEnd, StreamEvent, StreamPickup,
    StreamPolicy, StreamSink, Streams, Urgent, Versions,
};
pub use table::{Admission, Arrival, FlowTable, Located};
pub use target::{FragmentPolicy, TargetPolicy, Targets};
