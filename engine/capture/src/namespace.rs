//! Doing something in another network namespace, and finding the one that a peer lives in.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::netlink::{Family, IFLA_LINK, IFLA_LINK_NETNSID, ask, link};

/// Where `ip netns` keeps its namespaces.
const NAMED: &str = "/run/netns";
/// The namespace that the system started in, for a peer of a container's port.
const OF_INIT: &str = "/proc/1/ns/net";

// include/uapi/linux/net_namespace.h
const RTM_GETNSID: u16 = 90;
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;
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
    let link = link(ifindex)?;
    let no_peer = || io::Error::new(io::ErrorKind::NotFound, "the port has no other end");
    let peer = link.number(IFLA_LINK).ok_or_else(no_peer)?;
    let Some(id) = link.number(IFLA_LINK_NETNSID) else {
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
    let answer = ask(Family::Route, RTM_GETNSID, &body)?;
    answer.behind(NSID_BYTES).number(NETNSA_NSID).ok_or_else(|| io::ErrorKind::NotFound.into())
}
