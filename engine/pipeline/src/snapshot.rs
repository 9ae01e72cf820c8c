//! The whole of what an operator decided, as the street reads it: built off the street, immutable,
//! taken by a worker at a burst boundary with one pointer compare.

use portcullis_types::{Addr, BlockKey, PluginId, PortSide, Prefix, SegmentId};
use portcullis_verdict::Policy;
use portcullis_wire::{Checks, RejectSet};
use std::sync::Arc;

/// Which addresses of a segment are on the protected side.
///
/// Where networks are given, they decide; where only a port is given, whatever comes in by that
/// port is inside. Where both are given, either makes an address inside: an inside address is
/// never blocked by default, so the doubt goes to the operator's own machines.
#[derive(Clone, Debug, Default)]
pub struct Inside {
    /// The port on the protected side.
    pub port: Option<PortSide>,
    /// The protected networks.
    pub protected: Vec<Prefix>,
}

impl Inside {
    /// Whether an address is inside that was seen as a source on `side`, or as a destination on
    /// the other one.
    pub fn holds(&self, addr: Addr, side: PortSide) -> bool {
        self.port == Some(side) || self.protected.iter().any(|p| p.contains(addr))
    }

    /// Whether an address means all hosts of a protected network.
    pub fn is_broadcast(&self, addr: Addr) -> bool {
        self.protected.iter().any(|p| p.is_broadcast(addr))
    }
}

/// What becomes of a flow that a faulting detector has not judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnFault {
    /// It passes; events say `unscanned`.
    #[default]
    Open,
    /// It is dropped.
    Closed,
}

/// Policy of the street at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts up with each reload; 1 is the start.
    pub generation: u64,
    /// Classes, exclusions, ceilings, modes.
    pub policy: Arc<Policy>,
    /// Checksums that `wire` verifies.
    pub checks: Checks,
    /// Malformations whose frames are dropped.
    pub drop_rejects: RejectSet,
    /// Protected sides, by segment number.
    pub inside: Vec<Inside>,
    /// What a detector's fault means for the flow.
    pub on_fault: OnFault,
    /// Detectors' names, by plugin number.
    pub detectors: Vec<Arc<str>>,
}

impl Snapshot {
    /// The name of a detector; `unknown` for a number that no plugin has.
    pub fn detector(&self, plugin: PluginId) -> Arc<str> {
        self.detectors.get(usize::from(plugin.0)).map_or_else(|| Arc::from("unknown"), Arc::clone)
    }

    /// The protected side of a segment; nothing is inside where nothing is configured.
    pub fn inside(&self, segment: SegmentId) -> Option<&Inside> {
        self.inside.get(usize::from(segment.0))
    }

    /// Whether the source and the destination of a packet that came in by `side` are inside.
    pub fn ends_inside(
        &self,
        segment: SegmentId,
        side: PortSide,
        ends: (Addr, Addr),
    ) -> (bool, bool) {
        self.inside(segment).map_or((false, false), |inside| {
            (inside.holds(ends.0, side), inside.holds(ends.1, side.other()))
        })
    }

    /// Whether a network must never be blocked whole: it holds protected or inside addresses.
    pub fn spares(&self, key: &BlockKey) -> bool {
        let inside = self.inside(key.segment);
        self.policy.protected.touches(key.segment, key.vlan, key.source)
            || inside.is_some_and(|i| i.protected.iter().any(|p| p.overlaps(&key.source)))
    }
}
