//! `byte_test`, `byte_jump`, `byte_extract`, `byte_math`, `isdataat`, `asn1`, `base64_decode`:
//! numbers read out of a buffer.

mod math;

use super::{Keyword, Value, bare, perhaps};
use crate::ast::{
    Anchor, Asn1, Base64, BufferTest, ByteExtract, ByteJump, ByteOperator, ByteTest, Encoding,
    Endian, IsDataAt, JumpTo, NumberAt, Operand, Origin, Polarity,
};
use crate::draft::Draft;
use crate::fault::{Outcome, invalid, shown, unsupported};
use crate::numbers::{bounded, signed, unsigned};

pub(super) const ROWS: &[Keyword] = &[
    bare("byte_test", byte_test),
    bare("byte_jump", byte_jump),
    bare("byte_extract", byte_extract),
    bare("byte_math", math::byte_math),
    bare("isdataat", isdataat),
    bare("asn1", asn1),
    perhaps("base64_decode", base64_decode),
];

/// Offsets of byte keywords, either way.
const OFFSET_MAX: i64 = 65_535;

fn parts<'t>(value: &Value<'t>) -> Vec<&'t [u8]> {
    value.text.split(|&b| b == b',').map(<[u8]>::trim_ascii).collect()
}

fn operand(draft: &Draft<'_, '_>, text: &[u8], least: i64, most: i64) -> Outcome<Operand> {
    let number = signed(text).or_else(|| unsigned(text).and_then(|n| i64::try_from(n).ok()));
    match number {
        Some(n) if n < least || n > most => Err(invalid(
            format!("{n} is not between {least} and {most}"),
            "write a number within these",
        )),
        Some(n) => Ok(Operand::Number(n)),
        None => {
            let name = String::from_utf8_lossy(text);
            draft.variable(&name).map(Operand::Variable)
        }
    }
}

/// What may stand behind the first parts of the byte keywords.
#[derive(Default)]
struct Modifiers {
    from: Origin,
    endian: Option<Endian>,
    is_text: bool,
    base: Option<u8>,
    mask: Option<u32>,
    multiplier: Option<u16>,
    align: Option<u8>,
    to: Option<JumpTo>,
    post_offset: Operand,
}

fn conflict(word: &[u8]) -> Box<crate::fault::Fault> {
    let word = shown(word);
    invalid(format!("`{word}` contradicts a word before it"), "take one of the two out")
}

impl Modifiers {
    fn take(&mut self, draft: &Draft<'_, '_>, part: &[u8], allowed: &[&str]) -> Outcome {
        let mut words = part.split(|b| b.is_ascii_whitespace()).filter(|w| !w.is_empty());
        let name = words.next().unwrap_or_default();
        let argument = words.next();
        let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
        if !allowed.contains(&lower.as_str()) || words.next().is_some() {
            return Err(invalid(
                format!("`{}` is not understood here", shown(part)),
                format!("write one of: {}", allowed.join(", ")),
            ));
        }
        let needs = || invalid(format!("`{lower}` needs a value"), format!("write {lower} VALUE"));
        match (lower.as_str(), argument) {
            ("relative", None) => self.from = Origin::Cursor,
            ("big", None) => self.endian(Endian::Big, part)?,
            ("little", None) => self.endian(Endian::Little, part)?,
            ("dce", None) => self.endian(Endian::Dce, part)?,
            ("string", None) => self.is_text = true,
            ("hex", None) => self.base(16, part)?,
            ("dec", None) => self.base(10, part)?,
            ("oct", None) => self.base(8, part)?,
            ("align", None) => self.align = Some(4),
            ("align", Some(n)) => self.align = Some(alignment(n)?),
            ("from_beginning", None) => self.jump(JumpTo::Beginning, part)?,
            ("from_end", None) => self.jump(JumpTo::End, part)?,
            ("bitmask", Some(mask)) => self.mask = Some(bitmask(mask)?),
            ("multiplier", Some(n)) => {
                let n = bounded(n, 65_535)?;
                let n = u16::try_from(n).ok().filter(|n| *n > 0);
                self.multiplier = Some(n.ok_or_else(needs)?);
            }
            ("post_offset", Some(n)) => {
                self.post_offset = operand(draft, n, -OFFSET_MAX, OFFSET_MAX)?;
            }
            (_, None) => return Err(needs()),
            (_, Some(_)) => {
                let remedy = format!("write {lower} alone");
                return Err(invalid(format!("`{lower}` takes no value"), remedy));
            }
        }
        Ok(())
    }

    fn endian(&mut self, endian: Endian, part: &[u8]) -> Outcome {
        if self.endian.replace(endian).is_some() {
            return Err(conflict(part));
        }
        if endian == Endian::Dce {
            return Err(unsupported(
                "`dce` takes the byte order from DCERPC, which is not decoded yet",
                "write big or little",
            ));
        }
        Ok(())
    }

    fn base(&mut self, base: u8, part: &[u8]) -> Outcome {
        if self.base.replace(base).is_some() { Err(conflict(part)) } else { Ok(()) }
    }

    fn jump(&mut self, to: JumpTo, part: &[u8]) -> Outcome {
        if self.to.replace(to).is_some() { Err(conflict(part)) } else { Ok(()) }
    }

    /// The encoding, and whether the count of bytes fits it.
    fn encoding(&self, bytes: Operand, binary_max: i64) -> Outcome<Encoding> {
        if self.base.is_some() && !self.is_text {
            let remedy = "write string, hex or string, dec or string, oct";
            return Err(invalid("hex, dec and oct need string", remedy));
        }
        if self.is_text && self.endian.is_some() {
            let remedy = "take out big or little: digits have no byte order";
            return Err(invalid("string with a byte order", remedy));
        }
        let most = match (self.is_text, self.base) {
            (false, _) => binary_max,
            (true, Some(10)) => 20,
            (true, Some(16)) => 14,
            (true, _) => 23,
        };
        if bytes == Operand::Number(0) && !self.is_text {
            let remedy = "read at least 1 byte, or write string for all digits that there are";
            return Err(invalid("0 bytes are no number", remedy));
        }
        if let Operand::Number(n) = bytes
            && n > most
        {
            return Err(invalid(
                format!("{n} bytes are more than the {most} that a number of this kind has"),
                format!("read at most {most} bytes"),
            ));
        }
        Ok(if self.is_text {
            Encoding::Text { base: self.base.unwrap_or(0) }
        } else {
            Encoding::Binary(self.endian.unwrap_or_default())
        })
    }
}

fn alignment(text: &[u8]) -> Outcome<u8> {
    match unsigned(text) {
        Some(2) => Ok(2),
        Some(4) => Ok(4),
        _ => Err(invalid(format!("`{}` is not an alignment", shown(text)), "write 2 or 4")),
    }
}

fn bitmask(text: &[u8]) -> Outcome<u32> {
    let word = String::from_utf8_lossy(text);
    let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")).unwrap_or(&word);
    let mask = u32::from_str_radix(digits, 16).ok().filter(|m| *m != 0);
    mask.ok_or_else(|| {
        invalid(format!("`{word}` is not a bit mask"), "write hexadecimal up to 0xffffffff")
    })
}

fn too_few(keyword: &str, form: &str) -> Box<crate::fault::Fault> {
    invalid(format!("{keyword} has too few parts"), format!("write {keyword}:{form}"))
}

fn byte_test(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let parts = parts(value);
    let [bytes, operator, wanted, offset, rest @ ..] = parts.as_slice() else {
        return Err(too_few("byte_test", "BYTES, OPERATOR, VALUE, OFFSET[, relative, …]"));
    };
    let mut modifiers = Modifiers::default();
    let allowed = ["relative", "big", "little", "dce", "string", "hex", "dec", "oct", "bitmask"];
    for part in rest {
        modifiers.take(draft, part, &allowed)?;
    }
    let (polarity, operator) = match operator.strip_prefix(b"!") {
        Some(rest) => (Polarity::Negated, rest.trim_ascii()),
        None => (Polarity::Plain, *operator),
    };
    let operator = match operator {
        b"=" => ByteOperator::Equal,
        // `!` alone is `!=`.
        b"" if polarity == Polarity::Negated => ByteOperator::Equal,
        b"<" => ByteOperator::Less,
        b"<=" => ByteOperator::LessEqual,
        b">" => ByteOperator::Greater,
        b">=" => ByteOperator::GreaterEqual,
        b"&" => ByteOperator::And,
        b"^" => ByteOperator::Xor,
        _ => {
            return Err(invalid(
                format!("`{}` is not an operator", shown(operator)),
                "write one of < > = <= >= & ^, with ! before it for the opposite",
            ));
        }
    };
    let bytes = operand(draft, bytes, 0, 23)?;
    let read = NumberAt {
        bytes,
        offset: operand(draft, offset, -OFFSET_MAX, OFFSET_MAX)?,
        from: modifiers.from,
        encoding: modifiers.encoding(bytes, 8)?,
    };
    let wanted = wanted_value(draft, wanted)?;
    let mask = modifiers.mask;
    draft.push_relative_if(
        read.from,
        BufferTest::ByteTest(ByteTest { read, mask, operator, polarity, value: wanted }),
    );
    Ok(())
}

/// A value up to 64 bits, kept as the same bits.
fn wanted_value(draft: &Draft<'_, '_>, text: &[u8]) -> Outcome<Operand> {
    match unsigned(text) {
        Some(n) => Ok(Operand::Number(i64::from_ne_bytes(n.to_ne_bytes()))),
        None => operand(draft, text, i64::MIN, i64::MAX),
    }
}

fn byte_jump(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let parts = parts(value);
    let [bytes, offset, rest @ ..] = parts.as_slice() else {
        return Err(too_few("byte_jump", "BYTES, OFFSET[, relative, …]"));
    };
    let mut modifiers = Modifiers::default();
    let allowed = [
        "relative",
        "big",
        "little",
        "dce",
        "string",
        "hex",
        "dec",
        "oct",
        "align",
        "from_beginning",
        "from_end",
        "bitmask",
        "multiplier",
        "post_offset",
    ];
    for part in rest {
        modifiers.take(draft, part, &allowed)?;
    }
    let bytes = operand(draft, bytes, 0, 23)?;
    let read = NumberAt {
        bytes,
        offset: operand(draft, offset, -OFFSET_MAX, OFFSET_MAX)?,
        from: modifiers.from,
        encoding: match bytes {
            Operand::Number(0) => Encoding::Binary(Endian::Big),
            _ => modifiers.encoding(bytes, 8)?,
        },
    };
    let jump = ByteJump {
        read,
        mask: modifiers.mask,
        multiplier: modifiers.multiplier.unwrap_or(1),
        align: if modifiers.align.is_some() { Anchor::Yes } else { Anchor::No },
        to: modifiers.to.unwrap_or(JumpTo::Read),
        post_offset: modifiers.post_offset,
    };
    draft.push_relative_if(read.from, BufferTest::ByteJump(jump));
    Ok(())
}

fn byte_extract(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let parts = parts(value);
    let [bytes, offset, name, rest @ ..] = parts.as_slice() else {
        return Err(too_few("byte_extract", "BYTES, OFFSET, NAME[, relative, …]"));
    };
    let mut modifiers = Modifiers::default();
    let allowed =
        ["relative", "big", "little", "dce", "string", "hex", "dec", "oct", "align", "multiplier"];
    for part in rest {
        modifiers.take(draft, part, &allowed)?;
    }
    let bytes = operand(draft, bytes, 0, 23)?;
    let read = NumberAt {
        bytes,
        offset: operand(draft, offset, -OFFSET_MAX, OFFSET_MAX)?,
        from: modifiers.from,
        encoding: modifiers.encoding(bytes, 8)?,
    };
    let variable = draft.new_variable(&String::from_utf8_lossy(name))?;
    let extract = ByteExtract {
        read,
        variable,
        multiplier: modifiers.multiplier.unwrap_or(1),
        align: modifiers.align.unwrap_or(0),
    };
    draft.push_relative_if(read.from, BufferTest::ByteExtract(extract));
    Ok(())
}

fn isdataat(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let parts = parts(value);
    let [first, rest @ ..] = parts.as_slice() else { return Err(too_few("isdataat", "N")) };
    let (polarity, first) = match first.strip_prefix(b"!") {
        Some(rest) => (Polarity::Negated, rest.trim_ascii()),
        None => (Polarity::Plain, *first),
    };
    let offset = operand(draft, first, 0, OFFSET_MAX)?;
    let mut test = IsDataAt { offset, from: Origin::Start, polarity, rawbytes: Anchor::No };
    for part in rest {
        match *part {
            b"relative" => test.from = Origin::Cursor,
            b"rawbytes" => test.rawbytes = Anchor::Yes,
            _ => {
                let reason = format!("`{}` is not understood here", shown(part));
                return Err(invalid(reason, "write relative or rawbytes"));
            }
        }
    }
    draft.push_relative_if(test.from, BufferTest::IsDataAt(test));
    Ok(())
}

fn asn1(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let mut test = Asn1 {
        bitstring_overflow: Anchor::No,
        double_overflow: Anchor::No,
        oversize_length: None,
        offset: 0,
        from: Origin::Start,
    };
    let words = value.text.split(|b| *b == b',' || b.is_ascii_whitespace());
    let mut words = words.filter(|w| !w.is_empty());
    while let Some(word) = words.next() {
        let mut number = || {
            let text = words.next().unwrap_or_default();
            signed(text).ok_or_else(|| {
                invalid(format!("`{}` needs a number", shown(word)), "write the number behind it")
            })
        };
        let fault = || invalid("a number is out of range", "write a number below 65536");
        match word {
            b"bitstring_overflow" => test.bitstring_overflow = Anchor::Yes,
            b"double_overflow" => test.double_overflow = Anchor::Yes,
            b"oversize_length" => {
                test.oversize_length = Some(u32::try_from(number()?).map_err(|_| fault())?);
            }
            b"absolute_offset" => {
                test.offset = i32::from(u16::try_from(number()?).map_err(|_| fault())?);
                test.from = Origin::Start;
            }
            b"relative_offset" => {
                test.offset = i32::try_from(number()?).map_err(|_| fault())?;
                test.from = Origin::Cursor;
            }
            _ => {
                return Err(invalid(
                    format!("`{}` is not a check of asn1", shown(word)),
                    "write bitstring_overflow, double_overflow, oversize_length N, \
                     absolute_offset N or relative_offset N",
                ));
            }
        }
    }
    draft.push_relative_if(test.from, BufferTest::Asn1(test));
    Ok(())
}

fn base64_decode(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let mut test = Base64 { bytes: None, offset: 0, from: Origin::Start, tests: Vec::new() };
    for part in parts(value).into_iter().filter(|p| !p.is_empty()) {
        let end = part.iter().position(u8::is_ascii_whitespace).unwrap_or(part.len());
        let (name, number) = part.split_at(end);
        let number = || bounded(number, 65_535).map(|n| u32::try_from(n).unwrap_or(0));
        match name {
            b"relative" => test.from = Origin::Cursor,
            b"offset" => test.offset = number()?,
            b"bytes" => test.bytes = Some(number()?),
            _ => {
                let reason = format!("`{}` is not understood here", shown(part));
                return Err(invalid(reason, "write bytes N, offset N, relative"));
            }
        }
    }
    draft.push_relative_if(test.from, BufferTest::Base64(test));
    draft.note_base64()
}

#[cfg(test)]
mod tests {
    use super::super::tried;
    use super::*;
    use crate::ast::MathOperator;

    fn last(options: &str) -> BufferTest {
        match tried(options).map(|mut r| r.buffers.pop().and_then(|mut b| b.tests.pop())) {
            Ok(Some(test)) => test,
            other => panic!("{options}: {other:?}"),
        }
    }

    #[test]
    fn byte_keywords_carry_all_they_say() {
        let BufferTest::ByteTest(t) =
            last("content:\"a\"; byte_test:4,!>=,0x10,-6,relative,little;")
        else {
            panic!()
        };
        assert_eq!((t.operator, t.polarity), (ByteOperator::GreaterEqual, Polarity::Negated));
        assert_eq!((t.read.offset, t.read.from), (Operand::Number(-6), Origin::Cursor));
        assert_eq!(t.read.encoding, Encoding::Binary(Endian::Little));
        assert_eq!(t.value, Operand::Number(16));
        let BufferTest::ByteJump(j) =
            last("byte_jump:4,0,string,dec,align,multiplier 2,from_beginning,post_offset -3;")
        else {
            panic!()
        };
        assert_eq!((j.multiplier, j.align, j.to), (2, Anchor::Yes, JumpTo::Beginning));
        assert_eq!(
            (j.read.encoding, j.post_offset),
            (Encoding::Text { base: 10 }, Operand::Number(-3))
        );
        let BufferTest::Content(c) = last("byte_extract:1,0,n; content:\"a\"; offset:n;") else {
            panic!()
        };
        assert_eq!(c.offset, Some(Operand::Variable(0)));
        let BufferTest::ByteMath(m) = last(
            "byte_math:bytes 4, offset 0, oper /, rvalue 2, result x, endian little, bitmask 0xf0;",
        ) else {
            panic!()
        };
        assert_eq!((m.operator, m.mask), (MathOperator::Divide, Some(0xf0)));
        let BufferTest::Base64(b) = last(
            "content:\"a\"; base64_decode:bytes 64, offset 2, relative; base64_data; \
             content:\"x\"; nocase; content:\"y\"; distance:0;",
        ) else {
            panic!()
        };
        assert_eq!((b.bytes, b.offset, b.from, b.tests.len()), (Some(64), 2, Origin::Cursor, 2));
        let BufferTest::IsDataAt(d) = last("content:\"a\"; isdataat:!1,relative;") else {
            panic!()
        };
        assert_eq!((d.polarity, d.from), (Polarity::Negated, Origin::Cursor));
    }

    #[test]
    fn bad_ones_are_refused() {
        for bad in [
            "byte_test:4,>,5;",
            "byte_test:9,>,5,0;",
            "byte_test:0,>,5,0;",
            "byte_test:4,?,5,0;",
            "byte_test:4,>,5,0,hex;",
            "byte_test:4,>,5,0,string,little;",
            "byte_test:4,>,nope,0;",
            "byte_test:4,>,5,70000;",
            "byte_test:4,>,5,0,dce;",
            "byte_jump:4;",
            "byte_jump:4,0,from_beginning,from_end;",
            "byte_jump:4,0,sideways;",
            "byte_jump:4,0,multiplier 0;",
            "byte_extract:4,0;",
            "byte_extract:4,0,9x;",
            "byte_math:bytes 4, offset 0, oper +, rvalue 2;",
            "byte_math:bytes 4, offset 0, oper %, rvalue 2, result x;",
            "byte_math:bytes 4, offset 0, oper /, rvalue 0, result x;",
            "byte_math:bytes 9, offset 0, oper +, rvalue 1, result x;",
            "isdataat:x;",
            "isdataat:1,absolute;",
            "asn1:overflow;",
            "asn1:oversize_length;",
            "base64_decode:bytes x;",
        ] {
            assert!(tried(bad).is_err(), "{bad}");
        }
    }
}
