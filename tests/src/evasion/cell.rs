//! One cell of the matrix: a shape, the order in which the rest of it comes, a transport, a family,
//! a tag; and its frames.
//!
//! Must never know: who reads, or what an engine forwards.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::evasion::receiver::{Part, first_versions};
use crate::evasion::shape::{self, FILLER, Piece, Shape, UNIT};
use crate::evasion::wire::{Place, Way, flag};
use crate::frames::TAG_STACKS;

/// The port that the pieces go to.
pub const PORT: u16 = 7777;
/// The version that comes when everything is sent again.
const AGAIN: u8 = b'Z';
/// Sequence numbers of the SYNs: the client's wraps within the first units.
const NUMBERS: (u32, u32) = (0xffff_fff0, 5000);

/// No tag, one, and two: places in [`TAG_STACKS`], and the VLAN ids.
pub const TAGS: [(usize, &[u16]); 3] = [(0, &[]), (1, &[10]), (3, &[10, 20])];

/// What carries the pieces, and when the rest of it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Order {
    /// Datagram: its first and its last fragment come behind the pieces.
    RestLast,
    /// They come before the pieces.
    RestFirst,
    /// The last before them, the first behind.
    BeginningLast,
    /// The first before them, the last behind.
    EndLast,
    /// As [`Order::RestLast`], and then the whole datagram again with other bytes.
    Again,
    /// Stream: its first unit comes behind so many of the pieces.
    HoleAfter(usize),
}

/// A cell.
#[derive(Debug, Clone)]
pub struct Cell {
    /// Its shape.
    pub shape: Shape,
    /// Its order, and so its transport.
    pub order: Order,
    /// Whether it is IPv6.
    pub is_v6: bool,
    /// Place in [`TAGS`].
    pub tag: usize,
    /// Apart from those cells that have the same ends.
    pub number: u16,
}

/// Every cell: shapes × orders × families × tags.
#[must_use]
pub fn cells() -> Vec<Cell> {
    use Order::{Again, BeginningLast, EndLast, HoleAfter, RestFirst, RestLast};
    let mut cells = Vec::new();
    let mut number = 0;
    for shape in shape::shapes() {
        let mut orders = vec![RestLast, RestFirst, BeginningLast, EndLast, Again];
        orders.extend((0..=shape.pieces.len()).map(HoleAfter));
        for order in orders {
            number += 1;
            for is_v6 in [false, true] {
                for tag in 0..TAGS.len() {
                    cells.push(Cell { shape: shape.clone(), order, is_v6, tag, number });
                }
            }
        }
    }
    cells
}

/// The address of the receiver of one policy.
#[must_use]
pub fn receiver_address(is_v6: bool, policy: u8) -> IpAddr {
    match is_v6 {
        false => Ipv4Addr::new(10, 81, policy, 1).into(),
        true => Ipv6Addr::new(0xfd81, 0, 0, policy.into(), 0, 0, 0, 1).into(),
    }
}

fn sender_address(is_v6: bool) -> IpAddr {
    match is_v6 {
        false => Ipv4Addr::new(10, 80, 0, 1).into(),
        true => Ipv6Addr::new(0xfd80, 0, 0, 0, 0, 0, 0, 1).into(),
    }
}

/// The frames of a cell: what comes before its parts, then its parts.
#[derive(Debug, Clone)]
pub struct Frames {
    /// The SYN, where there is one.
    pub begins: Vec<Vec<u8>>,
    /// The answer, from the other side.
    pub answers: Vec<Vec<u8>>,
    /// What ends the handshake.
    pub agrees: Vec<Vec<u8>>,
    /// The parts, each with its frame.
    pub parts: Vec<(Part, Vec<u8>)>,
}

impl Cell {
    /// Whether it is a stream.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        matches!(self.order, Order::HoleAfter(_))
    }

    /// Where the text of a reading begins: a datagram's first unit is its header.
    #[must_use]
    pub fn text_from(&self) -> usize {
        usize::from(!self.is_stream())
    }

    /// From the sender to the receiver of a policy.
    #[must_use]
    pub fn way(&self, policy: u8) -> Way {
        Way {
            source: sender_address(self.is_v6),
            target: receiver_address(self.is_v6, policy),
            ports: (10_000 + self.number, PORT),
            tags: TAG_STACKS[TAGS[self.tag].0].1,
        }
    }

    /// The parts, in the order in which they are sent.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        let part = |piece: Piece| Part { piece, more: true };
        let pieces = || self.shape.pieces.iter().copied().map(part);
        let end = self.shape.end;
        let first = part(Piece::new(FILLER, 0, 1));
        let last = Part { piece: Piece::new(FILLER, end, end + 1), more: false };
        let around = |before: &[Part], behind: &[Part]| -> Vec<Part> {
            before.iter().copied().chain(pieces()).chain(behind.iter().copied()).collect()
        };
        match self.order {
            Order::RestLast => around(&[], &[first, last]),
            Order::RestFirst => around(&[first, last], &[]),
            Order::BeginningLast => around(&[last], &[first]),
            Order::EndLast => around(&[first], &[last]),
            Order::Again => {
                let again = part(Piece::new(AGAIN, 1, end));
                around(&[], &[first, last, first, again, last])
            }
            Order::HoleAfter(count) => {
                let mut parts: Vec<Part> = pieces().collect();
                parts.insert(count, first);
                // A sender that is not acknowledged sends again, whatever came in between.
                let passed = first_versions(&parts);
                let units = (0..).zip(passed);
                parts.extend(units.map(|(at, version)| part(Piece::new(version, at, at + 1))));
                parts
            }
        }
    }

    /// Its frames on their way to the receiver of a policy.
    #[must_use]
    pub fn frames(&self, policy: u8) -> Frames {
        let way = self.way(policy);
        let parts = self.parts();
        let (client, server) = (NUMBERS.0.wrapping_add(1), NUMBERS.1 + 1);
        if self.is_stream() {
            let frame = |part: &Part| {
                let at = u32::try_from(part.piece.extent.from * UNIT).expect("short");
                let numbers = (client.wrapping_add(at), server);
                way.segment(flag::ACK, numbers, &[], &part.piece.bytes())
            };
            return Frames {
                begins: vec![way.segment(flag::SYN, (NUMBERS.0, 0), &[], b"")],
                answers: vec![way.back().segment(
                    flag::SYN | flag::ACK,
                    (NUMBERS.1, client),
                    &[],
                    b"",
                )],
                agrees: vec![way.segment(flag::ACK, (client, server), &[], b"")],
                parts: parts.iter().map(|part| (*part, frame(part))).collect(),
            };
        }
        // All versions have the same checksum, so any of them makes the header.
        let body = Piece::new(FILLER, 1, self.shape.end + 1).bytes();
        let frame = |part: &Part| {
            let from = part.piece.extent.from;
            let share = if from == 0 { way.udp_header(&body) } else { part.piece.bytes() };
            let id = self.number;
            way.fragment(Place { id, offset: from * UNIT, more: part.more }, &share)
        };
        Frames {
            begins: Vec::new(),
            answers: Vec::new(),
            agrees: Vec::new(),
            parts: parts.iter().map(|part| (*part, frame(part))).collect(),
        }
    }
}
