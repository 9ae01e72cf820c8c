//! Policy and configuration → [`Snapshot`]: the whole of what an operator decided, as the street
//! reads it.
//!
//! Off the street. It must never know who takes the snapshot, or when.

use crate::config::{ChecksumPolicy, Config, OnFault, Overlap};
use crate::policy::Built;
use portcullis_pipeline as pipeline;
use portcullis_pipeline::{Inside, Snapshot};
use portcullis_types::{PluginId, Prefix};
use portcullis_verdict::{PassGrants, Policy};
use portcullis_wire::{Checks, Reject, RejectSet};
use std::sync::Arc;

/// The snapshot of a policy; `detectors` are the plugins' names by number.
pub fn snapshot(
    built: &Built,
    config: &Config,
    generation: u64,
    detectors: &[Arc<str>],
) -> Snapshot {
    Snapshot {
        generation,
        policy: Arc::new(granted(built.policy.clone(), config, detectors)),
        checks: checks(config),
        drop_rejects: drop_rejects(built, config),
        inside: inside(config),
        on_fault: match config.plugins.on_fault {
            OnFault::Open => pipeline::OnFault::Open,
            OnFault::Closed => pipeline::OnFault::Closed,
        },
        detectors: detectors.to_vec(),
    }
}

/// The same with other protected networks, on every segment and whatever the ports: for captures,
/// which come in by one port. Without networks nothing is inside.
pub fn protecting(mut snapshot: Snapshot, networks: &[Prefix]) -> Snapshot {
    for inside in &mut snapshot.inside {
        *inside = Inside { port: None, protected: networks.to_vec() };
    }
    let mut policy = (*snapshot.policy).clone();
    for segment in &mut policy.segments {
        segment.protected = networks.to_vec();
    }
    snapshot.policy = Arc::new(policy);
    snapshot
}

/// The policy with the plugins whose grant lists `pass`, by number.
fn granted(mut policy: Policy, config: &Config, detectors: &[Arc<str>]) -> Policy {
    let holders = detectors
        .iter()
        .zip(0u16..)
        .filter(|(name, _)| config.plugins.grant(name).allows_pass())
        .map(|(_, id)| PluginId(id));
    policy.pass = PassGrants { plugins: holders.collect() };
    policy
}

/// What each checksum policy is about: the check, and the malformations that it finds.
fn checksums(config: &Config) -> [(ChecksumPolicy, Checks, RejectSet); 4] {
    let set = |rejects: &[Reject]| rejects.iter().copied().collect::<RejectSet>();
    let wire = &config.wire;
    let icmp = Checks::ICMPV4.with(Checks::ICMPV6).with(Checks::IGMP);
    [
        (wire.checksum_ipv4, Checks::IPV4, set(&[Reject::Ipv4Checksum])),
        (wire.checksum_tcp, Checks::TCP, set(&[Reject::TcpChecksum])),
        (wire.checksum_udp, Checks::UDP, set(&[Reject::UdpChecksum])),
        (
            wire.checksum_icmp,
            icmp,
            set(&[Reject::Icmpv4Checksum, Reject::Icmpv6Checksum, Reject::IgmpChecksum]),
        ),
    ]
}

fn checks(config: &Config) -> Checks {
    checksums(config)
        .into_iter()
        .filter(|(policy, ..)| *policy != ChecksumPolicy::Ignore)
        .fold(Checks::NONE, |all, (_, check, _)| all.with(check))
}

/// What is dropped: what no receiver takes and what serves attacks only, and of the things that
/// have a policy of their own (checksums, overlapping fragments) those whose policy says so.
fn drop_rejects(built: &Built, config: &Config) -> RejectSet {
    let fragments: RejectSet =
        [Reject::FragmentOverlap, Reject::FragmentTeardrop].into_iter().collect();
    let mut set = RejectSet::DEFAULT_DROP.without(fragments);
    for (policy, _, rejects) in checksums(config) {
        set = match policy {
            ChecksumPolicy::Drop => set.union(rejects),
            ChecksumPolicy::Ignore | ChecksumPolicy::Report => set.without(rejects),
        };
    }
    if config.flow.fragment_overlap == Overlap::Drop {
        set = set.union(fragments);
    }
    set.union(built.drops)
}

fn inside(config: &Config) -> Vec<Inside> {
    let sides = config.segments.iter();
    sides.map(|s| Inside { port: s.inside, protected: s.protected.clone() }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

    use super::*;
    use crate::policy::{Overrides, build};
    use portcullis_types::{PortSide, SegmentId, Tick};
    use portcullis_verdict::WallClock;
    use std::path::Path;

    const SEGMENT: &str = "[[segment]]\nname = \"dmz\"\nports = [\"a\", \"b\"]\ninside = \"b\"\n";

    fn of(text: &str) -> Snapshot {
        let loaded = Config::parse(Path::new("p.toml"), format!("{text}\n{SEGMENT}")).unwrap();
        let built = build(&loaded, &Overrides::default(), WallClock::REPLAY, Tick(0)).unwrap();
        snapshot(&built, &loaded.config, 3, &["a".into(), "b".into()])
    }

    #[test]
    fn checksum_policies_decide_what_is_looked_at_and_what_is_dropped() {
        let shipped = of("");
        assert_eq!(shipped.checks, Checks::ALL);
        assert!(shipped.drop_rejects.contains(Reject::Ipv4Checksum));
        assert!(!shipped.drop_rejects.contains(Reject::TcpChecksum), "report");
        assert!(Reject::ALL.iter().all(|r| !r.is_fatal() || shipped.drop_rejects.contains(*r)));
        let other = of("[wire]\nchecksum_ipv4 = \"ignore\"\nchecksum_tcp = \"drop\"\n\
                        drop = [\"udp_checksum_missing\"]\n[flow]\nfragment_overlap = \"report\"");
        assert_eq!(
            other.checks,
            Checks::TCP
                .with(Checks::UDP)
                .with(Checks::ICMPV4.with(Checks::ICMPV6).with(Checks::IGMP))
        );
        assert!(!other.drop_rejects.contains(Reject::Ipv4Checksum));
        assert!(other.drop_rejects.contains(Reject::TcpChecksum));
        assert!(other.drop_rejects.contains(Reject::UdpChecksumMissing), "listed");
        let overlap = Reject::FragmentOverlap;
        assert!(shipped.drop_rejects.contains(overlap) && !other.drop_rejects.contains(overlap));
    }

    #[test]
    fn sides_faults_and_grants_are_carried_over() {
        let snapshot = of("[plugins]\non_fault = \"closed\"\n\
                           [plugins.grant.b]\ncapabilities = [\"pass\"]");
        assert_eq!((snapshot.generation, snapshot.on_fault), (3, pipeline::OnFault::Closed));
        assert_eq!(snapshot.policy.pass.plugins, [PluginId(1)]);
        let addr = "192.0.2.1".parse().unwrap();
        assert!(snapshot.ends_inside(SegmentId(0), PortSide::B, (addr, addr)).0);
        let nothing = protecting(snapshot.clone(), &[]);
        assert_eq!(nothing.ends_inside(SegmentId(0), PortSide::B, (addr, addr)), (false, false));
        let some = protecting(snapshot, &["192.0.2.0/24".parse().unwrap()]);
        assert_eq!(some.ends_inside(SegmentId(0), PortSide::A, (addr, addr)), (true, true));
        assert!(some.policy.segments[0].protects(addr));
    }
}
