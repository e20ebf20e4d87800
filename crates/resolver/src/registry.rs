//! Which resolver a target belongs to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::target::split_scheme;
use crate::{BadTarget, Dns, Ip, Passthrough, ResolverFactory, Target, Unix};

/// The resolvers that a channel knows, by scheme. Each channel has its own; there is no global one.
///
/// ```
/// use highball_resolver::ResolverRegistry;
///
/// let registry = ResolverRegistry::builtin();
/// let (target, _factory) = registry.find("localhost:50051").unwrap();
/// assert_eq!(target.to_string(), "dns:///localhost:50051");
/// ```
#[derive(Clone)]
pub struct ResolverRegistry {
    factories: BTreeMap<String, Arc<dyn ResolverFactory>>,
    default_scheme: String,
}

impl ResolverRegistry {
    /// `dns` (the default), `passthrough`, `ipv4`, `ipv6`, `unix` and `unix-abstract`.
    pub fn builtin() -> Self {
        let mut registry = Self {
            factories: BTreeMap::new(),
            default_scheme: "dns".to_owned(),
        };
        registry.register(Dns);
        registry.register(Passthrough);
        registry.register(Ip::V4);
        registry.register(Ip::V6);
        registry.register(Unix::Path);
        registry.register(Unix::Abstract);
        registry
    }

    /// Adds a factory, which replaces the one that had its scheme.
    pub fn register(&mut self, factory: impl ResolverFactory) {
        let scheme = factory.scheme().to_owned();
        if scheme.contains(|c: char| c.is_ascii_uppercase()) {
            tracing::warn!(target: "resolver", scheme, "no target will find a scheme with capitals");
        }
        self.factories.insert(scheme, Arc::new(factory));
    }

    /// Sets the scheme of targets that have none of their own; `dns` unless set.
    pub fn set_default_scheme(&mut self, scheme: impl Into<String>) {
        self.default_scheme = scheme.into();
    }

    /// Parses a target and finds who resolves it: the factory of its scheme, or that of the default
    /// scheme for the whole text if it has no scheme that is known here.
    ///
    /// # Errors
    ///
    /// Every [`BadTarget`] but [`BadTarget::Refused`].
    pub fn find(&self, text: &str) -> Result<(Target, Arc<dyn ResolverFactory>), BadTarget> {
        if let Some(factory) = split_scheme(text).and_then(|(s, _)| self.factories.get(&s)) {
            return Ok((Target::parse(text)?, factory.clone()));
        }
        if let Some(url) = BadTarget::if_url(text) {
            return Err(url);
        }
        let scheme = &self.default_scheme;
        let Some(factory) = self.factories.get(scheme) else {
            return Err(BadTarget::NoResolver(scheme.clone()));
        };
        let target = Target::parse(&format!("{scheme}:///{text}"))?;
        Ok((target, factory.clone()))
    }
}

impl Default for ResolverRegistry {
    fn default() -> Self {
        Self::builtin()
    }
}

impl fmt::Debug for ResolverRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolverRegistry")
            .field("schemes", &self.factories.keys())
            .field("default_scheme", &self.default_scheme)
            .finish()
    }
}
