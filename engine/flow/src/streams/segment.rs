//! What goes in and what comes out: the segment, its fate, and the sink.

use crate::flow::Direction;
use crate::streams::event::StreamEvent;
use portcullis_types::DropReason;
use portcullis_wire::{Packet, Tcp, TcpFlags, TcpOptions};

/// Most bytes of either version that an anomaly shows.
pub const EVIDENCE_MAX: usize = 64;

/// A TCP segment with what reassembly reads of it.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The header's fixed part.
    pub tcp: Tcp,
    /// The header's options.
    pub options: TcpOptions,
    /// The bytes behind the header.
    pub payload: &'a [u8],
}

impl<'a> Segment<'a> {
    /// The segment of a packet that is TCP and no fragment.
    #[inline]
    pub fn of(packet: &Packet, frame: &'a [u8]) -> Self {
        Segment { tcp: packet.tcp, options: options(packet, frame), payload: packet.payload(frame) }
    }

    #[inline]
    pub(crate) fn has(&self, flag: TcpFlags) -> bool {
        self.tcp.flags.any(flag)
    }

    pub(crate) fn len(&self) -> i64 {
        i64::try_from(self.payload.len()).unwrap_or(0)
    }
}

/// The options; the timestamps of an ordinary segment (RFC 7323, appendix A) at a glance.
#[inline]
fn options(packet: &Packet, frame: &[u8]) -> TcpOptions {
    let from = usize::from(packet.l4_offset) + 20;
    match packet.tcp.header_len {
        0..=20 => TcpOptions::default(),
        32 => match frame.get(from..).and_then(|rest| rest.first_chunk::<12>()) {
            Some(&[1, 1, 8, 10, a, b, c, d, e, f, g, h]) => {
                let (value, echo) = ([a, b, c, d], [e, f, g, h]);
                let stamps = (u32::from_be_bytes(value), u32::from_be_bytes(echo));
                TcpOptions { timestamps: Some(stamps), ..TcpOptions::default() }
            }
            _ => packet.tcp_options(frame),
        },
        _ => packet.tcp_options(frame),
    }
}

/// What is to be done with the segment's frame. Where the engine only watches, it is forwarded
/// anyway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentFate {
    /// It goes on.
    Forward,
    /// It must not arrive, or its receiver would read what the sink did not.
    Drop(DropReason),
}

/// How a direction ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StreamEnd {
    /// Its FIN was reached: the sink has had every byte.
    Fin,
    /// The conversation was reset.
    Reset,
    /// Its flow ended in the table (timeout, eviction, end of input).
    Flow,
    /// Policy reads no further: see [`crate::StreamPolicy::depth`].
    Depth,
}

/// Two versions of the bytes at one place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versions<'a> {
    /// From the first byte that differs: what came first, at most [`EVIDENCE_MAX`] bytes.
    pub first: &'a [u8],
    /// What came later for the same place, as many bytes.
    pub later: &'a [u8],
}

/// Something odd or wrong that a segment shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamAnomaly<'a> {
    /// What.
    pub event: StreamEvent,
    /// Which way the segment went.
    pub direction: Direction,
    /// Its first byte's place in the stream; of [`StreamEvent::OverlapDifferentData`] the first
    /// byte that differs; of [`StreamEvent::SequenceGap`] the first that is missing.
    pub offset: u64,
    /// With [`StreamEvent::OverlapDifferentData`]: the evidence.
    pub versions: Option<Versions<'a>>,
}

/// Who reads the streams. Offsets count each direction's bytes from 0, the first behind the SYN or,
/// midstream, the first that was seen.
pub trait StreamSink {
    /// The next bytes. `offset` is where the last ones ended, but for gaps and for urgent bytes,
    /// over which it skips.
    fn data(&mut self, direction: Direction, offset: u64, bytes: &[u8]);
    /// Bytes that nobody will ever see here, though their receiver may have them.
    fn gap(&mut self, direction: Direction, offset: u64, len: u64);
    /// There will be no more of this direction. At most once per direction.
    fn end(&mut self, direction: Direction, reason: StreamEnd);
    /// Something odd or wrong.
    fn anomaly(&mut self, anomaly: &StreamAnomaly<'_>);
    /// A byte that was marked urgent and is no part of the stream.
    fn urgent(&mut self, direction: Direction, offset: u64, byte: u8) {
        let _ = (direction, offset, byte);
    }
}
