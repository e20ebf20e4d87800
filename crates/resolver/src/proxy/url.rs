//! A proxy as people write it: `http://user:secret@proxy.example:3128`.

use std::fmt;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use crate::host_port::{BadHostPort, HostPort};
use crate::target::split_scheme;

/// An HTTP proxy that tunnels: where it is, and what it is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    at: HostPort,
    user_info: Option<Arc<str>>,
}

/// Why a text names no proxy that can be used. Without what is secret in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadProxy {
    /// Another kind of proxy, or one that is itself reached over TLS.
    #[error("cannot use a proxy of the scheme {0:?}: write http://host:port")]
    Scheme(String),
    /// There is no address in it.
    #[error("invalid proxy address: {0}")]
    Address(String),
}

impl Proxy {
    /// Reads `http://[user[:password]@]host[:port]`; without a scheme it is `http`, without a port 80. User and
    /// password may be percent-encoded; whatever comes behind the port does not matter.
    ///
    /// # Errors
    ///
    /// [`BadProxy`] for other schemes and for addresses that cannot be read.
    pub fn parse(text: &str) -> Result<Self, BadProxy> {
        // What looks like the scheme of `proxy:3128` is its host.
        let rest = match split_scheme(text) {
            Some((scheme, rest)) if rest.starts_with("//") && scheme == "http" => &rest[2..],
            Some((scheme, rest)) if rest.starts_with("//") => {
                return Err(BadProxy::Scheme(scheme.into_owned()));
            }
            _ => text,
        };
        let rest = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let (user_info, host) = match rest.rsplit_once('@') {
            Some((user_info, host)) => (Some(user_info), host),
            None => (None, rest),
        };
        Ok(Self {
            at: at(host).map_err(|bad| BadProxy::Address(bad.to_string()))?,
            user_info: user_info.map(decoded),
        })
    }

    /// Where it is.
    pub(super) fn at(&self) -> &HostPort {
        &self.at
    }

    /// `user:password`.
    pub(super) fn user_info(&self) -> Option<&Arc<str>> {
        self.user_info.as_ref()
    }
}

fn at(host: &str) -> Result<HostPort, BadHostPort> {
    let has_port = host
        .rsplit(']')
        .next()
        .is_some_and(|rest| rest.contains(':'));
    match has_port || host.is_empty() {
        true => HostPort::parse(host),
        false => HostPort::parse(&format!("{host}:80")),
    }
}

/// Each half by itself: an encoded colon belongs to its half.
fn decoded(user_info: &str) -> Arc<str> {
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let decode = |half| percent_decode_str(half).decode_utf8_lossy().into_owned();
    format!("{}:{}", decode(user), decode(password)).into()
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_can_be_written_in_many_ways() {
        for (text, at, user_info) in [
            ("http://proxy:3128", "proxy:3128", None),
            ("HTTP://proxy:3128/", "proxy:3128", None),
            ("proxy:3128", "proxy:3128", None),
            ("proxy", "proxy:80", None),
            ("http://proxy", "proxy:80", None),
            ("http://[::1]", "[::1]:80", None),
            ("http://[::1]:8080/a?b#c", "[::1]:8080", None),
            ("http://me@proxy:1", "proxy:1", Some("me:")),
            (
                "http://me:s%40cret%3a@proxy:1",
                "proxy:1",
                Some("me:s@cret:"),
            ),
            ("me:secret@proxy", "proxy:80", Some("me:secret")),
        ] {
            let proxy = Proxy::parse(text).unwrap();
            assert_eq!(proxy.at().to_string(), at, "{text}");
            assert_eq!(proxy.user_info().map(|info| &**info), user_info, "{text}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_its_password() {
        for (text, why) in [
            (
                "https://me:secret@proxy:1",
                "cannot use a proxy of the scheme \"https\": write http://host:port",
            ),
            (
                "socks5://proxy:1",
                "cannot use a proxy of the scheme \"socks5\": write http://host:port",
            ),
            ("http://", "invalid proxy address: missing address"),
            (
                "http://me:secret@proxy:x",
                "invalid proxy address: invalid target address proxy:x, error info: the port must be 0 to 65535, http or https",
            ),
        ] {
            assert_eq!(Proxy::parse(text).unwrap_err().to_string(), why);
        }
        let proxy = Proxy::parse("me:secret@proxy").unwrap();
        assert_eq!(format!("{proxy:?}"), "Proxy(proxy:80)");
    }
}
