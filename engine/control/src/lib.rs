//! Everything about the engine that may wait: configuration, inventory, journal, control socket.
//!
//! This crate owns files, sockets and the words that operators use. It must never be called by the
//! street: it builds whole values there is nothing left to ask about, and hands them over.
//!
//! Without the feature `street` it only reads: configuration, inventory, journal.

pub mod account;
#[cfg(feature = "street")]
pub mod api;
#[cfg(feature = "street")]
mod backstage;
pub mod config;
#[cfg(feature = "street")]
pub mod eve;
pub mod fuzz;
#[cfg(feature = "street")]
pub mod gate;
pub mod inventory;
pub mod journal;
#[cfg(feature = "street")]
pub mod metrics;
#[cfg(feature = "street")]
pub mod named;
#[cfg(feature = "street")]
pub mod plugins;
#[cfg(feature = "street")]
pub mod policy;
#[cfg(feature = "street")]
pub mod rules;
#[cfg(feature = "street")]
pub mod snapshot;
