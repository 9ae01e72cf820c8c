//! Community ID, version 1: one name for a flow in the logs of every tool.
//!
//! `"1:" base64(sha1(seed, source, destination, protocol, 0, source port, destination port))`, with
//! the lower end first. The SHA-1 here serves that format alone; it protects nothing.

use portcullis_types::Addr;
use std::fmt;

/// A Community ID, ready to print.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommunityId([u8; 28]);

impl fmt::Display for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("1:")?;
        self.0.iter().try_for_each(|b| fmt::Write::write_char(f, char::from(*b)))
    }
}

/// One end: address and port (for ICMP: type and code in its place).
type End = (Addr, u16);

/// The id of a conversation. For ICMP give the type and the code in place of the ports, as
/// [`icmp_ends`] does.
pub fn community_id(
    seed: u16,
    protocol: u8,
    from: End,
    to: End,
    icmp: Option<(u8, u8)>,
) -> CommunityId {
    let (from, to, one_way) = match icmp {
        Some((kind, code)) => icmp_ends(protocol, kind, code, from.0, to.0),
        None => (from, to, false),
    };
    // Within one family the mapped form sorts as the plain one does.
    let (low, high) = if one_way || from <= to { (from, to) } else { (to, from) };
    let mut input = Input { bytes: [0; 40], len: 0 };
    input.put(&seed.to_be_bytes());
    for (addr, _) in [low, high] {
        match addr.as_v4() {
            Some(b) => input.put(&b),
            None => input.put(&addr.octets()),
        }
    }
    input.put(&[protocol, 0]);
    if matches!(protocol, 6 | 17 | 132) || icmp.is_some() {
        input.put(&low.1.to_be_bytes());
        input.put(&high.1.to_be_bytes());
    }
    CommunityId(base64(&input.sha1()))
}

/// ICMP has no ports: a request's type and its answer's stand in their place, so that both
/// directions have one id; where a type has no counterpart, type and code, one way only.
fn icmp_ends(protocol: u8, kind: u8, code: u8, from: Addr, to: Addr) -> (End, End, bool) {
    const V4: [(u8, u8); 10] = [
        (0, 8),
        (8, 0),
        (9, 10),
        (10, 9),
        (13, 14),
        (14, 13),
        (15, 16),
        (16, 15),
        (17, 18),
        (18, 17),
    ];
    const V6: [(u8, u8); 10] = [
        (128, 129),
        (129, 128),
        (130, 131),
        (131, 130),
        (133, 134),
        (134, 133),
        (135, 136),
        (136, 135),
        (139, 140),
        (140, 139),
    ];
    let pairs = if protocol == 58 { &V6 } else { &V4 };
    match pairs.iter().find(|(k, _)| *k == kind) {
        Some((_, answer)) => ((from, kind.into()), (to, (*answer).into()), false),
        None => ((from, kind.into()), (to, code.into()), true),
    }
}

/// At most 2 + 32 + 2 + 4 bytes: with SHA-1's padding they fit its one block of 64.
struct Input {
    bytes: [u8; 40],
    len: usize,
}

impl Input {
    fn put(&mut self, part: &[u8]) {
        let end = self.len + part.len();
        self.bytes[self.len..end].copy_from_slice(part);
        self.len = end;
    }

    /// SHA-1 (FIPS 180-4) of one block.
    fn sha1(&self) -> [u8; 20] {
        let mut block = [0u8; 64];
        block[..self.len].copy_from_slice(&self.bytes[..self.len]);
        block[self.len] = 0x80;
        block[56..].copy_from_slice(&(8 * self.len as u64).to_be_bytes());
        let mut w = [0u32; 80];
        for (word, bytes) in w.iter_mut().zip(block.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        for i in 16..80 {
            w[i] = (w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]).rotate_left(1);
        }
        let start = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
        let [mut a, mut b, mut c, mut d, mut e] = start;
        for (i, word) in w.into_iter().enumerate() {
            let (f, k) = match i {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999u32),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e);
            let next = next.wrapping_add(k).wrapping_add(word);
            (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
        }
        let mut digest = [0u8; 20];
        for ((out, h), x) in
            digest.as_chunks_mut::<4>().0.iter_mut().zip(start).zip([a, b, c, d, e])
        {
            *out = h.wrapping_add(x).to_be_bytes();
        }
        digest
    }
}

/// Base64 (RFC 4648, 4) of 20 bytes: 27 characters and one `=`.
fn base64(digest: &[u8; 20]) -> [u8; 28] {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = [b'='; 28];
    for (four, three) in out.chunks_mut(4).zip(digest.chunks(3)) {
        let byte = |i: usize| three.get(i).copied().map_or(0, u32::from);
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (i, c) in four.iter_mut().enumerate().take(three.len() + 1) {
            *c = ALPHABET[(bits >> (18 - 6 * i) & 63) as usize];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

    use super::*;

    fn id(seed: u16, protocol: u8, from: &str, ports: (u16, u16), to: &str) -> String {
        let (from, to): (Addr, Addr) = (from.parse().unwrap(), to.parse().unwrap());
        community_id(seed, protocol, (from, ports.0), (to, ports.1), None).to_string()
    }

    #[test]
    fn the_known_answer_and_both_directions() {
        // The example of the specification.
        let (a, b) = ("128.232.110.120", "66.35.250.204");
        assert_eq!(id(0, 6, a, (34855, 80), b), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(id(0, 6, b, (80, 34855), a), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(id(1, 6, a, (34855, 80), b), "1:3V71V58M3Ksw/yuFALMcW0LAHvc=");
        let (a, b) = ("192.168.1.52", "8.8.8.8");
        assert_eq!(id(0, 17, a, (54585, 53), b), "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
    }

    #[test]
    fn requests_and_answers_of_icmp_are_one() {
        let (a, b): (Addr, Addr) =
            ("192.168.0.89".parse().unwrap(), "192.168.0.1".parse().unwrap());
        let of =
            |from, to, kind| community_id(0, 1, (from, 0), (to, 0), Some((kind, 0))).to_string();
        assert_eq!(of(a, b, 8), of(b, a, 0));
        assert_eq!(of(a, b, 8), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
    }
}
