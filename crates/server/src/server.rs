//! A server: what it serves, and how it stops.
//!
//! ```text
//!   serving ── graceful_stop ──► draining: nothing is accepted, connections drain, running calls finish
//!      │                            │ all done                 │ grace is over
//!      └─────────── stop ───────────┴────► stopped ◄───────────┘ everything is cut
//! ```

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use highball_transport::server::ServerOptions;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::accept::accept_connections;
use crate::interceptor::Interceptors;
use crate::router::Router;
use crate::{Listener, ServerBuilder};

/// A server and the handle to stop it. Clones are the same server.
///
/// It may serve several listeners at a time. What it runs ends with [`stop`](Self::stop) or
/// [`graceful_stop`](Self::graceful_stop), or when the future of [`serve`](Self::serve) is dropped.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

/// What all tasks of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) router: Router,
    pub(crate) interceptors: Option<Interceptors>,
    pub(crate) options: ServerOptions,
    /// Places for connections whose handshake is not done.
    pub(crate) handshakes: Arc<Semaphore>,
    pub(crate) drain: CancellationToken,
    pub(crate) stop: CancellationToken,
    pub(crate) grace: Duration,
    /// How many listeners are served.
    serving: watch::Sender<usize>,
}

/// Why [`Server::serve`] did not serve until it was told to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The server was stopped before.
    #[error("grpc: the server has been stopped")]
    Stopped,
    /// The listener gives no more connections; those it gave have ended.
    #[error("the listener is closed: {0}")]
    ListenerClosed(#[source] io::Error),
}

impl Server {
    /// Starts to put a server together.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    pub(crate) fn new(
        router: Router,
        interceptors: Option<Interceptors>,
        options: ServerOptions,
        handshakes: usize,
        grace: Duration,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                router,
                interceptors,
                options,
                handshakes: Arc::new(Semaphore::new(handshakes.min(Semaphore::MAX_PERMITS))),
                drain: CancellationToken::new(),
                stop: CancellationToken::new(),
                grace,
                serving: watch::Sender::new(0),
            }),
        }
    }

    /// Serves the connections of `listener` until the server is stopped. Returns when all it started has
    /// ended: connections, handlers, tasks. A failure to accept does not end it.
    ///
    /// The server counts as serving from this call on. Dropping the future cuts all connections.
    ///
    /// # Errors
    ///
    /// See [`ServeError`]. That the server was stopped while it served is none.
    pub fn serve(
        self,
        listener: impl Listener,
    ) -> impl Future<Output = Result<(), ServeError>> + Send + 'static {
        let place = Serving::enter(&self.shared);
        async move {
            let shared = &place.ok_or(ServeError::Stopped)?.0;
            let mut connections = JoinSet::new();
            let accepted = accept_connections(listener, shared, &mut connections).await;
            finish(shared, connections).await;
            accepted.map_err(ServeError::ListenerClosed)
        }
    }

    /// Like [`serve`](Self::serve), and stops gracefully when `shutdown` is ready.
    ///
    /// # Errors
    ///
    /// Those of [`serve`](Self::serve).
    pub async fn serve_with_shutdown(
        self,
        listener: impl Listener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let mut serving = pin!(self.clone().serve(listener));
        tokio::select! {
            served = &mut serving => return served,
            () = shutdown => drop(self.graceful_stop()),
        }
        serving.await
    }

    /// Stops gracefully: listeners close, clients are told to go elsewhere (GOAWAY), calls that run are
    /// finished. What is not done when the [grace](ServerBuilder::grace) is over is cut.
    ///
    /// Starts at once; the future is ready when all has ended and may be dropped. The same as before if the
    /// server has stopped or is stopping.
    pub fn graceful_stop(&self) -> impl Future<Output = ()> + Send + 'static {
        tracing::debug!(target: "server", "graceful stop");
        self.shared.drain.cancel();
        self.ended()
    }

    /// Stops at once: listeners and connections close, calls are cut and their handlers dropped. Cuts a
    /// graceful stop short.
    ///
    /// Starts at once; the future is ready when all has ended and may be dropped.
    pub fn stop(&self) -> impl Future<Output = ()> + Send + 'static {
        tracing::debug!(target: "server", "stop");
        self.shared.drain.cancel();
        self.shared.stop.cancel();
        self.ended()
    }

    fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut serving = self.shared.serving.subscribe();
        async move {
            // An error would say that the server is gone, and all that it ran with it.
            let _ = serving.wait_for(|listeners| *listeners == 0).await;
        }
    }
}

/// Waits until all connections have ended; cuts them when a drain's grace is over.
async fn finish(shared: &Shared, mut connections: JoinSet<()>) {
    let grace_over = async {
        shared.drain.cancelled().await;
        match tokio::time::Instant::now().checked_add(shared.grace) {
            Some(end) => tokio::time::sleep_until(end).await,
            None => std::future::pending().await,
        }
        tracing::debug!(target: "server", "grace is over, connections are cut");
        shared.stop.cancel();
        std::future::pending::<()>().await;
    };
    let all_ended = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        () = all_ended => {}
        () = grace_over => {}
    }
}

/// One listener that is served.
struct Serving(Arc<Shared>);

impl Serving {
    /// `None` if the server has stopped or is stopping.
    fn enter(shared: &Arc<Shared>) -> Option<Self> {
        // Counted first: whoever stops the server from here on waits for this listener.
        shared.serving.send_modify(|listeners| *listeners += 1);
        let serving = Self(Arc::clone(shared));
        (!shared.drain.is_cancelled()).then_some(serving)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.serving.send_modify(|listeners| *listeners -= 1);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("router", &self.shared.router)
            .field("serving", &*self.shared.serving.borrow())
            .finish_non_exhaustive()
    }
}
