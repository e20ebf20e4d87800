//! How much one client can start: never more handlers than it may have streams.

use std::time::Duration;

use crate::support::client::{framed, request};
use crate::support::raw::{self, CANCEL, DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM};
use crate::support::{World, settle};

#[tokio::test(start_paused = true)]
async fn bursts_of_headers_and_resets_never_start_more_handlers_than_the_quota() {
    let world = World::new();
    let mut peer = world.raw().await;
    let mut id = 1;
    for _ in 0..400 {
        let mut burst = Vec::new();
        for _ in 0..16 {
            burst.extend(raw::frame(HEADERS, END_HEADERS, id, &raw::call("RunOn")));
            burst.extend(raw::frame(DATA, END_STREAM, id, &framed(&"hi".to_owned())));
            burst.extend(raw::frame(RST_STREAM, 0, id, &CANCEL.to_be_bytes()));
            id += 2;
        }
        if tokio::io::AsyncWriteExt::write_all(&mut peer.io, &burst)
            .await
            .is_err()
        {
            break;
        }
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        assert!(
            world.seen.running() <= 100,
            "{} handlers",
            world.seen.running()
        );
    }
    assert!(world.seen.most() <= 100);
    drop(peer);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(world.seen.running(), 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_cancels_its_hundred_calls_at_once_keeps_its_connection() {
    let world = World::new();
    let mut peer = world.raw().await;
    let mut burst = Vec::new();
    for id in (1..=199).step_by(2) {
        burst.extend(raw::frame(HEADERS, END_HEADERS, id, &raw::call("Chat")));
        burst.extend(raw::frame(RST_STREAM, 0, id, &CANCEL.to_be_bytes()));
    }
    peer.write(&burst).await;
    settle().await;
    assert_eq!(world.seen.running(), 0);
    peer.frame(HEADERS, END_HEADERS, 201, &raw::call("Echo"))
        .await;
    peer.frame(DATA, END_STREAM, 201, &framed(&"on".to_owned()))
        .await;
    let frame = peer.next().await.unwrap();
    assert_eq!((frame.kind, frame.stream), (HEADERS, 201));
    drop(peer);
    world.end().await;
}

/// Frames of a call that its client gives up in the same breath.
fn cancelled(id: u32) -> Vec<u8> {
    let mut frames = raw::frame(HEADERS, END_HEADERS, id, &raw::call("Echo"));
    frames.extend(raw::frame(RST_STREAM, 0, id, &CANCEL.to_be_bytes()));
    frames
}

/// Sends a good call, and wants its answer.
async fn is_answered(peer: &mut raw::Peer, id: u32) {
    peer.frame(HEADERS, END_HEADERS, id, &raw::call("Echo"))
        .await;
    peer.frame(DATA, END_STREAM, id, &framed(&"on".to_owned()))
        .await;
    let frame = peer.next().await.unwrap();
    assert_eq!((frame.kind, frame.stream), (HEADERS, id));
}

#[tokio::test(start_paused = true)]
async fn twenty_thousand_cancelled_calls_that_arrive_at_once_spare_the_connection() {
    let world = World::new();
    let mut peer = world.raw().await;
    let storm: Vec<u8> = (1..40_000).step_by(2).flat_map(cancelled).collect();
    peer.write(&storm).await;
    is_answered(&mut peer, 40_001).await;
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_cancelled_while_they_wait_for_a_place_spare_the_connection() {
    let world = World::with(|builder| builder.max_concurrent_streams(2));
    let mut peer = world.raw().await;
    for orphan in [1, 3] {
        peer.frame(HEADERS, END_HEADERS, orphan, &raw::call("RunOn"))
            .await;
        peer.frame(DATA, END_STREAM, orphan, &framed(&"hi".to_owned()))
            .await;
        settle().await;
        peer.frame(RST_STREAM, 0, orphan, &CANCEL.to_be_bytes())
            .await;
    }
    settle().await;
    for first in (5..20_000).step_by(200) {
        let some: Vec<u8> = (first..first + 200)
            .step_by(2)
            .flat_map(cancelled)
            .collect();
        peer.write(&some).await;
        settle().await;
    }
    assert_eq!(world.seen.running(), 2, "both places are taken");
    is_answered(&mut peer, 40_001).await;
    assert_eq!(world.seen.most(), 2);
    drop(peer);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_outlives_its_call_holds_its_place() {
    let world = World::with(|builder| builder.max_concurrent_streams(1));
    let client = world.client().await;
    let mut first = client.start("RunOn").await;
    first
        .send
        .send_data(framed(&"hi".to_owned()), true)
        .unwrap();
    settle().await;
    first.send.send_reset(h2::Reason::CANCEL);
    settle().await;
    let waited = tokio::time::Instant::now();
    let second = client.unary("Echo", &"hi".to_owned()).await;
    assert_eq!(second.message::<String>(), "hi");
    assert!(
        waited.elapsed() > Duration::from_secs(9),
        "{:?}",
        waited.elapsed()
    );
    assert_eq!(world.seen.most(), 1);
    drop((client, first));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_call_that_waits_for_its_place_counts_from_its_arrival() {
    let world = World::with(|builder| builder.max_concurrent_streams(1));
    let client = world.client().await;
    let mut first = client.start("RunOn").await;
    first
        .send
        .send_data(framed(&"hi".to_owned()), true)
        .unwrap();
    settle().await;
    first.send.send_reset(h2::Reason::CANCEL);
    settle().await;
    let second = request("Context").header("grpc-timeout", "12S");
    let reply = client.send_all(second, [framed(&String::new())]).await;
    let known = reply.message::<String>();
    assert!(known.contains("Some(2.0"), "{known}");
    drop((client, first));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn f64_server_overload_lets_those_who_have_a_place_go_on() {
    let world = World::with(|builder| builder.max_concurrent_streams(2));
    let client = world.client().await;
    let mut orphan = client.start("RunOn").await;
    orphan
        .send
        .send_data(framed(&"hi".to_owned()), true)
        .unwrap();
    let mut chat = client.start("Chat").await;
    settle().await;
    orphan.send.send_reset(h2::Reason::CANCEL);
    let waiting = client.start("Echo").await;
    settle().await;
    assert_eq!(world.seen.started(), 2, "the third waits for a place");
    let mut body = chat.response.await.unwrap().into_body();
    for _ in 0..10 {
        chat.send
            .send_data(framed(&"hi".to_owned()), false)
            .unwrap();
        assert!(body.data().await.unwrap().is_ok());
    }
    drop((client, orphan, chat.send, body, waiting));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn as_soon_as_a_status_is_sent_the_next_stream_is_taken() {
    let world = World::with(|builder| builder.max_concurrent_streams(1));
    let client = world.client().await;
    for _ in 0..100 {
        assert_eq!(
            client
                .unary("Echo", &"hi".to_owned())
                .await
                .message::<String>(),
            "hi"
        );
        assert_eq!(
            client.unary("Fail", &"hi".to_owned()).await.status(),
            "9 hi"
        );
    }
    drop(client);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn floods_close_the_connection_and_say_why() {
    const ENHANCE_YOUR_CALM: u32 = 11;
    let world = World::new();
    for (kind, payload, text) in [
        (raw::PING, &[0; 8][..], &b"too_many_pings"[..]),
        (raw::SETTINGS, &[], b"too_many_settings"),
    ] {
        let mut peer = world.raw().await;
        let flood = raw::frame(kind, 0, 0, payload).repeat(200);
        // The server may have gone before all of it is written.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut peer.io, &flood).await;
        let goaway = loop {
            let frame = peer.next().await.unwrap();
            if frame.kind == raw::GOAWAY {
                break frame;
            }
        };
        assert_eq!(
            (goaway.code(), &goaway.payload[8..]),
            (ENHANCE_YOUR_CALM, text)
        );
        assert_eq!(peer.next().await, None);
    }
    world.end().await;
}
