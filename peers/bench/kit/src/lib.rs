//! What all programs of the benchmark share, so that stacks differ in nothing but the stack.
//!
//! ```text
//!   runner ── starts ──► server program: serve()      prints its port, ends with its standard input
//!          ── starts ──► client program: client()     a closed loop; prints one line of JSON
//! ```
//!
//! A stack is an implementation of [`Peer`] and a function that serves a listener. Its programs are one
//! line each.

mod allocations;
mod client;
mod counting;
mod kept;
mod load;
mod message;
mod meter;
mod options;
mod peer;
mod process;
mod report;
mod server;

pub use allocations::{Ends, count_allocations};
pub use client::client;
pub use counting::{Count, Counting, End};
pub use kept::Thing;
pub use message::{Echo, requests};
pub use meter::Meter;
pub use options::{ClientOptions, Kind, Runtime};
pub use peer::{Failure, Peer, PingPong, Result};
pub use process::thread_cpu_seconds;
pub use report::{ControlReport, Report};
pub use server::server;
