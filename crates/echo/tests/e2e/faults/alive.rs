//! Peers that fall silent, and connections that have had their time.

use std::time::Duration;

use highball_channel::transport::{BoxIo, ClientOptions, Keepalive};
use highball_channel::{Code, Status};
use highball_echo::{Echo, EchoRequest, EchoResponse, EchoServer, EchoWithAddress};
use highball_server::{Request, Response, Server};
use highball_testkit::peer::{Frame, Peer};
use tokio::time::Instant;

use super::network::{Direction, FaultyNetwork};
use crate::restarts::{Load, slow};
use crate::script::{Script, reply};
use crate::world::{A, World, message, nothing_is_left, settle, who, who_with};

const SECOND: Duration = Duration::from_secs(1);

const KEEPALIVE: Keepalive = Keepalive {
    time: Duration::from_secs(10),
    timeout: Duration::from_secs(20),
    permit_without_stream: true,
};

/// A scripted server, and a channel that asks it whether it is there.
fn script() -> Script {
    let mut script = Script::new();
    let builder = script.world.builder().keepalive(KEEPALIVE);
    script.channel = builder.build().expect("the choices make sense");
    script
}

#[tokio::test(start_paused = true)]
async fn f42_half_open() {
    let mut script = script();
    let call = script.call();
    let mut silent = script.accept().await;
    let start = Instant::now();
    silent.headers().await;
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 30);
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("keepalive"), "{status}");
    let next = script.call();
    let mut new = script.accept().await;
    let stream = new.headers().await;
    new.send_all(reply(stream)).await;
    assert_eq!(next.await.unwrap().unwrap(), A, "on another connection");
    script.end([silent, new]).await;
}

#[tokio::test(start_paused = true)]
async fn f42_without_keepalive_only_deadlines_end_calls() {
    let mut script = Script::new();
    let patient = script.call();
    let mut silent = script.accept().await;
    silent.headers().await;
    let start = Instant::now();
    let channel = script.channel.clone();
    let request = highball_channel::Request::new(message("x")).with_timeout(3600 * SECOND);
    let status = who_with(&channel, request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(start.elapsed().as_secs(), 3600);
    assert!(!patient.is_finished(), "nothing has told it");
    let frames = silent.within(SECOND).await;
    let is_ping = |frame: &Frame| matches!(frame, Frame::Ping { .. });
    assert!(!frames.iter().any(is_ping), "{frames:?}");
    assert_eq!(script.world.network.open_connections(A), 1);
    patient.abort();
    drop(channel);
    script.end([silent]).await;
}

/// Takes calls and never answers.
struct Mute;

impl Echo for Mute {
    async fn unary_echo(
        &self,
        _request: Request<EchoRequest>,
    ) -> Result<Response<EchoResponse>, Status> {
        std::future::pending().await
    }
}

/// A call is under way when the network stops to carry one direction; how it ends, and after how many
/// seconds. The client asks whether the server is there, and the server asks every so often.
async fn partitioned(lost: Direction, every: Duration) -> (Status, u64) {
    let mut world = World::new();
    let server = Server::builder()
        .add_service(EchoServer::new(Mute))
        .keepalive(Some(highball_server::Keepalive {
            time: every,
            timeout: SECOND,
        }));
    world.start_with(A, server.build());
    world.resolve(&[A]);
    let network = FaultyNetwork::over(&world.network);
    let builder = world.builder().connector(network.clone());
    let channel = builder.keepalive(KEEPALIVE).build();
    let channel = channel.expect("the choices make sense");
    let start = Instant::now();
    let call = tokio::spawn({
        let channel = channel.clone();
        async move { who(&channel).await }
    });
    settle().await;
    assert_eq!(world.network.open_connections(A), 1);
    network.lose(lost);
    let ended = call.await.expect("no panic");
    let status = ended.expect_err("nobody answers");
    let after = start.elapsed().as_secs();
    channel
        .wait_ready(5 * SECOND)
        .await
        .expect("another connection");
    assert_eq!(
        world.network.open_connections(A),
        1,
        "neither end holds the old one"
    );
    nothing_is_left(world, channel).await;
    (status, after)
}

#[tokio::test(start_paused = true)]
async fn f43_one_way_partition() {
    let (status, after) = partitioned(Direction::ToServer, SECOND).await;
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(after, 2, "the server hears nothing, and closes: {status}");
    let (status, after) = partitioned(Direction::ToClient, 7200 * SECOND).await;
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("keepalive"), "{status}");
    assert_eq!(after, 30);
}

#[tokio::test(start_paused = true)]
async fn f62_server_sigstop() {
    let mut script = script();
    let call = script.call();
    let mut stopped = script.accept().await;
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let next = script.call();
    let mut new = script.accept().await;
    let stream = new.headers().await;
    new.send_all(reply(stream)).await;
    assert_eq!(next.await.unwrap().unwrap(), A);
    // It goes on, and finds what came meanwhile: the call, once, and the end.
    let frames = stopped.rest().await;
    let is_headers = |frame: &&Frame| matches!(frame, Frame::Headers { .. });
    assert_eq!(frames.iter().filter(is_headers).count(), 1, "{frames:?}");
    let frames = new.within(SECOND).await;
    assert!(!frames.iter().any(|frame| is_headers(&frame)), "{frames:?}");
    script.end([stopped, new]).await;
}

/// A connection with one call, whose server is asked after so many seconds whether it is still there, and complains.
async fn too_many_pings(script: &mut Script, asked_after: u64) -> Peer<BoxIo> {
    let call = script.call();
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    let start = Instant::now();
    peer.send_all(reply(stream)).await;
    let answered = call.await.expect("the call's task ends");
    assert_eq!(answered.expect("the call ends well"), A);
    peer.until(|frame| matches!(frame, Frame::Ping { ack: false, .. }))
        .await;
    assert_eq!(start.elapsed().as_secs(), asked_after);
    peer.send(Frame::goaway(stream, 11, "too_many_pings")).await;
    peer.rest().await;
    peer
}

#[tokio::test(start_paused = true)]
async fn f57_goaway_too_many_pings() {
    let mut script = script();
    let mut peers = Vec::new();
    for asked_after in [10, 20, 40] {
        peers.push(too_many_pings(&mut script, asked_after).await);
    }
    script.end(peers).await;
}

#[tokio::test(start_paused = true)]
async fn a8_what_one_channel_is_told_is_nothing_to_another_with_the_same_options() {
    let mut options = ClientOptions::default();
    options.keepalive = Some(KEEPALIVE);
    let mut script = script();
    let mut peers = Vec::new();
    for options in [options.clone(), options] {
        let builder = script.world.builder().client_options(options);
        script.channel = builder.build().expect("the choices make sense");
        let peer = too_many_pings(&mut script, 10).await;
        script.channel.close().await;
        peers.push(peer);
    }
    script.end(peers).await;
}

#[tokio::test(start_paused = true)]
async fn f60_max_connection_age() {
    let mut world = World::new();
    let server = Server::builder()
        .add_service(slow(A))
        .max_connection_age(SECOND, SECOND);
    world.start_with(A, server.build());
    world.resolve(&[A]);
    let channel = world.channel(r#"{"pick_first":{}}"#);
    let load = Load::start(&channel, 60_000, SECOND / 1000, false);
    let (answered, failed) = load.ended().await;
    assert_eq!((answered.len(), failed), (60_000, vec![]));
    let connections = world.network.connections(A);
    assert!(
        (54..=67).contains(&connections),
        "{connections} connections, each a second old at its end, give or take a tenth"
    );
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn connections_that_end_when_they_are_idle_or_old_lose_no_call() {
    let mut world = World::new();
    let server = Server::builder()
        .add_service(EchoServer::new(EchoWithAddress::new(A)))
        .max_connection_age(2 * SECOND, SECOND)
        .max_connection_idle(SECOND);
    world.start_with(A, server.build());
    world.resolve(&[A]);
    let channel = world.channel(r#"{"pick_first":{}}"#);
    let start = Instant::now();
    let mut pauses = [0_u32, 1, 7, 30, 900, 1100].into_iter().cycle();
    while start.elapsed() < 300 * SECOND {
        who(&channel).await.expect("no call is lost");
        let pause = pauses.next().unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(pause.into())).await;
    }
    nothing_is_left(world, channel).await;
}
