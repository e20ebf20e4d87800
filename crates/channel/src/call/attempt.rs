//! One attempt at a call: a picked connection and a stream on it.

use std::mem;
use std::pin::pin;

use highball_balancer::{CallInfo, Done, Outcome};
use highball_core::explanation::{Phase, Seen};
use highball_core::{Code, MetadataMap, Status};
use highball_subchannel::Link;
use highball_transport::client::{
    Connection, Ended, OpenError, Processed, RecvHalf, RequestHead, SendHalf, Slot,
};

use super::observed::Observed;
use super::retry::Retrying;
use super::{AttemptInfo, Call, Deadline, Journal, Timer};
use crate::call_credentials::RequestInfo;
use crate::picker_slot::Picked;

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

/// How a stream is opened: [`Connection::open`] or, with a message, [`Connection::open_with`]. `S` is what is handed
/// up of it.
pub(super) trait Open<S>:
    FnMut(&Connection, Slot, RequestHead) -> Result<S, OpenError>
{
}

impl<S, F> Open<S> for F where F: FnMut(&Connection, Slot, RequestHead) -> Result<S, OpenError> {}

impl Call {
    /// Opens a stream, as `open` does. A connection that turns out to be draining costs nothing but the wait for
    /// the next picker: nothing has left this machine, so this may go on until the deadline (gRFC A6). What the
    /// call's policy retries is an attempt that failed.
    pub(super) async fn attempt<S>(
        &self,
        retrying: &mut Retrying,
        timer: &mut Timer<'_>,
        mut open: impl Open<S>,
    ) -> Result<Opened<S>, Status> {
        loop {
            let attempt = retrying.attempt();
            let mut observed = self.observers.begin(attempt);
            let opening = self.attempt_once(attempt, &mut observed, timer, &mut open);
            match opening.await {
                Ok(opened) => return Ok(opened),
                Err(Unopened::Over(status)) => {
                    observed.failed(&status, Seen::No);
                    return Err(status);
                }
                Err(Unopened::Failed(status)) => {
                    observed.failed(&status, Seen::No);
                    Box::pin(self.again(retrying.failed(status), timer)).await?;
                }
            }
        }
    }

    /// Opens a stream for one attempt. Who watches it goes with the stream.
    pub(super) async fn attempt_once<S>(
        &self,
        attempt: AttemptInfo,
        observed: &mut Observed,
        timer: &mut Timer<'_>,
        open: &mut impl Open<S>,
    ) -> Result<Opened<S>, Unopened> {
        let info = CallInfo::new(self.method.path(), &self.metadata);
        let pickers = self.channel.slot();
        loop {
            let mut picked = pickers.pick(&info, self.wait_for_ready, timer).await?;
            observed.picked(picked.connection.peer());
            if let Some((slot, credentials)) = self.admission(&mut picked, timer).await? {
                let metadata = picked.metadata.as_deref();
                let head = self.head(&picked.connection, credentials, metadata);
                let mut head = head.map_err(|status| over(status, &picked.connection, timer))?;
                head.timeout = timer.remaining();
                head.previous_attempts = attempt.previous_attempts;
                let mut finish = Finish::hook(picked.done.take());
                match open(&picked.connection, slot, head) {
                    Ok(stream) => {
                        finish.observed = mem::take(observed);
                        finish.observed.sent();
                        let connection = picked.connection;
                        return Ok(Opened {
                            stream,
                            connection,
                            finish,
                        });
                    }
                    Err(OpenError::Failed(status)) => {
                        timer.unopened(Some(picked.connection.address()), &status);
                        return Err(finish.unopened(status));
                    }
                    Err(OpenError::NotOpened(_)) => {}
                }
            }
            // The connection takes no more streams; the picker that knows is on its way.
            let waiting = || "waiting for a connection that takes new streams".to_owned();
            let superseded = pin!(picked.generation.superseded());
            let waited = timer.wait(Phase::Pick, superseded, waiting).await;
            waited.map_err(Unopened::Over)?;
        }
    }

    /// What has to be waited for on a connection: the call's credentials for it, if there are any, and the right
    /// to open a stream. `None` if it takes no more streams.
    async fn admission(
        &self,
        picked: &mut Picked,
        timer: &mut Timer<'_>,
    ) -> Result<Option<(Slot, Option<MetadataMap>)>, Unopened> {
        let mut credentials = match self.has_credentials() {
            false => None,
            true => Some(Box::pin(self.credentials_for(picked, timer)).await?),
        };
        timer.journal.enter(Phase::Slot);
        if let Some(slot) = picked.connection.free_slot() {
            return Ok(Some((slot, credentials)));
        }
        // Every generation has the links of the subchannels that its picker names.
        let Some(link) = picked.link() else {
            return Ok(None);
        };
        let queued = queued(link, &picked.connection, timer).await?;
        let Some((connection, slot)) = queued else {
            return Ok(None);
        };
        let is_another = !connection.is(&picked.connection);
        picked.connection = connection;
        // They are for the very server that the call goes to.
        if is_another && credentials.is_some() {
            credentials = Some(Box::pin(self.credentials_for(picked, timer)).await?);
        }
        Ok(Some((slot, credentials)))
    }

    fn head(
        &self,
        connection: &Connection,
        credentials: Option<MetadataMap>,
        picked: Option<&MetadataMap>,
    ) -> Result<RequestHead, Status> {
        let authority = self.authority.as_ref();
        if let Some(own) = authority {
            connection.check_authority(own)?;
        }
        let authority = authority.unwrap_or(connection.authority()).clone();
        let mut head = RequestHead::new(authority, self.method.path_and_query().clone());
        head.max_receive_message = self.max_response_bytes;
        head.compression = self.framing.compression;
        head.accepted = self.accepted;
        head.metadata = self.metadata.clone();
        if let Some(mut metadata) = credentials {
            metadata.merge(head.metadata);
            head.metadata = metadata;
        }
        if let Some(picked) = picked {
            head.metadata.merge(picked.clone());
        }
        Ok(head)
    }
}

impl Call {
    fn has_credentials(&self) -> bool {
        self.credentials.is_some() || !self.channel.call_credentials().is_empty()
    }

    async fn credentials_for(
        &self,
        picked: &mut Picked,
        timer: &mut Timer<'_>,
    ) -> Result<MetadataMap, Unopened> {
        let connection = &picked.connection;
        let credentials = self.credentials(connection, timer).await;
        credentials.map_err(|status| {
            timer.unopened(Some(connection.address()), &status);
            Finish::hook(picked.done.take()).unopened(status)
        })
    }

    /// What the credentials of the channel, then those of the call add to its metadata.
    async fn credentials(
        &self,
        connection: &Connection,
        timer: &mut Timer<'_>,
    ) -> Result<MetadataMap, Status> {
        let authority = self.authority.as_ref().unwrap_or(connection.authority());
        let info = RequestInfo::new(authority.as_str(), self.method.path(), connection.peer());
        let mut metadata = MetadataMap::new();
        for credentials in self
            .channel
            .call_credentials()
            .iter()
            .chain(&self.credentials)
        {
            let waiting = || "waiting for call credentials".to_owned();
            let fetched = pin!(credentials.metadata(&info));
            metadata.merge(timer.wait(Phase::Credentials, fetched, waiting).await??);
        }
        Ok(metadata)
    }
}

/// Waits for a stream on `connection`, or on another one of its subchannel (gRFC A105). `None` if there is none.
async fn queued(
    link: &Link,
    connection: &Connection,
    timer: &mut Timer<'_>,
) -> Result<Option<(Connection, Slot)>, Unopened> {
    let waiting = || match link.connections().len() {
        0 | 1 => format!(
            "waiting for a stream on the connection to {}",
            link.address()
        ),
        connections => format!(
            "waiting for a stream on one of the {connections} connections to {}",
            link.address()
        ),
    };
    let slot = pin!(link.slot(connection));
    let slot = timer.wait(Phase::Slot, slot, waiting).await;
    slot.map_err(|status| over(status, connection, timer))
}

/// The call is over before this connection had a stream for it.
fn over(status: Status, connection: &Connection, timer: &mut Timer<'_>) -> Unopened {
    timer.unopened(Some(connection.address()), &status);
    Unopened::Over(status)
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
    fn hook(done: Option<Done>) -> Self {
        let observed = Observed::default();
        Self { done, observed }
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
    fn unopened(self, status: Status) -> Unopened {
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
