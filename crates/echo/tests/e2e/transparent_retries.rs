//! Attempts that no server has worked on are made again; all others are not. The server is scripted.

use std::sync::{Arc, Mutex};

use highball_channel::policy::{Outcome, Pick};
use highball_channel::transport::BoxIo;
use highball_channel::{Code, Request};
use highball_echo::{EchoClient, EchoRequest};
use highball_testkit::peer::{Frame, Peer};

use crate::hooked::{TURN, hook, hooked_with, unhook};
use crate::script::{Script, data, reply};
use crate::world::{A, World, message, nothing_is_left, settle, who};

const REFUSED_STREAM: u32 = 7;
const MAX_CONCURRENT_STREAMS: u16 = 3;

fn waiting(wait: bool) -> Request<EchoRequest> {
    Request::new(message("x")).with_wait_for_ready(wait)
}

fn refused(stream: u32) -> Frame {
    Frame::Reset {
        stream,
        code: REFUSED_STREAM,
    }
}

#[tokio::test(start_paused = true)]
async fn f32_rst_refused_is_tried_again_once() {
    for wait in [false, true] {
        let mut script = Script::new();
        let call = script.call_with(waiting(wait));
        let mut peer = script.accept().await;
        let first = peer.headers().await;
        peer.send(refused(first)).await;
        let second = peer.headers().await;
        assert_ne!(first, second);
        peer.send_all(reply(second)).await;
        assert_eq!(call.await.unwrap().unwrap(), A);
        script.end([peer]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn f32_rst_refused_twice_fails_its_call() {
    for wait in [false, true] {
        let mut script = Script::new();
        let call = script.call_with(waiting(wait));
        let mut peer = script.accept().await;
        for _ in 0..2 {
            let stream = peer.headers().await;
            peer.send(refused(stream)).await;
        }
        assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Unavailable);
        script.end([peer]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_transparent_retry_waits_for_a_connection_if_its_call_does() {
    let mut script = Script::new();
    let patient = script.call_with(waiting(true));
    let hasty = script.call_with(waiting(false));
    let mut old = script.accept().await;
    for _ in 0..2 {
        old.headers().await;
    }
    // Nobody is there to go to.
    script.listener = script.world.network.listen("elsewhere:1");
    old.send(Frame::goaway(0, 0, "restarting")).await;
    let status = hasty.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("connection refused"), "{status}");
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    assert!(!patient.is_finished());
    script.listener = script.world.network.listen(A);
    let mut new = script.accept().await;
    let stream = new.headers().await;
    new.send_all(reply(stream)).await;
    assert_eq!(patient.await.unwrap().unwrap(), A);
    script.end([old, new]).await;
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
    let request = Request::new(requests);
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

/// What happens to the attempts of a call, in order.
type Story = Arc<Mutex<Vec<String>>>;

/// Has the picks and their completion hooks told.
fn tell_picks(story: &Story) {
    let story = story.clone();
    let tell =
        |story: &Story, what: String| story.lock().expect("no test panics with it").push(what);
    hook(move |picker, call| match picker.pick(call) {
        Pick::Use(selection) => {
            tell(&story, "picked".to_owned());
            let story = story.clone();
            Pick::Use(selection.on_done(move |outcome: &Outcome| {
                let result = match &outcome.result {
                    None => "dropped".to_owned(),
                    Some(Ok(())) => "OK".to_owned(),
                    Some(Err(status)) => status.to_string(),
                };
                let (sent, received) = (outcome.bytes_sent, outcome.bytes_received);
                tell(
                    &story,
                    format!("{result}, sent {sent}, received {received}"),
                );
            }))
        }
        other => other,
    });
}

/// Reads a request.
async fn request(peer: &mut Peer<BoxIo>, story: &Story) -> u32 {
    let stream = peer.headers().await;
    data(peer, stream).await;
    let mut story = story.lock().expect("no test panics with it");
    story.push("sent".to_owned());
    stream
}

/// The policy allows one attempt more: the refused one is not of them.
#[tokio::test(start_paused = true)]
async fn a_refused_attempt_then_a_pushed_back_one_then_a_reply() {
    let _turn = TURN.lock().await;
    let world = World::new();
    let mut listener = world.network.listen(A);
    world.resolve(&[A]);
    let policy = r#","methodConfig":[{"name":[{}],"retryPolicy":{"maxAttempts":2,"initialBackoff":"9s",
        "maxBackoff":"9s","backoffMultiplier":1,"retryableStatusCodes":["UNAVAILABLE"]}}]"#;
    let channel = hooked_with(&world, policy);
    let story = Story::default();
    tell_picks(&story);
    let call = tokio::spawn({
        let channel = channel.clone();
        async move { who(&channel).await }
    });
    let mut peer = Peer::server(listener.accept().await.unwrap(), &[]).await;
    let started = tokio::time::Instant::now();
    let stream = request(&mut peer, &story).await;
    peer.send(refused(stream)).await;
    let stream = request(&mut peer, &story).await;
    let busy = [
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-status", "14"),
        ("grpc-message", "busy"),
        ("grpc-retry-pushback-ms", "10"),
    ];
    peer.send(Frame::headers(stream, &busy, true)).await;
    let stream = request(&mut peer, &story).await;
    assert_eq!(started.elapsed().as_millis(), 10, "the server's delay");
    peer.send_all(reply(stream)).await;
    assert_eq!(call.await.unwrap().unwrap(), A);
    unhook();
    let story = story.lock().unwrap().clone();
    let expected = [
        "picked",
        "sent",
        "UNAVAILABLE: stream terminated by RST_STREAM with error code: REFUSED_STREAM, sent true, received false",
        "picked",
        "sent",
        "UNAVAILABLE: busy, sent true, received true",
        "picked",
        "sent",
        "OK, sent true, received true",
    ];
    assert_eq!(story, expected);
    drop((peer, listener));
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_waits_to_be_made_again_can_be_closed_and_used_after_that() {
    let mut script = Script::new();
    let first = script.call();
    let io = script.listener.accept().await.unwrap();
    let mut peer = Peer::server(io, &[(MAX_CONCURRENT_STREAMS, 1)]).await;
    let held = peer.headers().await;
    peer.send_all(reply(held)).await;
    first.await.unwrap().unwrap();
    // A stream with the only slot, and a call in line for it.
    let echo = EchoClient::new(script.channel.clone());
    let (say, requests) = futures::channel::mpsc::unbounded();
    let opening = echo.bidirectional_streaming_echo(Request::new(requests));
    let mut replies = opening.await.unwrap();
    let stream = peer.headers().await;
    let in_line = script.call();
    settle().await;
    peer.send(refused(stream)).await;
    let reading = tokio::spawn(async move { (replies.message().await, replies) });
    // The slot goes to whoever was in line; the stream waits for it, and what is said is kept.
    peer.headers().await;
    say.unbounded_send(message("kept")).unwrap();
    settle().await;
    assert!(!reading.is_finished());
    script.channel.close().await;
    let (ended, mut replies) = reading.await.unwrap();
    assert_eq!(ended.unwrap_err().code(), Code::Cancelled);
    assert_eq!(in_line.await.unwrap().unwrap_err().code(), Code::Cancelled);
    assert_eq!(replies.message().await, Ok(None), "it said so once");
    assert!(replies.trailers().is_empty());
    let _ = say.unbounded_send(message("too late"));
    drop((say, replies));
    script.end([peer]).await;
}
