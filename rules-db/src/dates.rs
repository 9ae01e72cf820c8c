//! Times as certificate keywords write them, in UTC.

/// Seconds since 1970 of `YYYY`, `YYYY-MM`, `YYYY-MM-DD`, each of the last with `T` or a blank and
/// `HH`, `HH:MM` or `HH:MM:SS` behind it, or of ten digits, which are the seconds themselves.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let all_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if all_digits && text.len() > 4 {
        return text.parse().ok();
    }
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, ""));
    let mut parts = date.split('-');
    let year: u64 = parts.next()?.parse().ok().filter(|y| (1970..=9999).contains(y))?;
    let month: u64 = parts.next().map_or(Some(1), |p| p.parse().ok())?;
    let day: u64 = parts.next().map_or(Some(1), |p| p.parse().ok())?;
    if parts.next().is_some() || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lengths = [31, 28 + u64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before: u64 = lengths.iter().take(usize::try_from(month - 1).ok()?).sum();
    if day > *lengths.get(usize::try_from(month - 1).ok()?)? {
        return None;
    }
    let past = year - 1970;
    let leaps = (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 - 477;
    let days = past * 365 + leaps + before + day - 1;
    let mut clock = [0_u64; 3];
    if !time.is_empty() {
        let mut parts = time.split(':');
        for (slot, most) in clock.iter_mut().zip([23, 59, 60]) {
            let Some(part) = parts.next() else { break };
            *slot = part.parse().ok().filter(|n| *n <= most)?;
        }
        if parts.next().is_some() {
            return None;
        }
    }
    Some(days * 86_400 + clock[0] * 3_600 + clock[1] * 60 + clock[2])
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn dates() {
        assert_eq!(seconds("1970"), Some(0));
        assert_eq!(seconds("2015-10-22T23:59:59"), Some(1_445_558_399));
        assert_eq!(seconds("2000-03-01"), Some(951_868_800));
        assert_eq!(seconds("2024-02-29 12"), Some(1_709_208_000));
        assert_eq!(seconds("1445852105"), Some(1_445_852_105));
        for bad in ["", "x", "2023-02-29", "2023-13", "2023-01-01T25", "1969", "2023-1-1-1"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
