//! Streams of messages in either direction, and the three kinds of call that have them.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use highball_core::explanation::Phase;
use highball_core::{MetadataMap, Peer, Response, Status};
use highball_transport::client::Connection;
use highball_transport::framing::Batch;
use highball_transport::{Compression, CompressionSwitch};
use prost::Message;

use super::any_streaming::{AnyStreaming, Decode};
use super::codec::Framing;
use super::incoming::Incoming;
use super::outgoing::Outgoing;
use super::replay::Replay;
use super::violation::Violation;
use super::{Attempts, Call, Deadline, Journal, Method, Request, Timer, codec, intercepted};
use crate::channel::Handle;
use crate::interceptor::MessageStream;

/// The messages of a response, as they come.
///
/// Dropping it before its end cancels the call. A status other than OK comes as the last item; after that,
/// or after `None`, there is nothing more. For as long as it lives, so does the channel.
pub struct Streaming<T> {
    source: Source,
    messages: PhantomData<fn() -> T>,
}

/// Where the messages come from.
#[derive(Debug)]
enum Source {
    Wire(Incoming),
    /// From the outermost of the channel's interceptors.
    Interceptor(Box<AnyStreaming>),
}

impl<T: Message + Default + 'static> Streaming<T> {
    fn of(source: Source) -> Self {
        Self {
            source,
            messages: PhantomData,
        }
    }

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
        poll_fn(|cx| self.poll_headers(cx)).await?;
        Ok(self.known_headers().unwrap_or(self.trailers()))
    }

    /// The trailing metadata: what the server sent after its last message. Empty until the call has ended
    /// well; a status has its own in [`Status::metadata`].
    pub fn trailers(&self) -> &MetadataMap {
        match &self.source {
            Source::Wire(incoming) => incoming.trailers(),
            Source::Interceptor(streaming) => streaming.trailers(),
        }
    }

    /// Whether the newest message came compressed.
    pub fn is_compressed(&self) -> bool {
        match &self.source {
            Source::Wire(incoming) => incoming.is_compressed(),
            Source::Interceptor(streaming) => streaming.is_compressed(),
        }
    }

    /// The server that answers: its address, and what the security handshake with it has shown.
    pub fn peer(&self) -> &Peer {
        match &self.source {
            Source::Wire(incoming) => incoming.peer(),
            Source::Interceptor(streaming) => streaming.peer(),
        }
    }

    /// The response is to bring exactly one message: said before any is waited for.
    fn expect_one(&mut self) {
        match &mut self.source {
            Source::Wire(incoming) => incoming.expect_one(),
            Source::Interceptor(streaming) => streaming.expect_one(),
        }
    }

    fn known_headers(&self) -> Option<&MetadataMap> {
        match &self.source {
            Source::Wire(incoming) => incoming.headers(),
            Source::Interceptor(streaming) => streaming.known_headers(),
        }
    }

    fn poll_headers(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        match &mut self.source {
            Source::Wire(incoming) => incoming.poll_headers(cx),
            Source::Interceptor(streaming) => streaming.poll_headers(cx),
        }
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<T>, Status>> {
        let message = match &mut self.source {
            Source::Wire(incoming) => ready!(incoming.poll_payload(cx))?
                .map(codec::decode)
                .transpose(),
            Source::Interceptor(streaming) => ready!(streaming.poll_message(cx))?
                .map(intercepted::take)
                .transpose(),
        };
        Poll::Ready(message.map_err(|status| self.over(status)))
    }

    /// Ends the call with `status`; what is still open is cancelled.
    fn over(&mut self, status: Status) -> Status {
        match &mut self.source {
            Source::Wire(incoming) => incoming.over(status),
            Source::Interceptor(streaming) => streaming.over(status),
        }
    }
}

impl<T: Message + Default + 'static> Stream for Streaming<T> {
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(cx).map(Result::transpose)
    }
}

impl<T> fmt::Debug for Streaming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Streaming").field(&self.source).finish()
    }
}

/// One request message, a stream of responses.
pub(crate) async fn server_streaming<Req, Resp>(
    channel: &Arc<Handle>,
    method: &Method,
    request: Request<Req>,
) -> Result<Streaming<Resp>, Status>
where
    Req: Message + 'static,
    Resp: Message + Default + 'static,
{
    if !channel.interceptors().is_empty() {
        let request = request.map(intercepted::single);
        return Ok(Streaming::of(
            intercept(channel, method, request, intercepted::decode::<Resp>).await?,
        ));
    }
    let (message, metadata, mut options) = request.into_parts();
    let deadline = Deadline::after(options.timeout);
    let mut journal = Journal::default();
    let begun = Call::begin(channel, method, deadline, &mut journal).await?;
    let call = begun.settle(method, metadata, &mut options, &mut journal)?;
    let framed = call.framed(&message, &mut journal)?;
    let incoming = open(call, Once(Some(Ok(framed))), journal).await?;
    Ok(Streaming::of(Source::Wire(incoming)))
}

/// A stream of requests, a stream of responses, neither waiting for the other.
pub(crate) async fn bidi_streaming<S, Resp>(
    channel: &Arc<Handle>,
    method: &Method,
    request: Request<S>,
) -> Result<Streaming<Resp>, Status>
where
    S: Stream<Item: Message + 'static> + Send + 'static,
    Resp: Message + Default + 'static,
{
    if !channel.interceptors().is_empty() {
        let request = request.map(intercepted::stream);
        return Ok(Streaming::of(
            intercept(channel, method, request, intercepted::decode::<Resp>).await?,
        ));
    }
    let deadline = Deadline::after(request.options().timeout);
    let incoming = open_stream(channel, method, request, deadline).await?;
    Ok(Streaming::of(Source::Wire(incoming)))
}

/// A stream of requests, one reply.
pub(crate) async fn client_streaming<S, Resp>(
    channel: &Arc<Handle>,
    method: &Method,
    request: Request<S>,
) -> Result<Response<Resp>, Status>
where
    S: Stream<Item: Message + 'static> + Send + 'static,
    Resp: Message + Default + 'static,
{
    reply(bidi_streaming(channel, method, request).await?).await
}

/// Receives exactly one message and the status.
async fn reply<Resp>(mut responses: Streaming<Resp>) -> Result<Response<Resp>, Status>
where
    Resp: Message + Default + 'static,
{
    responses.expect_one();
    let Some(message) = responses.message().await? else {
        // It has come, and an interceptor has kept it.
        return Err(responses.over(Violation::NoResponse.into()));
    };
    responses.message().await?;
    let metadata = responses.known_headers().cloned().unwrap_or_default();
    let trailers = responses.trailers().clone();
    Ok(Response::new(message)
        .with_metadata(metadata)
        .with_trailers(trailers)
        .with_peer(responses.peer().clone()))
}

/// Boxed at once: a future without interceptors has no room for one with them.
fn intercept<'a>(
    channel: &'a Arc<Handle>,
    method: &'a Method,
    request: Request<MessageStream>,
    decode: Decode,
) -> BoxFuture<'a, Result<Source, Status>> {
    Box::pin(async move {
        let opened = intercepted::streaming_call(channel, method, request, decode).await?;
        Ok(Source::Interceptor(Box::new(opened)))
    })
}

/// Opens a call whose request is a stream.
pub(super) async fn open_stream<S>(
    channel: &Arc<Handle>,
    method: &Method,
    request: Request<S>,
    deadline: Deadline,
) -> Result<Incoming, Status>
where
    S: Stream<Item: Message> + Send + 'static,
{
    let (messages, metadata, mut options) = request.into_parts();
    let switch = options.compression_switch.take();
    let mut journal = Journal::default();
    let begun = Call::begin(channel, method, deadline, &mut journal).await?;
    let call = begun.settle(method, metadata, &mut options, &mut journal)?;
    let framed = Framed {
        messages: Box::pin(messages),
        framing: call.framing,
        switch,
        end: None,
    };
    open(call, framed, journal).await
}

async fn open<S>(call: Call, messages: S, journal: Journal) -> Result<Incoming, Status>
where
    S: Stream<Item = Result<Bytes, Status>> + Unpin + Send + 'static,
{
    if let Attempts::Hedged(policy) = &call.attempts {
        let (policy, limit) = (policy.clone(), call.max_replay_bytes);
        return Box::pin(call.hedge(policy, Box::pin(messages), limit, journal)).await;
    }
    let mut retrying = call.retrying();
    let alarm = pin!(None);
    let mut timer = Timer::new(call.deadline, alarm, journal);
    let opening = call.attempt(&mut retrying, &mut timer, Connection::open);
    let opened = match opening.await {
        Ok(opened) => opened.split(),
        Err(status) => return Err(call.explained(status, &mut timer.journal)),
    };
    let mut journal = timer.journal;
    // Another task sends.
    journal.enter_unmeasured(Phase::Send);
    journal.enter(Phase::Server);
    let replay = Replay::new(call.max_replay_bytes, call.channel.replay_budget());
    let outgoing = Outgoing::pump(messages, replay);
    let call = Arc::new(call);
    Ok(Incoming::new(call, opened, retrying, journal, outgoing))
}

/// An application's messages, encoded and framed; those that are ready together in one piece.
struct Framed<S> {
    messages: Pin<Box<S>>,
    framing: Framing,
    /// Whether a message is compressed, where the others are.
    switch: Option<CompressionSwitch>,
    /// How the messages ended, once they have.
    end: Option<Result<(), Status>>,
}

impl<S: Stream<Item: Message>> Stream for Framed<S> {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self {
            messages,
            framing,
            switch,
            end,
        } = &mut *self;
        if end.is_none() {
            let batch = ready!(Batch::poll(messages.as_mut(), cx, |message, buffer| {
                let mut framing = *framing;
                if switch.as_ref().is_some_and(|switch| !switch.is_on()) {
                    framing.compression = Compression::Identity;
                }
                framing.encode_into(buffer, &message)
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
pub(super) struct Once<T>(pub(super) Option<T>);

impl<T: Unpin> Stream for Once<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.0.is_some());
        (left, Some(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_without_interceptors_is_no_larger_for_them() {
        assert_eq!(size_of::<Streaming<()>>(), size_of::<Incoming>());
    }
}
