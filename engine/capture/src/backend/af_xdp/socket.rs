//! One AF_XDP socket: one queue of one port, with its four rings.

#![allow(unsafe_code, reason = "socket options that no safe crate offers: the AF_XDP rings")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::xdp::{
    SocketAddrXdp, SocketAddrXdpFlags, SocketAddrXdpWithSharedUmem, XDP_PGOFF_RX_RING,
    XDP_PGOFF_TX_RING, XDP_UMEM_PGOFF_COMPLETION_RING, XDP_UMEM_PGOFF_FILL_RING, XdpDesc,
    XdpDescOptions, XdpUmemReg, XdpUmemRegFlags,
};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use super::chain::Chain;
use super::pool::Pool;
use super::ring::{Consumer, Producer};
use super::umem::{Umem, memory_error};
use crate::port::{PortFacts, port_error};
use crate::{OpenError, XdpStatistics};

/// `XDP_MAX_TX_SKB_BUDGET` of include/uapi/linux/if_xdp.h (kernel 6.17): without it a kick in copy
/// mode sends 32 frames at most.
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;
/// Kicks of one flush at most. A kick that moves nothing ends the loop earlier.
const KICKS_MAX: u32 = 128;
/// How long `bind` is tried again while the queue is still held: after a restart at once the
/// predecessor's socket needs 5–18 ms to go.
const BIND_PATIENCE: Duration = Duration::from_secs(1);
/// Microseconds of busy polling per call, and packets per round: the kernel's own examples.
const BUSY_POLL_US: libc::c_int = 20;
const BUSY_POLL_BUDGET: libc::c_int = 64;

/// Whether the kernel polls the driver in our system calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BusyPoll {
    Off,
    Preferred,
}

/// With whose memory a socket is bound.
#[derive(Clone, Copy, Debug)]
pub(super) enum Memory<'a> {
    /// It is the first: registers the memory, and its flags hold for all that join.
    Register(SocketAddrXdpFlags),
    /// It joins the socket that registered the memory, with fill and completion rings of its own.
    Join(BorrowedFd<'a>),
}

/// What a kick met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Link {
    /// The link is down; it comes back by itself.
    Down,
    /// The port does not exist any more.
    Gone,
    /// All is well, or full for the moment.
    Up,
}

/// A bound socket.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    pub(super) fill: Producer<u64>,
    completion: Consumer<u64>,
    pub(super) rx: Consumer<XdpDesc>,
    pub(super) tx: Producer<XdpDesc>,
    /// Descriptors given for transmission and not yet completed.
    outstanding: u32,
    /// A frame that is still coming, piece by piece.
    pub(super) partial: Option<Box<Chain>>,
}

impl Socket {
    /// Makes a socket with rings of `ring_size` entries and shares `umem` with the kernel. It is
    /// not bound: frames for the fill ring come first.
    pub(super) fn create(
        umem: &Umem,
        port: &PortFacts,
        memory: Memory<'_>,
        ring_size: u32,
    ) -> Result<Self, OpenError> {
        let failed = |doing: &'static str| move |e: Errno| port_error(&port.name, doing, e.into());
        let (family, kind) = (AddressFamily::XDP, SocketType::RAW);
        let fd = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)
            .map_err(failed("making an AF_XDP socket"))?;
        if matches!(memory, Memory::Register(_)) {
            let area = XdpUmemReg {
                addr: umem.address(),
                len: umem.bytes() as u64,
                chunk_size: umem.chunk_bytes(),
                headroom: 0,
                flags: XdpUmemRegFlags::empty(),
                tx_metadata_len: 0,
            };
            sockopt::set_xdp_umem_reg(&fd, area).map_err(|e| match e {
                Errno::NOBUFS | Errno::NOMEM | Errno::PERM => memory_error(umem.bytes(), e.into()),
                e => port_error(&port.name, "registering frame memory", e.into()),
            })?;
        }
        let sized = failed("sizing the AF_XDP rings");
        sockopt::set_xdp_umem_fill_ring_size(&fd, ring_size).map_err(sized)?;
        sockopt::set_xdp_umem_completion_ring_size(&fd, ring_size).map_err(sized)?;
        sockopt::set_xdp_rx_ring_size(&fd, ring_size).map_err(sized)?;
        sockopt::set_xdp_tx_ring_size(&fd, ring_size).map_err(sized)?;
        let at = sockopt::xdp_mmap_offsets(&fd).map_err(failed("asking for the ring offsets"))?;
        let mapped = |e| port_error(&port.name, "mapping the AF_XDP rings", e);
        let f = fd.as_fd();
        let fill = Producer::map(f, XDP_UMEM_PGOFF_FILL_RING, &at.fr, ring_size).map_err(mapped)?;
        let completion =
            Consumer::map(f, XDP_UMEM_PGOFF_COMPLETION_RING, &at.cr, ring_size).map_err(mapped)?;
        let rx = Consumer::map(f, XDP_PGOFF_RX_RING, &at.rx, ring_size).map_err(mapped)?;
        let tx = Producer::map(f, XDP_PGOFF_TX_RING, &at.tx, ring_size).map_err(mapped)?;
        Ok(Socket { fd, fill, completion, rx, tx, outstanding: 0, partial: None })
    }

    /// Binds the socket to a queue. While another socket holds it, tries again for about a second.
    pub(super) fn bind(
        &self,
        port: &PortFacts,
        queue: u32,
        memory: Memory<'_>,
    ) -> Result<(), OpenError> {
        let until = Instant::now() + BIND_PATIENCE;
        loop {
            let bound = match memory {
                Memory::Register(flags) => {
                    let address = SocketAddrXdp::new(flags, port.ifindex, queue);
                    rustix::net::bind(&self.fd, &address)
                }
                Memory::Join(shared_umem_fd) => {
                    let flags = SocketAddrXdpFlags::XDP_SHARED_UMEM;
                    let addr = SocketAddrXdp::new(flags, port.ifindex, queue);
                    let address = SocketAddrXdpWithSharedUmem { addr, shared_umem_fd };
                    rustix::net::bind(&self.fd, &address)
                }
            };
            match bound {
                Err(Errno::BUSY) if Instant::now() < until => sleep(Duration::from_millis(2)),
                Err(e) => {
                    return Err(port_error(&port.name, "binding an AF_XDP socket", e.into()));
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Sets what is only worth trying: an older kernel goes on without it. Returns what it refused.
    pub(super) fn tune(&self, ring_size: u32, busy_poll: BusyPoll) -> Vec<&'static str> {
        let budget = libc::c_int::try_from(ring_size).unwrap_or(libc::c_int::MAX);
        let mut refused = Vec::new();
        if self.set(libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, budget).is_err() {
            refused.push("XDP_MAX_TX_SKB_BUDGET: the kernel sends 32 frames per call");
        }
        if busy_poll == BusyPoll::Preferred {
            let options = [
                (libc::SO_PREFER_BUSY_POLL, 1),
                (libc::SO_BUSY_POLL, BUSY_POLL_US),
                (libc::SO_BUSY_POLL_BUDGET, BUSY_POLL_BUDGET),
            ];
            if options.iter().any(|&(o, v)| self.set(libc::SOL_SOCKET, o, v).is_err()) {
                refused.push("SO_PREFER_BUSY_POLL: wait = \"busy-poll\" is as wait = \"poll\"");
            }
        }
        refused
    }

    fn set(&self, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
        let bytes = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(4);
        // SAFETY: justification: rustix has no such option. The pointer is to a `c_int` that lives
        // through the call, and its size is given.
        let done = unsafe {
            let value = (&raw const value).cast();
            libc::setsockopt(self.fd.as_raw_fd(), level, option, value, bytes)
        };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Gives frames of the pool to the kernel to receive into, at most `most`.
    pub(super) fn refill(&mut self, pool: &mut Pool, most: u32) {
        let room = self.fill.room(most).min(most);
        let mut staged = 0;
        while staged < room {
            let Some(chunk) = pool.take_for_receiving() else { break };
            let offset = pool.umem().offset(&chunk);
            let done = self.fill.stage(u64::from(offset));
            debug_assert!(done.is_ok(), "room was asked for");
            staged += 1;
        }
        if staged > 0 {
            self.fill.publish();
        }
    }

    /// Takes back what has been sent.
    pub(super) fn reap(&mut self, pool: &mut Pool) {
        let mut reaped = 0;
        while let Some(address) = self.completion.take() {
            // SAFETY: justification: the ring speaks in addresses. A completion is the kernel's
            // word that this chunk, which we gave it for transmission, is ours again.
            if let Some(chunk) = unsafe { pool.umem().returned(address) } {
                pool.release(chunk);
            }
            reaped += 1;
        }
        if reaped > 0 {
            self.completion.release();
            self.outstanding = self.outstanding.saturating_sub(reaped);
        }
    }

    /// Stages a frame of several pieces, or of one. The caller has made sure of room and gives up
    /// its right to the chunks.
    pub(super) fn stage(&mut self, pieces: &[(u32, u32)]) {
        let last = pieces.len().saturating_sub(1);
        for (i, &(offset, len)) in pieces.iter().enumerate() {
            let options = match i < last {
                true => XdpDescOptions::XDP_PKT_CONTD,
                false => XdpDescOptions::empty(),
            };
            let done = self.tx.stage(XdpDesc { addr: u64::from(offset), len, options });
            debug_assert!(done.is_ok(), "room was asked for");
            self.outstanding += 1;
        }
    }

    /// Has the kernel send what is staged, until the ring is empty or stops draining.
    pub(super) fn kick(&mut self, pool: &mut Pool) -> Link {
        self.tx.publish();
        let mut link = Link::Up;
        let mut waiting = self.tx.waiting();
        for _ in 0..KICKS_MAX {
            if waiting == 0 || !self.tx.needs_wakeup() {
                break;
            }
            let sent = rustix::net::send(&self.fd, &[], SendFlags::DONTWAIT);
            self.reap(pool);
            match sent {
                Err(Errno::NETDOWN) => link = Link::Down,
                Err(Errno::NXIO) => link = Link::Gone,
                // EAGAIN: the budget is used up or the completion ring is full. EBUSY, ENOBUFS: the
                // port's queue is full. Others concern one frame, which the kernel has skipped.
                Ok(_) | Err(_) => {}
            }
            let left = self.tx.waiting();
            if left == waiting {
                break;
            }
            waiting = left;
        }
        self.reap(pool);
        link
    }

    /// Asks the kernel to take up the fill ring if it wants to be asked, or, with busy polling, to
    /// poll the driver.
    pub(super) fn nudge_receive(&self, busy_poll: BusyPoll) {
        if busy_poll == BusyPoll::Preferred || self.fill.needs_wakeup() {
            let _ = self.probe();
        }
    }

    /// Asks how the port is. A call that moves nothing else in copy mode.
    pub(super) fn probe(&self) -> Link {
        match rustix::net::recv(&self.fd, &mut [0u8; 0], RecvFlags::DONTWAIT) {
            Err(Errno::NETDOWN) => Link::Down,
            Err(Errno::NXIO) => Link::Gone,
            Ok(_) | Err(_) => Link::Up,
        }
    }

    /// Descriptors that are with the kernel for transmission.
    pub(super) fn outstanding(&self) -> u32 {
        self.outstanding
    }

    /// Adds the kernel's counters of this socket.
    pub(super) fn add_statistics(&self, sum: &mut XdpStatistics) {
        // The counters go with the port; what is known stays.
        let Ok(now) = sockopt::xdp_statistics(&self.fd) else { return };
        sum.rx_dropped += now.rx_dropped;
        sum.rx_invalid_descs += now.rx_invalid_descs;
        sum.tx_invalid_descs += now.tx_invalid_descs;
        sum.rx_ring_full += now.rx_ring_full.unwrap_or(0);
        sum.rx_fill_ring_empty_descs += now.rx_fill_ring_empty_descs.unwrap_or(0);
        sum.tx_ring_empty_descs += now.tx_ring_empty_descs.unwrap_or(0);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.fd.as_raw_fd()
    }
}
