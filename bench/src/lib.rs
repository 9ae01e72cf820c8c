//! What the benches share: traffic made from a seed, processes measured from outside, medians.
//!
//! Every figure is a ratio of two things measured in the same run, in turn, because these machines
//! are shared and drift; single times are printed only to show the spread.

mod figure;
mod process;
mod traffic;

pub use figure::{Rounds, median};
pub use process::{Usage, measure};
pub use traffic::{Flows, write_udp_capture};
