//! Packets of both families between any two addresses, whole and in fragments, with right lengths
//! and checksums.
//!
//! Must never know: what the pieces are for.

use std::net::IpAddr;

use crate::frames::{ethernet, internet_checksum};

const RECEIVER_MAC: [u8; 6] = [2, 0, 0, 0, 7, 2];
const UDP: u8 = 17;
const TCP: u8 = 6;
/// The header that fragments of IPv6 have.
const FRAGMENT: u8 = 44;

/// Flags of a segment.
pub mod flag {
    /// The conversation begins.
    pub const SYN: u8 = 2;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 16;
}

/// Both ends of a packet, addresses of one family, and the tags that it wears as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// From.
    pub source: IpAddr,
    /// To.
    pub target: IpAddr,
    /// The ports.
    pub ports: (u16, u16),
    /// Between the addresses of the frame and its ethertype.
    pub tags: &'static [u8],
}

/// Which part of a datagram a packet is: its number, where in bytes it begins, whether more follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The datagram's number.
    pub id: u16,
    /// Bytes before it.
    pub offset: usize,
    /// Whether it is not the last.
    pub more: bool,
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).expect("a packet is at most 65535 bytes").to_be_bytes()
}

impl Way {
    /// The same way back.
    #[must_use]
    pub fn back(&self) -> Way {
        let (from, to) = self.ports;
        Way { source: self.target, target: self.source, ports: (to, from), ..*self }
    }

    /// The frame of a part of a UDP datagram, or of a whole one. A share is what the datagram has
    /// from the place's offset on.
    #[must_use]
    pub fn fragment(&self, place: Place, share: &[u8]) -> Vec<u8> {
        self.frame(UDP, Some(place), share)
    }

    /// A UDP header for a payload.
    #[must_use]
    pub fn udp_header(&self, payload: &[u8]) -> Vec<u8> {
        let (from, to) = self.ports;
        let len = length(8 + payload.len());
        let mut header = [from.to_be_bytes(), to.to_be_bytes(), len, [0, 0]].concat();
        let sum = self.checksum(UDP, &[&header, payload].concat());
        header[6..8].copy_from_slice(&sum.to_be_bytes());
        header
    }

    /// The frame of a segment; `numbers` are sequence and acknowledgement, `options` a multiple of
    /// four bytes.
    #[must_use]
    pub fn segment(
        &self,
        flags: u8,
        numbers: (u32, u32),
        options: &[u8],
        payload: &[u8],
    ) -> Vec<u8> {
        self.frame(TCP, None, &self.tcp(flags, numbers, options, payload))
    }

    /// The frames of a segment in fragments of `share` bytes, a multiple of eight.
    #[must_use]
    pub fn segment_in_fragments(
        &self,
        (id, share): (u16, usize),
        flags: u8,
        numbers: (u32, u32),
        payload: &[u8],
    ) -> Vec<Vec<u8>> {
        let segment = self.tcp(flags, numbers, &[], payload);
        let end = segment.len();
        let frame = |offset: usize| {
            let to = end.min(offset + share);
            let place = Place { id, offset, more: to < end };
            self.frame(TCP, Some(place), &segment[offset..to])
        };
        (0..end).step_by(share).map(frame).collect()
    }

    fn tcp(&self, flags: u8, numbers: (u32, u32), options: &[u8], payload: &[u8]) -> Vec<u8> {
        let (from, to) = self.ports;
        let mut segment = [from.to_be_bytes(), to.to_be_bytes()].concat();
        segment.extend(numbers.0.to_be_bytes());
        segment.extend(numbers.1.to_be_bytes());
        let words = u8::try_from((20 + options.len()) / 4).expect("at most 40 bytes of options");
        segment.extend([words << 4, flags, 0x80, 0, 0, 0, 0, 0]);
        segment.extend_from_slice(options);
        segment.extend_from_slice(payload);
        let sum = self.checksum(TCP, &segment);
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        segment
    }

    fn checksum(&self, protocol: u8, segment: &[u8]) -> u16 {
        let kind = [0, protocol];
        let ends = [octets(self.source), octets(self.target)].concat();
        internet_checksum(&[&ends[..], &kind, &length(segment.len()), segment].concat())
    }

    fn frame(&self, protocol: u8, place: Option<Place>, payload: &[u8]) -> Vec<u8> {
        let ends = [octets(self.source), octets(self.target)].concat();
        let Place { id, offset, more } = place.unwrap_or(Place { id: 0, offset: 0, more: false });
        let (offset, more) = (u16::try_from(offset).expect("below 64 KiB"), u16::from(more));
        if self.source.is_ipv4() {
            let flags = ((offset / 8) | (more << 13)).to_be_bytes();
            let len = length(20 + payload.len());
            let head = [[0x45, 0], len, id.to_be_bytes(), flags, [64, protocol], [0, 0]];
            let mut header = [&head.concat()[..], &ends].concat();
            let sum = internet_checksum(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            return ethernet(RECEIVER_MAC, self.tags, 0x0800, &[&header, payload].concat());
        }
        let number = id.to_be_bytes();
        let flags = (offset | more).to_be_bytes();
        let fragment = [[protocol, 0], flags, [0, 0], number].concat();
        let (next, fragment) = match place {
            Some(_) => (FRAGMENT, &fragment[..]),
            None => (protocol, &[][..]),
        };
        let len = length(fragment.len() + payload.len());
        let head = [[0x60, 0], [0, 0], len, [next, 64]].concat();
        let packet = [&head[..], &ends, fragment, payload].concat();
        ethernet(RECEIVER_MAC, self.tags, 0x86dd, &packet)
    }
}
