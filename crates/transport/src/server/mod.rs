//! The server's end of a connection.
//!
//! ```text
//!   BoxIo ── handshake ──► ServerConnection ── accept ──► Incoming: CallHead, what the client says
//!                            │   │                                  Receiver, its messages
//!                            │   └─ Quota: a handler's place        Responder, headers, messages, status
//!                            └─ drain: GOAWAY, ack or 5 s, GOAWAY, last stream, close
//! ```
//!
//! Whoever calls [`ServerConnection::accept`] in a loop drives the connection. A request that gRPC does
//! not allow is refused here and never comes out of it. Routing and handlers are not this module's
//! business.

mod admission;
mod connection;
mod drain;
mod handshake;
mod head;
mod incoming;
mod life;
mod line;
mod linger;
mod options;
mod portions;
mod quota;
mod receiver;
mod reply;
mod responder;
mod strikes;

pub use connection::ServerConnection;
pub use handshake::HandshakeError;
pub use head::CallHead;
pub use incoming::Incoming;
pub use options::{EnforcementPolicy, Keepalive, ServerOptions};
pub use quota::Permit;
pub use receiver::Receiver;
pub use responder::{Gone, Responder};
