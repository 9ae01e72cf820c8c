//! How a probe is made, by its first packet. This file must never know sources or thresholds.

use portcullis_plugin_sdk::{EventView, tcp};

/// How a host probes another. The number is the last part of a rule's `sid`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Technique {
    /// A SYN that no operating system sends: without the options of a real connection.
    Syn = 1,
    /// The SYN of an operating system's own connection.
    Connect = 2,
    /// FIN alone.
    Fin = 3,
    /// No flag.
    Null = 4,
    /// FIN, PSH and URG.
    Xmas = 5,
    /// ACK of a connection that does not exist.
    Ack = 6,
    /// FIN and ACK of a connection that does not exist (Uriel Maimon, Phrack 49).
    Maimon = 7,
    /// A datagram.
    Udp = 8,
    /// An ICMP echo request.
    Echo = 9,
    /// An ICMP timestamp request.
    Timestamp = 10,
    /// An ICMP address mask request.
    Mask = 11,
    /// An ARP request.
    Arp = 12,
}

/// What techniques are judged together, under the same thresholds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    /// Honest hosts do the same all day; only failures tell.
    Open,
    /// No honest host sends it.
    Stealth,
    /// What an honest host sends in connections whose beginning was not seen.
    Midstream,
    /// Datagrams: silence says little.
    Datagram,
    /// Hosts rather than ports, by ICMP.
    Ping,
    /// Hosts rather than ports, by ARP.
    Resolve,
}

/// Bytes of a frame up to which a TCP SYN over IPv4 has at most one option; every operating system
/// of this century sends more (Windows 66, Linux 74), raw scanners 54 to 60.
const BARE_SYN_BYTES: u32 = 61;
/// Where classic traceroute sends its datagrams: one port a hop, so it looks like a scan.
const TRACEROUTE: std::ops::RangeInclusive<u16> = 33_434..=33_700;
/// Below these ports there are servers only.
const SYSTEM_PORTS: u16 = 1024;

impl Technique {
    /// How the flow that starts with this event probes; `None` for what is no probe.
    pub(crate) fn of(event: &EventView<'_>) -> Option<Technique> {
        match event.protocol() {
            6 => Technique::of_tcp(event),
            17 => {
                // From a system port to a high one: the answer to a question that was not seen.
                let answer =
                    event.client_port() < SYSTEM_PORTS && event.server_port() >= SYSTEM_PORTS;
                (!answer && !TRACEROUTE.contains(&event.server_port())).then_some(Technique::Udp)
            }
            1 => match event.event().icmp_type {
                8 => Some(Technique::Echo),
                13 => Some(Technique::Timestamp),
                17 => Some(Technique::Mask),
                _ => None,
            },
            58 => (event.event().icmp_type == 128).then_some(Technique::Echo),
            _ => None,
        }
    }

    fn of_tcp(event: &EventView<'_>) -> Option<Technique> {
        const XMAS: u8 = tcp::FIN | tcp::PSH | tcp::URG;
        const MAIMON: u8 = tcp::FIN | tcp::ACK;
        match event.tcp_flags() & !(tcp::ECE | tcp::CWR) {
            0 => Some(Technique::Null),
            tcp::FIN => Some(Technique::Fin),
            XMAS => Some(Technique::Xmas),
            tcp::SYN => {
                let record = event.flow();
                let ipv6 = if record.ip_version == 6 { 20 } else { 0 };
                let more = ipv6 + 4 * u32::from(record.vlan_depth) + event.event().payload_len;
                let bare = event.event().wire_len.saturating_sub(more) <= BARE_SYN_BYTES;
                Some(if bare { Technique::Syn } else { Technique::Connect })
            }
            tcp::ACK if event.event().payload_len == 0 => Some(Technique::Ack),
            MAIMON if event.event().payload_len == 0 => Some(Technique::Maimon),
            _ => None,
        }
    }

    pub(crate) fn family(self) -> Family {
        match self {
            Technique::Syn | Technique::Connect => Family::Open,
            Technique::Fin | Technique::Null | Technique::Xmas => Family::Stealth,
            Technique::Ack | Technique::Maimon => Family::Midstream,
            Technique::Udp => Family::Datagram,
            Technique::Echo | Technique::Timestamp | Technique::Mask => Family::Ping,
            Technique::Arp => Family::Resolve,
        }
    }

    /// Whether two probes belong to the same scan.
    pub(crate) fn is_like(self, other: Technique) -> bool {
        self == other || self.family() == Family::Open && other.family() == Family::Open
    }

    /// Whether the targets are hosts and not ports.
    pub(crate) fn is_sweep(self) -> bool {
        matches!(self.family(), Family::Ping | Family::Resolve)
    }

    /// The word in a finding's text.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Technique::Syn => "SYN",
            Technique::Connect => "connect",
            Technique::Fin => "FIN",
            Technique::Null => "NULL",
            Technique::Xmas => "XMAS",
            Technique::Ack => "ACK",
            Technique::Maimon => "Maimon",
            Technique::Udp => "UDP",
            Technique::Echo => "ICMP echo",
            Technique::Timestamp => "ICMP timestamp",
            Technique::Mask => "ICMP mask",
            Technique::Arp => "ARP",
        }
    }
}
