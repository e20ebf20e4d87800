//! One call, from its request to its status.
//!
//! ```text
//!   interceptors        if there are any, boxed
//!   Call::begin         count it in, wait for the first resolution, settle options and deadline
//!     └─ Call::attempt  Opening: pick ─ stream slot ─ open, again for as long as nothing has left this machine
//!          └─ unary:      send, receive one reply          on the caller's task, nothing boxed
//!             streaming:  Streaming receives; a Pump sends what the application streams
//! ```
//!
//! The stages of a call are awaited one by one under its deadline, so a status can say which one was cut
//! short. Dropping the future (or the [`Streaming`](crate::Streaming)) at any point cancels the call: the
//! stream's guard sends RST_STREAM(CANCEL), the slot is freed, the completion hook runs.
//!
//! With `transport/status.rs` this is the last stop of the reading path: a call becomes a status. Exercise:
//! which of the stages can a call with wait-for-ready fail in before its deadline?

mod any_streaming;
mod attempt;
mod attempt_event;
mod codec;
mod deadline;
mod explain;
mod hedging;
mod incoming;
mod intercepted;
mod journal;
mod method;
mod observed;
mod opening;
mod outgoing;
mod replay;
mod request;
mod retry;
mod streaming;
mod unary;
mod violation;

use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use highball_core::explanation::Phase;
use highball_core::{MetadataMap, Status};
use highball_transport::{Compressions, framing};
use http::uri::Authority;
use tokio::time::{Instant, timeout};

use crate::call_credentials::AnyCallCredentials;
use crate::channel::Handle;
use crate::service_config::{HedgingPolicy, MethodConfig, MethodConfigs, RetryPolicy};
use codec::Framing;
use observed::Observers;
use retry::{Retrying, Verdict};

pub use any_streaming::{AnyStreaming, ResponseListener};
pub(crate) use attempt::Unopened;
pub use attempt_event::{AttemptEnd, AttemptEvent, AttemptInfo, Pushback};
pub(crate) use deadline::{Deadline, Timer};
pub(crate) use intercepted::InterceptedCall;
pub(crate) use journal::Journal;
pub use method::Method;
pub(crate) use replay::ReplayBudget;
pub use request::{CallOptions, Request};
pub(crate) use retry::Throttle;
pub use streaming::Streaming;
pub(crate) use streaming::{bidi_streaming, client_streaming, server_streaming};
pub(crate) use unary::unary;

/// A call that has begun: what every attempt at it has in common.
#[derive(Debug)]
pub(crate) struct Call {
    channel: ActiveCall,
    method: Method,
    metadata: MetadataMap,
    /// The call's own, before that of its server and the channel's.
    authority: Option<Authority>,
    /// The call's own, beside those of the channel.
    credentials: Option<AnyCallCredentials>,
    /// Those who watch its attempts.
    observers: Observers,
    wait_for_ready: bool,
    deadline: Deadline,
    framing: Framing,
    max_response_bytes: usize,
    /// What the response may be compressed by.
    accepted: Compressions,
    /// How many bytes of a streamed request are kept for another attempt.
    max_replay_bytes: usize,
    attempts: Attempts,
    throttle: Option<Arc<Throttle>>,
}

/// How many attempts there are at a call, and when. Whatever it is, an attempt that no server has worked on is
/// made again.
#[derive(Debug)]
enum Attempts {
    One,
    /// Another when one has failed.
    Retried(Arc<RetryPolicy>),
    /// Another before one has failed.
    Hedged(Arc<HedgingPolicy>),
}

impl Attempts {
    fn of(config: &MethodConfig) -> Self {
        match (&config.retry, &config.hedging) {
            (None, None) => Self::One,
            (Some(policy), _) => Self::Retried(policy.clone()),
            (None, Some(policy)) => Self::Hedged(policy.clone()),
        }
    }
}

impl Call {
    /// Begins a call, and waits for the first resolution.
    async fn begin(
        channel: &Arc<Handle>,
        method: &Method,
        deadline: Deadline,
        journal: &mut Journal,
    ) -> Result<Begun, Status> {
        let active = ActiveCall::begin(channel);
        let slot = channel.slot();
        journal.enter(Phase::Resolve);
        if let Some(methods) = slot.methods() {
            return Ok(Begun {
                channel: active,
                deadline,
                methods,
            });
        }
        let resolving = || format!("waiting for the name resolution of {}", channel.target());
        let resolved = deadline.limit(pin!(slot.resolved()), resolving).await;
        journal.over(deadline, Instant::now());
        let methods = resolved.map_err(|status| {
            let why = journal.explain(deadline, method.path(), channel.target());
            status.with_explanation(why)
        })?;
        Ok(Begun {
            channel: active,
            deadline: deadline.after_waiting(),
            methods,
        })
    }

    /// What decides about the call's attempts.
    fn retrying(&self) -> Retrying {
        match &self.attempts {
            Attempts::One | Attempts::Hedged(_) => Retrying::default(),
            Attempts::Retried(policy) => {
                let cap = self.channel.max_attempts();
                Retrying::with_policy(policy.clone(), cap, self.throttle.clone())
            }
        }
    }

    /// Waits as long as the verdict on an attempt says, if there is to be another. A channel that is closed
    /// meanwhile is not waited for: the next attempt finds that out.
    async fn again(&self, verdict: Verdict, timer: &mut Timer<'_>) -> Result<(), Status> {
        let delay = match verdict {
            Verdict::Over(status) => return Err(status),
            Verdict::Again(Duration::ZERO) => return Ok(()),
            Verdict::Again(delay) => delay,
        };
        let waiting = || "waiting to try again".to_owned();
        let waited = pin!(timeout(delay, self.channel.closed()));
        timer.wait(Phase::Backoff, waited, waiting).await.map(drop)
    }

    /// The call has ended well.
    fn succeeded(&self) {
        if let Some(throttle) = &self.throttle {
            throttle.succeeded();
        }
    }
}

/// A call that has been counted in, and whose channel knows what holds for its methods.
struct Begun {
    channel: ActiveCall,
    deadline: Deadline,
    methods: Arc<MethodConfigs>,
}

impl Begun {
    /// Settles what holds for the call; takes what it needs of the options.
    fn settle(
        self,
        method: &Method,
        metadata: MetadataMap,
        options: &mut CallOptions,
        journal: &mut Journal,
    ) -> Result<Call, Status> {
        let Self {
            channel,
            deadline,
            methods,
        } = self;
        let config = methods.find(method.path());
        Ok(Call {
            method: method.clone(),
            metadata,
            authority: match options.authority.as_deref().map(authority).transpose() {
                Ok(authority) => authority,
                Err(status) => {
                    let why = journal.explain(deadline, method.path(), channel.target());
                    return Err(status.with_explanation(why));
                }
            },
            credentials: options.credentials.take(),
            observers: mem::take(&mut options.observers),
            wait_for_ready: options
                .wait_for_ready
                .or(config.wait_for_ready)
                .unwrap_or(false),
            deadline: deadline.or_after(config.timeout),
            framing: Framing {
                limit: smaller(options.max_request_bytes, config.max_request_bytes)
                    .unwrap_or(framing::DEFAULT_SEND_LIMIT),
                compression: options.compression.unwrap_or(channel.compression()),
            },
            max_response_bytes: smaller(options.max_response_bytes, config.max_response_bytes)
                .unwrap_or(framing::DEFAULT_RECEIVE_LIMIT),
            accepted: options.accept_compressions.unwrap_or(Compressions::all()),
            max_replay_bytes: options
                .max_replay_bytes
                .unwrap_or(replay::DEFAULT_CALL_LIMIT),
            attempts: match channel.allows_retries() {
                true => Attempts::of(config),
                false => Attempts::One,
            },
            throttle: methods.throttle().cloned(),
            channel,
        })
    }
}

fn authority(text: &str) -> Result<Authority, Status> {
    text.parse()
        .map_err(|_| Status::internal(format!("{text:?} is no authority for a call")))
}

fn smaller(one: Option<usize>, other: Option<usize>) -> Option<usize> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Keeps the channel out of idle mode, and alive, for as long as a call is under way.
#[derive(Debug)]
struct ActiveCall(Arc<Handle>);

impl ActiveCall {
    fn begin(channel: &Arc<Handle>) -> Self {
        if channel.activity().begin() {
            channel.call_began();
        }
        Self(channel.clone())
    }
}

impl std::ops::Deref for ActiveCall {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.0
    }
}

impl Drop for ActiveCall {
    fn drop(&mut self) {
        self.0.activity().end();
    }
}
