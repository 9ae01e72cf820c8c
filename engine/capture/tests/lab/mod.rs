//! A lab of network namespaces: an inline pair of veth ports in one, the hosts' ends in another.
//!
//! ```text
//!   namespace H: ha ── pa :namespace E, the engine's:  pb ── hb :namespace H
//! ```
//!
//! Everything has a unique name and goes away with the value, also when a test panics.

#![allow(unsafe_code, reason = "packet sockets and setns, to make traffic for the tests")]
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test's own code"
)]
#![allow(dead_code, reason = "each test file uses its part")]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Whether these tests can run; says so when not.
pub(crate) fn is_possible() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("SKIPPED: needs root for network namespaces, AF_XDP and BPF");
    }
    root
}

pub(crate) fn run(line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let done = Command::new(words[0]).args(&words[1..]).output().expect("the command starts");
    let error = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{line}: {error}");
}

/// How to make the ports.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) queues: u32,
    pub(crate) mtu: u32,
    /// What fail-open over a devmap needs on veth at the hosts' ends.
    pub(crate) hosts_gro: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Shape { queues: 1, mtu: 1500, hosts_gro: true }
    }
}

pub(crate) struct Lab {
    pub(crate) hosts: String,
    pub(crate) engine: String,
    pub(crate) pins: PathBuf,
}

const OFF: &str = "tx off tso off gso off gro off lro off rxvlan off txvlan off";
const STAG_OFF: &str = "tx-vlan-stag-hw-insert off rx-vlan-stag-hw-parse off";

impl Lab {
    pub(crate) fn new(shape: Shape) -> Lab {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let lab = Lab {
            hosts: format!("pcxh{unique}"),
            engine: format!("pcxe{unique}"),
            pins: std::env::temp_dir().join(format!("pcx-bpf-{unique}")),
        };
        let (h, e) = (&lab.hosts, &lab.engine);
        for ns in [h, e] {
            run(&format!("ip netns add {ns}"));
            // No router solicitations between the frames of a test.
            run(&format!("ip netns exec {ns} sysctl -qw net.ipv6.conf.default.disable_ipv6=1"));
        }
        let Shape { queues: q, mtu, .. } = shape;
        for end in ["a", "b"] {
            run(&format!(
                "ip -n {h} link add h{end} mtu {mtu} numrxqueues {q} numtxqueues {q} type veth \
                 peer name p{end} mtu {mtu} numrxqueues {q} numtxqueues {q} netns {e}"
            ));
            run(&format!("ip netns exec {h} ethtool -K h{end} {OFF} {STAG_OFF}"));
            run(&format!("ip netns exec {e} ethtool -K p{end} {OFF} {STAG_OFF}"));
            if shape.hosts_gro {
                run(&format!("ip netns exec {h} ethtool -K h{end} gro on"));
            }
            run(&format!("ip -n {h} link set h{end} up"));
            run(&format!("ip -n {e} link set p{end} up"));
        }
        lab
    }

    /// Moves this thread into the engine's namespace.
    pub(crate) fn enter(&self) {
        enter(&self.engine);
    }

    /// A packet socket on a host's end.
    pub(crate) fn host(&self, name: &'static str) -> Host {
        let ns = self.hosts.clone();
        // Opened in a thread of its own; a socket stays in its namespace.
        std::thread::spawn(move || {
            enter(&ns);
            Host::open(name)
        })
        .join()
        .unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for ns in [&self.hosts, &self.engine] {
            let _ = Command::new("ip").args(["netns", "del", ns]).output();
        }
        let _ = portcullis_capture::kernel::detach(&self.pins);
        let _ = std::fs::remove_dir(&self.pins);
    }
}

fn enter(ns: &str) {
    let file = File::open(format!("/run/netns/{ns}")).unwrap();
    // SAFETY: a system call on a descriptor that is open; it changes this thread only.
    let done = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(done, 0, "setns: {}", io::Error::last_os_error());
}

/// A host's end of a veth pair: sends and receives whole frames.
pub(crate) struct Host {
    socket: OwnedFd,
}

impl Host {
    fn open(name: &str) -> Host {
        let all = i32::from((libc::ETH_P_ALL as u16).to_be());
        // SAFETY: plain system calls; every pointer is to a live value of the size given.
        unsafe {
            let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, all);
            assert!(fd >= 0, "packet socket: {}", io::Error::last_os_error());
            let socket = OwnedFd::from_raw_fd(fd);
            let c_name = CString::new(name).unwrap();
            let mut address: libc::sockaddr_ll = std::mem::zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = all as u16;
            address.sll_ifindex = libc::if_nametoindex(c_name.as_ptr()) as i32;
            let size = size_of::<libc::sockaddr_ll>() as u32;
            assert_eq!(libc::bind(fd, (&raw const address).cast(), size), 0);
            let one: libc::c_int = 1;
            let value = (&raw const one).cast();
            libc::setsockopt(fd, libc::SOL_PACKET, libc::PACKET_AUXDATA, value, 4);
            libc::setsockopt(fd, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, value, 4);
            let room: libc::c_int = 32 << 20;
            let value = (&raw const room).cast();
            libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, value, 4);
            Host { socket }
        }
    }

    pub(crate) fn send(&self, frame: &[u8]) {
        // SAFETY: the buffer lives through the call and its length is given.
        let sent =
            unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        assert_eq!(sent, frame.len() as isize, "send: {}", io::Error::last_os_error());
    }

    /// The next frame with its tags as they were on the wire, waiting at most `patience`.
    pub(crate) fn receive(&self, patience: Duration) -> Option<Vec<u8>> {
        let fd = self.socket.as_raw_fd();
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut bytes = vec![0u8; 70_000];
        let mut control = [0u64; 32];
        // SAFETY: plain system calls; every pointer is to a live value of the size given, and the
        // control messages are walked with libc's own macros.
        unsafe {
            if libc::poll(&raw mut poll, 1, patience.as_millis() as i32) <= 0 {
                return None;
            }
            let mut part =
                libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = &raw mut part;
            message.msg_iovlen = 1;
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = size_of_val(&control);
            let got = libc::recvmsg(fd, &raw mut message, libc::MSG_DONTWAIT);
            if got < 0 {
                return None;
            }
            bytes.truncate(got as usize);
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            if !header.is_null() && (*header).cmsg_type == libc::PACKET_AUXDATA {
                let auxiliary: libc::tpacket_auxdata =
                    libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>().read_unaligned();
                // The kernel takes the outer tag out of the bytes: put it back.
                if auxiliary.tp_status & libc::TP_STATUS_VLAN_VALID != 0 {
                    let tag =
                        [auxiliary.tp_vlan_tpid.to_be_bytes(), auxiliary.tp_vlan_tci.to_be_bytes()];
                    bytes.splice(12..12, tag.concat());
                }
            }
        }
        Some(bytes)
    }

    /// Everything that comes until nothing has come for `quiet`.
    pub(crate) fn drain(&self, quiet: Duration) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.receive(quiet)).collect()
    }
}

/// A UDP datagram over IPv4 with these tags (TPID, VID), from 10.0.0.`host`.
pub(crate) fn ipv4(tags: &[(u16, u16)], host: u8, port: u16, payload: usize) -> Vec<u8> {
    let mut f = head(tags, 0x0800);
    let total = (28 + payload) as u16;
    f.extend([0x45, 0]);
    f.extend(total.to_be_bytes());
    f.extend([0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, host, 10, 0, 0, 200]);
    f.extend(port.to_be_bytes());
    f.extend([0, 53]);
    f.extend((8 + payload as u16).to_be_bytes());
    f.extend([0, 0]);
    f.extend((0..payload).map(|i| i as u8));
    f
}

/// An IPv6 packet from 2001:db8::`net`:0:0:0:`host` with this upper-layer protocol and first byte.
pub(crate) fn ipv6(net: u8, host: u8, protocol: u8, first: u8) -> Vec<u8> {
    let mut f = head(&[], 0x86dd);
    f.extend([0x60, 0, 0, 0, 0, 24, protocol, 255]);
    f.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, net, 0, 0, 0, 0, 0, 0, 0, host]);
    f.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 9]);
    f.push(first);
    f.extend([0; 23]);
    f
}

/// Ethernet header with tags and a last ethertype.
pub(crate) fn head(tags: &[(u16, u16)], ethertype: u16) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    for &(tpid, tci) in tags {
        f.extend(tpid.to_be_bytes());
        f.extend(tci.to_be_bytes());
    }
    f.extend(ethertype.to_be_bytes());
    f
}
