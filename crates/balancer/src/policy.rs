//! What a load-balancing policy is.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use highball_core::{Attributes, Endpoint, Rejected, Status};
use serde_json::Value;

use crate::{ConfigError, Cx, Event, Registry};

/// A load-balancing policy: a synchronous state machine without I/O, clock, task or lock.
///
/// Its methods are called one at a time, never from two threads at once, and never after it is dropped.
/// They must not block. See the [crate's docs](crate) for the rules and an example.
pub trait Policy: Debug + Send + Sized + 'static {
    /// The name by which a service config chooses it; case matters.
    const NAME: &'static str;

    /// Its parsed config.
    type Config: Debug + Send + Sync + 'static;

    /// Reads its config. Unknown fields are ignored, `null` is the same as a missing field.
    ///
    /// The registry is for policies whose config chooses child policies.
    ///
    /// # Errors
    ///
    /// A config it cannot use. That makes the whole service config invalid.
    fn parse(config: &Value, registry: &Registry) -> Result<Self::Config, ConfigError>;

    /// Starts the policy. Its first [`update`](Self::update) follows.
    fn new(cx: &mut Cx<'_>) -> Self;

    /// There are other endpoints, or another config.
    ///
    /// # Errors
    ///
    /// It cannot use them: the resolver backs off and tries again. The policy goes on with what it had.
    fn update(&mut self, update: Update<Self::Config>, cx: &mut Cx<'_>) -> Result<(), Rejected>;

    /// Something happened that this policy or one of its children should know.
    fn event(&mut self, event: Event, cx: &mut Cx<'_>);
}

/// What a policy has to work with.
#[derive(Debug)]
pub struct Update<C: ?Sized> {
    /// Where the servers are, in the resolver's order.
    pub endpoints: Arc<[Endpoint]>,
    /// Facts about the whole update, from the resolver or from policies above.
    pub attributes: Attributes,
    /// What the service config says.
    pub config: Arc<C>,
}

impl<C: ?Sized> Update<C> {
    /// The same for a child, whose config is another.
    #[must_use]
    pub fn with_config<D>(self, config: impl Into<Arc<D>>) -> Update<D> {
        Update {
            endpoints: self.endpoints,
            attributes: self.attributes,
            config: config.into(),
        }
    }
}

impl<C: ?Sized> Clone for Update<C> {
    fn clone(&self) -> Self {
        Self {
            endpoints: self.endpoints.clone(),
            attributes: self.attributes.clone(),
            config: self.config.clone(),
        }
    }
}

/// A config whose type is known only to the policy it is for.
pub(crate) type AnyConfig = dyn Any + Send + Sync;

/// A policy whose types are hidden, so that one tree can mix policies.
pub(crate) trait AnyPolicy: Debug + Send {
    fn update(&mut self, update: Update<AnyConfig>, cx: &mut Cx<'_>) -> Result<(), Rejected>;
    fn event(&mut self, event: Event, cx: &mut Cx<'_>);
}

impl<P: Policy> AnyPolicy for P {
    fn update(&mut self, update: Update<AnyConfig>, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let foreign = |_| Rejected(Status::internal(format!("{}: foreign config", P::NAME)));
        let update = Update {
            endpoints: update.endpoints,
            attributes: update.attributes,
            config: update.config.downcast().map_err(foreign)?,
        };
        Policy::update(self, update, cx)
    }

    fn event(&mut self, event: Event, cx: &mut Cx<'_>) {
        Policy::event(self, event, cx);
    }
}
