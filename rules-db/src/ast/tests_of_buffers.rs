//! Tests on the bytes of buffers. Buffers are `portcullis_plugin_abi::buffer_kind` numbers.

use super::{NumberTest, Polarity};
use std::sync::Arc;

/// All tests on one buffer. They share one cursor: relative tests are relative to the test before
/// them in this list, whatever other buffers the rule names in between.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BufferTests {
    /// `abi::buffer_kind`; `PAYLOAD` for contents without a sticky buffer (which then look where
    /// [`super::Protocol::data`] says).
    pub kind: u16,
    /// Applied to the bytes before any test, in order.
    pub transforms: Vec<Transform>,
    /// In the rule's order. All must hold in the same instance of the buffer. Never empty.
    pub tests: Vec<BufferTest>,
}

/// One test.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BufferTest {
    /// `content`, `uricontent`.
    Content(Content),
    /// `pcre`.
    Pcre(Pcre),
    /// `byte_test`.
    ByteTest(ByteTest),
    /// `byte_jump`.
    ByteJump(ByteJump),
    /// `byte_extract`.
    ByteExtract(ByteExtract),
    /// `byte_math`.
    ByteMath(ByteMath),
    /// `isdataat`.
    IsDataAt(IsDataAt),
    /// `bsize`, `urilen`: length of the buffer in bytes, whole buffers only.
    Size(SizeTest),
    /// `dataset`: the whole buffer is (not) in the set, or is added to it.
    Dataset(DatasetUse),
    /// `datarep`: the reputation of the whole buffer.
    Datarep(DatarepUse),
    /// `base64_decode`, with the tests of `base64_data` on what it gave. Terminal, as in
    /// Suricata: tests behind it in the same list are not evaluated, and without `base64_data`
    /// it never matches.
    Base64(Base64),
    /// `asn1`.
    Asn1(Asn1),
}

/// A number in the rule, or a value that `byte_extract` or `byte_math` made before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Operand {
    /// Written in the rule.
    Number(i64),
    /// Index in [`super::Rule::variables`].
    Variable(u8),
}

impl Default for Operand {
    fn default() -> Self {
        Operand::Number(0)
    }
}

/// Whether letters' case counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Case {
    /// It does.
    #[default]
    Exact,
    /// `nocase`.
    Ignored,
}

/// What an offset counts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Origin {
    /// The buffer's beginning.
    #[default]
    Start,
    /// The end of the test before (`relative`).
    Cursor,
}

/// `content` with its modifiers. Either the first pair (`offset`, `depth`) or the second
/// (`distance`, `within`) is used, never one of each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Content {
    /// The bytes; never empty.
    pub bytes: Vec<u8>,
    /// `!`.
    pub polarity: Polarity,
    /// `nocase`.
    pub case: Case,
    /// `offset`: the match begins here or later.
    pub offset: Option<Operand>,
    /// `depth`: the match ends within this many bytes from `offset`. `startswith` gives offset 0
    /// and depth = length.
    pub depth: Option<Operand>,
    /// `distance`: the match begins this many bytes, or more, behind the cursor.
    pub distance: Option<Operand>,
    /// `within`: the match ends within this many bytes from cursor + distance.
    pub within: Option<Operand>,
    /// `startswith`.
    pub startswith: Anchor,
    /// `endswith`: the match ends where the buffer ends.
    pub endswith: Anchor,
    /// `rawbytes`: as sent, before any protocol's decoding. Has no effect on buffers without one.
    pub rawbytes: Anchor,
}

/// Whether a modifier is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Anchor {
    /// It is not.
    #[default]
    No,
    /// It is.
    Yes,
}

impl Content {
    /// Whether it looks from the cursor and not from the buffer's beginning.
    pub fn is_relative(&self) -> bool {
        self.distance.is_some() || self.within.is_some()
    }
}

/// `pcre`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pcre {
    /// Between the slashes, in the rule's escapes undone (`\"`, `\;`).
    pub pattern: String,
    /// Flags for the regex engine only, sorted, of: `i`, `m`, `s`, `x`, `A` (anchored at the
    /// start), `E` (`$` only at the very end), `G` (ungreedy).
    pub flags: String,
    /// `!`.
    pub polarity: Polarity,
    /// `R`: from the cursor.
    pub from: Origin,
    /// What captured groups are kept as.
    pub captures: Vec<Capture>,
}

/// A captured group that is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capture {
    /// Number of the group, from 1.
    pub group: u16,
    /// How long.
    pub scope: CaptureScope,
    /// Its name.
    pub name: String,
}

/// How long a captured group is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum CaptureScope {
    /// `flow:` or `flow_`: with the flow.
    Flow,
    /// `pkt:` or `pkt_`: with the packet.
    Packet,
    /// `alert_`: with the alert.
    Alert,
}

/// Byte order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Endian {
    /// Network order.
    #[default]
    Big,
    /// The other.
    Little,
    /// `dce`: as the DCERPC header of the message says.
    Dce,
}

/// How bytes are a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Encoding {
    /// Binary, 1–8 bytes.
    Binary(Endian),
    /// `string` with `dec`, `hex` or `oct`: digits, 1–23 bytes; base 10, 16, 8, or 0 where the
    /// rule says none: then a leading `0x` or `0` tells, as strtoull does.
    Text {
        /// 0, 8, 10 or 16.
        base: u8,
    },
}

/// How to read a number out of a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NumberAt {
    /// How many bytes. 0 with [`Encoding::Text`]: all digits that there are, at most 23.
    pub bytes: Operand,
    /// Where, from `from`. May be negative if from the cursor.
    pub offset: Operand,
    /// What it counts from.
    pub from: Origin,
    /// How the bytes are a number.
    pub encoding: Encoding,
}

/// Comparison of `byte_test`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ByteOperator {
    /// `=`.
    Equal,
    /// `<`.
    Less,
    /// `<=`.
    LessEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterEqual,
    /// `&`: any bit in common.
    And,
    /// `^`: as Suricata has it: value ^ operand is not zero.
    Xor,
}

/// `byte_test`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByteTest {
    /// What to read.
    pub read: NumberAt,
    /// `bitmask`: the value is masked with it and shifted right by its trailing zeros.
    pub mask: Option<u32>,
    /// How to compare.
    pub operator: ByteOperator,
    /// `!` before the operator.
    pub polarity: Polarity,
    /// With what.
    pub value: Operand,
}

/// `byte_jump`: moves the cursor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByteJump {
    /// What to read; 0 bytes: nothing, only `post_offset` counts.
    pub read: NumberAt,
    /// `bitmask`: masked and shifted right by its trailing zeros.
    pub mask: Option<u32>,
    /// `multiplier`, 1 where not given.
    pub multiplier: u16,
    /// `align`: rounded up to a multiple of 4.
    pub align: Anchor,
    /// What the jump counts from.
    pub to: JumpTo,
    /// `post_offset`: added to the place jumped to.
    pub post_offset: Operand,
}

/// What a jump counts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum JumpTo {
    /// Behind the bytes read.
    Read,
    /// `from_beginning`: the buffer's beginning.
    Beginning,
    /// `from_end`: the buffer's end.
    End,
}

/// `byte_extract`: fills a variable. Moves the cursor behind the bytes read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByteExtract {
    /// What to read.
    pub read: NumberAt,
    /// The variable.
    pub variable: u8,
    /// `multiplier`, 1 where not given.
    pub multiplier: u16,
    /// `align`: 0 (none), 2 or 4: rounded up to a multiple.
    pub align: u8,
}

/// What `byte_math` computes: value read ∘ right value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum MathOperator {
    /// `+`.
    Add,
    /// `-`.
    Subtract,
    /// `*`.
    Multiply,
    /// `/`; no match where the right value is 0.
    Divide,
    /// `<<`; no match where the right value is 64 or more.
    ShiftLeft,
    /// `>>`; no match where the right value is 64 or more.
    ShiftRight,
}

/// `byte_math`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByteMath {
    /// What to read.
    pub read: NumberAt,
    /// What to compute.
    pub operator: MathOperator,
    /// The right value.
    pub right: Operand,
    /// The variable that takes the result.
    pub variable: u8,
    /// `bitmask`: the result is masked with it and shifted right by its trailing zeros.
    pub mask: Option<u32>,
}

/// `isdataat`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IsDataAt {
    /// There is at least one byte more than this many behind `from`: `isdataat:10` wants a
    /// buffer of more than 10 bytes; `isdataat:!1,relative` wants the cursor at the end.
    pub offset: Operand,
    /// What it counts from.
    pub from: Origin,
    /// `!`.
    pub polarity: Polarity,
    /// `rawbytes`.
    pub rawbytes: Anchor,
}

/// `bsize` and `urilen`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SizeTest {
    /// Length in bytes of the (transformed) buffer.
    pub size: NumberTest,
}

/// What kind of values a dataset holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum DatasetType {
    /// Any bytes.
    String,
    /// 16 bytes; the buffer is them.
    Md5,
    /// 32 bytes; the buffer is them.
    Sha256,
    /// IPv4 addresses: the buffer is 4 bytes.
    Ipv4,
    /// IPv4 or IPv6 addresses: 4 bytes or 16 (`ip`, `ipv6`).
    Ip,
}

/// What a rule does with a dataset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum DatasetOperation {
    /// `isset`.
    IsSet,
    /// `isnotset`.
    IsNotSet,
    /// `set`: adds; matches where it was not in it.
    Set,
    /// `unset`: removes; matches where it was in it.
    Unset,
}

/// A set of values that rules share by name. In [`crate::RuleSet::datasets`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dataset {
    /// The name.
    pub name: String,
    /// What is in it.
    pub values_are: DatasetType,
    /// Values at the start, decoded (strings: base64 undone), sorted, once each.
    pub values: Vec<Vec<u8>>,
    /// With a reputation for each value, where used by `datarep`; else empty.
    pub reputations: Vec<u16>,
    /// `load` or `state` as written.
    pub file: Option<String>,
    /// `save` or `state` as written.
    pub save: Option<String>,
    /// `memcap` in bytes, 0 for the default.
    pub memory_max: u64,
    /// `hashsize`, 0 for the default.
    pub rows: u32,
}

/// `dataset` in a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DatasetUse {
    /// Index in [`crate::RuleSet::datasets`].
    pub set: usize,
    /// What is done with it.
    pub operation: DatasetOperation,
}

/// `datarep` in a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DatarepUse {
    /// Index in [`crate::RuleSet::datasets`].
    pub set: usize,
    /// The reputation that the value must have; a value that is not in the set has none and does
    /// not match.
    pub reputation: NumberTest,
}

/// `base64_decode` and `base64_data`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Base64 {
    /// `bytes`: how many encoded bytes at most; `None`: all.
    pub bytes: Option<u32>,
    /// `offset`.
    pub offset: u32,
    /// `relative`.
    pub from: Origin,
    /// Tests on the decoded bytes, with a cursor of their own.
    pub tests: Vec<BufferTest>,
}

/// `asn1`: any of its checks firing is a match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asn1 {
    /// `bitstring_overflow`.
    pub bitstring_overflow: Anchor,
    /// `double_overflow`.
    pub double_overflow: Anchor,
    /// `oversize_length`: an element longer than this.
    pub oversize_length: Option<u32>,
    /// `absolute_offset` or `relative_offset`.
    pub offset: i32,
    /// What the offset counts from.
    pub from: Origin,
}

/// What is done to a buffer before it is tested.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Transform {
    /// `dotprefix`: a `.` before it.
    DotPrefix,
    /// `strip_whitespace`: space, \t, \n, \v, \f, \r taken out.
    StripWhitespace,
    /// `compress_whitespace`: runs of those become their first.
    CompressWhitespace,
    /// `to_md5`: 16 bytes.
    ToMd5,
    /// `to_sha1`: 20 bytes.
    ToSha1,
    /// `to_sha256`: 32 bytes.
    ToSha256,
    /// `pcrexform`: the first captured group (without a match: empty).
    Pcre {
        /// The pattern; no flags.
        pattern: Arc<str>,
    },
    /// `url_decode`: `%xx` and `+`.
    UrlDecode,
    /// `xor`: with this key, repeated.
    Xor {
        /// 1 to 255 bytes.
        key: Arc<[u8]>,
    },
    /// `to_lowercase`.
    ToLowercase,
    /// `to_uppercase`.
    ToUppercase,
    /// `header_lowercase`: header names to lower case.
    HeaderLowercase,
    /// `strip_pseudo_headers`: header lines that begin with `:` taken out.
    StripPseudoHeaders,
}
