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
            Some(digits) => digits
                .parse()
                .map_err(|_| unreadable("the port must be 0 to 65535, http or https"))?,
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
