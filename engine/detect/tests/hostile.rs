//! Hostile plugins are refused by a sentence, or contained: one event is lost, it is named, and
//! the other flows of the same batch are judged as if nothing had happened.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use portcullis_detect::abi::{Event, EventKind, FlowRec};
use portcullis_detect::{
    Fault, FaultKind, FlowHost, Grants, HostLimits, LoadError, LoadLimits, Loader, Offer, Plugin,
    PluginEvent, Refusal, Shown,
};
use portcullis_types::{
    Action, Addr, Finding, FlowFacts, FrameIndex, Party, PluginId, Proof, SegmentId, Tick,
    VlanStack,
};
use std::sync::{Arc, LazyLock};

const MANIFEST: &str = r#"
name = "hostile"
vendor = "Nobody"
version = "1"
abi = 1
classes = ["attack"]
scope = "flow"
events = ["packet"]
fuel = 10000
gid = 900
sids = [1, 9]
max_action = "terminate"
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

const ID: PluginId = PluginId(3);
const SKELETON: &str = include_str!("../../../tests/hostile/skeleton.wat");
static LOADER: LazyLock<Loader> = LazyLock::new(|| Loader::new(LoadLimits::default()).unwrap());

fn module(judge: &str, imports: &str, manifest: Option<&str>) -> Vec<u8> {
    let text = SKELETON.replace(";; JUDGE", judge).replace(";; IMPORTS", imports);
    let mut wasm = wat::parse_str(text).unwrap();
    if let Some(manifest) = manifest {
        add_manifest(&mut wasm, manifest);
    }
    wasm
}

fn add_manifest(wasm: &mut Vec<u8>, manifest: &str) {
    let name = b"portcullis.manifest";
    let mut body = vec![u8::try_from(name.len()).unwrap()];
    body.extend(name);
    body.extend(manifest.as_bytes());
    wasm.push(0);
    let mut len = body.len();
    loop {
        let byte = u8::try_from(len & 0x7f).unwrap();
        len >>= 7;
        wasm.push(if len == 0 { byte } else { byte | 0x80 });
        if len == 0 {
            break;
        }
    }
    wasm.extend(body);
}

macro_rules! judge {
    ($name:literal) => {
        include_str!(concat!("../../../tests/hostile/", $name, ".wat"))
    };
}

fn plugin(judge: &str, manifest: &str) -> Arc<Plugin> {
    LOADER.load(&module(judge, "", Some(manifest)), &Grants::standard()).unwrap()
}

fn host(plugin: &Arc<Plugin>, spares: usize) -> FlowHost {
    let mut host = FlowHost::new(HostLimits { flows: 64, spares, ..HostLimits::default() });
    host.install(ID, plugin.warm().unwrap()).unwrap();
    (0..spares).for_each(|_| host.install_spare(ID, plugin.warm().unwrap()).unwrap());
    host
}

fn client(flow: u32) -> Addr {
    Addr::v4([192, 0, 2, u8::try_from(flow).unwrap()])
}

fn offer(host: &mut FlowHost, flow: u32, frame: u16, code: u16, at: u64) {
    let facts = FlowFacts {
        segment: SegmentId(0),
        vlan: VlanStack::UNTAGGED,
        tunnel: 0,
        protocol: 6,
        client: client(flow),
        server: Addr::v4([198, 51, 100, 1]),
        client_port: 40_000,
        server_port: 80,
        client_inside: false,
        server_inside: true,
        client_proof: Proof::Handshake,
        server_proof: Proof::None,
    };
    let rec = FlowRec {
        id: u64::from(flow),
        client: facts.client.octets(),
        server: facts.server.octets(),
        client_port: 40_000,
        server_port: 80,
        ip_version: 4,
        protocol: 6,
        packets_to_server: u64::from(frame),
        ..bytemuck::Zeroable::zeroed()
    };
    let event =
        Event { kind: EventKind::Packet.number(), code, at, ..bytemuck::Zeroable::zeroed() };
    host.offer(&Offer {
        flow: &rec,
        event,
        buffers: &[Shown::payload(b"GET / HTTP/1.1")],
        hits: &[],
        facts: &facts,
        frame: Some(FrameIndex(frame)),
        flow_ref: Some((flow, 1)),
    });
}

fn run(host: &mut FlowHost, now: u64) -> (Vec<Finding>, Vec<Fault>) {
    let (mut findings, mut faults) = (Vec::new(), Vec::new());
    host.run(Tick(now), &mut findings, &mut faults);
    (findings, faults)
}

fn events(host: &mut FlowHost) -> Vec<PluginEvent> {
    let mut out = Vec::new();
    host.take_events(&mut out);
    out.into_iter().map(|(_, e)| e).collect()
}

fn frames(findings: &[Finding]) -> Vec<u16> {
    findings.iter().map(|f| f.frame.unwrap().0).collect()
}

/// Eight flows, one packet each; that of flow 3 is crafted, and so is a later one of flow 3.
fn crafted(judge: &str) -> (FlowHost, Vec<Finding>, Vec<Fault>) {
    let mut host = host(&plugin(judge, MANIFEST), 2);
    for flow in 0..8u32 {
        let frame = u16::try_from(flow).unwrap();
        offer(&mut host, flow, frame, if flow == 3 { 666 } else { 0 }, 5);
    }
    offer(&mut host, 3, 8, 666, 5);
    let (findings, faults) = run(&mut host, 10);
    (host, findings, faults)
}

#[track_caller]
fn contained(judge: &str, kind: FaultKind) {
    let (mut host, findings, faults) = crafted(judge);
    assert_eq!(frames(&findings), [0, 1, 2, 4, 5, 6, 7], "all others are judged");
    assert_eq!(findings[0].rule.id.to_string(), "900:1:1");
    assert_eq!(findings[0].offender, Party::Addr(client(0)));
    assert_eq!((findings[0].proof, findings[0].action), (Proof::Handshake, Action::Terminate));
    assert_eq!(
        faults,
        [Fault {
            plugin: ID,
            flow: Some((3, 1)),
            frame: Some(FrameIndex(3)),
            offender: Party::Addr(client(3)),
            kind,
            at: Tick(5),
        }]
    );
    // The flow goes unscanned from now on; the others do not notice.
    offer(&mut host, 3, 0, 666, 20);
    offer(&mut host, 4, 1, 0, 20);
    let (findings, faults) = run(&mut host, 30);
    assert_eq!((frames(&findings), faults.len()), (vec![1], 0));
    // Two spares at least are wanted back, or one where the fault was certain at once.
    let (_, _, missing) = host.needs_spare().next().unwrap();
    assert_eq!(missing, if kind == FaultKind::Fuel { 2 } else { 1 });
    let events = events(&mut host);
    assert!(matches!(events[1], PluginEvent::Discarded { kind: k, .. } if k == kind), "{events:?}");
    assert!(!events.iter().any(|e| matches!(e, PluginEvent::Quarantined { .. })));
}

#[test]
fn a_trap_costs_one_event() {
    contained(judge!("trap"), FaultKind::Trap);
}

#[test]
fn a_crafted_packet_that_burns_the_budget_costs_one_event() {
    contained(judge!("loop"), FaultKind::Fuel);
}

#[test]
fn bulk_stores_over_all_memory_end_with_the_budget() {
    contained(judge!("fill"), FaultKind::Fuel);
}

#[test]
fn a_read_beyond_the_memory_costs_one_event() {
    contained(judge!("bounds"), FaultKind::Memory);
}

#[test]
fn endless_recursion_costs_one_event() {
    // Whichever comes first, the end of the stack or of the fuel.
    let (_, findings, faults) = crafted(judge!("stack"));
    assert_eq!(frames(&findings), [0, 1, 2, 4, 5, 6, 7]);
    assert!(matches!(faults[..], [Fault { kind: FaultKind::Memory | FaultKind::Fuel, .. }]));
}

#[test]
fn a_memory_bomb_stops_at_its_limit() {
    let (_, findings, faults) = crafted(judge!("bomb"));
    assert_eq!(frames(&findings), [0, 1, 2, 3, 4, 5, 6, 7, 8], "grow says no, nothing faults");
    assert_eq!(faults, []);
}

#[test]
fn a_neighbour_does_not_pay_for_a_greedy_packet() {
    let mut host = host(&plugin(judge!("greedy"), MANIFEST), 2);
    for flow in 0..8u32 {
        offer(&mut host, flow, 0, if flow == 3 { 666 } else { 0 }, 5);
    }
    let (findings, faults) = run(&mut host, 10);
    // What flow 3 took from the common budget it paid itself: it alone can be blamed.
    assert_eq!(findings.len() + faults.len(), 8);
    assert!(faults.iter().all(|f| f.flow == Some((3, 1))), "{faults:?}");
}

#[test]
fn a_verdict_flood_is_cut_and_counted() {
    let (host, findings, faults) = crafted(judge!("flood"));
    assert_eq!((findings.len(), faults.len()), (64, 0));
    let (_, counters) = host.counters().next().unwrap();
    assert!(counters.refused[Refusal::Flood as usize] > 100, "{counters:?}");
}

#[test]
fn garbage_verdicts_are_refused_by_name() {
    let mut host = host(&plugin(judge!("garbage"), MANIFEST), 2);
    offer(&mut host, 1, 0, 0, 5);
    offer(&mut host, 2, 1, 666, 5);
    let (findings, faults) = run(&mut host, 10);
    assert_eq!((frames(&findings), faults.len()), (vec![0, 1], 0));
    let cut = &findings[1];
    assert_eq!(cut.action, Action::Terminate, "the rule's own action is a ceiling");
    assert_eq!(cut.duration, Some(HostLimits::default().block));
    assert_eq!((&cut.evidence.text, &cut.evidence.bytes), (&None, &None));
    let (_, counters) = host.counters().next().unwrap();
    let refused = |r: Refusal| counters.refused[r as usize];
    assert_eq!(
        [Refusal::Event, Refusal::Rule, Refusal::Number, Refusal::Pass].map(refused),
        [2, 2, 1, 1]
    );
}

#[test]
fn without_a_spare_the_rest_is_named_and_nothing_else_breaks() {
    let mut host = host(&plugin(judge!("trap"), MANIFEST), 0);
    for flow in 0..4u32 {
        offer(&mut host, flow, 0, if flow == 1 { 666 } else { 0 }, 5);
    }
    let (findings, faults) = run(&mut host, 10);
    assert_eq!(findings.len(), 1);
    let kinds: Vec<FaultKind> = faults.iter().map(|f| f.kind).collect();
    assert_eq!(kinds, [FaultKind::Trap, FaultKind::NoInstance, FaultKind::NoInstance]);
    // A control thread warms what is wanted, and the plugin is back.
    let wanted: Vec<_> = host.needs_spare().collect();
    for (id, plugin, _) in wanted {
        let spare = std::thread::spawn(move || plugin.warm().unwrap()).join().unwrap();
        host.install_spare(id, spare).unwrap();
    }
    offer(&mut host, 5, 0, 0, 20);
    assert_eq!(run(&mut host, 30).0.len(), 1);
}

#[test]
fn flow_slots_survive_faults_and_swaps() {
    let manifest = MANIFEST.replace("fuel = 10000", "fuel = 10000\nflow_state = 8\nsnap = 64");
    let first = plugin(judge!("slot"), &manifest);
    let mut host = host(&first, 2);
    let burst = |host: &mut FlowHost, crafted: Option<u32>, at: u64| {
        for flow in 0..3u32 {
            let code = if crafted == Some(flow) { 666 } else { 0 };
            offer(host, flow, u16::try_from(flow).unwrap(), code, at);
        }
        frames(&run(host, at).0)
    };
    assert_eq!(burst(&mut host, None, 1), [0u16; 0], "the first of each flow");
    assert_eq!(burst(&mut host, Some(1), 2), [0, 2], "over a fault");
    let second = plugin(judge!("slot"), &manifest.replace("version = \"1\"", "version = \"2\""));
    host.install(ID, second.warm().unwrap()).unwrap();
    assert_eq!(burst(&mut host, None, 3), [0, 2], "over a swap; what was unscanned stays so");
    let other = plugin(judge!("slot"), &manifest.replace("= 8", "= 16"));
    host.install(ID, other.warm().unwrap()).unwrap();
    assert_eq!(burst(&mut host, None, 4), [0u16; 0], "another schema begins from zeros");
    let last = events(&mut host);
    assert!(last.iter().any(|e| matches!(e, PluginEvent::SlotsZeroed { .. })), "{last:?}");
    // Two events of one flow in one batch share the slot.
    offer(&mut host, 9, 1, 0, 5);
    offer(&mut host, 9, 2, 0, 5);
    assert_eq!(frames(&run(&mut host, 5).0), [2]);
}

fn fault_from(host: &mut FlowHost, flow: u32, now: u64) {
    let wanted: Vec<_> = host.needs_spare().collect();
    for (id, plugin, missing) in wanted {
        for _ in 0..missing {
            host.install_spare(id, plugin.warm().unwrap()).unwrap();
        }
    }
    offer(host, flow, 0, 666, now);
    run(host, now);
}

#[test]
fn several_offenders_are_a_quarantine_and_it_ends() {
    let second = 1_000_000_000;
    let mut host = host(&plugin(judge!("trap"), MANIFEST), 2);
    for flow in 1..=4 {
        fault_from(&mut host, flow, second);
    }
    let step = PluginEvent::Quarantined { rest: std::time::Duration::from_secs(1), offenders: 4 };
    assert!(events(&mut host).contains(&step));
    offer(&mut host, 9, 0, 0, second);
    assert_eq!(run(&mut host, second + 1), (vec![], vec![]), "it rests");
    run(&mut host, 2 * second);
    assert!(events(&mut host).contains(&PluginEvent::Resumed));
    offer(&mut host, 9, 0, 0, 2 * second);
    assert_eq!(run(&mut host, 2 * second).0.len(), 1);
}

#[test]
fn a_failing_version_is_rolled_back() {
    let good = plugin(
        "(func $judge (param i32) (param i32)
        (call $say (local.get 0) (i32.const 1)))",
        MANIFEST,
    );
    let bad = plugin(judge!("trap"), &MANIFEST.replace("version = \"1\"", "version = \"2\""));
    let mut host = host(&good, 2);
    host.install(ID, bad.warm().unwrap()).unwrap();
    for flow in 1..=4 {
        fault_from(&mut host, flow, 7);
    }
    let seen = events(&mut host);
    let back = PluginEvent::RolledBack { from: "2".into(), to: "1".into() };
    assert!(seen.contains(&back), "{seen:?}");
    let (id, plugin, _) = host.needs_spare().next().unwrap();
    assert!(Arc::ptr_eq(&plugin, &good));
    host.install_spare(id, plugin.warm().unwrap()).unwrap();
    run(&mut host, 2_000_000_000);
    offer(&mut host, 9, 0, 666, 2_000_000_001);
    assert_eq!(run(&mut host, 2_000_000_001).0.len(), 1);
}

#[test]
fn one_offender_is_muted_and_the_plugin_goes_on() {
    let mut host = host(&plugin(judge!("trap"), MANIFEST), 2);
    for index in 0..6u32 {
        // The same client, another flow each time.
        let wanted: Vec<_> = host.needs_spare().collect();
        for (id, plugin, missing) in wanted {
            (0..missing).for_each(|_| host.install_spare(id, plugin.warm().unwrap()).unwrap());
        }
        offer_as(&mut host, 7, 20 + index);
        run(&mut host, 5);
    }
    let seen = events(&mut host);
    let discarded = seen.iter().filter(|e| matches!(e, PluginEvent::Discarded { .. })).count();
    assert_eq!(discarded, 3, "{seen:?}");
    assert!(seen.iter().any(|e| matches!(e, PluginEvent::Muted { .. })));
    offer(&mut host, 1, 0, 0, 6);
    assert_eq!(run(&mut host, 6).0.len(), 1);
}

#[test]
fn an_unloaded_plugin_is_silent_until_it_is_installed_again() {
    let plugin = plugin(judge!("trap"), MANIFEST);
    let mut host = host(&plugin, 1);
    offer(&mut host, 1, 0, 0, 5);
    host.unload(ID);
    offer(&mut host, 2, 0, 0, 5);
    assert_eq!(run(&mut host, 5).0.len(), 1, "what was pending is judged");
    assert_eq!((host.needs_spare().count(), host.plugins().count()), (0, 0));
    assert_eq!(host.interests().wanting(EventKind::Packet, 6, 80), 0);
    host.install(ID, plugin.warm().unwrap()).unwrap();
    offer(&mut host, 2, 0, 0, 6);
    assert_eq!(run(&mut host, 6).0.len(), 1);
}

fn offer_as(host: &mut FlowHost, who: u32, flow: u32) {
    let facts = FlowFacts {
        segment: SegmentId(0),
        vlan: VlanStack::UNTAGGED,
        tunnel: 0,
        protocol: 6,
        client: client(who),
        server: Addr::v4([198, 51, 100, 1]),
        client_port: 1,
        server_port: 80,
        client_inside: false,
        server_inside: true,
        client_proof: Proof::None,
        server_proof: Proof::None,
    };
    let rec = FlowRec { protocol: 6, ..bytemuck::Zeroable::zeroed() };
    let event = Event { kind: 1, code: 666, at: 5, ..bytemuck::Zeroable::zeroed() };
    let flow_ref = Some((flow, 1));
    host.offer(&Offer {
        flow: &rec,
        event,
        buffers: &[],
        hits: &[],
        facts: &facts,
        frame: None,
        flow_ref,
    });
}

fn refusal(wasm: &[u8]) -> String {
    let error: LoadError = LOADER.load(wasm, &Grants::standard()).unwrap_err();
    error.to_string()
}

const QUIET: &str = "(func $judge (param i32) (param i32))";

#[test]
fn what_must_not_load_is_refused_by_a_sentence() {
    let with = |manifest: &str| module(QUIET, "", Some(manifest));
    let swap = |from: &str, to: &str| {
        assert!(MANIFEST.contains(from));
        refusal(&with(&MANIFEST.replace(from, to)))
    };
    let mut twice = with(MANIFEST);
    add_manifest(&mut twice, MANIFEST);
    let wasi = "(import \"wasi_snapshot_preview1\" \"fd_write\" (func (param i32 i32 i32 i32) (result i32)))";
    let count = "(import \"portcullis_1\" \"count\" (func (param i32 i32 i32 i32) (result i32)))";
    let odd = "(import \"portcullis_1\" \"random\" (func (param i32) (result i32)))";
    let start = "(start $quiet) (func $quiet)";
    let double = MANIFEST.to_owned() + &MANIFEST[MANIFEST.find("[[rule]]").unwrap()..];
    let random = MANIFEST.replace("gid =", "capabilities = [\"random\"]\ngid =");
    let table = [
        (refusal(b"MZ\x90"), "no WebAssembly module"),
        (refusal(b"\0asm\x0d\0\x01\0"), "give the core module"),
        (refusal(&module(QUIET, "", None)), "has no manifest; add `export_detector!"),
        (refusal(&twice), "two manifests"),
        (refusal(&with(MANIFEST)[..400]), "middle of a section"),
        (refusal(&with("\u{0}\u{1}garbage")), "manifest is not understood"),
        (refusal(&module(QUIET, wasi, Some(MANIFEST))), "no WASI"),
        (refusal(&module(QUIET, count, Some(MANIFEST))), "add \"count\" to `capabilities`"),
        (refusal(&module(QUIET, odd, Some(&random))), "imports of the module do not fit"),
        (refusal(&module(&format!("{QUIET}{start}"), "", Some(MANIFEST))), "start function"),
        (swap("abi = 1", "abi = 2"), "built for plugin ABI 2"),
        (swap("fuel = 10000", "memory_mib = 64"), "wants 64 MiB of memory and is granted 16"),
        (swap("sids = [1, 9]", "sids = [2, 9]"), "rule 1 lies outside"),
        (swap("[\"packet\"]", "[\"pakket\"]"), "write one of packet, flow-start"),
        (swap("fuel = 10000", "fool = 1"), "unknown field `fool`"),
        (swap("fuel = 10000", "capabilities = [\"root\"]"), "write one of bit, buffer"),
        (swap("fuel = 10000", "anomalies = [\"nonsense\"]"), "knows no anomaly \"nonsense\""),
        (swap("max_action = \"terminate\"", "max_action = \"report\""), "more than `max_action`"),
        (refusal(&with(&double)), "rule 1 is there twice"),
    ];
    for (sentence, wanted) in table {
        assert!(sentence.contains(wanted), "{sentence:?} lacks {wanted:?}");
    }
    let mut bare = wat::parse_str("(module (memory (export \"memory\") 1))").unwrap();
    add_manifest(&mut bare, MANIFEST);
    assert!(refusal(&bare).contains("does not export `portcullis_layout`"));
    let large = SKELETON.replace("\"memory\") 8", "\"memory\") 400").replace(";; JUDGE", QUIET);
    let mut large = wat::parse_str(large).unwrap();
    add_manifest(&mut large, MANIFEST);
    assert!(refusal(&large).contains("more than its manifest's `memory_mib`"));
}

#[test]
fn arenas_outside_of_the_memory_are_refused_once_and_for_all() {
    let bytes = "\"\\00\\00\\01\\00\" \"\\00\\00\\00\\00\" \"\\00\\80";
    assert!(SKELETON.contains(bytes));
    for (from, to, why) in [
        ("\"\\00\\00\\01\\00\"", "\"\\00\\00\\ff\\ff\"", "outside of the memory"),
        ("\"\\00\\00\\01\\00\"", "\"\\00\\80\\00\\00\"", "overlap"),
        ("\"\\00\\00\\01\\00\"", "\"\\01\\00\\01\\00\"", "multiples of 16"),
        ("\"\\c8\\00\\00\\00\"", "\"\\c8\\00\\00\\7f\"", "outside of the output arena"),
        ("\"PCA1\"", "\"PCA2\"", "does not say ABI 1"),
        (
            "(i32.const 1024))\n  (func (export \"portcullis_init\")",
            "(i32.const -8))\n  (func (export \"portcullis_init\")",
            "outside of the memory",
        ),
        ("(result i32) (i32.const 0))", "(result i32) (i32.const 9))", "refuses to start, code 9"),
        (
            "(result i32) (i32.const 0))",
            "(result i32) (loop $x (br $x)) (i32.const 9))",
            "faulted at init: fuel",
        ),
    ] {
        assert!(SKELETON.contains(from), "{from}");
        let text = SKELETON.replace(from, to).replace(";; JUDGE", QUIET);
        let mut wasm = wat::parse_str(text).unwrap();
        add_manifest(&mut wasm, MANIFEST);
        let plugin = LOADER.load(&wasm, &Grants::standard()).unwrap();
        let Err(error) = plugin.warm() else { panic!("{to} was believed") };
        assert!(error.to_string().contains(why), "{error} lacks {why}");
    }
}
