//! See `highball_fuzz::frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| highball_fuzz::frames(data));
