//! An address as the records carry it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IP address in 16 bytes of network order; IPv4 as `::ffff:a.b.c.d`.
#[derive(Clone, Copy, Eq, PartialOrd, Ord, Default)]
pub struct Addr(pub [u8; 16]);

impl PartialEq for Addr {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let ([a, b], [c, d]) = (self.words(), other.words());
        (a ^ c) | (b ^ d) == 0
    }
}

impl Hash for Addr {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.words().into_iter().for_each(|word| state.write_u64(word));
    }
}

impl Addr {
    /// The four bytes of an IPv4 address.
    #[inline]
    pub fn as_v4(&self) -> Option<[u8; 4]> {
        let [first, last] = self.words();
        if first != 0 || last & 0xffff_ffff != 0xffff_0000 {
            return None;
        }
        let [_, _, _, _, a, b, c, d] = last.to_le_bytes();
        Some([a, b, c, d])
    }

    /// Its halves as whole words, to hash and compare: two loads, where sixteen bytes are a call.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
    pub fn words(&self) -> [u64; 2] {
        let all = u128::from_le_bytes(self.0);
        [all as u64, (all >> 64) as u64]
    }

    /// Whether this is an IPv4 address.
    #[inline]
    pub fn is_v4(&self) -> bool {
        self.as_v4().is_some()
    }

    /// Whether it is multicast, or the IPv4 limited broadcast.
    #[inline]
    pub fn is_group(&self) -> bool {
        match self.as_v4() {
            Some(b) => b[0] & 0xf0 == 0xe0 || b == [255; 4],
            None => self.0[0] == 0xff,
        }
    }

    /// Whether it is all zeros: `::`, or IPv4's 0.0.0.0.
    #[inline]
    pub fn is_unspecified(&self) -> bool {
        matches!(self.words(), [0, 0 | 0xffff_0000])
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
