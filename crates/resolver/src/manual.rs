//! A resolver that says what it is told: for tests, and for programs that know the endpoints themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_core::future::BoxFuture;
use highball_core::{Bulletin, Rejected};

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
pub struct ManualResolver(Arc<Shared>);

/// What all copies share.
#[derive(Debug)]
struct Shared {
    scheme: Box<str>,
    board: Bulletin<Board>,
    requests: AtomicU64,
}

/// What was said last, and what came of it.
#[derive(Debug, Default)]
struct Board {
    /// How many updates there were.
    number: u64,
    latest: Option<Resolution>,
    /// The latest update that was judged, by its number.
    judged: u64,
    verdict: Option<Rejected>,
}

impl ManualResolver {
    /// A resolver for targets like `scheme:///anything`; `scheme` must be in lower case.
    pub fn new(scheme: impl Into<Box<str>>) -> Self {
        Self(Arc::new(Shared {
            scheme: scheme.into(),
            board: Bulletin::new(Board::default()),
            requests: AtomicU64::new(0),
        }))
    }

    /// Says this from now on. Never waits.
    pub fn update(&self, resolution: Resolution) {
        self.0.board.change(|board| {
            board.number += 1;
            board.latest.replace(resolution)
        });
    }

    /// Waits until a channel has taken the latest update, and gives its verdict. If several channels
    /// share this resolver, it is the verdict of the first.
    ///
    /// # Errors
    ///
    /// [`Rejected`] if the channel or its policy could not use the update.
    pub async fn verdict(&self) -> Result<(), Rejected> {
        let wanted = self.0.board.read(|board| board.number);
        let verdict = |board: &Board| (board.judged >= wanted).then(|| board.verdict.clone());
        let verdict = self.0.board.wait_for(verdict).await;
        verdict.map_or(Ok(()), Err)
    }

    /// How often channels have requested re-resolution so far. Requests in quick succession count once.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }
}

impl ResolverFactory for ManualResolver {
    fn scheme(&self) -> &str {
        &self.0.scheme
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
            let mut seen = 0;
            loop {
                let update = self.0.board.wait_for(|board| next(board, seen));
                match updates.unless_requested(update).await {
                    Some((number, resolution)) => {
                        seen = number;
                        let judging = updates.send(resolution);
                        self.judged(number, judging.await);
                    }
                    None => {
                        self.0.requests.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        })
    }
}

impl ManualResolver {
    fn judged(&self, number: u64, verdict: Result<(), Rejected>) {
        self.0.board.change(|board| {
            if board.judged < number {
                board.judged = number;
                board.verdict = verdict.err();
            }
        });
    }
}

/// An update behind number `seen`, if there is one.
fn next(board: &Board, seen: u64) -> Option<(u64, Resolution)> {
    let latest = board.latest.as_ref().filter(|_| board.number > seen)?;
    Some((board.number, latest.clone()))
}
