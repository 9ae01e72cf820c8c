//! Counters: plain cells, one set per worker, summed by whoever reads them.
//!
//! A cell has one writer, its worker, and any number of readers; so adding is a relaxed load and
//! store, as cheap as a plain integer. *Frames in = forwarded + dropped (by reason) + in hand.*

use portcullis_types::DropReason;
use portcullis_wire::Reject;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only its worker writes.
#[derive(Debug, Default)]
pub struct Cell(AtomicU64);

impl Cell {
    /// Adds `n`; called by the owning worker alone.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Replaces the value; called by the owning worker alone.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The value now.
    #[inline]
    pub fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Declares the scalar counters once: the fields, their zeros and their names.
macro_rules! lane_counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// What one worker counts.
        #[derive(Debug)]
        pub struct LaneCounters {
            $($(#[doc = $doc])* pub $name: Cell,)*
            /// Frames not sent on, by reason.
            pub dropped: [Cell; DropReason::COUNT],
            /// Malformations and oddities, by name, per frame.
            pub rejects: [Cell; Reject::COUNT],
        }

        impl Default for LaneCounters {
            fn default() -> Self {
                // Arrays beyond 32 have no `Default` of their own.
                LaneCounters {
                    $($name: Cell::default(),)*
                    dropped: [const { Cell(AtomicU64::new(0)) }; DropReason::COUNT],
                    rejects: [const { Cell(AtomicU64::new(0)) }; Reject::COUNT],
                }
            }
        }

        impl LaneCounters {
            /// What each of [`LaneCounters::named`] counts, in a sentence or two.
            pub const MEANINGS: &[&'static str] = &[$(concat!($($doc,)*),)*];

            /// Every scalar counter with its name, for metrics and `stats`.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.read()),)*]
            }
        }
    };
}

lane_counters! {
    /// Frames received from the ports, or from another worker's lane, counted by their owner.
    frames_in,
    /// Bytes of those frames.
    bytes_in,
    /// Frames sent on to the other port.
    forwarded,
    /// Frames that `monitor` or a tap let by although a verdict would have dropped them.
    would_drop,
    /// Frames handed to the worker that owns their flow.
    handed_over,
    /// Frames that another worker handed to this one.
    adopted,
    /// Addresses that machines on the link have announced as their own, by ARP or neighbour
    /// discovery.
    announcements,
    /// Older announcements that gave way to them.
    announcements_displaced,
    /// Frames not IP and not ARP, which pass untouched.
    untouched,
    /// Frames of a flow already decided: headers only (speed 3).
    decided,
    /// Frames of known flows (speed 4).
    known,
    /// Frames that opened a flow (speed 5).
    opened,
    /// Flows that an exclusion lets pass unread.
    do_not_scan,
    /// Fragments.
    fragments,
    /// Fragments that pass unread, since their lane puts no datagrams together.
    fragments_unread,
    /// Fragments that must not arrive, by place or content or since their datagram was given up.
    fragments_refused,
    /// Fragments that repeat others, byte for byte.
    fragments_repeated,
    /// Fragments that cover bytes that others had.
    fragments_overlapping,
    /// Of these, those with other bytes.
    fragments_conflicting,
    /// Bytes that fragments of incomplete datagrams take now, in pages.
    fragment_bytes,
    /// Datagrams put together, and read.
    datagrams_rebuilt,
    /// Datagrams given up because their receiver gives them up or must not have them.
    datagrams_condemned,
    /// Datagrams given up for want of memory.
    datagrams_starved,
    /// Datagrams forgotten to make place for others.
    datagrams_evicted,
    /// Datagrams forgotten because they stayed in pieces.
    datagrams_expired,
    /// Malformations of frames without a flow beyond 16 a second, reason and source: counted by
    /// reason, and not told.
    anomalies_untold,
    /// Events offered to flow-scope detectors.
    events,
    /// Events offered to host-scope detectors.
    host_events,
    /// Events lost since a host-scope ring was full.
    host_events_lost,
    /// Findings of flow-scope detectors.
    findings,
    /// Findings beyond the burst's limit, not judged.
    findings_lost,
    /// Faults of detectors.
    faults,
    /// Verdicts that terminated a flow.
    terminated,
    /// Verdicts that blocked an offender.
    blocks,
    /// Blocks due but withheld (unproven, inside, protected, grace, breaker).
    withheld,
    /// Verdicts that would have terminated, in `monitor`.
    would_terminate,
    /// Verdicts that would have blocked, in `monitor`.
    would_block,
    /// RST and ICMP frames sent.
    injected,
    /// RST and ICMP frames that could not be sent.
    injected_lost,
    /// Reports lost since the event queue was full.
    reports_lost,
    /// Orders to the book that had to wait since its queue was full.
    orders_waited,
    /// Bursts carried.
    bursts,
    /// Flows in the table now.
    flows,
    /// Flows started.
    flows_started,
    /// Flows ended.
    flows_ended,
    /// Flows evicted since the table was full.
    flows_evicted,
}

impl LaneCounters {
    /// Counts a frame dropped for `reason`.
    #[inline]
    pub fn drop_for(&self, reason: DropReason) {
        if let Some(cell) = self.dropped.get(reason.index()) {
            cell.add(1);
        }
    }

    /// Counts frames from another worker that could not be taken.
    #[inline]
    pub(crate) fn lost_on_the_way(&self, frames: u64, reason: DropReason) {
        if let (true, Some(cell)) = (frames > 0, self.dropped.get(reason.index())) {
            self.frames_in.add(frames);
            cell.add(frames);
        }
    }

    /// A frame that was counted as forwarded and could not be sent after all.
    #[inline]
    pub fn take_back(&self, reason: DropReason) {
        self.forwarded.set(self.forwarded.read().wrapping_sub(1));
        self.drop_for(reason);
    }

    /// Counts a malformation.
    #[inline]
    pub fn reject(&self, reject: Reject) {
        if let Some(cell) = self.rejects.get(reject as usize) {
            cell.add(1);
        }
    }

    /// Frames dropped so far, all reasons.
    pub fn dropped_all(&self) -> u64 {
        self.dropped.iter().map(Cell::read).sum()
    }
}
