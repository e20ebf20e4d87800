//! See `highball_fuzz::compressed_message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| highball_fuzz::compressed_message(data));
