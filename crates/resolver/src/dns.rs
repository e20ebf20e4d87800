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
//! The host is looked up when the channel first needs it, and then only when a policy requests it because
//! connections fail: [`Polling`] sees to that, as for any name service that has to be asked
//! (`polling.rs` has the picture). A run of it:
//!
//! ```text
//!      0.0 s  look up echo.example: 192.0.2.1
//!      7.0 s  1000 connections fail: the policy requests re-resolution
//!     30.0 s  look up echo.example: 192.0.2.1
//!    600.0 s  a connection fails: the policy requests re-resolution
//!    600.0 s  look up echo.example: an error, the name server is down
//!    601.8 s  look up echo.example: an error, the name server is down
//!    604.1 s  look up echo.example: an error, the name server is down
//!    608.5 s  look up echo.example: 192.0.2.1
//! ```
//!
//! `cargo test -p highball-resolver transcript` checks that it goes like that.
//!
//! Differs from grpc-go in that a name that does not exist is an error that names the host, not an empty
//! list. Absent so far: service configs in TXT records (gRFC A2), SRV records, and a DNS server of one's
//! own (`dns://8.8.8.8/…`), since the operating system's resolver has none of them.
//!
//! **Exercise.** A thousand connections failed at 7 s: why is there one look-up, and why at 30 s? Change
//! the test so that the name server stays down, and predict the times before you run it.

use std::io;
use std::sync::Arc;

use highball_core::{Address, Status};

use crate::fixed::Fixed;
use crate::host_port::HostPort;
use crate::target::split_scheme;
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
        let name =
            HostPort::parse(target.endpoint()).map_err(|bad| refused(target, &bad.to_string()))?;
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

/// A target with a scheme that nobody registered ends up here as well: then say so.
fn refused(target: &Target, why: &str) -> BadTarget {
    let hint = match split_scheme(target.endpoint()) {
        Some((scheme, rest)) if rest.starts_with('/') => {
            format!(" (no resolver is registered for the scheme {scheme:?})")
        }
        _ => String::new(),
    };
    BadTarget::refused(format!("dns resolver: {why}{hint}"))
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
