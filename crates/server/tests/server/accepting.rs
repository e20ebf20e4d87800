//! The accept loop and the handshake: what passes, what waits, what is closed.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use crate::support::client::Client;
use crate::support::raw::{self, GOAWAY};
use crate::support::{Lab, NAME, Seen, World, settle};
use bytes::{Buf as _, BytesMut};
use futures::future::BoxFuture;
use highball_core::Address;
use highball_server::{Listener, Server};
use highball_transport::{BoxIo, MemoryListener, MemoryNetwork};
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

/// Fails as it is told to, then accepts.
struct Failing {
    listener: MemoryListener,
    failures: VecDeque<io::Error>,
    times: tokio::sync::mpsc::UnboundedSender<Instant>,
}

impl Listener for Failing {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<BoxIo>> {
        Box::pin(async {
            self.times.send(Instant::now()).unwrap();
            match self.failures.pop_front() {
                Some(error) => Err(error),
                None => self.listener.accept().await,
            }
        })
    }

    fn local_addr(&self) -> Address {
        Address::tcp(NAME)
    }
}

#[tokio::test(start_paused = true)]
async fn the_loop_survives_what_accept_fails_with_and_backs_off_to_a_second() {
    const EMFILE: i32 = 24;
    let network = MemoryNetwork::new();
    let (times, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let mut failures = VecDeque::from([io::ErrorKind::ConnectionAborted.into()]);
    failures.extend((0..11).map(|_| io::Error::from_raw_os_error(EMFILE)));
    let listener = network.listen(NAME);
    let failing = Failing {
        listener,
        failures,
        times,
    };
    let server = Server::builder().add_service(Lab(Seen::default())).build();
    let serving = tokio::spawn(server.clone().serve(failing));
    let client = Client::connect(&network).await;
    assert_eq!(
        client
            .unary("Echo", &"hi".to_owned())
            .await
            .message::<String>(),
        "hi"
    );
    let mut last = asked.recv().await.unwrap();
    let mut pauses = Vec::new();
    for _ in 0..12 {
        let next = asked.recv().await.unwrap();
        pauses.push((next - last).as_millis());
        last = next;
    }
    let expected = [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000, 1000];
    for (pause, expected) in pauses.iter().zip(expected) {
        assert!((expected..=expected + 1).contains(pause), "{pauses:?}");
    }
    drop(client);
    server.stop().await;
    serving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_listener_that_backs_off() {
    let (times, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let failures = (0..100).map(|_| io::Error::other("no luck")).collect();
    let listener = MemoryNetwork::new().listen(NAME);
    let failing = Failing {
        listener,
        failures,
        times,
    };
    let server = Server::builder().build();
    let serving = tokio::spawn(server.clone().serve(failing));
    tokio::time::sleep(Duration::from_millis(5500)).await;
    let started = Instant::now();
    server.graceful_stop().await;
    assert_eq!(started.elapsed(), Duration::ZERO);
    serving.await.unwrap().unwrap();
    asked.close();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_finish_its_handshake_is_closed_after_twenty_seconds() {
    let world = World::new();
    for opening in [&b""[..], &raw::PREFACE[..10], raw::PREFACE] {
        let mut peer = raw::Peer::silent(&world.network).await;
        peer.write(opening).await;
        let started = Instant::now();
        assert_eq!(world.network.open_connections(NAME), 1);
        while peer.next().await.is_some() {}
        let waited = started.elapsed();
        assert!(
            (20..21).contains(&waited.as_secs()),
            "{opening:?}: {waited:?}"
        );
    }
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_acknowledges_our_settings_is_closed_after_twenty_seconds() {
    const SETTINGS_TIMEOUT: u32 = 4;
    let world = World::new();
    let mut peer = raw::Peer::silent(&world.network).await;
    peer.write(raw::PREFACE).await;
    peer.frame(raw::SETTINGS, 0, 0, &[]).await;
    let started = Instant::now();
    let goaway = peer.next().await.unwrap();
    assert_eq!((goaway.kind, goaway.code()), (GOAWAY, SETTINGS_TIMEOUT));
    assert_eq!(started.elapsed().as_secs(), 20);
    assert_eq!(peer.next().await, None);
    drop(peer);
    let patient = world.client().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let reply = patient.unary("Echo", &"on".to_owned()).await;
    assert_eq!(reply.message::<String>(), "on");
    drop(patient);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_handshake_holds_up_nobody() {
    let world = World::new();
    let silent = raw::Peer::silent(&world.network).await;
    let client = world.client().await;
    let started = Instant::now();
    assert_eq!(
        client
            .unary("Echo", &"hi".to_owned())
            .await
            .message::<String>(),
        "hi"
    );
    assert!(started.elapsed() < Duration::from_millis(10));
    drop((client, silent));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn too_many_unfinished_handshakes_are_closed() {
    let world = World::with(|builder| builder.max_unfinished_handshakes(2));
    let slow = [
        raw::Peer::silent(&world.network).await,
        raw::Peer::silent(&world.network).await,
    ];
    settle().await;
    let mut third = raw::Peer::silent(&world.network).await;
    let started = Instant::now();
    assert_eq!(third.next().await, None);
    assert!(started.elapsed() < Duration::from_millis(10));
    drop(slow);
    settle().await;
    let client = world.client().await;
    assert_eq!(client.unary("Echo", &"hi".to_owned()).await.status(), "0");
    drop((client, third));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn by_default_a_thousand_handshakes_may_be_unfinished() {
    let world = World::new();
    let mut slow = Vec::new();
    for _ in 0..1_000 {
        slow.push(raw::Peer::silent(&world.network).await);
    }
    settle().await;
    assert_eq!(world.network.open_connections(NAME), 1_000);
    let mut one_more = raw::Peer::silent(&world.network).await;
    assert_eq!(one_more.next().await, None);
    drop((slow, one_more));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_http2_is_closed_and_told_so_where_it_can_hear() {
    let world = World::new();
    let mut web = raw::Peer::silent(&world.network).await;
    web.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    while web.next().await.is_some() {}
    let mut no_settings = raw::Peer::silent(&world.network).await;
    no_settings.write(raw::PREFACE).await;
    no_settings.frame(raw::PING, 0, 0, &[0; 8]).await;
    let goaway = no_settings.next().await.unwrap();
    assert_eq!((goaway.kind, goaway.code()), (GOAWAY, 1));
    let text = b"initial http2 frame from client is not a settings frame: PING";
    assert_eq!(goaway.payload[8..], text[..]);
    assert_eq!(no_settings.next().await, None);
    drop((web, no_settings));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_says_nothing_is_forgotten() {
    let world = World::new();
    drop(raw::Peer::silent(&world.network).await);
    settle().await;
    assert_eq!(world.network.open_connections(NAME), 0);
    world.end().await;
}

/// The real network, once: a reply over TCP, and the port is free again after the stop.
#[tokio::test]
async fn a_server_on_tcp_answers_and_frees_its_port() {
    let listener = highball_server::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr();
    let server = Server::builder().add_service(Lab(Seen::default())).build();
    let serving = tokio::spawn(server.clone().serve(listener));
    let connector = highball_transport::SystemConnector;
    let io = highball_transport::Connector::connect(&connector, &address)
        .await
        .unwrap();
    let client = Client::over(io, &mut h2::client::Builder::new()).await;
    assert_eq!(
        client
            .unary("Echo", &"hi".to_owned())
            .await
            .message::<String>(),
        "hi"
    );
    server.graceful_stop().await;
    serving.await.unwrap().unwrap();
    highball_server::bind(address).await.map(|_| ()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_preface_is_there_is_answered_in_one_write() {
    let world = World::new();
    let mut client = raw::Peer::connect(&world.network).await;
    let mut bytes = BytesMut::with_capacity(4096);
    client.io.read_buf(&mut bytes).await.unwrap();
    let mut kinds = Vec::new();
    while let Some(length) = bytes.get(1..3).map(|mut length| length.get_u16()) {
        kinds.push((bytes[3], bytes[4]));
        bytes.advance(9 + usize::from(length));
    }
    let settings = [(raw::SETTINGS, 0), (raw::SETTINGS, raw::ACK)];
    assert_eq!(kinds[..2], settings, "{kinds:?}");
    drop(client);
    world.end().await;
}
