//! What is tested within one buffer: its parts and steps. How they lie in a set: `layout`.

mod layout;

use crate::body::{Comparison, Range};
use alloc::vec::Vec;

/// A number in the rule, or one that an earlier step took from the traffic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value {
    /// As written.
    Number(i64),
    /// The rule's variable of that index.
    Variable(u8),
}

/// [`Content::flags`].
pub mod content {
    /// ASCII letters match in either case.
    pub const NOCASE: u16 = 1;
    /// It must not be found.
    pub const NEGATED: u16 = 2;
    /// `offset` is set.
    pub const OFFSET: u16 = 4;
    /// `depth` is set.
    pub const DEPTH: u16 = 8;
    /// `distance` is set.
    pub const DISTANCE: u16 = 16;
    /// `within` is set.
    pub const WITHIN: u16 = 32;
    /// It must end where the buffer ends.
    pub const ENDS_WITH: u16 = 64;
    /// The next content is bound to this one by `within`: another place is worth a try.
    pub const WITHIN_NEXT: u16 = 128;
    /// A step behind it is relative to it.
    pub const RELATIVE_NEXT: u16 = 256;
}

/// Bytes looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// See [`content`].
    pub flags: u16,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// From here,
    pub offset: Value,
    /// to here.
    pub depth: Value,
    /// So far behind the match before,
    pub distance: Value,
    /// within so many bytes.
    pub within: Value,
}

/// The order of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Endian {
    /// As in the network.
    Big = 0,
    /// The other way.
    Little = 1,
}

/// How text writes a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// Digits 0–7.
    Octal = 8,
    /// Digits 0–9.
    Decimal = 10,
    /// Digits 0–f.
    Hexadecimal = 16,
    /// Whatever the text's prefix says (`0x`, `0`, none).
    Prefix = 0,
}

/// Where a number's bytes lie and how they are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByteSource {
    /// How many bytes; up to 8 in binary, 23 as text.
    pub count: Value,
    /// From the start, or from the last match.
    pub offset: Value,
    /// Whether it counts from the last match.
    pub relative: bool,
    /// The order of binary bytes.
    pub endian: Endian,
    /// Text of that base; `None` for binary.
    pub text: Option<Base>,
    /// Taken by bits and shifted down to its lowest bit; 0 for none.
    pub bitmask: u64,
}

/// Comparison of `byte_test`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "named as usual")]
pub enum Operator {
    Less = 0,
    Greater = 1,
    Equal = 2,
    LessOrEqual = 3,
    GreaterOrEqual = 4,
    /// Any bit in common.
    And = 5,
    /// As the peer: exclusive or is not zero.
    Xor = 6,
}

/// Arithmetic of `byte_math`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "named as usual")]
pub enum MathOperator {
    Add = 0,
    Subtract = 1,
    Divide = 2,
    Multiply = 3,
    ShiftLeft = 4,
    ShiftRight = 5,
}

/// One test within a buffer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// `content`.
    Content(Content),
    /// `pcre`: the host's expression of that number.
    Regex {
        /// Its number.
        regex: u32,
        /// Whether it begins behind the last match.
        relative: bool,
        /// Whether it must not match.
        negated: bool,
        /// Whether a step behind it is relative to it.
        relative_next: bool,
    },
    /// `byte_test`.
    ByteTest {
        /// What is read.
        source: ByteSource,
        /// How it is compared,
        operator: Operator,
        /// with what.
        value: Value,
        /// Whether the comparison must fail.
        negated: bool,
    },
    /// `byte_jump`.
    ByteJump {
        /// What is read.
        source: ByteSource,
        /// Times this,
        multiplier: u32,
        /// rounded up to four bytes,
        align: bool,
        /// from where the number lies, from the start, or from the end,
        from: u8,
        /// plus this.
        post_offset: Value,
    },
    /// `byte_extract`.
    ByteExtract {
        /// What is read.
        source: ByteSource,
        /// Times this, rounded up to a multiple of `align` (0 or 1: none).
        multiplier: u32,
        /// 0, 2 or 4.
        align: u8,
        /// Into this variable.
        variable: u8,
    },
    /// `byte_math`.
    ByteMath {
        /// What is read.
        source: ByteSource,
        /// What is done with it,
        operator: MathOperator,
        /// and what.
        value: Value,
        /// Into this variable.
        variable: u8,
    },
    /// `isdataat`.
    IsDataAt {
        /// At least so many bytes.
        at: Value,
        /// From the last match.
        relative: bool,
        /// Must not be.
        negated: bool,
    },
    /// `bsize`, `urilen`: the buffer's length.
    Length(Comparison),
    /// The value of a buffer that holds a number: in one of these ranges, or in none.
    Number {
        /// In none.
        negated: bool,
        /// The ranges.
        ranges: Vec<Range>,
    },
    /// The value has any of these bits, or none.
    NumberBits {
        /// None.
        negated: bool,
        /// The bits.
        bits: u64,
    },
    /// The value, seconds since 1970, lies before the event, or behind it.
    Time {
        /// Behind it.
        future: bool,
    },
    /// `ftpbounce`: the address written here is not the client's.
    FtpBounce,
    /// `base64_decode` and `base64_data`. The last step that counts.
    Base64 {
        /// At most so many bytes of text; 0 for all.
        bytes: u32,
        /// From here.
        offset: u32,
        /// From the last match.
        relative: bool,
        /// Tests of what was decoded, with a cursor of their own.
        steps: Vec<Step>,
    },
    /// `asn1`: any of its checks is enough.
    Asn1 {
        /// 1 `bitstring_overflow`, 2 `double_overflow`.
        checks: u8,
        /// `oversize_length`; 0 for none.
        oversize: u32,
        /// From here.
        offset: i64,
        /// From the last match.
        relative: bool,
    },
    /// `dataset`, tested or set with the buffer's bytes.
    Dataset {
        /// Its number.
        set: u32,
        /// 0 is set, 1 is not set, 2 set, 3 unset.
        operation: u8,
    },
    /// Never matches: what it asks for is not known to this engine.
    Never,
}

/// [`Step::ByteJump::from`] and its kin.
impl Step {
    /// From where the number was read.
    pub const FROM_HERE: u8 = 0;
    /// From the buffer's start.
    pub const FROM_BEGINNING: u8 = 1;
    /// From the buffer's end.
    pub const FROM_END: u8 = 2;
}

/// What a buffer is turned into before it is read.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "named after the keywords")]
pub enum Transform {
    CompressWhitespace,
    DotPrefix,
    /// `header_lowercase`: names of headers.
    HeaderLowercase,
    Md5,
    Sha1,
    Sha256,
    StripPseudoHeaders,
    StripWhitespace,
    ToLowercase,
    ToUppercase,
    UrlDecode,
    /// With this key.
    Xor(Vec<u8>),
    /// What the first group of the host's expression of that number captured.
    Regex(u32),
}

/// [`Part::flags`].
pub mod part {
    /// Each buffer of the kind by itself; one that matches is enough.
    pub const MULTIPLE: u8 = 1;
    /// The rule matches where there is no such buffer.
    pub const ABSENT: u8 = 4;
}

/// The tests of one buffer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Kind of buffer, as in the plugin ABI.
    pub kind: u16,
    /// See [`part`].
    pub flags: u8,
    /// What happens to its bytes first.
    pub transforms: Vec<Transform>,
    /// The tests, in order.
    pub steps: Vec<Step>,
}
