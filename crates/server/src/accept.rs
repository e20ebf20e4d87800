//! The accept loop: nothing but a stop of the server, or a listener that says it is closed, ends it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use highball_transport::BoxIo;
use tokio::task::JoinSet;

use crate::Listener;
use crate::connection::serve_connection;
use crate::server::Shared;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Starts a task for each connection of `listener` until the server drains. The error is the listener's
/// last.
pub(crate) async fn accept_connections(
    mut listener: impl Listener,
    shared: &Arc<Shared>,
    connections: &mut JoinSet<()>,
) -> io::Result<()> {
    let address = listener.local_addr();
    tracing::debug!(target: "server", %address, "listening");
    let mut pause = Pause::default();
    loop {
        let accept = async {
            pause.wait().await;
            listener.accept().await
        };
        let accepted = tokio::select! {
            biased;
            () = shared.drain.cancelled() => return Ok(()),
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            accepted = accept => accepted,
        };
        match accepted {
            Ok(io) => {
                pause = Pause::default();
                start(io, shared, connections);
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Err(error),
            Err(error) => pause.after(&error),
        }
    }
}

/// Never waits for the handshake. With too many unfinished ones, the connection is closed.
fn start(io: BoxIo, shared: &Arc<Shared>, connections: &mut JoinSet<()>) {
    match Arc::clone(&shared.handshakes).try_acquire_owned() {
        Ok(place) => {
            // In a box: on its way to the heap and at its end, a task is moved seven times.
            connections.spawn(Box::pin(serve_connection(io, place, Arc::clone(shared))));
        }
        Err(_) => {
            let client = io.peer();
            tracing::debug!(target: "server", %client, "too many unfinished handshakes, connection closed");
        }
    }
}

/// A connection's task contains the panics of handlers; one of its own is a bug worth a word.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(target: "server", %error, "connection task failed");
    }
}

/// How long the loop waits after a failure: 5 ms, then twice as long each time, to 1 s.
#[derive(Debug, Default)]
struct Pause {
    length: Duration,
    until: Option<tokio::time::Instant>,
}

impl Pause {
    async fn wait(&self) {
        if let Some(until) = self.until {
            tokio::time::sleep_until(until).await;
        }
    }

    fn after(&mut self, error: &io::Error) {
        if self.length.is_zero() {
            // Once: a lack of descriptors lasts, and what repeats is at debug.
            tracing::warn!(target: "server", %error, "accept failed, trying again");
        }
        self.length = (self.length * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        tracing::debug!(target: "server", %error, pause = ?self.length, "accept failed");
        self.until = Some(tokio::time::Instant::now() + self.length);
    }
}
