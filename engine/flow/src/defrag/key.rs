//! Which datagram a fragment is of.

use crate::hash::{HashKey, place_word};
use portcullis_types::{Addr, SegmentId, VlanStack};
use portcullis_wire::{Fragment, Packet};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct DatagramKey {
    pub(crate) src: Addr,
    dst: Addr,
    vlan: VlanStack,
    id: u32,
    segment: SegmentId,
    protocol: u8,
}

impl DatagramKey {
    pub(crate) fn hash(&self, hash: &HashKey) -> u64 {
        let ((s0, s1), (d0, d1)) = (self.src.halves(), self.dst.halves());
        let rest = u64::from(self.id) | u64::from(self.protocol) << 32;
        hash.hash([s0, s1, d0, d1, place_word(self.segment, self.vlan), rest])
    }
}

pub(crate) fn key_of(segment: SegmentId, packet: &Packet, fragment: Fragment) -> DatagramKey {
    // IPv6: the protocol behind the fragment header is that of the first fragment alone (RFC 8200,
    // 4.5), so it is no part of the identity there.
    let protocol = if packet.ip_version == 4 { packet.protocol } else { 0 };
    let (src, dst, vlan) = (packet.src, packet.dst, packet.vlan);
    DatagramKey { src, dst, vlan, id: fragment.id, segment, protocol }
}
