//! From fragments to a packet: what of a frame is fragment, and the header of the whole.

use portcullis_wire::{Checks, LinkType, Malformed, Packet, checksum};

/// Bytes of the longest datagram, header included.
pub(crate) const DATAGRAM_MAX: usize = 65_535;

const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;

/// Where a fragment's two parts lie in its frame: the headers that every fragment has, and its
/// share of the datagram. IPv6: `next_header` is where, within the headers, the number of the
/// fragment header stands, which `protocol` takes the place of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout<'a> {
    pub(crate) headers: &'a [u8],
    pub(crate) share: &'a [u8],
    pub(crate) next_header: usize,
    pub(crate) protocol: u8,
}

impl<'a> Layout<'a> {
    /// Of a packet that is a fragment.
    pub(crate) fn of(packet: &Packet, frame: &'a [u8]) -> Option<Self> {
        let l3 = usize::from(packet.l3_offset);
        let end = usize::from(packet.payload_offset) + usize::from(packet.payload_len);
        let bytes = frame.get(l3..end)?;
        if packet.ip_version == 4 {
            let len = usize::from(packet.l4_offset).checked_sub(l3)?;
            let (headers, share) = bytes.split_at_checked(len)?;
            return (len >= 20).then_some(Layout { headers, share, next_header: 0, protocol: 0 });
        }
        let (mut next_header, mut at) = (6, 40);
        for _ in 0..portcullis_wire::IPV6_EXTENSIONS_MAX {
            let kind = *bytes.get(next_header)?;
            let header = bytes.get(at..at + 8)?;
            let &[protocol, units, ..] = header.first_chunk::<8>()?;
            if kind == FRAGMENT {
                let (headers, share) = (bytes.get(..at)?, bytes.get(at + 8..)?);
                return Some(Layout { headers, share, next_header, protocol });
            }
            next_header = at;
            at += match kind {
                AUTHENTICATION => (usize::from(units) + 2) * 4,
                _ => (usize::from(units) + 1) * 8,
            };
        }
        None
    }

    /// The headers as those of the whole datagram, but for lengths.
    pub(crate) fn write_headers(&self, to: &mut [u8; 2048]) -> Option<usize> {
        let place = to.get_mut(..self.headers.len())?;
        place.copy_from_slice(self.headers);
        if self.next_header > 0
            && let Some(next) = place.get_mut(self.next_header)
        {
            *next = self.protocol;
        }
        Some(self.headers.len())
    }
}

/// Completes the headers that a datagram begins with. IPv4: length, no fragment, checksum. IPv6:
/// length.
pub(crate) fn finish(datagram: &mut [u8], header_len: usize) {
    let len = datagram.len();
    let bytes = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes();
    let Some(headers) = datagram.get_mut(..header_len) else { return };
    match headers {
        [v, _, _, _, l0, l1, ..] if *v >> 4 == 6 => [*l0, *l1] = bytes(len.saturating_sub(40)),
        [_, _, l0, l1, _, _, f0, f1, _, _, c0, c1, ..] => {
            [*l0, *l1] = bytes(len);
            (*f0, *f1, *c0, *c1) = (0, 0, 0, 0);
            let sum = checksum::internet(&[headers]).to_be_bytes();
            if let [_, _, _, _, _, _, _, _, _, _, c0, c1, ..] = headers {
                [*c0, *c1] = sum;
            }
        }
        _ => {}
    }
}

/// A datagram whose fragments are all there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WholeDatagram<'a> {
    /// The IP packet without a link header; the link type is [`LinkType::RawIp`].
    pub bytes: &'a [u8],
}

impl WholeDatagram<'_> {
    /// Reads its headers. Place and hardware addresses are those of `last`, the fragment that made
    /// it whole; offsets count from the first of [`WholeDatagram::bytes`].
    ///
    /// # Errors
    /// Where a header cannot be used at all.
    pub fn parse(&self, last: &Packet, checks: Checks) -> Result<Packet, Malformed> {
        let (src_mac, dst_mac) = (last.src_mac, last.dst_mac);
        let (vlan, ethertype) = (last.vlan, last.ethertype);
        match portcullis_wire::parse(self.bytes, LinkType::RawIp, checks) {
            Ok(packet) => Ok(Packet { src_mac, dst_mac, vlan, ethertype, ..packet }),
            Err(found) => Err(Malformed { src_mac, dst_mac, vlan, ethertype, ..found }),
        }
    }
}
