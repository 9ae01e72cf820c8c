#![allow(clippy::cast_possible_truncation, reason = "test traffic: low bytes are what is wanted")]
//! Traffic from a seed: the same bytes in every run.

use anyhow::Result;
use portcullis_capture::backend::generated::{FRAME_MAX, Made};
use portcullis_types::{PortSide, Tick};
use std::io::{BufWriter, Write};
use std::path::Path;

/// How many flows and packets a capture has.
#[derive(Clone, Copy, Debug)]
pub struct Flows {
    /// Different 5-tuples.
    pub flows: u32,
    /// Packets in all, spread over the flows at random.
    pub packets: u32,
    /// Bytes of each frame without the check sequence, at least 60.
    pub frame_len: u16,
}

/// A generator of pseudo-random numbers (SplitMix64), so that captures are the same everywhere.
#[derive(Debug)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The next number; a sequence has no end.
    #[allow(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Writes a classic pcap of UDP packets between 10.0.0.0/8 clients and 192.168.0.0/16 servers, one
/// microsecond apart, both directions of each flow in equal shares.
///
/// # Errors
/// The file cannot be written.
pub fn write_udp_capture(path: &Path, shape: Flows) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?);
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        out.write_all(&word.to_le_bytes())?;
    }
    let mut sequence = Sequence(1);
    let mut frame = vec![0_u8; usize::from(shape.frame_len.max(60))];
    for n in 0..shape.packets {
        let draw = sequence.next();
        let flow = u32::try_from((draw >> 32) % u64::from(shape.flows))?;
        udp_frame(&mut frame, flow, draw & 1 == 1);
        let at = 1_700_000_000_000_000_u64 + u64::from(n);
        let length = u32::try_from(frame.len())?;
        for word in [u32::try_from(at / 1_000_000)?, u32::try_from(at % 1_000_000)?, length, length]
        {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(&frame)?;
    }
    out.flush()?;
    Ok(())
}

/// When generated traffic begins, nanoseconds.
pub const BEGIN: Tick = Tick(1_700_000_000_000_000_000);

/// The same packets as [`write_udp_capture`] has them, made one by one.
pub fn udp_frames(shape: Flows) -> impl FnMut(&mut [u8; FRAME_MAX]) -> Option<Made> {
    let mut sequence = Sequence(1);
    let len = shape.frame_len.max(60);
    let mut n = 0;
    move |buffer| {
        if n == shape.packets {
            return None;
        }
        n += 1;
        let draw = sequence.next();
        let flow = ((draw >> 32) % u64::from(shape.flows)) as u32;
        udp_frame(buffer.get_mut(..usize::from(len))?, flow, draw & 1 == 1);
        let at = Tick(BEGIN.0 + u64::from(n) * 1_000);
        Some(Made { side: PortSide::A, at, len })
    }
}

/// Writes one UDP packet of a flow between a 10.0.0.0/8 client and a 192.168.0.0/18 server to all
/// of `frame`, which is at least 60 bytes; `back` is the answer.
pub fn udp_frame(frame: &mut [u8], flow: u32, back: bool) {
    let client = [10, (flow >> 16) as u8, (flow >> 8) as u8, flow as u8];
    let server = [192, 168, (flow >> 4) as u8 & 0x3f, flow as u8 & 0x0f];
    let ports = [(1024 + flow % 60_000) as u16, 5000_u16];
    let (src, dst, from, to) = match back {
        false => (client, server, ports[0], ports[1]),
        true => (server, client, ports[1], ports[0]),
    };
    let ip_len = u16::try_from(frame.len() - 14).unwrap_or(u16::MAX);
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17]);
    frame[16..18].copy_from_slice(&ip_len.to_be_bytes());
    frame[24..26].fill(0);
    frame[26..30].copy_from_slice(&src);
    frame[30..34].copy_from_slice(&dst);
    let sum = header_checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame[34..36].copy_from_slice(&from.to_be_bytes());
    frame[36..38].copy_from_slice(&to.to_be_bytes());
    frame[38..40].copy_from_slice(&(ip_len - 20).to_be_bytes());
    // No UDP checksum: RFC 768 allows it and both engines are told not to verify.
    frame[40..42].fill(0);
}

/// An end of a conversation: link-layer address, address, port.
pub type TcpEnd = ([u8; 6], [u8; 4], u16);

/// A TCP segment over IPv4 with right checksums; `seq_ack` are its two numbers.
pub fn tcp_frame(
    from: TcpEnd,
    to: TcpEnd,
    flags: u8,
    seq_ack: (u32, u32),
    payload: &[u8],
) -> Vec<u8> {
    let mut segment = Vec::with_capacity(20 + payload.len() + 1);
    segment.extend(from.2.to_be_bytes());
    segment.extend(to.2.to_be_bytes());
    segment.extend(seq_ack.0.to_be_bytes());
    segment.extend(seq_ack.1.to_be_bytes());
    // Without options; the urgent pointer is at the end where the flag is set.
    let urgent = if flags & 0x20 != 0 { payload.len() as u16 } else { 0 };
    segment.extend([0x50, flags, 0xff, 0xff, 0, 0]);
    segment.extend(urgent.to_be_bytes());
    segment.extend(payload);
    let tcp_len = segment.len() as u16;
    let mut pseudo = [&from.1[..], &to.1, &[0, 6], &tcp_len.to_be_bytes(), &segment].concat();
    pseudo.resize(pseudo.len().next_multiple_of(2), 0);
    let sum = header_checksum(&pseudo);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    let mut header = [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    header[2..4].copy_from_slice(&(20 + tcp_len).to_be_bytes());
    header[12..16].copy_from_slice(&from.1);
    header[16..20].copy_from_slice(&to.1);
    let sum = header_checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = [&to.0[..], &from.0, &[8, 0], &header, &segment].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

/// A UDP datagram over IPv4 without a checksum of its own, which RFC 768 allows.
pub fn udp_between(from: TcpEnd, to: TcpEnd, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u16 + 8;
    let mut header = [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    header[2..4].copy_from_slice(&(20 + len).to_be_bytes());
    header[12..16].copy_from_slice(&from.1);
    header[16..20].copy_from_slice(&to.1);
    let sum = header_checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    let ports = [from.2.to_be_bytes(), to.2.to_be_bytes(), len.to_be_bytes(), [0, 0]].concat();
    let mut frame = [&to.0[..], &from.0, &[8, 0], &header, &ports, payload].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

fn header_checksum(header: &[u8]) -> u16 {
    let mut sum: u32 =
        header.chunks_exact(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
