//! A simulated network: the same seed gives the same run, with delays, partitions and restarts.
//!
//! The simulation is [turmoil](https://docs.rs/turmoil)'s. What is here lets channels connect and servers
//! listen on it; both must run on hosts of the simulation.

use std::fmt;
use std::io;

use futures_core::future::BoxFuture;
use highball_core::Address;
use highball_server::Listener;
use highball_transport::{BoxIo, Connector, Io};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

/// Connects to hosts of the simulation: `name:port`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimulatedNetwork;

impl Connector for SimulatedNetwork {
    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address.text()).await?;
            Ok(Box::new(Simulated(stream)) as BoxIo)
        })
    }
}

/// Listens on a port of the simulated host it is made on.
pub struct SimulatedListener(TcpListener);

impl SimulatedListener {
    /// Listens on `port`.
    ///
    /// # Errors
    ///
    /// The port is taken.
    pub async fn bind(port: u16) -> io::Result<Self> {
        Ok(Self(TcpListener::bind(("0.0.0.0", port)).await?))
    }
}

impl Listener for SimulatedListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<BoxIo>> {
        Box::pin(async {
            let (stream, _) = self.0.accept().await?;
            Ok(Box::new(Simulated(stream)) as BoxIo)
        })
    }

    fn local_addr(&self) -> Address {
        self.0
            .local_addr()
            .map_or_else(|_| Address::tcp(""), Address::from)
    }
}

impl fmt::Debug for SimulatedListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatedListener({})", self.local_addr())
    }
}

/// One simulated connection.
struct Simulated(TcpStream);

impl Io for Simulated {
    fn peer(&self) -> Address {
        self.0
            .peer_addr()
            .map_or_else(|_| Address::tcp(""), Address::from)
    }
}

impl AsyncRead for Simulated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Simulated {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
