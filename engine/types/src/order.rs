//! Orders: what travels from a verdict to the tables that carry it out.

use crate::{Addr, Class, Prefix, RuleId, SegmentId, Tick, VlanStack};
use std::sync::Arc;

/// What a block is about: segment × VLAN stack × source prefix, and the tunnel id where the
/// detection was inside a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BlockKey {
    /// The protected link.
    pub segment: SegmentId,
    /// The place on it: VIDs only.
    pub vlan: VlanStack,
    /// Whose traffic.
    pub source: Prefix,
    /// Tunnel id, 0 for none.
    pub tunnel: u32,
}

/// Where a frame comes from: what the key of a block is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Whence {
    /// The protected link.
    pub segment: SegmentId,
    /// The place on it.
    pub vlan: VlanStack,
    /// The source address.
    pub source: Addr,
    /// Tunnel id, 0 for none.
    pub tunnel: u32,
}

/// Who or what made a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A detector, by its manifest's name.
    Detector(Arc<str>),
    /// An operator, by the name that the control socket knows.
    Operator(Arc<str>),
    /// N offenders within one /64 raised it.
    Raised,
}

/// Why a block was made, for the list and the events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cause {
    /// Whose doing.
    pub origin: Origin,
    /// The class of the finding; `None` for an operator's block.
    pub class: Option<Class>,
    /// The rule; `None` for an operator's block.
    pub rule: Option<RuleId>,
    /// One line for people.
    pub message: Arc<str>,
    /// The protected machine that was the target.
    pub target: Option<Addr>,
    /// The flow whose finding made it (`flow_id` of the alert), 0 for none.
    pub flow_id: u64,
}

/// An order to block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockOrder {
    /// Whom and where.
    pub key: BlockKey,
    /// From when.
    pub since: Tick,
    /// Until when (exclusive): a packet at `until` passes.
    pub until: Tick,
    /// Why.
    pub cause: Cause,
}

/// The key of the kernel program's block map; `bpf/portcullis.bpf.c` has the same layout.
///
/// 24 bytes, no padding that the compiler fills: a map key is compared byte for byte.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(C)]
pub struct KernelKey {
    /// VIDs from the outermost in, 0 for none. The kernel parses two tags; deeper stacks go up.
    pub vids: [u16; 2],
    /// The segment's number.
    pub segment: u16,
    /// 4 or 6.
    pub family: u8,
    /// Bits of `addr` that count, within the family: 32, 64 or 128.
    pub prefix_len: u8,
    /// Network order; IPv4 in the first four bytes, zeros behind.
    pub addr: [u8; 16],
}

/// The value of the kernel program's block map.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct KernelBlock {
    /// `CLOCK_BOOTTIME` nanoseconds; the program passes a packet at or after it.
    pub until_boot_ns: u64,
    /// Packets stopped in the kernel (written by the program).
    pub packets: u64,
    /// Bytes stopped in the kernel (written by the program).
    pub bytes: u64,
}

impl BlockKey {
    /// Whether a frame from there is this block's.
    #[inline]
    pub fn holds(&self, from: &Whence) -> bool {
        self.segment == from.segment
            && self.vlan == from.vlan
            && self.tunnel == from.tunnel
            && self.source.contains(from.source)
    }

    /// The kernel map's key, where the kernel program can carry this block: no tunnel, at most two
    /// VIDs, and a /32, /64 or /128.
    pub fn kernel_key(&self) -> Option<KernelKey> {
        let vids = self.vlan.vids();
        if self.tunnel != 0 || self.vlan.depth() > 2 {
            return None;
        }
        let (family, addr) = match self.source.addr().as_v4() {
            Some([a, b, c, d]) => (4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            None => (6, self.source.addr().octets()),
        };
        let prefix_len = self.source.len();
        matches!((family, prefix_len), (4, 32) | (6, 64 | 128)).then_some(KernelKey {
            vids: [vids[0], vids[1]],
            segment: self.segment.0,
            family,
            prefix_len,
            addr,
        })
    }
}

const _: () = assert!(size_of::<KernelKey>() == 24 && size_of::<KernelBlock>() == 24);
