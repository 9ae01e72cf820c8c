//! Who wants which events: the first thing that an event meets, and mostly the last.

use crate::limits::PLUGINS_MAX;
use crate::manifest::{Manifest, Shard};
use portcullis_plugin_abi::{EventKind, FlowRec};
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// A set of a host's plugins, by their seats.
pub type Seats = u32;

const _: () = assert!(Seats::BITS as usize == PLUGINS_MAX);

/// One bit per server port.
type Ports = Box<[u64; 1024]>;

/// Which of a host's plugins want an event of some kind, protocol and server port.
#[derive(Clone)]
pub struct Interests {
    kinds: [Seats; 16],
    protocols: Box<[Seats; 256]>,
    /// Plugins that want plain packets of a protocol.
    packet_protocols: Box<[Seats; 256]>,
    /// Plugins that want all ports.
    all_ports: Seats,
    ports: Vec<(Seats, Ports)>,
    /// Plugins that want all anomalies.
    all_anomalies: Seats,
    anomalies: Vec<Seats>,
    shards: [Seats; 3],
}

impl Default for Interests {
    fn default() -> Self {
        Interests {
            kinds: [0; 16],
            protocols: Box::new([0; 256]),
            packet_protocols: Box::new([0; 256]),
            all_ports: 0,
            ports: Vec::new(),
            all_anomalies: 0,
            anomalies: Vec::new(),
            shards: [0; 3],
        }
    }
}

impl Interests {
    /// Adds a plugin in a seat (0–31); `anomalies` are the engine's names by their numbers.
    pub(crate) fn add(&mut self, seat: usize, manifest: &Manifest, anomalies: &[String]) {
        let bit: Seats = 1 << (seat % PLUGINS_MAX);
        for kind in &manifest.events {
            if let Some(seats) = self.kinds.get_mut(usize::from(kind.number())) {
                *seats |= bit;
            }
        }
        mark(&mut self.protocols, bit, &manifest.protocols);
        let of_packets = match manifest.packet_protocols.is_empty() {
            true => &manifest.protocols,
            false => &manifest.packet_protocols,
        };
        mark(&mut self.packet_protocols, bit, of_packets);
        if manifest.ports.is_empty() {
            self.all_ports |= bit;
        } else {
            self.ports.push((bit, ports(&manifest.ports)));
        }
        if manifest.anomalies.is_empty() {
            self.all_anomalies |= bit;
        }
        self.anomalies.resize(anomalies.len(), 0);
        for (name, seats) in anomalies.iter().zip(&mut self.anomalies) {
            if manifest.anomalies.contains(name) {
                *seats |= bit;
            }
        }
        if let Some(seats) = self.shards.get_mut(manifest.shard as usize) {
            *seats |= bit;
        }
    }

    /// Which plugins want it; 0, for most events, in about a nanosecond.
    ///
    /// Protocols and ports narrow packets and what happens to flows, not anomalies: those come from
    /// any protocol, and names narrow them ([`Interests::wanting_anomaly`]).
    #[inline]
    pub fn wanting(&self, kind: EventKind, protocol: u8, server_port: u16) -> Seats {
        let kinds = self.kinds.get(usize::from(kind.number())).copied().unwrap_or(0);
        if kind == EventKind::Anomaly {
            return kinds;
        }
        let packet = kind == EventKind::Packet;
        let protocols = if packet { &self.packet_protocols } else { &self.protocols };
        let seats = kinds & protocols.get(usize::from(protocol)).copied().unwrap_or(0);
        if seats & !self.all_ports == 0 {
            return seats;
        }
        self.by_port(seats, protocol, server_port)
    }

    fn by_port(&self, seats: Seats, protocol: u8, port: u16) -> Seats {
        let mut out = seats & self.all_ports;
        // Ports narrow TCP, UDP and SCTP; other protocols have none.
        if !matches!(protocol, 6 | 17 | 132) {
            return seats;
        }
        for (bit, ports) in &self.ports {
            let word = ports.get(usize::from(port >> 6)).copied().unwrap_or(0);
            if word >> (port & 63) & 1 == 1 {
                out |= seats & bit;
            }
        }
        out
    }

    /// Which of `seats` want the anomaly of this number.
    #[inline]
    pub fn wanting_anomaly(&self, seats: Seats, code: u16) -> Seats {
        let named = self.anomalies.get(usize::from(code)).copied().unwrap_or(0);
        seats & (self.all_anomalies | named)
    }

    /// Whether any plugin reads packets or streams.
    pub fn readers(&self) -> Seats {
        self.kinds.get(1).copied().unwrap_or(0) | self.kinds.get(6).copied().unwrap_or(0)
    }

    /// Host scope: to which of `shards` an event goes for which plugins. At most three routes,
    /// with the same shard more than once where both addresses fall together.
    pub fn routes(&self, seats: Seats, flow: &FlowRec, shards: usize) -> [(usize, Seats); 3] {
        let [source, target, none] = self.shards.map(|s| s & seats);
        [
            (shard_of(&flow.client, shards), source),
            (shard_of(&flow.server, shards), target),
            (0, none),
        ]
    }
}

const _: () = assert!(
    Shard::Source as usize == 0 && Shard::Target as usize == 1 && Shard::None as usize == 2
);

/// The shard of an address. The key is fixed: a replay must come out the same for every seed.
pub fn shard_of(addr: &[u8; 16], shards: usize) -> usize {
    let mut hasher = SipHasher13::new_with_keys(0x7368_6172, 0x645f_6f66);
    hasher.write(addr);
    let shards = shards.max(1) as u64;
    usize::try_from(hasher.finish() % shards).unwrap_or(0)
}

/// Marks the protocols that a plugin wants; none named means all.
fn mark(all: &mut [Seats; 256], bit: Seats, wanted: &[u8]) {
    for (protocol, seats) in (0u8..=255).zip(all.iter_mut()) {
        if wanted.is_empty() || wanted.contains(&protocol) {
            *seats |= bit;
        }
    }
}

fn ports(ranges: &[(u16, u16)]) -> Ports {
    let mut out = Box::new([0u64; 1024]);
    for &(first, last) in ranges {
        for port in first..=last {
            if let Some(word) = out.get_mut(usize::from(port >> 6)) {
                *word |= 1 << (port & 63);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn interests(lines: &str) -> Interests {
        let manifest = format!(
            "name = \"x\"\nvendor = \"x\"\nversion = \"1\"\nabi = 1\nclasses = [\"attack\"]\n\
             scope = \"flow\"\ngid = 1\nsids = [1, 9]\n{lines}\n"
        );
        let manifest = Manifest::parse(manifest.as_bytes()).unwrap();
        let mut interests = Interests::default();
        interests.add(0, &manifest, &["land".to_owned(), "tcp_xmas".to_owned()]);
        interests
    }

    #[test]
    fn protocols_and_ports_narrow_packets_and_flows_but_not_anomalies() {
        let of = interests(
            "events = [\"anomaly\", \"packet\", \"flow-start\"]\nprotocols = [\"tcp\"]\n\
             ports = [139]\nanomalies = [\"land\"]",
        );
        for kind in [EventKind::Packet, EventKind::FlowStart] {
            assert_eq!(of.wanting(kind, 6, 139), 1);
            assert_eq!((of.wanting(kind, 6, 80), of.wanting(kind, 17, 139)), (0, 0));
        }
        for (protocol, port) in [(6, 139), (6, 80), (17, 139), (1, 0)] {
            let seats = of.wanting(EventKind::Anomaly, protocol, port);
            assert_eq!((of.wanting_anomaly(seats, 0), of.wanting_anomaly(seats, 1)), (1, 0));
        }
    }

    #[test]
    fn packets_have_protocols_of_their_own_where_the_manifest_says_so() {
        let of = interests(
            "events = [\"packet\", \"flow-start\"]\nprotocols = [\"tcp\"]\n\
             packet_protocols = [\"arp\"]",
        );
        assert_eq!(
            (of.wanting(EventKind::Packet, 0, 0), of.wanting(EventKind::Packet, 6, 1)),
            (1, 0)
        );
        assert_eq!(of.wanting(EventKind::FlowStart, 6, 1), 1);
        assert_eq!(of.wanting(EventKind::FlowStart, 0, 0), 0);
    }
}
