//! The segment's own control traffic, which no block cuts.

use portcullis_wire::{Packet, PacketKind, protocol};

/// Whether a packet is address resolution or neighbour discovery (ICMPv6 133–137 with the hop
/// limit 255 that RFC 4861 demands, so that it cannot have come through a router). Tables are not
/// asked about such packets: a block never cuts the segment's own ARP and ND.
#[inline]
pub fn is_link_control(packet: &Packet) -> bool {
    match packet.kind {
        PacketKind::Arp => true,
        PacketKind::Ip => {
            packet.protocol == protocol::ICMPV6
                && packet.ip_version == 6
                && (133..=137).contains(&packet.icmp_type)
                && packet.ttl == 255
                && packet.fragment.is_none()
        }
        PacketKind::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_wire::build::Craft;
    use portcullis_wire::{Checks, LinkType, parse};

    #[test]
    fn arp_and_neighbour_discovery_only() {
        let control = |craft: Craft| {
            let frame = craft.frame();
            is_link_control(&parse(&frame, LinkType::Ethernet, Checks::ALL).expect("a packet"))
        };
        let (a, b) = ("2001:db8::1", "2001:db8::2");
        assert!(control(Craft::arp(1, "10.0.0.1", "10.0.0.2")));
        assert!(control(Craft::icmp(a, b, 135, 0).ttl(255).payload(&[0; 16])));
        assert!(!control(Craft::icmp(a, b, 135, 0).ttl(64).payload(&[0; 16])));
        assert!(!control(Craft::icmp(a, b, 128, 0).ttl(255)));
        assert!(!control(Craft::icmp("10.0.0.1", "10.0.0.2", 135, 0).ttl(255)));
        assert!(!control(Craft::tcp(a, 1, b, 2)));
    }
}
