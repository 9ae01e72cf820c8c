//! Target policies: whose bytes a receiver keeps where two arrivals cover the same place.
//!
//! After Novak, *Target-Based Fragmentation Reassembly* (2005), and Novak and Sturges,
//! *Target-Based TCP Stream Reassembly* (2007); the names are those of Suricata's
//! `host-os-policy`. This file must never know a packet.

use crate::patchwork::{Extent, Joint};
use portcullis_types::{Addr, Prefix};
use std::sync::Arc;

/// Which receiver the traffic goes to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum TargetPolicy {
    /// FreeBSD, NetBSD, OpenBSD, AIX: what begins further left stays, else what came first.
    #[default]
    Bsd,
    /// HP JetDirect: what begins further right stays, else what came last.
    BsdRight,
    /// What came first stays.
    First,
    /// HP-UX 10.
    Hpux10,
    /// HP-UX 11.
    Hpux11,
    /// IRIX.
    Irix,
    /// What came last stays.
    Last,
    /// Linux since 2.4; fragments since 4.19, which gives up datagrams whose fragments overlap.
    Linux,
    /// Mac OS.
    Macos,
    /// Linux before 2.4 (TCP) and before 4.19 (fragments).
    OldLinux,
    /// Solaris before 2.6.
    OldSolaris,
    /// Solaris.
    Solaris,
    /// Windows Vista and later.
    Vista,
    /// Windows 95 to XP.
    Windows,
    /// Windows Server 2003.
    Windows2k3,
}

/// Which receivers live where: the longest network that holds the address decides.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Targets {
    /// Longest first.
    networks: Arc<[(Prefix, TargetPolicy)]>,
    others: TargetPolicy,
}

impl Targets {
    /// `others` counts for addresses in none of the networks.
    pub fn new(others: TargetPolicy, networks: &[(Prefix, TargetPolicy)]) -> Self {
        let mut networks = networks.to_vec();
        networks.sort_by_key(|(network, _)| std::cmp::Reverse(network.len()));
        Targets { networks: networks.into(), others }
    }

    /// How the host with that address puts together what it gets.
    pub fn of(&self, receiver: Addr) -> TargetPolicy {
        let mut networks = self.networks.iter();
        networks.find(|(network, _)| network.contains(receiver)).map_or(self.others, |row| row.1)
    }
}

/// Whose bytes stay, in the words of the papers. See [`TargetPolicy::fragments`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FragmentPolicy {
    /// The one with the smaller offset; of equals the first.
    Bsd,
    /// The one with the larger offset; of equals the last.
    BsdRight,
    /// Neither: the datagram is given up (RFC 5722; Linux since 4.19), and what comes behind begins
    /// another. What lies wholly in fragments that came in order is a repetition, no overlap.
    Discard,
    /// The first.
    First,
    /// The last.
    Last,
    /// The one with the smaller offset; of equals the last.
    Linux,
    /// The first, unless the later one begins before it and ends with or behind it.
    Solaris,
    /// The first, unless the later one begins before it and ends behind it.
    Windows,
}

impl TargetPolicy {
    /// All of them, by name.
    pub const ALL: &'static [TargetPolicy] = &[
        TargetPolicy::Bsd,
        TargetPolicy::BsdRight,
        TargetPolicy::First,
        TargetPolicy::Hpux10,
        TargetPolicy::Hpux11,
        TargetPolicy::Irix,
        TargetPolicy::Last,
        TargetPolicy::Linux,
        TargetPolicy::Macos,
        TargetPolicy::OldLinux,
        TargetPolicy::OldSolaris,
        TargetPolicy::Solaris,
        TargetPolicy::Vista,
        TargetPolicy::Windows,
        TargetPolicy::Windows2k3,
    ];

    /// The word in the configuration: Suricata's.
    pub const fn name(self) -> &'static str {
        match self {
            TargetPolicy::Bsd => "bsd",
            TargetPolicy::BsdRight => "bsd-right",
            TargetPolicy::First => "first",
            TargetPolicy::Hpux10 => "hpux10",
            TargetPolicy::Hpux11 => "hpux11",
            TargetPolicy::Irix => "irix",
            TargetPolicy::Last => "last",
            TargetPolicy::Linux => "linux",
            TargetPolicy::Macos => "macos",
            TargetPolicy::OldLinux => "old-linux",
            TargetPolicy::OldSolaris => "old-solaris",
            TargetPolicy::Solaris => "solaris",
            TargetPolicy::Vista => "vista",
            TargetPolicy::Windows => "windows",
            TargetPolicy::Windows2k3 => "windows2k3",
        }
    }

    /// The policy with that name.
    pub fn from_name(name: &str) -> Option<TargetPolicy> {
        TargetPolicy::ALL.iter().copied().find(|policy| policy.name() == name)
    }

    /// How the target treats overlapping fragments of IPv4; of IPv6 every target of today discards
    /// them, see [`crate::Ipv6Overlap`].
    pub const fn fragments(self) -> FragmentPolicy {
        match self {
            TargetPolicy::Bsd | TargetPolicy::Hpux10 | TargetPolicy::Irix => FragmentPolicy::Bsd,
            TargetPolicy::BsdRight => FragmentPolicy::BsdRight,
            TargetPolicy::First
            | TargetPolicy::Hpux11
            | TargetPolicy::Macos
            | TargetPolicy::OldSolaris => FragmentPolicy::First,
            TargetPolicy::Last => FragmentPolicy::Last,
            TargetPolicy::Linux => FragmentPolicy::Discard,
            TargetPolicy::OldLinux => FragmentPolicy::Linux,
            TargetPolicy::Solaris => FragmentPolicy::Solaris,
            TargetPolicy::Vista | TargetPolicy::Windows | TargetPolicy::Windows2k3 => {
                FragmentPolicy::Windows
            }
        }
    }

    /// Whether a held segment and the one that continues it are one from then on: Linux puts them
    /// together (`tcp_ooo_try_coalesce`), and asks of a later one whether it lies in both.
    pub(crate) fn joint(self) -> Joint {
        if self == TargetPolicy::Linux { Joint::Joined } else { Joint::Apart }
    }

    /// Whether the bytes of a later TCP segment replace those of an earlier one that is held.
    pub(crate) fn later_wins(self, new: Extent, old: Extent) -> bool {
        let before = new.start < old.start;
        let level = new.start == old.start;
        match self {
            TargetPolicy::First | TargetPolicy::OldSolaris | TargetPolicy::Vista => false,
            TargetPolicy::Last => true,
            TargetPolicy::Bsd
            | TargetPolicy::Hpux10
            | TargetPolicy::Irix
            | TargetPolicy::Macos
            | TargetPolicy::Windows
            | TargetPolicy::Windows2k3 => before,
            TargetPolicy::BsdRight => new.start >= old.start,
            TargetPolicy::Linux => before || level && new.end > old.end,
            TargetPolicy::OldLinux => before || level && new.end >= old.end,
            TargetPolicy::Hpux11 | TargetPolicy::Solaris => {
                new.end > old.end || new.end == old.end && new.start <= old.start
            }
        }
    }
}

impl FragmentPolicy {
    /// Whether the bytes of a later fragment replace those of an earlier one.
    pub(crate) fn later_wins(self, new: Extent, old: Extent) -> bool {
        match self {
            FragmentPolicy::Bsd => new.start < old.start,
            FragmentPolicy::BsdRight => new.start >= old.start,
            FragmentPolicy::Discard | FragmentPolicy::First => false,
            FragmentPolicy::Last => true,
            FragmentPolicy::Linux => new.start <= old.start,
            FragmentPolicy::Solaris => new.start < old.start && new.end >= old.end,
            FragmentPolicy::Windows => new.start < old.start && new.end > old.end,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]
    use super::*;

    #[test]
    fn the_longest_network_decides() {
        let network = |text: &str| text.parse::<Prefix>().unwrap();
        let targets = Targets::new(
            TargetPolicy::Bsd,
            &[
                (network("10.0.0.0/8"), TargetPolicy::Linux),
                (network("10.1.0.0/16"), TargetPolicy::Windows),
                (network("2001:db8::/32"), TargetPolicy::Solaris),
            ],
        );
        for (addr, policy) in [
            ("10.1.2.3", TargetPolicy::Windows),
            ("10.2.0.1", TargetPolicy::Linux),
            ("11.0.0.1", TargetPolicy::Bsd),
            ("2001:db8::1", TargetPolicy::Solaris),
            ("2001:db9::1", TargetPolicy::Bsd),
        ] {
            assert_eq!(targets.of(addr.parse().unwrap()), policy, "{addr}");
        }
    }

    #[test]
    fn names_are_alphabetical_and_found() {
        assert!(TargetPolicy::ALL.iter().map(|p| p.name()).is_sorted());
        for &policy in TargetPolicy::ALL {
            assert_eq!(TargetPolicy::from_name(policy.name()), Some(policy));
        }
        assert_eq!(TargetPolicy::from_name("plan9"), None);
    }
}
