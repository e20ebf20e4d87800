//! What calls make of answers that a well-behaved server does not give.

use std::time::Duration;

use highball_channel::{Code, Request};
use highball_echo::EchoClient;
use highball_testkit::peer::Frame;

use crate::script::{Script, framed, opening, reply, success};
use crate::world::{A, message};

const CANCEL: u32 = 8;
/// No protobuf: a field that says it is longer than the message.
const JUNK: [u8; 2] = [0x0a, 0x7f];

#[tokio::test(start_paused = true)]
async fn a_reply_of_no_message_or_of_two_is_unimplemented() {
    let mut script = Script::new();
    let channel = script.channel.clone();
    let streamed = async move {
        let requests = Request::new(futures::stream::iter([message("x")]));
        let echo = EchoClient::new(channel);
        let reply = echo.client_streaming_echo(requests).await;
        reply.map(|reply| reply.into_message().message)
    };
    let calls = [script.call(), tokio::spawn(streamed)];
    let mut peer = script.accept().await;
    for (call, messages) in calls.into_iter().zip([0, 2]) {
        let stream = peer.headers().await;
        peer.send(opening(stream)).await;
        for _ in 0..messages {
            peer.send(framed(stream, &[])).await;
        }
        peer.send(success(stream)).await;
        let status = call.await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
        let wrong = ["received no response message", "received another message"][messages / 2];
        assert!(status.message().contains(wrong), "{status}");
    }
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_not_ok_wins_over_a_message() {
    let mut script = Script::new();
    let call = script.call();
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    let [headers, message, _] = reply(stream);
    let trailers = [("grpc-status", "9"), ("grpc-message", "not now")];
    peer.send_all([headers, message, Frame::headers(stream, &trailers, true)])
        .await;
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.to_string(), "FAILED_PRECONDITION: not now");
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_decoded_is_internal_and_the_end_of_its_call() {
    let mut script = Script::new();
    let echo = EchoClient::new(script.channel.clone());
    let call = tokio::spawn(async move { echo.server_streaming_echo(message("x")).await });
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    let [headers, good, _] = reply(stream);
    peer.send_all([headers, framed(stream, &JUNK), good]).await;
    let mut replies = call.await.unwrap().unwrap();
    let status = replies.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(
        status
            .message()
            .starts_with("grpc: failed to unmarshal the received message"),
        "{status}"
    );
    assert_eq!(replies.message().await, Ok(None));
    let end = peer.until(|frame| matches!(frame, Frame::Reset { .. }));
    let code = CANCEL;
    assert_eq!(end.await, Frame::Reset { stream, code });
    drop(replies);
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn the_only_request_of_a_call_ends_its_stream() {
    let mut script = Script::new();
    let echo = EchoClient::new(script.channel.clone());
    let call = tokio::spawn(async move { echo.server_streaming_echo(message("x")).await });
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    let first = peer.next_for(stream).await;
    assert!(matches!(first, Frame::Data { end: true, .. }), "{first:?}");
    peer.send_all(reply(stream)).await;
    let mut replies = call.await.unwrap().unwrap();
    assert!(replies.message().await.unwrap().is_some(), "from {A}");
    assert_eq!(replies.message().await, Ok(None));
    drop(replies);
    script.end([peer]).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_stop_cannot_stretch_a_deadline() {
    let mut script = Script::new();
    let echo = EchoClient::new(script.channel.clone());
    let request = Request::new(message("x")).with_timeout(Duration::from_secs(1));
    let call = tokio::spawn(async move { echo.server_streaming_echo(request).await });
    let mut peer = script.accept().await;
    let stream = peer.headers().await;
    let endless = std::iter::repeat_with(|| framed(stream, &[])).take(5000);
    peer.send_all([opening(stream)].into_iter().chain(endless))
        .await;
    let mut replies = call.await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut late = 0;
    let status = loop {
        match replies.message().await {
            Ok(Some(_)) => late += 1,
            Ok(None) => panic!("the server has not said how it ends"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::DeadlineExceeded);
    // What had come in time is handed out, but not without end.
    assert!((100..2000).contains(&late), "{late} messages");
    drop(replies);
    script.end([peer]).await;
}
