//! The http-evader captures: whatever odd head or coding a server sends, the test file is found.
//! Skipped where the corpus is absent.

mod capture;

use portcullis_decode::{Conversation, Direction, Limits, Output, Record, Transport};
use portcullis_plugin_abi::buffer_kind::FILE_DATA;
use std::sync::Arc;

/// Captures whose file is not found, each with the reason.
const MISSED: &[(&str, &str)] =
    &[("http-evader-116-lzma", "LZMA is not undone: no browser asks for it")];

/// What was found in a capture.
#[derive(Default)]
struct Found {
    long: bool,
    short: bool,
    named: bool,
}

fn run(packets: &[capture::Payload]) -> Found {
    let mut talk = Conversation::new(Transport::Tcp, 80, Arc::new(Limits::default()));
    let (mut out, mut found) = (Output::default(), Found::default());
    let mut look = |out: &mut Output| {
        for piece in out.pieces.iter().filter(|piece| piece.kind == FILE_DATA) {
            let bytes = out.bytes_of(piece);
            let has = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
            found.long |= has(b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE");
            found.short |= has(b"X5O!P%@AP[4");
        }
        found.named |= out
            .records
            .iter()
            .any(|record| matches!(record, Record::File(file) if file.filename == b"eicar.txt"));
        out.clear();
    };
    for packet in packets {
        talk.data(packet.direction, &packet.bytes, &mut out);
        look(&mut out);
    }
    for direction in [Direction::ToServer, Direction::ToClient] {
        talk.end(direction, &mut out);
        look(&mut out);
    }
    found
}

#[test]
fn every_file_is_found() {
    let Some(corpus) = capture::corpus() else {
        println!("skipped: no shared/corpus above this folder");
        return;
    };
    let folder = corpus.join("suricata-verify/tests/http-evader");
    let mut failed = Vec::new();
    let mut cases = 0;
    for case in std::fs::read_dir(&folder).expect("the folder of the captures") {
        let path = case.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let found = run(&capture::payloads(&path.join("input.pcap")));
        cases += 1;
        let checks = std::fs::read_to_string(path.join("test.yaml")).expect("the checks");
        let named = found.named || !checks.contains("fileinfo");
        if !(found.long && found.short && named) {
            failed.push((name, found));
        }
    }
    failed.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, found) in &failed {
        println!("{name}: long {} short {} named {}", found.long, found.short, found.named);
    }
    println!("{} of {cases} found", cases - failed.len());
    let names: Vec<_> = failed.iter().map(|row| row.0.as_str()).collect();
    let known: Vec<_> = MISSED.iter().map(|row| row.0).collect();
    assert_eq!(names, known, "list what is missed with its reason, and nothing else");
}
