//! Detectors of a running engine: shown, swapped, returned to the version before.

use super::GateHandle;
use super::answers::{action_name, class_name, ending, missing};
use super::keeper::Keeper;
use crate::api::model::{PluginDetail, PluginInfo, PluginList, PluginSwapped, RuleInfo};
use crate::api::{Peer, Refusal, RefusalKind};
use crate::plugins::{LoadedPlugin, PluginSetError, Swap};
use portcullis_detect::{Instance, Interests, Scope};
use portcullis_pipeline::{Post, Prefilter, StreetOrder};
use portcullis_types::{Confidence, Severity};
use std::path::Path;
use std::sync::{Arc, PoisonError};

/// A swap with everything made that may fail.
struct Ready {
    swap: Swap,
    instances: Vec<(Post, Instance)>,
    interests: Option<Interests>,
    prefilter: Option<Arc<Prefilter>>,
}

impl GateHandle {
    /// Loads and warms off the gate's thread, then puts to work at each post's next burst.
    pub(super) fn swap(&self, who: &Peer, file: &Path) -> Result<PluginSwapped, Refusal> {
        let refused = |e: PluginSetError| {
            let text = e.to_string();
            let (error, remedy) = text.rsplit_once("; ").unwrap_or((&text, "load another file"));
            Refusal::new(RefusalKind::Invalid, error, remedy)
        };
        let config = self.config();
        // Held to the end: two swaps at once would have two ideas of what is at work.
        let mut set = self.shared.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        let swap = set.swap(file, &config.config.plugins).map_err(refused)?;
        let scope = swap.next.plugin.manifest().scope;
        let posts = self.shared.boxes.iter().map(|b| b.post).filter(|post| match post {
            Post::Worker(_) => scope == Scope::Flow,
            Post::Shard(_) => scope == Scope::Host,
        });
        let instances: Result<Vec<_>, _> =
            posts.map(|post| Ok((post, swap.next.warm()?))).collect();
        let instances = instances.map_err(refused)?;
        set.take(swap.next.clone());
        let interests = match scope {
            Scope::Flow => Ok(None),
            Scope::Host => set.host_interests().map(Some),
        };
        let interests = match interests {
            Ok(interests) => interests,
            Err(error) => {
                if let Some(old) = &swap.replaced {
                    set.take(old.clone());
                }
                return Err(refused(error));
            }
        };
        let prefilter = match scope {
            Scope::Flow => Some(set.prefilter().map_err(refused)?),
            Scope::Host => None,
        };
        tracing::info!(by = %who, plugin = ?swap.next.plugin, "a detector is swapped");
        let ready = Ready { swap, instances, interests, prefilter };
        self.ask(move |keeper| keeper.put_to_work(ready)).map_err(|_| ending())
    }
}

impl Keeper {
    fn put_to_work(&mut self, ready: Ready) -> PluginSwapped {
        let Swap { next, replaced } = ready.swap;
        let id = next.id;
        match self.line_up.iter_mut().find(|p| p.id == id) {
            Some(known) => *known = next.clone(),
            None => self.line_up.push(next.clone()),
        }
        if let Some(old) = &replaced {
            self.previous.insert(id, old.clone());
        }
        // Its name first: no finding is without one.
        let loaded = self.config.load_full();
        self.publish(&loaded.config);
        for (post, instance) in ready.instances {
            self.carriers.install(post, id, instance, ready.prefilter.clone());
        }
        if let Some(interests) = ready.interests {
            for worker in self.about.workers() {
                let order = StreetOrder::HostInterests(Box::new(interests.clone()));
                self.carriers.give(worker, order);
            }
        }
        PluginSwapped {
            plugin: self.plugin_info(&next),
            replaced: replaced.map(|old| old.plugin.manifest().version.to_string()),
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

    fn plugin_info(&self, loaded: &LoadedPlugin) -> PluginInfo {
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
            rules: manifest.rules.len() as u64,
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
