//! Datagrams: *communication administratively prohibited* to the sender, quoting what it sent.

use super::{Toward, Unanswered, answerable, ip_header, link, pad, put};
use crate::is_link_control;
use portcullis_wire::{Packet, checksum, protocol};

/// Type 3, code 13 (RFC 1812, 5.2.7.1).
const PROHIBITED_V4: [u8; 2] = [3, 13];
/// Type 1, code 1 (RFC 4443, 3.1).
const PROHIBITED_V6: [u8; 2] = [1, 1];
/// The longest ICMP error in IPv4 (RFC 1812, 4.3.2.3).
const ERROR_MAX_V4: usize = 576;
/// The longest ICMP error in IPv6 (RFC 4443, 2.4 c).
const ERROR_MAX_V6: usize = 1280;

/// Crafts the error into the emptied buffer; it goes out of the port that the packet came in by, in
/// the name of the packet's destination.
pub fn icmp_prohibited(frame: &[u8], packet: &Packet, out: &mut Vec<u8>) -> Result<(), Unanswered> {
    out.clear();
    answerable(frame, packet)?;
    if is_error(packet) || is_link_control(packet) {
        return Err(Unanswered::IcmpError);
    }
    let v4 = packet.src.is_v4();
    let (ip, most, kind) =
        if v4 { (20, ERROR_MAX_V4, PROHIBITED_V4) } else { (40, ERROR_MAX_V6, PROHIBITED_V6) };
    let datagram = packet.datagram(frame);
    let quoted = datagram.get(..datagram.len().min(most - ip - 8)).unwrap_or_default();
    if quoted.is_empty() {
        return Err(Unanswered::Protocol);
    }
    link::header(frame, packet, Toward::Sender, ip + 8 + quoted.len(), out)?;
    let (src, dst) = (packet.dst, packet.src);
    let number = if v4 { protocol::ICMPV4 } else { protocol::ICMPV6 };
    ip_header(out, src, dst, number, 8 + quoted.len());
    let start = out.len();
    out.extend_from_slice(&[kind[0], kind[1], 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(quoted);
    if let Some(message) = out.get_mut(start..) {
        let sum = if v4 {
            checksum::internet(&[message])
        } else {
            checksum::transport(src, dst, number, message)
        };
        put(message, 2, sum);
    }
    pad(out, packet);
    Ok(())
}

/// Whether the packet is an ICMP error or redirect: an error is never answered by an error
/// (RFC 1122, 3.2.2; RFC 4443, 2.4 e). Of unknown types nobody knows, so they count as errors.
fn is_error(packet: &Packet) -> bool {
    match (packet.protocol, packet.ip_version) {
        (protocol::ICMPV4, 4) => !matches!(packet.icmp_type, 0 | 8 | 9 | 10 | 13..=18),
        (protocol::ICMPV6, 6) => packet.icmp_type < 128 || packet.icmp_type == 137,
        _ => false,
    }
}
