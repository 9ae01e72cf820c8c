//! The exclusion list at run time: rows of operators stand behind those of the file.

use super::answers::{conflict, invalid, missing};
use super::blocks::traffic;
use super::keeper::Keeper;
use crate::api::model::{ExclusionAdded, ExclusionInfo, ExclusionList};
use crate::api::{Peer, Refusal};
use crate::eve::Fact;
use crate::eve::{ExclusionChange, ExclusionStep};
use crate::journal::Order;
use portcullis_enforce::Block;
use portcullis_types::{BlockKey, VlanStack};
use portcullis_verdict::{Exclusion, Expires};

/// Rows that operators can add: each finding walks the list.
const ROWS_MAX: usize = 10_000;

/// What a step leaves to be remembered and told.
pub(super) type Remembered = Vec<(Order, Option<Fact>)>;

impl Keeper {
    /// The list in the order in which it is tried.
    pub(super) fn exclusions(&self) -> ExclusionList {
        let policy = self.policy();
        let (list, now) = (&policy.policy.exclusions, self.now());
        let never = list.unreachable(now);
        let unix_now = self.wall.unix_of(now);
        let of_file = list.rows().len().saturating_sub(self.overrides.exclusions.len());
        let rows = list.rows().iter().enumerate().map(|(at, row)| ExclusionInfo {
            position: at as u64 + 1,
            row: row.to_string(),
            origin: if at < of_file { "configuration" } else { "operator" }.to_owned(),
            unreachable: never.iter().find(|u| u.row == at).map(ToString::to_string),
            expired: matches!(row.expires, Some(Expires::At(end)) if end <= unix_now),
        });
        ExclusionList { exclusions: rows.collect() }
    }

    /// Adds a row and frees the blocks that it fits.
    pub(super) fn exclude(
        &mut self,
        who: &Peer,
        text: &str,
    ) -> Result<(ExclusionAdded, Remembered), Refusal> {
        let parsed = Exclusion::parse(text).map_err(|e| {
            invalid(format!("the exclusion `{text}` is not understood"), e.to_string())
        })?;
        let loaded = self.config.load_full();
        if let Some(segment) = parsed.segment.as_deref() {
            super::answers::segment_of(&loaded.config, Some(segment))?;
        }
        let now = self.now();
        let row = parsed.resolved(self.wall.unix_of(now)).to_string();
        if self.overrides.exclusions.contains(&row) {
            return Err(conflict(
                format!("the exclusion `{row}` is there already"),
                "nothing is to be done",
            ));
        }
        let mut overrides = self.overrides.clone();
        if overrides.exclusions.len() >= ROWS_MAX {
            return Err(conflict("there are too many exclusions", "remove some, or use networks"));
        }
        overrides.exclusions.push(row.clone());
        self.rebuild_with(&loaded, &overrides).map_err(|mistakes| {
            invalid(mistakes.to_string(), "mend the configuration and reload first")
        })?;
        let freed = self.free(now);
        let list = self.exclusions();
        let exclusion = list.exclusions.into_iter().rfind(|e| e.row == row).unwrap_or_default();
        let change = ExclusionChange {
            step: ExclusionStep::Added { freed },
            row: row.as_str().into(),
            by: who.name.as_str().into(),
        };
        let remembered = vec![(Order::ExclusionAdded { row }, Some(Fact::Exclusion(change, now)))];
        Ok((ExclusionAdded { exclusion, freed }, remembered))
    }

    /// Lifts the blocks that the list no longer allows; how many.
    pub(super) fn free(&mut self, now: portcullis_types::Tick) -> u64 {
        let policy = self.policy();
        let frees = |block: &Block| {
            let of = traffic(&block.key, block.cause.target);
            policy.policy.exclusions.frees(&of, block.cause.rule, now).is_some()
        };
        self.book.free(&frees, now, &mut self.outbox) as u64
    }

    /// Takes away a row that an operator added.
    pub(super) fn include(&mut self, who: &Peer, text: &str) -> Result<Remembered, Refusal> {
        let written = Exclusion::parse(text).map(|row| row.to_string());
        let same = |row: &String| row == text || written.as_ref() == Ok(row);
        let Some(row) = self.overrides.exclusions.iter().find(|r| same(r)).cloned() else {
            let in_file = self.exclusions().exclusions.iter().any(|e| same(&e.row));
            return Err(match in_file {
                true => conflict(
                    format!("the exclusion `{text}` stands in the configuration"),
                    "take it out of the file and reload",
                ),
                false => missing(
                    format!("there is no exclusion `{text}`"),
                    "write it as `portcullis exclusions list` shows it",
                ),
            });
        };
        let mut overrides = self.overrides.clone();
        overrides.exclusions.retain(|r| *r != row);
        let loaded = self.config.load_full();
        self.rebuild_with(&loaded, &overrides).map_err(|mistakes| {
            invalid(mistakes.to_string(), "mend the configuration and reload first")
        })?;
        let change = ExclusionChange {
            step: ExclusionStep::Removed,
            row: row.as_str().into(),
            by: who.name.as_str().into(),
        };
        let fact = Fact::Exclusion(change, self.now());
        Ok(vec![(Order::ExclusionRemoved { row }, Some(fact))])
    }

    /// The row that excludes one blocked source at its place.
    pub(super) fn row_for(&self, key: &BlockKey, action: &str) -> String {
        let loaded = self.config.load();
        let segment = loaded.config.segments.get(usize::from(key.segment.0));
        let segment = segment.map_or("unknown", |s| s.name.as_str());
        let place = match key.vlan == VlanStack::UNTAGGED {
            true => "novlan".to_owned(),
            false => format!("vlan {}", key.vlan),
        };
        format!("{} {place} segment \"{segment}\" {action}", key.source)
    }
}
