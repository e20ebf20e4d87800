//! Streams of messages in either direction, and the three kinds of call that have them.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use highball_core::{MetadataMap, Peer, Response, Status};
use highball_transport::framing::Batch;
use prost::Message;

use super::incoming::Incoming;
use super::outgoing::Outgoing;
use super::replay::Replay;
use super::violation::Violation;
use super::{Attempts, Call, Method, Request, codec};
use crate::channel::Handle;
use crate::service_config::HedgingPolicy;

/// The messages of a response, as they come.
///
/// Dropping it before its end cancels the call. A status other than OK comes as the last item; after that,
/// or after `None`, there is nothing more. For as long as it lives, so does the channel.
pub struct Streaming<T> {
    incoming: Incoming,
    messages: PhantomData<fn() -> T>,
}

impl<T: Message + Default> Streaming<T> {
    /// Waits for the next message; `None` once the call has ended well. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The call's status, if it is not OK; INTERNAL if the message cannot be decoded.
    pub async fn message(&mut self) -> Result<Option<T>, Status> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// Waits for the initial metadata: what the server sent before its first message. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The call's status, if it ended without any.
    pub async fn headers(&mut self) -> Result<&MetadataMap, Status> {
        poll_fn(|cx| self.incoming.poll_headers(cx)).await?;
        Ok(self.incoming.headers().unwrap_or(self.incoming.trailers()))
    }

    /// The trailing metadata: what the server sent after its last message. Empty until the call has ended
    /// well; a status has its own in [`Status::metadata`].
    pub fn trailers(&self) -> &MetadataMap {
        self.incoming.trailers()
    }

    /// The server that answers: its address, and what the security handshake with it has shown.
    pub fn peer(&self) -> &Peer {
        self.incoming.peer()
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<T>, Status>> {
        let payload = ready!(self.incoming.poll_payload(cx))?;
        let message = payload.map(codec::decode).transpose();
        Poll::Ready(message.map_err(|status| self.incoming.over(status)))
    }
}

impl<T: Message + Default> Stream for Streaming<T> {
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(cx).map(Result::transpose)
    }
}

impl<T> fmt::Debug for Streaming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Streaming").field(&self.incoming).finish()
    }
}

/// One request message, a stream of responses.
pub(crate) async fn server_streaming<Req, Resp>(
    channel: &Arc<Handle>,
    method: &Method,
    request: Request<Req>,
) -> Result<Streaming<Resp>, Status>
where
    Req: Message,
{
    let (message, metadata, options) = request.into_parts();
    let call = Call::start(channel, method, metadata, options).await?;
    let framed = codec::encode(&message, call.max_request_bytes)?;
    Ok(streaming(open(call, Once(Some(framed))).await?))
}

/// A stream of requests, a stream of responses, neither waiting for the other.
pub(crate) async fn bidi_streaming<S, Resp>(
    channel: &Arc<Handle>,
    method: &Method,
    request: Request<S>,
) -> Result<Streaming<Resp>, Status>
where
    S: Stream<Item: Message> + Send + 'static,
{
    Ok(streaming(open_stream(channel, method, request).await?))
}

/// A stream of requests, one reply.
pub(crate) async fn client_streaming<S, Resp>(
    channel: &Arc<Handle>,
    method: &Method,
    request: Request<S>,
) -> Result<Response<Resp>, Status>
where
    S: Stream<Item: Message> + Send + 'static,
    Resp: Message + Default,
{
    reply(open_stream(channel, method, request).await?).await
}

/// Makes a unary call whose attempts race.
pub(super) async fn hedged_unary<Req, Resp>(
    call: Call,
    policy: Arc<HedgingPolicy>,
    message: &Req,
) -> Result<Response<Resp>, Status>
where
    Req: Message,
    Resp: Message + Default,
{
    let framed = codec::encode(message, call.max_request_bytes)?;
    let messages = Box::pin(Once(Some(framed)));
    // A request of one message is kept whatever its size, as far as the channel has room for it.
    reply(call.hedge(policy, messages, usize::MAX).await?).await
}

/// Receives exactly one message and the status.
async fn reply<Resp: Message + Default>(mut incoming: Incoming) -> Result<Response<Resp>, Status> {
    poll_fn(|cx| incoming.poll_headers(cx)).await?;
    let Some(payload) = poll_fn(|cx| incoming.poll_payload(cx)).await? else {
        return Err(Violation::NoResponse.into());
    };
    let message = codec::decode(payload).map_err(|status| incoming.over(status))?;
    if poll_fn(|cx| incoming.poll_payload(cx)).await?.is_some() {
        return Err(incoming.over(Violation::SecondResponse.into()));
    }
    let metadata = incoming.headers().cloned().unwrap_or_default();
    let trailers = incoming.trailers().clone();
    Ok(Response::new(message)
        .with_metadata(metadata)
        .with_trailers(trailers)
        .with_peer(incoming.peer().clone()))
}

fn streaming<T>(incoming: Incoming) -> Streaming<T> {
    Streaming {
        incoming,
        messages: PhantomData,
    }
}

async fn open_stream<S>(
    channel: &Arc<Handle>,
    method: &Method,
    request: Request<S>,
) -> Result<Incoming, Status>
where
    S: Stream<Item: Message> + Send + 'static,
{
    let (messages, metadata, options) = request.into_parts();
    let call = Call::start(channel, method, metadata, options).await?;
    let limit = call.max_request_bytes;
    open(
        call,
        Framed {
            messages: Box::pin(messages),
            limit,
            end: None,
        },
    )
    .await
}

async fn open<S>(call: Call, messages: S) -> Result<Incoming, Status>
where
    S: Stream<Item = Result<Bytes, Status>> + Unpin + Send + 'static,
{
    if let Attempts::Hedged(policy) = &call.attempts {
        let (policy, limit) = (policy.clone(), call.max_replay_bytes);
        return Box::pin(call.hedge(policy, Box::pin(messages), limit)).await;
    }
    let mut retrying = call.retrying();
    let opened = call.attempt(&mut retrying).await?;
    let replay = Replay::new(call.max_replay_bytes, call.channel.replay_budget());
    let outgoing = Outgoing::pump(messages, replay);
    Ok(Incoming::new(Arc::new(call), opened, retrying, outgoing))
}

/// An application's messages, encoded and framed; those that are ready together in one piece.
struct Framed<S> {
    messages: Pin<Box<S>>,
    limit: usize,
    /// How the messages ended, once they have.
    end: Option<Result<(), Status>>,
}

impl<S: Stream<Item: Message>> Stream for Framed<S> {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self {
            messages,
            limit,
            end,
        } = &mut *self;
        if end.is_none() {
            let batch = ready!(Batch::poll(messages.as_mut(), cx, |message, buffer| {
                codec::encode_into(buffer, &message, *limit)
            }));
            *end = batch.end;
            if !batch.framed.is_empty() {
                return Poll::Ready(Some(Ok(batch.framed)));
            }
        }
        // After an error there is nothing more, either.
        let end = end.replace(Ok(()));
        Poll::Ready(end.and_then(Result::err).map(Err))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self.end {
            Some(Ok(())) => (0, Some(0)),
            _ => (0, None),
        }
    }
}

/// A single message.
struct Once(Option<Bytes>);

impl Stream for Once {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.0.is_some());
        (left, Some(left))
    }
}
