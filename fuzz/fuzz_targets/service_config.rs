//! See `highball_fuzz::service_config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| highball_fuzz::service_config(data));
