//! A client that writes frames by hand, for what no client library would say.

use highball_core::Address;
use highball_transport::{BoxIo, Connector as _, MemoryNetwork};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::NAME;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;

pub(crate) const CANCEL: u32 = 8;

pub(crate) struct Peer {
    pub(crate) io: BoxIo,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The code of RST_STREAM or GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// The last stream of GOAWAY.
    pub(crate) fn last_stream(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }
}

impl Peer {
    /// A connection on which nothing is said yet.
    pub(crate) async fn silent(network: &MemoryNetwork) -> Self {
        let io = network.connect(&Address::tcp(NAME)).await.unwrap();
        Self { io }
    }

    pub(crate) async fn connect(network: &MemoryNetwork) -> Self {
        let mut peer = Self::silent(network).await;
        peer.write(PREFACE).await;
        peer.frame(SETTINGS, 0, 0, &[]).await;
        peer.frame(SETTINGS, ACK, 0, &[]).await;
        peer
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.write(&frame(kind, flags, stream, payload)).await;
    }

    /// The next frame but SETTINGS, WINDOW_UPDATE and acknowledgements; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = self.next_of_all().await?;
            let is_ack = frame.kind == PING && frame.flags == 1;
            if !is_ack && frame.kind != SETTINGS && frame.kind != 8 {
                return Some(frame);
            }
        }
    }

    pub(crate) async fn next_of_all(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.io.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.io.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes(head[5..].try_into().unwrap()),
            payload,
        })
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header block of literals that are not indexed.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            bytes.push(text.len() as u8);
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// The headers of a call of a method of the lab.
pub(crate) fn call(method: &str) -> Vec<u8> {
    block(&head(&format!("/test.Lab/{method}")))
}

pub(crate) fn head(path: &str) -> Vec<(&str, &str)> {
    vec![
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "lab.example"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]
}
