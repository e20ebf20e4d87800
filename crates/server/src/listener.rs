//! Where connections come from: the only place of the server that names the operating system's network.

use std::fmt;
use std::io;

use highball_core::{Address, Network};
use highball_transport::{BoxIo, MemoryListener, Tcp};
use tokio::net::TcpListener;

use futures_core::future::BoxFuture;

/// Accepts connections.
///
/// [`bind`] makes one for an address; a `tokio::net::TcpListener` is one, and so is a
/// [`MemoryListener`]. Implement it to take connections from elsewhere.
pub trait Listener: Send + 'static {
    /// The next connection. Must be cancel-safe.
    ///
    /// After an error it is called again, a little later: a lack of file descriptors passes. An error of
    /// kind [`NotConnected`](io::ErrorKind::NotConnected) says that no connection will come any more.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<BoxIo>>;

    /// Where it listens: with the port that the system chose, if it was asked for port 0.
    fn local_addr(&self) -> Address;
}

/// A listener of any kind.
pub type BoxListener = Box<dyn Listener>;

/// An address on which nobody can listen.
#[derive(Debug)]
pub struct ListenError {
    /// The address.
    pub address: Address,
    /// Why not.
    pub source: io::Error,
}

/// Listens on an address: `127.0.0.1:50051`, `[::]:50051`, `localhost:0`, `unix:/run/echo.sock`,
/// `unix-abstract:echo`. Port 0 lets the system choose; [`Listener::local_addr`] tells.
///
/// # Errors
///
/// [`ListenError`], which names address and cause: `failed to listen on 127.0.0.1:50051: address in use`.
pub async fn bind(address: impl Into<Address>) -> Result<BoxListener, ListenError> {
    let address = address.into();
    let bound = match address.network() {
        Network::Tcp => tcp(address.text()).await,
        Network::Unix => unix(address.text()),
        Network::UnixAbstract => unix_abstract(address.text()),
    };
    bound.map_err(|source| ListenError { address, source })
}

async fn tcp(host_and_port: &str) -> io::Result<BoxListener> {
    Ok(Box::new(TcpListener::bind(host_and_port).await?))
}

impl Listener for TcpListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<BoxIo>> {
        Box::pin(async {
            let (stream, peer) = TcpListener::accept(self).await?;
            // An answer is often one small write. A socket that does not know the option works, too.
            let _ = stream.set_nodelay(true);
            Ok(Box::new(Tcp::new(stream, peer.into())) as BoxIo)
        })
    }

    fn local_addr(&self) -> Address {
        Self::local_addr(self).map_or_else(|_| Address::tcp(""), Address::from)
    }
}

impl Listener for MemoryListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<BoxIo>> {
        Box::pin(Self::accept(self))
    }

    fn local_addr(&self) -> Address {
        Address::tcp(self.name())
    }
}

impl Listener for BoxListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<BoxIo>> {
        (**self).accept()
    }

    fn local_addr(&self) -> Address {
        (**self).local_addr()
    }
}

#[cfg(unix)]
use unix_sockets::unix;

#[cfg(any(target_os = "linux", target_os = "android"))]
use unix_sockets::unix_abstract;

#[cfg(not(unix))]
fn unix(_path: &str) -> io::Result<BoxListener> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn unix_abstract(_name: &str) -> io::Result<BoxListener> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
mod unix_sockets {
    //! Listening on Unix sockets, named by a path or by an abstract name.

    use std::io;

    use futures_core::future::BoxFuture;
    use highball_core::Address;
    use highball_transport::BoxIo;
    use tokio::net::UnixListener;

    use super::{BoxListener, Listener};

    pub(super) fn unix(path: &str) -> io::Result<BoxListener> {
        Ok(Box::new(UnixListener::bind(path)?))
    }

    /// tokio takes a path that starts with NUL for an abstract name.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn unix_abstract(name: &str) -> io::Result<BoxListener> {
        Ok(Box::new(UnixListener::bind(format!("\0{name}"))?))
    }

    impl Listener for UnixListener {
        fn accept(&mut self) -> BoxFuture<'_, io::Result<BoxIo>> {
            Box::pin(async {
                let (stream, _) = Self::accept(self).await?;
                Ok(Box::new(stream) as BoxIo)
            })
        }

        fn local_addr(&self) -> Address {
            let Ok(address) = Self::local_addr(self) else {
                return Address::unix("");
            };
            if let Some(path) = address.as_pathname() {
                return Address::unix(path.to_string_lossy());
            }
            #[cfg(any(target_os = "linux", target_os = "android"))]
            if let Some(name) = address.as_abstract_name() {
                return Address::unix_abstract(String::from_utf8_lossy(name));
            }
            Address::unix("")
        }
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to listen on {}: ", self.address)?;
        match self.source.kind() {
            // Without the system's number, these say all there is to say.
            kind @ (io::ErrorKind::AddrInUse
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::PermissionDenied) => write!(f, "{kind}"),
            _ => write!(f, "{}", self.source),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn port_0_is_told_and_a_taken_port_is_named() {
        let first = bind("127.0.0.1:0").await.unwrap();
        let address = first.local_addr();
        assert!(!address.text().ends_with(":0"), "{address}");
        let error = bind(address.clone()).await.map(|_| ()).unwrap_err();
        let text = format!("failed to listen on {}: address in use", address.text());
        assert_eq!(error.to_string(), text);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn unix_sockets_are_listened_on_by_path_and_by_abstract_name() {
        let name = format!("highball-listen-{}", std::process::id());
        let path = std::env::temp_dir().join(&name);
        let abstract_name = Address::unix_abstract(name);
        for address in [Address::unix(path.to_string_lossy()), abstract_name] {
            let mut listener = bind(address.clone()).await.unwrap();
            assert_eq!(listener.local_addr(), address);
            let connector = highball_transport::SystemConnector;
            let connecting = highball_transport::Connector::connect(&connector, &address);
            let (client, server) = tokio::join!(connecting, listener.accept());
            client.unwrap();
            server.unwrap();
        }
        std::fs::remove_file(path).unwrap();
    }
}
