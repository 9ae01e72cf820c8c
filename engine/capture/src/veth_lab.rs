//! Pairs of virtual ports in namespaces of their own, for tests; removed when dropped.
//!
//! ```text
//! left: l0 ─── a :middle: b ─── r0 :right
//! ```
#![allow(clippy::unwrap_used, reason = "a test says what failed by where it stopped")]

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Three namespaces and two pairs.
pub(crate) struct VethLab {
    tag: String,
}

impl VethLab {
    /// Builds one, or says why the test is skipped.
    pub(crate) fn new() -> Option<VethLab> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root for network namespaces");
            return None;
        }
        let tag = format!("pc{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let lab = VethLab { tag };
        if !ip(&["netns", "add", &lab.left()]) {
            println!("skipped: this system makes no network namespaces");
            return None;
        }
        let built = ip(&["netns", "add", &lab.middle()]) && ip(&["netns", "add", &lab.right()]);
        assert!(built, "namespaces");
        for (here, port, there, peer) in
            [(lab.left(), "l0", lab.middle(), "a"), (lab.right(), "r0", lab.middle(), "b")]
        {
            let added = ip(&[
                "-n",
                &here,
                "link",
                "add",
                port,
                "numrxqueues",
                "2",
                "numtxqueues",
                "2",
                "type",
                "veth",
                "peer",
                "name",
                peer,
                "netns",
                &there,
            ]);
            assert!(added, "a pair of virtual ports");
            for (space, port) in [(&here, port), (&there, peer)] {
                // Neighbour discovery would speak between the test's frames.
                let quiet = format!("net.ipv6.conf.{port}.disable_ipv6=1");
                let _ = Command::new("ip")
                    .args(["netns", "exec", space, "sysctl", "-qw", &quiet])
                    .status();
                assert!(ip(&["-n", space, "link", "set", "dev", port, "up"]));
            }
        }
        Some(lab)
    }

    pub(crate) fn left(&self) -> String {
        format!("{}-l", self.tag)
    }
    pub(crate) fn middle(&self) -> String {
        format!("{}-m", self.tag)
    }
    pub(crate) fn right(&self) -> String {
        format!("{}-r", self.tag)
    }

    /// Runs `work` inside one of the namespaces.
    pub(crate) fn inside<T: Send>(&self, space: &str, work: impl FnOnce() -> T + Send) -> T {
        let path = std::path::Path::new("/run/netns").join(space);
        crate::namespace::inside(&path, work).unwrap()
    }
}

/// Runs `ip` with these words; whether it succeeded.
pub(crate) fn ip(words: &[&str]) -> bool {
    Command::new("ip").args(words).status().is_ok_and(|status| status.success())
}

impl Drop for VethLab {
    fn drop(&mut self) {
        for space in [self.left(), self.middle(), self.right()] {
            let _ = Command::new("ip").args(["netns", "del", &space]).output();
        }
    }
}
