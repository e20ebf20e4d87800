//! A network that fails where a test wants it to, and remembers who was tried when.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use highball_channel::Address;
use highball_channel::transport::{BoxIo, Connector, Io, MemoryListener, MemoryNetwork};
use highball_server::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Clones share it.
#[derive(Clone, Debug)]
pub(super) struct FaultyNetwork {
    under: MemoryNetwork,
    faults: Arc<Mutex<Faults>>,
}

#[derive(Debug, Default)]
struct Faults {
    /// The error that connecting to an address fails with.
    errors: BTreeMap<String, Failure>,
    tried: Vec<(String, Instant)>,
    /// Those under way.
    dialling: Vec<String>,
    is_slow: bool,
    lines: Vec<Line>,
}

/// Makes the error that an attempt fails with.
type Failure = fn() -> io::Error;

impl FaultyNetwork {
    pub(super) fn over(under: &MemoryNetwork) -> Self {
        Self {
            under: under.clone(),
            faults: Arc::default(),
        }
    }

    /// Connecting to this address fails at once.
    pub(super) fn fail(&self, address: &str, error: Failure) {
        self.faults().errors.insert(address.to_owned(), error);
    }

    /// No address fails by itself any more.
    pub(super) fn heal(&self) {
        self.faults().errors.clear();
    }

    /// From here on the client's ends of connections pass one byte at a time.
    pub(super) fn slow_down(&self) {
        self.faults().is_slow = true;
    }

    /// What the connections there are carry in this direction is lost, from here on; what is made later is
    /// whole.
    pub(super) fn lose(&self, direction: Direction) {
        for line in self.faults().lines.drain(..) {
            line.set(direction);
        }
    }

    /// The addresses in the order in which they were tried.
    pub(super) fn tried(&self) -> Vec<String> {
        let tried = &self.faults().tried;
        tried.iter().map(|(address, _)| address.clone()).collect()
    }

    /// The addresses of the attempts that are neither over nor given up.
    pub(super) fn dialling(&self) -> Vec<String> {
        self.faults().dialling.clone()
    }

    /// The seconds between one attempt at an address and the next.
    pub(super) fn gaps(&self, address: &str) -> Vec<f64> {
        let tried = &self.faults().tried;
        let times: Vec<_> = tried
            .iter()
            .filter(|(tried, _)| tried == address)
            .map(|(_, at)| *at)
            .collect();
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.map(|gap| gap.as_secs_f64()).collect()
    }

    fn faults(&self) -> std::sync::MutexGuard<'_, Faults> {
        self.faults
            .lock()
            .expect("no test panics while it holds it")
    }
}

impl Connector for FaultyNetwork {
    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>> {
        let line = Line::default();
        let (error, is_slow) = {
            let mut faults = self.faults();
            let name = address.text().to_owned();
            let error = faults.errors.get(&name).copied();
            faults.tried.push((name.clone(), Instant::now()));
            faults.dialling.push(name.clone());
            faults.lines.push(line.clone());
            (error, faults.is_slow)
        };
        let attempt = Dialling(self, address);
        Box::pin(async move {
            let _attempt = attempt;
            if let Some(error) = error {
                return Err(error());
            }
            let io = self.under.connect(address).await?;
            let io: BoxIo = if is_slow {
                Box::new(OneByte::new(io))
            } else {
                io
            };
            let io: BoxIo = Box::new(Partitioned { io, line });
            Ok(io)
        })
    }
}

/// An attempt to connect, which may be given up.
struct Dialling<'a>(&'a FaultyNetwork, &'a Address);

impl Drop for Dialling<'_> {
    fn drop(&mut self) {
        let dialling = &mut self.0.faults().dialling;
        let at = dialling.iter().position(|name| name == self.1.text());
        dialling.remove(at.expect("it was entered"));
    }
}

/// What goes through it goes one byte at a time, in both directions.
struct OneByte {
    io: BoxIo,
    /// What has come, and is handed out byte by byte.
    come: Vec<u8>,
    handed_out: usize,
    /// What has been taken byte by byte, and goes on together when no more follows.
    taken: Vec<u8>,
}

/// How much of either waits at most.
const WAITING: usize = 64 * 1024;

impl OneByte {
    fn new(io: BoxIo) -> Self {
        Self {
            io,
            come: Vec::with_capacity(WAITING),
            handed_out: 0,
            taken: Vec::with_capacity(WAITING),
        }
    }

    fn poll_pass_on(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.taken.is_empty() {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, &self.taken))?;
            self.taken.drain(..count);
        }
        Poll::Ready(Ok(()))
    }
}

impl Io for OneByte {
    fn peer(&self) -> Address {
        self.io.peer()
    }
}

impl AsyncRead for OneByte {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.handed_out == this.come.len() {
            this.handed_out = 0;
            this.come.resize(WAITING, 0);
            let mut space = ReadBuf::new(&mut this.come);
            let polled = Pin::new(&mut this.io).poll_read(cx, &mut space);
            let count = space.filled().len();
            this.come.truncate(count);
            ready!(polled)?;
        }
        if let Some(byte) = this.come.get(this.handed_out) {
            out.put_slice(std::slice::from_ref(byte));
            this.handed_out += 1;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for OneByte {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.taken.len() == WAITING {
            ready!(self.poll_pass_on(cx))?;
        }
        let Some(byte) = bytes.first() else {
            return Poll::Ready(Ok(0));
        };
        self.taken.push(*byte);
        Poll::Ready(Ok(1))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pass_on(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pass_on(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Accepts connections that pass one byte at a time.
pub(super) struct SlowListener(pub(super) MemoryListener);

impl Listener for SlowListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<BoxIo>> {
        Box::pin(async {
            let io = self.0.accept().await?;
            Ok(Box::new(OneByte::new(io)) as BoxIo)
        })
    }

    fn local_addr(&self) -> Address {
        self.0.local_addr()
    }
}

/// One way through a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    ToServer,
    ToClient,
}

/// Which way a connection carries nothing any more.
#[derive(Clone, Debug, Default)]
struct Line(Arc<Mutex<Option<Direction>>>);

impl Line {
    fn set(&self, lost: Direction) {
        *self.0.lock().expect("nobody panics while it is held") = Some(lost);
    }

    fn loses(&self, direction: Direction) -> bool {
        *self.0.lock().expect("nobody panics while it is held") == Some(direction)
    }
}

/// A client's end of a connection that may go dead in one direction, without a word to either end.
struct Partitioned {
    io: BoxIo,
    line: Line,
}

impl Io for Partitioned {
    fn peer(&self) -> Address {
        self.io.peer()
    }
}

impl AsyncRead for Partitioned {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.line.loses(Direction::ToClient) {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_read(cx, out)
    }
}

impl AsyncWrite for Partitioned {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.line.loses(Direction::ToServer) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
