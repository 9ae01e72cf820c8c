//! The numbers in the records' small fields. Unknown numbers are kept and never an error.

macro_rules! numbers {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$vdoc:meta])* $variant:ident = $n:literal $word:literal),+ $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $variant = $n),+ }

        impl $name {
            /// All that this version knows.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// From its number; `None` for one that this version does not know.
            #[inline]
            pub const fn from_number(n: u8) -> Option<Self> {
                match n { $($n => Some($name::$variant),)+ _ => None }
            }

            /// Its number in the records.
            #[inline]
            pub const fn number(self) -> u8 {
                self as u8
            }

            /// The word in manifests and cases.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }

            /// From the word in manifests and cases.
            pub fn named(word: &str) -> Option<Self> {
                match word { $($word => Some($name::$variant),)+ _ => None }
            }
        }
    };
}

numbers! {
    /// What happened.
    EventKind {
        /// A packet of a flow, with its payload up to the snap length.
        Packet = 1 "packet",
        /// The first packet of a flow.
        FlowStart = 2 "flow-start",
        /// The first packet of the other direction: its TCP flags or ICMP type tell open from
        /// closed.
        FlowReply = 3 "flow-reply",
        /// The TCP handshake is complete.
        FlowEstablished = 4 "flow-established",
        /// The flow is over; `code` is the reason.
        FlowEnd = 5 "flow-end",
        /// A piece of a reassembled stream.
        StreamData = 6 "stream-data",
        /// A transaction went on or ended in one direction.
        Transaction = 7 "transaction",
        /// The host's matcher found a pattern.
        Hit = 8 "hit",
        /// The engine found something malformed or odd; `code` is its number.
        Anomaly = 9 "anomaly",
        /// Time passed; comes as the manifest's `tick_ms` says. Has no flow.
        Tick = 10 "tick",
        /// The input is over; the last event there is. Has no flow.
        EndOfInput = 11 "end-of-input",
        /// The client answered our side's SYN-ACK: its address is not forged.
        FlowProven = 12 "flow-proven",
    }
}

numbers! {
    /// Which way a packet of a flow went.
    Direction {
        /// From the client to the server.
        ToServer = 0 "to-server",
        /// From the server to the client.
        ToClient = 1 "to-client",
    }
}

numbers! {
    /// What a buffer holds.
    BufferKind {
        /// The bytes behind the transport header of one packet.
        Payload = 1 "payload",
        /// A piece of a reassembled stream.
        Stream = 2 "stream",
    }
}

numbers! {
    /// How a verdict names its offender and its target; the host resolves it by the event's flow.
    PartyKind {
        /// Nobody can be named, e.g. because the source is forged.
        Nobody = 0 "nobody",
        /// The flow's client.
        Client = 1 "client",
        /// The flow's server.
        Server = 2 "server",
        /// Who sent the packet of the event.
        Source = 3 "source",
        /// Whom the packet of the event was sent to.
        Destination = 4 "destination",
        /// The address in the verdict.
        Given = 5 "given",
        /// The link-layer address in the verdict.
        GivenMac = 6 "given-mac",
    }
}

numbers! {
    /// What a detector has finished with.
    DoneScope {
        /// The event's transaction.
        Transaction = 0 "transaction",
        /// The event's direction of the flow.
        Direction = 1 "direction",
        /// The flow.
        Flow = 2 "flow",
    }
}

numbers! {
    /// What `bit` does; it answers what the bit was before.
    Operation {
        /// Ask only.
        Test = 0 "test",
        /// Set it.
        Set = 1 "set",
        /// Clear it.
        Clear = 2 "clear",
    }
}

/// In a small field of a verdict: as the manifest says for this rule.
pub const AS_MANIFEST: u8 = 0xff;
/// `FlowRec::flags`: the client end is on the protected side.
pub const FLOW_CLIENT_INSIDE: u8 = 1;
/// `FlowRec::flags`: the server end is on the protected side.
pub const FLOW_SERVER_INSIDE: u8 = 2;

/// TCP flags as they are on the wire.
pub mod tcp {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u8 = 0x20;
    /// ECN echo.
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced.
    pub const CWR: u8 = 0x80;
}
