//! A network in memory: for tests, for examples, and for a client and a server in one process.
//!
//! A name is an address, a connection is a pair of pipes. It is deterministic, so it goes well with
//! tokio's paused time.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::future::BoxFuture;
use highball_core::Address;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;

use crate::connect::{BoxIo, Connector, Io};

/// How many bytes a pipe holds before its writer waits.
const PIPE: usize = 64 * 1024;

/// How many connections wait to be accepted before the next one waits too.
const BACKLOG: usize = 128;

/// A network in memory. Clones share it.
///
/// ```
/// use highball_core::Address;
/// use highball_transport::{Connector, MemoryNetwork};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let network = MemoryNetwork::new();
/// let mut listener = network.listen("a:1");
/// let client = network.connect(&Address::tcp("a:1")).await?;
/// let server = listener.accept().await?;
/// assert_eq!(client.peer(), Address::tcp("a:1"));
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
///
/// A name that nobody listens on refuses connections.
#[derive(Clone, Debug, Default)]
pub struct MemoryNetwork {
    places: Arc<Mutex<HashMap<String, Place>>>,
}

/// What is at one name. The lock around it is held for look-ups only.
#[derive(Debug, Default)]
struct Place {
    listener: Option<mpsc::Sender<MemoryIo>>,
    blackhole: bool,
    connections: usize,
    open: Vec<Arc<Wire>>,
}

impl MemoryNetwork {
    /// A network with nobody on it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens at `name`, in place of whoever listened there before.
    pub fn listen(&self, name: &str) -> MemoryListener {
        let (sender, incoming) = mpsc::channel(BACKLOG);
        let mut places = self.lock();
        let place = places.entry(name.to_owned()).or_default();
        place.listener = Some(sender);
        place.blackhole = false;
        MemoryListener {
            name: name.to_owned(),
            incoming,
        }
    }

    /// From here on `name` answers nothing: connecting neither succeeds nor fails.
    pub fn blackhole(&self, name: &str) {
        self.lock().entry(name.to_owned()).or_default().blackhole = true;
    }

    /// Cuts every connection that was made to `name`: both ends read "connection reset".
    pub fn cut(&self, name: &str) {
        let wires = match self.lock().get_mut(name) {
            Some(place) => std::mem::take(&mut place.open),
            None => return,
        };
        for wire in wires {
            wire.cut();
        }
    }

    /// How many connections were ever made to `name`.
    pub fn connections(&self, name: &str) -> usize {
        self.lock().get(name).map_or(0, |place| place.connections)
    }

    /// How many connections to `name` have at least one end that is not closed.
    pub fn open_connections(&self, name: &str) -> usize {
        self.lock().get_mut(name).map_or(0, |place| {
            place.forget_closed();
            place.open.len()
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The listener at `name`; `None` if the name is a blackhole.
    fn listener(&self, name: &str) -> Option<io::Result<mpsc::Sender<MemoryIo>>> {
        let places = self.lock();
        let place = places.get(name);
        if place.is_some_and(|place| place.blackhole) {
            return None;
        }
        let listener = place.and_then(|place| place.listener.clone());
        Some(listener.ok_or_else(refused))
    }

    /// Returns which connection to `name` it is, as a port tells it of others to the server.
    fn record(&self, name: &str, wire: &Arc<Wire>) -> usize {
        let mut places = self.lock();
        let Some(place) = places.get_mut(name) else {
            return 0;
        };
        place.forget_closed();
        place.connections += 1;
        place.open.push(Arc::clone(wire));
        place.connections
    }
}

impl Place {
    /// The place itself holds one reference to a wire, each living end another.
    fn forget_closed(&mut self) {
        self.open.retain(|wire| Arc::strong_count(wire) > 1);
    }
}

impl Connector for MemoryNetwork {
    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>> {
        Box::pin(async move {
            let name = address.text();
            let Some(listener) = self.listener(name) else {
                return std::future::pending().await;
            };
            let listener = listener?;
            let slot = listener.reserve().await.map_err(|_| refused())?;
            let (near, far) = tokio::io::duplex(PIPE);
            let wire = Arc::new(Wire::default());
            let client = Address::tcp(format!("memory-client:{}", self.record(name, &wire)));
            slot.send(MemoryIo::new(far, &wire, client));
            Ok(Box::new(MemoryIo::new(near, &wire, address.clone())) as BoxIo)
        })
    }
}

fn refused() -> io::Error {
    io::ErrorKind::ConnectionRefused.into()
}

/// Accepts the connections that are made to one name. Dropping it closes the name.
#[derive(Debug)]
pub struct MemoryListener {
    name: String,
    incoming: mpsc::Receiver<MemoryIo>,
}

impl MemoryListener {
    /// The next connection. Cancel-safe.
    ///
    /// Fails when somebody else listens at this name.
    pub async fn accept(&mut self) -> io::Result<BoxIo> {
        match self.incoming.recv().await {
            Some(io) => Ok(Box::new(io)),
            None => Err(io::Error::new(
                io::ErrorKind::NotConnected,
                format!("another listener has taken {:?}", self.name),
            )),
        }
    }

    /// The name it listens at.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What the two ends of a connection share: whether it was cut, and whom that wakes.
#[derive(Debug, Default)]
struct Wire {
    /// Guards the flag and the wakers together, so that no cut is missed.
    state: Mutex<WireState>,
}

#[derive(Debug, Default)]
struct WireState {
    cut: bool,
    wakers: Vec<Waker>,
}

impl Wire {
    fn cut(&self) {
        let wakers = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.cut = true;
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Fails if the wire is cut; else sees to it that the caller is woken when it is.
    fn check(&self, cx: &Context<'_>) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.cut {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            // One waker a half and end: older ones belong to tasks that have moved on.
            if state.wakers.len() >= 8 {
                state.wakers.remove(0);
            }
            state.wakers.push(cx.waker().clone());
        }
        Ok(())
    }
}

/// One end of a connection in memory.
struct MemoryIo {
    pipe: DuplexStream,
    wire: Arc<Wire>,
    peer: Address,
}

impl MemoryIo {
    fn new(pipe: DuplexStream, wire: &Arc<Wire>, peer: Address) -> Self {
        Self {
            pipe,
            wire: Arc::clone(wire),
            peer,
        }
    }
}

impl fmt::Debug for MemoryIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryIo({})", self.peer)
    }
}

impl Io for MemoryIo {
    fn peer(&self) -> Address {
        self.peer.clone()
    }
}

impl AsyncRead for MemoryIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.wire.check(cx)?;
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for MemoryIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.wire.check(cx)?;
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wire.check(cx)?;
        Pin::new(&mut self.pipe).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.pipe.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn name() -> Address {
        Address::tcp("a:1")
    }

    #[tokio::test]
    async fn bytes_go_both_ways() {
        let network = MemoryNetwork::new();
        let mut listener = network.listen("a:1");
        let mut client = network.connect(&name()).await.unwrap();
        let mut server = listener.accept().await.unwrap();
        client.write_all(b"ping").await.unwrap();
        let mut bytes = [0; 4];
        server.read_exact(&mut bytes).await.unwrap();
        server.write_all(&bytes).await.unwrap();
        client.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"ping");
        assert_eq!(network.open_connections("a:1"), 1);
        drop((client, server));
        assert_eq!(network.open_connections("a:1"), 0);
        assert_eq!(network.connections("a:1"), 1);
    }

    #[tokio::test]
    async fn a_name_without_a_listener_refuses() {
        let network = MemoryNetwork::new();
        let refuse = async || network.connect(&name()).await.unwrap_err().kind();
        assert_eq!(refuse().await, io::ErrorKind::ConnectionRefused);
        drop(network.listen("a:1"));
        assert_eq!(refuse().await, io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test(start_paused = true)]
    async fn a_blackhole_never_answers_until_someone_listens() {
        let network = MemoryNetwork::new();
        network.blackhole("a:1");
        let minute = std::time::Duration::from_secs(60);
        let address = name();
        let waited = tokio::time::timeout(minute, network.connect(&address)).await;
        assert!(waited.is_err());
        let _listener = network.listen("a:1");
        network.connect(&name()).await.unwrap();
    }

    #[tokio::test]
    async fn a_cut_resets_both_ends_even_while_they_wait() {
        let network = MemoryNetwork::new();
        let mut listener = network.listen("a:1");
        let mut client = network.connect(&name()).await.unwrap();
        let mut server = listener.accept().await.unwrap();
        let waiting = tokio::spawn(async move { client.read_u8().await.unwrap_err().kind() });
        tokio::task::yield_now().await;
        network.cut("a:1");
        assert_eq!(waiting.await.unwrap(), io::ErrorKind::ConnectionReset);
        let error = server.write_all(b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
