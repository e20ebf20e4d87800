//! A panic in somebody's resolver stays there.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures_core::future::BoxFuture;
use highball_core::{Status, panic_text};

use crate::{Resolution, Resolver, Updates};

/// A resolver that does what `resolver` does, but reports a panic as an INTERNAL error and ends.
///
/// The channel keeps the endpoints it has and fails calls with that error if it has none. Programs
/// built with `panic = "abort"` end as they always do.
pub fn contained(resolver: Box<dyn Resolver>) -> Box<dyn Resolver> {
    Box::new(Contained(resolver))
}

struct Contained(Box<dyn Resolver>);

impl Resolver for Contained {
    fn run(self: Box<Self>, updates: Updates) -> BoxFuture<'static, ()> {
        let spare = updates.spare();
        let mut running = catch_unwind(AssertUnwindSafe(|| self.0.run(updates)));
        Box::pin(async move {
            let ended = poll_fn(|cx| match &mut running {
                Ok(running) => poll_contained(running.as_mut(), cx),
                Err(payload) => Poll::Ready(Err(Panicked::with(&**payload))),
            });
            if let Err(panicked) = ended.await {
                let status = Status::internal(format!("resolver {panicked}"));
                // Whatever the verdict, there is no resolver left to act on it.
                let _ = Box::pin(spare.send(Resolution::error(status))).await;
            }
        })
    }
}

/// What somebody's code panicked with.
#[derive(Debug, thiserror::Error)]
#[error("panicked: {0}")]
pub(crate) struct Panicked(String);

impl Panicked {
    fn with(payload: &(dyn Any + Send)) -> Self {
        Self(panic_text(payload).to_owned())
    }
}

/// Runs a future to its end or its panic, whichever comes first.
pub(crate) async fn catching<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    poll_fn(|cx| poll_contained(future.as_mut(), cx)).await
}

/// Polls a future, which is not to be polled again after a panic.
fn poll_contained<F: Future + ?Sized>(
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Poll<Result<F::Output, Panicked>> {
    // Unwind safe: the future is not touched again after a panic, but for being dropped.
    match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(payload) => Poll::Ready(Err(Panicked::with(&*payload))),
    }
}
