//! What a plugin is given beside its module: read-only sections, and a rule table that the host
//! reads where its manifest has none. Both are swapped with the plugin's version, never under it.

use crate::manifest::Rule;
use crate::pattern::Patterns;
use std::collections::HashMap;
use std::sync::Arc;

/// Named bytes that a plugin reads with `section_read`: e.g. compiled rules in a mapped file.
#[derive(Clone)]
pub struct Section {
    /// The name by which the plugin asks.
    pub name: Arc<str>,
    /// The bytes, at most 4 GiB of which can be read.
    pub bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
}

/// The host's part of compiled rules. The implementation reads the same bytes as the plugin.
pub trait RuleTable: Send + Sync {
    /// What the host says of a finding by this rule; `None` where there is no such rule. `gid` 0
    /// stands for the manifest's.
    fn rule(&self, gid: u32, sid: u32) -> Option<Rule>;

    /// What the rules look for.
    fn patterns(&self) -> Patterns;
}

/// What a plugin is given beside its module.
#[derive(Clone, Default)]
pub struct PluginData {
    /// Sections, by their names.
    pub sections: Vec<Section>,
    /// The rules of the section that the manifest names in `section`.
    pub rules: Option<Arc<dyn RuleTable>>,
    /// Names this state of the sections, in events.
    pub version: Option<Arc<str>>,
}

impl PluginData {
    /// A section's bytes by its name.
    #[inline]
    pub(crate) fn section(&self, name: &[u8]) -> Option<&[u8]> {
        let section = self.sections.iter().find(|s| s.name.as_bytes() == name)?;
        Some((*section.bytes).as_ref())
    }
}

/// What a regex says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegexAnswer {
    /// The leftmost match that begins at `from` or later, offsets in the haystack.
    Found {
        /// Its first byte.
        start: u32,
        /// Behind its last byte.
        end: u32,
    },
    /// It does not match.
    No,
    /// Given up at the step limit.
    GaveUp,
    /// There is no such regex.
    Unknown,
}

/// The regexes of one plugin: made by whoever has a matcher, from [`Patterns::regexes`].
pub trait RegexBank: Send + Sync {
    /// Looks for regex `id` in all of `haystack`, from `from` on; what comes before `from` can be
    /// looked back at. Bounded in time.
    fn find(&self, id: u32, haystack: &[u8], from: usize) -> RegexAnswer;
}

/// Rules of a table that were named lately: building one allocates.
#[derive(Default)]
pub(crate) struct RuleCache {
    rules: HashMap<(u32, u32), Option<Rule>>,
}

/// Rules that one host keeps for one plugin; then it begins anew.
const RULES_KEPT: usize = 4_096;

impl RuleCache {
    pub(crate) fn rule(&mut self, table: &dyn RuleTable, gid: u32, sid: u32) -> Option<Rule> {
        if let Some(known) = self.rules.get(&(gid, sid)) {
            return known.clone();
        }
        if self.rules.len() >= RULES_KEPT {
            self.rules.clear();
        }
        let rule = table.rule(gid, sid);
        self.rules.insert((gid, sid), rule.clone());
        rule
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }
}
