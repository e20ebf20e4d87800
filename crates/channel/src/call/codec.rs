//! Protobuf messages to framed bytes and back.

use bytes::{Bytes, BytesMut};
use highball_core::Status;
use highball_transport::framing;
use prost::{DecodeError, Message};

/// Encodes a message behind its prefix, in one buffer.
pub(super) fn encode<T: Message>(message: &T, limit: usize) -> Result<Bytes, Status> {
    let framed = framing::encode(message.encoded_len(), limit, |buffer| {
        message.encode_raw(buffer)
    });
    Ok(framed?)
}

/// Encodes a message behind its prefix, and both behind what `buffer` holds.
pub(super) fn encode_into<T: Message>(
    buffer: &mut BytesMut,
    message: &T,
    limit: usize,
) -> Result<(), Status> {
    let size = message.encoded_len();
    framing::encode_into(buffer, size, limit, |buffer| message.encode_raw(buffer))?;
    Ok(())
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
