//! Runs cases on both sides of the sandbox's border.

use crate::case::{Case, Ready};
use crate::compare::{described, differences};
use crate::find::{Regexes, scan};
use portcullis_detect::{
    Fault, FlowHost, Grants, HostEvent, HostLimits, HostShard, LoadLimits, Loader, Manifest,
    NativeFactory, Offer, OfferedHit, Patterns, Plugin, PluginData, Scope, Section, Shown,
};
use portcullis_types::{Finding, FrameIndex, PluginId, Tick};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Which side of the border.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Compiled for this machine, unconfined.
    Native,
    /// Compiled to WebAssembly, in the sandbox.
    Sandboxed,
}

const ID: PluginId = PluginId(0);

/// Runs every case of a plugin's folder natively and sandboxed.
///
/// `dir` is the plugin's folder, with `plugin.toml` and `cases/*.toml`; `wasm` is the module, or
/// [`wasm`] makes it.
///
/// # Panics
/// Where a case is not understood, or its findings are not those expected, or the two sides differ;
/// the message names the file and every difference.
pub fn check_all(dir: &Path, native: NativeFactory, wasm: &Path) {
    check_all_with(dir, native, wasm, &plain);
}

/// What a plugin is given in a case, and the regexes that it asks for.
pub type Given = dyn Fn(&Case, &Manifest) -> Result<PluginData, String>;

/// The text of the case as the bytes of the section `section` of the manifest, or `data`.
fn plain(case: &Case, manifest: &Manifest) -> Result<PluginData, String> {
    let name = manifest.section.clone().unwrap_or_else(|| "data".into());
    let bytes = Arc::new(case.section().as_bytes().to_vec());
    Ok(PluginData { sections: vec![Section { name, bytes }], ..PluginData::default() })
}

/// As [`check_all`], with sections of the caller's making, e.g. rules compiled from
/// [`Case::section`].
///
/// # Panics
/// As [`check_all`].
pub fn check_all_with(dir: &Path, native: NativeFactory, wasm: &Path, given: &Given) {
    let manifest = read(&dir.join("plugin.toml"));
    let module = read(wasm);
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir.join("cases"))
        .unwrap_or_else(|e| panic!("{}/cases: {e}", dir.display()))
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.extension().is_some_and(|x| x == "toml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{}/cases has no .toml file; write one", dir.display());
    let mut wrong = Vec::new();
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        match check(file, &manifest, &module, native, given) {
            Ok(differences) => wrong.extend(differences.iter().map(|d| format!("{name}: {d}"))),
            Err(e) => wrong.push(format!("{name}: {e}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), files.len(), wrong.join("\n"));
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn check(
    file: &Path,
    manifest: &[u8],
    module: &[u8],
    native: NativeFactory,
    given: &Given,
) -> Result<Vec<String>, String> {
    let text = String::from_utf8_lossy(&read(file)).into_owned();
    let case: Case = toml::from_str(&text).map_err(|e| e.to_string())?;
    let anomalies = anomalies(&case, manifest);
    let run = |side: Side| {
        // A loader of its own: shared counters begin from nothing.
        let limits =
            LoadLimits { anomalies: anomalies.clone(), instances: 8, ..LoadLimits::default() };
        let loader = Loader::new(limits).map_err(|e| e.to_string())?;
        let grants = Grants { config: case.settings.clone(), memory_mib: 64, ..Grants::standard() };
        let data = given(&case, &Manifest::parse(manifest).map_err(|e| e.to_string())?)?;
        let plugin = match side {
            Side::Native => loader.native_with(manifest, native, &grants, data),
            Side::Sandboxed => loader.load_with(module, &grants, data),
        };
        let plugin = plugin.map_err(|e| e.to_string())?;
        run_case(&case, &plugin, &anomalies)
    };
    let (native, sandboxed) = (run(Side::Native)?, run(Side::Sandboxed)?);
    let mut out = differences(&case, &native.0);
    for (side, faults) in [("native", &native.1), ("sandboxed", &sandboxed.1)] {
        out.extend(faults.iter().map(|f| format!("{side} fault: {f:?}")));
    }
    if native.0 != sandboxed.0 {
        let lines = |f: &[Finding]| f.iter().map(described).collect::<Vec<_>>().join("\n    ");
        out.push(format!(
            "the two sides differ\n  native:\n    {}\n  sandboxed:\n    {}",
            lines(&native.0),
            lines(&sandboxed.0)
        ));
    }
    Ok(out)
}

/// The names that the manifest and the case mention, as an engine's table.
fn anomalies(case: &Case, manifest: &[u8]) -> Vec<String> {
    let mut names: BTreeSet<String> = case.event.iter().filter_map(|e| e.anomaly.clone()).collect();
    let text = String::from_utf8_lossy(manifest);
    let table: Option<toml::Table> = text.parse().ok();
    let listed = table.as_ref().and_then(|t| t.get("anomalies")?.as_array());
    names.extend(listed.into_iter().flatten().filter_map(|n| n.as_str().map(str::to_owned)));
    names.into_iter().collect()
}

enum Host {
    Flow(FlowHost),
    Shard(HostShard),
}

fn run_case(
    case: &Case,
    plugin: &Arc<Plugin>,
    anomalies: &[String],
) -> Result<(Vec<Finding>, Vec<Fault>), String> {
    let events = case.ready(anomalies)?;
    let instance = plugin.warm().map_err(|e| e.to_string())?;
    let patterns = plugin.patterns();
    plugin.give_regexes(Arc::new(Regexes::new(&patterns)?));
    let limits = HostLimits::default();
    let mut host = match plugin.manifest().scope {
        Scope::Flow => Host::Flow(FlowHost::new(limits)),
        Scope::Host => Host::Shard(HostShard::new(limits)),
    };
    let installed = match &mut host {
        Host::Flow(h) => h.install(ID, instance),
        Host::Shard(h) => h.install(ID, instance),
    };
    installed.map_err(|e| e.to_string())?;
    let (mut findings, mut faults) = (Vec::new(), Vec::new());
    let cadence = plugin.manifest().tick.unwrap_or(Duration::MAX);
    let mut now = 0;
    let mut frame = 0u16;
    let mut run = |host: &mut Host, to: u64, now: &mut u64| {
        for ms in moments(*now, to, cadence) {
            let tick = Tick(ms * 1_000_000);
            match host {
                Host::Flow(h) => h.run(tick, &mut findings, &mut faults),
                Host::Shard(h) => h.run(tick, &mut findings, &mut faults),
            }
        }
        *now = to;
    };
    for ready in &events {
        if ready.at_ms != now || frame == 0 {
            run(&mut host, ready.at_ms, &mut now);
        }
        frame = frame.wrapping_add(1).max(1);
        match &mut host {
            Host::Flow(h) => offer_to_flow(h, ready, FrameIndex(frame), &patterns),
            Host::Shard(h) => offer_to_shard(h, ready),
        }
    }
    run(&mut host, case.until_ms.max(now), &mut now);
    let end = Tick(now * 1_000_000);
    match &mut host {
        Host::Flow(h) => h.end_of_input(end, &mut findings, &mut faults),
        Host::Shard(h) => h.end_of_input(end, &mut findings, &mut faults),
    }
    Ok((findings, faults))
}

fn offer_to_flow(host: &mut FlowHost, ready: &Ready, frame: FrameIndex, patterns: &Patterns) {
    let buffers: Vec<Shown<'_>> = ready
        .buffers
        .iter()
        .map(|b| Shown {
            kind: b.kind,
            index: b.index,
            transaction: b.transaction,
            flags: b.flags,
            offset: b.offset,
            bytes: &b.bytes,
        })
        .collect();
    let hits: Vec<OfferedHit> = scan(ready, patterns)
        .into_iter()
        .chain(ready.hits.iter().copied())
        .map(|f| OfferedHit { plugin: ID, buffer: f.buffer, pattern: f.pattern, end: f.end })
        .collect();
    host.offer(&Offer {
        flow: &ready.flow,
        event: ready.event,
        buffers: &buffers,
        hits: &hits,
        facts: &ready.facts,
        frame: Some(frame),
        flow_ref: Some(ready.flow_ref),
    });
}

fn offer_to_shard(host: &mut HostShard, ready: &Ready) {
    let (event, flow) = (ready.event, ready.flow);
    let Some(kind) = portcullis_plugin_abi::EventKind::from_number(event.kind) else { return };
    let seats = host.interests().wanting(kind, flow.protocol, flow.server_port);
    if seats != 0 {
        host.offer(&HostEvent { seats, flow, event, facts: ready.facts });
    }
}

/// The moments at which a host runs from `now` to `to`: each tick between them, and `to`.
fn moments(now: u64, to: u64, cadence: Duration) -> Vec<u64> {
    let step = u64::try_from(cadence.as_millis()).unwrap_or(u64::MAX).max(1);
    let first = (now / step).saturating_add(1).saturating_mul(step);
    let mut out: Vec<u64> = std::iter::successors(Some(first), |ms| ms.checked_add(step))
        .take_while(|ms| *ms < to)
        .take(100_000)
        .collect();
    out.push(to);
    out
}

/// Builds the plugin of a folder for `wasm32-unknown-unknown` and answers where the module lies.
///
/// # Panics
/// Where it does not compile.
pub fn wasm(dir: &Path, package: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| dir.join("../../target"), PathBuf::from);
    // Apart from the native build, so that the two never wait for each other's lock.
    let target = target.join("plugins");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--target", "wasm32-unknown-unknown"])
        .args(["--package", package, "--target-dir"])
        .arg(&target)
        .current_dir(dir)
        .status()
        .unwrap_or_else(|e| panic!("cargo: {e}"));
    assert!(status.success(), "{package} does not compile for wasm32-unknown-unknown");
    let file = format!("{}.wasm", package.replace('-', "_"));
    target.join("wasm32-unknown-unknown/release").join(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_fall_on_multiples_of_the_cadence() {
        let second = Duration::from_secs(1);
        assert_eq!(moments(500, 3_200, second), [1_000, 2_000, 3_000, 3_200]);
        assert_eq!(moments(0, 1_000, second), [1_000]);
        assert_eq!(moments(0, 9_000, Duration::MAX), [9_000]);
    }

    #[test]
    fn what_is_expected_and_missing_is_said() {
        let case: Case = toml::from_str("about = \"\"\n[[expect]]\nsid = 7").expect("a case");
        let said = differences(&case, &[]);
        assert!(said.len() == 1 && said[0].starts_with("missing"), "{said:?}");
        let error = toml::from_str::<Case>("about = \"\"\nexpct = 1").expect_err("a typo");
        assert!(error.to_string().contains("unknown field"));
    }
}
