//! The plugin host: load, meter, call in batches, contain.
//!
//! Detectors are WebAssembly modules of any vendor. This crate turns their bytes into a
//! [`Plugin`] without running code, warms [`Instance`]s of it off the street, shows them events in
//! batches, and checks what they answer. It can name what should happen; it can drop no packet.
//! It must never know a clock, a file, a socket, or what any detector looks for.
//!
//! ```text
//! bytes ─► Loader ─► Plugin ─► warm() ─► Instance ─► install ─► FlowHost / HostShard
//!                                                                  offer, run ─► Finding, Fault
//! ```
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::panic, clippy::unreachable, clippy::todo)
)]

mod calls;
mod check;
mod conduct;
mod data;
mod error;
mod fault;
mod guest;
mod host;
mod instance;
mod interest;
mod limits;
mod loader;
mod manifest;
mod offer;
mod panel;
mod pattern;
mod places;
mod plugin;
mod profile;
mod seat;
mod section;
mod shard;
mod shared;
mod shelf;
mod slots;
mod text;
mod turns;
mod warm;

pub use check::Refusal;
pub use data::{PluginData, RegexAnswer, RegexBank, RuleTable, Section};
pub use error::{LoadError, WarmError};
pub use fault::{Fault, FaultKind, PluginEvent};
pub use host::FlowHost;
pub use instance::Instance;
pub use interest::{Interests, Seats, shard_of};
pub use limits::{HostLimits, LoadLimits, PLUGINS_MAX};
pub use loader::Loader;
pub use manifest::{Fuel, Manifest, Rule, Scope, Shard};
pub use offer::{Offer, OfferedHit, Shown};
pub use panel::InstallError;
pub use pattern::{Always, Bare, Case, Pattern, PatternGroup, Patterns, RegexText, literal};
pub use plugin::{Grants, NativeFactory, Plugin};
pub use profile::{Clock, Profile, RuleCost, Spent};
pub use seat::{Retired, SeatCounters};
pub use shard::{HostEvent, HostShard};
pub use shared::SharedTables;
pub use slots::FlowRef;
pub use turns::Turns;

/// The records, for whoever fills them.
pub use portcullis_plugin_abi as abi;
/// How a rule names its offender and its target.
pub use portcullis_plugin_abi::PartyKind;
