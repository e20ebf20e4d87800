//! Turns `.proto` files into Rust: messages, a client and a server for each service.
//!
//! Nothing but Rust is needed: the files are compiled by [protox], the messages come from prost-build, and
//! the stubs from here. What comes out is meant to be read: it carries the comments of the `.proto` files,
//! and documents what has none.
//!
//! From a build script, into `OUT_DIR`:
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), highball_codegen::Error> {
//!     highball_codegen::Builder::new().compile(&["proto/echo.proto"], &["proto"])
//! }
//! ```
//!
//! Or checked in, as `highball-echo` does: [`Builder::generate`] returns the text, and a test compares it
//! with what lies in the repository.
//!
//! For `package trains; service Signal { rpc Watch(Line) returns (stream Aspect); }` the file `trains.rs`
//! holds
//!
//! - `struct Line` and `struct Aspect`, which are [prost messages](https://docs.rs/prost);
//! - `mod signal_client` with `SignalClient`, whose methods call through a channel;
//! - `mod signal_server` with the trait `Signal`, which a server implements, and `SignalServer`, which takes
//!   calls to it.
//!
//! For server reflection, [`Builder::descriptor_set`] gives the same files as descriptors.
//!
//! The crate around the generated code depends on `prost`, on `highball-channel` for clients and on
//! `highball-server` for servers.
//!
//! Deliberately absent: formatting by rustfmt (not every machine has it; mark the module
//! `#[rustfmt::skip]`), and any way to change what stubs look like beyond the paths they name.

mod builder;
mod client;
mod comments;
mod error;
mod layout;
mod server;
mod service;

pub use builder::{Builder, Generated};
pub use error::Error;
