//! The control socket: HTTP/1 and JSON over a unix socket, versioned by path, authorised by who the
//! peer is.
//!
//! `model` says what is asked and answered, `operations` what the engine must be able to do,
//! `server` and `peer` the one end, `client` the other. It must never know how an order is carried
//! out, nor what a terminal looks like.

mod client;
pub mod model;
mod operations;
mod peer;
mod server;
#[cfg(test)]
mod tests;

pub use client::{Client, ClientError};
pub use operations::{Operations, Refusal, RefusalKind};
pub use peer::{Peer, Permitted};
pub use server::{ControlServer, ServerCounters, ServerSettings};

/// Where Prometheus text is served, on the control socket and on the loopback port.
pub const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
