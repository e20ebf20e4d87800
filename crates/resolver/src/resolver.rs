//! What a resolver is to a channel: an async function that sends updates until it is dropped.

use std::fmt;
use std::sync::{Arc, LazyLock};

use futures_core::future::BoxFuture;

use crate::{BadTarget, HostLookup, SystemHosts, Target, Updates};

/// A name being resolved for one channel, for as long as the channel is not idle.
///
/// Most name services fit [`Polling`](crate::Polling) or [`Watching`](crate::Watching), which need far
/// less code. Implement this for what fits neither.
pub trait Resolver: Send + 'static {
    /// Sends what is known, now and whenever it changes, until dropped.
    ///
    /// May return early: then the last update stands, and requests for another go unheard. Must not
    /// block its thread. A panic is contained: see [`contained`](crate::contained).
    fn run(self: Box<Self>, updates: Updates) -> BoxFuture<'static, ()>;
}

/// Makes the resolvers of one scheme. A channel's [`ResolverRegistry`](crate::ResolverRegistry) holds
/// one for each.
pub trait ResolverFactory: Send + Sync + 'static {
    /// The scheme, in lower case: targets are looked up in lower case, so a scheme with capitals is
    /// never found.
    fn scheme(&self) -> &str;

    /// The authority that a channel to `target` claims, unless its user or credentials say otherwise.
    fn authority(&self, target: &Target) -> String {
        target.default_authority()
    }

    /// Makes a resolver. Does no I/O; that belongs into [`Resolver::run`].
    ///
    /// # Errors
    ///
    /// [`BadTarget::Refused`] if the target makes no sense in this scheme. Calls on the channel then
    /// end in UNAVAILABLE with its text.
    fn build(
        &self,
        target: &Target,
        options: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, BadTarget>;
}

impl fmt::Debug for dyn ResolverFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResolverFactory({})", self.scheme())
    }
}

/// What a channel tells its resolvers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResolverOptions {
    /// Seeds the jitter of retries: the same seed gives the same delays. Random by default.
    pub seed: u64,
    /// How host names become addresses; the operating system's way by default.
    pub hosts: Arc<dyn HostLookup>,
}

/// It has nothing to tell apart: one for all channels.
static SYSTEM_HOSTS: LazyLock<Arc<dyn HostLookup>> = LazyLock::new(|| Arc::new(SystemHosts));

impl Default for ResolverOptions {
    fn default() -> Self {
        Self {
            seed: fastrand::u64(..),
            hosts: SYSTEM_HOSTS.clone(),
        }
    }
}
