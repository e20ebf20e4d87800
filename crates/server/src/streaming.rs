//! Streams of messages: from the client, and to it.

use std::fmt;
use std::future::{Future as _, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use highball_core::{Code, Status};
use highball_transport::server::Receiver;
use prost::Message;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::call::CallContext;

/// The messages a handler answers with. It is polled while the client takes them, and dropped when the call
/// is over.
///
/// An error ends the call with its status and the metadata in it. `Err(Status::ok().with_metadata(..))`
/// ends it well, with trailing metadata that is known only at the end.
pub type ResponseStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The messages a client sends, in order.
///
/// A [`Stream`], too. May be moved to another task; whoever holds it after the call is over reads
/// CANCELLED.
pub struct Streaming<T> {
    /// Gone when there is nothing more to read.
    receiver: Option<Receiver>,
    limit: usize,
    context: Arc<CallContext>,
    /// Waits for the end of the call, if this stream ever had to wait.
    over: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    message: PhantomData<fn() -> T>,
}

impl<T: Message + Default> Streaming<T> {
    pub(crate) fn new(receiver: Receiver, limit: usize, context: Arc<CallContext>) -> Self {
        Self {
            receiver: Some(receiver),
            limit,
            context,
            over: None,
            message: PhantomData,
        }
    }

    /// Waits for the next message; `None` when the client has sent its last. Cancel-safe.
    ///
    /// # Errors
    ///
    /// CANCELLED when the call is over. RESOURCE_EXHAUSTED for a message over the limit and INTERNAL for
    /// one that cannot be read: with these the call ends, whatever its handler answers.
    pub async fn message(&mut self) -> Result<Option<T>, Status> {
        poll_fn(|cx| self.poll_message(cx)).await.transpose()
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Status>>> {
        let Some(receiver) = &mut self.receiver else {
            return Poll::Ready(None);
        };
        let next = match receiver.poll_message(self.limit, cx) {
            Poll::Ready(next) => next.map(|payload| payload.and_then(decode)),
            Poll::Pending if self.poll_over(cx).is_pending() => return Poll::Pending,
            Poll::Pending => Some(Err(Status::cancelled("the call is over"))),
        };
        match &next {
            Some(Ok(_)) => {}
            Some(Err(status)) => {
                if status.code() != Code::Cancelled {
                    self.context.end.fail(status);
                }
                self.receiver = None;
            }
            None => self.receiver = None,
        }
        Poll::Ready(next)
    }

    /// Ready when the call is over. HTTP/2 itself wakes nobody who waits for messages of a call that was
    /// answered.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let context = &self.context;
        let wait = || Box::pin(context.end.token().clone().cancelled_owned());
        self.over.get_or_insert_with(wait).as_mut().poll(cx)
    }
}

impl<T: Message + Default> Stream for Streaming<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_message(cx)
    }
}

impl<T> fmt::Debug for Streaming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = self.receiver.is_none();
        f.debug_struct("Streaming")
            .field("ended", &ended)
            .finish_non_exhaustive()
    }
}

pub(crate) fn decode<T: Message + Default>(payload: Bytes) -> Result<T, Status> {
    T::decode(payload).map_err(|error| {
        let text = format!("grpc: failed to unmarshal the received message: {error}");
        Status::internal(text).with_source(error)
    })
}
