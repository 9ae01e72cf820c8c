//! Wall-clock moments as people write them (RFC 3339), and their place on the engine's timeline.
//! Nothing here reads a clock: the caller says once what time it was at which tick.

use portcullis_types::Tick;
use std::fmt;

/// Why a moment was not understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimestampError;

impl fmt::Display for TimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write a moment with its time zone, such as 2027-01-31T18:00:00Z")
    }
}

impl std::error::Error for TimestampError {}

/// One moment on both timelines: what the wall clock said at a tick.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WallClock {
    /// The engine's timeline.
    pub tick: Tick,
    /// Nanoseconds since 1970, UTC, at that tick.
    pub unix_ns: u64,
}

impl WallClock {
    /// In replay the two timelines are one.
    pub const REPLAY: WallClock = WallClock { tick: Tick::ZERO, unix_ns: 0 };

    /// The tick of a moment in seconds since 1970; moments before the timeline began are
    /// [`Tick::ZERO`], those after its end [`Tick::NEVER`].
    pub fn tick_of(&self, unix_s: u64) -> Tick {
        let ns =
            i128::from(unix_s) * 1_000_000_000 - i128::from(self.unix_ns) + i128::from(self.tick.0);
        Tick(u64::try_from(ns.max(0)).unwrap_or(u64::MAX))
    }

    /// Seconds since 1970 at a tick, rounded down.
    pub fn unix_of(&self, tick: Tick) -> u64 {
        let ns = i128::from(tick.0) - i128::from(self.tick.0) + i128::from(self.unix_ns);
        u64::try_from(ns.max(0)).unwrap_or(u64::MAX) / 1_000_000_000
    }
}

/// Seconds since 1970 from `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)`; fractions are cut off.
/// Years from 1970 to 9999.
pub fn parse_timestamp(text: &str) -> Result<u64, TimestampError> {
    fields(text).ok_or(TimestampError)
}

fn fields(text: &str) -> Option<u64> {
    let (date, clock) = text.split_once(['T', 't'])?;
    let mut day = date.split('-').zip([4, 2, 2]).map(|(s, width)| digits(s, width));
    let (year, month, dom) = (day.next()??, day.next()??, day.next()??);
    let zone_at = clock.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = clock.split_at_checked(zone_at)?;
    let (time, fraction) = time.split_once('.').map_or((time, None), |(t, f)| (t, Some(f)));
    if fraction.is_some_and(|f| f.is_empty() || !f.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    let mut hms = time.split(':').zip([2, 2, 2]).map(|(s, width)| digits(s, width));
    let (hour, minute, second) = (hms.next()??, hms.next()??, hms.next()??);
    if date.split('-').count() != 3 || time.split(':').count() != 3 {
        return None;
    }
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    if dom < 1 || dom > days_in(year, month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let local = (days_from_1970(year, month, dom) * 24 + hour) * 3600 + minute * 60 + second;
    u64::try_from(local - zone_seconds(zone)?).ok()
}

/// Exactly `width` decimal digits.
fn digits(s: &str, width: usize) -> Option<i64> {
    (s.len() == width && s.bytes().all(|b| b.is_ascii_digit())).then(|| s.parse().ok())?
}

fn zone_seconds(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        (_, rest) => (-1, rest),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a day in the Gregorian calendar, with years that begin in March so that
/// the leap day comes last.
fn days_from_1970(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719_468
}

/// RFC 3339 in UTC, whole seconds; what [`parse_timestamp`] reads back for years up to 9999.
pub fn format_timestamp(unix_s: u64) -> String {
    let days = i64::try_from(unix_s / 86_400).unwrap_or(i64::MAX / 2);
    let (second, minute, hour) = (unix_s % 60, unix_s / 60 % 60, unix_s / 3600 % 24);
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_moments() {
        for (text, unix) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2026-08-01T02:00:00+02:00", 1_785_542_400),
            ("2026-07-31T23:59:59.999Z", 1_785_542_399),
        ] {
            assert_eq!(parse_timestamp(text), Ok(unix), "{text}");
        }
        for bad in [
            "2026-02-29T00:00:00Z",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "x",
            "1969-12-31T23:59:59Z",
            "2026-01-01T24:00:00Z",
            "2026-1-01T00:00:00Z",
            "2026-01-01-01T00:00:00Z",
            "2026-01-01T00:00:00:00Z",
        ] {
            assert_eq!(parse_timestamp(bad), Err(TimestampError), "{bad}");
        }
    }

    #[test]
    fn the_two_timelines_meet() {
        let wall = WallClock { tick: Tick(5_000_000_000), unix_ns: 1_000_000_000_000 };
        assert_eq!(wall.tick_of(1_001), Tick(6_000_000_000));
        assert_eq!(wall.tick_of(0), Tick::ZERO);
        assert_eq!(wall.unix_of(Tick(6_500_000_000)), 1_001);
    }

    proptest! {
        #[test]
        fn moments_come_back(unix in 0u64..253_402_300_800) {
            prop_assert_eq!(parse_timestamp(&format_timestamp(unix)), Ok(unix));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = parse_timestamp(&text);
        }
    }
}
