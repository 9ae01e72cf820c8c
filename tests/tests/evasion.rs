//! The matrix of evasions by overlap, watching: a rule that looks for what the receiver of a policy
//! reads must be found, and none that looks for what another one would read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use portcullis_tests::capture_file;
use portcullis_tests::evasion::alerts::{Rules, Seen, seen};
use portcullis_tests::evasion::cell::{Cell, cells, receiver_address};
use portcullis_tests::evasion::receiver::{RECEIVERS, Receiver};
use portcullis_tests::evasion::shape::text;
use portcullis_tests::replay::replay;
use portcullis_tests::requirement::{self, Readiness};

/// A segment that only watches: everything arrives, and the receiver decides.
fn watching() -> String {
    let mut lines = "[[segment]]\nname = \"replay\"\ntap = \"replay\"\n\
                     protected = [\"10.81.0.0/16\", \"fd81::/16\"]\nmode = \"monitor\"\n\n"
        .to_owned();
    for (policy, receiver) in (0..).zip(RECEIVERS) {
        for is_v6 in [false, true] {
            let address = receiver_address(is_v6, policy);
            let length = if is_v6 { 128 } else { 32 };
            let name = receiver.name;
            let row = format!("network = \"{address}/{length}\"\ntarget = \"{name}\"");
            writeln!(lines, "[[streams.targets]]\n{row}\n").expect("a string takes all");
        }
    }
    lines
}

/// What the receiver makes of a cell, as texts.
fn readings(cell: &Cell, receiver: &Receiver) -> Vec<Vec<u8>> {
    let parts = cell.parts();
    if cell.is_stream() {
        return vec![text(&receiver.reads_stream(&parts), 0)];
    }
    let datagrams = receiver.reads_datagrams(cell.is_v6, &parts);
    datagrams.iter().map(|read| text(&read[1..], 1)).collect()
}

#[test]
fn watching_the_engine_reads_what_each_receiver_reads() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let began = Instant::now();
    let mut rules = Rules::default();
    let mut wanted: BTreeMap<Seen, (String, Vec<Vec<u8>>)> = BTreeMap::new();
    let mut frames = Vec::new();
    for cell in cells() {
        for (policy, receiver) in (0..).zip(RECEIVERS) {
            let texts = readings(&cell, &receiver);
            texts.iter().for_each(|text| rules.look_for(cell.is_stream(), text));
            let Cell { shape, order, .. } = &cell;
            let name = format!("{}: {}, {order:?}", receiver.name, shape.name);
            assert!(wanted.insert(Seen::of(&cell, policy), (name, texts)).is_none());
            let made = cell.frames(policy);
            frames.extend([made.begins, made.answers, made.agrees].concat());
            frames.extend(made.parts.into_iter().map(|(_, frame)| frame));
        }
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (capture, file) = (folder.path().join("matrix.pcap"), folder.path().join("matrix.rules"));
    capture_file::write(&capture, &frames);
    std::fs::write(&file, rules.text()).expect("the temporary folder can be written");
    let file = file.to_string_lossy();
    let said = replay(&watching(), &["--rules", &file], &[capture]);
    let found = seen(&said.events_of("alert"));
    let mut wrong = Vec::new();
    for (place, (name, texts)) in &wanted {
        let wanted: BTreeSet<u64> = rules.within(place.is_stream(), texts);
        let found = found.get(place).cloned().unwrap_or_default();
        if wanted != found {
            let texts = |sids: &BTreeSet<u64>| rules.versions(sids);
            let (wanted, found) = (texts(&wanted), texts(&found));
            wrong.push(format!("{place:?} {name}: {wanted:?} wanted, {found:?} read"));
        }
    }
    let (count, took) = (wanted.len(), began.elapsed());
    println!("evasion: {count} cells, {} frames, {took:.1?}", frames.len());
    let shown = wrong.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} of {count} cells:\n{shown}", wrong.len());
    assert!(took < Duration::from_secs(60), "{took:?} is too long");
}
