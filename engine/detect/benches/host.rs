//! What the plugin host costs: `cargo bench -p portcullis-detect`. Prints nanoseconds per event,
//! the best of several rounds, since a shared machine only ever adds.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use portcullis_detect::abi::{Event, EventKind, FlowRec};
use portcullis_detect::{FlowHost, Grants, HostLimits, LoadLimits, Loader, Offer, Plugin, Shown};
use portcullis_plugin_sdk::{Detector, EventView, Findings, Guest, Init};
use portcullis_types::{Addr, FlowFacts, PluginId, Proof, SegmentId, Tick, VlanStack};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const SKELETON: &str = include_str!("../../../tests/hostile/skeleton.wat");

/// Looks at one field, as the guest below does.
struct Trivial(u64);

impl Detector for Trivial {
    fn new(_: &Init<'_>) -> Self {
        Trivial(0)
    }
    fn on_event(&mut self, event: &EventView<'_>, _: &mut Findings<'_>) {
        self.0 += u64::from(event.tcp_flags());
    }
}

const JUDGE: &str = "(global $sum (mut i32) (i32.const 0))
    (func $judge (param $i i32) (param $at i32)
      (global.set $sum (i32.add (global.get $sum) (i32.load8_u offset=6 (local.get $at)))))";

fn manifest(snap: u32) -> String {
    format!(
        "name = \"trivial\"\nvendor = \"-\"\nversion = \"1\"\nabi = 1\nclasses = [\"attack\"]\n\
         scope = \"flow\"\nevents = [\"packet\"]\nprotocols = [\"tcp\"]\nports = [80]\n\
         snap = {snap}\ngid = 1\nsids = [1, 1]\n"
    )
}

fn sandboxed(loader: &Loader, snap: u32) -> Arc<Plugin> {
    let text = SKELETON
        .replace(";; JUDGE", JUDGE)
        .replace(";; IMPORTS", &format!("(@custom \"portcullis.manifest\" {:?})", manifest(snap)));
    loader.load(&wat::parse_str(text).unwrap(), &Grants::standard()).unwrap()
}

fn host(plugin: &Arc<Plugin>) -> FlowHost {
    let mut host = FlowHost::new(HostLimits::default());
    host.install(PluginId(0), plugin.warm().unwrap()).unwrap();
    host
}

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
    client_proof: Proof::None,
    server_proof: Proof::None,
};

/// Nanoseconds for one of `n` calls, the best of rounds.
fn best(n: u32, mut round: impl FnMut()) -> f64 {
    (0..30)
        .map(|_| {
            let begin = Instant::now();
            round();
            begin.elapsed().as_secs_f64() * 1e9 / f64::from(n)
        })
        .fold(f64::MAX, f64::min)
}

fn offered(host: &mut FlowHost, batch: u32, payload: &[u8]) -> f64 {
    let (mut findings, mut faults) = (Vec::new(), Vec::new());
    let batches = 2_000;
    let mut at = 0u64;
    best(batch * batches, || {
        for _ in 0..batches {
            for flow in 0..batch {
                at += 1;
                let rec = FlowRec {
                    id: u64::from(flow),
                    protocol: 6,
                    server_port: 80,
                    packets_to_server: at,
                    ..bytemuck::Zeroable::zeroed()
                };
                let event = Event {
                    kind: EventKind::Packet.number(),
                    tcp_flags: 0x10,
                    at,
                    ..bytemuck::Zeroable::zeroed()
                };
                host.offer(black_box(&Offer {
                    flow: &rec,
                    event,
                    buffers: &[Shown::payload(payload)],
                    hits: &[],
                    facts: &FACTS,
                    frame: None,
                    flow_ref: Some((flow, 1)),
                }));
            }
            host.run(Tick(at), &mut findings, &mut faults);
        }
        assert!(findings.is_empty() && faults.is_empty());
    })
}

fn unwanted(host: &FlowHost, kind: EventKind, protocol: u8) -> f64 {
    let n = 1_000_000;
    best(n, || {
        let mut any = 0;
        for i in 0..n {
            let port = u16::try_from(i & 0xff).unwrap() | 0x100;
            any |= host.interests().wanting(black_box(kind), black_box(protocol), black_box(port));
        }
        assert_eq!(black_box(any), 0);
    })
}

fn main() {
    let limits = |batch_events| LoadLimits { batch_events, ..LoadLimits::default() };
    let payload = [0x41; 1400];
    for batch in [1, 8, 32, 256] {
        let loader = Loader::new(limits(batch)).unwrap();
        let wasm = sandboxed(&loader, 0);
        let native = loader
            .native(
                manifest(0).as_bytes(),
                || Box::new(Guest::<Trivial>::new()),
                &Grants::standard(),
            )
            .unwrap();
        println!(
            "header-only event, batch {batch:3}: sandboxed {:6.1} ns, native {:6.1} ns",
            offered(&mut host(&wasm), batch, &[]),
            offered(&mut host(&native), batch, &[]),
        );
    }
    let loader = Loader::new(limits(32)).unwrap();
    let wasm = sandboxed(&loader, 1400);
    println!(
        "1400 B payload, batch  32: sandboxed {:6.1} ns",
        offered(&mut host(&wasm), 32, &payload)
    );
    let host = host(&wasm);
    println!("unwanted, by kind: {:.2} ns", unwanted(&host, EventKind::FlowStart, 6));
    println!("unwanted, by protocol: {:.2} ns", unwanted(&host, EventKind::Packet, 17));
    println!("unwanted, by port: {:.2} ns", unwanted(&host, EventKind::Packet, 6));
    let begin = Instant::now();
    for _ in 0..100 {
        drop(black_box(wasm.warm().unwrap()));
    }
    println!("warm an instance: {:.1} us", begin.elapsed().as_secs_f64() * 1e4);
}
