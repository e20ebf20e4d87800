//! Several connections to one address (gRFC A105), as calls see them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use highball_channel::resolver::Resolution;
use highball_channel::transport::BoxIo;
use highball_channel::{
    CallCredentials, CallCredentialsError, Channel, ChannelBuilder, Code, ConnectivityState,
    MetadataMap, Request, RequestInfo, Status,
};
use highball_echo::{EchoClient, EchoServer, EchoWithAddress};
use highball_server::Server;
use highball_testkit::peer::{Frame, Peer};
use tokio::task::JoinHandle;

use crate::script::{Script, framed, opening, reply};
use crate::world::{A, B, World, message, nothing_is_left, settle, who, who_with};

const MAX_CONCURRENT_STREAMS: u16 = 3;

/// A service config that lets a subchannel have so many connections.
fn config(policy: &str, connections: u32) -> String {
    format!(
        r#"{{"loadBalancingConfig":[{{"{policy}":{{}}}}],
             "connectionScaling":{{"maxConnectionsPerSubchannel":{connections}}}}}"#
    )
}

/// A server that the test speaks for, and a channel that may have so many connections to it.
fn script(connections: u32, choose: impl FnOnce(ChannelBuilder) -> ChannelBuilder) -> Script {
    let world = World::new();
    let listener = world.network.listen(A);
    world.resolve(&[A]);
    let builder = choose(
        world
            .builder()
            .default_service_config(config("pick_first", connections)),
    );
    let channel = builder.build().expect("the test's choices make sense");
    Script {
        world,
        listener,
        channel,
    }
}

/// The next connection, on which so many streams may be.
async fn accept(script: &mut Script, streams: u32) -> Peer<BoxIo> {
    let io = script.listener.accept().await;
    let io = io.expect("the channel connects");
    Peer::server(io, &[(MAX_CONCURRENT_STREAMS, streams)]).await
}

type Answer = JoinHandle<Result<String, Status>>;

/// Answers a call, which then has its reply.
async fn answer(peer: &mut Peer<BoxIo>, stream: u32, call: Answer) {
    peer.send_all(reply(stream)).await;
    assert_eq!(call.await.expect("it does not panic"), Ok(A.to_owned()));
}

/// A call with this much time.
fn call_within(channel: &Channel, time: Duration) -> Answer {
    let request = Request::new(message("x")).with_timeout(time);
    let channel = channel.clone();
    tokio::spawn(async move { who_with(&channel, request).await })
}

/// Servers on which one client may have so many streams on a connection.
fn world(names: &[&str], streams: u32) -> World {
    let mut world = World::new();
    for name in names {
        let echo = EchoServer::new(EchoWithAddress::new(*name));
        let server = Server::builder().max_concurrent_streams(streams);
        world.start_with(name, server.add_service(echo).build());
    }
    world.resolve(names);
    world
}

fn channel(world: &World, policy: &str, connections: u32) -> Channel {
    let builder = world.builder();
    let builder = builder.default_service_config(config(policy, connections));
    builder.build().expect("the test's choices make sense")
}

/// A conversation that lasts until it is dropped.
async fn conversation(channel: &Channel) -> impl Sized + use<> {
    let (sender, requests) = futures::channel::mpsc::unbounded();
    sender.unbounded_send(message("x")).expect("it is open");
    let echo = EchoClient::new(channel.clone());
    let replies = echo.bidirectional_streaming_echo(Request::new(requests));
    let mut replies = replies.await.expect("a server answers");
    let first = replies.message().await.expect("a server answers");
    assert!(first.is_some());
    (sender, replies)
}

#[tokio::test(start_paused = true)]
async fn a105_two_streams_on_each_connection_make_two_connections_for_three_calls() {
    let mut script = script(2, |builder| builder);
    let mut states = script.channel.states();
    let [first, second] = [script.call(), script.call()];
    let mut old = accept(&mut script, 2).await;
    let streams = [old.headers().await, old.headers().await];
    let third = script.call();
    let mut new = accept(&mut script, 2).await;
    let stream = new.headers().await;
    answer(&mut old, streams[0], first).await;
    // The oldest connection with a free stream is preferred.
    let fourth = script.call();
    let again = old.headers().await;
    answer(&mut new, stream, third).await;
    answer(&mut old, streams[1], second).await;
    answer(&mut old, again, fourth).await;
    script.channel.close().await;
    let mut seen = Vec::new();
    while let Some(state) = states.next().await {
        seen.push(state.to_string());
    }
    assert_eq!(seen.join(" "), "IDLE CONNECTING READY SHUTDOWN");
    script.end([old, new]).await;
}

#[tokio::test(start_paused = true)]
async fn a105_by_default_there_is_one_connection() {
    let world = world(&[A], 1);
    let channel = world.channel(r#"{"pick_first":{}}"#);
    let held = conversation(&channel).await;
    let status = call_within(&channel, Duration::from_secs(60)).await;
    assert_eq!(
        status.unwrap().unwrap_err().to_string(),
        "DEADLINE_EXCEEDED: context deadline exceeded while waiting for a stream on the connection to a:1"
    );
    assert_eq!(world.network.connections(A), 1);
    drop(held);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a105_the_channel_has_a_cap_of_ten_or_another() {
    for (cap, expected) in [(None, 10), (Some(3), 3), (Some(12), 12), (Some(0), 1)] {
        let world = world(&[A], 1);
        let builder = world.builder();
        let builder = builder.default_service_config(config("pick_first", 1000));
        let builder = match cap {
            Some(cap) => builder.max_connections_per_subchannel(cap),
            None => builder,
        };
        let channel = builder.build().unwrap();
        let mut held = Vec::new();
        for _ in 0..expected {
            held.push(conversation(&channel).await);
        }
        let status = call_within(&channel, Duration::from_secs(60)).await;
        let text = status.unwrap().unwrap_err().to_string();
        let connections = match expected {
            1 => "the connection to a:1".to_owned(),
            _ => format!("one of the {expected} connections to a:1"),
        };
        assert_eq!(
            text,
            format!(
                "DEADLINE_EXCEEDED: context deadline exceeded while waiting for a stream on {connections}"
            )
        );
        assert_eq!(world.network.connections(A), expected);
        drop(held);
        nothing_is_left(world, channel).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a105_each_address_has_connections_of_its_own() {
    let world = world(&[A, B], 1);
    let channel = channel(&world, "round_robin", 2);
    channel.wait_ready(Duration::from_secs(1)).await.unwrap();
    settle().await;
    let held = [
        conversation(&channel).await,
        conversation(&channel).await,
        conversation(&channel).await,
        conversation(&channel).await,
    ];
    assert_eq!(world.network.connections(A), 2);
    assert_eq!(world.network.connections(B), 2);
    drop(held);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a105_many_calls_share_few_streams_and_none_fails() {
    let world = world(&[A], 2);
    let channel = channel(&world, "pick_first", 4);
    let calls = (0..300).map(|_| who(&channel));
    for answer in join_all(calls).await {
        assert_eq!(answer, Ok(A.to_owned()));
    }
    assert_eq!(world.network.connections(A), 4);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a105_a_connection_that_is_lost_takes_only_its_own_calls_along() {
    let mut script = script(2, |builder| builder);
    let first = script.call();
    let mut old = accept(&mut script, 1).await;
    let unprocessed = old.headers().await;
    let second = script.call();
    let mut new = accept(&mut script, 2).await;
    let stream = new.headers().await;
    // A server that has not begun a call: it is made again, on the other connection.
    old.send(Frame::goaway(0, 0, "")).await;
    let moved = new.headers().await;
    assert_ne!(unprocessed, moved);
    answer(&mut new, moved, first).await;
    let third = script.call();
    let next = new.headers().await;
    answer(&mut new, stream, second).await;
    answer(&mut new, next, third).await;
    assert_eq!(script.channel.state(), ConnectivityState::Ready);
    assert_eq!(script.world.network.connections(A), 2);
    script.end([old, new]).await;
}

#[tokio::test(start_paused = true)]
async fn a105_goaway_lets_streams_finish_and_another_connection_takes_the_place() {
    let mut script = script(2, |builder| builder);
    let first = script.call();
    let mut old = accept(&mut script, 1).await;
    let draining = old.headers().await;
    let second = script.call();
    let mut new = accept(&mut script, 1).await;
    let stream = new.headers().await;
    let third = script.call();
    old.send(Frame::goaway(draining, 0, "")).await;
    let mut newest = accept(&mut script, 1).await;
    let next = newest.headers().await;
    answer(&mut newest, next, third).await;
    answer(&mut old, draining, first).await;
    answer(&mut new, stream, second).await;
    script.end([old, new, newest]).await;
}

#[tokio::test(start_paused = true)]
async fn a105_without_any_connection_the_queue_is_tried_anew() {
    let mut script = script(2, |builder| builder);
    let mut states = script.channel.states();
    let first = script.call();
    let mut old = accept(&mut script, 1).await;
    let draining = old.headers().await;
    let second = script.call();
    // The next connection is being made when the only one is lost.
    let io = script.listener.accept().await.unwrap();
    old.send(Frame::goaway(draining, 0, "")).await;
    answer(&mut old, draining, first).await;
    settle().await;
    assert_eq!(script.channel.state(), ConnectivityState::Connecting);
    let mut new = Peer::server(io, &[]).await;
    let stream = new.headers().await;
    answer(&mut new, stream, second).await;
    script.channel.close().await;
    let mut seen = Vec::new();
    while let Some(state) = states.next().await {
        seen.push(state.to_string());
    }
    assert_eq!(
        seen.join(" "),
        "IDLE CONNECTING READY CONNECTING READY SHUTDOWN"
    );
    assert_eq!(script.world.network.connections(A), 2);
    script.end([old, new]).await;
}

#[tokio::test(start_paused = true)]
async fn a105_in_backoff_calls_wait_for_as_long_as_there_is_a_connection() {
    let mut script = script(2, |builder| builder);
    let first = script.call();
    let mut old = accept(&mut script, 1).await;
    let stream = old.headers().await;
    // Nobody listens there any more.
    script.listener = script.world.network.listen("nowhere:0");
    let [second, third] = [script.call(), script.call()];
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(script.channel.state(), ConnectivityState::Ready);
    answer(&mut old, stream, first).await;
    let next = old.headers().await;
    answer(&mut old, next, second).await;
    old.headers().await;
    let fourth = script.call();
    settle().await;
    // The last connection is lost while an attempt is backed off from.
    script.world.network.cut(A);
    let status = third.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let status = fourth.await.unwrap().unwrap_err();
    assert_eq!(
        status.to_string(),
        "UNAVAILABLE: connection error: desc = \"transport: Error while dialing: a:1: connection refused\""
    );
    assert_eq!(script.channel.state(), ConnectivityState::TransientFailure);
    script.listener = script.world.network.listen(A);
    let mut new = accept(&mut script, 1).await;
    settle().await;
    let fifth = script.call();
    let stream = new.headers().await;
    answer(&mut new, stream, fifth).await;
    script.end([old, new]).await;
}

#[tokio::test(start_paused = true)]
async fn a105_a_new_service_config_holds_for_the_connections_there_are() {
    let world = world(&[A], 1);
    let channel = world.builder().build().unwrap();
    let resolve = |connections| {
        let resolution = Resolution::new([A]);
        world
            .resolver
            .update(resolution.with_service_config(config("pick_first", connections)));
    };
    let mut held = vec![conversation(&channel).await];
    let waiting = call_within(&channel, Duration::from_secs(3600));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.network.connections(A), 1);
    resolve(2);
    assert_eq!(waiting.await.unwrap(), Ok(A.to_owned()));
    held.push(conversation(&channel).await);
    assert_eq!(world.network.connections(A), 2);
    // Less closes none.
    resolve(1);
    settle().await;
    assert_eq!(world.network.open_connections(A), 2);
    held.pop();
    held.push(conversation(&channel).await);
    let waiting = call_within(&channel, Duration::from_secs(3600));
    settle().await;
    assert!(!waiting.is_finished());
    held.clear();
    assert_eq!(waiting.await.unwrap(), Ok(A.to_owned()));
    assert_eq!(world.network.connections(A), 2);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a105_closing_the_channel_ends_the_calls_on_all_connections_and_in_the_queue() {
    let world = world(&[A], 1);
    let channel = channel(&world, "pick_first", 2);
    let held = [conversation(&channel).await, conversation(&channel).await];
    let waiting = call_within(&channel, Duration::from_secs(3600));
    settle().await;
    channel.close().await;
    let status = waiting.await.unwrap().unwrap_err();
    assert_eq!(
        status.to_string(),
        "CANCELLED: grpc: the client connection is closing"
    );
    drop(held);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a105_a_channel_that_goes_idle_lets_go_of_all_connections() {
    let world = world(&[A], 1);
    let channel = channel(&world, "pick_first", 3);
    drop([conversation(&channel).await, conversation(&channel).await]);
    assert_eq!(world.network.open_connections(A), 2, "none is closed early");
    tokio::time::sleep(Duration::from_secs(31 * 60)).await;
    assert_eq!(channel.state(), ConnectivityState::Idle);
    assert_eq!(world.network.open_connections(A), 0);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_dump_shows_every_connection_and_who_waits() {
    let world = world(&[A], 2);
    let channel = channel(&world, "pick_first", 2);
    let mut held = Vec::new();
    for expected in [
        "1 of 2 streams",
        "2 of 2 streams",
        "2 of 2 streams, 1 of 2 streams",
    ] {
        held.push(conversation(&channel).await);
        let dump = channel.dump().await;
        let last = dump.lines().last().map(str::to_owned);
        assert_eq!(last, Some(format!("{A}: {expected}")), "{dump}");
    }
    held.push(conversation(&channel).await);
    let waiting = call_within(&channel, Duration::from_secs(60));
    settle().await;
    let dump = channel.dump().await;
    let last = dump.lines().last();
    assert_eq!(last, Some("a:1: 2 of 2 streams, 2 of 2 streams; 1 waiting"));
    held.clear();
    waiting.await.unwrap().unwrap();
    nothing_is_left(world, channel).await;
}

/// Says SERVING to a health check.
async fn serving(peer: &mut Peer<BoxIo>, check: u32) {
    peer.send_all([opening(check), framed(check, &[8, 1])])
        .await;
}

/// A channel that watches its server's health on the only connection there is, on which two streams may be; a call
/// that has begun; and the check.
async fn checked() -> (Script, Peer<BoxIo>, Answer, u32) {
    let world = World::new();
    let listener = world.network.listen(A);
    world.resolve(&[A]);
    let json = r#"{"loadBalancingConfig":[{"round_robin":{}}],"healthCheckConfig":{"serviceName":""},
                   "connectionScaling":{"maxConnectionsPerSubchannel":2}}"#;
    let builder = world.builder().default_service_config(json);
    let channel = builder.build().expect("the choices make sense");
    let mut script = Script {
        world,
        listener,
        channel,
    };
    let first = script.call();
    let mut old = accept(&mut script, 2).await;
    let check = old.headers().await;
    serving(&mut old, check).await;
    (script, old, first, check)
}

#[tokio::test(start_paused = true)]
async fn a17_health_is_asked_on_another_connection_when_its_own_is_lost() {
    let (mut script, mut old, first, _) = checked().await;
    let stream = old.headers().await;
    let second = script.call();
    let mut new = accept(&mut script, 2).await;
    let other = new.headers().await;
    old.send(Frame::goaway(stream, 0, "")).await;
    let check = new.headers().await;
    let third = script.call();
    settle().await;
    assert_eq!(script.channel.state(), ConnectivityState::Connecting);
    serving(&mut new, check).await;
    answer(&mut new, other, second).await;
    let next = new.headers().await;
    answer(&mut new, next, third).await;
    answer(&mut old, stream, first).await;
    assert_eq!(script.channel.state(), ConnectivityState::Ready);
    script.end([old, new]).await;
}

#[tokio::test(start_paused = true)]
async fn a17_the_loss_of_a_younger_connection_leaves_the_check_of_health_alone() {
    let (mut script, mut old, first, check) = checked().await;
    let stream = old.headers().await;
    let second = script.call();
    let mut new = accept(&mut script, 2).await;
    let other = new.headers().await;
    new.send(Frame::goaway(other, 0, "")).await;
    answer(&mut new, other, second).await;
    settle().await;
    assert_eq!(script.channel.state(), ConnectivityState::Ready);
    old.send(framed(check, &[8, 2])).await;
    settle().await;
    assert_eq!(
        script.channel.state(),
        ConnectivityState::TransientFailure,
        "it is the same check"
    );
    answer(&mut old, stream, first).await;
    script.end([old, new]).await;
}

#[tokio::test(start_paused = true)]
async fn a105_closing_the_channel_ends_the_calls_on_connections_that_drain() {
    let mut script = script(2, |builder| builder);
    let calls = [script.call(), script.call()];
    let mut old = accept(&mut script, 1).await;
    let streams = [old.headers().await];
    let mut new = accept(&mut script, 1).await;
    let other = new.headers().await;
    old.send(Frame::goaway(streams[0], 0, "")).await;
    new.send(Frame::goaway(other, 0, "")).await;
    settle().await;
    assert_eq!(script.channel.state(), ConnectivityState::Idle);
    script.channel.close().await;
    for call in calls {
        let status = call.await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::Cancelled);
    }
    script.end([old, new]).await;
}

/// Credentials that take a second, and how often they were asked for.
#[derive(Clone, Debug, Default)]
struct Slow(Arc<AtomicUsize>);

impl CallCredentials for Slow {
    async fn metadata(&self, _: &RequestInfo<'_>) -> Result<MetadataMap, CallCredentialsError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(MetadataMap::new())
    }

    fn requires_security(&self) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_connection_is_lost_before_it_has_a_stream_finds_another() {
    let credentials = Slow::default();
    let mut script = script(2, |builder| builder.call_credentials(credentials.clone()));
    let first = script.call();
    let mut old = accept(&mut script, 1).await;
    let stream = old.headers().await;
    let second = script.call();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // It asks for credentials for the connection that it is to go to, and has a place there.
    let mut new = accept(&mut script, 1).await;
    settle().await;
    new.send(Frame::goaway(0, 0, "")).await;
    settle().await;
    answer(&mut old, stream, first).await;
    let stream = old.headers().await;
    answer(&mut old, stream, second).await;
    // For the one connection, and then for the other; for the first again.
    assert_eq!(credentials.0.load(Ordering::Relaxed), 4);
    assert_eq!(script.world.network.connections(A), 2);
    script.end([old, new]).await;
}
