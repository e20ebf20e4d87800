//! The client's end of a connection.
//!
//! ```text
//!   connect ──► Connection ── slot ──► Slot ── open ──► SendHalf  (messages, END_STREAM)
//!      │            │                                   RecvHalf  (headers, messages, trailers)
//!      │            └─ one task: h2 over the frame tap over a BoxIo
//!      └──► ConnectionEnd ── lost ──► GOAWAY or closed
//! ```

mod connection;
mod end;
mod failure;
mod handshake;
mod options;
mod recv;
mod request;
mod send;
mod shared;
mod stream;
mod task;

pub use connection::{Connection, NotOpened, OpenError, Slot};
pub use end::{Closed, ConnectionEnd, Lost};
pub use failure::{Ended, Processed};
pub use handshake::{ConnectError, ConnectStage, connect};
pub use options::ClientOptions;
pub use recv::RecvHalf;
pub use request::RequestHead;
pub use send::{SendHalf, SendStopped};
