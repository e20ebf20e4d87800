//! The channel's side of a resolver, as a script.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use highball_core::{Endpoint, Rejected, Status};
use highball_resolver::{
    Ack, Inbox, Resolution, ResolverFactory, ResolverOptions, Target, pair, supervise,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// The seed of every test that does not say otherwise.
pub(crate) const SEED: u64 = 7;

/// A resolver at work and the channel's end of its line.
pub(crate) struct Line {
    pub(crate) inbox: Inbox,
    pub(crate) task: JoinHandle<()>,
    start: Instant,
}

impl Line {
    pub(crate) fn new(factory: impl ResolverFactory, target: &str) -> Self {
        let mut options = ResolverOptions::default();
        options.seed = SEED;
        Self::with_options(factory, target, options)
    }

    pub(crate) fn with_options(
        factory: impl ResolverFactory,
        target: &str,
        options: ResolverOptions,
    ) -> Self {
        Self::with_factory(Arc::new(factory), target, options)
    }

    pub(crate) fn with_factory(
        factory: Arc<dyn ResolverFactory>,
        target: &str,
        options: ResolverOptions,
    ) -> Self {
        let (updates, inbox) = pair();
        let target = Target::parse(target).unwrap();
        let task = tokio::spawn(supervise(factory, target, options, updates));
        Self {
            inbox,
            task,
            start: Instant::now(),
        }
    }

    /// Seconds since the start, to the hundredth.
    pub(crate) fn now(&self) -> f64 {
        (self.start.elapsed().as_secs_f64() * 100.0).round() / 100.0
    }

    pub(crate) async fn next(&mut self) -> (Resolution, Ack) {
        let next = timeout(Duration::from_secs(86_400), self.inbox.recv()).await;
        next.expect("the resolver says something")
            .expect("the resolver goes on")
    }

    /// Accepts the next resolution.
    pub(crate) async fn accept(&mut self) -> Resolution {
        let (resolution, ack) = self.next().await;
        ack.accept();
        resolution
    }

    /// Rejects the next resolution, as channels do with every error.
    pub(crate) async fn reject(&mut self) -> Resolution {
        let (resolution, ack) = self.next().await;
        ack.reject(Rejected(Status::unavailable("no use")));
        resolution
    }

    /// The text of the next resolution, which is an error.
    pub(crate) async fn error(&mut self) -> String {
        self.reject().await.endpoints.unwrap_err().to_string()
    }

    /// The resolver says nothing for so long.
    pub(crate) async fn quiet(&mut self, seconds: f64) {
        let wait = timeout(Duration::from_secs_f64(seconds), self.inbox.recv());
        if let Ok(said) = wait.await {
            panic!("at {} s: {said:?}", self.now());
        }
    }

    /// Hangs up, after which the resolver must end.
    pub(crate) async fn hang_up(self) {
        drop(self.inbox);
        let end = timeout(Duration::from_secs(60), self.task).await;
        end.expect("a resolver ends when its channel hangs up")
            .unwrap();
    }
}

/// A resolution with this address.
pub(crate) fn found(address: &str) -> Resolution {
    Resolution::new([address])
}

/// The first address of each endpoint.
pub(crate) fn addresses(resolution: &Resolution) -> Vec<String> {
    let first = |endpoint: &Endpoint| endpoint.addresses()[0].to_string();
    resolution
        .endpoints
        .as_ref()
        .unwrap()
        .iter()
        .map(first)
        .collect()
}

/// Counts things, such as look-ups or futures that are alive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

impl Count {
    pub(crate) fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one more, and returns how many there were before.
    pub(crate) fn up(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    /// One more for as long as the guard lives.
    pub(crate) fn guard(&self) -> impl Drop + Send + use<> {
        struct Guard(Count);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.up();
        Guard(self.clone())
    }
}
