//! What the table is told at start: sizes, timeouts and policies.

use crate::flow::{Flow, TcpState};
use crate::key::{ICMP, ICMP6, TCP, UDP};
use crate::slab::{Index, Lists};
use crate::table::{ENDED_MAX, HEADS, PendingEnd};
use crate::timers::BUCKETS;
use portcullis_types::MemoryTerm;
use std::time::Duration;

/// How many flows a table may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// As many as fit in these bytes, all else of the table included.
    Bytes(u64),
    /// Exactly so many; at least 16, at most 2^30.
    Flows(u32),
}

/// What happens to a new flow when the table is full of flows that are worth keeping.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WhenFull {
    /// The oldest one goes: answered flows before proven ones.
    #[default]
    EvictOldest,
    /// The new one is refused; only ended and unproven flows give way.
    Refuse,
}

/// What a TCP conversation is whose opening was not seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Midstream {
    /// Established once both ends have spoken and their numbers fit (Suricata: `midstream: true`).
    #[default]
    Accept,
    /// Never established.
    Strict,
}

/// Whose bare RST to a SYN-ACK proves its sender.
///
/// A half-open scanner answers so. But the number in it is the sender's own, known without seeing
/// the answer: whoever forges addresses from beyond a router can send the same. An RST that
/// acknowledges the SYN-ACK's own number proves anybody.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ResetProves {
    /// That of a machine on the link, which has announced the address as its own
    /// ([`crate::ProvenSources::announce`]) and to which the SYN-ACK was sent.
    #[default]
    Neighbours,
    /// Anybody's, as long as it comes from the machine that sent the SYN.
    Always,
    /// Nobody's.
    Never,
}

/// How long a flow is kept after its last packet, as long as there is room.
///
/// The defaults are `flow-timeouts` of Suricata 7's `suricata.yaml`; SCTP is `default` there too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// TCP before it is established: 60 s.
    pub tcp_new: Duration,
    /// TCP established, closing, or terminated by a verdict: 600 s.
    pub tcp_established: Duration,
    /// TCP closed or reset: 60 s.
    pub tcp_closed: Duration,
    /// UDP seen one way: 30 s.
    pub udp_new: Duration,
    /// UDP seen both ways: 300 s.
    pub udp_established: Duration,
    /// ICMP seen one way: 30 s.
    pub icmp_new: Duration,
    /// ICMP seen both ways: 300 s.
    pub icmp_established: Duration,
    /// Other protocols seen one way: 30 s.
    pub default_new: Duration,
    /// Other protocols seen both ways: 300 s.
    pub default_established: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let s = Duration::from_secs;
        Timeouts {
            tcp_new: s(60),
            tcp_established: s(600),
            tcp_closed: s(60),
            udp_new: s(30),
            udp_established: s(300),
            icmp_new: s(30),
            icmp_established: s(300),
            default_new: s(30),
            default_established: s(300),
        }
    }
}

impl Timeouts {
    /// Suricata's emergency values, used while the table is nearly full.
    pub fn emergency() -> Self {
        let s = Duration::from_secs;
        Timeouts {
            tcp_new: s(5),
            tcp_established: s(100),
            tcp_closed: s(10),
            udp_new: s(10),
            udp_established: s(100),
            icmp_new: s(10),
            icmp_established: s(100),
            default_new: s(10),
            default_established: s(100),
        }
    }

    /// Nanoseconds by [`Class`].
    pub(crate) fn table(&self) -> [u64; CLASSES] {
        let ns = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        [
            ns(self.tcp_new),
            ns(self.tcp_established),
            ns(self.tcp_closed),
            ns(self.udp_new),
            ns(self.udp_established),
            ns(self.icmp_new),
            ns(self.icmp_established),
            ns(self.default_new),
            ns(self.default_established),
        ]
    }
}

pub(crate) const CLASSES: usize = 9;

/// Which timeout a flow has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Class {
    TcpNew = 0,
    TcpEstablished = 1,
    TcpClosed = 2,
    UdpNew = 3,
    UdpEstablished = 4,
    IcmpNew = 5,
    IcmpEstablished = 6,
    DefaultNew = 7,
    DefaultEstablished = 8,
}

impl Class {
    #[inline]
    pub(crate) fn of(flow: &Flow) -> Class {
        let lasting = flow.terminated() || flow.is_replied();
        match (flow.protocol(), lasting) {
            (TCP, _) if flow.terminated() => Class::TcpEstablished,
            (TCP, _) => match flow.state {
                TcpState::Established | TcpState::Closing => Class::TcpEstablished,
                TcpState::Closed | TcpState::Reset => Class::TcpClosed,
                _ => Class::TcpNew,
            },
            (UDP, false) => Class::UdpNew,
            (UDP, true) => Class::UdpEstablished,
            (ICMP | ICMP6, false) => Class::IcmpNew,
            (ICMP | ICMP6, true) => Class::IcmpEstablished,
            (_, false) => Class::DefaultNew,
            (_, true) => Class::DefaultEstablished,
        }
    }
}

/// Everything that a table is told at start.
#[derive(Clone, Copy, Debug)]
pub struct FlowConfig {
    /// How many flows.
    pub size: Size,
    /// Whose hash it is; secret and random when live, fixed where a replay must repeat itself.
    pub seed: [u8; 16],
    /// How long flows are kept.
    pub timeouts: Timeouts,
    /// How long they are kept while the table is nine tenths full, until it is seven tenths full.
    pub emergency: Timeouts,
    /// Conversations met in the middle.
    pub midstream: Midstream,
    /// Whose bare RST proves its sender.
    pub reset_proves: ResetProves,
    /// What gives way in a full table.
    pub when_full: WhenFull,
}

impl FlowConfig {
    /// The defaults for so much room.
    pub fn with_size(size: Size, seed: [u8; 16]) -> Self {
        FlowConfig {
            size,
            seed,
            timeouts: Timeouts::default(),
            emergency: Timeouts::emergency(),
            midstream: Midstream::default(),
            reset_proves: ResetProves::default(),
            when_full: WhenFull::default(),
        }
    }

    /// How many flows there will be room for; never under 16.
    pub fn capacity(&self) -> u32 {
        const MOST: u32 = 1 << 30;
        match self.size {
            Size::Flows(flows) => flows.clamp(16, MOST),
            Size::Bytes(bytes) => {
                let (mut fits, mut over) = (16, MOST);
                while over - fits > 1 {
                    let middle = fits + (over - fits) / 2;
                    if self.bytes(middle) <= bytes { fits = middle } else { over = middle }
                }
                fits
            }
        }
    }

    fn bytes(&self, flows: u32) -> u64 {
        self.terms(flows).iter().map(|(_, bytes)| bytes).sum()
    }

    /// The sum, term by term.
    fn terms(&self, flows: u32) -> [(&'static str, u64); 4] {
        let ended = ENDED_MAX as u64 * size_of::<PendingEnd>() as u64;
        [
            ("flow table: flows of 192 bytes", u64::from(flows) * size_of::<Flow>() as u64),
            ("flow table: index, at most two thirds full", Index::bytes(flows)),
            // The wheel orders flows by when they end, the ranks by what they are worth.
            (
                "flow table: wheel and ranks",
                Lists::bytes(flows, BUCKETS) + Lists::bytes(flows, HEADS),
            ),
            ("flow table: ended flows not yet taken", ended),
        ]
    }

    /// What a table of this configuration takes, all at start.
    pub fn memory_terms(&self) -> Vec<MemoryTerm> {
        let flows = self.capacity();
        let term = |(what, bytes): (&str, u64)| MemoryTerm {
            what: format!("{what} ({flows} flows)"),
            bytes,
        };
        self.terms(flows).into_iter().map(term).collect()
    }
}
