//! A resolver's life, from its factory to its end: what a channel spawns.
//!
//! ```text
//!   Begin ── the factory delivers ──► Running ── ends ──► over
//!     │                                 ▲  └── panics ──► LastWords ──► over
//!     └── it refuses ──► AskingAgain ───┘
//! ```

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use fastrand::Rng;
use futures_core::future::BoxFuture;
use highball_core::{Backoff, Status};
use tokio::time::sleep;

use crate::contained::{Panicked, catching_call, poll_contained};
use crate::{Resolution, Resolver, ResolverFactory, ResolverOptions, Target, Updates};

/// Builds a resolver and runs it, until it ends or the [`Inbox`](crate::Inbox) is dropped.
///
/// A factory that refuses is asked again after a backoff: what it missed may come into being. Each
/// refusal is reported as an UNAVAILABLE error, and a panic of the factory or the resolver as an
/// INTERNAL one.
///
/// ```
/// # async fn doc() {
/// use highball_resolver::{ResolverOptions, ResolverRegistry, pair, supervise};
///
/// let (target, factory) = ResolverRegistry::builtin().find("ipv4:127.0.0.1:50051").unwrap();
/// let (updates, mut inbox) = pair();
/// tokio::spawn(supervise(factory, target, ResolverOptions::default(), updates));
///
/// let (resolution, ack) = inbox.recv().await.unwrap();
/// assert_eq!(resolution.endpoints.unwrap().len(), 1);
/// ack.accept();
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(doc());
/// ```
pub fn supervise(
    factory: Arc<dyn ResolverFactory>,
    target: Target,
    options: ResolverOptions,
    updates: Updates,
) -> impl Future<Output = ()> + Send + 'static {
    let order = Order {
        factory,
        target,
        options,
    };
    Life {
        stage: Stage::Begin(order),
        updates,
    }
}

/// By hand: it is there as long as its channel, and mostly waits.
struct Life {
    stage: Stage,
    updates: Updates,
}

enum Stage {
    /// Nobody has been asked yet.
    Begin(Order),
    /// The factory has refused, and will be asked again.
    AskingAgain(BoxFuture<'static, Box<dyn Resolver>>),
    Running(BoxFuture<'static, ()>),
    /// The resolver has panicked. The channel keeps the endpoints it has, and fails calls with this if it has none.
    LastWords(BoxFuture<'static, ()>),
}

/// What a factory is asked for.
#[derive(Clone)]
struct Order {
    factory: Arc<dyn ResolverFactory>,
    target: Target,
    options: ResolverOptions,
}

impl Future for Life {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.poll_stages(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => self.updates.poll_closed(cx),
        }
    }
}

impl Life {
    fn poll_stages(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.stage = match &mut self.stage {
                Stage::Begin(order) => match order.deliver() {
                    Ok(resolver) => run(resolver, &self.updates),
                    Err(refusal) => {
                        let updates = self.updates.spare();
                        Stage::AskingAgain(Box::pin(order.clone().again(refusal, updates)))
                    }
                },
                Stage::AskingAgain(asking) => {
                    let resolver = ready!(asking.as_mut().poll(cx));
                    run(resolver, &self.updates)
                }
                Stage::Running(running) => match ready!(poll_contained(running.as_mut(), cx)) {
                    Ok(()) => return Poll::Ready(()),
                    Err(panicked) => last_words(&panicked, &self.updates),
                },
                Stage::LastWords(telling) => return telling.as_mut().poll(cx),
            };
        }
    }
}

fn run(resolver: Box<dyn Resolver>, updates: &Updates) -> Stage {
    match catching_call(|| resolver.run(updates.spare())) {
        Ok(running) => Stage::Running(running),
        Err(panicked) => last_words(&panicked, updates),
    }
}

fn last_words(panicked: &Panicked, updates: &Updates) -> Stage {
    let status = Status::internal(format!("resolver {panicked}"));
    let updates = updates.spare();
    Stage::LastWords(Box::pin(async move {
        // Whatever the verdict, there is no resolver left to act on it.
        let _ = updates.send(Resolution::error(status)).await;
    }))
}

impl Order {
    fn deliver(&self) -> Result<Box<dyn Resolver>, Status> {
        match catching_call(|| self.factory.build(&self.target, &self.options)) {
            Ok(built) => built.map_err(Status::from),
            Err(panicked) => Err(Status::internal(format!("resolver factory {panicked}"))),
        }
    }

    /// Asks the factory until it delivers; `refusal` is its first answer.
    async fn again(self, mut refusal: Status, updates: Updates) -> Box<dyn Resolver> {
        let mut rng = Rng::with_seed(self.options.seed);
        let mut failures = 0;
        loop {
            failures += 1;
            let (target, status) = (&self.target, refusal);
            let retry_in = Backoff::default().delay(failures, &mut rng);
            tracing::debug!(target: "resolver", %target, %status, ?retry_in, "building failed");
            // The verdict on an error is no news.
            let _ = updates.send(Resolution::error(status)).await;
            sleep(retry_in).await;
            match self.deliver() {
                Ok(resolver) => return resolver,
                Err(status) => refusal = status,
            }
        }
    }
}
