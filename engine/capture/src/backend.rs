//! The backends, one file each. They share nothing but the trait.

pub mod af_packet;
pub mod af_xdp;
pub mod generated;
pub mod memory;
pub mod pcap;

mod copied;
pub use copied::CopiedFrame;
