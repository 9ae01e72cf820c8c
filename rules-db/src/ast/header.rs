//! The part of a rule before its bracket, and the `flow` keyword. Knows addresses and ports as
//! sets of numbers, never the variables that they came from except by their text.

use std::net::IpAddr;

/// The action word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum RuleAction {
    /// Tell.
    Alert,
    /// Let the flow pass.
    Pass,
    /// Drop the packet and the rest of the flow.
    Drop,
    /// Drop, and answer the source (`reject`, `rejectsrc`).
    RejectSource,
    /// Drop, and answer the destination.
    RejectDestination,
    /// Drop, and answer both.
    RejectBoth,
    /// `config`: changes what the engine does with the flow; see [`super::Effect::Configure`].
    Config,
}

/// What the header's addresses and ports apply to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Arrow {
    /// `->`: left is the packet's source.
    Forward,
    /// `<>`: either way round.
    Both,
}

/// Everything before the bracket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// What to do.
    pub action: RuleAction,
    /// Which packets.
    pub protocol: Protocol,
    /// Left addresses.
    pub source: AddressSet,
    /// Left ports.
    pub source_ports: PortSet,
    /// How the two sides relate.
    pub arrow: Arrow,
    /// Right addresses.
    pub destination: AddressSet,
    /// Right ports.
    pub destination_ports: PortSet,
}

/// The protocol word, resolved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protocol {
    /// As written, lower case.
    pub word: String,
    /// Which IP versions.
    pub versions: IpVersions,
    /// Which IP protocol numbers; empty: all.
    pub transports: Vec<u8>,
    /// `abi::application` number that the flow must have; `None`: any.
    pub application: Option<u16>,
    /// Where contents without a sticky buffer look.
    pub data: DataWanted,
}

/// Which IP versions a rule is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum IpVersions {
    /// Both, and frames that are not IP (`pkthdr`).
    Any,
    /// `ip4`, `ipv4`, `tcp4`, ….
    V4,
    /// `ip6`, `ipv6`, `tcp6`, ….
    V6,
}

/// Where a content without a sticky buffer looks. In a TCP rule that says nothing: in the stream
/// where there is one, and in the packet's payload too where `dsize`, `tcp-pkt` or `flow:no_stream`
/// ask for it or where offset/depth bind it to a packet's beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum DataWanted {
    /// As the rule's tests need.
    Either,
    /// `tcp-pkt`, `no_stream`: packet payloads only.
    Packet,
    /// `tcp-stream`, `only_stream`: reassembled data only.
    Stream,
    /// `pkthdr`: no payload, only headers and events.
    HeaderOnly,
}

/// A set of addresses: sorted, disjoint, not adjacent, inclusive ranges.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AddressSet {
    /// IPv4, as numbers in host order.
    pub v4: Vec<(u32, u32)>,
    /// IPv6.
    pub v6: Vec<(u128, u128)>,
    /// As written, e.g. `$HOME_NET`.
    pub text: String,
}

impl AddressSet {
    /// All addresses there are.
    pub fn any() -> Self {
        Self { v4: vec![(0, u32::MAX)], v6: vec![(0, u128::MAX)], text: "any".to_owned() }
    }

    /// Whether it holds all addresses, and so need not be tested.
    pub fn is_any(&self) -> bool {
        self.v4 == [(0, u32::MAX)] && self.v6 == [(0, u128::MAX)]
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(a) => within(&self.v4, u32::from(a)),
            IpAddr::V6(a) => within(&self.v6, u128::from(a)),
        }
    }
}

/// A set of ports: sorted, disjoint, not adjacent, inclusive ranges.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PortSet {
    /// The ranges; `any` is `[(0, 65535)]`.
    pub ranges: Vec<(u16, u16)>,
    /// As written, e.g. `$HTTP_PORTS`.
    pub text: String,
}

impl PortSet {
    /// All ports there are.
    pub fn any() -> Self {
        Self { ranges: vec![(0, u16::MAX)], text: "any".to_owned() }
    }

    /// Whether it holds all ports, and so need not be tested.
    pub fn is_any(&self) -> bool {
        self.ranges == [(0, u16::MAX)]
    }

    /// Whether a port is in it.
    pub fn contains(&self, port: u16) -> bool {
        within(&self.ranges, port)
    }
}

fn within<T: Ord + Copy>(ranges: &[(T, T)], n: T) -> bool {
    let at = ranges.partition_point(|r| r.0 <= n);
    at.checked_sub(1).and_then(|i| ranges.get(i)).is_some_and(|r| n <= r.1)
}

/// The `flow` keyword. All fields at their default where the rule has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Flow {
    /// `to_server`/`from_client`, `to_client`/`from_server`.
    pub direction: Option<FlowDirection>,
    /// `established`, `not_established`, `stateless`.
    pub state: FlowState,
    /// `only_stream`, `no_stream`.
    pub stream: FlowPart,
    /// `only_frag`, `no_frag`.
    pub fragment: FlowPart,
}

/// Which way the packet of a match goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum FlowDirection {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

/// What must be known of the flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum FlowState {
    /// Nothing is asked.
    #[default]
    Any,
    /// Both sides have spoken (TCP: handshake complete).
    Established,
    /// Not yet so.
    NotEstablished,
    /// Any state, also packets without one.
    Stateless,
}

/// Whether only, or never, packets of this make.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum FlowPart {
    /// Either.
    #[default]
    Any,
    /// Only those.
    Only,
    /// None of those.
    Not,
}
