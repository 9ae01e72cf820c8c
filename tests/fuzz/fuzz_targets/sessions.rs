//! Conversations of TLS, DNS, SSH, SMTP, FTP and SMB, and the probes, from arbitrary bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_fuzz::sessions(bytes));
