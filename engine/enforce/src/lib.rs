//! Blocks, carried out: who is blocked until when, the tables that stop them, and how a connection
//! is ended.
//!
//! ```text
//!            BlockOrder                TableOrder ─► WorkerTable (one per worker, read per packet)
//!   verdict ────────────► Book ──────► TableOrder ─► Enforcer    (kernel map, …)
//!   operator                 └───────► BookEvent, JournalEntry   (control)
//! ```
//!
//! The [`Book`] is the one authority; tables are copies. Nothing here reads a clock, and only
//! `backend/` talks to the world. This crate must never know why a rule matched.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::panic, clippy::unreachable, clippy::todo)
)]

pub mod backend;
mod book;
mod link_control;
mod order;
mod table;
pub mod terminate;

pub use book::{
    AtLimit, Block, BlockFilter, Book, BookConfig, BookCounters, BookError, BookEvent, Escalation,
    JournalEntry, Outbox, Refusal, Unblocked,
};
pub use link_control::is_link_control;
pub use order::{Applied, BlockId, TableOrder};
pub use table::{BlockHandle, Stopped, WorkerTable, WorkerTableCounters};
