//! Everything about the engine that may wait: configuration, inventory, journal, control socket.
//!
//! This crate owns files, sockets and the words that operators use. It must never be called by the
//! street: it builds whole values there is nothing left to ask about, and hands them over.

pub mod api;
pub mod config;
pub mod eve;
pub mod gate;
pub mod inventory;
pub mod journal;
pub mod metrics;
pub mod plugins;
pub mod policy;
pub mod rules;
pub mod snapshot;
