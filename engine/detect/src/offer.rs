//! An event as it is offered to a host: values and borrowed bytes, nothing of any plugin.

use crate::slots::FlowRef;
use portcullis_plugin_abi::{Buffer, Event, FlowRec, buffer_kind};
use portcullis_types::{FlowFacts, FrameIndex, PluginId};

/// Bytes that an event shows: a payload, a piece of a stream, a field of a request.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// What it holds, see [`buffer_kind`].
    pub kind: u16,
    /// Which one of its kind within the event, from 0.
    pub index: u16,
    /// Transaction id within the flow, 0 none.
    pub transaction: u32,
    /// [`Buffer::MORE`], [`Buffer::COMPLETE`], [`Buffer::GAP`], [`Buffer::EARLIER`].
    pub flags: u32,
    /// Where it begins in the stream or body that it is a piece of.
    pub offset: u64,
    /// All of it. Each plugin is shown as much as its manifest's snap length for the kind, and
    /// reads the rest by handle.
    pub bytes: &'a [u8],
}

impl<'a> Shown<'a> {
    /// The bytes behind the transport header of one packet.
    #[inline]
    pub const fn payload(bytes: &'a [u8]) -> Self {
        Shown {
            kind: buffer_kind::PAYLOAD,
            index: 0,
            transaction: 0,
            flags: Buffer::COMPLETE,
            offset: 0,
            bytes,
        }
    }
}

/// A pattern found in one of an event's buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferedHit {
    /// Whose pattern.
    pub plugin: PluginId,
    /// The buffer, by its place in [`Offer::buffers`].
    pub buffer: u16,
    /// The pattern's number in the plugin's set ([`crate::Patterns`]).
    pub pattern: u32,
    /// Offset behind the match's last byte in the buffer.
    pub end: u32,
}

/// An event as it is offered to a host.
#[derive(Clone, Copy)]
pub struct Offer<'a> {
    /// The flow as it stands; its slot is filled in by the host.
    pub flow: &'a FlowRec,
    /// The event; its indices are filled in by the host.
    pub event: Event,
    /// What it shows; an empty payload is not shown. Where the same kind and index is there
    /// twice, a plugin finds the first.
    pub buffers: &'a [Shown<'a>],
    /// What the matcher found in these buffers, for any plugins, in any order.
    pub hits: &'a [OfferedHit],
    /// What a finding will carry.
    pub facts: &'a FlowFacts,
    /// The frame in the burst; `None` where there is none.
    pub frame: Option<FrameIndex>,
    /// The flow in its worker's table; `None` where there is none (ARP, host scope).
    pub flow_ref: Option<FlowRef>,
}
