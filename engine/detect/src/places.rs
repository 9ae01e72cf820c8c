//! Where the arrays of a batch lie in the input arena: fixed for a plugin, so that a record is
//! written straight to its place when its event is offered.

use crate::limits::LoadLimits;
use crate::manifest::Manifest;
use crate::shelf::BUFFERS_MAX;
use portcullis_plugin_abi::{Batch, Buffer, Event, EventKind, FlowRec, Hit};

/// Offsets in the input arena, and how much fits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Places {
    /// Events in a batch at most; as many flow records.
    pub(crate) events_max: u32,
    pub(crate) flows_at: u32,
    pub(crate) events_at: u32,
    pub(crate) buffers_at: u32,
    /// Buffers in a batch at most.
    pub(crate) buffers_max: u32,
    pub(crate) hits_at: u32,
    /// Hits in a batch at most.
    pub(crate) hits_max: u32,
    pub(crate) slots_at: u32,
    /// Bytes of one flow slot.
    pub(crate) slot_len: u32,
    pub(crate) data_at: u32,
    pub(crate) data_max: u32,
    /// Bytes of the arena.
    pub(crate) len: u32,
}

const fn size<T>() -> u32 {
    #[allow(clippy::cast_possible_truncation, reason = "records are at most 160 bytes")]
    {
        size_of::<T>() as u32
    }
}

impl Places {
    /// For a plugin. The sum stays far below 4 GiB: 1,024 events at most, of 256 bytes of slot and
    /// 256 bytes of records, 1,024 buffers, 4,096 hits, 16 MiB of data.
    pub(crate) fn of(manifest: &Manifest, limits: &LoadLimits) -> Places {
        let events_max = limits.batch_events.clamp(1, 1_024);
        let flows_at = size::<Batch>();
        let events_at = flows_at + events_max * size::<FlowRec>();
        let buffers_at = events_at + events_max * size::<Event>();
        let many = [EventKind::StreamData, EventKind::Transaction];
        let deep = many.iter().any(|&kind| manifest.wants(kind));
        let buffers_max = if deep { BUFFERS_MAX } else { events_max };
        let hits_at = buffers_at + buffers_max * size::<Buffer>();
        let hits_max = if manifest.looks() { HITS_MAX } else { 0 };
        let slots_at = hits_at + hits_max * size::<Hit>();
        let data_at = slots_at + events_max * manifest.flow_state;
        let snap = manifest.snaps.iter().map(|s| s.1).fold(manifest.snap, u32::max);
        // An event of a transaction shows many buffers, and a few such events are a batch.
        let (wanted, bytes) = match deep {
            true => (buffers_max.saturating_mul(snap), limits.batch_bytes.saturating_mul(4)),
            false => (events_max.saturating_mul(snap), limits.batch_bytes),
        };
        let data_max = wanted.min(bytes.min(16 << 20)).max(snap);
        // Init shares the arena: settings and names must fit too.
        let names: usize = limits.anomalies.iter().map(|n| n.len() + 1).sum();
        let init = u32::try_from(names).unwrap_or(u32::MAX / 4).saturating_add(CONFIG_MAX + 64);
        let len = (data_at + data_max).max(init.min(1 << 24)).next_multiple_of(16);
        Places {
            events_max,
            flows_at,
            events_at,
            buffers_at,
            buffers_max,
            hits_at,
            hits_max,
            slots_at,
            slot_len: manifest.flow_state,
            data_at,
            data_max,
            len,
        }
    }
}

/// Hits in one batch at most; an event that brings more loses the rest, counted.
const HITS_MAX: u32 = 4_096;

/// Bytes of a plugin's settings at most.
pub(crate) const CONFIG_MAX: u32 = 64 << 10;

/// Strides as this host writes them.
pub(crate) const STRIDES: [u32; 4] =
    [size::<FlowRec>(), size::<Event>(), size::<Buffer>(), size::<Hit>()];

/// Length of the batch header as this host writes it.
#[allow(clippy::cast_possible_truncation, reason = "128 bytes")]
pub(crate) const HEADER_LEN: u16 = size_of::<Batch>() as u16;
