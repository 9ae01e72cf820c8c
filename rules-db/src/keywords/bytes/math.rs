//! `byte_math`: a number from the buffer, one operation, and the variable that it is kept in.

use super::{Modifiers, OFFSET_MAX, bitmask, operand, parts, too_few};
use crate::ast::{BufferTest, ByteMath, Endian, MathOperator, NumberAt, Operand, Origin};
use crate::draft::Draft;
use crate::fault::{Outcome, invalid, shown};
use crate::keywords::Value;

#[derive(Default)]
struct MathWords<'t> {
    bytes: Option<&'t [u8]>,
    offset: Option<&'t [u8]>,
    operator: Option<MathOperator>,
    right: Option<&'t [u8]>,
    result: Option<&'t [u8]>,
    string: Option<&'t [u8]>,
    endian: Option<&'t [u8]>,
    mask: Option<u32>,
    from: Origin,
}

fn math_words<'t>(parts: &[&'t [u8]]) -> Outcome<MathWords<'t>> {
    let mut words = MathWords::default();
    for part in parts {
        let end = part.iter().position(u8::is_ascii_whitespace).unwrap_or(part.len());
        let (name, argument) = part.split_at(end);
        let argument = argument.trim_ascii();
        let slot = match name {
            b"relative" if argument.is_empty() => {
                words.from = Origin::Cursor;
                continue;
            }
            b"dce" if argument.is_empty() => {
                words.endian = Some(b"dce");
                continue;
            }
            b"bitmask" => {
                words.mask = Some(bitmask(argument)?);
                continue;
            }
            b"oper" => {
                words.operator = Some(math_operator(argument)?);
                continue;
            }
            b"bytes" => &mut words.bytes,
            b"offset" => &mut words.offset,
            b"rvalue" => &mut words.right,
            b"result" => &mut words.result,
            b"string" => &mut words.string,
            b"endian" => &mut words.endian,
            _ => {
                return Err(invalid(
                    format!("`{}` is not understood here", shown(part)),
                    "write bytes N, offset N, oper +, rvalue N, result NAME, and relative, endian, \
                     string or bitmask",
                ));
            }
        };
        if argument.is_empty() || slot.replace(argument).is_some() {
            let remedy = "give each word one value";
            return Err(invalid(
                format!("`{}` lacks its value or is there twice", shown(part)),
                remedy,
            ));
        }
    }
    Ok(words)
}

fn math_operator(text: &[u8]) -> Outcome<MathOperator> {
    Ok(match text {
        b"+" => MathOperator::Add,
        b"-" => MathOperator::Subtract,
        b"*" => MathOperator::Multiply,
        b"/" => MathOperator::Divide,
        b"<<" => MathOperator::ShiftLeft,
        b">>" => MathOperator::ShiftRight,
        _ => {
            let reason = format!("`{}` is not an operator", shown(text));
            return Err(invalid(reason, "write one of + - * / << >>"));
        }
    })
}

pub(super) fn byte_math(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let words = math_words(&parts(value))?;
    let form = "bytes N, offset N, oper +, rvalue N, result NAME";
    let need = |word: Option<_>| word.ok_or_else(|| too_few("byte_math", form));
    let bytes = operand(draft, need(words.bytes)?, 1, 10)?;
    let modifiers = Modifiers {
        is_text: words.string.is_some(),
        base: match words.string {
            None => None,
            Some(b"hex") => Some(16),
            Some(b"dec") => Some(10),
            Some(b"oct") => Some(8),
            Some(other) => {
                let reason = format!("`{}` is not a base", shown(other));
                return Err(invalid(reason, "write string hex, string dec or string oct"));
            }
        },
        ..Modifiers::default()
    };
    let mut modifiers = modifiers;
    match words.endian {
        None => {}
        Some(b"big") => modifiers.endian(Endian::Big, b"endian")?,
        Some(b"little") => modifiers.endian(Endian::Little, b"endian")?,
        Some(b"dce") => modifiers.endian(Endian::Dce, b"endian")?,
        Some(other) => {
            let reason = format!("`{}` is not a byte order", shown(other));
            return Err(invalid(reason, "write endian big or endian little"));
        }
    }
    let read = NumberAt {
        bytes,
        offset: operand(draft, need(words.offset)?, -OFFSET_MAX, OFFSET_MAX)?,
        from: words.from,
        encoding: modifiers.encoding(bytes, 4)?,
    };
    let right = operand(draft, need(words.right)?, 0, i64::from(u32::MAX))?;
    let operator = words.operator.ok_or_else(|| too_few("byte_math", form))?;
    check_right(operator, right)?;
    let variable = draft.new_variable(&String::from_utf8_lossy(need(words.result)?))?;
    let math = ByteMath { read, operator, right, variable, mask: words.mask };
    draft.push_relative_if(read.from, BufferTest::ByteMath(math));
    Ok(())
}

fn check_right(operator: MathOperator, right: Operand) -> Outcome {
    match (operator, right) {
        (MathOperator::Divide, Operand::Number(0)) => {
            Err(invalid("it divides by 0", "write an rvalue of 1 or more"))
        }
        (MathOperator::ShiftLeft | MathOperator::ShiftRight, Operand::Number(n)) if n > 63 => {
            Err(invalid(format!("it shifts by {n} bits"), "write an rvalue below 64"))
        }
        _ => Ok(()),
    }
}
