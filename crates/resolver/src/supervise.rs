//! A resolver's life, from its factory to its end: what a channel spawns.

use std::sync::Arc;

use fastrand::Rng;
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
    let channel = updates.spare();
    let refusals = updates.spare();
    // In a box of its own: what builds a resolver is gone when there is one, and that lives as long as its channel.
    let mut building = Box::pin(built(factory, target, options, refusals));
    async move {
        let resolver = tokio::select! {
            biased;
            resolver = &mut building => resolver,
            () = channel.closed() => return,
        };
        drop(building);
        let mut running = contained(resolver).run(updates);
        tokio::select! {
            biased;
            () = &mut running => {}
            () = channel.closed() => {}
        }
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
