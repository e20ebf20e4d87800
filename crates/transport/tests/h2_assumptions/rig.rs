//! h2 at one end of a pipe in memory, a script at the other.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream, client, server};
use highball_testkit::peer::{Frame, Peer};
use http::Request;
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;

const PIPE: usize = 1 << 20;

/// A client of h2's, and a server that the test speaks for.
pub(crate) struct Client {
    pub(crate) send: SendRequest<Bytes>,
    pub(crate) connection: JoinHandle<Result<(), h2::Error>>,
    pub(crate) peer: Peer<DuplexStream>,
}

impl Client {
    /// With h2's defaults.
    pub(crate) async fn new(settings: &[(u16, u32)]) -> Self {
        Self::with(settings, |_| {}).await
    }

    pub(crate) async fn with(
        settings: &[(u16, u32)],
        configure: impl FnOnce(&mut client::Builder),
    ) -> Self {
        let (near, far) = pipe();
        let mut builder = client::Builder::new();
        configure(&mut builder);
        let (send, connection) = builder.handshake(near).await.unwrap();
        let connection = tokio::spawn(connection);
        let peer = Peer::server(far, settings).await;
        settle().await;
        Self {
            send,
            connection,
            peer,
        }
    }

    /// Gives h2 a request; the body is open.
    pub(crate) fn request(&self) -> (ResponseFuture, SendStream<Bytes>) {
        // One handle for each call, as a gRPC client has it.
        self.send.clone().send_request(request(), false).unwrap()
    }

    /// A call that the server has opened its answer to.
    pub(crate) async fn call(&mut self) -> (u32, RecvStream, SendStream<Bytes>) {
        let (response, send) = self.request();
        let stream = self.peer.headers().await;
        self.peer.send(answer(stream)).await;
        (stream, response.await.unwrap().into_body(), send)
    }

    /// Whether the next request can be sent.
    pub(crate) async fn ready(&self) -> Result<(), h2::Error> {
        let mut send = self.send.clone();
        poll_fn(|cx| send.poll_ready(cx)).await
    }
}

/// A server of h2's, and a client that the test speaks for.
pub(crate) struct Server {
    pub(crate) h2: server::Connection<DuplexStream, Bytes>,
    pub(crate) peer: Peer<DuplexStream>,
}

impl Server {
    pub(crate) async fn new(configure: impl FnOnce(&mut server::Builder)) -> Self {
        let (near, far) = pipe();
        let mut builder = server::Builder::new();
        configure(&mut builder);
        // The client hears of the server's SETTINGS when somebody drives the server.
        let mut peer = Peer::silent(far);
        peer.send_bytes(highball_testkit::peer::PREFACE).await;
        peer.send_all([Frame::Settings(vec![]), Frame::SettingsAck])
            .await;
        let h2 = builder.handshake(near).await.unwrap();
        Self { h2, peer }
    }
}

/// Both ends of a connection. Says which h2 is at one of them.
#[expect(clippy::print_stdout, reason = "a failure shows what it was seen on")]
pub(crate) fn pipe() -> (DuplexStream, DuplexStream) {
    println!("h2 {}", version());
    tokio::io::duplex(PIPE)
}

/// The version in the workspace's lock file.
pub(crate) fn version() -> &'static str {
    let lock = include_str!("../../../../Cargo.lock");
    let (_, rest) = lock.split_once("name = \"h2\"\nversion = \"").unwrap();
    rest.split('"').next().unwrap()
}

fn request() -> Request<()> {
    Request::post("http://server/echo.Echo/Echo")
        .body(())
        .unwrap()
}

/// The headers of a request.
pub(crate) fn call(stream: u32, end: bool) -> Frame {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/echo.Echo/Echo"),
        (":authority", "server"),
    ];
    Frame::headers(stream, &fields, end)
}

/// The headers of a response.
pub(crate) fn answer(stream: u32) -> Frame {
    Frame::headers(stream, &[(":status", "200")], false)
}

/// Lets everything happen that is due.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// What the peer is told with GOAWAY, and after how many frames of these.
///
/// `None`: it is told nothing.
pub(crate) async fn goaway_after(
    peer: &mut Peer<DuplexStream>,
    frames: impl IntoIterator<Item = Frame>,
) -> Option<(usize, u32, String)> {
    for (index, frame) in frames.into_iter().enumerate() {
        peer.send(frame).await;
        let said = peer.within(Duration::from_millis(1)).await;
        if let Some((code, debug)) = said.iter().find_map(goaway) {
            return Some((index + 1, code, debug));
        }
    }
    None
}

pub(crate) fn goaway(frame: &Frame) -> Option<(u32, String)> {
    match frame {
        Frame::GoAway { code, debug, .. } => {
            Some((*code, String::from_utf8_lossy(debug).into_owned()))
        }
        _ => None,
    }
}

/// How often a frame of this kind is among them.
pub(crate) fn count(frames: &[Frame], is: impl Fn(&Frame) -> bool) -> usize {
    frames.iter().filter(|frame| is(frame)).count()
}
