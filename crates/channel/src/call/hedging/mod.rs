//! A call whose attempts race: one after the other is sent before the first has failed (gRFC A6).
//!
//! ```text
//!   attempt 1 ────────────────────────────────────────╳ cancelled
//!   attempt 2      hedgingDelay ────────── headers ────► the call is this attempt from here on
//!   attempt 3                   hedgingDelay ─────────╳ cancelled
//!
//!             headers of an attempt, or more has been sent than is kept
//!   Racing ───────────────────────────────────────────────────────────► Won, and the requests go on
//!     │  a non-fatal status: the next attempt begins at once
//!     └─ a fatal status, the last non-fatal one, a drop, the deadline ─► over
//! ```
//!
//! The [`Schedule`](schedule::Schedule) decides and does nothing else; the [`Race`](race::Race) has the
//! attempts, each a [`Racer`](racer::Racer). They race on a task of their own, so that a hedge is sent on time
//! whatever the application does meanwhile; the task then goes on as the pump of what the application streams.
//!
//! A unary call is hedged as a stream of one request. Calls without a hedging policy pay for none of this.

mod race;
mod racer;
mod requests;
mod schedule;

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use highball_core::{Peer, Response, Status};
use prost::Message;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::incoming::Incoming;
use super::outgoing::Outgoing;
use super::replay::Replay;
use super::streaming::Once;
use super::violation::Violation;
use super::{Call, Journal};
use crate::service_config::HedgingPolicy;
use race::Race;
pub(super) use race::SendOn;
use race::Won;
pub(super) use requests::{BoxMessages, Requests};
use schedule::Schedule;

/// How the race of a call ends: said once.
pub(super) type Outcome = oneshot::Receiver<Raced>;

impl Call {
    /// Lets attempts at the call race, keeping up to `limit` bytes of `messages` for each to be sent. Returns
    /// when the first of them has found a connection.
    pub(super) async fn hedge(
        self,
        policy: Arc<HedgingPolicy>,
        messages: BoxMessages,
        limit: usize,
        journal: Journal,
    ) -> Result<Incoming, Status> {
        let call = Arc::new(self);
        let kept = Replay::new(limit, call.channel.replay_budget());
        let (cap, throttle) = (call.channel.max_attempts(), call.throttle.clone());
        let schedule = Schedule::new(policy, cap, throttle, Instant::now());
        let (opened, first) = oneshot::channel::<Peer>();
        let (told, outcome) = oneshot::channel();
        let mut race = Race::new(call.clone(), schedule, kept, opened, journal);
        let outgoing = Outgoing::pump_after(async move {
            let mut requests = Requests::new(messages);
            let (won, rest) = match race.run(&mut requests).await {
                Ok((won, on)) => (Ok(won), Some((on, requests))),
                Err(status) => (Err(status), None),
            };
            let journal = race.into_journal();
            // A call that was dropped has stopped this task, or is about to.
            let _ = told.send(Raced { won, journal });
            rest
        });
        if let Ok(peer) = first.await {
            return Ok(Incoming::racing(call, peer, outcome, outgoing));
        }
        let mut raced = outcome.await.unwrap_or_else(|_| panicked());
        let status = raced.won.err().unwrap_or_else(no_outcome);
        Err(call.explained(status, &mut raced.journal))
    }
}

/// Makes a unary call whose attempts race.
pub(super) async fn hedged_unary<Resp>(
    call: Call,
    policy: Arc<HedgingPolicy>,
    message: &impl Message,
    decode: impl Fn(Bytes) -> Result<Resp, Status>,
    mut journal: Journal,
) -> Result<Response<Resp>, Status> {
    let framed = call.framed(message, &mut journal)?;
    let messages = Box::pin(Once(Some(Ok(framed))));
    // A request of one message is kept whatever its size, as far as the channel has room for it.
    let mut incoming = call.hedge(policy, messages, usize::MAX, journal).await?;
    incoming.expect_one();
    let payload = poll_fn(|cx| incoming.poll_payload(cx)).await?;
    let payload = payload.ok_or_else(|| Violation::NoResponse.into());
    let message = payload.and_then(decode);
    let message = message.map_err(|status| incoming.over(status))?;
    poll_fn(|cx| incoming.poll_payload(cx)).await?;
    Ok(Response::new(message)
        .with_metadata(incoming.headers().cloned().unwrap_or_default())
        .with_trailers(incoming.trailers().clone())
        .with_peer(incoming.peer().clone()))
}

/// How a race has ended: with an attempt that counts, or with the status of the call.
pub(super) struct Raced {
    pub(super) won: Result<Won, Status>,
    /// What the attempts have been through.
    pub(super) journal: Journal,
}

/// A race that ended without an outcome.
pub(super) fn panicked() -> Raced {
    Raced {
        won: Err(no_outcome()),
        journal: Journal::default(),
    }
}

fn no_outcome() -> Status {
    Status::internal("the request stream panicked")
}
