//! When a connection is READY, and what is said when it never is.

use std::time::Duration;

use bytes::BytesMut;
use highball_core::{Address, Status};
use highball_testkit::peer::{Frame, Peer};
use highball_transport::MemoryNetwork;
use highball_transport::client::{ClientOptions, ConnectStage, connect};
use tokio::io::AsyncReadExt as _;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::rig::{Rig, head, message, settle};

/// The frame, whole.
const SETTINGS_ACK: &[u8] = &[0, 0, 0, 4, 1, 0, 0, 0, 0];

/// What connecting says to a server that does this and then closes.
async fn connect_to(bytes: &'static [u8]) -> (ConnectStage, String) {
    let network = MemoryNetwork::new();
    let mut listener = network.listen("server");
    tokio::spawn(async move {
        let mut peer = Peer::silent(listener.accept().await.unwrap());
        peer.read_preface().await;
        peer.send_bytes(bytes).await;
    });
    let address = Address::from("server");
    let error = connect(&network, &address, &ClientOptions::default())
        .await
        .unwrap_err();
    (error.stage, Status::from(error).to_string())
}

#[tokio::test(start_paused = true)]
async fn ready_means_that_the_server_has_said_settings() {
    for (bytes, cause) in [
        (&b""[..], "EOF"),
        (b"\0\0\0\x04\0", "EOF"),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "the server answers in HTTP/1.1, not in HTTP/2: \"HTTP/1.1 400 Bad Request\"",
        ),
        (
            b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0",
            "initial http2 frame from server is not a settings frame: GOAWAY",
        ),
    ] {
        let (stage, text) = connect_to(bytes).await;
        assert_eq!(stage, ConnectStage::Preface);
        assert_eq!(
            text,
            format!(
                "UNAVAILABLE: connection error: desc = \"error reading server preface: server: {cause}\""
            )
        );
    }
}

#[tokio::test(start_paused = true)]
async fn e7_a_mute_server_never_becomes_ready_and_its_socket_is_closed() {
    let network = MemoryNetwork::new();
    let mut listener = network.listen("server");
    let address = Address::from("server");
    let options = ClientOptions::default();
    let twenty = Duration::from_secs(20);
    assert!(
        timeout(twenty, connect(&network, &address, &options))
            .await
            .is_err()
    );
    let mut peer = Peer::silent(listener.accept().await.unwrap());
    peer.read_preface().await;
    let frames = peer.rest().await;
    assert!(frames.iter().all(|frame| frame.stream() == 0), "{frames:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_names_the_address() {
    let error = connect(
        &MemoryNetwork::new(),
        &"a:1".into(),
        &ClientOptions::default(),
    )
    .await
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "connection error: desc = \"transport: Error while dialing: a:1: connection refused\""
    );
}

#[tokio::test(start_paused = true)]
async fn the_preface_says_every_setting() {
    let rig = Rig::new(&[]).await;
    let [Frame::Settings(settings), ..] = rig.peer.log() else {
        panic!("{:?}", rig.peer);
    };
    let mut settings = settings.clone();
    settings.sort_unstable();
    assert_eq!(
        settings,
        [
            (1, 4096),
            (2, 0),
            (3, 0),
            (4, 262_144),
            (5, 16_384),
            (6, 65_536)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn headers_and_a_small_message_leave_in_one_write_and_end_the_stream() {
    let mut rig = Rig::new(&[]).await;
    rig.peer.within(Duration::from_millis(1)).await;
    let (mut send, _recv) = rig.open().await;
    send.send(message(b"hi"), true).await.unwrap();
    send.finish();
    settle().await;
    let mut wire = rig.peer.into_io();
    let mut bytes = BytesMut::with_capacity(4096);
    wire.read_buf(&mut bytes).await.unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = Frame::decode(&mut bytes) {
        frames.push(frame);
    }
    let [Frame::Headers { end: false, .. }, data] = &frames[..] else {
        panic!("{frames:?}");
    };
    assert_eq!(*data, Frame::data(1, message(b"hi"), true));
}

#[tokio::test(start_paused = true)]
async fn the_first_call_takes_the_acknowledgement_of_settings_along() {
    let network = MemoryNetwork::new();
    let mut listener = network.listen("server");
    // As in a channel: one task connects, one lets calls know, one makes the call.
    let (connected, ready) = oneshot::channel();
    let (published, picked) = oneshot::channel();
    tokio::spawn(async move {
        let options = ClientOptions::default();
        let connecting = connect(&network, &Address::from("server"), &options).await;
        connected.send(connecting.unwrap()).unwrap();
    });
    tokio::spawn(async move { published.send(ready.await.unwrap()).unwrap() });
    let calling = tokio::spawn(async move {
        let (connection, end) = picked.await.unwrap();
        let slot = connection.slot().await.unwrap();
        let (mut send, recv) = connection.open(slot, head()).unwrap();
        send.send(message(b"hi"), true).await.unwrap();
        (recv, connection, end)
    });
    let mut peer = Peer::silent(listener.accept().await.unwrap());
    peer.read_preface().await;
    peer.frame().await;
    peer.send(Frame::Settings(vec![])).await;
    let mut bytes = BytesMut::with_capacity(4096);
    let mut wire = peer.into_io();
    while !bytes.windows(9).any(|bytes| bytes == SETTINGS_ACK) {
        bytes.clear();
        wire.read_buf(&mut bytes).await.unwrap();
    }
    let frames: Vec<_> = std::iter::from_fn(|| Frame::decode(&mut bytes)).collect();
    assert!(
        matches!(
            frames[..],
            [
                Frame::SettingsAck,
                Frame::Headers { .. },
                Frame::Data { .. }
            ]
        ),
        "{frames:?}"
    );
    drop(calling.await.unwrap());
}
