//! Every way in which a frame can end other than by being forwarded.

/// Why a frame was not forwarded. The names are metric labels; each has a counter per worker, and
/// *frames in = forwarded + dropped (by reason) + in hand* holds at all times.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum DropReason {
    /// Its source is blocked in this segment and VLAN stack (the worker's own table).
    Blocked,
    /// It carried the attack: a verdict of this burst.
    Verdict,
    /// Its flow was terminated earlier and stays dropped.
    FlowTerminated,
    /// A fault in a detector left its flow unscanned and `on_fault = "closed"`.
    FaultClosed,
    /// A fragment overlaps another and policy drops such datagrams.
    FragmentOverlap,
    /// Its headers are malformed and policy drops such frames.
    Malformed,
    /// A table was full and policy is to refuse new flows.
    FlowTableFull,
    /// The lane to the worker that owns its flow was full.
    HandoverFull,
    /// The transmit ring or socket stayed full.
    TransmitFull,
    /// Longer than the other port, or a ring slot, can carry.
    TooLong,
    /// The other port is gone or its link is down.
    PortDown,
    /// Read from a tap or a capture: there is nowhere to forward to.
    Copy,
    /// A segment or fragment that would have to be held, and no memory was left for it; its sender
    /// sends it again.
    ReassemblyFull,
    /// Other bytes for a place of a stream that already has some: the first stay.
    StreamConflict,
    /// A segment that its receiver does not accept (sequence, acknowledgement, timestamp, reset).
    StreamInvalid,
}

impl DropReason {
    /// How many there are.
    pub const COUNT: usize = 15;

    /// All of them, in the order of their numbers.
    pub const ALL: [DropReason; Self::COUNT] = [
        DropReason::Blocked,
        DropReason::Verdict,
        DropReason::FlowTerminated,
        DropReason::FaultClosed,
        DropReason::FragmentOverlap,
        DropReason::Malformed,
        DropReason::FlowTableFull,
        DropReason::HandoverFull,
        DropReason::TransmitFull,
        DropReason::TooLong,
        DropReason::PortDown,
        DropReason::Copy,
        DropReason::ReassemblyFull,
        DropReason::StreamConflict,
        DropReason::StreamInvalid,
    ];

    /// Its place in tables of counters.
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The label in metrics and events.
    pub const fn name(self) -> &'static str {
        match self {
            DropReason::Blocked => "blocked",
            DropReason::Verdict => "verdict",
            DropReason::FlowTerminated => "flow_terminated",
            DropReason::FaultClosed => "fault_closed",
            DropReason::FragmentOverlap => "fragment_overlap",
            DropReason::Malformed => "malformed",
            DropReason::FlowTableFull => "flow_table_full",
            DropReason::HandoverFull => "handover_full",
            DropReason::TransmitFull => "transmit_full",
            DropReason::TooLong => "too_long",
            DropReason::PortDown => "port_down",
            DropReason::Copy => "copy",
            DropReason::ReassemblyFull => "reassembly_full",
            DropReason::StreamConflict => "stream_conflict",
            DropReason::StreamInvalid => "stream_invalid",
        }
    }
}
