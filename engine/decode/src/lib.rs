//! Streams and datagrams into what detectors and rules read: messages made of named buffers,
//! records for the journal, and oddities by name.
//!
//! One [`Conversation`] a flow. It is told the bytes of each direction in stream order, finds out
//! by content what is spoken, and appends to an [`Output`] that its caller clears and uses again.
//! The same bytes give the same output however they are cut into segments.
//!
//! This crate must never know an address, a clock, a log, a rule or a verdict. Nothing here panics
//! on any input, every buffer has a limit in [`Limits`], and each limit has a counter.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::panic, clippy::unreachable, clippy::todo)
)]

mod conversation;
pub mod dns;
mod events;
pub mod files;
pub mod ftp;
mod fuzz_sessions;
pub mod http;
mod limits;
mod line;
mod output;
mod reader;
mod registry;
mod shelf;
pub mod smb;
pub mod smtp;
pub mod ssh;
pub mod tls;

pub use conversation::{Conversation, Direction, Interest, Stage, Transport};
pub use events::{ALL as APP_EVENTS, UNRAISED, app_event, event_name, event_named};
#[doc(hidden)]
pub use fuzz_sessions::{
    fuzz_dns_datagram, fuzz_dns_stream, fuzz_ftp, fuzz_probes, fuzz_smb, fuzz_smtp, fuzz_ssh,
    fuzz_tls,
};
pub use limits::{Counters, Hashes, Limits};
pub use output::{Fresh, Message, Output, Piece, Record};
