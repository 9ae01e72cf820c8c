//! The checks of a `test.yaml` that count alerts or records of protocols, as the suite's own runner
//! reads them.
//!
//! Must never know: where events come from.

use serde_json::Value;
use std::net::IpAddr;

/// The release of the peer whose answers the expected counts are.
const PEER: [u64; 3] = [7, 0, 10];

/// Records that both engines make: types of events with the peer's field names.
pub(crate) const RECORDS: [&str; 4] = ["http", "dns", "tls", "fileinfo"];

/// "So many events look like this."
#[derive(Debug, Clone)]
pub(crate) struct EventCheck {
    /// The type of the events.
    pub(crate) kind: String,
    /// The key and what it must be; keys are paths with dots.
    wanted: Vec<(String, Value)>,
    /// How many events.
    pub(crate) count: u64,
}

/// The checks that count events of these types and apply to the peer's release.
pub(crate) fn event_checks(described: &Value, kinds: &[&str]) -> Vec<EventCheck> {
    let checks = described["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
    checks
        .iter()
        .map(|check| &check["filter"])
        .filter(|filter| filter["filename"].is_null() && applies(filter))
        .filter_map(|filter| {
            let kind = filter["match"]["event_type"].as_str()?;
            kinds.contains(&kind).then(|| (kind.to_owned(), filter))
        })
        .map(|(kind, filter)| EventCheck {
            kind,
            wanted: filter["match"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            count: filter["count"].as_u64().expect("a filter has a count"),
        })
        .collect()
}

/// Versions may stand in `requires` or beside the filter's other keys.
fn applies(filter: &Value) -> bool {
    let requires = [&filter["requires"], filter];
    requires.iter().all(|wanted| {
        let least = version(&wanted["min-version"]);
        let below = version(&wanted["lt-version"]);
        let only = version(&wanted["version"]);
        least.is_none_or(|least| *PEER.as_slice() >= *least)
            && below.is_none_or(|below| *PEER.as_slice() < *below)
            && only.is_none_or(|only| PEER.starts_with(&only))
    })
}

fn version(value: &Value) -> Option<Vec<u64>> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        number => number.to_string(),
    };
    Some(text.split('.').map_while(|part| part.parse().ok()).collect())
}

impl EventCheck {
    /// How many of these events fit.
    pub(crate) fn found(&self, events: &[Value]) -> u64 {
        events.iter().filter(|event| self.fits(event)).count() as u64
    }

    fn fits(&self, event: &Value) -> bool {
        self.wanted.iter().all(|(key, wanted)| match (key.as_str(), wanted.as_str()) {
            ("has-key", Some(path)) => find(event, path).is_some(),
            ("not-has-key", Some(path)) => find(event, path).is_none(),
            _ => holds(event, key, wanted),
        })
    }

    /// What is wanted, in one line, without the event's type.
    pub(crate) fn shown(&self) -> String {
        let parts: Vec<String> = self
            .wanted
            .iter()
            .filter(|(key, _)| key != "event_type")
            .map(|(key, value)| format!("{}={value}", key.trim_start_matches("alert.")))
            .collect();
        if parts.is_empty() { "any".to_owned() } else { parts.join(" ") }
    }
}

/// One key, with the suffixes that the suite knows.
fn holds(event: &Value, key: &str, wanted: &Value) -> bool {
    let (path, how) = match key.rsplit_once('.') {
        Some((path, how)) if how.starts_with("__") => (path, how),
        _ => (key, ""),
    };
    let Some(found) = find(event, path) else { return false };
    let (text, wanted_text) = (plain(found), plain(wanted));
    match how {
        "__len" => length(found).is_some_and(|n| wanted.as_u64() == Some(n)),
        "__find" | "__contains" => text.contains(&wanted_text),
        "__startswith" => text.starts_with(&wanted_text),
        "__endswith" => text.ends_with(&wanted_text),
        _ => found == wanted || text == wanted_text || is_same_address(&text, &wanted_text),
    }
}

/// The peer writes IPv6 addresses in full.
fn is_same_address(one: &str, other: &str) -> bool {
    let address = |text: &str| text.parse::<IpAddr>().ok();
    address(one).is_some_and(|one| Some(one) == address(other))
}

fn length(value: &Value) -> Option<u64> {
    let length = match value {
        Value::Array(items) => items.len(),
        Value::Object(keys) => keys.len(),
        Value::String(text) => text.len(),
        _ => return None,
    };
    u64::try_from(length).ok()
}

/// A value as the suite's runner would print it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The value at a path such as `smtp.rcpt_to[0]`.
fn find<'e>(event: &'e Value, path: &str) -> Option<&'e Value> {
    path.split('.').try_fold(event, |value, part| {
        let (name, index) = match part.strip_suffix(']').and_then(|p| p.split_once('[')) {
            Some((name, index)) => (name, index.parse::<usize>().ok()),
            None => (part, None),
        };
        let value = value.get(name)?;
        index.map_or(Some(value), |index| value.get(index))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checks(filters: &Value) -> Vec<EventCheck> {
        event_checks(&json!({ "checks": filters }), &["alert"])
    }

    #[test]
    fn alerts_are_counted_by_nested_keys() {
        let wanted = json!([{"filter": {"count": 1, "match": {
            "event_type": "alert", "alert.signature_id": 7, "has-key": "http.hostname",
            "not-has-key": "tls", "dns.a[1].x": "y", "http.url.__startswith": "/a",
            "src_ip": "fd01:0000:0000:0000:0000:0000:0000:0001",
        }}}]);
        let events = [
            json!({"event_type": "alert", "alert": {"signature_id": 7},
                "src_ip": "fd01::1", "http": {"hostname": "h", "url": "/ab"},
                "dns": {"a": [{}, {"x": "y"}]}}),
            json!({"event_type": "alert", "alert": {"signature_id": 7}}),
        ];
        assert_eq!(checks(&wanted)[0].found(&events), 1);
    }

    #[test]
    fn only_the_checks_of_the_release_count() {
        let wanted = |requires: Value| {
            json!([{"filter": {"count": 0, "requires": requires,
                "match": {"event_type": "alert"}}}])
        };
        for (requires, count) in [
            (json!({"min-version": 8}), 0),
            (json!({"lt-version": 8}), 1),
            (json!({"min-version": "7.0.10", "lt-version": 9}), 1),
            (json!({"min-version": "7.0.11"}), 0),
            (json!({"version": 6}), 0),
            (Value::Null, 1),
        ] {
            assert_eq!(checks(&wanted(requires.clone())).len(), count, "{requires}");
        }
        let stats =
            json!([{"stats": {}}, {"filter": {"count": 1, "match": {"event_type": "dns"}}}]);
        assert!(checks(&stats).is_empty());
    }
}
