//! Evasion by overlap: a matrix of cells, each a stream or a datagram cut into pieces that claim
//! the same places with different bytes, and what each kind of receiver makes of it.
//!
//! Must never know: how the engine decides. The receivers are written from the literature.
//!
//! ```text
//!   shape (who covers what) × order (when the rest comes) × transport × family × tag
//!      └► frames, as they are put on a wire     └► parts ─► receiver of a policy ─► a reading
//! ```

pub mod alerts;
pub mod cell;
pub mod receiver;
pub mod shape;
pub mod wire;
