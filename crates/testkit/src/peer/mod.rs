//! A scripted HTTP/2 peer: speaks frame by frame, as a server or as a client, and keeps no rule.
//!
//! ```
//! use highball_testkit::peer::{Frame, Peer};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let (near, far) = tokio::io::duplex(64 * 1024);
//! let client = tokio::spawn(async move { Peer::client(near, &[]).await });
//! let mut server = Peer::server(far, &[(3, 100)]).await;
//! let mut client = client.await.unwrap();
//! client.send(Frame::headers(1, &[(":method", "POST")], true)).await;
//! assert_eq!(server.next_for(1).await.stream(), 1);
//! # }
//! ```

mod frame;

use std::fmt;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

pub use frame::{Frame, header_block};

/// What a client's bytes start with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a script waits for a frame before it gives up; with paused time that is no time at all.
const PATIENCE: Duration = Duration::from_secs(3600);

/// One end of a connection, driven by a test.
///
/// Every method panics with all frames that have come when the other end does something else, which is
/// what a test wants.
pub struct Peer<S> {
    io: S,
    buffer: BytesMut,
    log: Vec<Frame>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// An end that has neither said nor heard anything.
    pub fn silent(io: S) -> Self {
        Self {
            io,
            buffer: BytesMut::new(),
            log: Vec::new(),
        }
    }

    /// A server that has read the client's preface and SETTINGS, has sent its own and has acknowledged.
    pub async fn server(io: S, settings: &[(u16, u32)]) -> Self {
        let mut peer = Self::silent(io);
        peer.read_preface().await;
        peer.send(Frame::Settings(settings.to_vec())).await;
        peer.until(|frame| matches!(frame, Frame::Settings(_)))
            .await;
        peer.send(Frame::SettingsAck).await;
        peer
    }

    /// A client that has sent its preface and SETTINGS, has read the server's and has acknowledged.
    pub async fn client(io: S, settings: &[(u16, u32)]) -> Self {
        let mut peer = Self::silent(io);
        peer.send_bytes(PREFACE).await;
        peer.send(Frame::Settings(settings.to_vec())).await;
        peer.until(|frame| matches!(frame, Frame::Settings(_)))
            .await;
        peer.send(Frame::SettingsAck).await;
        peer
    }

    /// Reads the 24 bytes that a client starts with.
    pub async fn read_preface(&mut self) {
        while self.buffer.len() < PREFACE.len() {
            assert!(self.read().await, "the end came before the preface");
        }
        let preface = self.buffer.split_to(PREFACE.len());
        assert_eq!(preface, PREFACE, "not an HTTP/2 preface");
    }

    /// Sends one frame. Says nothing if the other end is gone: what a script sends may come too late.
    pub async fn send(&mut self, frame: Frame) {
        self.send_bytes(&frame.encode()).await;
    }

    /// Sends frames in one write.
    pub async fn send_all(&mut self, frames: impl IntoIterator<Item = Frame>) {
        let mut bytes = BytesMut::new();
        for frame in frames {
            bytes.extend_from_slice(&frame.encode());
        }
        self.send_bytes(&bytes).await;
    }

    /// Sends bytes of any kind.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.io.write_all(bytes).await;
    }

    /// The next frame; `None` at the end of the connection.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::decode(&mut self.buffer) {
                self.log.push(frame.clone());
                return Some(frame);
            }
            let read = tokio::time::timeout(PATIENCE, self.read()).await;
            if !read.unwrap_or_else(|_| panic!("no frame came; so far: {self:?}")) {
                return None;
            }
        }
    }

    /// Passes over frames up to the first that `wanted` accepts.
    pub async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            match self.frame().await {
                Some(frame) if wanted(&frame) => return frame,
                Some(_) => {}
                None => panic!("the connection ended; so far: {self:?}"),
            }
        }
    }

    /// Passes over frames up to the next one for this stream; its WINDOW_UPDATEs are passed over too.
    pub async fn next_for(&mut self, stream: u32) -> Frame {
        self.until(|frame| frame.stream() == stream && !matches!(frame, Frame::WindowUpdate { .. }))
            .await
    }

    /// Passes over frames up to the next HEADERS; gives its stream.
    pub async fn headers(&mut self) -> u32 {
        self.until(|frame| matches!(frame, Frame::Headers { .. }))
            .await
            .stream()
    }

    /// All frames up to the end of the connection.
    pub async fn rest(&mut self) -> Vec<Frame> {
        let mut rest = Vec::new();
        while let Some(frame) = self.frame().await {
            rest.push(frame);
        }
        rest
    }

    /// What has come within `time`, without waiting for more.
    pub async fn within(&mut self, time: Duration) -> Vec<Frame> {
        let mut frames = Vec::new();
        let end = tokio::time::Instant::now() + time;
        while let Ok(Some(frame)) = tokio::time::timeout_at(end, self.frame()).await {
            frames.push(frame);
        }
        frames
    }

    /// Every frame that has come.
    pub fn log(&self) -> &[Frame] {
        &self.log
    }

    /// The byte stream itself.
    pub fn into_io(self) -> S {
        self.io
    }

    async fn read(&mut self) -> bool {
        matches!(self.io.read_buf(&mut self.buffer).await, Ok(1..))
    }
}

impl<S> fmt::Debug for Peer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.log).finish()
    }
}
