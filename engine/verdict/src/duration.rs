//! Durations as people write them (`90s`, `10m`, `1h30m`) and the limits of a block.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The shortest block. Below a second the order costs more than the block saves.
pub const BLOCK_FOR_MIN: Duration = Duration::from_secs(1);
/// The longest block: 32768 minutes, about 22 days, as operators of such products know it.
pub const BLOCK_FOR_MAX: Duration = Duration::from_secs(32_768 * 60);

/// Why a duration was not understood. Each variant says what to write instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DurationError {
    /// The text is no number with a unit.
    Format,
    /// A block longer than [`BLOCK_FOR_MAX`], or a duration that no clock can hold.
    TooLong,
    /// A block shorter than [`BLOCK_FOR_MIN`].
    TooShort,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DurationError::Format => "write a number with its unit, such as 90s, 10m, 1h30m or 2d",
            DurationError::TooLong => "a block lasts at most 32768 minutes; write 32768m or less",
            DurationError::TooShort => "a block lasts at least one second; write 1s or more",
        })
    }
}

impl std::error::Error for DurationError {}

/// Whole seconds from text: numbers with the units `d`, `h`, `m`, `s` in falling order, each once.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let (mut total, mut digits, mut largest) = (0u64, String::new(), u64::MAX);
    for c in text.chars() {
        let unit = match c {
            '0'..='9' => {
                digits.push(c);
                continue;
            }
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return Err(DurationError::Format),
        };
        if digits.is_empty() || unit >= largest {
            return Err(DurationError::Format);
        }
        largest = unit;
        let number: u64 = digits.parse().map_err(|_| DurationError::TooLong)?;
        digits.clear();
        total = number
            .checked_mul(unit)
            .and_then(|s| total.checked_add(s))
            .ok_or(DurationError::TooLong)?;
    }
    if largest == u64::MAX || !digits.is_empty() {
        return Err(DurationError::Format);
    }
    Ok(Duration::from_secs(total))
}

/// The shortest text that [`parse_duration`] reads back; what is below a second is cut off.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    if rest == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (unit, name) in [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')] {
        if rest >= unit {
            text.push_str(&format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    text
}

/// How long a block lasts: [`BLOCK_FOR_MIN`] to [`BLOCK_FOR_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BlockDuration(Duration);

impl BlockDuration {
    /// Sixty minutes: the default of both classes.
    pub const HOUR: BlockDuration = BlockDuration(Duration::from_secs(3_600));

    /// A duration within the limits of a block.
    pub fn new(duration: Duration) -> Result<Self, DurationError> {
        if duration < BLOCK_FOR_MIN {
            Err(DurationError::TooShort)
        } else if duration > BLOCK_FOR_MAX {
            Err(DurationError::TooLong)
        } else {
            Ok(BlockDuration(duration))
        }
    }

    /// The nearest duration within the limits.
    pub fn clamped(duration: Duration) -> Self {
        BlockDuration(duration.clamp(BLOCK_FOR_MIN, BLOCK_FOR_MAX))
    }

    /// The duration.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl Default for BlockDuration {
    fn default() -> Self {
        BlockDuration::HOUR
    }
}

impl FromStr for BlockDuration {
    type Err = DurationError;
    fn from_str(s: &str) -> Result<Self, DurationError> {
        BlockDuration::new(parse_duration(s)?)
    }
}

impl fmt::Display for BlockDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_duration(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172_800)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(format_duration(Duration::from_secs(90)), "1m30s");
        for bad in ["", "10", "m", "10x", "1m1h", "1m2m", "-1s", "1 m", "+1m"] {
            assert_eq!(parse_duration(bad), Err(DurationError::Format), "{bad}");
        }
        assert_eq!(parse_duration("99999999999999999999s"), Err(DurationError::TooLong));
        assert_eq!(parse_duration("999999999999999999d"), Err(DurationError::TooLong));
    }

    #[test]
    fn a_block_has_limits() {
        assert_eq!("0s".parse::<BlockDuration>(), Err(DurationError::TooShort));
        assert_eq!("32769m".parse::<BlockDuration>(), Err(DurationError::TooLong));
        assert!("1s".parse::<BlockDuration>().is_ok());
        assert_eq!("32768m".parse::<BlockDuration>().map(|d| d.duration()), Ok(BLOCK_FOR_MAX));
    }
}
