//! Incoming messages: pieces of a stream in, whole payloads out.
//!
//! ```text
//!   push(chunk) ──► pending (copied: the start of a message that the chunks so far do not complete)
//!                   chunk   (as it came: what follows)                         ──► next() ──► payload
//! ```

use bytes::{Buf as _, Bytes, BytesMut};

use super::{Encoding, FramingError, PREFIX_LEN};

/// How far the buffer of a message grows ahead of the bytes that have come: a message of 64 KiB, and what
/// belongs to it, is copied once.
const MOST_AHEAD: usize = 128 * 1024;

/// Takes the bytes of one direction of a stream and gives whole messages.
///
/// A message that lies in one chunk is a slice of it; one that does not is copied once into a buffer that
/// grows with the bytes that have come, never by what the prefix promises. Where the stream was cut makes
/// no difference to the messages. At most one message (and what came with its last chunk) is buffered if
/// [`next`](Self::next) is called until it gives `None` before more is pushed.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The prefix of the message that is under way, taken off the bytes below.
    prefix: Option<Prefix>,
    /// Bytes from earlier chunks; they come before `chunk`.
    pending: BytesMut,
    /// What is left of the newest chunk.
    chunk: Bytes,
}

#[derive(Clone, Copy, Debug)]
struct Prefix {
    flag: u8,
    length: u32,
}

/// One message as it was sent: not yet decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    compressed: bool,
    payload: Bytes,
}

impl Decoder {
    /// A decoder at the start of a stream. Allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes of the stream.
    pub fn push(&mut self, chunk: Bytes) {
        self.keep_chunk();
        self.chunk = chunk;
    }

    /// The next message, if all of it has come.
    ///
    /// A payload that is announced longer than `limit` bytes is [`FramingError::TooLarge`] as soon as its
    /// prefix is there; a flag other than 0 and 1 is [`FramingError::UnknownFlag`]. The stream cannot be
    /// read on after an error; further calls repeat it.
    pub fn next(&mut self, limit: usize) -> Result<Option<Message>, FramingError> {
        let Some(Prefix { flag, length }) = self.prefix() else {
            return Ok(None);
        };
        let length = length as usize;
        if length > limit {
            let size = length;
            return Err(FramingError::TooLarge { size, limit });
        }
        if flag > 1 {
            return Err(FramingError::UnknownFlag(flag));
        }
        let Some(payload) = self.payload(length) else {
            return Ok(None);
        };
        self.prefix = None;
        Ok(Some(Message {
            compressed: flag == 1,
            payload,
        }))
    }

    /// Whether nothing is buffered: the stream may end here.
    pub fn is_empty(&self) -> bool {
        self.prefix.is_none() && self.buffered() == 0
    }

    /// To be called at the end of the stream, when [`next`](Self::next) gives no more messages: a message
    /// cut short is [`FramingError::UnexpectedEnd`].
    pub fn finish(&self) -> Result<(), FramingError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(FramingError::UnexpectedEnd)
        }
    }

    fn buffered(&self) -> usize {
        self.pending.len() + self.chunk.len()
    }

    /// The prefix under way, read off the buffers once its five bytes are there.
    fn prefix(&mut self) -> Option<Prefix> {
        if self.prefix.is_none() {
            if self.buffered() < PREFIX_LEN {
                self.keep_chunk();
                return None;
            }
            let mut bytes = [0; PREFIX_LEN];
            if self.pending.is_empty() {
                self.chunk.copy_to_slice(&mut bytes);
            } else {
                let pieces = &mut self.pending;
                pieces.chain(&mut self.chunk).copy_to_slice(&mut bytes);
            }
            let [flag, length @ ..] = bytes;
            let length = u32::from_be_bytes(length);
            self.prefix = Some(Prefix { flag, length });
        }
        self.prefix
    }

    /// `length` bytes off the buffers, once they are there.
    fn payload(&mut self, length: usize) -> Option<Bytes> {
        if self.buffered() < length {
            let missing = length - self.pending.len();
            let ahead = self.pending.len().max(MOST_AHEAD).max(self.chunk.len());
            self.pending.reserve(missing.min(ahead));
            self.keep_chunk();
            return None;
        }
        if self.pending.is_empty() {
            return Some(self.chunk.split_to(length));
        }
        if let Some(missing) = length.checked_sub(self.pending.len()) {
            self.pending
                .extend_from_slice(&self.chunk.split_to(missing));
        }
        let payload = self.pending.split_to(length);
        if self.pending.is_empty() {
            // The buffer leaves with the message; a quiet stream keeps none.
            self.pending = BytesMut::new();
        }
        Some(payload.freeze())
    }

    /// Moves what is left of the chunk behind the pending bytes.
    fn keep_chunk(&mut self) {
        if !self.chunk.is_empty() {
            self.pending.extend_from_slice(&self.chunk);
            self.chunk = Bytes::new();
        }
    }
}

impl Message {
    /// Whether it says that it is compressed.
    pub fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// The payload, ready to be decoded, given what the peer announced in `grpc-encoding`. One that was
    /// compressed and is longer than `limit` bytes is [`FramingError::TooLargeUnpacked`], found out in no more
    /// memory than that.
    pub fn into_payload(self, encoding: &Encoding, limit: usize) -> Result<Bytes, FramingError> {
        if !self.compressed {
            return Ok(self.payload);
        }
        self.unpack(encoding, limit)
    }

    /// A function of its own, so that messages that are not compressed do not carry it.
    #[inline(never)]
    fn unpack(self, encoding: &Encoding, limit: usize) -> Result<Bytes, FramingError> {
        let compression = encoding.of_a_compressed_message()?;
        compression.unpack(self.payload, limit)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut as _;
    use proptest::prelude::*;

    use super::super::encode_into;
    use super::*;

    fn plain(message: Message) -> Bytes {
        message.into_payload(&Encoding::IDENTITY, 0).unwrap()
    }

    fn stream(payloads: &[Vec<u8>]) -> Bytes {
        let mut buffer = BytesMut::new();
        for payload in payloads {
            let write = |buffer: &mut BytesMut| buffer.put_slice(payload);
            encode_into(&mut buffer, payload.len(), usize::MAX, write).unwrap();
        }
        buffer.freeze()
    }

    fn decode(chunks: impl IntoIterator<Item = Bytes>) -> (Vec<Bytes>, Decoder) {
        let mut decoder = Decoder::new();
        let mut messages = Vec::new();
        for chunk in chunks {
            decoder.push(chunk);
            while let Some(message) = decoder.next(1 << 20).unwrap() {
                messages.push(plain(message));
            }
        }
        (messages, decoder)
    }

    #[test]
    fn a_message_in_one_chunk_is_a_slice_of_it() {
        let chunk = stream(&[vec![1; 100], vec![2; 50]]);
        let (messages, decoder) = decode([chunk.clone()]);
        assert_eq!(messages[0].as_ptr(), chunk[5..].as_ptr());
        assert_eq!(messages[1].as_ptr(), chunk[110..].as_ptr());
        assert!(decoder.is_empty());
    }

    #[test]
    fn a_body_in_one_chunk_is_a_slice_of_it_though_the_prefix_was_cut() {
        let chunk = stream(&[vec![1; 100]]);
        let (messages, _) = decode([chunk.slice(..3), chunk.slice(3..)]);
        assert_eq!(messages[0].as_ptr(), chunk[5..].as_ptr());
    }

    #[test]
    fn the_prefix_alone_makes_nothing_grow_beyond_what_may_come_soon() {
        let mut decoder = Decoder::new();
        decoder.push(Bytes::from_static(&[0, 0x7f, 0xff, 0xff, 0xff, 1]));
        assert_eq!(decoder.next(usize::MAX), Ok(None));
        assert!(decoder.pending.capacity() <= 2 * MOST_AHEAD);
    }

    #[test]
    fn a_message_of_64_kib_has_its_buffer_at_once() {
        let bytes = stream(&[vec![1; 64 * 1024 + 4]]);
        let mut decoder = Decoder::new();
        decoder.push(bytes.slice(..64 * 1024));
        assert_eq!(decoder.next(1 << 20), Ok(None));
        let buffer = decoder.pending.as_ptr();
        decoder.push(bytes.slice(64 * 1024..));
        let payload = plain(decoder.next(1 << 20).unwrap().unwrap());
        assert_eq!(payload.as_ptr(), buffer);
    }

    #[test]
    fn a_lying_length_is_refused_at_the_prefix() {
        let mut decoder = Decoder::new();
        decoder.push(Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff]));
        let error = decoder.next(4 << 20).unwrap_err();
        assert_eq!(
            error.to_string(),
            "grpc: received message larger than max (4294967295 vs. 4194304)"
        );
        assert_eq!(decoder.next(4 << 20), Err(error));
    }

    #[test]
    fn the_limit_itself_is_allowed() {
        let mut decoder = Decoder::new();
        decoder.push(stream(&[vec![1; 10]]));
        assert!(decoder.next(10).unwrap().is_some());
        decoder.push(stream(&[vec![1; 11]]));
        assert!(decoder.next(10).is_err());
    }

    #[test]
    fn the_flag_is_zero_or_one() {
        let mut decoder = Decoder::new();
        decoder.push(Bytes::from_static(&[2, 0, 0, 0, 0]));
        assert_eq!(decoder.next(10), Err(FramingError::UnknownFlag(2)));
    }

    #[test]
    fn a_compressed_message_needs_an_encoding_that_is_known() {
        let compressed = || {
            let mut decoder = Decoder::new();
            decoder.push(Bytes::from_static(&[1, 0, 0, 0, 1, 9]));
            decoder.next(10).unwrap().unwrap()
        };
        assert_eq!(
            compressed().into_payload(&Encoding::IDENTITY, 100),
            Err(FramingError::CompressedWithoutEncoding)
        );
        let snappy = "snappy";
        assert_eq!(
            compressed().into_payload(&Encoding::Unknown(snappy.into()), 100),
            Err(FramingError::UnknownEncoding(snappy.to_owned()))
        );
        let (messages, _) = decode([stream(&[vec![5]])]);
        assert_eq!(messages[0][..], [5]);
    }

    #[test]
    fn a_stream_may_end_between_messages_only() {
        let whole = stream(&[vec![1; 4]]);
        for cut in 0..=whole.len() {
            let (_, decoder) = decode([whole.slice(..cut)]);
            let fits = cut == 0 || cut == whole.len();
            assert_eq!(decoder.finish().is_ok(), fits, "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn where_the_stream_is_cut_makes_no_difference(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
            cuts in prop::collection::vec(0..2000_usize, 0..20),
            read_between: bool,
        ) {
            let whole = stream(&payloads);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(whole.len())).collect();
            cuts.extend([0, whole.len()]);
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|cut| whole.slice(cut[0]..cut[1])).collect();
            let (messages, decoder) = if read_between {
                decode(chunks)
            } else {
                let mut decoder = Decoder::new();
                chunks.into_iter().for_each(|chunk| decoder.push(chunk));
                let mut messages = Vec::new();
                while let Some(message) = decoder.next(1 << 20).unwrap() {
                    messages.push(plain(message));
                }
                (messages, decoder)
            };
            prop_assert_eq!(messages, payloads);
            prop_assert!(decoder.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic_nor_hold_more_than_came(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20),
            limit in 0..100_usize,
        ) {
            let mut decoder = Decoder::new();
            let mut came = 0;
            for chunk in chunks {
                came += chunk.len();
                decoder.push(chunk.into());
                while let Ok(Some(message)) = decoder.next(limit) {
                    prop_assert!(message.payload.len() <= limit);
                }
                prop_assert!(decoder.buffered() <= came);
            }
        }
    }
}
