//! The end of a call, as seen by whatever works for it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use highball_core::Status;
use tokio_util::sync::CancellationToken;

use crate::call::CallContext;

/// Tells when a call is over: cancelled by its client, cut off from it, past its deadline, or answered.
///
/// For tasks that a handler starts; the handler itself is dropped when its call is cancelled. Clones tell
/// the same.
///
/// ```
/// # use highball_server::{Request, Response, Status};
/// async fn watch(request: Request<()>) -> Result<Response<()>, Status> {
///     let cancellation = request.cancellation();
///     let background = tokio::spawn(async move {
///         tokio::select! {
///             () = cancellation.cancelled() => "the client has gone",
///             () = std::future::pending() => "the work is done",
///         }
///     });
///     # drop(background);
///     Ok(Response::new(()))
/// }
/// ```
#[derive(Clone)]
pub struct Cancellation {
    context: Arc<CallContext>,
}

impl Cancellation {
    pub(crate) fn of(context: Arc<CallContext>) -> Self {
        Self { context }
    }

    /// Waits until the call is over. Cancel-safe; any number may wait.
    pub async fn cancelled(&self) {
        self.context.end.token().cancelled().await;
    }

    /// Whether the call is over.
    pub fn is_cancelled(&self) -> bool {
        self.context.end.is_over()
    }

    /// The same as a [`CancellationToken`], for code that takes one.
    pub fn token(&self) -> CancellationToken {
        self.context.end.token().clone()
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cancellation({})", self.is_cancelled())
    }
}

/// The end of one call: what its task, its handler and its message stream tell each other.
#[derive(Debug, Default)]
pub(crate) struct CallEnd {
    over: AtomicBool,
    /// Made for the first that asks: most calls get by without.
    token: OnceLock<CancellationToken>,
    run_to_end: AtomicBool,
    /// A fault in the client's messages: the status of the call, whatever its handler says.
    failure: OnceLock<Status>,
}

impl CallEnd {
    /// The call is over: whoever waits hears it.
    pub(crate) fn declare(&self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(token) = self.token.get() {
            token.cancel();
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub(crate) fn token(&self) -> &CancellationToken {
        let token = self.token.get_or_init(CancellationToken::new);
        // Whoever declared the end before the token was there has not seen it.
        if self.is_over() {
            token.cancel();
        }
        token
    }

    pub(crate) fn run_to_end(&self) {
        self.run_to_end.store(true, Ordering::Relaxed);
    }

    pub(crate) fn runs_to_end(&self) -> bool {
        self.run_to_end.load(Ordering::Relaxed)
    }

    /// The first failure is kept.
    pub(crate) fn fail(&self, status: &Status) {
        let _ = self.failure.set(status.clone());
    }

    pub(crate) fn failure(&self) -> Option<&Status> {
        self.failure.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_is_heard_before_and_after_it_comes() {
        let end = Arc::new(CallEnd::default());
        let waiting = tokio::spawn({
            let end = Arc::clone(&end);
            async move { end.token().cancelled().await }
        });
        tokio::task::yield_now().await;
        assert!(!end.is_over() && !waiting.is_finished());
        end.declare();
        waiting.await.unwrap();
        let late = CallEnd::default();
        late.declare();
        late.token().cancelled().await;
    }
}
