//! Messages to bytes and back: gRPC's length-prefixed framing, the same at both ends.
//!
//! ```text
//!   ┌──────────┬────────────────────┬─────────────────────┐
//!   │ flag: u8 │ length: u32, big-  │ payload:            │  repeated; DATA frames of HTTP/2
//!   │ 0 or 1   │ endian             │ length bytes        │  cut it anywhere
//!   └──────────┴────────────────────┴─────────────────────┘
//! ```
//!
//! [`encode`] writes prefix and payload into one buffer, [`Batch`] the messages that are ready at the same
//! time; [`Decoder`] takes the pieces as they come and
//! gives whole payloads. [`compress_into`] packs a payload first, and [`Message::into_payload`] unpacks it. The
//! message format itself (protobuf) is none of this module's business.
//! Follows [PROTOCOL-HTTP2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).

mod batch;
mod compressed;
mod decoder;
mod encode;
mod encoding;
mod error;

pub use batch::Batch;
pub use compressed::compress_into;
pub use decoder::{Decoder, Message};
pub use encode::{encode, encode_into};
pub use encoding::Encoding;
pub(crate) use encoding::GRPC_ENCODING;
pub use error::FramingError;

/// Flag and length.
const PREFIX_LEN: usize = 5;

/// The largest payload that is received unless a caller says otherwise: 4 MiB.
pub const DEFAULT_RECEIVE_LIMIT: usize = 4 * 1024 * 1024;

/// The largest payload that is sent unless a caller says otherwise: 2 GiB less one byte.
pub const DEFAULT_SEND_LIMIT: usize = i32::MAX as usize;
