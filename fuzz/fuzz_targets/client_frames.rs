//! See `highball_fuzz::client_frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| highball_fuzz::client_frames(data));
