//! One packet socket: the system calls, and nothing about frames.

#![allow(unsafe_code, reason = "packet socket options that no safe crate offers")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `TPACKET_V3` of include/uapi/linux/if_packet.h.
const TPACKET_V3: libc::c_int = 2;

/// Bytes that the kernel leaves free before each frame, for the VLAN tag that it took out.
pub(super) const HEADROOM_BYTES: u32 = 16;

/// What one `sendmmsg` carries at most: its headers live on the stack.
pub(super) const SEND_MAX: usize = 64;

/// Room for frames on their way out; the default of 212,992 bytes holds 90 of them.
const SEND_BUFFER_BYTES: libc::c_int = 4 << 20;

/// `struct tpacket_req3`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct RingRequest {
    block_size: u32,
    block_nr: u32,
    frame_size: u32,
    frame_nr: u32,
    retire_blk_tov: u32,
    sizeof_priv: u32,
    feature_req_word: u32,
}

/// `struct tpacket_stats_v3`: since the last call.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct RingStatistics {
    /// Frames that arrived, dropped ones included.
    pub(super) packets: u32,
    /// Frames dropped because no block was free.
    pub(super) drops: u32,
    /// How often the ring stood still for want of a block.
    pub(super) freezes: u32,
}

/// A packet socket.
#[derive(Debug)]
pub(super) struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// A socket that receives nothing yet: it is bound to no port and every frame is filtered out,
    /// so that workers can join their group before the first frame counts.
    pub(super) fn new() -> io::Result<PacketSocket> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: justification: no safe crate makes packet sockets. No pointers are passed.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: justification: adopting the descriptor just made; nobody else knows it.
        let socket = PacketSocket(unsafe { OwnedFd::from_raw_fd(fd) });
        socket.refuse_all()?;
        socket.set(libc::SOL_PACKET, libc::PACKET_VERSION, &TPACKET_V3)?;
        socket.set(libc::SOL_PACKET, libc::PACKET_RESERVE, &HEADROOM_BYTES)?;
        socket.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1_i32)?;
        socket.set(libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &1_i32)?;
        if socket.set(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &SEND_BUFFER_BYTES).is_err() {
            // Without CAP_NET_ADMIN the system's own limit applies.
            socket.set(libc::SOL_SOCKET, libc::SO_SNDBUF, &SEND_BUFFER_BYTES)?;
        }
        Ok(socket)
    }

    /// Asks for a receive ring of `blocks` blocks, given to us when full or after `retire_ms`.
    pub(super) fn make_ring(
        &self,
        block_bytes: u32,
        blocks: u32,
        retire_ms: u32,
    ) -> io::Result<()> {
        // With version 3 frames lie in a block one after the other; the frame size only has to
        // divide the block.
        const FRAME_BYTES: u32 = 2_048;
        let request = RingRequest {
            block_size: block_bytes,
            block_nr: blocks,
            frame_size: FRAME_BYTES,
            frame_nr: block_bytes / FRAME_BYTES * blocks,
            retire_blk_tov: retire_ms,
            sizeof_priv: 0,
            feature_req_word: 0,
        };
        self.set(libc::SOL_PACKET, libc::PACKET_RX_RING, &request)
    }

    /// Binds to a port, for every protocol, and takes frames for every address.
    pub(super) fn bind(&self, ifindex: u32) -> io::Result<()> {
        #[allow(clippy::cast_possible_truncation, reason = "ETH_P_ALL is 3")]
        let protocol = (libc::ETH_P_ALL as u16).to_be();
        let port = i32::try_from(ifindex).map_err(|_| io::ErrorKind::InvalidInput)?;
        let address = libc::sockaddr_ll {
            sll_family: u16::try_from(libc::AF_PACKET).unwrap_or_default(),
            sll_protocol: protocol,
            sll_ifindex: port,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: justification: no safe crate binds packet sockets. The address lives through the
        // call and its true size is given.
        let bound = unsafe {
            libc::bind(self.0.as_raw_fd(), (&raw const address).cast(), length_of(&address))
        };
        if bound < 0 {
            return Err(io::Error::last_os_error());
        }
        let membership = libc::packet_mreq {
            mr_ifindex: port,
            mr_type: u16::try_from(libc::PACKET_MR_PROMISC).unwrap_or_default(),
            mr_alen: 0,
            mr_address: [0; 8],
        };
        self.set(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)
    }

    /// Joins the group `id`, or makes a new one; returns the group's id. Frames go to the members
    /// by a hash that is the same for both directions of a flow.
    pub(super) fn join(&self, id: Option<u16>) -> io::Result<u16> {
        let how = match id {
            Some(_) => libc::PACKET_FANOUT_HASH,
            None => libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_UNIQUEID,
        };
        let word = u32::from(id.unwrap_or(0)) | (how << 16);
        self.set(libc::SOL_PACKET, libc::PACKET_FANOUT, &word)?;
        let joined: u32 = self.ask(libc::SOL_PACKET, libc::PACKET_FANOUT)?;
        Ok(u16::try_from(joined & 0xffff).unwrap_or_default())
    }

    /// Lets frames in from here on.
    pub(super) fn let_in(&self) -> io::Result<()> {
        self.set(libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &0_i32)
    }

    /// What the ring has counted since the last call.
    pub(super) fn ring_statistics(&self) -> io::Result<RingStatistics> {
        self.ask(libc::SOL_PACKET, libc::PACKET_STATISTICS)
    }

    /// The error that waits on the socket, taken off it.
    pub(super) fn take_error(&self) -> io::Result<i32> {
        self.ask(libc::SOL_SOCKET, libc::SO_ERROR)
    }

    /// Sends the first [`SEND_MAX`] of `frames` out of the port that the socket is bound to, as far
    /// as it takes them. The error is that of the first frame.
    pub(super) fn send(&self, frames: &[&[u8]]) -> io::Result<usize> {
        let count = frames.len().min(SEND_MAX);
        // SAFETY: justification: these C structs have no constructors. They are plain data, for
        // which zeros are valid.
        let (mut vectors, mut messages): ([libc::iovec; SEND_MAX], [libc::mmsghdr; SEND_MAX]) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        for ((frame, vector), message) in frames.iter().zip(&mut vectors).zip(&mut messages) {
            vector.iov_base = frame.as_ptr().cast_mut().cast();
            vector.iov_len = frame.len();
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
        }
        let count_c = libc::c_uint::try_from(count).unwrap_or_default();
        let flags = libc::MSG_DONTWAIT;
        // SAFETY: justification: one call for many frames. The first `count` messages each point to
        // one vector, and each vector to a frame; all of them outlive the call, which only reads
        // the frames.
        let sent =
            unsafe { libc::sendmmsg(self.0.as_raw_fd(), messages.as_mut_ptr(), count_c, flags) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// A filter that takes no frame at all.
    fn refuse_all(&self) -> io::Result<()> {
        let mut program = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 }];
        let filter = libc::sock_fprog { len: 1, filter: program.as_mut_ptr() };
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
    }

    fn set<T: Copy>(&self, level: i32, option: i32, value: &T) -> io::Result<()> {
        // SAFETY: justification: no safe wrapper for these options. The kernel reads at most the
        // size given, which is the value's own; what a value points to outlives the call.
        let done = unsafe {
            let value_c = std::ptr::from_ref(value).cast();
            libc::setsockopt(self.0.as_raw_fd(), level, option, value_c, length_of(value))
        };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn ask<T: Copy + Default>(&self, level: i32, option: i32) -> io::Result<T> {
        let mut value = T::default();
        let mut length = length_of(&value);
        // SAFETY: justification: no safe wrapper for these options. The kernel writes at most
        // `length` bytes into `value`; all `T` used here are plain integers.
        let done = unsafe {
            let value_c = (&raw mut value).cast();
            libc::getsockopt(self.0.as_raw_fd(), level, option, value_c, &raw mut length)
        };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
    }
}

impl std::os::fd::AsFd for PacketSocket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn length_of<T>(_: &T) -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0)
}
