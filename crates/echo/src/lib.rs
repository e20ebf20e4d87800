//! The echo service of gRPC's examples, and a policy for it: what an application adds to Highball.
//!
//! Everything here uses what any application can use: the public API of `highball-channel` and
//! `highball-server`.

/// The package `grpc.examples.echo`, generated from `proto/grpc/examples/echo/echo.proto`.
#[rustfmt::skip] // The generator has a style of its own.
#[path = "generated/grpc.examples.echo.rs"]
pub mod echo;

/// The same package as an encoded `FileDescriptorSet`, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("generated/grpc.examples.echo.bin");

mod service;

pub mod custom_round_robin;

pub mod interop;

pub use custom_round_robin::CustomRoundRobin;
pub use echo::echo_client::EchoClient;
pub use echo::echo_server::{Echo, EchoServer};
pub use echo::{EchoRequest, EchoResponse};
pub use service::EchoWithAddress;
