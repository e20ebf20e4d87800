//! A resolver that says what it is told: for tests, and for programs that know the endpoints themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_core::future::BoxFuture;
use highball_core::Rejected;
use tokio::sync::watch;

use crate::{BadTarget, Resolution, Resolver, ResolverFactory, ResolverOptions, Target, Updates};

/// A handle on what the targets of one scheme resolve to.
///
/// Register one copy, keep another, and [`update`](Self::update) it at any time from anywhere. The last
/// update is remembered: a channel that is built later, or that comes back from being idle, starts
/// with it. Of updates in quick succession a channel may see the last only.
///
/// ```
/// use highball_resolver::{ManualResolver, Resolution, ResolverRegistry};
///
/// let servers = ManualResolver::new("example");
/// let mut registry = ResolverRegistry::builtin();
/// registry.register(servers.clone());
///
/// servers.update(Resolution::new(["127.0.0.1:50051"]));
/// ```
#[derive(Clone, Debug)]
pub struct ManualResolver {
    scheme: Arc<str>,
    latest: watch::Sender<Numbered<Resolution>>,
    verdict: watch::Sender<Numbered<Result<(), Rejected>>>,
    requests: Arc<AtomicU64>,
}

/// A value with the number of the update that it belongs to; none before the first.
#[derive(Clone, Debug)]
struct Numbered<T>(u64, Option<T>);

impl ManualResolver {
    /// A resolver for targets like `scheme:///anything`; `scheme` must be in lower case.
    pub fn new(scheme: impl Into<Arc<str>>) -> Self {
        Self {
            scheme: scheme.into(),
            latest: watch::Sender::new(Numbered(0, None)),
            verdict: watch::Sender::new(Numbered(0, None)),
            requests: Arc::default(),
        }
    }

    /// Says this from now on. Never waits.
    pub fn update(&self, resolution: Resolution) {
        self.latest.send_modify(|latest| {
            *latest = Numbered(latest.0 + 1, Some(resolution));
        });
    }

    /// Waits until a channel has taken the latest update, and gives its verdict. If several channels
    /// share this resolver, it is the verdict of the first.
    ///
    /// # Errors
    ///
    /// [`Rejected`] if the channel or its policy could not use the update.
    pub async fn verdict(&self) -> Result<(), Rejected> {
        let wanted = self.latest.borrow().0;
        let mut verdicts = self.verdict.subscribe();
        match verdicts.wait_for(|verdict| verdict.0 >= wanted).await {
            Ok(verdict) => verdict.1.clone().unwrap_or(Ok(())),
            // Not reached: `self` holds the sender.
            Err(_) => Ok(()),
        }
    }

    /// How often channels have requested re-resolution so far. Requests in quick succession count once.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl ResolverFactory for ManualResolver {
    fn scheme(&self) -> &str {
        &self.scheme
    }

    fn build(
        &self,
        _target: &Target,
        _options: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, BadTarget> {
        Ok(Box::new(self.clone()))
    }
}

impl Resolver for ManualResolver {
    fn run(self: Box<Self>, updates: Updates) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut latest = self.latest.subscribe();
            latest.mark_changed();
            loop {
                tokio::select! {
                    changed = latest.changed() => {
                        if changed.is_err() {
                            // Not reached: `self` holds the sender.
                            return;
                        }
                        let Numbered(number, said) = latest.borrow_and_update().clone();
                        if let Some(resolution) = said {
                            let verdict = updates.send(resolution).await;
                            self.judged(number, verdict);
                        }
                    }
                    () = updates.requested() => {
                        self.requests.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        })
    }
}

impl ManualResolver {
    fn judged(&self, number: u64, verdict: Result<(), Rejected>) {
        self.verdict.send_if_modified(|last| {
            let first = last.0 < number;
            if first {
                *last = Numbered(number, Some(verdict));
            }
            first
        });
    }
}
