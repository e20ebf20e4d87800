//! Lazy channels: nothing happens before the first call, and after long enough without one.

use std::time::Duration;

use futures::StreamExt as _;
use highball_channel::resolver::Resolution;
use highball_channel::{Channel, Code, ConnectivityState, Request};
use highball_echo::EchoClient;

use crate::world::{A, B, World, nothing_is_left, settle, who};

const PICK_FIRST: &str = r#"{"pick_first":{}}"#;
const HALF_AN_HOUR: Duration = Duration::from_secs(1800);

fn one_server() -> (World, Channel) {
    let mut world = World::new();
    world.start(A);
    world.resolve(&[A]);
    let channel = world.channel(PICK_FIRST);
    (world, channel)
}

#[tokio::test(start_paused = true)]
async fn a_channel_does_nothing_before_the_first_call() {
    let (world, channel) = one_server();
    tokio::time::sleep(HALF_AN_HOUR).await;
    assert_eq!(channel.state(), ConnectivityState::Idle);
    assert_eq!(world.network.connections(A), 0);
    who(&channel).await.unwrap();
    assert_eq!(channel.state(), ConnectivityState::Ready);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn connect_leaves_idle_without_a_call() {
    let (world, channel) = one_server();
    let states = channel.states();
    channel.connect();
    assert_ne!(
        channel.changed(ConnectivityState::Idle).await,
        ConnectivityState::Idle
    );
    let states: Vec<_> = states.take(3).collect().await;
    let [idle, connecting, ready] = states[..] else {
        panic!("want three states")
    };
    assert_eq!(idle, ConnectivityState::Idle);
    assert_eq!(connecting, ConnectivityState::Connecting);
    assert_eq!(ready, ConnectivityState::Ready);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn half_an_hour_without_a_call_lets_go_of_the_connection_until_the_next() {
    let (world, channel) = one_server();
    who(&channel).await.unwrap();
    tokio::time::sleep(HALF_AN_HOUR - Duration::from_secs(1)).await;
    assert_eq!(channel.state(), ConnectivityState::Ready);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(channel.state(), ConnectivityState::Idle);
    settle().await;
    assert_eq!(world.network.open_connections(A), 0);
    who(&channel).await.unwrap();
    assert_eq!(world.network.connections(A), 2);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_long_call_keeps_the_channel_out_of_idle_mode() {
    let (world, channel) = one_server();
    let echo = EchoClient::new(channel.clone());
    let requests = Request::new(futures::stream::pending());
    let stream = echo.bidirectional_streaming_echo(requests).await.unwrap();
    tokio::time::sleep(HALF_AN_HOUR * 3).await;
    assert_eq!(channel.state(), ConnectivityState::Ready);
    drop(stream);
    tokio::time::sleep(HALF_AN_HOUR + Duration::from_secs(1)).await;
    assert_eq!(channel.state(), ConnectivityState::Idle);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn the_service_config_in_force_survives_idle_mode() {
    let (world, channel) = one_server();
    let round_robin = r#"{"loadBalancingConfig":[{"round_robin":{}}]}"#;
    world
        .resolver
        .update(Resolution::new([A]).with_service_config(round_robin));
    who(&channel).await.unwrap();
    tokio::time::sleep(HALF_AN_HOUR + Duration::from_secs(1)).await;
    assert_eq!(channel.state(), ConnectivityState::Idle);
    world
        .resolver
        .update(Resolution::new([A]).with_service_config("no JSON"));
    who(&channel).await.unwrap();
    let dump = channel.dump().await;
    assert!(dump.contains("RoundRobin"), "{dump}");
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_channel_cancels_its_calls_and_those_to_come() {
    let (world, channel) = one_server();
    let echo = EchoClient::new(channel.clone());
    let requests = Request::new(futures::stream::pending());
    let mut stream = echo.bidirectional_streaming_echo(requests).await.unwrap();
    settle().await;
    channel.close().await;
    assert_eq!(channel.state(), ConnectivityState::Shutdown);
    let closing = "CANCELLED: grpc: the client connection is closing";
    assert_eq!(stream.message().await.unwrap_err().to_string(), closing);
    assert_eq!(who(&channel).await.unwrap_err().to_string(), closing);
    channel.close().await;
    assert_eq!(
        channel.wait_ready(HALF_AN_HOUR).await.unwrap_err().code(),
        Code::Cancelled
    );
    drop((stream, echo));
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn closing_ends_calls_on_connections_that_drain() {
    let (mut world, channel) = one_server();
    let echo = EchoClient::new(channel.clone());
    let open = async || {
        let requests = Request::new(futures::stream::pending());
        echo.bidirectional_streaming_echo(requests).await.unwrap()
    };
    let by_the_policy = open().await;
    world.start(B);
    world.resolve(&[B]);
    settle().await;
    let by_the_server = open().await;
    settle().await;
    let stopping = tokio::spawn(async move {
        world.stop_gracefully(B).await;
        world
    });
    settle().await;
    channel.close().await;
    for mut stream in [by_the_policy, by_the_server] {
        let ended = tokio::time::timeout(Duration::from_secs(1), stream.message());
        assert_eq!(
            ended.await.unwrap().unwrap_err().to_string(),
            "CANCELLED: grpc: the client connection is closing"
        );
    }
    drop(echo);
    nothing_is_left(stopping.await.unwrap(), channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_in_the_queue_is_cancelled_when_the_channel_closes() {
    let world = World::new();
    let channel = world.channel(PICK_FIRST);
    let call = tokio::spawn({
        let channel = channel.clone();
        async move { who(&channel).await }
    });
    settle().await;
    channel.close().await;
    assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Cancelled);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_closes_the_channel_and_a_stream_keeps_it_open() {
    let (world, channel) = one_server();
    let echo = EchoClient::new(channel);
    let requests = futures::StreamExt::chain(
        futures::stream::iter([crate::world::message("x")]),
        futures::stream::pending(),
    );
    let mut stream = echo
        .bidirectional_streaming_echo(Request::new(requests))
        .await
        .unwrap();
    drop(echo);
    settle().await;
    assert!(stream.message().await.unwrap().is_some());
    drop(stream);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.network.open_connections(A), 0);
    let channel = world.channel(PICK_FIRST);
    nothing_is_left(world, channel).await;
}
