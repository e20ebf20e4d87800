//! A resolver's life, from its factory to its end: what a channel spawns.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use fastrand::Rng;
use futures_core::future::BoxFuture;
use highball_core::{Backoff, Status};
use tokio::time::sleep;

use crate::contained::catching;
use crate::{Resolution, Resolver, ResolverFactory, ResolverOptions, Target, Updates, contained};

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
    let building = Box::pin(built(factory, target, options, updates.spare()));
    Life {
        stage: Stage::Building(building),
        updates,
    }
}

/// A resolver that is being built, then runs. By hand: it is there as long as its channel, and mostly waits.
struct Life<B> {
    stage: Stage<B>,
    updates: Updates,
}

enum Stage<B> {
    /// In a box, for it is gone when there is a resolver.
    Building(Pin<Box<B>>),
    Running(BoxFuture<'static, ()>),
}

impl<B: Future<Output = Box<dyn Resolver>>> Future for Life<B> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Stage::Building(building) = &mut self.stage
            && let Poll::Ready(resolver) = building.as_mut().poll(cx)
        {
            let running = contained(resolver).run(self.updates.spare());
            self.stage = Stage::Running(running);
        }
        if let Stage::Running(running) = &mut self.stage
            && running.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(());
        }
        self.updates.poll_closed(cx)
    }
}

/// Asks the factory until it delivers.
async fn built(
    factory: Arc<dyn ResolverFactory>,
    target: Target,
    options: ResolverOptions,
    updates: Updates,
) -> Box<dyn Resolver> {
    let mut rng = Rng::with_seed(options.seed);
    let mut failures = 0;
    loop {
        let status = match catching(async { factory.build(&target, &options) }).await {
            Ok(Ok(resolver)) => return resolver,
            Ok(Err(bad)) => Status::from(bad),
            Err(panicked) => Status::internal(format!("resolver factory {panicked}")),
        };
        failures += 1;
        let retry_in = Backoff::default().delay(failures, &mut rng);
        tracing::debug!(target: "resolver", %target, %status, ?retry_in, "building failed");
        // The verdict on an error is no news.
        let _ = updates.send(Resolution::error(status)).await;
        sleep(retry_in).await;
    }
}
