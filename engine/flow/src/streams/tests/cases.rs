//! Conversations, case by case.

use super::*;
use crate::streams::{OneSided, StreamPickup, Urgent};
use portcullis_types::DropReason;

const FORWARD: SegmentFate = SegmentFate::Forward;

fn dropped(reason: DropReason) -> SegmentFate {
    SegmentFate::Drop(reason)
}

#[test]
fn in_order_then_closed() {
    let mut t = Talk::open(Placement::Inline);
    t.send(TO_SERVER, ACK, 0, 0, b"GET / HTTP/1.0\r\n\r\n");
    t.send(TO_CLIENT, ACK, 0, 18, b"HTTP/1.0 200 OK\r\n");
    t.send(TO_CLIENT, ACK | FIN, 17, 18, b"\r\n");
    t.send(TO_SERVER, ACK, 18, 20, b"");
    t.send(TO_SERVER, ACK | FIN, 18, 20, b"");
    t.send(TO_CLIENT, ACK, 20, 19, b"");
    assert_eq!(t.said(TO_SERVER), "GET / HTTP/1.0\r\n\r\n");
    assert_eq!(t.said(TO_CLIENT), "HTTP/1.0 200 OK\r\n\r\n");
    assert_eq!(t.told.ends, [Some(StreamEnd::Fin); 2]);
    assert_eq!(t.told.events, []);
    t.end();
    assert_eq!(t.streams.counters().pages_max, 1, "kept only until acknowledged");
}

#[test]
fn a_hole_fills_and_a_lost_one_is_a_gap() {
    let mut t = Talk::open(Placement::Inline);
    t.send(TO_SERVER, ACK, 3, 0, b"def");
    t.send(TO_SERVER, ACK, 6, 0, b"ghi");
    assert_eq!(t.said(TO_SERVER), "");
    t.send(TO_SERVER, ACK, 0, 0, b"abc");
    assert_eq!(t.said(TO_SERVER), "abcdefghi");
    assert_eq!(t.told.events, []);
    t.send(TO_SERVER, ACK, 12, 0, b"mno");
    t.send(TO_CLIENT, ACK, 0, 15, b"");
    assert_eq!(t.said(TO_SERVER), "abcdefghimno");
    assert_eq!(t.told.gaps[0], [(9, 3)]);
    assert_eq!(t.told.events, [StreamEvent::SequenceGap]);
    t.end();
}

#[test]
fn other_bytes_are_shown_and_dropped() {
    for ahead in [0, 5] {
        let mut t = Talk::open(Placement::Inline);
        t.send(TO_SERVER, ACK, ahead, 0, b"GOOD");
        let again = t.send(TO_SERVER, ACK, ahead, 0, b"GOOD");
        assert_eq!(again, FORWARD, "the same again is a retransmission");
        let evil = t.send(TO_SERVER, ACK, ahead, 0, b"EVIL");
        assert_eq!(evil, dropped(DropReason::StreamConflict));
        let evil = t.send(TO_SERVER, ACK, ahead + 2, 0, b"OXYZ");
        assert_eq!(evil, dropped(DropReason::StreamConflict), "also of another shape");
        let at = u64::try_from(ahead).unwrap();
        let (good, evil) = (b"GOOD".to_vec(), b"EVIL".to_vec());
        assert_eq!(t.told.conflicts[0], (at, good, evil));
        assert_eq!(t.told.conflicts[1], (at + 3, b"D".to_vec(), b"X".to_vec()));
        t.end();
    }
}

#[test]
fn resets_count_only_where_the_receiver_takes_them() {
    let mut t = Talk::open(Placement::Inline);
    t.send(TO_SERVER, ACK, 0, 0, b"abc");
    let blind = t.send(TO_SERVER, RST, 5_000, 0, b"");
    assert_eq!(blind, dropped(DropReason::StreamInvalid), "in the window is not enough");
    t.send(TO_SERVER, ACK, 3, 0, b"def");
    assert_eq!(t.send(TO_CLIENT, RST | ACK, 0, 6, b""), FORWARD);
    assert_eq!(t.told.ends, [Some(StreamEnd::Reset); 2]);
    let late = t.send(TO_SERVER, ACK, 6, 0, b"ghi");
    assert_eq!(late, dropped(DropReason::StreamInvalid));
    assert_eq!(
        (t.said(TO_SERVER), &t.told.events[..]),
        ("abcdef", &[StreamEvent::SuspectedRstInject][..])
    );
    let mut t = Talk::open(Placement::Watching);
    t.send(TO_SERVER, RST, 0, 0, b"");
    t.send(TO_SERVER, ACK, 0, 0, b"still here");
    assert_eq!(t.said(TO_SERVER), "still here");
    assert_eq!(t.told.events, [StreamEvent::SuspectedRstInject]);
    t.send(TO_SERVER, RST, 10, 0, b"");
    t.end();
    assert_eq!(t.told.ends, [Some(StreamEnd::Reset); 2]);
}

#[test]
fn windows_acknowledgements_and_timestamps_are_checked() {
    let mut t = Talk::open(Placement::Inline);
    let invalid = dropped(DropReason::StreamInvalid);
    assert_eq!(t.send(TO_SERVER, ACK, 60_001, 0, b"far"), invalid);
    assert_eq!(t.send(TO_SERVER, ACK, 0, 70_000, b"hm"), invalid);
    assert_eq!(t.send(TO_SERVER, FIN, 0, 0, b""), invalid, "FIN without ACK");
    let (window, ack) = (StreamEvent::EstablishedOutOfWindow, StreamEvent::EstablishedInvalidAck);
    assert_eq!(t.told.events, [window, StreamEvent::InvalidAck, ack]);
    let mut t = Talk::new(small(), Placement::Inline);
    t.options.timestamps = Some((1_000, 0));
    t.handshake();
    t.options.timestamps = Some((2_000, 0));
    t.send(TO_SERVER, ACK, 0, 0, b"new");
    t.options.timestamps = Some((1_500, 0));
    assert_eq!(t.send(TO_SERVER, ACK, 3, 0, b"old"), invalid);
    assert_eq!(t.told.events, [StreamEvent::InvalidTimestamp]);
    t.now = Tick(25 * 86_400 * 1_000_000_000);
    assert_eq!(t.send(TO_SERVER, ACK, 3, 0, b"idle"), FORWARD);
    assert_eq!(t.said(TO_SERVER), "newidle");
}

#[test]
fn split_handshake_keeps_who_is_who() {
    let mut t = Talk::new(small(), Placement::Inline);
    t.send(TO_SERVER, SYN, 0, 0, b"");
    t.send(TO_CLIENT, SYN, 0, 0, b"");
    t.send(TO_SERVER, SYN | ACK, 0, 0, b"");
    t.send(TO_CLIENT, ACK, 0, 0, b"banner");
    t.send(TO_SERVER, ACK, 0, 6, b"request");
    assert_eq!((t.said(TO_CLIENT), t.said(TO_SERVER)), ("banner", "request"));
    assert_eq!(t.told.events, []);
    let mut t = Talk::new(small(), Placement::Inline);
    t.send(TO_SERVER, SYN, 0, 0, b"");
    t.send(TO_CLIENT, SYN, 0, 0, b"");
    t.send(TO_SERVER, SYN | ACK, 0, 9, b"");
    assert_eq!(t.told.events, [StreamEvent::SplitSynAckWrongAck]);
}

#[test]
fn data_with_the_syn_is_read_when_it_was_taken() {
    for (ack, said, events) in
        [(5, "hello", &[][..]), (0, "", &[StreamEvent::HandshakeTfoDataIgnored][..])]
    {
        let mut t = Talk::new(small(), Placement::Inline);
        t.options.fast_open = true;
        t.send(TO_SERVER, SYN, 0, 0, b"hello");
        assert_eq!(t.said(TO_SERVER), "");
        t.send(TO_CLIENT, SYN | ACK, 0, ack, b"");
        assert_eq!((t.said(TO_SERVER), &t.told.events[..]), (said, events));
        t.options.fast_open = false;
        t.told.events.clear();
        if ack > 0 {
            t.send(TO_CLIENT, ACK, 0, 5, b"early");
            assert_eq!(t.said(TO_CLIENT), "early");
        }
        t.send(TO_SERVER, ACK, ack, 0, b" again");
        assert_eq!(t.said(TO_SERVER), format!("{said} again"));
        assert_eq!(t.told.events, []);
    }
}

#[test]
fn what_was_told_stays_told_where_a_handshake_begins_anew() {
    for placement in [Placement::Inline, Placement::Watching] {
        let mut t = Talk::new(small(), placement);
        t.options.fast_open = true;
        t.send(TO_SERVER, SYN, 0, 0, b"hello");
        t.send(TO_CLIENT, SYN | ACK, 0, 5, b"early");
        assert_eq!((t.said(TO_SERVER), t.said(TO_CLIENT)), ("hello", "early"));
        t.options.fast_open = false;
        t.send(TO_SERVER, SYN, 900, 0, b"");
        t.send(TO_CLIENT, SYN | ACK, 500, 900, b"");
        t.send(TO_SERVER, ACK, 900, 500, b" again");
        t.send(TO_CLIENT, ACK, 500, 906, b" late");
        t.send(TO_SERVER, ACK, 909, 505, b" ahead");
        t.send(TO_SERVER, ACK, 906, 505, b" on");
        assert_eq!((t.said(TO_SERVER), t.said(TO_CLIENT)), ("hello again on ahead", "early late"));
        t.end();
    }
    // Watching, another SYN-ACK counts as well.
    let mut t = Talk::new(small(), Placement::Watching);
    t.options.fast_open = true;
    t.send(TO_SERVER, SYN, 0, 0, b"hello");
    t.send(TO_CLIENT, SYN | ACK, 0, 5, b"early");
    t.send(TO_CLIENT, ACK, 7, 5, b"held");
    t.send(TO_CLIENT, SYN | ACK, 300, 5, b"");
    t.send(TO_SERVER, ACK, 5, 300, b"");
    t.send(TO_CLIENT, ACK, 300, 5, b" late");
    t.end();
    assert_eq!((t.said(TO_SERVER), t.said(TO_CLIENT)), ("hello", "early late"));
}

#[test]
fn handshakes_that_lie_have_names() {
    let mut t = Talk::new(small(), Placement::Inline);
    t.send(TO_SERVER, SYN, 0, 0, b"");
    t.send(TO_CLIENT, SYN | ACK, 0, 7, b"");
    t.send(TO_SERVER, SYN | ACK, 0, 0, b"");
    t.send(TO_CLIENT, SYN | ACK, 0, 0, b"");
    t.send(TO_CLIENT, SYN | ACK, 0, 3, b"");
    t.send(TO_CLIENT, SYN | ACK, 9, 0, b"");
    t.send(TO_CLIENT, ACK, 0, 0, b"inject");
    t.send(TO_SERVER, ACK, 0, 77, b"");
    t.send(TO_SERVER, ACK, 0, 0, b"");
    t.send(TO_CLIENT, SYN | ACK, 0, 0, b"");
    t.send(TO_SERVER, SYN, 4, 0, b"");
    assert_eq!(
        t.told.events.iter().map(|e| e.name()).collect::<Vec<_>>(),
        [
            "3whs_synack_with_wrong_ack",
            "3whs_synack_in_wrong_direction",
            "3whs_synack_resend_with_different_ack",
            "3whs_synack_resend_with_diff_seq",
            "3whs_ack_data_inject",
            "3whs_right_seq_wrong_ack_evasion",
            "est_synack_resend",
            "est_syn_resend_diff_seq",
        ]
    );
}

#[test]
fn a_syn_with_another_number_may_be_the_one_that_counts() {
    let mut t = Talk::new(small(), Placement::Inline);
    t.send(TO_SERVER, SYN, 0, 0, b"");
    t.send(TO_SERVER, SYN, 1_000, 0, b"");
    t.send(TO_CLIENT, SYN | ACK, 0, 1_000, b"");
    t.send(TO_SERVER, ACK, 1_000, 0, b"");
    t.send(TO_SERVER, ACK, 1_000, 0, b"request");
    assert_eq!((t.said(TO_SERVER), &t.told.events[..]), ("request", &[][..]));
}

#[test]
fn one_sided_and_midstream_by_policy() {
    let mut t = Talk::new(small(), Placement::Inline);
    t.send(TO_SERVER, SYN, 0, 0, b"");
    t.send(TO_SERVER, ACK, 0, 0, b"");
    t.send(TO_SERVER, ACK, 0, 0, b"alone");
    assert_eq!((t.said(TO_SERVER), &t.told.events[..]), ("alone", &[][..]));
    let mut t = Talk::new(small(), Placement::Inline);
    t.policy.one_sided = OneSided::Pass;
    t.send(TO_SERVER, SYN, 0, 0, b"");
    t.send(TO_SERVER, ACK, 0, 0, b"alone");
    assert_eq!(t.said(TO_SERVER), "");
    let mut t = Talk::new(small(), Placement::Inline);
    t.send(TO_CLIENT, ACK, 500, 90, b"reply");
    t.send(TO_SERVER, ACK, 90, 505, b"next");
    assert_eq!((t.said(TO_CLIENT), t.said(TO_SERVER)), ("reply", "next"));
    let (drop, pass) = (dropped(DropReason::StreamInvalid), FORWARD);
    for (policy, fate) in [(StreamPickup::Pass, pass), (StreamPickup::Drop, drop)] {
        let mut t = Talk::new(small(), Placement::Inline);
        t.policy.midstream = policy;
        assert_eq!(t.send(TO_CLIENT, ACK, 500, 90, b"reply"), fate);
        assert_eq!(t.said(TO_CLIENT), "");
    }
}

#[test]
fn urgent_bytes_leave_the_stream_up_to_a_limit() {
    let mut t = Talk::open(Placement::Inline);
    t.send(TO_SERVER, ACK | URG, 0, 0, b"aX");
    t.send(TO_SERVER, ACK | URG, 4, 0, b"cY");
    t.send(TO_SERVER, ACK, 2, 0, b"bb");
    t.send(TO_SERVER, ACK | URG, 6, 0, b"dZ");
    assert_eq!(t.said(TO_SERVER), "abbcdZ");
    assert_eq!(t.told.urgent, [(1, b'X'), (5, b'Y')]);
    assert_eq!(t.told.events, [StreamEvent::UrgentLimit]);
    let mut t = Talk::open(Placement::Inline);
    t.policy.urgent = Urgent::Inline;
    t.send(TO_SERVER, ACK | URG, 0, 0, b"aX");
    assert_eq!(t.said(TO_SERVER), "aX");
}

/// A frame that was read may be lost behind that: for another flow's verdict, or for want of room.
#[test]
fn what_was_read_and_lost_passes_as_it_was_read_only() {
    let mut t = Talk::open(Placement::Inline);
    t.send(TO_SERVER, ACK, 0, 0, b"fine");
    t.send(TO_SERVER, ACK, 8, 0, b"tail");
    t.send(TO_SERVER, ACK, 4, 0, b"lost");
    let conflict = dropped(DropReason::StreamConflict);
    assert_eq!(t.send(TO_SERVER, ACK, 4, 0, b"evil"), conflict);
    assert_eq!(t.send(TO_SERVER, ACK, 2, 0, b"neevil"), conflict);
    assert_eq!(t.send(TO_SERVER, ACK, 4, 0, b"lost"), FORWARD);
    assert_eq!(t.send(TO_SERVER, ACK, 12, 0, b" end"), FORWARD);
    assert_eq!(t.said(TO_SERVER), "finelosttail end");
    t.end();
}

/// A verdict takes a SYN's frame alone: what it held was not taken, and may be said otherwise.
#[test]
fn what_a_dropped_syn_held_is_forgotten() {
    for again in [&b"evil"[..], b"good"] {
        let mut t = Talk::new(small(), Placement::Inline);
        t.options.fast_open = true;
        t.send(TO_SERVER, SYN, 0, 0, b"evil");
        t.options.fast_open = false;
        assert_eq!(t.send(TO_SERVER, SYN, 0, 0, b""), FORWARD);
        t.send(TO_CLIENT, SYN | ACK, 0, 0, b"");
        assert_eq!(t.send(TO_SERVER, ACK, 0, 0, again), FORWARD);
        assert_eq!(t.said(TO_SERVER).as_bytes(), again);
        t.end();
    }
}

#[test]
fn depth_ends_the_reading() {
    let mut t = Talk::open(Placement::Inline);
    t.policy.depth = 4;
    t.send(TO_SERVER, ACK, 0, 0, b"four");
    t.send(TO_SERVER, ACK, 4, 0, b"more");
    assert_eq!(t.said(TO_SERVER), "four");
    assert_eq!(t.told.ends[0], Some(StreamEnd::Depth));
    assert_eq!(t.told.events, [StreamEvent::DepthReached]);
    t.end();
}

#[test]
fn a_full_table_lets_the_half_open_go_first() {
    let mut t = Talk::open(Placement::Inline);
    for index in 4..12 {
        t.id = FlowId { index, generation: 1 };
        t.send(TO_SERVER, SYN, 0, 0, b"");
    }
    assert_eq!((t.streams.counters().evicted, t.streams.counters().live), (5, 4));
    t.id.index = 3;
    t.send(TO_SERVER, ACK, 0, 0, b"still known");
    assert_eq!((t.said(TO_SERVER), t.streams.counters().midstream), ("still known", 0));
    t.id.generation = 2;
    t.send(TO_SERVER, SYN, 0, 0, b"");
    t.streams.forget(t.id);
    assert_eq!(t.streams.counters().live, 3);
}

#[test]
fn a_reset_that_the_client_drops_ends_nothing() {
    for placement in [Placement::Inline, Placement::Watching] {
        let mut t = Talk::new(small(), placement);
        t.send(TO_SERVER, SYN, 0, 0, b"");
        t.options.timestamps = Some((100, 100));
        let fate = t.send(TO_CLIENT, RST | ACK, 0, 0, b"");
        assert_eq!(fate == FORWARD, placement == Placement::Watching);
        assert_eq!(t.told.events, [StreamEvent::InvalidTimestamp]);
        t.options.timestamps = None;
        t.send(TO_CLIENT, RST | ACK, 0, 0, b"");
        t.send(TO_CLIENT, SYN | ACK, 0, 0, b"");
        t.send(TO_SERVER, ACK, 0, 0, b"request");
        t.send(TO_CLIENT, ACK, 0, 7, b"reply");
        assert_eq!((t.said(TO_SERVER), t.said(TO_CLIENT)), ("request", "reply"));
    }
}
