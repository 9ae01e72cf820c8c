//! Addresses that are never blocked, and addresses that the inventory vouches for.

use crate::Place;
use portcullis_types::{Addr, Prefix, SegmentId, VlanStack};
use std::collections::HashSet;

/// Why an address is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtectedReason {
    /// A domain controller.
    DomainController,
    /// A gateway: blocking it cuts everybody behind it.
    Gateway,
    /// An end of an operator's own management session. Not even its connections are ended.
    Management,
    /// A name server.
    NameServer,
    /// Listed by the operator.
    Operator,
}

impl ProtectedReason {
    /// The words in events and explanations.
    pub fn name(self) -> &'static str {
        match self {
            ProtectedReason::DomainController => "domain controller",
            ProtectedReason::Gateway => "gateway",
            ProtectedReason::Management => "management session",
            ProtectedReason::NameServer => "name server",
            ProtectedReason::Operator => "listed by the operator",
        }
    }
}

/// One protected network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedRow {
    /// The network.
    pub prefix: Prefix,
    /// The segment; `None` for all.
    pub segment: Option<SegmentId>,
    /// The place in the segment.
    pub place: Place,
    /// Why.
    pub reason: ProtectedReason,
}

/// The list of protected addresses. Short: it is walked.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ProtectedAddresses {
    /// The rows; the first that matches names the reason.
    pub rows: Vec<ProtectedRow>,
}

impl ProtectedAddresses {
    /// Why the address is protected at this place, if it is. A management session counts before all
    /// other reasons, since it protects most.
    pub fn reason(
        &self,
        segment: SegmentId,
        vlan: VlanStack,
        addr: Addr,
    ) -> Option<ProtectedReason> {
        let mut matching =
            self.rows.iter().filter(|row| row.prefix.contains(addr) && row.at(segment, vlan));
        let first = matching.next()?.reason;
        let rest = matching.any(|row| row.reason == ProtectedReason::Management);
        Some(if rest { ProtectedReason::Management } else { first })
    }

    /// Whether a network holds, or lies within, a protected one at this place.
    pub fn touches(&self, segment: SegmentId, vlan: VlanStack, network: Prefix) -> bool {
        self.rows.iter().any(|row| row.prefix.overlaps(&network) && row.at(segment, vlan))
    }
}

impl ProtectedRow {
    fn at(&self, segment: SegmentId, vlan: VlanStack) -> bool {
        self.segment.is_none_or(|s| s == segment) && self.place.holds(vlan)
    }
}

/// One machine of the inventory, at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InventoryRow {
    /// The segment.
    pub segment: SegmentId,
    /// The place in it.
    pub vlan: VlanStack,
    /// The address.
    pub addr: Addr,
}

/// The machines that the inventory vouches for: proof of source (d).
#[derive(Clone, Debug, Default)]
pub struct InventoryProof {
    rows: HashSet<InventoryRow>,
}

impl InventoryProof {
    /// The set of these machines.
    pub fn new(rows: impl IntoIterator<Item = InventoryRow>) -> Self {
        InventoryProof { rows: rows.into_iter().collect() }
    }

    /// Whether the address is in the inventory at this very place.
    pub fn vouches(&self, segment: SegmentId, vlan: VlanStack, addr: Addr) -> bool {
        !self.rows.is_empty() && self.rows.contains(&InventoryRow { segment, vlan, addr })
    }
}
