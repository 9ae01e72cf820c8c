//! A replay says the same, byte for byte, whatever the number of workers that share it: events,
//! blocks and the summary, with rules whose counts and bits all lanes share.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_tests::requirement::{self, Readiness};
use portcullis_tests::{capture_file, command, frames};

const WORKERS: [&str; 4] = ["1", "2", "3", "8"];
/// The longest takes some seconds; a hang is what this finds.
const REPLAY_LIMIT: Duration = Duration::from_secs(300);
/// Of the corpus: scans, many conversations, VLANs, tunnels, fragments, overlaps.
const CAPTURES: [&str; 12] = [
    "attack/scan/zeek__nmap-vsn.pcap",
    "attack/exploit-web/nDPI__WebattackRCE.pcap",
    "attack/bruteforce/zeek__sshguess.pcap",
    "benign/nDPI/whatsapp.pcap",
    "benign/nDPI/dropbox.pcap",
    "benign/zeek/kerberos_tso.pcapng",
    "benign/zeek/igmp-many-groups.pcap",
    "encap/nDPI/zoom.pcap",
    "encap/zeek/erspan.pcap",
    "mixed/ICS-Security-Tools/EIP-ControlProtocolChangeAttempt.pcap",
    "suricata-verify/tests/bug-5162/input.pcap",
    "suricata-verify/tests/smb2-frames-gap-payload-logging/smb2-peter-minus-p191.pcap",
];
/// What is found by itself, what counts over all lanes, and what one lane's flows set for others.
const RULES: &str = "\
alert tcp any any -> any 80 (msg:\"Page\"; content:\"GET /page\"; sid:9000001;)\n\
drop tcp any any -> any 80 (msg:\"Evil\"; content:\"GET /evil\"; sid:9000002;)\n\
alert tcp any any -> any 80 (msg:\"Many pages\"; content:\"GET /\"; \
threshold:type threshold,track by_src,count 3,seconds 60; sid:9000003;)\n\
alert tcp any any -> any 80 (msg:\"Some pages\"; content:\"GET /\"; \
threshold:type limit,track by_src,count 2,seconds 1; sid:9000004;)\n\
alert tcp any any -> any 80 (msg:\"Both\"; content:\"GET /\"; \
threshold:type both,track by_src,count 5,seconds 2; sid:9000005;)\n\
alert tcp any any -> any 80 (msg:\"Marks\"; content:\"GET /mark\"; \
xbits:set,marked,track ip_src,expire 60; sid:9000006;)\n\
alert tcp any any -> any 80 (msg:\"Marked\"; content:\"GET /page\"; \
xbits:isset,marked,track ip_src; sid:9000007;)\n\
alert udp any any -> any any (msg:\"Datagrams\"; dsize:>10; \
detection_filter:track by_src,count 4,seconds 10; sid:9000008;)\n";

/// What one replay leaves behind.
#[derive(PartialEq, Eq)]
struct Said {
    events: String,
    blocks: String,
    summary: String,
}

fn replay(work: &Path, workers: &str, options: &[&str], captures: &[PathBuf]) -> Said {
    let path = |name: &str| work.join(name).to_string_lossy().into_owned();
    let (configuration, eve, blocks) = (path("replay.toml"), path("eve.json"), path("blocks.json"));
    // Most addresses of captures are private, which replay would protect from blocks.
    std::fs::write(&configuration, "[blocks]\nblock_inside = true\n").expect("it can be written");
    let engine = requirement::engine_binary().to_string_lossy().into_owned();
    let plugins = requirement::distribution().join("plugins").to_string_lossy().into_owned();
    let fixed =
        [engine.as_str(), "replay", "-c", &configuration, "--plugins", &plugins, "-o", "json"];
    let outputs = ["--eve", &eve, "--blocks", &blocks, "--workers", workers];
    let files: Vec<String> = captures.iter().map(|c| c.to_string_lossy().into_owned()).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let words = [&fixed[..], &outputs, options, &files].concat();
    let summary = command::run(&words, REPLAY_LIMIT).expect_success();
    let read = |path: &str| std::fs::read_to_string(path).expect("the replay wrote it");
    // How long it took is no part of what it says.
    let summary = summary.lines().filter(|line| !line.contains("_second"));
    Said { events: read(&eve), blocks: read(&blocks), summary: summary.collect() }
}

/// Asserts that every number of workers says the same; answers what they say.
fn same_for_all(options: &[&str], captures: &[PathBuf]) -> Said {
    let work = tempfile::tempdir().expect("a temporary folder");
    let alone = replay(work.path(), WORKERS[0], options, captures);
    for workers in &WORKERS[1..] {
        let together = replay(work.path(), workers, options, captures);
        for (what, one, many) in [
            ("events", &alone.events, &together.events),
            ("blocks", &alone.blocks, &together.blocks),
            ("summary", &alone.summary, &together.summary),
        ] {
            let differs = one.lines().zip(many.lines()).find(|(a, b)| a != b);
            assert!(
                one == many,
                "{what} of {workers} workers, {options:?}: {} and {} lines; first {differs:#?}",
                one.lines().count(),
                many.lines().count(),
            );
        }
    }
    alone
}

fn rules(folder: &Path) -> String {
    let file = folder.join("local.rules");
    std::fs::write(&file, RULES).expect("the temporary folder can be written");
    file.to_string_lossy().into_owned()
}

#[test]
fn made_traffic_says_the_same_for_any_number_of_workers() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = folder.path().join("made.pcap");
    capture_file::write(&capture, &traffic());
    let captures = [capture];
    let bare = same_for_all(&[], &captures);
    let scans = bare.events.lines().filter(|line| line.contains(r#""event_type":"block""#)).count();
    assert!(scans > 0, "the scan blocks nobody: {}", bare.summary);
    let said = same_for_all(&["--rules", &rules(folder.path())], &captures);
    for sid in 9_000_001..=9_000_008 {
        let told = format!(r#""signature_id":{sid},"#);
        assert!(said.events.contains(&told), "rule {sid} never spoke: the trial is empty");
    }
}

#[test]
fn captures_say_the_same_for_any_number_of_workers() {
    let corpus = match std::env::var("PORTCULLIS_CORPUS").unwrap_or_default().as_str() {
        "" | "required" => requirement::repository().join("../shared/corpus"),
        path => PathBuf::from(path),
    };
    if !corpus.is_dir() {
        requirement::missing(&format!("no corpus at {}", corpus.display()));
        return;
    }
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let captures: Vec<PathBuf> = CAPTURES.iter().map(|file| corpus.join(file)).collect();
    let rules = rules(folder.path());
    // Each with its own clock and state, then all as one timeline.
    for options in [&["--rules", &rules, "--each"][..], &["--rules", &rules]] {
        let said = same_for_all(options, &captures);
        println!("workers: {} events the same, {options:?}", said.events.lines().count());
        assert!(said.events.lines().count() > 1_000, "{}", said.summary);
    }
}

/// Clients that fetch pages, mixed frame by frame; a scanner; datagrams from a few sources to many.
fn traffic() -> Vec<Vec<u8>> {
    let server = |n: u8| Ipv4Addr::new(192, 0, 2, n);
    let mut lines: Vec<Vec<Vec<u8>>> = Vec::new();
    for n in 0..240_u8 {
        let client = Ipv4Addr::new(198, 51, 100, n % 10);
        let path = ["/page", "/page/2", "/mark", "/other", "/evil"][usize::from(n) / 3 % 5];
        lines.push(fetch(client, server(n % 16), 20_000 + u16::from(n), path));
    }
    for source in 0..6_u8 {
        let client = Ipv4Addr::new(203, 0, 113, source);
        let datagram = |to| frames::ipv4(client, server(to), 17, &frames::udp(5000, 53, &[7; 40]));
        lines.push((0..60).map(|to| ethernet(&datagram(to))).collect());
    }
    lines.push(scan(Ipv4Addr::new(203, 0, 113, 99), server(1)));
    let longest = lines.iter().map(Vec::len).max().unwrap_or(0);
    let turns = (0..longest).flat_map(|at| lines.iter().filter_map(move |line| line.get(at)));
    turns.cloned().collect()
}

fn ethernet(packet: &[u8]) -> Vec<u8> {
    frames::ethernet([2, 0, 0, 0, 7, 2], &[], 0x0800, packet)
}

/// A conversation of one request and one answer.
fn fetch(client: Ipv4Addr, server: Ipv4Addr, port: u16, path: &str) -> Vec<Vec<u8>> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: h.example\r\n\r\n").into_bytes();
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
    let (up, down) = ((client, server, port, 80), (server, client, 80, port));
    let (asked, answered) = (1 + length(&request), 101 + length(&answer));
    let segments: [(_, u8, u32, u32, &[u8]); 7] = [
        (up, 0x02, 0, 0, b""),
        (down, 0x12, 100, 1, b""),
        (up, 0x10, 1, 101, b""),
        (up, 0x18, 1, 101, &request),
        (down, 0x18, 101, asked, &answer),
        (up, 0x11, asked, answered, b""),
        (down, 0x11, answered, asked + 1, b""),
    ];
    segments.map(|(way, flags, seq, ack, bytes)| segment(way, flags, seq, ack, bytes)).to_vec()
}

/// A connection to each of many ports: some open, most refused.
fn scan(scanner: Ipv4Addr, target: Ipv4Addr) -> Vec<Vec<u8>> {
    let one = |port: u16| {
        let (up, down) = ((scanner, target, 40_000, port), (target, scanner, port, 40_000));
        let refused = segment(down, 0x14, 0, 1, b"");
        let opened = [
            segment(down, 0x12, 900, 1, b""),
            segment(up, 0x10, 1, 901, b""),
            segment(up, 0x14, 1, 901, b""),
        ];
        let rest = if port % 40 == 2 { opened.to_vec() } else { vec![refused] };
        [vec![segment(up, 0x02, 0, 0, b"")], rest].concat()
    };
    (1..400).flat_map(one).collect()
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("short")
}

fn segment(
    (from, to, source, target): (Ipv4Addr, Ipv4Addr, u16, u16),
    flags: u8,
    seq: u32,
    ack: u32,
    bytes: &[u8],
) -> Vec<u8> {
    let header = frames::tcp_with(from, to, (source, target), flags, (seq, ack), bytes);
    ethernet(&frames::ipv4(from, to, 6, &header))
}
