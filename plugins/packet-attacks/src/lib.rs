//! Attacks that one packet, or one datagram's fragments, carry.
//!
//! Most are shapes that the engine's parser names on its way (an *anomaly*); this detector says
//! which of them are attacks, by whom and on whom. The source is named as the offender, but for
//! LAND and smurf, whose source is the victim. Whether the source has proven its address is the
//! engine's to say: anybody can send one packet in another's name, so the manifest calls all of
//! these rules *forgeable*. WinNuke is read from packets to the NetBIOS session port.
//!
//! It keeps no state: every packet is judged by itself, and the flow record says the rest.

use portcullis_plugin_sdk::{Detector, EventKind, EventView, Findings, Init, Party, Reach, tcp};

/// What an anomaly is called by the engine and which rule it is here.
const SHAPES: [(&str, u32); 20] = [
    ("land", 1),
    ("ping_of_death", 2),
    ("fragment_teardrop", 3),
    ("fragment_overlap", 4),
    ("fragment_tiny", 5),
    ("fragment_past_end", 6),
    ("icmpv4_echo_to_group", 8),
    ("tcp_null_flags", 9),
    ("tcp_xmas", 10),
    ("tcp_syn_fin", 11),
    ("tcp_syn_rst", 12),
    ("tcp_fin_only", 13),
    ("ipv4_source_route_loose", 15),
    ("ipv4_source_route_strict", 16),
    ("ipv6_routing_type_0", 17),
    ("ipv6_hop_by_hop_abuse", 18),
    ("ipv6_hop_by_hop_late", 19),
    ("ipv6_duplicate_hop_by_hop", 20),
    ("icmpv6_neighbour_hop_limit", 21),
    ("ipv4_option_length", 22),
];

const TCP: u8 = 6;
/// Out-of-band data to NetBIOS (CVE-1999-0153).
const WINNUKE: u32 = 7;

/// `FlowRec::tcp_state` of a connection whose handshake the engine has seen: both ends speak.
const ESTABLISHED: u8 = 3;
/// The same where one end has said its last: the other may still attack.
const HALF_CLOSED: u8 = 4;

/// Names the attack in a packet's shape.
pub struct PacketAttacks {
    /// Rule by anomaly number; 0 for the others.
    rules: Vec<u32>,
}

impl Detector for PacketAttacks {
    fn new(init: &Init<'_>) -> Self {
        let mut rules = Vec::new();
        for (name, sid) in SHAPES {
            let Some(number) = init.anomaly(name).map(usize::from) else { continue };
            if rules.len() <= number {
                rules.resize(number + 1, 0);
            }
            if let Some(rule) = rules.get_mut(number) {
                *rule = sid;
            }
        }
        PacketAttacks { rules }
    }

    fn on_event(&mut self, event: &EventView<'_>, out: &mut Findings<'_>) {
        match event.kind() {
            Some(EventKind::Anomaly) => {
                let rule = self.rules.get(usize::from(event.code())).copied().unwrap_or(0);
                if rule != 0 {
                    self.shape(rule, event, out);
                }
            }
            Some(EventKind::Packet) if is_winnuke(event) => out
                .find(WINNUKE)
                .text(format_args!("urgent pointer {}", event.event().urgent))
                .send(),
            _ => {}
        }
    }
}

impl PacketAttacks {
    fn shape(&self, rule: u32, event: &EventView<'_>, out: &mut Findings<'_>) {
        let mut finding = out.find(rule);
        if event.source() == event.destination() {
            // Nobody sends to itself by way of others: the source is the victim, as with LAND.
            finding = finding.offender(Party::Nobody);
        }
        if event.protocol() == TCP && !is_proven(event) {
            // Whoever forges a source must not end the connections that its owner is about to
            // open.
            finding = finding.reach(Reach::Packet);
        }
        finding.text(format_args!("{} to {}", event.anomaly(), event.destination())).send();
    }
}

/// Whether the sender of this packet has proven its address on this very flow.
fn is_proven(event: &EventView<'_>) -> bool {
    let flow = event.flow();
    let of_client = event.source() == event.client();
    (if of_client { flow.client_proof } else { flow.server_proof }) != 0
}

/// Out-of-band data within an established session; a server's urgent data harms nobody.
fn is_winnuke(event: &EventView<'_>) -> bool {
    event.tcp_flags() & tcp::URG != 0
        && event.event().urgent != 0
        && event.event().payload_len > 0
        && event.source() == event.client()
        && matches!(event.flow().tcp_state, ESTABLISHED | HALF_CLOSED)
}

portcullis_plugin_sdk::export_detector!(PacketAttacks, include_bytes!("../plugin.toml"));
