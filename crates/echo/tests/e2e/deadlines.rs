//! Deadlines: each stage of a call can be cut short, and the status says which one was.

use std::time::Duration;

use highball_channel::{Code, Request, Status};
use highball_echo::{EchoClient, EchoRequest};
use tokio::time::Instant;

use crate::world::{A, World, message, nothing_is_left, who, who_with};

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
    let mut world = World::new();
    world.start(A);
    world.resolve(&[A]);
    let channel = world.channel(PICK_FIRST);
    let request = Request::new(message("x")).with_timeout(Duration::ZERO);
    assert_eq!(
        who_with(&channel, request).await.unwrap_err().code(),
        Code::DeadlineExceeded
    );
    assert_eq!(who(&channel).await.unwrap(), A);
    let request = Request::new(message("x")).with_timeout(Duration::ZERO);
    assert_eq!(
        who_with(&channel, request).await.unwrap_err().code(),
        Code::DeadlineExceeded
    );
    nothing_is_left(world, channel).await;
}
