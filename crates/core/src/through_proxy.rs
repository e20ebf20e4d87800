//! That an address is reached through an HTTP proxy.

use std::fmt;
use std::sync::Arc;

use crate::Address;

/// An attribute of an [`Address`](crate::Address): connect to this proxy, and have it connect to the address
/// (HTTP `CONNECT`, gRFC A1).
///
/// Attached by a channel that uses a proxy. A resolver or a policy may attach it as well.
/// Built without the feature `proxy`, a client cannot connect to an address that has it.
///
/// ```
/// use highball_core::{Address, Attributes, ThroughProxy};
///
/// let proxy = ThroughProxy::new("proxy.example:3128");
/// let address = Address::tcp("echo.example:50051").with_attributes(Attributes::default().with(proxy));
/// assert_eq!(address.attributes().get::<ThroughProxy>().unwrap().proxy(), "proxy.example:3128");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ThroughProxy {
    proxy: Arc<str>,
    user_info: Option<Arc<str>>,
}

impl ThroughProxy {
    /// The proxy at `host:port`.
    pub fn new(proxy: impl Into<Arc<str>>) -> Self {
        Self {
            proxy: proxy.into(),
            user_info: None,
        }
    }

    /// Shows the proxy `user:password` (`Proxy-Authorization: Basic`), in plaintext.
    #[must_use]
    pub fn with_user_info(mut self, user_info: impl Into<Arc<str>>) -> Self {
        self.user_info = Some(user_info.into());
        self
    }

    /// Where a connection to `address` goes, for people: `echo.example:443 through the proxy proxy.example:3128`.
    pub fn route(address: &Address) -> String {
        match address.attributes().get::<Self>() {
            Some(through) => format!("{address} through the proxy {}", through.proxy),
            None => address.to_string(),
        }
    }

    /// Where the proxy is: `host:port`.
    pub fn proxy(&self) -> &str {
        &self.proxy
    }

    /// `user:password`, if the proxy is to be shown any.
    pub fn user_info(&self) -> Option<&str> {
        self.user_info.as_deref()
    }
}

/// Without what is secret.
impl fmt::Debug for ThroughProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "through {}", self.proxy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let proxy = ThroughProxy::new("a:1").with_user_info("me:secret");
        assert_eq!(format!("{proxy:?}"), "through a:1");
        assert_ne!(proxy, ThroughProxy::new("a:1"));
    }
}
