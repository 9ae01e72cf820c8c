//! Addresses and prefixes, IPv4 and IPv6 in one 16-byte form.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An IP address in 16 bytes of network order; IPv4 as `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2).
///
/// The form is unambiguous because `wire` rejects IPv6 packets that carry a mapped address, which
/// no host may put on a link. So one comparison serves both families.
///
/// Kept as two words of the host's own order: addresses are made, compared and hashed for every
/// frame, and words just stored are read again without waiting, where bytes are not.
#[derive(Clone, Copy, Eq, PartialOrd, Ord, Default)]
pub struct Addr {
    high: u64,
    low: u64,
}

/// The first half of the low word of a mapped IPv4 address.
const MAPPED: u64 = 0xffff;

impl Addr {
    /// The all-zero address; never a valid source.
    pub const UNSPECIFIED: Addr = Addr { high: 0, low: 0 };

    /// An IPv4 address from its four bytes in network order.
    #[inline]
    pub const fn v4(b: [u8; 4]) -> Self {
        Addr { high: 0, low: MAPPED << 32 | u32::from_be_bytes(b) as u64 }
    }

    /// An IPv6 address from its sixteen bytes in network order.
    #[inline]
    pub const fn v6(b: [u8; 16]) -> Self {
        let (high, low) = split(u128::from_be_bytes(b));
        Addr { high, low }
    }

    /// The address of these halves: see [`Addr::halves`].
    #[inline]
    pub const fn of_halves(high: u64, low: u64) -> Self {
        Addr { high, low }
    }

    /// The sixteen bytes, network order, IPv4 mapped.
    #[inline]
    pub const fn octets(&self) -> [u8; 16] {
        self.number().to_be_bytes()
    }

    /// The four bytes of an IPv4 address.
    #[inline]
    pub fn as_v4(&self) -> Option<[u8; 4]> {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the last four bytes are what is wanted"
        )]
        self.is_v4().then_some((self.low as u32).to_be_bytes())
    }

    /// Whether this is an IPv4 address.
    #[inline]
    pub fn is_v4(&self) -> bool {
        self.high == 0 && self.low >> 32 == MAPPED
    }

    /// Length in bits of an address of this family: 32 or 128.
    #[inline]
    pub fn family_bits(&self) -> u8 {
        if self.is_v4() { 32 } else { 128 }
    }

    /// The two 64-bit halves, big-endian, for hashing and comparison.
    #[inline]
    pub const fn halves(&self) -> (u64, u64) {
        (self.high, self.low)
    }

    /// As one number, which orders addresses as their bytes do.
    #[inline]
    pub const fn number(&self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }

    /// Whether the address is multicast (224/4 or ff00::/8) or the IPv4 limited broadcast.
    #[inline]
    pub fn is_group(&self) -> bool {
        match self.as_v4() {
            Some(b) => b[0] & 0xf0 == 0xe0 || b == [255; 4],
            None => self.high >> 56 == 0xff,
        }
    }

    /// As the standard library writes it.
    pub fn ip(&self) -> IpAddr {
        match self.as_v4() {
            Some(b) => IpAddr::V4(Ipv4Addr::from(b)),
            None => IpAddr::V6(Ipv6Addr::from(self.octets())),
        }
    }
}

/// Word by word: compared as one piece, an address just made would be waited for.
impl PartialEq for Addr {
    #[inline]
    fn eq(&self, other: &Addr) -> bool {
        (self.high ^ other.high) | (self.low ^ other.low) == 0
    }
}

impl Hash for Addr {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.octets().hash(state);
    }
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
const fn split(n: u128) -> (u64, u64) {
    ((n >> 64) as u64, n as u64)
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(a) => Addr::v4(a.octets()),
            IpAddr::V6(a) => Addr::v6(a.octets()),
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
        fmt::Display::fmt(&self.ip(), f)
    }
}

impl FromStr for Addr {
    type Err = std::net::AddrParseError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        s.parse::<IpAddr>().map(Addr::from)
    }
}

/// Why a prefix was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrefixError {
    /// The part before `/` is no IP address.
    Address,
    /// Bits are set behind the prefix length; the network is given instead.
    HostBits(Prefix),
    /// The part after `/` is no number from 0 to the family's width.
    Length,
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrefixError::Address => {
                write!(f, "write an IP address such as 192.0.2.1 or 2001:db8::1")
            }
            PrefixError::HostBits(p) => write!(f, "bits are set behind the prefix; write {p}"),
            PrefixError::Length => {
                write!(f, "the prefix length goes from 0 to 32 for IPv4 and to 128 for IPv6")
            }
        }
    }
}

impl std::error::Error for PrefixError {}

/// A network: an address whose bits behind `len` are zero. `len` counts within the family
/// (0–32 for IPv4, 0–128 for IPv6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    addr: Addr,
    len: u8,
}

impl Prefix {
    /// The prefix of exactly one address.
    #[inline]
    pub fn host(addr: Addr) -> Self {
        Prefix { addr, len: addr.family_bits() }
    }

    /// The network of `len` bits that holds `addr`; `len` beyond the family's width is the width.
    pub fn of(addr: Addr, len: u8) -> Self {
        let width = addr.family_bits();
        let len = len.min(width);
        let spare = u32::from(width - len);
        let n = addr.number();
        let (high, low) = split(if spare >= 128 { 0 } else { n >> spare << spare });
        Prefix { addr: Addr { high, low }, len }
    }

    /// The first address of the network.
    #[inline]
    pub fn addr(&self) -> Addr {
        self.addr
    }

    /// Bits that are fixed, within the family.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "a prefix length, not a collection's")]
    pub fn len(&self) -> u8 {
        self.len
    }

    /// Whether this is one single address.
    pub fn is_host(&self) -> bool {
        self.len == self.addr.family_bits()
    }

    /// Whether `addr` lies in the network. The families never mix.
    #[inline]
    pub fn contains(&self, addr: Addr) -> bool {
        addr.is_v4() == self.addr.is_v4() && Prefix::of(addr, self.len).addr == self.addr
    }

    /// Whether `addr` is how all hosts of this IPv4 network are addressed at once: its last
    /// address, or its first, which old hosts take for the same. Networks of one or two hosts have
    /// none.
    pub fn is_broadcast(&self, addr: Addr) -> bool {
        let bits = u32::from(self.addr.family_bits() - self.len);
        if !addr.is_v4() || bits < 2 || !self.contains(addr) {
            return false;
        }
        let all = (1_u128 << bits) - 1;
        let host = addr.number() & all;
        host == 0 || host == all
    }

    /// Whether the two networks share an address: then one lies within the other.
    pub fn overlaps(&self, other: &Prefix) -> bool {
        self.contains(other.addr) || other.contains(self.addr)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_host() {
            write!(f, "{}", self.addr)
        } else {
            write!(f, "{}/{}", self.addr, self.len)
        }
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// `ADDRESS` or `ADDRESS/LENGTH`; host bits behind the prefix are an error that names the fix.
    fn from_str(s: &str) -> Result<Self, PrefixError> {
        let (address, length) = s.split_once('/').map_or((s, None), |(a, l)| (a, Some(l)));
        let addr: Addr = address.parse().map_err(|_| PrefixError::Address)?;
        let Some(length) = length else { return Ok(Prefix::host(addr)) };
        let len: u8 = length.parse().map_err(|_| PrefixError::Length)?;
        if len > addr.family_bits() || length.starts_with('+') {
            return Err(PrefixError::Length);
        }
        let prefix = Prefix::of(addr, len);
        if prefix.addr == addr { Ok(prefix) } else { Err(PrefixError::HostBits(prefix)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_do_not_mix() {
        let all4: Prefix = "0.0.0.0/0".parse().expect("a prefix");
        let all6: Prefix = "::/0".parse().expect("a prefix");
        let v4: Addr = "192.0.2.1".parse().expect("an address");
        let v6: Addr = "2001:db8::1".parse().expect("an address");
        assert!(all4.contains(v4) && !all4.contains(v6));
        assert!(all6.contains(v6) && !all6.contains(v4));
        assert!(!all4.overlaps(&all6));
    }

    #[test]
    fn a_networks_broadcast_is_its_first_and_last_address() {
        let of = |network: &str, addr: &str| {
            let network: Prefix = network.parse().expect("well-formed");
            network.is_broadcast(addr.parse().expect("well-formed"))
        };
        for (network, addr) in [
            ("10.1.2.0/24", "10.1.2.255"),
            ("10.1.2.0/24", "10.1.2.0"),
            ("10.1.2.64/26", "10.1.2.127"),
            ("10.0.0.0/8", "10.255.255.255"),
            ("10.1.2.4/30", "10.1.2.7"),
        ] {
            assert!(of(network, addr), "{addr} in {network}");
        }
        for (network, addr) in [
            ("10.1.2.0/24", "10.1.2.127"),
            ("10.0.0.0/8", "10.1.2.255"),
            ("10.1.2.0/24", "10.1.3.255"),
            ("10.1.2.4/31", "10.1.2.5"),
            ("10.1.2.5/32", "10.1.2.5"),
            ("fd00::/64", "fd00::ffff:ffff:ffff:ffff"),
            ("0.0.0.0/0", "::"),
        ] {
            assert!(!of(network, addr), "{addr} in {network}");
        }
    }

    #[test]
    fn host_bits_are_named() {
        let e = "10.1.2.3/8".parse::<Prefix>().expect_err("host bits are set");
        assert_eq!(e, PrefixError::HostBits("10.0.0.0/8".parse().expect("a prefix")));
        assert_eq!("10.0.0.0/33".parse::<Prefix>(), Err(PrefixError::Length));
        assert_eq!("10.0.0.0/+8".parse::<Prefix>(), Err(PrefixError::Length));
    }
}
