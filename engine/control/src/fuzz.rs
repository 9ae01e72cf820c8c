//! Entries for fuzzing: any bytes as the files that this crate reads.

use crate::config::{Config, Diagnostics, parse_duration, parse_size, write_duration, write_size};
use crate::inventory::Inventory;
use crate::journal::{BootId, Live, Moment, frame_of, read_frames, write_frame};
use portcullis_types::{SegmentId, Tick, VlanStack};
use std::path::Path;

/// Reads any bytes as a configuration. Must never panic; what is refused has a mistake with a
/// place in the text and a remedy, what is taken means the same when it is read again.
pub fn fuzz_config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::parse(Path::new("fuzz.toml"), text.into()) {
        Ok(loaded) => {
            assert!(!loaded.warnings.has_errors());
            assert_places(&loaded.warnings, text);
            let again = Config::parse(Path::new("fuzz.toml"), text.into());
            assert_eq!(again.as_ref(), Ok(&loaded), "the same text is the same configuration");
            for segment in &loaded.config.segments {
                assert!(loaded.config.segment(&segment.name).is_some(), "a segment is found");
            }
        }
        Err(mistakes) => {
            assert!(mistakes.has_errors(), "what is refused has a mistake");
            assert_places(&mistakes, text);
        }
    }
    if let Ok(length) = parse_duration(text) {
        assert_eq!(parse_duration(&write_duration(length)), Ok(length), "{text}");
    }
    if let Ok(size) = parse_size(text) {
        assert_eq!(parse_size(&write_size(size)), Ok(size), "{text}");
    }
}

/// Reads any bytes as an inventory. Must never panic; every machine is found by what it has, and
/// proves only what it was said to.
pub fn fuzz_inventory(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let inventory = match Inventory::parse(Path::new("fuzz.toml"), text.into(), |s| s != "none") {
        Ok(inventory) => inventory,
        Err(mistakes) => {
            assert!(mistakes.has_errors(), "what is refused has a mistake");
            return assert_places(&mistakes, text);
        }
    };
    for machine in inventory.machines() {
        let segment = machine.segment.as_deref().unwrap_or("any");
        let vlan = machine.vlan.unwrap_or(VlanStack::UNTAGGED);
        for addr in &machine.addresses {
            assert!(inventory.machine(segment, vlan, *addr).is_some());
        }
        for mac in &machine.macs {
            assert!(inventory.machine_of_mac(segment, vlan, *mac).is_some());
        }
    }
    let segments = [("lan".to_owned(), SegmentId(0)), ("dmz".to_owned(), SegmentId(1))];
    for proof in inventory.proofs(&segments) {
        let holds = inventory.machines().iter().any(|machine| {
            let is_here = machine.vlan == Some(proof.vlan);
            machine.is_static && is_here && machine.addresses.contains(&proof.addr)
        });
        assert!(holds, "{proof:?} is proven by no machine");
    }
}

/// Each diagnostic lies in the text, or is the last one, of the whole file; and says what to do.
fn assert_places(diagnostics: &Diagnostics, text: &str) {
    let lines: Vec<&str> = text.split('\n').collect();
    for diagnostic in diagnostics.iter() {
        assert!(!diagnostic.message.is_empty() && !diagnostic.remedy.is_empty());
        assert!(!diagnostic.to_string().is_empty());
        if diagnostic.line > 0 {
            let line = lines.get(diagnostic.line - 1).expect("a line of the text");
            let after = line.chars().count() + 1;
            assert!((1..=after).contains(&diagnostic.column), "{diagnostic}");
        }
    }
}

/// Reads any bytes as a journal. Even first bytes: as they are. Odd: each line is put into a frame
/// whose checksum is right, since no chance finds one. Must never panic; every byte is in a whole
/// frame or counted, and what is in force is the same when it is written and read again.
pub fn fuzz_journal(bytes: &[u8]) {
    let [kind, rest @ ..] = bytes else { return };
    let mut framed = Vec::new();
    if kind & 1 == 1 {
        for line in rest.split(|byte| *byte == b'\n') {
            frame_of(u32::try_from(line.len()).unwrap_or(u32::MAX), line, &mut framed);
        }
    }
    let journal = if kind & 1 == 1 { &framed[..] } else { rest };
    let (entries, report) = read_frames(journal);
    let frames = usize::try_from(report.frames - report.unknown).expect("frames of this journal");
    assert_eq!(frames, entries.len(), "a frame is read or unknown");
    let lost = report.damaged_bytes + report.torn_bytes;
    assert!(lost <= u64::try_from(journal.len()).unwrap_or(u64::MAX), "more lost than there was");
    let now = Moment { tick: Tick(1_000), wall_ns: 5_000_000, boot: BootId(u128::from(*kind)) };
    let live = Live::of(entries, &now);
    let mut fresh = Vec::new();
    for order in live.orders() {
        // What was close to the limit may be beyond it with the numbers of another timeline.
        if write_frame(&crate::journal::Entry::new(&now, order), &mut fresh).is_err() {
            return;
        }
    }
    let (entries, report) = read_frames(&fresh);
    assert_eq!((report.unknown, report.damaged_bytes, report.torn_bytes), (0, 0, 0));
    assert_eq!(Live::of(entries, &now), live, "a journal that was written anew means the same");
    for block in live.blocks() {
        let known = |_: &str| Some(SegmentId(0));
        assert_eq!(block.order(known).is_some(), block.place.key(known).is_some());
        assert_eq!(live.block(&block.place), Some(block));
    }
}
