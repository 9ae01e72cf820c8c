//! An event as a detector sees it: total accessors over the records.

use crate::Addr;
use crate::abi::{
    BatchReader, Buffer, Direction, Event, EventKind, FLOW_CLIENT_INSIDE, FLOW_SERVER_INSIDE,
    FlowRec, Hit, buffer_kind,
};

/// One event with its flow and its bytes.
#[derive(Clone, Copy)]
pub struct EventView<'a> {
    pub(crate) reader: &'a BatchReader<'a>,
    pub(crate) anomalies: &'a [Box<str>],
    pub(crate) event: &'a Event,
    pub(crate) flow: &'a FlowRec,
    pub(crate) now: u64,
    pub(crate) index: u32,
}

impl<'a> EventView<'a> {
    /// What happened; `None` for a kind younger than this SDK.
    #[inline]
    pub fn kind(&self) -> Option<EventKind> {
        EventKind::from_number(self.event.kind)
    }

    /// The record itself, for every field that has no accessor here.
    #[inline]
    pub fn event(&self) -> &'a Event {
        self.event
    }

    /// The flow's record, as the flow stood at this event.
    #[inline]
    pub fn flow(&self) -> &'a FlowRec {
        self.flow
    }

    /// When it happened, nanoseconds.
    #[inline]
    pub fn at(&self) -> u64 {
        self.event.at
    }

    /// The engine's time at this batch, nanoseconds.
    #[inline]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Which way the packet went.
    #[inline]
    pub fn direction(&self) -> Direction {
        if self.event.direction == 0 { Direction::ToServer } else { Direction::ToClient }
    }

    /// Who opened the flow.
    #[inline]
    pub fn client(&self) -> Addr {
        Addr(self.flow.client)
    }

    /// Whom it was opened to.
    #[inline]
    pub fn server(&self) -> Addr {
        Addr(self.flow.server)
    }

    /// Who sent this packet.
    #[inline]
    pub fn source(&self) -> Addr {
        match self.direction() {
            Direction::ToServer => self.client(),
            Direction::ToClient => self.server(),
        }
    }

    /// Whom this packet was sent to.
    #[inline]
    pub fn destination(&self) -> Addr {
        match self.direction() {
            Direction::ToServer => self.server(),
            Direction::ToClient => self.client(),
        }
    }

    /// The client's port, 0 where the protocol has none.
    #[inline]
    pub fn client_port(&self) -> u16 {
        self.flow.client_port
    }

    /// The server's port, 0 where the protocol has none.
    #[inline]
    pub fn server_port(&self) -> u16 {
        self.flow.server_port
    }

    /// IP protocol number, 0 for what is not IP.
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.flow.protocol
    }

    /// Whether the client end is on the protected side.
    #[inline]
    pub fn client_inside(&self) -> bool {
        self.flow.flags & FLOW_CLIENT_INSIDE != 0
    }

    /// Whether the server end is on the protected side.
    #[inline]
    pub fn server_inside(&self) -> bool {
        self.flow.flags & FLOW_SERVER_INSIDE != 0
    }

    /// The flow's application protocol, see [`crate::application`]; 0 while it is not known.
    #[inline]
    pub fn application(&self) -> u16 {
        self.flow.application
    }

    /// The event's transaction within its flow, 0 none.
    #[inline]
    pub fn transaction(&self) -> u32 {
        self.event.transaction
    }

    /// The event's index in its batch.
    #[inline]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// TCP flags of the packet; compare with [`crate::tcp`].
    #[inline]
    pub fn tcp_flags(&self) -> u8 {
        self.event.tcp_flags
    }

    /// The anomaly's number on this engine, or the reason of a flow's end.
    #[inline]
    pub fn code(&self) -> u16 {
        self.event.code
    }

    /// The anomaly's name, such as `land`; empty for other events.
    pub fn anomaly(&self) -> &'a str {
        if self.event.kind != EventKind::Anomaly.number() {
            return "";
        }
        self.anomalies.get(usize::from(self.event.code)).map_or("", |n| n)
    }

    /// The bytes behind the transport header, up to the snap length.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.buffer(buffer_kind::PAYLOAD).map_or(&[], |(_, bytes)| bytes)
    }

    /// The event's first buffer of a kind, with its bytes.
    pub fn buffer(&self, kind: u16) -> Option<(Buffer, &'a [u8])> {
        self.buffers().find(|(b, _)| b.kind == kind)
    }

    /// The event's buffers with their bytes.
    pub fn buffers(&self) -> impl Iterator<Item = (Buffer, &'a [u8])> + use<'a> {
        let first = self.event.first_buffer;
        let reader = self.reader;
        (0..u32::from(self.event.buffers)).map_while(move |i| {
            let buffer = reader.buffer(first.checked_add(i)?)?;
            Some((buffer, reader.bytes(&buffer)))
        })
    }

    /// A buffer of the batch with its bytes, by its index: what [`Hit::buffer`] has.
    #[inline]
    pub fn buffer_at(&self, index: u32) -> Option<(Buffer, &'a [u8])> {
        let buffer = self.reader.buffer(index)?;
        Some((buffer, self.reader.bytes(&buffer)))
    }

    /// What the host's matcher found in this event's buffers: the numbers are those of the
    /// manifest's `[[pattern]]` rows, then those of [`crate::PatternSet`], or the section's.
    pub fn hits(&self) -> impl Iterator<Item = Hit> + use<'a> {
        let first = self.event.first_hit;
        let reader = self.reader;
        (0..u32::from(self.event.hits)).map_while(move |i| reader.hit(first.checked_add(i)?))
    }

    /// Index in the batch of the event's first buffer, for [`crate::Draft::evidence`].
    pub fn first_buffer(&self) -> Option<u32> {
        (self.event.buffers > 0).then_some(self.event.first_buffer)
    }
}
