//! A replay says the same, byte for byte, whatever the number of workers that share it: events,
//! blocks and the summary, with rules whose counts and bits all lanes share.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use portcullis_tests::replay::{Said, replay};
use portcullis_tests::requirement::{self, Readiness};
use portcullis_tests::{capture_file, frames, made_traffic};

const WORKERS: [&str; 4] = ["1", "2", "3", "8"];
/// Most addresses of captures are private, which replay would protect from blocks.
const CONFIGURATION: &str = "[blocks]\nblock_inside = true\n";
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

/// Asserts that every number of workers says the same; answers what they say.
fn same_for_all(options: &[&str], captures: &[PathBuf]) -> Said {
    let run =
        |workers| replay(CONFIGURATION, &[&["--workers", workers], options].concat(), captures);
    let alone = run(WORKERS[0]);
    for workers in &WORKERS[1..] {
        let together = run(workers);
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
fn made_traffic_says_the_same_for_any_number_of_host_shards() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let captures = [folder.path().join("made.pcap")];
    capture_file::write(&captures[0], &traffic());
    let said = |shards| {
        let configuration = format!("{CONFIGURATION}[plugins]\nhost_shards = {shards}\n");
        replay(&configuration, &["--workers", "2"], &captures)
    };
    let alone = said(1);
    let blocks = alone.events.lines().filter(|line| line.contains(r#""event_type":"block""#));
    assert!(blocks.count() > 0, "the scan blocks nobody: {}", alone.summary);
    for shards in [2, 3, 7] {
        let shared = said(shards);
        assert_eq!(shared.events, alone.events, "{shards} shards");
        assert_eq!(shared.blocks, alone.blocks, "{shards} shards");
    }
}

#[test]
fn captures_say_the_same_for_any_number_of_workers() {
    let Some(corpus) = requirement::corpus(&CAPTURES) else { return };
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
        lines.push(made_traffic::fetch(client, server(n % 16), 20_000 + u16::from(n), path));
    }
    for source in 0..6_u8 {
        let client = Ipv4Addr::new(203, 0, 113, source);
        let datagram = |to| frames::ipv4(client, server(to), 17, &frames::udp(5000, 53, &[7; 40]));
        lines.push((0..60).map(|to| made_traffic::tagged(&[], &datagram(to))).collect());
    }
    lines.push(made_traffic::connect_scan(Ipv4Addr::new(203, 0, 113, 99), server(1)));
    made_traffic::mixed(&lines)
}
