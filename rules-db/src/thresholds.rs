//! threshold.config: lines that change how often rules are told, without touching the rules.

use crate::ast::{NewAction, RateFilter, Rule, Suppression, Threshold, Track, TrackedAddresses};
use crate::config::LineFault;
use crate::fault::{Outcome, invalid, shown};
use crate::groups::Groups;
use crate::keywords::{Pairs, threshold_of, track, track_of_one};
use crate::vars::Vars;

/// What one line changes.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Change {
    Suppress(Suppression),
    Threshold(Threshold),
    Rate(RateFilter),
}

/// The lines of threshold.config.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ThresholdConfig {
    /// gid and sid (0: all), and what changes.
    rows: Vec<(u32, u32, Change)>,
}

impl ThresholdConfig {
    /// Reads `suppress`, `threshold` (or `event_filter`) and `rate_filter` lines over what is
    /// there. Lines that are not understood are told and left out.
    pub fn read(&mut self, bytes: &[u8], vars: &Vars) -> Vec<LineFault> {
        let mut groups = Groups::new(vars);
        let mut faults = Vec::new();
        for text in crate::lines::split(bytes).rules {
            match line(&text.bytes, &mut groups) {
                Ok(row) => self.rows.push(row),
                Err(fault) => {
                    let sentence = format!("{}; {}", fault.reason, fault.remedy);
                    faults.push((text.position(0).0, sentence));
                }
            }
        }
        faults
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Changes a rule as the lines that name it say. A threshold in the rule itself goes before
    /// one of a line, and a line that names the rule before one that names all.
    pub(crate) fn apply(&self, rule: &mut Rule) {
        let own = rule.threshold.is_some() || rule.detection_filter.is_some();
        let mut exact = false;
        for (gid, sid, change) in &self.rows {
            let names_it = *gid == rule.id.gid && *sid == rule.id.sid;
            let names_all = *sid == 0 && (*gid == 0 || *gid == rule.id.gid);
            if !names_it && !names_all {
                continue;
            }
            match change {
                Change::Suppress(suppression) => rule.suppressions.push(suppression.clone()),
                Change::Rate(filter) => rule.rate_filters.push(*filter),
                Change::Threshold(threshold) if !own && (names_it || !exact) => {
                    rule.threshold = Some(*threshold);
                    exact |= names_it;
                }
                Change::Threshold(_) => {}
            }
        }
    }
}

const IDS: [&str; 2] = ["gen_id", "sig_id"];

fn line(text: &[u8], groups: &mut Groups<'_>) -> Outcome<(u32, u32, Change)> {
    let text = text.trim_ascii();
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let read = |words: &[&str]| Pairs::read(rest, &[&IDS[..], words].concat());
    let (pairs, change) = match word {
        b"suppress" => {
            let pairs = read(&["track", "ip"])?;
            let change = Change::Suppress(suppression(&pairs, groups)?);
            (pairs, change)
        }
        b"threshold" | b"event_filter" => {
            let pairs = read(&["type", "track", "count", "seconds", "multiplier"])?;
            let change = Change::Threshold(threshold_of(&pairs)?);
            (pairs, change)
        }
        b"rate_filter" => {
            let pairs = read(&["track", "count", "seconds", "new_action", "timeout"])?;
            let change = Change::Rate(rate_filter(&pairs)?);
            (pairs, change)
        }
        _ => {
            let reason = format!("`{}` begins no line of threshold.config", shown(word));
            return Err(invalid(reason, "write suppress, threshold or rate_filter"));
        }
    };
    Ok((pairs.number("gen_id", 0)?, pairs.number("sig_id", 0)?, change))
}

fn suppression(pairs: &Pairs<'_>, groups: &mut Groups<'_>) -> Outcome<Suppression> {
    let only = match (pairs.find("track"), pairs.find("ip")) {
        (None, None) => None,
        (Some(by), Some(ip)) => {
            let track = track(by)?;
            if !matches!(track, Track::Source | Track::Destination | Track::Either) {
                let reason = format!("suppress does not track `{}`", shown(by));
                return Err(invalid(reason, "write by_src, by_dst or by_either"));
            }
            Some(TrackedAddresses { track, addresses: groups.addresses(ip)? })
        }
        _ => return Err(invalid("track and ip go together", "write both or none")),
    };
    Ok(Suppression { only })
}

fn rate_filter(pairs: &Pairs<'_>) -> Outcome<RateFilter> {
    let action = match pairs.need("new_action")? {
        b"alert" => NewAction::Alert,
        b"drop" => NewAction::Drop,
        b"reject" => NewAction::Reject,
        b"pass" => NewAction::Pass,
        other => {
            let reason = format!("`{}` is not an action", shown(other));
            return Err(invalid(reason, "write alert, drop, reject or pass"));
        }
    };
    Ok(RateFilter {
        track: track_of_one(pairs.need("track")?)?,
        count: pairs.number("count", 1)?,
        seconds: pairs.number("seconds", 1)?,
        action,
        timeout: pairs.number("timeout", 0)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reading;

    #[test]
    fn lines_change_the_rules_that_they_name() {
        let vars = Vars::default();
        let mut config = ThresholdConfig::default();
        let faults = config.read(
            b"suppress gen_id 1, sig_id 1, track by_src, ip [10.0.0.0/8,!10.1.1.1]\n\
              suppress gen_id 1, sig_id 0\n\
              threshold gen_id 1, sig_id 0, type limit, track by_src, count 1, seconds 60\n\
              threshold gen_id 1, sig_id 2, type both, track by_dst, \\\n count 3, seconds 9\n\
              rate_filter gen_id 1, sig_id 2, track by_rule, count 9, seconds 1, \
              new_action drop, timeout 30\n\
              nonsense\nsuppress gen_id 1, sig_id 2, ip 10.0.0.1\n",
            &vars,
        );
        assert_eq!((config.len(), faults.len()), (5, 2));
        let text = b"alert ip any any -> any any (sid:1;)\n\
            alert ip any any -> any any (sid:2;)\n\
            alert ip any any -> any any \
            (threshold:type limit,track by_src,count 7,seconds 7;sid:3;)";
        let set = Reading::new(&vars).thresholds(config).texts(&[("t", text)]);
        let [one, two, three] = set.rules.as_slice() else { panic!("{:?}", set.refused) };
        assert_eq!((one.suppressions.len(), one.threshold.map(|t| t.count)), (2, Some(1)));
        assert_eq!((two.threshold.map(|t| t.count), two.rate_filters.len()), (Some(3), 1));
        assert_eq!(three.threshold.map(|t| t.count), Some(7));
    }
}
