//! Numbers as rules write them. All comparisons become ranges here, so that nothing behind has to
//! know whether `<>` is inclusive.

use crate::ast::{NumberTest, Polarity};
use crate::fault::{Outcome, invalid, shown};

/// Decimal, or `0x…`; no sign.
pub(crate) fn unsigned(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    let (digits, base) = match text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")) {
        Some(hex) => (hex, 16),
        None => (text, 10),
    };
    let word = std::str::from_utf8(digits).ok()?;
    if word.starts_with('+') {
        return None;
    }
    u64::from_str_radix(word, base).ok()
}

/// Decimal with an optional sign.
pub(crate) fn signed(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()
}

/// Decimal with `kb`, `mb`, `gb` (1024s) behind it.
pub(crate) fn sized(text: &[u8]) -> Option<u64> {
    let lower = text.trim_ascii().to_ascii_lowercase();
    let digits = lower.iter().position(|b| !b.is_ascii_digit()).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let factor: u64 = match unit.trim_ascii() {
        b"" | b"b" => 1,
        b"kb" | b"kib" | b"k" => 1 << 10,
        b"mb" | b"mib" | b"m" => 1 << 20,
        b"gb" | b"gib" | b"g" => 1 << 30,
        _ => return None,
    };
    unsigned(number)?.checked_mul(factor)
}

/// A number from 0 to `most`.
pub(crate) fn bounded(text: &[u8], most: u64) -> Outcome<u64> {
    match unsigned(text) {
        Some(n) if n <= most => Ok(n),
        _ => Err(invalid(
            format!("`{}` is not a number from 0 to {most}", shown(text)),
            "write the number in digits",
        )),
    }
}

/// A comparison: `5`, `=5`, `!5`, `!=5`, `<5`, `<=5`, `>5`, `>=5`, `1-5` and `1<>5` (both without
/// their ends), `!1-5`.
pub(crate) fn comparison(text: &[u8], most: u64) -> Outcome<NumberTest> {
    comparison_of(text, most, unsigned)
}

/// The same with sizes such as `10kb`.
pub(crate) fn size_comparison(text: &[u8]) -> Outcome<NumberTest> {
    comparison_of(text, u64::MAX, sized)
}

fn comparison_of(text: &[u8], most: u64, number: fn(&[u8]) -> Option<u64>) -> Outcome<NumberTest> {
    let text = text.trim_ascii();
    let fault = || {
        invalid(
            format!("`{}` is not a comparison with numbers up to {most}", shown(text)),
            "write N, !N, <N, >N, <=N, >=N or LOW<>HIGH with at least one number between",
        )
    };
    let value = |t: &[u8]| number(t).filter(|n| *n <= most).ok_or_else(fault);
    let plain = |low, high| NumberTest { low, high, polarity: Polarity::Plain };
    for (operator, inclusive) in [(&b"<="[..], true), (b">=", true), (b"<", false), (b">", false)] {
        let Some(rest) = text.strip_prefix(operator) else { continue };
        let n = value(rest)?;
        let below = operator.starts_with(b"<");
        return match (below, inclusive) {
            (true, true) => Ok(plain(0, n)),
            (true, false) => n.checked_sub(1).map(|high| plain(0, high)).ok_or_else(fault),
            (false, true) => Ok(plain(n, u64::MAX)),
            (false, false) => n.checked_add(1).map(|low| plain(low, u64::MAX)).ok_or_else(fault),
        };
    }
    let (polarity, body) = match text.strip_prefix(b"!") {
        Some(rest) => (Polarity::Negated, rest.trim_ascii_start()),
        None => (Polarity::Plain, text),
    };
    let body = body.strip_prefix(b"=").unwrap_or(body);
    if let Some((low, high)) = ends_of_range(body) {
        let (low, high) = (value(low)?, value(high)?);
        if low.checked_add(1).is_none_or(|first| first >= high) {
            return Err(fault());
        }
        return Ok(NumberTest { low: low + 1, high: high - 1, polarity });
    }
    let n = value(body)?;
    Ok(NumberTest { low: n, high: n, polarity })
}

fn ends_of_range(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(at) = text.windows(2).position(|w| w == b"<>") {
        return Some((text.get(..at)?, text.get(at + 2..)?));
    }
    let at = text.iter().position(|&b| b == b'-')?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_become_ranges() {
        let test = |t: &str| comparison(t.as_bytes(), 65_535).map(|n| (n.low, n.high, n.polarity));
        assert_eq!(test("5"), Ok((5, 5, Polarity::Plain)));
        assert_eq!(test("!5"), Ok((5, 5, Polarity::Negated)));
        assert_eq!(test("<5"), Ok((0, 4, Polarity::Plain)));
        assert_eq!(test("> 5"), Ok((6, u64::MAX, Polarity::Plain)));
        assert_eq!(test(">=5"), Ok((5, u64::MAX, Polarity::Plain)));
        assert_eq!(test("300<>400"), Ok((301, 399, Polarity::Plain)));
        assert_eq!(test("1-9"), Ok((2, 8, Polarity::Plain)));
        for bad in ["", "x", "70000", "<0", "5<>6", "9<>3", "-1", "5x", "1<>2<>3"] {
            assert!(test(bad).is_err(), "{bad}");
        }
        assert_eq!(size_comparison(b">2KB").map(|n| n.low), Ok(2049));
    }
}
