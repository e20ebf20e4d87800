//! What a failed call says of how it came to that: phases, attempts, subchannels, and what held for it.

use std::time::Duration;

use highball_channel::explanation::{Explanation, Phase, Seen, Spent};
use highball_channel::resolver::Resolution;
use highball_channel::{Channel, Code, Request, Status};
use highball_echo::{EchoClient, EchoRequest};
use highball_testkit::peer::{Frame, Peer};
use tokio::time::sleep;

use crate::script::Script;
use crate::world::{A, B, World, message, nothing_is_left, settle, who, who_with};

const PICK_FIRST: &str = r#"{"pick_first":{}}"#;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;

fn in_one_second() -> Request<EchoRequest> {
    Request::new(message("x")).with_timeout(Duration::from_secs(1))
}

fn why(result: Result<String, Status>) -> Explanation {
    let status = result.expect_err("the call fails");
    let why = status.explanation().expect("it is explained");
    why.clone()
}

/// The line that a failed call is explained in.
fn line(result: Result<String, Status>) -> String {
    why(result).to_string()
}

fn millis(millis: u64) -> Spent {
    Spent::For(Duration::from_millis(millis))
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_not_resolved_in_time() {
    let world = World::new();
    let channel = world.channel(PICK_FIRST);
    let why = why(who_with(&channel, in_one_second()).await);
    assert_eq!(
        why.to_string(),
        "ended after 1000 ms while waiting for the name resolution: resolve 1000 ms; no server was tried"
    );
    assert_eq!(why.config, None, "nobody knows what would have held");
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_resolution_that_failed() {
    let world = World::new();
    let channel = world.channel(PICK_FIRST);
    let failed = Status::unavailable("no such name");
    world.resolver.update(Resolution::error(failed));
    let why = why(who(&channel).await);
    assert_eq!(
        why.to_string(),
        "ended after 0 ms while waiting for a connection: resolve 0 ms, pick 0 ms; \
         tried no server (UNAVAILABLE)"
    );
    let attempt = &why.attempts[0];
    assert!(attempt.message.contains("no such name"), "{attempt:#}");
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn no_endpoint_that_can_be_reached() {
    let world = World::new();
    world.resolve(&[A, B]);
    let channel = world.channel(PICK_FIRST);
    let why = why(who(&channel).await);
    assert_eq!(why.ended_in, Phase::Pick);
    assert_eq!(why.attempts[0].server, None);
    let told: Vec<_> = why.subchannels.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [A, B].map(|name| format!(
            "{name} not connected, last error: UNAVAILABLE: connection error: desc = \
             \"transport: Error while dialing: {name}: connection refused\""
        ))
    );
    let config = why.config.expect("it was resolved");
    assert_eq!(
        config.to_string(),
        "pick_first, no time-out, fails fast, one attempt"
    );
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_come_in_time() {
    let world = World::new();
    world.network.blackhole(A);
    world.resolve(&[A]);
    let channel = world.channel(PICK_FIRST);
    let request = in_one_second().with_wait_for_ready(true);
    let why = why(who_with(&channel, request).await);
    assert_eq!(why.spent(Phase::Resolve), millis(0));
    assert_eq!(why.spent(Phase::Slot), Spent::NotReached);
    assert_eq!(
        why.to_string(),
        "ended after 1000 ms while waiting for a connection: resolve 0 ms, pick 1000 ms; \
         no server was tried, 0 of 1 connected"
    );
    let config = why.config.expect("it was resolved").to_string();
    assert_eq!(
        config,
        "pick_first, time-out 1000 ms, waits for ready, one attempt"
    );
    nothing_is_left(world, channel).await;
}

/// A channel to a scripted server with these settings, connected; the script's first call is answered by nobody.
async fn connected(settings: &[(u16, u32)]) -> (Script, Peer<highball_channel::transport::BoxIo>) {
    let mut script = Script::new();
    script.channel.connect();
    let io = script
        .listener
        .accept()
        .await
        .expect("the channel connects");
    let peer = Peer::server(io, settings).await;
    let ready = script.channel.wait_ready(Duration::from_secs(1)).await;
    ready.expect("the server has said SETTINGS");
    (script, peer)
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_to_be_had_in_time() {
    let (script, peer) = connected(&[(MAX_CONCURRENT_STREAMS, 1)]).await;
    let first = script.call();
    settle().await;
    assert_eq!(
        line(who_with(&script.channel, in_one_second()).await),
        "ended after 1000 ms while waiting for a stream: resolve 0 ms, pick 0 ms, stream slot 1000 ms; \
         tried a:1 (DEADLINE_EXCEEDED)"
    );
    first.abort();
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_flow_control_does_not_let_go() {
    let (script, peer) = connected(&[(INITIAL_WINDOW_SIZE, 10)]).await;
    let mut request = in_one_second();
    request = request.map(|_| message(&"x".repeat(100)));
    let why = why(who_with(&script.channel, request).await);
    assert_eq!(
        (why.ended_in, why.spent(Phase::Send)),
        (Phase::Send, millis(1000))
    );
    assert_eq!(why.spent(Phase::Server), Spent::NotReached);
    assert_eq!(why.attempts[0].seen, Seen::Unknown);
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_leaves_late_and_is_not_answered() {
    let (script, mut peer) = connected(&[(INITIAL_WINDOW_SIZE, 10)]).await;
    let channel = script.channel.clone();
    let request = in_one_second().map(|_| message(&"x".repeat(100)));
    let call = tokio::spawn(async move { who_with(&channel, request).await });
    let stream = peer.headers().await;
    sleep(Duration::from_millis(300)).await;
    let increment = 1000;
    peer.send(Frame::WindowUpdate { stream, increment }).await;
    assert_eq!(
        line(call.await.unwrap()),
        "ended after 1000 ms while waiting for the server: resolve 0 ms, pick 0 ms, stream slot 0 ms, \
         send 300 ms, server 700 ms; tried a:1 (DEADLINE_EXCEEDED)"
    );
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_in_time() {
    let (script, peer) = connected(&[]).await;
    let why = why(who_with(&script.channel, in_one_second()).await);
    assert_eq!(
        why.to_string(),
        "ended after 1000 ms while waiting for the server: resolve 0 ms, pick 0 ms, stream slot 0 ms, \
         send 0 ms, server 1000 ms; tried a:1 (DEADLINE_EXCEEDED)"
    );
    assert_eq!(why.attempts[0].seen, Seen::Unknown);
    let page = format!("{why:#}");
    let expected = "\
/grpc.examples.echo.Echo/UnaryEcho to test:///servers ended after 1000 ms while waiting for the server
  resolve      0 ms
  pick         0 ms
  stream slot  0 ms
  send         0 ms
  server       1000 ms  <- ended here
attempts:
  1. a:1 after 1000 ms: DEADLINE_EXCEEDED: context deadline exceeded while waiting for the response of a:1 \
[whether the server has worked on it is unknown]
subchannels:
  a:1 connected, no error so far
in force: pick_first, time-out 1000 ms, fails fast, one attempt";
    assert_eq!(page, expected);
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_deadline_knows_its_times_too() {
    let (script, mut peer) = connected(&[]).await;
    let call = script.call();
    let stream = peer.headers().await;
    sleep(Duration::from_secs(60)).await;
    // INTERNAL_ERROR.
    peer.send(Frame::Reset { stream, code: 2 }).await;
    let why = why(call.await.unwrap());
    assert_eq!(
        why.to_string(),
        "ended after 60.0 s while waiting for the server: resolve 0 ms, pick 0 ms, stream slot 0 ms, \
         send 0 ms, server 60.0 s; tried a:1 (INTERNAL)"
    );
    assert_eq!(why.attempts[0].seen, Seen::Unknown, "a reset says little");
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_refused_and_connections_that_drain_are_attempts() {
    let (mut script, mut old) = connected(&[]).await;
    let call = script.call();
    old.headers().await;
    sleep(Duration::from_millis(5)).await;
    old.send(Frame::goaway(0, 0, "restarting")).await;
    let mut new = script.accept().await;
    let stream = new.headers().await;
    sleep(Duration::from_millis(7)).await;
    // REFUSED_STREAM, and this is the second time.
    new.send(Frame::Reset { stream, code: 7 }).await;
    let why = why(call.await.unwrap());
    let seen: Vec<_> = why
        .attempts
        .iter()
        .map(|attempt| (attempt.code, attempt.seen))
        .collect();
    assert_eq!(seen, [(Code::Unavailable, Seen::No); 2]);
    assert_eq!(why.spent(Phase::Server), millis(12));
    let lost = why.subchannels[0].last_error.as_ref().expect("it was lost");
    assert!(lost.message().contains("restarting"), "{lost}");
    script.end([old, new]).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_under_a_call() {
    let (script, mut peer) = connected(&[]).await;
    let call = script.call();
    peer.headers().await;
    script.world.network.cut(A);
    let why = why(call.await.unwrap());
    assert_eq!(why.ended_in, Phase::Server);
    assert_eq!(why.attempts[0].seen, Seen::Unknown);
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn a_status_of_the_server() {
    let (script, mut peer) = connected(&[]).await;
    let call = script.call();
    let stream = peer.headers().await;
    let trailers = [
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-status", "5"),
        ("grpc-message", "nobody"),
    ];
    peer.send(Frame::headers(stream, &trailers, true)).await;
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(
        status.to_string(),
        "NOT_FOUND: nobody",
        "it says what it said"
    );
    let why = status.explanation().expect("it is explained");
    assert_eq!(why.attempts[0].seen, Seen::Answered);
    assert!(
        why.to_string().ends_with("; tried a:1 (NOT_FOUND)"),
        "{why}"
    );
    script.end([peer]).await;
}

const RETRIES: &str = r#"{"loadBalancingConfig":[{"round_robin":{}}],"methodConfig":[{"name":[{}],
    "retryPolicy":{"maxAttempts":3,"initialBackoff":"1s","maxBackoff":"1s","backoffMultiplier":1,
    "retryableStatusCodes":["UNAVAILABLE"]}}]}"#;

#[tokio::test(start_paused = true)]
async fn attempts_that_were_made_again() {
    let mut world = World::with_two_servers();
    let channel = world
        .builder()
        .default_service_config(RETRIES)
        .build()
        .unwrap();
    channel.wait_ready(Duration::from_secs(5)).await.unwrap();
    world.kill(A).await;
    world.kill(B).await;
    settle().await;
    let why = why(who(&channel).await);
    assert_eq!(why.attempts.len(), 3);
    let backoff = why.spent(Phase::Backoff);
    let Spent::For(backoff) = backoff else {
        panic!("{backoff}");
    };
    assert!((1600..=2400).contains(&backoff.as_millis()), "{backoff:?}");
    assert_eq!(why.took, backoff, "the rest took no time");
    let config = why.config.expect("it was resolved").to_string();
    assert!(config.ends_with("retried up to 3 attempts"), "{config}");
    nothing_is_left(world, channel).await;
}

async fn read(channel: &Channel, request: Request<EchoRequest>) -> Result<String, Status> {
    let echo = EchoClient::new(channel.clone());
    let mut replies = echo.server_streaming_echo(request).await?;
    let mut said = String::new();
    while let Some(reply) = replies.message().await? {
        said += &reply.message;
    }
    Ok(said)
}

#[tokio::test(start_paused = true)]
async fn a_stream_says_that_it_does_not_know_how_long_sending_took() {
    let (script, peer) = connected(&[]).await;
    assert_eq!(
        line(read(&script.channel, in_one_second()).await),
        "ended after 1000 ms while waiting for the server: resolve 0 ms, pick 0 ms, stream slot 0 ms, \
         send unknown, server 1000 ms; tried a:1 (DEADLINE_EXCEEDED)"
    );
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn hedged_attempts_that_are_cut_short() {
    let world = World::new();
    let mut listener = world.network.listen(A);
    world.resolve(&[A]);
    let config = r#"{"methodConfig":[{"name":[{}],"hedgingPolicy":{"maxAttempts":3,"hedgingDelay":"0.2s"}}]}"#;
    let builder = world.builder().default_service_config(config);
    let channel = builder.build().unwrap();
    channel.connect();
    let peer = Peer::server(listener.accept().await.unwrap(), &[]).await;
    let why = why(who_with(&channel, in_one_second()).await);
    assert_eq!(
        why.to_string(),
        "ended after 1000 ms while waiting for the server: resolve 0 ms, pick 0 ms, stream slot unknown, \
         send unknown, server 1000 ms; \
         tried a:1 (DEADLINE_EXCEEDED), a:1 (DEADLINE_EXCEEDED), a:1 (DEADLINE_EXCEEDED)"
    );
    drop((peer, listener));
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_too_large_was_never_sent() {
    let (script, peer) = connected(&[]).await;
    let mut request = Request::new(message("x"));
    request.options_mut().max_request_bytes = Some(1);
    let why = why(who_with(&script.channel, request).await);
    assert_eq!((why.ended_in, why.attempts.len()), (Phase::Send, 0));
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn every_subchannel_up_to_sixteen_is_told_about() {
    let world = World::new();
    let names: Vec<_> = (0..20).map(|n| format!("s{n}:1")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    world.resolve(&names);
    let channel = world.channel(r#"{"round_robin":{}}"#);
    let why = why(who(&channel).await);
    assert_eq!((why.subchannels.len(), why.more_subchannels), (16, 4));
    let told: std::collections::BTreeSet<_> = why
        .subchannels
        .iter()
        .map(|subchannel| subchannel.address.text())
        .collect();
    assert_eq!(told.len(), 16, "each once");
    nothing_is_left(world, channel).await;
}
