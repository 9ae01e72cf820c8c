//! Where a lane's words go: reports to the event writer, orders to the book, events to host-scope
//! detectors. Live they go into bounded queues at once; in replay they are collected per window and
//! merged in the order of the frames. Static dispatch: the lane is generic over its outlet.

use crate::report::Report;
use portcullis_detect::HostEvent;
use portcullis_types::{Addr, BlockOrder, FrameIndex, PluginId, SegmentId, Tick, VlanStack};
use portcullis_verdict::Trip;

/// Takes what a lane says. No call waits; what cannot be taken is counted by the outlet's owner.
pub trait Outlet {
    /// Something for the event writer, about that frame.
    fn report(&mut self, frame: FrameIndex, report: Report);
    /// A block for the book. The worker's own table has it already.
    fn order(&mut self, order: BlockOrder);
    /// The breaker has begun to refuse blocks; the first was this detector's.
    fn tripped(&mut self, plugin: PluginId, trip: Trip);
    /// Something for the host-scope detectors in its seats.
    fn host_event(&mut self, frame: FrameIndex, event: &HostEvent);
    /// An address has shown itself at its place.
    fn proven(&mut self, segment: SegmentId, vlan: VlanStack, addr: Addr, at: Tick);
}
