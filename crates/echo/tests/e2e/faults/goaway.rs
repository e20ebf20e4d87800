//! GOAWAY, and servers that come and go.

use highball_channel::transport::BoxIo;
use highball_channel::{Code, ConnectivityState, Request};
use highball_testkit::peer::{Frame, Peer};
use tokio::io::AsyncWriteExt as _;

use crate::script::{Script, reply};
use crate::world::{A, message, settle, who_with};

const FOR_LATER: u32 = (1 << 31) - 1;

/// Answers a call on this connection.
async fn serve(peer: &mut Peer<BoxIo>) {
    let stream = peer.headers().await;
    peer.send_all(reply(stream)).await;
}

#[tokio::test(start_paused = true)]
async fn f53_goaway_graceful_inflight() {
    let mut script = Script::new();
    let in_flight = script.call();
    let mut old = script.accept().await;
    let stream = old.headers().await;
    old.send(Frame::goaway(FOR_LATER, 0, "")).await;
    settle().await;
    assert_eq!(script.channel.state(), ConnectivityState::Idle);
    let next = script.call();
    let mut new = script.accept().await;
    serve(&mut new).await;
    assert_eq!(next.await.unwrap().unwrap(), A);
    old.send(Frame::goaway(stream, 0, "")).await;
    old.send_all(reply(stream)).await;
    assert_eq!(in_flight.await.unwrap().unwrap(), A);
    old.rest().await;
    script.end([old, new]).await;
}

#[tokio::test(start_paused = true)]
async fn f54_goaway_races_pick() {
    let mut script = Script::new();
    let first = script.call();
    let mut old = script.accept().await;
    serve(&mut old).await;
    assert_eq!(first.await.unwrap().unwrap(), A);
    let calls: Vec<_> = (0..20).map(|_| script.call()).collect();
    for _ in 0..20 {
        old.headers().await;
    }
    // The server said it before it had seen any of them.
    old.send(Frame::goaway(1, 0, "")).await;
    let mut new = script.accept().await;
    for _ in 0..20 {
        serve(&mut new).await;
    }
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), A);
    }
    assert_eq!(script.world.network.connections(A), 2);
    script.end([old, new]).await;
}

#[tokio::test(start_paused = true)]
async fn f55_goaway_lower_last_id() {
    let mut script = Script::new();
    let calls = [script.call(), script.call(), script.call()];
    let mut old = script.accept().await;
    for _ in 0..3 {
        old.headers().await;
    }
    old.send(Frame::goaway(3, 0, "")).await;
    let mut new = script.accept().await;
    serve(&mut new).await;
    old.send_all(reply(1)).await;
    old.send_all(reply(3)).await;
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), A);
    }
    script.end([old, new]).await;
}

#[tokio::test(start_paused = true)]
async fn f56_goaway_twice_decreasing() {
    let mut script = Script::new();
    let calls = [script.call(), script.call()];
    let mut old = script.accept().await;
    let first = old.headers().await;
    let second = old.headers().await;
    for last in [FOR_LATER, second, first] {
        old.send(Frame::goaway(last, 0, "")).await;
        settle().await;
    }
    // What the last word leaves out is called again, elsewhere; what it covers is answered here.
    let mut new = script.accept().await;
    serve(&mut new).await;
    old.send_all(reply(first)).await;
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), A);
    }
    let frames = old.rest().await;
    let broken = |frame: &Frame| matches!(frame, Frame::GoAway { code, .. } if *code != 0);
    assert!(!frames.iter().any(broken), "{frames:?}");
    script.end([old, new]).await;
}

#[tokio::test(start_paused = true)]
async fn f56_goaway_twice_increasing() {
    let mut script = Script::new();
    let call = script.call();
    let mut old = script.accept().await;
    let stream = old.headers().await;
    old.send(Frame::goaway(stream, 0, "")).await;
    old.send(Frame::goaway(stream + 2, 0, "")).await;
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let broken = |frame: &Frame| matches!(frame, Frame::GoAway { code: 1, .. });
    old.until(broken).await;
    script.end([old]).await;
}

#[tokio::test(start_paused = true)]
async fn f58_goaway_then_close() {
    let mut script = Script::new();
    let call = script.call();
    let mut old = script.accept().await;
    let stream = old.headers().await;
    old.send(Frame::goaway(stream, 0, "")).await;
    drop(old);
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status.message().contains("received prior goaway"),
        "{status}"
    );
    settle().await;
    assert_eq!(script.world.network.connections(A), 1, "it may have run");
    script.end([]).await;
}

#[tokio::test(start_paused = true)]
async fn f59_goaway_during_handshake_of_next() {
    let mut script = Script::new();
    let first = script.call();
    let mut old = script.accept().await;
    serve(&mut old).await;
    assert_eq!(first.await.unwrap().unwrap(), A);
    let last = 1;
    old.send(Frame::goaway(last, 0, "")).await;
    drop(old);
    settle().await;
    let channel = script.channel.clone();
    let request = Request::new(message("x")).with_wait_for_ready(true);
    let patient = tokio::spawn(async move { who_with(&channel, request).await });
    for _ in 0..3 {
        let mut closing = script.listener.accept().await.unwrap();
        let goaway = Frame::goaway(0, 0, "").encode();
        closing.write_all(&goaway).await.unwrap();
        settle().await;
    }
    let mut new = script.accept().await;
    serve(&mut new).await;
    assert_eq!(patient.await.unwrap().unwrap(), A);
    script.end([new]).await;
}
