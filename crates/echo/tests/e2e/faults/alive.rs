//! Peers that fall silent, and connections that have had their time.

use std::time::Duration;

use highball_channel::Code;
use highball_channel::transport::Keepalive;
use highball_echo::{EchoServer, EchoWithAddress};
use highball_server::Server;
use highball_testkit::peer::Frame;
use tokio::time::Instant;

use crate::script::{Script, reply};
use crate::world::{A, World, nothing_is_left, who};

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
async fn f57_goaway_too_many_pings() {
    let mut script = script();
    let mut peers = Vec::new();
    for asked_after in [10, 20, 40] {
        let call = script.call();
        let mut peer = script.accept().await;
        let stream = peer.headers().await;
        let start = Instant::now();
        peer.send_all(reply(stream)).await;
        assert_eq!(call.await.unwrap().unwrap(), A);
        peer.until(|frame| matches!(frame, Frame::Ping { ack: false, .. }))
            .await;
        assert_eq!(start.elapsed().as_secs(), asked_after);
        peer.send(Frame::goaway(stream, 11, "too_many_pings")).await;
        peer.rest().await;
        peers.push(peer);
    }
    script.end(peers).await;
}

#[tokio::test(start_paused = true)]
async fn f60_max_connection_age() {
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
