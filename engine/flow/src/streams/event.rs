//! What is odd or wrong with a TCP conversation, each with Suricata's name for it.
//!
//! One table makes the enum, its names and [`STREAM_EVENTS`]. This file must never know how an
//! event is found, nor what policy does with it.

use std::fmt;

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal;)+) => {
        /// An oddity of a TCP conversation. Alphabetical by Suricata's name.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum StreamEvent { $($(#[doc = $doc])+ $variant,)+ }

        /// Suricata's names after `stream-event:`, with the event each of them is. Names that are
        /// not here are never raised: `wrong_thread` cannot happen, a flow has one worker.
        pub const STREAM_EVENTS: &[(&str, StreamEvent)] =
            &[$(($name, StreamEvent::$variant),)+];

        impl StreamEvent {
            /// The label in metrics and rules, Suricata's.
            pub const fn name(self) -> &'static str {
                match self { $(StreamEvent::$variant => $name,)+ }
            }

            /// The value of EVE's `anomaly.event`.
            pub const fn suricata_event(self) -> &'static str {
                match self { $(StreamEvent::$variant => concat!("stream.", $name),)+ }
            }
        }
    };
}

events! {
    /// The server sends data before the client has completed the handshake.
    HandshakeDataInject "3whs_ack_data_inject";
    /// The server acknowledges before the client has completed the handshake.
    HandshakeAckWrongDirection "3whs_ack_in_wrong_dir";
    /// Only one side is seen, and its numbers do not follow its SYN.
    HandshakeAsyncWrongSeq "3whs_async_wrong_seq";
    /// The client's answer has the right sequence number and acknowledges what was never sent.
    HandshakeWrongAckEvasion "3whs_right_seq_wrong_ack_evasion";
    /// More SYNs with different numbers than anybody sends.
    HandshakeSynFlood "3whs_syn_flood";
    /// Another SYN after the SYN-ACK, with another number.
    HandshakeSynResendDiffSeq "3whs_syn_resend_diff_seq_on_syn_recv";
    /// The server sends a SYN after its SYN-ACK.
    HandshakeSynToClient "3whs_syn_toclient_on_syn_recv";
    /// More SYN-ACKs with different numbers than anybody sends.
    HandshakeSynAckFlood "3whs_synack_flood";
    /// A SYN-ACK from whoever sent the SYN.
    HandshakeSynAckWrongDirection "3whs_synack_in_wrong_direction";
    /// The SYN-ACK again, with another sequence number.
    HandshakeSynAckDiffSeq "3whs_synack_resend_with_diff_seq";
    /// The SYN-ACK again, with another acknowledgement number.
    HandshakeSynAckDiffAck "3whs_synack_resend_with_different_ack";
    /// The server supports fast open and took the SYN without its data.
    HandshakeTfoDataIgnored "3whs_synack_tfo_data_ignored";
    /// The client sends a SYN-ACK to the server, which has sent one.
    HandshakeSynAckToServer "3whs_synack_toserver_on_syn_recv";
    /// The SYN-ACK acknowledges another number than the SYN's.
    HandshakeSynAckWrongAck "3whs_synack_with_wrong_ack";
    /// The client's answer has neither number right.
    HandshakeWrongSeqWrongAck "3whs_wrong_seq_wrong_ack";
    /// Split handshake: the last ACK acknowledges another number.
    SplitInvalidAck "4whs_invalid_ack";
    /// Split handshake: the client's SYN-ACK acknowledges another number than the server's SYN.
    SplitSynAckWrongAck "4whs_synack_with_wrong_ack";
    /// Split handshake: the client's SYN-ACK has another number than its SYN.
    SplitSynAckWrongSyn "4whs_synack_with_wrong_syn";
    /// Split handshake: the last ACK has another sequence number.
    SplitWrongSeq "4whs_wrong_seq";
    /// Client has closed: a segment out of the window.
    CloseWaitAckOutOfWindow "closewait_ack_out_of_window";
    /// Client has closed: a FIN out of the window.
    CloseWaitFinOutOfWindow "closewait_fin_out_of_window";
    /// Client has closed: it acknowledges what was never sent.
    CloseWaitInvalidAck "closewait_invalid_ack";
    /// Client has closed: data again that had been acknowledged.
    CloseWaitBeforeLastAck "closewait_pkt_before_last_ack";
    /// Both have closed at once: a segment out of the window.
    ClosingWrongSeq "closing_ack_wrong_seq";
    /// Both have closed at once: it acknowledges what was never sent.
    ClosingInvalidAck "closing_invalid_ack";
    /// Acknowledges what was never sent.
    EstablishedInvalidAck "est_invalid_ack";
    /// A segment beyond the window that its receiver has offered.
    EstablishedOutOfWindow "est_packet_out_of_window";
    /// Data again that had been acknowledged.
    EstablishedBeforeLastAck "est_pkt_before_last_ack";
    /// The SYN again.
    EstablishedSynResend "est_syn_resend";
    /// A SYN with another number: a new conversation, or a blind attack (RFC 5961, 4).
    EstablishedSynDiffSeq "est_syn_resend_diff_seq";
    /// The server sends a SYN.
    EstablishedSynToClient "est_syn_toclient";
    /// The SYN-ACK again.
    EstablishedSynAckResend "est_synack_resend";
    /// The SYN-ACK again, with another sequence number.
    EstablishedSynAckDiffSeq "est_synack_resend_with_diff_seq";
    /// The SYN-ACK again, with another acknowledgement number.
    EstablishedSynAckDiffAck "est_synack_resend_with_different_ack";
    /// A SYN-ACK from the client.
    EstablishedSynAckToServer "est_synack_toserver";
    /// Server has closed: a segment out of the window.
    Fin1WrongSeq "fin1_ack_wrong_seq";
    /// Server has closed: a FIN out of the window.
    Fin1FinWrongSeq "fin1_fin_wrong_seq";
    /// Server has closed: acknowledges what was never sent.
    Fin1InvalidAck "fin1_invalid_ack";
    /// Server's FIN is acknowledged: a segment out of the window.
    Fin2WrongSeq "fin2_ack_wrong_seq";
    /// Server's FIN is acknowledged: a FIN out of the window.
    Fin2FinWrongSeq "fin2_fin_wrong_seq";
    /// Server's FIN is acknowledged: acknowledges what was never sent.
    Fin2InvalidAck "fin2_invalid_ack";
    /// A FIN of a conversation that nobody has seen.
    FinNoSession "fin_but_no_session";
    /// A FIN that acknowledges what was never sent.
    FinInvalidAck "fin_invalid_ack";
    /// A FIN beyond the window.
    FinOutOfWindow "fin_out_of_window";
    /// SYN and FIN together.
    FinSyn "fin_syn";
    /// Before the last ACK: a segment out of the window.
    LastAckWrongSeq "lastack_ack_wrong_seq";
    /// Before the last ACK: acknowledges what was never sent.
    LastAckInvalidAck "lastack_invalid_ack";
    /// A window made smaller together with numbers that nobody could have reached.
    BadWindowUpdate "pkt_bad_window_update";
    /// An acknowledgement number without the ACK flag.
    BrokenAck "pkt_broken_ack";
    /// Acknowledges what was never sent.
    InvalidAck "pkt_invalid_ack";
    /// The timestamp is older than one that was accepted (RFC 7323, 5: PAWS).
    InvalidTimestamp "pkt_invalid_timestamp";
    /// Data that was sent before.
    Retransmission "pkt_retransmission";
    /// Data that had been acknowledged.
    SpuriousRetransmission "pkt_spurious_retransmission";
    /// The conversation is longer than what policy reads.
    DepthReached "reassembly_depth_reached";
    /// Other bytes for a place that already has some: see [`crate::Versions`].
    OverlapDifferentData "reassembly_overlap_different_data";
    /// Data from before the conversation was picked up, or let go.
    BeforeBaseSeq "reassembly_segment_before_base_seq";
    /// Bytes are missing, and their receiver has them or can never get them.
    SequenceGap "reassembly_seq_gap";
    /// More urgent bytes than policy takes out of the stream.
    UrgentLimit "reassembly_urgent_oob_limit_reached";
    /// An RST of a conversation that nobody has seen.
    RstNoSession "rst_but_no_session";
    /// An RST that acknowledges what was never sent.
    RstInvalidAck "rst_invalid_ack";
    /// A SYN while the conversation is being closed.
    ShutdownSynResend "shutdown_syn_resend";
    /// Data behind an RST: its receiver has ignored it, or was never to see it.
    SuspectedRstInject "suspected_rst_inject";
    /// Closed: a segment out of the window.
    TimeWaitWrongSeq "timewait_ack_wrong_seq";
    /// Closed: acknowledges what was never sent.
    TimeWaitInvalidAck "timewait_invalid_ack";
}

impl StreamEvent {
    /// How many there are.
    pub const COUNT: usize = STREAM_EVENTS.len();

    /// Where the numbers of stream events begin in a table that holds rejects as well: behind the
    /// 128 that a [`portcullis_wire::RejectSet`] has room for.
    pub const BASE: u16 = 128;

    /// Its place in tables of counters, under [`StreamEvent::COUNT`].
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its number among all anomalies: [`StreamEvent::BASE`] and its place.
    #[inline]
    pub const fn number(self) -> u16 {
        Self::BASE + self as u16
    }

    /// The event with that number.
    pub fn from_number(number: u16) -> Option<StreamEvent> {
        let place = number.checked_sub(Self::BASE)?;
        STREAM_EVENTS.get(usize::from(place)).map(|&(_, event)| event)
    }

    /// The event with Suricata's name.
    pub fn from_name(name: &str) -> Option<StreamEvent> {
        let place = STREAM_EVENTS.binary_search_by(|(held, _)| (*held).cmp(name)).ok()?;
        STREAM_EVENTS.get(place).map(|&(_, event)| event)
    }
}

impl fmt::Display for StreamEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_lead_back() {
        assert!(STREAM_EVENTS.is_sorted_by_key(|(name, _)| *name));
        for (place, &(name, event)) in STREAM_EVENTS.iter().enumerate() {
            assert_eq!(event.index(), place);
            assert_eq!(StreamEvent::from_number(event.number()), Some(event));
            assert_eq!(StreamEvent::from_name(name), Some(event));
            assert_eq!(event.suricata_event(), format!("stream.{name}"));
        }
        assert_eq!(StreamEvent::from_name("wrong_thread"), None);
        assert_eq!(StreamEvent::from_number(127), None);
    }
}
