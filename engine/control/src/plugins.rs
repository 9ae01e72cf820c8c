//! The detectors: found, loaded within what the operator grants, numbered, warmed, swapped.
//!
//! ```text
//!   *.wasm ─► PluginSet ─┬─► FlowHost, HostShard   (a replay, or the start of an engine)
//!      grants ──┘        └─► warmed instances      (spares and swaps of a running engine)
//! ```
//!
//! Everything here is off the street and may take its time: compiling takes about half a second for
//! each 800 kB. A plugin's number is the place of its name at the start and never changes while the
//! engine runs. This file must never know what a detector looks for.

mod error;
#[cfg(test)]
pub(crate) mod tests;

pub use error::PluginSetError;

use crate::config;
use crate::rules::{About, Bank, Rules, SECTION, anomaly_names};
use portcullis_detect::{
    FlowHost, Grants, HostLimits, HostShard, Instance, Interests, LoadLimits, Loader, PLUGINS_MAX,
    Plugin, PluginData, Scope,
};
use portcullis_pipeline::Prefilter;
use portcullis_plugin_abi::{CALLS, Call, EventKind};
use portcullis_types::PluginId;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where detectors come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PluginFiles {
    /// Every `*.wasm` of a directory, in the order of the names.
    Directory(PathBuf),
    /// These files.
    List(Vec<PathBuf>),
}

/// How many instances there will be, and what seeds them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PluginSetup {
    /// Workers and host shards together: each has an instance of each plugin of its scope.
    pub posts: usize,
    /// Spares of each plugin at each post.
    pub spares: usize,
    /// Seeds the hash maps of guests and host. Live: random; replay: fixed.
    pub seed: [u64; 2],
}

/// One detector that is loaded.
#[derive(Clone, Debug)]
pub struct LoadedPlugin {
    /// Its number.
    pub id: PluginId,
    /// The version at work.
    pub plugin: Arc<Plugin>,
    /// Where it came from.
    pub file: PathBuf,
    /// The rules that it was given.
    pub rules: Option<About>,
}

/// All detectors of an engine.
pub struct PluginSet {
    loader: Loader,
    plugins: Vec<LoadedPlugin>,
    names: Vec<Arc<str>>,
    rules: Option<Rules>,
    spares: usize,
    /// What reading needs is set aside at the start, or never.
    reads: bool,
}

/// What a swap comes to; nothing has happened yet but loading.
#[derive(Clone, Debug)]
pub struct Swap {
    /// The version to put to work.
    pub next: LoadedPlugin,
    /// The version that works now; `None` where the plugin is new.
    pub replaced: Option<LoadedPlugin>,
}

impl PluginSet {
    /// Loads them all; a single one that is refused refuses the start. A plugin whose grant says
    /// `enabled = false` is left out.
    pub fn load(
        files: &PluginFiles,
        config: &config::Plugins,
        rules: Option<&Rules>,
        setup: PluginSetup,
    ) -> Result<PluginSet, PluginSetError> {
        let files = found(files)?;
        let loader = Loader::new(limits(config, files.len(), setup))
            .map_err(|error| PluginSetError::Runtime { error })?;
        let mut loaded: Vec<(Arc<Plugin>, PathBuf)> = Vec::new();
        for file in files {
            let Found::Plugin(plugin) = load_one(&loader, &file, config, rules)? else { continue };
            let name = &plugin.manifest().name;
            if let Some((_, first)) = loaded.iter().find(|(p, _)| p.manifest().name == *name) {
                let (name, first) = (name.to_string(), first.clone());
                return Err(PluginSetError::Twice { name, first, second: file });
            }
            loaded.push((plugin, file));
        }
        loaded.sort_by(|(a, _), (b, _)| a.manifest().name.cmp(&b.manifest().name));
        if let Some((_, file)) = loaded.get(PLUGINS_MAX) {
            return Err(PluginSetError::TooMany { file: file.clone() });
        }
        let plugins: Vec<LoadedPlugin> = loaded
            .into_iter()
            .zip(0u16..)
            .map(|((plugin, file), id)| {
                let about = about(&plugin, rules);
                LoadedPlugin { id: PluginId(id), plugin, file, rules: about }
            })
            .collect();
        let names = plugins.iter().map(|p| p.plugin.manifest().name.clone()).collect();
        let reads = plugins.iter().any(reads_deep);
        let (rules, spares) = (rules.cloned(), setup.spares);
        Ok(PluginSet { loader, plugins, names, rules, spares, reads })
    }

    /// The detectors, by number.
    pub fn plugins(&self) -> &[LoadedPlugin] {
        &self.plugins
    }

    /// Their names, by number: what [`crate::snapshot::snapshot`] takes.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// The detector of a name.
    pub fn named(&self, name: &str) -> Option<&LoadedPlugin> {
        self.plugins.iter().find(|p| &*p.plugin.manifest().name == name)
    }

    /// The detectors that work in a scope, by number.
    pub fn of_scope(&self, scope: Scope) -> impl Iterator<Item = &LoadedPlugin> {
        self.plugins.iter().filter(move |p| p.plugin.manifest().scope == scope)
    }

    /// Forgets the counters that detectors share, e.g. between captures of a replay.
    pub fn forget_counters(&self) {
        self.loader.forget_counters();
    }

    /// One worker's detectors, each with its spares warmed.
    pub fn flow_host(&self, limits: HostLimits) -> Result<FlowHost, PluginSetError> {
        let mut host = FlowHost::new(HostLimits { spares: self.spares, ..limits });
        for loaded in self.of_scope(Scope::Flow) {
            host.install(loaded.id, loaded.warm()?).map_err(|e| loaded.unseated(&e))?;
            for _ in 0..self.spares {
                host.install_spare(loaded.id, loaded.warm()?).map_err(|e| loaded.unseated(&e))?;
            }
        }
        Ok(host)
    }

    /// One host shard's detectors, each with its spares warmed.
    pub fn host_shard(&self, limits: HostLimits) -> Result<HostShard, PluginSetError> {
        let mut shard = HostShard::new(HostLimits { spares: self.spares, ..limits });
        for loaded in self.of_scope(Scope::Host) {
            shard.install(loaded.id, loaded.warm()?).map_err(|e| loaded.unseated(&e))?;
            for _ in 0..self.spares {
                shard.install_spare(loaded.id, loaded.warm()?).map_err(|e| loaded.unseated(&e))?;
            }
        }
        Ok(shard)
    }

    /// Whether any flow-scope detector of the start reads behind the headers.
    pub fn reads(&self) -> bool {
        self.reads
    }

    /// The matcher of all flow-scope detectors' literals.
    pub fn prefilter(&self) -> Result<Arc<Prefilter>, PluginSetError> {
        let sets: Vec<_> =
            self.of_scope(Scope::Flow).map(|l| (l.id, l.plugin.patterns())).collect();
        Prefilter::new(sets.iter().map(|(id, patterns)| (*id, &**patterns)))
            .map(Arc::new)
            .map_err(|error| PluginSetError::Patterns { why: error.to_string() })
    }

    /// What the host-scope detectors want to see, for workers to send no more than that.
    pub fn host_interests(&self) -> Result<Interests, PluginSetError> {
        let mut shard = HostShard::new(HostLimits::default());
        for loaded in self.of_scope(Scope::Host) {
            shard.install(loaded.id, loaded.warm()?).map_err(|e| loaded.unseated(&e))?;
        }
        Ok(shard.interests().clone())
    }

    /// Loads a file to take the place of the detector of its name, or to join the others. The set
    /// is unchanged until [`PluginSet::take`].
    pub fn swap(&self, file: &Path, config: &config::Plugins) -> Result<Swap, PluginSetError> {
        let plugin = match load_one(&self.loader, file, config, self.rules.as_ref())? {
            Found::Plugin(plugin) => plugin,
            Found::SwitchedOff => return Err(PluginSetError::Disabled { file: file.to_owned() }),
            Found::WithoutRules => return Err(PluginSetError::NoReader),
        };
        let replaced = self.named(&plugin.manifest().name).cloned();
        if let Some(old) = &replaced
            && old.plugin.manifest().scope != plugin.manifest().scope
        {
            let name = plugin.manifest().name.to_string();
            return Err(PluginSetError::ScopeChanged { name });
        }
        let next = u16::try_from(self.plugins.len()).unwrap_or(u16::MAX);
        if replaced.is_none() && usize::from(next) >= PLUGINS_MAX {
            return Err(PluginSetError::TooMany { file: file.to_owned() });
        }
        let id = replaced.as_ref().map_or(PluginId(next), |old| old.id);
        let rules = about(&plugin, self.rules.as_ref());
        let next = LoadedPlugin { id, plugin, file: file.to_owned(), rules };
        if reads_deep(&next) && !self.reads {
            return Err(PluginSetError::NoStreams { file: file.to_owned() });
        }
        Ok(Swap { next, replaced })
    }

    /// The rules that detectors have.
    pub fn rules(&self) -> Option<&Rules> {
        self.rules.as_ref()
    }

    /// Whether there is a detector that rules could be given to.
    pub fn takes_rules(&self) -> bool {
        self.plugins.iter().any(reads_rules)
    }

    /// Every detector that reads rules with these in the place of those that it has: versions of
    /// their own, to be put to work at once. The set is unchanged until [`PluginSet::take`].
    pub fn swap_rules(&self, rules: &Rules) -> Result<Vec<Swap>, PluginSetError> {
        let swaps = self.plugins.iter().filter(|p| reads_rules(p)).map(|old| {
            let refused = |error| PluginSetError::Refused { file: old.file.clone(), error };
            let plugin = old.plugin.with_data(rules.data()).map_err(refused)?;
            give_regexes(&plugin);
            let rules = Some(rules.about.clone());
            let next = LoadedPlugin { plugin, rules, ..old.clone() };
            Ok(Swap { next, replaced: Some(old.clone()) })
        });
        let swaps: Vec<Swap> = swaps.collect::<Result<_, _>>()?;
        if swaps.is_empty() { Err(PluginSetError::NoReader) } else { Ok(swaps) }
    }

    /// From now on detectors are loaded with these rules; answers those before.
    pub fn take_rules(&mut self, rules: Option<Rules>) -> Option<Rules> {
        std::mem::replace(&mut self.rules, rules)
    }

    /// Takes a version as the one at work: after a swap, or after the street rolled one back.
    pub fn take(&mut self, loaded: LoadedPlugin) {
        match self.plugins.iter_mut().find(|p| p.id == loaded.id) {
            Some(known) => *known = loaded,
            None => {
                self.names.push(loaded.plugin.manifest().name.clone());
                self.plugins.push(loaded);
            }
        }
    }
}

impl LoadedPlugin {
    /// A warmed instance.
    pub fn warm(&self) -> Result<Instance, PluginSetError> {
        self.plugin.warm().map_err(|error| PluginSetError::Warm { file: self.file.clone(), error })
    }

    fn unseated(&self, why: &portcullis_detect::InstallError) -> PluginSetError {
        PluginSetError::Install { file: self.file.clone(), why: why.to_string() }
    }
}

/// What the operator grants, in the host's words.
fn grants(grant: &config::Grant) -> Grants {
    let allowed = |capability: &str| match &grant.capabilities {
        None => true,
        // It gives the plugin nothing: the host measures, for the operator.
        Some(_) if capability == Call::Profile.row().2 => true,
        Some(list) => list.iter().any(|c| c == capability),
    };
    Grants {
        max_action: grant.max_action,
        pass: grant.allows_pass(),
        calls: CALLS.iter().filter(|row| allowed(row.2)).map(|row| row.0).collect(),
        memory_mib: mib(grant.memory),
        config: grant.config.clone(),
    }
}

/// Whole MiB, rounded down but never to nothing.
fn mib(bytes: u64) -> u32 {
    u32::try_from(bytes >> 20).unwrap_or(u32::MAX).max(1)
}

fn limits(config: &config::Plugins, plugins: usize, setup: PluginSetup) -> LoadLimits {
    let d = LoadLimits::default();
    // A swap has both versions alive; two more plugins may be added at run time.
    let instances = (plugins + 2) * setup.posts.max(1) * (1 + setup.spares) * 2;
    let most = config.grants.values().map(|g| mib(g.memory)).max().unwrap_or(0);
    LoadLimits {
        memory_mib: d.memory_mib.max(most).max(mib(config.memory)),
        instances: u32::try_from(instances).unwrap_or(u32::MAX).max(16),
        anomalies: anomaly_names(),
        seed: setup.seed,
        ..d
    }
}

/// The files, in the order of the names.
fn found(files: &PluginFiles) -> Result<Vec<PathBuf>, PluginSetError> {
    let directory = match files {
        PluginFiles::List(list) => return Ok(list.clone()),
        PluginFiles::Directory(directory) => directory,
    };
    let fail = |error| PluginSetError::Directory { directory: directory.clone(), error };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_some_and(|e| e == "wasm") && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// What a file came to that is in order.
enum Found {
    Plugin(Arc<Plugin>),
    /// The operator's grant says so.
    SwitchedOff,
    /// It reads rules, and there are none.
    WithoutRules,
}

/// Loads one file.
fn load_one(
    loader: &Loader,
    file: &Path,
    config: &config::Plugins,
    rules: Option<&Rules>,
) -> Result<Found, PluginSetError> {
    let wasm = std::fs::read(file)
        .map_err(|error| PluginSetError::File { file: file.to_owned(), error })?;
    let refused = |error| PluginSetError::Refused { file: file.to_owned(), error };
    // Which grant holds is said by the name, and the name by the manifest: read it under a grant
    // that refuses nothing.
    let any = Grants { memory_mib: u32::MAX, ..Grants::standard() };
    let manifest = match loader.manifest(&wasm, &any) {
        Ok(manifest) => manifest,
        // More memory than any grant gives: the same refusal follows with the right figures.
        Err(error) => return Err(refused(error)),
    };
    let grant = config.grant(&manifest.name);
    if !grant.enabled {
        return Ok(Found::SwitchedOff);
    }
    let data = match (&manifest.section, rules) {
        (None, _) => PluginData::default(),
        (Some(_), Some(rules)) => rules.data(),
        (Some(section), None) => {
            tracing::info!(detector = %manifest.name, %section, "not loaded: [rules] names no files");
            return Ok(Found::WithoutRules);
        }
    };
    let plugin = loader.load_with(&wasm, &grants(&grant), data).map_err(refused)?;
    give_regexes(&plugin);
    Ok(Found::Plugin(plugin))
}

fn reads_rules(loaded: &LoadedPlugin) -> bool {
    loaded.plugin.manifest().section.as_deref() == Some(SECTION)
}

/// Whether it is a flow-scope detector that reads behind the headers.
fn reads_deep(loaded: &LoadedPlugin) -> bool {
    let deep = [EventKind::StreamData, EventKind::Transaction, EventKind::Hit];
    let (manifest, patterns) = (loaded.plugin.manifest(), loaded.plugin.patterns());
    let events = deep.iter().any(|kind| manifest.wants(*kind));
    manifest.scope == Scope::Flow && (events || !patterns.literals.is_empty())
}

fn give_regexes(plugin: &Plugin) {
    let patterns = plugin.patterns();
    if !patterns.regexes.is_empty() {
        plugin.give_regexes(Arc::new(Bank::new(&patterns)));
    }
}

/// What names the rules that a detector was given.
fn about(plugin: &Plugin, rules: Option<&Rules>) -> Option<About> {
    let reads = plugin.manifest().section.as_deref() == Some(SECTION);
    rules.filter(|_| reads).map(|rules| rules.about.clone())
}
