//! Google's `grpc` crate: its client, every setting at its default, a deadline on every call, and TCP_NODELAY,
//! which it has no setting for.
//!
//! Its server is not public. Its repository's other stack, tonic, serves it here.

mod client;
mod message;
mod nodelay;

pub use bench_tonic::serve;
pub use client::Client;
