//! Segments of a conversation that stands or is being closed: which of them the receiver accepts.
//!
//! RFC 9293, 3.10.7.4; RFC 5961; RFC 7323. What is odd gets the name that it has in its state, see
//! `closing.rs`.

use crate::flow::Direction;
use crate::streams::event::StreamEvent;
use crate::streams::half::{Half, mark};
use crate::streams::policy::{Invalid, Placement};
use crate::streams::reassembly::Work;
use crate::streams::segment::{SegmentFate, StreamEnd, StreamSink};
use crate::streams::table::{State, flag};
use portcullis_types::DropReason;
use portcullis_wire::TcpFlags;

/// What the session says of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Judged {
    /// Its payload is read; it begins at this offset.
    Accept { start: i64 },
    /// It goes on, and its payload means nothing.
    Pass,
    /// No receiver accepts it.
    Invalid,
}

impl<S: StreamSink> Work<'_, S> {
    /// Carries the segment through its stream.
    #[inline]
    pub(crate) fn run(&mut self) -> SegmentFate {
        if self.is_plain() {
            let start = self.stream.half(self.direction).next;
            return if self.segment.payload.is_empty() {
                SegmentFate::Forward
            } else {
                self.arrive(start)
            };
        }
        self.run_through()
    }

    /// Tier: nearly all segments. The next one of an established conversation, which acknowledges
    /// something near and has nothing special about it; its acknowledgement is taken.
    #[inline]
    fn is_plain(&mut self) -> bool {
        let tcp = &self.segment.tcp;
        let special = TcpFlags::FIN.union(TcpFlags::SYN).union(TcpFlags::RST).union(TcpFlags::URG);
        if self.stream.state != State::Established
            || tcp.flags.any(special)
            || !tcp.flags.any(TcpFlags::ACK)
        {
            return false;
        }
        let (stamps, length) = (self.stream.has(flag::STAMPS), self.segment.len());
        let [client, server] = &mut self.stream.halves;
        let to_server = self.direction == Direction::ToServer;
        let (sender, receiver) = if to_server { (client, server) } else { (server, client) };
        let (start, ack) = (sender.offset(tcp.seq), receiver.offset(tcp.ack));
        let room = Half::room(tcp.window, sender.scale);
        let odd = start != sender.next
            || sender.marks & (mark::RESET | mark::ENDED) != 0
            || receiver.has(mark::RESET)
            || start + length > sender.edge
            || sender.fin_at.is_some()
            || ack < receiver.acked
            || ack > receiver.high
            || !receiver.held.is_empty()
            || room < Half::room(sender.window, sender.scale) / 2;
        if odd {
            return false;
        }
        if stamps && let Some((stamp, _)) = self.segment.options.timestamps {
            if sender.is_stale(stamp, self.now) {
                return false;
            }
            sender.note_stamp(stamp, start, self.now);
        }
        receiver.acknowledged(ack, room);
        sender.window = tcp.window;
        sender.high = sender.high.max(start + length);
        self.stream.marks |= flag::CONFIRMED;
        self.release(self.direction.other());
        true
    }

    #[cold]
    fn run_through(&mut self) -> SegmentFate {
        let tcp = self.segment.tcp;
        if tcp.ack != 0 && !self.segment.has(TcpFlags::ACK) {
            self.event(StreamEvent::BrokenAck);
        }
        let judged = if tcp.flags.has(TcpFlags::SYN.union(TcpFlags::FIN)) {
            self.event(StreamEvent::FinSyn);
            Judged::Invalid
        } else {
            match self.stream.state {
                State::None => self.on_first(),
                State::SynSent => self.on_syn_sent(),
                State::SynReceived => self.on_syn_received(),
                State::Closed => self.on_closed(),
                _ => self.on_established(),
            }
        };
        let fate = match judged {
            Judged::Accept { start } => self.take(start),
            Judged::Pass => SegmentFate::Forward,
            Judged::Invalid => {
                self.counters.invalid += 1;
                match (self.policy.placement, self.policy.invalid) {
                    (Placement::Inline, Invalid::Drop) => {
                        SegmentFate::Drop(DropReason::StreamInvalid)
                    }
                    _ => SegmentFate::Forward,
                }
            }
        };
        self.settle(Direction::ToServer);
        self.settle(Direction::ToClient);
        self.conclude(Direction::ToServer);
        self.conclude(Direction::ToClient);
        fate
    }

    /// Takes the payload and the FIN of an accepted segment.
    fn take(&mut self, start: i64) -> SegmentFate {
        if self.segment.has(TcpFlags::URG) {
            self.note_urgent(start);
        }
        let end = start + self.segment.len();
        if self.segment.payload.is_empty() {
            return self.take_fin(end);
        }
        let half = self.stream.half(self.direction);
        if half.fin_at.is_some_and(|fin| end > fin) {
            // Behind a FIN there is nothing.
            self.counters.invalid += 1;
            return SegmentFate::Drop(DropReason::StreamInvalid);
        }
        // Data with a SYN waits for the answer that says whether it was taken.
        let with_syn = self.stream.state == State::SynSent && self.direction == Direction::ToServer;
        let fate = if with_syn { self.arrive_with_syn() } else { self.arrive(start) };
        if fate != SegmentFate::Forward {
            return fate;
        }
        let half = self.stream.half_mut(self.direction);
        half.high = half.high.max(end);
        self.take_fin(end)
    }

    fn take_fin(&mut self, end: i64) -> SegmentFate {
        if !self.segment.has(TcpFlags::FIN) {
            return SegmentFate::Forward;
        }
        let direction = self.direction;
        let half = self.stream.half_mut(direction);
        let held_beyond = self.pieces.end(&half.held).is_some_and(|held| held > end);
        if half.fin_at.is_some_and(|fin| fin != end) || held_beyond || half.next > end {
            self.counters.invalid += 1;
            return SegmentFate::Drop(DropReason::StreamInvalid);
        }
        half.high = half.high.max(end + 1);
        if half.fin_at.is_none() {
            half.fin_at = Some(end);
            self.closes();
        }
        SegmentFate::Forward
    }

    /// Tells the end of a direction whose FIN has been reached.
    fn conclude(&mut self, direction: Direction) {
        let half = self.stream.half(direction);
        if half.fin_at == Some(half.next) {
            self.tell_end(direction, StreamEnd::Fin);
        }
    }

    /// A segment of a conversation that stands, or is being closed.
    pub(crate) fn on_established(&mut self) -> Judged {
        let (tcp, now) = (self.segment.tcp, self.now);
        let stamp = self.segment.options.timestamps.filter(|_| self.stream.has(flag::STAMPS));
        if self.segment.has(TcpFlags::RST) {
            return self.on_reset();
        }
        if let Some((stamp, _)) = stamp
            && self.stream.half(self.direction).is_stale(stamp, now)
        {
            self.event(StreamEvent::InvalidTimestamp);
            return Judged::Invalid;
        }
        if self.segment.has(TcpFlags::SYN) {
            return self.on_late_syn();
        }
        if !self.segment.has(TcpFlags::ACK) {
            // Only segments that acknowledge are taken: RFC 9293, 3.10.7.4, fifth.
            return Judged::Invalid;
        }
        self.after_reset();
        let sender = self.stream.half(self.direction);
        let receiver = self.stream.half(self.direction.other());
        let (start, ack) = (sender.offset(tcp.seq), receiver.offset(tcp.ack));
        if !receiver.may_acknowledge(ack) {
            self.event(StreamEvent::InvalidAck);
            self.event(self.wrong_ack());
            return Judged::Invalid;
        }
        let length = self.segment.len();
        let end = start + length;
        // A keep-alive repeats the byte before the next one, or sends none there.
        let keep_alive = length <= 1 && start == sender.high - 1 && start < sender.acked;
        let fin = self.segment.has(TcpFlags::FIN);
        if !keep_alive && !sender.in_window(start, end) {
            self.event(self.out_of_window(fin));
            return Judged::Invalid;
        }
        if self.is_bad_window_update(start, ack) {
            self.event(StreamEvent::BadWindowUpdate);
            return Judged::Invalid;
        }
        if length > 0 && !keep_alive {
            self.tell_repetition(start, end);
        }
        self.acknowledge(ack);
        if let Some((stamp, _)) = stamp {
            self.stream.half_mut(self.direction).note_stamp(stamp, start, now);
        }
        self.acknowledges_fin();
        if keep_alive && !fin { Judged::Pass } else { Judged::Accept { start } }
    }

    /// Takes the acknowledgement and the window of an accepted segment.
    fn acknowledge(&mut self, ack: i64) {
        let window = self.segment.tcp.window;
        let sender = self.stream.half_mut(self.direction);
        sender.window = window;
        let room = Half::room(window, sender.scale);
        self.stream.half_mut(self.direction.other()).acknowledged(ack, room);
        self.stream.marks |= flag::CONFIRMED;
    }

    /// Data that was there before, in Suricata's three words for it.
    fn tell_repetition(&mut self, start: i64, end: i64) {
        let half = self.stream.half(self.direction);
        let (acked, high) = (half.acked, half.high);
        if start < half.kept_from.min(acked) && start < half.first {
            self.event(StreamEvent::BeforeBaseSeq);
        }
        if end <= acked {
            self.event(StreamEvent::SpuriousRetransmission);
            if end < acked {
                self.event(self.before_last_ack());
            }
        } else if start < acked || end <= high && !self.fills_hole(start) {
            self.event(StreamEvent::Retransmission);
        }
    }

    /// Whether bytes that are not the highest are nevertheless new.
    fn fills_hole(&self, start: i64) -> bool {
        let half = self.stream.half(self.direction);
        let held = self.pieces.first(&half.held);
        start >= half.next && held.is_none_or(|first| start < first.start)
    }

    /// A smaller window together with numbers beyond everything that was sent.
    fn is_bad_window_update(&self, start: i64, ack: i64) -> bool {
        let tcp = self.segment.tcp;
        let sender = self.stream.half(self.direction);
        let receiver = self.stream.half(self.direction.other());
        let lost = i64::from(sender.window) - i64::from(tcp.window);
        tcp.window != 0
            && !self.segment.has(TcpFlags::FIN)
            && !sender.has(mark::OPEN)
            && lost > self.segment.len()
            && ack > receiver.high
            && start > sender.high
    }

    /// SYN or SYN-ACK where a conversation stands. They change nothing here: whether they begin
    /// another is the flow table's to say (RFC 5961, 4).
    fn on_late_syn(&mut self) -> Judged {
        let tcp = self.segment.tcp;
        let base = tcp.seq.wrapping_add(1);
        let client = self.stream.half(Direction::ToServer);
        let server = self.stream.half(Direction::ToClient);
        let standing = matches!(self.stream.state, State::Established | State::Closed);
        let event = match (tcp.flags.any(TcpFlags::ACK), self.direction) {
            _ if !standing => StreamEvent::ShutdownSynResend,
            (false, Direction::ToClient) => StreamEvent::EstablishedSynToClient,
            (false, Direction::ToServer) if client.base != base => {
                StreamEvent::EstablishedSynDiffSeq
            }
            (false, Direction::ToServer) => StreamEvent::EstablishedSynResend,
            (true, Direction::ToServer) => StreamEvent::EstablishedSynAckToServer,
            (true, _) if client.base != tcp.ack => StreamEvent::EstablishedSynAckDiffAck,
            (true, _) if server.base != base => StreamEvent::EstablishedSynAckDiffSeq,
            (true, _) if !self.stream.has(flag::CONFIRMED) => return Judged::Pass,
            (true, _) => StreamEvent::EstablishedSynAckResend,
        };
        self.event(event);
        Judged::Pass
    }

    /// After an RST that was forwarded and after both ends have closed.
    fn on_closed(&mut self) -> Judged {
        if self.segment.has(TcpFlags::RST) {
            return Judged::Pass;
        }
        if self.segment.has(TcpFlags::SYN) {
            return self.on_late_syn();
        }
        if self.stream.halves.iter().any(|half| half.has(mark::RESET)) {
            if self.segment.payload.is_empty() {
                return Judged::Pass;
            }
            self.event(StreamEvent::SuspectedRstInject);
            return Judged::Invalid;
        }
        self.on_established()
    }

    /// Watching, an RST ends nothing: whoever goes on has not taken it.
    fn after_reset(&mut self) {
        let reset = self.stream.halves.iter().any(|half| half.has(mark::RESET));
        if !reset || self.segment.payload.is_empty() {
            return;
        }
        self.event(StreamEvent::SuspectedRstInject);
        self.stream.halves.iter_mut().for_each(|half| half.marks &= !mark::RESET);
    }
}
