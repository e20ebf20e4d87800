//! What the server's end says of a call, and of a connection, that is gone: to handlers and to logs.

use std::time::Duration;

use bytes::Bytes;
use futures::future::poll_fn;
use highball_core::Status;
use highball_testkit::peer::{Frame, Peer, header_block};
use highball_transport::server::{Incoming, Keepalive, Receiver, ServerConnection, ServerOptions};
use highball_transport::{BoxIo, Connector as _, MemoryNetwork};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const CANCEL: u32 = 8;
const FLOW_CONTROL_ERROR: u32 = 3;

/// A server's connection, and the script at its other end.
struct Served {
    network: MemoryNetwork,
    peer: Peer<BoxIo>,
    calls: mpsc::UnboundedReceiver<Box<Incoming>>,
    /// Runs until the connection has ended; why it has.
    connection: JoinHandle<String>,
}

impl Served {
    async fn with(options: ServerOptions) -> Self {
        let network = MemoryNetwork::new();
        let mut listener = network.listen("server");
        let near = network.connect(&"server".into()).await.unwrap();
        let io = listener.accept().await.unwrap();
        let (sender, calls) = mpsc::unbounded_channel();
        let connection = tokio::spawn(async move {
            let mut connection = ServerConnection::handshake(io, &options).await.unwrap();
            while let Some(call) = connection.accept().await {
                sender.send(call).unwrap();
            }
            connection.end_reason().to_owned()
        });
        Self {
            network,
            peer: Peer::client(near, &[]).await,
            calls,
            connection,
        }
    }

    /// A call whose request has begun.
    async fn call(&mut self, stream: u32) -> Box<Incoming> {
        let block = header_block(&[
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/echo.Echo/Echo"),
            (":authority", "server"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]);
        let end = false;
        self.peer.send(Frame::Headers { stream, block, end }).await;
        self.calls.recv().await.unwrap()
    }
}

async fn next(receiver: &mut Receiver) -> Option<Result<Bytes, Status>> {
    poll_fn(|cx| receiver.poll_message(1 << 20, cx)).await
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_message_hears_that_the_call_is_gone() {
    let mut served = Served::with(ServerOptions::default()).await;
    let mut reset = served.call(1).await;
    let mut cut = served.call(3).await;
    let code = CANCEL;
    served.peer.send(Frame::Reset { stream: 1, code }).await;
    let said = next(&mut reset.receiver).await.unwrap().unwrap_err();
    assert_eq!(
        said.to_string(),
        "CANCELLED: the call is gone: stream error received: stream no longer needed"
    );
    served.network.cut("server");
    let said = next(&mut cut.receiver).await.unwrap().unwrap_err();
    let said = said.to_string();
    assert!(said.starts_with("CANCELLED: the call is gone: "), "{said}");
    let why = served.connection.await.unwrap();
    assert!(why.contains("reset"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn data_beyond_the_window_of_its_stream_resets_it_and_spares_the_others() {
    let mut served = Served::with(ServerOptions::default()).await;
    let unread = served.call(1).await;
    let mut other = served.call(3).await;
    // 256 KiB may come before somebody reads.
    let data = Frame::data(1, vec![0; 16 * 1024], false);
    served.peer.send_all(vec![data; 16]).await;
    let frames = served.peer.within(Duration::from_secs(1)).await;
    assert!(frames.iter().all(|frame| frame.stream() != 1), "{frames:?}");
    served.peer.send(Frame::data(1, "x", false)).await;
    let (stream, code) = (1, FLOW_CONTROL_ERROR);
    let reset = Frame::Reset { stream, code };
    assert_eq!(served.peer.next_for(1).await, reset);
    drop(unread);
    let message = Frame::data(3, &b"\0\0\0\0\x02on"[..], true);
    served.peer.send(message).await;
    let message = next(&mut other.receiver).await.unwrap();
    assert_eq!(message.unwrap(), "on");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_is_named_as_the_reason() {
    let mut options = ServerOptions::default();
    options.keepalive = Some(Keepalive {
        time: Duration::from_millis(10),
        timeout: Duration::from_secs(5),
    });
    let started = tokio::time::Instant::now();
    let mut served = Served::with(options).await;
    let is_ping = |frame: &Frame| matches!(frame, Frame::Ping { ack: false, .. });
    served.peer.until(is_ping).await;
    assert_eq!(started.elapsed().as_secs(), 1, "no more often than that");
    let why = served.connection.await.unwrap();
    assert_eq!(why, "keepalive ping not acked within timeout");
    assert_eq!(started.elapsed().as_secs(), 6);
}
