//! `[blocks]` and `[[exclusion]]`: how blocks live, and what is never touched.

use super::section::Section;
use portcullis_types::Prefix;
use std::ops::Range;
use std::time::Duration;
use toml::de::DeValue;

/// The kernel map's size is fixed at start; more than this serves nobody and costs 64 bytes each.
const BLOCKS_MAX: u32 = 1 << 20;
/// Exclusion rows at most: each finding walks the list.
const EXCLUSIONS_MAX: usize = 10_000;

/// `[blocks]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Blocks {
    /// Blocks in force at once, at most; beyond it, new ones are refused and counted.
    pub max: u32,
    /// Factors of the duration for an offender's first, second, … block within
    /// `escalation_memory`; the last holds for all later ones. Empty: off.
    pub escalation: Vec<u16>,
    /// How long a past block counts towards escalation.
    pub escalation_memory: Duration,
    /// Offenders within one IPv6 /64 from which on the /64 is blocked; 0 is never.
    pub raise_v6_after: u16,
    /// New blocks per minute from all detectors together; beyond it, offenders are terminated
    /// only, and the breaker says so. 0 is no limit.
    pub breaker_per_minute: u32,
    /// The same for each single detector.
    pub breaker_per_detector: u32,
    /// Addresses and networks that are never blocked: gateways, DNS, domain controllers.
    pub protected: Vec<Prefix>,
    /// Find both ends of the operator's own management sessions and never block them.
    pub protect_sessions: bool,
    /// Whether protected machines themselves may be blocked.
    pub block_inside: bool,
}

impl Default for Blocks {
    fn default() -> Self {
        Blocks {
            max: 65_536,
            escalation: Vec::new(),
            escalation_memory: Duration::from_secs(86_400),
            raise_v6_after: 8,
            breaker_per_minute: 3000,
            breaker_per_detector: 1000,
            protected: Vec::new(),
            protect_sessions: true,
            block_inside: false,
        }
    }
}

impl Blocks {
    pub(super) fn read(mut s: Section<'_, '_>) -> Self {
        let d = Blocks::default();
        let month = Duration::from_secs(31 * 86_400);
        let blocks = Blocks {
            max: s.number("max", d.max, 1..=BLOCKS_MAX),
            escalation: s.numbers("escalation", &d.escalation, 1..=32_768),
            escalation_memory: s.duration(
                "escalation_memory",
                d.escalation_memory,
                Duration::from_secs(1)..=month,
            ),
            raise_v6_after: s.number("raise_v6_after", d.raise_v6_after, 0..=65_535),
            breaker_per_minute: s.number(
                "breaker_per_minute",
                d.breaker_per_minute,
                0..=BLOCKS_MAX,
            ),
            breaker_per_detector: s.number(
                "breaker_per_detector",
                d.breaker_per_detector,
                0..=BLOCKS_MAX,
            ),
            protected: s.list("protected", d.protected, |t| t.parse::<Prefix>()),
            protect_sessions: s.switch("protect_sessions", d.protect_sessions),
            block_inside: s.switch("block_inside", d.block_inside),
        };
        if blocks.escalation.len() > 16 {
            let remedy = "write at most 16: the last factor holds for all later blocks";
            s.wrong(s.at_key("escalation"), "too many factors", remedy);
        }
        s.finish();
        blocks
    }
}

/// `[[exclusion]]`: one row of the ordered list, as written. The grammar is `verdict`'s: here it is
/// only known which texts there are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExclusionRow {
    /// Where it stands in the file: the text, or the whole section.
    pub at: Range<usize>,
    /// The whole row as one text; `None` where it is written key by key.
    pub row: Option<String>,
    /// The keys in the order in which the grammar takes them, each with its text and place.
    pub parts: Vec<ExclusionPart>,
}

/// One key of an exclusion row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExclusionPart {
    /// The key, which is also the grammar's word.
    pub key: &'static str,
    /// Its value as text.
    pub value: String,
    /// Where the value stands.
    pub at: Range<usize>,
}

/// The keys of a row, in the order in which the text grammar takes them.
const EXCLUSION_KEYS: [&str; 12] = [
    "source",
    "vlan",
    "destination",
    "protocol",
    "port",
    "segment",
    "rule",
    "action",
    "for",
    "expires",
    "owner",
    "comment",
];

impl ExclusionRow {
    /// The row in the text grammar.
    pub fn text(&self) -> String {
        if let Some(row) = &self.row {
            return row.clone();
        }
        let words = self.parts.iter().map(|part| match part.key {
            "source" | "action" => part.value.clone(),
            "destination" => format!("to {}", part.value),
            "segment" | "owner" | "comment" => format!("{} \"{}\"", part.key, part.value),
            key => format!("{key} {}", part.value),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// Where a mistake of the grammar stands: the key whose value has the word, or the column of
    /// the text, counted from 1.
    pub fn place_of(&self, word: &str, column: usize) -> Range<usize> {
        if self.row.is_some() {
            let start = self.at.start + column;
            return start..start + word.len().max(1);
        }
        let part = self.parts.iter().find(|p| !word.is_empty() && p.value.contains(word));
        part.map_or_else(|| self.at.clone(), |p| p.at.clone())
    }

    /// The value of one key.
    pub fn part(&self, key: &str) -> Option<&ExclusionPart> {
        self.parts.iter().find(|p| p.key == key)
    }

    fn read(mut s: Section<'_, '_>) -> Self {
        let row = s.optional_text("row");
        let mut parts = Vec::new();
        for key in EXCLUSION_KEYS {
            let Some(value) = s.raw(key) else { continue };
            let text = match value.get_ref() {
                DeValue::String(text) => text.to_string(),
                DeValue::Integer(n) => n.to_string(),
                DeValue::Datetime(when) => when.to_string(),
                _ => {
                    s.wrong(value.span(), format!("`{key}` is no text"), "write it in quotes");
                    continue;
                }
            };
            if text.chars().any(char::is_control) || text.contains(['"', '\\']) {
                let message = format!("`{key}` has a quote, a backslash or a control character");
                s.wrong(value.span(), message, "write it without");
                continue;
            }
            parts.push(ExclusionPart { key, value: text, at: value.span() });
        }
        if row.is_some() && !parts.is_empty() {
            let remedy = "write the whole row in `row`, or every part under its own key";
            s.wrong(s.at_key("row"), "an exclusion has `row` or single keys, not both", remedy);
        }
        if row.is_none() && !["source", "action"].iter().all(|key| s.has(key)) {
            let remedy = "write source = \"…\" and action = \"…\", or \
                          row = \"192.0.2.1 vlan 10 do-not-block\"";
            s.wrong(s.at(), "an exclusion needs a source and an action", remedy);
        }
        let at = s.at_key("row");
        s.finish();
        ExclusionRow { at, row, parts }
    }

    pub(super) fn read_all(s: &mut Section<'_, '_>) -> Vec<Self> {
        let rows = s.rows("exclusion").unwrap_or_default();
        if rows.len() > EXCLUSIONS_MAX {
            let message = format!("{} exclusions", rows.len());
            let remedy = format!("write at most {EXCLUSIONS_MAX}; networks take fewer than hosts");
            s.wrong(s.at_key("exclusion"), message, remedy);
        }
        rows.into_iter().take(EXCLUSIONS_MAX).map(ExclusionRow::read).collect()
    }
}
