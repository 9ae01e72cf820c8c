//! Doing something in another network namespace, and finding the one that a peer lives in.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Where `ip netns` keeps its namespaces.
const NAMED: &str = "/run/netns";
/// The namespace that the system started in, for a peer of a container's port.
const OF_INIT: &str = "/proc/1/ns/net";

// include/uapi/linux/rtnetlink.h, if_link.h, net_namespace.h
const RTM_GETLINK: u16 = 18;
const RTM_GETNSID: u16 = 90;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const IFLA_LINK: u16 = 5;
const IFLA_LINK_NETNSID: u16 = 37;
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;

const HEADER_BYTES: usize = 16;
const LINK_BYTES: usize = 16;
const NSID_BYTES: usize = 4;

/// Runs `work` on a thread of its own inside the namespace that the file stands for.
///
/// # Errors
/// The file is no network namespace, or we may not enter it (CAP_SYS_ADMIN).
pub(crate) fn inside<T: Send>(path: &Path, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let file = File::open(path)?;
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(work())
        });
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the work in a namespace failed")))
    })
}

/// The other end of a virtual port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PeerPlace {
    /// Its number there.
    pub(crate) ifindex: u32,
    /// The namespace's file; `None` where it is this thread's own.
    pub(crate) namespace: Option<PathBuf>,
}

/// Finds the other end of the virtual port with this number.
///
/// # Errors
/// The port has no other end, or it lives in a namespace that has no name here.
pub(crate) fn peer_of(ifindex: u32) -> io::Result<PeerPlace> {
    let mut body = [0; LINK_BYTES];
    if let Some(place) = body.get_mut(4..8) {
        place.copy_from_slice(&ifindex.to_ne_bytes());
    }
    let answer = ask(RTM_GETLINK, &body)?;
    let attributes = answer.get(HEADER_BYTES + LINK_BYTES..).unwrap_or_default();
    let no_peer = || io::Error::new(io::ErrorKind::NotFound, "the port has no other end");
    let peer = attribute(attributes, IFLA_LINK).ok_or_else(no_peer)?;
    let Some(id) = attribute(attributes, IFLA_LINK_NETNSID) else {
        return Ok(PeerPlace { ifindex: peer, namespace: None });
    };
    let named = std::fs::read_dir(NAMED).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in named.chain([PathBuf::from(OF_INIT)]) {
        if namespace_id(&path).is_ok_and(|found| found == id) {
            return Ok(PeerPlace { ifindex: peer, namespace: Some(path) });
        }
    }
    let why = "the other end is in a network namespace without a name";
    Err(io::Error::new(io::ErrorKind::NotFound, why))
}

/// The number by which this namespace knows the one of the file.
fn namespace_id(path: &Path) -> io::Result<u32> {
    let file = File::open(path)?;
    let mut body = [0; NSID_BYTES + 8];
    let descriptor = file.as_raw_fd().to_ne_bytes();
    let [_, _, _, _, l0, l1, k0, k1, value @ ..] = &mut body;
    [*l0, *l1] = 8_u16.to_ne_bytes();
    [*k0, *k1] = NETNSA_FD.to_ne_bytes();
    value.copy_from_slice(&descriptor);
    let answer = ask(RTM_GETNSID, &body)?;
    let attributes = answer.get(HEADER_BYTES + NSID_BYTES..).unwrap_or_default();
    attribute(attributes, NETNSA_NSID).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// One question to the kernel, one answer.
fn ask(kind: u16, body: &[u8]) -> io::Result<Vec<u8>> {
    let (family, flags) = (AddressFamily::NETLINK, SocketFlags::CLOEXEC);
    let socket = socket_with(family, SocketType::RAW, flags, None)?;
    let length = u32::try_from(HEADER_BYTES + body.len()).unwrap_or_default();
    let mut question = Vec::with_capacity(64);
    question.extend(length.to_ne_bytes());
    question.extend(kind.to_ne_bytes());
    question.extend(NLM_F_REQUEST.to_ne_bytes());
    question.extend([0; 8]);
    question.extend(body);
    send(&socket, &question, SendFlags::empty())?;
    let mut answer = vec![0; 32 << 10];
    let (count, _) = recv(&socket, answer.as_mut_slice(), RecvFlags::empty())?;
    answer.truncate(count);
    let told = answer.get(4..6).and_then(<[u8]>::first_chunk).copied().map(u16::from_ne_bytes);
    if told == Some(NLMSG_ERROR) {
        let code = answer.get(16..).and_then(<[u8]>::first_chunk).copied();
        let code = code.map_or(0, i32::from_ne_bytes);
        return Err(io::Error::from_raw_os_error(code.wrapping_neg()));
    }
    Ok(answer)
}

/// The first attribute of this kind, as a number.
fn attribute(mut rest: &[u8], wanted: u16) -> Option<u32> {
    loop {
        let length = u16::from_ne_bytes(*rest.first_chunk()?);
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?);
        if kind & 0x3fff == wanted {
            return Some(u32::from_ne_bytes(*rest.get(4..)?.first_chunk()?));
        }
        rest = rest.get(usize::from(length).max(4).next_multiple_of(4)..)?;
    }
}
