//! A policy that has been chosen, with its config.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use crate::Cx;
use crate::policy::{AnyConfig, AnyPolicy, Policy};

/// Which policy to run, with what config: what a [`Registry`](crate::Registry) makes of a service config.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct Choice {
    name: &'static str,
    policy: TypeId,
    config: Arc<AnyConfig>,
    build: fn(&mut Cx<'_>) -> Box<dyn AnyPolicy>,
}

impl Choice {
    /// Policy `P` with this config.
    pub fn of<P: Policy>(config: P::Config) -> Self {
        Self {
            name: P::NAME,
            policy: TypeId::of::<P>(),
            config: Arc::new(config),
            build: |cx| Box::new(P::new(cx)),
        }
    }

    /// The name of the policy.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether both choose the same policy, whatever its config.
    pub fn is_same_policy(&self, other: &Self) -> bool {
        self.policy == other.policy
    }

    pub(crate) fn build(&self, cx: &mut Cx<'_>) -> Box<dyn AnyPolicy> {
        (self.build)(cx)
    }

    pub(crate) fn config(&self) -> Arc<AnyConfig> {
        self.config.clone()
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Choice({})", self.name)
    }
}
