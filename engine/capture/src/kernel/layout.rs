//! The layouts that user space shares with `bpf/portcullis.bpf.c`. Change both sides together, and
//! [`LAYOUT_VERSION`] with them.

/// In the names of the pinned maps, so that a map of another layout is never taken up.
pub(crate) const LAYOUT_VERSION: u32 = 1;

/// Ports of one engine at most.
pub const PORTS_MAX: u32 = 64;
/// Receive queues of one port at most.
pub const QUEUES_MAX: u32 = 64;
/// Rows of the maps `sockets` and `heartbeats`: a port's slot times [`QUEUES_MAX`] plus the queue.
pub(crate) const SOCKETS_MAX: u32 = PORTS_MAX * QUEUES_MAX;
/// Counters of one port in the map `counters`.
pub(crate) const COUNTERS_PER_PORT: u32 = 16;
/// Blocks that the kernel carries where the configuration says nothing.
pub const BLOCKS_MAX_DEFAULT: u32 = 131_072;

/// One row of the map `config`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct PortRow {
    /// A worker that has been silent for longer is dead.
    pub(crate) heartbeat_ns_max: u64,
    /// This port's row in sockets, heartbeats and counters.
    pub(crate) slot: u32,
    /// Its peer's entry in `peers`; [`PORTS_MAX`] for a tap.
    pub(crate) peer_slot: u32,
    /// The segment's number.
    pub(crate) segment: u16,
    /// 0 closed, 1 open.
    pub(crate) on_failure: u8,
    /// 1 while the operator wants everything forwarded in the kernel.
    pub(crate) bypass: u8,
    /// Zero.
    pub(crate) padding: u32,
}

const _: () = assert!(size_of::<PortRow>() == 24);

#[allow(unsafe_code, reason = "the kernel map: aya wants a promise about the row's bytes")]
// SAFETY: justification: aya takes map values only of `Pod` types. The struct is repr(C), of
// integers only and without implicit padding (8 + 4 + 4 + 2 + 1 + 1 + 4 = 24, asserted above).
unsafe impl aya::Pod for PortRow {}

/// What the kernel program has counted on one port. Held in a pinned map, so the figures go on
/// through restarts of the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCounters {
    /// Frames handed to a worker's socket.
    pub redirected: u64,
    /// Frames dropped because their source is blocked.
    pub dropped_blocked: u64,
    /// Frames that the kernel forwarded because the operator switched the bypass on.
    pub bypassed_operator: u64,
    /// Frames that the kernel forwarded because no worker was there (`on_failure = "open"`).
    pub bypassed_open: u64,
    /// Frames that the kernel dropped because no worker was there (`on_failure = "closed"`).
    pub dropped_closed: u64,
    /// Of the last two: the queue had no socket.
    pub no_socket: u64,
    /// Of the last two: the queue's worker had been silent for too long.
    pub no_heartbeat: u64,
    /// A block was found but its time was up; the frame was carried on.
    pub block_expired: u64,
    /// More tags than the program parses; the frame was carried on, user space judges it.
    pub too_many_tags: u64,
}

impl KernelCounters {
    /// From the rows of one port, in the order of the program's enum; missing ones count zero.
    pub(crate) fn from_rows(rows: impl IntoIterator<Item = u64>) -> Self {
        let mut rows = rows.into_iter();
        let mut next = || rows.next().unwrap_or(0);
        KernelCounters {
            redirected: next(),
            dropped_blocked: next(),
            bypassed_operator: next(),
            bypassed_open: next(),
            dropped_closed: next(),
            no_socket: next(),
            no_heartbeat: next(),
            block_expired: next(),
            too_many_tags: next(),
        }
    }
}
