//! The client's end of a connection.
//!
//! ```text
//!   connect ──► Connection ── slot ──► Slot ── open ──► SendHalf  (messages, END_STREAM)
//!      │            │                                   RecvHalf  (headers, messages, trailers)
//!      │            └─ one task: h2 over the frame tap over a BoxIo
//!      └──► ConnectionEnd ── lost ──► GOAWAY or closed
//! ```
//!
//! One call by hand, as a channel makes it for every call:
//!
//! ```no_run
//! use bytes::BufMut as _;
//! use highball_core::Status;
//! use highball_transport::client::{ClientOptions, RequestHead, connect};
//! use highball_transport::{SystemConnector, framing};
//!
//! # async fn call() -> Result<(), Status> {
//! let address = "127.0.0.1:50051".into();
//! let (connection, _end) = connect(&SystemConnector, &address, &ClientOptions::default()).await?;
//! let authority = http::uri::Authority::from_static("localhost:50051");
//! let path = http::uri::PathAndQuery::from_static("/grpc.examples.echo.Echo/UnaryEcho");
//! let slot = connection.slot().await?;
//! let (mut send, mut receive) = connection.open(slot, RequestHead::new(authority, path))?;
//! let hello = framing::encode(7, 100, |buffer| buffer.put_slice(b"\x0a\x05hello"))?;
//! // Should the call have ended, the receiving half knows why.
//! let _ = send.send(hello, true).await;
//! while let Some(message) = receive.message().await.map_err(|ended| ended.status)? {
//!     assert_eq!(message[..], *b"\x0a\x05hello");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Deliberately absent: deadlines (a caller drops the halves when time is up), retries, balancing.

mod connection;
mod end;
mod failure;
mod handshake;
mod keepalive;
mod options;
mod recv;
mod request;
mod same_headers;
mod send;
mod shared;
mod stream;
mod task;

pub use connection::{Closer, Connection, NotOpened, OpenError, Slot};
pub use end::{Closed, ConnectionEnd, Lost};
pub use failure::{Ended, Processed};
pub use handshake::{ConnectError, ConnectStage, connect};
pub use options::{ClientOptions, Keepalive};
pub use recv::RecvHalf;
pub use request::RequestHead;
pub use send::{SendHalf, SendStopped};
