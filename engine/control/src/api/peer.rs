//! Who is at the other end of the socket, and whether they may give orders.
//!
//! The kernel says who it is (SO_PEERCRED, SO_PEERGROUPS), as of when they connected; nothing that
//! they send is believed.

use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use tokio::net::UnixStream;

/// Groups of one process that are looked at; Linux allows 65,536, nobody has them.
const GROUPS_MAX: usize = 1024;

/// A process at the other end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// Its supplementary groups.
    pub groups: Vec<u32>,
    /// Its process, 0 where the kernel does not say.
    pub pid: i32,
    /// Its user's name, or `uid N`.
    pub name: String,
}

impl Peer {
    /// Asks the kernel.
    pub(super) fn of(socket: &UnixStream) -> io::Result<Self> {
        let credentials = socket.peer_cred()?;
        let uid = credentials.uid();
        Ok(Peer {
            uid,
            gid: credentials.gid(),
            groups: peer_groups(socket)?,
            pid: credentials.pid().unwrap_or(0),
            name: user_name(uid).unwrap_or_else(|| format!("uid {uid}")),
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Who may give orders.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Permitted {
    /// Users, beside root and our own.
    pub uids: Vec<u32>,
    /// Groups whose members may.
    pub gids: Vec<u32>,
}

impl Permitted {
    /// Whether this peer may give orders; `own` is our own user.
    pub fn allows(&self, peer: &Peer, own: u32) -> bool {
        peer.uid == 0
            || peer.uid == own
            || self.uids.contains(&peer.uid)
            || self.gids.contains(&peer.gid)
            || peer.groups.iter().any(|gid| self.gids.contains(gid))
    }

    /// Whether anybody but root and our own user may; then the socket must be open to them.
    pub fn is_shared(&self) -> bool {
        !self.uids.is_empty() || !self.gids.is_empty()
    }
}

/// The supplementary groups that the peer had when it connected.
#[allow(unsafe_code, reason = "SO_PEERGROUPS has no safe wrapper in rustix or std")]
fn peer_groups(socket: &UnixStream) -> io::Result<Vec<u32>> {
    let mut groups = vec![0u32; GROUPS_MAX];
    let bytes = groups.len() * size_of::<u32>();
    let mut length = libc::socklen_t::try_from(bytes).unwrap_or(libc::socklen_t::MAX);
    // SAFETY: the descriptor is open for the call, the buffer holds `length` bytes and is aligned
    // for the gid_t that the kernel writes, and the kernel writes no more than `length`.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    groups.truncate(usize::try_from(length).unwrap_or(0) / size_of::<u32>());
    Ok(groups)
}

/// A user's name by `/etc/passwd`; directory services are not asked: the name is for the log only.
fn user_name(uid: u32) -> Option<String> {
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let id: u32 = fields.nth(1)?.parse().ok()?;
        (id == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uid: u32, gid: u32, groups: &[u32]) -> Peer {
        Peer { uid, gid, groups: groups.to_vec(), pid: 1, name: "x".into() }
    }

    #[test]
    fn root_and_we_ourselves_and_whoever_is_listed() {
        let nobody = Permitted::default();
        assert!(nobody.allows(&peer(0, 0, &[]), 990) && nobody.allows(&peer(990, 990, &[]), 990));
        assert!(!nobody.allows(&peer(1000, 0, &[0]), 990));
        let some = Permitted { uids: vec![1000], gids: vec![27] };
        assert!(some.allows(&peer(1000, 5, &[]), 990) && some.allows(&peer(5, 27, &[]), 990));
        assert!(some.allows(&peer(5, 5, &[4, 27]), 990) && !some.allows(&peer(5, 5, &[4]), 990));
    }

    #[tokio::test]
    async fn the_kernel_knows_us() {
        let (a, _b) = UnixStream::pair().expect("a pair of sockets");
        let us = Peer::of(&a).expect("credentials");
        assert_eq!(us.uid, rustix::process::getuid().as_raw());
        assert_eq!(us.pid, rustix::process::getpid().as_raw_nonzero().get());
        let ours = rustix::process::getgroups().expect("groups");
        assert_eq!(us.groups.len(), ours.len());
    }
}
