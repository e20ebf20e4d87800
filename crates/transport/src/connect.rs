//! Where sockets come from: the only place of the client that names the operating system's network.
//!
//! Everything above works on a [`BoxIo`] that some [`Connector`] made, so that a whole channel runs
//! unchanged over TCP, over Unix sockets, over [memory](crate::MemoryNetwork) and over a simulated
//! network.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::future::BoxFuture;
use highball_core::{Address, Network};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Makes byte streams to addresses.
///
/// Implement it to reach servers in another way: through a simulated network, a proxy, a test double.
/// May be called concurrently.
pub trait Connector: fmt::Debug + Send + Sync + 'static {
    /// Connects to `address`.
    ///
    /// Neither bounded in time nor repeated: the caller does both. Dropping the future gives the attempt
    /// up and closes what it has opened.
    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>>;
}

/// One byte stream to a peer.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Who is at the other end, as far as the network tells.
    fn peer(&self) -> Address;

    /// How long what was sent may stay unacknowledged before the connection breaks: `TCP_USER_TIMEOUT`,
    /// which keepalive sets to its time-out (gRFC A18). Does nothing where there is no such thing.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    fn set_user_timeout(&self, timeout: Duration) -> io::Result<()> {
        let _ = timeout;
        Ok(())
    }
}

/// A byte stream of any kind.
pub type BoxIo = Box<dyn Io>;

impl fmt::Debug for dyn Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Io({})", self.peer())
    }
}

/// The operating system's network: TCP, Unix sockets and, on Linux, abstract Unix sockets.
///
/// TCP runs with `TCP_NODELAY` (a call is often one small write that waits for its answer) and with
/// `SO_KEEPALIVE` at the system's intervals. A host name is looked up by the system resolver, and its
/// addresses are tried one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemConnector;

impl Connector for SystemConnector {
    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>> {
        Box::pin(async move {
            match address.network() {
                Network::Tcp => Ok(Box::new(tcp(address).await?) as BoxIo),
                Network::Unix => unix(address.text()).await,
                Network::UnixAbstract => unix_abstract(address.text()).await,
            }
        })
    }
}

async fn tcp(address: &Address) -> io::Result<Tcp> {
    let at = address.text().parse::<SocketAddr>();
    let stream = match at {
        Ok(at) => TcpStream::connect(at).await?,
        Err(_) => TcpStream::connect(address.text()).await?,
    };
    stream.set_nodelay(true)?;
    socket2::SockRef::from(&stream).set_keepalive(true)?;
    let is_plain = address.server_name().is_none() && address.attributes().is_empty();
    let peer = match at {
        Ok(at) if is_plain && !at.ip().is_unspecified() => address.clone(),
        _ => stream.peer(),
    };
    Ok(Tcp::new(stream, peer))
}

/// A TCP stream that asks the system for no more than it must: who is at its other end is known already, and where
/// that has closed, too, nothing is left to shut down but what dropping it closes.
#[derive(Debug)]
pub struct Tcp {
    stream: TcpStream,
    peer: Address,
    has_ended: bool,
}

impl Tcp {
    /// A stream that was made to `peer`, or accepted from there.
    pub fn new(stream: TcpStream, peer: Address) -> Self {
        Self {
            stream,
            peer,
            has_ended: false,
        }
    }
}

impl Io for Tcp {
    fn peer(&self) -> Address {
        self.peer.clone()
    }

    fn set_user_timeout(&self, timeout: Duration) -> io::Result<()> {
        Io::set_user_timeout(&self.stream, timeout)
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if room > 0 && room == buffer.remaining() && matches!(read, Poll::Ready(Ok(()))) {
            self.has_ended = true;
        }
        read
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.has_ended {
            true => Poll::Ready(Ok(())),
            false => Pin::new(&mut self.stream).poll_shutdown(cx),
        }
    }
}

impl Io for TcpStream {
    fn peer(&self) -> Address {
        self.peer_addr()
            .map_or_else(|_| Address::tcp(""), Address::from)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn set_user_timeout(&self, timeout: Duration) -> io::Result<()> {
        socket2::SockRef::from(self).set_tcp_user_timeout(Some(timeout))
    }
}

#[cfg(unix)]
use unix_sockets::unix;

#[cfg(not(unix))]
async fn unix(_path: &str) -> io::Result<BoxIo> {
    Err(unsupported("Unix sockets"))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
use unix_sockets::unix_abstract;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
async fn unix_abstract(_name: &str) -> io::Result<BoxIo> {
    Err(unsupported("abstract Unix sockets"))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn unsupported(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("this system has no {what}"),
    )
}

#[cfg(unix)]
mod unix_sockets {
    //! Connecting to Unix sockets, named by a path or by an abstract name.

    use std::io;

    use highball_core::Address;
    use tokio::net::UnixStream;

    use super::{BoxIo, Io};

    pub(super) async fn unix(path: &str) -> io::Result<BoxIo> {
        Ok(Box::new(UnixStream::connect(path).await?))
    }

    /// tokio takes a path that starts with NUL for an abstract name.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) async fn unix_abstract(name: &str) -> io::Result<BoxIo> {
        Ok(Box::new(UnixStream::connect(format!("\0{name}")).await?))
    }

    impl Io for UnixStream {
        fn peer(&self) -> Address {
            let Ok(address) = self.peer_addr() else {
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn tcp_connects_without_delay_and_knows_its_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::from(listener.local_addr().unwrap());
        let stream = tcp(&address).await.unwrap().stream;
        assert!(stream.nodelay().unwrap());
        assert!(socket2::SockRef::from(&stream).keepalive().unwrap());
        drop((stream, listener.accept().await.unwrap()));
        let mut io = SystemConnector.connect(&address).await.unwrap();
        assert_eq!(io.peer(), address);
        let (mut accepted, _) = listener.accept().await.unwrap();
        io.write_all(b"x").await.unwrap();
        assert_eq!(accepted.read_u8().await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn a_peer_is_told_by_the_system_where_the_address_does_not_name_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        for text in [
            format!("0.0.0.0:{}", at.port()),
            format!("localhost:{}", at.port()),
        ] {
            let io = SystemConnector.connect(&text.into()).await.unwrap();
            assert_eq!(io.peer(), Address::from(at));
        }
        let named = Address::from(at).with_server_name("echo.example");
        let io = SystemConnector.connect(&named).await.unwrap();
        assert_eq!(io.peer(), Address::from(at));
    }

    #[tokio::test]
    async fn a_stream_that_its_other_end_has_closed_is_closed_by_dropping_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::from(listener.local_addr().unwrap());
        let mut io = SystemConnector.connect(&address).await.unwrap();
        let (mut accepted, _) = listener.accept().await.unwrap();
        io.write_all(b"x").await.unwrap();
        accepted.write_all(b"y").await.unwrap();
        // Nothing is read where there is no room: that is no end.
        assert_eq!(io.read(&mut []).await.unwrap(), 0);
        assert_eq!(io.read_u8().await.unwrap(), b'y');
        accepted.shutdown().await.unwrap();
        assert_eq!(io.read(&mut [0; 1]).await.unwrap(), 0);
        io.shutdown().await.unwrap();
        drop(io);
        let mut rest = Vec::new();
        assert_eq!(accepted.read_to_end(&mut rest).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_closed_port_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::from(listener.local_addr().unwrap());
        drop(listener);
        let error = SystemConnector.connect(&address).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_abstract_name_connects_and_is_the_peer() {
        let name = format!("highball-connect-{}", std::process::id());
        let listener = tokio::net::UnixListener::bind(format!("\0{name}")).unwrap();
        let address = Address::unix_abstract(name);
        let io = SystemConnector.connect(&address).await.unwrap();
        assert_eq!(io.peer(), address);
        listener.accept().await.unwrap();
    }
}
