//! A port as the kernel describes it in this thread's network namespace: number, MTU, queues,
//! flags.

#![allow(unsafe_code, reason = "small ioctls that no safe crate offers")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::OpenError;

/// What the kernel says of a port at the moment of opening.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortFacts {
    /// Its name.
    pub name: String,
    /// Its number in the network namespace.
    pub ifindex: u32,
    /// Bytes that it carries behind the Ethernet header.
    pub mtu: u32,
    /// Receive queues in use.
    pub queues: u32,
}

// include/uapi/linux/ethtool.h
const ETHTOOL_GCHANNELS: u32 = 0x3c;

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Default)]
struct Channels {
    cmd: u32,
    max: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

/// Asks the kernel about ports of the namespace in which it was made.
#[derive(Debug)]
pub(crate) struct Asker {
    socket: OwnedFd,
}

impl Asker {
    /// For the network namespace of this thread.
    pub(crate) fn new() -> io::Result<Self> {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
        let (family, kind) = (AddressFamily::UNIX, SocketType::DGRAM);
        Ok(Asker { socket: socket_with(family, kind, SocketFlags::CLOEXEC, None)? })
    }

    /// The facts of `name`.
    pub(crate) fn facts(&self, name: &str) -> Result<PortFacts, OpenError> {
        let mut request = request(name)?;
        self.ioctl(libc::SIOCGIFINDEX, &mut request)
            .map_err(|_| OpenError::NoSuchPort { port: name.to_owned() })?;
        // SAFETY: justification: the C union has no safe reader. SIOCGIFINDEX filled this field.
        let ifindex = unsafe { request.ifr_ifru.ifru_ifindex };
        Ok(PortFacts {
            name: name.to_owned(),
            ifindex: u32::try_from(ifindex).unwrap_or(0),
            mtu: self.mtu(name)?,
            queues: self.queues(name),
        })
    }

    /// The port's MTU as it is now.
    pub(crate) fn mtu(&self, name: &str) -> Result<u32, OpenError> {
        let mut request = request(name)?;
        self.ioctl(libc::SIOCGIFMTU, &mut request)
            .map_err(|source| port_error(name, "reading its MTU", source))?;
        // SAFETY: justification: the C union has no safe reader. SIOCGIFMTU filled this field.
        Ok(u32::try_from(unsafe { request.ifr_ifru.ifru_mtu }).unwrap_or(0))
    }

    /// Receive queues in use; 1 where the driver has no answer.
    fn queues(&self, name: &str) -> u32 {
        let Ok(mut request) = request(name) else { return 1 };
        let mut channels = Channels { cmd: ETHTOOL_GCHANNELS, ..Channels::default() };
        request.ifr_ifru.ifru_data = (&raw mut channels).cast();
        match self.ioctl(libc::SIOCETHTOOL, &mut request) {
            Ok(()) => (channels.rx + channels.combined).max(1),
            Err(_) => 1,
        }
    }

    /// Makes the port take frames for every address. The flag stays when this process dies, because
    /// the kernel program may have to go on forwarding.
    pub(crate) fn make_promiscuous(&self, name: &str) -> Result<(), OpenError> {
        let mut request = request(name)?;
        self.ioctl(libc::SIOCGIFFLAGS, &mut request)
            .map_err(|source| port_error(name, "reading its flags", source))?;
        #[allow(clippy::cast_possible_truncation, reason = "IFF_PROMISC is 0x100")]
        let wanted = libc::IFF_PROMISC as libc::c_short;
        // SAFETY: justification: the C union has no safe access. SIOCGIFFLAGS filled this field.
        unsafe {
            if request.ifr_ifru.ifru_flags & wanted != 0 {
                return Ok(());
            }
            request.ifr_ifru.ifru_flags |= wanted;
        }
        self.ioctl(libc::SIOCSIFFLAGS, &mut request)
            .map_err(|source| port_error(name, "making it promiscuous", source))
    }

    fn ioctl(&self, what: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
        // SAFETY: justification: no safe wrapper. Every request used here reads and writes one
        // `ifreq`, which lives through the call; SIOCETHTOOL writes to what `ifru_data` points to,
        // which its caller keeps alive on its stack and which has the size of its command.
        let done = unsafe { libc::ioctl(self.socket.as_raw_fd(), what, request) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// A request that names the port.
fn request(name: &str) -> Result<libc::ifreq, OpenError> {
    let no_such = || OpenError::NoSuchPort { port: name.to_owned() };
    let c_name = CString::new(name).map_err(|_| no_such())?;
    let bytes = c_name.as_bytes_with_nul();
    // SAFETY: justification: `ifreq` has no constructor. It is plain data, for which zeros are
    // valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let room = request.ifr_name.get_mut(..bytes.len()).ok_or_else(no_such)?;
    for (to, &from) in room.iter_mut().zip(bytes) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    Ok(request)
}

pub(crate) fn port_error(name: &str, doing: &'static str, source: io::Error) -> OpenError {
    let hint = match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => "; run with CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF",
        Some(libc::EBUSY) => "; another program holds this queue: stop it first",
        _ => "",
    };
    OpenError::Port { port: name.to_owned(), doing, source, hint }
}
