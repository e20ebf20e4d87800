//! The response of a streaming call as interceptors see it: messages of any type, and who listens to them.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use highball_core::{AnyMessage, MetadataMap, Peer, Status};

use super::incoming::Incoming;

/// Turns payloads into messages of the type that the method has.
pub(super) type Decode = fn(Bytes) -> Result<AnyMessage, Status>;

/// A [`Streaming`](crate::Streaming) in the hands of interceptors. Dropping it before the end cancels the
/// call.
pub struct AnyStreaming {
    incoming: Incoming,
    decode: Decode,
    /// The first is nearest to the server, and hears things first.
    listeners: Vec<Box<dyn ResponseListener>>,
    /// As the last listener has left them.
    headers: Option<MetadataMap>,
    trailers: MetadataMap,
    is_over: bool,
}

/// Hears what comes of a streaming call, on its way to the application, and may change it.
///
/// Called one by one, in the order of the method list, whenever the application reads. A listener that is dropped
/// unclosed belongs to a call that the application has given up, or that another listener has failed.
pub trait ResponseListener: Send + 'static {
    /// The server's initial metadata, and the server. Not called where a call fails before it has any.
    fn headers(&mut self, metadata: &mut MetadataMap, peer: &Peer) {
        let _ = (metadata, peer);
    }

    /// One message.
    ///
    /// # Errors
    ///
    /// A status ends the call with it.
    fn message(&mut self, message: AnyMessage) -> Result<AnyMessage, Status> {
        Ok(message)
    }

    /// The end: the trailing metadata of a call that ended well, or its status. Returns what the application
    /// sees.
    fn close(&mut self, end: Result<MetadataMap, Status>) -> Result<MetadataMap, Status> {
        end
    }
}

impl AnyStreaming {
    pub(super) fn new(incoming: Incoming, decode: Decode) -> Self {
        Self {
            incoming,
            decode,
            listeners: Vec::new(),
            headers: None,
            trailers: MetadataMap::new(),
            is_over: false,
        }
    }

    /// Has `listener` hear what is still to come, after those that listen already: nearer to the
    /// application.
    #[must_use]
    pub fn listen(mut self, listener: impl ResponseListener) -> Self {
        self.listeners.push(Box::new(listener));
        self
    }

    /// Waits for the next message; `None` once the call has ended well. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The call's status, if it is not OK; INTERNAL if the message cannot be decoded.
    pub async fn message(&mut self) -> Result<Option<AnyMessage>, Status> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// Waits for the initial metadata. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The call's status, if it ended without any.
    pub async fn headers(&mut self) -> Result<&MetadataMap, Status> {
        poll_fn(|cx| self.poll_headers(cx)).await?;
        Ok(self.known_headers().unwrap_or(&self.trailers))
    }

    /// The trailing metadata: empty until the call has ended well.
    pub fn trailers(&self) -> &MetadataMap {
        &self.trailers
    }

    /// The server that answers.
    pub fn peer(&self) -> &Peer {
        self.incoming.peer()
    }

    /// Whether the newest message came compressed.
    pub fn is_compressed(&self) -> bool {
        self.incoming.is_compressed()
    }

    /// The response is to bring exactly one message: said before any is waited for.
    pub(super) fn expect_one(&mut self) {
        self.incoming.expect_one();
    }

    /// The initial metadata, if it has come.
    pub(super) fn known_headers(&self) -> Option<&MetadataMap> {
        self.headers.as_ref()
    }

    pub(super) fn poll_headers(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        if self.headers.is_some() || self.is_over {
            return Poll::Ready(Ok(()));
        }
        if let Err(status) = ready!(self.incoming.poll_headers(cx)) {
            return Poll::Ready(self.close(0, Err(status)));
        }
        let mut headers = self.incoming.headers().cloned().unwrap_or_default();
        for listener in &mut self.listeners {
            listener.headers(&mut headers, self.incoming.peer());
        }
        self.headers = Some(headers);
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<AnyMessage>, Status>> {
        ready!(self.poll_headers(cx))?;
        if self.is_over {
            return Poll::Ready(Ok(None));
        }
        Poll::Ready(match ready!(self.incoming.poll_payload(cx)) {
            Ok(Some(payload)) => self.received(payload),
            Ok(None) => {
                let trailers = self.incoming.trailers().clone();
                self.close(0, Ok(trailers)).map(|()| None)
            }
            Err(status) => self.close(0, Err(status)).map(|()| None),
        })
    }

    fn received(&mut self, payload: Bytes) -> Result<Option<AnyMessage>, Status> {
        let mut heard = 0;
        let mut heard_of = (self.decode)(payload);
        for listener in &mut self.listeners {
            let Ok(message) = heard_of else { break };
            heard_of = listener.message(message);
            heard += 1;
        }
        match heard_of {
            Ok(message) => Ok(Some(message)),
            Err(status) => {
                let status = self.over(status);
                self.close(heard, Err(status)).map(|()| None)
            }
        }
    }

    /// Ends the call with `status`; what is still open is cancelled.
    pub(super) fn over(&mut self, status: Status) -> Status {
        self.is_over = true;
        self.incoming.over(status)
    }

    /// The listeners from this one on hear how the call ended.
    fn close(&mut self, from: usize, mut end: Result<MetadataMap, Status>) -> Result<(), Status> {
        self.is_over = true;
        let listeners = std::mem::take(&mut self.listeners);
        for mut listener in listeners.into_iter().skip(from) {
            end = listener.close(end);
        }
        self.trailers = end.map_err(|status| self.incoming.explained_once(status))?;
        Ok(())
    }
}

impl Stream for AnyStreaming {
    type Item = Result<AnyMessage, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(cx).map(Result::transpose)
    }
}

impl fmt::Debug for AnyStreaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyStreaming")
            .field("incoming", &self.incoming)
            .field("listeners", &self.listeners.len())
            .finish_non_exhaustive()
    }
}
