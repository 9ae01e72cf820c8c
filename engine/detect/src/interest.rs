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
        for (protocol, seats) in (0u8..=255).zip(self.protocols.iter_mut()) {
            if manifest.protocols.is_empty() || manifest.protocols.contains(&protocol) {
                *seats |= bit;
            }
        }
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
    #[inline]
    pub fn wanting(&self, kind: EventKind, protocol: u8, server_port: u16) -> Seats {
        let kinds = self.kinds.get(usize::from(kind.number())).copied().unwrap_or(0);
        let protocols = self.protocols.get(usize::from(protocol)).copied().unwrap_or(0);
        let seats = kinds & protocols;
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
