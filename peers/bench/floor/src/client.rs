//! The client's side: a task that writes what has gathered, a task that reads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bench_kit::{Echo, Meter, Peer, PingPong, Result};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};

use crate::frame;

/// A connection.
#[derive(Clone, Debug)]
pub struct Client(Arc<Connection>);

#[derive(Debug, Default)]
struct Connection {
    next: AtomicU32,
    /// What is to be written. Locked to add a message, and to take all of them.
    unwritten: Mutex<BytesMut>,
    has_more: Notify,
    /// Who waits for which reply. Locked for an insertion or a removal.
    waiting: Mutex<HashMap<u32, oneshot::Sender<Echo>>>,
}

impl Connection {
    async fn write(self: Arc<Self>, mut io: OwnedWriteHalf) -> Result<()> {
        let mut bytes = BytesMut::new();
        loop {
            self.has_more.notified().await;
            std::mem::swap(&mut bytes, &mut self.unwritten());
            io.write_all(&bytes).await?;
            bytes.clear();
        }
    }

    async fn read(self: Arc<Self>, mut io: OwnedReadHalf) -> Result<()> {
        let mut replies = BytesMut::new();
        loop {
            replies.reserve(64 * 1024);
            if io.read_buf(&mut replies).await? == 0 {
                return Ok(());
            }
            while let Some((number, reply)) = frame::take(&mut replies)? {
                let caller = self.waiting().remove(&number);
                let caller = caller.ok_or("a reply to no call")?;
                drop(caller.send(reply));
            }
        }
    }

    fn start(&self, request: &Echo) -> Result<oneshot::Receiver<Echo>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, reply) = oneshot::channel();
        self.waiting().insert(number, sender);
        frame::put(number, request, &mut self.unwritten())?;
        self.has_more.notify_one();
        Ok(reply)
    }

    fn unwritten(&self) -> MutexGuard<'_, BytesMut> {
        self.unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u32, oneshot::Sender<Echo>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peer for Client {
    type PingPong = NoStreams;

    async fn connect(port: u16) -> Result<Self> {
        let io = TcpStream::connect(("127.0.0.1", port)).await?;
        io.set_nodelay(true)?;
        let (reader, writer) = io.into_split();
        let connection = Arc::new(Connection::default());
        tokio::spawn(Arc::clone(&connection).write(writer));
        tokio::spawn(Arc::clone(&connection).read(reader));
        Ok(Self(connection))
    }

    async fn unary(&self, request: Echo) -> Result<Echo> {
        Ok(self.0.start(&request)?.await?)
    }

    async fn server_stream(&self, _: Echo, _: &Meter) -> Result<()> {
        Err("the floor has no streams".into())
    }

    async fn client_stream(&self, _: Echo, _: u32, _: &Arc<Meter>) -> Result<Echo> {
        Err("the floor has no streams".into())
    }

    async fn ping_pong(&self) -> Result<NoStreams> {
        Err("the floor has no streams".into())
    }
}

/// The floor knows calls of one message.
#[derive(Debug)]
pub enum NoStreams {}

impl PingPong for NoStreams {
    async fn round(&mut self, _: Echo) -> Result<Echo> {
        match *self {}
    }
}
