//! Protobuf messages to framed bytes and back.

use bytes::{Bytes, BytesMut};
use highball_core::Status;
use highball_transport::{Compression, framing};
use prost::{DecodeError, Message};

/// How the messages of a request are sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Framing {
    /// The largest, in bytes, as it is sent.
    pub(super) limit: usize,
    pub(super) compression: Compression,
}

impl Framing {
    /// Encodes a message behind its prefix, in one buffer.
    pub(super) fn encode<T: Message>(self, message: &T) -> Result<Bytes, Status> {
        let mut buffer = BytesMut::new();
        self.encode_into(&mut buffer, message)?;
        Ok(buffer.freeze())
    }

    /// Encodes a message behind its prefix, and both behind what `buffer` holds.
    pub(super) fn encode_into<T: Message>(
        self,
        buffer: &mut BytesMut,
        message: &T,
    ) -> Result<(), Status> {
        let Self { limit, compression } = self;
        let size = message.encoded_len();
        framing::compress_into(buffer, compression, size, limit, |buffer| {
            message.encode_raw(buffer);
        })?;
        Ok(())
    }
}

/// Decodes a payload.
pub(super) fn decode<T: Message + Default>(payload: Bytes) -> Result<T, Status> {
    T::decode(payload).map_err(undecodable)
}

/// The status of a call whose response cannot be decoded.
pub(super) fn undecodable(error: DecodeError) -> Status {
    let text = format!("grpc: failed to unmarshal the received message: {error}");
    Status::internal(text).with_source(error)
}
