//! From the bytes of a module to a plugin, without running any of its code.

use crate::data::PluginData;
use crate::limits::LoadLimits;
use crate::manifest::Manifest;
use crate::places::Places;
use crate::plugin::{Body, Grants, NativeFactory, Plugin, Reading};
use crate::section::outline;
use crate::shared::SharedTables;
use crate::warm::Sandboxed;
use crate::{LoadError, calls};
use portcullis_plugin_abi::{Call, MODULE, export};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::{
    Config, Engine, ExternType, InstanceAllocationStrategy, Linker, Module, OptLevel,
    PoolingAllocationConfig,
};

/// Loads plugins. One per engine process; cold, and never on the street.
pub struct Loader {
    engine: Engine,
    limits: LoadLimits,
    anomalies: Arc<[String]>,
    /// Counters outlive versions and reloads: by plugin name.
    shared: Mutex<HashMap<Arc<str>, Arc<SharedTables>>>,
}

/// The proposals and checks of the sandbox: see the design's measured reasons.
fn sandbox() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .cranelift_opt_level(OptLevel::Speed)
        // Literal search is 6 to 10 times slower without it.
        .wasm_simd(true)
        // Not deterministic between machines.
        .wasm_relaxed_simd(false)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_tail_call(false)
        .wasm_backtrace_max_frames(None)
        // A guest's stack: deep enough for regex-like recursion, small beside a thread's 2 MiB.
        .max_wasm_stack(256 << 10);
    config
}

impl Loader {
    /// Sets up the runtime. Where address space is limited, instances are allocated on demand
    /// instead of from a pool: slower to make, and the same otherwise.
    pub fn new(limits: LoadLimits) -> Result<Loader, LoadError> {
        let mut pool = PoolingAllocationConfig::default();
        pool.total_core_instances(limits.instances)
            .total_memories(limits.instances)
            .total_tables(limits.instances)
            .max_memories_per_module(1)
            .max_tables_per_module(1)
            .table_elements(1 << 14)
            .max_memory_size((limits.memory_mib as usize) << 20);
        let mut pooled = sandbox();
        pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = match Engine::new(&pooled) {
            Ok(engine) => engine,
            Err(_) => Engine::new(&sandbox()).map_err(LoadError::Engine)?,
        };
        let anomalies = limits.anomalies.clone().into();
        Ok(Loader { engine, limits, anomalies, shared: Mutex::default() })
    }

    /// Loads a module. Takes about half a second for each 800 kB.
    pub fn load(&self, wasm: &[u8], grants: &Grants) -> Result<Arc<Plugin>, LoadError> {
        self.load_with(wasm, grants, PluginData::default())
    }

    /// Loads a module that is given sections.
    pub fn load_with(
        &self,
        wasm: &[u8],
        grants: &Grants,
        data: PluginData,
    ) -> Result<Arc<Plugin>, LoadError> {
        if wasm.len() > self.limits.module_bytes {
            return Err(LoadError::TooLarge(wasm.len(), self.limits.module_bytes));
        }
        let manifest = self.manifest(wasm, grants)?;
        let module = Module::from_binary(&self.engine, wasm).map_err(LoadError::Compile)?;
        let mut linker = Linker::new(&self.engine);
        for &call in manifest.calls.iter().filter(|c| grants.calls.contains(c)) {
            calls::link(&mut linker, call).map_err(LoadError::Link)?;
        }
        imports(&module, &manifest, grants)?;
        exports(&module, &manifest)?;
        let pre = linker.instantiate_pre(&module).map_err(LoadError::Link)?;
        let body = Body::Sandboxed(Sandboxed { engine: self.engine.clone(), pre });
        self.plugin(manifest, grants, body, data)
    }

    /// Reads and checks the manifest alone: no compiling, no running.
    pub fn manifest(&self, wasm: &[u8], grants: &Grants) -> Result<Manifest, LoadError> {
        let manifest = Manifest::parse(outline(wasm)?.manifest)?;
        self.granted(&manifest, grants)?;
        Ok(manifest)
    }

    /// A natively compiled detector behind the same records: for tests and benches, unconfined.
    pub fn native(
        &self,
        manifest: &[u8],
        factory: NativeFactory,
        grants: &Grants,
    ) -> Result<Arc<Plugin>, LoadError> {
        self.native_with(manifest, factory, grants, PluginData::default())
    }

    /// As [`Loader::native`], with sections.
    pub fn native_with(
        &self,
        manifest: &[u8],
        factory: NativeFactory,
        grants: &Grants,
        data: PluginData,
    ) -> Result<Arc<Plugin>, LoadError> {
        let manifest = Manifest::parse(manifest)?;
        self.granted(&manifest, grants)?;
        self.plugin(manifest, grants, Body::Native(factory), data)
    }

    /// Forgets all shared counters and bits, e.g. between captures of a replay.
    pub fn forget_counters(&self) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn plugin(
        &self,
        manifest: Manifest,
        grants: &Grants,
        body: Body,
        data: PluginData,
    ) -> Result<Arc<Plugin>, LoadError> {
        let reading = Reading::new(&manifest, data)?;
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = manifest.calls.iter().any(|c| matches!(c, Call::Bit | Call::Count));
        let entries = if wanted { self.limits.counters } else { 1 };
        let tables = shared
            .entry(manifest.name.clone())
            .or_insert_with(|| Arc::new(SharedTables::new(entries, self.limits.seed)));
        Ok(Arc::new(Plugin {
            places: Places::of(&manifest, &self.limits),
            reading,
            shared: tables.clone(),
            grants: grants.clone(),
            anomalies: self.anomalies.clone(),
            seed: self.limits.seed,
            manifest,
            body,
        }))
    }

    fn granted(&self, manifest: &Manifest, grants: &Grants) -> Result<(), LoadError> {
        let granted = grants.memory_mib.min(self.limits.memory_mib);
        if manifest.memory_mib > granted || manifest.memory_mib == 0 {
            return Err(LoadError::Memory { wanted: manifest.memory_mib, granted });
        }
        if let Some(call) = manifest.calls.iter().find(|c| !grants.calls.contains(c)) {
            let capability = call.row().2.to_owned();
            return Err(LoadError::CapabilityUngranted(capability, manifest.name.to_string()));
        }
        match manifest.anomalies.iter().find(|a| !self.anomalies.contains(a)) {
            Some(unknown) => Err(LoadError::AnomalyUnknown(unknown.clone())),
            None => Ok(()),
        }
    }
}

fn imports(module: &Module, manifest: &Manifest, grants: &Grants) -> Result<(), LoadError> {
    for import in module.imports() {
        let full = format!("{}.{}", import.module(), import.name());
        let known = (import.module() == MODULE).then(|| Call::named(import.name())).flatten();
        let (Some(call), ExternType::Func(_)) = (known, import.ty()) else {
            return Err(LoadError::ImportUnknown(full));
        };
        let capability = call.row().2;
        if !manifest.calls.contains(&call) {
            return Err(LoadError::CapabilityUnasked { call: full, capability });
        }
        if !grants.calls.contains(&call) {
            let name = manifest.name.to_string();
            return Err(LoadError::CapabilityUngranted(capability.to_owned(), name));
        }
    }
    Ok(())
}

fn exports(module: &Module, manifest: &Manifest) -> Result<(), LoadError> {
    let function = |name: &'static str, params: usize, results: usize| {
        let ok = matches!(module.get_export(name), Some(ExternType::Func(f))
            if f.params().len() == params && f.results().len() == results
                && f.params().chain(f.results()).all(|t| t.is_i32()));
        if ok { Ok(()) } else { Err(LoadError::Export(name)) }
    };
    function(export::LAYOUT, 1, 1)?;
    function(export::INIT, 0, 1)?;
    function(export::BATCH, 0, 0)?;
    let Some(ExternType::Memory(memory)) = module.get_export(export::MEMORY) else {
        return Err(LoadError::Export(export::MEMORY));
    };
    let bytes = memory.minimum().saturating_mul(memory.page_size());
    if bytes > u64::from(manifest.memory_mib) << 20 {
        return Err(LoadError::MemoryAtStart(bytes.div_ceil(1 << 20)));
    }
    Ok(())
}
