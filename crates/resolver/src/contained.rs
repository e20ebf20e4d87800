//! A panic in somebody's resolver stays there.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

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
        Box::pin(async move {
            let spare = updates.spare();
            if let Err(panicked) = catching(async move { self.0.run(updates).await }).await {
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

/// Runs a future to its end or its panic, whichever comes first.
pub(crate) async fn catching<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        // Unwind safe: the future is not touched again after a panic, but for being dropped.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(payload) => Err(Panicked(panic_text(&*payload).to_owned())).into(),
        }
    })
    .await
}
