//! The fuzz entries over what proptest makes up.

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn streams(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        crate::fuzz_streams(&bytes);
    }

    #[test]
    fn defragmentation(bytes in prop::collection::vec(any::<u8>(), 0..1_500)) {
        crate::fuzz_defrag(&bytes);
    }
}
