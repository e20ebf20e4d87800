//! A client's connection with a scripted server at its other end.

use std::borrow::Borrow;
use std::time::Duration;

use bytes::{BufMut as _, Bytes};
use highball_testkit::peer::{Frame, Peer};
use highball_transport::client::{
    ClientOptions, Connection, ConnectionEnd, Ended, RecvHalf, RequestHead, SendHalf, connect,
};
use highball_transport::{BoxIo, MemoryNetwork, framing};

pub(crate) const GRPC: [(&str, &str); 2] =
    [(":status", "200"), ("content-type", "application/grpc")];
pub(crate) const OK: [(&str, &str); 1] = [("grpc-status", "0")];

/// One connection, seen from both ends.
pub(crate) struct Rig {
    pub(crate) network: MemoryNetwork,
    pub(crate) connection: Connection,
    pub(crate) end: ConnectionEnd,
    pub(crate) peer: Peer<BoxIo>,
}

impl Rig {
    pub(crate) async fn new(settings: &[(u16, u32)]) -> Self {
        Self::with(settings, ClientOptions::default()).await
    }

    pub(crate) async fn with(settings: &[(u16, u32)], options: impl Borrow<ClientOptions>) -> Self {
        let network = MemoryNetwork::new();
        let mut listener = network.listen("server");
        let serving = async { Peer::server(listener.accept().await.unwrap(), settings).await };
        let address = "server".into();
        let connecting = connect(&network, &address, options.borrow());
        let (connected, peer) = tokio::join!(connecting, serving);
        let (connection, end) = connected.unwrap();
        Self {
            network,
            connection,
            end,
            peer,
        }
    }

    /// Opens a stream without sending a message.
    pub(crate) async fn open(&self) -> (SendHalf, RecvHalf) {
        let slot = self.connection.slot().await.unwrap();
        self.connection.open(slot, head()).unwrap()
    }

    /// Sends one whole request; waits until the server has its HEADERS.
    pub(crate) async fn request(&mut self) -> (u32, RecvHalf) {
        let (mut send, recv) = self.open().await;
        send.send(message(b"request"), true).await.unwrap();
        (self.peer.headers().await, recv)
    }

    /// How a call ends whose response is these frames; they are for stream 1.
    pub(crate) async fn outcome(frames: &[Frame]) -> (Option<Bytes>, Result<(), Ended>) {
        let mut rig = Self::new(&[]).await;
        let (_, mut recv) = rig.request().await;
        rig.peer.send_all(frames.to_vec()).await;
        let message = match recv.message().await {
            Ok(message) => message,
            Err(ended) => return (None, Err(ended)),
        };
        let end = recv.message().await;
        (message, end.map(|more| assert_eq!(more, None)))
    }
}

pub(crate) fn head() -> RequestHead {
    RequestHead::new(
        "server".parse().unwrap(),
        "/echo.Echo/Echo".parse().unwrap(),
    )
}

pub(crate) fn message(payload: &[u8]) -> Bytes {
    framing::encode(payload.len(), usize::MAX, |buffer| {
        buffer.put_slice(payload)
    })
    .unwrap()
}

/// A whole response on one stream.
pub(crate) fn response(stream: u32, payload: &[u8]) -> [Frame; 3] {
    [
        Frame::headers(stream, &GRPC, false),
        Frame::data(stream, message(payload), false),
        Frame::headers(stream, &OK, true),
    ]
}

/// Lets everything happen that is due.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

pub(crate) fn is_reset(frame: &Frame) -> bool {
    matches!(frame, Frame::Reset { .. })
}
