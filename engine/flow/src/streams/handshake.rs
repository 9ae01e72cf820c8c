//! From nothing to established: handshake, split handshake, fast open, and conversations met in
//! the middle or seen from one side.

use crate::flow::Direction;
use crate::streams::established::Judged;
use crate::streams::event::StreamEvent;
use crate::streams::half::{Half, mark};
use crate::streams::policy::{OneSided, Placement, StreamPickup};
use crate::streams::reassembly::Work;
use crate::streams::segment::{StreamEnd, StreamSink};
use crate::streams::table::{State, flag};
use portcullis_wire::TcpFlags;

/// Different SYNs of one conversation that are told as a flood (Suricata: `max-syn-queued`).
const SYNS_MAX: u8 = 10;
/// Different SYN-ACKs likewise (`max-synack-queued`).
const SYN_ACKS_MAX: u8 = 5;

impl<S: StreamSink> Work<'_, S> {
    fn syn(&self) -> bool {
        self.segment.has(TcpFlags::SYN)
    }

    fn ack(&self) -> bool {
        self.segment.has(TcpFlags::ACK)
    }

    fn invalid(&mut self, event: StreamEvent) -> Judged {
        self.event(event);
        Judged::Invalid
    }

    /// The first segment of a stream.
    pub(crate) fn on_first(&mut self) -> Judged {
        if self.segment.has(TcpFlags::RST) {
            self.event(StreamEvent::RstNoSession);
            return Judged::Pass;
        }
        match (self.syn(), self.ack(), self.direction) {
            (true, false, Direction::ToServer) => {
                self.take_syn(Direction::ToServer);
                self.stream.state = State::SynSent;
                Judged::Accept { start: 0 }
            }
            (true, true, Direction::ToClient) => {
                if let Some(judged) = self.leave_midstream() {
                    return judged;
                }
                // The SYN was not seen; what it answers says where the client begins.
                let ack = self.segment.tcp.ack;
                let client = self.stream.half_mut(Direction::ToServer);
                client.start(ack);
                client.marks |= mark::OPEN;
                self.take_syn(Direction::ToClient);
                self.stream.half_mut(Direction::ToClient).marks |= mark::OPEN;
                self.stream.syn_acks = 1;
                self.stream.state = State::SynReceived;
                Judged::Accept { start: 0 }
            }
            (true, ..) => Judged::Pass,
            (false, ..) => self.pick_up(),
        }
    }

    /// A conversation met in the middle.
    fn pick_up(&mut self) -> Judged {
        if self.segment.has(TcpFlags::FIN) && self.segment.payload.is_empty() {
            self.event(StreamEvent::FinNoSession);
            return Judged::Pass;
        }
        if !self.ack() {
            return Judged::Pass;
        }
        if let Some(judged) = self.leave_midstream() {
            return judged;
        }
        let tcp = self.segment.tcp;
        let sender = self.stream.half_mut(self.direction);
        sender.start(tcp.seq);
        sender.marks |= mark::OPEN;
        let receiver = self.stream.half_mut(self.direction.other());
        receiver.start(tcp.ack);
        receiver.marks |= mark::OPEN;
        self.stream.state = State::Established;
        self.stream.marks |= flag::CONFIRMED;
        self.on_established()
    }

    /// What policy does with a conversation whose handshake was not seen, unless it reads it.
    fn leave_midstream(&mut self) -> Option<Judged> {
        self.counters.midstream += 1;
        match self.policy.midstream {
            StreamPickup::Read => None,
            StreamPickup::Pass => {
                self.stream.marks |= flag::UNREAD;
                Some(Judged::Pass)
            }
            StreamPickup::Drop => {
                self.stream.marks |= flag::DROPPED;
                Some(Judged::Invalid)
            }
        }
    }

    /// The sender's SYN: where it begins, and what it can do.
    fn take_syn(&mut self, direction: Direction) {
        let (tcp, options) = (self.segment.tcp, self.segment.options);
        self.let_go(direction);
        let half = self.stream.half_mut(direction);
        let (marks, room) = (half.marks, (half.edge - half.acked).max(0));
        *half = half.anew();
        half.start(tcp.seq.wrapping_add(1));
        half.edge += room;
        half.window = tcp.window;
        half.scale = options.window_scale.unwrap_or(0);
        half.marks |= marks & !(mark::SCALES | mark::STAMPED | mark::FAST_OPEN);
        if options.window_scale.is_some() {
            half.marks |= mark::SCALES;
        }
        if options.fast_open {
            half.marks |= mark::FAST_OPEN;
        }
        if let Some((stamp, _)) = options.timestamps {
            half.note_stamp(stamp, half.first, self.now);
        }
        half.high += self.segment.len();
        let other = self.stream.half_mut(direction.other());
        other.edge = other.edge.max(other.first + i64::from(tcp.window));
    }

    /// Awaits the SYN-ACK.
    pub(crate) fn on_syn_sent(&mut self) -> Judged {
        if self.is_unasked() {
            return self.invalid(StreamEvent::InvalidTimestamp);
        }
        if self.segment.has(TcpFlags::RST) {
            return self.refused();
        }
        match (self.syn(), self.ack(), self.direction) {
            (true, false, Direction::ToServer) => self.another_syn(),
            (true, false, Direction::ToClient) => {
                // RFC 9293, 3.5: both may send SYN; Beardsley's split handshake does so to be taken
                // for the client.
                self.take_syn(Direction::ToClient);
                self.stream.marks |= flag::SPLIT;
                Judged::Pass
            }
            (true, true, Direction::ToServer) => self.split_syn_ack(),
            (true, true, Direction::ToClient) => self.take_syn_ack(),
            (false, true, Direction::ToServer) => self.one_sided(),
            (false, ..) => Judged::Pass,
        }
    }

    fn refused(&mut self) -> Judged {
        let client = self.stream.half(Direction::ToServer);
        let answers = self.direction == Direction::ToServer
            || self.ack()
                && (client.first..=client.high).contains(&client.offset(self.segment.tcp.ack));
        // Should the handshake go on all the same, it is read on.
        if answers { Judged::Pass } else { Judged::Invalid }
    }

    /// Whether a client that has sent a SYN drops an answer for its timestamps: it offered none, or
    /// the echo is older than what it sent (RFC 7323, 3.2).
    fn is_unasked(&self) -> bool {
        let Some((_, echo)) = self.segment.options.timestamps else { return false };
        let client = self.stream.half(Direction::ToServer);
        let answer = self.direction == Direction::ToClient && !self.syn();
        let older = echo != 0 && echo.wrapping_sub(client.stamp).cast_signed() < 0;
        answer && (!client.has(mark::STAMPED) || older)
    }

    fn another_syn(&mut self) -> Judged {
        let base = self.segment.tcp.seq.wrapping_add(1);
        let client = self.stream.half(Direction::ToServer);
        if client.base == base || self.stream.other_base == Some(base) {
            return Judged::Pass;
        }
        self.stream.other_base = Some(base);
        self.stream.syns = self.stream.syns.saturating_add(1);
        if self.stream.syns >= SYNS_MAX {
            return self.invalid(StreamEvent::HandshakeSynFlood);
        }
        Judged::Pass
    }

    /// The client's answer to a server that has sent a SYN.
    fn split_syn_ack(&mut self) -> Judged {
        if !self.stream.has(flag::SPLIT) {
            return self.invalid(StreamEvent::HandshakeSynAckWrongDirection);
        }
        let tcp = self.segment.tcp;
        if self.stream.half(Direction::ToClient).base != tcp.ack {
            return self.invalid(StreamEvent::SplitSynAckWrongAck);
        }
        if self.stream.half(Direction::ToServer).base != tcp.seq.wrapping_add(1) {
            return self.invalid(StreamEvent::SplitSynAckWrongSyn);
        }
        self.agree();
        self.stream.state = State::SynReceived;
        Judged::Pass
    }

    fn take_syn_ack(&mut self) -> Judged {
        let tcp = self.segment.tcp;
        if self.stream.other_base == Some(tcp.ack) {
            self.restart(tcp.ack);
        }
        let client = self.stream.half(Direction::ToServer);
        let ack = client.offset(tcp.ack);
        if ack < client.first || ack > client.high {
            return self.invalid(StreamEvent::HandshakeSynAckWrongAck);
        }
        let (offered, fast) = (client.high, client.has(mark::FAST_OPEN));
        self.take_syn(Direction::ToClient);
        self.agree();
        self.stream.marks &= !flag::SPLIT;
        self.stream.syn_acks = self.stream.syn_acks.max(1);
        self.stream.state = State::SynReceived;
        let server_fast = self.stream.half(Direction::ToClient).has(mark::FAST_OPEN);
        let start = self.stream.half(Direction::ToClient).first;
        let client = self.stream.half_mut(Direction::ToServer);
        client.acked = ack;
        client.edge = client.edge.max(ack + i64::from(tcp.window));
        if ack < offered {
            // The server took the SYN without its data, which will come again.
            self.pieces.clear(&mut client.held);
            client.high = ack;
            if fast && server_fast {
                self.event(StreamEvent::HandshakeTfoDataIgnored);
            }
        } else if offered > client.first {
            self.drain(Direction::ToServer);
        }
        Judged::Accept { start }
    }

    /// The handshake begins anew with another SYN.
    fn restart(&mut self, base: u32) {
        self.let_go(Direction::ToServer);
        self.let_go(Direction::ToClient);
        let client = self.stream.half_mut(Direction::ToServer);
        let (scale, marks, window) = (client.scale, client.marks, client.window);
        *client = Half { scale, marks, window, ..client.anew() };
        client.start(base);
        let server = self.stream.half_mut(Direction::ToClient);
        *server = server.anew();
        server.edge += i64::from(window);
        self.stream.other_base = None;
    }

    /// Gives back what is held and kept of a direction whose numbers are about to change.
    fn let_go(&mut self, direction: Direction) {
        let half = self.stream.half_mut(direction);
        self.pieces.clear(&mut half.held);
        self.pages.release(&mut half.pages);
    }

    /// What both SYNs offer holds.
    fn agree(&mut self) {
        let [client, server] = &mut self.stream.halves;
        if client.marks & server.marks & mark::SCALES == 0 {
            (client.scale, server.scale) = (0, 0);
        }
        if client.marks & server.marks & mark::STAMPED != 0 {
            self.stream.marks |= flag::STAMPS;
        }
    }

    /// The client goes on although no answer was seen.
    fn one_sided(&mut self) -> Judged {
        if self.policy.one_sided == OneSided::Pass {
            return Judged::Pass;
        }
        let tcp = self.segment.tcp;
        if self.stream.has(flag::SPLIT) {
            return Judged::Pass;
        }
        let client = self.stream.half_mut(Direction::ToServer);
        let start = client.offset(tcp.seq);
        if start != client.first && start != client.high {
            return self.invalid(StreamEvent::HandshakeAsyncWrongSeq);
        }
        client.marks |= mark::OPEN;
        client.acked = client.acked.max(client.high);
        if client.high > client.first && start == client.high {
            self.drain(Direction::ToServer);
        }
        let server = self.stream.half_mut(Direction::ToClient);
        server.start(tcp.ack);
        server.marks |= mark::OPEN;
        self.stream.state = State::Established;
        self.on_established()
    }

    /// Awaits the client's ACK.
    pub(crate) fn on_syn_received(&mut self) -> Judged {
        if self.segment.has(TcpFlags::RST) {
            return self.on_reset();
        }
        match (self.syn(), self.direction) {
            (true, _) if self.ack() => self.syn_ack_again(),
            (true, Direction::ToClient) => self.invalid(StreamEvent::HandshakeSynToClient),
            (true, Direction::ToServer) => {
                let base = self.segment.tcp.seq.wrapping_add(1);
                if self.stream.half(Direction::ToServer).base != base {
                    self.event(StreamEvent::HandshakeSynResendDiffSeq);
                    self.stream.other_base = Some(base);
                    self.take_window();
                }
                // Forwarded in any case: its answer lets a client that has lost its state go on.
                Judged::Pass
            }
            (false, _) if !self.ack() => Judged::Pass,
            (false, _) if self.stream.has(flag::SPLIT) => self.split_answer(),
            (false, Direction::ToServer) => self.answer(),
            (false, Direction::ToClient) => self.early(),
        }
    }

    fn take_window(&mut self) {
        let (window, scale) = (self.segment.tcp.window, self.segment.options.window_scale);
        let client = self.stream.half_mut(Direction::ToServer);
        client.window = window;
        client.scale = scale.unwrap_or(0);
    }

    fn syn_ack_again(&mut self) -> Judged {
        let tcp = self.segment.tcp;
        if self.direction == Direction::ToServer {
            if self.stream.has(flag::SPLIT) {
                return Judged::Pass;
            }
            return self.invalid(StreamEvent::HandshakeSynAckToServer);
        }
        if self.stream.other_base == Some(tcp.ack) {
            return self.take_syn_ack();
        }
        let client = self.stream.half(Direction::ToServer);
        let ack = client.offset(tcp.ack);
        if ack < client.first || ack > client.high {
            return self.invalid(StreamEvent::HandshakeSynAckDiffAck);
        }
        let base = tcp.seq.wrapping_add(1);
        if self.stream.half(Direction::ToClient).base == base {
            return Judged::Pass;
        }
        self.stream.syn_acks = self.stream.syn_acks.saturating_add(1);
        if self.stream.syn_acks > SYN_ACKS_MAX {
            return self.invalid(StreamEvent::HandshakeSynAckFlood);
        }
        self.event(StreamEvent::HandshakeSynAckDiffSeq);
        if self.policy.placement == Placement::Inline {
            // The client answers one of them: the first, since the others do not get there.
            return Judged::Invalid;
        }
        self.take_syn(Direction::ToClient);
        self.agree();
        Judged::Pass
    }

    /// The last ACK of a split handshake, by the server.
    fn split_answer(&mut self) -> Judged {
        let tcp = self.segment.tcp;
        if self.direction == Direction::ToServer {
            self.stream.marks &= !flag::SPLIT;
            return self.answer();
        }
        let [client, server] = &self.stream.halves;
        if server.offset(tcp.seq) != server.first {
            return self.invalid(StreamEvent::SplitWrongSeq);
        }
        if client.offset(tcp.ack) != client.first {
            return self.invalid(StreamEvent::SplitInvalidAck);
        }
        self.stream.marks &= !flag::SPLIT;
        self.stream.state = State::Established;
        self.on_established()
    }

    /// The client's answer to the SYN-ACK.
    fn answer(&mut self) -> Judged {
        let tcp = self.segment.tcp;
        let client = self.stream.half(Direction::ToServer);
        let server = self.stream.half(Direction::ToClient);
        let (start, ack) = (client.offset(tcp.seq), server.offset(tcp.ack));
        let right_seq = start == client.next || start == client.first;
        let right_ack = ack == server.first || ack > server.first && ack <= server.high;
        let near = client.in_window(start, start + self.segment.len()) && start >= client.first;
        match (right_seq, right_ack) {
            (_, true) if right_seq || near => {
                self.stream.state = State::Established;
                self.on_established()
            }
            (true, false) => self.invalid(StreamEvent::HandshakeWrongAckEvasion),
            _ => self.invalid(StreamEvent::HandshakeWrongSeqWrongAck),
        }
    }

    /// The server goes on before the client's answer was seen.
    fn early(&mut self) -> Judged {
        let ack = self.stream.half(Direction::ToServer).offset(self.segment.tcp.ack);
        let client = self.stream.half(Direction::ToServer);
        let fast = client.high > client.first && client.acked == client.high;
        if fast || client.has(mark::OPEN) || ack > client.first {
            // It has what the client sent: with the SYN, or on a way that is not seen here.
            if !fast {
                self.stream.state = State::Established;
            }
            return self.on_established();
        }
        if self.policy.placement == Placement::Inline && !self.segment.payload.is_empty() {
            return self.invalid(StreamEvent::HandshakeDataInject);
        }
        self.event(StreamEvent::HandshakeAckWrongDirection);
        if self.segment.payload.is_empty() && !self.segment.has(TcpFlags::FIN) {
            return Judged::Pass;
        }
        self.stream.state = State::Established;
        self.on_established()
    }

    /// An RST in any later state.
    pub(crate) fn on_reset(&mut self) -> Judged {
        let tcp = self.segment.tcp;
        let sender = self.stream.half(self.direction);
        let receiver = self.stream.half(self.direction.other());
        if self.ack() && !receiver.may_acknowledge(receiver.offset(tcp.ack)) {
            return self.invalid(StreamEvent::RstInvalidAck);
        }
        if !sender.resets(sender.offset(tcp.seq)) {
            return Judged::Invalid;
        }
        self.stream.half_mut(self.direction).marks |= mark::RESET;
        if self.policy.placement == Placement::Inline {
            self.stream.state = State::Closed;
            for direction in [Direction::ToServer, Direction::ToClient] {
                self.tell_end(direction, StreamEnd::Reset);
                let half = self.stream.half_mut(direction);
                self.pieces.clear(&mut half.held);
                self.pages.release(&mut half.pages);
                half.kept_from = half.next;
            }
        }
        Judged::Pass
    }
}
