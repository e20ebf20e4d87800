//! One attempt at a connection: how long it may take, and what is to be waited after it if it fails.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use highball_core::{Address, Status, ThroughProxy};
use highball_transport::client::{Connection, ConnectionEnd, connect};
use tokio::time::{Instant, timeout_at};

use crate::Options;

/// What an attempt brings.
type Outcome = Result<(Connection, ConnectionEnd), Status>;

/// An attempt that is under way. Dropping it closes its socket.
pub(crate) struct Connecting {
    /// In a box of its own: it is large, and soon over, while the actor's task stays.
    connecting: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    /// When the next attempt may begin, should this one fail.
    pub(crate) backoff_until: Instant,
}

impl Connecting {
    /// Begins an attempt; `delay` is the backoff's, counted from here on.
    pub(crate) fn begin(options: Arc<Options>, address: Address, delay: Duration) -> Self {
        let started = Instant::now();
        let limit = options.min_connect_timeout.max(delay);
        Self {
            connecting: Box::pin(async move {
                let connect = connect(&*options.connector, &address, &options.client);
                match timeout_at(later(started, limit), connect).await {
                    Ok(Ok(connected)) => Ok(connected),
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err(timed_out(&address, limit)),
                }
            }),
            backoff_until: later(started, delay),
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.connecting.as_mut().poll(cx)
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
