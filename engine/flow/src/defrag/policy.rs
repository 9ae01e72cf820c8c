//! What defragmentation is told: sizes at start, policy per fragment; and what it counts.

use crate::defrag::table::{Datagram, HEADS};
use crate::patchwork::Pieces;
use crate::pool::Pages;
use crate::slab::{Index, Lists};
use crate::streams::Placement;
use crate::target::{FragmentPolicy, TargetPolicy};
use portcullis_types::MemoryTerm;
use std::time::Duration;

/// What overlapping fragments of IPv6 are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ipv6Overlap {
    /// The target's policy for IPv4 holds (Suricata).
    AsTarget,
    /// The datagram is given up, as RFC 5722 demands.
    #[default]
    Discard,
}

/// How the datagrams of a network are put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DefragPolicy {
    /// What its hosts do with overlapping fragments. Counts only where the engine is watching.
    pub target: TargetPolicy,
    /// Inline or watching.
    pub placement: Placement,
    /// Overlaps of IPv6.
    pub ipv6_overlap: Ipv6Overlap,
}

impl DefragPolicy {
    pub(crate) fn overlap(&self, ip_version: u8) -> FragmentPolicy {
        match (self.placement, ip_version, self.ipv6_overlap) {
            (Placement::Inline, ..) => FragmentPolicy::First,
            (_, 6, Ipv6Overlap::Discard) => FragmentPolicy::Discard,
            _ => self.target.fragments(),
        }
    }
}

/// How much room there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DefragConfig {
    /// Datagrams followed at once: 4,096. When there are more, a new one is refused (inline) or
    /// the oldest forgotten (watching).
    pub datagrams: u32,
    /// Bytes of fragments held: 16 MiB. When there are more, the oldest datagram is given up.
    pub bytes: u64,
    /// Fragments held: 32,768.
    pub fragments: u32,
    /// Fragments of one datagram: 1,024.
    pub fragments_per_datagram: u32,
    /// How long a datagram of IPv4 is followed: 60 s, so that none of its receivers (Linux: 30 s,
    /// Windows: 60 s) still has parts of one that is forgotten here.
    pub timeout_v4: Duration,
    /// How long one of IPv6 is: 60 s (RFC 8200, 4.5).
    pub timeout_v6: Duration,
}

impl Default for DefragConfig {
    fn default() -> Self {
        DefragConfig {
            datagrams: 4096,
            bytes: 16 << 20,
            fragments: 32_768,
            fragments_per_datagram: 1024,
            timeout_v4: Duration::from_secs(60),
            timeout_v6: Duration::from_secs(60),
        }
    }
}

impl DefragConfig {
    pub(crate) fn room(&self) -> u32 {
        self.datagrams.clamp(1, 1 << 20)
    }

    pub(crate) fn pages(&self) -> u32 {
        let pages = self.bytes.div_ceil(crate::pool::PAGE.cast_unsigned());
        // The largest datagram takes 33 pages and its header one.
        u32::try_from(pages).unwrap_or(u32::MAX).clamp(40, 1 << 24)
    }

    /// What defragmentation of this configuration takes, all at start.
    pub fn memory_terms(&self) -> Vec<MemoryTerm> {
        let room = self.room();
        let table = u64::from(room) * size_of::<Datagram>() as u64
            + Index::bytes(room)
            + Lists::bytes(room, HEADS);
        let term = |what: String, bytes| MemoryTerm { what, bytes };
        vec![
            term(format!("defragmentation: datagrams ({room})"), table),
            term(
                format!("defragmentation: bytes ({} pages)", self.pages()),
                Pages::bytes_for(self.pages()),
            ),
            term(
                format!("defragmentation: fragments ({})", self.fragments),
                Pieces::bytes_for(self.fragments),
            ),
        ]
    }
}

/// What defragmentation counts. Per worker; `control` adds them up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DefragCounters {
    /// Fragments seen.
    pub fragments: u64,
    /// Datagrams made whole.
    pub whole: u64,
    /// Fragments that repeat others, byte for byte.
    pub duplicates: u64,
    /// Fragments that cover bytes that others had, in another shape or with other bytes.
    pub overlaps: u64,
    /// Of these, those with other bytes.
    pub conflicts: u64,
    /// Datagrams given up because their receiver gives them up, or because of a verdict.
    pub condemned: u64,
    /// Datagrams given up for want of memory.
    pub starved: u64,
    /// Datagrams forgotten to make place for others.
    pub evicted: u64,
    /// Datagrams forgotten because they stayed in pieces.
    pub expired: u64,
    /// Fragments refused.
    pub refused: u64,
    /// Pages in use, and the most there ever were.
    pub pages: u64,
    /// The most pages there ever were in use.
    pub pages_max: u64,
}
