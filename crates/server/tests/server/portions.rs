//! Bursts of calls, and in how many writes they are answered.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use highball_core::Address;
use highball_server::{Listener, ServeError, Server};
use highball_transport::{BoxIo, Io, MemoryListener, MemoryNetwork};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;

use crate::support::raw::{self, Peer};
use crate::support::{Lab, NAME, Seen, settle};

/// What the server writes, a write at a time.
#[derive(Clone, Debug, Default)]
struct Writes(Arc<Mutex<Vec<Vec<u8>>>>);

impl Writes {
    /// How many calls each write since the last time has ended.
    fn calls_ended(&self) -> Vec<usize> {
        let mut writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = writes.drain(..).map(|bytes| trailers(&bytes));
        ended.filter(|calls| *calls > 0).collect()
    }
}

/// How many HEADERS with END_STREAM there are.
fn trailers(mut frames: &[u8]) -> usize {
    let mut count = 0;
    while let [a, b, c, kind, flags, ..] = *frames {
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        count += usize::from(kind == raw::HEADERS && flags & raw::END_STREAM != 0);
        frames = &frames[9 + length..];
    }
    count
}

#[derive(Debug)]
struct Recorded {
    io: BoxIo,
    writes: Writes,
}

impl Io for Recorded {
    fn peer(&self) -> Address {
        self.io.peer()
    }
}

impl AsyncRead for Recorded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, out)
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = std::task::ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        assert_eq!(written, bytes.len(), "there is room for all");
        let mut writes = self.writes.0.lock().unwrap_or_else(PoisonError::into_inner);
        writes.push(bytes.to_vec());
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Records what is written to those who come.
struct Recording {
    listener: MemoryListener,
    writes: Writes,
}

impl Listener for Recording {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<BoxIo>> {
        Box::pin(async {
            let io = self.listener.accept().await?;
            let writes = self.writes.clone();
            Ok(Box::new(Recorded { io, writes }) as BoxIo)
        })
    }

    fn local_addr(&self) -> Address {
        self.listener.local_addr()
    }
}

/// A server that runs.
struct Serving {
    server: Server,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Serving {
    async fn end(self) {
        self.server.stop().await;
        self.task.await.unwrap().unwrap();
    }
}

/// A server whose writes are recorded.
fn serve() -> (MemoryNetwork, Writes, Serving) {
    let network = MemoryNetwork::new();
    let writes = Writes::default();
    let listener = Recording {
        listener: network.listen(NAME),
        writes: writes.clone(),
    };
    let server = Server::builder().add_service(Lab(Seen::default())).build();
    let task = tokio::spawn(server.clone().serve(listener));
    (network, writes, Serving { server, task })
}

/// `count` calls of `Echo`, of which the first is `stream`.
fn calls(stream: u32, count: u32) -> Vec<u8> {
    let message = [0, 0, 0, 0, 3, 10, 1, b'x'];
    let mut bytes = Vec::new();
    for stream in (stream..).step_by(2).take(count as usize) {
        bytes.extend(raw::frame(
            raw::HEADERS,
            raw::END_HEADERS,
            stream,
            &raw::call("Echo"),
        ));
        bytes.extend(raw::frame(raw::DATA, raw::END_STREAM, stream, &message));
    }
    bytes
}

/// A client that says so many calls in one write, and waits for their ends.
async fn burst(client: &mut Peer, stream: u32, count: u32) {
    client.write(&calls(stream, count)).await;
    for _ in 0..count {
        while client.next().await.unwrap().flags & raw::END_STREAM == 0 {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_answered_in_two_halves_unless_the_server_works_for_others_meanwhile() {
    let (network, writes, serving) = serve();
    let mut client = Peer::connect(&network).await;
    settle().await;

    burst(&mut client, 1, 10).await;
    assert_eq!(
        writes.calls_ended(),
        [1, 1, 2, 4, 2],
        "how many come is not known yet"
    );
    burst(&mut client, 21, 10).await;
    assert_eq!(writes.calls_ended(), [5, 5]);
    burst(&mut client, 41, 5).await;
    assert_eq!(writes.calls_ended(), [5]);

    let mut other = Peer::connect(&network).await;
    settle().await;
    for turn in 0..3 {
        burst(&mut other, 1 + 20 * turn, 10).await;
        assert_eq!(writes.calls_ended(), [10]);
        burst(&mut client, 51 + 20 * turn, 10).await;
        assert_eq!(writes.calls_ended(), [10]);
    }

    drop((client, other));
    serving.end().await;
}

#[tokio::test(start_paused = true)]
async fn with_each_portion_a_server_looks_at_more_than_calls() {
    let (network, writes, serving) = serve();
    let mut client = Peer::connect(&network).await;
    settle().await;
    burst(&mut client, 1, 10).await;
    writes.calls_ended();

    // More PINGs than a client may send, in one write with calls of two portions.
    let ping = raw::frame(raw::PING, 0, 0, &[0; 8]);
    let bytes = [ping.repeat(6), calls(21, 10)].concat();
    client.write(&bytes).await;
    let goaway = loop {
        let frame = client.next().await.unwrap();
        if frame.kind == raw::GOAWAY {
            break frame;
        }
    };
    assert_eq!(goaway.payload[8..], *b"too_many_pings");
    assert_eq!(writes.calls_ended(), [5], "the second portion is not begun");

    drop(client);
    serving.end().await;
}
