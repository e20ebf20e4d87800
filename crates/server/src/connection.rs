//! The task of one connection: handshake, calls, the end.

use std::pin::pin;
use std::sync::Arc;

use highball_transport::BoxIo;
use highball_transport::server::{HandshakeError, ServerConnection};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::OwnedSemaphorePermit;

use crate::call::ConnectionContext;
use crate::server::Shared;

/// Serves a connection until it is closed by either side, and until its handlers have ended.
pub(crate) async fn serve_connection(
    io: BoxIo,
    handshake_place: OwnedSemaphorePermit,
    shared: Arc<Shared>,
) {
    if shared.drain.is_cancelled() {
        return;
    }
    // In a box of its own: it is large, and soon over, while the task stays.
    let handshake = Box::pin(ServerConnection::handshake(io, &shared.options));
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        () = shared.stop.cancelled() => return,
    };
    drop(handshake_place);
    let mut connection = match shaken {
        Ok(connection) => connection,
        Err(error @ HandshakeError::Closed(_)) => {
            return tracing::trace!(target: "server", %error);
        }
        Err(error) => return tracing::debug!(target: "server", %error, "no connection"),
    };
    serve_calls(&mut connection, &shared).await;
    connection.handlers_done().await;
}

async fn serve_calls(connection: &mut ServerConnection, shared: &Shared) {
    let client = connection.peer().clone();
    tracing::debug!(target: "server", %client, "connected");
    let context = Arc::new(ConnectionContext {
        peer: Some(client.clone()),
        interceptors: shared.interceptors.clone(),
        drain: shared.drain.child_token(),
        stop: shared.stop.child_token(),
        calls_begin_here: matches!(
            Handle::current().runtime_flavor(),
            RuntimeFlavor::CurrentThread
        ),
    });
    // Tokens of its own: connections do not meet at the server's on every turn. A stop begins with a drain, so
    // one signal at a time is waited for.
    let mut signal = pin!(context.drain.cancelled());
    let mut closing = false;
    loop {
        tokio::select! {
            biased;
            accepted = connection.accept() => match accepted {
                Some(incoming) => shared.router.dispatch(incoming, &context),
                None => break,
            },
            () = &mut signal, if !closing => {
                closing = context.stop.is_cancelled();
                if closing {
                    connection.close();
                } else {
                    connection.drain();
                    signal.set(context.stop.cancelled());
                }
            }
        }
    }
    let reason = connection.end_reason();
    tracing::debug!(target: "server", %client, reason, "connection closed");
}
