//! The messages a client sends.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use highball_core::Status;

use crate::compression::Compression;
use crate::framing::{Decoder, Encoding, FramingError};

/// Receives the messages of one call. Owned by one task at a time.
///
/// What the client may send ahead is bounded by the window of the stream: it is credited when a message is
/// asked for, not before.
#[derive(Debug)]
pub struct Receiver {
    body: RecvStream,
    decoder: Decoder,
    /// What the client's messages are compressed by, as it has announced.
    compression: Compression,
    /// The newest message came compressed.
    is_compressed: bool,
    /// The client has said END_STREAM, or the stream has failed.
    ended: bool,
}

impl Receiver {
    pub(super) fn new(body: RecvStream, compression: Compression) -> Self {
        Self {
            body,
            decoder: Decoder::new(),
            compression,
            is_compressed: false,
            ended: false,
        }
    }

    /// The next message: its payload, whole, at most `limit` bytes. `None`: the client sends no more.
    ///
    /// The error is the status to end the call with: RESOURCE_EXHAUSTED for a message over the limit,
    /// INTERNAL for bytes that are no messages, CANCELLED if the stream or the connection is gone. After
    /// it, and after `None`, there is only `None`. Cancel-safe: what has come of a message is kept.
    pub fn poll_message(
        &mut self,
        limit: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = ready!(self.poll_next(limit, cx));
        self.ended = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }

    /// Whether the newest message came compressed.
    pub fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    fn poll_next(
        &mut self,
        limit: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Status>>> {
        loop {
            match self.decode(limit) {
                Ok(Some(payload)) => return Poll::Ready(Some(Ok(payload))),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
            match ready!(self.body.poll_data(cx)) {
                Some(Ok(chunk)) => {
                    // Fails only on a stream that is gone, which the next poll tells.
                    let _ = self.body.flow_control().release_capacity(chunk.len());
                    self.decoder.push(chunk);
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(lost(&error)))),
                None => {
                    let cut_short = self.decoder.finish().err();
                    return Poll::Ready(cut_short.map(|error| Err(error.into())));
                }
            }
        }
    }

    fn decode(&mut self, limit: usize) -> Result<Option<Bytes>, FramingError> {
        let Some(message) = self.decoder.next(limit)? else {
            return Ok(None);
        };
        self.is_compressed = message.is_compressed();
        let encoding = Encoding::Known(self.compression);
        message.into_payload(&encoding, limit).map(Some)
    }
}

/// What a handler that waits for a message is told when there will be none: nobody else hears it.
fn lost(error: &h2::Error) -> Status {
    Status::cancelled(format!("the call is gone: {error}"))
}
