//! A panic in somebody's resolver stays there.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use highball_core::panic_text;

/// What somebody's code panicked with.
#[derive(Debug, thiserror::Error)]
#[error("panicked: {0}")]
pub(crate) struct Panicked(String);

impl Panicked {
    fn with(payload: &(dyn Any + Send)) -> Self {
        Self(panic_text(payload).to_owned())
    }
}

/// Calls somebody's code, to its end or its panic.
pub(crate) fn catching_call<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    // Unwind safe: what was called is not called again after a panic, but for being dropped.
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| Panicked::with(&*payload))
}

/// Runs a future to its end or its panic, whichever comes first.
pub(crate) async fn catching<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    poll_fn(|cx| poll_contained(future.as_mut(), cx)).await
}

/// Polls a future, which is not to be polled again after a panic.
pub(crate) fn poll_contained<F: Future + ?Sized>(
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Poll<Result<F::Output, Panicked>> {
    match catching_call(|| future.poll(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(panicked) => Poll::Ready(Err(panicked)),
    }
}
