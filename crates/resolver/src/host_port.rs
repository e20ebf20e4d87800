//! `host`, `host:port`, `[v6]:port`, `:port`: the two halves of an address as people write it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The port of a target that names none.
const DEFAULT_PORT: u16 = 443;

/// A host, without brackets, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPort {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Why a text is not a host and a port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHostPort {
    #[error("missing address")]
    Empty,
    #[error("missing port after port-separator colon")]
    EndsWithColon,
    #[error("invalid target address {0}, error info: {1}")]
    Unreadable(String, &'static str),
}

impl HostPort {
    /// Reads a host and a port, 443 if there is none. A missing host is `localhost`.
    pub(crate) fn parse(text: &str) -> Result<Self, BadHostPort> {
        if text.is_empty() {
            return Err(BadHostPort::Empty);
        }
        let unreadable = |why| BadHostPort::Unreadable(text.to_owned(), why);
        // A bare IPv6 address has colons, but none of them separates a port.
        let (host, port) = match ip(text) {
            Some(_) => (text, None),
            None => split(text).map_err(unreadable)?,
        };
        let port = match port {
            None => DEFAULT_PORT,
            Some("") => return Err(BadHostPort::EndsWithColon),
            Some("http") => 80,
            Some("https") => 443,
            Some(digits) => number(digits)
                .ok_or_else(|| unreadable("the port must be 0 to 65535, http or https"))?,
        };
        let host = if host.is_empty() { "localhost" } else { host };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }

    /// Whether the host is an IP address, and so needs no look-up.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        ip(&self.host)
    }
}

/// With brackets where the host has colons.
impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

/// The address, leaving aside its zone (`fe80::1%eth0`).
fn ip(text: &str) -> Option<IpAddr> {
    match text.split_once('%') {
        Some((address, zone)) if !zone.is_empty() => {
            address.parse::<Ipv6Addr>().ok().map(IpAddr::from)
        }
        _ => text.parse().ok(),
    }
}

/// Digits only: `u16` would also parse a sign.
fn number(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

fn split(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("missing ']' in address")?;
        let port = match after.strip_prefix(':') {
            Some(port) => Some(port),
            None if after.is_empty() => None,
            None => return Err("unexpected text after ']' in address"),
        };
        if host.contains('[') || port.is_some_and(|port| port.contains(['[', ']', ':'])) {
            return Err("unexpected bracket or colon in address");
        }
        return Ok((host, port));
    }
    if text.contains(['[', ']']) {
        return Err("unexpected bracket in address");
    }
    match text.split_once(':') {
        None => Ok((text, None)),
        Some((_, port)) if port.contains(':') => Err("too many colons in address"),
        Some((host, port)) => Ok((host, Some(port))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_a_port_can_be_written_in_many_ways() {
        for (text, whole) in [
            ("foo", "foo:443"),
            ("foo:80", "foo:80"),
            ("foo:http", "foo:80"),
            ("foo:https", "foo:443"),
            (":80", "localhost:80"),
            (":http", "localhost:80"),
            ("127.0.0.1", "127.0.0.1:443"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("::1", "[::1]:443"),
            ("[::1]", "[::1]:443"),
            ("[::1]:80", "[::1]:80"),
            ("::", "[::]:443"),
            ("fe80::1%eth0", "[fe80::1%eth0]:443"),
            ("[fe80::1%eth0]:80", "[fe80::1%eth0]:80"),
            ("[]:80", "localhost:80"),
            ("[foo]:80", "foo:80"),
            ("foo bar:65535", "foo bar:65535"),
        ] {
            let parsed = HostPort::parse(text).map(|parsed| parsed.to_string());
            assert_eq!(parsed, Ok(whole.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let unreadable = |text: &str, why| BadHostPort::Unreadable(text.to_owned(), why);
        let port = "the port must be 0 to 65535, http or https";
        for (text, bad) in [
            ("", BadHostPort::Empty),
            (":", BadHostPort::EndsWithColon),
            ("foo:", BadHostPort::EndsWithColon),
            ("[::1]:", BadHostPort::EndsWithColon),
            ("a:b:c", unreadable("a:b:c", "too many colons in address")),
            (
                "2001:db8::zzz",
                unreadable("2001:db8::zzz", "too many colons in address"),
            ),
            ("[::1", unreadable("[::1", "missing ']' in address")),
            (
                "[::1]80",
                unreadable("[::1]80", "unexpected text after ']' in address"),
            ),
            (
                "[[::1]]:80",
                unreadable("[[::1]]:80", "unexpected text after ']' in address"),
            ),
            (
                "foo]:80",
                unreadable("foo]:80", "unexpected bracket in address"),
            ),
            ("foo:65536", unreadable("foo:65536", port)),
            ("foo:-1", unreadable("foo:-1", port)),
            ("foo:+1", unreadable("foo:+1", port)),
            ("foo:smtp", unreadable("foo:smtp", port)),
        ] {
            assert_eq!(HostPort::parse(text), Err(bad), "{text}");
        }
    }

    #[test]
    fn addresses_are_told_from_names() {
        for (text, is_ip) in [
            ("127.0.0.1:80", true),
            ("[fe80::1%eth0]:80", true),
            ("127.0.0.1%eth0:80", false),
            ("localhost", false),
            ("1.2.3", false),
        ] {
            assert_eq!(
                HostPort::parse(text).unwrap().ip().is_some(),
                is_ip,
                "{text}"
            );
        }
    }
}
