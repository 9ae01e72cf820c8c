//! Who wants which events: the first thing that an event meets, and mostly the last.

use crate::limits::PLUGINS_MAX;
use crate::manifest::{Manifest, Shard};
use crate::pattern::{Always, Bare};
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
    /// Plugins that want all application protocols.
    all_applications: Seats,
    applications: [Seats; APPLICATIONS],
    /// Plugins that want packets, streams and transactions only with hits.
    only_hits: Seats,
    /// Plugins that can have patterns.
    looking: Seats,
    /// What they want without, by the number of the kind.
    always: [Vec<(Seats, Always)>; 16],
}

/// Application protocols that an interest can name.
const APPLICATIONS: usize = 64;

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
            all_applications: 0,
            applications: [0; APPLICATIONS],
            only_hits: 0,
            looking: 0,
            always: Default::default(),
        }
    }
}

impl Interests {
    /// Adds a plugin in a seat (0–31); `anomalies` are the engine's names by their numbers.
    pub(crate) fn add(
        &mut self,
        seat: usize,
        manifest: &Manifest,
        anomalies: &[String],
        always: &[Always],
    ) {
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
        self.all_applications |= if manifest.applications.is_empty() { bit } else { 0 };
        for &application in &manifest.applications {
            if let Some(seats) = self.applications.get_mut(usize::from(application)) {
                *seats |= bit;
            }
        }
        self.looking |= if manifest.looks() { bit } else { 0 };
        if manifest.only_hits {
            self.only_hits |= bit;
            for row in always {
                let rows = self.always.get_mut(usize::from(row.kind.number()));
                let Some(rows) = rows else { continue };
                match rows.iter_mut().find(|(_, known)| known == row) {
                    Some((seats, _)) => *seats |= bit,
                    None => rows.push((bit, *row)),
                }
            }
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

    /// Which of `seats` want streams and transactions of this application protocol.
    #[inline]
    pub fn wanting_application(&self, seats: Seats, application: u16) -> Seats {
        let named = self.applications.get(usize::from(application)).copied().unwrap_or(0);
        seats & (self.all_applications | named)
    }

    /// Which of `seats` want such an event though none of their patterns was found in it: those
    /// that do not say `only_hits`, those whose rules always want it. All, for kinds of events
    /// that carry no bytes.
    #[inline]
    pub fn wanting_without_hits(
        &self,
        seats: Seats,
        kind: EventKind,
        direction: u8,
        flow: &FlowRec,
    ) -> Seats {
        use EventKind::{Packet, StreamData, Transaction};
        let choosy = seats & self.only_hits;
        if choosy == 0 || !matches!(kind, Packet | StreamData | Transaction) {
            return seats;
        }
        let mut out = seats & !choosy;
        let event = Bare {
            kind,
            protocol: flow.protocol,
            direction,
            application: flow.application,
            client_port: flow.client_port,
            server_port: flow.server_port,
        };
        for (of, row) in self.always.get(usize::from(kind.number())).into_iter().flatten() {
            if row.covers(&event) {
                out |= choosy & of;
            }
        }
        out
    }

    /// Whether any plugin wants such an event though none of its patterns was found: what is asked
    /// before a record is built. `shows` says whether the event has a kind of buffer.
    #[inline]
    pub fn wants_anyway(&self, event: &Bare, tcp_flags: u8, shows: impl Fn(u16) -> bool) -> bool {
        let kind = event.kind;
        let mut seats = self.wanting(kind, event.protocol, event.server_port);
        if matches!(kind, EventKind::StreamData | EventKind::Transaction) {
            seats = self.wanting_application(seats, event.application);
        }
        if seats & !self.only_hits != 0 {
            return true;
        }
        let rows = self.always.get(usize::from(kind.number())).into_iter().flatten();
        rows.into_iter().any(|(of, row)| {
            seats & of != 0
                && (row.tcp_flags == 0 || row.tcp_flags & tcp_flags != 0)
                && row.covers(event)
                && (row.buffer == 0 || shows(row.buffer))
        })
    }

    /// Which plugins want a kind of event at all.
    #[inline]
    pub fn readers_of(&self, kind: EventKind) -> Seats {
        self.kinds.get(usize::from(kind.number())).copied().unwrap_or(0)
    }

    /// Which plugins can have patterns.
    #[inline]
    pub(crate) fn looking(&self) -> Seats {
        self.looking
    }

    /// Which plugins read packets, streams or transactions.
    pub fn readers(&self) -> Seats {
        use EventKind::{Packet, StreamData, Transaction};
        [Packet, StreamData, Transaction].iter().fold(0, |all, &kind| all | self.readers_of(kind))
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
    // With one shard, as shipped, there is nothing to choose.
    if shards <= 1 {
        return 0;
    }
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
    use portcullis_plugin_abi::application;

    const ALWAYS: &[Always] = &[Always {
        kind: EventKind::Transaction,
        protocol: Some(6),
        direction: Some(1),
        application: Some(application::TLS),
        tcp_flags: 0,
        buffer: 0,
        source_ports: (0, u16::MAX),
        destination_ports: (0, u16::MAX),
    }];

    fn interests(lines: &str) -> Interests {
        let manifest = format!(
            "name = \"x\"\nvendor = \"x\"\nversion = \"1\"\nabi = 1\nclasses = [\"attack\"]\n\
             scope = \"flow\"\ngid = 1\nsids = [1, 9]\n{lines}\n"
        );
        let manifest = Manifest::parse(manifest.as_bytes()).unwrap();
        let mut interests = Interests::default();
        interests.add(0, &manifest, &["land".to_owned(), "tcp_xmas".to_owned()], ALWAYS);
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
    fn streams_and_transactions_are_narrowed_by_application_and_hits() {
        let of = interests(
            "events = [\"transaction\", \"packet\", \"flow-start\"]\nonly_hits = true\n\
             applications = [\"http\", \"tls\"]\ncapabilities = [\"pattern\"]",
        );
        let by = |application| of.wanting_application(1, application);
        assert_eq!([application::HTTP, application::TLS].map(by), [1, 1]);
        assert_eq!([application::UNKNOWN, application::DNS, application::FAILED].map(by), [0; 3]);
        let tls = application::TLS;
        let flow = FlowRec { protocol: 6, application: tls, ..bytemuck::Zeroable::zeroed() };
        let without = |kind, direction| of.wanting_without_hits(1, kind, direction, &flow);
        assert_eq!(without(EventKind::Transaction, 1), 1, "always");
        assert_eq!(without(EventKind::Transaction, 0), 0);
        assert_eq!((without(EventKind::Packet, 1), without(EventKind::FlowStart, 1)), (0, 1));
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
