//! See `highball_fuzz::grpc_timeout`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| highball_fuzz::grpc_timeout(data));
