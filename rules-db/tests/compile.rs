//! Sets are compiled: the same bytes each time, whatever ET Open asks for, in little time.

use portcullis_rules_db::compile::{Compiled, Vocabulary, compile};
use portcullis_rules_db::policy::Policy;
use portcullis_rules_db::{ActionOrder, Reading, RuleSet, Vars};
use portcullis_rules_form::{RuleSet as Form, fuzz_form};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

fn read(text: &str) -> RuleSet {
    Reading::new(&Vars::default()).texts(&[("test.rules", text.as_bytes())])
}

fn compiled(rules: &RuleSet) -> Compiled {
    let app_event = |_: &str| Some(7);
    let anomaly = |name: &str| vec![name.to_owned()];
    let vocabulary = Vocabulary { app_event: &app_event, anomaly: &anomaly };
    compile(rules, &vocabulary, &Policy::shipped()).expect("less than 4 GiB")
}

const RULES: &str = r#"
alert tcp any any -> any 25 (msg:"mail"; content:"HELO evil"; sid:1; rev:3;)
alert http any any -> any any (msg:"page"; flow:to_server; http.uri; content:"/evil.php"; \
    http.method; content:"POST"; flowbits:isset,seen; sid:2;)
alert http any any -> any any (msg:"first"; flow:to_server; http.host; dotprefix; \
    content:".evil.example"; endswith; flowbits:set,seen; flowbits:noalert; sid:3;)
alert ip [192.0.2.1,198.51.100.0/24] any -> any any (msg:"listed"; sid:4;)
pass tcp any any -> any 22 (msg:"let be"; content:"SSH-2.0-good"; sid:5;)
alert tcp any any -> any any (msg:"syn"; flags:S; sid:6;)
alert tcp any any -> any any (msg:"body"; flow:to_server; http.uri; \
    content:"/long-uri-of-all"; http.request_body; content:"cmd="; sid:7;)
alert pkthdr any any -> any any (msg:"odd"; decode-event:ipv4.trunc_pkt; sid:8;)
"#;

#[test]
fn rules_become_what_the_host_and_the_plugin_read() {
    let rules = read(RULES);
    assert!(rules.refused.is_empty(), "{:?}", rules.refused);
    let out = compiled(&rules);
    assert_eq!(out.bytes, compiled(&read(RULES)).bytes, "the same rules give the same bytes");
    let set = Form::open(&out.bytes).expect("whole");
    set.verify().expect("unchanged");
    assert_eq!(set.len(), 8);
    let order: Vec<u32> = (0..8).filter_map(|i| set.body(i)).map(|b| b.head.sid).collect();
    let place = |sid| order.iter().position(|s| *s == sid);
    assert_eq!(place(5), Some(0), "pass comes first");
    assert!(place(3) < place(2), "who sets a bit comes before who asks for it: {order:?}");
    let groups: Vec<_> = set.groups().collect();
    let literal = |bytes: &[u8]| {
        let found = set.literals().find(|l| l.bytes == bytes);
        found.map(|l| groups[usize::try_from(l.group).expect("small")])
    };
    let mail = literal(b"HELO evil").expect("looked for");
    assert_eq!((mail.kind, mail.protocol), (2, 6), "in streams");
    let ports = set.server_ports(&mail).expect("of one port");
    assert_eq!(ports.iter().map(|p| (p.low, p.high)).collect::<Vec<_>>(), [(25, 25)]);
    let host = literal(b"evil.example").expect("without the dot");
    assert_eq!((host.kind, host.direction), (24, 0));
    assert!(literal(b"/long-uri-of-all").is_some() && literal(b"cmd=").is_some());
    assert!(set.has_address_rules());
    let always: Vec<_> = set.always().map(|a| (a.event, a.tcp_flags)).collect();
    assert!(always.contains(&(1, 2)) && always.contains(&(9, 0)), "{always:?}");
    let info = set.info(1, 1).expect("known");
    assert_eq!((info.message(), info.row().rev), ("mail", 3));
    assert_eq!(set.event_names().collect::<Vec<_>>(), ["ipv4.trunc_pkt"]);
    assert_eq!((out.counts.rules, out.counts.by_address, out.counts.always), (8, 1, 2));
}

#[test]
fn the_order_of_names_does_not_depend_on_the_rules_order() {
    let whole = RULES.replace("\\\n", "");
    let lines: Vec<&str> = whole.lines().collect();
    let reversed: Vec<&str> = lines.iter().rev().copied().collect();
    let (a, b) = (compiled(&read(RULES)), compiled(&read(&reversed.join("\n"))));
    let names = |bytes: &[u8]| -> Vec<String> {
        Form::open(bytes).expect("whole").flowbit_names().map(str::to_owned).collect()
    };
    assert_eq!(names(&a.bytes), names(&b.bytes));
}

fn shared(folder: &str) -> Vec<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/rules").join(folder);
    let Ok(entries) = std::fs::read_dir(root) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "rules"))
        .collect();
    files.sort();
    files
}

#[test]
fn et_open_compiles_soon() {
    let files = shared("et-open-2024-04-21");
    if files.is_empty() {
        return;
    }
    let rules = Reading::new(&Vars::default()).files(&files);
    let begin = Instant::now();
    let out = compiled(&rules);
    let took = begin.elapsed();
    let set = Form::open(&out.bytes).expect("whole");
    let begin = Instant::now();
    for _ in 0..100 {
        Form::open(std::hint::black_box(&out.bytes)).expect("whole");
    }
    let open = begin.elapsed() / 100;
    println!("{} rules, {} bytes, {took:?}, opened in {open:?}", set.len(), out.bytes.len());
    println!("{:?}", out.counts);
    println!("literals {}, regexes {}", set.literals().count(), set.regexes().count());
    let mut why: BTreeMap<&str, u32> = BTreeMap::new();
    for rule in &out.unmatchable {
        *why.entry(rule.asks.as_str()).or_default() += 1;
    }
    println!("not evaluated: {why:#?}");
    let mut kinds: BTreeMap<(u8, u16, u16, bool), u32> = BTreeMap::new();
    for row in set.always() {
        let by_address = row.rule == u32::MAX;
        *kinds.entry((row.event, row.application, row.buffer, by_address)).or_default() += 1;
    }
    println!("always (event, application, buffer, by address): {kinds:?}");
    for group in set.groups() {
        let (server, client) = (set.server_ports(&group), set.client_ports(&group));
        let of = |p: &Option<Vec<_>>| p.as_ref().map_or("any".to_owned(), |p| p.len().to_string());
        println!(
            "group {} kind {} direction {} protocol {} server {} client {}: {}",
            group.id,
            group.kind,
            group.direction,
            group.protocol,
            of(&server),
            of(&client),
            group.literals
        );
    }
    let begin = Instant::now();
    let bodies = (0..set.len()).filter(|i| set.body(*i).is_some()).count();
    println!("all bodies read in {:?}", begin.elapsed());
    assert_eq!(bodies, rules.rules.len(), "every body is read back");
    assert_eq!(set.infos().count(), rules.rules.len());
    assert!(took.as_secs() < 2, "{took:?}");
    assert_eq!(out.bytes, compiled(&rules).bytes, "the same rules give the same bytes");
    fuzz_form(&out.bytes);
}

#[test]
fn event_rules_compile() {
    let files = shared("suricata-events");
    let rules = Reading::new(&Vars::default()).files(&files);
    let out = compiled(&rules);
    let set = Form::open(&out.bytes).expect("whole");
    assert_eq!(usize::try_from(set.len()), Ok(rules.rules.len()));
}

#[test]
fn actions_are_tried_in_the_order_wanted() {
    let words = |list: [&str; 4]| ActionOrder::of(&list.map(str::to_owned));
    let text = "alert tcp any any -> any any (sid:1;)\npass tcp any any -> any any (sid:2;)\n\
        drop tcp any any -> any any (sid:3;)";
    let first = |order: ActionOrder| {
        let vars = Vars::default();
        let set = Reading::new(&vars).actions(order).texts(&[("t.rules", text.as_bytes())]);
        let bytes = compiled(&set).bytes;
        let set = Form::open(&bytes).expect("whole");
        (0..3).filter_map(|n| set.body(n)).map(|b| b.head.sid).collect::<Vec<_>>()
    };
    assert_eq!(first(ActionOrder::default()), [2, 3, 1]);
    let drop_first = words(["drop", "alert", "reject", "pass"]).expect("each once");
    assert_eq!(first(drop_first), [3, 1, 2]);
    assert!(words(["drop", "drop", "reject", "pass"]).is_err());
}
