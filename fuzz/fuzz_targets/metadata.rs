//! See `highball_fuzz::metadata`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| highball_fuzz::metadata(data));
