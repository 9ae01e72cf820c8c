//! Configuration → [`Policy`]: what the judge consults, built whole, off the street.
//!
//! The last things that can be wrong with a configuration show here: exclusion rows, names of
//! malformations, the inventory. Each is reported at its place in the file.

use crate::config::{
    CeilingRow, ClassSettings, Config, Diagnostic, Diagnostics, ExclusionRow, Level, Limit, Loaded,
    Mode, RuleRef,
};
use crate::inventory::Inventory;
use portcullis_types::{Action, SegmentId, Tick};
use portcullis_verdict as verdict;
use portcullis_verdict::{Exclusion, Exclusions, Policy, WallClock};
use portcullis_wire::{Reject, RejectSet};
use std::path::Path;

/// What operators ordered at run time, which the file does not know.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Overrides {
    /// Exclusion rows, tried behind those of the file; each read before.
    pub exclusions: Vec<String>,
    /// Modes by segment.
    pub modes: Vec<(String, Mode)>,
}

/// A policy, and what else came of building it.
#[derive(Clone, Debug)]
pub struct Built {
    /// Whole. Its `pass.plugins` is empty: plugins have no numbers before they are loaded.
    pub policy: Policy,
    /// The inventory that it was built with.
    pub inventory: Inventory,
    /// Malformations that are dropped in `prevent` mode.
    pub drops: RejectSet,
    /// Rows that can never decide, and such.
    pub warnings: Diagnostics,
}

/// Builds the policy. `wall` and `now` place the exclusions' `expires`.
pub fn build(
    loaded: &Loaded,
    overrides: &Overrides,
    wall: WallClock,
    now: Tick,
) -> Result<Built, Diagnostics> {
    let config = &loaded.config;
    let mut found = loaded.warnings.clone();
    let inventory = match &config.inventory.file {
        None => Inventory::default(),
        Some(path) => Inventory::load(path, |name| config.segment(name).is_some()).unwrap_or_else(
            |mistakes| {
                found.extend(mistakes);
                Inventory::default()
            },
        ),
    };
    let drops = drops(loaded, &mut found);
    let exclusions = exclusions(loaded, overrides, wall, now, &mut found);
    if found.has_errors() {
        return Err(found);
    }
    let policy = policy(config, overrides, &inventory, exclusions);
    Ok(Built { policy, inventory, drops, warnings: found })
}

fn policy(
    config: &Config,
    overrides: &Overrides,
    inventory: &Inventory,
    exclusions: Exclusions,
) -> Policy {
    let segments: Vec<(String, SegmentId)> =
        config.segments.iter().map(|s| (s.name.clone(), s.id)).collect();
    // 0 is "no limit" in the file and "none at all" for the breaker.
    let limit = |n: u32| if n == 0 { u32::MAX } else { n };
    Policy {
        attacks: class(&config.attacks, verdict::Categories::default()),
        activity: class(
            &config.activity.class,
            verdict::Categories { adware: config.activity.adware, other: config.activity.other },
        ),
        segments: config
            .segments
            .iter()
            .map(|s| verdict::SegmentPolicy {
                id: s.id,
                name: s.name.as_str().into(),
                mode: mode(
                    overrides.modes.iter().find(|(n, _)| *n == s.name).map_or(s.mode, |(_, m)| *m),
                ),
                protected: s.protected.clone(),
            })
            .collect(),
        exclusions,
        protected: verdict::ProtectedAddresses {
            rows: config
                .blocks
                .protected
                .iter()
                .map(|prefix| verdict::ProtectedRow {
                    prefix: *prefix,
                    segment: None,
                    place: verdict::Place::Any,
                    reason: verdict::ProtectedReason::Operator,
                })
                .collect(),
        },
        inventory: verdict::InventoryProof::new(inventory.proofs(&segments)),
        ceilings: verdict::Ceilings { rows: config.ceiling.iter().map(ceiling).collect() },
        breaker: verdict::BreakerLimits {
            per_detector: limit(config.blocks.breaker_per_detector),
            in_all: limit(config.blocks.breaker_per_minute),
        },
        block_inside: config.blocks.block_inside,
        pass: verdict::PassGrants::default(),
    }
}

/// A segment's mode as `verdict` has it.
pub fn mode(mode: Mode) -> verdict::Mode {
    match mode {
        Mode::Prevent => verdict::Mode::Prevent,
        Mode::Monitor => verdict::Mode::Monitor,
    }
}

fn class(settings: &ClassSettings, categories: verdict::Categories) -> verdict::ClassPolicy {
    verdict::ClassPolicy {
        enabled: settings.enabled,
        categories,
        action: match settings.action {
            Action::Pass | Action::Report => verdict::ClassAction::Ignore,
            Action::Terminate => verdict::ClassAction::Terminate,
            Action::TerminateAndBlock => verdict::ClassAction::TerminateAndBlock,
        },
        block_for: verdict::BlockDuration::clamped(settings.block_for),
        rule_exclusions: settings.rule_exclusions.iter().map(rule).collect(),
        block_unproven: settings.block_unproven,
    }
}

fn rule(rule: &RuleRef) -> verdict::RuleRef {
    verdict::RuleRef { gid: rule.gid, sid: rule.sid, rev: rule.rev }
}

fn ceiling(row: &CeilingRow) -> verdict::CeilingRow {
    verdict::CeilingRow {
        class: row.class.class(),
        category: row.category.as_deref().map(Into::into),
        gid: row.gid,
        confidence: row.confidence,
        severity: row.severity,
        limit: match row.limit {
            Limit::AtMost(action) => verdict::Limit::AtMost(action),
            Limit::Raise(action) => verdict::Limit::Raise(action),
        },
    }
}

fn drops(loaded: &Loaded, found: &mut Diagnostics) -> RejectSet {
    let mut set = RejectSet::EMPTY;
    for name in &loaded.config.wire.drop {
        match Reject::ALL.iter().find(|reject| reject.name() == name) {
            Some(reject) => set = set.with(*reject),
            None => {
                let known: Vec<&str> = Reject::ALL.iter().map(|r| r.name()).collect();
                let quoted = format!("\"{name}\"");
                let at = loaded.source.text().find(&quoted).unwrap_or(0);
                found.push(loaded.source.diagnostic(
                    Level::Error,
                    &(at..at + quoted.len()),
                    format!("there is no malformation `{name}`"),
                    format!("write one of: {}", known.join(", ")),
                ));
            }
        }
    }
    set
}

/// The rows of the file, then those of the operators.
fn exclusions(
    loaded: &Loaded,
    overrides: &Overrides,
    wall: WallClock,
    now: Tick,
    found: &mut Diagnostics,
) -> Exclusions {
    let config = &loaded.config;
    let unix_now = wall.unix_of(now);
    let mut rows = Vec::new();
    // Which row of the file each of `rows` is; those of operators come after.
    let mut written: Vec<&ExclusionRow> = Vec::new();
    for row in &config.exclusions {
        match Exclusion::parse(&row.text()) {
            Ok(parsed) => {
                if let Some(name) = parsed.segment.as_deref()
                    && config.segment(name).is_none()
                {
                    let text = row.text();
                    let before =
                        text.find(&format!("segment {name}")).map(|at| at + "segment ".len());
                    let at = row.place_of(name, 1 + before.unwrap_or(0));
                    let message = format!("there is no segment `{name}`");
                    let remedy = "write the name of a [[segment]], or leave it out";
                    found.push(loaded.source.diagnostic(Level::Error, &at, message, remedy));
                    continue;
                }
                rows.push(parsed.resolved(unix_now));
                written.push(row);
            }
            Err(e) => {
                let at = row.place_of(&e.word, e.column);
                let message = format!("the exclusion `{}` is not understood", row.text());
                found.push(loaded.source.diagnostic(Level::Error, &at, message, e.remedy));
            }
        }
    }
    for text in &overrides.exclusions {
        match Exclusion::parse(text) {
            // A row of a segment that is gone can match nothing.
            Ok(row) if row.segment.as_deref().is_none_or(|s| config.segment(s).is_some()) => {
                rows.push(row);
            }
            Ok(_) => found.push(lost_row(text, "its segment is gone")),
            Err(e) => found.push(lost_row(text, &e.to_string())),
        }
    }
    let segment = |name: &str| config.segment(name).map(|s| s.id);
    let list = Exclusions::new(rows, segment, wall).unwrap_or_else(|e| {
        let file = Path::new("exclusions");
        found.push(Diagnostic::of_file(file, Level::Error, e.to_string(), "take rows away"));
        Exclusions::default()
    });
    // A row that is not understood is none: the numbers behind it would not be the file's.
    let numbered = written.len() == config.exclusions.len();
    for never in list.unreachable(now).into_iter().filter(|_| numbered) {
        let message = never.to_string();
        let remedy = "see `portcullis exclusions list`";
        found.push(match written.get(never.row) {
            Some(row) => loaded.source.diagnostic(Level::Warning, &row.at, message, remedy),
            None => lost_row("", &message),
        });
    }
    list
}

fn lost_row(row: &str, why: &str) -> Diagnostic {
    let message = format!("an operator's exclusion {row} has no effect: {why}");
    let remedy = "remove it with `portcullis exclusions remove`";
    Diagnostic::of_file(Path::new("exclusions added at run time"), Level::Warning, message, remedy)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

    use super::*;

    fn built(text: &str) -> Result<Built, Diagnostics> {
        let loaded = Config::parse(Path::new("p.toml"), text.into())?;
        let wall = WallClock { tick: Tick(0), unix_ns: 1_800_000_000_000_000_000 };
        build(&loaded, &Overrides::default(), wall, Tick(0))
    }

    #[test]
    fn the_defaults_are_those_of_verdict() {
        let policy = built(crate::config::SHIPPED).unwrap().policy;
        let default = Policy::default();
        assert_eq!(policy.attacks, default.attacks);
        assert_eq!(policy.activity, default.activity);
        assert_eq!(policy.ceilings, default.ceilings);
        assert_eq!(policy.breaker, default.breaker);
        assert_eq!(policy.block_inside, default.block_inside);
    }

    #[test]
    fn rows_key_by_key_and_as_text_are_the_same() {
        let built = built(
            "[[segment]]\nname = \"dmz\"\ntap = \"x\"\nprotected = [\"10.0.0.0/8\"]\n\
             [[exclusion]]\nsource = \"192.0.2.0/24\"\nvlan = 10\ndestination = \"10.1.2.3\"\n\
             protocol = \"tcp\"\nport = 443\nsegment = \"dmz\"\naction = \"terminate-and-block\"\n\
             for = \"10m\"\nexpires = 2036-01-01T00:00:00Z\nowner = \"noc\"\ncomment = \"a b\"\n\
             [[exclusion]]\nrow = \"192.0.2.7 vlan 10 do-not-block\"\n",
        )
        .unwrap();
        assert!(built.warnings.is_empty(), "{}", built.warnings);
        let text = "192.0.2.0/24 vlan 10 to 10.1.2.3 protocol tcp port 443 segment dmz \
                    terminate-and-block for 10m expires 2036-01-01T00:00:00Z owner noc \
                    comment \"a b\"";
        assert_eq!(built.policy.exclusions.rows()[0], Exclusion::parse(text).unwrap());
    }

    #[test]
    fn mistakes_have_their_place() {
        let e = built(
            "[wire]\ndrop = [\"nonsense\"]\n[[exclusion]]\nrow = \"192.0.2.7 vlan 9999 ignore\"\n\
             [[exclusion]]\nsource = \"192.0.2.7\"\naction = \"explode\"\n\
             [[exclusion]]\nsource = \"any\"\nsegment = \"gone\"\naction = \"ignore\"\n",
        )
        .unwrap_err();
        let mut places: Vec<(usize, usize)> = e.iter().map(|d| (d.line, d.column)).collect();
        places.sort_unstable();
        assert_eq!(places, [(2, 9), (4, 23), (7, 10), (10, 11)], "{e}");
        let e = built("[[exclusion]]\nrow = \"192.0.2.7 segment gone ignore\"\n").unwrap_err();
        let place = e.iter().map(|d| (d.line, d.column)).next();
        assert_eq!(place, Some((2, 26)), "the segment's name, not the row's begin: {e}");
        assert!(e.to_string().contains("^^^^ write the name of a [[segment]]"), "{e}");
    }

    #[test]
    fn rows_are_numbered_as_in_the_file_or_not_at_all() {
        let never =
            "[[exclusion]]\nrow = \"any ignore\"\n[[exclusion]]\nrow = \"192.0.2.7 ignore\"\n";
        let numbers = built(never).unwrap().warnings.to_string();
        assert!(numbers.contains("exclusion 2 can never match, since exclusion 1"), "{numbers}");
        let wrong = format!("[[exclusion]]\nrow = \"192.0.2.9 explode\"\n{never}");
        let e = built(&wrong).unwrap_err();
        assert_eq!(
            e.len(),
            1,
            "the second and third row would be called the first and second: {e}"
        );
    }

    #[test]
    fn rows_that_never_decide_are_warned_about() {
        let built = built(
            "[[exclusion]]\nrow = \"192.0.2.0/24 ignore\"\n\
             [[exclusion]]\nrow = \"192.0.2.7 vlan 10 do-not-block\"\n",
        )
        .unwrap();
        let warnings: Vec<_> = built.warnings.iter().map(|d| (d.level, d.line)).collect();
        assert_eq!(warnings, [(Level::Warning, 4)]);
    }

    #[test]
    fn operators_outlive_the_file() {
        let text = "[[segment]]\nname = \"dmz\"\nports = [\"a\", \"b\"]\ninside = \"b\"\n";
        let loaded = Config::parse(Path::new("p.toml"), text.into()).unwrap();
        let overrides = Overrides {
            exclusions: vec!["192.0.2.1 ignore".into(), "192.0.2.2 segment gone ignore".into()],
            modes: vec![("dmz".into(), Mode::Monitor)],
        };
        let built = build(&loaded, &overrides, WallClock::REPLAY, Tick(1)).unwrap();
        assert_eq!(built.policy.exclusions.rows().len(), 1);
        assert_eq!(built.policy.mode(SegmentId(0)), verdict::Mode::Monitor);
        assert_eq!(built.warnings.len(), 1);
    }
}
