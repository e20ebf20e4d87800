//! One request message, one reply: the path without a spawned task, a boxed future or a channel hop.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
use highball_core::{MetadataMap, Response, Status};
use highball_transport::client::{Ended, RecvHalf};
use prost::Message;

use super::attempt::{receiving_from, status_of};
use super::streaming::hedged_unary;
use super::violation::Violation;
use super::{Attempts, Call, Deadline, Method, Request, Timer, codec, intercepted};
use crate::channel::Handle;

/// What a server answered.
struct Reply {
    metadata: MetadataMap,
    payload: Bytes,
    trailers: MetadataMap,
}

/// Makes the call. The future is the call: dropping it cancels.
pub(crate) async fn unary<Req, Resp>(
    channel: &Arc<Handle>,
    method: &Method,
    request: Request<Req>,
) -> Result<Response<Resp>, Status>
where
    Req: Message + 'static,
    Resp: Message + Default + 'static,
{
    if !channel.interceptors().is_empty() {
        return Box::pin(intercepted::unary_call(channel, method, request)).await;
    }
    let deadline = Deadline::after(request.options().timeout);
    exchange(channel, method, request, deadline).await
}

/// The call itself.
pub(super) async fn exchange<Req, Resp>(
    channel: &Arc<Handle>,
    method: &Method,
    request: Request<Req>,
    deadline: Deadline,
) -> Result<Response<Resp>, Status>
where
    Req: Message,
    Resp: Message + Default + 'static,
{
    let (message, metadata, options) = request.into_parts();
    let begun = Call::begin(channel, deadline).await?;
    let call = begun.settle(method, metadata, options)?;
    match &call.attempts {
        Attempts::One | Attempts::Retried(_) => call.exchange(&message).await,
        Attempts::Hedged(policy) => {
            let policy = policy.clone();
            Box::pin(hedged_unary(call, policy, &message)).await
        }
    }
}

/// Why an attempt brought no reply.
enum Failure {
    /// It ended before its response began.
    Unanswered(Ended),
    /// It ended later than that: it counts.
    Ended(Ended),
    Violation(Violation),
}

impl From<Ended> for Failure {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl Call {
    /// Attempts the call until an attempt counts. Each encodes the message anew: few calls need a second
    /// one, and none has to share its bytes with it.
    async fn exchange<Req, Resp>(&self, message: &Req) -> Result<Response<Resp>, Status>
    where
        Req: Message,
        Resp: Message + Default,
    {
        let mut retrying = self.retrying();
        let alarm = pin!(None);
        let mut timer = Timer::new(self.deadline, alarm);
        loop {
            let mut framed = codec::encode(message, self.max_request_bytes)?;
            let (send, mut attempt) = self
                .attempt(&mut retrying, &mut timer, |connection, slot, head| {
                    connection.open_with(slot, head, &mut framed)
                })
                .await?;
            let received = {
                // Most requests have been sent by now.
                let sending = pin!(async {
                    if let Some(mut send) = send {
                        let _ = send.send(framed, true).await;
                    }
                });
                let reply = pin!(reply(&mut attempt.receive));
                let exchange = pin!(alongside(sending, reply));
                let receiving = || receiving_from(&attempt.connection);
                timer.limit(exchange, receiving).await
            };
            let status = match received {
                Ok(Ok(reply)) => match codec::decode(reply.payload) {
                    Ok(message) => {
                        attempt.finish.succeeded(&reply.trailers);
                        self.succeeded();
                        return Ok(Response::new(message)
                            .with_metadata(reply.metadata)
                            .with_trailers(reply.trailers)
                            .with_peer(attempt.connection.peer().clone()));
                    }
                    Err(undecodable) => undecodable,
                },
                Ok(Err(Failure::Unanswered(ended))) => {
                    let processed = ended.processed;
                    let status = status_of(ended, self.deadline);
                    attempt.failed(&status);
                    let verdict = retrying.ended(status, processed);
                    Box::pin(self.again(verdict, &mut timer)).await?;
                    continue;
                }
                Ok(Err(Failure::Ended(ended))) => status_of(ended, self.deadline),
                Ok(Err(Failure::Violation(violation))) => violation.into(),
                Err(deadline_exceeded) => deadline_exceeded,
            };
            attempt.failed(&status);
            return Err(status);
        }
    }
}

/// Receives exactly one message and the status. A status that is not OK wins over a message.
async fn reply(receive: &mut RecvHalf) -> Result<Reply, Failure> {
    let metadata = receive.headers().await.map_err(Failure::Unanswered)?;
    let payload = receive.message().await?.ok_or(Violation::NoResponse)?;
    if receive.end().await?.is_some() {
        return Err(Violation::SecondResponse.into());
    }
    Ok(Reply {
        metadata: metadata.unwrap_or_default(),
        payload,
        trailers: receive.trailers(),
    })
}

/// The output of `main`, while `side` gets as far as it can: a reply may come before the request has left.
fn alongside<T>(
    mut side: Pin<&mut impl Future>,
    mut main: Pin<&mut impl Future<Output = T>>,
) -> impl Future<Output = T> {
    let mut side_is_done = false;
    poll_fn(move |cx| {
        side_is_done = side_is_done || side.as_mut().poll(cx).is_ready();
        main.as_mut().poll(cx)
    })
}
