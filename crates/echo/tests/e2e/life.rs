//! Servers that come, go, hang and return.

use std::time::Duration;

use highball_channel::resolver::Resolution;
use highball_channel::{Channel, Code, ConnectivityState, Endpoint, Request, Status};
use highball_echo::EchoClient;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::world::{A, B, World, message, nothing_is_left, sequence, settle, who, who_with};

const EVERY_THIRD: &str = r#"{"custom_round_robin":{"chooseSecond":3}}"#;

#[tokio::test(start_paused = true)]
async fn while_the_second_server_is_down_no_call_fails_and_when_it_is_back_the_ratio_is() {
    let mut world = World::with_two_servers();
    let channel = world.settled(EVERY_THIRD).await;
    assert_eq!(sequence(&channel, 6).await, "FFSFFS");
    let in_flight = three_in_flight(&channel).await;
    world.kill(B).await;
    settle().await;
    let ended: Vec<_> = in_flight.iter().map(JoinHandle::is_finished).collect();
    assert_eq!(
        ended,
        [false, false, true],
        "only the call on the killed server has ended"
    );
    in_flight.iter().for_each(JoinHandle::abort);
    assert_eq!(sequence(&channel, 30).await, "F".repeat(30));
    world.start(B);
    // The backoff of the failed attempts runs out.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(sequence(&channel, 9).await, "FFSFFSFFS");
    nothing_is_left(world, channel).await;
}

/// Three calls that do not end by themselves: one round, so the last is on the second server.
async fn three_in_flight(channel: &Channel) -> Vec<JoinHandle<Status>> {
    let mut calls = Vec::new();
    for _ in 0..3 {
        let echo = EchoClient::new(channel.clone());
        let requests = Request::new(futures::stream::pending());
        let call = async move { echo.client_streaming_echo(requests).await };
        calls.push(tokio::spawn(async {
            call.await.expect_err("it has no end of its own")
        }));
        settle().await;
    }
    calls
}

#[tokio::test(start_paused = true)]
async fn with_both_servers_down_calls_fail_at_once_naming_address_and_cause() {
    let mut world = World::with_two_servers();
    let channel = world.settled(EVERY_THIRD).await;
    world.kill(A).await;
    world.kill(B).await;
    settle().await;
    let started = Instant::now();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let status = who(&channel).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("connection refused"), "{status}");
        seen.push(if status.message().contains(A) { A } else { B });
        assert!(status.message().contains(seen[seen.len() - 1]), "{status}");
    }
    seen.sort_unstable();
    assert_eq!(seen, [A, B], "errors rotate over the endpoints");
    assert!(started.elapsed() < Duration::from_secs(1));
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_ready_queue_and_finish_when_a_server_returns() {
    let mut world = World::with_two_servers();
    let channel = world.settled(EVERY_THIRD).await;
    world.kill(A).await;
    world.kill(B).await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let channel = channel.clone();
            let request = Request::new(message("x")).with_wait_for_ready(true);
            tokio::spawn(async move { who_with(&channel, request).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(calls.iter().all(|call| !call.is_finished()));
    world.start(A);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), A);
    }
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_blackholed_first_address_costs_250_milliseconds() {
    let mut world = World::new();
    world.network.blackhole(A);
    world.start(B);
    world
        .resolver
        .update(Resolution::new([Endpoint::new([A, B])]));
    let channel = world.channel(r#"{"pick_first":{}}"#);
    let started = Instant::now();
    let request = Request::new(message("x")).with_timeout(Duration::from_secs(10));
    assert_eq!(who_with(&channel, request).await.unwrap(), B);
    let took = started.elapsed().as_millis();
    assert!((250..260).contains(&took), "{took} ms");
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn f20_mute_server_never_becomes_ready_and_is_dropped_at_20_seconds() {
    let world = World::new();
    let mut listener = world.network.listen(A);
    world.resolve(&[A]);
    let channel = world.channel(r#"{"pick_first":{}}"#);
    let started = Instant::now();
    let call = tokio::spawn({
        let channel = channel.clone();
        async move { who(&channel).await }
    });
    let _mute = listener.accept().await.unwrap();
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(started.elapsed().as_secs(), 20);
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("SETTINGS"), "{status}");
    assert_eq!(channel.state(), ConnectivityState::TransientFailure);
    drop((listener, _mute));
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_channel_keeps_trying_and_stays_in_transient_failure_until_it_is_ready() {
    let mut world = World::new();
    world.resolve(&[A]);
    let channel = world.channel(r#"{"pick_first":{}}"#);
    let mut states = channel.states();
    assert!(who(&channel).await.is_err());
    tokio::time::sleep(Duration::from_secs(300)).await;
    world.start(A);
    channel.wait_ready(Duration::from_secs(200)).await.unwrap();
    use ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
    let mut seen = Vec::new();
    while let Some(state) = futures::StreamExt::next(&mut states).await {
        seen.push(state);
        if state == Ready {
            break;
        }
    }
    assert_eq!(seen, [Idle, Connecting, TransientFailure, Ready]);
    drop(states);
    nothing_is_left(world, channel).await;
}
