//! Promises that a capture shows as well as a wire: clocks, proofs and bounds, through the real
//! binary.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_tests::replay::replay;
use portcullis_tests::requirement::{self, Readiness};
use portcullis_tests::{capture_file, made_traffic};
use serde_json::Value;

const SCANNER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 99);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn write(folder: &Path, frames: &[(Duration, Vec<u8>)]) -> [PathBuf; 1] {
    let path = folder.join("made.pcap");
    capture_file::write_timed(&path, frames);
    [path]
}

/// Frames a millisecond apart from a moment on.
fn from(seconds: u64, frames: Vec<Vec<u8>>) -> Vec<(Duration, Vec<u8>)> {
    let begin = Duration::from_secs(seconds);
    (0_u64..).map(|ms| begin + Duration::from_millis(ms)).zip(frames).collect()
}

#[test]
fn a_captures_clock_is_the_clock_of_its_blocks() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let again = |port| vec![made_traffic::segment((SCANNER, SERVER, port, 80), 2, (0, 0), b"")];
    // The scan, a visit while the block lasts, and one after it: five minutes, read in a moment.
    let frames = [
        from(0, made_traffic::connect_scan(SCANNER, SERVER)),
        from(120, again(50_000)),
        from(310, again(50_001)),
    ]
    .concat();
    let captures = write(folder.path(), &frames);
    let said = replay("[activity]\nblock_for = \"5m\"\n", &[], &captures);
    let stamps = |kind: &str| -> Vec<String> {
        let stamp = |event: &Value| event["timestamp"].as_str().unwrap_or_default().to_owned();
        said.events_of(kind).iter().map(stamp).collect()
    };
    let (blocked, unblocked) = (stamps("block"), stamps("unblock"));
    assert_eq!((blocked.len(), unblocked.len()), (1, 1), "{}", said.events);
    assert!(blocked[0].starts_with("2001-09-09T01:46:4"), "{blocked:?}");
    // The capture is silent from 120 s to 310 s: the end is told by the first frame behind it.
    assert!(unblocked[0].starts_with("2001-09-09T01:51:"), "{unblocked:?}");
    let visit = |port: u64| said.events_of("flow").iter().any(|f| f["src_port"] == port);
    assert!(!visit(50_000), "the block did not last for its time: {}", said.summary);
    assert!(visit(50_001), "the block lasted longer than its time: {}", said.summary);
}

#[test]
fn an_inventory_proves_a_source_in_its_place_only() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Nobody answers, so nothing but the inventory can vouch for the source.
    let scan = |tags| made_traffic::blind_scan(SCANNER, SERVER, tags);
    let frames = [from(0, scan(&[0x81, 0, 0, 10])), from(1, scan(&[]))].concat();
    let captures = write(folder.path(), &frames);
    let blocks = |configuration: &str| -> Vec<Value> {
        let said = replay(configuration, &[], &captures);
        assert!(!said.events_of("alert").is_empty(), "no scan was seen: {}", said.summary);
        let blocks: Value = serde_json::from_str(&said.blocks).expect("blocks are JSON");
        blocks.as_array().cloned().unwrap_or_default()
    };
    assert_eq!(blocks(""), Vec::<Value>::new(), "anybody can forge an unanswered SYN");
    let inventory = folder.path().join("inventory.toml");
    let with_machine = |says: &str| {
        let machine =
            format!("[[machine]]\nname = \"printer\"\nvlan = \"10\"\nstatic = true\n{says}\n");
        std::fs::write(&inventory, machine).expect("the temporary folder can be written");
        blocks(&format!("[inventory]\nfile = \"{}\"\n", inventory.display()))
    };
    // The frames' own, which anybody on the link can forge as well.
    assert_eq!(with_machine("macs = [\"02:00:00:00:07:01\"]"), Vec::<Value>::new());
    let proven = with_machine(&format!("addresses = [\"{SCANNER}\"]"));
    let places: Vec<&Value> = proven.iter().map(|block| &block["vlan"]).collect();
    assert_eq!(places, [&serde_json::json!([10])], "{proven:#?}");
}

#[test]
fn conversations_beyond_their_memory_go_on_undecoded_and_are_counted() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Requests whose headers never end: each decoder must keep what it has.
    let request = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'a'; 1_300]].concat();
    let client = |n: u16| Ipv4Addr::new(198, 51, 100, u8::try_from(n % 200).expect("below 200"));
    let lines: Vec<_> =
        (0..4_000).map(|n| made_traffic::asking(client(n), SERVER, 20_000 + n, &request)).collect();
    let count = lines.len() as u64;
    let captures = write(folder.path(), &from(0, made_traffic::mixed(&lines)));
    let rules = folder.path().join("local.rules");
    let rule = "alert http any any -> any any (msg:\"Any\"; http.uri; content:\"/\"; sid:1;)\n";
    std::fs::write(&rules, rule).expect("the temporary folder can be written");
    let options = ["--rules", &rules.to_string_lossy()];
    let read = |memory: &str| {
        let capture =
            replay(&format!("[streams]\nconversations = \"{memory}\"\n"), &options, &captures)
                .capture();
        assert_eq!(capture["forwarded"], 4 * count, "all go on: {capture:#}");
        let number = |key: &str| capture["reading"][key].as_u64().expect("a number");
        (number("undecoded"), number("conversation_bytes_most"))
    };
    let (undecoded, bytes) = read("64MiB");
    assert_eq!(undecoded, 0, "there was room for all in {bytes} bytes");
    assert!(bytes > 4 << 20, "{bytes} bytes do not try the bound");
    let (undecoded, bytes) = read("1MiB");
    assert!(bytes <= 1 << 20, "{bytes} bytes of conversations in 1 MiB");
    assert!(bytes > 1 << 19, "only {bytes} bytes of 1 MiB were used");
    assert!(undecoded > count / 2 && undecoded <= count, "{undecoded} of {count}");
}

#[test]
fn a_hit_comes_again_with_later_messages_and_without_one_nothing_is_shown() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rules = folder.path().join("local.rules");
    // The body has nothing that a search could find: only the address leads to the rule.
    let rule = "alert http any any -> any any (msg:\"Upload\"; flow:to_server; http.uri; \
                content:\"/upload\"; http.request_body; pcre:\"/ev[i1]l/\"; sid:1;)\n";
    std::fs::write(&rules, rule).expect("the temporary folder can be written");
    let options = ["--rules", &rules.to_string_lossy()];
    let said = |path: &str, body: [&[u8]; 2]| {
        let client = Ipv4Addr::new(198, 51, 100, 7);
        let head = format!("POST {path} HTTP/1.1\r\nHost: h.example\r\nContent-Length: 12\r\n\r\n");
        let mut frames = made_traffic::asking(client, SERVER, 20_000, head.as_bytes());
        let mut at = 1 + u32::try_from(head.len()).expect("short");
        for piece in body {
            let way = (client, SERVER, 20_000, 80);
            frames.push(made_traffic::segment(way, 0x18, (at, 101), piece));
            at += u32::try_from(piece.len()).expect("short");
        }
        let said = replay("", &options, &write(folder.path(), &from(0, frames)));
        let offered = said.capture()["reading"]["offered"].as_u64().expect("a number");
        let frames = said.events_of("alert").iter().map(|e| e["pcap_cnt"].clone()).collect();
        (frames, offered)
    };
    let (found, offered): (Vec<Value>, u64) = said("/upload", [b"nothing ", b"ev1l"]);
    assert_eq!(found, [6], "the frame that completes the body");
    assert!(offered >= 2, "{offered} messages shown");
    assert_eq!(said("/upload", [b"nothing ", b"good"]).0, Vec::<Value>::new());
    assert_eq!(said("/other", [b"nothing ", b"ev1l"]), (Vec::new(), 0), "shown without a hit");
}
