//! Network namespaces: made under names that say who owns them, removed in `Drop`.
//!
//! Must never know: what stands in a namespace.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command::{self, Finished, Running};

/// Every namespace of a lab is called `PREFIX` *owner's pid* `x` *lab number* `-` *role*.
const PREFIX: &str = "pcl";

static LAB_NUMBER: AtomicU32 = AtomicU32::new(0);

/// The first part of the names of one lab's namespaces; unique on the machine.
#[must_use]
pub fn fresh_stem() -> String {
    let number = LAB_NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{PREFIX}{}x{number}", std::process::id())
}

/// One network namespace. Dropping it kills what still runs in it and removes it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace with its loopback device up.
    #[must_use]
    pub fn make(stem: &str, role: &str) -> Namespace {
        let namespace = Namespace { name: format!("{stem}-{role}") };
        command::must(&["ip", "netns", "add", &namespace.name]);
        command::must(&["ip", "-n", &namespace.name, "link", "set", "lo", "up"]);
        namespace
    }

    /// The name that `ip netns` knows.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs a program in it to its end, within `limit`.
    #[must_use]
    pub fn run(&self, words: &[&str], limit: Duration) -> Finished {
        command::run(&self.inside(words), limit)
    }

    /// Runs a set-up command in it that has to succeed; its standard output.
    pub fn must(&self, words: &[&str]) -> String {
        command::must(&self.inside(words))
    }

    /// Runs several `ip` commands in it, one a line; all have to succeed.
    pub fn ip(&self, lines: &str) {
        command::must_with_input(&["ip", "-n", &self.name, "-batch", "-"], lines);
    }

    /// Starts a program in it that runs beside the test.
    #[must_use]
    pub fn start(&self, words: &[&str], log: &Path) -> Running {
        // `ip netns exec` becomes the program: signals reach it directly.
        Running::start(&self.inside(words), log)
    }

    /// Runs a closure on a thread of its own whose sockets belong to this namespace.
    pub fn within<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let path = format!("/run/netns/{}", self.name);
        let handle = File::open(&path).unwrap_or_else(|e| panic!("cannot open {path}: {e}"));
        std::thread::spawn(move || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(handle.as_fd(), kind).expect("root may enter its namespaces");
            work()
        })
    }

    /// Switches off every offload of a device that changes frames on their way.
    ///
    /// Without this no TCP handshake passes an AF_XDP engine, and tags travel beside the frame
    /// instead of in it. An option that this kernel does not have is passed over.
    pub fn plain_frames(&self, device: &str) {
        for option in [
            "tx",
            "rx",
            "tso",
            "gso",
            "gro",
            "lro",
            "rxvlan",
            "txvlan",
            "tx-vlan-stag-hw-insert",
            "rx-vlan-stag-hw-parse",
        ] {
            let _ = self.run(&["ethtool", "-K", device, option, "off"], command::SETUP_LIMIT);
        }
    }

    fn inside<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        ["ip", "netns", "exec", &self.name].into_iter().chain(words.iter().copied()).collect()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Removes the namespaces of the owners that are meant; their names.
pub(crate) fn sweep(is_swept: &dyn Fn(u32) -> bool) -> Vec<String> {
    let listing = command::run(&["ip", "netns", "list"], command::SETUP_LIMIT).stdout;
    let mut swept = Vec::new();
    for name in listing.lines().filter_map(|line| line.split_whitespace().next()) {
        if owner_of(name).is_some_and(is_swept) {
            remove(name);
            swept.push(name.to_owned());
        }
    }
    swept
}

/// The process that made a namespace or a folder, read from its name; `None` for one that no lab
/// made.
pub(crate) fn owner_of(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split_once('x')?.0.parse().ok()
}

/// Kills what runs in a namespace of ours and removes it. Never panics: it is called in `Drop`.
fn remove(name: &str) {
    let pids = command::run(&["ip", "netns", "pids", name], command::SETUP_LIMIT).stdout;
    for pid in pids.split_whitespace() {
        let _ = command::run(&["kill", "-9", pid], command::SETUP_LIMIT);
    }
    let _ = command::run(&["ip", "netns", "delete", name], command::SETUP_LIMIT);
}

#[cfg(test)]
mod tests {
    use super::owner_of;

    #[test]
    fn only_the_names_of_labs_have_an_owner() {
        assert_eq!(owner_of("pcl123x4-outside"), Some(123));
        assert_eq!(owner_of("production"), None);
        assert_eq!(owner_of("pclx-outside"), None);
    }
}
