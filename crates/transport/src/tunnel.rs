//! A way through an HTTP proxy (`CONNECT`, gRFC A1).
//!
//! ```text
//!   dial the proxy ──► CONNECT server:443 HTTP/1.1 ──► HTTP/1.1 200 … ──► bytes of the server's, also those that
//!                      Proxy-Authorization: Basic …         │             came with the reply
//!                                                           └─ anything else: the proxy's words are the error
//! ```
//!
//! hyper says this and reads the answer. Then it gives the byte stream back, and what it has read beyond the answer.

use std::error::Error as _;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Buf as _, Bytes};
use highball_core::{Address, ThroughProxy};
use http::header::{HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, USER_AGENT};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::ext::ReasonPhrase;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connect::{BoxIo, Connector, Io};

/// The longest head of a reply.
const LONGEST_HEAD: usize = 16 * 1024;

/// The most headers of a reply.
const MOST_HEADERS: usize = 100;

/// How much of what a proxy says is shown.
const SHOWN: usize = 200;

/// What went wrong between a proxy and us.
#[derive(Debug, thiserror::Error)]
enum ProxyError {
    #[error("cannot ask a proxy for {0:?}")]
    Target(String),
    #[error("the connection to the proxy broke before it had answered CONNECT: {0}")]
    Broken(String),
    #[error("the proxy closed the connection instead of answering CONNECT{}", after(.0))]
    Closed(String),
    #[error("the proxy answered CONNECT with a head of more than {LONGEST_HEAD} bytes")]
    Oversize,
    #[error("the proxy does not answer in HTTP/1.1 ({why}): {said:?}")]
    NotHttp { why: String, said: String },
    #[error("failed to do connect handshake, response: {0:?}")]
    Refused(String),
}

/// Connects to `address` through a proxy.
///
/// Dropping the future closes the connection to the proxy.
pub(crate) async fn connect(
    connector: &dyn Connector,
    address: &Address,
    through: &ThroughProxy,
    user_agent: &str,
) -> io::Result<BoxIo> {
    let server = address.text();
    let request = request(server, through, user_agent).ok_or_else(|| {
        let error = ProxyError::Target(server.to_owned());
        failed(io::ErrorKind::InvalidInput, error)
    })?;
    let proxy = Address::tcp(through.proxy());
    let (io, early) = ask(connector.connect(&proxy).await?, request).await?;
    Ok(Box::new(Tunnel {
        io,
        early,
        server: address.clone(),
    }))
}

/// `None`, if `server` is none: it may be what somebody has typed.
fn request(server: &str, through: &ThroughProxy, user_agent: &str) -> Option<Request<String>> {
    let authority = Authority::try_from(server).ok()?;
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(Uri::from(authority))
        .header(HOST, server)
        .header(USER_AGENT, printable(user_agent));
    if let Some(user_info) = through.user_info() {
        let basic = format!("Basic {}", BASE64_STANDARD.encode(user_info));
        let mut basic = HeaderValue::try_from(basic).ok()?;
        basic.set_sensitive(true);
        request = request.header(PROXY_AUTHORIZATION, basic);
    }
    request.body(String::new()).ok()
}

/// As in calls: what a header cannot carry is left out.
fn printable(text: &str) -> String {
    text.chars()
        .filter(|char| matches!(char, ' '..='~'))
        .collect()
}

/// Has the proxy say yes. What came behind its words is the server's.
async fn ask(io: BoxIo, request: Request<String>) -> io::Result<(BoxIo, Bytes)> {
    let handshake = http1::Builder::new()
        .title_case_headers(true)
        .max_buf_size(LONGEST_HEAD)
        .max_headers(MOST_HEADERS)
        .handshake(TokioIo::new(io));
    let (mut sender, mut connection) = handshake.await.map_err(|error| went_wrong(&error, b""))?;
    let mut is_over = false;
    let answer = {
        let mut answer = pin!(sender.send_request(request));
        // What ends the connection is told to the answer.
        poll_fn(|cx| {
            is_over = is_over || connection.poll_without_shutdown(cx).is_ready();
            answer.as_mut().poll(cx)
        })
        .await
    };
    // With the answer, hyper has done its part: the reply to a CONNECT has no body, whatever its headers say.
    let parts = connection.into_parts();
    let answer = answer.map_err(|error| went_wrong(&error, &parts.read_buf))?;
    match answer.status().is_success() {
        true => Ok((parts.io.into_inner(), parts.read_buf)),
        false => {
            let error = ProxyError::Refused(refusal(&answer));
            Err(failed(io::ErrorKind::PermissionDenied, error))
        }
    }
}

/// Why there is no answer; `read` is what there is of one.
fn went_wrong(error: &hyper::Error, read: &[u8]) -> io::Error {
    // What happens before the request has left is the reason why it is cancelled.
    let reason = error.source().and_then(|source| source.downcast_ref());
    let error: &hyper::Error = reason.unwrap_or(error);
    let broken = error.source().and_then(|source| source.downcast_ref());
    let said = first_line(&String::from_utf8_lossy(read)).to_owned();
    if let Some(broken) = broken {
        let broken: &io::Error = broken;
        failed(broken.kind(), ProxyError::Broken(broken.to_string()))
    } else if read.len() >= LONGEST_HEAD {
        failed(io::ErrorKind::InvalidData, ProxyError::Oversize)
    } else if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        failed(io::ErrorKind::UnexpectedEof, ProxyError::Closed(said))
    } else {
        let why = error.to_string();
        let error = ProxyError::NotHttp { why, said };
        failed(io::ErrorKind::InvalidData, error)
    }
}

/// What a proxy says no with: its status, and how it wants to be shown who asks.
fn refusal(answer: &Response<Incoming>) -> String {
    let status = answer.status();
    let reason = match answer.extensions().get::<ReasonPhrase>() {
        Some(own) => String::from_utf8_lossy(own.as_bytes()),
        None => status.canonical_reason().unwrap_or_default().into(),
    };
    let mut text = format!("{:?} {} {reason}", answer.version(), status.as_str());
    for wants in answer.headers().get_all(PROXY_AUTHENTICATE) {
        text.push_str("; Proxy-Authenticate: ");
        text.push_str(&String::from_utf8_lossy(wants.as_bytes()));
    }
    shortened(&text).to_owned()
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
    early: Bytes,
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
            self.early = Bytes::new();
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
    use futures_core::future::BoxFuture;
    use highball_core::Attributes;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::MemoryNetwork;
    use crate::dial::dial;

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
        tokio::join!(dial(&network, &address, "highball/1"), answering)
    }

    /// What is told of this reply, in pieces of several sizes.
    async fn errors(reply: &[u8]) -> Vec<String> {
        let mut texts = Vec::new();
        for piece in [1, 7, reply.len().max(1)] {
            let (asked, _) = asked("server:443", reply, piece).await;
            texts.push(asked.unwrap_err().to_string());
        }
        texts
    }

    async fn error(reply: &[u8]) -> String {
        let mut texts = errors(reply).await;
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
             \"HTTP/1.1 407 Proxy Authentication Required; Proxy-Authenticate: Basic\""
        );
        assert_eq!(
            error(b"HTTP/1.0 403 Not Today\r\nContent-Length: 100\r\n\r\nBecause").await,
            "failed to do connect handshake, response: \"HTTP/1.0 403 Not Today\""
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
        assert_eq!(error(b"\r\n\r\n").await, closed);
        for strange in [
            "SSH-2.0-x\r\n\r\n",
            "220 mail.test ESMTP\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 20\r\n\r\n",
            "HTTP/1.1 +20\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
            "HTTP/1.1 200 OK\r\na b\r\n\r\n",
        ] {
            for told in errors(strange.as_bytes()).await {
                let (start, said) = told.split_once("): ").unwrap();
                assert!(
                    start.starts_with("the proxy does not answer in HTTP/1.1 (invalid HTTP"),
                    "{told}"
                );
                let said = said.trim_matches('"');
                assert!(
                    !said.is_empty() && strange.starts_with(said),
                    "as much as has come: {told}"
                );
            }
        }
    }

    /// Leads to a proxy that says this without having been asked, and closes.
    #[derive(Debug)]
    struct Unasked(&'static [u8]);

    impl Connector for Unasked {
        fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>> {
            Box::pin(async move {
                let network = MemoryNetwork::new();
                let mut proxy = network.listen(address.text());
                let (io, accepted) = tokio::join!(network.connect(address), proxy.accept());
                accepted?.write_all(self.0).await?;
                io
            })
        }
    }

    #[tokio::test]
    async fn a_proxy_does_not_speak_before_it_is_asked() {
        let through = Attributes::default().with(ThroughProxy::new("proxy:1"));
        let address = Address::tcp("server:443").with_attributes(through);
        for (words, expected) in [
            (
                "",
                "the proxy closed the connection instead of answering CONNECT",
            ),
            (
                "SSH-2.0-x\r\n",
                "the proxy does not answer in HTTP/1.1 (received unexpected message from connection): \"SSH-2.0-x\"",
            ),
        ] {
            let unasked = Unasked(words.as_bytes());
            let error = dial(&unasked, &address, "x").await.unwrap_err();
            assert_eq!(error.to_string(), expected);
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
        let reply = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
        let told = error(reply.as_bytes()).await;
        assert!(told.contains("(message head is too large)"), "{told}");
        let reply = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(100));
        let (asked, _) = asked("server:443", reply.as_bytes(), 1000).await;
        assert_eq!(asked.unwrap().peer(), Address::tcp("server:443"));
    }

    #[tokio::test]
    async fn what_a_proxy_says_is_shown_up_to_a_bound() {
        let reply = format!("HTTP/1.1 403 {}\r\n\r\n", "no ".repeat(1000));
        let start = "failed to do connect handshake, response: \"HTTP/1.1 403 no no";
        let told = error(reply.as_bytes()).await;
        assert!(told.starts_with(start) && told.len() < 300, "{told}");
    }

    #[tokio::test]
    async fn an_attempt_that_is_given_up_closes_the_connection_to_the_proxy() {
        let network = MemoryNetwork::new();
        let mut proxy = network.listen("proxy:1");
        let through = Attributes::default().with(ThroughProxy::new("proxy:1"));
        let address = Address::tcp("server:443").with_attributes(through);
        let asking = dial(&network, &address, "x");
        let mut io = tokio::select! {
            biased;
            _ = asking => panic!("nobody has answered"),
            io = proxy.accept() => io.unwrap(),
        };
        let mut asked = String::new();
        io.read_to_string(&mut asked).await.unwrap();
        assert!(asked.is_empty() || asked.starts_with("CONNECT"), "{asked}");
    }

    #[tokio::test]
    async fn nothing_but_a_server_is_asked_for() {
        let network = MemoryNetwork::new();
        for server in ["", "a:1\r\nHost: b", "a b:1", "ä:1"] {
            let through = Attributes::default().with(ThroughProxy::new("proxy:1"));
            let address = Address::tcp(server).with_attributes(through);
            let error = dial(&network, &address, "x").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{server:?}");
        }
    }
}
