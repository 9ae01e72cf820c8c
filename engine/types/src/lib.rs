//! The words and units of the street. No logic: whoever makes a thing owns its verbs.
//!
//! Everything here is shared by at least two floor-2 siblings, which may not import each other.
//! This crate must never know a file, a socket, a clock or a protocol's syntax.

mod addr;
mod drop_reason;
mod finding;
mod limits;
mod order;
mod place;
mod time;
mod vlan;

pub use addr::{Addr, Prefix, PrefixError};
pub use drop_reason::DropReason;
pub use finding::{
    Action, Class, Confidence, Evidence, Finding, FlowFacts, Mac, Party, PluginId, Proof, Reach,
    RuleId, RuleMeta, Severity,
};
pub use limits::MemoryTerm;
pub use order::{BlockKey, BlockOrder, Cause, KernelBlock, KernelKey, Origin, Whence};
pub use place::{FrameIndex, PortSide, SegmentId};
pub use time::{Clock, Tick};
pub use vlan::{VLAN_DEPTH_MAX, VlanId, VlanStack};
