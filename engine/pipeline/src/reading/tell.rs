//! From bytes in order to events and reports: what one packet, or the end of one flow, has to tell.
//!
//! Pure plumbing: buffers are scanned, and where something was found or somebody always wants to
//! see it, an event is built and offered. It must never know what a literal or a buffer means.

use super::prefilter::{Found, ScanCounters, Stretch, family};
use super::readers::{Kept, State};
use super::{Desk, Place, way};
use crate::counters::LaneCounters;
use crate::events;
use crate::outlet::Outlet;
use crate::report::{Conflict, Conversation, Oddity, OddityLayer, Report, Transaction};
use portcullis_decode::{Fresh, Interest, Message, Output, Piece, Stage};
use portcullis_detect::{Bare, FlowHost, Offer, OfferedHit, Shown};
use portcullis_flow::{Direction, Flow, FlowId, StreamAnomaly, StreamEnd, StreamSink, TcpState};
use portcullis_plugin_abi::{self as abi, Buffer, EventKind, application, buffer_kind};
use portcullis_types::{FlowFacts, FrameIndex, Tick};
use portcullis_wire::{Packet, protocol};

/// Buffers that one event shows; a message with more shows its first.
const SHOWN_MAX: usize = 512;

/// Who tells, about what: one packet of one flow, or the flow's end.
pub(crate) struct Teller<'a, O> {
    pub(crate) id: FlowId,
    pub(crate) flow: &'a Flow,
    pub(crate) direction: Direction,
    pub(crate) at: Tick,
    /// The frame's number in the capture; 0 live.
    pub(crate) number: u64,
    pub(crate) frame: Option<FrameIndex>,
    /// `None` at the flow's end.
    pub(crate) packet: Option<&'a Packet>,
    pub(crate) wire_len: u32,
    pub(crate) detectors: &'a mut FlowHost,
    pub(crate) counters: &'a LaneCounters,
    pub(crate) outlet: &'a mut O,
}

impl<'a, O: Outlet> Teller<'a, O> {
    pub(crate) fn at_desk(self, desk: &'a mut Desk) -> AtDesk<'a, O> {
        let application =
            desk.readers.known(self.id).map_or(application::UNKNOWN, |r| r.application);
        let ways = [Direction::ToServer, Direction::ToClient];
        let bytes: u64 = ways.iter().map(|way| self.flow.tally(*way).bytes).sum();
        let looks = self.detectors.looks((self.id.index, self.id.generation), bytes >> 10);
        AtDesk { teller: self, desk, record: None, heard: false, application, looks }
    }
}

/// A teller at its lane's desk. The streams tell it their bytes.
pub(crate) struct AtDesk<'a, O> {
    teller: Teller<'a, O>,
    desk: &'a mut Desk,
    /// The flow as detectors see it, made when the first event needs it.
    record: Option<(abi::FlowRec, FlowFacts)>,
    /// A stream has told bytes.
    heard: bool,
    application: u16,
    /// Whether anybody wants to know what is found: detectors pause flows that are all near misses.
    looks: bool,
}

impl<O: Outlet> AtDesk<'_, O> {
    /// Whether nothing of the flow is read any more.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.desk.readers.known(self.teller.id).is_some_and(|r| r.state == State::Quiet)
    }

    /// Both directions have ended: what was needed to read on is let go, long before the flow is.
    pub(crate) fn is_over(&mut self) {
        let id = self.teller.id;
        let Some(reader) = self.desk.readers.known(id) else { return };
        reader.conversation = None;
        reader.windows = Default::default();
        reader.kept = Vec::new();
        self.desk.readers.measure(id);
    }

    fn place(&self, direction: Direction) -> Place {
        let flow = self.teller.flow;
        Place {
            direction: direction as u8,
            protocol: flow.protocol(),
            server_port: flow.server_port(),
            client_port: flow.client_port(),
        }
    }

    /// Whether a plugin wants such an event though nothing was found in it.
    fn is_wanted_anyway(
        &self,
        kind: EventKind,
        direction: Direction,
        shows: impl Fn(u16) -> bool,
    ) -> bool {
        let flow = self.teller.flow;
        let event = Bare {
            kind,
            protocol: flow.protocol(),
            direction: direction as u8,
            application: self.application,
            client_port: flow.client_port(),
            server_port: flow.server_port(),
        };
        let flags = self.teller.packet.map_or(0, |p| p.tcp.flags.0);
        self.teller.detectors.interests().wants_anyway(&event, flags, shows)
    }

    /// The packet by itself.
    pub(crate) fn payload(&mut self, packet: &Packet, bytes: &[u8]) {
        let (payload, direction) = (packet.payload(bytes), self.teller.direction);
        self.desk.hits.clear();
        let place = self.place(direction);
        let headers = headers(packet, bytes);
        let Desk { prefilter, hits, scans, segment, .. } = &mut *self.desk;
        if !self.looks {
            scans.paused += payload.len() as u64;
        } else if segment.is_of(payload) {
            std::mem::swap(hits, &mut segment.hits);
        } else if !payload.is_empty() {
            let stretch = Stretch::whole(payload);
            prefilter.scan((buffer_kind::PAYLOAD, 0), place, stretch, hits, scans);
        }
        for (at, header) in (1_u16..).zip(headers.iter().flatten()) {
            let stretch = Stretch::whole(header.bytes);
            prefilter.scan((header.kind, at), place, stretch, hits, scans);
        }
        let kind = EventKind::Packet;
        if self.desk.hits.is_empty() && !self.is_wanted_anyway(kind, direction, |_| true) {
            return;
        }
        let hits = std::mem::take(&mut self.desk.hits);
        let mut shown = [Shown::payload(payload); 3];
        let mut count = 1;
        for (place, header) in shown.iter_mut().skip(1).zip(headers.into_iter().flatten()) {
            *place = header;
            count += 1;
        }
        self.offer(kind, (direction, 0), shown.get(..count).unwrap_or_default(), &hits);
        self.desk.hits = hits;
    }

    /// What a packet carries before the conversation stands, and no stream has taken: whoever looks
    /// at streams is shown it by itself.
    pub(crate) fn alone(&mut self, packet: &Packet, bytes: &[u8]) {
        let payload = packet.payload(bytes);
        let opening =
            matches!(self.teller.flow.tcp_state(), TcpState::SynSent | TcpState::SynReceived);
        if payload.is_empty() || !opening || self.heard {
            return;
        }
        let (kind, direction) = (EventKind::StreamData, self.teller.direction);
        let place = self.place(direction);
        self.desk.hits.clear();
        let Desk { prefilter, hits, scans, .. } = &mut *self.desk;
        let stretch = Stretch::whole(payload);
        prefilter.scan((buffer_kind::STREAM, 0), place, stretch, hits, scans);
        let anyway = self.is_wanted_anyway(kind, direction, |b| b == buffer_kind::STREAM);
        let hits = std::mem::take(&mut self.desk.hits);
        if !hits.is_empty() || anyway {
            let shown =
                Shown { kind: buffer_kind::STREAM, flags: Buffer::MORE, ..Shown::payload(payload) };
            self.offer(kind, (direction, 0), &[shown], &hits);
        }
        self.desk.hits = hits;
    }

    /// One datagram.
    pub(crate) fn datagram(&mut self, payload: &[u8]) {
        let direction = self.teller.direction;
        self.decode(|c, out| c.data(way(direction), payload, out));
    }

    /// The flow is over.
    pub(crate) fn conclude(&mut self) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            self.decode(|c, out| {
                c.end(way(direction), out);
                Interest::More
            });
        }
    }

    /// Tells the conversation something, and tells on what it makes of it.
    fn decode(
        &mut self,
        tell: impl FnOnce(&mut portcullis_decode::Conversation, &mut Output) -> Interest,
    ) {
        let id = self.teller.id;
        let Some(reader) = self.desk.readers.known(id) else { return };
        let Some(conversation) = reader.conversation.as_deref_mut() else { return };
        let mut output = std::mem::take(&mut self.desk.output);
        let interest = tell(conversation, &mut output);
        reader.application = conversation.application();
        self.application = reader.application;
        if interest == Interest::Done {
            reader.conversation = None;
            // What nobody could read is still looked through as a plain stream.
            let is_known =
                !matches!(reader.application, application::UNKNOWN | application::FAILED);
            if is_known {
                reader.state = State::Quiet;
                reader.windows = Default::default();
            }
        }
        self.desk.readers.measure(id);
        for message in &output.messages {
            self.message(message, &output);
        }
        self.report(&mut output);
        output.clear();
        self.desk.output = output;
    }

    /// One inspection: all buffers that one direction of a transaction has now.
    fn message(&mut self, message: &Message, output: &Output) {
        self.desk.messages += 1;
        let direction = match message.direction {
            portcullis_decode::Direction::ToServer => Direction::ToServer,
            portcullis_decode::Direction::ToClient => Direction::ToClient,
        };
        let place = self.place(direction);
        let pieces = output.pieces_of(message);
        let pieces = pieces.get(..SHOWN_MAX).unwrap_or(pieces);
        self.desk.hits.clear();
        let Some(reader) = self.desk.readers.known(self.teller.id) else { return };
        reader.last = reader.last.max(message.transaction);
        let whole = message.transaction <= reader.begun_before;
        let scanned = |piece: &Piece| piece.fresh == Fresh::New || whole;
        let mut alike: Option<&Piece> = None;
        for (at, piece) in (0_u16..).zip(pieces).filter(|(_, piece)| scanned(piece)) {
            // A body and the file in it are the same bytes, one after the other: scanned once.
            if alike.take().is_some_and(|other| is_alike(other, piece)) {
                continue;
            }
            let next = pieces.get(usize::from(at) + 1);
            alike = next.filter(|next| scanned(next) && is_alike(piece, next)).map(|_| piece);
            let other = alike.and(next).map(|next| next.kind);
            let from = if whole { 0 } else { piece.seen as usize };
            let stretch = Stretch { bytes: output.bytes_of(piece), from };
            let Desk { prefilter, hits, scans, .. } = &mut *self.desk;
            if !self.looks {
                scans.paused += (stretch.bytes.len() - stretch.from) as u64;
                continue;
            }
            if other.is_none() {
                prefilter.scan((piece.kind, at), place, stretch, hits, scans);
                continue;
            }
            prefilter.sweep(piece.kind, place, stretch, scans, |scans, one| {
                if one.kind == piece.kind {
                    scans.keep(hits, one.in_buffer(at, one.end));
                } else if Some(one.kind) == other {
                    scans.keep(hits, one.in_buffer(at + 1, one.end));
                }
            });
        }
        if !whole {
            self.remember(message, direction, output);
        }
        let shows = |kind| pieces.iter().any(|p| p.kind == kind && p.fresh == Fresh::New);
        let anyway = self.is_wanted_anyway(EventKind::Transaction, direction, shows);
        if self.desk.hits.is_empty() && !anyway {
            return;
        }
        let shown: Vec<Shown<'_>> = pieces
            .iter()
            .map(|piece| Shown {
                kind: piece.kind,
                index: piece.index,
                transaction: message.transaction,
                flags: piece.flags
                    | if piece.fresh == Fresh::Earlier { Buffer::EARLIER } else { 0 },
                offset: piece.offset,
                bytes: output.bytes_of(piece),
            })
            .collect();
        let hits = std::mem::take(&mut self.desk.hits);
        self.offer(EventKind::Transaction, (direction, message.transaction), &shown, &hits);
        self.desk.hits = hits;
    }

    /// Hits of earlier messages of the transaction come again, and this message's are kept for
    /// later ones.
    fn remember(&mut self, message: &Message, direction: Direction, output: &Output) {
        let pieces = output.pieces_of(message);
        let Desk { readers, hits, .. } = &mut *self.desk;
        let Some(reader) = readers.known(self.teller.id) else { return };
        let new = hits.len();
        for kept in &reader.kept {
            if (kept.transaction, kept.direction) != (message.transaction, direction as u8) {
                continue;
            }
            let same = |p: &Piece| (p.kind, p.index) == (kept.kind, kept.index);
            let Some(at) = pieces.iter().position(same) else { continue };
            let end = pieces.get(at).and_then(|p| kept.end.checked_sub(p.offset));
            if let (Some(end), Ok(buffer)) =
                (end.and_then(|e| u32::try_from(e).ok()), at.try_into())
            {
                hits.push(OfferedHit { buffer, end, ..kept.hit });
            }
        }
        if message.stage == Stage::Complete {
            reader.release(message.transaction, message.direction);
            return;
        }
        for hit in hits.get(..new).unwrap_or_default() {
            let Some(piece) = pieces.get(usize::from(hit.buffer)) else { continue };
            reader.keep(Kept {
                transaction: message.transaction,
                direction: direction as u8,
                kind: piece.kind,
                index: piece.index,
                end: piece.offset + u64::from(hit.end),
                hit: *hit,
            });
        }
    }

    /// Records and oddities go to the event writer.
    fn report(&mut self, output: &mut Output) {
        let teller = &mut self.teller;
        let frame = teller.frame.unwrap_or(FrameIndex(u16::MAX));
        for record in output.records.drain(..) {
            self.desk.records += 1;
            let transaction = Transaction {
                at: teller.at,
                frame_number: teller.number,
                conversation: Conversation::of_flow(teller.flow),
                record,
            };
            teller.outlet.report(frame, Report::Transaction(Box::new(transaction)));
        }
        for &(event, _) in &output.anomalies {
            let Some(name) = portcullis_decode::event_name(event) else { continue };
            teller.odd(OddityLayer::Application, name, None);
        }
    }

    /// The stretch of the stream that a new piece ends.
    fn stream(&mut self, direction: Direction, offset: u64, bytes: &[u8]) {
        let kind = EventKind::StreamData;
        let anyway = self.is_wanted_anyway(kind, direction, |b| b == buffer_kind::STREAM);
        if !anyway && !self.desk.prefilter.reads(buffer_kind::STREAM, direction as u8) {
            return;
        }
        let (id, place) = (self.teller.id, self.place(direction));
        let Desk { prefilter, hits, scans, readers, segment, .. } = &mut *self.desk;
        let Some(reader) = readers.known(id) else { return };
        let mut windows = std::mem::take(&mut reader.windows);
        let Some(window) = windows.get_mut(direction as usize) else { return };
        let pushed = window.push(offset, bytes);
        let unscanned = reader.unscanned.get_mut(direction as usize);
        let from = match unscanned {
            // Once somebody looks again, the window is looked through from its begin.
            Some(unscanned) if !self.looks => {
                *unscanned = true;
                scans.paused += bytes.len() as u64;
                window.bytes().len()
            }
            unscanned => match unscanned.is_some_and(std::mem::take) {
                true => 0,
                false => pushed,
            },
        };
        hits.clear();
        let stretch = Stretch { bytes: window.bytes(), from };
        let own = self.teller.packet.filter(|p| usize::from(p.payload_len) == bytes.len());
        let of_packet = own.is_some() && segment.begin(bytes);
        let mut found = |scans: &mut ScanCounters, one: Found| {
            if one.kind == buffer_kind::STREAM {
                scans.keep(hits, one.in_buffer(0, one.end));
            } else if of_packet && one.end >= pushed + one.length {
                scans.keep(&mut segment.hits, one.in_buffer(0, one.end - pushed));
            }
        };
        if self.looks {
            prefilter.sweep(buffer_kind::STREAM, place, stretch, scans, &mut found);
        }
        let (new, begin) = (hits.len(), window.offset());
        let here = |k: &Kept| k.transaction == 0 && k.direction == direction as u8;
        reader.kept.retain(|k| !here(k) || k.end > begin && self.looks);
        for kept in reader.kept.iter().filter(|k| here(k)) {
            let end = u32::try_from(kept.end - begin).unwrap_or(u32::MAX);
            hits.push(OfferedHit { end, ..kept.hit });
        }
        for at in 0..new {
            let Some(&hit) = hits.get(at) else { break };
            let (end, kind) = (begin + u64::from(hit.end), buffer_kind::STREAM);
            let direction = direction as u8;
            reader.keep(Kept { transaction: 0, direction, kind, index: 0, end, hit });
        }
        let hits = std::mem::take(hits);
        if !hits.is_empty() || anyway {
            let shown = Shown {
                kind: buffer_kind::STREAM,
                index: 0,
                transaction: 0,
                flags: Buffer::MORE,
                offset: begin,
                bytes: window.bytes(),
            };
            self.offer(kind, (direction, 0), &[shown], &hits);
        }
        self.desk.hits = hits;
        if let Some(reader) = self.desk.readers.known(id) {
            reader.windows = windows;
        }
    }

    fn offer(
        &mut self,
        kind: EventKind,
        (direction, transaction): (Direction, u32),
        buffers: &[Shown<'_>],
        hits: &[OfferedHit],
    ) {
        let teller = &mut self.teller;
        let (record, facts) = self
            .record
            .get_or_insert_with(|| (events::flow_record(teller.flow), teller.flow.facts()));
        record.application = self.application;
        if teller.flow.is_midstream() && !self.desk.follows_midstream {
            record.flags |= abi::FLOW_UNFOLLOWED;
        }
        let mut event = match teller.packet {
            Some(p) => events::packet_event(kind, p, direction, teller.at, teller.wire_len),
            None => abi::Event { kind: kind.number(), ..events::end_event(0, teller.at) },
        };
        event.direction = direction as u8;
        event.transaction = transaction;
        self.desk.offered += 1;
        teller.counters.events.add(1);
        let flow_ref = Some((teller.id.index, teller.id.generation));
        let frame = teller.frame;
        teller.detectors.offer(&Offer {
            flow: record,
            event,
            buffers,
            hits,
            facts,
            frame,
            flow_ref,
        });
    }
}

/// Whether two pieces are the same bytes, of which as many are new.
fn is_alike(a: &Piece, b: &Piece) -> bool {
    a.range == b.range && a.seen == b.seen && family(a.kind) == family(b.kind)
}

/// The packet's IP header, for rules that read it as a buffer.
pub(crate) fn ip_header<'f>(packet: &Packet, frame: &'f [u8]) -> Option<Shown<'f>> {
    headers(packet, frame).into_iter().next().flatten()
}

/// The packet's headers, for rules that read them as buffers.
fn headers<'f>(packet: &Packet, frame: &'f [u8]) -> [Option<Shown<'f>>; 2] {
    let kinds = match (packet.ip_version, packet.protocol) {
        (4, protocol::TCP) => (buffer_kind::IPV4_HDR, buffer_kind::TCP_HDR),
        (4, protocol::UDP) => (buffer_kind::IPV4_HDR, buffer_kind::UDP_HDR),
        (4, protocol::ICMPV4) => (buffer_kind::IPV4_HDR, buffer_kind::ICMPV4_HDR),
        (6, protocol::TCP) => (buffer_kind::IPV6_HDR, buffer_kind::TCP_HDR),
        (6, protocol::UDP) => (buffer_kind::IPV6_HDR, buffer_kind::UDP_HDR),
        (6, protocol::ICMPV6) => (buffer_kind::IPV6_HDR, buffer_kind::ICMPV6_HDR),
        (4, _) => (buffer_kind::IPV4_HDR, 0),
        _ => (buffer_kind::IPV6_HDR, 0),
    };
    let cut = |kind: u16, from: u16, to: u16| {
        let bytes = frame.get(usize::from(from)..usize::from(to))?;
        (kind != 0 && !bytes.is_empty()).then(|| Shown { kind, ..Shown::payload(bytes) })
    };
    [
        cut(kinds.0, packet.l3_offset, packet.l4_offset),
        cut(kinds.1, packet.l4_offset, packet.payload_offset),
    ]
}

impl<O: Outlet> Teller<'_, O> {
    fn odd(&mut self, layer: OddityLayer, event: &'static str, conflict: Option<Conflict>) {
        let oddity = Oddity {
            at: self.at,
            frame_number: self.number,
            conversation: Conversation::of_flow(self.flow),
            layer,
            conflict,
            event,
        };
        let frame = self.frame.unwrap_or(FrameIndex(u16::MAX));
        self.outlet.report(frame, Report::Oddity(Box::new(oddity)));
    }
}

impl<O: Outlet> StreamSink for AtDesk<'_, O> {
    fn data(&mut self, direction: Direction, offset: u64, bytes: &[u8]) {
        self.heard = true;
        self.decode(|c, out| c.data(way(direction), bytes, out));
        if !self.is_quiet() {
            self.stream(direction, offset, bytes);
        }
    }

    fn gap(&mut self, direction: Direction, _offset: u64, len: u64) {
        self.decode(|c, out| c.gap(way(direction), len, out));
    }

    fn urgent(&mut self, direction: Direction, offset: u64, _byte: u8) {
        let Some(reader) = self.desk.readers.known(self.teller.id) else { return };
        let skipped =
            reader.windows.get_mut(direction as usize).is_some_and(|window| window.skip(offset));
        if skipped {
            // What was found before it lies nearer to what comes behind.
            let way = direction as u8;
            let kept = reader.kept.iter_mut().filter(|k| k.transaction == 0 && k.direction == way);
            kept.for_each(|kept| kept.end += 1);
        }
    }

    fn end(&mut self, direction: Direction, _reason: StreamEnd) {
        self.decode(|c, out| {
            c.end(way(direction), out);
            Interest::More
        });
    }

    fn anomaly(&mut self, anomaly: &StreamAnomaly<'_>) {
        let code = anomaly.event.number();
        let conflict = anomaly.versions.map(|both| Conflict::of(anomaly.offset, both));
        self.teller.odd(OddityLayer::Stream, anomaly.event.suricata_event(), conflict);
        let interests = self.teller.detectors.interests();
        let flow = self.teller.flow;
        let seats = interests.wanting(EventKind::Anomaly, flow.protocol(), flow.server_port());
        if interests.wanting_anomaly(seats, code) == 0 {
            return;
        }
        let (record, facts) = (events::flow_record(flow), flow.facts());
        let Some(packet) = self.teller.packet else { return };
        let teller = &mut self.teller;
        let kind = EventKind::Anomaly;
        let mut event =
            events::packet_event(kind, packet, anomaly.direction, teller.at, teller.wire_len);
        event.code = code;
        let flow_ref = Some((teller.id.index, teller.id.generation));
        teller.detectors.offer(&Offer {
            flow: &record,
            event,
            buffers: &[],
            hits: &[],
            facts: &facts,
            frame: teller.frame,
            flow_ref,
        });
    }
}
