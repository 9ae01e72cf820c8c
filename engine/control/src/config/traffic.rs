//! `[wire]` and `[flow]`: which frames are believed, and how conversations are kept.

use super::section::{Section, words};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

words! {
    /// What is done about a wrong checksum.
    ChecksumPolicy {
        /// Not looked at: for ports that hand up frames before the NIC fills it in.
        Ignore = "ignore",
        /// An anomaly event, once per flow; the packet passes and is scanned.
        Report = "report",
        /// The packet is dropped: the receiver would not take it either.
        Drop = "drop",
    }
}

/// `[wire]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wire {
    /// IPv4 header checksums.
    pub checksum_ipv4: ChecksumPolicy,
    /// TCP checksums.
    pub checksum_tcp: ChecksumPolicy,
    /// UDP checksums; zero over IPv4 means that there is none.
    pub checksum_udp: ChecksumPolicy,
    /// ICMP and ICMPv6 checksums.
    pub checksum_icmp: ChecksumPolicy,
    /// Malformations that are dropped in `prevent` mode beside `wire`'s own list, by the names that
    /// anomaly events give them. Others are reported and pass. Which names there are is known to
    /// `wire`.
    pub drop: Vec<String>,
}

impl Default for Wire {
    fn default() -> Self {
        Wire {
            checksum_ipv4: ChecksumPolicy::Drop,
            checksum_tcp: ChecksumPolicy::Report,
            checksum_udp: ChecksumPolicy::Report,
            checksum_icmp: ChecksumPolicy::Report,
            drop: Vec::new(),
        }
    }
}

impl Wire {
    pub(super) fn read(mut s: Section<'_, '_>) -> Self {
        let d = Wire::default();
        let wire = Wire {
            checksum_ipv4: s.word("checksum_ipv4", d.checksum_ipv4),
            checksum_tcp: s.word("checksum_tcp", d.checksum_tcp),
            checksum_udp: s.word("checksum_udp", d.checksum_udp),
            checksum_icmp: s.word("checksum_icmp", d.checksum_icmp),
            drop: s.list("drop", d.drop, reject_name),
        };
        s.finish();
        wire
    }
}

fn reject_name(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

words! {
    /// What is done with a TCP flow whose beginning we did not see.
    Midstream {
        /// It counts as established once both ends have spoken and their numbers fit.
        Accept = "accept",
        /// It never does: its ends are never proven.
        Strict = "strict",
    }
}

words! {
    /// Whose reset in answer to a SYN-ACK proves its source, where nothing of the SYN-ACK is in it.
    ResetProves {
        /// That of a machine on the link, which has announced the address by ARP or ND.
        Neighbours = "neighbours",
        /// Anybody's: whoever forges addresses from beyond a router can have them blocked.
        Always = "always",
        /// Nobody's.
        Never = "never",
    }
}

words! {
    /// What gives way to a new flow when the table is full of flows that are worth keeping.
    WhenFull {
        /// The oldest flow: answered ones before proven ones.
        EvictOldest = "evict-oldest",
        /// The new flow: it is refused and its frames are dropped, counted as `flow_table_full`.
        Refuse = "refuse",
    }
}

words! {
    /// What is done with overlapping fragments.
    Overlap {
        /// Reported, and the datagram passes.
        Report = "report",
        /// Reported, and the rest of the datagram is dropped (in `prevent` mode).
        Drop = "drop",
    }
}

/// `[flow]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flow {
    /// Bytes of the flow tables of all workers together.
    pub memory: u64,
    /// A TCP flow whose handshake is not complete.
    pub tcp_new: Duration,
    /// A TCP flow in use.
    pub tcp_established: Duration,
    /// A TCP flow that both ends closed, or one reset.
    pub tcp_closed: Duration,
    /// A UDP flow that nobody has answered.
    pub udp_new: Duration,
    /// A UDP flow with traffic both ways.
    pub udp_established: Duration,
    /// An ICMP exchange that nobody has answered.
    pub icmp_new: Duration,
    /// An ICMP exchange with traffic both ways.
    pub icmp_established: Duration,
    /// Any other protocol, one way.
    pub other_new: Duration,
    /// Any other protocol, both ways.
    pub other_established: Duration,
    /// What is done with a TCP flow whose beginning we did not see.
    pub midstream: Midstream,
    /// What is done with a new flow when the table is full.
    pub when_full: WhenFull,
    /// Datagrams in pieces that are put together at once, all workers together.
    pub fragments: u32,
    /// Bytes of fragments that wait for the rest of their datagram, all workers together.
    pub fragment_memory: u64,
    /// How long an IPv4 datagram in pieces is followed.
    pub fragment_timeout_v4: Duration,
    /// How long an IPv6 datagram in pieces is followed.
    pub fragment_timeout_v6: Duration,
    /// What is done with overlapping fragments.
    pub fragment_overlap: Overlap,
    /// How long a completed handshake proves its source for other flows.
    pub proof_window: Duration,
    /// Whose bare reset in answer to a SYN-ACK proves its source.
    pub reset_proves: ResetProves,
}

impl Default for Flow {
    /// Timeouts as Suricata ships them, so that flow records of both compare.
    fn default() -> Self {
        let s = Duration::from_secs;
        Flow {
            memory: 256 << 20,
            tcp_new: s(60),
            tcp_established: s(600),
            tcp_closed: s(60),
            udp_new: s(30),
            udp_established: s(300),
            icmp_new: s(30),
            icmp_established: s(300),
            other_new: s(30),
            other_established: s(300),
            midstream: Midstream::Accept,
            when_full: WhenFull::EvictOldest,
            fragments: 4096,
            fragment_memory: 16 << 20,
            fragment_timeout_v4: s(60),
            fragment_timeout_v6: s(60),
            fragment_overlap: Overlap::Drop,
            proof_window: s(300),
            reset_proves: ResetProves::Neighbours,
        }
    }
}

impl Flow {
    pub(super) fn read(mut s: Section<'_, '_>) -> Self {
        let d = Flow::default();
        let range = || Duration::from_secs(1)..=DAY;
        let flow = Flow {
            memory: s.size("memory", d.memory, 1 << 20..=1 << 40),
            tcp_new: s.duration("tcp_new", d.tcp_new, range()),
            tcp_established: s.duration("tcp_established", d.tcp_established, range()),
            tcp_closed: s.duration("tcp_closed", d.tcp_closed, range()),
            udp_new: s.duration("udp_new", d.udp_new, range()),
            udp_established: s.duration("udp_established", d.udp_established, range()),
            icmp_new: s.duration("icmp_new", d.icmp_new, range()),
            icmp_established: s.duration("icmp_established", d.icmp_established, range()),
            other_new: s.duration("other_new", d.other_new, range()),
            other_established: s.duration("other_established", d.other_established, range()),
            midstream: s.word("midstream", d.midstream),
            when_full: s.word("when_full", d.when_full),
            fragments: s.number("fragments", d.fragments, 16..=1 << 20),
            fragment_memory: s.size("fragment_memory", d.fragment_memory, 1 << 18..=1 << 32),
            fragment_timeout_v4: s.duration("fragment_timeout_v4", d.fragment_timeout_v4, range()),
            fragment_timeout_v6: s.duration("fragment_timeout_v6", d.fragment_timeout_v6, range()),
            fragment_overlap: s.word("fragment_overlap", d.fragment_overlap),
            proof_window: s.duration("proof_window", d.proof_window, range()),
            reset_proves: s.word("reset_proves", d.reset_proves),
        };
        s.finish();
        flow
    }
}
