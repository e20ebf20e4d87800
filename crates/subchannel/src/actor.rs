//! The task of a subchannel: waits until it is asked, connects, serves, backs off, and waits again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use highball_core::{Address, Backoff, Letterbox, Mailbox, Status, ThroughProxy, mailbox};
use highball_transport::Connector;
use highball_transport::client::{ClientOptions, Connection, ConnectionEnd};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use crate::{Input, Link, State, next};

/// How the subchannels of a channel connect.
#[derive(Clone, Debug)]
pub struct Options {
    /// Makes the byte streams.
    pub connector: Arc<dyn Connector>,
    /// How each connection is set up.
    pub client: ClientOptions,
    /// How long to wait between attempts, counted from the **start** of the failed one.
    pub backoff: Backoff,
    /// The least time an attempt is given, up to the server's SETTINGS: 20 s. It is given the backoff's
    /// delay where that is longer.
    pub min_connect_timeout: Duration,
}

/// A subchannel, as its owner holds it. Dropping it shuts it down: its connection takes no more calls and
/// closes when the last one has ended.
#[derive(Debug)]
pub struct Subchannel {
    requests: Letterbox<Request>,
    link: Arc<Link>,
}

#[derive(Debug)]
enum Request {
    Connect,
    ResetBackoff,
    Close(Status),
}

impl Subchannel {
    /// A subchannel for `address`, IDLE. Every later state is reported, in order, on the task of the
    /// subchannel: `report` must not block. `seed` makes its jitter repeatable.
    ///
    /// Must be called on a tokio runtime.
    pub fn spawn(
        address: Address,
        options: Arc<Options>,
        seed: u64,
        report: impl FnMut(State) + Send + 'static,
    ) -> Self {
        let (requests, inbox) = mailbox();
        let link = Arc::new(Link::new(address));
        let mut actor = Actor {
            options,
            rng: fastrand::Rng::with_seed(seed),
            state: State::Idle,
            failures: 0,
            link: link.clone(),
            inbox,
            report: Box::new(report),
        };
        // Borrowed, the actor is in its task once; moved, it would be there twice.
        tokio::spawn(async move { actor.run().await });
        Self { requests, link }
    }

    /// Asks for a connection. In any state but IDLE nothing happens.
    pub fn connect(&self) {
        self.request(Request::Connect);
    }

    /// Forgets the failures so far: a running backoff ends now, and the next starts small.
    pub fn reset_backoff(&self) {
        self.request(Request::ResetBackoff);
    }

    /// Shuts down hard: calls on the connection end with `status`. Returns once the actor has ended.
    pub fn close(self, status: Status) -> impl Future<Output = ()> + Send + use<> {
        self.request(Request::Close(status));
        async move { self.requests.closed().await }
    }

    /// Where calls find the connection.
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// An actor that is gone has shut down: there is nothing left to ask of it.
    fn request(&self, request: Request) {
        self.requests.post(request);
    }
}

struct Actor {
    options: Arc<Options>,
    rng: fastrand::Rng,
    state: State,
    /// Attempts that have failed since the last success or reset: the index of the next backoff.
    failures: u32,
    link: Arc<Link>,
    inbox: Mailbox<Request>,
    report: Box<dyn FnMut(State) + Send>,
}

/// The owner has let go, or wants it closed.
struct Stop;

impl Actor {
    async fn run(&mut self) {
        let Err(Stop) = self.live().await;
        self.link.disconnect();
        self.feed(Input::Shutdown);
    }

    async fn live(&mut self) -> Result<Infallible, Stop> {
        loop {
            self.until_asked_to_connect().await?;
            let started = Instant::now();
            let delay = self.options.backoff.delay(self.failures, &mut self.rng);
            match self.attempt(started, delay).await? {
                Ok((connection, end)) => self.serve(connection, end).await?,
                Err(status) => self.back_off(status, later(started, delay)).await?,
            }
        }
    }

    /// IDLE.
    async fn until_asked_to_connect(&mut self) -> Result<(), Stop> {
        loop {
            match self.inbox.recv().await {
                Some(Request::Connect) => break,
                Some(Request::ResetBackoff) => self.failures = 0,
                Some(Request::Close(_)) | None => return Err(Stop),
            }
        }
        self.feed(Input::Connect);
        Ok(())
    }

    /// CONNECTING. Stopping drops the attempt, which closes its socket.
    async fn attempt(
        &mut self,
        started: Instant,
        delay: Duration,
    ) -> Result<Result<(Connection, ConnectionEnd), Status>, Stop> {
        let options = self.options.clone();
        let address = self.link.address().clone();
        let limit = options.min_connect_timeout.max(delay);
        let connect =
            highball_transport::client::connect(&*options.connector, &address, &options.client);
        let end = later(started, limit);
        // In a box of its own: it is large, and soon over, while the actor's task stays.
        let mut attempt = Box::pin(tokio::time::timeout_at(end, connect));
        loop {
            tokio::select! {
                biased;
                request = self.inbox.recv() => match request {
                    Some(Request::Connect) => (),
                    Some(Request::ResetBackoff) => self.failures = 0,
                    Some(Request::Close(_)) | None => return Err(Stop),
                },
                outcome = &mut attempt => return Ok(match outcome {
                    Ok(Ok(connected)) => Ok(connected),
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err(timed_out(&address, limit)),
                }),
            }
        }
    }

    /// READY, until the connection takes no more streams.
    async fn serve(&mut self, connection: Connection, mut end: ConnectionEnd) -> Result<(), Stop> {
        self.failures = 0;
        self.link.connect(connection.clone());
        self.feed(Input::Connected);
        let lost = loop {
            tokio::select! {
                biased;
                lost = end.lost() => break lost,
                request = self.inbox.recv() => match request {
                    Some(Request::Connect | Request::ResetBackoff) => (),
                    Some(Request::Close(status)) => {
                        connection.close(status);
                        return Err(Stop);
                    }
                    None => {
                        connection.drain();
                        return Err(Stop);
                    }
                },
            }
        };
        self.link.disconnect();
        debug!(target: "subchannel", address = %self.link.address(), reason = %lost, "connection lost");
        self.link
            .failed(Status::unavailable(format!("connection lost: {lost}")));
        self.feed(Input::Lost(lost));
        Ok(())
    }

    /// TRANSIENT_FAILURE, until the backoff is over. An attempt that took longer than it is not followed
    /// by a wait at all.
    async fn back_off(&mut self, status: Status, until: Instant) -> Result<(), Stop> {
        warn_of_failure(self.link.address(), &status, self.failures);
        self.link.failed(status.clone());
        self.failures = self.failures.saturating_add(1);
        self.feed(Input::Failed(status));
        loop {
            tokio::select! {
                biased;
                request = self.inbox.recv() => match request {
                    Some(Request::Connect) => (),
                    Some(Request::ResetBackoff) => {
                        self.failures = 0;
                        break;
                    }
                    Some(Request::Close(_)) | None => return Err(Stop),
                },
                () = sleep_until(until) => break,
            }
        }
        self.feed(Input::BackoffOver);
        Ok(())
    }

    /// Brings news to the transition table and reports what comes of it.
    fn feed(&mut self, input: Input) {
        if let Some(state) = next(&self.state, &input) {
            debug!(target: "subchannel", address = %self.link.address(), from = %self.state.connectivity(), to = %state, "state");
            self.state = state.clone();
            (self.report)(state);
        }
    }
}

/// `start` and `delay` together; thirty years where the clock cannot say that.
fn later(start: Instant, delay: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    start.checked_add(delay).unwrap_or_else(|| start + FAR)
}

fn timed_out(address: &Address, limit: Duration) -> Status {
    let address = ThroughProxy::route(address);
    Status::unavailable(format!(
        "connection error: no HTTP/2 connection to {address} within {limit:?}: \
         it was not accepted, its TLS handshake stalled, or the server's SETTINGS never came"
    ))
}

/// The first failure in a row is worth a warning; those that follow are not news.
fn warn_of_failure(address: &Address, status: &Status, failures: u32) {
    if failures == 0 {
        warn!(target: "subchannel", %address, error = %status, "failed to connect");
    } else {
        debug!(target: "subchannel", %address, error = %status, failures, "failed to connect again");
    }
}
