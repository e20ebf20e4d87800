//! Connect and handshake.

use std::io::{self, ErrorKind};
use std::time::Duration;

use highball_channel::resolver::Resolution;
use highball_channel::{Channel, Code, ConnectivityState, Endpoint, Request};
use highball_echo::{EchoServer, EchoWithAddress};
use highball_server::Server;
use highball_testkit::peer::{Frame, Peer};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout};

use super::network::FaultyNetwork;
use crate::script::{Script, reply};
use crate::world::{A, B, World, message, nothing_is_left, settle, who, who_with};

const PICK_FIRST: &str = r#"{"loadBalancingConfig":[{"pick_first":{}}]}"#;
const HOUR: Duration = Duration::from_secs(3600);

/// A channel of pick_first's over a network with faults.
fn over(world: &World) -> (FaultyNetwork, Channel) {
    let network = FaultyNetwork::over(&world.network);
    let builder = world.builder().connector(network.clone());
    let channel = builder.default_service_config(PICK_FIRST).build();
    (network, channel.expect("the test's choices make sense"))
}

#[tokio::test(start_paused = true)]
async fn f14_refused() {
    use ConnectivityState::{Ready, TransientFailure};
    let mut world = World::new();
    world.resolve(&[A, B]);
    let (network, channel) = over(&world);
    let status = who(&channel).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status.message().contains("b:2: connection refused"),
        "{status}"
    );
    assert_eq!(network.tried(), [A, B], "each once");
    let mut states = channel.states();
    // Longer, and the channel would go idle.
    tokio::time::sleep(Duration::from_secs(25 * 60)).await;
    assert_eq!(channel.state(), TransientFailure);
    for address in [A, B] {
        let gaps = network.gaps(address);
        let mut backoff = 1.0_f64;
        for (attempt, gap) in gaps.iter().enumerate() {
            let range = backoff * 0.8 - 0.01..backoff * 1.2 + 0.01;
            assert!(range.contains(gap), "{address}, attempt {attempt}: {gap} s");
            backoff = (backoff * 1.6).min(120.0);
        }
        assert!(gaps.len() > 12, "{} attempts in half an hour", gaps.len());
    }
    world.start(B);
    channel.wait_ready(Duration::from_secs(150)).await.unwrap();
    let mut seen = Vec::new();
    while let Ok(Some(state)) = timeout(
        Duration::from_millis(1),
        futures::StreamExt::next(&mut states),
    )
    .await
    {
        seen.push(state);
    }
    assert_eq!(seen, [TransientFailure, Ready], "sticky until READY");
    drop(states);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn f15_blackholed_first() {
    let mut world = World::new();
    world.network.blackhole(A);
    world.start(B);
    world.resolve(&[A, B]);
    let (network, channel) = over(&world);
    let call = tokio::spawn({
        let channel = channel.clone();
        async move { who(&channel).await }
    });
    tokio::time::sleep(Duration::from_millis(249)).await;
    assert_eq!(network.dialling(), [A]);
    assert_eq!(call.await.unwrap().unwrap(), B);
    assert_eq!(network.dialling(), [""; 0], "nobody waits for the loser");
    assert_eq!(network.tried(), [A, B]);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn f15_the_socket_of_who_loses_the_race_is_closed() {
    let mut world = World::new();
    let mut listener = world.network.listen(A);
    world.start(B);
    world.resolve(&[A, B]);
    let (_, channel) = over(&world);
    let started = Instant::now();
    let call = tokio::spawn({
        let channel = channel.clone();
        async move { who(&channel).await }
    });
    // It says nothing, so there is no telling whether it is a server.
    let mut mute = Peer::silent(listener.accept().await.unwrap());
    assert_eq!(call.await.unwrap().unwrap(), B);
    mute.read_preface().await;
    let frames = mute.rest().await;
    assert!(frames.iter().all(|frame| frame.stream() == 0), "{frames:?}");
    let closed = started.elapsed().as_millis();
    assert!((250..260).contains(&closed), "closed after {closed} ms");
    drop((mute, listener));
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn f16_blackholed_all() {
    let world = World::new();
    world.network.blackhole(A);
    world.network.blackhole(B);
    world.resolve(&[A, B]);
    let (_, channel) = over(&world);
    let started = Instant::now();
    let impatient = Request::new(message("x")).with_timeout(Duration::from_secs(1));
    let status = who_with(&channel, impatient).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(
        status.message().contains("connections to become ready"),
        "{status}"
    );
    let queued = who(&channel).await.unwrap_err();
    assert_eq!(queued.code(), Code::Unavailable);
    assert!(
        queued.message().contains("no HTTP/2 connection"),
        "{queued}"
    );
    let waited = started.elapsed().as_secs_f64();
    assert!((20.0..20.6).contains(&waited), "{waited} s");
    assert_eq!(channel.state(), ConnectivityState::TransientFailure);
    nothing_is_left(world, channel).await;
}

#[tokio::test(start_paused = true)]
async fn f17_unreachable() {
    let errors: [fn() -> io::Error; 3] = [
        || ErrorKind::HostUnreachable.into(),
        || ErrorKind::NetworkUnreachable.into(),
        || ErrorKind::PermissionDenied.into(),
    ];
    for error in errors {
        let mut world = World::new();
        world.start(B);
        world.resolve(&[A, B]);
        let (network, channel) = over(&world);
        network.fail(A, error);
        let started = Instant::now();
        assert_eq!(who(&channel).await.unwrap(), B);
        assert!(started.elapsed() < Duration::from_millis(10), "at once");
        nothing_is_left(world, channel).await;
    }
}

#[tokio::test(start_paused = true)]
async fn f18_broken_ipv6() {
    let (six, other_six) = ("[2001:db8::1]:1", "[2001:db8::2]:1");
    let mut world = World::new();
    let four = "192.0.2.1:1";
    world.start(four);
    let addresses = [six, other_six, four];
    let endpoints =
        addresses.map(|address| Endpoint::from(address.parse::<std::net::SocketAddr>().unwrap()));
    world.resolver.update(Resolution::new(endpoints));
    let (network, channel) = over(&world);
    for address in [six, other_six] {
        network.fail(address, || ErrorKind::NetworkUnreachable.into());
    }
    assert_eq!(who(&channel).await.unwrap(), four);
    assert_eq!(network.tried(), [six, four], "the families take turns");
    nothing_is_left(world, channel).await;
}

/// A server that says this to each connection and closes it. How often it is connected to in a minute,
/// and what a call is told.
async fn says_and_closes(bytes: &'static [u8]) -> (usize, String) {
    let world = World::new();
    let mut listener = world.network.listen(A);
    let serving = tokio::spawn(async move {
        while let Ok(mut io) = listener.accept().await {
            let _ = io.write_all(bytes).await;
            settle().await;
        }
    });
    world.resolve(&[A]);
    let (_, channel) = over(&world);
    let status = who(&channel).await.expect_err("nobody serves");
    assert_eq!(status.code(), Code::Unavailable);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(channel.state(), ConnectivityState::TransientFailure);
    let connections = world.network.connections(A);
    serving.abort();
    nothing_is_left(world, channel).await;
    (connections, status.message().to_owned())
}

/// One attempt for each step of the backoff: 0, 1, 2.6, 5.2, 9.3, 15.8, 26.3, 43.1 s, give or take a fifth.
fn keeps_to_the_backoff(connections: usize) {
    assert!((7..=9).contains(&connections), "{connections} connections");
}

#[tokio::test(start_paused = true)]
async fn f19_accept_then_close() {
    let (connections, text) = says_and_closes(b"").await;
    keeps_to_the_backoff(connections);
    assert!(text.contains("a:1: EOF"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn f21_half_settings() {
    let mut script = Script::new();
    let started = Instant::now();
    let call = script.call();
    let mut io = script.listener.accept().await.unwrap();
    io.write_all(&[0, 0, 6, 4, 0]).await.unwrap();
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(started.elapsed().as_secs(), 20);
    assert_eq!(status.code(), Code::Unavailable);
    let mut peer = Peer::silent(io);
    peer.read_preface().await;
    let frames = peer.rest().await;
    assert!(frames.iter().all(|frame| frame.stream() == 0), "{frames:?}");
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn f22_http1_server() {
    let (connections, text) = says_and_closes(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    keeps_to_the_backoff(connections);
    assert!(text.contains("the server answers in HTTP/1.1"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn f23_goaway_before_settings() {
    let (connections, text) = says_and_closes(b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0").await;
    keeps_to_the_backoff(connections);
    assert!(text.contains("not a settings frame: GOAWAY"), "{text}");
}

/// The system's error is made by hand, for the clock to be ours; `descriptors.rs` has the system make it.
#[tokio::test(start_paused = true)]
async fn f29_emfile_on_connect() {
    const EMFILE: i32 = 24;
    let mut world = World::new();
    world.start(A);
    world.resolve(&[A]);
    let (network, channel) = over(&world);
    network.fail(A, || io::Error::from_raw_os_error(EMFILE));
    assert_eq!(who(&channel).await.unwrap_err().code(), Code::Unavailable);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(channel.state(), ConnectivityState::TransientFailure);
    let attempts = network.tried().len();
    assert!((7..=9).contains(&attempts), "{attempts} attempts");
    network.heal();
    channel.wait_ready(HOUR).await.unwrap();
    assert_eq!(who(&channel).await.unwrap(), A);
    nothing_is_left(world, channel).await;
}

#[cfg(unix)]
#[tokio::test]
async fn f30_uds_vanishes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("echo.sock");
    let target = format!("unix:{}", path.display());
    let start = async || {
        let service = EchoServer::new(EchoWithAddress::new(A));
        let server = Server::builder().add_service(service).build();
        let listener = highball_server::bind(target.as_str()).await.unwrap();
        (server.clone(), tokio::spawn(server.serve(listener)))
    };
    let (server, serving) = start().await;
    let channel = Channel::builder(target.as_str())
        .insecure()
        .build()
        .unwrap();
    assert_eq!(who(&channel).await.unwrap(), A);
    server.stop().await;
    serving.await.unwrap().unwrap();
    let _ = std::fs::remove_file(&path);
    let status = loop {
        // The last connection's end may not be known yet: a call on it fails for that.
        let status = who(&channel).await.unwrap_err();
        if status.message().contains("dialing") {
            break status;
        }
    };
    assert_eq!(status.code(), Code::Unavailable);
    let (server, serving) = start().await;
    channel.reset_backoff();
    channel.wait_ready(Duration::from_secs(30)).await.unwrap();
    assert_eq!(who(&channel).await.unwrap(), A);
    channel.close().await;
    server.stop().await;
    serving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn f63_slow_accept() {
    let mut script = Script::new();
    let channel = script.channel.clone();
    let request = Request::new(message("x")).with_timeout(Duration::from_secs(10));
    let call = tokio::spawn(async move { who_with(&channel, request).await });
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    peer.send_all(reply(stream)).await;
    assert_eq!(call.await.unwrap().unwrap(), A);
    let reset = |frame: &Frame| matches!(frame, Frame::Reset { .. });
    assert!(!peer.log().iter().any(reset));
    script.end([peer]).await;
}
