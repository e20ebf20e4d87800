//! Many calls on one TCP connection, and nothing else: no HTTP/2, no headers, no flow control.
//!
//! ```text
//!   call number: 4 bytes │ length: 4 bytes │ message        there and back
//! ```

mod client;
mod frame;
mod server;

pub use client::Client;
pub use server::serve;
