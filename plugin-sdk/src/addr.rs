//! An address as the records carry it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IP address in 16 bytes of network order; IPv4 as `::ffff:a.b.c.d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Addr(pub [u8; 16]);

impl Addr {
    /// The four bytes of an IPv4 address.
    #[inline]
    pub fn as_v4(&self) -> Option<[u8; 4]> {
        let [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] = self.0 else { return None };
        Some([a, b, c, d])
    }

    /// Whether this is an IPv4 address.
    #[inline]
    pub fn is_v4(&self) -> bool {
        self.as_v4().is_some()
    }

    /// Whether it is multicast, or the IPv4 limited broadcast.
    pub fn is_group(&self) -> bool {
        match self.as_v4() {
            Some(b) => b[0] & 0xf0 == 0xe0 || b == [255; 4],
            None => self.0[0] == 0xff,
        }
    }

    /// Whether it is all zeros: `::`, or IPv4's 0.0.0.0.
    pub fn is_unspecified(&self) -> bool {
        self.as_v4().map_or(self.0 == [0; 16], |b| b == [0; 4])
    }

    /// As the standard library writes it.
    pub fn ip(&self) -> IpAddr {
        match self.as_v4() {
            Some(b) => IpAddr::V4(Ipv4Addr::from(b)),
            None => IpAddr::V6(Ipv6Addr::from(self.0)),
        }
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(a) => Addr(a.to_ipv6_mapped().octets()),
            IpAddr::V6(a) => Addr(a.octets()),
        }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.ip(), f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
