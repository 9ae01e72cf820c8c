//! The TCP header and its options (RFC 9293).

use crate::{Checks, Packet, Reject, Tcp, TcpFlags, TcpOptions, transport};

/// Reads a TCP segment that is no fragment.
#[inline]
pub(crate) fn read(packet: &mut Packet, segment: &[u8], checks: Checks) -> Result<(), Reject> {
    let Some(header) = words(segment) else { return Err(Reject::TcpTooShort) };
    fixed(packet, header);
    let header_len = packet.tcp.header_len;
    if header_len < 20 || usize::from(header_len) > segment.len() {
        return Err(Reject::TcpHeaderLength);
    }
    transport::header(packet, u16::from(header_len));
    if header_len > 20 {
        check_options(packet, segment.get(20..usize::from(header_len)).unwrap_or_default());
    }
    let &[_, _, _, [b12, ..], _] = header;
    if b12 & 0x0f != 0 {
        packet.rejects.insert(Reject::TcpReservedBits);
    }
    // Ordinary segments have ACK and not SYN, FIN or RST: one compare lets them through.
    if packet.tcp.flags.0 & 0x17 != 0x10 {
        flags(packet);
    }
    if packet.src_port == 0 || packet.dst_port == 0 {
        packet.rejects.insert(Reject::TcpPortZero);
    }
    if packet.dst.is_group() {
        packet.rejects.insert(Reject::TcpToGroup);
    }
    if checks.has(Checks::TCP) && transport::is_forged(packet, segment) {
        packet.rejects.insert(Reject::TcpChecksum);
    }
    Ok(())
}

/// The first fragment of a segment: the header as far as it is whole, judged by its flags.
pub(crate) fn read_part(packet: &mut Packet, segment: &[u8]) {
    if let Some(header) = words(segment) {
        fixed(packet, header);
        flags(packet);
    }
}

/// The fixed part in words of four: what is read byte by byte is put together byte by byte.
#[inline]
fn words(segment: &[u8]) -> Option<&[[u8; 4]; 5]> {
    segment.as_chunks::<4>().0.first_chunk::<5>()
}

#[inline]
fn fixed(packet: &mut Packet, header: &[[u8; 4]; 5]) {
    let &[[s0, s1, d0, d1], seq, ack, [len, flags, w0, w1], [c0, c1, u0, u1]] = header;
    packet.src_port = u16::from_be_bytes([s0, s1]);
    packet.dst_port = u16::from_be_bytes([d0, d1]);
    packet.tcp = Tcp {
        seq: u32::from_be_bytes(seq),
        ack: u32::from_be_bytes(ack),
        window: u16::from_be_bytes([w0, w1]),
        checksum: u16::from_be_bytes([c0, c1]),
        urgent: u16::from_be_bytes([u0, u1]),
        flags: TcpFlags(flags),
        header_len: (len >> 4) * 4,
    };
}

/// Names the combinations that no connection shows.
fn flags(packet: &mut Packet) {
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const PSH: u8 = 0x08;
    const ACK: u8 = 0x10;
    const URG: u8 = 0x20;
    // ECE and CWR accompany SYN honestly (RFC 3168, 6.1.1) and say nothing here.
    let flags = packet.tcp.flags.0 & 0x3f;
    if flags & SYN != 0 {
        if flags & FIN != 0 {
            packet.rejects.insert(Reject::TcpSynFin);
        }
        if flags & RST != 0 {
            packet.rejects.insert(Reject::TcpSynRst);
        }
        if packet.payload_len > 0 && packet.fragment.is_none() {
            packet.rejects.insert(Reject::TcpSynData);
        }
        return;
    }
    if flags & (FIN | RST) == FIN | RST {
        packet.rejects.insert(Reject::TcpFinRst);
    }
    if flags & (RST | ACK) != 0 {
        return;
    }
    packet.rejects.insert(match flags {
        0 => Reject::TcpNullFlags,
        _ if flags & (FIN | PSH | URG) == FIN | PSH | URG => Reject::TcpXmas,
        _ if flags & FIN != 0 => Reject::TcpFinOnly,
        _ => Reject::TcpNoAck,
    });
}

/// Looks over the options. The timestamp pattern of RFC 7323, appendix A, is nearly all there is
/// once a connection stands.
#[inline]
fn check_options(packet: &mut Packet, bytes: &[u8]) {
    if let [1, 1, 8, 10, _, _, _, _, _, _, _, _] = bytes {
        return;
    }
    walk(bytes, |step| match step {
        Step::Option(..) => {}
        Step::Duplicate => packet.rejects.insert(Reject::TcpOptionDuplicate),
        Step::Broken => packet.rejects.insert(Reject::TcpOptionLength),
    });
}

enum Step<'a> {
    Option(u8, &'a [u8]),
    Duplicate,
    Broken,
}

/// Walks at most 40 bytes of options; `body` is what stands behind kind and length.
fn walk<'a>(mut rest: &'a [u8], mut visit: impl FnMut(Step<'a>)) {
    let mut seen = 0u32;
    while let Some((&kind, behind)) = rest.split_first() {
        match kind {
            0 => return,
            1 => {
                rest = behind;
                continue;
            }
            _ => {}
        }
        let len = behind.first().copied().map_or(0, usize::from);
        let (Some(body), Some(next)) = (rest.get(2..len), rest.get(len..)) else {
            visit(Step::Broken);
            return;
        };
        // Lengths behind kind and length: MSS, scale, SACK permitted, SACK, timestamps, MD5, TFO.
        let right = match kind {
            2 => body.len() == 2,
            3 => body.len() == 1,
            4 => body.is_empty(),
            // Without a block it says nothing, and harms nobody.
            5 => matches!(body.len(), 0 | 8 | 16 | 24 | 32),
            8 => body.len() == 8,
            19 => body.len() == 16,
            29 => body.len() >= 2,
            34 => body.is_empty() || (4..=16).contains(&body.len()),
            _ => true,
        };
        visit(if right { Step::Option(kind, body) } else { Step::Broken });
        if matches!(kind, 2 | 3 | 4 | 5 | 8 | 19) {
            if seen >> kind & 1 == 1 {
                visit(Step::Duplicate);
            }
            seen |= 1 << kind;
        }
        rest = next;
    }
}

/// What the options say; of several of one kind the first counts.
pub(crate) fn options(bytes: &[u8]) -> TcpOptions {
    let mut found = TcpOptions::default();
    walk(bytes, |step| {
        let Step::Option(kind, body) = step else { return };
        match (kind, body) {
            (2, &[a, b]) if found.mss.is_none() => found.mss = Some(u16::from_be_bytes([a, b])),
            (3, &[shift]) if found.window_scale.is_none() => {
                found.window_scale = Some(shift.min(14));
            }
            (4, []) => found.sack_permitted = true,
            (5, _) => found.sack_blocks = u8::try_from(body.len() / 8).unwrap_or(u8::MAX),
            (8, &[a, b, c, d, e, f, g, h]) if found.timestamps.is_none() => {
                found.timestamps =
                    Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])));
            }
            (19 | 29, _) => found.signed = true,
            (34, _) => found.fast_open = true,
            _ => {}
        }
    });
    found
}
