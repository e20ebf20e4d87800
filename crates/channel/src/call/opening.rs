//! How an attempt comes to its stream.
//!
//! ```text
//!   pick ──► credentials ──► stream slot ──► open ──► a stream
//!    │            │               │            │
//!    ▼            ▼               ▼            ▼
//!   NotReady   Credentials     NoSlot       Draining      obstacles: what is waited for, to go on from there
//! ```
//!
//! Mostly there is none. So the steps are plain functions, and the one that cannot be taken says what has to be
//! waited for: a call that waits for nothing goes from its picker to its stream without a future.

use std::mem;
use std::pin::pin;
use std::sync::Arc;

use highball_balancer::{Additions, CallInfo};
use highball_core::explanation::Phase;
use highball_core::{MetadataMap, Status};
use highball_subchannel::Link;
use highball_transport::client::{Connection, OpenError, RequestHead, Slot};
use http::uri::Authority;

use super::attempt::{Finish, Opened, Unopened};
use super::observed::Observed;
use super::{AttemptInfo, Call, Timer};
use crate::call_credentials::RequestInfo;
use crate::picker_slot::{Generation, NotPicked, Picked};

/// How a stream is opened: [`Connection::open`] or, with a message, [`Connection::open_with`]. `S` is what is handed
/// up of it.
pub(super) trait Open<S>:
    FnMut(&Connection, Slot, RequestHead) -> Result<S, OpenError>
{
}

impl<S, F> Open<S> for F where F: FnMut(&Connection, Slot, RequestHead) -> Result<S, OpenError> {}

/// An attempt that has no stream yet.
pub(super) struct Opening<'a, 't, O> {
    call: &'a Call,
    attempt: AttemptInfo,
    /// Who watches it goes with the stream.
    observed: &'a mut Observed,
    timer: &'a mut Timer<'t>,
    open: O,
}

/// Why there is no stream.
pub(super) enum NoStream {
    Yet(Obstacle),
    Ever(Unopened),
}

/// What an attempt has to wait for.
pub(super) enum Obstacle {
    /// The picker has no connection for it. If it would have failed a call that does not wait for ready: why.
    NotReady(Arc<Generation>, Option<Status>),
    /// The call's credentials, if it has any.
    Credentials(Picked),
    /// The server lets no more streams be open at the moment.
    NoSlot(Picked, Option<MetadataMap>),
    /// The connection takes no more streams; the picker that knows is on its way.
    Draining(Arc<Generation>),
}

impl<O> Opening<'_, '_, O> {
    /// The stream, if nothing has to be waited for.
    pub(super) fn at_once<S>(&mut self) -> Result<Opened<S>, NoStream>
    where
        O: Open<S>,
    {
        self.pick(None)
    }

    /// The stream, whatever else has to be waited for. A connection that turns out to be draining costs nothing but
    /// the wait for the next picker: nothing has left this machine, so this may go on until the deadline (gRFC A6).
    pub(super) async fn after<S>(&mut self, mut none: NoStream) -> Result<Opened<S>, Unopened>
    where
        O: Open<S>,
    {
        loop {
            let next = match none {
                NoStream::Ever(unopened) => return Err(unopened),
                NoStream::Yet(Obstacle::NotReady(generation, latest_error)) => {
                    generation.wait(latest_error.as_ref(), self.timer).await?;
                    self.pick(latest_error)
                }
                NoStream::Yet(Obstacle::Credentials(mut picked)) => {
                    let credentials = Box::pin(self.credentials_for(&mut picked)).await?;
                    self.admit(picked, Some(credentials))
                }
                NoStream::Yet(Obstacle::NoSlot(mut picked, mut credentials)) => {
                    match self.queue(&mut picked, &mut credentials).await? {
                        Some(slot) => self.open(picked, slot, credentials),
                        None => Err(draining(picked)),
                    }
                }
                NoStream::Yet(Obstacle::Draining(generation)) => {
                    let waiting = || "waiting for a connection that takes new streams".to_owned();
                    let superseded = pin!(generation.superseded());
                    let waited = self.timer.wait(Phase::Pick, superseded, waiting).await;
                    waited.map_err(Unopened::Over)?;
                    self.pick(None)
                }
            };
            match next {
                Ok(opened) => return Ok(opened),
                Err(other) => none = other,
            }
        }
    }

    /// Asks the current picker.
    fn pick<S>(&mut self, latest_error: Option<Status>) -> Result<Opened<S>, NoStream>
    where
        O: Open<S>,
    {
        let call = self.call;
        let info = CallInfo::new(call.method.path(), &call.metadata);
        self.timer.journal.enter(Phase::Pick);
        let picked = match call.channel.slot().pick(&info, call.wait_for_ready) {
            Ok(picked) => picked,
            Err(NotPicked::Yet(generation, error)) => {
                let latest_error = error.or(latest_error);
                return Err(NoStream::Yet(Obstacle::NotReady(generation, latest_error)));
            }
            Err(NotPicked::Failed(unopened)) => {
                let (Unopened::Failed(status) | Unopened::Over(status)) = &unopened;
                self.timer.unopened(None, status);
                return Err(unopened.into());
            }
        };
        self.observed.picked(picked.connection.peer());
        match call.has_credentials() {
            true => Err(NoStream::Yet(Obstacle::Credentials(picked))),
            false => self.admit(picked, None),
        }
    }

    /// Takes the right to open a stream.
    fn admit<S>(
        &mut self,
        picked: Picked,
        credentials: Option<MetadataMap>,
    ) -> Result<Opened<S>, NoStream>
    where
        O: Open<S>,
    {
        self.timer.journal.enter(Phase::Slot);
        match picked.connection.free_slot() {
            Some(slot) => self.open(picked, slot, credentials),
            None => Err(NoStream::Yet(Obstacle::NoSlot(picked, credentials))),
        }
    }

    /// Opens the stream.
    fn open<S>(
        &mut self,
        picked: Picked,
        slot: Slot,
        credentials: Option<MetadataMap>,
    ) -> Result<Opened<S>, NoStream>
    where
        O: Open<S>,
    {
        let additions = picked.additions.as_deref();
        let head = self.call.head(&picked.connection, credentials, additions);
        let mut head = head.map_err(|status| over(status, &picked.connection, self.timer))?;
        head.timeout = self.timer.remaining();
        head.previous_attempts = self.attempt.previous_attempts;
        match (self.open)(&picked.connection, slot, head) {
            Ok(stream) => {
                let mut observed = mem::take(self.observed);
                observed.sent();
                Ok(Opened {
                    stream,
                    connection: picked.connection,
                    finish: Finish::of(picked.done, observed),
                })
            }
            Err(OpenError::Failed(status)) => {
                let server = picked.connection.address();
                self.timer.unopened(Some(server), &status);
                Err(Finish::hook(picked.done).unopened(status).into())
            }
            Err(OpenError::NotOpened(_)) => Err(draining(picked)),
        }
    }

    /// Waits for the right to open a stream on the connection, or on another one of its subchannel (gRFC A105).
    /// `None` if there is none that takes new streams.
    async fn queue(
        &mut self,
        picked: &mut Picked,
        credentials: &mut Option<MetadataMap>,
    ) -> Result<Option<Slot>, Unopened> {
        // Every generation has the links of the subchannels that its picker names.
        let Some(link) = picked.link() else {
            return Ok(None);
        };
        let queued = {
            let slot = pin!(link.slot(&picked.connection));
            let waiting = || waiting_for_a_stream(link);
            self.timer.wait(Phase::Slot, slot, waiting).await
        };
        let queued = queued.map_err(|status| over(status, &picked.connection, self.timer))?;
        let Some((connection, slot)) = queued else {
            return Ok(None);
        };
        let is_another = !connection.is(&picked.connection);
        picked.connection = connection;
        // They are for the very server that the call goes to.
        if is_another && credentials.is_some() {
            *credentials = Some(Box::pin(self.credentials_for(picked)).await?);
        }
        Ok(Some(slot))
    }

    async fn credentials_for(&mut self, picked: &mut Picked) -> Result<MetadataMap, Unopened> {
        let connection = &picked.connection;
        let authority = self.call.authority(connection, picked.additions.as_deref());
        let authority = authority.map_err(|status| over(status, connection, self.timer))?;
        let fetching = self
            .call
            .fetch_credentials(connection, &authority, self.timer);
        let credentials = fetching.await;
        credentials.map_err(|status| {
            self.timer.unopened(Some(connection.address()), &status);
            Finish::hook(picked.done.take()).unopened(status)
        })
    }
}

impl From<Unopened> for NoStream {
    fn from(unopened: Unopened) -> Self {
        Self::Ever(unopened)
    }
}

fn draining(picked: Picked) -> NoStream {
    // The picker hears that nothing came of its choice.
    drop(picked.done);
    NoStream::Yet(Obstacle::Draining(picked.generation))
}

/// The call is over before this connection had a stream for it.
fn over(status: Status, connection: &Connection, timer: &mut Timer<'_>) -> Unopened {
    timer.unopened(Some(connection.address()), &status);
    Unopened::Over(status)
}

fn waiting_for_a_stream(link: &Link) -> String {
    let address = link.address();
    match link.connections().len() {
        0 | 1 => format!("waiting for a stream on the connection to {address}"),
        connections => {
            format!("waiting for a stream on one of the {connections} connections to {address}")
        }
    }
}

impl Call {
    /// An attempt at it that begins.
    pub(super) fn opening<'a, 't, O>(
        &'a self,
        attempt: AttemptInfo,
        observed: &'a mut Observed,
        timer: &'a mut Timer<'t>,
        open: O,
    ) -> Opening<'a, 't, O> {
        Opening {
            call: self,
            attempt,
            observed,
            timer,
            open,
        }
    }

    fn has_credentials(&self) -> bool {
        self.credentials.is_some() || !self.channel.call_credentials().is_empty()
    }

    /// What the credentials of the channel, then those of the call add to its metadata.
    async fn fetch_credentials(
        &self,
        connection: &Connection,
        authority: &Authority,
        timer: &mut Timer<'_>,
    ) -> Result<MetadataMap, Status> {
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

    fn head(
        &self,
        connection: &Connection,
        credentials: Option<MetadataMap>,
        additions: Option<&Additions>,
    ) -> Result<RequestHead, Status> {
        let authority = self.authority(connection, additions)?;
        let mut head = RequestHead::new(authority, self.method.path_and_query().clone());
        head.max_receive_message = self.max_response_bytes;
        head.compression = self.framing.compression;
        head.accepted = self.accepted;
        head.metadata = self.metadata.clone();
        if let Some(mut metadata) = credentials {
            metadata.merge(head.metadata);
            head.metadata = metadata;
        }
        if let Some(additions) = additions {
            head.metadata.merge(additions.metadata.clone());
        }
        if let Some(of_address) = connection.address().metadata() {
            head.metadata.merge(of_address.clone());
        }
        Ok(head)
    }

    /// Whom the server is asked for: the call's own choice, else the picker's, for which the connection must be
    /// good, else whom the connection was made to.
    #[inline]
    fn authority(
        &self,
        connection: &Connection,
        additions: Option<&Additions>,
    ) -> Result<Authority, Status> {
        let of_picker = additions.and_then(|additions| additions.authority.as_deref());
        let chosen = match (&self.authority, of_picker) {
            (None, None) => return Ok(connection.authority().clone()),
            (Some(own), _) => own.clone(),
            (None, Some(text)) => super::authority(text)?,
        };
        connection.check_authority(&chosen)?;
        Ok(chosen)
    }
}
