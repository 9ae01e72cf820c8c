//! Events about the engine itself: `plugin` (the breaker among them) and `exclusion`.

use super::json::{Line, Object};
use super::scribe::Scribe;
use super::traffic::Named;
use crate::config::EventType;
use portcullis_detect::PluginEvent;
use portcullis_types::{Party, Tick};
use portcullis_verdict::{BreakerScope, Trip};
use std::sync::Arc;

/// A change of the exclusion list at run time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExclusionChange {
    /// What was done.
    pub step: ExclusionStep,
    /// The row, in the grammar of the list.
    pub row: Arc<str>,
    /// The operator, by the name that the control socket knows.
    pub by: Arc<str>,
}

/// What was done with a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExclusionStep {
    /// It was added, which freed so many blocks.
    Added {
        /// Blocks that ended.
        freed: u64,
    },
    /// Its time was up.
    Expired,
    /// It was removed.
    Removed,
}

impl Scribe {
    /// A step in a plugin's life.
    pub fn plugin(&mut self, name: &str, event: &PluginEvent, now: Tick, line: &mut Line) {
        let Some(mut root) = self.begin(line, EventType::Plugin, now) else { return };
        let mut plugin = root.object("plugin");
        plugin.text("name", name);
        match event {
            PluginEvent::Discarded { kind, offender, .. } => {
                plugin.text("action", "discarded").text("fault", kind.name());
                named(&mut plugin, *offender);
            }
            PluginEvent::Installed { version, data } => {
                plugin.text("action", "installed").text("version", version);
                if let Some(data) = data {
                    plugin.text("data", data);
                }
            }
            PluginEvent::Log { level, text } => {
                plugin.text("action", "log").text("level", level_name(*level));
                plugin.text("message", text);
            }
            PluginEvent::Muted { offender, until } => {
                plugin.text("action", "muted");
                named(&mut plugin, *offender);
                plugin.text("until", self.moment(*until).as_str());
            }
            PluginEvent::Quarantined { rest, offenders } => {
                plugin.text("action", "quarantined").fraction("rest", rest.as_secs_f64());
                plugin.number("offenders", *offenders);
            }
            PluginEvent::Resumed => {
                plugin.text("action", "resumed");
            }
            PluginEvent::RolledBack { from, to } => {
                plugin.text("action", "rolled_back").text("from", from).text("to", to);
            }
            PluginEvent::SlotsZeroed { from, to } => {
                plugin.text("action", "slots_zeroed");
                plugin.number("schema_before", *from).number("schema", *to);
            }
        }
    }

    /// The breaker has opened: the first block that it refused was this detector's.
    pub fn tripped(&mut self, name: &str, trip: &Trip, now: Tick, line: &mut Line) {
        let Some(mut root) = self.begin(line, EventType::Plugin, now) else { return };
        let mut plugin = root.object("plugin");
        plugin.text("name", name).text("action", "breaker_opened");
        let scope = match trip.scope {
            BreakerScope::All => "all",
            BreakerScope::Detector(_) => "detector",
        };
        plugin.text("scope", scope).number("limit", trip.limit).shown("message", trip);
    }

    /// A change of the exclusion list.
    pub fn exclusion(&mut self, change: &ExclusionChange, now: Tick, line: &mut Line) {
        let Some(mut root) = self.begin(line, EventType::Exclusion, now) else { return };
        let mut exclusion = root.object("exclusion");
        exclusion.text(
            "action",
            match change.step {
                ExclusionStep::Added { .. } => "added",
                ExclusionStep::Expired => "expired",
                ExclusionStep::Removed => "removed",
            },
        );
        exclusion.text("row", &change.row).text("by", &change.by);
        if let ExclusionStep::Added { freed } = change.step {
            exclusion.number("freed", freed);
        }
    }
}

fn named(plugin: &mut Object<'_>, offender: Party) {
    if offender != Party::Nobody {
        plugin.shown("offender", Named(offender));
    }
}

fn level_name(level: u8) -> &'static str {
    match level {
        0 => "error",
        1 => "warn",
        2 => "info",
        3 => "debug",
        _ => "trace",
    }
}
