//! One request message, one reply: the path without a spawned task, a boxed future or a channel hop.

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
use highball_core::explanation::Phase;
use highball_core::{MetadataMap, Response, Status};
use highball_transport::client::{Connection, Ended, Processed, RecvHalf, SendHalf};
use prost::Message;
use tokio::time::Instant;

use super::attempt::{Attempt, Opened, receiving_from, status_of};
use super::deadline::exceeded;
use super::hedging::hedged_unary;
use super::observed::Observed;
use super::violation::Violation;
use super::{Attempts, Call, Deadline, Journal, Method, Request, Timer, codec, intercepted};
use crate::channel::Handle;

/// What a server answered.
struct Reply {
    metadata: MetadataMap,
    payload: Bytes,
    trailers: MetadataMap,
}

impl Reply {
    fn decode<Resp>(
        self,
        connection: &Connection,
        decode: &impl Fn(Bytes) -> Result<Resp, Status>,
    ) -> Result<Response<Resp>, Status> {
        Ok(Response::new(decode(self.payload)?)
            .with_metadata(self.metadata)
            .with_trailers(self.trailers)
            .with_peer(connection.peer().clone()))
    }
}

/// Makes the call. The future is the call: dropping it cancels.
pub(crate) async fn unary<Req, Resp>(
    channel: &Arc<Handle>,
    method: &Method,
    mut request: Request<Req>,
) -> Result<Response<Resp>, Status>
where
    Req: Message + 'static,
    Resp: Message + Default + 'static,
{
    if !channel.interceptors().is_empty() {
        return Box::pin(intercepted::unary_call(channel, method, request)).await;
    }
    let deadline = Deadline::after(request.options().timeout);
    exchange(channel, method, &mut request, deadline, codec::decode).await
}

/// The call itself. Takes what it needs of the request, and leaves the message. A reply that cannot be decoded
/// is a failure for all who hear of the attempt.
pub(super) async fn exchange<Req, Resp>(
    channel: &Arc<Handle>,
    method: &Method,
    request: &mut Request<Req>,
    deadline: Deadline,
    decode: impl Fn(Bytes) -> Result<Resp, Status>,
) -> Result<Response<Resp>, Status>
where
    Req: Message,
{
    let mut journal = Journal::default();
    let begun = Call::begin(channel, method, deadline, &mut journal).await?;
    let metadata = mem::take(request.metadata_mut());
    let call = begun.settle(method, metadata, request.options_mut(), &mut journal)?;
    let message = request.message();
    if let Attempts::Hedged(policy) = &call.attempts {
        let policy = policy.clone();
        return Box::pin(hedged_unary(call, policy, message, decode, journal)).await;
    }
    let alarm = pin!(None);
    let mut timer = Timer::new(call.deadline, alarm, journal);
    match call.exchange(message, &decode, &mut timer).await {
        Ok(response) => Ok(response),
        Err(status) => Err(call.explained(status, &mut timer.journal)),
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

impl Failure {
    /// The status that it amounts to and, if it does not count, what the server can have seen of the call.
    #[cold]
    fn status(self, deadline: Deadline) -> (Status, Option<Processed>) {
        match self {
            Self::Unanswered(ended) => {
                let processed = ended.processed;
                (status_of(ended, deadline), Some(processed))
            }
            Self::Ended(ended) => (status_of(ended, deadline), None),
            Self::Violation(violation) => (violation.into(), None),
        }
    }
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
    async fn exchange<Req, Resp>(
        &self,
        message: &Req,
        decode: &impl Fn(Bytes) -> Result<Resp, Status>,
        timer: &mut Timer<'_>,
    ) -> Result<Response<Resp>, Status>
    where
        Req: Message,
    {
        let mut retrying = self.retrying();
        loop {
            let mut framed = self
                .framing
                .encode(message)
                .inspect_err(|_too_large| timer.journal.enter(Phase::Send))?;
            // Put here when the stream is opened: on its way up it would be copied by each future.
            let mut receive = None;
            let opening = self.attempt(&mut retrying, timer, |connection, slot, head| {
                let opened = connection.open_with(slot, head, &mut framed);
                opened.map(|(send, half)| {
                    receive = Some(half);
                    send
                })
            });
            let Opened {
                stream: send,
                connection,
                mut finish,
            } = opening.await?;
            let mut receive = receive.expect("an open stream has a half that receives");
            timer.journal.enter(Phase::Send);
            let mut sent = Sent::by(send.as_ref());
            let received = {
                // Most requests have been sent by now.
                let sending = pin!(async {
                    if let Some(mut send) = send {
                        let _ = send.send(framed, true).await;
                    }
                });
                let reply = pin!(reply(&mut receive, &mut finish.observed));
                let exchange = pin!(alongside(sending, reply, &mut sent));
                timer.limit(exchange, String::new).await
            };
            let (status, processed) = match received {
                Ok(Ok(reply)) => match reply.decode(&connection, decode) {
                    Ok(response) => {
                        finish.succeeded(response.trailers());
                        self.succeeded();
                        return Ok(response);
                    }
                    Err(undecodable) => (undecodable, None),
                },
                Ok(Err(failure)) => failure.status(self.deadline),
                Err(_exceeded) => (exceeded(&sent.stage(&connection)), None),
            };
            sent.note(self.deadline, &mut timer.journal);
            let seen = processed.unwrap_or(Processed::MaybeProcessed);
            let attempt = Attempt::new(receive, connection, finish);
            attempt.failed(&status, seen, self.deadline, &mut timer.journal);
            let Some(processed) = processed else {
                return Err(status);
            };
            let verdict = retrying.ended(status, processed);
            Box::pin(self.again(verdict, timer)).await?;
        }
    }
}

/// Whether a request has left, as far as flow control is concerned.
#[derive(Clone, Copy)]
enum Sent {
    NotYet,
    AtOnce,
    Later(Instant),
}

impl Sent {
    /// What is left to be sent has a half to be sent with.
    fn by(half: Option<&SendHalf>) -> Self {
        match half {
            None => Self::AtOnce,
            Some(_) => Self::NotYet,
        }
    }

    /// What the attempt is about.
    #[cold]
    fn stage(self, connection: &Connection) -> String {
        match self {
            Self::NotYet => format!("sending the request to {}", connection.address()),
            Self::AtOnce | Self::Later(_) => receiving_from(connection),
        }
    }

    /// The attempt ends: it was waiting for the server if the request had left, else it was sending.
    #[cold]
    fn note(self, deadline: Deadline, journal: &mut Journal) {
        match self {
            Self::NotYet => return,
            Self::AtOnce => (),
            Self::Later(at) => journal.over(deadline, at),
        }
        journal.enter(Phase::Server);
    }
}

/// Receives exactly one message and the status. A status that is not OK wins over a message.
async fn reply(receive: &mut RecvHalf, observed: &mut Observed) -> Result<Reply, Failure> {
    let metadata = receive.headers().await.map_err(Failure::Unanswered)?;
    observed.answered(metadata.as_ref());
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
    sent: &mut Sent,
) -> impl Future<Output = T> {
    poll_fn(move |cx| {
        if let Sent::NotYet = sent
            && side.as_mut().poll(cx).is_ready()
        {
            *sent = Sent::Later(Instant::now());
        }
        main.as_mut().poll(cx)
    })
}
