//! Calls that are dropped, and answers that nobody reads.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use highball_channel::{Request, Status};
use highball_echo::EchoClient;
use highball_testkit::alive_tasks;
use tokio::time::timeout;

use crate::world::{A, World, message, nothing_is_left, settle, who};

const PICK_FIRST: &str = r#"{"pick_first":{}}"#;

fn one_server() -> World {
    let mut world = World::new();
    world.start(A);
    world.resolve(&[A]);
    world
}

/// Polls a future this many times, letting everything else run in between, then drops it.
async fn poll_and_drop(future: impl Future, polls: usize) {
    let mut future = pin!(future);
    for _ in 0..polls {
        if poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx)))
            .await
            .is_ready()
        {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn call_of_kind(echo: EchoClient, kind: u8) -> Result<(), Status> {
    let forever = Request::new(futures::stream::pending());
    let five = Request::new(futures::stream::repeat(message("x")).take(5));
    let mut replies = match kind {
        0 => return echo.unary_echo(message("x")).await.map(drop),
        1 => return echo.client_streaming_echo(forever).await.map(drop),
        2 => echo.server_streaming_echo(message("x")).await?,
        _ => echo.bidirectional_streaming_echo(five).await?,
    };
    while replies.message().await?.is_some() {}
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_cancelled_at_random_stages_leave_nothing_behind() {
    let world = one_server();
    let channel = world.channel(PICK_FIRST);
    who(&channel).await.unwrap();
    let before = alive_tasks();
    let echo = EchoClient::new(channel.clone());
    let mut rng = fastrand::Rng::with_seed(3);
    for batch in 0..100 {
        let neighbour = tokio::spawn({
            let channel = channel.clone();
            async move { who(&channel).await }
        });
        let calls = (0..100).map(|_| {
            let (polls, kind) = (rng.usize(..12), rng.u8(..4));
            poll_and_drop(call_of_kind(echo.clone(), kind), polls)
        });
        join_all(calls).await;
        assert_eq!(
            neighbour.await.unwrap().expect("no neighbour fails"),
            A,
            "batch {batch}"
        );
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        world.network.connections(A),
        1,
        "one connection from start to end"
    );
    let after = alive_tasks();
    assert_eq!(after, before, "tasks of cancelled calls");
    // The server allows 100 streams: all of them are free.
    let mut held = Vec::new();
    for _ in 0..100 {
        let requests =
            Request::new(futures::stream::pending()).with_timeout(Duration::from_secs(1));
        held.push(
            echo.bidirectional_streaming_echo(requests)
                .await
                .expect("a stream is free"),
        );
    }
    drop((held, echo));
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn two_hundred_tiny_replies_unread_for_over_a_second_lose_nothing() {
    let world = one_server();
    let channel = world.channel(PICK_FIRST);
    who(&channel).await.unwrap();
    let echo = EchoClient::new(channel.clone());
    let mut calls: Vec<_> = (0..200)
        .map(|_| Box::pin(echo.unary_echo(message("x"))))
        .collect();
    // The calls leave, then nobody reads the answers.
    for call in &mut calls {
        let poll = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
        assert!(poll.is_pending());
    }
    tokio::time::sleep(Duration::from_millis(1200)).await;
    for reply in join_all(calls).await {
        assert_eq!(reply.unwrap().message().message, "x (from a:1)");
    }
    assert_eq!(world.network.connections(A), 1);
    nothing_is_left(world, channel).await;
}

/// As many at once as the server allows.
#[tokio::test(start_paused = true)]
async fn f45_unread_stream_holds_up_no_other_call() {
    let world = one_server();
    let channel = world.channel(PICK_FIRST);
    let echo = EchoClient::new(channel.clone());
    let big = message(&"x".repeat(1 << 20));
    let unread = echo.server_streaming_echo(big).await.unwrap();
    settle().await;
    for _ in 0..10 {
        let others = join_all((0..99).map(|_| who(&channel)));
        let others = timeout(Duration::from_secs(1), others).await;
        for answer in others.expect("they are not held up") {
            assert_eq!(answer.unwrap(), A);
        }
    }
    assert_eq!(world.network.connections(A), 1);
    drop(unread);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_a_call_before_the_channel_has_connected_costs_nothing() {
    let world = one_server();
    let channel = world.channel(PICK_FIRST);
    for polls in 0..8 {
        let echo = EchoClient::new(channel.clone());
        poll_and_drop(echo.unary_echo(message("x")), polls).await;
    }
    assert_eq!(who(&channel).await.unwrap(), A);
    nothing_is_left(world, channel).await;
}
