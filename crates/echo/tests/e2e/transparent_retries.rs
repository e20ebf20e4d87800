//! Attempts that no server has worked on are made again; all others are not. The server is scripted.

use highball_channel::Code;
use highball_echo::EchoClient;
use highball_testkit::peer::{Frame, Peer};

use crate::script::{Script, data, reply};
use crate::world::{A, message};

const REFUSED_STREAM: u32 = 7;
const MAX_CONCURRENT_STREAMS: u16 = 3;

fn refused(stream: u32) -> Frame {
    Frame::Reset {
        stream,
        code: REFUSED_STREAM,
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_stream_is_tried_again_once() {
    let mut script = Script::new();
    let call = script.call();
    let mut peer = script.accept().await;
    let first = peer.headers().await;
    peer.send(refused(first)).await;
    let second = peer.headers().await;
    assert_ne!(first, second);
    peer.send_all(reply(second)).await;
    assert_eq!(call.await.unwrap().unwrap(), A);
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_refused_twice_fails_its_call() {
    let mut script = Script::new();
    let call = script.call();
    let mut peer = script.accept().await;
    for _ in 0..2 {
        let stream = peer.headers().await;
        peer.send(refused(stream)).await;
    }
    assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Unavailable);
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_above_goaways_last_moves_to_a_new_connection() {
    let mut script = Script::new();
    let call = script.call();
    let mut old = script.accept().await;
    old.headers().await;
    old.send(Frame::goaway(0, 0, "restarting")).await;
    let mut new = script.accept().await;
    let stream = new.headers().await;
    new.send_all(reply(stream)).await;
    assert_eq!(call.await.unwrap().unwrap(), A);
    script.end([old, new]).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_at_or_below_goaways_last_finishes_where_it_is() {
    let mut script = Script::new();
    let call = script.call();
    let mut old = script.accept().await;
    let stream = old.headers().await;
    old.send(Frame::goaway(stream, 0, "restarting")).await;
    old.send_all(reply(stream)).await;
    assert_eq!(call.await.unwrap().unwrap(), A);
    script.end([old]).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_fails_the_call_for_the_server_may_have_run_it() {
    let mut script = Script::new();
    let call = script.call();
    let mut peer = script.accept().await;
    peer.headers().await;
    script.world.network.cut(A);
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_in_the_queue_for_a_stream_moves_on_when_the_connection_drains() {
    let mut script = Script::new();
    let running = script.call();
    let io = script.listener.accept().await.unwrap();
    let mut old = Peer::server(io, &[(MAX_CONCURRENT_STREAMS, 1)]).await;
    let stream = old.headers().await;
    let queued = script.call();
    tokio::task::yield_now().await;
    old.send(Frame::goaway(stream, 0, "")).await;
    let mut new = script.accept().await;
    let moved = new.headers().await;
    new.send_all(reply(moved)).await;
    assert_eq!(queued.await.unwrap().unwrap(), A);
    old.send_all(reply(stream)).await;
    assert_eq!(running.await.unwrap().unwrap(), A);
    script.end([old, new]).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_streamed_before_the_refusal_is_sent_again() {
    let mut script = Script::new();
    let echo = EchoClient::new(script.channel.clone());
    let (say, requests) = futures::channel::mpsc::unbounded();
    let request = highball_channel::Request::new(requests);
    let open = tokio::spawn(async move { echo.bidirectional_streaming_echo(request).await });
    let mut peer = script.accept().await;
    let first = peer.headers().await;
    let mut replies = open.await.unwrap().unwrap();
    say.unbounded_send(message("one")).unwrap();
    let sent = data(&mut peer, first).await;
    say.unbounded_send(message("two")).unwrap();
    let also_sent = data(&mut peer, first).await;
    peer.send(refused(first)).await;
    let reading = tokio::spawn(async move { (replies.message().await, replies) });
    let second = peer.headers().await;
    let mut again = Vec::new();
    while again.len() < sent.len() + also_sent.len() {
        again.extend(data(&mut peer, second).await);
    }
    assert_eq!(again, [sent, also_sent].concat());
    peer.send_all(reply(second)).await;
    let (first_reply, mut replies) = reading.await.unwrap();
    assert!(first_reply.unwrap().is_some());
    assert_eq!(replies.message().await, Ok(None));
    drop((say, replies));
    script.end([peer]).await;
}
