//! Peers that begin a handshake and do not go on.

use std::time::Duration;

use highball_channel::transport::Connector as _;
use highball_channel::{Code, Request};
use highball_echo::{EchoRequest, EchoServer};
use highball_server::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::rig::{Rig, SERVER, WhoAsks, call, call_with, said};

#[tokio::test(start_paused = true)]
async fn f28_stalled_tls() {
    let rig = Rig::without_server();
    let mut listener = rig.network.listen(SERVER);
    let server = tokio::spawn(async move {
        let mut io = listener.accept().await.unwrap();
        let mut hello = [0; 5];
        io.read_exact(&mut hello).await.unwrap();
        assert_eq!(hello[..2], [0x16, 0x03], "a ClientHello");
        let mut rest = Vec::new();
        let _ = io.read_to_end(&mut rest).await;
        listener
    });
    let channel = rig.good_channel();
    let started = Instant::now();
    let status = call(&channel).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("TLS handshake"), "{status}");
    assert_eq!(started.elapsed().as_secs(), 20);
    let listener = server.await.expect("the client has closed");
    let request = Request::new(EchoRequest::default())
        .with_wait_for_ready(true)
        .with_timeout(Duration::from_secs(5));
    let status = call_with(&channel, request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    drop(listener);
    rig.nothing_is_left(channel).await;
}

/// A client that sends one byte of its handshake every second.
#[tokio::test(start_paused = true)]
async fn a_slow_client_is_cut_after_twenty_seconds_and_holds_nobody_up() {
    let rig = Rig::new();
    let mut slow = rig.network.connect(&SERVER.into()).await.unwrap();
    let started = Instant::now();
    let trickle = tokio::spawn(async move {
        // A record of a handshake with 512 bytes.
        let mut hello = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc];
        hello.resize(517, 0);
        for byte in hello {
            if slow.write_u8(byte).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        started.elapsed().as_secs()
    });
    let channel = rig.good_channel();
    assert!(said(&channel).await.starts_with("tls "));
    let cut = trickle.await.unwrap();
    assert!((20..=22).contains(&cut), "cut after {cut} s");
    rig.nothing_is_left(channel).await;
}

#[tokio::test(start_paused = true)]
async fn unfinished_handshakes_are_bounded() {
    let mut rig = Rig::without_server();
    let server = Server::builder()
        .credentials(rig.server_credentials())
        .max_unfinished_handshakes(3)
        .add_service(EchoServer::new(WhoAsks));
    rig.serve_with(server.build());
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(rig.network.connect(&SERVER.into()).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    let channel = rig.good_channel();
    let status = call(&channel).await.unwrap_err();
    let text = "the server closed the connection amid the TLS handshake";
    assert!(status.message().contains(text), "{status}");
    // Their time is over before the client's.
    let request = Request::new(EchoRequest::default())
        .with_wait_for_ready(true)
        .with_timeout(Duration::from_secs(30));
    call_with(&channel, request).await.unwrap();
    drop(idle);
    rig.nothing_is_left(channel).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_waits_for_no_handshake() {
    let mut rig = Rig::without_server();
    let credentials = rig.server_credentials();
    let server = rig.serve(credentials);
    let _idle = rig.network.connect(&SERVER.into()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let started = Instant::now();
    server.stop().await;
    assert!(started.elapsed() < Duration::from_millis(10));
}
