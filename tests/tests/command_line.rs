//! What the command line says of input that is wrong, through the real binary.

use std::path::Path;
use std::time::Duration;

use portcullis_tests::command::{self, Finished};
use portcullis_tests::requirement::{self, Readiness};
use portcullis_tests::{capture_file, frames};

const LIMIT: Duration = Duration::from_secs(60);
const GOOD: &str = "alert tcp any any -> any any (msg:\"Any\"; content:\"GET\"; sid:1;)\n";

fn portcullis(words: &[&str]) -> Finished {
    let engine = requirement::engine_binary().to_string_lossy().into_owned();
    command::run(&[&[engine.as_str()], words].concat(), LIMIT)
}

/// Replays without a configuration: the detectors are those beside the binary.
fn replayed(words: &[&str], capture: &Path) -> Finished {
    portcullis(&[&["replay", "-q"], words, &[&capture.to_string_lossy()]].concat())
}

#[test]
fn a_replay_says_which_rules_and_frames_it_did_without() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let capture = folder.path().join("whole.pcap");
    capture_file::write(&capture, &frames::of_every_kind());

    let nowhere = replayed(&["--rules", &at("nowhere.rules")], &capture);
    assert_eq!(nowhere.code, Some(1), "no rules were read: {}", nowhere.stdout);
    assert!(nowhere.stderr.contains("nowhere.rules"), "{}", nowhere.stderr);

    let text = format!("{GOOD}alert tcp any any -> any any (bogus; sid:2;)\n");
    std::fs::write(at("some.rules"), text).expect("the temporary folder can be written");
    let some = replayed(&["--rules", &at("some.rules")], &capture);
    assert_eq!(some.code, Some(0), "{}", some.stderr);
    let rules = "rules      1 loaded, 1 refused: see `portcullis rules check`";
    assert!(some.stdout.contains(rules) && !some.stdout.contains("cut short"), "{}", some.stdout);

    let bytes = std::fs::read(&capture).expect("it was written");
    let cut = folder.path().join("cut.pcap");
    std::fs::write(&cut, &bytes[..bytes.len() - 1]).expect("the temporary folder can be written");
    let whole = frames::of_every_kind().len();
    let short = format!("cut.pcap behind frame {}: it ends inside a record", whole - 1);
    let said = replayed(&[], &cut).stdout;
    assert!(said.contains("cut short") && said.contains(&short), "{said}");
    std::fs::write(&cut, b"").expect("the temporary folder can be written");
    let empty = replayed(&[], &cut);
    assert!(empty.code == Some(1) && empty.stderr.contains("an empty file"), "{}", empty.stderr);

    let nothing = portcullis(&["replay", "-q", "-"]);
    assert!(nothing.code == Some(1) && nothing.stderr.contains("portcullis: -: "), "{nothing:?}");

    let events = replayed(&["--eve", "-", "-o", "json"], &capture);
    let is_event = |line: &str| line.starts_with("{\"timestamp\"") && line.ends_with('}');
    assert!(!events.stdout.is_empty() && events.stdout.lines().all(is_event), "events alone");
    let summary: serde_json::Value = serde_json::from_str(&events.stderr).expect("one JSON value");
    assert_eq!(summary["frames"], whole, "the summary stands beside the events");
    let both = replayed(&["--eve", "-", "--blocks", "-"], &capture);
    assert!(both.code == Some(1) && both.stderr.contains("give one of them a file"), "{both:?}");

    let variable = replayed(&["--rules", &at("some.rules"), "--var", "LAB=banana"], &capture);
    assert_eq!(variable.code, Some(1), "no rule uses it, but it is wrong");
    assert!(variable.stderr.contains("the variable LAB: `banana`"), "{}", variable.stderr);

    let bare = replayed(&["--plugins", &folder.path().to_string_lossy()], &capture).stdout;
    assert!(bare.contains("detectors  none: nothing is detected"), "{bare}");
}

#[test]
fn a_check_reads_what_the_configuration_names() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("p.toml").to_string_lossy().into_owned();
    let plugins = requirement::distribution().join("plugins");
    let check = |rules: &str| {
        let rules = folder.path().join(rules);
        let text = format!(
            "[plugins]\ndir = \"{}\"\n[rules]\nfiles = [\"{}\"]\n",
            plugins.display(),
            rules.display()
        );
        std::fs::write(&file, text).expect("the temporary folder can be written");
        portcullis(&["check", "-c", &file])
    };
    std::fs::write(folder.path().join("a.rules"), GOOD).expect("it can be written");
    let fine = check("a.rules");
    assert_eq!(fine.code, Some(0), "{}{}", fine.stdout, fine.stderr);
    assert!(fine.stdout.starts_with("no mistakes"), "{}", fine.stdout);
    let nowhere = check("nowhere.rules");
    assert_eq!(nowhere.code, Some(1), "{}", nowhere.stdout);
    assert!(nowhere.stdout.contains("nowhere.rules"), "{}", nowhere.stdout);
}
