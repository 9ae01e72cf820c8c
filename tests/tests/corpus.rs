//! The corpus: real captures from public collections, replayed by the real binary in one process.
//!
//! `PORTCULLIS_CORPUS` is the folder with `MANIFEST.jsonl`; `required` means the one beside the
//! repository (`../shared/corpus`) and makes its absence a failure. Unset: that folder, if there.

#[path = "corpus/manifest.rs"]
mod manifest;
#[path = "corpus/outcome.rs"]
mod outcome;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use manifest::Capture;
use outcome::Outcome;
use portcullis_tests::command;
use portcullis_tests::requirement::{self, Readiness};

/// The whole corpus takes about a minute; a hang is what this finds.
const REPLAY_LIMIT: Duration = Duration::from_secs(600);
/// Clean captures with an alert, in thousandths.
const ALERTED_PER_MILLE_MAX: usize = 5;
/// The attack classes of the manifest that the first-party detectors claim.
const CLAIMED_CLASSES: [&str; 1] = ["scan"];

/// Attackers and victims of the corpus are mostly in private networks, which replay protects: to
/// see the stated attacker blocked, inside addresses may be. It makes the clean captures a harder
/// trial, too.
const CONFIGURATION: &str = "[blocks]\nblock_inside = true\n";

/// The replayed corpus, done once for all tests of this file; `None` where it is skipped.
fn replayed() -> Option<&'static (Vec<Capture>, Outcome)> {
    static REPLAYED: OnceLock<Option<(Vec<Capture>, Outcome)>> = OnceLock::new();
    REPLAYED
        .get_or_init(|| {
            let folder = requirement::corpus(&["MANIFEST.jsonl"])?;
            if requirement::engine() == Readiness::Skip {
                return None;
            }
            let captures = manifest::read(&folder);
            let outcome = replay(&folder, &captures);
            println!("corpus: {} captures run", captures.len());
            Some((captures, outcome))
        })
        .as_ref()
}

fn replay(folder: &Path, captures: &[Capture]) -> Outcome {
    let work = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| work.path().join(name).to_string_lossy().into_owned();
    let (configuration, eve, blocks) = (path("replay.toml"), path("eve.json"), path("blocks.json"));
    std::fs::write(&configuration, CONFIGURATION).expect("the temporary folder can be written");
    let engine = requirement::engine_binary().to_string_lossy().into_owned();
    let plugins = requirement::distribution().join("plugins").to_string_lossy().into_owned();
    let options = ["replay", "-c", &configuration, "--plugins", &plugins, "--each", "-o", "json"];
    let outputs = ["--eve", &eve, "--blocks", &blocks];
    let files: Vec<String> =
        captures.iter().map(|c| folder.join(&c.file).to_string_lossy().into_owned()).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let words = [&[engine.as_str()][..], &options, &outputs, &files].concat();
    let finished = command::run(&words, REPLAY_LIMIT);
    let tail = &finished.stderr
        [finished.stderr.floor_char_boundary(finished.stderr.len().saturating_sub(4000))..];
    assert!(!finished.stderr.contains("panicked"), "replay panicked: {tail}");
    assert_eq!(finished.code, Some(0), "replay failed after {:?}: {tail}", finished.took);
    Outcome::read(folder, &finished.stdout, Path::new(&eve), Path::new(&blocks))
}

#[test]
fn every_frame_of_every_capture_is_accounted_for() {
    let Some((captures, outcome)) = replayed() else { return };
    let missing: Vec<&str> = captures
        .iter()
        .map(|capture| capture.file.as_str())
        .filter(|file| !outcome.ledgers.contains_key(*file))
        .collect();
    assert!(missing.is_empty(), "replayed, but not in the summary: {missing:?}");
    let mut wrong = Vec::new();
    for (file, ledger) in &outcome.ledgers {
        let dropped: u64 = ledger.dropped.values().sum();
        if ledger.frames != ledger.forwarded + dropped {
            wrong.push(format!("{file}: {ledger:?}"));
        }
    }
    assert!(wrong.is_empty(), "frames in are not forwarded + dropped:\n{}", wrong.join("\n"));
    let frames: u64 = outcome.ledgers.values().map(|ledger| ledger.frames).sum();
    println!("corpus: {frames} frames accounted for");
    assert_eq!(frames, outcome.frames_in_all, "the sum of the captures is not the total");
}

#[test]
fn the_vlans_of_the_manifest_are_seen() {
    let Some((captures, outcome)) = replayed() else { return };
    let mut wrong = Vec::new();
    let mut checked = 0;
    for capture in captures.iter().filter(|capture| !capture.vlans.is_empty()) {
        let Some(ledger) = outcome.ledgers.get(&capture.file) else { continue };
        checked += 1;
        let missing: BTreeSet<_> = capture.vlans.difference(&ledger.vlans).collect();
        if !missing.is_empty() {
            wrong.push(format!("{}: {missing:?} not in {:?}", capture.file, ledger.vlans));
        }
    }
    println!("corpus: the VLANs of {checked} captures checked");
    assert!(checked > 0, "no capture with VLANs in the manifest");
    assert!(wrong.is_empty(), "VLANs not seen:\n{}", wrong.join("\n"));
}

#[test]
fn stated_attackers_are_blocked_and_nobody_else() {
    let Some((captures, outcome)) = replayed() else { return };
    let mut wrong = Vec::new();
    let mut checked = 0;
    for capture in captures.iter().filter(|c| CLAIMED_CLASSES.contains(&c.attack_class.as_str())) {
        checked += 1;
        let blocked = outcome.blocked_sources(&capture.file);
        if blocked != capture.attackers {
            let (file, stated) = (&capture.file, &capture.attackers);
            wrong.push(format!("{file}: stated {stated:?}, blocked {blocked:?}"));
        }
        for block in outcome.blocks.iter().filter(|block| block.file == capture.file) {
            if !capture.vlans.is_empty() && !capture.vlans.contains(&block.vlan) {
                wrong.push(format!("{}: blocked in VLAN {:?}", capture.file, block.vlan));
            }
        }
    }
    println!("corpus: {checked} attacks of the claimed classes checked");
    assert!(checked > 0, "no attack of the classes {CLAIMED_CLASSES:?} in the manifest");
    assert!(wrong.is_empty(), "wrong blocks:\n{}", wrong.join("\n"));
}

#[test]
fn clean_captures_block_nobody_and_hardly_alert() {
    let Some((captures, outcome)) = replayed() else { return };
    let clean: BTreeSet<&str> =
        captures.iter().filter(|c| c.is_clean()).map(|c| c.file.as_str()).collect();
    let policy_only: BTreeSet<&str> =
        captures.iter().filter(|c| c.is_policy_only()).map(|c| c.file.as_str()).collect();
    let blocked: Vec<_> = outcome
        .blocks
        .iter()
        .filter(|b| clean.contains(b.file.as_str()) || policy_only.contains(b.file.as_str()))
        .collect();
    assert!(blocked.is_empty(), "blocks in ordinary traffic: {blocked:#?}");
    let mut alerted: BTreeMap<&str, &BTreeSet<String>> = BTreeMap::new();
    for (file, messages) in &outcome.alerts {
        if clean.contains(file.as_str()) {
            alerted.insert(file, messages);
        }
    }
    println!("corpus: {} of {} clean captures with an alert", alerted.len(), clean.len());
    assert!(clean.len() > 100, "only {} clean captures in the manifest", clean.len());
    let allowed = clean.len() * ALERTED_PER_MILLE_MAX / 1000;
    assert!(alerted.len() <= allowed, "alerts, {allowed} allowed: {alerted:#?}");
}
