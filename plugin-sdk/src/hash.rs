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
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;
    #[inline]
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0[0], self.0[1])
    }
}
