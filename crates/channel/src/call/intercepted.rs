//! A call that interceptors are around: its messages go through them without their types.
//!
//! Boxes and dynamic calls are for these calls only. All that is known of the types of a method is how to
//! decode its responses; the rest is compiled once.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use highball_core::explanation::{Explanation, Phase, Spent};
use highball_core::{AnyMessage, Response, Status};
use prost::Message;

use super::any_streaming::{AnyStreaming, Decode};
use super::explain::look_at;
use super::streaming::{Once, open_stream};
use super::{Deadline, Method, Request, codec, unary};
use crate::channel::Handle;
use crate::interceptor::{MessageStream, Next};

/// How long after the deadline interceptors may still work: for the clock's next tick, so that they see the
/// status of a call whose time is over.
const GRACE: Duration = Duration::from_millis(1);

/// What the interceptors of a call are around.
pub(crate) struct InterceptedCall<'a> {
    channel: &'a Arc<Handle>,
    method: &'a Method,
    /// Counted from where the first interceptor began.
    deadline: Deadline,
    decode: Decode,
    /// Whether the innermost interceptor has asked for the call.
    is_made: AtomicBool,
}

impl<'a> InterceptedCall<'a> {
    fn new(
        channel: &'a Arc<Handle>,
        method: &'a Method,
        timeout: Option<Duration>,
        decode: Decode,
    ) -> Self {
        Self {
            channel,
            method,
            deadline: Deadline::after(timeout),
            decode,
            is_made: AtomicBool::new(false),
        }
    }

    pub(crate) fn method(&self) -> &Method {
        self.method
    }

    pub(crate) fn method_timeout(&self) -> Option<Duration> {
        let methods = self.channel.slot().methods()?;
        methods.find(self.method.path()).timeout
    }

    pub(crate) fn authority(&self) -> &str {
        self.channel.authority()
    }

    pub(crate) async fn unary(
        &self,
        mut request: Request<AnyMessage>,
    ) -> Result<Response<AnyMessage>, Status> {
        self.is_made.store(true, Ordering::Relaxed);
        let timeout = request.options().timeout;
        let deadline = self.deadline.after_waiting().or_after(timeout);
        let deadline = deadline.beginning_now();
        unary::exchange(
            self.channel,
            self.method,
            &mut request,
            deadline,
            self.decode,
        )
        .await
    }

    pub(crate) async fn streaming(
        &self,
        request: Request<MessageStream>,
    ) -> Result<AnyStreaming, Status> {
        self.is_made.store(true, Ordering::Relaxed);
        let timeout = request.options().timeout;
        let deadline = self.deadline.after_waiting().or_after(timeout);
        let deadline = deadline.beginning_now();
        let incoming = open_stream(self.channel, self.method, request, deadline).await?;
        Ok(AnyStreaming::new(incoming, self.decode))
    }

    /// The output of the interceptors, or the status of a call whose time is over.
    async fn limit<T>(&self, chain: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let stage = || "waiting for an interceptor".to_owned();
        self.deadline.later(GRACE).limit(pin!(chain), stage).await?
    }

    /// The status that the application sees, explained. A status that the call itself has ended with is already;
    /// others are the interceptors', and what was inside them is not known.
    #[cold]
    fn explained(&self, status: Status) -> Status {
        if status.explanation().is_some() {
            return status;
        }
        let (path, target) = (self.method.path(), self.channel.target());
        let took = self.deadline.began().elapsed();
        let mut why = Explanation::new(path, target, took, Phase::Interceptor);
        match self.is_made.load(Ordering::Relaxed) {
            true => Phase::ALL
                .into_iter()
                .for_each(|phase| why.set(phase, Spent::Unknown)),
            false => why.set(Phase::Interceptor, Spent::For(took)),
        }
        look_at(&self.channel.slot().load(), &mut why);
        status.with_explanation(why)
    }
}

/// One request message, one reply.
pub(super) async fn unary_call<Req, Resp>(
    channel: &Arc<Handle>,
    method: &Method,
    request: Request<Req>,
) -> Result<Response<Resp>, Status>
where
    Req: Message + 'static,
    Resp: Message + Default + 'static,
{
    let request = request.map(AnyMessage::new);
    let timeout = request.options().timeout;
    let call = InterceptedCall::new(channel, method, timeout, decode::<Resp>);
    let answered = around_unary(&call, request).await;
    let answered = answered.and_then(|response| response.try_map(take));
    answered.map_err(|status| call.explained(status))
}

async fn around_unary(
    call: &InterceptedCall<'_>,
    request: Request<AnyMessage>,
) -> Result<Response<AnyMessage>, Status> {
    let chain = Next::all(call.channel.interceptors(), call);
    call.limit(chain.unary(request)).await
}

/// A request and responses of which one at least is a stream.
pub(super) async fn streaming_call(
    channel: &Arc<Handle>,
    method: &Method,
    request: Request<MessageStream>,
    decode: Decode,
) -> Result<AnyStreaming, Status> {
    let timeout = request.options().timeout;
    let call = InterceptedCall::new(channel, method, timeout, decode);
    let chain = Next::all(channel.interceptors(), &call);
    let opened = call.limit(chain.streaming(request)).await;
    opened.map_err(|status| call.explained(status))
}

/// The one request message of a method that takes one.
pub(super) fn single(message: impl Message + 'static) -> MessageStream {
    Box::pin(Once(Some(AnyMessage::new(message))))
}

/// The request messages of a method that takes a stream.
pub(super) fn stream<S>(messages: S) -> MessageStream
where
    S: Stream<Item: Message + 'static> + Send + 'static,
{
    Box::pin(Untyped(Box::pin(messages)))
}

/// Decodes a response of this type.
pub(super) fn decode<T: Message + Default + 'static>(payload: Bytes) -> Result<AnyMessage, Status> {
    AnyMessage::decode::<T>(payload).map_err(codec::undecodable)
}

/// The response that the application wants. An interceptor may have put in another.
pub(super) fn take<T: Message + Default + 'static>(message: AnyMessage) -> Result<T, Status> {
    message.take().map_err(|wrong| {
        Status::internal(format!("an interceptor failed: {wrong}")).with_source(wrong)
    })
}

/// Messages whose types are forgotten.
struct Untyped<S>(Pin<Box<S>>);

impl<S: Stream<Item: Message + 'static>> Stream for Untyped<S> {
    type Item = AnyMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.0.as_mut().poll_next(cx);
        next.map(|message| message.map(AnyMessage::new))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}
