//! The keyed hash: symmetric where it must be, and not to be predicted from outside.
//!
//! NH of UMAC (RFC 4418, 5.2) over 64-bit words: for keys that the attacker does not know, two
//! given messages meet with probability 2^-64, whatever they are. It is a handful of
//! multiplications, a third of what SipHash costs on 48 bytes; SipHash makes the keys from the
//! seed.

use portcullis_types::{Addr, SegmentId, VlanStack};
use siphasher::sip::SipHasher13;

/// The secret words of the hash. Make one at start from 16 random bytes (or from fixed ones, where
/// a replay must give the same output twice), and share it by copy.
#[derive(Clone, Copy, Debug)]
pub struct HashKey {
    words: [u64; 8],
}

impl HashKey {
    /// The key that belongs to a seed.
    pub fn from_seed(seed: [u8; 16]) -> Self {
        let sip = SipHasher13::new_with_key(&seed);
        let mut nth = 0u8;
        let words = [(); 8].map(|()| {
            nth += 1;
            sip.hash(&[nth])
        });
        HashKey { words }
    }

    /// The hash of six words.
    #[inline]
    pub(crate) fn hash(&self, m: [u64; 6]) -> u64 {
        let k = &self.words;
        let [m0, m1, m2, m3, m4, m5] = m;
        let sum = product(m0.wrapping_add(k[0]), m1.wrapping_add(k[1]))
            .wrapping_add(product(m2.wrapping_add(k[2]), m3.wrapping_add(k[3])))
            .wrapping_add(product(m4.wrapping_add(k[4]), m5.wrapping_add(k[5])));
        let (high, low) = halves(sum);
        // NH leaves structure in single bits; a second keyed round spreads it over the 64.
        let (high, low) = halves(product(low.wrapping_add(k[6]), high.wrapping_add(k[7])));
        high ^ low
    }
}

#[inline]
fn product(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
fn halves(n: u128) -> (u64, u64) {
    ((n >> 64) as u64, n as u64)
}

/// Segment and VLAN stack in one word: 36 bits of VIDs, 16 of the segment's number.
#[inline]
pub(crate) fn place_word(segment: SegmentId, vlan: VlanStack) -> u64 {
    vlan.bits() | u64::from(segment.0) << 48
}

/// The hash that says which worker owns a frame: symmetric in `a` and `b`, and of addresses alone,
/// so that fragments, ICMP errors and all flows of two hosts meet in one worker.
///
/// The owner is `lane_hash(…) % workers`. See [`lane_of`] for the addresses to give it.
#[inline]
pub fn lane_hash(key: &HashKey, segment: SegmentId, vlan: VlanStack, a: Addr, b: Addr) -> u64 {
    let (a, b) = (a.halves(), b.halves());
    let ((l0, l1), (h0, h1)) = if a <= b { (a, b) } else { (b, a) };
    key.hash([l0, l1, h0, h1, place_word(segment, vlan), 0])
}

/// [`lane_hash`] of a packet: of the packet that it quotes, for an ICMP error, since that is whose
/// flow it belongs to.
#[inline]
pub fn lane_of(key: &HashKey, segment: SegmentId, packet: &portcullis_wire::Packet) -> u64 {
    let (a, b) = match &packet.quoted {
        Some(quoted) if packet.dst == { quoted.src } => (quoted.src, quoted.dst),
        _ => (packet.src, packet.dst),
    };
    lane_hash(key, segment, packet.vlan, a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lane_hash_is_symmetric_and_seeded() {
        let (one, two) = (HashKey::from_seed([1; 16]), HashKey::from_seed([2; 16]));
        let (a, b) = (Addr::v4([10, 0, 0, 1]), Addr::v4([10, 0, 0, 2]));
        let place = (SegmentId(3), VlanStack::UNTAGGED);
        assert_eq!(
            lane_hash(&one, place.0, place.1, a, b),
            lane_hash(&one, place.0, place.1, b, a)
        );
        assert_ne!(
            lane_hash(&one, place.0, place.1, a, b),
            lane_hash(&two, place.0, place.1, a, b)
        );
        let other = VlanStack::from_vids(&[10]).expect("a stack");
        assert_ne!(lane_hash(&one, place.0, place.1, a, b), lane_hash(&one, place.0, other, a, b));
    }

    #[test]
    fn low_bits_spread_over_neighbouring_addresses() {
        let key = HashKey::from_seed([7; 16]);
        let mut seen = [0u32; 256];
        for n in 0..65_536u32 {
            let [_, _, c, d] = n.to_be_bytes();
            let a = Addr::v4([10, 0, c, d]);
            let h = lane_hash(&key, SegmentId(0), VlanStack::UNTAGGED, a, Addr::v4([10, 9, 9, 9]));
            seen[usize::from(h.to_le_bytes()[0])] += 1;
        }
        assert!(seen.iter().all(|&n| (150..=370).contains(&n)), "256 expected each: {seen:?}");
    }
}
