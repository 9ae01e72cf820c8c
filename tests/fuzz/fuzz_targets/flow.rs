//! The flow table, from arbitrary histories of packets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_fuzz::flow(bytes));
