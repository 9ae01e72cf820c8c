//! The link header of an answer: the answered frame's own, with its tags as they are (priority tags
//! and priority bits too), so that the answer reaches the place that the frame came from.

use super::{Toward, Unanswered, put};
use portcullis_wire::{Packet, VLAN_TAGS_MAX, ethertype};

/// The longest link header that is answered: addresses, tags, length and SNAP.
pub(super) const LINK_MAX: usize = 12 + 4 * VLAN_TAGS_MAX + 10;

/// Writes the link header for an IP packet of `ip_len` bytes into the emptied buffer.
pub(super) fn header(
    frame: &[u8],
    packet: &Packet,
    toward: Toward,
    ip_len: usize,
    out: &mut Vec<u8>,
) -> Result<(), Unanswered> {
    out.clear();
    let end = usize::from(packet.l3_offset);
    if end == 0 {
        return Ok(());
    }
    let link = frame.get(..end).ok_or(Unanswered::Link)?;
    let at = type_offset(link).ok_or(Unanswered::Link)?;
    out.extend_from_slice(link);
    if toward == Toward::Sender {
        for (to, from) in out.iter_mut().zip(link.iter().skip(6).take(6).chain(link.iter().take(6)))
        {
            *to = *from;
        }
    }
    // An 802.3 header says how long the frame is: LLC and SNAP are 8 bytes of it.
    if end == at + 10 {
        put(out, at, u16::try_from(ip_len + 8).map_err(|_| Unanswered::Link)?);
    }
    Ok(())
}

/// Where the ethertype or length stands, if what follows it is IP and nothing else.
fn type_offset(link: &[u8]) -> Option<usize> {
    let word = |at: usize| match link.get(at..at + 2) {
        Some([a, b]) => Some(u16::from_be_bytes([*a, *b])),
        _ => None,
    };
    let is_ip = |word: u16| matches!(word, ethertype::IPV4 | ethertype::IPV6);
    let mut at = 12;
    for _ in 0..=VLAN_TAGS_MAX {
        match word(at)? {
            ethertype::VLAN | ethertype::SERVICE_VLAN | ethertype::OLD_SERVICE_VLAN => at += 4,
            kind if is_ip(kind) => return (link.len() == at + 2).then_some(at),
            length if length <= 1500 => {
                let snap = link.get(at + 2..at + 8)? == [0xaa, 0xaa, 3, 0, 0, 0];
                let whole = link.len() == at + 10 && is_ip(word(at + 8)?);
                return (snap && whole).then_some(at);
            }
            _ => return None,
        }
    }
    None
}
