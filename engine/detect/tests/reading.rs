//! Plugins that read deep: buffers by handle, hits, regexes, sections, rules of a section. What a
//! guest asks for wrongly is answered by a code or costs one event.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use portcullis_detect::abi::{
    Buffer, Event, EventKind, FlowRec, NONE, NativeGuest, application, buffer_kind,
};
use portcullis_detect::{
    Case, Fault, FaultKind, FlowHost, Grants, HostLimits, LoadLimits, Loader, Offer, OfferedHit,
    PartyKind, Patterns, Plugin, PluginData, RegexAnswer, RegexBank, Rule, RuleTable, Section,
    Shown,
};
use portcullis_plugin_sdk::{
    Detector, DoneScope, EventView, Findings, Guest, Handle, Init, Literal, Match, PatternSet, code,
};
use portcullis_types::{
    Action, Addr, Class, Confidence, Finding, FlowFacts, PluginId, Proof, Reach, RuleId, RuleMeta,
    SegmentId, Severity, Tick, VlanStack,
};
use std::sync::{Arc, LazyLock};

const ID: PluginId = PluginId(3);
static LOADER: LazyLock<Loader> = LazyLock::new(|| Loader::new(LoadLimits::default()).unwrap());
const SKELETON: &str = include_str!("../../../tests/hostile/skeleton.wat");

const HEAD: &str = r#"
name = "reader"
vendor = "Nobody"
version = "1"
abi = 1
classes = ["attack"]
scope = "flow"
events = ["transaction", "stream-data"]
applications = ["http"]
fuel = 100000
gid = 900
sids = [1, 99]
max_action = "terminate"
capabilities = ["buffer", "regex", "section", "fuel", "pattern"]
"#;
const RULE: &str = r#"
[[rule]]
sid = 1
rev = 1
message = "something"
class = "attack"
category = "test"
severity = "high"
confidence = "high"
action = "terminate"
offender = "client"
target = "server"
"#;

const FACTS: FlowFacts = FlowFacts {
    segment: SegmentId(0),
    vlan: VlanStack::UNTAGGED,
    tunnel: 0,
    protocol: 6,
    client: Addr::v4([192, 0, 2, 1]),
    server: Addr::v4([198, 51, 100, 1]),
    client_port: 40_000,
    server_port: 80,
    client_inside: false,
    server_inside: true,
    client_proof: Proof::Handshake,
    server_proof: Proof::None,
};

struct Bank;
impl RegexBank for Bank {
    fn find(&self, id: u32, haystack: &[u8], from: usize) -> RegexAnswer {
        let at = |start: usize, len: u32| {
            let start = u32::try_from(start).unwrap();
            RegexAnswer::Found { start, end: start + len }
        };
        match id {
            0 => haystack[from..]
                .windows(3)
                .position(|w| w == b"END")
                .map_or(RegexAnswer::No, |n| at(n + from, 3)),
            1 => RegexAnswer::GaveUp,
            _ => RegexAnswer::Unknown,
        }
    }
}

fn host(plugin: &Arc<Plugin>) -> FlowHost {
    let mut host = FlowHost::new(HostLimits { flows: 64, ..HostLimits::default() });
    host.install(ID, plugin.warm().unwrap()).unwrap();
    (0..2).for_each(|_| host.install_spare(ID, plugin.warm().unwrap()).unwrap());
    host
}

fn shown(kind: u16, transaction: u32, bytes: &[u8]) -> Shown<'_> {
    Shown { kind, transaction, ..Shown::payload(bytes) }
}

/// Offers a transaction's event of a flow; `code` is what the guests below go by.
fn offer(host: &mut FlowHost, about: (u32, u16), of: &[Shown<'_>], hits: &[OfferedHit]) {
    offer_after(host, 0, about, of, hits);
}

/// As [`offer`], of a flow that has had so many bytes.
fn offer_after(
    host: &mut FlowHost,
    bytes: u64,
    (flow, code): (u32, u16),
    of: &[Shown<'_>],
    hits: &[OfferedHit],
) {
    let rec = FlowRec {
        id: u64::from(flow),
        bytes_to_server: bytes / 2,
        bytes_to_client: bytes - bytes / 2,
        protocol: 6,
        server_port: 80,
        application: application::HTTP,
        ..bytemuck::Zeroable::zeroed()
    };
    let event = Event {
        kind: EventKind::Transaction.number(),
        transaction: of.first().map_or(0, |b| b.transaction),
        code,
        at: 5,
        ..bytemuck::Zeroable::zeroed()
    };
    let facts = FlowFacts { client: Addr::v4([192, 0, 2, u8::try_from(flow).unwrap()]), ..FACTS };
    let flow_ref = Some((flow, 1));
    host.offer(&Offer {
        flow: &rec,
        event,
        buffers: of,
        hits,
        facts: &facts,
        frame: None,
        flow_ref,
    });
}

fn run(host: &mut FlowHost) -> (Vec<Finding>, Vec<Fault>) {
    let (mut findings, mut faults) = (Vec::new(), Vec::new());
    host.run(Tick(10), &mut findings, &mut faults);
    (findings, faults)
}

fn texts(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|f| f.evidence.text.as_deref().unwrap_or("").to_owned()).collect()
}

fn section(bytes: &'static [u8]) -> PluginData {
    let section = Section { name: "rules".into(), bytes: Arc::new(bytes) };
    PluginData { sections: vec![section], ..PluginData::default() }
}

/// Says what it read.
struct Reader {
    old: Option<Handle>,
    head: [u8; 4],
}

impl Detector for Reader {
    fn new(init: &Init<'_>) -> Self {
        let mut set = PatternSet::new();
        let uri = buffer_kind::HTTP_URI;
        set.literal(Literal { nocase: true, ..Literal::new(uri, b"login") });
        set.regex("/E.D/");
        assert_eq!(init.pattern_set(&set), 2);
        let mut head = [0; 4];
        assert_eq!(init.section_read("rules", 2, &mut head), 4);
        Reader { old: None, head }
    }

    fn on_event(&mut self, event: &EventView<'_>, out: &mut Findings<'_>) {
        let mut said = String::from_utf8_lossy(&self.head).into_owned();
        for (buffer, bytes) in event.buffers() {
            said += &format!(
                " {}:{}/{}:{:x}",
                buffer_kind::name(buffer.kind).unwrap(),
                bytes.len(),
                buffer.whole_len,
                buffer.flags,
            );
        }
        for hit in event.hits() {
            let kind = event.buffer_at(hit.buffer).map_or(0, |(b, _)| b.kind);
            said += &format!(" hit{}@{}in{kind}", hit.pattern, hit.end);
        }
        let body = event.buffer(buffer_kind::HTTP_REQUEST_BODY);
        if let Some((body, _)) = body {
            let mut tail = [0; 8];
            let n = out.buffer_read((&body).into(), body.whole_len - 3, &mut tail);
            said += &format!(" tail{n}{}", String::from_utf8_lossy(&tail[..3]));
            said += &format!(" {:?}", out.regex_match(0, (&body).into(), 1));
            let after = out.regex_match(0, (&body).into(), body.whole_len);
            assert_eq!(after, Match::No);
            assert_eq!(out.regex_match(1, (&body).into(), 0), Match::GaveUp);
            assert_eq!(out.regex_match(9, (&body).into(), 0), Match::Refused(code::NOT_FOUND));
            // The same bytes as the guest's own.
            let mut own = vec![0; body.whole_len as usize];
            out.buffer_read((&body).into(), 0, &mut own);
            for (id, from) in [(0, 0), (0, 1), (0, body.whole_len), (1, 0), (9, 0)] {
                let by_handle = out.regex_match(id, (&body).into(), from);
                assert_eq!(out.regex_bytes(id, &own, from), by_handle, "{id} from {from}");
            }
            let behind = out.regex_bytes(0, &own, body.whole_len + 1);
            assert_eq!(behind, Match::Refused(code::OUT_OF_RANGE));
        }
        let uri = out.buffer_get(event.transaction(), buffer_kind::HTTP_URI, 0);
        said += &format!(" uri{}", uri.is_some());
        if let Some(old) = self.old {
            said += &format!(" old{}", out.buffer_read(old, 0, &mut [0; 4]));
        }
        self.old = uri;
        assert!(out.fuel() > 0 && event.application() == application::HTTP);
        if event.code() == 7 {
            out.done(DoneScope::Transaction);
        }
        if event.code() == 8 {
            out.pause(5);
        }
        let draft = out.find(1).text(format_args!("{said}"));
        match body {
            Some((body, _)) => draft.evidence_in(&body, body.whole_len - 3, 99).send(),
            None => draft.send(),
        }
    }
}

fn reader(keys: &str, data: PluginData) -> Arc<Plugin> {
    let manifest = format!("{HEAD}{keys}{RULE}");
    let factory = || -> Box<dyn NativeGuest> { Box::new(Guest::<Reader>::new()) };
    LOADER.native_with(manifest.as_bytes(), factory, &Grants::standard(), data).unwrap()
}

#[test]
fn whole_buffers_hits_regexes_and_sections_are_read() {
    let plugin = reader("snap = 4\n", section(b"--HEAD--"));
    assert!(plugin.patterns().is_empty(), "nothing before its code has run");
    let mut host = host(&plugin);
    let patterns = plugin.patterns();
    assert_eq!((patterns.literals.len(), patterns.regexes.len()), (1, 1));
    assert_eq!((patterns.literals[0].number, patterns.literals[0].case), (0, Case::Folded));
    assert!(plugin.give_regexes(Arc::new(Bank)) && !plugin.give_regexes(Arc::new(Bank)));
    let uri = shown(buffer_kind::HTTP_URI, 1, b"/x");
    let body = shown(buffer_kind::HTTP_REQUEST_BODY, 1, b"what a long body END");
    let hit = |plugin, buffer| OfferedHit { plugin, buffer, pattern: 0, end: 2 };
    offer(&mut host, (1, 0), &[uri], &[]);
    offer(&mut host, (1, 0), &[body, uri], &[hit(PluginId(9), 0), hit(ID, 1)]);
    offer(&mut host, (2, 0), &[shown(buffer_kind::HTTP_HOST, 1, b"")], &[]);
    let (findings, faults) = run(&mut host);
    assert_eq!(faults, []);
    let want = [
        "HEAD http.uri:2/2:4 uritrue",
        "HEAD http.request_body:4/20:1 http.uri:2/2:4 hit0@2in11 tail3END \
         Found { start: 17, end: 20 } uritrue old2",
        "HEAD http.host:0/0:4 urifalse old2",
    ];
    assert_eq!(texts(&findings), want);
    assert_eq!(findings[1].evidence.bytes.as_deref(), Some(&b"END"[..]), "beyond the snap length");
    // A handle of the batch before means nothing.
    offer(&mut host, (1, 0), &[uri], &[]);
    offer(&mut host, (1, 0), &[uri], &[]);
    run(&mut host);
    offer(&mut host, (1, 0), &[uri], &[]);
    let (findings, _) = run(&mut host);
    assert_eq!(texts(&findings), [format!("HEAD http.uri:2/2:4 uritrue old{}", code::NOT_FOUND)]);
    let (_, counters) = host.counters().next().unwrap();
    assert_eq!((counters.regexes_given_up, counters.buffers_cut), (3, 0));
}

#[test]
fn newer_sections_are_another_version_of_the_same_module() {
    let first = reader("snap = 4\n", section(b"--HEAD--"));
    let mut host = host(&first);
    let second = first.with_data(section(b"--NEXT--")).unwrap();
    host.install(ID, second.warm().unwrap()).unwrap();
    offer(&mut host, (1, 0), &[shown(buffer_kind::HTTP_URI, 1, b"/")], &[]);
    assert_eq!(texts(&run(&mut host).0), ["NEXT http.uri:1/1:4 uritrue"]);
}

#[test]
fn what_does_not_fit_is_cut_and_counted() {
    let plugin = reader("[snaps]\n\"http.uri\" = 8\n", section(b"--HEAD--"));
    let limits = HostLimits { flows: 64, whole_bytes: 100, ..HostLimits::default() };
    let mut host = FlowHost::new(limits);
    host.install(ID, plugin.warm().unwrap()).unwrap();
    let (long, other) = ([b'x'; 70], [b'x'; 70]);
    let of = |t| [shown(buffer_kind::HTTP_URI, t, &long), shown(buffer_kind::HTTP_HOST, t, &other)];
    offer(&mut host, (1, 0), &of(1), &[]);
    offer(&mut host, (2, 0), &of(1), &[]);
    let (findings, faults) = run(&mut host);
    let want = "HEAD http.uri:8/70:1 http.host:0/30:1 uritrue";
    assert_eq!((texts(&findings)[0].as_str(), faults.len()), (want, 0));
    let many: Vec<_> = (0..1100).map(|_| shown(buffer_kind::HTTP_COOKIE, 1, b"")).collect();
    offer(&mut host, (3, 0), &many, &[]);
    assert_eq!(run(&mut host).0.len(), 1);
    let (_, counters) = host.counters().next().unwrap();
    assert_eq!((counters.buffers_cut, counters.batches), (2 + 76, 3), "one batch for each");
}

#[test]
fn bytes_that_two_buffers_show_lie_there_once() {
    let plugin = reader("[snaps]\n\"http.uri\" = 8\n\"http.host\" = 4\n", section(b"--HEAD--"));
    let limits = HostLimits { flows: 64, whole_bytes: 100, ..HostLimits::default() };
    let mut host = FlowHost::new(limits);
    host.install(ID, plugin.warm().unwrap()).unwrap();
    let long = [b'x'; 70];
    let both = [buffer_kind::HTTP_URI, buffer_kind::HTTP_HOST].map(|kind| shown(kind, 1, &long));
    offer(&mut host, (1, 0), &both, &[]);
    let want = "HEAD http.uri:8/70:1 http.host:4/70:1 uritrue";
    assert_eq!(texts(&run(&mut host).0), [want], "room for 100 bytes holds them");
    let (_, counters) = host.counters().next().unwrap();
    assert_eq!(counters.buffers_cut, 0);
}

/// Says what it is shown, and may read nothing else.
struct Looker;

impl Detector for Looker {
    fn new(_: &Init<'_>) -> Self {
        Looker
    }

    fn on_event(&mut self, event: &EventView<'_>, out: &mut Findings<'_>) {
        let shown = event.buffers().map(|(buffer, bytes)| {
            let kind = buffer_kind::name(buffer.kind).unwrap();
            format!("{kind}:{}", String::from_utf8_lossy(bytes))
        });
        let said: Vec<String> = shown.collect();
        out.find(1).text(format_args!("{}", said.join(" "))).send();
    }
}

#[test]
fn a_buffer_that_is_not_shown_lends_nobody_its_neighbours_bytes() {
    let head = HEAD.split("capabilities").next().unwrap();
    let snaps = "[snaps]\n\"http.uri\" = 8\n\"http.request_body\" = 0\n\"file.data\" = 8\n";
    let manifest = format!("{head}{snaps}{RULE}");
    let factory = || -> Box<dyn NativeGuest> { Box::new(Guest::<Looker>::new()) };
    let data = PluginData::default();
    let plugin =
        LOADER.native_with(manifest.as_bytes(), factory, &Grants::standard(), data).unwrap();
    let mut host = host(&plugin);
    let (uri, body) = (b"/login", b"body");
    let all = [
        shown(buffer_kind::HTTP_URI, 1, uri),
        shown(buffer_kind::HTTP_REQUEST_BODY, 1, body),
        shown(buffer_kind::FILE_DATA, 1, body),
    ];
    offer(&mut host, (1, 0), &all, &[]);
    assert_eq!(texts(&run(&mut host).0), ["http.uri:/login file.data:body"]);
}

#[test]
fn only_hits_and_finished_transactions_are_not_shown() {
    let plugin = reader("only_hits = true\nsnap = 4\n", section(b"--HEAD--"));
    let mut host = host(&plugin);
    let uri = [shown(buffer_kind::HTTP_URI, 1, b"/login")];
    let hit = [OfferedHit { plugin: ID, buffer: 0, pattern: 0, end: 6 }];
    let other = [OfferedHit { plugin: PluginId(8), ..hit[0] }];
    offer(&mut host, (1, 0), &uri, &[]);
    offer(&mut host, (1, 0), &uri, &other);
    assert_eq!(run(&mut host).0.len(), 0);
    offer(&mut host, (1, 7), &uri, &hit);
    assert_eq!(run(&mut host).0.len(), 1);
    offer(&mut host, (1, 0), &uri, &hit);
    assert_eq!(run(&mut host).0.len(), 0, "it has finished with transaction 1");
    offer(&mut host, (1, 0), &[shown(buffer_kind::HTTP_URI, 2, b"/login")], &hit);
    offer(&mut host, (2, 0), &uri, &hit);
    assert_eq!(run(&mut host).0.len(), 2, "not with others");
}

#[test]
fn a_flow_that_its_detector_paused_is_not_looked_through_until_it_has_had_more_bytes() {
    let plugin = reader("only_hits = true\nsnap = 4\n", section(b"--HEAD--"));
    let mut host = host(&plugin);
    let uri = |transaction| [shown(buffer_kind::HTTP_URI, transaction, b"/login")];
    let hit = [OfferedHit { plugin: ID, buffer: 0, pattern: 0, end: 6 }];
    offer_after(&mut host, 100, (1, 8), &uri(1), &hit);
    assert_eq!(run(&mut host).0.len(), 1);
    assert!(!host.looks((1, 1), 4) && host.looks((1, 1), 5) && host.looks((2, 1), 4));
    offer_after(&mut host, 4 << 10, (1, 0), &uri(2), &hit);
    assert_eq!(run(&mut host).0.len(), 0);
    offer_after(&mut host, 4 << 10, (2, 0), &uri(2), &hit);
    offer_after(&mut host, 5 << 10, (1, 0), &uri(3), &hit);
    assert_eq!(run(&mut host).0.len(), 2, "another flow, and the same later");
    let (_, counters) = host.counters().next().unwrap();
    assert_eq!((counters.paused, counters.dones_refused), (1, 0));
}

struct Table;
impl RuleTable for Table {
    fn rule(&self, gid: u32, sid: u32) -> Option<Rule> {
        (gid == 1 && sid == 2_000_001).then(|| Rule {
            meta: Arc::new(RuleMeta {
                id: RuleId { gid, sid, rev: 4 },
                message: "from the section".into(),
                class: Class::Attack,
                category: "web".into(),
                severity: Severity::High,
                confidence: Confidence::Medium,
                action: Action::TerminateAndBlock,
                forgeable: false,
                attack: vec![],
                references: vec!["url,example.org".into()],
                classtype: "web-application-attack".into(),
                priority: 1,
                metadata: vec![("created_at".into(), "2020".into())],
            }),
            offender: PartyKind::Client,
            target: PartyKind::Server,
            reach: Reach::Flow,
        })
    }
    fn patterns(&self) -> Patterns {
        Patterns::default()
    }
}

/// Names whatever rule the event's code says.
struct Namer;
impl Detector for Namer {
    fn new(_: &Init<'_>) -> Self {
        Namer
    }
    fn on_event(&mut self, event: &EventView<'_>, out: &mut Findings<'_>) {
        out.find(2_000_000 + u32::from(event.code())).send();
    }
}

#[test]
fn rules_come_from_the_section_and_no_others_are_believed() {
    let manifest = format!("{HEAD}section = \"rules\"\n{RULE}").replace("gid = 900", "gid = 1");
    let load = |data| {
        let factory = || -> Box<dyn NativeGuest> { Box::new(Guest::<Namer>::new()) };
        LOADER.native_with(manifest.as_bytes(), factory, &Grants::standard(), data)
    };
    let missing = load(PluginData::default()).unwrap_err().to_string();
    assert!(missing.contains("section \"rules\", which it is not given"), "{missing}");
    let data = PluginData { rules: Some(Arc::new(Table)), ..section(b"") };
    let mut host = host(&load(data).unwrap());
    for code in [1, 2, 1] {
        offer(&mut host, (1, code), &[], &[]);
    }
    let (findings, _) = run(&mut host);
    assert_eq!(findings.len(), 2);
    assert_eq!(findings[0].rule.priority, 1);
    assert_eq!(findings[0].action, Action::Terminate, "the manifest's largest action holds");
    assert!(Arc::ptr_eq(&findings[0].rule, &findings[1].rule), "built once");
    let (_, counters) = host.counters().next().unwrap();
    assert_eq!(counters.refused[portcullis_detect::Refusal::Rule as usize], 1);
    // The manifest's own rule stands beside them.
    let own = load(PluginData { rules: Some(Arc::new(Table)), ..section(b"") }).unwrap();
    assert_eq!(own.rule(0, 1).unwrap().meta.message, "something");
    assert_eq!(own.rule(1, 2_000_001).unwrap().meta.message, "from the section");
    assert!(own.rule(2, 1).is_none() && own.rule(1, 3).is_none());
}

const IMPORTS: &str = r#"
  (import "portcullis_1" "buffer_get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "portcullis_1" "buffer_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "portcullis_1" "regex_match" (func $regex (param i32 i32 i32) (result i64)))
  (import "portcullis_1" "regex_bytes" (func $own (param i32 i32 i32 i32) (result i64)))
  (import "portcullis_1" "section_read" (func $section (param i32 i32 i32 i32 i32) (result i32)))
  (import "portcullis_1" "pattern_set" (func $patterns (param i32 i32) (result i32)))
  (import "portcullis_1" "fuel" (func $fuel (result i64)))"#;

/// A sandboxed guest that asks `ask` at code 666 and reports rule 1 only where the answer is
/// `answer`; elsewhere always. `$h` is the handle of its first buffer.
fn hostile(ask: &str, answer: &str) -> (Vec<Finding>, Vec<Fault>) {
    let judge = format!(
        "(data (i32.const 2048) \"rules\")
         (global $h (mut i32) (i32.const 0))
         (func $judge (param $i i32) (param $at i32)
           (global.set $h (i32.load (i32.add (i32.const 65536)
             (i32.add (i32.load offset=56 (i32.const 65536))
               (i32.mul (i32.load offset=40 (local.get $at))
                 (i32.load offset=52 (i32.const 65536)))))))
           (if (i32.eq (i32.load16_u offset=52 (local.get $at)) (i32.const 666))
             (then (if (i64.ne {ask} (i64.const {answer})) (then return))))
           (call $say (local.get $i) (i32.const 1)))"
    );
    let manifest = format!("{HEAD}snap = 4\n{RULE}");
    let text = SKELETON.replace(";; JUDGE", &judge).replace(
        ";; IMPORTS",
        &format!("(@custom \"portcullis.manifest\" {manifest:?}) {IMPORTS}"),
    );
    let wasm = wat::parse_str(text).unwrap();
    let plugin = LOADER.load_with(&wasm, &Grants::standard(), section(b"--HEAD--")).unwrap();
    plugin.give_regexes(Arc::new(Bank));
    let mut host = host(&plugin);
    for flow in 0..4 {
        let code = if flow == 2 { 666 } else { 0 };
        offer(&mut host, (flow, code), &[shown(buffer_kind::HTTP_URI, 1, b"/a/long END")], &[]);
    }
    run(&mut host)
}

#[test]
fn wrong_questions_are_answered_by_a_code() {
    let i32 = |call: &str| format!("(i64.extend_i32_s {call})");
    let h = "(global.get $h)";
    let table = [
        (i32(&format!("(call $read {h} (i32.const 2) (i32.const 4096) (i32.const 99))")), 9),
        (i32(&format!("(call $read {h} (i32.const 11) (i32.const 4096) (i32.const 99))")), 0),
        (i32(&format!("(call $read {h} (i32.const 12) (i32.const 4096) (i32.const 1))")), -3),
        (i32(&format!("(call $read {h} (i32.const 0) (i32.const 4096) (i32.const -1))")), -3),
        (i32(&format!("(call $read {h} (i32.const 0) (i32.const -9) (i32.const 9))")), -3),
        (i32("(call $read (i32.const 0) (i32.const 0) (i32.const 4096) (i32.const 9))"), -2),
        (i32("(call $read (i32.const -1) (i32.const 0) (i32.const 4096) (i32.const 9))"), -2),
        (i32("(call $get (i32.const -1) (i32.const 1) (i32.const 11) (i32.const 0))"), -2),
        (i32("(call $get (local.get $i) (i32.const 1) (i32.const -1) (i32.const 0))"), -2),
        (i32("(call $get (local.get $i) (i32.const 9) (i32.const 11) (i32.const 0))"), -2),
        (format!("(call $regex (i32.const 0) {h} (i32.const 3))"), (8_i64 << 32) + 11),
        (format!("(call $regex (i32.const 0) {h} (i32.const 9))"), -8),
        (format!("(call $regex (i32.const 0) {h} (i32.const -1))"), -3),
        (format!("(call $regex (i32.const 1) {h} (i32.const 0))"), -9),
        (format!("(call $regex (i32.const -1) {h} (i32.const 0))"), -2),
        ("(call $regex (i32.const 0) (i32.const 77) (i32.const 0))".into(), -2),
        (regex_bytes(0, 2048, 5, 0), -8),
        (regex_bytes(0, 2048, 5, 6), -3),
        (regex_bytes(0, -2, 4, 0), -3),
        (regex_bytes(1, 2048, 5, 0), -9),
        (regex_bytes(-1, 2048, 5, 0), -2),
        (i32(&section_read(2048, 5, 6, 4096, 99)), 2),
        (i32(&section_read(2048, 5, 8, 4096, 99)), 0),
        (i32(&section_read(2048, 5, 9, 4096, 1)), -3),
        (i32(&section_read(2048, 5, -1, 4096, 1)), -3),
        (i32(&section_read(2048, 5, 0, 4096, -1)), -3),
        (i32(&section_read(2048, 5, 0, -1, 4)), -3),
        (i32(&section_read(2048, 4, 0, 4096, 4)), -2),
        (i32(&section_read(-4, 5, 0, 4096, 4)), -3),
        (i32(&section_read(2048, 65, 0, 4096, 4)), -6),
        (i32("(call $patterns (i32.const 2048) (i32.const 5))"), -5),
        ("(i64.extend_i32_u (i64.gt_u (call $fuel) (i64.const 99)))".into(), 1),
    ];
    for (ask, answer) in table {
        let (findings, faults) = hostile(&ask, &answer.to_string());
        assert_eq!((findings.len(), faults.len()), (4, 0), "{ask} is not {answer}");
    }
}

fn regex_bytes(id: i32, at: i32, len: i32, from: i32) -> String {
    format!("(call $own (i32.const {id}) (i32.const {at}) (i32.const {len}) (i32.const {from}))")
}

fn section_read(name: i32, name_len: i32, offset: i32, to: i32, len: i32) -> String {
    format!(
        "(call $section (i32.const {name}) (i32.const {name_len}) (i32.const {offset}) \
         (i32.const {to}) (i32.const {len}))"
    )
}

#[test]
fn what_costs_more_than_the_budget_costs_one_event() {
    // Half a mebibyte of rows would cost two million units, of four hundred thousand.
    let (findings, faults) =
        hostile("(i64.extend_i32_s (call $patterns (i32.const 0) (i32.const 524288)))", "-5");
    assert_eq!(findings.len(), 3);
    assert!(matches!(faults[..], [Fault { kind: FaultKind::Fuel, flow: Some((2, 1)), .. }]));
    // And so a quarter of a mebibyte to be looked through, wherever it is said to lie.
    for at in [0, -1] {
        let said = hostile(&regex_bytes(0, at, 1 << 18, 0), "-8");
        assert_eq!((said.0.len(), said.1.len()), (3, 1), "{at}");
    }
    let again = "(loop $x (br_if $x (i64.ne (call $regex (i32.const 0) (global.get $h) \
                 (i32.const 0)) (i64.const -99)))) (i64.const 0)";
    let (findings, faults) = hostile(&format!("(block (result i64) {again})"), "0");
    assert_eq!((findings.len(), faults.len()), (3, 1), "each of endless calls is charged");
}

#[test]
fn hits_without_their_buffer_are_told_all_the_same() {
    let manifest = format!("{HEAD}{RULE}").replace(", \"regex\"", "").replace("\"buffer\", ", "");
    let manifest = manifest.replace("\"buffer\"", "").replace("[,", "[");
    struct Counts;
    impl Detector for Counts {
        fn new(_: &Init<'_>) -> Self {
            Counts
        }
        fn on_event(&mut self, event: &EventView<'_>, out: &mut Findings<'_>) {
            let hits: Vec<_> = event.hits().map(|h| (h.pattern, h.buffer == NONE)).collect();
            let buffers = event.buffers().filter(|(b, _)| b.flags & Buffer::GAP == 0).count();
            out.find(1).text(format_args!("{hits:?} {buffers}")).send();
        }
    }
    let factory = || -> Box<dyn NativeGuest> { Box::new(Guest::<Counts>::new()) };
    let plugin = LOADER.native(manifest.as_bytes(), factory, &Grants::standard()).unwrap();
    let mut host = host(&plugin);
    let hits: Vec<_> = (0..5_000u32)
        .map(|n| OfferedHit { plugin: ID, buffer: 0, pattern: n % 2, end: 1 })
        .collect();
    let uri = [shown(buffer_kind::HTTP_URI, 1, b"/login")];
    [&hits[..2], &hits].iter().for_each(|hits| offer(&mut host, (1, 0), &uri, hits));
    let (findings, _) = run(&mut host);
    assert_eq!(texts(&findings)[0], "[(0, true), (1, true)] 0");
    let (_, counters) = host.counters().next().unwrap();
    assert_eq!((counters.hits_cut, counters.batches), (904, 2));
}
