//! The Internet checksum (RFC 1071), for verifying and for crafting.

use portcullis_types::Addr;

/// A running ones-complement sum. Parts of odd length are padded with a zero byte, so only the
/// last part may be odd.
#[derive(Clone, Copy, Default, Debug)]
pub struct Sum(u64);

impl Sum {
    /// Adds bytes.
    #[inline]
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        // Native words: the ones-complement sum is the same in either byte order but for a final
        // swap (RFC 1071, 2.B). Wide ones, in two sums that do not wait for each other; 2^32 is one
        // there, and so is 2^64. A frame has under 2^16 bytes, so 2^14 words never carry out.
        let (pairs, rest) = bytes.as_chunks::<16>();
        let (mut even, mut odd) = (0u128, 0u128);
        for &[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] in pairs {
            even += u128::from(u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
            odd += u128::from(u64::from_ne_bytes([i, j, k, l, m, n, o, p]));
        }
        let mut sum = self.0 + folded(even) + folded(odd);
        let (words, tail) = rest.as_chunks::<4>();
        for word in words {
            sum += u64::from(u32::from_ne_bytes(*word));
        }
        let mut last = [0u8; 4];
        for (to, from) in last.iter_mut().zip(tail) {
            *to = *from;
        }
        Sum(sum + u64::from(u32::from_ne_bytes(last)))
    }

    /// The checksum to put into a header whose field was zero while summing; over a received header
    /// and its field it is 0 where the checksum is right.
    #[inline]
    pub fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let [.., a, b] = sum.to_be_bytes();
        !u16::from_be(u16::from_be_bytes([a, b]))
    }

    /// Whether the checksum over a received header and its field is right: a multiple of 2^16 - 1.
    #[inline]
    pub fn is_right(self) -> bool {
        // Parts of zeros alone would have to carry 0xffff: their sum of 0 is no right one.
        self.0 != 0 && self.0.is_multiple_of(0xffff)
    }
}

/// A sum in words of 32 bits, added up.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "its four words are what is wanted")]
const fn folded(sum: u128) -> u64 {
    let (high, low) = ((sum >> 64) as u64, sum as u64);
    (high >> 32) + (high & 0xffff_ffff) + (low >> 32) + (low & 0xffff_ffff)
}

/// The checksum of `parts` taken together; each part but the last has an even length.
pub fn internet(parts: &[&[u8]]) -> u16 {
    parts.iter().fold(Sum::default(), |sum, part| sum.bytes(part)).finish()
}

/// The sum over the pseudo-header of an upper-layer packet of `len` bytes (RFC 9293, 3.1;
/// RFC 8200, 8.1). The family is that of `src`.
#[inline]
pub fn pseudo_header(src: Addr, dst: Addr, protocol: u8, len: u16) -> Sum {
    let [high, low] = len.to_be_bytes();
    let sum = match (src.as_v4(), dst.as_v4()) {
        (Some(src), Some(dst)) => Sum::default().bytes(&src).bytes(&dst),
        _ => Sum::default().bytes(&src.octets()).bytes(&dst.octets()),
    };
    sum.bytes(&[0, protocol, high, low])
}

/// The checksum of an upper-layer packet with its pseudo-header. Over a received packet it is 0
/// where the checksum is right. UDP writes 0 as 0xffff.
pub fn transport(src: Addr, dst: Addr, protocol: u8, segment: &[u8]) -> u16 {
    pseudo_header(src, dst, protocol, crate::narrow(segment.len())).bytes(segment).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plain reading of RFC 1071.
    fn plain(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).expect("folded")
    }

    #[test]
    fn the_example_of_the_rfc() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(internet(&[&bytes]), !0xddf2);
    }

    proptest::proptest! {
        #[test]
        fn as_the_plain_reading(bytes: Vec<u8>) {
            proptest::prop_assert_eq!(internet(&[&bytes]), plain(&bytes));
        }

        /// Ones and zeros alone among them, where the two could part.
        #[test]
        fn right_is_what_ends_in_zero(bytes: Vec<u8>, word in 0u8..=255) {
            for bytes in [&bytes[..], &[word; 20], &[0; 20], &[0xff; 20]] {
                let mut sent = bytes.get(..bytes.len() / 2 * 2).unwrap_or_default().to_vec();
                let sum = Sum::default().bytes(&sent);
                proptest::prop_assert_eq!(sum.is_right(), sum.finish() == 0);
                sent.extend(sum.finish().to_be_bytes());
                let sum = Sum::default().bytes(&sent);
                proptest::prop_assert_eq!(sum.is_right(), sum.finish() == 0);
            }
        }

        #[test]
        fn even_parts_make_the_whole(bytes: Vec<u8>, at in 0usize..64) {
            let (a, b) = bytes.split_at((at * 2).min(bytes.len() / 2 * 2));
            proptest::prop_assert_eq!(internet(&[a, b]), plain(&bytes));
        }
    }
}
