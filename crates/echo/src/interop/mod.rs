//! gRPC's interoperability tests: the test service, and the cases that its clients go through.
//!
//! ```text
//!   interop-client ── cases ──► any gRPC server with grpc.testing.TestService
//!   any gRPC client's cases ──► interop-server ── TestServer
//! ```
//!
//! Follows [interop-test-descriptions.md](https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md);
//! names, flags and byte counts are the official ones. `peers/interop/run` has other implementations go through
//! them, in both directions.

/// The package `grpc.testing`, generated from `proto/grpc/testing/test.proto`.
#[rustfmt::skip] // The generator has a style of its own.
#[path = "../generated/grpc.testing.rs"]
pub mod testing;

/// The same package as an encoded `FileDescriptorSet`, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("../generated/grpc.testing.bin");

mod service;

mod backend_metrics;
mod cases;
mod failure;
mod soak;
mod tester;

pub use backend_metrics::TestBackendMetrics;
pub use cases::{CASES, LEFT_OUT, run};
pub use failure::Failure;
pub use service::TestServer;
pub use soak::{Soak, SoakReport};
pub use tester::Tester;

use testing::{Payload, PayloadType};

/// Metadata that the test service sends back before its messages.
pub(crate) const ECHO_INITIAL: &str = "x-grpc-test-echo-initial";

/// Metadata that the test service sends back after its messages.
pub(crate) const ECHO_TRAILING: &str = "x-grpc-test-echo-trailing-bin";

/// As many zeros.
pub(crate) fn payload(size: usize) -> Payload {
    Payload {
        r#type: PayloadType::Compressable.into(),
        body: vec![0; size],
    }
}
