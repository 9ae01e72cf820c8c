//! TCP: a reset to each end, with numbers that the end accepts (RFC 9293, 3.10.7; RFC 5961, 3.2:
//! the sequence number must be exactly the next one expected).

use super::{Toward, Unanswered, answerable, ip_header, link, pad, put};
use portcullis_wire::{Packet, TcpFlags, checksum, protocol};

/// The numbers of one reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RstNumbers {
    /// The sequence number: the next that the end expects.
    pub seq: u32,
    /// The acknowledgement, where the reset carries one.
    pub ack: Option<u32>,
}

/// What became of the frame that is answered: it decides what its receiver expects next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was dropped: the receiver still expects its first byte.
    Dropped,
    /// It was forwarded: the receiver expects the byte behind it.
    Forwarded,
}

/// Two buffers for the resets of one connection; an empty one is not to be sent.
#[derive(Clone, Debug)]
pub struct RstPair {
    /// Out of the port that the frame came in by.
    pub to_sender: Vec<u8>,
    /// Out of the other port.
    pub to_receiver: Vec<u8>,
}

impl Default for RstPair {
    fn default() -> Self {
        let room = link::LINK_MAX + 60;
        RstPair { to_sender: Vec::with_capacity(room), to_receiver: Vec::with_capacity(room) }
    }
}

/// Bytes of sequence space that the packet takes.
fn taken(packet: &Packet) -> u32 {
    let flags = packet.tcp.flags;
    u32::from(packet.payload_len)
        + u32::from(flags.has(TcpFlags::SYN))
        + u32::from(flags.has(TcpFlags::FIN))
}

impl RstNumbers {
    /// What one frame alone tells. Whoever tracks the connection may know better: `rst` takes any
    /// numbers. `None` where that end has no connection to reset.
    pub fn from_packet(packet: &Packet, toward: Toward, fate: Fate) -> Option<RstNumbers> {
        let tcp = &packet.tcp;
        let acks = tcp.flags.has(TcpFlags::ACK);
        let behind = tcp.seq.wrapping_add(taken(packet));
        match (toward, fate) {
            // The sender has said what it expects: its own acknowledgement. Where it has
            // acknowledged nothing, a reset must acknowledge all that it sent.
            (Toward::Sender, _) => {
                Some(RstNumbers { seq: if acks { tcp.ack } else { 0 }, ack: Some(behind) })
            }
            // The receiver never saw the SYN: it only listens.
            (Toward::Receiver, Fate::Dropped) if tcp.flags.has(TcpFlags::SYN) && !acks => None,
            (Toward::Receiver, Fate::Dropped) => {
                Some(RstNumbers { seq: tcp.seq, ack: acks.then_some(tcp.ack) })
            }
            (Toward::Receiver, Fate::Forwarded) => {
                Some(RstNumbers { seq: behind, ack: acks.then_some(tcp.ack) })
            }
        }
    }
}

/// Crafts the resets to both ends from what one frame tells. On `Err` both buffers are empty.
pub fn rst_pair(
    frame: &[u8],
    packet: &Packet,
    fate: Fate,
    pair: &mut RstPair,
) -> Result<(), Unanswered> {
    pair.to_sender.clear();
    pair.to_receiver.clear();
    let numbers = |toward| RstNumbers::from_packet(packet, toward, fate);
    if let Some(numbers) = numbers(Toward::Sender) {
        rst(frame, packet, Toward::Sender, numbers, &mut pair.to_sender)?;
    }
    if let Some(numbers) = numbers(Toward::Receiver) {
        rst(frame, packet, Toward::Receiver, numbers, &mut pair.to_receiver)?;
    }
    Ok(())
}

/// Crafts one reset into the emptied buffer.
pub fn rst(
    frame: &[u8],
    packet: &Packet,
    toward: Toward,
    numbers: RstNumbers,
    out: &mut Vec<u8>,
) -> Result<(), Unanswered> {
    out.clear();
    answerable(frame, packet)?;
    if packet.protocol != protocol::TCP || packet.tcp.header_len < 20 {
        return Err(Unanswered::Protocol);
    }
    if packet.tcp.flags.has(TcpFlags::RST) {
        return Err(Unanswered::Reset);
    }
    let ip = if packet.src.is_v4() { 20 } else { 40 };
    link::header(frame, packet, toward, ip + 20, out)?;
    // Each reset speaks as the other end.
    let (src, dst, src_port, dst_port) = match toward {
        Toward::Receiver => (packet.src, packet.dst, packet.src_port, packet.dst_port),
        Toward::Sender => (packet.dst, packet.src, packet.dst_port, packet.src_port),
    };
    ip_header(out, src, dst, protocol::TCP, 20);
    let flags = match numbers.ack {
        Some(_) => TcpFlags::RST.union(TcpFlags::ACK),
        None => TcpFlags::RST,
    };
    let mut tcp = [0u8; 20];
    let fields = [src_port.to_be_bytes(), dst_port.to_be_bytes()].into_iter().flatten();
    let fields = fields.chain(numbers.seq.to_be_bytes());
    let fields = fields.chain(numbers.ack.unwrap_or(0).to_be_bytes()).chain([0x50, flags.0]);
    for (to, from) in tcp.iter_mut().zip(fields) {
        *to = from;
    }
    let sum = checksum::transport(src, dst, protocol::TCP, &tcp);
    put(&mut tcp, 16, sum);
    out.extend_from_slice(&tcp);
    pad(out, packet);
    Ok(())
}
