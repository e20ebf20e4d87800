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
    board: watch::Sender<Board>,
    requests: Arc<AtomicU64>,
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
    pub fn new(scheme: impl Into<Arc<str>>) -> Self {
        Self {
            scheme: scheme.into(),
            board: watch::Sender::new(Board::default()),
            requests: Arc::default(),
        }
    }

    /// Says this from now on. Never waits.
    pub fn update(&self, resolution: Resolution) {
        self.board.send_modify(|board| {
            board.number += 1;
            board.latest = Some(resolution);
        });
    }

    /// Waits until a channel has taken the latest update, and gives its verdict. If several channels
    /// share this resolver, it is the verdict of the first.
    ///
    /// # Errors
    ///
    /// [`Rejected`] if the channel or its policy could not use the update.
    pub async fn verdict(&self) -> Result<(), Rejected> {
        let wanted = self.board.borrow().number;
        let mut board = self.board.subscribe();
        match board.wait_for(|board| board.judged >= wanted).await {
            Ok(board) => board.verdict.clone().map_or(Ok(()), Err),
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
            let mut board = self.board.subscribe();
            let mut seen = 0;
            loop {
                let said = next(&mut board, seen);
                if let Some((number, resolution)) = said {
                    seen = number;
                    let judging = updates.send(resolution);
                    self.judged(number, judging.await);
                }
                tokio::select! {
                    // Always well: `self` holds the sender.
                    _ = board.changed() => {}
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
        self.board.send_if_modified(|board| {
            let first = board.judged < number;
            if first {
                board.judged = number;
                board.verdict = verdict.err();
            }
            first
        });
    }
}

/// An update behind number `seen`, if there is one.
fn next(board: &mut watch::Receiver<Board>, seen: u64) -> Option<(u64, Resolution)> {
    let board = board.borrow_and_update();
    let latest = board.latest.as_ref().filter(|_| board.number > seen)?;
    Some((board.number, latest.clone()))
}
