//! One native matcher for the literals and regexes of all plugins.
//!
//! ```text
//! payload ─► filter: sets of nibbles, or a table of windows (AVX2) ─► candidates
//!                                                                        │
//!    hits ◄── whole literal ◄── eight bytes, in the window's chain ◄── what is beside the window
//! ```
//!
//! For each long literal the four-byte windows that are rarest in traffic (`frequency`) set bits in
//! a small table; every fourth window of the payload is tested against it. Short literals go
//! through sets of nibbles together (`nibbles`, `deal`), 32 positions at a time. What passes, and
//! has beside it what its literals have, is verified, so that the hits are exact. A payload made of
//! near misses spends a [`Budget`], and that is counted.
//!
//! It must never know what a literal is for: rules, buffers and plugins are numbers here.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::panic, clippy::unreachable, clippy::todo)
)]

mod beside;
mod budget;
mod builder;
mod chains;
mod deal;
mod filter;
mod frequency;
pub mod fuzz;
mod group;
#[cfg(target_arch = "x86_64")]
mod kernel;
mod limits;
mod literal;
mod matcher;
mod nibbles;
pub mod regex;
mod store;
#[cfg(feature = "vectorscan")]
mod vectorscan;

pub use budget::Budget;
pub use builder::{BuildError, Builder};
pub use filter::Kernel;
pub use limits::Limits;
pub use literal::{Case, Hit, Literal};
pub use matcher::{GroupFigures, Matcher};
pub use regex::{Analysis, Answer, Engine, Flags, RegexError, RegexLimits, Regexes, compile_check};
#[cfg(feature = "vectorscan")]
pub use vectorscan::{LiteralSearch, Vectorscan, VectorscanError};
