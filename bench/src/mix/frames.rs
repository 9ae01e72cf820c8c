//! A conversation's turns as frames: TCP with handshake, acknowledgements and end, or datagrams.

use super::Talk;
use crate::traffic::{Sequence, TcpEnd, tcp_frame, udp_between};
use std::collections::VecDeque;

const SYN: u8 = 2;
const FIN_ACK: u8 = 0x11;
const ACK: u8 = 0x10;
const PSH_ACK: u8 = 0x18;
/// Bytes of a segment at most.
const MSS: usize = 1460;

/// Who speaks: client, server.
pub(super) struct Ends {
    client: TcpEnd,
    server: TcpEnd,
}

impl Ends {
    pub(super) fn new(sequence: &mut Sequence, number: u32, port: u16, inbound: bool) -> Ends {
        let (inside, outside) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let draw = sequence.next();
        let near = |host: u64| [10, 1 + (host >> 8) as u8 % 16, host as u8, 10];
        let far = |host: u64| [198, 18 + (host >> 16) as u8 % 2, (host >> 8) as u8, host as u8];
        let from = 1025 + (number % 64_000) as u16;
        match inbound {
            false => Ends {
                client: (inside, near(draw), from),
                server: (outside, far(draw >> 32), port),
            },
            true => Ends {
                client: (outside, far(draw), from),
                server: (inside, [10, 200, 0, (draw >> 32) as u8 % 16], port),
            },
        }
    }
}

/// What is still to be sent.
pub(super) struct Frames(VecDeque<Vec<u8>>);

impl Iterator for Frames {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        self.0.pop_front()
    }
}

impl Frames {
    pub(super) fn udp(ends: Ends, talk: Talk) -> Frames {
        let frame = |(ask, bytes): (bool, Vec<u8>)| match ask {
            true => udp_between(ends.client, ends.server, &bytes),
            false => udp_between(ends.server, ends.client, &bytes),
        };
        Frames(talk.turns.into_iter().map(frame).collect())
    }

    pub(super) fn tcp(ends: Ends, talk: Talk) -> Frames {
        let mut frames = VecDeque::new();
        let mut next = [u32::from(ends.client.2) << 12, u32::from(ends.client.2) << 7];
        let mut send = |ask: bool, flags: u8, bytes: &[u8]| {
            let (from, to, own) = match ask {
                true => (ends.client, ends.server, 0),
                false => (ends.server, ends.client, 1),
            };
            let acknowledged = if flags & ACK == 0 { 0 } else { next[1 - own] };
            frames.push_back(tcp_frame(from, to, flags, (next[own], acknowledged), bytes));
            let takes = bytes.len() as u32 + u32::from(flags & 3 != 0);
            next[own] = next[own].wrapping_add(takes);
        };
        send(true, SYN, &[]);
        send(false, SYN | ACK, &[]);
        send(true, ACK, &[]);
        for (ask, bytes) in &talk.turns {
            let segments = bytes.chunks(MSS);
            let last = segments.len();
            for (n, segment) in (1..).zip(segments) {
                send(*ask, if n == last { PSH_ACK } else { ACK }, segment);
                if n % 2 == 0 || n == last {
                    send(!*ask, ACK, &[]);
                }
            }
        }
        send(true, FIN_ACK, &[]);
        send(false, FIN_ACK, &[]);
        send(true, ACK, &[]);
        Frames(frames)
    }
}
