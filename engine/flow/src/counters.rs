//! What the table counts. Per worker; `control` adds them up.

/// One field per outcome. *started = live + the sum of `ended_…`* holds at all times.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlowCounters {
    /// Flows begun.
    pub started: u64,
    /// Flows in the table now.
    pub live: u64,
    /// Most flows there ever were at once.
    pub live_max: u64,
    /// Flows that ended because nothing more came.
    pub ended_timeout: u64,
    /// Flows that had been closed or reset, or were followed by another between the same ends.
    pub ended_closed: u64,
    /// Flows that ended because the input did.
    pub ended_shutdown: u64,
    /// Closed flows that gave way in a full table.
    pub evicted_spent: u64,
    /// Unproven flows that gave way in a full table.
    pub evicted_unproven: u64,
    /// Answered flows that gave way in a full table.
    pub evicted_replied: u64,
    /// Proven flows that gave way in a full table.
    pub evicted_proven: u64,
    /// Packets refused because the table was full.
    pub refused: u64,
    /// End-of-flow records lost because nobody took them in time.
    pub ended_lost: u64,
    /// Flows begun without a handshake.
    pub midstream: u64,
    /// Flows whose client was proven.
    pub proven: u64,
    /// Half-open attempts that their client took back by an RST that proves nobody.
    pub resets_unproven: u64,
    /// Packets of TCP that came in by the port where the other end lives; they change no state.
    pub wrong_port: u64,
    /// Packets that belong to no flow: ARP, what is not IP, and lone fragments.
    pub flowless: u64,
    /// Fragments of datagrams whose first one named a flow that was there.
    pub fragment_followed: u64,
    /// ICMP errors that belong to the flow they quote.
    pub icmp_attached: u64,
    /// ICMP errors that quote no known flow, or do not fit it; they are flows of their own.
    pub icmp_stray: u64,
    /// Times that the emergency timeouts came into force.
    pub emergencies: u64,
}

impl FlowCounters {
    /// Flows that gave way in a full table.
    pub fn evicted(&self) -> u64 {
        self.evicted_spent + self.evicted_unproven + self.evicted_replied + self.evicted_proven
    }

    /// Flows that have ended.
    pub fn ended(&self) -> u64 {
        self.ended_timeout + self.ended_closed + self.ended_shutdown + self.evicted()
    }
}
