//! A way through an HTTP proxy (`CONNECT`, gRFC A1).
//!
//! ```text
//!   dial the proxy ──► CONNECT server:443 HTTP/1.1 ──► HTTP/1.1 200 … ──► bytes of the server's, also those that
//!                      Proxy-Authorization: Basic …         │             came with the reply
//!                                                           └─ anything else: the proxy's words are the error
//! ```
//!
//! By hand, for it is one request and the head of one reply, and HTTP/1.1's bodies, pipelines and upgrades have
//! no place in it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Buf as _, BytesMut};
use futures_core::future::BoxFuture;
use highball_core::{Address, ThroughProxy};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use crate::connect::{BoxIo, Connector, Io};

/// The longest head of a reply.
const LONGEST_HEAD: usize = 16 * 1024;

/// How much of what a proxy says is shown.
const SHOWN: usize = 200;

/// What went wrong between a proxy and us.
#[derive(Debug, thiserror::Error)]
enum ProxyError {
    #[error("cannot ask a proxy for {0:?}")]
    Target(String),
    #[error("failed to send CONNECT to the proxy: {0}")]
    Send(io::Error),
    #[error("failed to read the proxy's answer to CONNECT: {0}")]
    Receive(io::Error),
    #[error("the proxy closed the connection instead of answering CONNECT{}", after(.0))]
    Closed(String),
    #[error("the proxy answered CONNECT with a head of more than {LONGEST_HEAD} bytes")]
    Oversize,
    #[error("the proxy does not answer in HTTP/1.1: {0:?}")]
    NotHttp(String),
    #[error("failed to do connect handshake, response: {0:?}")]
    Refused(String),
}

/// Connects to `address`: through a proxy, if it has the attribute [`ThroughProxy`].
pub(crate) fn connect<'a>(
    connector: &'a dyn Connector,
    address: &'a Address,
    user_agent: &'a str,
) -> BoxFuture<'a, io::Result<BoxIo>> {
    match address.attributes().get::<ThroughProxy>() {
        Some(through) => Box::pin(tunnel(connector, address, through, user_agent)),
        None => connector.connect(address),
    }
}

async fn tunnel(
    connector: &dyn Connector,
    address: &Address,
    through: &ThroughProxy,
    user_agent: &str,
) -> io::Result<BoxIo> {
    let request = request(address.text(), through, user_agent)?;
    let proxy = Address::tcp(through.proxy());
    let mut io = connector.connect(&proxy).await?;
    let sent = async {
        io.write_all(request.as_bytes()).await?;
        io.flush().await
    };
    sent.await
        .map_err(|error| failed(error.kind(), ProxyError::Send(error)))?;
    let early = answer(&mut io).await?;
    Ok(Box::new(Tunnel {
        io,
        early,
        server: address.clone(),
    }))
}

fn request(server: &str, through: &ThroughProxy, user_agent: &str) -> io::Result<String> {
    // It may be what somebody has typed: no spaces, no further lines.
    if server.is_empty() || !server.bytes().all(|byte| byte.is_ascii_graphic()) {
        let error = ProxyError::Target(server.to_owned());
        return Err(failed(io::ErrorKind::InvalidInput, error));
    }
    let authorization = through.user_info().map_or_else(String::new, |user_info| {
        let encoded = BASE64_STANDARD.encode(user_info);
        format!("Proxy-Authorization: Basic {encoded}\r\n")
    });
    Ok(format!(
        "CONNECT {server} HTTP/1.1\r\nHost: {server}\r\nUser-Agent: {}\r\n{authorization}\r\n",
        printable(user_agent)
    ))
}

/// As in calls: what a header cannot carry is left out.
fn printable(text: &str) -> String {
    text.chars()
        .filter(|char| matches!(char, ' '..='~'))
        .collect()
}

/// Waits until the proxy says yes. What came behind its words is the server's.
async fn answer(io: &mut BoxIo) -> io::Result<BytesMut> {
    let mut read = BytesMut::with_capacity(1024);
    loop {
        let head = head(io, &mut read).await?;
        let code = code(&head).ok_or_else(|| {
            let error = ProxyError::NotHttp(first_line(&head).to_owned());
            failed(io::ErrorKind::InvalidData, error)
        })?;
        match code {
            // Interim words; a switch of protocols is nothing that was asked for.
            100 | 102..=199 => {}
            200..=299 => return Ok(read),
            _ => {
                let error = ProxyError::Refused(refusal(&head));
                return Err(failed(io::ErrorKind::PermissionDenied, error));
            }
        }
    }
}

/// The next head, up to the empty line that ends it. What came behind stays in `read`.
async fn head(io: &mut BoxIo, read: &mut BytesMut) -> io::Result<String> {
    let mut searched = 0;
    loop {
        let end = read[searched..]
            .windows(4)
            .position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = read.split_to(searched + end + 4);
            return Ok(String::from_utf8_lossy(&head).into_owned());
        }
        if read.len() > LONGEST_HEAD {
            return Err(failed(io::ErrorKind::InvalidData, ProxyError::Oversize));
        }
        // The end of what was searched may be the beginning of an end.
        searched = read.len().saturating_sub(3);
        let received = io.read_buf(read).await;
        let count = received.map_err(|error| failed(error.kind(), ProxyError::Receive(error)))?;
        if count == 0 {
            let said = String::from_utf8_lossy(read).into_owned();
            let error = ProxyError::Closed(first_line(&said).to_owned());
            return Err(failed(io::ErrorKind::UnexpectedEof, error));
        }
    }
}

/// The three digits of `HTTP/1.1 200 OK`.
fn code(head: &str) -> Option<u16> {
    let (version, rest) = first_line(head).split_once(' ')?;
    let digits = rest.split(' ').next()?;
    let is_http = matches!(version, "HTTP/1.0" | "HTTP/1.1");
    let are_digits = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_http && are_digits).then(|| digits.parse().ok())?
}

/// What a proxy says no with: its status, and how it wants to be shown who asks.
fn refusal(head: &str) -> String {
    let wants = head.lines().skip(1).filter(|line| {
        let name = line.split(':').next().unwrap_or(line);
        name.eq_ignore_ascii_case("proxy-authenticate")
    });
    let lines: Vec<_> = std::iter::once(first_line(head)).chain(wants).collect();
    shortened(&lines.join("; ")).to_owned()
}

fn first_line(text: &str) -> &str {
    shortened(text.lines().next().unwrap_or_default())
}

fn shortened(text: &str) -> &str {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

fn after(said: &str) -> String {
    match said {
        "" => String::new(),
        said => format!(", after {said:?}"),
    }
}

fn failed(kind: io::ErrorKind, error: ProxyError) -> io::Error {
    io::Error::new(kind, error)
}

/// A byte stream to a server that a proxy has made.
struct Tunnel {
    io: BoxIo,
    /// What the server said while the proxy still did.
    early: BytesMut,
    server: Address,
}

impl Io for Tunnel {
    /// The server's: the proxy is but the way to it, and being near to a proxy makes no server near.
    fn peer(&self) -> Address {
        Address::tcp(self.server.text())
    }

    fn set_user_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.io.set_user_timeout(timeout)
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, out);
        }
        let count = out.remaining().min(self.early.len());
        out.put_slice(&self.early[..count]);
        self.early.advance(count);
        if self.early.is_empty() {
            self.early = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use highball_core::Attributes;

    use super::*;
    use crate::MemoryNetwork;

    /// What comes of asking `server` of a proxy that answers with these bytes, in pieces of this size, and then
    /// closes; and what the proxy was asked.
    async fn asked(server: &str, reply: &[u8], piece: usize) -> (io::Result<BoxIo>, String) {
        let network = MemoryNetwork::new();
        let mut proxy = network.listen("proxy:1");
        let through = ThroughProxy::new("proxy:1").with_user_info("me:s@cret");
        let address = Address::tcp(server).with_attributes(Attributes::default().with(through));
        let answering = async {
            let mut io = proxy.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(io.read_u8().await.unwrap());
            }
            for piece in reply.chunks(piece) {
                // The client may have heard enough.
                let _ = io.write_all(piece).await;
                tokio::task::yield_now().await;
            }
            String::from_utf8(request).unwrap()
        };
        tokio::join!(connect(&network, &address, "highball/1"), answering)
    }

    async fn error(reply: &[u8]) -> String {
        let mut texts = Vec::new();
        for piece in [1, 7, reply.len().max(1)] {
            let (asked, _) = asked("server:443", reply, piece).await;
            texts.push(asked.unwrap_err().to_string());
        }
        texts.dedup();
        assert_eq!(texts.len(), 1, "the same in any pieces: {texts:?}");
        texts.remove(0)
    }

    #[tokio::test]
    async fn the_proxy_is_asked_for_the_server_and_shown_who_asks() {
        let (io, request) = asked("server:443", b"HTTP/1.1 200 OK\r\n\r\n", 1).await;
        assert_eq!(
            request,
            "CONNECT server:443 HTTP/1.1\r\n\
             Host: server:443\r\n\
             User-Agent: highball/1\r\n\
             Proxy-Authorization: Basic bWU6c0BjcmV0\r\n\r\n"
        );
        assert_eq!(io.unwrap().peer(), Address::tcp("server:443"));
    }

    #[tokio::test]
    async fn what_the_server_says_before_it_is_spoken_to_is_not_lost() {
        let head = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 204 \r\nContent-Length: 9\r\n\r\n";
        let reply = format!("{head}hello\r\n\r\nworld");
        for piece in 1..=reply.len() {
            let (io, _) = asked("server:443", reply.as_bytes(), piece).await;
            let mut said = String::new();
            io.unwrap().read_to_string(&mut said).await.unwrap();
            assert_eq!(said, "hello\r\n\r\nworld", "{piece}");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_proxys_words() {
        assert_eq!(
            error(b"HTTP/1.1 403 Forbidden\r\nServer: x\r\n\r\n").await,
            "failed to do connect handshake, response: \"HTTP/1.1 403 Forbidden\""
        );
        let wants =
            b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n";
        assert_eq!(
            error(wants).await,
            "failed to do connect handshake, response: \
             \"HTTP/1.1 407 Proxy Authentication Required; proxy-authenticate: Basic\""
        );
        for code in ["101", "302", "500"] {
            let told = error(format!("HTTP/1.1 {code} No\r\n\r\n").as_bytes()).await;
            assert!(told.contains(code), "{told}");
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_says_what_it_was() {
        let closed = "the proxy closed the connection instead of answering CONNECT";
        assert_eq!(error(b"").await, closed);
        assert_eq!(
            error(b"HTTP/1.1 200 OK\r\nA: b").await,
            format!("{closed}, after \"HTTP/1.1 200 OK\"")
        );
        for strange in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 20\r\n\r\n",
            "HTTP/1.1 +20\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
            "\r\n\r\n",
        ] {
            let told = error(strange.as_bytes()).await;
            assert!(
                told.starts_with("the proxy does not answer in HTTP/1.1"),
                "{told}"
            );
        }
    }

    #[tokio::test]
    async fn a_head_without_end_is_given_up() {
        let reply = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(100_000));
        for piece in [1, 1000] {
            let (asked, _) = asked("server:443", reply.as_bytes(), piece).await;
            assert_eq!(
                asked.unwrap_err().to_string(),
                "the proxy answered CONNECT with a head of more than 16384 bytes"
            );
        }
    }

    #[tokio::test]
    async fn nothing_but_a_server_is_asked_for() {
        let network = MemoryNetwork::new();
        for server in ["", "a:1\r\nHost: b", "a b:1", "ä:1"] {
            let through = Attributes::default().with(ThroughProxy::new("proxy:1"));
            let address = Address::tcp(server).with_attributes(through);
            let error = connect(&network, &address, "x").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{server:?}");
        }
    }
}
