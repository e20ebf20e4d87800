//! Replies that break off, and replies in crumbs.

use bytes::Bytes;
use highball_channel::{Code, Status};
use highball_echo::EchoClient;
use highball_testkit::peer::Frame;

use crate::negative_http2::outcome;
use crate::script::{Script, framed, opening, reply, success};
use crate::world::{A, message};

/// RST_STREAM with this code.
fn reset(stream: u32, code: u32) -> Frame {
    Frame::Reset { stream, code }
}

/// A message of nine bytes, of which three have come.
fn cut(stream: u32) -> Frame {
    Frame::data(stream, &b"\0\0\0\0\x09cut"[..], false)
}

/// What becomes of a call that is answered like this. The connection is none the worse for it.
async fn ended(answer: impl FnOnce(u32) -> Vec<Frame>) -> Status {
    let outcome = outcome(|_, stream| answer(stream)).await;
    outcome.expect_err("the reply breaks off")
}

#[tokio::test(start_paused = true)]
async fn f34_rst_noerror_before_trailers() {
    let untold = ended(|stream| vec![opening(stream), framed(stream, b""), reset(stream, 0)]);
    let status = untold.await;
    assert_eq!(status.code(), Code::Internal, "{status}");
    let silent = ended(|stream| vec![reset(stream, 0)]).await;
    assert_eq!(silent.code(), Code::Internal, "{silent}");
}

#[tokio::test(start_paused = true)]
async fn f36_rst_mid_message() {
    const INTERNAL_ERROR: u32 = 2;
    let mut script = Script::new();
    let echo = EchoClient::new(script.channel.clone());
    let call = tokio::spawn(async move { echo.server_streaming_echo(message("x")).await });
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    let [headers, whole, _] = reply(stream);
    peer.send_all([headers, whole, cut(stream), reset(stream, INTERNAL_ERROR)])
        .await;
    let mut replies = call.await.unwrap().unwrap();
    let first = replies.message().await.unwrap();
    assert!(first.is_some(), "what came whole is delivered");
    let status = replies.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "{status}");
    drop(replies);
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn f37_end_stream_on_data() {
    let end = |stream| Frame::data(stream, "", true);
    let status = ended(|stream| vec![opening(stream), framed(stream, b""), end(stream)]).await;
    assert_eq!(
        status.to_string(),
        "INTERNAL: server closed the stream without sending trailers"
    );
}

#[tokio::test(start_paused = true)]
async fn f38_truncated_then_ok_trailers() {
    let status = ended(|stream| vec![opening(stream), cut(stream), success(stream)]).await;
    assert_eq!(status.to_string(), "INTERNAL: unexpected EOF");
}

/// The bytes of a whole message as frames of one byte each, padded by up to so much.
fn crumbs(stream: u32, message: Frame, most_padding: u8) -> Vec<Frame> {
    let Frame::Data { data, .. } = message else {
        unreachable!("a message is DATA")
    };
    let crumb = |(index, byte): (usize, &u8)| Frame::Data {
        stream,
        data: Bytes::copy_from_slice(&[*byte]),
        end: false,
        padding: (index % (usize::from(most_padding) + 1)) as u8,
    };
    data.iter().enumerate().map(crumb).collect()
}

/// The crumbs of several calls come in turns, with frames about the connection between them.
#[tokio::test(start_paused = true)]
async fn f40_reordered_tiny_frames() {
    let mut script = Script::new();
    let calls = [script.call(), script.call(), script.call()];
    let mut peer = script.accept().await;
    let mut parts = Vec::new();
    for most_padding in [0, 7, 255] {
        let stream = peer.headers().await;
        let [headers, message, trailers] = reply(stream);
        let mut frames = crumbs(stream, message, most_padding);
        frames.insert(0, headers);
        frames.push(trailers);
        parts.push(frames.into_iter());
    }
    let between = |payload: u64| Frame::Ping {
        ack: false,
        payload: payload.to_be_bytes(),
    };
    let mut turn = 0;
    // The first has two turns in a row, so that each of them ends at another place.
    while parts.iter().any(|frames| frames.len() > 0) {
        for place in [2, 0, 1, 0] {
            if let Some(frame) = parts[place].next() {
                peer.send(frame).await;
            }
        }
        if turn % 5 == 0 {
            peer.send(between(turn)).await;
        }
        turn += 1;
    }
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), A);
    }
    assert_eq!(script.world.network.connections(A), 1);
    script.end([peer]).await;
}
