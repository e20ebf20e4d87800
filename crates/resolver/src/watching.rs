//! Name services that tell of changes by themselves: a stream of answers, kept alive.
//!
//! ```text
//!                ┌── an answer or an error: pass it on ──┐
//!                ▼                                       │
//!   start ──► listen ────────────────────────────────────┘
//!                ▲  │
//!                │  └─ the end, or a panic
//!                │             │
//!                └──── back off: 1.6 s, 2.6 s, 4.1 s, … 120 s, each ± 20 %
//! ```

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use highball_core::{Backoff, Status};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use crate::contained::{Panicked, catching};
use crate::{BadTarget, Resolution, Resolver, ResolverFactory, ResolverOptions, Target, Updates};

/// A name service that tells of changes; [`Watching`] listens to it.
pub trait Watch: Send + Sync + 'static {
    /// The scheme of the targets that it can watch, in lower case.
    fn scheme(&self) -> &str;

    /// The authority that a channel to `target` claims.
    fn authority(&self, target: &Target) -> String {
        target.default_authority()
    }

    /// Everything that becomes known of the target, each item complete in itself.
    ///
    /// An error is passed on to the channel, which keeps the endpoints it has, and the stream goes on;
    /// a stream that ends or panics is started again. May be dropped at any await.
    fn watch(&self, target: &Target) -> impl Stream<Item = Result<Resolution, Status>> + Send;
}

/// Makes a resolver of a [`Watch`], for any number of channels and targets.
///
/// A watch that ends is started again with exponential backoff, which begins anew when an answer is
/// accepted. Answers like the one in use are not passed on. A watch that says nothing for
/// [30 s](Self::time_limit) is reported, so that calls do not wait without a reason, and left to go on;
/// so is one whose answer the channel rejects. Requests for re-resolution go unheard: what a watch said
/// last is up to date.
///
/// ```
/// use futures::stream::{self, Stream};
/// use highball_core::Status;
/// use highball_resolver::{Resolution, Target, Watch, Watching};
///
/// struct Announcements;
///
/// impl Watch for Announcements {
///     fn scheme(&self) -> &str {
///         "announced"
///     }
///     fn watch(&self, _: &Target) -> impl Stream<Item = Result<Resolution, Status>> + Send {
///         stream::iter([Ok(Resolution::new(["10.0.0.1:50051"]))])
///     }
/// }
///
/// let factory = Watching::new(Announcements);
/// ```
pub struct Watching<W> {
    watch: Arc<W>,
    limit: Duration,
    backoff: Backoff,
}

impl<W: Watch> Watching<W> {
    /// Listens to `watch` as described above.
    pub fn new(watch: W) -> Self {
        Self {
            watch: Arc::new(watch),
            limit: Duration::from_secs(30),
            backoff: Backoff::default(),
        }
    }

    /// How long a watch may take to say something. 30 s unless set.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The delays between a watch's end and its next start; gRPC's connection backoff unless set.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }
}

impl<W: Watch> ResolverFactory for Watching<W> {
    fn scheme(&self) -> &str {
        self.watch.scheme()
    }

    fn authority(&self, target: &Target) -> String {
        self.watch.authority(target)
    }

    fn build(
        &self,
        target: &Target,
        options: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, BadTarget> {
        Ok(Box::new(Listener {
            watch: self.watch.clone(),
            target: target.clone(),
            limit: self.limit,
            backoff: self.backoff,
            rng: Rng::with_seed(options.seed),
            heard: Heard {
                in_use: None,
                ends: 0,
            },
        }))
    }
}

impl<W: Watch> fmt::Debug for Watching<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching")
            .field("scheme", &self.watch.scheme())
            .finish_non_exhaustive()
    }
}

/// One target being watched.
struct Listener<W> {
    watch: Arc<W>,
    target: Target,
    limit: Duration,
    backoff: Backoff,
    rng: Rng,
    heard: Heard,
}

impl<W: Watch> Resolver for Listener<W> {
    fn run(mut self: Box<Self>, updates: Updates) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                if let Err(failure) = self.listen(&updates).await {
                    let status = failure.status(&self.target);
                    self.heard.tell(Err(status), &updates).await;
                }
                self.heard.ends = self.heard.ends.saturating_add(1);
                let retry_in = self.backoff.delay(self.heard.ends, &mut self.rng);
                tracing::debug!(target: "resolver", target = %self.target, ?retry_in, "watch ended");
                sleep(retry_in).await;
            }
        })
    }
}

impl<W: Watch> Listener<W> {
    /// One watch, from its start to its end.
    async fn listen(&mut self, updates: &Updates) -> Result<(), Failure> {
        let stream = catching(async { self.watch.watch(&self.target) }).await?;
        let mut stream = pin!(stream);
        let first = match timeout(self.limit, next(stream.as_mut())).await {
            Ok(first) => first?.ok_or(Failure::Empty)?,
            Err(_) => Err(Failure::Silent(self.limit).status(&self.target)),
        };
        self.heard.tell(first, updates).await;
        while let Some(answer) = next(stream.as_mut()).await? {
            self.heard.tell(answer, updates).await;
        }
        Ok(())
    }
}

/// What can go wrong with a watch, besides the errors that it tells of itself.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("ended without an answer")]
    Empty,
    #[error("has said nothing for {0:?}")]
    Silent(Duration),
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl Failure {
    fn status(self, target: &Target) -> Status {
        Status::unavailable(format!("the watch of {target} {self}")).with_source(self)
    }
}

/// What the channel has heard.
struct Heard {
    /// What it accepted last, unless it has heard of an error since.
    in_use: Option<Resolution>,
    /// Watches that ended since then.
    ends: u32,
}

impl Heard {
    async fn tell(&mut self, answer: Result<Resolution, Status>, updates: &Updates) {
        let answer = answer.unwrap_or_else(Resolution::error);
        if self.in_use.as_ref() == Some(&answer) {
            // A watch that repeats itself without a pause must not keep others from running.
            yield_now().await;
        } else {
            self.in_use = None;
            let accepted = updates.send(answer.clone()).await.is_ok();
            if !accepted || answer.endpoints.is_err() {
                return;
            }
            self.in_use = Some(answer);
        }
        self.ends = 0;
    }
}

async fn next<S: Stream>(mut stream: Pin<&mut S>) -> Result<Option<S::Item>, Panicked> {
    catching(poll_fn(|cx| stream.as_mut().poll_next(cx))).await
}
