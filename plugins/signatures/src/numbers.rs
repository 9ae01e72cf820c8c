//! Numbers out of bytes: what `byte_test`, `byte_jump`, `byte_extract` and `byte_math` read and
//! compute.

use portcullis_rules_form::{Base, ByteSource, Endian, MathOperator, Operator};

/// Digits of text that are read at most.
const TEXT_MAX: usize = 23;

/// Reads the number of `count` bytes at `at`, and how many bytes it took.
pub(crate) fn read(bytes: &[u8], at: i64, count: i64, source: &ByteSource) -> Option<(u64, usize)> {
    let (at, mut count) = (usize::try_from(at).ok()?, usize::try_from(count).ok()?);
    if count == 0 && source.text.is_some() {
        // All digits that there are.
        count = bytes.len().saturating_sub(at).min(TEXT_MAX);
    }
    let field = bytes.get(at..at.checked_add(count)?)?;
    let (value, taken) = match source.text {
        Some(base) => text(field, base)?,
        None => (binary(field, source.endian)?, count),
    };
    Some((masked(value, source.bitmask), taken))
}

/// Takes the bits of a mask and shifts them down.
pub(crate) fn masked(value: u64, mask: u64) -> u64 {
    if mask == 0 { value } else { (value & mask) >> mask.trailing_zeros() }
}

fn binary(field: &[u8], endian: Endian) -> Option<u64> {
    if field.is_empty() || field.len() > 8 {
        return None;
    }
    let step = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    Some(match endian {
        Endian::Big => field.iter().fold(0, step),
        Endian::Little => field.iter().rev().fold(0, step),
    })
}

/// As `strtoull`: spaces, a sign, a prefix, digits up to the first that is none.
fn text(field: &[u8], base: Base) -> Option<(u64, usize)> {
    if field.is_empty() || field.len() > TEXT_MAX {
        return None;
    }
    let spaces = field.iter().take_while(|b| b.is_ascii_whitespace()).count();
    let mut at = spaces;
    let mut negative = false;
    if let Some(sign @ (b'+' | b'-')) = field.get(at) {
        negative = *sign == b'-';
        at += 1;
    }
    let rest = field.get(at..)?;
    let hexadecimal = matches!(rest, [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit());
    let radix = match base {
        Base::Octal => 8,
        Base::Decimal => 10,
        Base::Hexadecimal => 16,
        Base::Prefix if hexadecimal => 16,
        Base::Prefix if rest.first() == Some(&b'0') => 8,
        Base::Prefix => 10,
    };
    if radix == 16 && hexadecimal {
        at += 2;
    }
    let mut value: u64 = 0;
    let begin = at;
    while let Some(digit) = field.get(at).and_then(|b| char::from(*b).to_digit(radix)) {
        value = value.checked_mul(u64::from(radix))?.checked_add(u64::from(digit))?;
        at += 1;
    }
    if at == begin {
        return None;
    }
    Some((if negative { value.wrapping_neg() } else { value }, at))
}

/// Compares as `byte_test` does.
pub(crate) fn compare(value: u64, operator: Operator, with: u64) -> bool {
    match operator {
        Operator::Less => value < with,
        Operator::Greater => value > with,
        Operator::Equal => value == with,
        Operator::LessOrEqual => value <= with,
        Operator::GreaterOrEqual => value >= with,
        Operator::And => value & with != 0,
        Operator::Xor => value ^ with != 0,
    }
}

/// Computes as `byte_math` does; `None` for what has no result.
pub(crate) fn compute(value: u64, operator: MathOperator, with: u64) -> Option<u64> {
    Some(match operator {
        MathOperator::Add => value.wrapping_add(with),
        MathOperator::Subtract => value.wrapping_sub(with),
        MathOperator::Multiply => value.wrapping_mul(with),
        MathOperator::Divide => value.checked_div(with)?,
        MathOperator::ShiftLeft => value.checked_shl(u32::try_from(with).ok()?)?,
        MathOperator::ShiftRight => value.checked_shr(u32::try_from(with).ok()?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_rules_form::Value;

    fn source(text: Option<Base>, endian: Endian) -> ByteSource {
        let zero = Value::Number(0);
        ByteSource { count: zero, offset: zero, relative: false, endian, text, bitmask: 0 }
    }

    #[test]
    fn bytes_and_digits_are_numbers() {
        let big = source(None, Endian::Big);
        assert_eq!(read(&[0, 1, 2], 1, 2, &big), Some((0x0102, 2)));
        assert_eq!(read(&[0, 1, 2], 1, 2, &source(None, Endian::Little)), Some((0x0201, 2)));
        assert_eq!(read(&[0, 1, 2], 1, 3, &big), None);
        assert_eq!(read(&[0], -1, 1, &big), None);
        let decimal = source(Some(Base::Decimal), Endian::Big);
        assert_eq!(read(b"  42x", 0, 5, &decimal), Some((42, 4)));
        assert_eq!(read(b"x", 0, 1, &decimal), None);
        let any = source(Some(Base::Prefix), Endian::Big);
        assert_eq!(read(b"0x1F", 0, 4, &any), Some((31, 4)));
        assert_eq!(read(b"017", 0, 3, &any), Some((15, 3)));
        assert_eq!(masked(0xf0, 0xf0), 0xf);
        assert_eq!(compute(1, MathOperator::Divide, 0), None);
    }
}
