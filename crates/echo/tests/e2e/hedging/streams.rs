//! Streams whose attempts race: what each is sent, and which of them the call becomes.

use std::time::Duration;

use futures::StreamExt as _;
use highball_channel::{Channel, Code, Request, Status};
use highball_echo::{EchoClient, EchoRequest, EchoResponse};
use highball_testkit::peer::{Frame, Peer};
use prost::Message as _;

use super::down;
use super::servers::{NEVER, Rig, UNAVAILABLE, policy};
use crate::script::{Script, data, framed, opening, success};
use crate::world::{A, World, message, settle, who};

const CANCEL: u32 = 8;
const REFUSED_STREAM: u32 = 7;

/// Says `words`, one each `every` milliseconds, and returns what is answered in the end.
async fn say(
    channel: &Channel,
    every: u64,
    words: &'static [&str],
    limit: Option<usize>,
) -> Result<String, Status> {
    let requests =
        futures::stream::iter(words.iter().enumerate()).then(move |(index, word)| async move {
            if index > 0 {
                tokio::time::sleep(Duration::from_millis(every)).await;
            }
            message(word)
        });
    let mut request = Request::new(requests);
    request.options_mut().max_replay_bytes = limit;
    let echo = EchoClient::new(channel.clone());
    let mut replies = echo.bidirectional_streaming_echo(request).await?;
    let reply = replies.message().await?.expect("there is a reply");
    assert!(replies.message().await?.is_none());
    Ok(reply.message)
}

#[tokio::test(start_paused = true)]
async fn a6_every_hedge_is_sent_what_came_before_and_what_comes_while_it_races() {
    let third_answers = |index| match index {
        2 => (1000, Ok(())),
        _ => (NEVER, Ok(())),
    };
    let rig = Rig::new(&policy(3, "0.5s", ""), third_answers).await;
    let said = say(
        &rig.channel,
        400,
        &["a", "b", "c", "d", "e", "f", "g"],
        None,
    )
    .await;
    assert_eq!(said.unwrap(), "a b c d e f g");
    settle().await;
    let messages: Vec<_> = rig
        .log
        .seen()
        .iter()
        .map(|seen| seen.messages.concat())
        .collect();
    assert_eq!(messages, ["abcdef", "abcdef", "abcdefg"], "up to 2000 ms");
    assert_eq!(rig.log.cancelled(), [Some(2000), Some(2000), None]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_hedges_are_sent_on_time_though_nobody_reads() {
    let rig = Rig::new(&policy(3, "0.5s", ""), |_| (NEVER, Ok(()))).await;
    let echo = EchoClient::new(rig.channel.clone());
    let requests = Request::new(futures::stream::pending::<EchoRequest>());
    let replies = echo.bidirectional_streaming_echo(requests).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(rig.log.times(), [0, 500, 1000]);
    drop(replies);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_more_than_is_kept_commits_the_call_to_the_attempt_that_was_sent_most() {
    let rig = Rig::new(&policy(4, "0.5s", UNAVAILABLE), |index| match index {
        0 => (1500, Ok(())),
        _ => (NEVER, Ok(())),
    })
    .await;
    // Each takes nine bytes; the fourth comes at 600 ms.
    let said = say(
        &rig.channel,
        200,
        &["one", "two", "six", "ten", "and"],
        Some(27 + 3),
    )
    .await;
    assert_eq!(said.unwrap(), "one two six ten and");
    settle().await;
    assert_eq!(rig.log.times(), [0, 500], "no other was sent");
    let second = &rig.log.seen()[1];
    assert_eq!((second.messages.len(), second.cancelled), (3, Some(600)));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_an_attempt_that_the_call_is_committed_to_fails_the_call() {
    let rig = Rig::new(&policy(4, "0.5s", UNAVAILABLE), |_| (1000, Err(down()))).await;
    let said = say(&rig.channel, 100, &["one", "two", "six"], Some(10)).await;
    assert_eq!(said.unwrap_err(), down());
    assert_eq!(rig.log.times(), [0]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_a_request_that_fails_its_call_ends_the_race() {
    let rig = Rig::new(&policy(3, "0.1s", ""), |_| (NEVER, Ok(()))).await;
    let requests = futures::stream::iter([message("small"), message(&"x".repeat(100))]);
    let mut request = Request::new(requests.then(|message| async move {
        tokio::time::sleep(Duration::from_millis(150)).await;
        message
    }));
    request.options_mut().max_request_bytes = Some(50);
    let echo = EchoClient::new(rig.channel.clone());
    let mut replies = echo.bidirectional_streaming_echo(request).await.unwrap();
    let status = replies.message().await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    settle().await;
    assert_eq!(rig.log.cancelled(), [Some(300); 3]);
    rig.end().await;
}

/// A channel to a scripted server whose calls are hedged.
fn hedged(policy: &str) -> Script {
    let world = World::new();
    let listener = world.network.listen(A);
    world.resolve(&[A]);
    let config = format!(r#"{{"loadBalancingConfig":[{{"pick_first":{{}}}}],{policy}}}"#);
    let builder = world.builder().default_service_config(config);
    Script {
        channel: builder.build().expect("the config is valid"),
        world,
        listener,
    }
}

#[tokio::test(start_paused = true)]
async fn a6_the_first_headers_decide_and_the_others_are_reset_before_any_message_comes() {
    let mut script = hedged(&policy(3, "0.1s", UNAVAILABLE));
    let call = script.call();
    let mut peer = script.accept().await;
    let (first, second) = (peer.headers().await, peer.headers().await);
    peer.send(opening(second)).await;
    let next = peer
        .until(|frame| matches!(frame, Frame::Reset { .. } | Frame::Headers { .. }))
        .await;
    let reset = Frame::Reset {
        stream: first,
        code: CANCEL,
    };
    assert_eq!(next, reset);
    let rest = peer.within(Duration::from_secs(1)).await;
    assert!(rest.is_empty(), "no third attempt: {rest:?}");
    let trailers = [("grpc-status", "14"), ("grpc-message", "too late")];
    peer.send(Frame::headers(second, &trailers, true)).await;
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(
        status.to_string(),
        "UNAVAILABLE: too late",
        "it is the call's"
    );
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn a6_transparent_retries_are_no_hedges() {
    let mut script = hedged(&policy(2, "0.1s", ""));
    let call = script.call();
    let mut peer = script.accept().await;
    let mut attempts = Vec::new();
    for refuses in [true, false, false] {
        let stream = peer.headers().await;
        data(&mut peer, stream).await;
        attempts.push(stream);
        if refuses {
            peer.send(Frame::Reset {
                stream,
                code: REFUSED_STREAM,
            })
            .await;
        }
    }
    let rest = peer.within(Duration::from_secs(1)).await;
    let more = rest
        .iter()
        .any(|frame| matches!(frame, Frame::Headers { .. }));
    assert!(
        !more,
        "two attempts, and the refused one made again: {rest:?}"
    );
    let payload = EchoResponse {
        message: format!("x (from {A})"),
    };
    let stream = attempts[1];
    peer.send_all([
        opening(stream),
        framed(stream, &payload.encode_to_vec()),
        success(stream),
    ])
    .await;
    assert_eq!(call.await.unwrap().unwrap(), A);
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn a6_a_server_that_reads_nothing_holds_no_other_attempt_back() {
    let mut script = hedged(&policy(2, "0.1s", ""));
    let echo = EchoClient::new(script.channel.clone());
    let large = "x".repeat(200_000);
    let call = tokio::spawn(async move { echo.unary_echo(message(&large)).await });
    let io = script.listener.accept().await.unwrap();
    // A window that is too small for the message, on every stream of the connection.
    let mut peer = Peer::server(io, &[]).await;
    let first = peer.headers().await;
    let second = peer.headers().await;
    assert_ne!(first, second);
    // Half a million for the second and for the connection, nothing for the first.
    for stream in [0, second] {
        peer.send(Frame::WindowUpdate {
            stream,
            increment: 500_000,
        })
        .await;
    }
    let mut received = 0;
    while received < 200_000 {
        received += data(&mut peer, second).await.len();
    }
    let payload = EchoResponse {
        message: "all of it".to_owned(),
    };
    peer.send_all([
        opening(second),
        framed(second, &payload.encode_to_vec()),
        success(second),
    ])
    .await;
    let reply = call.await.unwrap().unwrap().into_message();
    assert_eq!(reply.message, "all of it");
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn a6_the_four_kinds_of_call_are_hedged() {
    let rig = Rig::new(&policy(2, "0.1s", UNAVAILABLE), |index| match index % 2 {
        0 => (NEVER, Ok(())),
        _ => (100, Ok(())),
    })
    .await;
    who(&rig.channel).await.unwrap();
    assert_eq!(
        say(&rig.channel, 10, &["a", "b"], None).await.unwrap(),
        "a b"
    );
    assert_eq!(rig.log.previous(), ["-", "1", "-", "1"]);
    rig.end().await;
}
