//! From a byte stream to a connection: the security handshake, the client's preface and its settings.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use highball_core::{Address, Peer};

use super::linger::{Linger, denounce};
use super::{ServerConnection, ServerOptions};
use crate::connect::BoxIo;
use crate::credentials::Secured;
use crate::keepalive::set_user_timeout;
use crate::tap::{Role, TapHandle, WireEnd, tap};

/// Why a byte stream became no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The client was not done in [`ServerOptions::handshake_timeout`].
    #[error("{0} did not finish its handshake in time")]
    TimedOut(Address),
    /// The client closed before it was done, as those do that only look whether a port answers.
    #[error("{0} closed before its handshake was done")]
    Closed(Address),
    /// The connection could not be secured, or the client is not one that is let in.
    #[error("security handshake with {client} failed: {reason}")]
    Security {
        /// Who it was.
        client: Address,
        /// What went wrong.
        reason: String,
    },
    /// The client does not speak HTTP/2, or the connection broke.
    #[error("HTTP/2 handshake with {client} failed: {reason}")]
    Failed {
        /// Who it was.
        client: Address,
        /// What went wrong.
        reason: String,
    },
}

type H2 = h2::server::Connection<Linger, Bytes>;

impl ServerConnection {
    /// Secures the byte stream and waits for the client's preface and settings, for [`ServerOptions::handshake_timeout`] at most.
    ///
    /// # Errors
    ///
    /// See [`HandshakeError`]; the byte stream is closed.
    pub async fn handshake(io: BoxIo, options: &ServerOptions) -> Result<Self, HandshakeError> {
        let client = io.peer();
        if let Some(keepalive) = &options.keepalive {
            set_user_timeout(&*io, keepalive.timeout);
        }
        let shaken = tokio::time::timeout(options.handshake_timeout, async {
            let secured = options.credentials.handshake(io).await;
            let Secured { io, auth_info } = secured.map_err(|error| insecure(&client, &error))?;
            let (tap, handle) = tap(io, Role::Server);
            match shake(Linger::new(tap), &handle, options).await {
                Ok(h2) => Ok((h2, handle, auth_info)),
                Err(error) => Err(why(client.clone(), &handle, error).await),
            }
        });
        let (h2, tap, auth_info) = match shaken.await {
            Ok(shaken) => shaken?,
            Err(_) => return Err(HandshakeError::TimedOut(client)),
        };
        Ok(Self::new(h2, tap, Peer::new(client, auth_info), options))
    }
}

fn insecure(client: &Address, error: &io::Error) -> HandshakeError {
    let client = client.clone();
    match error.kind() {
        io::ErrorKind::UnexpectedEof => HandshakeError::Closed(client),
        _ => HandshakeError::Security {
            client,
            reason: error.to_string(),
        },
    }
}

/// An error here is h2's word for it; the tap may know better.
async fn shake(io: Linger, tap: &TapHandle, options: &ServerOptions) -> Result<H2, String> {
    let mut preface = pin!(options.builder().handshake(io));
    let mut h2: H2 = poll_fn(|cx| {
        let polled = preface.as_mut().poll(cx);
        if polled.is_pending() {
            // A client whose preface is there gets our settings and the acknowledgement of its own in one
            // write, further down.
            let _ = tap.poll_flush(cx);
        }
        polled
    })
    .await
    .map_err(|error| error.to_string())?;
    poll_fn(|cx| {
        let closed = h2.poll_closed(cx);
        let _ = tap.poll_flush(cx);
        match closed {
            // A flood right behind the SETTINGS: there is nothing to go on with.
            Poll::Ready(Err(error)) if is_violation(tap) => Poll::Ready(Err(error.to_string())),
            _ if tap.facts().settings_seen() => Poll::Ready(Ok(())),
            Poll::Ready(Ok(())) => Poll::Ready(Err("the connection is closed".to_owned())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.to_string())),
            Poll::Pending => Poll::Pending,
        }
    })
    .await?;
    Ok(h2)
}

fn is_violation(tap: &TapHandle) -> bool {
    matches!(tap.facts().end(), Some(WireEnd::Violation(_)))
}

async fn why(client: Address, tap: &TapHandle, reason: String) -> HandshakeError {
    match tap.facts().end() {
        Some(WireEnd::Eof) => HandshakeError::Closed(client),
        Some(WireEnd::Violation(violation)) => {
            poll_fn(|cx| {
                denounce(tap, 0, &violation, cx);
                Poll::Ready(())
            })
            .await;
            let reason = violation.text;
            HandshakeError::Failed { client, reason }
        }
        _ => HandshakeError::Failed { client, reason },
    }
}
