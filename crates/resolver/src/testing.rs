//! What the tests of the built-in schemes have in common.

use std::time::Duration;

use highball_core::Endpoint;
use tokio::time::timeout;

use crate::{Inbox, Resolution, ResolverOptions, ResolverRegistry, pair, supervise};

/// What the resolver of `text` says if it says one thing and ends, whatever it is asked.
pub(crate) async fn only_update(text: &str) -> Vec<String> {
    let (updates, mut inbox) = pair();
    let (target, factory) = ResolverRegistry::builtin().find(text).unwrap();
    inbox.request_resolution();
    tokio::spawn(supervise(
        factory,
        target,
        ResolverOptions::default(),
        updates,
    ));
    let found = addresses(&accepted(&mut inbox).await);
    inbox.request_resolution();
    let end = timeout(Duration::from_secs(3600), inbox.recv())
        .await
        .unwrap();
    assert!(end.is_none(), "{text} was resolved twice");
    found
}

/// Why the resolver of `text` will not be built.
pub(crate) fn refusal(text: &str) -> String {
    let (target, factory) = ResolverRegistry::builtin().find(text).unwrap();
    let bad = factory.build(&target, &ResolverOptions::default()).err();
    bad.unwrap_or_else(|| panic!("{text} was not refused"))
        .to_string()
}

/// The next resolution, which is accepted.
pub(crate) async fn accepted(inbox: &mut Inbox) -> Resolution {
    let (resolution, ack) = inbox.recv().await.unwrap();
    ack.accept();
    resolution
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
