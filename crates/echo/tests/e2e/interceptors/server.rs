//! Around the handlers of a server.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use highball_channel::{Channel, Code, Method, Payload};
use highball_echo::{Echo, EchoClient, EchoRequest, EchoResponse, EchoServer, EchoWithAddress};
use highball_server::{
    AnyMessage, MessageStream, MetadataMap, Next, Request, Response, Server, ServerInterceptor,
    Status,
};
use tokio::time::Instant;

use super::Events;
use crate::world::{A, World, message, nothing_is_left, settle, who, who_with};

/// A channel to a server with this around its handlers.
fn server_with(service: impl Echo, interceptors: Vec<impl ServerInterceptor>) -> (World, Channel) {
    let mut world = World::new();
    let builder = Server::builder().add_service(EchoServer::new(service));
    let builder = interceptors
        .into_iter()
        .fold(builder, |builder, interceptor| {
            builder.interceptor(interceptor)
        });
    world.start_with(A, builder.build());
    world.resolve(&[A]);
    let channel = world.channel(r#"{"pick_first":{}}"#);
    (world, channel)
}

/// Writes down what it sees, and signs it.
struct Observer(&'static str, Events);

impl ServerInterceptor for Observer {
    async fn unary(
        &self,
        request: Request<AnyMessage>,
        next: Next<'_, AnyMessage>,
    ) -> Result<Response<AnyMessage>, Status> {
        let Self(name, events) = self;
        let said: &EchoRequest = request.message().downcast_ref().expect("an echo");
        events.push(format!("{name} > {}", said.message));
        let answered = next.run(request).await;
        match &answered {
            Ok(response) => {
                let said: &EchoResponse = response.message().downcast_ref().expect("an echo");
                events.push(format!("{name} < {}", said.message));
            }
            Err(status) => events.push(format!("{name} < {status}")),
        }
        answered
    }

    async fn streaming(
        &self,
        request: Request<MessageStream>,
        next: Next<'_, MessageStream>,
    ) -> Result<Response<MessageStream>, Status> {
        let Self(name, ref events) = *self;
        events.push(format!("{name} > {}", request.path()));
        let (seen, sent) = (events.clone(), events.clone());
        let request = request.map(|messages| {
            let sign = move |message: AnyMessage| {
                let mut said: EchoRequest = message.take().expect("an echo");
                seen.push(format!("{name} > {}", said.message));
                said.message += &format!("/{name}");
                AnyMessage::new(said)
            };
            messages.map_ok(sign).boxed()
        });
        let response = next.run(request).await?;
        Ok(response.map(|messages| {
            let look = move |message: &AnyMessage| {
                let said: &EchoResponse = message.downcast_ref().expect("an echo");
                sent.push(format!("{name} < {}", said.message));
            };
            messages.inspect_ok(look).boxed()
        }))
    }
}

fn two_observers(events: &Events) -> Vec<Observer> {
    ["one", "two"]
        .map(|name| Observer(name, events.clone()))
        .into()
}

#[tokio::test(start_paused = true)]
async fn the_first_interceptor_of_a_server_is_outermost() {
    let events = Events::default();
    let (world, channel) = server_with(EchoWithAddress::new(A), two_observers(&events));
    assert_eq!(who(&channel).await.unwrap(), A);
    assert_eq!(
        events.take(),
        [
            "one > x",
            "two > x",
            "two < x (from a:1)",
            "one < x (from a:1)"
        ]
    );
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn messages_of_streams_are_seen_and_changed_both_ways() {
    let events = Events::default();
    let (world, channel) = server_with(EchoWithAddress::new(A), two_observers(&events));
    let echo = EchoClient::new(channel.clone());
    let requests = highball_channel::Request::new(stream::iter([message("x")]));
    let replies = echo.bidirectional_streaming_echo(requests).await.unwrap();
    let replies: Vec<_> = replies.try_collect().await.unwrap();
    assert_eq!(replies[0].message, "x/one/two");
    let path = "/grpc.examples.echo.Echo/BidirectionalStreamingEcho";
    let expected = [
        &*format!("one > {path}"),
        &format!("two > {path}"),
        "one > x",
        "two > x/one",
        "two < x/one/two",
        "one < x/one/two",
    ];
    assert_eq!(events.take(), expected);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn methods_with_a_stream_in_one_direction_have_a_stream_of_one_in_the_other() {
    let events = Events::default();
    let observer = vec![Observer("one", events.clone())];
    let (world, channel) = server_with(EchoWithAddress::new(A), observer);
    let echo = EchoClient::new(channel.clone());
    let requests = stream::iter(["x", "y"].map(message));
    let reply = echo
        .client_streaming_echo(highball_channel::Request::new(requests))
        .await;
    assert_eq!(reply.unwrap().into_message().message, "y/one");
    let seen = events.take();
    assert_eq!(seen[1..], ["one > x", "one > y", "one < y/one"]);
    let replies = echo.server_streaming_echo(message("z")).await.unwrap();
    let replies: Vec<_> = replies.try_collect().await.unwrap();
    assert_eq!(replies.len(), 10);
    assert!(replies.iter().all(|reply| reply.message == "z/one"));
    assert_eq!(events.take()[1..3], ["one > z", "one < z/one"]);
    nothing_is_left(world, channel).await;
}

/// Says who it takes its caller for.
struct Greeter;

#[derive(Debug, PartialEq)]
struct User(String);

impl Echo for Greeter {
    async fn unary_echo(
        &self,
        request: Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let User(name) = request.attributes().get().expect("it was let in");
        let message = format!("{name} (from {A})");
        Ok(Response::new(EchoResponse { message }))
    }
}

#[tokio::test(start_paused = true)]
async fn a_closure_lets_calls_in_and_tells_their_handlers_who_is_calling() {
    let let_in = |request: &mut Request<()>| {
        let user = request.metadata().get("user").map(str::to_owned);
        let user = user.ok_or_else(|| Status::unauthenticated("who are you?"))?;
        request.attributes_mut().insert(User(user));
        Ok(())
    };
    let (world, channel) = server_with(Greeter, vec![let_in]);
    let status = who(&channel).await.unwrap_err();
    assert_eq!(status.to_string(), "UNAUTHENTICATED: who are you?");
    let request = highball_channel::Request::new(message("x"));
    let request = request.with_metadata("user", "Casey").unwrap();
    let reply = EchoClient::new(channel.clone()).unary_echo(request).await;
    assert_eq!(reply.unwrap().message().message, "Casey (from a:1)");
    // Nothing is there to handle them, but interceptors are asked first.
    let echo = EchoClient::new(channel.clone());
    let replies = echo.server_streaming_echo(message("x")).await.unwrap();
    let status = replies.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(status.to_string(), "UNAUTHENTICATED: who are you?");
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn methods_that_are_not_there_do_not_come_to_interceptors() {
    static NOWHERE: Method = Method::new("/grpc.examples.echo.Echo/Nowhere");
    let refuse = |_: &mut Request<()>| Err(Status::permission_denied("never"));
    let (world, channel) = server_with(EchoWithAddress::new(A), vec![refuse]);
    let request = highball_channel::Request::new(message("x"));
    let called = channel.unary::<_, EchoResponse>(&NOWHERE, request).await;
    assert_eq!(called.unwrap_err().code(), Code::Unimplemented);
    assert_eq!(
        who(&channel).await.unwrap_err().to_string(),
        "PERMISSION_DENIED: never"
    );
    nothing_is_left(world, channel).await;
}

/// Changes what a handler has answered, whatever it is.
struct Signs;

impl ServerInterceptor for Signs {
    async fn unary(
        &self,
        request: Request<AnyMessage>,
        next: Next<'_, AnyMessage>,
    ) -> Result<Response<AnyMessage>, Status> {
        let response = next.run(request).await?;
        let mut metadata = MetadataMap::new();
        metadata.append("signed", "before").expect("a plain value");
        let mut trailers = MetadataMap::new();
        trailers.append("signed", "after").expect("a plain value");
        Ok(response.with_metadata(metadata).with_trailers(trailers))
    }
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_sets_the_metadata_around_a_response() {
    let (world, channel) = server_with(EchoWithAddress::new(A), vec![Signs]);
    let echo = EchoClient::new(channel.clone());
    let reply = echo.unary_echo(message("x")).await.unwrap();
    assert_eq!(reply.metadata().get("signed"), Some("before"));
    assert_eq!(reply.trailers().get("signed"), Some("after"));
    nothing_is_left(world, channel).await;
}

/// Never gets to the handler.
struct Stuck(Events);

struct Dropped(Events);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.push("dropped");
    }
}

impl ServerInterceptor for Stuck {
    async fn before(&self, _: &mut Request<()>) -> Result<(), Status> {
        let _dropped = Dropped(self.0.clone());
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_is_dropped_when_the_deadline_passes() {
    let events = Events::default();
    let (world, channel) = server_with(EchoWithAddress::new(A), vec![Stuck(events.clone())]);
    let started = Instant::now();
    let second = Duration::from_secs(1);
    let request = highball_channel::Request::new(message("x")).with_timeout(second);
    let status = who_with(&channel, request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(started.elapsed(), second);
    settle().await;
    assert_eq!(events.take(), ["dropped"]);
    nothing_is_left(world, channel).await;
}

/// Panics, or answers with what nobody expects.
struct Broken(Option<u32>);

impl ServerInterceptor for Broken {
    async fn unary(
        &self,
        _: Request<AnyMessage>,
        _: Next<'_, AnyMessage>,
    ) -> Result<Response<AnyMessage>, Status> {
        let number = self.0.expect("something to say");
        Ok(Response::new(AnyMessage::new(number)))
    }

    async fn streaming(
        &self,
        request: Request<MessageStream>,
        next: Next<'_, MessageStream>,
    ) -> Result<Response<MessageStream>, Status> {
        let number = self.0.expect("something to say");
        let other: MessageStream = stream::iter([Ok(AnyMessage::new(number))]).boxed();
        next.run(request.map(|_| other)).await
    }
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_that_panics_fails_its_call_and_no_other() {
    let (world, channel) = server_with(EchoWithAddress::new(A), vec![Broken(None)]);
    for _ in 0..2 {
        let status = who(&channel).await.unwrap_err();
        assert_eq!(status.to_string(), "INTERNAL: the handler panicked");
    }
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_of_the_wrong_type_does_not_reach_the_handler() {
    let (world, channel) = server_with(EchoWithAddress::new(A), vec![Broken(Some(7))]);
    let wrong = format!(
        "INTERNAL: an interceptor failed: a message of type u32 stands where {} is wanted",
        std::any::type_name::<EchoRequest>()
    );
    let echo = EchoClient::new(channel.clone());
    let replies = echo.server_streaming_echo(message("x")).await.unwrap();
    let status = replies.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(status.to_string(), wrong);
    let requests = highball_channel::Request::new(stream::pending::<EchoRequest>());
    let status = echo.client_streaming_echo(requests).await.unwrap_err();
    assert_eq!(status.to_string(), wrong);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_decoded_ends_its_call_before_interceptors_see_it() {
    static UNARY: Method = Method::new("/grpc.examples.echo.Echo/UnaryEcho");
    static BIDI: Method = Method::new("/grpc.examples.echo.Echo/BidirectionalStreamingEcho");
    let events = Events::default();
    let observer = vec![Observer("one", events.clone())];
    let (world, channel) = server_with(EchoWithAddress::new(A), observer);
    let garbage = || Payload(Bytes::from_static(b"\xff"));
    let called = channel.unary::<_, Payload>(&UNARY, garbage().into()).await;
    let undecodable = "INTERNAL: grpc: failed to unmarshal the received message: ";
    let status = called.unwrap_err().to_string();
    assert!(status.starts_with(undecodable), "{status}");
    assert_eq!(events.take(), [""; 0]);
    let (sender, requests) = highball_channel::messages();
    let requests = highball_channel::Request::new(requests);
    let calling = channel.bidi_streaming::<_, Payload>(&BIDI, requests);
    let replies = calling.await.unwrap();
    sender.send(garbage()).await.unwrap();
    let status = replies.try_collect::<Vec<_>>().await.unwrap_err();
    assert!(status.to_string().starts_with(undecodable), "{status}");
    assert_eq!(events.take()[1..], [""; 0]);
    nothing_is_left(world, channel).await;
}

/// Reads a request and hands on what is left of it: nothing.
struct Thief;

impl ServerInterceptor for Thief {
    async fn streaming(
        &self,
        request: Request<MessageStream>,
        next: Next<'_, MessageStream>,
    ) -> Result<Response<MessageStream>, Status> {
        let (messages, head) = request.split();
        let taken = messages.try_collect::<Vec<_>>().await?;
        assert_eq!(taken.len(), 1);
        next.run(head.map(|()| stream::empty().boxed())).await
    }
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_that_keeps_the_only_request_to_itself_is_to_blame() {
    let (world, channel) = server_with(EchoWithAddress::new(A), vec![Thief]);
    let echo = EchoClient::new(channel.clone());
    let mut replies = echo.server_streaming_echo(message("x")).await.unwrap();
    assert_eq!(
        replies.message().await.unwrap_err().to_string(),
        "INTERNAL: an interceptor failed: it took the request's only message away"
    );
    assert_eq!(who(&channel).await.unwrap(), A, "others go on");
    drop(replies);
    nothing_is_left(world, channel).await;
}
