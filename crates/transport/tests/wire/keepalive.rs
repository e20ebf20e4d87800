//! The client's keepalive (gRFCs A8 and A18): when it asks, and what silence means.

use std::time::Duration;

use highball_core::Code;
use highball_testkit::peer::{Frame, Peer};
use highball_transport::BoxIo;
use highball_transport::client::{ClientOptions, Closed, Ended, Keepalive, Lost};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::rig::{GRPC, Rig, message, response, settle};

const SECOND: Duration = Duration::from_secs(1);

fn every(seconds: u32, permit_without_stream: bool) -> ClientOptions {
    let mut options = ClientOptions::default();
    options.keepalive = Some(Keepalive {
        time: seconds * SECOND,
        permit_without_stream,
        ..Keepalive::default()
    });
    options
}

/// Waits for a PING and answers it; when it came, in seconds from `start`.
async fn pong(peer: &mut Peer<BoxIo>, start: Instant) -> u64 {
    let ping = peer
        .until(|frame| matches!(frame, Frame::Ping { ack: false, .. }))
        .await;
    let Frame::Ping { payload, .. } = ping else {
        unreachable!("it is a PING");
    };
    let ack = true;
    peer.send(Frame::Ping { ack, payload }).await;
    start.elapsed().as_secs()
}

fn pings(frames: &[Frame]) -> usize {
    let is_ping = |frame: &&Frame| matches!(frame, Frame::Ping { ack: false, .. });
    frames.iter().filter(is_ping).count()
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_given_up_and_its_calls_say_why() {
    let start = Instant::now();
    let mut rig = Rig::with(&[], every(10, false)).await;
    let (_, mut recv) = rig.request().await;
    let ended = recv.message().await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 30, "the time and the timeout");
    assert_eq!(ended.status.code(), Code::Unavailable);
    assert_eq!(
        ended.status.message(),
        "connection to server: keepalive ping failed to receive ACK within timeout"
    );
    let lost = rig.end.lost().await;
    assert!(matches!(lost, Lost::Closed(Closed::KeepaliveTimeout)));
    assert_eq!(lost.label(), "connection timed out");
    assert_eq!(pings(&rig.peer.rest().await), 1, "at 10 s and no more");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_keeps_its_connection_and_is_asked_once_in_the_time() {
    let mut rig = Rig::with(&[], every(15, true)).await;
    let start = Instant::now();
    for asked in [15, 30, 45, 60] {
        assert_eq!(pong(&mut rig.peer, start).await, asked);
    }
    let (stream, mut recv) = rig.request().await;
    rig.peer.send_all(response(stream, b"well")).await;
    assert_eq!(recv.message().await.unwrap().unwrap(), "well");
}

#[tokio::test(start_paused = true)]
async fn the_time_is_ten_seconds_at_least() {
    let mut rig = Rig::with(&[], every(1, true)).await;
    let start = Instant::now();
    assert_eq!(pong(&mut rig.peer, start).await, 10);
}

#[tokio::test(start_paused = true)]
async fn without_streams_nobody_is_asked_until_a_stream_opens() {
    let mut rig = Rig::with(&[], every(10, false)).await;
    let quiet = rig.peer.within(600 * SECOND).await;
    assert_eq!(pings(&quiet), 0);
    let start = Instant::now();
    let (_send, mut recv) = rig.open().await;
    assert_eq!(pong(&mut rig.peer, start).await, 0, "at once");
    assert!(recv.message().await.is_err());
    assert_eq!(start.elapsed().as_secs(), 30, "asked at 10 s once more");
}

#[tokio::test(start_paused = true)]
async fn without_keepalive_nobody_is_asked() {
    let mut rig = Rig::new(&[]).await;
    let (_, _recv) = rig.request().await;
    let day = rig.peer.within(3000 * SECOND).await;
    assert_eq!(pings(&day), 0);
}

/// A response of half a window: reason enough to measure the path.
async fn pour(rig: &mut Rig, stream: u32) {
    for _ in 0..8 {
        let data = message(&[7; 16 * 1024 - 5]);
        rig.peer.send(Frame::data(stream, data, false)).await;
        settle().await;
    }
}

/// A call whose response has begun, and is read.
async fn reading(rig: &mut Rig) -> (u32, JoinHandle<Ended>) {
    let (stream, mut recv) = rig.request().await;
    rig.peer.send(Frame::headers(stream, &GRPC, false)).await;
    let reading = tokio::spawn(async move {
        loop {
            if let Err(ended) = recv.message().await {
                return ended;
            }
        }
    });
    (stream, reading)
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_measures_the_path_is_keepalives_too_while_it_is_on_its_way() {
    let start = Instant::now();
    let mut rig = Rig::with(&[], every(10, false)).await;
    let (stream, reading) = reading(&mut rig).await;
    pour(&mut rig, stream).await;
    let is_ping = |frame: &Frame| matches!(frame, Frame::Ping { ack: false, .. });
    rig.peer.until(is_ping).await;
    assert_eq!(start.elapsed().as_secs(), 0, "it measures the path");
    // Keepalive is due at 10 s, with this one unanswered.
    let ended = reading.await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 30, "the time and the timeout");
    assert!(
        ended.status.message().contains("keepalive ping"),
        "{ended:?}"
    );
    let more = rig.peer.rest().await;
    assert_eq!(pings(&more), 0, "one at a time: {more:?}");
}

#[tokio::test(start_paused = true)]
async fn the_path_is_measured_when_keepalives_ping_is_answered_and_not_by_it() {
    let mut rig = Rig::with(&[], every(10, false)).await;
    let (stream, _reading) = reading(&mut rig).await;
    let is_ping = |frame: &Frame| matches!(frame, Frame::Ping { ack: false, .. });
    let Frame::Ping { payload, .. } = rig.peer.until(is_ping).await else {
        unreachable!("it is a PING");
    };
    // There is reason to measure, and no room for a PING.
    pour(&mut rig, stream).await;
    let frames = rig.peer.within(SECOND).await;
    assert_eq!(pings(&frames), 0, "one at a time: {frames:?}");
    let ack = true;
    rig.peer.send(Frame::Ping { ack, payload }).await;
    let start = Instant::now();
    assert_eq!(pong(&mut rig.peer, start).await, 0, "now it is measured");
    let is_settings = |frame: &Frame| matches!(frame, Frame::Settings(_));
    let frames = rig.peer.within(SECOND).await;
    assert!(!frames.iter().any(is_settings), "a quiet path: {frames:?}");
    assert_eq!(pong(&mut rig.peer, start).await, 10, "keepalive goes on");
}

#[tokio::test(start_paused = true)]
async fn too_many_pings_doubles_the_time_of_the_connections_to_come() {
    let options = every(10, true);
    for (complaint, asked) in [
        ("too_many_pings", 10),
        ("something else", 20),
        ("too_many_pings", 20),
        ("", 40),
    ] {
        let mut rig = Rig::with(&[], &options).await;
        let start = Instant::now();
        assert_eq!(pong(&mut rig.peer, start).await, asked);
        rig.peer.send(Frame::goaway(0, 11, complaint)).await;
        assert_eq!(rig.end.lost().await.label(), "GOAWAY ENHANCE_YOUR_CALM");
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_complained_of_at_once_double_the_time_once() {
    let options = every(10, true);
    let mut servers = Vec::new();
    for _ in 0..5 {
        servers.push(Rig::with(&[], &options).await);
    }
    for rig in &mut servers {
        rig.peer.send(Frame::goaway(0, 11, "too_many_pings")).await;
        rig.end.lost().await;
    }
    let mut rig = Rig::with(&[], &options).await;
    let start = Instant::now();
    assert_eq!(pong(&mut rig.peer, start).await, 20);
}
