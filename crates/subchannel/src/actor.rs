//! The task of a subchannel: waits for what happens, brings it to the [condition](crate::Condition), and does what
//! follows from that.
//!
//! ```text
//!   wait for: a connection lost │ a request │ a crowd │ the attempt │ the end of the backoff
//!     └─► one method each ─► Condition::after ─► begin an attempt, let calls see what there is, report
//! ```

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use highball_core::{Mailbox, Status};
use highball_transport::client::{Connection, ConnectionEnd, Lost};
use tokio::time::{Sleep, sleep_until};
use tracing::{debug, warn};

use crate::attempt::Connecting;
use crate::subchannel::Request;
use crate::{Attempt, Condition, Input, Link, Options, Report, State};

pub(crate) struct Actor {
    options: Arc<Options>,
    rng: fastrand::Rng,
    condition: Condition,
    /// How many connections there may be.
    max_connections: usize,
    /// Attempts that have failed since the last success or reset: the index of the next backoff.
    failures: u32,
    /// Oldest first.
    connections: Vec<Held>,
    /// While an attempt is under way.
    connecting: Option<Connecting>,
    /// While a failed attempt is backed off from.
    backoff: Option<Pin<Box<Sleep>>>,
    link: Arc<Link>,
    inbox: Mailbox<Request>,
    report: Box<dyn FnMut(Report) + Send>,
}

/// A connection that takes streams.
struct Held {
    connection: Connection,
    end: ConnectionEnd,
}

/// What the task waits for.
enum Event {
    /// The connection at this place takes no more streams.
    Lost(usize, Lost),
    /// `None`: the owner has let go.
    Request(Option<Request>),
    /// Calls wait, and no connection has a stream for them.
    Crowded,
    Attempted(Result<(Connection, ConnectionEnd), Status>),
    BackoffOver,
}

/// The owner has let go, or wants it closed.
struct Stop;

impl Actor {
    pub(crate) fn new(
        options: Arc<Options>,
        seed: u64,
        link: Arc<Link>,
        inbox: Mailbox<Request>,
        report: Box<dyn FnMut(Report) + Send>,
    ) -> Self {
        Self {
            options,
            rng: fastrand::Rng::with_seed(seed),
            condition: Condition::NEW,
            max_connections: 1,
            failures: 0,
            // Mostly there is one.
            connections: Vec::with_capacity(1),
            connecting: None,
            backoff: None,
            link,
            inbox,
            report,
        }
    }

    pub(crate) async fn run(&mut self) {
        loop {
            let event = poll_fn(|cx| self.poll_event(cx)).await;
            if let Err(Stop) = self.hear(event) {
                break;
            }
        }
        self.connections.clear();
        self.connecting = None;
        self.show();
        self.tell(&self.condition.state(), State::Shutdown);
    }

    /// A loss comes first: whoever is served next is not sent to a connection that is known to be lost.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        for (place, held) in self.connections.iter_mut().enumerate() {
            if let Poll::Ready(lost) = held.end.poll_lost(cx) {
                return Poll::Ready(Event::Lost(place, lost));
            }
        }
        if let Poll::Ready(request) = pin!(self.inbox.recv()).poll(cx) {
            return Poll::Ready(Event::Request(request));
        }
        if self.link.poll_crowded(cx).is_ready() {
            return Poll::Ready(Event::Crowded);
        }
        if let Some(connecting) = &mut self.connecting
            && let Poll::Ready(outcome) = connecting.poll(cx)
        {
            return Poll::Ready(Event::Attempted(outcome));
        }
        match &mut self.backoff {
            Some(backoff) => backoff.as_mut().poll(cx).map(|()| Event::BackoffOver),
            None => Poll::Pending,
        }
    }

    fn hear(&mut self, event: Event) -> Result<(), Stop> {
        match event {
            Event::Lost(place, lost) => self.lost(place, &lost),
            Event::Request(Some(Request::Connect)) => self.feed(Input::Connect),
            Event::Request(Some(Request::ResetBackoff)) => self.reset_backoff(),
            Event::Request(Some(Request::Allow(connections))) => self.allow(connections),
            Event::Request(Some(Request::Close(status))) => return self.close(&status),
            Event::Request(None) => return self.let_go(),
            Event::Crowded => self.feed(Input::Crowded),
            Event::Attempted(Ok((connection, end))) => self.connected(Held { connection, end }),
            Event::Attempted(Err(status)) => self.failed(status),
            Event::BackoffOver => self.backoff_over(),
        }
        Ok(())
    }

    /// Brings news to the condition, and does what follows: begins an attempt, shows calls what there is, and reports
    /// another state. Calls are shown first: whoever hears of a state finds that it is so.
    fn feed(&mut self, input: Input) {
        let old = self.condition.state();
        self.condition = self.condition.after(input, self.max_connections);
        if self.condition.next == Attempt::Underway && self.connecting.is_none() {
            self.begin_attempt();
        }
        self.show();
        let new = self.condition.state();
        if new != old {
            self.tell(&old, new);
        }
    }

    fn begin_attempt(&mut self) {
        let delay = self.options.backoff.delay(self.failures, &mut self.rng);
        let address = self.link.address().clone();
        if !self.connections.is_empty() {
            debug!(
                target: "subchannel", %address, connections = self.connections.len(), max = self.max_connections,
                waiting = self.link.waiting(), "no free stream: one more connection"
            );
        }
        self.connecting = Some(Connecting::begin(self.options.clone(), address, delay));
    }

    fn connected(&mut self, held: Held) {
        self.connecting = None;
        self.failures = 0;
        let connection = held.connection.clone();
        self.connections.push(held);
        let is_one_more = self.connections.len() > 1;
        self.feed(Input::Connected);
        if is_one_more {
            debug!(target: "subchannel", address = %self.link.address(), connections = self.connections.len(), "connected again");
            (self.report)(Report::Grown(connection));
        }
    }

    fn failed(&mut self, status: Status) {
        let until = self.connecting.take().map(|attempt| attempt.backoff_until);
        warn_of_failure(&self.link, &status, self.failures);
        self.link.failed(status.clone());
        self.failures = self.failures.saturating_add(1);
        // An attempt that took longer than its backoff is not followed by a wait at all.
        self.backoff = until.map(|until| Box::pin(sleep_until(until)));
        self.feed(Input::Failed(status));
    }

    fn backoff_over(&mut self) {
        self.backoff = None;
        self.feed(Input::BackoffOver);
    }

    fn reset_backoff(&mut self) {
        self.failures = 0;
        self.backoff_over();
    }

    /// It drains by itself.
    fn lost(&mut self, place: usize, lost: &Lost) {
        self.connections.remove(place);
        let left = self.connections.len();
        debug!(target: "subchannel", address = %self.link.address(), reason = %lost, connections = left, "connection lost");
        self.link
            .failed(Status::unavailable(format!("connection lost: {lost}")));
        self.feed(Input::Lost);
        if left > 0 {
            (self.report)(Report::Shrunk);
        }
    }

    fn allow(&mut self, connections: usize) {
        self.max_connections = connections.clamp(1, self.options.max_connections.max(1));
        if self.max_connections > 1 {
            self.link.scale();
        }
        self.show();
        // Who waits for a single connection has better go to the queue.
        self.connections
            .iter()
            .for_each(|held| held.connection.rouse());
    }

    /// Calls on its connections finish.
    fn let_go(&mut self) -> Result<(), Stop> {
        self.connections
            .iter()
            .for_each(|held| held.connection.drain());
        Err(Stop)
    }

    fn close(&mut self, status: &Status) -> Result<(), Stop> {
        self.connections
            .iter()
            .for_each(|held| held.connection.close(status.clone()));
        Err(Stop)
    }

    /// Lets calls see the connections there are.
    fn show(&self) {
        let growable = self.condition.may_grow(self.max_connections);
        let connections = self.connections.iter().map(|held| &held.connection);
        self.link.update(connections, growable);
    }

    fn tell(&mut self, old: &State, new: State) {
        debug!(target: "subchannel", address = %self.link.address(), from = %old.connectivity(), to = %new, "state");
        (self.report)(Report::State(new));
    }
}

/// The first failure in a row is worth a warning; those that follow are not news.
fn warn_of_failure(link: &Link, status: &Status, failures: u32) {
    let address = link.address();
    if failures == 0 {
        warn!(target: "subchannel", %address, error = %status, "failed to connect");
    } else {
        debug!(target: "subchannel", %address, error = %status, failures, "failed to connect again");
    }
}
