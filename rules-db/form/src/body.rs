//! A rule's body: its head, the checks of packet and flow, the parts, and the effects.

use crate::codec::{Read, Write};
use crate::rows::Head;
use crate::steps::{Part, Value};
use alloc::vec::Vec;
use bytemuck::Zeroable;

/// [`Head::protocols`]: bits of the protocols that a rule is about.
pub mod protocol {
    /// Any transport on IP.
    pub const IP: u32 = 1;
    /// TCP.
    pub const TCP: u32 = 2;
    /// UDP.
    pub const UDP: u32 = 4;
    /// ICMP on IPv4.
    pub const ICMP: u32 = 8;
    /// ICMPv6.
    pub const ICMPV6: u32 = 16;
    /// SCTP.
    pub const SCTP: u32 = 32;
    /// On IPv4 alone.
    pub const IPV4: u32 = 64;
    /// On IPv6 alone.
    pub const IPV6: u32 = 128;
    /// Whatever it is, IP or not.
    pub const PACKET: u32 = 256;
    /// Another transport: those in [`crate::Check::Protocols`].
    pub const OTHER: u32 = 512;
}

/// [`Head::flow`]: what the flow and the packet must be.
pub mod flow {
    /// The packet goes to the server.
    pub const TO_SERVER: u32 = 1;
    /// The packet goes to the client.
    pub const TO_CLIENT: u32 = 2;
    /// The connection is established.
    pub const ESTABLISHED: u32 = 4;
    /// It is not.
    pub const NOT_ESTABLISHED: u32 = 8;
    /// Whether it is does not matter.
    pub const STATELESS: u32 = 16;
    /// The reassembled stream alone.
    pub const ONLY_STREAM: u32 = 32;
    /// Packets alone.
    pub const NO_STREAM: u32 = 64;
    /// Packets put together from fragments alone.
    pub const ONLY_FRAG: u32 = 128;
    /// Other packets alone.
    pub const NO_FRAG: u32 = 256;
}

/// [`Head::needs`]: the kinds of events that a rule is tried on.
pub mod needs {
    /// Single packets.
    pub const PACKET: u8 = 1;
    /// Pieces of the reassembled stream.
    pub const STREAM: u8 = 2;
    /// Transactions of the application.
    pub const TRANSACTION: u8 = 4;
    /// What the engine found malformed.
    pub const ANOMALY: u8 = 8;
    /// The first packet of each direction of a flow.
    pub const FLOW: u8 = 16;
}

/// Numbers from `low` to `high`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// The first.
    pub low: u64,
    /// The last.
    pub high: u64,
}

/// Whether a number lies in a range, or does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Comparison {
    /// It must not.
    pub negated: bool,
    /// The range.
    pub range: Range,
}

impl Comparison {
    /// In this range.
    pub fn within(low: u64, high: u64) -> Comparison {
        Comparison { negated: false, range: Range { low, high } }
    }

    /// Whether it holds.
    pub fn holds(&self, n: u64) -> bool {
        (self.range.low <= n && n <= self.range.high) != self.negated
    }
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $n:literal),+ $(,)?) => {
        /// A number that a packet or a flow has.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum Field { $($(#[$doc])* $name = $n),+ }

        impl Field {
            fn numbered(n: u8) -> Option<Field> {
                match n { $($n => Some(Field::$name),)+ _ => None }
            }
        }
    };
}

fields! {
    /// Bytes behind the transport header.
    PayloadSize = 0,
    /// Time to live, hop limit.
    Ttl = 1,
    /// Type of service, traffic class.
    Tos = 2,
    /// Identification of an IPv4 packet.
    IpId = 3,
    /// IP protocol.
    IpProtocol = 4,
    /// Upper three bits of the fragment field of an IPv4 header, as a number of 16 bits.
    FragmentBits = 5,
    /// Offset of a fragment, in eight bytes.
    FragmentOffset = 6,
    /// TCP sequence number.
    Sequence = 7,
    /// TCP acknowledgement number.
    Acknowledgement = 8,
    /// TCP window.
    Window = 9,
    /// TCP maximum segment size.
    SegmentSize = 10,
    /// ICMP type.
    IcmpType = 11,
    /// ICMP code.
    IcmpCode = 12,
    /// ICMP identifier.
    IcmpId = 13,
    /// ICMP sequence number.
    IcmpSequence = 14,
    /// Seconds since the flow began.
    FlowAge = 15,
    /// Packets to the server so far.
    FlowPacketsToServer = 16,
    /// Packets to the client so far.
    FlowPacketsToClient = 17,
    /// Bytes to the server so far.
    FlowBytesToServer = 18,
    /// Bytes to the client so far.
    FlowBytesToClient = 19,
    /// The IPv4 options that are there: a bit for each option number (the type's lower five bits).
    IpOptions = 20,
    /// Bytes of the stream to the server so far.
    StreamToServer = 21,
    /// Bytes of the stream to the client so far.
    StreamToClient = 22,
    /// Outermost VID.
    Vid0 = 23,
    /// Second VID.
    Vid1 = 24,
    /// Third VID.
    Vid2 = 25,
    /// MTU that an ICMPv6 message names.
    IcmpMtu = 26,
    /// 4 or 6.
    IpVersion = 27,
}

/// What happens to a flow bit, or is asked of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "named after the keywords")]
pub enum Flowbit {
    IsSet = 0,
    IsNotSet = 1,
    Set = 2,
    Unset = 3,
    Toggle = 4,
}

/// What a count or a bit is kept by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Track {
    /// The packet's source.
    Source = 0,
    /// The packet's destination.
    Destination = 1,
    /// Both, whichever way round.
    Pair = 2,
    /// The rule alone.
    Rule = 3,
    /// The flow.
    Flow = 4,
    /// The transaction.
    Transaction = 5,
}

/// What a packet, its flow or the engine's memory must say; or, as an effect, what is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Check {
    /// A number.
    Number {
        /// Which.
        field: Field,
        /// What it must be.
        comparison: Comparison,
    },
    /// Bits of a number: `value & mask` compared by `mode`.
    Bits {
        /// Which; TCP flags have a check of their own.
        field: Field,
        /// `flags` and `fragbits`: 0 exactly, 1 all of them and more, 2 any, 3 not all.
        mode: u8,
        /// Those that are asked for.
        bits: u32,
        /// Those that do not count.
        ignored: u32,
    },
    /// `flags`, as [`Check::Bits`].
    TcpFlags {
        /// See [`Check::Bits`].
        mode: u8,
        /// Those that are asked for.
        bits: u8,
        /// Those that do not count.
        ignored: u8,
    },
    /// `flowbits`: any of these.
    Flowbits {
        /// What is asked or done.
        operation: Flowbit,
        /// Names' numbers.
        bits: Vec<u16>,
    },
    /// `xbits`, `hostbits`.
    Xbits {
        /// What is asked or done.
        operation: Flowbit,
        /// The name's number.
        bit: u16,
        /// By what.
        track: Track,
        /// How long it stays set.
        expire_s: u32,
    },
    /// `flowint` compared: 0 <, 1 >, 2 =, 3 <=, 4 >=, 5 !=, 6 is set, 7 is not set;
    /// done: 8 =, 9 +, 10 -.
    Flowint {
        /// The name's number.
        variable: u16,
        /// See above.
        operation: u8,
        /// With what: a number, or the number of another one's name.
        value: u32,
        /// `value` is a name's number.
        named: bool,
    },
    /// `stream_size`; side 0 server, 1 client, 2 both, 3 either.
    StreamSize {
        /// See above.
        side: u8,
        /// What it must be.
        comparison: Comparison,
    },
    /// `sameip`.
    SameAddress,
    /// An anomaly of the engine: index in the event names. Each of these is one or more of the
    /// engine's names with blanks between them, `4/` or `6/` before one for that version of IP.
    Anomaly {
        /// The index.
        name: u32,
    },
    /// `app-layer-protocol`.
    Application {
        /// Its number.
        application: u16,
        /// Must not be it.
        negated: bool,
    },
    /// `threshold`; kind 0 limit, 1 threshold, 2 both, 3 detection filter, 4 backoff.
    Threshold {
        /// See above.
        kind: u8,
        /// By what.
        track: Track,
        /// So many
        count: u32,
        /// in so long.
        seconds: u32,
        /// Backoff: the next is told at so many times as many.
        multiplier: u32,
    },
    /// What this engine cannot know: never holds.
    Never,
    /// The address lies in a set; side 0 source, 1 destination, 2 either, 3 both.
    Address {
        /// See above.
        side: u8,
        /// Must not lie in it.
        negated: bool,
        /// The set.
        set: u32,
    },
    /// As an effect: nothing is told where the address lies in the set ([`crate::NONE`]: ever);
    /// side as in [`Check::Address`].
    Suppress {
        /// See above.
        side: u8,
        /// The set.
        set: u32,
    },
    /// As an effect: once counted `count` times in `seconds`, the rule has another action
    /// ([`crate::action`]) for `timeout` seconds.
    RateFilter {
        /// By what.
        track: Track,
        /// The other action.
        action: u8,
        /// So many
        count: u32,
        /// in so long.
        seconds: u32,
        /// For how long.
        timeout: u32,
    },
    /// The packet's IP protocol is in this list, or not.
    Protocols {
        /// Must not be.
        negated: bool,
        /// Numbers.
        numbers: Vec<u8>,
    },
    /// `dataset` of addresses: the source (0) or destination (1).
    AddressData {
        /// Whose.
        side: u8,
        /// The set.
        set: u32,
        /// 0 is set, 1 is not set, 2 set, 3 unset.
        operation: u8,
    },
}

/// A whole rule.
#[derive(Clone, PartialEq, Debug)]
pub struct Body {
    /// What refuses it soonest.
    pub head: Head,
    /// Of packet and flow.
    pub checks: Vec<Check>,
    /// Of buffers.
    pub parts: Vec<Part>,
    /// Done, in order, when all has matched. A threshold that does not hold keeps the rule quiet.
    pub effects: Vec<Check>,
}

impl Body {
    /// As bytes. The head's counts are filled in.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut head = self.head;
        head.checks = u16::try_from(self.checks.len()).unwrap_or(0);
        head.parts = u16::try_from(self.parts.len()).unwrap_or(0);
        head.effects = u16::try_from(self.effects.len()).unwrap_or(0);
        out.bytes(bytemuck::bytes_of(&head));
        self.checks.iter().for_each(|c| c.write(&mut out));
        self.parts.iter().for_each(|p| p.write(&mut out));
        self.effects.iter().for_each(|c| c.write(&mut out));
        out
    }

    /// From bytes; `None` for anything that [`Body::to_bytes`] did not write.
    pub fn from_bytes(bytes: &[u8]) -> Option<Body> {
        let (head_bytes, rest) = bytes.split_at_checked(size_of::<Head>())?;
        let mut head = Head::zeroed();
        bytemuck::bytes_of_mut(&mut head).copy_from_slice(head_bytes);
        let mut r = Read(rest);
        let checks = (0..head.checks).map(|_| Check::read(&mut r)).collect::<Option<_>>()?;
        let parts = (0..head.parts).map(|_| Part::read(&mut r)).collect::<Option<_>>()?;
        let effects = (0..head.effects).map(|_| Check::read(&mut r)).collect::<Option<_>>()?;
        r.0.is_empty().then_some(Body { head, checks, parts, effects })
    }
}

impl Check {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Check::Number { field, comparison } => {
                out.byte(1);
                out.byte(*field as u8);
                comparison.write(out);
            }
            Check::Bits { field, mode, bits, ignored } => {
                out.bytes(&[2, *field as u8, *mode]);
                out.u32(*bits);
                out.u32(*ignored);
            }
            Check::TcpFlags { mode, bits, ignored } => out.bytes(&[3, *mode, *bits, *ignored]),
            Check::Flowbits { operation, bits } => {
                out.bytes(&[4, *operation as u8]);
                out.byte(u8::try_from(bits.len()).unwrap_or(0));
                bits.iter().for_each(|b| out.u16(*b));
            }
            Check::Xbits { operation, bit, track, expire_s } => {
                out.bytes(&[5, *operation as u8, *track as u8]);
                out.u16(*bit);
                out.u32(*expire_s);
            }
            Check::Flowint { variable, operation, value, named } => {
                out.bytes(&[6, *operation, u8::from(*named)]);
                out.u16(*variable);
                out.u32(*value);
            }
            Check::StreamSize { side, comparison } => {
                out.bytes(&[7, *side]);
                comparison.write(out);
            }
            other => other.write_rest(out),
        }
    }

    fn write_rest(&self, out: &mut Vec<u8>) {
        match self {
            Check::SameAddress => out.byte(8),
            Check::Anomaly { name } => {
                out.byte(9);
                out.u32(*name);
            }
            Check::Application { application, negated } => {
                out.bytes(&[10, u8::from(*negated)]);
                out.u16(*application);
            }
            Check::Threshold { kind, track, count, seconds, multiplier } => {
                out.bytes(&[11, *kind, *track as u8]);
                [count, seconds, multiplier].iter().for_each(|n| out.u32(**n));
            }
            Check::Protocols { negated, numbers } => {
                out.bytes(&[12, u8::from(*negated)]);
                out.block(numbers);
            }
            Check::AddressData { side, set, operation } => {
                out.bytes(&[13, *side, *operation]);
                out.u32(*set);
            }
            Check::Address { side, negated, set } => {
                out.bytes(&[14, *side, u8::from(*negated)]);
                out.u32(*set);
            }
            Check::Suppress { side, set } => {
                out.bytes(&[15, *side]);
                out.u32(*set);
            }
            Check::RateFilter { track, action, count, seconds, timeout } => {
                out.bytes(&[16, *track as u8, *action]);
                [count, seconds, timeout].iter().for_each(|n| out.u32(**n));
            }
            _ => out.byte(0),
        }
    }

    fn read(r: &mut Read<'_>) -> Option<Check> {
        Some(match r.byte()? {
            0 => Check::Never,
            1 => Check::Number {
                field: Field::numbered(r.byte()?)?,
                comparison: Comparison::read(r)?,
            },
            2 => Check::Bits {
                field: Field::numbered(r.byte()?)?,
                mode: r.byte()?,
                bits: r.u32()?,
                ignored: r.u32()?,
            },
            3 => Check::TcpFlags { mode: r.byte()?, bits: r.byte()?, ignored: r.byte()? },
            4 => {
                let (operation, count) = (Flowbit::numbered(r.byte()?)?, r.byte()?);
                let bits = (0..count).map(|_| r.u16()).collect::<Option<_>>()?;
                Check::Flowbits { operation, bits }
            }
            5 => Check::Xbits {
                operation: Flowbit::numbered(r.byte()?)?,
                track: Track::numbered(r.byte()?)?,
                bit: r.u16()?,
                expire_s: r.u32()?,
            },
            6 => Check::Flowint {
                operation: r.byte()?,
                named: r.byte()? != 0,
                variable: r.u16()?,
                value: r.u32()?,
            },
            7 => Check::StreamSize { side: r.byte()?, comparison: Comparison::read(r)? },
            tag => Check::read_rest(tag, r)?,
        })
    }

    fn read_rest(tag: u8, r: &mut Read<'_>) -> Option<Check> {
        Some(match tag {
            8 => Check::SameAddress,
            9 => Check::Anomaly { name: r.u32()? },
            10 => Check::Application { negated: r.byte()? != 0, application: r.u16()? },
            11 => Check::Threshold {
                kind: r.byte()?,
                track: Track::numbered(r.byte()?)?,
                count: r.u32()?,
                seconds: r.u32()?,
                multiplier: r.u32()?,
            },
            12 => Check::Protocols { negated: r.byte()? != 0, numbers: r.block()? },
            13 => Check::AddressData { side: r.byte()?, operation: r.byte()?, set: r.u32()? },
            14 => Check::Address { side: r.byte()?, negated: r.byte()? != 0, set: r.u32()? },
            15 => Check::Suppress { side: r.byte()?, set: r.u32()? },
            16 => Check::RateFilter {
                track: Track::numbered(r.byte()?)?,
                action: r.byte()?,
                count: r.u32()?,
                seconds: r.u32()?,
                timeout: r.u32()?,
            },
            _ => return None,
        })
    }
}

impl Flowbit {
    fn numbered(n: u8) -> Option<Flowbit> {
        use Flowbit::{IsNotSet, IsSet, Set, Toggle, Unset};
        [IsSet, IsNotSet, Set, Unset, Toggle].get(usize::from(n)).copied()
    }
}

impl Track {
    fn numbered(n: u8) -> Option<Track> {
        use Track::{Destination, Flow, Pair, Rule, Source, Transaction};
        [Source, Destination, Pair, Rule, Flow, Transaction].get(usize::from(n)).copied()
    }
}

/// A step's value that is a plain number.
impl From<i64> for Value {
    fn from(n: i64) -> Value {
        Value::Number(n)
    }
}
