//! IP defragmentation: fragments in, the whole datagram out, as its receiver reads it.
//!
//! ```text
//!   fragment ─► same bytes as before?  repeated: nothing new        other bytes: an anomaly
//!      │                                         inline: dropped, so that the first ones stay
//!      ▼                                         watching: the target's policy decides
//!   held ─► is it the one that makes the datagram whole?  no ─► forwarded
//!                                                         yes ─► the rebuilt packet is judged
//! ```
//!
//! Inline no frame waits: all fragments but the one that completes the datagram are forwarded when
//! they come, since their receiver can do nothing with them. The completing one stands for the
//! datagram: whatever befalls the rebuilt packet befalls that frame, and [`Defrag::condemn`] keeps
//! it from being sent again. So the receiver has either the datagram that the detectors have read,
//! or none. For the same reason a datagram that could not be held to its end is not completed for
//! anyone: at the bound of memory the oldest one is given up, and the rest of it is dropped.
//!
//! This directory must never read a clock, know a verdict, or allocate after start.

mod key;
mod policy;
mod rebuild;
mod table;
#[cfg(test)]
mod tests;

pub use policy::{DefragConfig, DefragCounters, DefragPolicy, Ipv6Overlap};
pub use rebuild::WholeDatagram;
pub use table::{Defrag, Defragmented, FragmentFate};
