//! Windows, limits and numbers that run out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use highball_channel::transport::ClientOptions;
use highball_channel::{Code, Request, Status};
use highball_echo::EchoClient;
use highball_testkit::peer::{Frame, Peer};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::script::{Script, reply};
use crate::world::{A, World, message, nothing_is_left, settle, who, who_with};

const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;

fn is_data(frame: &Frame) -> bool {
    matches!(frame, Frame::Data { .. })
}

#[tokio::test(start_paused = true)]
async fn f44_peer_zero_window() {
    let mut script = Script::new();
    let channel = script.channel.clone();
    let text = "x".repeat(1 << 20);
    let request = Request::new(message(&text)).with_timeout(Duration::from_secs(1));
    let started = Instant::now();
    let call = tokio::spawn(async move { who_with(&channel, request).await });
    let io = script.listener.accept().await.unwrap();
    let mut peer = Peer::server(io, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let stream = peer.headers().await;
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(
        status.to_string(),
        "DEADLINE_EXCEEDED: context deadline exceeded while sending the request to a:1"
    );
    assert_eq!(started.elapsed().as_secs(), 1);
    let reset = Frame::Reset { stream, code: 8 };
    assert_eq!(peer.next_for(stream).await, reset);
    assert!(!peer.log().iter().any(is_data));
    script.end([peer]).await;
}

/// A call whose application has as many messages of 1 KiB as are taken; how many that is, told as they are.
fn endless(script: &Script) -> (JoinHandle<Result<(), Status>>, Arc<AtomicUsize>) {
    let taken = Arc::<AtomicUsize>::default();
    let counted = taken.clone();
    let messages = futures::stream::repeat_with(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        message(&"x".repeat(1017))
    });
    let echo = EchoClient::new(script.channel.clone());
    let request = Request::new(messages).with_timeout(Duration::from_secs(60));
    let call = async move { echo.client_streaming_echo(request).await.map(drop) };
    (tokio::spawn(call), taken)
}

#[tokio::test(start_paused = true)]
async fn f44_a_peer_without_a_window_is_sent_nothing_and_little_is_taken_for_it() {
    let mut script = Script::new();
    let (call, taken) = endless(&script);
    let io = script.listener.accept().await.unwrap();
    let mut peer = Peer::server(io, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let stream = peer.headers().await;
    let bytes = |frame: &Frame| match frame {
        Frame::Data { data, .. } => data.len(),
        _ => 0,
    };
    peer.send(Frame::WindowUpdate {
        stream: 0,
        increment: 1 << 20,
    })
    .await;
    let mut sent = 0;
    for increment in [0, 10, 90] {
        if increment > 0 {
            let increment = increment * 1024;
            peer.send(Frame::WindowUpdate { stream, increment }).await;
        }
        let frames = peer.within(Duration::from_secs(1)).await;
        sent += frames.iter().map(bytes).sum::<usize>() / 1024;
        let held = taken.load(Ordering::Relaxed) - sent;
        assert!((1..=64).contains(&held), "{held} KiB held, {sent} KiB sent");
    }
    assert_eq!(sent, 100, "as much as there was a window for");
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    script.end([peer]).await;
}

/// There is room in its windows for everything, and none on the way.
#[tokio::test(start_paused = true)]
async fn f44_for_a_peer_that_reads_nothing_no_more_is_taken_than_a_stream_may_hold() {
    const PIPE: usize = 64;
    const SEND_BUFFER: usize = 128;
    let mut script = Script::new();
    let (call, taken) = endless(&script);
    let io = script.listener.accept().await.unwrap();
    let mut peer = Peer::server(io, &[(INITIAL_WINDOW_SIZE, (1 << 31) - 1)]).await;
    let increment = (1 << 31) - 1 - 65_535;
    let window = Frame::WindowUpdate {
        stream: 0,
        increment,
    };
    peer.send(window).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let held = taken.load(Ordering::Relaxed);
    let most = PIPE + 2 * SEND_BUFFER;
    assert!((PIPE..=most).contains(&held), "{held} KiB");
    assert!(!call.is_finished());
    // Once it reads it is sent more.
    let mut read = 0;
    while read < most * 1024 {
        if let Frame::Data { data, .. } = peer.until(is_data).await {
            read += data.len();
        }
    }
    call.abort();
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn f46_max_streams_lowered_to_1_then_0_then_100() {
    let mut script = Script::new();
    let running = [script.call(), script.call()];
    let io = script.listener.accept().await.unwrap();
    let mut peer = Peer::server(io, &[(MAX_CONCURRENT_STREAMS, 100)]).await;
    let streams = [peer.headers().await, peer.headers().await];
    peer.send(Frame::Settings(vec![(MAX_CONCURRENT_STREAMS, 1)]))
        .await;
    settle().await;
    let queued = script.call();
    settle().await;
    peer.send_all(reply(streams[0])).await;
    let is_headers = |frame: &Frame| matches!(frame, Frame::Headers { .. });
    let frames = peer.within(Duration::from_secs(1)).await;
    assert!(
        !frames.iter().any(is_headers),
        "one is still open: {frames:?}"
    );
    peer.send_all(reply(streams[1])).await;
    for call in running {
        assert_eq!(call.await.unwrap().unwrap(), A);
    }
    let third = peer.headers().await;
    peer.send(Frame::Settings(vec![(MAX_CONCURRENT_STREAMS, 0)]))
        .await;
    peer.send_all(reply(third)).await;
    assert_eq!(queued.await.unwrap().unwrap(), A);
    let given_up = script.call();
    let patient = script.call();
    let frames = peer.within(Duration::from_secs(60)).await;
    assert!(!frames.iter().any(is_headers), "{frames:?}");
    given_up.abort();
    settle().await;
    peer.send(Frame::Settings(vec![(MAX_CONCURRENT_STREAMS, 100)]))
        .await;
    let fourth = peer.headers().await;
    peer.send_all(reply(fourth)).await;
    assert_eq!(patient.await.unwrap().unwrap(), A);
    let frames = peer.within(Duration::from_secs(1)).await;
    assert!(
        !frames.iter().any(is_headers),
        "nothing of the one given up"
    );
    assert_eq!(script.world.network.connections(A), 1);
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn f47_window_shrinks_negative() {
    let mut script = Script::new();
    let channel = script.channel.clone();
    let request = Request::new(message(&"x".repeat(1000)));
    let call = tokio::spawn(async move { who_with(&channel, request).await });
    let io = script.listener.accept().await.unwrap();
    let mut peer = Peer::server(io, &[(INITIAL_WINDOW_SIZE, 100)]).await;
    let stream = peer.headers().await;
    let mut received = 0;
    while received < 100 {
        if let Frame::Data { data, .. } = peer.until(is_data).await {
            received += data.len();
        }
    }
    // 100 bytes in debt; 50 of them forgiven.
    peer.send(Frame::Settings(vec![(INITIAL_WINDOW_SIZE, 0)]))
        .await;
    peer.send(Frame::WindowUpdate {
        stream,
        increment: 50,
    })
    .await;
    let frames = peer.within(Duration::from_secs(1)).await;
    assert!(!frames.iter().any(is_data), "{frames:?}");
    peer.send(Frame::WindowUpdate {
        stream,
        increment: 60,
    })
    .await;
    let Frame::Data { data, .. } = peer.until(is_data).await else {
        unreachable!("it is DATA")
    };
    assert_eq!(data.len(), 10);
    peer.send(Frame::Settings(vec![(INITIAL_WINDOW_SIZE, 65_535)]))
        .await;
    peer.until(|frame| matches!(frame, Frame::Data { end: true, .. }))
        .await;
    peer.send_all(reply(stream)).await;
    assert_eq!(call.await.unwrap().unwrap(), A);
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn f51_stream_id_exhaustion() {
    let mut world = World::new();
    world.start(A);
    world.resolve(&[A]);
    let mut options = ClientOptions::default();
    options.last_stream_id = 9;
    let channel = world.builder().client_options(options).build().unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let channel = channel.clone();
        calls.spawn(async move { who(&channel).await });
        settle().await;
    }
    for answer in calls.join_all().await {
        assert_eq!(answer.unwrap(), A);
    }
    assert_eq!(world.network.connections(A), 10, "five calls on each");
    nothing_is_left(world, channel).await;
}
