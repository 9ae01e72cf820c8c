//! The fixed-size rows of the tables. Offsets are bytes from the start of the section they name.

use bytemuck::{Pod, Zeroable};

/// "None" in an index.
pub const NONE: u32 = u32::MAX;

/// A row that lies in a table.
pub trait Row: Pod {}

macro_rules! rows {
    ($($name:ident = $size:literal),+ $(,)?) => {$(
        impl Row for $name {}
        const _: () = assert!(size_of::<$name>() == $size);
    )+};
}

rows! {
    RuleRow = 8, LiteralRow = 20, GroupRow = 16, Candidate = 16, Always = 24, RegexRow = 16,
    SetRow = 8, AddressRange = 32, PortRange = 4, Interval = 40, DataSet = 16, StringRow = 8,
    InfoRow = 60, Head = 52,
}
impl Row for u32 {}

/// Where a rule's body lies.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RuleRow {
    /// Offset in the bodies.
    pub at: u32,
    /// Bytes of it.
    pub len: u32,
}

/// [`LiteralRow::flags`].
pub mod literal {
    /// ASCII letters match in either case.
    pub const NOCASE: u16 = 1;
}

/// A literal that the host's matcher looks for.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct LiteralRow {
    /// Offset in the literal bytes.
    pub at: u32,
    /// Bytes of it.
    pub len: u16,
    /// See [`literal`].
    pub flags: u16,
    /// The group that it is scanned in.
    pub group: u32,
    /// Its first candidate.
    pub first: u32,
    /// How many candidates.
    pub count: u32,
}

/// A group of literals that are scanned together. The host scans a buffer with each group whose
/// kind, direction, protocol and ports fit.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct GroupRow {
    /// Kind of buffer, as in the plugin ABI.
    pub kind: u16,
    /// 0 to the server, 1 to the client.
    pub direction: u8,
    /// IP protocol number; 0 any.
    pub protocol: u8,
    /// Port set of the server's port, or [`NONE`] for all.
    pub server_ports: u32,
    /// Port set of the client's port, or [`NONE`] for all.
    pub client_ports: u32,
    /// How many literals; informative.
    pub literals: u32,
}

/// A rule to be tried when a literal was found, with what refuses it soonest.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Candidate {
    /// The rule.
    pub rule: u32,
    /// Application that the flow must have; 0 any.
    pub application: u16,
    /// [`crate::needs`]: the events that the rule is tried on; and [`Candidate::URGENT`].
    pub needs: u8,
    /// IP protocol number; 0 any.
    pub protocol: u8,
    /// The destination's port lies in this range,
    pub port_low: u16,
    /// both ends included.
    pub port_high: u16,
    /// The address set that the source lies in; [`Candidate::ANY`] where the body has to be asked.
    pub source: u16,
    /// The same for the destination.
    pub destination: u16,
}

impl Candidate {
    /// All addresses, both ways, or a set whose number needs more bits.
    pub const ANY: u16 = u16::MAX;
    /// In [`Candidate::needs`]: as [`head::URGENT`].
    pub const URGENT: u8 = 128;
}

/// A rule without a literal: it is tried on every event that fits.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct Always {
    /// Event kind, as in the plugin ABI.
    pub event: u8,
    /// 0 to the server, 1 to the client, 2 either.
    pub direction: u8,
    /// IP protocol number; 0 any.
    pub protocol: u8,
    /// TCP flags of which the packet has at least one; 0 for no such demand.
    pub tcp_flags: u8,
    /// Application that the flow must have; 0 any.
    pub application: u16,
    /// Kind of a buffer that the event must have; 0 none.
    pub buffer: u16,
    /// Anomalies: index of the name in the events' names, or [`NONE`].
    pub code: u32,
    /// The rule; [`NONE`] where the event's addresses say which: see the intervals.
    pub rule: u32,
    /// The destination's port lies in this range,
    pub port_low: u16,
    /// both ends included,
    pub port_high: u16,
    /// and the source's in this.
    pub source_low: u16,
    /// Both ends included.
    pub source_high: u16,
}

/// A regular expression that the host matches.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RegexRow {
    /// The pattern, without slashes: offset in the strings.
    pub pattern_at: u32,
    /// Bytes of it.
    pub pattern_len: u32,
    /// Its flags: offset in the strings.
    pub flags_at: u32,
    /// Bytes of them.
    pub flags_len: u32,
}

/// A run of rows in another table.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SetRow {
    /// The first.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// Addresses from `low` to `high`, IPv4 as `::ffff:a.b.c.d`. A set's ranges are sorted and apart.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct AddressRange {
    /// The first address.
    pub low: [u8; 16],
    /// The last address.
    pub high: [u8; 16],
}

/// Ports from `low` to `high`. A set's ranges are sorted and apart.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct PortRange {
    /// The first port.
    pub low: u16,
    /// The last port.
    pub high: u16,
}

/// Addresses that the same IP-only rules name. A table's intervals are sorted and apart.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Interval {
    /// The first address.
    pub low: [u8; 16],
    /// The last address.
    pub high: [u8; 16],
    /// The first rule's place in the interval rules.
    pub first: u32,
    /// How many rules.
    pub count: u32,
}

/// [`DataSet::kind`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum DataKind {
    /// Byte strings.
    Text = 0,
    /// 16 bytes.
    Md5 = 1,
    /// 32 bytes.
    Sha256 = 2,
    /// Addresses, 16 bytes.
    Address = 3,
}

/// A data set: its members' hashes, sorted.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct DataSet {
    /// [`DataKind`].
    pub kind: u32,
    /// The first member's place, in members of 16 bytes.
    pub first: u32,
    /// How many members.
    pub count: u32,
    /// Its name: index in the set names.
    pub name: u32,
}

/// A string.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct StringRow {
    /// Offset in the strings.
    pub at: u32,
    /// Bytes of it.
    pub len: u32,
}

/// What the host knows of a rule. Sorted by generator and number.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct InfoRow {
    /// Generator.
    pub gid: u32,
    /// Number.
    pub sid: u32,
    /// Revision.
    pub rev: u32,
    /// Priority, 1 the most urgent.
    pub priority: u32,
    /// The message.
    pub message: StringRow,
    /// Class type.
    pub classtype: StringRow,
    /// Category.
    pub category: StringRow,
    /// References, then ATT&CK ids, then metadata (`key value`), in the lists.
    pub lists: u32,
    /// How many references.
    pub references: u16,
    /// How many ATT&CK ids.
    pub attack: u16,
    /// How many entries of metadata.
    pub metadata: u16,
    /// `types::Class`.
    pub class: u8,
    /// `types::Severity`.
    pub severity: u8,
    /// `types::Confidence`.
    pub confidence: u8,
    /// `types::Action`: what the rule asks for.
    pub action: u8,
    /// `PartyKind` of the offender.
    pub offender: u8,
    /// `PartyKind` of the target.
    pub target: u8,
    /// `types::Reach`.
    pub reach: u8,
    /// [`action`] as the rule has it.
    pub verb: u8,
    /// `types::Action`: the most that the rule may do.
    pub ceiling: u8,
    /// Zero.
    pub reserved: u8,
}

/// A rule's own verb.
pub mod action {
    /// Report.
    pub const ALERT: u8 = 0;
    /// Let it pass and try no other rule.
    pub const PASS: u8 = 1;
    /// Drop.
    pub const DROP: u8 = 2;
    /// Drop and say so to the sender.
    pub const REJECT: u8 = 3;
}

/// [`Head::traits`].
pub mod head {
    /// Source and destination may change places.
    pub const BIDIRECTIONAL: u16 = 1;
    /// The rule sets state and says nothing.
    pub const NOALERT: u16 = 2;
    /// Tried once per flow and direction: addresses and ports only.
    pub const IP_ONLY: u16 = 4;
    /// A `pass` rule or a drop that holds for the whole flow, not for its packet alone.
    pub const WHOLE_FLOW: u16 = 8;
    /// It reads contents of the transport's payload.
    pub const READS_PAYLOAD: u16 = 16;
    /// The raw stream alone, never a single packet's payload.
    pub const STREAM_ONLY: u16 = 32;
    /// Single packets alone, never the stream.
    pub const PACKET_ONLY: u16 = 64;
    /// Raw payload beside fields of a protocol: each is tried where it comes, and the rule matches
    /// when both have held in the flow.
    pub const MIXED: u16 = 128;
    /// A `pass` rule that is told: `alert` stands in its options.
    pub const TELLS_PASS: u16 = 256;
    /// It may end or pass what it finds, or others wait for its bits: tried still where a flow can
    /// pay for no other any more. [`super::Candidate::URGENT`] says so where it is found.
    pub const URGENT: u16 = 512;
}

/// The start of a rule's body.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Head {
    /// Number.
    pub sid: u32,
    /// Generator.
    pub gid: u32,
    /// Revision.
    pub rev: u32,
    /// Address set of the source, or [`NONE`] for any.
    pub source: u32,
    /// Address set of the destination, or [`NONE`] for any.
    pub destination: u32,
    /// Port set of the source, or [`NONE`] for any.
    pub source_ports: u32,
    /// Port set of the destination, or [`NONE`] for any.
    pub destination_ports: u32,
    /// [`crate::protocol`]: those that the packet may have.
    pub protocols: u32,
    /// [`crate::flow`]: what the flow must be.
    pub flow: u32,
    /// Application that the flow must have; 0 any.
    pub application: u16,
    /// See [`head`].
    pub traits: u16,
    /// [`action`].
    pub action: u8,
    /// [`crate::needs`].
    pub needs: u8,
    /// Parts, each with its buffer.
    pub parts: u16,
    /// Checks before the parts.
    pub checks: u16,
    /// What is done when all has matched.
    pub effects: u16,
    /// The fast pattern's part, 0xffff none.
    pub fast_part: u16,
    /// How many variables `byte_extract` and `byte_math` fill.
    pub variables: u16,
}
