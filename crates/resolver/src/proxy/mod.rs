//! Which servers are reached through an HTTP proxy, and how resolution goes then (gRFC A1).
//!
//! ```text
//!   HTTPS_PROXY=http://user:secret@proxy:3128   NO_PROXY=.corp,10.0.0.0/8
//!                       │                               │
//!                     Proxy                          Bypass       hosts that are reached directly
//!                       └────────── ProxySettings ──────┘
//!                                        │
//!   dns:///echo.example:50051   ──► Delegated ──► echo.example:50051 through 192.0.2.7:3128
//!     the name is not looked up: the proxy does that, and knows names that this machine does not
//!   any other scheme            ──► Delegated ──► each address that is found, through the proxy
//! ```
//!
//! Unix sockets and this machine itself are never reached through a proxy.

mod bypass;
mod delegated;
mod url;

use std::fmt;
use std::sync::Arc;

use crate::host_port::HostPort;
use crate::{BadTarget, Resolver, ResolverFactory, ResolverOptions, Target};
use bypass::Bypass;
pub use url::{BadProxy, Proxy};

/// Whether and through which proxy servers are reached.
///
/// ```
/// use highball_resolver::ProxySettings;
///
/// let settings = ProxySettings::new("http://user:secret@proxy.example:3128")?.bypass(".corp,10.0.0.0/8");
/// # Ok::<(), highball_resolver::BadProxy>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProxySettings {
    /// An environment that cannot be followed is not ignored: whoever needs the proxy is told.
    proxy: Option<Result<Proxy, BadProxy>>,
    bypass: Bypass,
}

impl ProxySettings {
    /// No proxy at all.
    pub fn none() -> Self {
        Self {
            proxy: None,
            bypass: Bypass::default(),
        }
    }

    /// This proxy for all servers: `http://[user:password@]host[:port]`, where `http://` may be left out. See
    /// [`Proxy::parse`].
    ///
    /// # Errors
    ///
    /// [`BadProxy`] if that is no proxy which can be used.
    pub fn new(proxy: &str) -> Result<Self, BadProxy> {
        Ok(Self {
            proxy: Some(Ok(Proxy::parse(proxy)?)),
            bypass: Bypass::default(),
        })
    }

    /// What the environment says: the proxy in `HTTPS_PROXY` or `https_proxy`, and the hosts that are reached
    /// directly in `NO_PROXY` or `no_proxy`. The variables in capitals go first, and empty ones do not count.
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// The same of an environment that `variable` knows.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&str; 2]| {
            let mut values = names.into_iter().filter_map(&variable);
            values.find(|value| !value.is_empty())
        };
        let Some(proxy) = first(["HTTPS_PROXY", "https_proxy"]) else {
            return Self::none();
        };
        let hosts = first(["NO_PROXY", "no_proxy"]).unwrap_or_default();
        Self {
            proxy: Some(Proxy::parse(&proxy)),
            bypass: Bypass::parse(&hosts),
        }
    }

    /// Replaces the hosts that are reached directly, as `NO_PROXY` lists them, separated by commas:
    ///
    /// | entry | reached directly |
    /// |---|---|
    /// | `example.com` | the host and everything below it |
    /// | `.example.com`, `*.example.com` | everything below it |
    /// | `10.1.2.3`, `10.0.0.0/8`, `2001:db8::/32` | an address, a range |
    /// | `example.com:8080`, `10.1.2.3:8080`, `[::1]:8080` | the same, at this port only |
    /// | `*` | everything |
    #[must_use]
    pub fn bypass(mut self, hosts: &str) -> Self {
        self.bypass = Bypass::parse(hosts);
        self
    }

    /// Has the targets of `factory` resolved as these settings say.
    pub fn delegate(self, factory: Arc<dyn ResolverFactory>) -> Arc<dyn ResolverFactory> {
        match self.proxy {
            None => factory,
            Some(_) => Arc::new(Delegating {
                factory,
                settings: Arc::new(self),
            }),
        }
    }

    /// Whether servers of `target` are reached through a proxy, as far as that can be told before they are known: of
    /// the schemes that Highball does not know, yes.
    pub fn concerns(&self, target: &Target) -> bool {
        match (&self.proxy, target.scheme()) {
            (None, _) | (_, "unix" | "unix-abstract") => false,
            (Some(_), "dns" | "ipv4" | "ipv6" | "passthrough") => {
                let mut servers = target.endpoint().split(',').map(HostPort::parse);
                servers.any(|server| server.is_ok_and(|server| !self.bypass.covers(&server)))
            }
            (Some(_), _) => true,
        }
    }

    /// The proxy that `server` is reached through; `None` if it is reached directly.
    fn proxy_for(&self, server: &HostPort) -> Result<Option<&Proxy>, BadProxy> {
        match &self.proxy {
            Some(_) if self.bypass.covers(server) => Ok(None),
            Some(Ok(proxy)) => Ok(Some(proxy)),
            Some(Err(bad)) => Err(bad.clone()),
            None => Ok(None),
        }
    }
}

/// The factory of a scheme, with a proxy between it and the channel.
struct Delegating {
    factory: Arc<dyn ResolverFactory>,
    settings: Arc<ProxySettings>,
}

impl ResolverFactory for Delegating {
    fn scheme(&self) -> &str {
        self.factory.scheme()
    }

    fn authority(&self, target: &Target) -> String {
        self.factory.authority(target)
    }

    fn build(
        &self,
        target: &Target,
        options: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, BadTarget> {
        let target = if self.scheme() == "dns" {
            let name = HostPort::parse(target.endpoint()).map_err(|bad| {
                let endpoint = target.endpoint();
                BadTarget::refused(format!("proxy: invalid target address {endpoint:?}: {bad}"))
            })?;
            let proxied = self.settings.proxy_for(&name);
            match proxied.map_err(|bad| BadTarget::refused(bad.to_string()))? {
                Some(_) => crate::fixed::Fixed::resolver([name.to_string()]),
                None => return self.factory.build(target, options),
            }
        } else {
            self.factory.build(target, options)?
        };
        let (settings, options) = (Arc::clone(&self.settings), options.clone());
        Ok(Box::new(delegated::Delegated::new(
            target, settings, options,
        )))
    }
}

impl fmt::Debug for Delegating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delegating")
            .field("factory", &self.factory)
            .field("settings", &self.settings)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a server is reached through, in an environment.
    fn through(environment: &[(&str, &str)], server: &str) -> Option<String> {
        let settings = ProxySettings::from_variables(|name| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        let server = HostPort::parse(server).unwrap();
        match settings.proxy_for(&server) {
            Ok(proxy) => proxy.map(|proxy| proxy.at().to_string()),
            Err(bad) => Some(bad.to_string()),
        }
    }

    #[test]
    fn a1_the_environment_names_the_proxy_and_who_goes_without() {
        let upper = ("HTTPS_PROXY", "http://upper:1");
        let lower = ("https_proxy", "lower:2");
        assert_eq!(through(&[], "a"), None);
        assert_eq!(through(&[("HTTPS_PROXY", "")], "a"), None);
        assert_eq!(through(&[upper, lower], "a").unwrap(), "upper:1");
        assert_eq!(through(&[lower], "a").unwrap(), "lower:2");
        assert_eq!(through(&[lower, ("NO_PROXY", "a")], "a"), None);
        assert_eq!(through(&[lower, ("no_proxy", "a")], "a"), None);
        let both = [lower, ("NO_PROXY", "b"), ("no_proxy", "a")];
        assert_eq!(through(&both, "a").unwrap(), "lower:2");
    }

    #[test]
    fn a_proxy_concerns_targets_with_servers_elsewhere() {
        let concerned = |proxy: &str, target: &str| {
            let settings = ProxySettings::from_variables(|name| match name {
                "HTTPS_PROXY" => Some(proxy.to_owned()),
                "NO_PROXY" => Some("listed.example,10.0.0.0/8".to_owned()),
                _ => None,
            });
            settings.concerns(&Target::parse(target).unwrap())
        };
        for (target, expected) in [
            ("dns:///server.example:443", true),
            ("dns:///a.listed.example", false),
            ("dns:///localhost:1", false),
            ("ipv4:10.0.0.1:1,192.0.2.1:1", true),
            ("ipv4:10.0.0.1:1,127.0.0.1:1", false),
            ("ipv6:[2001:db8::1]:1", true),
            ("ipv6:[::1]:1", false),
            ("passthrough:///server.example:443", true),
            ("unix:/run/server", false),
            ("unix-abstract:server", false),
            ("own:///anything", true),
        ] {
            assert_eq!(concerned("proxy:1", target), expected, "{target}");
            assert_eq!(concerned("socks5://proxy:1", target), expected, "{target}");
            assert!(!concerned("", target), "{target}");
        }
    }

    #[test]
    fn an_environment_that_cannot_be_followed_is_not_ignored_by_who_needs_the_proxy() {
        let environment = [("HTTPS_PROXY", "socks5://me:secret@a:1")];
        let told = through(&environment, "server.example").unwrap();
        assert!(
            told.contains("socks5") && !told.contains("secret"),
            "{told}"
        );
        assert_eq!(through(&environment, "localhost:1"), None);
    }
}
