//! Ending a connection: RST to both ends of a TCP connection, or ICMP *administratively prohibited*
//! to the sender of a datagram.
//!
//! ```text
//!   the frame that is answered:  [macs][tags …][ethertype or length+SNAP][IP][TCP …]
//!   towards its receiver:        [the same link header, byte for byte   ][IP][TCP RST]
//!   towards its sender:          [macs swapped][the same tags           ][IP][TCP RST]
//! ```
//!
//! Frames go into buffers of the caller, which keep their capacity: nothing is allocated once they
//! have [`CRAFT_MAX`] bytes. How often a sender is answered is the caller's to limit.

mod icmp;
mod link;
mod reset;
#[cfg(test)]
mod tests;

pub use icmp::icmp_prohibited;
pub use reset::{Fate, RstNumbers, RstPair, rst, rst_pair};

use portcullis_types::Addr;
use portcullis_wire::{Packet, PacketKind, checksum};

/// The longest crafted frame: an ICMPv6 error of 1,280 bytes (RFC 4443, 2.4 c) behind the longest
/// link header.
pub const CRAFT_MAX: usize = 1280 + link::LINK_MAX;

/// The shortest frame on Ethernet, without its check sequence.
const FRAME_MIN: usize = 60;

/// Hop limit of crafted packets: what most systems begin with.
const HOPS: u8 = 64;

/// To whom a crafted frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toward {
    /// To where the answered frame was going: out of the other port.
    Receiver,
    /// To where the answered frame came from: out of the port that it came in by.
    Sender,
}

/// Why nothing is answered. Alphabetical; the names are metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unanswered {
    /// It went to a group on the link or in IP: many would be answered for.
    Group,
    /// It is an ICMP error, or control traffic of the link: those are never answered.
    IcmpError,
    /// A link header that cannot be written, e.g. of a tunnel.
    Link,
    /// A later fragment: it has no ports.
    LaterFragment,
    /// It is no IP packet, or of another protocol.
    Protocol,
    /// It is itself a reset: two such engines would answer each other for ever.
    Reset,
    /// No connection can exist there yet.
    Unconnected,
}

impl Unanswered {
    /// The label in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Unanswered::Group => "group",
            Unanswered::IcmpError => "icmp_error",
            Unanswered::Link => "link",
            Unanswered::LaterFragment => "later_fragment",
            Unanswered::Protocol => "protocol",
            Unanswered::Reset => "reset",
            Unanswered::Unconnected => "unconnected",
        }
    }
}

/// What must hold for anything to be answered: one host spoke to one host.
fn answerable(frame: &[u8], packet: &Packet) -> Result<(), Unanswered> {
    if packet.kind != PacketKind::Ip {
        return Err(Unanswered::Protocol);
    }
    if !packet.has_transport() {
        return Err(Unanswered::LaterFragment);
    }
    let to_group = packet.l3_offset > 0 && frame.first().is_none_or(|b| b & 1 == 1);
    let one_host = |a: Addr| !(a.is_group() || a.ip().is_unspecified() || a.ip().is_loopback());
    if to_group || !one_host(packet.src) || !one_host(packet.dst) {
        return Err(Unanswered::Group);
    }
    Ok(())
}

/// Appends an IP header for an upper-layer packet of `len` bytes.
fn ip_header(out: &mut Vec<u8>, src: Addr, dst: Addr, protocol: u8, len: usize) {
    match (src.as_v4(), dst.as_v4()) {
        (Some(src), Some(dst)) => {
            let [high, low] = length(len + 20);
            let mut header =
                [0x45, 0, high, low, 0, 0, 0x40, 0, HOPS, protocol, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            for (to, from) in header.iter_mut().skip(12).zip(src.into_iter().chain(dst)) {
                *to = from;
            }
            let sum = checksum::internet(&[&header]);
            put(&mut header, 10, sum);
            out.extend_from_slice(&header);
        }
        _ => {
            let [high, low] = length(len);
            out.extend_from_slice(&[0x60, 0, 0, 0, high, low, protocol, HOPS]);
            out.extend_from_slice(&src.octets());
            out.extend_from_slice(&dst.octets());
        }
    }
}

/// The length of what we craft, always far below 65,536.
fn length(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

/// Writes a number of two bytes; beyond the end it writes nothing.
fn put(bytes: &mut [u8], at: usize, value: u16) {
    for (to, from) in bytes.iter_mut().skip(at).zip(value.to_be_bytes()) {
        *to = from;
    }
}

/// Pads a frame with a link header to Ethernet's shortest.
fn pad(out: &mut Vec<u8>, packet: &Packet) {
    if packet.l3_offset > 0 && out.len() < FRAME_MIN {
        out.resize(FRAME_MIN, 0);
    }
}
