//! What the benches share: traffic made from a seed, processes measured from outside, medians.
//!
//! Every figure is a ratio of two things measured in the same run, in turn, because these machines
//! are shared and drift; single times are printed only to show the spread.

mod figure;
mod gates;
pub mod kernel_blocks;
pub mod live;
mod mix;
mod options;
pub mod paced;
mod process;
mod replayed;
mod street;
mod suricata;
mod traffic;

pub use figure::{Rounds, Wanted, median};
pub use gates::Gates;
pub use mix::{Filling, Literals, Mix, write_filled_capture, write_mixed_capture};
pub use options::Options;
pub use process::{Usage, measure, process_cpu, thread_cpu};
pub use replayed::{Replayed, Replayer, rule_text};
pub use street::{Carried, Detectors, Street};
pub use suricata::Suricata;
pub use traffic::{
    BEGIN, Flows, Sequence, TcpEnd, tcp_frame, udp_between, udp_frame, udp_frames,
    write_udp_capture,
};
