//! What reads bytes of strangers, each as a function that takes any bytes and panics if it is wrong.
//!
//! The fuzz targets call them, and so does a test that replays the corpus, with any compiler:
//!
//! ```console
//! $ cargo test --manifest-path fuzz/Cargo.toml
//! $ cargo +nightly fuzz run --features libfuzzer frame_decoder
//! ```
//!
//! | function | what must hold |
//! |---|---|
//! | [`frame_decoder`] | where a stream is cut makes no difference to its messages |
//! | [`compressed_message`] | it is unpacked within the limit or refused; what is packed comes out again |
//! | [`frames`] | frames of any kind, through tap and h2: every call ends, nothing is left |
//! | [`metadata`] | what came off the wire goes back to it and comes again |
//! | [`grpc_message`] | a text is shown as percent-decoding says |
//! | [`grpc_timeout`] | a time that is sent on is not shorter |
//! | [`status_trailers`] | only `grpc-status: 0` is OK |
//! | [`target`] | it names its scheme in lower case, and an authority that a header may carry |
//! | [`service_config`] | a config is accepted or refused with a text |
//! | [`client_vs_bytes`] | as [`frames`] |
//! | [`client_frames`], [`server_vs_bytes`] | at the server: nothing is left, and the next client is served |
//!
//! What a fuzzer finds stays in `corpus/`, under the name of its target.

mod client;
mod compression;
mod parsers;
mod server;

pub use client::{client_vs_bytes, frames, grpc_message, status_trailers};
pub use compression::compressed_message;
pub use parsers::{frame_decoder, grpc_timeout, metadata, service_config, target};
pub use server::{client_frames, server_vs_bytes};

/// Takes any bytes; panics if what reads them is wrong.
pub type Check = fn(&[u8]);

/// All of them, by name.
pub const TARGETS: [(&str, Check); 12] = [
    ("client_frames", client_frames),
    ("client_vs_bytes", client_vs_bytes),
    ("compressed_message", compressed_message),
    ("frame_decoder", frame_decoder),
    ("frames", frames),
    ("grpc_message", grpc_message),
    ("grpc_timeout", grpc_timeout),
    ("metadata", metadata),
    ("server_vs_bytes", server_vs_bytes),
    ("service_config", service_config),
    ("status_trailers", status_trailers),
    ("target", target),
];

/// Runs on a clock of its own, which stands still unless everybody waits.
fn paused<T>(run: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing")
        .block_on(run)
}
