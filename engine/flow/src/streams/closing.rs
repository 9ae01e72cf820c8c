//! How conversations close, and what their oddities are called in each state.
//!
//! The names are Suricata's, who counts from the client's FIN (`closewait`, `lastack`) or the
//! server's (`fin1`, `fin2`), whichever came first.

use crate::flow::Direction;
use crate::streams::event::StreamEvent;
use crate::streams::reassembly::Work;
use crate::streams::segment::StreamSink;
use crate::streams::table::State;
use portcullis_wire::TcpFlags;

impl<S: StreamSink> Work<'_, S> {
    /// The sender's FIN has been taken.
    pub(crate) fn closes(&mut self) {
        let acknowledged = self.is_fin_acknowledged(self.direction.other());
        let state = &mut self.stream.state;
        *state = match (*state, self.direction) {
            (State::SynReceived | State::Established, Direction::ToServer) => State::CloseWait,
            (State::SynReceived | State::Established, Direction::ToClient) => State::FinWait1,
            (State::FinWait1, Direction::ToServer) if !acknowledged => State::Closing,
            (State::FinWait1 | State::FinWait2, Direction::ToServer) => State::TimeWait,
            (State::CloseWait, Direction::ToClient) => State::LastAck,
            (other, _) => other,
        };
    }

    /// Whether the FIN of a direction has been acknowledged.
    fn is_fin_acknowledged(&self, direction: Direction) -> bool {
        let half = self.stream.half(direction);
        half.fin_at.is_some_and(|fin| half.acked > fin)
    }

    /// The segment's acknowledgement has been taken: does it finish something?
    pub(crate) fn acknowledges_fin(&mut self) {
        if self.segment.has(TcpFlags::FIN) {
            return;
        }
        let (to_server, to_client) = (
            self.is_fin_acknowledged(Direction::ToServer),
            self.is_fin_acknowledged(Direction::ToClient),
        );
        let state = &mut self.stream.state;
        *state = match *state {
            State::FinWait1 if to_client => State::FinWait2,
            State::Closing if to_client && to_server => State::TimeWait,
            State::LastAck if to_client => State::Closed,
            State::TimeWait if to_client && to_server => State::Closed,
            other => other,
        };
    }

    /// What a segment is called that acknowledges what was never sent.
    pub(crate) fn wrong_ack(&self) -> StreamEvent {
        if self.segment.has(TcpFlags::FIN) && self.stream.state == State::Established {
            return StreamEvent::FinInvalidAck;
        }
        match self.stream.state {
            State::FinWait1 => StreamEvent::Fin1InvalidAck,
            State::FinWait2 => StreamEvent::Fin2InvalidAck,
            State::CloseWait => StreamEvent::CloseWaitInvalidAck,
            State::Closing => StreamEvent::ClosingInvalidAck,
            State::LastAck => StreamEvent::LastAckInvalidAck,
            State::TimeWait | State::Closed => StreamEvent::TimeWaitInvalidAck,
            _ => StreamEvent::EstablishedInvalidAck,
        }
    }

    /// What a segment is called that lies out of its receiver's window.
    pub(crate) fn out_of_window(&self, fin: bool) -> StreamEvent {
        match (self.stream.state, fin) {
            (State::FinWait1, true) => StreamEvent::Fin1FinWrongSeq,
            (State::FinWait1, false) => StreamEvent::Fin1WrongSeq,
            (State::FinWait2, true) => StreamEvent::Fin2FinWrongSeq,
            (State::FinWait2, false) => StreamEvent::Fin2WrongSeq,
            (State::CloseWait, true) => StreamEvent::CloseWaitFinOutOfWindow,
            (State::CloseWait, false) => StreamEvent::CloseWaitAckOutOfWindow,
            (State::Closing, _) => StreamEvent::ClosingWrongSeq,
            (State::LastAck, _) => StreamEvent::LastAckWrongSeq,
            (State::TimeWait | State::Closed, _) => StreamEvent::TimeWaitWrongSeq,
            (_, true) => StreamEvent::FinOutOfWindow,
            (_, false) => StreamEvent::EstablishedOutOfWindow,
        }
    }

    /// What data is called that had been acknowledged.
    pub(crate) fn before_last_ack(&self) -> StreamEvent {
        match self.stream.state {
            State::CloseWait => StreamEvent::CloseWaitBeforeLastAck,
            _ => StreamEvent::EstablishedBeforeLastAck,
        }
    }
}
