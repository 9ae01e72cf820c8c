//! Hash maps keyed by the host. The standard ones have a predictable key on wasm32.

use siphasher::sip::SipHasher13;
use std::hash::BuildHasher;

/// A map with a [`Keyed`] hasher: `HashMap::with_hasher(init.hasher())`.
pub type HashMap<K, V> = std::collections::HashMap<K, V, Keyed>;
/// A set with a [`Keyed`] hasher.
pub type HashSet<K> = std::collections::HashSet<K, Keyed>;

/// SipHash-1-3 under a key that the host gave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keyed([u64; 2]);

impl Keyed {
    /// From a seed, see [`crate::Init::hasher`].
    pub const fn new(seed: [u64; 2]) -> Self {
        Keyed(seed)
    }

    /// SipHash-1-3 of whole words: what the hasher makes of them as bytes, lowest first, without
    /// the buffer that it keeps for parts of words. A third of its instructions in the sandbox.
    #[inline]
    pub fn words<const N: usize>(self, words: [u64; N]) -> u64 {
        let Keyed([k0, k1]) = self;
        let mut state = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        for word in words {
            state[3] ^= word;
            round(&mut state);
            state[0] ^= word;
        }
        // The last word holds the length, of which a byte counts.
        let last = (8 * N as u64) << 56;
        state[3] ^= last;
        round(&mut state);
        state[0] ^= last;
        state[2] ^= 0xff;
        (0..3).for_each(|_| round(&mut state));
        state[0] ^ state[1] ^ state[2] ^ state[3]
    }
}

/// One round of SipHash (Aumasson and Bernstein, 2012).
#[inline]
fn round([v0, v1, v2, v3]: &mut [u64; 4]) {
    *v0 = v0.wrapping_add(*v1);
    *v2 = v2.wrapping_add(*v3);
    *v1 = v1.rotate_left(13) ^ *v0;
    *v3 = v3.rotate_left(16) ^ *v2;
    *v0 = v0.rotate_left(32);
    *v2 = v2.wrapping_add(*v1);
    *v0 = v0.wrapping_add(*v3);
    *v1 = v1.rotate_left(17) ^ *v2;
    *v3 = v3.rotate_left(21) ^ *v0;
    *v2 = v2.rotate_left(32);
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;
    #[inline]
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0[0], self.0[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::Hasher;

    #[test]
    fn words_hash_as_their_bytes_do() {
        let keyed = Keyed::new([0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908]);
        let by_bytes = |words: &[u64]| {
            let mut hasher = keyed.build_hasher();
            words.iter().for_each(|word| hasher.write(&word.to_le_bytes()));
            hasher.finish()
        };
        let words = [1, u64::MAX, 0x0123_4567_89ab_cdef, 0];
        assert_eq!(keyed.words([]), by_bytes(&[]));
        assert_eq!(keyed.words([words[2]]), by_bytes(&words[2..3]));
        assert_eq!(keyed.words(words), by_bytes(&words));
    }
}
