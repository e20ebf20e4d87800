//! How a host name becomes IP addresses.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use futures_core::future::BoxFuture;

/// Looks up host names for the `dns` resolver. Implement it to bring another DNS client, or the names
/// of a simulated network.
pub trait HostLookup: fmt::Debug + Send + Sync + 'static {
    /// The addresses of `host`, each with `port`, in order of preference.
    ///
    /// # Errors
    ///
    /// Whatever went wrong, a name that does not exist included. An empty list counts as an error.
    fn lookup<'a>(&'a self, host: &'a str, port: u16)
    -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}

/// The operating system's resolver (`getaddrinfo`), on a thread that may block.
///
/// A look-up cannot be called off: one that is given up keeps its thread until the system answers.
#[derive(Clone, Copy, Debug)]
pub struct SystemHosts;

impl HostLookup for SystemHosts {
    fn lookup<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        let host = host.to_owned();
        Box::pin(async move {
            let system = move || Ok((host.as_str(), port).to_socket_addrs()?.collect());
            tokio::task::spawn_blocking(system).await?
        })
    }
}
