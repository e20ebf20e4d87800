//! From messages to bytes over HTTP/2 and back, for both ends of a call.
//!
//! ```text
//!   RecvHalf / SendHalf     messages, headers, trailers; a call becomes a status
//!        │
//!       h2                  streams, flow control, HPACK
//!        │
//!    frame tap              sees what h2 hides; writes once a turn
//!        │
//!      BoxIo                a byte stream, from a Connector
//! ```
//!
//! Knows connections and calls, but neither channels nor policies.

pub mod client;
mod connect;
pub mod framing;
mod gate;
mod memory;
mod percent;
mod response;
pub mod server;
mod settings;
mod status;
mod tap;

pub use connect::{BoxIo, Connector, Io, SystemConnector};
pub use memory::{MemoryListener, MemoryNetwork};
