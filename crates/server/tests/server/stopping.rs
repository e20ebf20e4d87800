//! How a server ends: gracefully, at once, and with nothing left behind.

use std::time::Duration;

use highball_server::EnforcementPolicy;

use crate::support::client::{framed, request};
use crate::support::raw::{self, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM};
use crate::support::{World, settle};
use tokio::time::Instant;

const NEVER: u32 = 0x7fff_ffff;

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_announces_itself_and_says_where_it_ends_once_the_client_knows() {
    let world = World::new();
    let mut peer = world.raw().await;
    peer.frame(HEADERS, END_HEADERS, 1, &raw::call("Collect"))
        .await;
    settle().await;
    let stopped = world.server.graceful_stop();
    let first = peer.next().await.unwrap();
    assert_eq!(
        (first.kind, first.last_stream(), first.code()),
        (GOAWAY, NEVER, 0)
    );
    let ping = peer.next().await.unwrap();
    assert_eq!(ping.kind, PING);
    // On its way before the client knew: it counts.
    peer.frame(HEADERS, END_HEADERS, 3, &raw::call("Collect"))
        .await;
    peer.frame(PING, 1, 0, &ping.payload).await;
    let second = peer.next().await.unwrap();
    assert_eq!(
        (second.kind, second.last_stream(), second.code()),
        (GOAWAY, 3, 0)
    );
    peer.frame(HEADERS, END_HEADERS, 5, &raw::call("Collect"))
        .await;
    settle().await;
    assert_eq!(world.seen.running(), 2, "the third came too late");
    for id in [1, 3] {
        peer.frame(DATA, END_STREAM, id, &framed(&"x".to_owned()))
            .await;
        for kind in [HEADERS, DATA, HEADERS] {
            let frame = peer.next().await.unwrap();
            assert_eq!((frame.stream, frame.kind), (id, kind));
        }
    }
    assert_eq!(peer.next().await, None, "closed after the last call");
    drop(peer);
    stopped.await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn f66_client_ignores_drain_ping_and_is_told_after_five_seconds() {
    const REFUSED_STREAM: u32 = 7;
    let world = World::new();
    let mut peer = world.raw().await;
    peer.frame(HEADERS, END_HEADERS, 1, &raw::call("Collect"))
        .await;
    settle().await;
    let stopped = world.server.graceful_stop();
    let started = Instant::now();
    assert_eq!(peer.next().await.unwrap().last_stream(), NEVER);
    assert_eq!(peer.next().await.unwrap().kind, PING);
    let second = peer.next().await.unwrap();
    assert_eq!(
        (second.kind, second.last_stream(), second.code()),
        (GOAWAY, 1, 0)
    );
    assert_eq!(second.payload[8..], *b"graceful_stop");
    assert_eq!(started.elapsed().as_secs(), 5);
    peer.frame(HEADERS, END_HEADERS, 3, &raw::call("Collect"))
        .await;
    let refused = peer.next().await.unwrap();
    assert_eq!(
        (refused.kind, refused.stream, refused.code()),
        (RST_STREAM, 3, REFUSED_STREAM)
    );
    peer.frame(DATA, END_STREAM, 1, &framed(&"x".to_owned()))
        .await;
    for kind in [HEADERS, DATA, HEADERS] {
        assert_eq!(peer.next().await.unwrap().kind, kind);
    }
    assert_eq!(peer.next().await.unwrap().kind, GOAWAY);
    assert_eq!(peer.next().await, None);
    drop(peer);
    stopped.await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_was_acknowledged_waits_for_long_calls_without_another_word() {
    let world = World::new();
    let mut peer = world.raw().await;
    peer.frame(HEADERS, END_HEADERS, 1, &raw::call("Collect"))
        .await;
    settle().await;
    let stopped = world.server.graceful_stop();
    peer.next().await.unwrap();
    let ping = peer.next().await.unwrap();
    peer.frame(PING, 1, 0, &ping.payload).await;
    assert_eq!(peer.next().await.unwrap().last_stream(), 1);
    let twenty_seconds = Duration::from_secs(20);
    let word = tokio::time::timeout(twenty_seconds, peer.next()).await;
    assert!(word.is_err(), "{word:?}");
    peer.frame(DATA, END_STREAM, 1, &framed(&"x".to_owned()))
        .await;
    for kind in [HEADERS, DATA, HEADERS] {
        assert_eq!(peer.next().await.unwrap().kind, kind);
    }
    assert_eq!(peer.next().await, None);
    drop(peer);
    stopped.await;
    world.end().await;
}

/// Closing a socket that has unread bytes resets it, and that would cost the client its last replies.
#[tokio::test(start_paused = true)]
async fn the_server_reads_on_until_the_client_closes_for_a_second_at_most() {
    let any_pings = EnforcementPolicy {
        min_time: Duration::ZERO,
        permit_without_stream: true,
    };
    for closes_after in [Duration::from_millis(300), Duration::from_secs(5)] {
        let world = World::with(|builder| builder.enforcement_policy(any_pings));
        let mut peer = world.raw().await;
        settle().await;
        let stopped = world.server.graceful_stop();
        let started = Instant::now();
        peer.next().await.unwrap();
        let ping = peer.next().await.unwrap();
        peer.frame(PING, 1, 0, &ping.payload).await;
        assert_eq!(peer.next().await.unwrap().kind, GOAWAY);
        assert_eq!(peer.next().await, None, "the server says no more");
        let client = tokio::spawn(async move {
            let until = started + closes_after;
            while Instant::now() < until {
                // Nothing that is written meanwhile fails.
                tokio::time::sleep(Duration::from_millis(100)).await;
                if started.elapsed() < Duration::from_millis(900) {
                    peer.frame(PING, 0, 0, &[0; 8]).await;
                }
            }
        });
        stopped.await;
        let waited = started.elapsed().as_millis();
        let expected = closes_after.as_millis().min(1000);
        assert!((expected..expected + 100).contains(&waited), "{waited} ms");
        client.await.unwrap();
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_at_once_by_a_graceful_stop() {
    let world = World::new();
    let client = world.client().await;
    client.unary("Echo", &"hi".to_owned()).await;
    let started = Instant::now();
    world.server.graceful_stop().await;
    assert!(
        started.elapsed() < Duration::from_millis(10),
        "{:?}",
        started.elapsed()
    );
    assert!(client.ready().await.is_err());
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn f65_graceful_stop_with_stuck_stream_ends_with_the_grace() {
    let world = World::with(|builder| builder.grace(Duration::from_secs(7)));
    let client = world.client().await;
    let mut hanging = client.start("Hang").await;
    hanging
        .send
        .send_data(framed(&"hi".to_owned()), true)
        .unwrap();
    let mut stubborn = client.start("RunOn").await;
    stubborn
        .send
        .send_data(framed(&"hi".to_owned()), true)
        .unwrap();
    settle().await;
    assert_eq!(world.seen.running(), 2);
    let started = Instant::now();
    world.server.graceful_stop().await;
    assert_eq!(started.elapsed().as_secs(), 7);
    assert_eq!((world.seen.running(), world.seen.finished()), (0, 0));
    drop((client, hanging, stubborn));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_cuts_calls_at_once_whatever_they_asked_for() {
    let world = World::new();
    let client = world.client().await;
    let mut hanging = client.start("Hang").await;
    hanging
        .send
        .send_data(framed(&"hi".to_owned()), true)
        .unwrap();
    let mut stubborn = client.start("RunOn").await;
    stubborn
        .send
        .send_data(framed(&"hi".to_owned()), true)
        .unwrap();
    settle().await;
    let started = Instant::now();
    world.server.stop().await;
    assert!(
        started.elapsed() < Duration::from_millis(10),
        "{:?}",
        started.elapsed()
    );
    assert_eq!((world.seen.running(), world.seen.cancelled()), (0, 2));
    assert!(hanging.response.await.is_err());
    drop((client, stubborn));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_cuts_a_stream_without_end_that_nobody_takes() {
    let turns = async || {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    let world = World::new();
    let client = world.client().await;
    let mut call = client.start("CountOn").await;
    // Not for ever, or else a server that does not let go of it could not fail the test.
    let numbers = framed(&10_000_000_u32);
    call.send.send_data(numbers, true).unwrap();
    turns().await;
    drop(call);
    turns().await;
    assert_eq!((world.seen.running(), world.seen.finished()), (1, 0));
    world.server.stop().await;
    assert_eq!((world.seen.running(), world.seen.finished()), (0, 0));
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_client_that_reads_nothing() {
    let world = World::new();
    let mut peer = world.raw().await;
    // Window of 2^31-1 for streams, and 1 GiB for the connection: only the pipe stops the server.
    peer.frame(raw::SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff])
        .await;
    peer.frame(8, 0, 0, &[0x40, 0, 0, 0]).await;
    peer.frame(HEADERS, END_HEADERS, 1, &raw::call("Large"))
        .await;
    peer.frame(DATA, END_STREAM, 1, &framed(&5_000_000_u32))
        .await;
    settle().await;
    let started = Instant::now();
    world.server.stop().await;
    assert!(
        started.elapsed() <= Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_cuts_a_graceful_stop_short_and_both_may_be_repeated() {
    let world = World::new();
    let client = world.client().await;
    let mut hanging = client.start("Hang").await;
    hanging
        .send
        .send_data(framed(&"hi".to_owned()), true)
        .unwrap();
    settle().await;
    let graceful = [world.server.graceful_stop(), world.server.graceful_stop()];
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.seen.running(), 1);
    let started = Instant::now();
    drop(world.server.stop());
    world.server.stop().await;
    for stopped in graceful {
        stopped.await;
    }
    world.server.graceful_stop().await;
    assert!(started.elapsed() < Duration::from_millis(10));
    drop((client, hanging));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stopped_server_serves_no_more() {
    let world = World::new();
    world.server.stop().await;
    let listener = world.network.listen("another:1");
    let error = world.server.clone().serve(listener).await.unwrap_err();
    assert_eq!(error.to_string(), "grpc: the server has been stopped");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_ends_during_the_drain_is_drained_at_once() {
    let world = World::new();
    let mut peer = raw::Peer::silent(&world.network).await;
    settle().await;
    let stopped = world.server.graceful_stop();
    settle().await;
    peer.write(raw::PREFACE).await;
    peer.frame(raw::SETTINGS, 0, 0, &[]).await;
    let goaway = peer.next().await.unwrap();
    assert_eq!((goaway.kind, goaway.last_stream()), (GOAWAY, NEVER));
    let ping = peer.next().await.unwrap();
    peer.frame(PING, 1, 0, &ping.payload).await;
    assert_eq!(peer.next().await.unwrap().kind, GOAWAY);
    assert_eq!(peer.next().await, None);
    drop(peer);
    stopped.await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_may_serve_several_listeners_and_is_stopped_by_a_future() {
    let world = World::new();
    let listener = world.network.listen("second:1");
    let shutdown = tokio::time::sleep(Duration::from_secs(3));
    let serving = world.server.clone().serve_with_shutdown(listener, shutdown);
    let started = Instant::now();
    serving.await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 3);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_is_closed_ends_serving_when_its_connections_have_ended() {
    let world = World::new();
    let client = world.client().await;
    client.unary("Echo", &"hi".to_owned()).await;
    let _taken = world.network.listen(crate::support::NAME);
    settle().await;
    assert_eq!(
        client
            .unary("Echo", &"on".to_owned())
            .await
            .message::<String>(),
        "on"
    );
    assert!(!world.serving.is_finished());
    drop(client);
    let error = world.serving.await.unwrap().unwrap_err();
    assert!(
        error.to_string().starts_with("the listener is closed"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_the_server_future_cuts_everything() {
    let world = World::new();
    let client = world.client().await;
    let mut hanging = client.start("Hang").await;
    hanging
        .send
        .send_data(framed(&"hi".to_owned()), true)
        .unwrap();
    settle().await;
    world.serving.abort();
    settle().await;
    assert_eq!((world.seen.running(), world.seen.cancelled()), (0, 1));
    world.server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_and_connections_leave_nothing() {
    let world = World::new();
    for round in 0..100 {
        let client = world.client().await;
        for call in 0..100 {
            let mut call = match call % 4 {
                0 => client.start("Chat").await,
                1 => client.start("Collect").await,
                2 => client.open(request("Hang").body(()).unwrap(), true).await,
                _ => {
                    assert_eq!(client.unary("Echo", &"x".to_owned()).await.status(), "0");
                    continue;
                }
            };
            if round % 2 == 0 {
                tokio::task::yield_now().await;
            }
            call.send.send_reset(h2::Reason::CANCEL);
        }
    }
    settle().await;
    assert_eq!(world.seen.running(), 0);
    world.end().await;
}
