//! Stop 2 of the reading path: a target becomes endpoints.
//!
//! ```text
//!   dns:///echo.example.com:50051
//!          └──────┬───────┘ └─┬─┘
//!                host        port ─────────────┐ 443 if there is none
//!                 │                            │
//!                 ▼                            ▼
//!           HostLookup (the system's) ─► [2001:db8::1]:50051     one endpoint each,
//!                                        192.0.2.1:50051         in the system's order
//! ```
//!
//! When it is looked up is [`Polling`]'s business, as for any name service that has to be asked:
//!
//! ```text
//!             ┌──────────────────────────────────────────────┐
//!             ▼                                              │
//!   ──► look up, 30 s at most ── the channel accepts ──► wait 30 s, then until a
//!             ▲      │                                   policy wants fresh endpoints
//!             │      └── an error, or the channel rejects ──► wait 1.6 s ± 20 %,
//!             └──────────────────────────────────────────── then longer, up to 120 s
//! ```
//!
//! So a channel that is happy never asks DNS again: what ends a stale list is a connection that fails,
//! whose policy then wants fresh endpoints.
//!
//! Differs from other implementations in that a name that does not exist is an error that names the
//! host, not an empty list. Absent so far: service configs in TXT records (gRFC A2), SRV records, and a
//! DNS server of one's own (`dns://8.8.8.8/…`); the operating system's resolver offers none of these.
//!
//! **Exercise.** Point a channel at `dns:///nosuch.invalid` and make a call: which part of the error
//! comes from this file, and which from the policy? Then find out from the second picture how many
//! look-ups ten such calls in one second cause.

use std::io;
use std::sync::Arc;

use highball_core::{Address, Status};

use crate::fixed::Fixed;
use crate::host_port::HostPort;
use crate::{
    BadTarget, HostLookup, Lookup, Polling, Resolution, Resolver, ResolverFactory, ResolverOptions,
    Target,
};

/// `dns:[///]host[:port]`, the scheme of targets that name none.
///
/// An IP address in place of the host is passed on as it is. The host is `localhost` if only a port is
/// given; the port is a number, `http` or `https`, and 443 if there is none.
#[derive(Clone, Copy, Debug)]
pub struct Dns;

impl ResolverFactory for Dns {
    fn scheme(&self) -> &str {
        "dns"
    }

    fn build(
        &self,
        target: &Target,
        options: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, BadTarget> {
        if !target.authority().is_empty() {
            let server = target.authority();
            return Err(BadTarget::refused(format!(
                "dns resolver: cannot ask the DNS server {server:?}, only the system's: \
                 write dns:///{}",
                target.endpoint()
            )));
        }
        let name = HostPort::parse(target.endpoint())
            .map_err(|bad| BadTarget::refused(format!("dns resolver: {bad}")))?;
        if name.ip().is_some() {
            return Ok(Fixed::resolver([Address::tcp(name.to_string())]));
        }
        let records = Records {
            name,
            hosts: options.hosts.clone(),
        };
        Polling::new(records).build(target, options)
    }
}

/// The A and AAAA records of one name.
struct Records {
    name: HostPort,
    hosts: Arc<dyn HostLookup>,
}

impl Lookup for Records {
    fn scheme(&self) -> &str {
        "dns"
    }

    async fn lookup(&self, _target: &Target) -> Result<Resolution, Status> {
        let HostPort { host, port } = &self.name;
        match self.hosts.lookup(host, *port).await {
            Ok(found) if found.is_empty() => {
                let none = io::Error::new(io::ErrorKind::NotFound, "the name has no addresses");
                Err(self.failed(none))
            }
            Ok(found) => Ok(found.into_iter().collect()),
            Err(error) => Err(self.failed(error)),
        }
    }
}

impl Records {
    fn failed(&self, error: io::Error) -> Status {
        let host = &self.name.host;
        Status::unavailable(format!("dns: A record lookup error: {host}: {error}"))
            .with_source(error)
    }
}
