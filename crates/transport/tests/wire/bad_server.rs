//! Servers that break HTTP/2, frame by frame: the counterpart of what the server's tests have of bad clients.
//!
//! RFC 9113 has narrower codes for some of what h2 calls a PROTOCOL_ERROR.

use std::time::Duration;

use bytes::Bytes;
use highball_core::Code;
use highball_testkit::peer::{Frame, header_block};
use highball_transport::MemoryNetwork;
use highball_transport::client::{ClientOptions, ConnectStage, Ended, RecvHalf, SendHalf, connect};
use tokio::time::Instant;

use crate::rig::{GRPC, Rig, is_reset, message, response, settle};
use crate::statuses::MALFORMED;

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITIZED: u8 = 0x20;

const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;

const MOST: u32 = (1 << 31) - 1;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Bytes {
    let payload = Bytes::copy_from_slice(payload);
    let frame = Frame::Other {
        kind,
        flags,
        stream,
        payload,
    };
    frame.encode()
}

fn setting(identifier: u16, value: u32) -> Bytes {
    Frame::Settings(vec![(identifier, value)]).encode()
}

/// A call whose request goes on.
async fn begun(rig: &mut Rig) -> (SendHalf, RecvHalf) {
    let (mut send, recv) = rig.open().await;
    send.send(message(b"request"), false).await.unwrap();
    assert_eq!(rig.peer.headers().await, 1);
    (send, recv)
}

/// How a call ends that is waiting for its answer; `None` if it waits on.
async fn end_of(recv: &mut RecvHalf) -> Option<Ended> {
    let minute = Duration::from_secs(60);
    let message = tokio::time::timeout(minute, recv.message()).await;
    message.ok()?.err()
}

/// Each of these, sent while a call waits for its answer, is the end of the connection, for this reason, at once.
async fn are_the_end(rows: &[(&str, Bytes, u32)]) {
    let mut said = Vec::new();
    for (what, bytes, _) in rows {
        let mut rig = Rig::new(&[]).await;
        let (_send, mut recv) = begun(&mut rig).await;
        let started = Instant::now();
        rig.peer.send_bytes(bytes).await;
        let ended = end_of(&mut recv).await.expect(what);
        assert_eq!(ended.status.code(), Code::Unavailable, "{what}: {ended:?}");
        let text = ended.status.message();
        assert!(text.contains("the server broke HTTP/2: "), "{what}: {text}");
        rig.end.lost().await;
        let rest = rig.peer.rest().await;
        let after = started.elapsed();
        assert!(after <= Duration::from_secs(2), "{what}: after {after:?}");
        let code = rest.iter().rev().find_map(|frame| match frame {
            Frame::GoAway { code, .. } => Some(*code),
            _ => None,
        });
        said.push((*what, code));
    }
    let expected: Vec<_> = rows
        .iter()
        .map(|(what, _, code)| (*what, Some(*code)))
        .collect();
    assert_eq!(said, expected);
}

fn row(what: &'static str, bytes: Bytes) -> (&'static str, Bytes, u32) {
    (what, bytes, PROTOCOL_ERROR)
}

#[tokio::test(start_paused = true)]
async fn bad_settings_end_the_connection() {
    are_the_end(&[
        row("7 bytes", frame(SETTINGS, 0, 0, &[0; 7])),
        row("of a stream", frame(SETTINGS, 0, 1, &[])),
        row("acknowledging at length", frame(SETTINGS, ACK, 0, &[0; 6])),
        row("acknowledging nothing", frame(SETTINGS, ACK, 0, &[])),
        row("ENABLE_PUSH 2", setting(ENABLE_PUSH, 2)),
        row(
            "INITIAL_WINDOW_SIZE 2^31",
            setting(INITIAL_WINDOW_SIZE, 1 << 31),
        ),
        row("MAX_FRAME_SIZE 100", setting(MAX_FRAME_SIZE, 100)),
        row("MAX_FRAME_SIZE 2^24", setting(MAX_FRAME_SIZE, 1 << 24)),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_enables_push_breaks_http2() {
    let mut rig = Rig::new(&[(ENABLE_PUSH, 0)]).await;
    let (_, mut recv) = rig.request().await;
    rig.peer.send_bytes(&setting(ENABLE_PUSH, 1)).await;
    let ended = end_of(&mut recv).await.unwrap();
    assert_eq!(
        ended.status.to_string(),
        "UNAVAILABLE: connection to server: the server broke HTTP/2: it enables push"
    );
    let rest = rig.peer.rest().await;
    let goaway = Frame::goaway(
        0,
        PROTOCOL_ERROR,
        "the server broke HTTP/2: it enables push",
    );
    assert_eq!(rest.last(), Some(&goaway), "{rest:?}");

    let network = MemoryNetwork::new();
    let mut listener = network.listen("server");
    let (options, address) = (ClientOptions::default(), "server".into());
    let connecting = connect(&network, &address, &options);
    let serving = async {
        let mut peer = highball_testkit::peer::Peer::silent(listener.accept().await.unwrap());
        peer.read_preface().await;
        peer.send_bytes(&setting(ENABLE_PUSH, 1)).await;
        peer.rest().await
    };
    let (connected, _) = tokio::join!(connecting, serving);
    let error = connected.unwrap_err();
    assert_eq!(error.stage, ConnectStage::Preface);
    assert!(error.to_string().contains("enables push"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn frames_of_another_size_end_the_connection() {
    are_the_end(&[
        row("PING of 7 bytes", frame(PING, 0, 0, &[0; 7])),
        row("PING of 9 bytes", frame(PING, 0, 0, &[0; 9])),
        row(
            "WINDOW_UPDATE of 3 bytes",
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
        ),
        row("RST_STREAM of 5 bytes", frame(RST_STREAM, 0, 1, &[0; 5])),
        row("GOAWAY of 7 bytes", frame(GOAWAY, 0, 0, &[0; 7])),
        row("PRIORITY of 4 bytes", frame(PRIORITY, 0, 1, &[0; 4])),
        row(
            "DATA, all padding and more",
            frame(DATA, PADDED, 1, &[9, 0]),
        ),
        row(
            "HEADERS, all padding and more",
            frame(HEADERS, END_HEADERS | PADDED, 1, &[200, 1, 2]),
        ),
        (
            "DATA beyond our limit",
            frame(DATA, 0, 1, &[0; 16_385]),
            FRAME_SIZE_ERROR,
        ),
        (
            "DATA beyond any limit",
            Bytes::from_static(&[0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1]),
            FRAME_SIZE_ERROR,
        ),
        (
            "HEADERS beyond any limit",
            Bytes::from_static(&[0xff, 0xff, 0xff, HEADERS, END_HEADERS, 0, 0, 0, 1]),
            FRAME_SIZE_ERROR,
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn frames_where_they_may_not_be_end_the_connection() {
    let block = header_block(&GRPC);
    are_the_end(&[
        row("PING of a stream", frame(PING, 0, 1, &[0; 8])),
        row("GOAWAY of a stream", frame(GOAWAY, 0, 1, &[0; 8])),
        row("DATA on stream 0", frame(DATA, 0, 0, &[0])),
        row("DATA before HEADERS", frame(DATA, 0, 1, &[0])),
        row(
            "DATA on a stream that nobody opened",
            frame(DATA, 0, 9, &[0]),
        ),
        row(
            "HEADERS on stream 0",
            frame(HEADERS, END_HEADERS, 0, &block),
        ),
        row(
            "HEADERS on a stream that nobody opened",
            frame(HEADERS, END_HEADERS, 9, &block),
        ),
        row(
            "HEADERS on a stream of the server's",
            frame(HEADERS, END_HEADERS, 2, &block),
        ),
        row("RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, &[0; 4])),
        row(
            "RST_STREAM on a stream that nobody opened",
            frame(RST_STREAM, 0, 9, &[0; 4]),
        ),
        row(
            "WINDOW_UPDATE on a stream that nobody opened",
            frame(WINDOW_UPDATE, 0, 9, &[0, 0, 0, 1]),
        ),
        row("PRIORITY on stream 0", frame(PRIORITY, 0, 0, &[0; 5])),
        row("a push", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn blocks_of_headers_that_do_not_hold_together_end_the_connection() {
    let block = header_block(&GRPC);
    let open = frame(HEADERS, 0, 1, &block);
    let whole = frame(HEADERS, END_HEADERS, 1, &block);
    let with = |first: &Bytes, second: Bytes| Bytes::from([&first[..], &second].concat());
    let rest = |stream| frame(CONTINUATION, END_HEADERS, stream, &[]);
    are_the_end(&[
        row("DATA amid a block", with(&open, frame(DATA, 0, 1, &[]))),
        row("PING amid a block", with(&open, frame(PING, 0, 0, &[0; 8]))),
        row("a block begun twice", with(&open, open.clone())),
        row("the rest of another stream's block", with(&open, rest(3))),
        row("a rest without a beginning", rest(1)),
        row("a rest behind the end", with(&whole, rest(1))),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn blocks_of_headers_that_hpack_cannot_mean_end_the_connection() {
    let block = |what, block: &[u8]| row(what, frame(HEADERS, END_HEADERS, 1, block));
    are_the_end(&[
        block("index 0", &[0x80]),
        block("an index beyond the table", &[0xff, 0x7f]),
        block("a number without end", &[0xff; 9]),
        block("a table larger than allowed", &[0x3f, 0xff, 0xff, 0x7f]),
        block("a string that ends early", &[0, 10, b'k']),
        block(
            "Huffman codes that mean nothing",
            &[0, 0x84, 0xff, 0xff, 0xff, 0xff, 1, b'v'],
        ),
        block("a name in capitals", &header_block(&[GRPC[0], ("K", "v")])),
        block(
            "a pseudo-header that is none",
            &header_block(&[(":k", "v")]),
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn windows_that_cannot_be_end_the_connection() {
    are_the_end(&[
        row("an update of nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        row(
            "an update of nothing for a stream",
            frame(WINDOW_UPDATE, 0, 1, &[0; 4]),
        ),
        (
            "a window beyond all bounds",
            frame(WINDOW_UPDATE, 0, 0, &MOST.to_be_bytes()),
            FLOW_CONTROL_ERROR,
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_first_window_that_makes_another_too_large_ends_the_connection() {
    let mut rig = Rig::new(&[]).await;
    let (_send, _recv) = begun(&mut rig).await;
    let (_, mut other) = rig.request().await;
    let update = frame(WINDOW_UPDATE, 0, 1, &(MOST - 65_535).to_be_bytes());
    rig.peer.send_bytes(&update).await;
    rig.peer
        .send_bytes(&setting(INITIAL_WINDOW_SIZE, 70_000))
        .await;
    let ended = end_of(&mut other).await.unwrap();
    assert_eq!(
        ended.status.to_string(),
        "UNAVAILABLE: connection to server: the server broke HTTP/2: FLOW_CONTROL_ERROR"
    );
    let rest = rig.peer.rest().await;
    let goaway = Frame::goaway(0, FLOW_CONTROL_ERROR, "");
    assert_eq!(rest.last(), Some(&goaway), "{rest:?}");
}

/// What is wrong with one stream costs one call; how that ends, and how the server is told.
#[tokio::test(start_paused = true)]
async fn faults_of_a_stream_cost_its_call_and_no_other() {
    const FLOW: &str = "INTERNAL: flow control violated: received data exceeding the stream's \
                        window, or window updates beyond all bounds";
    const MIDDLE: &str = "INTERNAL: received invalid frame: PROTOCOL_ERROR: a HEADERS frame cannot \
                          appear in the middle of a stream, nor may content-length be wrong";
    let opening = Frame::headers(1, &GRPC, false).encode();
    let unread = [
        opening,
        // A message of a mebibyte, of which 256 KiB may come before somebody reads.
        Frame::data(1, &[0, 0, 0x10, 0, 0][..], false).encode(),
    ];
    let piece = Frame::data(1, vec![0; 16 * 1024], false).encode();
    let overrun = unread.into_iter().chain(vec![piece; 16]);
    let overrun: Vec<u8> = overrun.flat_map(Vec::from).collect();
    let itself = [&[0, 0, 0, 1, 1][..], &header_block(&GRPC)].concat();
    let one = Frame::headers(1, &[GRPC[0], GRPC[1], ("content-length", "1")], false);
    let more = [one, Frame::data(1, "12", false)].map(|frame| frame.encode());
    for (what, bytes, code, status) in [
        ("more data than its window", Bytes::from(overrun), 3, FLOW),
        (
            "a window beyond all bounds",
            frame(WINDOW_UPDATE, 0, 1, &MOST.to_be_bytes()),
            3,
            FLOW,
        ),
        (
            "a stream that depends on itself",
            frame(HEADERS, END_HEADERS | PRIORITIZED, 1, &itself),
            1,
            MALFORMED,
        ),
        (
            "more than the content-length",
            more.concat().into(),
            1,
            MIDDLE,
        ),
    ] {
        let mut rig = Rig::new(&[]).await;
        let (_send, mut recv) = begun(&mut rig).await;
        let (other, mut spared) = rig.request().await;
        rig.peer.send_bytes(&bytes).await;
        settle().await;
        let ended = end_of(&mut recv).await.expect(what);
        assert_eq!(ended.status.to_string(), status, "{what}");
        let reset = rig.peer.until(is_reset).await;
        assert_eq!(reset, Frame::Reset { stream: 1, code }, "{what}");
        rig.peer.send_all(response(other, b"spared")).await;
        assert_eq!(spared.message().await.unwrap().unwrap(), "spared", "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_http2_lets_pass_changes_nothing() {
    let mut rig = Rig::new(&[]).await;
    let (stream, mut recv) = rig.request().await;
    for bytes in [
        frame(0x42, 0xff, 0, &[7; 100]),
        frame(0x42, END_STREAM, stream, b"no end of the stream"),
        frame(PRIORITY, 0, 9, &[0, 0, 0, 3, 1]),
        setting(0x99, 7),
        setting(ENABLE_PUSH, 0),
        frame(PING, ACK, 0, &[7; 8]),
    ] {
        rig.peer.send_bytes(&bytes).await;
    }
    rig.peer.send_all(response(stream, b"well")).await;
    assert_eq!(recv.message().await.unwrap().unwrap(), "well");
}

/// RFC 9113 allows either; the server's end, where h2 makes another choice, closes the connection.
#[tokio::test(start_paused = true)]
async fn data_behind_the_end_is_reset_and_hurts_nobody() {
    let mut rig = Rig::new(&[]).await;
    let (stream, mut recv) = rig.request().await;
    rig.peer.send_all(response(stream, b"well")).await;
    rig.peer.send(Frame::data(stream, "more", true)).await;
    assert_eq!(recv.message().await.unwrap().unwrap(), "well");
    assert_eq!(recv.message().await.unwrap(), None);
    let reset = rig.peer.until(is_reset).await;
    assert_eq!(reset, Frame::Reset { stream, code: 5 });
    let (other, mut spared) = rig.request().await;
    rig.peer.send_all(response(other, b"spared")).await;
    assert_eq!(spared.message().await.unwrap().unwrap(), "spared");
}
