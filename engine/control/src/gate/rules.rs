//! Rules of a running engine: another set in the place of the one at work.
//!
//! ```text
//! read, compile or map ─► new versions of the detectors that read rules, warmed ─► literals built
//!   ─► one order for each worker, taken between two bursts: detectors and literals together
//! ```
//!
//! Everything that may fail or takes time is done before the first order is given, behind
//! everything else that wants a core; a set with a mistake changes nothing. This file must never
//! know what a rule says.

use super::GateHandle;
use super::answers::{ending, invalid};
use super::keeper::Keeper;
use super::swaps::{Ready, give_back, refused};
use crate::api::model::{RuleSetInfo, RulesSwapped, SwapRules};
use crate::api::{Peer, Refusal};
use crate::backstage::{SWAP_PATIENCE, behind};
use crate::config;
use crate::plugins::{PluginSet, PluginSetError};
use crate::rules::{About, Rules, is_compiled};
use std::path::Path;
use std::sync::PoisonError;

/// A set of rules, in the control socket's words.
pub(super) fn info(about: &About) -> RuleSetInfo {
    RuleSetInfo {
        hash: about.hash.to_string(),
        rules: about.count.into(),
        refused: about.refused as u64,
        source: about.source.to_string(),
    }
}

/// A set that is ready to be put to work, and the one before.
pub(super) struct NextRules {
    ready: Option<Ready>,
    pub(super) next: About,
    pub(super) before: Option<About>,
    /// To be taken back where the rest of a reload fails.
    old: Option<Rules>,
}

impl NextRules {
    /// Whether the set is another than the one at work.
    pub(super) fn is_change(&self) -> bool {
        self.ready.is_some()
    }

    /// The detectors have the old set again: nothing was put to work.
    pub(super) fn undo(undo: Undo, set: &mut PluginSet) {
        give_back(set, &undo.swaps);
        set.take_rules(undo.old);
    }

    /// What is needed to take it back once it has been sent to the gate.
    pub(super) fn how_to_undo(&self) -> Option<Undo> {
        let ready = self.ready.as_ref()?;
        Some(Undo { swaps: ready.swaps.clone(), old: self.old.clone() })
    }
}

/// What takes a set back that was made ready.
pub(super) struct Undo {
    swaps: Vec<crate::plugins::Swap>,
    old: Option<Rules>,
}

impl GateHandle {
    /// `rules swap`: a file, or what the configuration in force names.
    pub(super) fn swap_rules(
        &self,
        who: &Peer,
        asked: &SwapRules,
    ) -> Result<RulesSwapped, Refusal> {
        let mut rules = self.config().config.rules.clone();
        if let Some(file) = &asked.file {
            let file = Path::new(file);
            let is_set = is_compiled(file).map_err(|e| refused(&e))?;
            rules.compiled = is_set.then(|| file.to_owned());
            rules.files = vec![file.to_owned()];
        }
        // Held to the end: two swaps at once would have two ideas of what is at work.
        let mut set = self.shared.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.next_rules(&mut set, &rules)?.ok_or_else(|| {
            invalid("the configuration names no rules", "name a file, or write [rules] files")
        })?;
        let (set, rules) = (&next.next.hash, next.next.count);
        tracing::info!(by = %who, %set, rules, "rules are swapped");
        self.ask(move |keeper| keeper.put_rules_to_work(next)).map_err(|_| ending())
    }

    /// Makes ready what the configuration names, behind everything else that wants a core; `None`
    /// where it names nothing.
    pub(super) fn next_rules(
        &self,
        set: &mut PluginSet,
        rules: &config::Rules,
    ) -> Result<Option<NextRules>, Refusal> {
        if !rules.is_empty() && !set.takes_rules() {
            return Err(refused(&PluginSetError::NoReader));
        }
        behind(SWAP_PATIENCE, || self.make_rules(set, rules))
    }

    fn make_rules(
        &self,
        set: &mut PluginSet,
        rules: &config::Rules,
    ) -> Result<Option<NextRules>, Refusal> {
        let next = Rules::load_next(rules, set.rules()).map_err(|e| refused(&e))?;
        let Some(rules) = next else { return Ok(None) };
        let before = set.rules().map(|r| r.about.clone());
        let next = rules.about.clone();
        if before.as_ref().is_some_and(|b| b.hash == next.hash) {
            return Ok(Some(NextRules { ready: None, next, before, old: None }));
        }
        let swaps = set.swap_rules(&rules).map_err(|e| refused(&e))?;
        let ready = Some(self.make_ready(set, swaps).map_err(|e| refused(&e))?);
        let old = set.take_rules(Some(rules));
        Ok(Some(NextRules { ready, next, before, old }))
    }
}

impl Keeper {
    /// Has every post take the set at its next burst.
    pub(super) fn put_rules_to_work(&mut self, rules: NextRules) -> RulesSwapped {
        let changed = rules.is_change();
        let mut plugins = Vec::new();
        if let Some(ready) = rules.ready {
            let names = ready.swaps.iter().map(|s| s.next.plugin.manifest().name.to_string());
            plugins.extend(names);
            self.rules_swapped += 1;
            self.put_to_work(ready);
        }
        RulesSwapped {
            changed,
            set: info(&rules.next),
            replaced: rules.before.as_ref().map(info),
            plugins,
        }
    }

    /// The rules at work.
    pub(super) fn rules(&self) -> Option<&About> {
        self.line_up.iter().find_map(|p| p.rules.as_ref())
    }
}
