//! The response half of a streaming call: headers, payloads, trailers, and another attempt where one did not
//! count.
//!
//! ```text
//!              opened                    headers or a message
//!   Opening ──────────► Open ──────────────────────────────────► Open, committed
//!      ▲                 │ no server has worked on it               │ the last message
//!      └─────────────────┘                                          ▼
//!   Racing, where attempts are hedged ── one has won ──► Open, committed
//!   any of them ── a status, the deadline, or the request failed ─► Over
//! ```

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use highball_core::explanation::Phase;
use highball_core::{MetadataMap, Peer, Status};
use highball_transport::client::{Connection, Ended, Processed, SendHalf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::attempt::{Attempt, Opened, receiving_from, status_of};
use super::hedging::{self, Raced};
use super::outgoing::Outgoing;
use super::retry::{Retrying, Verdict};
use super::violation::{Due, Violation};
use super::{Call, Journal, Timer, deadline};

/// How many messages are handed out one after the other before the clock is looked at. What came before the
/// deadline is handed out after it, but a server that does not stop must not hold a call beyond it.
const MESSAGES_IN_A_ROW: u32 = 1024;

/// The response of a call, in payloads. Dropping it before the end cancels the call.
pub(super) struct Incoming {
    call: Arc<Call>,
    state: State,
    outgoing: Outgoing,
    /// The server of the newest attempt.
    peer: Peer,
    /// Fires at the call's deadline.
    alarm: Option<Pin<Box<Sleep>>>,
    /// With the attempt that is being opened, while one is.
    retrying: Retrying,
    journal: Journal,
    /// Messages since there was nothing to read.
    in_a_row: u32,
    due: Due,
    is_compressed: bool,
    /// The initial metadata, once it has come.
    headers: Option<MetadataMap>,
    trailers: MetadataMap,
}

enum State {
    /// Waiting until it is time for another attempt, and finding it a connection.
    Opening(BoxFuture<'static, Reopened>),
    Open(Box<Attempt>),
    /// Waiting for the attempt that counts: see [`hedging`].
    Racing(hedging::Outcome),
    Over,
}

impl Incoming {
    /// The response to the request that `outgoing` sends on `half`.
    pub(super) fn new(
        call: Arc<Call>,
        opened: (SendHalf, Attempt),
        retrying: Retrying,
        journal: Journal,
        outgoing: Outgoing,
    ) -> Self {
        let (half, attempt) = opened;
        outgoing.send_on(half);
        Self {
            alarm: alarm(&call),
            call,
            peer: attempt.connection.peer().clone(),
            state: State::Open(Box::new(attempt)),
            outgoing,
            retrying,
            journal,
            in_a_row: 0,
            due: Due::Any,
            is_compressed: false,
            headers: None,
            trailers: MetadataMap::new(),
        }
    }

    /// The response to a request whose attempts race; `peer` is the server of the first.
    pub(super) fn racing(
        call: Arc<Call>,
        peer: Peer,
        outcome: hedging::Outcome,
        outgoing: Outgoing,
    ) -> Self {
        Self {
            call,
            state: State::Racing(outcome),
            outgoing,
            peer,
            // The race has one of its own.
            alarm: None,
            retrying: Retrying::default(),
            // The race keeps it.
            journal: Journal::default(),
            in_a_row: 0,
            due: Due::Any,
            is_compressed: false,
            headers: None,
            trailers: MetadataMap::new(),
        }
    }

    /// The response is to bring exactly one message: said before any is waited for.
    pub(super) fn expect_one(&mut self) {
        self.due = Due::One;
    }

    /// Waits for the initial metadata. A response without any, which has ended well, has it empty.
    pub(super) fn poll_headers(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        while self.headers.is_none() && !matches!(self.state, State::Over) {
            let step = ready!(self.poll_step(cx));
            step.map_err(|status| self.explained(status))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for the next payload; `None` once the call has ended well.
    pub(super) fn poll_payload(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Status>> {
        loop {
            if let State::Over = self.state {
                return Poll::Ready(Ok(None));
            }
            let step = ready!(self.poll_step(cx));
            if let Some(payload) = step.map_err(|status| self.explained(status))? {
                return Poll::Ready(Ok(Some(payload)));
            }
        }
    }

    /// The server that answers.
    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether the newest payload came compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    /// The initial metadata, if it has come.
    pub(super) fn headers(&self) -> Option<&MetadataMap> {
        self.headers.as_ref()
    }

    /// The trailing metadata: empty until the call has ended well.
    pub(super) fn trailers(&self) -> &MetadataMap {
        &self.trailers
    }

    /// Makes one step: from opening to open, to the headers, to a payload (which it returns), to the end.
    ///
    /// What may end the call from this side is looked at when there is no message to hand out, and now and
    /// then in between: each look costs as much as a small message.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        if self.in_a_row >= MESSAGES_IN_A_ROW
            && let Poll::Ready(ended) = self.wait(cx)
        {
            return Poll::Ready(ended);
        }
        let step = match &mut self.state {
            State::Opening(opening) => match opening.as_mut().poll(cx) {
                Poll::Ready(reopened) => {
                    return Poll::Ready(self.reopened(reopened).map(|()| None));
                }
                Poll::Pending => Poll::Pending,
            },
            State::Racing(outcome) => match Pin::new(outcome).poll(cx) {
                Poll::Ready(outcome) => {
                    let raced = outcome.unwrap_or_else(|_| hedging::panicked());
                    return Poll::Ready(self.raced(raced).map(|()| None));
                }
                Poll::Pending => Poll::Pending,
            },
            State::Open(attempt) if self.headers.is_none() => {
                attempt.receive.poll_headers(cx).map_ok(Step::Headers)
            }
            State::Open(attempt) => {
                let message = attempt.receive.poll_message(cx).map_ok(Step::Message);
                self.is_compressed = attempt.receive.is_compressed();
                message
            }
            State::Over => return Poll::Ready(Ok(None)),
        };
        match step {
            Poll::Ready(Ok(Step::Headers(headers))) => {
                self.outgoing.commit();
                if let State::Open(attempt) = &mut self.state {
                    attempt.finish.observed.answered(headers.as_ref());
                }
                self.headers = Some(headers.unwrap_or_default());
                Poll::Ready(Ok(None))
            }
            Poll::Ready(Ok(Step::Message(Some(payload)))) => {
                self.in_a_row += 1;
                self.judge(Due::received)?;
                Poll::Ready(Ok(Some(payload)))
            }
            Poll::Ready(Ok(Step::Message(None))) => {
                self.check_request(cx)?;
                self.judge(|due| due.ended())?;
                self.succeeded();
                Poll::Ready(Ok(None))
            }
            Poll::Ready(Err(ended)) => {
                self.check_request(cx)?;
                Poll::Ready(self.ended(ended))
            }
            Poll::Pending => self.wait(cx),
        }
    }

    fn reopened(&mut self, reopened: Reopened) -> Result<(), Status> {
        self.retrying = reopened.retrying;
        self.journal = reopened.journal;
        let (half, attempt) = reopened.opened.inspect_err(|_| self.state = State::Over)?;
        self.journal.enter(Phase::Server);
        self.peer = attempt.connection.peer().clone();
        self.state = State::Open(Box::new(attempt));
        self.outgoing.send_on(half);
        Ok(())
    }

    /// The race is over: an attempt has won it, or the call has ended.
    fn raced(&mut self, raced: Raced) -> Result<(), Status> {
        self.journal = raced.journal;
        let won = raced.won.inspect_err(|_| self.state = State::Over)?;
        self.alarm = alarm(&self.call);
        self.peer = won.attempt.connection.peer().clone();
        self.state = State::Open(Box::new(won.attempt));
        self.headers = won.headers;
        Ok(())
    }

    /// The request may have failed the call: a message too large, a stream that panicked.
    fn check_request(&mut self, cx: &mut Context<'_>) -> Result<(), Status> {
        if let Some(status) = self.outgoing.poll_failure(cx) {
            return Err(self.end(status, Processed::MaybeProcessed));
        }
        if let State::Open(attempt) = &mut self.state
            && attempt.finish.observed.awaits_commitment()
            && self.outgoing.is_committed()
        {
            attempt.finish.observed.committed();
        }
        Ok(())
    }

    /// A message more than is due, or the end before one that is, fails the call.
    fn judge(
        &mut self,
        count: impl FnOnce(&mut Due) -> Result<(), Violation>,
    ) -> Result<(), Status> {
        count(&mut self.due)
            .map_err(|violation| self.end(violation.into(), Processed::MaybeProcessed))
    }

    /// Ready only when the request has failed the call, or when the deadline passes.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        self.in_a_row = 0;
        self.check_request(cx)?;
        let Some(alarm) = &mut self.alarm else {
            return Poll::Pending;
        };
        ready!(alarm.as_mut().poll(cx));
        let stage = match &self.state {
            State::Open(attempt) => receiving_from(&attempt.connection),
            State::Opening(_) | State::Racing(_) | State::Over => {
                "waiting for another attempt".to_owned()
            }
        };
        let exceeded = deadline::exceeded(&stage);
        Poll::Ready(Err(self.end(exceeded, Processed::MaybeProcessed)))
    }

    fn succeeded(&mut self) {
        if let State::Open(mut attempt) = mem::replace(&mut self.state, State::Over) {
            self.trailers = attempt.receive.trailers();
            attempt.finish.succeeded(&self.trailers);
            self.call.succeeded();
        }
    }

    /// The attempt has ended: is it the call's end?
    fn ended(&mut self, ended: Ended) -> Result<Option<Bytes>, Status> {
        let processed = ended.processed;
        let status = self.end(status_of(ended, self.call.deadline), processed);
        if self.headers.is_some() || !self.outgoing.await_another() {
            return Err(status);
        }
        let verdict = self.retrying.ended(status, processed);
        if let Verdict::Over(status) = verdict {
            return Err(status);
        }
        let (call, mut retrying) = (self.call.clone(), mem::take(&mut self.retrying));
        let journal = mem::take(&mut self.journal);
        self.state = State::Opening(Box::pin(async move {
            let alarm = pin!(None);
            let mut timer = Timer::new(call.deadline.after_waiting(), alarm, journal);
            let opened = match call.again(verdict, &mut timer).await {
                Ok(()) => {
                    let opening = call.attempt(&mut retrying, &mut timer, Connection::open);
                    opening.await.map(Opened::split)
                }
                Err(status) => Err(status),
            };
            Reopened {
                opened,
                retrying,
                journal: timer.journal,
            }
        }));
        Ok(None)
    }

    /// Ends the call with `status`; what is still open is cancelled.
    pub(super) fn over(&mut self, status: Status) -> Status {
        let status = self.end(status, Processed::MaybeProcessed);
        self.explained(status)
    }

    /// Ends the attempt under way; the server can have seen of it what `processed` says.
    fn end(&mut self, status: Status, processed: Processed) -> Status {
        if let State::Open(attempt) = mem::replace(&mut self.state, State::Over) {
            let (deadline, journal) = (self.call.deadline, &mut self.journal);
            attempt.failed(&status, processed, deadline, journal);
        }
        status
    }

    /// The same for a status that somebody around the call has put in place of its own.
    #[cold]
    pub(super) fn explained_once(&mut self, status: Status) -> Status {
        if status.explanation().is_some() {
            return status;
        }
        self.journal.over(self.call.deadline, Instant::now());
        self.journal.enter(Phase::Interceptor);
        self.explained(status)
    }

    fn explained(&mut self, status: Status) -> Status {
        self.call.explained(status, &mut self.journal)
    }
}

/// Fires at the deadline of the call, if it has one.
fn alarm(call: &Call) -> Option<Pin<Box<Sleep>>> {
    let deadline = call.deadline.instant();
    deadline.map(|at| Box::pin(sleep_until(at)))
}

/// Another attempt, or why there is none.
struct Reopened {
    opened: Result<(SendHalf, Attempt), Status>,
    retrying: Retrying,
    journal: Journal,
}

/// What a stream brings.
enum Step {
    Headers(Option<MetadataMap>),
    Message(Option<Bytes>),
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Opening(_) => "Incoming(opening)",
            State::Open(_) => "Incoming(open)",
            State::Racing(_) => "Incoming(racing)",
            State::Over => "Incoming(over)",
        })
    }
}
