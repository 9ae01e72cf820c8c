//! ARP for Ethernet and IPv4 (RFC 826).

use crate::{Packet, PacketKind, Reject, narrow};
use portcullis_types::{Addr, Mac};

/// Reads ARP at `at`. Other hardware or protocols (InfiniBand, IEEE 1394, ATM) pass as `Other`.
pub(crate) fn read(packet: &mut Packet, frame: &[u8], at: usize) -> Result<(), Reject> {
    let behind = frame.get(at..).unwrap_or_default();
    packet.l4_offset = narrow(at);
    packet.payload_offset = narrow(at);
    packet.payload_len = narrow(behind.len());
    let Some((&[h0, h1, 8, 0, 6, 4, o0, o1], behind)) = behind.split_first_chunk::<8>() else {
        return if behind.len() < 8 { Err(Reject::ArpTruncated) } else { Ok(()) };
    };
    // Hardware 1 is Ethernet, 6 is IEEE 802: the same addresses (RFC 5342, C.1).
    if !matches!(u16::from_be_bytes([h0, h1]), 1 | 6) {
        return Ok(());
    }
    let Some((sender_mac, behind)) = behind.split_first_chunk::<6>() else {
        return Err(Reject::ArpTruncated);
    };
    let Some(&[s0, s1, s2, s3, _, _, _, _, _, _, t0, t1, t2, t3]) = behind.first_chunk::<14>()
    else {
        return Err(Reject::ArpTruncated);
    };
    packet.kind = PacketKind::Arp;
    packet.arp_operation = u16::from_be_bytes([o0, o1]);
    packet.src = Addr::v4([s0, s1, s2, s3]);
    packet.dst = Addr::v4([t0, t1, t2, t3]);
    packet.l4_offset = narrow(at);
    packet.payload_offset = narrow(at + 28);
    packet.payload_len = 0;
    judge(packet, Mac(*sender_mac));
    Ok(())
}

fn judge(packet: &mut Packet, sender: Mac) {
    let Mac([first, ..]) = sender;
    if first & 1 != 0 {
        packet.rejects.insert(Reject::ArpGroupSender);
    }
    // Links without source addresses (raw, null) have zeros there and nothing to compare.
    if packet.src_mac != Mac::default() && packet.src_mac != sender {
        packet.rejects.insert(Reject::ArpSenderMismatch);
    }
    if !matches!(packet.arp_operation, 1..=4 | 8 | 9) {
        packet.rejects.insert(Reject::ArpUnknownOperation);
    }
}
