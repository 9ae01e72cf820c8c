//! Rules that need more of the engine than their own evaluation: digests of files, lists beside the
//! rules, what the configuration names. From the files of an operator to the alerts of a replay.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use portcullis_tests::capture_file;
use portcullis_tests::made_traffic;
use portcullis_tests::replay::{Said, replay};
use portcullis_tests::requirement::{self, Readiness};

const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const OTHER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 8);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Of the answer of [`made_traffic::fetch`], which is `ok`.
const MD5: &str = "444bcb3a3fcf8389296c49467f27e1d6";
const SHA1: &str = "7a85f4764bbd6daf1c3545efbbf0f279a6dc0beb";
const SHA256: &str = "2689367b205c16ce32ed4200942b8b8b1e262dfc70d9bc9fbc77c49699a4f1df";

/// A folder with a capture of two clients' requests, and the files of a test.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    /// `None` where the test is skipped.
    fn new() -> Option<Desk> {
        if requirement::engine() == Readiness::Skip {
            return None;
        }
        let desk = Desk { folder: tempfile::tempdir().expect("a temporary folder") };
        let lines = [
            made_traffic::fetch(CLIENT, SERVER, 40_000, "/one"),
            made_traffic::fetch(OTHER, SERVER, 40_001, "/two"),
        ];
        capture_file::write(&desk.capture(), &lines.concat());
        Some(desk)
    }

    fn capture(&self) -> PathBuf {
        self.folder.path().join("fetch.pcap")
    }

    /// Writes a file; answers its name.
    fn file(&self, name: &str, text: &str) -> String {
        let path: &Path = &self.folder.path().join(name);
        std::fs::write(path, text).expect("the temporary folder can be written");
        path.to_string_lossy().into_owned()
    }

    fn replay(&self, configuration: &str, rules: &str) -> Said {
        let file = self.file("a.rules", rules);
        replay(configuration, &["--rules", &file], &[self.capture()])
    }
}

/// Who is the source of the alerts of a rule.
fn sources(said: &Said, sid: u64) -> Vec<String> {
    let alerts = said.events_of("alert").into_iter();
    let meant = alerts.filter(|alert| alert["alert"]["signature_id"] == sid);
    meant.map(|alert| alert["src_ip"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn rules_ask_for_the_digests_that_files_have() {
    let Some(desk) = Desk::new() else { return };
    let other = "0".repeat(64);
    desk.file("md5.list", MD5);
    desk.file("sha1.list", SHA1);
    desk.file("sha256.list", &format!("{other}\n{SHA256}\n"));
    desk.file("none.list", &other);
    let rule = |what: &str, sid: u32| {
        format!("alert http any any -> any any (msg:\"file\"; {what}; sid:{sid};)\n")
    };
    let [md5, sha1, sha256, none, unlisted] = [
        rule("filemd5:md5.list", 9_003_001),
        rule("filesha1:sha1.list", 9_003_002),
        rule("filesha256:sha256.list", 9_003_003),
        rule("filesha256:none.list", 9_003_004),
        rule("filesha256:!none.list", 9_003_005),
    ];
    let digests = |said: &Said| -> Vec<[bool; 3]> {
        let has = |file: &serde_json::Value| {
            [("md5", MD5), ("sha1", SHA1), ("sha256", SHA256)].map(|(name, digest)| {
                let is_right = file["fileinfo"][name] == digest;
                assert!(is_right || file["fileinfo"].get(name).is_none(), "{file}");
                is_right
            })
        };
        said.events_of("fileinfo").iter().map(has).collect()
    };
    // Each rule has its own digest made, and no other.
    let said = desk.replay("", &sha256);
    assert_eq!(sources(&said, 9_003_003), ["192.0.2.1", "192.0.2.1"], "{}", said.events);
    assert_eq!(digests(&said), [[false, false, true]; 2], "{}", said.events);
    let said = desk.replay("", &[md5, sha1, sha256, none, unlisted].concat());
    for (sid, alerts) in
        [9_003_001, 9_003_002, 9_003_003, 9_003_004, 9_003_005].into_iter().zip([2, 2, 2, 0, 2])
    {
        assert_eq!(sources(&said, sid).len(), alerts, "{sid}: {}", said.events);
    }
    // Without such a rule nothing is digested, unless the journal is to have it.
    let plain = rule("http.method; content:\"GET\"", 9_003_006);
    assert_eq!(digests(&desk.replay("", &plain)), [[false; 3]; 2]);
    let asked = desk.replay("[events]\nfile_hashes = [\"md5\", \"sha1\"]\n", &plain);
    assert_eq!(digests(&asked), [[true, true, false]; 2]);
}

#[test]
fn reputations_are_those_of_the_lists_that_the_configuration_names() {
    let Some(desk) = Desk::new() else { return };
    let categories = desk.file("categories.txt", "1,BadHosts,Known bad\n2,CnC,Control servers\n");
    let first = desk.file("a.list", "198.51.100.0/24,1,20\n198.51.100.8,1,90\n");
    let second = desk.file("b.list", "192.0.2.1,2,100\n");
    let configuration = format!(
        "[rules]\nreputation_categories = \"{categories}\"\n\
         reputations = [\"{first}\", \"{second}\"]\n"
    );
    let rule = |what: &str, sid: u32| {
        format!(
            "alert http any any -> any any (msg:\"reputation\"; flow:to_server; http.method; \
             content:\"GET\"; iprep:{what}; sid:{sid};)\n"
        )
    };
    let rules = [
        rule("src,BadHosts,>,50", 9_004_001),
        rule("src,BadHosts,<,50", 9_004_002),
        rule("any,CnC,isset", 9_004_003),
        rule("src,CnC,isset", 9_004_004),
        rule("both,BadHosts,isnotset", 9_004_005),
    ];
    let said = desk.replay(&configuration, &rules.concat());
    let both = vec![CLIENT.to_string(), OTHER.to_string()];
    for (sid, wanted) in [
        (9_004_001, vec![OTHER.to_string()]),
        (9_004_002, vec![CLIENT.to_string()]),
        (9_004_003, both.clone()),
        (9_004_004, Vec::new()),
        (9_004_005, both),
    ] {
        assert_eq!(sources(&said, sid), wanted, "{sid}: {}", said.events);
    }
}

#[test]
fn addresses_are_buffers_of_packets_and_of_transactions() {
    let Some(desk) = Desk::new() else { return };
    desk.file("clients.list", &format!("{OTHER}\n10.0.0.1\n"));
    let listed = "dataset:isset,clients,type ipv4,load clients.list";
    let rules = format!(
        "alert http any any -> any any (msg:\"tx\"; http.uri; content:\"/\"; ip.src; {listed}; \
         sid:9005001;)\n\
         alert http any any -> any any (msg:\"tx\"; http.stat_code; content:\"200\"; ip.dst; \
         {listed}; sid:9005002;)\n\
         alert tcp any any -> any any (msg:\"packet\"; flags:S; ip.src; content:\"|c6 33 64 07|\"; \
         sid:9005003;)\n\
         alert tcp any any -> any any (msg:\"stream\"; content:\"/two\"; ip.dst; \
         content:\"|c0 00 02 01|\"; startswith; sid:9005004;)\n"
    );
    let said = desk.replay("", &rules);
    for (sid, wanted) in
        [(9_005_001, OTHER), (9_005_002, SERVER), (9_005_003, CLIENT), (9_005_004, OTHER)]
    {
        assert_eq!(sources(&said, sid), [wanted.to_string()], "{sid}: {}", said.events);
    }
}

#[test]
fn regular_expressions_see_what_was_decoded() {
    let Some(desk) = Desk::new() else { return };
    let rule = |what: &str, sid: u32| {
        format!("alert http any any -> any any (msg:\"regex\"; http.uri; {what}; sid:{sid};)\n")
    };
    let decoded = "content:\"L-\"; base64_decode:offset 0,relative; base64_data;";
    let capture = desk.folder.path().join("asked.pcap");
    let lines = made_traffic::fetch(CLIENT, SERVER, 40_000, "/Ev%69L-d2hvYW1pIDc3");
    capture_file::write(&capture, &lines);
    let rules = [
        rule("to_lowercase; content:\"evil\"; pcre:\"/^.evil-[a-z0-9]+$/\"", 9_006_001),
        rule("to_lowercase; content:\"evil\"; pcre:\"/evil-[A-Z]/\"", 9_006_002),
        rule("to_lowercase; content:\"evil\"; pcre:!\"/evil-[A-Z]/\"", 9_006_003),
        rule("pcrexform:\"L-(.*)$\"; content:\"d2hvYW1pIDc3\"; startswith; endswith", 9_006_004),
        rule("pcrexform:\"(L)-\"; content:\"d2\"", 9_006_005),
        rule(&format!("{decoded} pcre:\"/^who.mi \\d+$/\""), 9_006_006),
        rule(&format!("{decoded} pcre:\"/whoami [a-z]/\""), 9_006_007),
    ];
    let file = desk.file("regex.rules", &rules.concat());
    let said = replay("", &["--rules", &file], &[capture]);
    let mut found: Vec<u64> = said
        .events_of("alert")
        .iter()
        .filter_map(|alert| alert["alert"]["signature_id"].as_u64())
        .collect();
    found.sort_unstable();
    assert_eq!(found, [9_006_001, 9_006_003, 9_006_004, 9_006_006], "{}", said.events);
}
