//! Durations and sizes as people write them: `60m`, `1h30m`, `512MiB`.

use std::time::Duration;

/// Unit words of a duration with their nanoseconds, the largest first.
const DURATION_UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Unit words of a size with their bytes. Decimal and binary ones differ, so both must be written
/// out; a bare `M` or `MB` that people mean as 1024² is refused where it would be a guess.
const SIZE_UNITS: [(&str, u64); 5] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// What to write for a duration.
pub const DURATION_REMEDY: &str =
    "write a number with its unit, such as \"300ms\", \"1s\", \"60m\", \"1h30m\" or \"7d\"";

/// What to write for a size.
pub const SIZE_REMEDY: &str =
    "write a number with its unit (B, KiB, MiB, GiB, TiB), such as \"512MiB\"";

/// A duration: whole numbers, each with a unit (`d h m s ms us ns`), added up. At most 584 years.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(DURATION_REMEDY);
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (number, unit, behind) = number_and_unit(rest).ok_or(DURATION_REMEDY)?;
        let (_, ns) =
            DURATION_UNITS.iter().find(|(word, _)| *word == unit).ok_or(DURATION_REMEDY)?;
        total = number
            .checked_mul(*ns)
            .and_then(|n| total.checked_add(n))
            .ok_or("write a duration below 584 years")?;
        rest = behind.trim_start();
    }
    Ok(Duration::from_nanos(total))
}

/// A size in bytes: one whole number with one unit. At most 16 EiB.
pub fn parse_size(text: &str) -> Result<u64, &'static str> {
    let (number, unit, behind) = number_and_unit(text.trim()).ok_or(SIZE_REMEDY)?;
    let (_, bytes) = SIZE_UNITS.iter().find(|(word, _)| *word == unit).ok_or(SIZE_REMEDY)?;
    if !behind.is_empty() {
        return Err(SIZE_REMEDY);
    }
    number.checked_mul(*bytes).ok_or("write a size below 16 EiB")
}

/// A duration in the largest units that say it exactly; parses back to the same.
pub fn write_duration(duration: Duration) -> String {
    let mut ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let mut out = String::new();
    for (unit, size) in DURATION_UNITS {
        if ns >= size {
            out.push_str(&format!("{}{unit}", ns / size));
            ns %= size;
        }
    }
    if out.is_empty() { "0s".into() } else { out }
}

/// A size in the largest unit that says it exactly; parses back to the same.
pub fn write_size(bytes: u64) -> String {
    let (unit, size) = SIZE_UNITS
        .iter()
        .rev()
        .find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size))
        .unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / size)
}

/// Splits `12ms rest` into 12, `ms` and what is behind.
fn number_and_unit(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number = text[..digits].parse().ok()?;
    let rest = text[digits..].trim_start();
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    Some((number, &rest[..letters], &rest[letters..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_add_up() {
        assert_eq!(parse_duration("60m"), Ok(Duration::from_secs(3600)));
        assert_eq!(parse_duration(" 1h 30m "), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("300ms"), Ok(Duration::from_millis(300)));
        for wrong in ["", "60", "m", "1.5s", "-1s", "1 fortnight", "1s;", "s1"] {
            assert_eq!(parse_duration(wrong), Err(DURATION_REMEDY), "{wrong}");
        }
        assert!(parse_duration("999999999d").is_err());
    }

    #[test]
    fn sizes_want_a_unit() {
        assert_eq!(parse_size("512MiB"), Ok(512 << 20));
        assert_eq!(parse_size("4096 B"), Ok(4096));
        for wrong in ["", "512", "512MB", "1GiB1", "99999999TiB", "MiB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_parses_back(ns: u64, bytes: u64) {
            let d = Duration::from_nanos(ns);
            prop_assert_eq!(parse_duration(&write_duration(d)), Ok(d));
            prop_assert_eq!(parse_size(&write_size(bytes)), Ok(bytes));
        }

        #[test]
        fn nothing_panics(text: String) {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
        }
    }
}
