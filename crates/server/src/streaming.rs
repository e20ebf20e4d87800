//! Streams of messages: from the client, and to it.

use std::fmt;
use std::future::{Future as _, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use highball_core::{Code, Status};
use highball_transport::server::Receiver;
use prost::{DecodeError, Message};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::call::CallContext;
use crate::intercepted;
use crate::interceptor::MessageStream;

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
    source: Source,
    message: PhantomData<fn() -> T>,
}

/// Where the messages come from.
enum Source {
    Wire(Wire),
    /// From the innermost of the server's interceptors.
    Interceptor(MessageStream, Arc<CallContext>),
    /// There is nothing more to read.
    Ended,
}

/// Messages as they come from the client.
struct Wire {
    receiver: Receiver,
    limit: usize,
    context: Arc<CallContext>,
    /// Waits for the end of the call, if this stream ever had to wait.
    over: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl<T: Message + Default + 'static> Streaming<T> {
    pub(crate) fn new(receiver: Receiver, limit: usize, context: Arc<CallContext>) -> Self {
        Self::of(Source::Wire(Wire {
            receiver,
            limit,
            context,
            over: None,
        }))
    }

    pub(crate) fn of_interceptor(messages: MessageStream, context: Arc<CallContext>) -> Self {
        Self::of(Source::Interceptor(messages, context))
    }

    fn of(source: Source) -> Self {
        Self {
            source,
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

    /// Whether the newest message came compressed.
    pub fn is_compressed(&self) -> bool {
        match &self.source {
            Source::Wire(wire) => wire.receiver.is_compressed(),
            Source::Interceptor(_, context) => context.compression.is_of_request(),
            Source::Ended => false,
        }
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Status>>> {
        let next = match &mut self.source {
            Source::Wire(wire) => ready!(wire.poll_message(cx)),
            Source::Interceptor(messages, _) => ready!(messages.as_mut().poll_next(cx))
                .map(|message| message.and_then(intercepted::take)),
            Source::Ended => None,
        };
        if !matches!(next, Some(Ok(_))) {
            self.source = Source::Ended;
        }
        Poll::Ready(next)
    }
}

impl Wire {
    /// The next message. A fault in it is how the call ends, whatever its handler answers.
    fn poll_message<T: Message + Default>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<T, Status>>> {
        let next = match self.receiver.poll_message(self.limit, cx) {
            Poll::Ready(next) => {
                let is_compressed = self.receiver.is_compressed();
                self.context.compression.came(is_compressed);
                next.map(|payload| payload.and_then(decode))
            }
            Poll::Pending if self.poll_over(cx).is_pending() => return Poll::Pending,
            Poll::Pending => Some(Err(Status::cancelled("the call is over"))),
        };
        if let Some(Err(status)) = &next
            && status.code() != Code::Cancelled
        {
            self.context.end.fail(status);
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

impl<T: Message + Default + 'static> Stream for Streaming<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_message(cx)
    }
}

impl<T> fmt::Debug for Streaming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = matches!(self.source, Source::Ended);
        f.debug_struct("Streaming")
            .field("ended", &ended)
            .finish_non_exhaustive()
    }
}

pub(crate) fn decode<T: Message + Default>(payload: Bytes) -> Result<T, Status> {
    T::decode(payload).map_err(undecodable)
}

/// The status of a call whose request cannot be decoded.
pub(crate) fn undecodable(error: DecodeError) -> Status {
    let text = format!("grpc: failed to unmarshal the received message: {error}");
    Status::internal(text).with_source(error)
}
