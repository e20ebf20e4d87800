//! Interceptors at both ends: tokens that are added and checked, and a log of what goes by.
//!
//! What to watch for: the first interceptor is outermost, so the client's log does not see the token that is
//! added after it, and the server's log sees the call that is turned away; a closure is enough for metadata; a
//! stream is logged message by message, without its types at the server.

#![expect(clippy::print_stdout, reason = "a demo prints")]

use std::pin::Pin;
use std::task::{Context, Poll};

use highball_channel::{
    AnyMessage, AnyStreaming, Channel, ClientInterceptor, MessageStream, MetadataMap, Method, Next,
    Peer, Request, Response, ResponseListener, Status, Stream,
};
use highball_echo::{Echo, EchoClient, EchoRequest, EchoResponse, EchoServer};
use highball_examples::Outcome;
use highball_server::{ResponseStream, Server, ServerInterceptor, Streaming};

/// Logs what an application sends and receives.
struct ClientLog;

impl ClientInterceptor for ClientLog {
    async fn unary(
        &self,
        request: Request<AnyMessage>,
        next: Next<'_>,
    ) -> Result<Response<AnyMessage>, Status> {
        let method = next.method().path();
        println!("client: {method} with {:?}", request.metadata());
        let answered = next.unary(request).await;
        match &answered {
            Ok(response) => println!("client: answered {}", text(response.message())),
            Err(status) => println!("client: ended {status}"),
        }
        answered
    }

    async fn streaming(
        &self,
        request: Request<MessageStream>,
        next: Next<'_>,
    ) -> Result<AnyStreaming, Status> {
        println!("client: {}", next.method().path());
        let request = request.map(|messages| -> MessageStream { Box::pin(Sent(messages)) });
        Ok(next.streaming(request).await?.listen(Received))
    }
}

/// A message of the echo service, or what type it is of otherwise.
fn text(message: &AnyMessage) -> &str {
    let request = message.downcast_ref::<EchoRequest>();
    let response = message.downcast_ref::<EchoResponse>();
    request
        .map(|request| &*request.message)
        .or(response.map(|response| &*response.message))
        .unwrap_or(message.type_name())
}

/// The messages of a stream, logged as they are sent.
struct Sent(MessageStream);

impl Stream for Sent {
    type Item = AnyMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<AnyMessage>> {
        let next = self.0.as_mut().poll_next(cx);
        if let Poll::Ready(Some(message)) = &next {
            println!("client: sends {}", text(message));
        }
        next
    }
}

/// Logs the messages of a stream as they are received.
struct Received;

impl ResponseListener for Received {
    fn headers(&mut self, metadata: &mut MetadataMap, _: &Peer) {
        println!("client: headers {metadata:?}");
    }

    fn message(&mut self, message: AnyMessage) -> Result<AnyMessage, Status> {
        println!("client: receives {}", text(&message));
        Ok(message)
    }

    fn close(&mut self, end: Result<MetadataMap, Status>) -> Result<MetadataMap, Status> {
        println!("client: the stream has ended {}", ended(&end));
        end
    }
}

/// Logs which calls come, and how they end.
struct ServerLog;

impl ServerInterceptor for ServerLog {
    async fn unary(
        &self,
        request: highball_server::Request<AnyMessage>,
        next: highball_server::Next<'_, AnyMessage>,
    ) -> Result<Response<AnyMessage>, Status> {
        println!("server: {} of {:?}", request.path(), request.message());
        let answered = next.run(request).await;
        println!("server: ended {}", ended(&answered));
        answered
    }

    async fn streaming(
        &self,
        request: highball_server::Request<highball_server::MessageStream>,
        next: highball_server::Next<'_, highball_server::MessageStream>,
    ) -> Result<Response<highball_server::MessageStream>, Status> {
        println!("server: {}", request.path());
        next.run(request).await
    }
}

fn ended<T>(end: &Result<T, Status>) -> String {
    match end {
        Ok(_) => "well".to_owned(),
        Err(status) => status.to_string(),
    }
}

/// Who is calling: what the server's interceptor leaves for the handler.
#[derive(Debug, PartialEq)]
struct User(&'static str);

/// Lets in who has a token that is known.
fn check_token(request: &mut highball_server::Request<()>) -> Result<(), Status> {
    match request.metadata().get("authorization") {
        Some("Bearer some-secret-token") => {
            request.attributes_mut().insert(User("Casey Jones"));
            Ok(())
        }
        Some(_) => Err(Status::unauthenticated("invalid token")),
        None => Err(Status::unauthenticated("missing token")),
    }
}

/// Gives each call the token, unless it has one.
fn add_token(_: &Method, request: &mut Request<()>) -> Result<(), Status> {
    let metadata = request.metadata_mut();
    if metadata.get("authorization").is_none() {
        metadata.insert("authorization", "Bearer some-secret-token")?;
    }
    Ok(())
}

/// An echo that knows whom it talks to.
struct Polite;

impl Echo for Polite {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let user = request.attributes().get::<User>().map(|User(name)| *name);
        let user = user.unwrap_or("stranger");
        let message = format!("{}, {user}", request.message().message);
        Ok(Response::new(EchoResponse { message }))
    }

    async fn bidirectional_streaming_echo(
        &self,
        request: highball_server::Request<Streaming<EchoRequest>>,
    ) -> Result<Response<ResponseStream<EchoResponse>>, Status> {
        Ok(Response::new(Box::pin(Replies(request.into_message()))))
    }
}

/// Each message as it comes.
struct Replies(Streaming<EchoRequest>);

impl Stream for Replies {
    type Item = Result<EchoResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.0).poll_next(cx);
        next.map(|request| {
            request.map(|request| {
                let message = request?.message;
                Ok(EchoResponse { message })
            })
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let listener = highball_server::bind("127.0.0.1:0").await?;
    let target = format!("passthrough:///{}", listener.local_addr());
    let server = Server::builder()
        .interceptor(ServerLog)
        .interceptor(check_token)
        .add_service(EchoServer::new(Polite))
        .build();
    tokio::spawn(server.clone().serve(listener));
    let channel = Channel::builder(target)
        .insecure()
        .interceptor(ClientLog)
        .interceptor(add_token)
        .build()?;
    let echo = EchoClient::new(channel);

    println!("-- with the token that the interceptor adds");
    echo.unary_echo(message("hello")).await?;

    println!("-- with another one");
    let request =
        Request::new(message("hello")).with_metadata("authorization", "Bearer guesswork")?;
    let refused = echo.unary_echo(request).await;
    assert!(refused.is_err(), "nobody knows this token");

    println!("-- a conversation");
    let (sender, requests) = highball_channel::messages();
    let talking = echo.bidirectional_streaming_echo(Request::new(requests));
    let mut replies = talking.await?;
    for word in ["all", "aboard"] {
        sender.send(message(word)).await?;
        replies.message().await?;
    }
    drop(sender);
    while replies.message().await?.is_some() {}
    server.graceful_stop().await;
    Ok(())
}

fn message(text: &str) -> EchoRequest {
    EchoRequest {
        message: text.to_owned(),
    }
}
