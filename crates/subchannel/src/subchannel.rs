//! A subchannel as its owner holds it, and what it tells its owner.

use std::sync::Arc;
use std::time::Duration;

use highball_core::{Address, Backoff, Letterbox, Status, mailbox};
use highball_transport::Connector;
use highball_transport::client::{ClientOptions, Connection};

use crate::actor::Actor;
use crate::{Link, State};

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
    /// The most connections that a subchannel may have, whatever it is [allowed](Subchannel::allow_connections)
    /// (gRFC A105): 10.
    pub max_connections: usize,
}

/// A subchannel, as its owner holds it. Dropping it shuts it down: its connections take no more calls, and
/// each closes when the last one on it has ended.
#[derive(Debug)]
pub struct Subchannel {
    requests: Letterbox<Request>,
    link: Arc<Link>,
}

/// What a subchannel tells its owner.
#[derive(Clone, Debug)]
pub enum Report {
    /// It is in another state.
    State(State),
    /// It stays READY, with another connection: this one.
    Grown(Connection),
    /// It stays READY, with one connection less. Calls that were about to use that one find another in the
    /// [link](Link), where they look again.
    Shrunk,
}

/// What an owner wants.
#[derive(Debug)]
pub(crate) enum Request {
    Connect,
    ResetBackoff,
    Allow(usize),
    Close(Status),
}

impl Subchannel {
    /// A subchannel for `address`, IDLE. Everything later is reported, in order, on the task of the
    /// subchannel: `report` must not block. `seed` makes its jitter repeatable.
    ///
    /// Must be called on a tokio runtime.
    pub fn spawn(
        address: Address,
        options: Arc<Options>,
        seed: u64,
        report: impl FnMut(Report) + Send + 'static,
    ) -> Self {
        let (requests, inbox) = mailbox();
        let link = Arc::new(Link::new(address));
        let mut actor = Actor::new(options, seed, link.clone(), inbox, Box::new(report));
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

    /// Lets it have so many connections, up to [`Options::max_connections`]: 1 unless this is called. A lower number
    /// closes none (gRFC A105).
    pub fn allow_connections(&self, connections: usize) {
        self.request(Request::Allow(connections));
    }

    /// Shuts down hard: calls on the connections end with `status`. Returns once the actor has ended.
    pub fn close(self, status: Status) -> impl Future<Output = ()> + Send + use<> {
        self.request(Request::Close(status));
        async move { self.requests.closed().await }
    }

    /// Where calls find the connections.
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// An actor that is gone has shut down: there is nothing left to ask of it.
    fn request(&self, request: Request) {
        self.requests.post(request);
    }
}
