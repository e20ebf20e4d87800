//! Deadlines: each stage of a call can be cut short, and the status says which one was.

use std::time::Duration;

use highball_channel::{Code, Request, Status};
use highball_echo::{EchoClient, EchoRequest};
use highball_testkit::peer::{Frame, Peer};
use tokio::time::Instant;

use crate::script::{Script, reply};
use crate::world::{A, World, message, nothing_is_left, who, who_with};

const INITIAL_WINDOW_SIZE: u16 = 4;
const PICK_FIRST: &str = r#"{"pick_first":{}}"#;

fn in_one_second() -> Request<EchoRequest> {
    Request::new(message("x")).with_timeout(Duration::from_secs(1))
}

fn exceeded(result: Result<String, Status>, started: Instant, stage: &str) {
    let status = result.expect_err("the deadline passes");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(
        status.message().contains(stage),
        "{stage:?} is not in {status}"
    );
    assert_eq!(started.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_the_name_is_resolved() {
    let world = World::new();
    let channel = world.channel(PICK_FIRST);
    let started = Instant::now();
    let result = who_with(&channel, in_one_second()).await;
    exceeded(
        result,
        started,
        "while waiting for the name resolution of test:///servers",
    );
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn while_connecting() {
    let world = World::new();
    world.network.blackhole(A);
    world.resolve(&[A]);
    let channel = world.channel(PICK_FIRST);
    let started = Instant::now();
    let result = who_with(&channel, in_one_second()).await;
    exceeded(
        result,
        started,
        "while waiting for connections to become ready",
    );
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn while_waiting_for_ready_with_the_latest_error() {
    let world = World::new();
    world.resolve(&[A]);
    let channel = world.channel(PICK_FIRST);
    let started = Instant::now();
    let result = who_with(&channel, in_one_second().with_wait_for_ready(true)).await;
    exceeded(
        result,
        started,
        "latest balancer error: UNAVAILABLE: connection error",
    );
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn while_waiting_for_a_stream() {
    let mut world = World::new();
    world.start(A);
    world.resolve(&[A]);
    let channel = world.channel(PICK_FIRST);
    let echo = EchoClient::new(channel.clone());
    who(&channel).await.unwrap();
    // The server's limit is 100 streams.
    let mut held = Vec::new();
    for _ in 0..100 {
        let requests = Request::new(futures::stream::pending());
        held.push(echo.bidirectional_streaming_echo(requests).await.unwrap());
    }
    let started = Instant::now();
    let result = who_with(&channel, in_one_second()).await;
    exceeded(
        result,
        started,
        "while waiting for a stream on the connection to a:1",
    );
    drop(held);
    assert_eq!(who(&channel).await.unwrap(), A, "the slots are free again");
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn while_sending() {
    let mut script = Script::new();
    let started = Instant::now();
    let call = tokio::spawn({
        let channel = script.channel.clone();
        async move { who_with(&channel, in_one_second()).await }
    });
    let io = script.listener.accept().await.unwrap();
    let peer = Peer::server(io, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let result = call.await.unwrap();
    exceeded(result, started, "while sending the request to a:1");
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn while_receiving_what_a_request_that_left_late_is_answered() {
    let mut script = Script::new();
    let started = Instant::now();
    let call = tokio::spawn({
        let channel = script.channel.clone();
        async move { who_with(&channel, in_one_second()).await }
    });
    let io = script.listener.accept().await.unwrap();
    let mut peer = Peer::server(io, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let stream = peer.headers().await;
    let increment = 1000;
    peer.send(Frame::WindowUpdate { stream, increment }).await;
    let result = call.await.unwrap();
    exceeded(result, started, "while waiting for the response of a:1");
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn while_receiving() {
    let mut world = World::new();
    world.start(A);
    world.resolve(&[A]);
    let channel = world.channel(PICK_FIRST);
    let echo = EchoClient::new(channel.clone());
    let started = Instant::now();
    let requests = Request::new(futures::stream::pending::<EchoRequest>())
        .with_timeout(Duration::from_secs(1));
    let reply = echo.client_streaming_echo(requests).await;
    let status = reply.map(|reply| reply.into_message().message);
    exceeded(status, started, "while waiting for the response of a:1");
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn no_time_at_all_fails_without_touching_the_wire() {
    let mut script = Script::new();
    let no_time = || Request::new(message("x")).with_timeout(Duration::ZERO);
    let started = Instant::now();
    let result = script.call_with(no_time()).await.unwrap();
    let resolving = "DEADLINE_EXCEEDED: context deadline exceeded while waiting for the name \
                     resolution of test:///servers";
    assert_eq!(result.unwrap_err().to_string(), resolving);
    let call = script.call();
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    peer.send_all(reply(stream)).await;
    assert_eq!(call.await.unwrap().unwrap(), A);
    // All that a call could wait for is there.
    let result = script.call_with(no_time()).await.unwrap();
    assert_eq!(
        result.unwrap_err().to_string(),
        "DEADLINE_EXCEEDED: the deadline passed before the stream was opened"
    );
    assert_eq!(started.elapsed(), Duration::ZERO);
    let call = script.call();
    let next = peer.headers().await;
    assert_eq!(next, stream + 2, "no stream was opened in between");
    peer.send_all(reply(next)).await;
    assert_eq!(call.await.unwrap().unwrap(), A);
    script.end([peer]).await;
}
