//! A burst in hand: the frames that wait for their verdict.

use portcullis_flow::{Direction, FlowId};
use portcullis_types::{DropReason, FrameIndex, PortSide, SegmentId, Tick, Whence};
use portcullis_wire::{Fragment, Packet};

/// Frames that one worker takes in one burst. 64 keeps the packets in the first-level cache and the
/// wait for a verdict short; the kernel sends at most 32 at a time in copy mode anyway.
pub const BURST_FRAMES: usize = 64;

/// Frames that replay decides on at once, and that host-scope detectors take at once.
pub const WINDOW_FRAMES: usize = 256;

/// What becomes of a frame when its burst is disposed of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It goes on to the other port.
    Forward,
    /// It ends here.
    Drop(DropReason),
}

/// One frame of the burst: where it came from, what it turned out to be, what becomes of it.
#[derive(Clone, Copy, Debug)]
pub struct InHand {
    /// Its place in the burst.
    pub index: FrameIndex,
    /// The port that it came in by.
    pub side: PortSide,
    /// When.
    pub at: Tick,
    /// Its number in the capture, from 1; 0 live.
    pub number: u64,
    /// Bytes on the wire.
    pub wire_len: u32,
    /// Its headers; `None` where they cannot be used.
    pub packet: Option<Packet>,
    /// Which part of a datagram it is. [`InHand::packet`] is the whole datagram then, where this
    /// frame has completed it, but for the offset of the IP header.
    pub fragment: Option<Fragment>,
    /// Its flow and its direction in it.
    pub flow: Option<(FlowId, Direction)>,
    /// What becomes of it.
    pub fate: Fate,
}

impl InHand {
    /// A frame just received.
    #[inline]
    pub fn new(index: FrameIndex, side: PortSide, at: Tick, wire_len: u32) -> Self {
        InHand {
            index,
            side,
            at,
            number: 0,
            wire_len,
            packet: None,
            fragment: None,
            flow: None,
            fate: Fate::Forward,
        }
    }

    /// The flow's reference in findings.
    #[inline]
    pub fn flow_ref(&self) -> Option<(u32, u32)> {
        self.flow.map(|(id, _)| (id.index, id.generation))
    }

    /// Where it comes from, for the same-burst rule; `None` for what is not IP.
    pub fn whence(&self, segment: SegmentId) -> Option<Whence> {
        let packet = self.packet.as_ref().filter(|p| p.ip_version != 0)?;
        Some(Whence { segment, vlan: packet.vlan, source: packet.src, tunnel: 0 })
    }
}
