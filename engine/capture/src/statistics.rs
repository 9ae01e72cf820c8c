//! What sources count, by port.

use portcullis_types::PortSide;

/// The six counters that the kernel keeps for each AF_XDP socket (`XDP_STATISTICS`), summed over a
/// port's sockets. All zero is the healthy state: alert on every one of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct XdpStatistics {
    /// Frames dropped for other reasons than a full receive ring; in copy mode an empty fill ring
    /// is among them.
    pub rx_dropped: u64,
    /// Frames dropped because the fill ring was empty.
    pub rx_fill_ring_empty_descs: u64,
    /// Fill descriptors that the kernel refused; ours are always valid, so this is our bug.
    pub rx_invalid_descs: u64,
    /// Frames dropped because the receive ring was full: the worker is too slow.
    pub rx_ring_full: u64,
    /// Transmit descriptors that the kernel refused, e.g. longer than the port's MTU allows.
    pub tx_invalid_descs: u64,
    /// How often the kernel found the transmit ring empty; harmless on its own.
    pub tx_ring_empty_descs: u64,
}

/// What passed one port, and what did not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PortStatistics {
    /// Frames handed to the burst loop.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Frames accepted for transmission out of this port, crafted ones included.
    pub transmitted: u64,
    /// Their bytes.
    pub transmitted_bytes: u64,
    /// Frames that the transmit side refused because its ring or socket stayed full.
    pub transmit_full: u64,
    /// Frames that came in but were too long for a slot, or in too many pieces.
    pub oversize: u64,
    /// Times that the kernel said the link was down.
    pub link_down: u64,
    /// Frames that the kernel dropped before the source saw them (AF_PACKET `tp_drops`; for AF_XDP
    /// `rx_dropped` and `rx_ring_full` of `xdp`, which do not overlap).
    pub kernel_dropped: u64,
    /// The kernel's AF_XDP counters; zeros for other backends.
    pub xdp: XdpStatistics,
}

/// What a source has counted since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SourceStatistics {
    /// By port side; a tap's and a file's second entry stays zero.
    pub ports: [PortStatistics; 2],
    /// Frames that cannot be read out of a capture (another link type, a cut record).
    pub unreadable: u64,
    /// Frames of this source that another worker disposed of and sent home.
    pub returned_home: u64,
    /// Frames that are in the source's hand: queued for transmission, or out with the burst loop.
    pub in_hand: u64,
}

impl SourceStatistics {
    /// One port's counters.
    #[inline]
    pub fn port(&self, side: PortSide) -> &PortStatistics {
        let [a, b] = &self.ports;
        match side {
            PortSide::A => a,
            PortSide::B => b,
        }
    }

    /// One port's counters, to count in.
    #[inline]
    pub fn port_mut(&mut self, side: PortSide) -> &mut PortStatistics {
        let [a, b] = &mut self.ports;
        match side {
            PortSide::A => a,
            PortSide::B => b,
        }
    }
}
