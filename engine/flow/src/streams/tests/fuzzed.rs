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

/// A SYN-ACK with another number after the server's bytes were told: the policy, then a segment a
/// line.
const ANOTHER_SYN_ACK: &[&str] = &[
    "01",
    "0002040010040400",
    "00ff000010040400",
    "00ff000018fefefe",
    "fefefefefefefefe",
    "fefefefefeffffff",
    "ffffffff09fefefe",
    "fe2304000000ff00",
    "021204040000ff00",
    "00105c5c5c5c5c5c",
    "5cd2d2d2d2d2d2d2",
    "d2d2d2d2d2d2d2d2",
    "d2d2d2d236d2d2d2",
    "d2d2d2d2d2d2d2d2",
    "d2d2d2d20000ff00",
    "04040204000000ff",
    "0002120024000000",
    "0000000000000008",
    "0030303030303030",
    "3030303030d2d2d2",
    "d2d2d2d2d2d2d2d2",
    "d2d2d2d2d2d2d2d2",
    "d2d236d2d2d2d2d2",
    "d2d2fefefefefefe",
    "fefefe29fefefefe",
    "fefefefefefefefe",
    "ffffff00ff003a10",
];

#[test]
fn offsets_go_on_where_a_handshake_begins_anew() {
    let hex = ANOTHER_SYN_ACK.concat();
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
    crate::fuzz_streams(&bytes.collect::<Result<Vec<_>, _>>().unwrap());
}
