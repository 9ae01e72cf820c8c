#![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

use super::*;
use portcullis_plugin_abi::{ABI, MAGIC};
use std::fs;
use tempfile::TempDir;

/// A detector that finds nothing, in the fewest words that the ABI takes.
pub(crate) fn guest(name: &str, version: &str, scope: &str) -> Vec<u8> {
    guest_of(name, version, scope, "events = ['flow-start']")
}

/// The same, with this line about what it is shown.
fn guest_of(name: &str, version: &str, scope: &str, shown: &str) -> Vec<u8> {
    let manifest = format!(
        "name = '{name}'\nvendor = 'test'\nversion = '{version}'\nabi = {ABI}\n\
         classes = ['attack']\nscope = '{scope}'\n{shown}\nmemory_mib = 4\n\
         gid = 9\nsids = [1, 9]\n"
    );
    let word = |n: u32| n.to_le_bytes().map(|b| format!("\\{b:02x}")).concat();
    // magic, abi, input at 1 MiB (its length is asked for), output at 64 KiB, then its arrays.
    let layout: String = [
        MAGIC,
        u32::from(ABI),
        1 << 20,
        0,
        64 << 10,
        64 << 10,
        64,
        512,
        4,
        4096,
        64,
        4,
        8192,
        256,
        0,
        0,
    ]
    .map(word)
    .concat();
    let manifest = manifest.replace('\n', "\\n");
    let text = format!(
        "(module (memory (export \"memory\") 48)
           (data (i32.const 1024) \"{layout}\")
           (func (export \"portcullis_layout\") (param i32) (result i32)
             (i32.store (i32.const 1036) (local.get 0)) (i32.const 1024))
           (func (export \"portcullis_init\") (result i32) (i32.const 0))
           (func (export \"portcullis_batch\"))
           (@custom \"portcullis.manifest\" \"{manifest}\"))"
    );
    wat::parse_str(text).unwrap()
}

/// A directory with these detectors: file, name, version, scope.
pub(crate) fn directory(plugins: &[(&str, &str, &str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (file, name, version, scope) in plugins {
        fs::write(dir.path().join(file), guest(name, version, scope)).unwrap();
    }
    dir
}

/// Small: one post.
pub(crate) const SETUP: PluginSetup = PluginSetup { posts: 1, spares: 1, seed: [1, 2] };

fn load(dir: &TempDir, config: &config::Plugins) -> Result<PluginSet, PluginSetError> {
    PluginSet::load(&PluginFiles::Directory(dir.path().to_owned()), config, None, SETUP)
}

#[test]
fn numbers_follow_the_names_and_hosts_are_filled() {
    let dir = directory(&[
        ("1.wasm", "zebra", "1.0.0", "flow"),
        ("2.wasm", "ape", "1.0.0", "host"),
        ("3.wasm", "bee", "1.0.0", "flow"),
    ]);
    fs::write(dir.path().join("README"), "not a plugin").unwrap();
    let set = load(&dir, &config::Plugins::default()).unwrap();
    assert_eq!(set.names(), [Arc::from("ape"), Arc::from("bee"), Arc::from("zebra")]);
    let host = set.flow_host(HostLimits::default()).unwrap();
    let ids: Vec<PluginId> = host.plugins().map(|(id, _)| id).collect();
    assert_eq!(ids, [PluginId(1), PluginId(2)]);
    assert_eq!(host.needs_spare().count(), 0, "its spare is warm");
    let shard = set.host_shard(HostLimits::default()).unwrap();
    assert_eq!(shard.plugins().map(|(id, _)| id).collect::<Vec<_>>(), [PluginId(0)]);
    set.host_interests().unwrap();
}

#[test]
fn a_swap_keeps_the_number() {
    let dir = directory(&[("a.wasm", "ape", "1.0.0", "flow"), ("b.wasm", "bee", "1.0.0", "flow")]);
    let mut set = load(&dir, &config::Plugins::default()).unwrap();
    let next = dir.path().join("next.wasm");
    fs::write(&next, guest("ape", "2.0.0", "flow")).unwrap();
    let swap = set.swap(&next, &config::Plugins::default()).unwrap();
    assert_eq!((swap.next.id, &*swap.next.plugin.manifest().version), (PluginId(0), "2.0.0"));
    assert_eq!(&*swap.replaced.unwrap().plugin.manifest().version, "1.0.0");
    assert_eq!(&*set.plugins()[0].plugin.manifest().version, "1.0.0", "nothing has happened yet");
    set.take(swap.next);
    assert_eq!(&*set.plugins()[0].plugin.manifest().version, "2.0.0");
    fs::write(&next, guest("ant", "1.0.0", "flow")).unwrap();
    let joined = set.swap(&next, &config::Plugins::default()).unwrap();
    assert_eq!((joined.next.id, joined.replaced.is_none()), (PluginId(2), true), "behind all");
    set.take(joined.next);
    assert_eq!(&*set.names()[2], "ant");
    fs::write(&next, guest("bee", "2.0.0", "host")).unwrap();
    let refused = set.swap(&next, &config::Plugins::default()).unwrap_err();
    assert!(refused.to_string().contains("scope"), "{refused}");
}

#[test]
fn who_reads_streams_needs_an_engine_that_was_begun_with_such() {
    let none = config::Plugins::default();
    for kind in ["stream-data", "transaction"] {
        let dir = directory(&[("a.wasm", "ape", "1.0.0", "flow")]);
        let set = load(&dir, &none).unwrap();
        let reader = dir.path().join("reader.wasm");
        let shown = format!("events = ['{kind}']");
        fs::write(&reader, guest_of("reader", "1.0.0", "flow", &shown)).unwrap();
        let refused = set.swap(&reader, &none).unwrap_err().to_string();
        assert!(!set.reads() && refused.contains("reader.wasm"), "{refused}");
        assert!(refused.ends_with("; put the file into plugins.dir and restart"), "{refused}");
        let heir = dir.path().join("heir");
        fs::write(&heir, guest_of("ape", "2.0.0", "flow", &shown)).unwrap();
        assert!(set.swap(&heir, &none).is_err(), "nor in the place of one that reads none");
        let set = load(&dir, &none).unwrap();
        assert!(set.reads() && set.swap(&heir, &none).is_ok(), "begun with the reader");
    }
}

#[test]
fn who_reads_rules_is_not_said_to_be_switched_off_where_there_are_none() {
    let none = config::Plugins::default();
    let dir = directory(&[("a.wasm", "ape", "1.0.0", "flow")]);
    let set = load(&dir, &none).unwrap();
    let reader = dir.path().join("reader.wasm");
    let shown = "events = ['flow-start']\nsection = 'rules'";
    fs::write(&reader, guest_of("reader", "1.0.0", "flow", shown)).unwrap();
    let refused = set.swap(&reader, &none).unwrap_err();
    assert!(matches!(refused, PluginSetError::NoReader), "{refused}");
    assert!(refused.to_string().contains("write [rules] files"), "{refused}");
}

#[test]
fn refusals_name_the_file_and_the_remedy() {
    let dir = directory(&[("a.wasm", "ape", "1.0.0", "flow"), ("b.wasm", "ape", "2.0.0", "flow")]);
    let twice = load(&dir, &config::Plugins::default()).err().unwrap().to_string();
    assert!(twice.contains("a.wasm") && twice.contains("b.wasm") && twice.contains("remove"));
    fs::write(dir.path().join("b.wasm"), "nonsense").unwrap();
    let refused = load(&dir, &config::Plugins::default()).err().unwrap().to_string();
    assert!(refused.contains("b.wasm"), "{refused}");
    let config = config::Plugins { memory: 1 << 20, ..config::Plugins::default() };
    fs::remove_file(dir.path().join("b.wasm")).unwrap();
    let small = load(&dir, &config).err().unwrap().to_string();
    assert!(small.contains("a.wasm") && small.contains("wants 4 MiB"), "{small}");
    let nowhere = PluginFiles::Directory(dir.path().join("nowhere"));
    let missing = PluginSet::load(&nowhere, &config, None, SETUP).err().unwrap().to_string();
    assert!(missing.contains("plugins.dir"), "{missing}");
}

#[test]
fn a_detector_that_is_switched_off_is_left_out() {
    let dir = directory(&[("a.wasm", "ape", "1.0.0", "flow")]);
    let mut config = config::Plugins::default();
    config.grants.insert("ape".into(), config::Grant { enabled: false, ..Default::default() });
    let set = load(&dir, &config).unwrap();
    assert!(set.plugins().is_empty());
    let swap = set.swap(&dir.path().join("a.wasm"), &config).unwrap_err();
    assert!(matches!(swap, PluginSetError::Disabled { .. }));
}
