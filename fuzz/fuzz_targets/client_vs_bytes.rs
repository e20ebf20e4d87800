//! See `highball_fuzz::client_vs_bytes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| highball_fuzz::client_vs_bytes(data));
