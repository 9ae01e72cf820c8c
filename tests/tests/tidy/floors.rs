//! Who may import whom, and what the data plane must not touch.

use std::collections::BTreeMap;

use portcullis_tests::requirement::repository;

use crate::rust_text::without_comments;
use crate::tree::{SourceFile, folders_in};

/// The crates of ours that each crate may import, by folder. A crate that is not here may import
/// nothing until it has a floor.
const FLOORS: &[(&str, &[&str])] = &[
    ("engine/types", &[]),
    ("plugin-sdk/abi", &[]),
    ("rules-db/form", &[]),
    ("engine/wire", &["types"]),
    ("plugin-sdk", &["plugin-abi"]),
    ("engine/capture", &["types"]),
    ("engine/flow", &["types", "wire"]),
    ("engine/decode", &["types", "wire", "plugin-abi"]),
    ("engine/matcher", &["types", "rules-form", "plugin-abi"]),
    ("engine/detect", &["types", "wire", "plugin-abi", "rules-form"]),
    ("engine/verdict", &["types", "wire"]),
    ("engine/enforce", &["types", "wire"]),
    (
        "engine/pipeline",
        &[
            "types",
            "wire",
            "capture",
            "flow",
            "decode",
            "matcher",
            "detect",
            "verdict",
            "enforce",
            "plugin-abi",
        ],
    ),
    ("rules-db", &["types", "rules-form", "plugin-abi"]),
    (
        "engine/control",
        &[
            "types",
            "wire",
            "capture",
            "flow",
            "decode",
            "matcher",
            "detect",
            "verdict",
            "enforce",
            "pipeline",
            "plugin-abi",
            "rules-db",
            "rules-form",
        ],
    ),
    (
        "engine",
        &[
            "types",
            "wire",
            "capture",
            "flow",
            "decode",
            "matcher",
            "detect",
            "verdict",
            "enforce",
            "pipeline",
            "control",
            "plugin-abi",
            "rules-db",
            "rules-form",
        ],
    ),
    ("plugin-sdk/testkit", &["plugin-abi", "plugin-sdk", "types", "wire", "detect"]),
    ("bench", ANYTHING),
    ("tests", ANYTHING),
    ("tests/fuzz", ANYTHING),
];
const ANYTHING: &[&str] = &["*"];
/// What every plugin may import; in its tests also the testkit.
const OF_PLUGINS: &[&str] = &["plugin-sdk", "rules-form"];

/// Crates of others that only the control plane may use: runtimes, servers, log subscribers.
const COLD_ONLY: [&str; 7] =
    ["tokio", "axum", "hyper", "hyper-util", "tracing-subscriber", "clap", "indicatif"];
const COLD: [&str; 6] = ["engine", "engine/control", "rules-db", "tests", "bench", "tests/fuzz"];

/// The data plane: floors 1 to 3.
const DATA_PLANE: [&str; 9] = [
    "engine/wire/src/",
    "engine/flow/src/",
    "engine/decode/src/",
    "engine/matcher/src/",
    "engine/capture/src/",
    "engine/detect/src/",
    "engine/verdict/src/",
    "engine/enforce/src/",
    "engine/pipeline/src/",
];
/// What must not be read, taken or said there, and what to do instead.
const NOT_IN_DATA_PLANE: [(&str, &str); 8] = [
    ("Instant::now", "take `now: Tick` as an argument"),
    ("SystemTime::now", "take `now: Tick` as an argument"),
    ("println!", "count it; the control plane tells"),
    ("eprintln!", "count it; the control plane tells"),
    ("tracing::", "count it; the control plane tells"),
    ("log::warn", "count it; the control plane tells"),
    ("tokio::", "only the control plane waits"),
    ("std::env::", "take it as configuration"),
];
/// Folders where clocks and the like are somebody's job.
const EDGES: [&str; 4] = ["/backend", "/tests/", "tests.rs", "_lab.rs"];

/// Where unsafe code may be: rings, kernel map, vector kernels, wasm memory; single system calls
/// that no crate in use wraps.
const UNSAFE_PLACES: [&str; 11] = [
    "engine/control/src/api/peer.rs",
    "engine/control/src/backstage.rs",
    // The allocator that puts big tables in huge pages.
    "engine/src/pages.rs",
    // A compiled rule set is mapped.
    "engine/control/src/rules.rs",
    "engine/capture/",
    "engine/enforce/src/backend",
    "engine/detect/",
    "engine/matcher/",
    "plugin-sdk/",
    "plugins/",
    "bench/",
];

/// Dependencies that go up or sideways.
pub(crate) fn complaints() -> Vec<String> {
    let mut folders: Vec<String> = FLOORS.iter().map(|(folder, _)| (*folder).to_owned()).collect();
    folders.extend(folders_in("plugins").iter().map(|plugin| format!("plugins/{plugin}")));
    folders.extend(folders_in("engine").iter().map(|part| format!("engine/{part}")));
    folders.sort();
    folders.dedup();
    folders.iter().flat_map(|folder| complaints_of_crate(folder)).collect()
}

fn complaints_of_crate(folder: &str) -> Vec<String> {
    let path = repository().join(folder).join("Cargo.toml");
    let Ok(text) = std::fs::read_to_string(&path) else { return Vec::new() };
    let manifest: toml::Table = text.parse().expect("cargo reads this manifest too");
    let is_plugin = folder.starts_with("plugins/");
    let allowed = match FLOORS.iter().find(|(known, _)| *known == folder) {
        Some((_, allowed)) => *allowed,
        None if is_plugin => OF_PLUGINS,
        None => return vec![format!("{folder}: give it a floor in tests/tests/tidy/floors.rs")],
    };
    let mut complaints = Vec::new();
    for (section, name) in dependencies(&manifest) {
        // Tests may also use what is made for tests; the host's benchmark is a detector of its own.
        let is_bench_detector = folder == "engine/detect" && name == "portcullis-plugin-sdk";
        // The evaluator's chain is tried from a rule's text to the finding.
        let is_chain = folder == "plugins/signatures"
            && ["portcullis-decode", "portcullis-matcher", "portcullis-rules-db"]
                .contains(&name.as_str());
        let is_for_tests = section == "dev-dependencies"
            && (name == "portcullis-testkit" || is_bench_detector || is_chain);
        let is_above = name
            .strip_prefix("portcullis-")
            .is_some_and(|ours| allowed != ANYTHING && !allowed.contains(&ours) && !is_for_tests);
        if is_above {
            let advice = "imports go down only; a shared noun lives in engine/types, \
                          and pipeline introduces siblings";
            complaints.push(format!("{folder}: `{name}` in [{section}]: {advice}"));
        }
        let is_cold = section == "dependencies" && COLD_ONLY.contains(&name.as_str());
        if is_cold && !COLD.contains(&folder) {
            let advice = "runtimes and servers belong to engine/control and the binary";
            complaints.push(format!("{folder}: `{name}`: {advice}"));
        }
    }
    complaints
}

/// All dependency names of a manifest with their section.
fn dependencies(manifest: &toml::Table) -> Vec<(String, String)> {
    let mut found: BTreeMap<(String, String), ()> = BTreeMap::new();
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let Some(table) = manifest.get(section).and_then(toml::Value::as_table) else { continue };
        for name in table.keys() {
            found.insert((section.to_owned(), name.clone()), ());
        }
    }
    found.into_keys().collect()
}

/// Clocks, logs and printing where only time as an argument and counters may be.
pub(crate) fn data_plane_complaints(file: &SourceFile) -> Vec<String> {
    let is_meant = DATA_PLANE.iter().any(|folder| file.path.starts_with(folder))
        && !EDGES.iter().any(|edge| file.path.contains(edge));
    if !is_meant {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    for (number, line) in without_comments(&file.text) {
        // Unit tests stand at the end of a file and may do what they like.
        if line.trim() == "#[cfg(test)]" {
            break;
        }
        for (word, advice) in NOT_IN_DATA_PLANE {
            if line.contains(word) {
                complaints.push(format!("{}:{number}: `{word}`: {advice}", file.path));
            }
        }
    }
    complaints
}

/// Unsafe code outside the few places that need it.
pub(crate) fn unsafe_complaints(file: &SourceFile) -> Vec<String> {
    let is_free = UNSAFE_PLACES.iter().any(|place| file.path.starts_with(place));
    if is_free || !file.has_extension("rs") || file.path.starts_with("tests/tests/tidy") {
        return Vec::new();
    }
    without_comments(&file.text)
        .filter(|(_, line)| line.contains("unsafe {") || line.contains("allow(unsafe_code"))
        .map(|(number, _)| {
            let advice = "unsafe code belongs to rings, the kernel map and the wasm memory glue";
            format!("{}:{number}: {advice}; use rustix or move it there", file.path)
        })
        .collect()
}
