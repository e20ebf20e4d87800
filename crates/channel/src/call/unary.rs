//! One request message, one reply: the path without a spawned task, a boxed future or a channel hop.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use highball_core::{MetadataMap, Response, Status};
use highball_transport::client::{Ended, RecvHalf};
use prost::Message;

use super::attempt::{receiving_from, status_of};
use super::transparent::Transparent;
use super::violation::Violation;
use super::{Call, Method, Request, codec};
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
    method: Method,
    request: Request<Req>,
) -> Result<Response<Resp>, Status>
where
    Req: Message,
    Resp: Message + Default,
{
    let (message, metadata, options) = request.into_parts();
    let call = Call::start(channel, method, metadata, options).await?;
    let framed = codec::encode(&message, call.max_request_bytes)?;
    call.exchange(framed).await
}

/// Why an attempt brought no reply.
enum Failure {
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
    /// Attempts the call until an attempt counts.
    async fn exchange<Resp>(&self, framed: Bytes) -> Result<Response<Resp>, Status>
    where
        Resp: Message + Default,
    {
        let mut transparent = Transparent::default();
        loop {
            let (mut send, mut attempt) = self.attempt().await?;
            let receiving = reply(&mut attempt.receive);
            let exchange = alongside(send.send(framed.clone(), true), receiving);
            let receiving = || receiving_from(&attempt.connection);
            let status = match self.deadline.limit(exchange, receiving).await {
                Ok(Ok(reply)) => match codec::decode(reply.payload) {
                    Ok(message) => {
                        attempt.finish.succeeded(&reply.trailers);
                        return Ok(Response::new(message)
                            .with_metadata(reply.metadata)
                            .with_trailers(reply.trailers));
                    }
                    Err(undecodable) => undecodable,
                },
                Ok(Err(Failure::Ended(ended))) if transparent.allows(&ended) => {
                    attempt.failed(&ended.status);
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
    let metadata = receive.headers().await?.unwrap_or_default();
    let payload = receive.message().await?.ok_or(Violation::NoResponse)?;
    if receive.message().await?.is_some() {
        return Err(Violation::SecondResponse.into());
    }
    Ok(Reply {
        metadata,
        payload,
        trailers: receive.trailers(),
    })
}

/// The output of `main`, while `side` gets as far as it can: a reply may come before the request has left.
async fn alongside<T>(side: impl Future, main: impl Future<Output = T>) -> T {
    let (mut side, mut main) = (pin!(side), pin!(main));
    let mut side_is_done = false;
    poll_fn(|cx| {
        side_is_done = side_is_done || side.as_mut().poll(cx).is_ready();
        main.as_mut().poll(cx)
    })
    .await
}
