//! Which checksums [`parse`](crate::parse) verifies.

/// The kinds of checksum to verify. What is not asked for costs nothing.
///
/// Verify where frames come off a real wire and the NIC does not; a virtual port hands over frames
/// whose checksums were never filled in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Checks(u8);

impl Checks {
    /// None at all.
    pub const NONE: Checks = Checks(0);
    /// The IPv4 header's.
    pub const IPV4: Checks = Checks(1);
    /// TCP's.
    pub const TCP: Checks = Checks(2);
    /// UDP's, where there is one.
    pub const UDP: Checks = Checks(4);
    /// ICMPv4's.
    pub const ICMPV4: Checks = Checks(8);
    /// ICMPv6's.
    pub const ICMPV6: Checks = Checks(16);
    /// IGMP's.
    pub const IGMP: Checks = Checks(32);
    /// All of them.
    pub const ALL: Checks = Checks(63);

    /// These and those.
    #[must_use]
    pub const fn with(self, other: Checks) -> Checks {
        Checks(self.0 | other.0)
    }

    /// Whether all of `wanted` are asked for.
    #[inline]
    pub const fn has(self, wanted: Checks) -> bool {
        self.0 & wanted.0 == wanted.0
    }
}
