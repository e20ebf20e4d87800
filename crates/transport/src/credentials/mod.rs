//! How byte streams are secured, before HTTP/2 begins.
//!
//! ```text
//!   Connector ── BoxIo ──► ChannelCredentials::handshake ──► Secured: BoxIo, AuthInfo ──► frame tap, h2
//!   Listener  ── BoxIo ──► ServerCredentials::handshake  ──► Secured: BoxIo, AuthInfo ──► frame tap, h2
//! ```
//!
//! Implement the two traits to secure connections in a way of your own; [`LocalCredentials`] is the
//! shortest example.

mod insecure;
mod local;

use std::fmt;
use std::io;

use futures_core::future::BoxFuture;
use highball_core::AuthInfo;
use http::uri::Authority;

use crate::connect::BoxIo;

pub(crate) use insecure::InsecureCredentials;
pub use local::LocalCredentials;

/// Secures a client's byte streams, and knows afterwards whom it talks to. May be called concurrently.
pub trait ChannelCredentials: fmt::Debug + Send + Sync + 'static {
    /// Secures `io`, on which nothing has been sent, and makes sure that `server_name` is at its other
    /// end. That is a host's name or its address, without a port.
    ///
    /// Not bounded in time: the caller is. An error is the reason that the failed attempt to connect is
    /// told with; it closes the byte stream.
    fn handshake<'a>(
        &'a self,
        io: BoxIo,
        server_name: &'a str,
    ) -> BoxFuture<'a, io::Result<Secured>>;

    /// The name that servers are asked for, if these credentials insist on one.
    fn server_name(&self) -> Option<&str> {
        None
    }

    /// Whether a call to another `authority` than the connection's may travel on it.
    ///
    /// # Errors
    ///
    /// Why not. As long as nothing else is implemented, no such call may.
    fn check_authority(&self, auth_info: &AuthInfo, authority: &str) -> Result<(), String> {
        let _ = authority;
        Err(format!(
            "credentials of type {:?} cannot tell whether a connection is good for it",
            auth_info.protocol()
        ))
    }
}

/// Secures a server's byte streams. May be called concurrently.
pub trait ServerCredentials: fmt::Debug + Send + Sync + 'static {
    /// Secures `io`, from which nothing has been read.
    ///
    /// Bounded in time by the caller. An error goes to the server's log; it closes the byte stream.
    fn handshake(&self, io: BoxIo) -> BoxFuture<'_, io::Result<Secured>>;
}

/// A byte stream after its security handshake.
#[derive(Debug)]
pub struct Secured {
    /// What HTTP/2 is spoken on.
    pub io: BoxIo,
    /// What is known of the other end.
    pub auth_info: AuthInfo,
}

/// The host in an authority: without port, and without the brackets of an IPv6 address.
pub(crate) fn host_of(authority: &Authority) -> &str {
    authority.host().trim_matches(['[', ']'])
}
