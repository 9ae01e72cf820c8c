//! Rules swapped while traffic flows: not one frame is lost, the rule that came works, the one that
//! went does not, and a set with a mistake changes nothing. Traffic is at half of a rate at which
//! nothing is lost here and now.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portcullis_tests::command::wait_until;
use portcullis_tests::engine::{Engine, Settings};
use portcullis_tests::lab::{self, Lab, Side};
use portcullis_tests::requirement;
use portcullis_tests::service::{self, Service};
use portcullis_tests::traffic;

const SERVER: IpAddr = IpAddr::V4(lab::SERVER);
const SWAPS: usize = 200;
/// Rules of a set that nothing here matches: they make the sets, and all numbers in them, differ.
const FILLING: usize = 300;
/// How often the swaps are tried where the machine itself loses datagrams.
const TRIES: usize = 3;

fn street() -> (Lab, Vec<Service>) {
    let lab = Lab::of(&["attacker", "neighbr", "server10"]);
    let services = lab.hosts_on(Side::Inside).map(|host| service::http(&lab, host)).collect();
    (lab, services)
}

/// A set whose one rule that matters ends connections that ask for `/WORD`.
fn set(lab: &Lab, word: &str, sid: u32, filling: usize) -> PathBuf {
    let mut text = format!(
        "drop http any any -> any any (msg:\"{word}\"; flow:established,to_server; http.uri; \
         content:\"/{word}\"; classtype:web-application-attack; sid:{sid}; rev:1;)\n"
    );
    for n in 0..filling {
        let _ = writeln!(
            text,
            "alert udp any any -> any any (msg:\"{word} {n}\"; content:\"{word}-filling-{n}\"; \
             sid:{}; rev:1;)",
            sid as usize + 1 + n
        );
    }
    let file = lab.folder().join(format!("{word}.rules"));
    std::fs::write(&file, text).expect("the lab's folder can be written");
    file
}

fn settings(file: &Path) -> Settings {
    let sections = format!(
        "[rules]\nfiles = [\"{}\"]\n\n[streams]\nmemory = \"16MiB\"\nmax = 16384\n\
         conversations = \"32MiB\"\n",
        file.display()
    );
    Settings { sections, ..Settings::default() }
}

fn is_ended(lab: &Lab, word: &str) -> bool {
    let answer = traffic::curl(lab.host("attacker"), SERVER, word);
    !answer.succeeded() && !answer.stdout.contains("404")
}

/// Puts the two sets to work in turn, and sees now and then that the one that came is the one that
/// works.
fn swap_again_and_again(lab: &Lab, engine: &Engine<'_>, files: &[PathBuf; 2]) {
    for swap in 1..=SWAPS {
        let file = files[swap % 2].display().to_string();
        let told = engine.answer(&["rules", "swap", &file]);
        assert_eq!(told["changed"], true, "{told}");
        if swap % 67 == 0 {
            let words = if swap % 2 == 0 { ["alpha", "beta"] } else { ["beta", "alpha"] };
            assert!(wait_until(Duration::from_secs(5), || is_ended(lab, words[0])), "{words:?}");
            assert!(!is_ended(lab, words[1]), "{words:?}: the rule that went ends it still");
        }
    }
}

#[test]
fn two_hundred_swaps_of_the_rules_lose_nothing() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _services) = street();
    let files = [set(&lab, "alpha", 9_000_001, FILLING), set(&lab, "beta", 9_100_001, FILLING / 2)];
    let engine = Engine::start(&lab, &settings(&files[0]));
    assert!(traffic::fetches(lab.host("attacker"), SERVER), "{}", engine.log());
    assert!(is_ended(&lab, "alpha") && !is_ended(&lab, "beta"), "{}", engine.log());
    let ends = (lab.host("neighbr"), lab.host("server10"));
    let mut tries = 0;
    let delivery = loop {
        tries += 1;
        let rate = traffic::half_of_loss_free(ends, u32::MAX);
        let began = Instant::now();
        let delivery =
            traffic::while_sending(ends, rate, || swap_again_and_again(&lab, &engine, &files));
        println!("try {tries}: {SWAPS} swaps at {rate} a second: {delivery:?}");
        assert_eq!(delivery.repeated, 0, "{delivery:?}");
        if delivery.is_whole() {
            break delivery;
        }
        // The same without swaps: only a machine that keeps everything then shows a fault of ours.
        let time = began.elapsed();
        let still = traffic::while_sending(ends, rate, || std::thread::sleep(time));
        assert!(
            tries < TRIES && !still.is_whole(),
            "{delivery:?}, and without swaps {still:?}\n{:#?}",
            engine.figures()
        );
    };
    assert!(delivery.sent > 0 && delivery.is_whole());
    let status = engine.answer(&["status"]);
    assert_eq!(status["rules_swapped"], SWAPS * tries, "{status}");
    assert_eq!(status["rules"]["rules"], FILLING + 1, "{status}");
    let hash = status["rules"]["hash"].clone();
    let is_told = |e: &serde_json::Value| e["plugin"]["data"] == hash;
    assert!(wait_until(Duration::from_secs(5), || engine.events("plugin").iter().any(is_told)));
}

#[test]
fn rules_come_to_an_engine_that_began_with_an_empty_folder() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _services) = street();
    let folder = lab.folder().join("rules.d");
    std::fs::create_dir(&folder).expect("the lab's folder can be written");
    let mut engine = Engine::start(&lab, &settings(&folder));
    assert!(traffic::fetches(lab.host("attacker"), SERVER), "{}", engine.log());
    assert!(!is_ended(&lab, "alpha"), "there is no rule yet: {}", engine.log());
    engine.reload();
    let first = set(&lab, "alpha", 9_000_001, 0);
    std::fs::rename(&first, folder.join("alpha.rules")).expect("the same file system");
    engine.reload();
    assert!(wait_until(Duration::from_secs(10), || is_ended(&lab, "alpha")), "{}", engine.log());
    std::fs::remove_file(folder.join("alpha.rules")).expect("it is there");
    let refused = engine.ask(&["reload"]);
    assert!(!refused.succeeded() && refused.stderr.contains("empty [rules]"), "{refused}");
    assert!(is_ended(&lab, "alpha"), "the set that ran runs");
}

#[test]
fn a_reload_takes_rules_and_refuses_those_with_mistakes() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _services) = street();
    let file = set(&lab, "alpha", 9_000_001, 0);
    let mut engine = Engine::start(&lab, &settings(&file));
    assert!(traffic::fetches(lab.host("attacker"), SERVER), "{}", engine.log());
    std::fs::write(&file, "drop http any any -> any (msg:\"torn\"; sid:9000009;)\n").expect("room");
    let refused = engine.ask(&["reload"]);
    assert!(!refused.succeeded() && refused.stderr.contains("alpha.rules:1"), "{refused}");
    assert!(is_ended(&lab, "alpha"), "the set that ran runs");
    std::fs::write(&file, std::fs::read(set(&lab, "beta", 9_100_001, 0)).expect("it is there"))
        .expect("room");
    engine.reload();
    assert!(wait_until(Duration::from_secs(10), || is_ended(&lab, "beta")), "{}", engine.log());
    assert!(!is_ended(&lab, "alpha"), "its rule is gone from the file");
}
