//! Streams that go on for as long as a client listens, and end when the server stops.
//!
//! ```text
//!   serving ── graceful stop ──► clients are told (GOAWAY), and gRPC's hang up by themselves
//!                                   └─ a second later ──► the stream ends, for whoever still listens
//! ```
//!
//! A graceful stop need not wait for those that never hang up. Those that watch a server's health do not take the end of
//! the stream for bad health: they have left before it comes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use highball_core::Status;
use tokio_util::sync::CancellationToken;

/// What a client that obeys has to hang up in.
const PATIENCE: Duration = Duration::from_secs(1);

/// A stream, and what ends it.
pub(crate) struct Endless<S> {
    stream: S,
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<S> Endless<S> {
    /// `stream`, until the server has been `stopping` for a while.
    pub(crate) fn new(stream: S, stopping: CancellationToken) -> Self {
        let over = Box::pin(async move {
            stopping.cancelled().await;
            tokio::time::sleep(PATIENCE).await;
        });
        Self { stream, over }
    }
}

impl<S, T> Stream for Endless<S>
where
    S: Stream<Item = Result<T, Status>> + Unpin,
{
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Status::cancelled("Stream has ended."))));
        }
        Pin::new(&mut self.stream).poll_next(cx)
    }
}
