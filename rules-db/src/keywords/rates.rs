//! `threshold` and `detection_filter`, and the pairs of words that they and threshold.config
//! share.

use super::{Keyword, Value, bare};
use crate::ast::{DetectionFilter, Threshold, ThresholdKind, Track};
use crate::draft::Draft;
use crate::fault::{Outcome, invalid, shown};
use crate::numbers::bounded;

pub(super) const ROWS: &[Keyword] =
    &[bare("threshold", threshold), bare("detection_filter", detection_filter)];

/// `word value, word value`, each word once.
pub(crate) struct Pairs<'t> {
    rows: Vec<(&'t [u8], &'t [u8])>,
}

impl<'t> Pairs<'t> {
    /// Reads the pairs; words that are not allowed are an error.
    pub(crate) fn read(text: &'t [u8], allowed: &[&str]) -> Outcome<Self> {
        let mut rows: Vec<(&[u8], &[u8])> = Vec::new();
        for pair in commas(text) {
            let pair = pair.trim_ascii();
            let end = pair.iter().position(u8::is_ascii_whitespace).unwrap_or(pair.len());
            let (word, value) = pair.split_at(end);
            let known = allowed.iter().any(|a| a.as_bytes() == word);
            let value = value.trim_ascii();
            if !known || value.is_empty() || rows.iter().any(|row| row.0 == word) {
                return Err(invalid(
                    format!("`{}` is not understood, or there twice", shown(pair)),
                    format!("write each of these words with its value: {}", allowed.join(", ")),
                ));
            }
            rows.push((word, value));
        }
        Ok(Pairs { rows })
    }

    /// The value of a word.
    pub(crate) fn find(&self, word: &str) -> Option<&'t [u8]> {
        self.rows.iter().find(|row| row.0 == word.as_bytes()).map(|row| row.1)
    }

    /// The value of a word that must be there.
    pub(crate) fn need(&self, word: &str) -> Outcome<&'t [u8]> {
        let missing = || invalid(format!("{word} is missing"), format!("add {word} and its value"));
        self.find(word).ok_or_else(missing)
    }

    /// A number of at least `least`.
    pub(crate) fn number(&self, word: &str, least: u32) -> Outcome<u32> {
        let n = bounded(self.need(word)?, u64::from(u32::MAX))?;
        u32::try_from(n).ok().filter(|n| *n >= least).ok_or_else(|| {
            invalid(format!("{word} {n} is too small"), format!("write {word} {least} or more"))
        })
    }
}

/// The parts between commas that are not in brackets.
fn commas(text: &[u8]) -> Vec<&[u8]> {
    let (mut open, mut start, mut parts) = (0_usize, 0, Vec::new());
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            b'[' => open += 1,
            b']' => open = open.saturating_sub(1),
            b',' if open == 0 => {
                parts.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(text.get(start..));
    parts
}

/// What is counted by.
pub(crate) fn track(text: &[u8]) -> Outcome<Track> {
    Ok(match text {
        b"by_src" => Track::Source,
        b"by_dst" => Track::Destination,
        b"by_both" => Track::Both,
        b"by_either" => Track::Either,
        b"by_rule" => Track::Rule,
        b"by_flow" => Track::Flow,
        _ => {
            let reason = format!("`{}` is not something to track by", shown(text));
            return Err(invalid(reason, "write by_src, by_dst, by_both, by_rule or by_flow"));
        }
    })
}

/// Not `by_either`, which only suppress has.
pub(crate) fn track_of_one(text: &[u8]) -> Outcome<Track> {
    let track = track(text)?;
    if track == Track::Either {
        let remedy = "write by_src, by_dst, by_both, by_rule or by_flow";
        return Err(invalid("by_either is for suppress only", remedy));
    }
    Ok(track)
}

/// A threshold from its pairs.
pub(crate) fn threshold_of(pairs: &Pairs<'_>) -> Outcome<Threshold> {
    let kind = match pairs.need("type")? {
        b"limit" => ThresholdKind::Limit,
        b"threshold" => ThresholdKind::Threshold,
        b"both" => ThresholdKind::Both,
        b"backoff" => ThresholdKind::Backoff,
        other => {
            let reason = format!("`{}` is not a type of threshold", shown(other));
            return Err(invalid(reason, "write limit, threshold, both or backoff"));
        }
    };
    let track = track_of_one(pairs.need("track")?)?;
    let count = pairs.number("count", 1)?;
    if kind == ThresholdKind::Backoff {
        let multiplier = pairs.number("multiplier", 2)?;
        return Ok(Threshold { kind, track, count, seconds: 0, multiplier });
    }
    Ok(Threshold { kind, track, count, seconds: pairs.number("seconds", 1)?, multiplier: 0 })
}

fn threshold(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let pairs = Pairs::read(value.text, &["type", "track", "count", "seconds", "multiplier"])?;
    let threshold = threshold_of(&pairs)?;
    if draft.detection_filter.is_some() || draft.threshold.replace(threshold).is_some() {
        let remedy = "keep one threshold or one detection_filter";
        return Err(invalid("a threshold or detection_filter is there already", remedy));
    }
    Ok(())
}

fn detection_filter(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let pairs = Pairs::read(value.text, &["track", "count", "seconds"])?;
    let filter = DetectionFilter {
        track: track_of_one(pairs.need("track")?)?,
        count: pairs.number("count", 1)?,
        seconds: pairs.number("seconds", 1)?,
    };
    if draft.threshold.is_some() || draft.detection_filter.replace(filter).is_some() {
        let remedy = "keep one threshold or one detection_filter";
        return Err(invalid("a threshold or detection_filter is there already", remedy));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tried;
    use super::*;

    #[test]
    fn rates() {
        let rule = tried("threshold: type both, track by_src, count 5,seconds 60;");
        let want = Threshold {
            kind: ThresholdKind::Both,
            track: Track::Source,
            count: 5,
            seconds: 60,
            multiplier: 0,
        };
        assert_eq!(rule.map(|r| r.threshold), Ok(Some(want)));
        let rule = tried("detection_filter:track by_dst, count 4, seconds 20;");
        let want = DetectionFilter { track: Track::Destination, count: 4, seconds: 20 };
        assert_eq!(rule.map(|r| r.detection_filter), Ok(Some(want)));
        assert!(tried("threshold:type backoff, track by_flow, count 1, multiplier 10;").is_ok());
    }

    #[test]
    fn bad_ones_are_refused() {
        for bad in [
            "threshold:type limit, track by_src, count 0, seconds 60;",
            "threshold:type limit, track by_src, count 1;",
            "threshold:type limit, track by_either, count 1, seconds 60;",
            "threshold:type some, track by_src, count 1, seconds 60;",
            "threshold:type limit, type limit, track by_src, count 1, seconds 60;",
            "threshold:type backoff, track by_flow, count 1, multiplier 1;",
            "detection_filter:track by_src, count 1, seconds x;",
            "detection_filter:track by_src, count 1, seconds 1; \
             threshold:type limit, track by_src, count 1, seconds 60;",
        ] {
            assert!(tried(bad).is_err(), "{bad}");
        }
    }
}
