//! See `highball_fuzz::status_trailers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| highball_fuzz::status_trailers(data));
