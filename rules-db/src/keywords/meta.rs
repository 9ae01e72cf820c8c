//! What is said about a rule, and switches that are not tests.

use super::{Keyword, Value, alone, bare, is_supported, quoted};
use crate::ast::{
    Alerting, Configure, ConfigureScope, ConfigureWhat, Effect, Reference, RuleAction, Tag,
    TagMetric, Tagged, TargetSide,
};
use crate::draft::Draft;
use crate::fault::{Outcome, invalid, not_required, shown};
use crate::numbers::bounded;

pub(super) const ROWS: &[Keyword] = &[
    quoted("msg", msg),
    bare("sid", sid),
    bare("rev", rev),
    bare("gid", gid),
    bare("classtype", classtype),
    bare("reference", reference),
    bare("priority", priority),
    bare("metadata", metadata),
    bare("target", target),
    alone("noalert", |d, _| switch(d, Alerting::NoAlert)),
    alone("alert", |d, _| switch(d, Alerting::Always)),
    alone("prefilter", |_, _| Ok(())),
    alone("bypass", bypass),
    bare("tag", tag),
    bare("config", config),
    bare("requires", |_, v| requires(v)),
];

/// The version of the rule language that `requires` is compared with.
const LANGUAGE: [u32; 3] = [7, 0, 10];

fn msg(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    if value.polarity == crate::ast::Polarity::Negated {
        return Err(invalid("a message cannot be negated", "take the `!` out"));
    }
    if !draft.about.message.is_empty() {
        return Err(invalid("two msg in one rule", "take one out"));
    }
    let mut bytes = Vec::with_capacity(value.text.len());
    let mut rest = value.text.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'\\' => bytes.extend(rest.next()),
            _ => bytes.push(byte),
        }
    }
    draft.about.message = String::from_utf8_lossy(&bytes).into_owned();
    Ok(())
}

fn number(value: &Value<'_>, least: u64) -> Outcome<u32> {
    let n = bounded(value.text, u64::from(u32::MAX))?;
    if n < least {
        return Err(invalid(format!("{n} is too small"), format!("write {least} or more")));
    }
    Ok(u32::try_from(n).unwrap_or(u32::MAX))
}

fn sid(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    if draft.sid != 0 {
        return Err(invalid("two sid in one rule", "take one out"));
    }
    draft.sid = number(value, 1)?;
    Ok(())
}

fn rev(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    if draft.rev != 0 {
        return Err(invalid("two rev in one rule", "take one out"));
    }
    draft.rev = number(value, 0)?;
    Ok(())
}

fn gid(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    draft.gid = number(value, 0)?;
    Ok(())
}

fn classtype(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let name = value.word()?.to_owned();
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(legal) {
        let reason = format!("`{}` is not a class type", value.shown());
        return Err(invalid(reason, "write its short name, such as trojan-activity"));
    }
    let rank = |name: &str| draft.shared.classifications.named(name).map_or(3, |c| c.priority);
    if draft.about.classtype.as_deref().is_none_or(|known| rank(&name) < rank(known)) {
        draft.about.classtype = Some(name);
    }
    Ok(())
}

fn reference(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let text = String::from_utf8_lossy(value.text).into_owned();
    let parts = text.split_once(',').map(|(system, id)| (system.trim(), id.trim()));
    let (system, id) =
        parts.filter(|(s, id)| !s.is_empty() && !id.is_empty()).ok_or_else(|| {
            let reason = format!("`{}` has no system or no id", value.shown());
            invalid(reason, "write such as reference:cve,2021-44228")
        })?;
    let system = system.to_ascii_lowercase();
    let id = id.replace("\\;", ";").replace("\\:", ":");
    let address = draft.shared.references.address(&system, &id);
    draft.about.references.push(Reference { system, id, address });
    Ok(())
}

fn priority(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    if draft.priority.is_some() {
        return Err(invalid("two priority in one rule", "take one out"));
    }
    let n = bounded(value.text, 255)?;
    let n = u8::try_from(n).ok().filter(|n| *n > 0);
    draft.priority = Some(n.ok_or_else(|| invalid("0 is no priority", "write 1 to 255"))?);
    Ok(())
}

fn metadata(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let text = String::from_utf8_lossy(value.text);
    for pair in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once([' ', '\t']).unwrap_or((pair, ""));
        draft.about.metadata.push((key.to_owned(), value.trim().to_owned()));
    }
    Ok(())
}

fn target(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    draft.about.target = Some(match value.text {
        b"src_ip" => TargetSide::Source,
        b"dest_ip" => TargetSide::Destination,
        _ => {
            let reason = format!("`{}` is not an end", value.shown());
            return Err(invalid(reason, "write src_ip or dest_ip"));
        }
    });
    Ok(())
}

fn switch(draft: &mut Draft<'_, '_>, alerting: Alerting) -> Outcome {
    draft.alerting = alerting;
    Ok(())
}

fn bypass(draft: &mut Draft<'_, '_>, _: &Value<'_>) -> Outcome {
    draft.effects.push(Effect::Bypass);
    Ok(())
}

fn tag(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    /// Packets where the rule does not say, as in Suricata.
    const PACKETS: u32 = 256;
    let parts: Vec<&[u8]> = value.text.split(|&b| b == b',').map(<[u8]>::trim_ascii).collect();
    let metric = |word: &[u8]| match word {
        b"packets" => Ok(TagMetric::Packets),
        b"seconds" => Ok(TagMetric::Seconds),
        b"bytes" => Ok(TagMetric::Bytes),
        _ => {
            let reason = format!("`{}` is not a metric", shown(word));
            Err(invalid(reason, "write packets, seconds or bytes"))
        }
    };
    let count = |text: &[u8]| -> Outcome<u32> {
        let n = bounded(text, u64::from(u32::MAX))?;
        Ok(u32::try_from(n).unwrap_or(u32::MAX))
    };
    let tag = match parts.as_slice() {
        [b"session"] => Tag { what: Tagged::Session, count: PACKETS, metric: TagMetric::Packets },
        [b"session", n, m] => Tag { what: Tagged::Session, count: count(n)?, metric: metric(m)? },
        [b"host", n, m, end] => {
            let what = match *end {
                b"src" => Tagged::Source,
                b"dst" => Tagged::Destination,
                _ => {
                    let reason = format!("`{}` is not an end", shown(end));
                    return Err(invalid(reason, "write src or dst"));
                }
            };
            Tag { what, count: count(n)?, metric: metric(m)? }
        }
        _ => {
            return Err(invalid(
                format!("`{}` is not understood", value.shown()),
                "write tag:session,COUNT,packets or tag:host,COUNT,seconds,src",
            ));
        }
    };
    draft.effects.push(Effect::Tag(tag));
    Ok(())
}

fn config(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let fault = || {
        invalid(
            format!("`{}` is not understood", value.shown()),
            "write config:logging disable, type tx, scope tx",
        )
    };
    if draft.header.action != RuleAction::Config {
        return Err(invalid("config needs a rule of its own", "begin the rule with `config`"));
    }
    let (mut subsystem, mut kind, mut scope) = (None, None, None);
    for part in value.text.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
        let words: Vec<&[u8]> = part.split(|&b| b == b' ').filter(|w| !w.is_empty()).collect();
        match words.as_slice() {
            [b"logging", b"disable"] => subsystem = Some(ConfigureWhat::Logging),
            [b"tracking", b"disable"] => subsystem = Some(ConfigureWhat::Tracking),
            [b"type", kind_word @ (b"tx" | b"flow")] => kind = Some(*kind_word),
            [b"scope", b"tx"] => scope = Some(ConfigureScope::Transaction),
            [b"scope", b"flow"] => scope = Some(ConfigureScope::Flow),
            [b"scope", b"packet"] => scope = Some(ConfigureScope::Packet),
            _ => return Err(fault()),
        }
    }
    let (Some(subsystem), Some(_), Some(scope)) = (subsystem, kind, scope) else {
        return Err(fault());
    };
    draft.effects.push(Effect::Configure(Configure { subsystem, scope }));
    Ok(())
}

/// Whether all that is required is there.
pub(crate) fn requires(value: &Value<'_>) -> Outcome {
    let text = value.word()?;
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (word, rest) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
        let rest = rest.trim();
        match word {
            "version" => {
                if !version_holds(rest)? {
                    return Err(not_required(format!("it requires version {rest}")));
                }
            }
            "keyword" if is_supported(rest) => {}
            "keyword" | "feature" => {
                return Err(not_required(format!("it requires the {word} {rest}")));
            }
            _ => return Err(not_required(format!("it requires `{part}`"))),
        }
    }
    Ok(())
}

/// `>= 7.0.3 < 8 | >= 9`: any of the alternatives, all comparisons of which hold.
fn version_holds(text: &str) -> Outcome<bool> {
    let fault = || {
        let reason = format!("`{text}` is not a comparison of versions");
        invalid(reason, "write such as requires: version >= 7.0.4 < 8")
    };
    let mut any = false;
    for alternative in text.split('|') {
        let spaced = alternative.replace('<', " < ").replace('>', " > ").replace("> =", ">=");
        let spaced = spaced.replace(">  =", ">=").replace("<  =", "<=").replace("< =", "<=");
        let mut words = spaced.split_whitespace().peekable();
        if words.peek().is_none() {
            return Err(fault());
        }
        let mut all = true;
        while let Some(operator) = words.next() {
            let wanted = words.next().and_then(version).ok_or_else(fault)?;
            all &= match operator {
                ">=" => LANGUAGE >= wanted,
                ">" => LANGUAGE > wanted,
                "<" => LANGUAGE < wanted,
                "<=" => LANGUAGE <= wanted,
                _ => return Err(fault()),
            };
        }
        any |= all;
    }
    Ok(any)
}

fn version(text: &str) -> Option<[u32; 3]> {
    let mut numbers = [0; 3];
    let mut parts = text.split('.');
    for slot in &mut numbers {
        let Some(part) = parts.next() else { break };
        let digits = part.split_once('-').map_or(part, |(digits, _)| digits);
        *slot = digits.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::super::{tried, tried_with};
    use super::*;
    use crate::RefusalKind;

    #[test]
    fn what_is_said_about_a_rule() {
        let rule = tried(
            "classtype:trojan-activity; reference:cve,2021-1; reference:url,a.example/b; rev:3; \
             metadata:policy, created_at 2020_01_01, signature_severity Major; target:src_ip;",
        );
        let rule = rule.unwrap_or_else(|f| panic!("{f}"));
        assert_eq!((rule.id.gid, rule.id.sid, rule.id.rev), (1, 1, 3));
        assert_eq!((rule.about.message.as_str(), rule.about.priority), ("m", 1));
        assert_eq!(rule.about.metadata("signature_severity"), Some("Major"));
        assert_eq!(rule.about.references[1].address, "https://a.example/b");
        assert_eq!(rule.about.target, Some(TargetSide::Source));
        assert_eq!(tried("priority:2;").map(|r| r.about.priority), Ok(2));
        assert_eq!(tried("noalert;").map(|r| r.alerting), Ok(Alerting::NoAlert));
    }

    #[test]
    fn effects() {
        let want = Tag { what: Tagged::Source, count: 100, metric: TagMetric::Packets };
        let rule = tried("tag:host,100,packets,src; bypass; tag:session;");
        assert_eq!(rule.map(|r| r.effects[0].clone()), Ok(Effect::Tag(want)));
        let rule = tried_with(
            "config dns any any -> any any",
            "dns.query; content:\"a\"; config:logging disable, type tx, scope tx;",
        );
        assert_eq!(rule.map(|r| r.effects.len()), Ok(1));
    }

    #[test]
    fn requirements() {
        assert!(tried("requires: version >= 7.0.3 < 8 | >= 9.0.99, keyword sid;").is_ok());
        for unmet in ["version >= 8", "version < 7", "feature lua", "keyword mqtt.type", "foo"] {
            let kind = tried(&format!("requires:{unmet};")).err().map(|r| r.kind);
            assert_eq!(kind, Some(RefusalKind::NotRequired), "{unmet}");
        }
    }

    #[test]
    fn bad_ones_are_refused() {
        for bad in [
            "sid:2;",
            "sid:x;",
            "rev:-1;",
            "priority:0;",
            "priority:256;",
            "classtype:a b;",
            "reference:cve;",
            "target:both;",
            "tag:host,100,packets;",
            "tag:session,1,parsecs;",
            "noalert:1;",
            "config:logging disable, type tx, scope tx;",
            "requires:version = 7;",
            "msg:\"again\";",
        ] {
            assert!(tried(bad).is_err(), "{bad}");
        }
    }
}
