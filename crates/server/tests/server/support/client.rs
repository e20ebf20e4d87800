//! A client on bare h2, which says what it is told to.

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use highball_core::Address;
use highball_transport::framing::{self, Decoder, Encoding};
use highball_transport::{BoxIo, Connector as _, MemoryNetwork};
use http::{HeaderMap, Request};
use prost::Message;

use super::NAME;

#[derive(Clone)]
pub(crate) struct Client {
    send: SendRequest<Bytes>,
}

/// All of a reply.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) http: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) messages: Vec<Bytes>,
    /// `None`: the headers ended the stream.
    pub(crate) trailers: Option<HeaderMap>,
    /// The stream was reset.
    pub(crate) reset: Option<h2::Reason>,
}

/// A call under way.
pub(crate) struct Call {
    pub(crate) response: h2::client::ResponseFuture,
    pub(crate) send: SendStream<Bytes>,
}

impl Client {
    pub(crate) async fn connect(network: &MemoryNetwork) -> Self {
        let mut builder = h2::client::Builder::new();
        // Streams that nobody reads from must not stop the others.
        builder.initial_connection_window_size(16 * 1024 * 1024);
        Self::connect_with(network, &mut builder).await
    }

    pub(crate) async fn connect_with(
        network: &MemoryNetwork,
        builder: &mut h2::client::Builder,
    ) -> Self {
        let io = network.connect(&Address::tcp(NAME)).await.unwrap();
        Self::over(io, builder).await
    }

    pub(crate) async fn over(io: BoxIo, builder: &mut h2::client::Builder) -> Self {
        let (send, connection) = builder.handshake(io).await.unwrap();
        // Its end is seen by the streams.
        tokio::spawn(async move { drop(connection.await) });
        Self { send }
    }

    pub(crate) async fn ready(self) -> Result<SendRequest<Bytes>, h2::Error> {
        self.send.ready().await
    }

    /// Opens a stream.
    pub(crate) async fn open(&self, request: Request<()>, end: bool) -> Call {
        let mut send = self.send.clone().ready().await.unwrap();
        let (response, send) = send.send_request(request, end).unwrap();
        Call { response, send }
    }

    /// Starts a call of a method of the lab.
    pub(crate) async fn start(&self, method: &str) -> Call {
        self.open(request(method).body(()).unwrap(), false).await
    }

    /// One message, one reply.
    pub(crate) async fn unary(&self, method: &str, message: &impl Message) -> Reply {
        self.send_all(request(method), [framed(message)]).await
    }

    pub(crate) async fn send_all(
        &self,
        request: http::request::Builder,
        messages: impl IntoIterator<Item = Bytes>,
    ) -> Reply {
        let mut call = self.open(request.body(()).unwrap(), false).await;
        for message in messages {
            // The stream may be over before all is said, by a deadline for one: the reply tells.
            let _ = call.send.send_data(message, false);
        }
        let _ = call.send.send_data(Bytes::new(), true);
        call.reply().await
    }
}

impl Call {
    /// The reply from its first message on.
    pub(crate) async fn incoming(self) -> Incoming {
        Incoming {
            body: self.response.await.unwrap().into_body(),
            decoder: Decoder::new(),
        }
    }

    pub(crate) async fn reply(self) -> Reply {
        let mut reply = Reply::default();
        let response = match self.response.await {
            Ok(response) => response,
            Err(error) => {
                reply.reset = Some(error.reason().unwrap_or_else(|| panic!("{error}")));
                return reply;
            }
        };
        reply.http = response.status().as_u16();
        let (parts, body) = response.into_parts();
        reply.headers = parts.headers;
        reply.read(body).await;
        reply
    }
}

/// A reply that is read message by message.
pub(crate) struct Incoming {
    body: RecvStream,
    decoder: Decoder,
}

impl Incoming {
    /// The next message; fails if the reply has ended.
    pub(crate) async fn message<T: Message + Default>(&mut self) -> T {
        loop {
            if let Some(message) = self.decoder.next(usize::MAX).unwrap() {
                let payload = message
                    .into_payload(&Encoding::IDENTITY, usize::MAX)
                    .unwrap();
                return T::decode(payload).unwrap();
            }
            let data = self.body.data().await.expect("another message").unwrap();
            self.decoder.push(data);
        }
    }
}

impl Reply {
    async fn read(&mut self, mut body: RecvStream) {
        let mut decoder = Decoder::new();
        while let Some(data) = body.data().await {
            let data = match data {
                Ok(data) => data,
                Err(error) => {
                    self.reset = error.reason();
                    return;
                }
            };
            body.flow_control().release_capacity(data.len()).unwrap();
            decoder.push(data);
            while let Some(message) = decoder.next(usize::MAX).unwrap() {
                let payload = message
                    .into_payload(&Encoding::IDENTITY, usize::MAX)
                    .unwrap();
                self.messages.push(payload);
            }
        }
        decoder.finish().unwrap();
        match body.trailers().await {
            Ok(trailers) => self.trailers = trailers,
            Err(error) => self.reset = error.reason(),
        }
    }

    /// Where the status is.
    pub(crate) fn fields(&self) -> &HeaderMap {
        self.trailers.as_ref().unwrap_or(&self.headers)
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        let value = self.fields().get(name);
        value.map_or("absent", |value| value.to_str().unwrap())
    }

    /// Number and text: `5 not there`; the number alone if there is no text.
    pub(crate) fn status(&self) -> String {
        let number = self.field("grpc-status");
        match self.fields().contains_key("grpc-message") {
            true => format!("{number} {}", self.field("grpc-message")),
            false => number.to_owned(),
        }
    }

    /// The only message of a call that ended well.
    pub(crate) fn message<T: Message + Default>(&self) -> T {
        assert_eq!(self.field("grpc-status"), "0", "{self:?}");
        assert_eq!(self.messages.len(), 1, "{self:?}");
        T::decode(self.messages[0].clone()).unwrap()
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        let decode = |message: &Bytes| String::decode(message.clone()).unwrap();
        self.messages.iter().map(decode).collect()
    }

    pub(crate) fn is_trailers_only(&self) -> bool {
        self.trailers.is_none() && self.headers.contains_key("grpc-status")
    }
}

/// The head of a call of a method of the lab.
pub(crate) fn request(method: &str) -> http::request::Builder {
    to_path(&format!("/test.Lab/{method}"))
}

pub(crate) fn to_path(path: &str) -> http::request::Builder {
    Request::post(format!("http://lab.example{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

pub(crate) fn framed(message: &impl Message) -> Bytes {
    let write = |buffer: &mut BytesMut| message.encode(buffer).unwrap();
    framing::encode(message.encoded_len(), usize::MAX, write).unwrap()
}
