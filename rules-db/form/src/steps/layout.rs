//! Parts and steps as bytes: written, and read back from any bytes without a panic.

use super::{
    Base, ByteSource, Content, Endian, MathOperator, Operator, Part, Step, Transform, Value,
};
use crate::body::{Comparison, Range};
use crate::codec::{Read, Write};
use alloc::vec::Vec;

impl Value {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Value::Number(n) => {
                out.byte(0);
                out.bytes(&n.to_le_bytes());
            }
            Value::Variable(v) => {
                out.byte(1);
                out.byte(v);
            }
        }
    }

    fn read(r: &mut Read<'_>) -> Option<Value> {
        match r.byte()? {
            0 => Some(Value::Number(r.i64()?)),
            1 => Some(Value::Variable(r.byte()?)),
            _ => None,
        }
    }
}

impl ByteSource {
    fn write(&self, out: &mut Vec<u8>) {
        self.count.write(out);
        self.offset.write(out);
        let endian = match self.endian {
            Endian::Big => 0,
            Endian::Little => 2,
        };
        out.byte(u8::from(self.relative) | endian);
        out.byte(self.text.map_or(255, |b| b as u8));
        out.u64(self.bitmask);
    }

    fn read(r: &mut Read<'_>) -> Option<ByteSource> {
        let (count, offset, flags) = (Value::read(r)?, Value::read(r)?, r.byte()?);
        let text = match r.byte()? {
            255 => None,
            8 => Some(Base::Octal),
            10 => Some(Base::Decimal),
            16 => Some(Base::Hexadecimal),
            0 => Some(Base::Prefix),
            _ => return None,
        };
        let endian = if flags & 2 == 0 { Endian::Big } else { Endian::Little };
        let bitmask = r.u64()?;
        Some(ByteSource { count, offset, relative: flags & 1 != 0, endian, text, bitmask })
    }
}

impl Step {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Step::Content(c) => {
                out.byte(1);
                out.u16(c.flags);
                out.block(&c.bytes);
                for value in [c.offset, c.depth, c.distance, c.within] {
                    value.write(out);
                }
            }
            Step::Regex { regex, relative, negated, relative_next } => {
                out.byte(2);
                out.u32(*regex);
                out.byte(bits([*relative, *negated, *relative_next]));
            }
            Step::ByteTest { source, operator, value, negated } => {
                out.byte(3);
                source.write(out);
                out.byte(*operator as u8);
                value.write(out);
                out.byte(u8::from(*negated));
            }
            Step::ByteJump { source, multiplier, align, from, post_offset } => {
                out.byte(4);
                source.write(out);
                out.u32(*multiplier);
                out.byte(u8::from(*align));
                out.byte(*from);
                post_offset.write(out);
            }
            Step::ByteExtract { source, multiplier, align, variable } => {
                out.byte(5);
                source.write(out);
                out.u32(*multiplier);
                out.byte(*align);
                out.byte(*variable);
            }
            Step::ByteMath { source, operator, value, variable } => {
                out.byte(6);
                source.write(out);
                out.byte(*operator as u8);
                value.write(out);
                out.byte(*variable);
            }
            other => other.write_rest(out),
        }
    }

    fn write_rest(&self, out: &mut Vec<u8>) {
        match self {
            Step::IsDataAt { at, relative, negated } => {
                out.byte(7);
                at.write(out);
                out.byte(bits([*relative, *negated, false]));
            }
            Step::Length(c) => {
                out.byte(8);
                c.write(out);
            }
            Step::Number { negated, ranges } => {
                out.byte(9);
                out.byte(u8::from(*negated));
                out.u16(u16::try_from(ranges.len()).unwrap_or(0));
                ranges.iter().for_each(|r| {
                    out.u64(r.low);
                    out.u64(r.high);
                });
            }
            Step::NumberBits { negated, bits } => {
                out.byte(13);
                out.byte(u8::from(*negated));
                out.u64(*bits);
            }
            Step::Time { future } => out.bytes(&[14, u8::from(*future)]),
            Step::FtpBounce => out.byte(15),
            Step::Base64 { bytes, offset, relative, steps } => {
                out.byte(10);
                out.u32(*bytes);
                out.u32(*offset);
                out.byte(u8::from(*relative));
                out.u16(u16::try_from(steps.len()).unwrap_or(0));
                steps.iter().for_each(|s| s.write(out));
            }
            Step::Asn1 { checks, oversize, offset, relative } => {
                out.byte(12);
                out.byte(*checks);
                out.u32(*oversize);
                out.bytes(&offset.to_le_bytes());
                out.byte(u8::from(*relative));
            }
            Step::Dataset { set, operation } => {
                out.byte(11);
                out.u32(*set);
                out.byte(*operation);
            }
            _ => out.byte(0),
        }
    }

    pub(crate) fn read(r: &mut Read<'_>, depth: u8) -> Option<Step> {
        Some(match r.byte()? {
            0 => Step::Never,
            1 => Step::Content(Content {
                flags: r.u16()?,
                bytes: r.block()?,
                offset: Value::read(r)?,
                depth: Value::read(r)?,
                distance: Value::read(r)?,
                within: Value::read(r)?,
            }),
            2 => {
                let (regex, flags) = (r.u32()?, r.byte()?);
                let [relative, negated, relative_next] = [1, 2, 4].map(|bit| flags & bit != 0);
                Step::Regex { regex, relative, negated, relative_next }
            }
            3 => Step::ByteTest {
                source: ByteSource::read(r)?,
                operator: operator(r.byte()?)?,
                value: Value::read(r)?,
                negated: r.byte()? != 0,
            },
            4 => Step::ByteJump {
                source: ByteSource::read(r)?,
                multiplier: r.u32()?,
                align: r.byte()? != 0,
                from: r.byte()?,
                post_offset: Value::read(r)?,
            },
            5 => Step::ByteExtract {
                source: ByteSource::read(r)?,
                multiplier: r.u32()?,
                align: r.byte()?,
                variable: r.byte()?,
            },
            6 => Step::ByteMath {
                source: ByteSource::read(r)?,
                operator: math_operator(r.byte()?)?,
                value: Value::read(r)?,
                variable: r.byte()?,
            },
            tag => Step::read_rest(tag, r, depth)?,
        })
    }

    fn read_rest(tag: u8, r: &mut Read<'_>, depth: u8) -> Option<Step> {
        Some(match tag {
            7 => {
                let (at, flags) = (Value::read(r)?, r.byte()?);
                Step::IsDataAt { at, relative: flags & 1 != 0, negated: flags & 2 != 0 }
            }
            8 => Step::Length(Comparison::read(r)?),
            9 => {
                let (negated, count) = (r.byte()? != 0, r.u16()?);
                let range = |_| Some(Range { low: r.u64()?, high: r.u64()? });
                Step::Number { negated, ranges: (0..count).map(range).collect::<Option<_>>()? }
            }
            13 => Step::NumberBits { negated: r.byte()? != 0, bits: r.u64()? },
            14 => Step::Time { future: r.byte()? != 0 },
            15 => Step::FtpBounce,
            10 if depth > 0 => Step::Base64 {
                bytes: r.u32()?,
                offset: r.u32()?,
                relative: r.byte()? != 0,
                steps: {
                    let count = r.u16()?;
                    (0..count).map(|_| Step::read(r, depth - 1)).collect::<Option<_>>()?
                },
            },
            12 => Step::Asn1 {
                checks: r.byte()?,
                oversize: r.u32()?,
                offset: r.i64()?,
                relative: r.byte()? != 0,
            },
            11 => Step::Dataset { set: r.u32()?, operation: r.byte()? },
            _ => return None,
        })
    }
}

fn bits(flags: [bool; 3]) -> u8 {
    let [a, b, c] = flags.map(u8::from);
    a | b << 1 | c << 2
}

fn operator(n: u8) -> Option<Operator> {
    use Operator::{And, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Xor};
    [Less, Greater, Equal, LessOrEqual, GreaterOrEqual, And, Xor].get(usize::from(n)).copied()
}

fn math_operator(n: u8) -> Option<MathOperator> {
    use MathOperator::{Add, Divide, Multiply, ShiftLeft, ShiftRight, Subtract};
    [Add, Subtract, Divide, Multiply, ShiftLeft, ShiftRight].get(usize::from(n)).copied()
}

impl Transform {
    fn write(&self, out: &mut Vec<u8>) {
        out.byte(match self {
            Transform::CompressWhitespace => 1,
            Transform::DotPrefix => 2,
            Transform::HeaderLowercase => 3,
            Transform::Md5 => 4,
            Transform::Sha1 => 5,
            Transform::Sha256 => 6,
            Transform::StripPseudoHeaders => 7,
            Transform::StripWhitespace => 8,
            Transform::ToLowercase => 9,
            Transform::ToUppercase => 10,
            Transform::UrlDecode => 11,
            Transform::Xor(_) => 12,
            Transform::Regex(_) => 13,
        });
        match self {
            Transform::Xor(key) => out.block(key),
            Transform::Regex(regex) => out.u32(*regex),
            _ => {}
        }
    }

    fn read(r: &mut Read<'_>) -> Option<Transform> {
        Some(match r.byte()? {
            1 => Transform::CompressWhitespace,
            2 => Transform::DotPrefix,
            3 => Transform::HeaderLowercase,
            4 => Transform::Md5,
            5 => Transform::Sha1,
            6 => Transform::Sha256,
            7 => Transform::StripPseudoHeaders,
            8 => Transform::StripWhitespace,
            9 => Transform::ToLowercase,
            10 => Transform::ToUppercase,
            11 => Transform::UrlDecode,
            12 => Transform::Xor(r.block()?),
            13 => Transform::Regex(r.u32()?),
            _ => return None,
        })
    }
}

impl Part {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.u16(self.kind);
        out.byte(self.flags);
        out.byte(u8::try_from(self.transforms.len()).unwrap_or(0));
        out.u16(u16::try_from(self.steps.len()).unwrap_or(0));
        self.transforms.iter().for_each(|t| t.write(out));
        self.steps.iter().for_each(|s| s.write(out));
    }

    pub(crate) fn read(r: &mut Read<'_>) -> Option<Part> {
        let (kind, flags) = (r.u16()?, r.byte()?);
        let (transforms, steps) = (r.byte()?, r.u16()?);
        let transforms = (0..transforms).map(|_| Transform::read(r)).collect::<Option<Vec<_>>>()?;
        let steps = (0..steps).map(|_| Step::read(r, 1)).collect::<Option<Vec<_>>>()?;
        Some(Part { kind, flags, transforms, steps })
    }
}

impl Comparison {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.byte(u8::from(self.negated));
        out.u64(self.range.low);
        out.u64(self.range.high);
    }

    pub(crate) fn read(r: &mut Read<'_>) -> Option<Comparison> {
        let negated = r.byte()? != 0;
        Some(Comparison { negated, range: Range { low: r.u64()?, high: r.u64()? } })
    }
}
