//! A number, a length, a message.

use bench_kit::{Echo, Result};
use bytes::{Buf, BufMut, BytesMut};
use prost::Message;

const HEAD: usize = 8;

/// Appends a message of the call `number`.
pub(crate) fn put(number: u32, message: &Echo, buffer: &mut BytesMut) -> Result<()> {
    let length = message.encoded_len();
    buffer.reserve(HEAD + length);
    buffer.put_u32(number);
    buffer.put_u32(u32::try_from(length)?);
    Ok(message.encode(buffer)?)
}

/// Takes the first message off, if all of it is there.
pub(crate) fn take(buffer: &mut BytesMut) -> Result<Option<(u32, Echo)>> {
    let Some(mut head) = buffer.get(..HEAD) else {
        return Ok(None);
    };
    let (number, length) = (head.get_u32(), head.get_u32() as usize);
    if buffer.len() < HEAD + length {
        return Ok(None);
    }
    buffer.advance(HEAD);
    Ok(Some((number, Echo::decode(buffer.split_to(length))?)))
}
