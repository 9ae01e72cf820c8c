//! Every capture of the corpus is read to its stated number of packets, or the difference is one
//! that the outcome itself explains.
#![allow(clippy::unwrap_used, reason = "a test says what failed by where it stopped")]

use std::path::PathBuf;

use portcullis_capture::backend::pcap::{CaptureEnd, PcapSource};
use portcullis_capture::{FrameSource, OpenError, Received};

/// The corpus: the folder that `PORTCULLIS_CORPUS` names, or `shared/corpus` in a folder above this
/// one; `required` means the latter, and that it must be there.
fn corpus() -> Option<PathBuf> {
    let setting = std::env::var("PORTCULLIS_CORPUS").unwrap_or_default();
    if !setting.is_empty() && setting != "required" {
        return Some(PathBuf::from(setting));
    }
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let found = here.ancestors().map(|above| above.join("shared/corpus")).find(|p| p.is_dir());
    assert!(found.is_some() || setting != "required", "no shared/corpus above {}", here.display());
    found
}

#[test]
fn every_capture_has_its_stated_packets() {
    let Some(corpus) = corpus() else {
        println!("skipped: no corpus here; set PORTCULLIS_CORPUS to its folder");
        return;
    };
    let manifest = std::fs::read_to_string(corpus.join("MANIFEST.jsonl")).unwrap();
    let (mut captures, mut frames, mut foreign, mut unlike) = (0, 0, 0, Vec::new());
    for row in manifest.lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let file = row["file"].as_str().unwrap();
        let stated = row["packets"].as_u64().unwrap();
        captures += 1;
        let mut source = match PcapSource::open(&[corpus.join(file)]) {
            Ok(source) => source,
            Err(OpenError::Form { what, .. }) => {
                unlike.push(format!("{file}: stated {stated}, not a capture: {what}"));
                continue;
            }
            Err(error) => panic!("{file}: {error}"),
        };
        let mut burst = Vec::new();
        let (mut delivered, mut bytes, mut last) = (0_u64, 0_u64, portcullis_types::Tick::ZERO);
        while source.receive(&mut burst, 256) != Received::EndOfInput {
            for frame in burst.drain(..) {
                assert!(frame.at >= last, "{file}: time went back");
                assert_eq!(source.bytes(&frame.slot).len(), frame.len as usize);
                assert!(frame.wire_len >= frame.len || file.contains("malformed"), "{file}");
                last = frame.at;
                delivered += 1;
                bytes += u64::from(frame.len);
                source.discard(frame.slot);
            }
        }
        assert_eq!(source.statistics().in_hand, 0);
        let outcome = &source.outcomes()[0];
        assert_eq!(outcome.delivered, delivered, "{file}");
        assert_eq!(outcome.bytes, bytes, "{file}");
        assert_eq!(
            outcome.frames,
            delivered + outcome.refused_frames() + outcome.oversized,
            "{file}: frames do not add up"
        );
        if outcome.frames != stated {
            unlike.push(format!(
                "{file}: stated {stated}, read {}, {:?}, {:?}",
                outcome.frames, outcome.end, outcome.refused
            ));
        }
        frames += outcome.frames;
        foreign += u64::from(outcome.delivered == 0 && outcome.frames > 0);
        if outcome.end != CaptureEnd::Complete {
            println!("{file}: {} of {stated} frames, then {:?}", outcome.frames, outcome.end);
        }
    }
    println!("{captures} captures, {frames} frames, {foreign} wholly of link types not read");
    for line in &unlike {
        println!("UNLIKE {line}");
    }
    assert!(unlike.is_empty(), "{} captures differ from the manifest", unlike.len());
}
