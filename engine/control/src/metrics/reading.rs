//! What lanes read behind the headers, as families: streams, scans, decoders. Must never know how
//! anything is read.

use super::exposition::Kind;
use super::families::{Gathering, float};
use super::{Figures, WorkerFigures};
use portcullis_pipeline::ReadingFigures;

type Of = fn(&ReadingFigures) -> u64;

/// Name behind `reading_`, help, and the figure. A name that ends in `_total` only grows.
const ROWS: [(&str, &str, Of); 38] = [
    ("streams", "Streams that are put together now.", |r| r.streams.live),
    ("streams_started_total", "Streams begun.", |r| r.streams.started),
    ("streams_midstream_total", "Streams begun without a handshake.", |r| r.streams.midstream),
    ("streams_evicted_total", "Streams that gave way in a full table.", |r| r.streams.evicted),
    ("segments_total", "Segments of TCP seen.", |r| r.streams.segments),
    ("delivered_bytes_total", "Bytes of streams read in order.", |r| r.streams.delivered),
    ("reordered_bytes_total", "Of these, bytes held until others came.", |r| r.streams.reordered),
    ("gaps_total", "Gaps in streams.", |r| r.streams.gaps),
    ("gap_bytes_total", "Bytes missing in streams.", |r| r.streams.gap_bytes),
    ("repeated_bytes_total", "Bytes sent again.", |r| r.streams.repeated),
    (
        "unverified_bytes_total",
        "Bytes sent again of which nothing was kept to compare them with.",
        |r| r.streams.unverified,
    ),
    (
        "segments_conflicting_total",
        "Segments dropped because they say something else of bytes that were read.",
        |r| r.streams.conflicts,
    ),
    ("segments_invalid_total", "Segments that no receiver accepts.", |r| r.streams.invalid),
    ("segments_refused_full_total", "Segments refused for want of memory.", |r| r.streams.full),
    (
        "segments_refused_midstream_total",
        "Segments of conversations met in the middle that policy drops whole.",
        |r| r.streams.refused,
    ),
    (
        "spare_pages_lost_total",
        "Pages kept to compare repeated bytes with, given up early for want of memory.",
        |r| r.streams.spare_lost,
    ),
    ("stream_pages", "Pages of reassembly in use.", |r| r.streams.pages),
    ("stream_pages_max", "The most pages of reassembly ever in use.", |r| r.streams.pages_max),
    ("scans_total", "Buffers scanned, each once a group of literals.", |r| r.scans.scans),
    ("scanned_bytes_total", "Bytes scanned, each once a group of literals.", |r| r.scans.bytes),
    ("hits_total", "Literals found.", |r| r.scans.hits),
    ("hits_lost_total", "Literals found that an event had no room for.", |r| r.scans.hits_lost),
    ("scan_overruns_total", "Scans whose budget was spent on near misses.", |r| r.scans.overruns),
    (
        "scan_paused_bytes_total",
        "Bytes not scanned, since the flow's near misses had cost too much.",
        |r| r.scans.paused,
    ),
    ("offered_total", "Events shown to detectors.", |r| r.offered),
    ("messages_total", "Messages that decoders made.", |r| r.messages),
    ("records_total", "Transactions and files that decoders read to their end.", |r| r.records),
    ("undecoded_total", "Flows that were not decoded for want of memory.", |r| r.undecoded),
    ("unknown_total", "Flows whose protocol was never found out.", |r| r.decoding.unknown),
    ("headers_cut_total", "Headers cut at their limits.", |r| r.decoding.headers_cut),
    ("bodies_cut_total", "Bodies cut at their limit.", |r| r.decoding.bodies_cut),
    ("inflate_bombs_total", "Bodies that inflate too far.", |r| r.decoding.inflate_bombs),
    ("inflate_too_deep_total", "Bodies encoded too often.", |r| r.decoding.inflate_too_deep),
    ("inflate_broken_total", "Bodies that do not inflate to their end.", |r| {
        r.decoding.inflate_broken
    }),
    ("transactions_cut_total", "Transactions closed early at the limit of open ones.", |r| {
        r.decoding.transactions_cut
    }),
    ("records_cut_total", "Messages and certificates cut at their limits.", |r| {
        r.decoding.records_cut
    }),
    ("decoder_gap_bytes_total", "Bytes lost in streams that were decoded.", |r| {
        r.decoding.gap_bytes
    }),
    ("conversation_bytes", "Bytes of all conversations now.", |r| r.conversation_bytes),
];

impl Figures {
    /// The lanes that read, with what they count.
    fn readers(&self) -> impl Iterator<Item = (&WorkerFigures, &ReadingFigures)> {
        let all = self.workers.iter().zip(&self.reading);
        all.filter_map(|(worker, reading)| Some((worker, reading.as_ref()?)))
    }

    /// The sum of one figure over all lanes; `None` where none reads.
    pub fn read_sum(&self, of: impl Fn(&ReadingFigures) -> u64) -> Option<u64> {
        self.readers().map(|(_, reading)| of(reading)).reduce(|a, b| a + b)
    }

    pub(super) fn reading_families(&self, to: &mut Gathering) {
        for (name, help, of) in ROWS {
            let kind = if name.ends_with("_total") { Kind::Counter } else { Kind::Gauge };
            let samples = self.readers().map(|(w, r)| (w.labels(), float(of(r))));
            to.add(&format!("reading_{name}"), help, kind, samples.collect::<Vec<_>>());
        }
    }
}
