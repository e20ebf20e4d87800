//! The client's side.

use std::fmt;
use std::sync::Arc;

use bench_kit::{Echo, Meter, Peer, PingPong, Result, requests};
use bytes::Bytes;
use futures::StreamExt;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderValue, Method, Request, header};
use tokio::net::TcpStream;

use crate::framing::{self, Messages};
use crate::settings;

/// A connection.
#[derive(Clone, Debug)]
pub struct Client {
    sender: SendRequest<Bytes>,
    port: u16,
    unary: Uri,
}

/// An open call of `Bidi`.
pub struct Conversation {
    requests: SendStream<Bytes>,
    replies: Replies,
}

/// A response comes when the server has something to say.
enum Replies {
    Awaited(ResponseFuture),
    Open(Messages),
}

impl Client {
    /// Opens a stream, with the request's headers.
    async fn open(&self, uri: Uri) -> Result<(ResponseFuture, SendStream<Bytes>)> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        let content_type = HeaderValue::from_static("application/grpc");
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        let mut sender = self.sender.clone().ready().await?;
        Ok(sender.send_request(request, false)?)
    }
}

fn uri(port: u16, path: &'static str) -> Result<Uri> {
    Ok(Uri::builder()
        .scheme("http")
        .authority(format!("127.0.0.1:{port}"))
        .path_and_query(PathAndQuery::from_static(path))
        .build()?)
}

/// Reads the status behind the messages.
async fn finish(messages: &mut Messages) -> Result<()> {
    let trailers = messages.stream().trailers().await?;
    match trailers
        .as_ref()
        .and_then(|trailers| trailers.get("grpc-status"))
    {
        Some(status) if status == "0" => Ok(()),
        status => Err(format!("the status is {status:?}").into()),
    }
}

/// Reads the only message and the status.
async fn single(response: ResponseFuture) -> Result<Echo> {
    let mut messages = Messages::new(response.await?.into_body());
    let reply = messages.next().await?.ok_or("no reply")?;
    finish(&mut messages).await?;
    Ok(reply)
}

impl Peer for Client {
    type PingPong = Conversation;

    async fn connect(port: u16) -> Result<Self> {
        let io = TcpStream::connect(("127.0.0.1", port)).await?;
        io.set_nodelay(true)?;
        let handshake = h2::client::Builder::new()
            .initial_window_size(settings::STREAM_WINDOW)
            .initial_connection_window_size(settings::CONNECTION_WINDOW)
            .handshake(io);
        let (sender, connection) = handshake.await?;
        tokio::spawn(connection);
        let unary = uri(port, "/bench.Echo/Unary")?;
        Ok(Self {
            sender,
            port,
            unary,
        })
    }

    async fn unary(&self, message: Echo) -> Result<Echo> {
        let frame = framing::frame(&message)?;
        let (response, mut stream) = self.open(self.unary.clone()).await?;
        stream.send_data(frame, true)?;
        single(response).await
    }

    async fn server_stream(&self, message: Echo, meter: &Meter) -> Result<()> {
        let frame = framing::frame(&message)?;
        let (response, mut stream) = self
            .open(uri(self.port, "/bench.Echo/ServerStream")?)
            .await?;
        stream.send_data(frame, true)?;
        let mut messages = Messages::new(response.await?.into_body());
        while messages.next().await?.is_some() {
            meter.message();
        }
        finish(&mut messages).await
    }

    async fn client_stream(&self, message: Echo, count: u32, meter: &Arc<Meter>) -> Result<Echo> {
        let (response, mut stream) = self
            .open(uri(self.port, "/bench.Echo/ClientStream")?)
            .await?;
        let mut messages = requests(message, count, meter);
        // All of them are ready at once.
        let ready = std::iter::from_fn(|| futures::FutureExt::now_or_never(messages.next())?);
        framing::send_packed(ready, &mut stream).await?;
        stream.send_data(Bytes::new(), true)?;
        single(response).await
    }

    async fn ping_pong(&self) -> Result<Conversation> {
        let (response, stream) = self.open(uri(self.port, "/bench.Echo/Bidi")?).await?;
        Ok(Conversation {
            requests: stream,
            replies: Replies::Awaited(response),
        })
    }
}

impl PingPong for Conversation {
    async fn round(&mut self, message: Echo) -> Result<Echo> {
        self.requests.send_data(framing::frame(&message)?, false)?;
        if let Replies::Awaited(response) = &mut self.replies {
            self.replies = Replies::Open(Messages::new(response.await?.into_body()));
        }
        let Replies::Open(messages) = &mut self.replies else {
            return Err("no response".into());
        };
        messages
            .next()
            .await?
            .ok_or_else(|| "the server hung up".into())
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation").finish_non_exhaustive()
    }
}
