//! Whose frame it is: the lane that owns a frame's conversation.
//!
//! The owner follows from segment, VLAN stack and address pair alone, the same from either end, so
//! that both directions, all fragments, ICMP errors and every flow of two hosts meet in one lane.

use crate::burst::InHand;
use portcullis_flow::HashKey;
use portcullis_types::SegmentId;
use portcullis_wire::{Checks, LinkType, Packet, PacketKind, parse_into};

/// Reads a frame's headers into `held.packet`. Where they cannot be used it stays `None`, and the
/// lane that gets the frame finds out why.
#[inline]
pub fn read_headers(held: &mut InHand, bytes: &[u8], link: LinkType, checks: Checks) {
    let packet = held.packet.insert(Packet::EMPTY);
    if parse_into(packet, bytes, link, checks).is_err() {
        held.packet = None;
    }
}

/// Which of `lanes` owns the frame; the first one owns what has no addresses.
#[inline]
pub fn owner(key: &HashKey, segment: SegmentId, packet: Option<&Packet>, lanes: usize) -> usize {
    let Some(packet) = packet.filter(|p| lanes > 1 && p.kind == PacketKind::Ip) else { return 0 };
    let hash = portcullis_flow::lane_of(key, segment, packet);
    // The upper half, scaled: no division, and no bits that a table within the lane uses.
    usize::try_from(((hash >> 32) * lanes as u64) >> 32).unwrap_or(0)
}
