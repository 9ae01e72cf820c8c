//! Tests on facts of the packet, the flow and the transaction, not on bytes of a buffer.

use super::{AddressSet, NumberTest, Polarity};

/// One fact. The keyword of each is in its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Condition {
    /// `dsize`: bytes behind the transport header of one packet.
    Dsize(NumberTest),
    /// `ttl`: time to live or hop limit.
    Ttl(NumberTest),
    /// `tos`: the whole byte.
    Tos(NumberTest),
    /// `id`: IPv4 identification.
    IpId(NumberTest),
    /// `ip_proto`.
    IpProto(NumberTest),
    /// `fragbits`.
    FragBits(FragBits),
    /// `fragoffset`: in units of 8 bytes.
    FragOffset(NumberTest),
    /// `ipopts`.
    IpOpts(IpOption),
    /// `sameip`: source and destination are the same address.
    SameIp,
    /// `l3_proto`: 4 or 6.
    IpVersion(u8),
    /// `flags`, `tcp.flags`.
    TcpFlags(TcpFlags),
    /// `seq`.
    Seq(u32),
    /// `ack`.
    Ack(u32),
    /// `window`.
    Window(NumberTest),
    /// `tcp.mss`.
    Mss(NumberTest),
    /// `itype`: of ICMP or ICMPv6.
    IcmpType(NumberTest),
    /// `icode`.
    IcmpCode(NumberTest),
    /// `icmp_id`.
    IcmpId(u16),
    /// `icmp_seq`.
    IcmpSeq(u16),
    /// `icmpv6.mtu`.
    Icmpv6Mtu(NumberTest),
    /// `ipv4-csum`, `tcpv4-csum`, …: whether that checksum is right.
    Checksum(ChecksumOf, ChecksumIs),
    /// `stream_size`.
    StreamSize(StreamSize),
    /// `flow.age`: seconds since the flow's first packet.
    FlowAge(NumberTest),
    /// `flowbits:isset` and `isnotset`.
    Flowbits(BitTest),
    /// `xbits:isset` and `isnotset`, and `hostbits`.
    Xbits(XbitTest),
    /// `flowint` with a comparison, `isset` or `notset`.
    Flowint(FlowintTest),
    /// `flowvar`, `pktvar`: what a pcre captured contains these bytes.
    Captured(CapturedTest),
    /// `iprep`.
    IpReputation(IpReputation),
    /// `app-layer-protocol`.
    AppLayerProtocol(AppLayerProtocol),
    /// `app-layer-event`: `http.request_header_invalid`, or without a dot one of the general
    /// ones, e.g. `applayer_mismatch_protocol_both_directions`.
    AppLayerEvent(String),
    /// `decode-event`: Suricata's name, e.g. `ipv4.pkt_too_small`.
    DecodeEvent(String),
    /// `stream-event`: Suricata's name without `stream.`, e.g. `3whs_synack_in_wrong_direction`.
    StreamEvent(String),
    /// A number buffer (`abi::buffer_kind` from 200 on): `dns.opcode`, `dns.rrtype`,
    /// `dns.rcode`, `tls.cert_chain_len`, `filesize`, `tls.version`.
    Number {
        /// `abi::buffer_kind`.
        kind: u16,
        /// What it must be; with several instances, any of them.
        test: NumberTest,
    },
    /// `ssl_version`, `tls.version`: the version on the wire is (not) one of these.
    TlsVersion {
        /// E.g. 0x0303; sorted. SSLv2 is 0x0200.
        versions: Vec<u16>,
        /// `!`.
        polarity: Polarity,
    },
    /// `ssl_state`: what has been seen of the handshake.
    TlsState {
        /// Bits of [`tls_state`]; one of them is enough.
        states: u16,
        /// `!`.
        polarity: Polarity,
    },
    /// `tls_cert_notbefore`, `tls_cert_notafter`: seconds since 1970.
    TlsCertTime {
        /// Which of the two.
        end: CertEnd,
        /// When.
        test: NumberTest,
    },
    /// `tls_cert_expired`: the packet's time is after the certificate's end.
    TlsCertExpired,
    /// `tls_cert_valid`: the packet's time is within the certificate's.
    TlsCertValid,
    /// `filemd5`, `filesha1`, `filesha256`.
    FileHash(FileHash),
    /// `ftpbounce`: a PORT command names another address than the client's.
    FtpBounce,
}

/// Bits of [`Condition::TlsState`] and of the buffer `tls.state`.
pub mod tls_state {
    /// A client hello.
    pub const CLIENT_HELLO: u16 = 1;
    /// A server hello.
    pub const SERVER_HELLO: u16 = 2;
    /// A client key exchange.
    pub const CLIENT_KEYX: u16 = 4;
    /// A server key exchange.
    pub const SERVER_KEYX: u16 = 8;
    /// None of these.
    pub const UNKNOWN: u16 = 16;
}

/// How bits are compared, in `flags` and `fragbits`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum BitsMode {
    /// Exactly these (among those not ignored).
    Exact,
    /// `+`: all of these, others as they like.
    All,
    /// `*`: any of these.
    Any,
    /// `!`: none of these.
    None,
}

/// `flags`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct TcpFlags {
    /// As on the wire.
    pub flags: u8,
    /// Bits that do not count (behind the comma).
    pub ignored: u8,
    /// How.
    pub mode: BitsMode,
}

/// `fragbits`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct FragBits {
    /// The upper three bits of the IPv4 fragment field as it is on the wire, as a number of 16
    /// bits: 0x8000 reserved, 0x4000 don't fragment, 0x2000 more fragments.
    pub bits: u16,
    /// How.
    pub mode: BitsMode,
}

/// `ipopts`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum IpOption {
    /// `any`: some option other than padding.
    Any,
    /// The option's type byte: rr 7, lsrr 0x83, lsrre 0x83, eol 0, nop 1, ts 0x44, sec 0x82,
    /// esec 0x85, ssrr 0x89, satid 0x88, cipso 0x86.
    Number(u8),
}

/// Whose checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ChecksumOf {
    /// IPv4 header.
    Ipv4,
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
    /// UDP over IPv4.
    UdpV4,
    /// UDP over IPv6.
    UdpV6,
    /// ICMP.
    IcmpV4,
    /// ICMPv6.
    IcmpV6,
    /// IGMP.
    Igmp,
}

/// Whether it is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ChecksumIs {
    /// It is.
    Valid,
    /// It is not.
    Invalid,
}

/// `stream_size`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct StreamSize {
    /// Whose.
    pub side: StreamSide,
    /// Bytes acknowledged or sent so far.
    pub size: NumberTest,
}

/// Whose bytes count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum StreamSide {
    /// Sent by the client.
    Client,
    /// Sent by the server.
    Server,
    /// Both must pass.
    Both,
    /// One of them must pass.
    Either,
}

/// `flowbits:isset,a|b`.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct BitTest {
    /// The bits' names; one of them is enough (for `isnotset`: one that is not set is enough).
    pub names: Vec<String>,
    /// `isset` is plain, `isnotset` negated.
    pub polarity: Polarity,
}

/// Whose bit an xbit is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum XbitTrack {
    /// `ip_src`: the source address of the packet.
    Source,
    /// `ip_dst`.
    Destination,
    /// `ip_pair`: the two addresses, either way round.
    Pair,
    /// `tx`: the transaction.
    Transaction,
}

/// `xbits:isset` and `isnotset`.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct XbitTest {
    /// The bit.
    pub name: String,
    /// Whose.
    pub track: XbitTrack,
    /// `isset` is plain.
    pub polarity: Polarity,
}

/// What a `flowint` is compared with or changed by.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum FlowintValue {
    /// A number.
    Number(u32),
    /// Another flowint of the same flow.
    Named(String),
}

/// How a flowint is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum FlowintOperator {
    /// `<`.
    Less,
    /// `<=`.
    LessEqual,
    /// `==`.
    Equal,
    /// `!=`.
    NotEqual,
    /// `>=`.
    GreaterEqual,
    /// `>`.
    Greater,
}

/// `flowint` as a test.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct FlowintTest {
    /// The flowint.
    pub name: String,
    /// What is asked of it.
    pub test: FlowintAsk,
}

/// What is asked of a flowint.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum FlowintAsk {
    /// `isset`.
    IsSet,
    /// `notset`, `isnotset`.
    IsNotSet,
    /// A comparison; false where it is not set.
    Compare(FlowintOperator, FlowintValue),
}

/// `flowvar`, `pktvar`.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct CapturedTest {
    /// How long it is kept.
    pub scope: super::CaptureScope,
    /// Its name.
    pub name: String,
    /// The bytes that it contains.
    pub bytes: Vec<u8>,
    /// `!`.
    pub polarity: Polarity,
}

/// Whose reputation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ReputationSide {
    /// `any`: source or destination.
    Any,
    /// `src`.
    Source,
    /// `dst`.
    Destination,
    /// `both`.
    Both,
}

/// `iprep`.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct IpReputation {
    /// Whose.
    pub side: ReputationSide,
    /// The category's short name; its number is in [`crate::Reputations`].
    pub category: String,
    /// From 0 to 127; an address without one does not match.
    pub score: ReputationTest,
}

/// What the score must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ReputationTest {
    /// `<`, `>`, `=`, ….
    Score(NumberTest),
    /// `isset`.
    IsSet,
    /// `isnotset`.
    IsNotSet,
}

/// `app-layer-protocol`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct AppLayerProtocol {
    /// `abi::application` number; `FAILED` for `failed`, `UNKNOWN` for `unknown`.
    pub application: u16,
    /// `!`.
    pub polarity: Polarity,
    /// Which detection: `final` (default), `original`, `toserver`, `toclient`, `either`.
    pub mode: AppLayerMode,
}

/// Which detection of the protocol is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum AppLayerMode {
    /// Of the packet's direction, as Suricata's default.
    #[default]
    Direction,
    /// The flow's protocol now.
    Final,
    /// Before a change of protocol (STARTTLS, CONNECT).
    Original,
    /// What the client's side says.
    ToServer,
    /// What the server's side says.
    ToClient,
    /// One of the two.
    Either,
}

/// Which end of a certificate's time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum CertEnd {
    /// `tls_cert_notbefore`.
    NotBefore,
    /// `tls_cert_notafter`.
    NotAfter,
}

/// `filemd5`, `filesha1`, `filesha256`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileHash {
    /// `abi::buffer_kind`: FILE_MD5, FILE_SHA1, FILE_SHA256.
    pub kind: u16,
    /// The list's file as written.
    pub file: String,
    /// Its values as bytes, sorted, once each.
    pub values: std::sync::Arc<[Vec<u8>]>,
    /// `!`: the file is in none of the rows.
    pub polarity: Polarity,
}

/// Where an address stands, for `suppress`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrackedAddresses {
    /// Which end.
    pub track: super::Track,
    /// Which addresses.
    pub addresses: AddressSet,
}
