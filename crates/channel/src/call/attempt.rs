//! One attempt at a call: a stream on a picked connection, and how it ends.

use std::mem;

use highball_balancer::{Done, Outcome};
use highball_core::explanation::Seen;
use highball_core::{Code, MetadataMap, Status};
use highball_transport::client::{Connection, Ended, Processed, RecvHalf, SendHalf};

use super::observed::Observed;
use super::opening::Open;
use super::retry::Retrying;
use super::{Call, Deadline, Journal, Timer};

/// An open stream, and who wants to know what becomes of it.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) receive: RecvHalf,
    pub(super) connection: Connection,
    pub(super) finish: Finish,
}

/// Tells the picker's completion hook, and those who watch the attempt, how it ended. Dropped, it says that the
/// attempt was.
#[derive(Debug)]
pub(super) struct Finish {
    done: Option<Done>,
    pub(super) observed: Observed,
}

/// Why an attempt did not come as far as a stream.
#[derive(Debug)]
pub(crate) enum Unopened {
    /// As attempts fail: the call's policy says whether there is another.
    Failed(Status),
    /// The call's time is over, or the picker has dropped it, and drops are final (gRFC A6).
    Over(Status),
}

/// An attempt that has just been given a stream, of which the caller holds `S`.
pub(super) struct Opened<S> {
    pub(super) stream: S,
    pub(super) connection: Connection,
    pub(super) finish: Finish,
}

impl Opened<(SendHalf, RecvHalf)> {
    /// The half that sends, and the rest.
    pub(super) fn split(self) -> (SendHalf, Attempt) {
        let (send, receive) = self.stream;
        (send, Attempt::new(receive, self.connection, self.finish))
    }
}

impl Call {
    /// Opens a stream, as `open` does, for one attempt after the other.
    pub(super) async fn attempt<S>(
        &self,
        retrying: &mut Retrying,
        timer: &mut Timer<'_>,
        mut open: impl Open<S>,
    ) -> Result<Opened<S>, Status> {
        loop {
            let attempt = retrying.attempt();
            let mut observed = self.observers.begin(attempt);
            let mut opening = self.opening(attempt, &mut observed, timer, &mut open);
            let unopened = match opening.at_once() {
                Ok(opened) => return Ok(opened),
                Err(none) => match opening.after(none).await {
                    Ok(opened) => return Ok(opened),
                    Err(unopened) => unopened,
                },
            };
            match unopened {
                Unopened::Over(status) => {
                    observed.failed(&status, Seen::No);
                    return Err(status);
                }
                Unopened::Failed(status) => {
                    observed.failed(&status, Seen::No);
                    Box::pin(self.again(retrying.failed(status), timer)).await?;
                }
            }
        }
    }
}

/// The last stage of a call.
pub(super) fn receiving_from(connection: &Connection) -> String {
    format!("waiting for the response of {}", connection.address())
}

impl Attempt {
    pub(super) fn new(receive: RecvHalf, connection: Connection, finish: Finish) -> Self {
        Self {
            receive,
            connection,
            finish,
        }
    }

    /// The attempt ended with this status; the server can have seen of it what `processed` says.
    pub(super) fn failed(
        self,
        status: &Status,
        processed: Processed,
        deadline: Deadline,
        journal: &mut Journal,
    ) {
        let seen = match processed {
            _ if self.receive.has_answered() => Seen::Answered,
            Processed::MaybeProcessed => Seen::Unknown,
            Processed::NothingSent | Processed::Unprocessed => Seen::No,
        };
        let server = Some(self.connection.address());
        journal.failed(deadline, server, status, seen);
        let reached = match self.receive.has_answered() {
            true => Reached::Answer,
            false => Reached::Stream,
        };
        let mut finish = self.finish;
        mem::take(&mut finish.observed).failed(status, seen);
        finish.failed(status, reached);
    }
}

/// How far an attempt came before it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    Nothing,
    Stream,
    Answer,
}

impl Finish {
    pub(super) fn of(done: Option<Done>, observed: Observed) -> Self {
        Self { done, observed }
    }

    /// Of an attempt without a stream.
    pub(super) fn hook(done: Option<Done>) -> Self {
        Self::of(done, Observed::default())
    }

    /// The attempt ended well.
    pub(super) fn succeeded(self, trailers: &MetadataMap) {
        self.observed.succeeded(trailers);
        let Some(done) = self.done else { return };
        let mut outcome = Outcome::ended(Ok(())).with_trailers(trailers.clone());
        (outcome.bytes_sent, outcome.bytes_received) = (true, true);
        done.fire(outcome);
    }

    /// The attempt failed before it had a stream.
    pub(super) fn unopened(self, status: Status) -> Unopened {
        self.failed(&status, Reached::Nothing);
        Unopened::Failed(status)
    }

    fn failed(self, status: &Status, reached: Reached) {
        let Some(done) = self.done else { return };
        let outcome = Outcome::ended(Err(status.clone()));
        let mut outcome = outcome.with_trailers(status.metadata().clone());
        outcome.bytes_sent = reached != Reached::Nothing;
        outcome.bytes_received = reached == Reached::Answer;
        done.fire(outcome);
    }
}

/// The status of a call whose attempt ended like this. A server that resets a call whose time is over
/// means the deadline.
pub(super) fn status_of(ended: Ended, deadline: Deadline) -> Status {
    let cancelled = ended.status.code() == Code::Cancelled && ended.reset.is_some();
    if cancelled && deadline.has_passed() {
        return super::deadline::exceeded("waiting for the response: the server reset the stream")
            .with_source(ended.status);
    }
    ended.status
}
