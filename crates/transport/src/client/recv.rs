//! The receiving half of a call.

use std::task::{Context, Poll};

use bytes::Bytes;
use highball_core::{MetadataMap, Status};

/// Receives the headers, the messages and the status of one call. Owned by one task.
///
/// Dropping it before the call has ended cancels the call: RST_STREAM(CANCEL).
#[derive(Debug)]
pub struct RecvHalf {}

/// How a call ended other than well, and what is known of what the server did with it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ended {
    /// The status, with the trailing metadata.
    pub status: Status,
    /// Whether the server can have seen the call.
    pub processed: Processed,
    /// The code of the server's RST_STREAM, if that is what ended the call.
    pub reset: Option<h2::Reason>,
}

/// Whether a server can have worked on a call: what transparent retries are decided by (gRFC A6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processed {
    /// Its headers never left this machine.
    NothingSent,
    /// The server says it has not looked at it: REFUSED_STREAM, or a stream above GOAWAY's last.
    Unprocessed,
    /// It may have.
    MaybeProcessed,
}

#[expect(clippy::todo, clippy::unused_async, reason = "signatures first")]
impl RecvHalf {
    /// Waits for the response headers: `Ok(None)` if the call ended well without any.
    ///
    /// Cancel-safe. To be called before [`message`](Self::message), or not at all.
    pub async fn headers(&mut self) -> Result<Option<MetadataMap>, Ended> {
        todo!()
    }

    /// Waits for the next message: its payload, whole. `Ok(None)`: the call has ended well.
    ///
    /// Cancel-safe: what has been read of a message is kept.
    pub async fn message(&mut self) -> Result<Option<Bytes>, Ended> {
        todo!()
    }

    /// [`headers`](Self::headers), polled: for streams.
    pub fn poll_headers(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<Result<Option<MetadataMap>, Ended>> {
        todo!()
    }

    /// [`message`](Self::message), polled: for streams.
    pub fn poll_message(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Ended>> {
        todo!()
    }

    /// Takes the trailing metadata, once [`message`](Self::message) has returned `Ok(None)`.
    pub fn trailers(&mut self) -> MetadataMap {
        todo!()
    }
}
