//! Reassembly and defragmentation, from arbitrary histories of segments and fragments.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_fuzz::streams(bytes));
