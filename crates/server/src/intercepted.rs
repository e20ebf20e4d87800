//! Handlers behind interceptors: messages go through those without their types.
//!
//! Boxes and dynamic calls are for these calls only. What the handlers answer is sent as it comes out of the
//! interceptors, so all of that is compiled once.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use highball_core::{AnyMessage, Payload, Response, Status};
use prost::Message;

use crate::call::{CallContext, Input};
use crate::interceptor::{AnyHandler, Interceptors, MessageStream, Next};
use crate::kinds::{single, stream};
use crate::reply::Single;
use crate::streaming::undecodable;
use crate::{Request, ResponseStream, Streaming};

/// One message in, one out.
pub(crate) async fn unary<T, U, H, F>(
    interceptors: Interceptors,
    input: Input,
    handler: H,
) -> Result<Single<AnyMessage>, Status>
where
    T: Message + Default + 'static,
    U: Message + 'static,
    H: FnOnce(Request<T>) -> F + Send + 'static,
    F: Future<Output = Result<Response<U>, Status>> + Send + 'static,
{
    let handler: AnyHandler<AnyMessage> = Box::new(|request| {
        Box::pin(async {
            let response = handler(request.try_map(take)?).await?;
            Ok(response.map(AnyMessage::new))
        })
    });
    let request = single::<Payload>(input).await?.try_map(decode::<T>)?;
    let next = Next::<AnyMessage>::all(&interceptors, handler);
    Ok(Single(next.run(request).await?))
}

/// A stream in, or one message, which is a stream of one here.
async fn streaming(
    interceptors: Interceptors,
    request: Request<MessageStream>,
    handler: AnyHandler<MessageStream>,
) -> Result<Response<MessageStream>, Status> {
    let next = Next::<MessageStream>::all(&interceptors, handler);
    next.run(request).await
}

/// One message in, a stream out.
pub(crate) async fn server_streaming<T, U, H, F>(
    interceptors: Interceptors,
    input: Input,
    handler: H,
) -> Result<Response<MessageStream>, Status>
where
    T: Message + Default + 'static,
    U: Message + 'static,
    H: FnOnce(Request<T>) -> F + Send + 'static,
    F: Future<Output = Result<Response<ResponseStream<U>>, Status>> + Send + 'static,
{
    let handler: AnyHandler<MessageStream> = Box::new(|request| {
        Box::pin(async {
            let (mut messages, head) = request.split();
            let Some(message) = poll_fn(|cx| messages.as_mut().poll_next(cx)).await else {
                let text = "an interceptor failed: it took the request's only message away";
                return Err(Status::internal(text));
            };
            let message = take(message?)?;
            let response = handler(head.map(|()| message)).await?;
            Ok(response.map(|messages| -> MessageStream { Box::pin(Untyped(messages)) }))
        })
    });
    let request = single::<Payload>(input).await?.try_map(decode::<T>)?;
    let request = request.map(|message| -> MessageStream { Box::pin(Once(Some(message))) });
    streaming(interceptors, request, handler).await
}

/// A stream in, one message out.
pub(crate) async fn client_streaming<T, U, H, F>(
    interceptors: Interceptors,
    input: Input,
    handler: H,
) -> Result<Response<MessageStream>, Status>
where
    T: Message + Default + 'static,
    U: Message + 'static,
    H: FnOnce(Request<Streaming<T>>) -> F + Send + 'static,
    F: Future<Output = Result<Response<U>, Status>> + Send + 'static,
{
    let handler: AnyHandler<MessageStream> = Box::new(|request| {
        Box::pin(async {
            let response = handler(of_interceptors(request)).await?;
            let once =
                |message| -> MessageStream { Box::pin(Once(Some(AnyMessage::new(message)))) };
            Ok(response.map(once))
        })
    });
    streaming(interceptors, received::<T>(input), handler).await
}

/// A stream in, a stream out.
pub(crate) async fn bidi_streaming<T, U, H, F>(
    interceptors: Interceptors,
    input: Input,
    handler: H,
) -> Result<Response<MessageStream>, Status>
where
    T: Message + Default + 'static,
    U: Message + 'static,
    H: FnOnce(Request<Streaming<T>>) -> F + Send + 'static,
    F: Future<Output = Result<Response<ResponseStream<U>>, Status>> + Send + 'static,
{
    let handler: AnyHandler<MessageStream> = Box::new(|request| {
        Box::pin(async {
            let response = handler(of_interceptors(request)).await?;
            Ok(response.map(|messages| -> MessageStream { Box::pin(Untyped(messages)) }))
        })
    });
    streaming(interceptors, received::<T>(input), handler).await
}

/// The messages that come out of the innermost interceptor.
fn of_interceptors<T: Message + Default + 'static>(
    request: Request<MessageStream>,
) -> Request<Streaming<T>> {
    let context = request.context();
    request.map(|messages| Streaming::of_interceptor(messages, context))
}

/// Decodes a message of this type.
fn decode<T: Message + Default + 'static>(payload: Payload) -> Result<AnyMessage, Status> {
    AnyMessage::decode::<T>(payload.0).map_err(undecodable)
}

/// The message that the handler wants. An interceptor may have put in another.
pub(crate) fn take<T: Message + Default + 'static>(message: AnyMessage) -> Result<T, Status> {
    message.take().map_err(|wrong| {
        Status::internal(format!("an interceptor failed: {wrong}")).with_source(wrong)
    })
}

/// The client's messages, without their type.
fn received<T: Message + Default + 'static>(input: Input) -> Request<MessageStream> {
    let context = Arc::clone(&input.context);
    stream(input).map(|messages| -> MessageStream {
        Box::pin(Received {
            messages: Some(messages),
            decode: |payload| AnyMessage::decode::<T>(payload).map_err(undecodable),
            context,
        })
    })
}

/// What a client sends. A message that cannot be decoded ends the call, whatever its handler answers.
struct Received {
    /// Gone when one was undecodable.
    messages: Option<Streaming<Payload>>,
    decode: fn(Bytes) -> Result<AnyMessage, Status>,
    context: Arc<CallContext>,
}

impl Stream for Received {
    type Item = Result<AnyMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(messages) = &mut self.messages else {
            return Poll::Ready(None);
        };
        let next = Pin::new(messages).poll_next(cx);
        next.map_ok(|payload| (self.decode)(payload.0))
            .map(|message| {
                let message = message?.and_then(|decoded| {
                    decoded.inspect_err(|status| self.context.end.fail(status))
                });
                if message.is_err() {
                    self.messages = None;
                }
                Some(message)
            })
    }
}

/// Messages whose types are forgotten.
struct Untyped<T>(ResponseStream<T>);

impl<T: Message + 'static> Stream for Untyped<T> {
    type Item = Result<AnyMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx).map_ok(AnyMessage::new)
    }
}

/// A single message.
struct Once(Option<AnyMessage>);

impl Stream for Once {
    type Item = Result<AnyMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}
