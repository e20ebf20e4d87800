//! The attempts at a call, as the interceptors of a channel see them.

use std::time::Duration;

use highball_channel::explanation::Seen;
use highball_channel::{
    AttemptEvent, AttemptInfo, ClientInterceptor, Code, Method, Pushback, Request, Status,
};
use highball_echo::{EchoClient, EchoRequest};
use highball_testkit::peer::Frame;
use tokio::time::Instant;

use super::Events;
use crate::hedging::servers::{NEVER, Rig, UNAVAILABLE, policy};
use crate::own_calls::Name;
use crate::script::{Script, reply};
use crate::world::{A, World, message, nothing_is_left, settle, who, who_with};

/// Writes down what becomes of the attempts at all calls: when, in milliseconds since the call; how many came
/// before, with `t` for a transparent retry and `h` for a hedge; and what happens.
fn watch(events: &Events) -> impl ClientInterceptor + use<> {
    let events = events.clone();
    move |_: &Method, request: &mut Request<()>| {
        observe(request, events.clone());
        Ok(())
    }
}

fn observe<T>(request: &mut Request<T>, events: Events) {
    let start = Instant::now();
    request.observe_attempts(move |info: AttemptInfo| {
        let mut name = info.previous_attempts.to_string();
        name.extend(info.is_transparent_retry.then_some('t'));
        name.extend(info.is_hedged.then_some('h'));
        let events = events.clone();
        let tell = move |event: &str| {
            let after = start.elapsed().as_millis();
            events.push(format!("{after} {name} {event}"));
        };
        tell("begins");
        move |event| tell(&text(&event))
    });
}

fn text(event: &AttemptEvent) -> String {
    match event {
        AttemptEvent::Picked(peer) => format!("goes to {peer}"),
        AttemptEvent::Sent => "is sent".to_owned(),
        AttemptEvent::Answered(_) => "is answered".to_owned(),
        AttemptEvent::Committed => "is committed".to_owned(),
        AttemptEvent::Cancelled => "is cancelled".to_owned(),
        AttemptEvent::Ended(end) => {
            let pushback = match end.pushback {
                Pushback::Silent => String::new(),
                Pushback::After(delay) => format!(", again after {delay:?}"),
                Pushback::Never => ", never again".to_owned(),
            };
            let seen = match end.seen {
                Seen::No => "unseen, ",
                Seen::Unknown => "perhaps seen, ",
                _ => "",
            };
            match &end.outcome {
                Ok(_) => format!("ends {seen}well{pushback}"),
                Err(status) => format!("ends {seen}{status}{pushback}"),
            }
        }
        other => format!("{other:?}"),
    }
}

/// Three servers, whose answers are those at these indices, and calls that are watched.
async fn watched(
    policy: &str,
    answers: impl Fn(usize) -> (u64, Result<(), Status>) + Send + Sync + 'static,
) -> (Rig, Events) {
    let events = Events::default();
    let watching = watch(&events);
    let rig = Rig::with(policy, answers, |builder| builder.interceptor(watching)).await;
    (rig, events)
}

/// Retries of UNAVAILABLE, after 0.1 s ± 20 %, by a policy for all methods.
const RETRIES: &str = r#""methodConfig":[{"name":[{}],"retryPolicy":{"maxAttempts":4,
    "initialBackoff":"0.1s","maxBackoff":"1s","backoffMultiplier":2,
    "retryableStatusCodes":["UNAVAILABLE"]}}]"#;

fn pushed_back(value: &str) -> Status {
    let mut trailers = highball_channel::MetadataMap::new();
    trailers
        .append("grpc-retry-pushback-ms", value)
        .expect("it may be set");
    Status::unavailable("busy").with_metadata(trailers)
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_policy_is_one_attempt_from_its_server_to_its_trailers() {
    let (rig, events) = watched(r#""x":0"#, |_| (20, Ok(()))).await;
    let server = who(&rig.channel).await.unwrap();
    let expected = [
        "0 0 begins".to_owned(),
        format!("0 0 goes to {server}"),
        "0 0 is sent".to_owned(),
        "20 0 is answered".to_owned(),
        "20 0 is committed".to_owned(),
        "20 0 ends well".to_owned(),
    ];
    assert_eq!(events.take(), expected);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_retries_are_seen_with_the_delay_that_their_servers_ask_for() {
    let answers = |index| match index {
        0 => (10, Err(pushed_back("1500"))),
        1 => (10, Err(pushed_back("0"))),
        _ => (10, Ok(())),
    };
    let (rig, events) = watched(RETRIES, answers).await;
    who(&rig.channel).await.unwrap();
    let expected = [
        "0 0 begins",
        "0 0 goes to a:1",
        "0 0 is sent",
        "10 0 ends UNAVAILABLE: busy, again after 1.5s",
        "1510 1 begins",
        "1510 1 goes to b:2",
        "1510 1 is sent",
        "1520 1 ends UNAVAILABLE: busy, again after 0ns",
        "1520 2 begins",
        "1520 2 goes to c:3",
        "1520 2 is sent",
        "1530 2 is answered",
        "1530 2 is committed",
        "1530 2 ends well",
    ];
    assert_eq!(in_order(&events.take()), expected);
    rig.end().await;
}

/// The story as it would be if the first server that is picked were `a:1`, and so on.
fn in_order(told: &[String]) -> Vec<String> {
    let mut servers = Vec::new();
    for line in told {
        if let Some((_, server)) = line.split_once("goes to ") {
            servers.push(server.to_owned());
        }
    }
    let rename = |line: &String| match line.split_once("goes to ") {
        None => line.clone(),
        Some((start, server)) => {
            let index = servers.iter().position(|known| known == server);
            let name = ["a:1", "b:2", "c:3"][index.expect("it is among them")];
            format!("{start}goes to {name}")
        }
    };
    told.iter().map(rename).collect()
}

#[tokio::test(start_paused = true)]
async fn a6_a_server_that_forbids_retries_is_heard_and_streams_are_watched_alike() {
    let (rig, events) = watched(RETRIES, |_| (10, Err(pushed_back("-1")))).await;
    let echo = EchoClient::new(rig.channel.clone());
    let requests = Request::new(futures::stream::iter([message("x")]));
    let mut replies = echo.bidirectional_streaming_echo(requests).await.unwrap();
    assert_eq!(replies.message().await.unwrap_err().message(), "busy");
    drop(replies);
    let expected = [
        "0 0 begins",
        "0 0 goes to a:1",
        "0 0 is sent",
        "10 0 ends UNAVAILABLE: busy, never again",
    ];
    assert_eq!(in_order(&events.take()), expected);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_a_stream_is_retried_and_its_last_attempt_committed() {
    let answers = |index| match index {
        0 => (10, Err(pushed_back("40"))),
        _ => (10, Ok(())),
    };
    let (rig, events) = watched(RETRIES, answers).await;
    let echo = EchoClient::new(rig.channel.clone());
    let requests = Request::new(futures::stream::iter([message("x")]));
    let mut replies = echo.bidirectional_streaming_echo(requests).await.unwrap();
    assert_eq!(replies.message().await.unwrap().unwrap().message, "x");
    assert_eq!(replies.message().await.unwrap(), None);
    let expected = [
        "0 0 begins",
        "0 0 goes to a:1",
        "0 0 is sent",
        "10 0 ends UNAVAILABLE: busy, again after 40ms",
        "50 1 begins",
        "50 1 goes to b:2",
        "50 1 is sent",
        "60 1 is answered",
        "60 1 is committed",
        "60 1 ends well",
    ];
    assert_eq!(in_order(&events.take()), expected);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_more_than_is_kept_commits_a_stream_before_anybody_has_answered() {
    let (rig, events) = watched(RETRIES, |_| (500, Err(Status::unavailable("down")))).await;
    let echo = EchoClient::new(rig.channel.clone());
    let (say, requests) = futures::channel::mpsc::unbounded();
    let mut request = Request::new(requests);
    request.options_mut().max_replay_bytes = Some(20);
    let mut replies = echo.bidirectional_streaming_echo(request).await.unwrap();
    let reading = tokio::spawn(async move { replies.message().await });
    settle().await;
    for _ in 0..2 {
        say.unbounded_send(message("12345")).unwrap();
        tokio::time::sleep(Duration::from_millis(99)).await;
    }
    let status = reading.await.unwrap().unwrap_err();
    assert_eq!(status.to_string(), "UNAVAILABLE: down");
    let expected = [
        "0 0 begins",
        "0 0 goes to a:1",
        "0 0 is sent",
        "100 0 is committed",
        "500 0 ends UNAVAILABLE: down",
    ];
    assert_eq!(in_order(&events.take()), expected);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_hedges_are_seen_racing_one_winning_and_the_others_being_cancelled() {
    let answers = |index| match index {
        0 => (NEVER, Ok(())),
        1 => (100, Err(Status::unavailable("down"))),
        _ => (50, Ok(())),
    };
    let (rig, events) = watched(&policy(3, "0.5s", UNAVAILABLE), answers).await;
    who(&rig.channel).await.unwrap();
    settle().await;
    let expected = [
        "0 0h begins",
        "0 0h goes to a:1",
        "0 0h is sent",
        "500 1h begins",
        "500 1h goes to b:2",
        "500 1h is sent",
        "600 1h ends UNAVAILABLE: down",
        "600 2h begins",
        "600 2h goes to c:3",
        "600 2h is sent",
        "650 0h is cancelled",
        "650 2h is answered",
        "650 2h is committed",
        "650 2h ends well",
    ];
    assert_eq!(in_order(&events.take()), expected);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a6_more_than_is_kept_commits_a_race_to_the_attempt_that_was_sent_most() {
    let (rig, events) = watched(&policy(2, "0.5s", ""), |_| (800, Ok(()))).await;
    let echo = EchoClient::new(rig.channel.clone());
    let (say, requests) = futures::channel::mpsc::unbounded();
    let mut request = Request::new(requests);
    request.options_mut().max_replay_bytes = Some(20);
    let mut replies = echo.bidirectional_streaming_echo(request).await.unwrap();
    let reading = tokio::spawn(async move { replies.message().await });
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        say.unbounded_send(message("12345")).unwrap();
    }
    drop(say);
    let reply = reading.await.unwrap().unwrap().unwrap();
    assert_eq!(reply.message, "12345 12345");
    let expected = [
        "0 0h begins",
        "0 0h goes to a:1",
        "0 0h is sent",
        "500 1h begins",
        "500 1h goes to b:2",
        "500 1h is sent",
        "600 1h is cancelled",
        "600 0h is committed",
        "800 0h is answered",
        "800 0h is cancelled",
    ];
    assert_eq!(
        in_order(&events.take()),
        expected,
        "nobody reads to the end"
    );
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_its_credentials_ends_unsent_at_the_server_that_was_picked() {
    let events = Events::default();
    let mut world = World::new();
    world.start(A);
    world.resolve(&[A]);
    let builder = world.builder().interceptor(watch(&events));
    let channel = builder.call_credentials(Name::failing(1)).build().unwrap();
    let status = who(&channel).await.unwrap_err();
    let expected = [
        "0 0 begins",
        "0 0 goes to a:1",
        &format!("0 0 ends unseen, {status}"),
    ];
    assert_eq!(events.take(), expected);
    who(&channel).await.unwrap();
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a6_attempts_that_no_server_has_worked_on_are_told_from_retries() {
    const REFUSED_STREAM: u32 = 7;
    let events = Events::default();
    for (config, hedged) in [
        ("{}".to_owned(), ""),
        (format!("{{{}}}", policy(2, "9s", "")), "h"),
    ] {
        let world = World::new();
        let builder = world.builder().default_service_config(config);
        let channel = builder.interceptor(watch(&events)).build().unwrap();
        let listener = world.network.listen(A);
        world.resolve(&[A]);
        let mut script = Script {
            world,
            listener,
            channel,
        };
        let call = script.call();
        let mut peer = script.accept().await;
        let stream = peer.headers().await;
        peer.send(Frame::Reset {
            stream,
            code: REFUSED_STREAM,
        })
        .await;
        let stream = peer.headers().await;
        peer.send_all(reply(stream)).await;
        assert_eq!(call.await.unwrap().unwrap(), A);
        let refused =
            "UNAVAILABLE: stream terminated by RST_STREAM with error code: REFUSED_STREAM";
        let expected = [
            format!("0 0{hedged} begins"),
            format!("0 0{hedged} goes to a:1"),
            format!("0 0{hedged} is sent"),
            format!("0 0{hedged} ends unseen, {refused}"),
            format!("0 0t{hedged} begins"),
            format!("0 0t{hedged} goes to a:1"),
            format!("0 0t{hedged} is sent"),
            format!("0 0t{hedged} is answered"),
            format!("0 0t{hedged} is committed"),
            format!("0 0t{hedged} ends well"),
        ];
        assert_eq!(events.take(), expected);
        script.end([peer]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_finds_no_server_ends_unsent() {
    let world = World::new();
    world.resolve(&[A]);
    let events = Events::default();
    let builder = world.builder().interceptor(watch(&events));
    let channel = builder.build().unwrap();
    let status = who(&channel).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let ended = format!("0 0 ends unseen, {status}");
    assert_eq!(events.take(), ["0 0 begins", &ended]);
    let request = Request::new(message("x"))
        .with_timeout(Duration::from_millis(300))
        .with_wait_for_ready(true);
    let status = who_with(&channel, request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let ended = format!("300 0 ends unseen, {status}");
    assert_eq!(events.take(), ["0 0 begins", &ended]);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_or_late_tells_so_whichever_kind_it_is() {
    let (rig, events) = watched(r#""x":0"#, |_| (NEVER, Ok(()))).await;
    let dropped = [
        "0 0 begins",
        "0 0 goes to a:1",
        "0 0 is sent",
        "200 0 is cancelled",
    ];
    let patience = Duration::from_millis(200);
    let unary = tokio::time::timeout(patience, who(&rig.channel)).await;
    assert!(unary.is_err());
    assert_eq!(in_order(&events.take()), dropped);
    let echo = EchoClient::new(rig.channel.clone());
    let mut request = Request::new(futures::stream::pending::<EchoRequest>());
    // Not only interceptors may watch.
    observe(&mut request, events.clone());
    let replies = echo.bidirectional_streaming_echo(request).await.unwrap();
    tokio::time::sleep(patience).await;
    drop(replies);
    let mut told = in_order(&events.take());
    assert_eq!(told.len(), 2 * dropped.len(), "each is told everything");
    told.dedup();
    assert_eq!(told, dropped);
    let late = Request::new(message("x")).with_timeout(patience);
    let status = who_with(&rig.channel, late).await.unwrap_err();
    let last = events.take().pop();
    let expected = format!("200 0 ends perhaps seen, {status}");
    assert_eq!(last, Some(expected));
    rig.end().await;
}
