//! Detectors of a running engine: shown, swapped, returned to the version before.

use super::GateHandle;
use super::answers::{action_name, class_name, ending, missing};
use super::keeper::Keeper;
use crate::api::model::{PluginDetail, PluginInfo, PluginList, PluginSwapped, RuleInfo};
use crate::api::{Peer, Refusal, RefusalKind};
use crate::backstage::{SWAP_PATIENCE, behind};
use crate::plugins::{LoadedPlugin, PluginSet, PluginSetError, Swap};
use portcullis_detect::{Instance, Interests, Scope};
use portcullis_pipeline::{Post, Prefilter, StreetOrder};
use portcullis_types::{Confidence, PluginId, Severity};
use std::path::Path;
use std::sync::{Arc, PoisonError};

/// Swaps with everything made that may fail: they are put to work together.
pub(super) struct Ready {
    pub(super) swaps: Vec<Swap>,
    instances: Vec<(Post, Vec<(PluginId, Instance)>)>,
    interests: Option<Interests>,
    prefilter: Option<Arc<Prefilter>>,
}

/// What is wrong, and what to do.
pub(super) fn refused(error: &dyn std::fmt::Display) -> Refusal {
    let text = error.to_string();
    let (error, remedy) = text.rsplit_once("; ").unwrap_or((&text, "load another file"));
    Refusal::new(RefusalKind::Invalid, error, remedy)
}

impl GateHandle {
    /// Loads and warms behind everything else, then puts to work at each post's next burst.
    pub(super) fn swap(&self, who: &Peer, file: &Path) -> Result<PluginSwapped, Refusal> {
        let config = self.config();
        // Held to the end: two swaps at once would have two ideas of what is at work.
        let mut set = self.shared.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        let set = &mut *set;
        let (swap, ready) = behind(SWAP_PATIENCE, || {
            let swap = set.swap(file, &config.config.plugins)?;
            tracing::info!(by = %who, plugin = ?swap.next.plugin, "a detector is swapped");
            Ok((swap.clone(), self.make_ready(set, vec![swap])?))
        })
        .map_err(|e: PluginSetError| refused(&e))?;
        let work = move |keeper: &mut Keeper| {
            keeper.put_to_work(ready);
            PluginSwapped {
                plugin: keeper.plugin_info(&swap.next),
                replaced: swap.replaced.map(|old| old.plugin.manifest().version.to_string()),
            }
        };
        self.ask(work).map_err(|_| ending())
    }

    /// Warms an instance of each for each of its posts and makes what else may fail. The set has
    /// the new versions then, and where it fails those that it had.
    pub(super) fn make_ready(
        &self,
        set: &mut PluginSet,
        swaps: Vec<Swap>,
    ) -> Result<Ready, PluginSetError> {
        let is = |scope| move |swap: &&Swap| swap.next.plugin.manifest().scope == scope;
        let mut instances = Vec::new();
        for post in self.shared.boxes.iter().map(|b| b.post) {
            let scope = match post {
                Post::Worker(_) => Scope::Flow,
                Post::Shard(_) => Scope::Host,
            };
            let warm = |swap: &Swap| Ok((swap.next.id, swap.next.warm()?));
            let warmed: Vec<_> =
                swaps.iter().filter(is(scope)).map(warm).collect::<Result<_, _>>()?;
            if !warmed.is_empty() {
                instances.push((post, warmed));
            }
        }
        swaps.iter().for_each(|swap| set.take(swap.next.clone()));
        let any = |scope| swaps.iter().any(|swap| is(scope)(&swap));
        let made = (|| {
            let interests = any(Scope::Host).then(|| set.host_interests()).transpose()?;
            let prefilter = any(Scope::Flow).then(|| set.prefilter()).transpose()?;
            Ok((interests, prefilter))
        })();
        match made {
            Ok((interests, prefilter)) => Ok(Ready { swaps, instances, interests, prefilter }),
            Err(error) => {
                give_back(set, &swaps);
                Err(error)
            }
        }
    }
}

/// The set has the versions again that it had before.
pub(super) fn give_back(set: &mut PluginSet, swaps: &[Swap]) {
    swaps.iter().filter_map(|swap| swap.replaced.clone()).for_each(|old| set.take(old));
}

impl Keeper {
    pub(super) fn put_to_work(&mut self, ready: Ready) {
        for Swap { next, replaced } in ready.swaps {
            let id = next.id;
            match self.line_up.iter_mut().find(|p| p.id == id) {
                Some(known) => *known = next,
                None => self.line_up.push(next),
            }
            if let Some(older) = replaced.and_then(|old| self.previous.insert(id, old)) {
                self.errands.free(Box::new(older));
            }
        }
        // Their names first: no finding is without one.
        let loaded = self.config.load_full();
        self.publish(&loaded.config);
        for (post, instances) in ready.instances {
            self.carriers.install(post, instances, ready.prefilter.clone());
        }
        if let Some(interests) = ready.interests {
            for worker in self.about.workers() {
                let order = StreetOrder::HostInterests(Box::new(interests.clone()));
                self.carriers.give(worker, order);
            }
        }
    }

    /// All detectors.
    pub(super) fn plugins(&self) -> PluginList {
        PluginList { plugins: self.line_up.iter().map(|p| self.plugin_info(p)).collect() }
    }

    /// One detector with its rules.
    pub(super) fn plugin_detail(&self, name: &str) -> Result<PluginDetail, Refusal> {
        let loaded = self.line_up.iter().find(|p| &*p.plugin.manifest().name == name);
        let loaded = loaded.ok_or_else(|| {
            missing(format!("there is no plugin `{name}`"), "see `portcullis plugin list`")
        })?;
        let manifest = loaded.plugin.manifest();
        let mut capabilities: Vec<String> =
            manifest.calls.iter().map(|call| call.row().2.to_owned()).collect();
        capabilities.dedup();
        let rules = manifest.rules.iter().map(|rule| {
            let meta = &rule.meta;
            RuleInfo {
                rule: meta.id.to_string(),
                message: meta.message.clone(),
                class: class_name(meta.class).to_owned(),
                category: meta.category.clone(),
                severity: severity_name(meta.severity).to_owned(),
                confidence: confidence_name(meta.confidence).to_owned(),
                action: action_name(meta.action).to_owned(),
                attack: meta.attack.clone(),
                references: meta.references.clone(),
            }
        });
        Ok(PluginDetail { plugin: self.plugin_info(loaded), capabilities, rules: rules.collect() })
    }

    pub(super) fn plugin_info(&self, loaded: &LoadedPlugin) -> PluginInfo {
        let manifest = loaded.plugin.manifest();
        let figures = self.plugin_figures().into_iter().nth(usize::from(loaded.id.0));
        let seat = figures.map(|f| f.seat).unwrap_or_default();
        let resting = self.resting.iter().any(|(id, _)| *id == loaded.id);
        let max = manifest.max_action.min(loaded.plugin.grants().max_action);
        PluginInfo {
            name: manifest.name.to_string(),
            version: manifest.version.to_string(),
            vendor: manifest.vendor.to_string(),
            classes: manifest.classes.iter().map(|c| class_name(*c).to_owned()).collect(),
            scope: match manifest.scope {
                Scope::Flow => "flow".to_owned(),
                Scope::Host => "host".to_owned(),
            },
            state: if resting { "quarantined" } else { "running" }.to_owned(),
            rules: match &loaded.rules {
                Some(about) => about.count.into(),
                None => manifest.rules.len() as u64,
            },
            rule_set: loaded.rules.as_ref().map(super::rules::info),
            memory_bytes: loaded.plugin.instance_bytes(),
            max_action: action_name(max).to_owned(),
            events: seat.events,
            findings: seat.verdicts,
            faults: seat.faults.iter().sum(),
            file: loaded.file.display().to_string(),
        }
    }
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

fn confidence_name(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Low => "low",
        Confidence::Medium => "medium",
        Confidence::High => "high",
    }
}
