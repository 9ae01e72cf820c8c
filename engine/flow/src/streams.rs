//! TCP reassembly: what each end has said, in order, as its receiver reads it.
//!
//! ```text
//!   segment ─► session: is it one that the receiver accepts?   no ─► dropped (inline)
//!                │ yes
//!                ▼
//!   next byte ─► sink, as the packet's own bytes              ahead ─► pages, until the hole fills
//!   behind    ─► compared with what was forwarded: other bytes are an anomaly, and dropped
//! ```
//!
//! *Inline* ([`Placement::Inline`]) what the sink gets is what the receiver gets: the first bytes
//! for a place are the only ones ever forwarded, whatever the target's policy; what cannot be
//! held is dropped and comes again. *Watching* a copy, nothing can be dropped, and the target's
//! policy says which bytes its receiver keeps. Bytes in order go to the sink at once: a receiver
//! that has taken them never takes others. Memory is a fixed pool: at its bound, kept copies of
//! forwarded bytes go first (oldest first), then segments ahead of a hole are refused (inline) or
//! the hole is given up (watching). In order there is always room, so that no stream ever stalls.
//!
//! This directory must never read a clock, know a verdict, or allocate after start.

mod closing;
mod established;
mod event;
mod half;
mod handshake;
mod policy;
mod reassembly;
mod segment;
mod table;
#[cfg(test)]
mod tests;
mod timestamps;

pub use event::{STREAM_EVENTS, StreamEvent};
pub use policy::{
    Invalid, OneSided, Placement, Retain, StreamConfig, StreamCounters, StreamPickup, StreamPolicy,
    Urgent,
};
pub use segment::{
    EVIDENCE_MAX, Segment, SegmentFate, StreamAnomaly, StreamEnd, StreamSink, Versions,
};
pub use table::Streams;
