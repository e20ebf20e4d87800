//! Outgoing messages that are compressed before they are framed.

use bytes::{BufMut as _, BytesMut};

use super::encode::{check, encode_into};
use super::{FramingError, PREFIX_LEN};
use crate::compression::Compression;

/// What a message's prefix can say: the limit of one that is not compressed yet.
const LONGEST: usize = u32::MAX as usize;

/// Like [`encode_into`], with the payload compressed: but for an empty one, and for one that would not become
/// shorter, which is sent as it is. `limit` goes for what is sent.
///
/// ```
/// use bytes::{BufMut as _, BytesMut};
/// use highball_transport::{Compression, framing};
///
/// let mut buffer = BytesMut::new();
/// framing::compress_into(&mut buffer, Compression::Identity, 2, 100, |buffer| {
///     buffer.put_slice(b"hi");
/// })?;
/// assert_eq!(buffer[..], [0, 0, 0, 0, 2, b'h', b'i']);
/// # Ok::<(), framing::FramingError>(())
/// ```
pub fn compress_into(
    buffer: &mut BytesMut,
    compression: Compression,
    size: usize,
    limit: usize,
    write: impl FnOnce(&mut BytesMut),
) -> Result<(), FramingError> {
    let start = buffer.len();
    let is_packed = compression != Compression::Identity;
    // Called in one place, compressed or not, `write` becomes part of it.
    encode_into(buffer, size, if is_packed { LONGEST } else { limit }, write)?;
    match is_packed {
        true => pack(buffer, start, compression, limit),
        false => Ok(()),
    }
}

/// Compresses the message that begins at `start`.
#[inline(never)]
fn pack(
    buffer: &mut BytesMut,
    start: usize,
    compression: Compression,
    limit: usize,
) -> Result<(), FramingError> {
    let body = start + PREFIX_LEN;
    let payload = &buffer[body..];
    // Room for what is worth it, and no more.
    let mut room = vec![0; payload.len().saturating_sub(1)];
    let packed = match payload {
        [] => None,
        payload => compression.pack(payload, &mut room),
    };
    if let Some(length) = packed {
        buffer.truncate(body);
        buffer.put_slice(&room[..length]);
        buffer[start] = 1;
    }
    match check(buffer.len() - body, limit) {
        Ok(length) => {
            buffer[start + 1..body].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        Err(error) => {
            buffer.truncate(start);
            Err(error)
        }
    }
}

#[cfg(test)]
#[cfg(feature = "gzip")]
mod tests {
    use super::*;
    use crate::framing::{Decoder, Encoding, Message};

    fn framed(payload: &[u8], limit: usize) -> Result<BytesMut, FramingError> {
        let mut buffer = BytesMut::from(&b"kept"[..]);
        let write = |buffer: &mut BytesMut| buffer.put_slice(payload);
        let done = compress_into(&mut buffer, Compression::Gzip, payload.len(), limit, write);
        assert_eq!(buffer.split_to(4)[..], *b"kept");
        match done {
            Ok(()) => Ok(buffer),
            Err(error) => {
                assert!(buffer.is_empty(), "nothing is left of what failed");
                Err(error)
            }
        }
    }

    fn message(payload: &[u8]) -> Message {
        let mut decoder = Decoder::new();
        decoder.push(framed(payload, usize::MAX).unwrap().freeze());
        let message = decoder.next(usize::MAX).unwrap().unwrap();
        assert!(decoder.is_empty());
        message
    }

    #[test]
    fn a_message_that_becomes_shorter_is_flagged_and_unpacked_again() {
        let text = b"again and again and again and again and again";
        let message = message(text);
        assert!(message.is_compressed());
        let gzip = Encoding::Known(Compression::Gzip);
        assert_eq!(message.into_payload(&gzip, text.len()).unwrap(), text[..]);
    }

    #[test]
    fn an_empty_message_and_one_that_would_not_become_shorter_are_sent_as_they_are() {
        for text in [&b""[..], b"a", b"no word comes twice"] {
            let message = message(text);
            assert!(!message.is_compressed());
            let gzip = Encoding::Known(Compression::Gzip);
            assert_eq!(message.into_payload(&gzip, 0).unwrap(), text);
        }
    }

    #[test]
    fn the_limit_goes_for_what_is_sent() {
        let text = [b'x'; 1000];
        let length = framed(&text, 100).unwrap().len() - PREFIX_LEN;
        assert!(framed(&text, length).is_ok());
        let error = framed(&text, length - 1).unwrap_err();
        let text = format!(
            "trying to send message larger than max ({length} vs. {})",
            length - 1
        );
        assert_eq!(error.to_string(), text);
        assert!(framed(b"no word comes twice", 10).is_err());
    }
}
