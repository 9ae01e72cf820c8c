//! Why a plugin is refused or does not start. Each sentence says what to do.

use crate::fault::FaultKind;

/// Why a plugin was not loaded. No code of it has run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Another major version of the interface.
    #[error(
        "the plugin is built for plugin ABI {0}, this engine speaks ABI {ours}; rebuild it with the SDK of ABI {ours}",
        ours = portcullis_plugin_abi::ABI
    )]
    Abi(u16),
    /// The manifest names an anomaly that this engine does not know.
    #[error(
        "this engine knows no anomaly {0:?}; remove it from `anomalies`, or upgrade the engine"
    )]
    AnomalyUnknown(String),
    /// A capability that no host function belongs to.
    #[error("there is no capability {0:?}; write one of {known}", known = crate::manifest::capability_names())]
    CapabilityUnknown(String),
    /// It imports a function whose capability it does not ask for.
    #[error(
        "the module imports `{call}`, but its manifest does not ask for it; add {capability:?} to `capabilities`"
    )]
    CapabilityUnasked {
        /// The import.
        call: String,
        /// The capability to ask for.
        capability: &'static str,
    },
    /// It asks for what the operator does not grant.
    #[error(
        "the plugin asks for the capability {0:?}, which is not granted; grant it in [plugins.{1}], or use another plugin"
    )]
    CapabilityUngranted(String, String),
    /// The module did not compile.
    #[error(
        "the module does not compile: {0:#}; build it with `cargo build --release --target wasm32-unknown-unknown`"
    )]
    Compile(wasmtime::Error),
    /// A component instead of a core module.
    #[error(
        "this is a WebAssembly component; give the core module, which `cargo build --target wasm32-unknown-unknown` makes"
    )]
    Component,
    /// Cut off in the middle.
    #[error("the module ends in the middle of a section; copy the whole file again")]
    Cut,
    /// The engine itself could not be set up.
    #[error(
        "the WebAssembly runtime cannot start: {0:#}; raise the limits on address space, or lower `instances`"
    )]
    Engine(wasmtime::Error),
    /// An export is missing or has another type.
    #[error(
        "the module does not export `{0}` as the ABI has it; use `export_detector!` of the SDK"
    )]
    Export(&'static str),
    /// An import that no host function answers.
    #[error("the module imports `{0}`, which this engine does not have; plugins import from `{module}` only (no WASI, no JavaScript glue)", module = portcullis_plugin_abi::MODULE)]
    ImportUnknown(String),
    /// An import whose type is another.
    #[error("the imports of the module do not fit: {0:#}; rebuild it with the SDK of this engine")]
    Link(wasmtime::Error),
    /// The manifest is not as it must be.
    #[error("the manifest is not understood: {0}")]
    Manifest(String),
    /// There is none.
    #[error(
        "the module has no manifest; add `export_detector!(Detector, include_bytes!(\"../plugin.toml\"))`"
    )]
    ManifestMissing,
    /// There are two, and so one of them is forged.
    #[error(
        "the module has two manifests; rebuild it so that the section `portcullis.manifest` is there once"
    )]
    ManifestTwice,
    /// It wants more memory than granted.
    #[error(
        "the plugin wants {wanted} MiB of memory and is granted {granted}; raise `memory_mib` in its settings, or lower it in its manifest"
    )]
    Memory {
        /// MiB.
        wanted: u32,
        /// MiB.
        granted: u32,
    },
    /// Its first memory is larger than its manifest says.
    #[error(
        "the module begins with {0} MiB of memory, more than its manifest's `memory_mib`; raise it there"
    )]
    MemoryAtStart(u64),
    /// Not WebAssembly at all.
    #[error(
        "this is no WebAssembly module; give the .wasm file that `cargo build --target wasm32-unknown-unknown` makes"
    )]
    NotWasm,
    /// A rule beyond the range.
    #[error("rule {sid} lies outside of `sids`; widen the range or renumber the rule")]
    RuleOutside {
        /// The rule.
        sid: u32,
    },
    /// Two rules of one number.
    #[error("rule {sid} is there twice; give each [[rule]] a number of its own")]
    RuleTwice {
        /// The rule.
        sid: u32,
    },
    /// Its rules are in a section that was not given.
    #[error(
        "the plugin takes its rules from the section {0:?}, which it is not given; compile the rules and name the file in its settings"
    )]
    SectionMissing(String),
    /// It would run code at instantiation.
    #[error(
        "the module has a start function, which would run before it is metered; remove it (`export_detector!` makes none)"
    )]
    StartFunction,
    /// More bytes than a module may have.
    #[error(
        "the module has {0} bytes, more than the limit of {1}; build it with `opt-level = \"s\"`, or raise the limit"
    )]
    TooLarge(usize, usize),
}

/// Why an instance did not become ready. The code has run, within its limits.
#[derive(Debug, thiserror::Error)]
pub enum WarmError {
    /// The arenas do not lie where they must.
    #[error("the guest's layout is refused: {0}; rebuild the plugin with the SDK of ABI 1")]
    Layout(&'static str),
    /// The detector refused its settings.
    #[error(
        "the detector refuses to start, code {0}; look into its documentation for its settings"
    )]
    Refused(i32),
    /// No room for another instance, or the like.
    #[error("no instance can be made: {0:#}; raise `instances` in the plugin limits")]
    Room(wasmtime::Error),
    /// A fault at init.
    #[error(
        "the detector faulted at init: {0}; raise `fuel_init` or `memory_mib`, or report it to its vendor"
    )]
    Fault(FaultKind),
}
