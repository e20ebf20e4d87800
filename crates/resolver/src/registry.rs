//! Which resolver a target belongs to.

use std::borrow::Cow;
use std::collections::BTreeSet;
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
    /// Those that were added; they go before the built-in ones.
    added: Vec<Arc<dyn ResolverFactory>>,
    default_scheme: Cow<'static, str>,
}

impl ResolverRegistry {
    /// `dns` (the default), `passthrough`, `ipv4`, `ipv6`, `unix` and `unix-abstract`.
    pub fn builtin() -> Self {
        Self {
            added: Vec::new(),
            default_scheme: Cow::Borrowed("dns"),
        }
    }

    /// Adds a factory, which replaces the one that had its scheme.
    pub fn register(&mut self, factory: impl ResolverFactory) {
        let scheme = factory.scheme();
        if scheme.contains(|c: char| c.is_ascii_uppercase()) {
            tracing::warn!(target: "resolver", scheme, "no target will find a scheme with capitals");
        }
        self.added.retain(|known| known.scheme() != scheme);
        self.added.push(Arc::new(factory));
    }

    /// Sets the scheme of targets that have none of their own; `dns` unless set.
    pub fn set_default_scheme(&mut self, scheme: impl Into<String>) {
        self.default_scheme = Cow::Owned(scheme.into());
    }

    /// Parses a target and finds who resolves it: the factory of its scheme, or that of the default
    /// scheme for the whole text if it has no scheme that is known here.
    ///
    /// # Errors
    ///
    /// Every [`BadTarget`] but [`BadTarget::Refused`].
    pub fn find(&self, text: &str) -> Result<(Target, Arc<dyn ResolverFactory>), BadTarget> {
        if let Some(factory) = split_scheme(text).and_then(|(scheme, _)| self.factory(&scheme)) {
            return Ok((Target::parse(text)?, factory));
        }
        if let Some(url) = BadTarget::if_url(text) {
            return Err(url);
        }
        let scheme = &self.default_scheme;
        let Some(factory) = self.factory(scheme) else {
            return Err(BadTarget::NoResolver(scheme.to_string()));
        };
        let target = Target::parse(&format!("{scheme}:///{text}"))?;
        Ok((target, factory))
    }

    fn factory(&self, scheme: &str) -> Option<Arc<dyn ResolverFactory>> {
        let added = self.added.iter().find(|known| known.scheme() == scheme);
        added.cloned().or_else(|| builtin(scheme))
    }
}

const BUILTIN: [&str; 6] = [
    "dns",
    "passthrough",
    "ipv4",
    "ipv6",
    "unix",
    "unix-abstract",
];

/// Made when a target asks for it: a channel needs one of them at most.
fn builtin(scheme: &str) -> Option<Arc<dyn ResolverFactory>> {
    Some(match scheme {
        "dns" => Arc::new(Dns),
        "passthrough" => Arc::new(Passthrough),
        "ipv4" => Arc::new(Ip::V4),
        "ipv6" => Arc::new(Ip::V6),
        "unix" => Arc::new(Unix::Path),
        "unix-abstract" => Arc::new(Unix::Abstract),
        _ => return None,
    })
}

impl Default for ResolverRegistry {
    fn default() -> Self {
        Self::builtin()
    }
}

impl fmt::Debug for ResolverRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let added = self.added.iter().map(|factory| factory.scheme());
        let schemes: BTreeSet<_> = BUILTIN.into_iter().chain(added).collect();
        f.debug_struct("ResolverRegistry")
            .field("schemes", &Vec::from_iter(schemes))
            .field("default_scheme", &self.default_scheme)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Resolver, ResolverOptions};

    /// A scheme whose resolver is never built.
    struct Scheme(&'static str);

    impl ResolverFactory for Scheme {
        fn scheme(&self) -> &str {
            self.0
        }

        fn build(&self, _: &Target, _: &ResolverOptions) -> Result<Box<dyn Resolver>, BadTarget> {
            Err(BadTarget::refused("never built"))
        }
    }

    fn found(text: &str) -> (String, String, String) {
        let (target, factory) = ResolverRegistry::builtin().find(text).unwrap();
        assert_eq!(target.scheme(), factory.scheme());
        (
            target.scheme().to_owned(),
            target.authority().to_owned(),
            target.endpoint().to_owned(),
        )
    }

    #[test]
    fn a_text_without_a_registered_scheme_is_a_name_for_dns() {
        for text in [
            "",
            "/",
            "a/b",
            "a//b",
            "google.com",
            "google.com/?a=b",
            "localhost:50051",
            ":50051",
            "[::1]:80",
            "://",
            "://a/b",
            ":///a",
            "a:b",
            "a://b",
            "a:/b",
            "a:///",
            "a:///b",
            "unregistered:/a/b/c",
            "http:8080",
            "1.2.3.4:80",
        ] {
            let endpoint = text.split('?').next().unwrap();
            assert_eq!(
                found(text),
                ("dns".into(), "".into(), endpoint.into()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_registered_scheme_gets_the_rest() {
        for (text, scheme, authority, endpoint) in [
            ("dns:///google.com", "dns", "", "google.com"),
            ("dns:google.com", "dns", "", "google.com"),
            ("dns:8080", "dns", "", "8080"),
            ("dns:/a/b/c", "dns", "", "a/b/c"),
            (
                "dns://a.server.com/google.com",
                "dns",
                "a.server.com",
                "google.com",
            ),
            (
                "passthrough:///unix:///a/b/c",
                "passthrough",
                "",
                "unix:///a/b/c",
            ),
            ("unix:///a/b/c", "unix", "", "a/b/c"),
            ("unix:a/b/c", "unix", "", "a/b/c"),
            ("unix://authority", "unix", "authority", ""),
            ("unix-abstract:a b", "unix-abstract", "", "a b"),
            (
                "unix-abstract:passthrough:abc",
                "unix-abstract",
                "",
                "passthrough:abc",
            ),
            (
                "unix-abstract://authority/a/b/c",
                "unix-abstract",
                "authority",
                "a/b/c",
            ),
            (
                "ipv4:10.0.0.1:80,10.0.0.2",
                "ipv4",
                "",
                "10.0.0.1:80,10.0.0.2",
            ),
            ("ipv6:[::1]:80", "ipv6", "", "[::1]:80"),
        ] {
            assert_eq!(
                found(text),
                (scheme.into(), authority.into(), endpoint.into()),
                "{text}"
            );
        }
    }

    #[test]
    fn canonical_targets_name_the_scheme() {
        for (text, canonical) in [
            ("no.scheme", "dns:///no.scheme"),
            ("nonexist:///no.scheme", "dns:///nonexist:///no.scheme"),
            ("dns:hostname:port", "dns:///hostname:port"),
            ("passthrough:///hostname", "passthrough:///hostname"),
        ] {
            let (target, _) = ResolverRegistry::builtin().find(text).unwrap();
            assert_eq!(target.to_string(), canonical);
        }
    }

    #[test]
    fn targets_ignore_the_case_of_schemes_but_factories_do_not() {
        let mut registry = ResolverRegistry::builtin();
        registry.register(Scheme("casetest"));
        registry.register(Scheme("CaseTest2"));
        let (target, _) = registry.find("cAsEtEsT:///x").unwrap();
        assert_eq!(target.to_string(), "casetest:///x");
        let (target, _) = registry.find("CaseTest2:///x").unwrap();
        assert_eq!(target.to_string(), "dns:///CaseTest2:///x");
    }

    #[test]
    fn a_url_is_told_what_to_write_instead() {
        for (text, instead) in [
            ("http://localhost:50051", "dns:///localhost:50051"),
            ("http://example.com/echo", "dns:///example.com:80"),
            ("HTTP://example.com", "dns:///example.com:80"),
            ("https://example.com", "dns:///example.com:443"),
            (
                "https://user:secret@example.com?q",
                "dns:///example.com:443",
            ),
            ("http://[::1]", "dns:///[::1]:80"),
            ("http://[::1]:8080/", "dns:///[::1]:8080"),
        ] {
            let bad = ResolverRegistry::builtin().find(text).unwrap_err();
            assert!(
                matches!(&bad, BadTarget::Url { instead: i, .. } if i == instead),
                "{bad}"
            );
        }
        let bad = ResolverRegistry::builtin().find("https://a").unwrap_err();
        assert_eq!(
            bad.to_string(),
            "\"https://a\" is a URL, not a gRPC target: write \"dns:///a:443\" \
             and give the channel TLS credentials"
        );
    }

    #[test]
    fn a_resolver_for_http_is_used_if_there_is_one() {
        let mut registry = ResolverRegistry::builtin();
        registry.register(Scheme("http"));
        let (target, _) = registry.find("http://host/name").unwrap();
        assert_eq!((target.authority(), target.endpoint()), ("host", "name"));
    }

    #[test]
    fn the_default_scheme_can_be_chosen_and_must_exist() {
        let mut registry = ResolverRegistry::builtin();
        registry.set_default_scheme("passthrough");
        let (target, _) = registry.find("a:1").unwrap();
        assert_eq!(target.to_string(), "passthrough:///a:1");
        registry.set_default_scheme("nonexist");
        let bad = registry.find("a:1").unwrap_err();
        assert_eq!(
            bad.to_string(),
            "could not get resolver for default scheme: \"nonexist\""
        );
    }

    #[test]
    fn the_last_factory_of_a_scheme_wins() {
        let mut registry = ResolverRegistry::builtin();
        registry.register(Scheme("dns"));
        let (target, factory) = registry.find("a").unwrap();
        let bad = factory.build(&target, &ResolverOptions::default()).err();
        assert_eq!(bad, Some(BadTarget::refused("never built")));
    }

    #[test]
    fn a_malformed_target_is_found_before_anything_is_built() {
        for text in ["a\nb", "dns:///%zz", "%zz"] {
            let bad = ResolverRegistry::builtin().find(text).unwrap_err();
            assert!(matches!(bad, BadTarget::Malformed { .. }), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_target_makes_anything_panic(
            scheme in "(dns|passthrough|unix|unix-abstract|ipv4|ipv6|http|x)?:?/{0,3}",
            rest in any::<String>(),
            address in "[0-9a-f:.,%\\[\\]/ ]{0,24}",
        ) {
            for rest in [rest, address] {
                if let Ok((target, factory)) =
                    ResolverRegistry::builtin().find(&format!("{scheme}{rest}"))
                {
                    let _ = factory.authority(&target);
                    let _ = factory.build(&target, &ResolverOptions::default());
                    let _ = target.to_string();
                }
            }
        }
    }
}
