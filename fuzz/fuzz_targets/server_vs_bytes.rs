//! See `highball_fuzz::server_vs_bytes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| highball_fuzz::server_vs_bytes(data));
