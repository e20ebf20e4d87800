//! Around the calls of a channel.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use highball_channel::{
    AnyMessage, AnyStreaming, Channel, ClientInterceptor, Code, ConnectivityState, MessageStream,
    MetadataMap, Method, Next, Payload, Peer, Request, Response, ResponseListener, Status,
};
use highball_echo::{Echo, EchoClient, EchoRequest, EchoResponse, EchoServer};
use highball_server::Server;
use highball_testkit::peer::Frame;
use prost::Message as _;
use tokio::time::Instant;

use super::Events;
use crate::script::{Script, framed, opening, success};
use crate::world::{A, World, message, nothing_is_left, who, who_with};

/// A channel to one server, with these around its calls, the first outermost.
fn channel_with<const N: usize>(interceptors: [impl ClientInterceptor; N]) -> (World, Channel) {
    let mut world = World::new();
    world.start(A);
    world.resolve(&[A]);
    let builder = interceptors
        .into_iter()
        .fold(world.builder(), |builder, interceptor| {
            builder.interceptor(interceptor)
        });
    let channel = builder.build().expect("the choices make sense");
    (world, channel)
}

/// Writes down what it sees.
struct Observer(&'static str, Events);

impl ClientInterceptor for Observer {
    async fn unary(
        &self,
        request: Request<AnyMessage>,
        next: Next<'_>,
    ) -> Result<Response<AnyMessage>, Status> {
        let Self(name, events) = self;
        let sent: &EchoRequest = request.message().downcast_ref().expect("an echo");
        events.push(format!("{name} > {}", sent.message));
        let answered = next.unary(request).await;
        match &answered {
            Ok(response) => {
                let received: &EchoResponse = response.message().downcast_ref().expect("an echo");
                events.push(format!("{name} < {}", received.message));
            }
            Err(status) => events.push(format!("{name} < {status}")),
        }
        answered
    }

    async fn streaming(
        &self,
        request: Request<MessageStream>,
        next: Next<'_>,
    ) -> Result<AnyStreaming, Status> {
        let Self(name, ref events) = *self;
        events.push(format!("{name} > {}", next.method().path()));
        let seen = events.clone();
        let sent = move |message: &AnyMessage| {
            let sent: &EchoRequest = message.downcast_ref().expect("an echo");
            seen.push(format!("{name} > {}", sent.message));
        };
        let request = request.map(|messages| messages.inspect(sent).boxed());
        let streaming = next.streaming(request).await?;
        Ok(streaming.listen(Listener(name, events.clone())))
    }
}

struct Listener(&'static str, Events);

impl ResponseListener for Listener {
    fn headers(&mut self, metadata: &mut MetadataMap, peer: &Peer) {
        let Self(name, events) = self;
        events.push(format!("{name} < headers of {peer}"));
        metadata.append("seen-by", name).expect("a plain value");
    }

    fn message(&mut self, message: AnyMessage) -> Result<AnyMessage, Status> {
        let Self(name, events) = self;
        let mut response: EchoResponse = message.take().expect("an echo");
        events.push(format!("{name} < {}", response.message));
        if response.message == "bad" {
            return Err(Status::internal(format!("{name} takes no bad message")));
        }
        response.message += &format!("/{name}");
        Ok(AnyMessage::new(response))
    }

    fn close(&mut self, end: Result<MetadataMap, Status>) -> Result<MetadataMap, Status> {
        let Self(name, events) = self;
        match &end {
            Ok(_) => events.push(format!("{name} < end")),
            Err(status) => events.push(format!("{name} < {status}")),
        }
        end
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_interceptor_of_a_channel_is_outermost() {
    let events = Events::default();
    let both = ["one", "two"].map(|name| Observer(name, events.clone()));
    let (world, channel) = channel_with(both);
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
async fn a_stream_is_seen_and_changed_both_ways() {
    let events = Events::default();
    let both = ["one", "two"].map(|name| Observer(name, events.clone()));
    let (world, channel) = channel_with(both);
    let requests = Request::new(stream::iter([message("x")]));
    let echo = EchoClient::new(channel.clone());
    let mut replies = echo.bidirectional_streaming_echo(requests).await.unwrap();
    let headers = replies.headers().await.unwrap();
    assert_eq!(
        headers.get_all("seen-by").collect::<Vec<_>>(),
        ["two", "one"]
    );
    let reply = replies.message().await.unwrap().unwrap();
    assert_eq!(reply.message, "x/two/one");
    assert_eq!(replies.message().await.unwrap(), None);
    assert_eq!(replies.message().await.unwrap(), None);
    let path = "/grpc.examples.echo.Echo/BidirectionalStreamingEcho";
    let expected = [
        &*format!("one > {path}"),
        &format!("two > {path}"),
        "one > x",
        "two > x",
        "two < headers of a:1",
        "one < headers of a:1",
        "two < x",
        "one < x/two",
        "two < end",
        "one < end",
    ];
    assert_eq!(events.take(), expected);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn calls_with_a_stream_in_one_direction_are_streams_of_one_in_the_other() {
    let events = Events::default();
    let (world, channel) = channel_with([Observer("one", events.clone())]);
    let echo = EchoClient::new(channel.clone());
    let requests = stream::iter(["x", "y"].map(message));
    let reply = echo.client_streaming_echo(Request::new(requests)).await;
    let reply = reply.unwrap();
    assert_eq!(reply.message().message, "y/one");
    assert_eq!(reply.metadata().get("seen-by"), Some("one"));
    assert_eq!(
        events.take()[1..],
        [
            "one > x",
            "one > y",
            "one < headers of a:1",
            "one < y",
            "one < end"
        ]
    );
    let replies = echo.server_streaming_echo(message("z")).await.unwrap();
    let replies: Vec<_> = replies.try_collect().await.unwrap();
    assert_eq!(replies.len(), 10);
    assert!(replies.iter().all(|reply| reply.message == "z/one"));
    assert_eq!(events.take()[1], "one > z");
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_refuses_a_message_ends_the_call_and_those_after_it_hear_of_it() {
    let events = Events::default();
    let both = ["one", "two"].map(|name| Observer(name, events.clone()));
    let (world, channel) = channel_with(both);
    let (sender, requests) = highball_channel::messages();
    let echo = EchoClient::new(channel.clone());
    let replies = echo.bidirectional_streaming_echo(Request::new(requests));
    let mut replies = replies.await.unwrap();
    sender.send(message("bad")).await.unwrap();
    let status = replies.message().await.unwrap_err();
    assert_eq!(status.to_string(), "INTERNAL: two takes no bad message");
    assert_eq!(replies.message().await.unwrap(), None);
    let seen = events.take();
    let last: Vec<_> = seen.iter().rev().take(2).rev().collect();
    assert_eq!(
        last,
        ["two < bad", "one < INTERNAL: two takes no bad message"]
    );
    drop(replies);
    sender.closed().await;
    nothing_is_left(world, channel).await;
}

/// Answers with the metadata that came with the request, and fails as long as it is told to.
struct Mirror {
    failures: AtomicUsize,
}

impl Echo for Mirror {
    async fn unary_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        let fails = |left: usize| left.checked_sub(1);
        let (ordering, metadata) = (Ordering::SeqCst, request.metadata().clone());
        match self.failures.fetch_update(ordering, ordering, fails) {
            Ok(_) => Err(Status::unavailable("down").with_metadata(metadata)),
            Err(_) => Ok(Response::new(EchoResponse::default()).with_metadata(metadata)),
        }
    }

    async fn server_streaming_echo(
        &self,
        request: highball_server::Request<EchoRequest>,
    ) -> Result<Response<highball_server::ResponseStream<EchoResponse>>, Status> {
        let metadata = request.metadata().clone();
        Ok(Response::new(stream::empty().boxed()).with_metadata(metadata))
    }
}

fn mirror(failures: usize) -> World {
    let mut world = World::new();
    let service = EchoServer::new(Mirror {
        failures: failures.into(),
    });
    world.start_with(A, Server::builder().add_service(service).build());
    world.resolve(&[A]);
    world
}

#[tokio::test(start_paused = true)]
async fn a_closure_adds_metadata_to_calls_of_every_kind() {
    let world = mirror(0);
    let add = |method: &Method, request: &mut Request<()>| {
        request.metadata_mut().append("method", method.path())?;
        Ok(())
    };
    let channel = world.builder().interceptor(add).build().unwrap();
    let echo = EchoClient::new(channel.clone());
    let reply = echo.unary_echo(message("x")).await.unwrap();
    let seen = reply.metadata().get("method");
    assert_eq!(seen, Some("/grpc.examples.echo.Echo/UnaryEcho"));
    let mut replies = echo.server_streaming_echo(message("x")).await.unwrap();
    let seen = replies.headers().await.unwrap().get("method");
    assert_eq!(seen, Some("/grpc.examples.echo.Echo/ServerStreamingEcho"));
    assert_eq!(replies.message().await.unwrap(), None);
    nothing_is_left(world, channel).await;
}

/// How a call came to its status, in a line.
fn why(status: &Status) -> String {
    let why = status.explanation();
    why.expect("every status is explained").to_string()
}

#[tokio::test(start_paused = true)]
async fn a_closure_that_refuses_a_call_ends_it_before_anything_is_resolved() {
    let world = World::new();
    let refuse = |_: &Method, _: &mut Request<()>| Err(Status::permission_denied("not today"));
    let channel = world.builder().interceptor(refuse).build().unwrap();
    let status = who(&channel).await.unwrap_err();
    assert_eq!(status.to_string(), "PERMISSION_DENIED: not today");
    let unmade =
        "ended after 0 ms while waiting for an interceptor: interceptor 0 ms; no server was tried";
    assert_eq!(why(&status), unmade);
    let echo = EchoClient::new(channel.clone());
    let status = echo.server_streaming_echo(message("x")).await.unwrap_err();
    assert_eq!(status.to_string(), "PERMISSION_DENIED: not today");
    assert_eq!(why(&status), unmade);
    let page = format!("{:#}", status.explanation().unwrap());
    let unknown = "in force: unknown, for an interceptor ended the call";
    assert!(page.ends_with(unknown), "{page}");
    assert_eq!(channel.state(), ConnectivityState::Idle);
    nothing_is_left(world, channel).await;
}

/// Makes a call again that failed, as often as this.
struct Again(usize);

impl ClientInterceptor for Again {
    async fn unary(
        &self,
        request: Request<AnyMessage>,
        next: Next<'_>,
    ) -> Result<Response<AnyMessage>, Status> {
        for attempt in 0..self.0 {
            let mut request = request.clone();
            let text = attempt.to_string();
            request.metadata_mut().insert("attempt", &text)?;
            match next.unary(request).await {
                Err(status) if status.code() == Code::Unavailable => (),
                answered => return answered,
            }
        }
        next.unary(request).await
    }
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_may_make_a_call_several_times_and_those_inside_see_each() {
    let world = mirror(2);
    let seen = Events::default();
    let inside = seen.clone();
    let channel = world
        .builder()
        .interceptor(Again(5))
        .interceptor(move |_: &Method, request: &mut Request<()>| {
            inside.push(request.metadata().get("attempt").unwrap_or("none"));
            Ok(())
        })
        .build()
        .unwrap();
    let echo = EchoClient::new(channel.clone());
    let reply = echo.unary_echo(message("x")).await.unwrap();
    assert_eq!(reply.metadata().get("attempt"), Some("2"));
    assert_eq!(seen.take(), ["0", "1", "2"]);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn interceptors_see_one_call_whatever_the_attempts_at_it() {
    let events = Events::default();
    let world = mirror(3);
    let policy = r#"{"methodConfig":[{"name":[{}],"retryPolicy":{"maxAttempts":3,
        "initialBackoff":"0.1s","maxBackoff":"1s","backoffMultiplier":2,
        "retryableStatusCodes":["UNAVAILABLE"]}}]}"#;
    let channel = world
        .builder()
        .default_service_config(policy)
        .interceptor(Observer("one", events.clone()))
        .build()
        .unwrap();
    let status = who(&channel).await.unwrap_err();
    let attempts = &status.explanation().unwrap().attempts;
    assert_eq!(attempts.len(), 3);
    assert_eq!(events.take(), ["one > x", &format!("one < {status}")]);
    let echo = EchoClient::new(channel.clone());
    echo.unary_echo(message("x")).await.unwrap();
    assert_eq!(events.take(), ["one > x", "one < "]);
    nothing_is_left(world, channel).await;
}

/// Waits before it makes a call, and looks at what becomes of it.
struct Slow(Duration, Events);

impl ClientInterceptor for Slow {
    async fn unary(
        &self,
        request: Request<AnyMessage>,
        next: Next<'_>,
    ) -> Result<Response<AnyMessage>, Status> {
        tokio::time::sleep(self.0).await;
        let answered = next.unary(request).await;
        if let Err(status) = &answered {
            self.1.push(status.to_string());
        }
        answered
    }
}

fn within(timeout: Duration) -> Request<EchoRequest> {
    Request::new(message("x")).with_timeout(timeout)
}

#[tokio::test(start_paused = true)]
async fn the_time_that_interceptors_take_counts_for_the_time_out() {
    let second = Duration::from_secs(1);
    // Nothing is ever resolved.
    let world = World::new();
    let events = Events::default();
    let slow = Slow(second, events.clone());
    let channel = world.builder().interceptor(slow).build().unwrap();
    let started = Instant::now();
    let status = who_with(&channel, within(3 * second)).await.unwrap_err();
    let resolving = "DEADLINE_EXCEEDED: context deadline exceeded while waiting for the name \
                     resolution of test:///servers";
    assert_eq!(status.to_string(), resolving);
    assert_eq!(started.elapsed(), 3 * second);
    assert_eq!(events.take(), [resolving]);
    let status = who_with(&channel, within(second / 2)).await.unwrap_err();
    assert_eq!(
        status.to_string(),
        "DEADLINE_EXCEEDED: context deadline exceeded while waiting for an interceptor"
    );
    assert_eq!(
        why(&status),
        "ended after 501 ms while waiting for an interceptor: interceptor 501 ms; no server was tried"
    );
    assert!(started.elapsed() < 3 * second + 6 * second / 10);
    assert_eq!(events.take(), [""; 0]);
    nothing_is_left(world, channel).await;
}

/// Answers every call itself.
struct Cached(AnyMessage);

impl ClientInterceptor for Cached {
    async fn unary(
        &self,
        _: Request<AnyMessage>,
        _: Next<'_>,
    ) -> Result<Response<AnyMessage>, Status> {
        Ok(Response::new(self.0.clone()))
    }
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_may_answer_itself_with_a_response_of_the_right_type() {
    let answer = EchoResponse {
        message: "(from memory)".to_owned(),
    };
    let (world, channel) = channel_with([Cached(AnyMessage::new(answer))]);
    for _ in 0..2 {
        assert_eq!(who(&channel).await.unwrap(), "memory");
    }
    nothing_is_left(world, channel).await;
    let (world, channel) = channel_with([Cached(AnyMessage::new(7_u32))]);
    let status = who(&channel).await.unwrap_err();
    assert_eq!(
        status.to_string(),
        format!(
            "INTERNAL: an interceptor failed: a message of type u32 stands where {} is wanted",
            std::any::type_name::<EchoResponse>()
        )
    );
    assert!(why(&status).ends_with("no server was tried"), "{status:?}");
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn messages_without_a_type_go_through_a_channel_and_its_interceptors_as_they_are() {
    static UNARY_ECHO: Method = Method::new("/grpc.examples.echo.Echo/UnaryEcho");
    let (world, channel) = channel_with([|_: &Method, _: &mut Request<()>| Ok(())]);
    let request = Payload(message("x").encode_to_vec().into());
    let reply: Response<Payload> = channel
        .unary(&UNARY_ECHO, Request::new(request))
        .await
        .unwrap();
    let reply = EchoResponse::decode(reply.into_message().0).unwrap();
    assert_eq!(reply.message, "x (from a:1)");
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_stream_closes_its_listeners_with_its_status() {
    let mut script = Script::new();
    let events = Events::default();
    let interceptor = Observer("one", events.clone());
    script.channel = script
        .world
        .builder()
        .interceptor(interceptor)
        .build()
        .unwrap();
    let echo = EchoClient::new(script.channel.clone());
    let calling = tokio::spawn(async move { echo.server_streaming_echo(message("x")).await });
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    let mut replies = calling.await.unwrap().unwrap();
    peer.send_all([opening(stream), framed(stream, b"\x0a\x01y")])
        .await;
    assert_eq!(replies.message().await.unwrap().unwrap().message, "y/one");
    peer.send(Frame::headers(
        stream,
        &[("grpc-status", "9"), ("grpc-message", "no")],
        true,
    ))
    .await;
    let status = replies.message().await.unwrap_err();
    assert_eq!(status.to_string(), "FAILED_PRECONDITION: no");
    assert_eq!(events.take()[4..], ["one < FAILED_PRECONDITION: no"]);
    drop(replies);
    script.end([peer]).await;
}

/// Takes no answer for good.
struct Unsatisfied;

impl ClientInterceptor for Unsatisfied {
    async fn unary(
        &self,
        request: Request<AnyMessage>,
        next: Next<'_>,
    ) -> Result<Response<AnyMessage>, Status> {
        next.unary(request).await?;
        Err(Status::unknown("not good enough"))
    }

    async fn streaming(
        &self,
        request: Request<MessageStream>,
        next: Next<'_>,
    ) -> Result<AnyStreaming, Status> {
        Ok(next.streaming(request).await?.listen(Self))
    }
}

impl ResponseListener for Unsatisfied {
    fn close(&mut self, _: Result<MetadataMap, Status>) -> Result<MetadataMap, Status> {
        Err(Status::unknown("not good enough"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_in_place_of_a_good_end_says_that_no_attempt_failed() {
    let (world, channel) = channel_with([Unsatisfied]);
    let status = who(&channel).await.unwrap_err();
    assert_eq!(status.to_string(), "UNKNOWN: not good enough");
    // What happened inside is not known.
    assert_eq!(
        why(&status),
        "ended after 0 ms while waiting for an interceptor: interceptor unknown, resolve unknown, \
         pick unknown, credentials unknown, stream slot unknown, send unknown, server unknown, \
         backoff unknown; no attempt failed"
    );
    let echo = EchoClient::new(channel.clone());
    let mut replies = echo.server_streaming_echo(message("x")).await.unwrap();
    while replies.message().await.is_ok_and(|reply| reply.is_some()) {}
    let requests = Request::new(stream::iter([message("x")]));
    let status = echo.client_streaming_echo(requests).await.unwrap_err();
    assert_eq!(status.to_string(), "UNKNOWN: not good enough");
    assert_eq!(
        why(&status),
        "ended after 0 ms while waiting for an interceptor: interceptor 0 ms, resolve 0 ms, pick 0 ms, \
         stream slot 0 ms, send unknown, server 0 ms; no attempt failed"
    );
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn listeners_hear_of_a_reply_too_many_or_too_few() {
    for (replies, wrong) in [
        (
            0,
            "received no response message from non-server-streaming RPC",
        ),
        (
            2,
            "expected <EOF> for non server-streaming RPCs, but received another message",
        ),
    ] {
        let events = Events::default();
        let mut script = Script::new();
        let interceptor = Observer("one", events.clone());
        let builder = script.world.builder().interceptor(interceptor);
        script.channel = builder.build().unwrap();
        let echo = EchoClient::new(script.channel.clone());
        let requests = Request::new(stream::iter([message("x")]));
        let calling = tokio::spawn(async move { echo.client_streaming_echo(requests).await });
        let mut peer = script.accept().await;
        let stream = peer.headers().await;
        peer.send(opening(stream)).await;
        for _ in 0..replies {
            peer.send(framed(stream, &[])).await;
        }
        peer.send(success(stream)).await;
        let status = calling.await.unwrap().unwrap_err();
        assert_eq!(
            status.to_string(),
            format!("UNIMPLEMENTED: cardinality violation: {wrong}")
        );
        let last = events.take().pop();
        assert_eq!(last, Some(format!("one < {status}")));
        script.end([peer]).await;
    }
}
