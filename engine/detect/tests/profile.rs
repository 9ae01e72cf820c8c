//! What rules cost, as any vendor's detector can have it told: measured by the host, on request.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use portcullis_detect::abi::{Event, EventKind, FlowRec, NativeGuest};
use portcullis_detect::{
    Clock, FlowHost, Grants, HostLimits, LoadLimits, Loader, Offer, PluginData, RuleCost, Spent,
};
use portcullis_plugin_sdk::{Detector, EventView, Findings, Guest, Init};
use portcullis_types::{Addr, FlowFacts, PluginId, Proof, SegmentId, Tick, VlanStack};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const ID: PluginId = PluginId(5);
const MANIFEST: &str = r#"
name = "of-a-vendor"
vendor = "Nobody"
version = "1"
abi = 1
classes = ["attack"]
scope = "flow"
events = ["packet"]
gid = 900
sids = [1, 99]
max_action = "report"
"#;
const MAY: &str = "capabilities = [\"profile\"]\n";

/// Tries rule 1 because of pattern 4, with success, and then rule 2.
struct Two;

impl Detector for Two {
    fn new(_: &Init<'_>) -> Self {
        Two
    }

    fn on_event(&mut self, _: &EventView<'_>, out: &mut Findings<'_>) {
        out.spent_on_none();
        out.spent_on((900, 1), Some(4), true);
        out.spent_on((900, 2), None, false);
    }
}

/// Each look at it is 10 ns later.
fn slow_clock() -> u64 {
    static NOW: AtomicU64 = AtomicU64::new(0);
    NOW.fetch_add(10, Relaxed)
}

/// Shows three packets; what each rule cost.
fn costs(manifest: &str, profile: Option<Clock>) -> Option<Vec<((u32, u32), RuleCost)>> {
    let loader = Loader::new(LoadLimits::default()).unwrap();
    let factory = || -> Box<dyn NativeGuest> { Box::new(Guest::<Two>::new()) };
    let (grants, data) = (Grants::standard(), PluginData::default());
    let plugin = loader.native_with(manifest.as_bytes(), factory, &grants, data).unwrap();
    let mut host = FlowHost::new(HostLimits { flows: 4, profile, ..HostLimits::default() });
    host.install(ID, plugin.warm().unwrap()).unwrap();
    let facts = FlowFacts {
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
    let flow = FlowRec { protocol: 6, server_port: 80, ..bytemuck::Zeroable::zeroed() };
    let event = Event { kind: EventKind::Packet.number(), ..bytemuck::Zeroable::zeroed() };
    for _ in 0..3 {
        host.offer(&Offer {
            flow: &flow,
            event,
            buffers: &[],
            hits: &[],
            facts: &facts,
            frame: None,
            flow_ref: None,
        });
    }
    host.run(Tick(1), &mut Vec::new(), &mut Vec::new());
    let (id, profile) = host.profiles().next()?;
    assert_eq!(id, ID);
    let mut costs: Vec<_> = profile.rules().map(|(id, cost)| (id, cost.clone())).collect();
    costs.sort_by_key(|(id, _)| *id);
    Some(costs)
}

#[test]
fn any_detectors_rules_are_measured_where_somebody_asks() {
    let manifest = format!("{MANIFEST}{MAY}");
    assert_eq!(costs(&manifest, None), None, "nobody asks");
    let time = Spent { total: 30, max: 10 };
    let first = RuleCost { checks: 3, hits: 3, time, patterns: vec![(4, 3)], ..Default::default() };
    let second = RuleCost { checks: 3, time, ..Default::default() };
    let want = vec![((900, 1), first), ((900, 2), second)];
    assert_eq!(costs(&manifest, Some(slow_clock)), Some(want));
    assert_eq!(costs(MANIFEST, Some(slow_clock)), Some(vec![]), "it does not ask for the call");
}
