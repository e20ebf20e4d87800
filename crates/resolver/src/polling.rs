//! Name services that have to be asked: a look-up, and when to repeat it.
//!
//! ```text
//!                 ┌─────────────────────────────────────────────────┐
//!                 ▼                                                 │
//!   start ──► look up, ── accepted ──► rest 30 s, then until a policy requests it
//!             at most 30 s             (or until the interval is over)
//!               ▲   │
//!               │   └─ an error, silence, a panic, or rejected
//!               │                 │
//!               └── back off: 1.6 s, 2.6 s, 4.1 s, … 120 s, each ± 20 %
//! ```

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_core::future::BoxFuture;
use highball_core::{Backoff, Status};
use tokio::time::{sleep, timeout};

use crate::contained::catching;
use crate::{BadTarget, Resolution, Resolver, ResolverFactory, ResolverOptions, Target, Updates};

/// A name service that answers a question; [`Polling`] asks it at the right times.
pub trait Lookup: Send + Sync + 'static {
    /// The scheme of the targets that it can look up, in lower case.
    fn scheme(&self) -> &str;

    /// The authority that a channel to `target` claims.
    fn authority(&self, target: &Target) -> String {
        target.default_authority()
    }

    /// Looks the target up, once. May be dropped at any await; a panic counts as an error.
    ///
    /// # Errors
    ///
    /// Whatever kept it from answering. The channel goes on with the endpoints that it has.
    fn lookup(&self, target: &Target) -> impl Future<Output = Result<Resolution, Status>> + Send;
}

/// Makes a resolver of a [`Lookup`], for any number of channels and targets.
///
/// Asks at once; then again when a policy requests it, but not within
/// [30 s](Self::min_interval) of the last answer; then, if told to, [at intervals](Self::every). After
/// an error, an answer that the channel rejects, a panic or [30 s](Self::time_limit) of silence it asks
/// again by itself with exponential backoff.
///
/// # Example: addresses from a file, one a line
///
/// ```
/// use highball_core::Status;
/// use highball_resolver::{Lookup, Polling, Resolution, ResolverRegistry, Target};
/// use std::time::Duration;
///
/// struct AddressFile;
///
/// impl Lookup for AddressFile {
///     fn scheme(&self) -> &str {
///         "file"
///     }
///     async fn lookup(&self, target: &Target) -> Result<Resolution, Status> {
///         match tokio::fs::read_to_string(target.path()).await {
///             Ok(text) => Ok(text.lines().collect()),
///             Err(error) => Err(Status::unavailable(format!("{target}: {error}"))),
///         }
///     }
/// }
///
/// let mut registry = ResolverRegistry::builtin();
/// registry.register(Polling::new(AddressFile).every(Duration::from_secs(1)));
/// registry.find("file:///etc/echo/servers").unwrap();
/// ```
pub struct Polling<L> {
    lookup: Arc<L>,
    pace: Pace,
}

/// When to ask.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Between an answer and the next look-up that nobody requested; `None`: never.
    every: Option<Duration>,
    /// Between an answer and the next look-up that a policy requested.
    floor: Duration,
    /// What one look-up may take.
    limit: Duration,
    backoff: Backoff,
}

impl<L: Lookup> Polling<L> {
    /// Polls `lookup` as described above.
    pub fn new(lookup: L) -> Self {
        let pace = Pace {
            every: None,
            floor: Duration::from_secs(30),
            limit: Duration::from_secs(30),
            backoff: Backoff::default(),
        };
        Self {
            lookup: Arc::new(lookup),
            pace,
        }
    }

    /// Also asks this long after each answer, for services where answers change while connections
    /// hold. Retries after errors come at least as often. An answer like the last is not passed on.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Self {
        // Not less than the resolution of the clock: a look-up may be ready at once.
        self.pace.every = Some(interval.max(Duration::from_millis(1)));
        self
    }

    /// How long after an answer a request for re-resolution waits, so that a thousand failing
    /// connections do not become a thousand look-ups. 30 s unless set.
    #[must_use]
    pub fn min_interval(mut self, interval: Duration) -> Self {
        self.pace.floor = interval;
        self
    }

    /// How long one look-up may take; more is an error. 30 s unless set.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.pace.limit = limit;
        self
    }

    /// The delays after failures; gRPC's connection backoff unless set.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.pace.backoff = backoff;
        self
    }
}

impl<L: Lookup> ResolverFactory for Polling<L> {
    fn scheme(&self) -> &str {
        self.lookup.scheme()
    }

    fn authority(&self, target: &Target) -> String {
        self.lookup.authority(target)
    }

    fn build(
        &self,
        target: &Target,
        options: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, BadTarget> {
        Ok(Box::new(Poll {
            lookup: self.lookup.clone(),
            target: target.clone(),
            pace: self.pace,
            rng: Rng::with_seed(options.seed),
            in_use: None,
        }))
    }
}

impl<L: Lookup> fmt::Debug for Polling<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polling")
            .field("scheme", &self.lookup.scheme())
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

/// One target being polled.
struct Poll<L> {
    lookup: Arc<L>,
    target: Target,
    pace: Pace,
    rng: Rng,
    /// What the channel accepted last.
    in_use: Option<Resolution>,
}

/// Why a look-up is made.
#[derive(Clone, Copy, PartialEq)]
enum Reason {
    /// There is no answer yet, the last one was no good, or a policy requests another.
    Requested,
    /// The interval is over.
    Due,
}

impl<L: Lookup> Resolver for Poll<L> {
    fn run(mut self: Box<Self>, updates: Updates) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut failures: u32 = 0;
            let mut reason = Reason::Requested;
            loop {
                reason = match self.ask(reason, &updates).await {
                    Ok(()) => {
                        failures = 0;
                        self.pace.rest(&updates).await
                    }
                    Err(status) => {
                        failures = failures.saturating_add(1);
                        self.retreat(failures, &status).await
                    }
                };
            }
        })
    }
}

impl<L: Lookup> Poll<L> {
    /// One question and what the channel thinks of the answer.
    async fn ask(&mut self, reason: Reason, updates: &Updates) -> Result<(), Status> {
        let answer = self.answer().await;
        if reason == Reason::Due && self.in_use.as_ref() == Some(&answer) {
            return Ok(());
        }
        let error = answer.endpoints.as_ref().err().cloned();
        let verdict = updates.send(answer.clone()).await;
        match error.or(verdict.err().map(|rejected| rejected.0)) {
            Some(problem) => Err(problem),
            None => {
                self.in_use = Some(answer);
                Ok(())
            }
        }
    }

    async fn answer(&self) -> Resolution {
        let Self { target, pace, .. } = self;
        let lookup = catching(async { self.lookup.lookup(target).await });
        let outcome = match timeout(pace.limit, lookup).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panicked)) => {
                let text = format!("the look-up of {target} {panicked}");
                Err(Status::unavailable(text))
            }
            Err(_) => {
                let text = format!("the look-up of {target} took more than {:?}", pace.limit);
                Err(Status::unavailable(text))
            }
        };
        outcome.unwrap_or_else(Resolution::error)
    }

    /// Backs off, but no longer than a poller in good health would rest.
    async fn retreat(&mut self, failures: u32, status: &Status) -> Reason {
        let backoff = self.pace.backoff.delay(failures, &mut self.rng);
        let retry_in = self.pace.every.map_or(backoff, |every| every.min(backoff));
        tracing::debug!(
            target: "resolver", target = %self.target, %status, ?retry_in, "resolution failed"
        );
        sleep(retry_in).await;
        Reason::Requested
    }
}

impl Pace {
    async fn rest(&self, updates: &Updates) -> Reason {
        let requested = async {
            sleep(self.floor).await;
            updates.requested().await;
        };
        let Some(interval) = self.every else {
            requested.await;
            return Reason::Requested;
        };
        match timeout(interval, requested).await {
            Ok(()) => Reason::Requested,
            Err(_) => Reason::Due,
        }
    }
}
