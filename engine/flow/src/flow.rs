//! The flow: one two-way conversation within one segment and VLAN stack.
//!
//! Three cache lines. The first is all that a lookup compares; the second is what every packet
//! changes; the third is cold. This file must never know the table that holds the flow.

use crate::key::{End, FlowKey, has_ports};
use portcullis_types::{Addr, FlowFacts, Mac, Proof, SegmentId, Tick, VlanStack};
use portcullis_wire::{Reject, RejectSet};

/// Names one flow of one table: a slot and how often it had been used before. A stale id finds
/// nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct FlowId {
    /// The slot, below the table's capacity; a detector's per-flow state is addressed by it.
    pub index: u32,
    /// Which user of the slot.
    pub generation: u32,
}

/// Which way a packet goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Direction {
    /// From the client, who opened the conversation.
    ToServer = 0,
    /// From the server.
    ToClient = 1,
}

impl Direction {
    /// The opposite way.
    #[inline]
    pub const fn other(self) -> Self {
        match self {
            Direction::ToServer => Direction::ToClient,
            Direction::ToClient => Direction::ToServer,
        }
    }
}

/// How far a TCP conversation has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum TcpState {
    /// The flow is no TCP.
    #[default]
    None = 0,
    /// A SYN was seen; awaits the SYN-ACK.
    SynSent = 1,
    /// A SYN-ACK was seen; awaits the client's ACK.
    SynReceived = 2,
    /// Both ends speak; awaits a FIN or RST.
    Established = 3,
    /// One end has sent FIN; awaits the other's.
    Closing = 4,
    /// Both ends have sent FIN.
    Closed = 5,
    /// One end has sent an RST that the other accepts.
    Reset = 6,
    /// Met in the middle, or opened by flags that open nothing; awaits an answer that fits.
    Midstream = 7,
}

impl TcpState {
    /// The word in events (Suricata's where it has one).
    pub const fn name(self) -> &'static str {
        match self {
            TcpState::None => "none",
            TcpState::SynSent => "syn_sent",
            TcpState::SynReceived => "syn_recv",
            TcpState::Established => "established",
            TcpState::Closing => "fin_wait",
            TcpState::Closed => "closed",
            TcpState::Reset => "reset",
            TcpState::Midstream => "midstream",
        }
    }
}

/// What went one way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Frames, including dropped ones, ICMP errors about the flow, and later fragments.
    pub packets: u64,
    /// Their bytes on the wire, link header included.
    pub bytes: u64,
}

/// What is known of one end's TCP numbers: what an RST that the other end accepts needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TcpEnd {
    /// The highest sequence number sent, plus one: what the other end awaits next.
    pub next_seq: u32,
    /// The last acknowledgement number that this end sent.
    pub acked: u32,
    /// The window that this end last offered, unscaled.
    pub window: u16,
    /// How the end has shown that its address is not forged.
    pub proof: Proof,
    pub(crate) marks: u8,
}

impl TcpEnd {
    pub(crate) const SEEN: u8 = 1;
    pub(crate) const FIN: u8 = 2;
    /// Of the client: it has sent a SYN in an established conversation.
    pub(crate) const REOPENING: u8 = 4;
    /// Of the client: the SYN-ACK was sent to the very machine that its SYN came from.
    pub(crate) const REACHED: u8 = 8;

    /// Whether a segment of this end has been seen, so that the numbers mean something.
    #[inline]
    pub fn is_seen(&self) -> bool {
        self.marks & Self::SEEN != 0
    }
}

/// One conversation. Read it freely; what may be written from outside is public.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct Flow {
    // First line: compared and stamped by every packet.
    pub(crate) key: FlowKey,
    pub(crate) last: Tick,
    // Second line: what packets change.
    pub(crate) tallies: [Tally; 2],
    pub(crate) ends: [TcpEnd; 2],
    pub(crate) state: TcpState,
    pub(crate) marks: u16,
    pub(crate) generation: u32,
    // Third line: cold.
    pub(crate) rejects: RejectSet,
    pub(crate) first: Tick,
    pub(crate) id64: u64,
    /// Attack shapes that came from a sender proven by then: bit n is the nth of them.
    pub(crate) attacks_by_proven: u64,
    pub(crate) client_isn: u32,
    pub(crate) server_isn: u32,
    pub(crate) client_mac: Mac,
    pub(crate) server_mac: Mac,
}

const _: () = assert!(size_of::<Flow>() == 192 && size_of::<FlowKey>() == 56);
const _: () = assert!(RejectSet::ATTACK_SHAPES.len() <= 64, "a flow has a bit for each");

pub(crate) mod mark {
    pub(crate) const LIVE: u16 = 1;
    pub(crate) const CLIENT_IS_HIGH: u16 = 1 << 1;
    pub(crate) const CLIENT_INSIDE: u16 = 1 << 2;
    pub(crate) const SERVER_INSIDE: u16 = 1 << 3;
    pub(crate) const TERMINATED: u16 = 1 << 4;
    pub(crate) const DO_NOT_SCAN: u16 = 1 << 5;
    pub(crate) const MIDSTREAM: u16 = 1 << 6;
    /// A fault left a detector's opinion out.
    pub(crate) const UNSCANNED: u16 = 1 << 7;
    pub(crate) const UNREACHABLE: u16 = 1 << 8;
    pub(crate) const CLIENT_ON_B: u16 = 1 << 9;
    pub(crate) const REFUSED: u16 = 1 << 10;
    pub(crate) const REPLIED: u16 = 1 << 11;
    pub(crate) const FIRST_TO_CLIENT: u16 = 1 << 12;
    /// A finding was about it.
    pub(crate) const ALERTED: u16 = 1 << 13;
    // Bits 14 and 15 are the rank's, see `RANK_SHIFT`: the word is full.
}

/// The two highest bits of the marks hold the rank.
const RANK_SHIFT: u16 = 14;

/// What a flow is worth in a full table, least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u16)]
pub(crate) enum Rank {
    /// Closed or reset: only its record is left to be made.
    Spent = 0,
    /// Nobody has shown that the source is not forged.
    Unproven = 1,
    /// The other end has answered.
    Replied = 2,
    /// The client is proven.
    Proven = 3,
}

impl Flow {
    #[inline]
    pub(crate) fn has(&self, mark: u16) -> bool {
        self.marks & mark != 0
    }

    /// What it is worth in a full table.
    #[inline]
    pub(crate) fn worth(&self) -> Rank {
        let answered = if self.is_replied() { Rank::Replied } else { Rank::Unproven };
        match self.state {
            TcpState::None => answered,
            TcpState::Closed | TcpState::Reset if !self.terminated() => Rank::Spent,
            _ if self.client_proof().is_proven() => Rank::Proven,
            TcpState::Established | TcpState::Closing => Rank::Replied,
            _ => Rank::Unproven,
        }
    }

    /// The rank that the table has it in.
    #[inline]
    pub(crate) fn rank(&self) -> Rank {
        match self.marks >> RANK_SHIFT {
            0 => Rank::Spent,
            1 => Rank::Unproven,
            2 => Rank::Replied,
            _ => Rank::Proven,
        }
    }

    pub(crate) fn set_rank(&mut self, rank: Rank) {
        self.marks = self.marks & ((1 << RANK_SHIFT) - 1) | (rank as u16) << RANK_SHIFT;
    }

    #[inline]
    fn client_end(&self) -> End {
        if self.has(mark::CLIENT_IS_HIGH) { End::High } else { End::Low }
    }

    #[inline]
    pub(crate) fn direction_from(&self, end: End) -> Direction {
        if (end == End::High) == self.has(mark::CLIENT_IS_HIGH) {
            Direction::ToServer
        } else {
            Direction::ToClient
        }
    }

    #[inline]
    pub(crate) fn tally_mut(&mut self, direction: Direction) -> &mut Tally {
        let [to_server, to_client] = &mut self.tallies;
        if direction == Direction::ToServer { to_server } else { to_client }
    }

    /// The sender's numbers and the receiver's.
    #[inline]
    pub(crate) fn ends_mut(&mut self, direction: Direction) -> (&mut TcpEnd, &mut TcpEnd) {
        let [client, server] = &mut self.ends;
        if direction == Direction::ToServer { (client, server) } else { (server, client) }
    }

    /// The protected link.
    pub fn segment(&self) -> SegmentId {
        self.key.segment()
    }

    /// The place on it.
    pub fn vlan(&self) -> VlanStack {
        self.key.vlan
    }

    /// The tunnel that it came in, 0 for none.
    pub fn tunnel(&self) -> u32 {
        self.key.tunnel()
    }

    /// The IP protocol's number.
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.key.protocol()
    }

    /// 4 or 6.
    pub fn ip_version(&self) -> u8 {
        self.key.ip_version()
    }

    /// Who opened it. TCP: who sent the SYN, or to whom the first SYN-ACK went; where neither was
    /// seen, see [`Flow::is_midstream`]. ICMP: who sent the request. Else: who spoke first.
    #[inline]
    pub fn client(&self) -> Addr {
        self.key.address(self.client_end())
    }

    /// To whom it was opened.
    #[inline]
    pub fn server(&self) -> Addr {
        self.key.address(self.client_end().other())
    }

    /// The client's port, 0 where the protocol has none.
    pub fn client_port(&self) -> u16 {
        self.port(self.has(mark::CLIENT_IS_HIGH))
    }

    /// The server's port, 0 where the protocol has none.
    #[inline]
    pub fn server_port(&self) -> u16 {
        self.port(!self.has(mark::CLIENT_IS_HIGH))
    }

    #[inline]
    fn port(&self, of_high: bool) -> u16 {
        match (has_ports(self.protocol()), of_high) {
            (false, _) => 0,
            (true, true) => self.key.high_port(),
            (true, false) => self.key.low_port(),
        }
    }

    /// ICMP: the type of the request, and the identifier.
    pub fn icmp(&self) -> Option<(u16, u16)> {
        let icmp = matches!(self.protocol(), crate::key::ICMP | crate::key::ICMP6);
        icmp.then_some((self.key.high_port(), self.key.low_port()))
    }

    /// The client's address on the link, as its first frame had it; zeros before that.
    pub fn client_mac(&self) -> Mac {
        self.client_mac
    }

    /// The server's address on the link, as the first frame had it.
    pub fn server_mac(&self) -> Mac {
        self.server_mac
    }

    /// Whether the client is on the protected side.
    pub fn client_inside(&self) -> bool {
        self.has(mark::CLIENT_INSIDE)
    }

    /// Whether the server is on the protected side.
    pub fn server_inside(&self) -> bool {
        self.has(mark::SERVER_INSIDE)
    }

    /// How the client's address has shown itself on this flow.
    pub fn client_proof(&self) -> Proof {
        self.ends[0].proof
    }

    /// How the server's address has shown itself on this flow.
    pub fn server_proof(&self) -> Proof {
        self.ends[1].proof
    }

    /// What went one way.
    pub fn tally(&self, direction: Direction) -> Tally {
        let [to_server, to_client] = self.tallies;
        if direction == Direction::ToServer { to_server } else { to_client }
    }

    /// The TCP numbers of the end that sends in `direction`.
    pub fn tcp_end(&self, direction: Direction) -> TcpEnd {
        let [client, server] = self.ends;
        if direction == Direction::ToServer { client } else { server }
    }

    /// Sequence space that the sender of that direction has used, its SYN included: 0 before its
    /// first segment, `None` where the conversation's beginning was not seen.
    pub fn stream_size(&self, direction: Direction) -> Option<u32> {
        if self.protocol() != crate::key::TCP || self.is_midstream() {
            return None;
        }
        let end = self.tcp_end(direction);
        let first = match direction {
            Direction::ToServer => self.client_isn,
            Direction::ToClient => self.server_isn,
        };
        Some(if end.is_seen() { end.next_seq.wrapping_sub(first) } else { 0 })
    }

    /// How far TCP has come.
    #[inline]
    pub fn tcp_state(&self) -> TcpState {
        self.state
    }

    /// When its first packet was seen.
    pub fn first(&self) -> Tick {
        self.first
    }

    /// When its last packet was seen.
    pub fn last(&self) -> Tick {
        self.last
    }

    /// EVE's `flow_id`: from seed, key and first packet's time, below 2^53 so that every JSON
    /// reader keeps it, never 0. The same whichever worker has the flow.
    pub fn id64(&self) -> u64 {
        self.id64
    }

    /// Packets were seen both ways (ICMP errors about it do not count).
    #[inline]
    pub fn is_replied(&self) -> bool {
        self.has(mark::REPLIED)
    }

    /// Its opening was not seen; which end is the client is then a guess from the ports.
    pub fn is_midstream(&self) -> bool {
        self.has(mark::MIDSTREAM)
    }

    /// It was terminated and stays dropped until it ends.
    #[inline]
    pub fn terminated(&self) -> bool {
        self.has(mark::TERMINATED)
    }

    /// An exclusion lets it pass unread.
    #[inline]
    pub fn do_not_scan(&self) -> bool {
        self.has(mark::DO_NOT_SCAN)
    }

    /// Lets it pass unread from now on, or no longer.
    pub fn set_do_not_scan(&mut self, scan: Scan) {
        match scan {
            Scan::Skip => self.marks |= mark::DO_NOT_SCAN,
            Scan::Read => self.marks &= !mark::DO_NOT_SCAN,
        }
    }

    /// An ICMP error said that the other end, or the port there, cannot be reached.
    pub fn is_unreachable(&self) -> bool {
        self.has(mark::UNREACHABLE)
    }

    /// Its SYN was answered by an RST.
    pub fn is_refused(&self) -> bool {
        self.has(mark::REFUSED)
    }

    /// The rejects reported so far.
    pub fn rejects(&self) -> RejectSet {
        self.rejects
    }

    /// Of a packet's rejects, the attack shapes that no proven sender had shown on this flow; from
    /// now on one has. Reports are made once per flow, whoever sent it first; but what was seen of
    /// a source that may have been forged must not hide what the same source does once it is known
    /// not to be.
    pub fn first_by_proven(&mut self, rejects: RejectSet) -> RejectSet {
        let shapes = rejects.intersection(RejectSet::ATTACK_SHAPES);
        let bit = |reject: Reject| {
            let below = RejectSet::ATTACK_SHAPES.bits() & ((1 << reject.index()) - 1);
            1u64 << below.count_ones()
        };
        let known = self.attacks_by_proven;
        let fresh: RejectSet = shapes.iter().filter(|&r| known & bit(r) == 0).collect();
        self.attacks_by_proven |= fresh.iter().fold(0, |bits, reject| bits | bit(reject));
        fresh
    }

    /// Whether any finding was about it.
    pub fn alerted(&self) -> bool {
        self.has(mark::ALERTED)
    }

    /// Notes that a finding was about it.
    pub fn set_alerted(&mut self) {
        self.marks |= mark::ALERTED;
    }

    /// Whether a fault left a detector's opinion on it out.
    pub fn unscanned(&self) -> bool {
        self.has(mark::UNSCANNED)
    }

    /// Notes that a fault left a detector's opinion on it out.
    pub fn set_unscanned(&mut self) {
        self.marks |= mark::UNSCANNED;
    }

    /// What `verdict` may know.
    pub fn facts(&self) -> FlowFacts {
        FlowFacts {
            segment: self.key.segment(),
            vlan: self.key.vlan,
            tunnel: self.key.tunnel(),
            protocol: self.key.protocol(),
            client: self.client(),
            server: self.server(),
            client_port: self.client_port(),
            server_port: self.server_port(),
            client_inside: self.client_inside(),
            server_inside: self.server_inside(),
            client_proof: self.client_proof(),
            server_proof: self.server_proof(),
        }
    }
}

/// Whether a flow is read or passes unread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scan {
    /// It is read.
    Read,
    /// It passes unread.
    Skip,
}

/// Why a flow ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EndReason {
    /// Both ends had closed it, or one had reset it.
    Closed,
    /// The table was full and another needed its place.
    Evicted,
    /// The input or the engine ended.
    Shutdown,
    /// Nothing more came.
    Timeout,
}

impl EndReason {
    /// The word in events.
    pub const fn name(self) -> &'static str {
        match self {
            EndReason::Closed => "closed",
            EndReason::Evicted => "evicted",
            EndReason::Shutdown => "shutdown",
            EndReason::Timeout => "timeout",
        }
    }
}

/// What a packet changed about its flow. Each is said once per flow, unless it says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct Changes(pub u16);

impl Changes {
    /// Nothing.
    pub const EMPTY: Changes = Changes(0);
    /// It is the flow's first packet.
    pub const STARTED: Changes = Changes(1);
    /// It is the first packet against the direction of the flow's first.
    pub const REPLIED: Changes = Changes(1 << 1);
    /// TCP is established.
    pub const ESTABLISHED: Changes = Changes(1 << 2);
    /// The client's address is proven from now on; record it in [`crate::ProvenSources`].
    pub const PROVEN: Changes = Changes(1 << 3);
    /// The server's address is proven from now on; record it likewise.
    pub const SERVER_PROVEN: Changes = Changes(1 << 4);
    /// Both ends have closed.
    pub const CLOSED: Changes = Changes(1 << 5);
    /// An RST that counts.
    pub const RESET: Changes = Changes(1 << 6);
    /// With [`Changes::RESET`]: it answered a SYN, so the port is closed.
    pub const REFUSED: Changes = Changes(1 << 7);
    /// An ICMP error said so of the other end or of the port there. The packet is that error.
    pub const UNREACHABLE: Changes = Changes(1 << 8);
    /// `rejects` holds something that this flow has not reported before. Per packet.
    pub const REJECTED: Changes = Changes(1 << 9);
    /// Other flows ended to make place for this one; take them with
    /// [`crate::FlowTable::take_ended`] before telling anyone of this one's start. Per packet.
    pub const OTHERS_ENDED: Changes = Changes(1 << 10);

    /// Whether all of `wanted` are set.
    #[inline]
    pub const fn has(self, wanted: Changes) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// Whether nothing changed.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds others.
    #[inline]
    pub fn add(&mut self, others: Changes) {
        self.0 |= others.0;
    }

    /// Those of both.
    #[inline]
    #[must_use]
    pub const fn with(self, others: Changes) -> Changes {
        Changes(self.0 | others.0)
    }
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const NAMES: [&str; 11] = [
            "started",
            "replied",
            "established",
            "proven",
            "server_proven",
            "closed",
            "reset",
            "refused",
            "unreachable",
            "rejected",
            "others_ended",
        ];
        let set = NAMES.iter().enumerate().filter(|(bit, _)| self.0 >> bit & 1 == 1);
        f.debug_set().entries(set.map(|(_, name)| name)).finish()
    }
}
