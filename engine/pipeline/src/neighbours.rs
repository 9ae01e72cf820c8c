//! Who is on the link itself: what ARP and neighbour discovery announce, for all lanes.
//!
//! Heard where headers are read, before any lane examines a frame of the burst: an announcement
//! goes to one lane, and its flows to others. This file must never know a flow or a verdict.

use crate::burst::InHand;
use crate::counters::LaneCounters;
use portcullis_enforce::is_link_control;
use portcullis_flow::ProvenSources;
use portcullis_types::{Addr, Mac, SegmentId};
use portcullis_wire::{Packet, PacketKind};

const ARP_REQUEST: u16 = 1;
const ARP_REPLY: u16 = 2;
/// RFC 4861, 4.3 and 4.4: the messages, and the options that hold their sender's link address.
const NEIGHBOUR_SOLICITATION: (u8, u8) = (135, 1);
const NEIGHBOUR_ADVERTISEMENT: (u8, u8) = (136, 2);

/// Takes note of what the frame announces, if it does.
#[inline]
pub(crate) fn hear(
    proven: &ProvenSources,
    segment: SegmentId,
    held: &InHand,
    bytes: &[u8],
    counters: &LaneCounters,
) {
    let Some(packet) = held.packet.as_ref().filter(|p| is_link_control(p)) else { return };
    if let Some((address, mac)) = announced(packet, bytes) {
        let kept = proven.announce((segment, packet.vlan), address, mac, held.at);
        counters.announcements.add(1);
        counters.announcements_displaced.add(u64::from(!kept));
    }
}

/// The address that a machine on the link says is its own, with the link address that it names and
/// sends from. Whoever announces for others (a proxy) names another's address or another's machine
/// as its own; nobody beyond a router can say anything here.
fn announced(packet: &Packet, bytes: &[u8]) -> Option<(Addr, Mac)> {
    if !packet.rejects.is_empty() || packet.src_mac == Mac::default() {
        return None;
    }
    let address = match packet.kind {
        // That the sender's hardware address is the frame's own has been looked at.
        PacketKind::Arp if matches!(packet.arp_operation, ARP_REQUEST | ARP_REPLY) => packet.src,
        PacketKind::Ip => discovered(packet, packet.payload(bytes))?,
        PacketKind::Arp | PacketKind::Other => return None,
    };
    let nobody = [Addr::UNSPECIFIED, Addr::v4([0; 4])].contains(&address);
    let own = !nobody && !address.is_group();
    own.then_some((address, packet.src_mac))
}

/// Of a solicitation its source, of an advertisement its target; either only with the option that
/// names the frame's own link address.
fn discovered(packet: &Packet, payload: &[u8]) -> Option<Addr> {
    let (target, options) = payload.split_first_chunk::<16>()?;
    let (address, option) = match packet.icmp_type {
        kind if kind == NEIGHBOUR_SOLICITATION.0 => (packet.src, NEIGHBOUR_SOLICITATION.1),
        kind if kind == NEIGHBOUR_ADVERTISEMENT.0 => (Addr::v6(*target), NEIGHBOUR_ADVERTISEMENT.1),
        _ => return None,
    };
    let named = link_address(options, option)?;
    // An IPv4 address in IPv6's clothes is nobody's here.
    (named == packet.src_mac && !address.is_v4()).then_some(address)
}

/// The option of that kind (RFC 4861, 4.6: lengths are in units of eight bytes).
fn link_address(mut options: &[u8], wanted: u8) -> Option<Mac> {
    while let Some(&[kind, units]) = options.first_chunk::<2>() {
        let (option, behind) = options.split_at_checked(usize::from(units) * 8)?;
        if kind == wanted && units == 1 {
            return option.get(2..)?.first_chunk::<6>().copied().map(Mac);
        }
        if units == 0 {
            return None;
        }
        options = behind;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_wire::build::Craft;
    use portcullis_wire::{Checks, LinkType, parse};

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 7]);

    fn of_frame(frame: &[u8]) -> Option<(Addr, Mac)> {
        let packet = parse(frame, LinkType::Ethernet, Checks::ALL).expect("a packet");
        is_link_control(&packet).then(|| announced(&packet, frame)).flatten()
    }

    fn of(craft: Craft) -> Option<(Addr, Mac)> {
        of_frame(&craft.frame())
    }

    fn addr(text: &str) -> Addr {
        text.parse().expect("an address")
    }

    /// Neighbour discovery's body behind the first eight bytes: a target, and one option.
    fn body(target: &str, option: u8, mac: Mac) -> Vec<u8> {
        let (high, low) = addr(target).halves();
        let option = [&[option, 1][..], &mac.0].concat();
        [&high.to_be_bytes()[..], &low.to_be_bytes(), &option].concat()
    }

    #[test]
    fn arp_announces_its_sender() {
        let (a, b) = ("10.0.0.1", "10.0.0.2");
        let arp = |operation| Craft::arp(operation, a, b).macs(OWN, Mac([0xff; 6]));
        for operation in [1, 2] {
            assert_eq!(of(arp(operation)), Some((addr(a), OWN)));
        }
        assert_eq!(of(arp(8)), None, "not a request, not a reply");
        let mut other = arp(1).frame();
        other[11] ^= 1;
        assert_eq!(of_frame(&other), None, "somebody else's link address");
        let looking = Craft::arp(1, "0.0.0.0", b).macs(OWN, Mac([0xff; 6]));
        assert_eq!(of(looking), None, "a host that looks for a free address has none yet");
    }

    #[test]
    fn neighbour_discovery_announces_by_its_option_and_from_the_link_alone() {
        let (a, group, target) = ("2001:db8::1", "ff02::1:ff00:2", "2001:db8::2");
        let icmp = |from, to, kind, body: &[u8]| {
            Craft::icmp(from, to, kind, 0).ttl(255).macs(OWN, Mac([2; 6])).payload(body)
        };
        let asks = |body: &[u8]| of(icmp(a, group, 135, body));
        assert_eq!(asks(&body(target, 1, OWN)), Some((addr(a), OWN)));
        assert_eq!(asks(&body(target, 1, Mac([2; 6]))), None, "another machine's");
        assert_eq!(asks(&body(target, 2, OWN)), None, "not the source's option");
        assert_eq!(asks(&body(target, 1, OWN)[..16]), None, "no option");
        assert_eq!(asks(&body(target, 1, OWN)[..20]), None, "half an option");
        let answers = |body: &[u8]| of(icmp("fe80::1", a, 136, body));
        assert_eq!(answers(&body(target, 2, OWN)), Some((addr(target), OWN)));
        assert_eq!(answers(&body("::ffff:10.0.0.5", 2, OWN)), None, "an IPv4 address");
        assert_eq!(answers(&body("ff02::1", 2, OWN)), None, "a group");
        let nonce = [&body(target, 14, OWN)[..], &[2, 1], &OWN.0].concat();
        assert_eq!(answers(&nonce), Some((addr(target), OWN)), "behind another option");
        let endless = [&body(target, 14, OWN)[..16], &[14, 0, 2, 1, 0, 0, 0, 0]].concat();
        assert_eq!(answers(&endless), None, "an option without a length");
        let routed = icmp(a, group, 135, &body(target, 1, OWN)).ttl(254);
        assert_eq!(of(routed), None, "it came through a router");
        assert_eq!(of(icmp(a, group, 134, &body(target, 1, OWN))), None, "not of neighbours");
    }
}
