//! Outgoing messages: prefix and payload in one buffer, without a copy.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{FramingError, PREFIX_LEN};

/// One message, framed: `write` appends the payload behind the prefix.
///
/// `size` is how long the payload will be; the buffer is allocated once for it. A payload longer than
/// `limit` bytes (or than the prefix can say) is [`FramingError::TooLargeToSend`], known before anything
/// is allocated or written.
///
/// ```
/// use bytes::BufMut as _;
/// use highball_transport::framing;
///
/// let framed = framing::encode(2, 100, |buffer| buffer.put_slice(b"hi"))?;
/// assert_eq!(framed[..], [0, 0, 0, 0, 2, b'h', b'i']);
/// # Ok::<(), framing::FramingError>(())
/// ```
pub fn encode(
    size: usize,
    limit: usize,
    write: impl FnOnce(&mut BytesMut),
) -> Result<Bytes, FramingError> {
    let mut buffer = BytesMut::new();
    encode_into(&mut buffer, size, limit, write)?;
    Ok(buffer.freeze())
}

/// Like [`encode`], behind what `buffer` holds: several small messages travel in one DATA frame that way.
///
/// On an error the buffer is as it was.
pub fn encode_into(
    buffer: &mut BytesMut,
    size: usize,
    limit: usize,
    write: impl FnOnce(&mut BytesMut),
) -> Result<(), FramingError> {
    check(size, limit)?;
    let length = PREFIX_LEN + size;
    if buffer.capacity() == 0 {
        // A new buffer has nothing that could be made room in.
        *buffer = BytesMut::with_capacity(length);
    } else {
        buffer.reserve(length);
    }
    let start = buffer.len();
    buffer.put_slice(&[0; PREFIX_LEN]);
    write(buffer);
    // What was really written counts, should `size` have been a guess.
    let written = buffer.len().saturating_sub(start + PREFIX_LEN);
    match check(written, limit) {
        Ok(length) => {
            buffer[start + 1..start + PREFIX_LEN].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        Err(error) => {
            buffer.truncate(start);
            Err(error)
        }
    }
}

pub(super) fn check(size: usize, limit: usize) -> Result<u32, FramingError> {
    match u32::try_from(size) {
        Ok(length) if size <= limit => Ok(length),
        _ => Err(FramingError::TooLargeToSend { size, limit }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(payload: &[u8]) -> Bytes {
        encode(payload.len(), 1000, |buffer| buffer.put_slice(payload)).unwrap()
    }

    #[test]
    fn prefix_and_payload_share_one_buffer() {
        assert_eq!(framed(b"abc")[..], *b"\0\0\0\0\x03abc");
        assert_eq!(framed(b"")[..], [0; 5]);
        assert_eq!(framed(&[7; 300])[..5], [0, 0, 0, 1, 44]);
    }

    #[test]
    fn messages_line_up_behind_each_other() {
        let mut buffer = BytesMut::new();
        for payload in [&b"a"[..], b"bc"] {
            encode_into(&mut buffer, payload.len(), 10, |b| b.put_slice(payload)).unwrap();
        }
        assert_eq!(buffer[..], *b"\0\0\0\0\x01a\0\0\0\0\x02bc");
    }

    #[test]
    fn what_is_over_the_limit_is_refused_before_it_is_written() {
        let error = encode(11, 10, |_| panic!("must not be called")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "trying to send message larger than max (11 vs. 10)"
        );
        assert!(encode(10, 10, |buffer| buffer.put_bytes(1, 10)).is_ok());
    }

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn a_size_that_the_prefix_cannot_say_is_refused() {
        let size = u32::MAX as usize + 1;
        assert!(encode(size, usize::MAX, |_| panic!("must not be called")).is_err());
    }

    #[test]
    fn a_wrong_guess_of_the_size_is_put_right_or_refused() {
        let longer = encode(1, 10, |buffer| buffer.put_slice(b"abc")).unwrap();
        assert_eq!(longer[..], *b"\0\0\0\0\x03abc");
        let mut buffer = BytesMut::from(&b"kept"[..]);
        assert!(encode_into(&mut buffer, 1, 2, |b| b.put_slice(b"abc")).is_err());
        assert_eq!(buffer[..], *b"kept");
    }
}
